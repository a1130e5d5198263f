//! Fields of RDATA from wire form to text.

use super::encoding::{Base32Hex, Hex, Quoted, base64};
use super::number::Time;
use super::schema::Field;
use super::{bitmap, location, prefixes, svcb};
use crate::name::WireName;
use crate::record::RecordType;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Writes one field, which fits, without a blank around it. A field that is empty in text (no type
/// in a bitmap, no key) writes nothing: see [`is_silent`].
pub(super) fn field(field: Field, octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match field {
        Field::Name => write!(f, "{}", WireName(octets)),
        Field::U8
        | Field::U16
        | Field::U32
        | Field::Period
        | Field::Algorithm
        | Field::DigestType
        | Field::CertType
        | Field::Scheme => write!(f, "{}", number(octets)),
        Field::Time => write!(f, "{}", Time(number(octets))),
        Field::Type => write!(f, "{}", RecordType(number(octets) as u16)),
        Field::Ipv4 => write!(f, "{}", Ipv4Addr::from(number(octets))),
        Field::Ipv6 => write!(f, "{}", ipv6(octets)),
        Field::Eui(_) => joined(f, octets.chunks(1), "-"),
        Field::Locator => joined(f, octets.chunks(2), ":"),
        Field::String => write!(f, "{}", Quoted(counted(octets))),
        Field::Strings | Field::OneOrTwoStrings => strings(octets, f),
        Field::Text => write!(f, "{}", Quoted(octets)),
        Field::Tag => f.write_str(std::str::from_utf8(counted(octets)).unwrap_or_default()),
        Field::Hex | Field::Digest { .. } => write!(f, "{}", Hex(octets)),
        Field::DashBase64 if octets.is_empty() => f.write_str("-"),
        Field::Base64 | Field::MaybeBase64 | Field::DashBase64 => write!(f, "{}", base64(octets)),
        Field::Salt if octets.len() <= 1 => f.write_str("-"),
        Field::Salt => write!(f, "{}", Hex(counted(octets))),
        Field::Hash => write!(f, "{}", Base32Hex(counted(octets))),
        Field::Bitmap | Field::MaybeBitmap => bitmap::show(octets, f),
        Field::NxtBitmap => bitmap::show_nxt(octets, f),
        Field::SvcParams => svcb::show(octets, f),
        Field::Prefixes => prefixes::show(octets, f),
        Field::Location => location::show(octets, f),
        Field::Nsap => write!(f, "0x{}", Hex(octets)),
        Field::Services => services(octets, f),
        Field::Relay => {
            let octet = number(octets);
            write!(f, "{} {}", octet >> 7, octet & 0x7f)
        }
        Field::HostIdentity => host_identity(octets, f),
        Field::A6Suffix => a6_suffix(octets, f),
        Field::Nothing => f.write_str("."),
        // Resolved or repeated before they come here.
        Field::Absent | Field::Names | Field::Gateway { .. } | Field::A6Prefix => Ok(()),
    }
}

/// Is there nothing to write for the field?
pub(super) fn is_silent(field: Field, octets: &[u8]) -> bool {
    let can_be = matches!(
        field,
        Field::MaybeBase64 | Field::MaybeBitmap | Field::SvcParams | Field::Prefixes
    );
    field == Field::Absent || (can_be && octets.is_empty())
}

fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |number, octet| (number << 8) | u32::from(*octet))
}

/// What stands behind the length octet.
fn counted(octets: &[u8]) -> &[u8] {
    octets.get(1..).unwrap_or_default()
}

fn ipv6(octets: &[u8]) -> Ipv6Addr {
    let mut address = [0; 16];
    let len = octets.len().min(16);
    address[16 - len..].copy_from_slice(&octets[octets.len() - len..]);
    Ipv6Addr::from(address)
}

fn joined<'a>(f: &mut fmt::Formatter<'_>, groups: impl Iterator<Item = &'a [u8]>, separator: &str) -> fmt::Result {
    let mut before = "";
    for group in groups {
        write!(f, "{before}{}", Hex(group))?;
        before = separator;
    }
    Ok(())
}

fn strings(mut rest: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut blank = "";
    while let Some((len, after)) = rest.split_first() {
        let (string, after) = after.split_at(usize::from(*len).min(after.len()));
        write!(f, "{blank}{}", Quoted(string))?;
        (rest, blank) = (after, " ");
    }
    Ok(())
}

fn services(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (protocol, bits) = octets.split_first().unwrap_or((&0, &[]));
    write!(f, "{protocol}")?;
    for port in 0..bits.len() * 8 {
        if bits[port / 8] & (0x80 >> (port % 8)) != 0 {
            write!(f, " {port}")?;
        }
    }
    Ok(())
}

fn host_identity(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [hit, algorithm, _, _, ref rest @ ..] = *octets else {
        return Ok(());
    };
    let (hit, key) = rest.split_at(usize::from(hit).min(rest.len()));
    write!(f, "{algorithm} {} {}", Hex(hit), base64(key))
}

fn a6_suffix(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match octets.split_first() {
        Some((128, _)) => f.write_str("128"),
        Some((prefix, suffix)) => write!(f, "{prefix} {}", ipv6(suffix)),
        None => Ok(()),
    }
}
