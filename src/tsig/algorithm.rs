//! The algorithms of TSIG (RFC 8945 §6) and the hash under way.

use crate::name::Name;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use std::fmt;

/// A keyed hash by which messages are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC-MD5: broken, for old peers only.
    Md5,
    /// HMAC-SHA1: not recommended, for old peers only.
    Sha1,
    /// HMAC-SHA224.
    Sha224,
    /// HMAC-SHA256: the one to use.
    Sha256,
    /// HMAC-SHA384.
    Sha384,
    /// HMAC-SHA512.
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Md5,
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
    ];

    /// As configurations write it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Md5 => "hmac-md5",
            Self::Sha1 => "hmac-sha1",
            Self::Sha224 => "hmac-sha224",
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        }
    }

    /// Reads what configurations write, in any case; with the final dot and the long name of MD5 too.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('.').to_ascii_lowercase();
        let text = text.strip_suffix(".sig-alg.reg.int").unwrap_or(&text);
        Self::ALL.into_iter().find(|algorithm| algorithm.text() == text)
    }

    /// Its name in wire form (RFC 8945 §6), lower case.
    pub fn wire(self) -> &'static [u8] {
        match self {
            Self::Md5 => b"\x08hmac-md5\x07sig-alg\x03reg\x03int\0",
            Self::Sha1 => b"\x09hmac-sha1\0",
            Self::Sha224 => b"\x0bhmac-sha224\0",
            Self::Sha256 => b"\x0bhmac-sha256\0",
            Self::Sha384 => b"\x0bhmac-sha384\0",
            Self::Sha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// The algorithm of a name on the wire.
    pub fn from_wire(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.wire().eq_ignore_ascii_case(name))
    }

    /// Octets of a signature.
    pub fn signature_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Is it too weak for new keys (RFC 8945 §6: MD5 must not be used, SHA-1 is not recommended)?
    pub fn is_weak(self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What a name on the wire says where no known algorithm does.
pub(super) fn described(name: &[u8]) -> String {
    Name::from_wire(name).map_or_else(|_| "an unreadable name".to_owned(), |name| name.to_string())
}

/// A signature being computed.
pub(super) enum Hash {
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha224(Hmac<Sha224>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

/// The same for each algorithm.
macro_rules! each {
    ($hash:expr, $mac:ident => $do:expr) => {
        match $hash {
            Hash::Md5($mac) => $do,
            Hash::Sha1($mac) => $do,
            Hash::Sha224($mac) => $do,
            Hash::Sha256($mac) => $do,
            Hash::Sha384($mac) => $do,
            Hash::Sha512($mac) => $do,
        }
    };
}

impl Hash {
    /// Begins; `None` never happens, HMAC takes a secret of any length.
    pub(super) fn new(algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::Md5 => Self::Md5(Hmac::new_from_slice(secret).ok()?),
            Algorithm::Sha1 => Self::Sha1(Hmac::new_from_slice(secret).ok()?),
            Algorithm::Sha224 => Self::Sha224(Hmac::new_from_slice(secret).ok()?),
            Algorithm::Sha256 => Self::Sha256(Hmac::new_from_slice(secret).ok()?),
            Algorithm::Sha384 => Self::Sha384(Hmac::new_from_slice(secret).ok()?),
            Algorithm::Sha512 => Self::Sha512(Hmac::new_from_slice(secret).ok()?),
        })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        each!(self, mac => mac.update(bytes));
    }

    pub(super) fn finish(self) -> Vec<u8> {
        each!(self, mac => mac.finalize().into_bytes().to_vec())
    }

    /// Compares in constant time.
    pub(super) fn is(self, signature: &[u8]) -> bool {
        each!(self, mac => mac.verify_slice(signature).is_ok())
    }
}
