//! Tag lists (RFC 6376 §3.2): `v=DKIM1; k=rsa; p=…` read and written.
//!
//! Reading is lenient and says what it passed over; writing gives one canonical form, `; ` between
//! tags and none behind the last. A list written and read again is the same list.

use std::fmt;

/// A tag list, in the order it was written; names are unique.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TagList(Vec<(String, String)>);

/// What was passed over or changed while reading a tag list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagFault {
    /// Between two semicolons there is no `name=value`.
    #[error("`{0}` is no tag=value and was left out (RFC 6376 §3.2)")]
    NoTag(String),
    /// A tag came twice, which voids the whole list; the first one was kept.
    #[error("the tag {0}= comes twice, which voids the record (RFC 6376 §3.2); the first was kept")]
    Duplicate(String),
    /// A value with characters that no tag value may have.
    #[error("the value of {0}= has characters that a tag value may not have, and was left out (RFC 6376 §3.2)")]
    BadValue(String),
    /// A semicolon inside a note, which ends the tag; it was written as `=3B`.
    #[error("a semicolon inside n= ends the tag; it was written as =3B (RFC 6376 §3.6.1, §2.11)")]
    NoteSemicolon,
}

impl TagList {
    /// Reads a tag list. Blanks around names and values go, and all blanks inside the values of
    /// tags that have no meaning for them (RFC 6376 §3.6.1: all but `n=` and unknown ones).
    pub fn parse(text: &[u8]) -> (Self, Vec<TagFault>) {
        let (mut list, mut faults) = (Self::default(), vec![]);
        let mut in_note = false;
        for piece in text.split(|&octet| octet == b';') {
            let trimmed = piece.trim_ascii();
            match split_tag(trimmed) {
                Some((name, value)) => {
                    in_note = name == "n";
                    list.take(name, value, &mut faults);
                }
                None if trimmed.is_empty() => {}
                None if in_note => list.extend_note(trimmed, &mut faults),
                None => faults.push(TagFault::NoTag(excerpt(trimmed))),
            }
        }
        (list, faults)
    }

    fn take(&mut self, name: &str, value: &[u8], faults: &mut Vec<TagFault>) {
        let keeps_blanks = !matches!(name, "v" | "g" | "h" | "k" | "p" | "s" | "t");
        if self.get(name).is_some() {
            faults.push(TagFault::Duplicate(name.to_owned()));
        } else if let Some(value) = canonical_value(value, keeps_blanks) {
            self.0.push((name.to_owned(), value));
        } else {
            faults.push(TagFault::BadValue(name.to_owned()));
        }
    }

    fn extend_note(&mut self, rest: &[u8], faults: &mut Vec<TagFault>) {
        let note = self.0.last_mut().filter(|(name, _)| name == "n");
        match (note, canonical_value(rest, true)) {
            (Some((_, note)), Some(rest)) => {
                note.push_str("=3B ");
                note.push_str(&rest);
                faults.push(TagFault::NoteSemicolon);
            }
            _ => faults.push(TagFault::NoTag(excerpt(rest))),
        }
    }

    /// The value of a tag; names are case-sensitive (RFC 6376 §3.2).
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The tags in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Takes a tag out and gives its value.
    pub(super) fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// Sets a tag that is there already, or puts it last.
    pub(super) fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

impl fmt::Display for TagList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{name}={value}")?;
        }
        Ok(())
    }
}

/// `tag-name [FWS] "=" [FWS] tag-value`, tag-name being `ALPHA *(ALPHA / DIGIT / "_")`.
fn split_tag(piece: &[u8]) -> Option<(&str, &[u8])> {
    let equals = piece.iter().position(|&octet| octet == b'=')?;
    let name = std::str::from_utf8(piece[..equals].trim_ascii_end()).ok()?;
    let well_formed = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
    well_formed.then(|| (name, piece[equals + 1..].trim_ascii()))
}

/// The value with each run of blanks made one blank, or none; `None` for characters outside of
/// VALCHAR, which are the printable ones but `;`.
fn canonical_value(value: &[u8], keeps_blanks: bool) -> Option<String> {
    let words: Option<Vec<&str>> = value
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| {
            let text = std::str::from_utf8(word).ok()?;
            text.bytes()
                .all(|octet| octet.is_ascii_graphic() && octet != b';')
                .then_some(text)
        })
        .collect();
    words.map(|words| words.join(if keeps_blanks { " " } else { "" }))
}

/// A short, printable piece of a record for a message.
fn excerpt(text: &[u8]) -> String {
    let mut short: String = String::from_utf8_lossy(text).chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> (String, Vec<TagFault>) {
        let (list, faults) = TagList::parse(text.as_bytes());
        (list.to_string(), faults)
    }

    #[test]
    fn reads_what_rfc_6376_section_3_2_allows() {
        for (text, canonical) in [
            ("v=DKIM1; k=rsa; p=AB", "v=DKIM1; k=rsa; p=AB"),
            (" v = DKIM1 ;\r\n\tp= A B\r\n C ;", "v=DKIM1; p=ABC"),
            ("p=", "p="),
            ("n=a  note with = signs; x_9=1", "n=a note with = signs; x_9=1"),
            ("h= sha1 : sha256", "h=sha1:sha256"),
            ("", ""),
            (" ; ; ", ""),
        ] {
            assert_eq!(parse(text), (canonical.to_owned(), vec![]), "{text}");
        }
    }

    #[test]
    fn says_what_it_passed_over() {
        for (text, canonical, fault) in [
            ("p=A; p=B", "p=A", TagFault::Duplicate("p".into())),
            ("p=A; what", "p=A", TagFault::NoTag("what".into())),
            ("p=A; 9x=B", "p=A", TagFault::NoTag("9x=B".into())),
            ("p=A; t=\u{e9}", "p=A", TagFault::BadValue("t".into())),
            (
                "n=\"a note; here\"; p=A",
                "n=\"a note=3B here\"; p=A",
                TagFault::NoteSemicolon,
            ),
        ] {
            assert_eq!(parse(text), (canonical.to_owned(), vec![fault]), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_list_written_and_read_again_is_the_same(
            tags in prop::collection::btree_map("[a-zA-Z][a-zA-Z0-9_]{0,8}", "([!-:<-~]{1,9}( [!-:<-~]{1,9}){0,3})?", 0..9)
        ) {
            let mut list = TagList::default();
            for (name, value) in tags {
                let keeps_blanks = !matches!(name.as_str(), "v" | "g" | "h" | "k" | "p" | "s" | "t");
                list.set(&name, if keeps_blanks { value } else { value.replace(' ', "") });
            }
            prop_assert_eq!(TagList::parse(list.to_string().as_bytes()), (list, vec![]));
        }

        #[test]
        fn any_bytes_are_read_to_something_that_stays(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let (list, _) = TagList::parse(&text);
            prop_assert_eq!(TagList::parse(list.to_string().as_bytes()), (list, vec![]));
        }
    }
}
