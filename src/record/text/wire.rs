//! RDATA in wire form, taken apart by its schema: where each field stands, and whether it fits.

use super::schema::{Field, Schema};
use super::{bitmap, location, prefixes, svcb};
use crate::name;
use std::ops::Range;

/// The fields of RDATA one after the other, each with its place. Ends after the first that does not
/// fit; octets behind the last field are for the caller to notice.
pub(super) struct Walk<'a> {
    fields: &'static [Field],
    rdata: &'a [u8],
    at: usize,
}

/// A field that does not fit, and where it starts.
pub(super) struct Misfit {
    pub(super) field: Field,
    pub(super) at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(schema: &Schema, rdata: &'a [u8]) -> Self {
        Self {
            fields: schema.fields,
            rdata,
            at: 0,
        }
    }

    /// Where the next field starts: the length of the RDATA once every field fitted.
    pub(super) fn position(&self) -> usize {
        self.at
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Field, Range<usize>), Misfit>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&field, after) = self.fields.split_first()?;
        let field = match resolve(field, self.rdata) {
            Field::Names if self.at == self.rdata.len() => return None,
            Field::Names => Field::Name,
            field => {
                self.fields = after;
                field
            }
        };
        let start = self.at;
        match measure(field, self.rdata, start).filter(|len| *len <= self.rdata.len() - start) {
            Some(len) => {
                self.at += len;
                Some(Ok((field, start..self.at)))
            }
            None => {
                self.fields = &[];
                Some(Err(Misfit { field, at: start }))
            }
        }
    }
}

/// What a field is once the octets before it are known.
pub(super) fn resolve(field: Field, before: &[u8]) -> Field {
    match field {
        Field::Gateway { mask } => match before.get(1).map(|kind| kind & mask) {
            Some(0) => Field::Nothing,
            Some(1) => Field::Ipv4,
            Some(2) => Field::Ipv6,
            Some(3) => Field::Name,
            _ => field,
        },
        Field::A6Prefix if before.first() == Some(&0) => Field::Absent,
        Field::A6Prefix => Field::Name,
        _ => field,
    }
}

/// The length of `field` at `at`; `None` when the octets there are not such a field. A fixed length
/// is told even when the RDATA is shorter.
fn measure(field: Field, rdata: &[u8], at: usize) -> Option<usize> {
    let rest = rdata.get(at..)?;
    match field {
        Field::Nothing | Field::Absent => Some(0),
        Field::U8 | Field::Algorithm | Field::DigestType | Field::Scheme => Some(1),
        Field::U16 | Field::Type | Field::CertType => Some(2),
        Field::U32 | Field::Period | Field::Time | Field::Ipv4 => Some(4),
        Field::Locator => Some(8),
        Field::Ipv6 => Some(16),
        Field::Eui(len) => Some(len),
        Field::Relay => (rest.first()? & 0x7f <= 3).then_some(1),
        Field::Name => name::wire_len(rest),
        Field::String | Field::Salt => Some(string_len(rest)?),
        Field::Strings => strings(rest).map(|_| rest.len()),
        Field::OneOrTwoStrings => strings(rest).filter(|count| *count <= 2).map(|_| rest.len()),
        Field::Tag => {
            let len = string_len(rest)?;
            let tag = rest.get(1..len)?;
            (!tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric)).then_some(len)
        }
        Field::Hash => Some(string_len(rest)?).filter(|len| *len > 1),
        Field::Text | Field::MaybeBase64 | Field::DashBase64 => Some(rest.len()),
        Field::Hex | Field::Base64 | Field::Nsap => (!rest.is_empty()).then_some(rest.len()),
        Field::Digest { kind_at, lengths } => {
            let kind = rdata.get(kind_at)?;
            let known = lengths.iter().find(|(known, _)| known == kind);
            let fits = known.map_or(!rest.is_empty(), |(_, len)| *len == rest.len());
            fits.then_some(rest.len())
        }
        Field::Services => (!rest.is_empty() && rest.len() <= 1 + 8192).then_some(rest.len()),
        Field::Bitmap => (!rest.is_empty() && bitmap::is_valid(rest)).then_some(rest.len()),
        Field::MaybeBitmap => bitmap::is_valid(rest).then_some(rest.len()),
        Field::NxtBitmap => bitmap::is_valid_nxt(rest).then_some(rest.len()),
        Field::SvcParams => svcb::check(rest).is_ok().then_some(rest.len()),
        Field::Prefixes => prefixes::is_valid(rest).then_some(rest.len()),
        Field::Location => location::is_valid(rest).then_some(16),
        Field::HostIdentity => {
            let [hit, _, high, low, ..] = *rest else { return None };
            let key = usize::from(u16::from_be_bytes([high, low]));
            (hit > 0 && key > 0).then_some(4 + usize::from(hit) + key)
        }
        Field::A6Suffix => {
            let prefix = usize::from(*rest.first()?);
            (prefix <= 128).then(|| 1 + (128 - prefix).div_ceil(8))
        }
        Field::Gateway { .. } | Field::A6Prefix | Field::Names => None,
    }
}

/// The length of the character-string at the front, its length octet counted.
fn string_len(rest: &[u8]) -> Option<usize> {
    let len = 1 + usize::from(*rest.first()?);
    (len <= rest.len()).then_some(len)
}

/// How many character-strings fill `rest` exactly, at least one.
fn strings(mut rest: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !rest.is_empty() {
        rest = rest.get(string_len(rest)?..)?;
        count += 1;
    }
    (count > 0).then_some(count)
}
