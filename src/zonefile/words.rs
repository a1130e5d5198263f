//! The words of an entry as the reader asks for them, and what words outside RDATA mean.

use super::BYTE_ORDER_MARK;
use super::fault::Fault;
use super::lexer::Entry;
use crate::name::Name;
use crate::record::RecordType;
use crate::record::text::{self, Printable, Token, parse_decimal};

impl<'a> Entry<'a> {
    /// Where word `index` starts in the file, or where the entry ends if there is none.
    pub(super) fn start(&self, index: usize) -> usize {
        self.starts.get(index).copied().unwrap_or(self.end)
    }

    /// Word `index`, which must be there and not be quoted.
    pub(super) fn unquoted(&self, index: usize, expected: &str) -> Result<&'a [u8], Fault> {
        match self.tokens.get(index) {
            Some(Token { quoted: false, text }) => Ok(text),
            Some(Token { quoted: true, .. }) => Err(Fault::syntax(
                self.start(index),
                format!("a quoted string stands where {expected} belongs"),
                "write it without quotes",
            )),
            None => Err(self.missing(expected)),
        }
    }

    /// The entry ends where `expected` belongs.
    pub(super) fn missing(&self, expected: &str) -> Fault {
        let what = format!("the line ends where {expected} is expected");
        Fault::syntax(self.end, what, "complete the line, or take it out")
    }

    /// There may be `most` words and no more.
    pub(super) fn no_more_than(&self, most: usize) -> Result<(), Fault> {
        match self.tokens.get(most) {
            None => Ok(()),
            Some(word) => Err(Fault::syntax(
                self.start(most),
                format!("`{}` is one word too many", Printable(word.text)),
                "take it out, or put a ; before a comment",
            )),
        }
    }
}

/// A name that starts at `at`, completed by `origin`.
pub(super) fn parse_name(word: &[u8], origin: &Name, at: usize) -> Result<Name, Fault> {
    Name::parse(word, Some(origin)).map_err(|error| {
        let what = format!("`{}` is no domain name: {error}", Printable(word));
        Fault::syntax(
            at,
            what,
            "write labels of letters, digits and hyphens with dots between them",
        )
    })
}

/// Is the word a class? Only IN is served (RFC 1035 §3.2.4, RFC 3597 §5).
pub(super) fn is_class(word: &[u8], at: usize) -> Result<bool, Fault> {
    if word.eq_ignore_ascii_case(b"IN") {
        return Ok(true);
    }
    let by_number = word
        .split_at_checked(5)
        .filter(|(class, _)| class.eq_ignore_ascii_case(b"CLASS"))
        .and_then(|(_, digits)| parse_decimal::<u16>(std::str::from_utf8(digits).ok()?));
    let named = [&b"CH"[..], b"CHAOS", b"HS", b"HESIOD", b"CS", b"NONE"];
    match by_number {
        Some(1) => Ok(true),
        None if !named.iter().any(|class| class.eq_ignore_ascii_case(word)) => Ok(false),
        _ => Err(Fault::coded(
            "zone-class",
            Some(at),
            format!("the class is {}, and only IN can be served", Printable(word)),
            "write IN or leave the class out",
        )),
    }
}

/// The record type that a word names, if it may stand in a zone (RFC 6895 §3.1).
pub(super) fn parse_type(word: &[u8], at: usize) -> Result<RecordType, Fault> {
    let fault = |what: String, cure: &str| Fault::coded("zone-type", Some(at), what, cure);
    let rtype: RecordType = std::str::from_utf8(word)
        .ok()
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| {
            fault(
                format!("`{}` is no TTL, class or record type", Printable(word)),
                "write owner, TTL, IN, type and data; a type without a mnemonic is TYPE and its number",
            )
        })?;
    if rtype.is_meta() || rtype.0 == 0 {
        return Err(fault(
            format!("{rtype} belongs to queries and cannot be zone data"),
            "take the record out",
        ));
    }
    Ok(rtype)
}

/// The cure for RDATA that is none.
pub(super) fn example_cure(rtype: RecordType) -> String {
    match text::example(rtype) {
        Some(example) => format!("write it as in `{rtype} {example}`"),
        None => format!("write it as in `{rtype} \\# 4 c0000201`"),
    }
}

/// The text behind a byte order mark, once it is known to be text of one octet a character.
pub(super) fn check_text(text: &[u8]) -> Result<&[u8], Fault> {
    let binary = |at: Option<usize>, what: &str, cure: &str| Err(Fault::coded("zone-binary", at, what, cure));
    if text.starts_with(&[0, 0, 0, 2]) || text.starts_with(&[0, 0, 0, 3]) {
        return binary(
            None,
            "the file is in BIND's raw format",
            "convert it with named-compilezone -f raw -F text",
        );
    }
    let start = &text[..text.len().min(64)];
    let half_zeros = start.iter().filter(|octet| **octet == 0).count() * 3 > start.len();
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") || (half_zeros && text.len().is_multiple_of(2)) {
        return binary(None, "the file is UTF-16", "save it as UTF-8 or ASCII");
    }
    if text.contains(&0) {
        let nul = text.iter().position(|octet| *octet == 0);
        return binary(
            nul,
            "the file has a NUL octet here and is no text",
            "save the zone as text",
        );
    }
    if text.contains(&b'\r') && !text.contains(&b'\n') {
        return binary(
            None,
            "the lines end in carriage returns alone",
            "save the file with line feeds (LF or CRLF)",
        );
    }
    Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}
