//! The words of one record's RDATA, taken one after the other, and the faults found in them.

use super::schema::Field;
use super::{RdataError, Token};
use crate::name::{self, Name};
use std::fmt::{self, Write};

/// A cursor over the words of RDATA.
pub(super) struct Words<'a, 't> {
    tokens: &'a [Token<'t>],
    next: usize,
    /// What relative names end in.
    pub(super) origin: &'a Name,
}

impl<'a, 't> Words<'a, 't> {
    pub(super) fn new(tokens: &'a [Token<'t>], origin: &'a Name) -> Self {
        Self {
            tokens,
            next: 0,
            origin,
        }
    }

    /// The next word, quoted or not, left where it is.
    pub(super) fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.next).copied()
    }

    /// Takes the next word, quoted or not.
    pub(super) fn take(&mut self) -> Option<Token<'t>> {
        let token = self.peek()?;
        self.next += 1;
        Some(token)
    }

    /// Takes the next word, quoted or not, where `field` must stand.
    pub(super) fn string(&mut self, field: Field) -> Result<&'t [u8], RdataError> {
        match self.take() {
            Some(token) => Ok(token.text),
            None => Err(self.missing(field.expects())),
        }
    }

    /// Takes the next word where `field` must stand, which is written without quotes.
    pub(super) fn word(&mut self, field: Field) -> Result<&'t [u8], RdataError> {
        match self.take() {
            Some(Token { quoted: false, text }) => Ok(text),
            Some(Token { quoted: true, .. }) => Err(self.fault(format!("expected {} without quotes", field.expects()))),
            None => Err(self.missing(field.expects())),
        }
    }

    /// Takes the next word and reads it with `parse`, which gives `None` for what is no such field.
    pub(super) fn parse<T>(&mut self, field: Field, parse: impl Fn(&str) -> Option<T>) -> Result<T, RdataError> {
        let word = self.word(field)?;
        std::str::from_utf8(word)
            .ok()
            .and_then(parse)
            .ok_or_else(|| self.unexpected(field))
    }

    /// Takes every word that is left, all without quotes.
    pub(super) fn rest(&mut self, field: Field) -> Result<&'a [Token<'t>], RdataError> {
        let rest = &self.tokens[self.next..];
        match rest.iter().position(|token| token.quoted) {
            Some(quoted) => {
                self.next += quoted + 1;
                Err(self.fault(format!("expected {} without quotes", field.expects())))
            }
            None => {
                self.next = self.tokens.len();
                Ok(rest)
            }
        }
    }

    /// The word taken last is not what belongs there.
    pub(super) fn unexpected(&self, field: Field) -> RdataError {
        let word = self
            .tokens
            .get(self.next.wrapping_sub(1))
            .map_or(&[][..], |token| token.text);
        self.fault(format!("expected {}, not `{}`", field.expects(), Printable(word)))
    }

    /// The words end too early.
    pub(super) fn missing(&self, expects: &str) -> RdataError {
        RdataError {
            what: format!("the record ends where {expects} is expected"),
            token: self.tokens.len(),
        }
    }

    /// Something about the word taken last.
    pub(super) fn fault(&self, what: impl Into<String>) -> RdataError {
        RdataError {
            what: what.into(),
            token: self.next.saturating_sub(1),
        }
    }

    /// Appends `text` with its escapes taken out.
    pub(super) fn unescape(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), RdataError> {
        unescape(text, out).map_err(|()| self.fault(name::NameError::BadEscape.to_string()))
    }
}

/// Appends `text` to `out` with its escapes (RFC 1035 §5.1) taken out.
pub(super) fn unescape(mut text: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
    while let Some(at) = text.iter().position(|octet| *octet == b'\\') {
        out.extend_from_slice(&text[..at]);
        let (octet, used) = name::unescape(&text[at + 1..]).ok_or(())?;
        out.push(octet);
        text = &text[at + 1 + used..];
    }
    out.extend_from_slice(text);
    Ok(())
}

/// Bytes from a file as a message may show them: clipped, and with nothing that a terminal obeys.
pub(crate) struct Printable<'a>(pub(crate) &'a [u8]);

impl Printable<'_> {
    /// How many characters are shown.
    const MOST: usize = 60;
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = 0;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if shown == Self::MOST {
                    return f.write_char('…');
                }
                shown += 1;
                write_harmless(f, c)?;
            }
            for octet in chunk.invalid() {
                shown = (shown + 1).min(Self::MOST);
                write!(f, "\\{octet:03}")?;
            }
        }
        Ok(())
    }
}

/// Writes `c` unless it is a control or another character that does not print: that is escaped.
pub(crate) fn write_harmless(f: &mut dyn Write, c: char) -> fmt::Result {
    match c {
        '"' | '\'' | '\\' => f.write_char(c),
        '\t' => f.write_char(' '),
        _ => write!(f, "{}", c.escape_debug()),
    }
}
