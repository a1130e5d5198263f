//! Why a key could not be made or a signer not be switched, told so that an operator can mend it.

use crate::finding::{Finding, Place};
use rustix::io::Errno;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

/// What went wrong. Nothing of a private key is ever in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SignerError {
    /// What kind of fault it is.
    pub fault: Fault,
    /// The file, and its line where one can be named.
    pub place: Option<Place>,
    /// What is the matter, one sentence without a final full stop.
    pub what: String,
    /// What to do about it, one sentence without a final full stop.
    pub cure: String,
}

/// The kinds of fault, each with a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// There is a file of that name already.
    Exists,
    /// A file that must be there is not.
    Missing,
    /// No room is left on the disk.
    Full,
    /// Signpost may not do it.
    Permission,
    /// Any other fault of the file system.
    Io,
    /// The key is not the one that is published, or none at all.
    Key,
    /// The user or group that keys are to belong to does not exist.
    Owner,
    /// A table is written in a way that cannot be changed safely.
    Table,
    /// A table says something else than is known of it: somebody changed it.
    Disagrees,
    /// A table was changed by somebody else each time it was to be written.
    Busy,
    /// The signer could not be told to read its files again.
    Reload,
    /// The hook failed.
    Hook,
    /// Another Signpost drives the same signers.
    Taken,
}

impl Fault {
    /// Every fault, for documentation.
    pub const ALL: [Self; 13] = [
        Self::Exists,
        Self::Missing,
        Self::Full,
        Self::Permission,
        Self::Io,
        Self::Key,
        Self::Owner,
        Self::Table,
        Self::Disagrees,
        Self::Busy,
        Self::Reload,
        Self::Hook,
        Self::Taken,
    ];

    /// The stable code, as in docs/errors.md.
    pub fn code(self) -> &'static str {
        match self {
            Self::Exists => "signer-file-exists",
            Self::Missing => "signer-file-missing",
            Self::Full => "signer-disk-full",
            Self::Permission => "signer-permission",
            Self::Io => "signer-io",
            Self::Key => "signer-key",
            Self::Owner => "signer-owner",
            Self::Table => "signer-table",
            Self::Disagrees => "signer-disagrees",
            Self::Busy => "signer-busy",
            Self::Reload => "signer-reload",
            Self::Hook => "signer-hook",
            Self::Taken => "signer-taken",
        }
    }
}

impl SignerError {
    pub(super) fn new(fault: Fault, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            fault,
            place: None,
            what: what.into(),
            cure: cure.into(),
        }
    }

    pub(super) fn at(mut self, file: &Path) -> Self {
        self.place = Some(Place::file(file));
        self
    }

    pub(super) fn at_line(mut self, file: &Path, line: u32) -> Self {
        self.place = Some(Place::line(file, line));
        self
    }

    /// A fault of the file system while `doing` something with `file`.
    pub(super) fn io(file: &Path, doing: &str, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        let (fault, cure) = match Errno::from_io_error(&error) {
            Some(Errno::NOSPC | Errno::DQUOT) => (Fault::Full, "make room on the disk; nothing was left half done"),
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => (
                Fault::Permission,
                "let the user that Signpost runs as write there (ReadWritePaths= of its unit as well), or leave out what \
                 it may not do",
            ),
            Some(Errno::NOENT | Errno::NOTDIR) => (Fault::Missing, "put it back, or correct the path in [[signer]]"),
            // A number of the system, if there is one, says more than the kind that is made of it.
            None if error.kind() == ErrorKind::ResourceBusy => {
                (Fault::Busy, "let the other program finish; it is tried again")
            }
            None if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::FileTooLarge | ErrorKind::IsADirectory
            ) =>
            {
                (Fault::Io, "is this the right file? Correct the path in [[signer]]")
            }
            Some(Errno::EXIST) => (Fault::Exists, "take another selector, or move the file away"),
            _ => (Fault::Io, "see to the file system; it is tried again"),
        };
        Self::new(fault, format!("cannot {doing}: {error}"), cure).at(file)
    }

    /// The same as a finding, for the log and the control socket.
    pub fn finding(&self) -> Finding {
        let finding = Finding::error(self.fault.code(), self.what.clone(), self.cure.clone());
        match &self.place {
            Some(place) => finding.at(place.clone()),
            None => finding,
        }
    }
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding().fmt(f)
    }
}
