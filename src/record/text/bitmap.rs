//! Type bitmaps: windows of RFC 4034 §4.1.2, and the single bitmap of NXT (RFC 2535 §5.2).

use super::RdataError;
use super::schema::Field;
use super::words::Words;
use crate::record::RecordType;
use std::fmt;

/// Reads type mnemonics to the end, in any order, and appends their windows.
pub(super) fn read(field: Field, words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let mut types = read_types(field, words)?;
    types.sort_unstable();
    types.dedup();
    if types.is_empty() && field == Field::Bitmap {
        return Err(words.missing(field.expects()));
    }
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let last = window.last().copied().unwrap_or_default();
        let len = usize::from(last & 0xff) / 8 + 1;
        out.extend_from_slice(&[(last >> 8) as u8, len as u8]);
        append_bits(window, len, out);
    }
    Ok(())
}

/// Reads type mnemonics below 128 to the end and appends one bitmap.
pub(super) fn read_nxt(field: Field, words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let types = read_types(field, words)?;
    match types.iter().max() {
        None => Err(words.missing(field.expects())),
        Some(most) if *most > 127 => Err(words.fault(format!("expected {}", field.expects()))),
        Some(most) => {
            append_bits(&types, usize::from(*most) / 8 + 1, out);
            Ok(())
        }
    }
}

fn read_types(field: Field, words: &mut Words<'_, '_>) -> Result<Vec<u16>, RdataError> {
    let mut types = Vec::new();
    while words.peek().is_some() {
        let parse = |word: &str| word.parse().ok();
        let rtype: RecordType = words.parse(field, parse)?;
        types.push(rtype.0);
    }
    Ok(types)
}

fn append_bits(types: &[u16], len: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + len, 0);
    for rtype in types {
        let bit = usize::from(rtype & 0xff);
        out[start + bit / 8] |= 0x80 >> (bit % 8);
    }
}

/// The windows one after the other: number and bits. Ends at the first that is cut short.
fn windows(mut rest: &[u8]) -> impl Iterator<Item = Option<(u8, &[u8])>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let window = match *rest {
            [number, len, ref after @ ..] if usize::from(len) <= after.len() => {
                let (bits, after) = after.split_at(usize::from(len));
                rest = after;
                Some((number, bits))
            }
            _ => {
                rest = &[];
                None
            }
        };
        Some(window)
    })
}

/// Do windows fill `bitmap`, rising, of 1 to 32 octets, none ending in a zero octet?
pub(super) fn is_valid(bitmap: &[u8]) -> bool {
    let mut least = 0;
    windows(bitmap).all(|window| match window {
        Some((number, bits)) if u16::from(number) >= least => {
            least = u16::from(number) + 1;
            bits.len() <= 32 && bits.last().is_some_and(|last| *last != 0)
        }
        _ => false,
    })
}

/// Is this the bitmap of an NXT record: 1 to 16 octets, the last not zero, bit 0 clear?
pub(super) fn is_valid_nxt(bitmap: &[u8]) -> bool {
    let starts_well = bitmap.first().is_some_and(|first| first & 0x80 == 0);
    starts_well && bitmap.len() <= 16 && bitmap.last() != Some(&0)
}

/// Writes the types of a valid bitmap, blanks between them.
pub(super) fn show(bitmap: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut blank = "";
    for (number, bits) in windows(bitmap).flatten() {
        show_bits(u16::from(number) << 8, bits, &mut blank, f)?;
    }
    Ok(())
}

/// Writes the types of a valid NXT bitmap, blanks between them.
pub(super) fn show_nxt(bitmap: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    show_bits(0, bitmap, &mut "", f)
}

fn show_bits(base: u16, bits: &[u8], blank: &mut &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for bit in 0..(bits.len() * 8).min(256) {
        if bits[bit / 8] & (0x80 >> (bit % 8)) != 0 {
            write!(f, "{blank}{}", RecordType(base + bit as u16))?;
            *blank = " ";
        }
    }
    Ok(())
}
