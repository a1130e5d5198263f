//! DKIM keys from a key directory, in every layout found in the wild.
//!
//! Stub of the interface.

use crate::finding::Finding;
use crate::name::{Name, NameError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA with this many bits in the modulus (RFC 6376, RFC 8301).
    Rsa {
        /// Bits of the modulus.
        bits: u32,
    },
    /// Ed25519 (RFC 8463).
    Ed25519,
}

/// The public half of one DKIM key, ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimKey {
    /// The signing domain (`d=`), lower case.
    pub domain: Name,
    /// The selector (`s=`), one label or more, lower case, as text.
    pub selector: String,
    /// The whole tag list to publish, such as `v=DKIM1; h=sha256; k=rsa; s=email; p=…`.
    pub record: String,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// The files it was taken from: the private key, the `.txt`.
    pub sources: Vec<PathBuf>,
}

impl DkimKey {
    /// `selector._domainkey.domain` (RFC 6376 §3.6.2.1).
    pub fn owner(&self) -> Result<Name, NameError> {
        self.domain.prefixed(&format!("{}._domainkey", self.selector))
    }
}

/// What is known of a key directory: every file's last good reading, and the keys they make.
#[derive(Debug, Default)]
pub struct KeyDirectory {}

impl KeyDirectory {
    /// An empty directory at `root`; paths handed to [`Self::update`] are below it or wanted by a KeyTable.
    pub fn new(_root: &Path) -> Self {
        Self {}
    }

    /// Takes the new content of one file (`None`: the file is gone).
    pub fn update(&mut self, _path: &Path, _content: Option<&[u8]>) {}

    /// Resolves what was updated since the last call: which signing domains have other keys now,
    /// and everything the operator should know about the files that were touched.
    pub fn resolve(&mut self) -> (BTreeSet<Name>, Vec<Finding>) {
        (BTreeSet::new(), vec![])
    }

    /// Files outside of the root that a KeyTable names: they must be read and watched too.
    pub fn wanted(&self) -> Vec<PathBuf> {
        vec![]
    }

    /// The keys of one signing domain, in the order of their selectors.
    pub fn keys_of(&self, _domain: &Name) -> Vec<&DkimKey> {
        vec![]
    }

    /// Every signing domain with at least one key.
    pub fn domains(&self) -> Vec<&Name> {
        vec![]
    }
}
