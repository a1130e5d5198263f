//! Master files on disk, opened with care: regular files only, and only up to a size.

use super::Open;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Reads files from disk. A FIFO, device, socket or directory is refused before a byte is read, so
/// that a zone file that is none never blocks the reader.
#[derive(Debug, Clone, Copy)]
pub struct DiskFiles {
    /// The most octets that a file may have.
    pub limit: u64,
}

impl Default for DiskFiles {
    /// Takes files of up to 1 GiB.
    fn default() -> Self {
        Self { limit: 1 << 30 }
    }
}

impl Open for DiskFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // Without O_NONBLOCK opening a FIFO waits for a writer.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            let kind = if about.is_dir() {
                "a directory"
            } else {
                "no regular file"
            };
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {kind}")));
        }
        let too_large = |len: u64| {
            let what = format!("it has {len} octets or more, and {} is the most", self.limit);
            io::Error::new(io::ErrorKind::FileTooLarge, what)
        };
        if about.len() > self.limit {
            return Err(too_large(about.len()));
        }
        let mut content = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default() + 1);
        let read = file.take(self.limit.saturating_add(1)).read_to_end(&mut content)?;
        // It may have grown since it was measured.
        if read as u64 > self.limit {
            return Err(too_large(read as u64));
        }
        Ok(content)
    }
}
