//! Reading what lies in the key directory: private keys, their records, KeyTables.
//!
//! What is read is wiped from memory when it is dropped. A file that cannot be read is a finding, for
//! what was last read of it stays in force; one that vanished meanwhile is gone.

use crate::finding::{Finding, Place};
use crate::watch::{self, Change, Kind};
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

/// A key file of more than this is no key file; a KeyTable may be larger.
const MAX_KEY_FILE: u64 = 16 << 20;

/// What became of a file in the key directory.
pub(super) enum KeyNews {
    Content(Zeroizing<Vec<u8>>),
    Gone,
    Unreadable(Finding),
}

/// Reads the file that a change is about.
pub(super) fn read_key_file(change: &Change) -> KeyNews {
    let content = match change.kind {
        Kind::Gone => return KeyNews::Gone,
        Kind::Unreadable(error) => Err(io::Error::from(error)),
        Kind::Present { .. } => watch::read_file(&change.path, MAX_KEY_FILE),
    };
    match content {
        Ok(content) => KeyNews::Content(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => KeyNews::Gone,
        Err(error) => KeyNews::Unreadable(unreadable(&change.path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    let cure = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "let the user that Signpost runs as read it, for example by the file's group; a .txt beside it is enough"
        }
        io::ErrorKind::FileTooLarge => "no key file is that large; move it out of the key directory",
        _ => "mend or remove it; what was last read of it stays in force",
    };
    Finding::warning("key-unreadable", format!("cannot be read: {error}"), cure).at(Place::file(path))
}
