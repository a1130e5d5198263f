//! The end of private keys: removed, or held until they are published so that old signatures prove nothing any more.

use super::error::{Fault, SignerError};
use super::{bare, file};
use crate::keys::{public_half, record_beside};
use crate::name::Name;
use crate::watch;
use rustix::io::Errno;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Of the folders that keys are held in.
const PRIVATE_DIRECTORY: u32 = 0o700;
/// Of a key that is held.
const PRIVATE_FILE: u32 = 0o600;
/// Of a key that is published.
const PUBLIC_FILE: u32 = 0o644;
/// Of the folder of those.
const PUBLIC_DIRECTORY: u32 = 0o755;
/// No selector has had so many keys.
const MAX_OF_A_NAME: u32 = 100;

/// Where the private half of a retired key is held below the state directory.
pub fn held(state: &Path, domain: &Name, selector: &str) -> PathBuf {
    let folder = bare(domain).replace('/', "_");
    let file = selector.replace('/', "_");
    state.join("retired").join(folder).join(format!("{file}.private"))
}

/// The keys whose private halves are held below the state directory: signing domains and selectors.
pub fn all_held(state: &Path) -> Vec<(Name, String)> {
    let inside = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let mut held = vec![];
    for folder in inside(&state.join("retired")) {
        let Some(domain) = folder.file_name().to_str().and_then(|name| Name::from_text(name).ok()) else {
            continue;
        };
        for file in inside(&folder.path()) {
            let file = file.file_name();
            let selector = file.to_str().and_then(|file| file.strip_suffix(".private"));
            held.extend(selector.map(|selector| (domain.clone(), selector.to_owned())));
        }
    }
    held
}

/// Removes a private key and the record beside it. With `hold`, a path of [`held`], the key is there before it is gone
/// here, if it is the one whose record has `public` for `p=`: whoever may write the key directory decides over what is
/// in the file, and what is held is published one day. Doing it again after a crash finishes it.
pub fn discard(key_file: &Path, public: &str, hold: Option<&Path>) -> Result<(), SignerError> {
    if let Some(hold) = hold
        && let Some(key) = key_of(key_file, public)?
    {
        file::create_parents(hold, PRIVATE_DIRECTORY)?;
        file::create_again(hold, &key, PRIVATE_FILE)?;
    }
    // The key last: a record alone would be taken for a key that somebody else signs with.
    let record = record_beside(key_file);
    if record != key_file {
        file::remove(&record)?;
    }
    file::remove(key_file)
}

/// The content of the file, if it is the private half of this key.
fn key_of(file: &Path, public: &str) -> Result<Option<Zeroizing<Vec<u8>>>, SignerError> {
    let error = match watch::read_no_link(file, file::MAX_KEY_OCTETS) {
        Ok(key) => return Ok(Some(key).filter(|key| public_half(file, key).is_ok_and(|found| found == public))),
        Err(error) => error,
    };
    match error.kind() {
        // There is none, or what no key is in.
        ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::FileTooLarge | ErrorKind::IsADirectory => Ok(None),
        _ if Errno::from_io_error(&error) == Some(Errno::LOOP) => Ok(None),
        _ => Err(SignerError::io(file, "read the key", error)),
    }
}

/// Publishes the private half of a forgotten key as `SELECTOR._domainkey.DOMAIN.pem` in `folder`, and holds it no longer.
/// A selector that came again has its second key in `SELECTOR._domainkey.DOMAIN-2.pem`. Says where it is; `None` if none
/// is held, as after a crash or where none was to be. Doing it again finishes it.
pub fn reveal(held: &Path, folder: &Path, domain: &Name, selector: &str) -> Result<Option<PathBuf>, SignerError> {
    let key = match watch::read_file(held, file::MAX_KEY_OCTETS) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| SignerError::io(held, "read the key", error))?,
    };
    let name = format!("{selector}._domainkey.{}", bare(domain));
    if name.contains('/') {
        let what = format!("`{}` cannot be the name of a file", name.escape_debug());
        return Err(SignerError::new(Fault::Key, what, "publish the key by hand"));
    }
    let mut public = folder.join(format!("{name}.pem"));
    file::create_parents(&public, PUBLIC_DIRECTORY)?;
    for number in 2..=MAX_OF_A_NAME {
        match file::create_again(&public, &key, PUBLIC_FILE) {
            Err(error) if error.fault == Fault::Exists => public = folder.join(format!("{name}-{number}.pem")),
            made => {
                made?;
                file::remove(held)?;
                return Ok(Some(public));
            }
        }
    }
    Err(SignerError::io(&public, "publish the key", Errno::EXIST))
}
