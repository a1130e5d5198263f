//! Why the content of a file is no key that can be published, and what to do about it.
//!
//! Faults never carry a byte of the file: it may be a private key.

use crate::finding::{Finding, Place};
use std::path::Path;

/// Fewer bits than this must not be used (RFC 8301 §3.2).
pub(super) const MIN_RSA_BITS: u32 = 1024;
/// More bits than this no verifier is known to take; RFC 8301 §3.2 asks for 4096 only.
pub(super) const MAX_RSA_BITS: u32 = 16_384;

/// Why content is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Not an error: the rest is still to come.
    #[error("is empty or ends in the middle; its last good content stays until the rest is there")]
    Unfinished,
    #[error("is encrypted with a passphrase")]
    Encrypted,
    #[error("is a certificate or a certificate request, not a key")]
    Certificate,
    #[error("is a private key in OpenSSH's own format, which mail software does not read")]
    OpenSshPrivate,
    #[error("is a public key in OpenSSH's own format")]
    OpenSshPublic,
    #[error("is a key of algorithm {0}, which DKIM does not know; it knows RSA and Ed25519 (RFC 6376, RFC 8463)")]
    Algorithm(String),
    #[error("is an RSA key of {0} bits; verifiers must not accept fewer than 1024 (RFC 8301 §3.2)")]
    TooShort(u32),
    #[error("is an RSA key of {0} bits; no verifier takes more than 16384")]
    TooLong(u32),
    #[error("is a damaged key: {0}")]
    Damaged(&'static str),
    #[error("holds no key: {0}")]
    Garbage(&'static str),
}

impl Fault {
    /// The advice to show for `file`, at `place`.
    pub(super) fn advise(&self, file: &Path, place: Place) -> Finding {
        if *self == Self::Unfinished {
            return Finding::note("key-unfinished", self.to_string()).at(place);
        }
        Finding::error(self.code(), self.to_string(), self.cure(file)).at(place)
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unfinished => "key-unfinished",
            Self::Encrypted => "key-encrypted",
            Self::Certificate => "key-certificate",
            Self::OpenSshPrivate | Self::OpenSshPublic => "key-openssh",
            Self::Algorithm(_) => "key-algorithm",
            Self::TooShort(_) => "dkim-key-too-short",
            Self::TooLong(_) => "dkim-key-too-long",
            Self::Damaged(_) => "key-damaged",
            Self::Garbage(_) => "key-garbage",
        }
    }

    fn cure(&self, file: &Path) -> String {
        let file = file.display();
        match self {
            Self::Unfinished => String::new(),
            Self::Encrypted => format!(
                "remove the passphrase: `openssl pkey -in '{file}' -out '{file}.new' && mv '{file}.new' '{file}'`"
            ),
            Self::Certificate => format!(
                "put the private key here, or publish the public half: \
                 `openssl x509 -in '{file}' -noout -pubkey` into a file that ends in .pub"
            ),
            Self::OpenSshPrivate => format!(
                "an RSA key is converted in place by `ssh-keygen -p -N '' -m PEM -f '{file}'`; \
                 for any other make a new key with opendkim-genkey"
            ),
            Self::OpenSshPublic => {
                format!("an RSA key is converted by `ssh-keygen -e -m PKCS8 -f '{file}'`; keep its output as the .pub file")
            }
            Self::Algorithm(_) | Self::TooShort(_) | Self::TooLong(_) => {
                "make a new key under a new selector: `opendkim-genkey -b 2048 -h sha256 -d DOMAIN -s SELECTOR`".to_owned()
            }
            Self::Damaged(_) => format!("compare with a backup; `openssl pkey -in '{file}' -noout -check` must say that the key is valid"),
            Self::Garbage(_) => {
                "put the key in PEM form here (`-----BEGIN PRIVATE KEY-----`), or move the file out of the key directory".to_owned()
            }
        }
    }
}
