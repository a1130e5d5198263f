//! DKIM keys from a key directory, in every layout found in the wild.
//!
//! Bytes and paths come in, public keys and findings come out; there is no file system and no clock
//! here. [`KeyDirectory`] holds the last good reading of every file, so that a file that turns bad
//! or is being written keeps its key, and its work follows the change, not the total. Private keys
//! are reduced to their public half while they are read, and every copy made of them is wiped.
//!
//! What is published follows the key itself: `k=` and `p=` are its own, `t=`, `s=`, `n=`, `h=` and
//! unknown tags come from the record beside it, mended where they would break verifiers.
//!
//! | file | what it decides |
//! |---|---|
//! | `layout` | what a path says: role, group, domain and selector |
//! | `material`, `public` | PEM and DER to the public half (RFC 7468, 8017, 5958, 8410) |
//! | `text`, [`tags`], `mend` | the record beside a key (RFC 6376 §3.6.1, RFC 8301, RFC 8463) |
//! | `table` | OpenDKIM's KeyTable and SigningTable |
//! | `reading` | the content of one file, by what its name promises |
//! | `links` | which table rows name which file for whom |
//! | `slot` | one selector of one domain: who wins, what is published |
//! | `claims` | which groups and rows speak for a selector |
//! | `directory` | all of it, incrementally |
//!
//! Refused: RSA under 1024 bits (RFC 8301 §3.2), every algorithm but RSA and Ed25519, encrypted keys.

mod claims;
mod directory;
mod fault;
mod layout;
mod links;
mod material;
mod mend;
mod public;
mod reading;
mod slot;
mod table;
pub mod tags;
mod text;

#[cfg(test)]
mod tests;

use crate::finding::{Finding, Place};
use crate::name::{Name, NameError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use directory::KeyDirectory;
pub(crate) use layout::{domain_name, selector};
pub(crate) use links::record_beside;
pub(crate) use table::{KeyAt, KeyRow, SigningRow, Table, read_key_table, read_signing_table};

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSA with this many bits in the modulus (RFC 6376, RFC 8301).
    Rsa {
        /// Bits of the modulus.
        bits: u32,
    },
    /// Ed25519 (RFC 8463).
    Ed25519,
}

impl Algorithm {
    /// Of the same kind: then one takes the other's place, and a message needs but one of both signatures.
    pub fn is_kind_of(self, other: Self) -> bool {
        matches!(self, Self::Ed25519) == matches!(other, Self::Ed25519)
    }
}

/// The public half of one DKIM key, ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimKey {
    /// The signing domain (`d=`), lower case.
    pub domain: Name,
    /// The selector (`s=`), one label or more, lower case, as text.
    pub selector: String,
    /// The whole tag list to publish, such as `v=DKIM1; h=sha256; k=rsa; s=email; p=…`: `v=` first,
    /// `p=` last.
    pub record: Arc<str>,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// The files it was taken from: the private key (or the table that holds it), then the `.txt`.
    pub sources: Vec<PathBuf>,
}

impl DkimKey {
    /// `selector._domainkey.domain` (RFC 6376 §3.6.2.1).
    pub fn owner(&self) -> Result<Name, NameError> {
        self.domain.prefixed(&format!("{}._domainkey", self.selector))
    }

    /// The value of `p=`: base64 of SubjectPublicKeyInfo for RSA, of the 32 octets for Ed25519.
    pub fn public_key_tag(&self) -> &str {
        // `p=` is last, and no value has a semicolon in it.
        self.record.rsplit_once("; p=").map_or("", |(_, p)| p)
    }
}

/// Is a private key looked for in a file of this name?
pub(crate) fn is_key_name(file: &Path) -> bool {
    use layout::Kind::{Either, Plain, Private};
    matches!(layout::classify(file).0, Private | Either | Plain)
}

/// What `p=` says for the private key in `content`, read as its name promises. The finding says why there is none.
pub(crate) fn public_half(file: &Path, content: &[u8]) -> Result<String, Finding> {
    match meant(file, content)? {
        Some((reading::Reading::Key(key, public::Half::Private), _)) => Ok(key.base64()),
        _ => Err(fault::Fault::Garbage("there is no private key in it").advise(file, Place::file(file))),
    }
}

/// Reads a file that is known to be there for a key.
fn meant(file: &Path, content: &[u8]) -> Result<Option<(reading::Reading, Vec<Finding>)>, Finding> {
    let (kind, stem) = layout::classify(file);
    let expected = reading::Expectation {
        kind,
        stem: &stem,
        is_meant: true,
    };
    reading::read(content, expected).map_err(|fault| fault.advise(file, Place::file(file)))
}

/// What the content of a key file, or of the record beside one, has for `p=` (`None`: nothing, a revoked
/// record or a foreign file), and what there is to say of it.
pub(crate) fn public_key_in(path: &Path, content: &[u8]) -> Result<(Option<String>, Vec<Finding>), Finding> {
    let Some((reading, findings)) = meant(path, content)? else {
        return Ok((None, vec![]));
    };
    let key = match reading {
        reading::Reading::Key(key, _) => Some(key),
        reading::Reading::Text(text) => text.key,
    };
    let at_file = |finding: Finding| finding.at(Place::file(path));
    Ok((key.map(|key| key.base64()), findings.into_iter().map(at_file).collect()))
}
