//! The text forms of RDATA.
//!
//! One table ([`schema`]) tells the fields of every type that has a text form; reading, writing,
//! checking and finding names walk it. Implements RFC 1035 §5 and each type's own RFC, RFC 3597 §5
//! (`\# length hex` for every type, checked for the known ones) and RFC 3597 §4 (which names may be
//! compressed). What is written is what BIND, NSD and Knot read: absolute names, quoted strings,
//! numbers for mnemonics. Classes other than IN are refused by leaving them out.

mod bitmap;
mod encoding;
mod location;
mod number;
mod prefixes;
mod read;
mod schema;
mod show;
mod svcb;
#[cfg(test)]
mod tests;
mod wire;
mod words;

use super::RecordType;
use crate::name::Name;
use schema::{Field, schema};
use std::fmt;
use std::ops::Range;
use words::Words;

pub(crate) use number::{parse_decimal, parse_period};
pub(crate) use words::{Printable, write_harmless};

/// The most octets that RDATA can have: its length has two octets (RFC 1035 §3.2.1).
const MAX_RDATA_LEN: usize = 65_535;

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
/// RFC 3597 §5 `\# length hex` is read for every type. A string of TXT or SPF that is longer than
/// 255 octets is cut into several.
pub fn from_text(rtype: RecordType, tokens: &[Token<'_>], origin: &Name) -> Result<Box<[u8]>, RdataError> {
    let mut rdata = Vec::new();
    read_into(rtype, tokens, origin, &mut rdata)?;
    Ok(rdata.into_boxed_slice())
}

/// Does [`from_text`] on a buffer that is cleared first, for callers who read many records.
pub(crate) fn read_into(
    rtype: RecordType,
    tokens: &[Token<'_>],
    origin: &Name,
    rdata: &mut Vec<u8>,
) -> Result<(), RdataError> {
    rdata.clear();
    if let [
        Token {
            text: b"\\#",
            quoted: false,
        },
        rest @ ..,
    ] = tokens
    {
        return read_opaque(rtype, rest, rdata);
    }
    let Some(schema) = schema(rtype) else {
        return Err(RdataError {
            what: format!("{rtype} has no text form but `\\# length hexadecimal` (RFC 3597)"),
            token: 0,
        });
    };
    let mut words = Words::new(tokens, origin);
    if matches!(rtype, RecordType::TXT | RecordType::SPF) {
        read::text_strings(&mut words, rdata)?;
    } else {
        for field in schema.fields {
            read::field(*field, &mut words, 0, rdata)?;
        }
        if words.take().is_some() {
            return Err(words.fault(format!("one word too many for {rtype}")));
        }
        // Lengths that depend on a field before, and the like.
        check_wire(rtype, rdata).map_err(|error| RdataError {
            what: error.what,
            token: tokens.len().saturating_sub(1),
        })?;
    }
    check_len(rdata.len(), tokens.len())
}

/// Reads what stands behind `\#`: the number of octets and the octets in hexadecimal.
fn read_opaque(rtype: RecordType, tokens: &[Token<'_>], rdata: &mut Vec<u8>) -> Result<(), RdataError> {
    let root = Name::root();
    let mut words = Words::new(tokens, &root);
    // The tokens are counted from `\#`, which has been taken.
    let shift = |error: RdataError| RdataError {
        token: error.token + 1,
        ..error
    };
    let len: u16 = words.parse(Field::U16, parse_decimal).map_err(shift)?;
    let rest = words.rest(Field::Hex).map_err(shift)?;
    if encoding::read_hex(rest, rdata).is_none() {
        return Err(shift(words.fault(format!("expected {}", Field::Hex.expects()))));
    }
    if rdata.len() != usize::from(len) {
        return Err(shift(
            words.fault(format!("{len} octets are announced and {} are there", rdata.len())),
        ));
    }
    check_wire(rtype, rdata)
}

fn check_len(len: usize, tokens: usize) -> Result<(), RdataError> {
    if len > MAX_RDATA_LEN {
        return Err(RdataError {
            what: format!("the record holds {len} octets, and {MAX_RDATA_LEN} is the most"),
            token: tokens.saturating_sub(1),
        });
    }
    Ok(())
}

/// Does `rdata` have the form that its type demands? Unknown types take anything that fits a
/// message. The error names the first field that does not fit.
pub fn check_wire(rtype: RecordType, rdata: &[u8]) -> Result<(), RdataError> {
    check_len(rdata.len(), 0)?;
    let Some(schema) = schema(rtype) else {
        return Ok(());
    };
    let fault = |what| Err(RdataError { what, token: 0 });
    let mut walk = wire::Walk::new(schema, rdata);
    for piece in walk.by_ref() {
        if let Err(misfit) = piece {
            let expected = misfit.field.expects();
            return fault(format!("expected {expected} at octet {} of {rtype}", misfit.at));
        }
    }
    match rdata.len() - walk.position() {
        0 => Ok(()),
        1 => fault(format!("one octet too many for {rtype}")),
        extra => fault(format!("{extra} octets too many for {rtype}")),
    }
}

/// Where domain names stand in well-formed RDATA, in order, and whether a message may compress them:
/// it may in the types of RFC 1035 and nowhere else (RFC 3597 §4).
pub fn names_in(rtype: RecordType, rdata: &[u8]) -> impl Iterator<Item = (Range<usize>, bool)> {
    let compressible = schema::is_compressible(rtype);
    schema(rtype)
        .map(|schema| wire::Walk::new(schema, rdata))
        .into_iter()
        .flatten()
        .filter_map(move |piece| match piece {
            Ok((Field::Name, range)) => Some((range, compressible)),
            _ => None,
        })
}

/// RDATA of this type in text as advice to the operator; `None` for a type without a text form.
pub fn example(rtype: RecordType) -> Option<&'static str> {
    schema(rtype).map(|schema| schema.example)
}

/// Do BIND 9.18, NSD 4.6 and Knot 3.2 all read this type by its mnemonic?
pub(crate) fn is_known_everywhere(rtype: RecordType) -> bool {
    schema::is_known_everywhere(rtype)
}

/// RDATA to be displayed in master file form: by its fields if it fits its type, as `\# length hex`
/// if it does not or if the type is unknown (RFC 3597 §5).
pub struct Rdata<'a>(pub RecordType, pub &'a [u8]);

impl fmt::Display for Rdata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(rtype, rdata) = *self;
        match schema(rtype) {
            Some(schema) if check_wire(rtype, rdata).is_ok() && !rdata.is_empty() => {
                let mut blank = "";
                for (field, range) in wire::Walk::new(schema, rdata).flatten() {
                    let octets = rdata.get(range).unwrap_or_default();
                    if !show::is_silent(field, octets) {
                        f.write_str(blank)?;
                        show::field(field, octets, f)?;
                        blank = " ";
                    }
                }
                Ok(())
            }
            _ => write!(f, "{}", Opaque(rdata)),
        }
    }
}

/// RDATA to be displayed as `\# length hex`, which every server reads (RFC 3597 §5).
pub struct Opaque<'a>(pub &'a [u8]);

impl fmt::Display for Opaque<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\\# {}", self.0.len())?;
        match self.0 {
            [] => Ok(()),
            octets => write!(f, " {}", encoding::Hex(octets)),
        }
    }
}
