//! Address prefixes of APL (RFC 3123), for IPv4 and IPv6.

use super::RdataError;
use super::schema::Field;
use super::words::Words;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads `[!]family:address/length` words to the end.
pub(super) fn read(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    while words.peek().is_some() {
        let (negated, address, length) = words.parse(Field::Prefixes, parse)?;
        let (family, octets): (u8, &[u8]) = match &address {
            IpAddr::V4(address) => (1, &address.octets()),
            IpAddr::V6(address) => (2, &address.octets()),
        };
        // RFC 3123 §4: trailing zero octets are left off.
        let len = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        out.extend_from_slice(&[0, family, length, len as u8 | if negated { 0x80 } else { 0 }]);
        out.extend_from_slice(&octets[..len]);
    }
    Ok(())
}

fn parse(word: &str) -> Option<(bool, IpAddr, u8)> {
    let (negated, word) = match word.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    let (family, prefix) = word.split_once(':')?;
    let (address, length) = prefix.split_once('/')?;
    let length: u8 = super::number::parse_decimal(length)?;
    let (address, most) = match family {
        "1" => (IpAddr::V4(address.parse().ok()?), 32),
        "2" => (IpAddr::V6(address.parse().ok()?), 128),
        _ => return None,
    };
    (length <= most).then_some((negated, address, length))
}

/// One prefix taken from the front of wire form.
struct Prefix<'a> {
    family: u8,
    length: u8,
    negated: bool,
    octets: &'a [u8],
}

fn prefixes(mut rest: &[u8]) -> impl Iterator<Item = Option<Prefix<'_>>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let [high, family, length, flag_and_len, ref after @ ..] = *rest else {
            rest = &[];
            return Some(None);
        };
        let len = usize::from(flag_and_len & 0x7f);
        if high != 0 || len > after.len() {
            rest = &[];
            return Some(None);
        }
        rest = &after[len..];
        Some(Some(Prefix {
            family,
            length,
            negated: flag_and_len & 0x80 != 0,
            octets: &after[..len],
        }))
    })
}

/// Do prefixes of families 1 and 2 fill `rdata`, trailing zero octets left off?
pub(super) fn is_valid(rdata: &[u8]) -> bool {
    prefixes(rdata).all(|prefix| {
        let Some(prefix) = prefix else { return false };
        let bits = match prefix.family {
            1 => 32,
            2 => 128,
            _ => return false,
        };
        let octets = prefix.octets;
        prefix.length <= bits && octets.len() <= usize::from(bits) / 8 && octets.last() != Some(&0)
    })
}

/// Writes valid prefixes, blanks between them.
pub(super) fn show(rdata: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut blank = "";
    for prefix in prefixes(rdata).flatten() {
        let mut octets = [0u8; 16];
        let len = prefix.octets.len().min(16);
        octets[..len].copy_from_slice(&prefix.octets[..len]);
        let [a, b, c, d, ..] = octets;
        let address = match prefix.family {
            1 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            _ => IpAddr::V6(Ipv6Addr::from(octets)),
        };
        let negation = if prefix.negated { "!" } else { "" };
        write!(f, "{blank}{negation}{}:{address}/{}", prefix.family, prefix.length)?;
        blank = " ";
    }
    Ok(())
}
