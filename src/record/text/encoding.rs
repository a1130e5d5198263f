//! Octets in text: hexadecimal, base64 (RFC 4648 §4) and base32hex without padding (RFC 4648 §7).

use super::Token;
use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// Appends hexadecimal spread over any number of words; `None` for another character or an odd digit.
pub(super) fn read_hex(words: &[Token<'_>], out: &mut Vec<u8>) -> Option<()> {
    let mut high = None;
    for &octet in words.iter().flat_map(|word| word.text) {
        let digit = hex_digit(octet)?;
        high = match high {
            None => Some(digit << 4),
            Some(high) => {
                out.push(high | digit);
                None
            }
        };
    }
    high.is_none().then_some(())
}

/// The value of a hexadecimal digit.
pub(super) fn hex_digit(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).map(|digit| digit as u8)
}

/// Appends base64 spread over any number of words; `None` for what is none.
pub(super) fn read_base64(words: &[Token<'_>], out: &mut Vec<u8>) -> Option<()> {
    match words {
        [one] => STANDARD.decode_vec(one.text, out).ok(),
        _ => {
            let joined: Vec<u8> = words.iter().flat_map(|word| word.text).copied().collect();
            STANDARD.decode_vec(joined, out).ok()
        }
    }
}

/// Appends base32hex; `None` for another character or for bits that are left over and set.
pub(super) fn read_base32hex(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (mut bits, mut held) = (0u32, 0u32);
    for octet in text {
        let digit = char::from(*octet).to_digit(32)?;
        bits = (bits << 5) | digit;
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (held < 5 && bits == 0).then_some(())
}

/// Octets displayed in hexadecimal.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Octets displayed in base64.
pub(super) fn base64(octets: &[u8]) -> impl fmt::Display + '_ {
    Base64Display::new(octets, &STANDARD)
}

/// Octets displayed in base32hex, lower case, without padding.
pub(super) struct Base32Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Base32Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        let (mut bits, mut held) = (0u32, 0u32);
        for octet in self.0 {
            bits = (bits << 8) | u32::from(*octet);
            held += 8;
            while held >= 5 {
                held -= 5;
                f.write_char(char::from(DIGITS[(bits >> held) as usize & 31]))?;
            }
            bits &= (1 << held) - 1;
        }
        if held > 0 {
            f.write_char(char::from(DIGITS[(bits << (5 - held)) as usize & 31]))?;
        }
        Ok(())
    }
}

/// Octets displayed as a quoted character-string (RFC 1035 §5.1).
pub(super) struct Quoted<'a>(pub(super) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        let mut rest = self.0;
        while let Some(at) = rest.iter().position(|octet| !is_plain(*octet)) {
            let (plain, special) = rest.split_at(at);
            f.write_str(std::str::from_utf8(plain).unwrap_or_default())?;
            match special[0] {
                octet @ (b'"' | b'\\') => write!(f, "\\{}", char::from(octet))?,
                octet => write!(f, "\\{octet:03}")?,
            }
            rest = &special[1..];
        }
        f.write_str(std::str::from_utf8(rest).unwrap_or_default())?;
        f.write_str("\"")
    }
}

/// Does the octet stand for itself between quotes?
fn is_plain(octet: u8) -> bool {
    matches!(octet, 0x20..=0x7e) && octet != b'"' && octet != b'\\'
}
