//! One Signpost at a time drives the signers of a key directory.

use super::error::{Fault, SignerError};
use std::fs::{File, TryLockError};
use std::path::Path;

/// Takes the key directory for this process, as long as what is returned lives; `None` where directories cannot be
/// locked, or there is none yet. Who only reads keys needs no lock, so no file of its own is left for it.
pub fn lock(keys: &Path) -> Result<Option<File>, SignerError> {
    let Ok(directory) = File::open(keys) else {
        return Ok(None);
    };
    match directory.try_lock() {
        Ok(()) => Ok(Some(directory)),
        Err(TryLockError::WouldBlock) => Err(SignerError::new(
            Fault::Taken,
            "another Signpost drives the signers of this key directory already",
            "stop one of the two, or leave [[signer]] out of the configuration of one: two would switch a signer to and fro",
        )
        .at(keys)),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_directory_is_driven_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(first.is_some());
        assert_eq!(lock(dir.path()).unwrap_err().fault, Fault::Taken);
        drop(first);
        assert!(lock(dir.path()).unwrap().is_some());
        assert!(lock(&dir.path().join("none")).unwrap().is_none());
    }
}
