//! What can be wrong with the state store, and what to do about it.

use super::FORMAT;
use crate::finding::{Finding, Place};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the state store cannot be used. Shown as what is the matter and its cure.
#[derive(Debug)]
pub enum StoreError {
    /// Another Signpost uses the state directory.
    Locked {
        /// The state directory.
        dir: PathBuf,
        /// The process that uses it, where known.
        holder: Option<u32>,
    },
    /// The directory or the file may not be written.
    Unwritable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk, a quota or a file size limit is full.
    Full {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer Signpost wrote the file.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
    },
    /// The file is no state store, or no longer one.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file was not closed properly and is only to be read.
    Unfinished {
        /// The file.
        path: PathBuf,
    },
    /// Anything else that the system says.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// The same as advice to the operator.
    pub fn finding(&self) -> Finding {
        let (code, what, cure) = self.advice();
        Finding::error(code, what, cure).at(Place::file(self.path()))
    }

    pub(super) fn from_io(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = path.to_owned();
        match source.kind() {
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::Unwritable { path, source },
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Self::Full { path, source },
            Kind::InvalidData | Kind::UnexpectedEof => Self::Corrupt {
                path,
                what: source.to_string(),
            },
            _ => Self::Io { path, source },
        }
    }

    pub(super) fn from_redb(path: &Path, error: redb::Error) -> Self {
        let owned = || path.to_owned();
        match error {
            redb::Error::Io(source) => Self::from_io(path, source),
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::Locked {
                dir: path.parent().unwrap_or(path).to_owned(),
                holder: None,
            },
            redb::Error::RepairAborted => Self::Unfinished { path: owned() },
            // Ours is the only other layout, so a table of another shape is damage.
            redb::Error::Corrupted(what) => Self::Corrupt { path: owned(), what },
            error @ (redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableDoesNotExist(_)) => Self::Corrupt {
                path: owned(),
                what: error.to_string(),
            },
            other => Self::Io {
                path: owned(),
                source: io::Error::other(other),
            },
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Locked { dir, .. } => dir,
            Self::Unwritable { path, .. }
            | Self::Full { path, .. }
            | Self::Newer { path, .. }
            | Self::Corrupt { path, .. }
            | Self::Unfinished { path }
            | Self::Io { path, .. } => path,
        }
    }

    /// Code, what is the matter, cure.
    fn advice(&self) -> (&'static str, String, String) {
        match self {
            Self::Locked { holder, .. } => (
                "state-in-use",
                match holder {
                    Some(process) => format!("process {process}, another Signpost, uses this state directory"),
                    None => "another Signpost uses this state directory".into(),
                },
                "stop it, or give this one a `state` directory of its own".into(),
            ),
            Self::Unwritable { source, .. } => (
                "state-unwritable",
                format!("the state cannot be written ({source})"),
                "let the user that runs Signpost own the `state` directory and what is in it".into(),
            ),
            Self::Full { source, .. } => (
                "state-full",
                format!("there is no room for the state ({source})"),
                "make room on that disk; what was published stays served and the rest follows by itself".into(),
            ),
            Self::Newer { format, .. } => (
                "state-newer",
                format!("a newer Signpost wrote this state (format {format}, this one knows {FORMAT})"),
                "run that newer version, or start on a backup of the `state` directory from before it".into(),
            ),
            Self::Corrupt { what, .. } => (
                "state-corrupt",
                format!("this is no state store or it is damaged ({what})"),
                "restore it from a backup, or move it away: serials then start from the zone files again, \
                 so raise those of zones with composed records"
                    .into(),
            ),
            Self::Unfinished { .. } => (
                "state-unfinished",
                "Signpost was killed and has not run since, so its state is not in order yet".into(),
                "start Signpost once: it repairs its state by itself".into(),
            ),
            Self::Io { source, .. } => (
                "state-io",
                format!("the state cannot be read or written ({source})"),
                "see what the system log says of that disk".into(),
            ),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding().fmt(f)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unwritable { source, .. } | Self::Full { source, .. } | Self::Io { source, .. } => Some(source),
            Self::Locked { .. } | Self::Newer { .. } | Self::Corrupt { .. } | Self::Unfinished { .. } => None,
        }
    }
}
