//! Service parameters of SVCB and HTTPS (RFC 9460 §2 and §7, RFC 9461 §5, RFC 9540 §4).
//!
//! Text may give them in any order; wire form has them by rising key, none twice.

use super::encoding::{Quoted, base64, read_base64};
use super::number::parse_decimal;
use super::schema::Field;
use super::words::{Printable, Words, unescape};
use super::{RdataError, Token};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;

/// Names of keys. Those from DOHPATH on are read but written as `keyN`, which older servers know.
const KEYS: &[(&str, u16)] = &[
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", PORT),
    ("ipv4hint", IPV4HINT),
    ("ech", ECH),
    ("ipv6hint", IPV6HINT),
    ("dohpath", DOHPATH),
    ("ohttp", OHTTP),
];

/// Reads `key` and `key=value` words to the end.
pub(super) fn read(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let mut params: Vec<(u16, Vec<u8>)> = Vec::new();
    while words.peek().is_some() {
        let word = words.word(Field::SvcParams)?;
        let (name, value) = match word.iter().position(|octet| *octet == b'=') {
            None => (word, None),
            Some(equals) => (&word[..equals], Some(value(&word[equals + 1..], words))),
        };
        let Some((key, generic)) = parse_key(name) else {
            return Err(words.fault(format!("`{}` is no service parameter key", Printable(name))));
        };
        let Some(value) = read_value(if generic { u16::MAX } else { key }, value) else {
            return Err(words.fault(format!("`{}` is no value for the key {}", Printable(word), Key(key))));
        };
        if params.iter().any(|(other, _)| *other == key) {
            return Err(words.fault(format!("the key {} stands there twice", Key(key))));
        }
        params.push((key, value));
    }
    params.sort_unstable();
    let start = out.len();
    for (key, value) in &params {
        let len = u16::try_from(value.len()).map_err(|_| words.fault("a service parameter is too long"))?;
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(value);
    }
    check(&out[start..]).map_err(|what| words.fault(what))
}

/// The value behind the equals sign: the rest of the word, or the quoted word that follows it.
fn value<'t>(rest: &'t [u8], words: &mut Words<'_, 't>) -> &'t [u8] {
    match words.peek() {
        Some(Token { quoted: true, text }) if rest.is_empty() => {
            words.take();
            text
        }
        _ => rest,
    }
}

/// The key, and whether it was written as `keyN`.
fn parse_key(name: &[u8]) -> Option<(u16, bool)> {
    let name = std::str::from_utf8(name).ok()?;
    if let Some((_, key)) = KEYS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return Some((*key, false));
    }
    let digits = name.strip_prefix("key")?;
    let canonical = digits == "0" || !digits.starts_with('0');
    Some((parse_decimal(digits).filter(|_| canonical)?, true))
}

/// The wire form of a value; `None` if it is none for its key.
fn read_value(key: u16, value: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    unescape(value.unwrap_or_default(), &mut octets).ok()?;
    match key {
        MANDATORY => commas(&octets)?
            .iter()
            .map(|name| parse_key(name).map(|(key, _)| key))
            .collect::<Option<Vec<u16>>>()
            .map(|mut keys| {
                keys.sort_unstable();
                keys.into_iter().flat_map(u16::to_be_bytes).collect()
            }),
        ALPN => {
            let mut list = Vec::new();
            for protocol in commas(&octets)? {
                list.push(u8::try_from(protocol.len()).ok()?);
                list.extend_from_slice(&protocol);
            }
            Some(list)
        }
        PORT => Some(
            parse_decimal::<u16>(std::str::from_utf8(&octets).ok()?)?
                .to_be_bytes()
                .to_vec(),
        ),
        IPV4HINT => addresses(&octets, |text| {
            text.parse::<Ipv4Addr>().ok().map(|address| address.octets())
        }),
        IPV6HINT => addresses(&octets, |text| {
            text.parse::<Ipv6Addr>().ok().map(|address| address.octets())
        }),
        ECH => {
            let mut ech = Vec::new();
            let word = Token {
                text: &octets,
                quoted: false,
            };
            read_base64(&[word], &mut ech)?;
            Some(ech)
        }
        _ => Some(octets),
    }
}

fn addresses<const LEN: usize>(list: &[u8], parse: impl Fn(&str) -> Option<[u8; LEN]>) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    for address in list.split(|octet| *octet == b',') {
        octets.extend_from_slice(&parse(std::str::from_utf8(address).ok()?)?);
    }
    Some(octets)
}

/// The items of a comma-separated list; a backslash keeps a comma or a backslash (RFC 9460 §A.1).
fn commas(list: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut items = vec![Vec::new()];
    let mut octets = list.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b',' => items.push(Vec::new()),
            octet => {
                let kept = if *octet == b'\\' { octets.next()? } else { octet };
                items.last_mut()?.push(*kept);
            }
        }
    }
    Some(items)
}

/// The parameters one after the other. Ends at the first that is cut short.
fn params(mut rest: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), &'static str>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let [k0, k1, l0, l1, ref after @ ..] = *rest else {
            rest = &[];
            return Some(Err("a service parameter is cut short"));
        };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if len > after.len() {
            rest = &[];
            return Some(Err("a service parameter is cut short"));
        }
        rest = &after[len..];
        Some(Ok((u16::from_be_bytes([k0, k1]), &after[..len])))
    })
}

/// Are these service parameters, and why not?
pub(super) fn check(rdata: &[u8]) -> Result<(), &'static str> {
    let has = |key: u16| params(rdata).flatten().any(|(other, _)| other == key);
    let mut least = 0u32;
    for param in params(rdata) {
        let (key, value) = param?;
        if u32::from(key) < least {
            return Err("service parameters must rise by key, none twice");
        }
        least = u32::from(key) + 1;
        check_value(key, value)?;
        if key == MANDATORY && !keys(value).all(has) {
            return Err("mandatory names a key that is not there");
        }
    }
    // RFC 9460 §7.1.1: no-default-alpn says nothing without alpn.
    match has(NO_DEFAULT_ALPN) && !has(ALPN) {
        true => Err("no-default-alpn needs alpn beside it"),
        false => Ok(()),
    }
}

fn check_value(key: u16, value: &[u8]) -> Result<(), &'static str> {
    let (fits, expected) = match key {
        MANDATORY => {
            let even = !value.is_empty() && value.len().is_multiple_of(2);
            let sorted = keys(value).is_sorted_by(|a, b| a < b) && keys(value).all(|key| key != MANDATORY);
            (even && sorted, "mandatory must list other keys, each once")
        }
        ALPN => (is_string_list(value), "alpn must list protocols of 1 to 255 octets"),
        NO_DEFAULT_ALPN | OHTTP => (value.is_empty(), "no-default-alpn and ohttp have no value"),
        PORT => (value.len() == 2, "port must be a number from 0 to 65535"),
        IPV4HINT => (
            !value.is_empty() && value.len().is_multiple_of(4),
            "ipv4hint must list IPv4 addresses",
        ),
        IPV6HINT => (
            !value.is_empty() && value.len().is_multiple_of(16),
            "ipv6hint must list IPv6 addresses",
        ),
        ECH => (!value.is_empty(), "ech must have a value"),
        DOHPATH => (
            value.starts_with(b"/") && std::str::from_utf8(value).is_ok(),
            "dohpath must be a path",
        ),
        _ => (true, ""),
    };
    if fits { Ok(()) } else { Err(expected) }
}

fn keys(value: &[u8]) -> impl Iterator<Item = u16> {
    value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

fn strings(mut rest: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (len, after) = rest.split_first()?;
        let string = after.get(..usize::from(*len));
        rest = after.get(usize::from(*len)..).unwrap_or_default();
        Some(string)
    })
}

fn is_string_list(value: &[u8]) -> bool {
    !value.is_empty() && strings(value).all(|string| string.is_some_and(|string| !string.is_empty()))
}

/// A key displayed by its name.
struct Key(u16);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KEYS.iter().find(|(_, key)| *key == self.0 && self.0 < DOHPATH) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "key{}", self.0),
        }
    }
}

/// Writes valid parameters, blanks between them.
pub(super) fn show(rdata: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut blank = "";
    for (key, value) in params(rdata).flatten() {
        write!(f, "{blank}{}", Key(key))?;
        blank = " ";
        show_value(key, value, f)?;
    }
    Ok(())
}

fn show_value(key: u16, value: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match key {
        NO_DEFAULT_ALPN => Ok(()),
        _ if value.is_empty() => Ok(()),
        MANDATORY => list(f, keys(value).map(Key)),
        PORT => list(f, keys(value)),
        IPV4HINT => list(
            f,
            value
                .chunks_exact(4)
                .map(|four| Ipv4Addr::from([four[0], four[1], four[2], four[3]])),
        ),
        IPV6HINT => list(
            f,
            value.chunks_exact(16).map(|sixteen| {
                let mut octets = [0; 16];
                octets.copy_from_slice(sixteen);
                Ipv6Addr::from(octets)
            }),
        ),
        ECH => write!(f, "=\"{}\"", base64(value)),
        ALPN => {
            let mut joined = Vec::with_capacity(value.len());
            for protocol in strings(value).flatten() {
                if !joined.is_empty() {
                    joined.push(b',');
                }
                for octet in protocol {
                    if matches!(octet, b',' | b'\\') {
                        joined.push(b'\\');
                    }
                    joined.push(*octet);
                }
            }
            write!(f, "={}", Quoted(&joined))
        }
        _ => write!(f, "={}", Quoted(value)),
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: impl Iterator<Item = impl fmt::Display>) -> fmt::Result {
    let mut before = "=";
    for item in items {
        write!(f, "{before}{item}")?;
        before = ",";
    }
    Ok(())
}
