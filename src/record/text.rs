//! The text forms of RDATA.
//!
//! Stub of the interface; see [`from_text`] and [`Rdata`].

use super::RecordType;
use crate::name::Name;
use std::fmt;

/// One word of a master file entry, escapes still in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// The bytes between the quotes or blanks.
    pub text: &'a [u8],
    /// Was it written in quotes?
    pub quoted: bool,
}

/// Why text is no RDATA of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct RdataError {
    /// What is wrong and what is expected instead.
    pub what: String,
    /// Which token it is about, from 0; the number of tokens when one is missing.
    pub token: usize,
}

/// Reads the RDATA of a record of type `rtype` from its words; relative names end in `origin`.
/// RFC 3597 §5 `\# length hex` is read for every type.
pub fn from_text(_rtype: RecordType, _tokens: &[Token<'_>], _origin: &Name) -> Result<Box<[u8]>, RdataError> {
    Err(RdataError {
        what: "not built yet".into(),
        token: 0,
    })
}

/// Does `rdata` have the form that its type demands? Unknown types take anything.
pub fn check_wire(_rtype: RecordType, _rdata: &[u8]) -> Result<(), RdataError> {
    Ok(())
}

/// RDATA to be displayed in master file form.
pub struct Rdata<'a>(pub RecordType, pub &'a [u8]);

impl fmt::Display for Rdata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\\# {}", self.1.len())
    }
}
