//! Files that are there whole or not at all.
//!
//! [`create`] makes a new one and never takes the place of another; [`rewrite`] changes a text and never loses what
//! somebody else wrote meanwhile, where the file system can exchange two names. Both write a hidden file beside it
//! first, which is given its owner and mode before anything is in it, and is synced before it gets its name. What a
//! crash leaves of those is removed by the next try.

use super::error::{Fault, SignerError};
use super::owner::Owner;
use crate::watch;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// How often a text that changes under our hands is read again.
const TRIES: u32 = 5;
/// A larger table is none.
const MAX_TABLE_OCTETS: u64 = 64 << 20;

/// A larger key is none.
pub(super) const MAX_KEY_OCTETS: u64 = 256 << 10;

/// One writer at a time: the hidden files have fixed names, so that none is left for ever.
static WRITING: Mutex<()> = Mutex::new(());

/// Makes the file `path` with this owner, mode and content. Fails with [`Fault::Exists`] if there is one.
pub(super) fn create(path: &Path, content: &[u8], owner: Owner, mode: u32) -> Result<(), SignerError> {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    if path.symlink_metadata().is_ok() {
        return Err(SignerError::io(path, "make the file", Errno::EXIST));
    }
    let new = Hidden::write(path, content, owner, mode)?;
    new.take_free_name(path)
        .map_err(|error| SignerError::io(path, "make the file", error))?;
    sync_directory(path)
}

/// Makes the directories that `path` needs. They stay our own: who reads a key needs no more than to get there.
pub(super) fn create_parents(path: &Path, mode: u32) -> Result<(), SignerError> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    if parent.is_dir() {
        return Ok(());
    }
    create_parents(parent, mode)?;
    match rustix::fs::mkdir(parent, Mode::from_raw_mode(mode)) {
        // Whatever the umask is, and whatever is there by now.
        Ok(()) => {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::open(parent, flags, Mode::empty())
                .and_then(|made| rustix::fs::fchmod(made, Mode::from_raw_mode(mode)))
                .map_err(|error| SignerError::io(parent, "set its mode", error))?;
        }
        Err(Errno::EXIST) => {}
        Err(error) => return Err(SignerError::io(parent, "make the directory", error)),
    }
    sync_directory(parent)
}

/// Reads a text.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SignerError> {
    watch::read_file(path, MAX_TABLE_OCTETS).map_err(|error| SignerError::io(path, "read it", error))
}

/// Gives the text of `path` to `change` and puts what comes back in its place, with the same owner and mode. If somebody
/// writes the file meanwhile, the new text is read and changed. Says whether it was written: not if it is the same.
pub(super) fn rewrite(
    path: &Path,
    mut change: impl FnMut(&[u8]) -> Result<Vec<u8>, SignerError>,
) -> Result<bool, SignerError> {
    let _one = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    // A link stays one.
    let path = &fs::canonicalize(path).map_err(|error| SignerError::io(path, "find it", error))?;
    for _ in 0..TRIES {
        let known = State::of(path)?;
        let old = read(path)?;
        let text = change(&old)?;
        if text == *old {
            return Ok(false);
        }
        let new = Hidden::write(path, &text, known.owner, known.mode)?;
        if is_still(path, &known, &old)? && new.take_name_of(path, &known, &old)? {
            sync_directory(path)?;
            return Ok(true);
        }
    }
    let what = format!("somebody else changed it {TRIES} times while it was to be written");
    Err(SignerError::new(Fault::Busy, what, "let the other program finish; it is tried again").at(path))
}

fn is_still(path: &Path, known: &State, text: &[u8]) -> Result<bool, SignerError> {
    Ok(State::of(path)? == *known && **read(path)? == *text)
}

/// Makes a file of our own for a key, if it is not there already: made before a crash, and what was to follow was not
/// done.
pub(super) fn create_again(path: &Path, key: &[u8], mode: u32) -> Result<(), SignerError> {
    let is_there = || watch::read_file(path, MAX_KEY_OCTETS).is_ok_and(|found| *found == key);
    match create(path, key, Owner::default(), mode) {
        Err(error) if error.fault == Fault::Exists && is_there() => Ok(()),
        other => other,
    }
}

/// Removes a file; one that is gone is none.
pub(super) fn remove(path: &Path) -> Result<(), SignerError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SignerError::io(path, "remove it", error)),
        Err(_) => Ok(()),
        Ok(()) => sync_directory(path),
    }
}

/// What tells one version of a file from another beside its text, and what is kept of it.
#[derive(PartialEq, Eq)]
struct State {
    inode: u64,
    owner: Owner,
    mode: u32,
}

impl State {
    fn of(path: &Path) -> Result<Self, SignerError> {
        let found = fs::metadata(path).map_err(|error| SignerError::io(path, "look at it", error))?;
        Ok(Self {
            inode: found.ino(),
            owner: Owner {
                user: Some(rustix::fs::Uid::from_raw(found.uid())),
                group: Some(rustix::fs::Gid::from_raw(found.gid())),
            },
            mode: found.mode() & 0o7777,
        })
    }
}

/// A file under its hidden name, removed if it gets no other.
struct Hidden {
    path: PathBuf,
    is_kept: bool,
}

impl Hidden {
    /// Key directories and tables are read by others: they skip what begins with a dot, and so do we.
    fn beside(path: &Path) -> PathBuf {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}.signpost-new"))
    }

    fn write(path: &Path, content: &[u8], owner: Owner, mode: u32) -> Result<Self, SignerError> {
        let hidden = Self {
            path: Self::beside(path),
            is_kept: false,
        };
        remove(&hidden.path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&hidden.path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| SignerError::io(path, "write a file beside it", error))?;
        let mut file = File::from(file);
        let found = file
            .metadata()
            .map_err(|error| SignerError::io(path, "look at the new file", error))?;
        let given = Owner {
            user: owner.user.filter(|user| user.as_raw() != found.uid()),
            group: owner.group.filter(|group| group.as_raw() != found.gid()),
        };
        // As long as it is our own: the mode of another's file would take CAP_FOWNER.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
            .map_err(|error| SignerError::io(path, "set its mode", error))?;
        if given != Owner::default() {
            rustix::fs::fchown(&file, given.user, given.group).map_err(|error| not_given(path, error))?;
        }
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .map_err(|error| SignerError::io(path, "write it", error))?;
        Ok(hidden)
    }

    /// Gives it the name `path` if nothing has it.
    fn take_free_name(self, path: &Path) -> Result<(), Errno> {
        match rustix::fs::renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE) {
            // Not every file system knows the flag; a second name is refused by all of them.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rustix::fs::link(&self.path, path),
            Err(error) => Err(error),
            Ok(()) => {
                self.keep();
                Ok(())
            }
        }
    }

    /// Takes the place of the version `known` with this `text`, and says whether that was it: another is put back.
    fn take_name_of(self, path: &Path, known: &State, text: &[u8]) -> Result<bool, SignerError> {
        let failed = |error: Errno| SignerError::io(path, "rename the new version to it", error);
        let exchange = || rustix::fs::renameat_with(CWD, &self.path, CWD, path, RenameFlags::EXCHANGE);
        match exchange() {
            // Not every file system knows the flag: what is written since the last look is lost there.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::rename(&self.path, path).map_err(failed)?;
                self.keep();
                Ok(true)
            }
            Err(error) => Err(failed(error)),
            Ok(()) => {
                // What cannot be read is not what was.
                let was_known = is_still(&self.path, known, text).unwrap_or(false);
                if !was_known {
                    exchange().map_err(failed)?;
                }
                Ok(was_known)
            }
        }
    }

    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn not_given(path: &Path, error: Errno) -> SignerError {
    let mut told = SignerError::io(path, "give it to its owner", error);
    if told.fault == Fault::Permission {
        "grant Signpost CAP_CHOWN (systemd/switch-signer.conf), or let it belong to the user that Signpost runs as: a \
         table by chown, keys by leaving `owner` of [[signer]] out"
            .clone_into(&mut told.cure);
    }
    told
}

/// A name is there for good only once its directory is synced.
fn sync_directory(path: &Path) -> Result<(), SignerError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| SignerError::io(directory, "sync the directory", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_between_the_last_look_and_the_renaming_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        let put = |by_hand: &dyn Fn()| {
            fs::write(&path, "old").unwrap();
            let known = State::of(&path).unwrap();
            let new = Hidden::write(&path, b"new", known.owner, known.mode).unwrap();
            by_hand();
            let was_known = new.take_name_of(&path, &known, b"old").unwrap();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
            (was_known, fs::read_to_string(&path).unwrap())
        };
        assert_eq!(put(&|| {}), (true, "new".to_owned()));
        assert_eq!(put(&|| fs::write(&path, "edit").unwrap()), (false, "edit".to_owned()));
        let rename = || {
            fs::write(dir.path().join("beside"), "edit").unwrap();
            fs::rename(dir.path().join("beside"), &path).unwrap();
        };
        assert_eq!(put(&rename), (false, "edit".to_owned()));
    }
}
