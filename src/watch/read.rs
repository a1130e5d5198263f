//! Reading a file that others may be writing.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// How often a file is read again because it changed meanwhile, before that is an error.
const TRIES: u32 = 4;

/// Reads a whole regular file of at most `limit` bytes; the bytes are wiped when dropped.
///
/// The file must have the same size and timestamps after reading as before, else it is read again,
/// four times in all. A writer that was at it all the while may go unnoticed; then another change
/// follows when it is done. A pipe, socket, device or directory is refused without waiting for it.
///
/// # Errors
///
/// - `InvalidInput`: not a regular file (`IsADirectory` if it is a directory).
/// - `FileTooLarge`: more than `limit` bytes.
/// - `ResourceBusy`: it kept changing; there will be another change to report it.
/// - whatever open(2) and read(2) say, such as `NotFound` and `PermissionDenied`.
pub fn read_file(path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    read(path, limit, 0)
}

/// The same, but a symbolic link is not followed: whoever may put one there may not read what it leads to.
///
/// # Errors
///
/// As those of [`read_file`], and ELOOP if `path` is a symbolic link.
pub fn read_no_link(path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    read(path, limit, libc::O_NOFOLLOW)
}

fn read(path: &Path, limit: u64, flags: i32) -> io::Result<Zeroizing<Vec<u8>>> {
    for _ in 0..TRIES {
        // O_NONBLOCK: opening a FIFO must not wait for its writer. It means nothing to a regular file.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags)
            .open(path)?;
        if let Some(content) = read_once(&file, limit)? {
            return Ok(content);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "the file keeps changing while it is read",
    ))
}

/// The content, or `None` if it changed under the reading.
fn read_once(mut file: &File, limit: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let before = file.metadata()?;
    if before.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !before.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if before.len() > limit {
        return Err(too_large(before.len(), limit));
    }
    // Exactly the room needed and one byte to notice growth: a vector that grows would leave copies behind.
    let room = usize::try_from(before.len()).map_err(|_| too_large(before.len(), limit))? + 1;
    let mut content = Zeroizing::new(vec![0; room]);
    let mut filled = 0;
    while let Some(space) = content.get_mut(filled..).filter(|space| !space.is_empty()) {
        match file.read(space) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let unchanged = filled + 1 == room && stamp(&before) == stamp(&file.metadata()?);
    content.truncate(filled);
    Ok(unchanged.then_some(content))
}

fn stamp(meta: &Metadata) -> (u64, i64, i64, i64, i64) {
    (
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    )
}

fn too_large(size: u64, limit: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        format!("the file has {size} bytes, more than the {limit} that are read"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn reads_whole_files_up_to_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mail");
        fs::write(&path, b"0123456789").unwrap();
        assert_eq!(read_file(&path, 10).unwrap().as_slice(), b"0123456789");
        assert_eq!(read_file(&path, 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        fs::write(&path, b"").unwrap();
        assert!(read_file(&path, 0).unwrap().is_empty());
        assert!(read_no_link(&path, 0).unwrap().is_empty());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("mail", &link).unwrap();
        assert!(read_file(&link, 0).unwrap().is_empty());
        assert_eq!(read_no_link(&link, 0).unwrap_err().raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn refuses_what_is_no_regular_file_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            read_file(dir.path(), 10).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        assert_eq!(read_file(&fifo, 10).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let socket = dir.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(read_file(&socket, 10).is_err());
        assert_eq!(
            read_file(Path::new("/dev/zero"), 10).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(
            read_file(&dir.path().join("none"), 10).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn never_returns_a_file_that_grew_while_it_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zone");
        fs::write(&path, vec![b'a'; 1000]).unwrap();
        let stop = AtomicBool::new(false);
        let results: Vec<_> = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..100 {
                        file.write_all(b"1234").unwrap();
                    }
                    file.set_len(1000).unwrap();
                }
            });
            let results = (0..500).map(|_| read_file(&path, 5000)).collect();
            stop.store(true, Ordering::Relaxed);
            results
        });
        for result in results {
            match result {
                Ok(content) => assert!((1000..=1400).contains(&content.len()) && content.len() % 4 == 0),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::ResourceBusy),
            }
        }
        assert!(read_file(&path, 5000).is_ok());
    }
}
