//! Putting drafts in force: a backup first, then the new file beside the old one and renamed into its place, owner
//! and mode kept. A crash leaves the old file or the new one.

use super::draft::Draft;
use crate::doctor::machine::Machine;
use crate::doctor::signer::BACKUP;
use crate::mail::date;
use rustix::fs::{Gid, Uid};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Modes of what is made new: nothing in it is secret.
const NEW_FILE: u32 = 0o644;

/// Why nothing, or not all, was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else wrote it meanwhile.
    #[error("{} changed while it was looked at; run the command again", .0.display())]
    Changed(PathBuf),
    /// It is in its place, and may be the old one again after a power failure.
    #[error("{} is written, but whether it is on disk is not known: {error}", path.display())]
    Unsynced {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file system refuses.
    #[error("cannot write {}: {error}; nothing of it was changed", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A file that was written, and the backup of what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The machine's name of the file.
    pub path: PathBuf,
    /// `None` where there was no file.
    pub backup: Option<PathBuf>,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrote {}", self.path.display())?;
        match &self.backup {
            Some(backup) => write!(f, ", was {}", backup.display()),
            None => Ok(()),
        }
    }
}

/// Writes one draft.
pub(super) fn write(machine: &Machine, draft: &Draft, now: SystemTime) -> Result<Written, WriteError> {
    let refused = |error| WriteError::Refused {
        path: draft.path.clone(),
        error,
    };
    // A link stays a link; what it leads to changes.
    let own = machine.real(&draft.path).map_err(refused)?;
    let path = machine.here(&own);
    let found = match fs::read(&path) {
        Ok(content) => Some(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refused(error)),
    };
    if found != draft.old {
        return Err(WriteError::Changed(draft.path.clone()));
    }
    let backup = match &found {
        Some(content) => Some(back_up(&path, content, now).map_err(refused)?),
        None => None,
    };
    put(&path, &draft.content()).map_err(refused)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| WriteError::Unsynced {
            path: draft.path.clone(),
            error,
        })?;
    Ok(Written {
        path: draft.path.clone(),
        backup: backup.map(|backup| machine.own(&backup)),
    })
}

/// `FILE.before-signpost-DATE`, a second one of the same second with a number.
fn back_up(path: &Path, content: &[u8], now: SystemTime) -> io::Result<PathBuf> {
    let stamp = stamp(now);
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{BACKUP}{stamp}"));
    let first = PathBuf::from(&name);
    let more = (2..100).map(|number| {
        let mut name = name.clone();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    });
    for backup in std::iter::once(first).chain(more) {
        match create(&backup, Some(&fs::metadata(path)?), content) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(backup),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.signpost-{}", std::process::id()));
    let like = match fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let renamed = create(&beside, like.as_ref(), content).and_then(|()| fs::rename(&beside, path));
    if renamed.is_err() {
        // What failed is told; the rest of it is litter.
        let _ = fs::remove_file(&beside);
    }
    renamed
}

/// A new file with owner and mode of another one, on disk when this returns.
fn create(path: &Path, like: Option<&fs::Metadata>, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    let mode = match like {
        Some(like) => {
            rustix::fs::fchown(&file, Some(Uid::from_raw(like.uid())), Some(Gid::from_raw(like.gid())))?;
            like.mode() & 0o7777
        }
        None => NEW_FILE,
    };
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// `20261124-183804`, UTC.
fn stamp(now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates() {
        let at = |seconds| stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101-000000");
        assert_eq!(at(951_782_399), "20000228-235959");
        assert_eq!(at(951_782_400), "20000229-000000");
        assert_eq!(at(1_795_545_484), "20261124-183804");
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("conf");
        fs::write(&file, "a\n").unwrap();
        let machine = Machine::at(root.path());
        let mut draft = Draft::of(&machine, Path::new("/conf")).unwrap();
        draft.add("b");
        fs::write(&file, "c\n").unwrap();
        let error = write(&machine, &draft, SystemTime::now()).unwrap_err();
        assert!(matches!(error, WriteError::Changed(_)));
        assert_eq!(fs::read(&file).unwrap(), b"c\n");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn backups_of_one_second_do_not_replace_each_other() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("conf");
        fs::write(&file, "a\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let machine = Machine::at(root.path());
        let mut backups = vec![];
        for content in ["a\n", "a\nx\n"] {
            let mut draft = Draft::of(&machine, Path::new("/conf")).unwrap();
            draft.add("x");
            let written = write(&machine, &draft, SystemTime::UNIX_EPOCH).unwrap();
            let backup = machine.here(&written.backup.unwrap());
            assert_eq!(fs::read_to_string(&backup).unwrap(), content);
            assert_eq!(fs::metadata(&backup).unwrap().mode() & 0o7777, 0o640);
            backups.push(backup);
        }
        assert_ne!(backups[0], backups[1]);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
    }
}
