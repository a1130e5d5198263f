//! Fields of RDATA from text to wire form.

use super::encoding::{hex_digit, read_base32hex, read_base64, read_hex};
use super::number::{self, parse_decimal, parse_mnemonic, parse_period, parse_time};
use super::schema::Field;
use super::words::Words;
use super::{RdataError, Token, bitmap, location, prefixes, svcb, wire};
use crate::name::Name;
use crate::record::RecordType;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Reads one field and appends its wire form to `out`, which holds the fields before it from `start`.
pub(super) fn field(
    field: Field,
    words: &mut Words<'_, '_>,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    match wire::resolve(field, &out[start..]) {
        Field::Name => name(words, out)?,
        Field::Names => {
            while words.peek().is_some() {
                name(words, out)?;
            }
        }
        Field::U8 => out.push(words.parse(field, parse_decimal)?),
        Field::U16 => out.extend(words.parse(field, parse_decimal::<u16>)?.to_be_bytes()),
        Field::U32 => out.extend(words.parse(field, parse_decimal::<u32>)?.to_be_bytes()),
        Field::Period => out.extend(words.parse(field, |word| parse_period(word.as_bytes()))?.to_be_bytes()),
        Field::Time => out.extend(words.parse(field, parse_time)?.to_be_bytes()),
        Field::Type => {
            let rtype = words.parse(field, |word| word.parse::<RecordType>().ok())?;
            out.extend(rtype.0.to_be_bytes());
        }
        Field::Algorithm => out.push(words.parse(field, |word| parse_mnemonic(word, number::ALGORITHMS))?),
        Field::DigestType => out.push(words.parse(field, |word| parse_mnemonic(word, number::DIGEST_TYPES))?),
        Field::Scheme => out.push(words.parse(field, |word| parse_mnemonic(word, number::SCHEMES))?),
        Field::CertType => {
            let kind = words.parse(field, |word| parse_mnemonic(word, number::CERT_TYPES))?;
            out.extend(kind.to_be_bytes());
        }
        ipv4 @ Field::Ipv4 => out.extend(words.parse(ipv4, |word| word.parse::<Ipv4Addr>().ok())?.octets()),
        ipv6 @ Field::Ipv6 => out.extend(words.parse(ipv6, |word| word.parse::<Ipv6Addr>().ok())?.octets()),
        Field::Eui(len) => groups(field, len, 2, b'-', words, out)?,
        Field::Locator => locator(words, out)?,
        Field::String => string(words, out)?,
        Field::Strings => strings(usize::MAX, words, out)?,
        Field::OneOrTwoStrings => strings(2, words, out)?,
        Field::Text => {
            let text = words.string(field)?;
            words.unescape(text, out)?;
        }
        Field::Tag => tag(words, out)?,
        Field::Hex | Field::Digest { .. } => rest_with(read_hex, field, words, out)?,
        Field::Base64 => rest_with(read_base64, field, words, out)?,
        Field::MaybeBase64 => {
            if words.peek().is_some() {
                rest_with(read_base64, field, words, out)?;
            }
        }
        Field::DashBase64 => match words.peek() {
            Some(Token { text: b"-", .. }) => drop(words.take()),
            _ => rest_with(read_base64, field, words, out)?,
        },
        Field::Salt => salt(words, out)?,
        Field::Hash => {
            let word = words.word(field)?;
            counted(field, words, out, |out| read_base32hex(word, out))?;
        }
        Field::Bitmap | Field::MaybeBitmap => bitmap::read(field, words, out)?,
        Field::NxtBitmap => bitmap::read_nxt(field, words, out)?,
        Field::SvcParams => svcb::read(words, out)?,
        Field::Prefixes => prefixes::read(words, out)?,
        Field::Location => location::read(words, out)?,
        Field::Nsap => nsap(words, out)?,
        Field::Services => services(words, out)?,
        Field::Relay => relay(words, out)?,
        Field::HostIdentity => host_identity(words, out)?,
        Field::A6Suffix => a6_suffix(words, out)?,
        Field::Absent => (),
        nothing @ Field::Nothing => words.parse(nothing, |word| (word == ".").then_some(()))?,
        Field::Gateway { .. } | Field::A6Prefix => {
            return Err(words.fault(format!("expected {}", field.expects())));
        }
    }
    Ok(())
}

fn name(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let text = words.word(Field::Name)?;
    Name::parse_into(text, words.origin, out).map_err(|error| {
        words.fault(format!(
            "`{}` is no domain name: {error}",
            super::words::Printable(text)
        ))
    })
}

fn string(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let text = words.string(Field::String)?;
    let start = out.len();
    out.push(0);
    words.unescape(text, out)?;
    let len = out.len() - start - 1;
    out[start] = u8::try_from(len)
        .map_err(|_| words.fault(format!("a string of {len} octets, and 255 is the most (RFC 1035 §3.3)")))?;
    Ok(())
}

fn strings(most: usize, words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    string(words, out)?;
    for _ in 1..most {
        if words.peek().is_none() {
            break;
        }
        string(words, out)?;
    }
    Ok(())
}

/// Reads the strings of TXT or SPF. One of more than 255 octets, as an unsplit DKIM key is, is cut
/// into several: verifiers join them again (RFC 6376 §3.6.2.2, RFC 7208 §3.3).
pub(super) fn text_strings(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let mut long = Vec::new();
    loop {
        let text = words.string(Field::Strings)?;
        if text.len() <= 255 {
            let start = out.len();
            out.push(0);
            words.unescape(text, out)?;
            out[start] = (out.len() - start - 1) as u8;
        } else {
            long.clear();
            words.unescape(text, &mut long)?;
            for part in long.chunks(255) {
                out.push(part.len() as u8);
                out.extend_from_slice(part);
            }
        }
        if words.peek().is_none() {
            return Ok(());
        }
    }
}

fn tag(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let word = words.word(Field::Tag)?;
    match u8::try_from(word.len()) {
        Ok(len) if len > 0 && word.iter().all(u8::is_ascii_alphanumeric) => {
            out.push(len);
            out.extend_from_slice(word);
            Ok(())
        }
        _ => Err(words.unexpected(Field::Tag)),
    }
}

/// Reads all words that are left, at least one, with `read`.
fn rest_with(
    read: impl Fn(&[Token<'_>], &mut Vec<u8>) -> Option<()>,
    field: Field,
    words: &mut Words<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let rest = words.rest(field)?;
    if rest.is_empty() {
        return Err(words.missing(field.expects()));
    }
    read(rest, out).ok_or_else(|| words.fault(format!("expected {}", field.expects())))
}

/// Puts a length octet in front of what `read` appends.
fn counted(
    field: Field,
    words: &Words<'_, '_>,
    out: &mut Vec<u8>,
    read: impl Fn(&mut Vec<u8>) -> Option<()>,
) -> Result<(), RdataError> {
    let start = out.len();
    out.push(0);
    read(out).ok_or_else(|| words.unexpected(field))?;
    out[start] = u8::try_from(out.len() - start - 1).map_err(|_| words.unexpected(field))?;
    Ok(())
}

fn salt(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let text = words.word(Field::Salt)?;
    let word = Token { text, quoted: false };
    counted(Field::Salt, words, out, |out| match text {
        b"-" => Some(()),
        _ => read_hex(&[word], out),
    })
}

/// `len` groups of `digits` hexadecimal digits each, joined by `separator`.
fn groups(
    field: Field,
    len: usize,
    digits: usize,
    separator: u8,
    words: &mut Words<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let text = words.word(field)?;
    let mut count = 0;
    for group in text.split(|octet| *octet == separator) {
        let word = Token {
            text: group,
            quoted: false,
        };
        let read = (group.len() == digits).then(|| read_hex(&[word], out)).flatten();
        read.ok_or_else(|| words.unexpected(field))?;
        count += 1;
    }
    if count == len {
        Ok(())
    } else {
        Err(words.unexpected(field))
    }
}

/// Four groups of up to four digits, as an IPv6 address has them but never shortened.
fn locator(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let groups = words.parse(Field::Locator, |word| {
        let mut groups = word.split(':').map(|group| match group.len() {
            1..=4 if !group.starts_with('+') => u16::from_str_radix(group, 16).ok(),
            _ => None,
        });
        let four = [groups.next()??, groups.next()??, groups.next()??, groups.next()??];
        groups.next().is_none().then_some(four)
    })?;
    out.extend(groups.into_iter().flat_map(u16::to_be_bytes));
    Ok(())
}

fn nsap(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let word = words.word(Field::Nsap)?;
    let hex = word.strip_prefix(b"0x").or_else(|| word.strip_prefix(b"0X"));
    let hex = hex.ok_or_else(|| words.unexpected(Field::Nsap))?;
    let start = out.len();
    let mut high = None;
    for octet in hex.iter().filter(|octet| **octet != b'.') {
        let digit = hex_digit(*octet).ok_or_else(|| words.unexpected(Field::Nsap))?;
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => out.push(high | digit),
        }
    }
    match high.is_none() && out.len() > start {
        true => Ok(()),
        false => Err(words.unexpected(Field::Nsap)),
    }
}

fn services(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    out.push(words.parse(Field::Services, |word| parse_mnemonic(word, number::PROTOCOLS))?);
    let start = out.len();
    while words.peek().is_some() {
        let port = words.parse(Field::Services, |word| parse_mnemonic(word, number::SERVICES))?;
        let at = start + usize::from(port / 8);
        if out.len() <= at {
            out.resize(at + 1, 0);
        }
        out[at] |= 0x80 >> (port % 8);
    }
    Ok(())
}

fn relay(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let discovery = words.parse(Field::Relay, |word| parse_decimal::<u8>(word).filter(|bit| *bit <= 1))?;
    let kind = words.parse(Field::Relay, |word| parse_decimal::<u8>(word).filter(|kind| *kind <= 3))?;
    out.push(discovery << 7 | kind);
    Ok(())
}

fn host_identity(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let algorithm = words.parse(Field::HostIdentity, parse_decimal::<u8>)?;
    let start = out.len();
    out.extend_from_slice(&[0, algorithm, 0, 0]);
    let hit = Token {
        text: words.word(Field::HostIdentity)?,
        quoted: false,
    };
    read_hex(&[hit], out).ok_or_else(|| words.unexpected(Field::HostIdentity))?;
    let hit_len = out.len() - start - 4;
    out[start] = u8::try_from(hit_len).map_err(|_| words.unexpected(Field::HostIdentity))?;
    let key = Token {
        text: words.word(Field::HostIdentity)?,
        quoted: false,
    };
    read_base64(&[key], out).ok_or_else(|| words.unexpected(Field::HostIdentity))?;
    let key_len = out.len() - start - 4 - hit_len;
    let key_len = u16::try_from(key_len).map_err(|_| words.unexpected(Field::HostIdentity))?;
    out[start + 2..start + 4].copy_from_slice(&key_len.to_be_bytes());
    Ok(())
}

fn a6_suffix(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let prefix = words.parse(Field::A6Suffix, |word| {
        parse_decimal::<u8>(word).filter(|len| *len <= 128)
    })?;
    out.push(prefix);
    if prefix == 128 {
        return Ok(());
    }
    let mut address = words.parse(Field::Ipv6, |word| word.parse::<Ipv6Addr>().ok())?.octets();
    let skipped = usize::from(prefix / 8);
    // RFC 2874 §3.1.1: the bits of the prefix are zero in the suffix.
    address[skipped] &= 0xff >> (prefix % 8);
    out.extend_from_slice(&address[skipped..]);
    Ok(())
}
