//! Domain names in wire form.
//!
//! A [`Name`] is a sequence of labels ending in the root label, at most 255 octets, each label at
//! most 63 (RFC 1035 §3.1). It keeps the case it was written in and compares without regard to
//! case (RFC 4343), in the canonical order of RFC 4034 §6.1. The functions of `wire` do the same on
//! borrowed wire bytes: the answering path allocates no [`Name`].
//!
//! Length octets are at most 63 and therefore never ASCII letters, so a whole wire name can be
//! compared or lowered as plain bytes.

mod wire;

pub use wire::{ancestor, canonical_cmp, is_at_or_below, measure, parent, same_octets, wire_len};

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The longest name in octets of wire form, root label included (RFC 1035 §2.3.4).
pub const MAX_NAME_LEN: usize = 255;
/// The longest label in octets (RFC 1035 §2.3.4).
pub const MAX_LABEL_LEN: usize = 63;

/// An absolute domain name in uncompressed wire form.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

/// Why a text or a wire form is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was written where a name belongs.
    #[error("the name is empty; write `@` for the origin or `.` for the root")]
    Empty,
    /// Two dots in a row or a dot at the front.
    #[error("the name has an empty label (two dots in a row, or a dot at the front)")]
    EmptyLabel,
    /// A label of more than 63 octets.
    #[error("a label is longer than 63 octets (RFC 1035 §2.3.4)")]
    LabelTooLong,
    /// More than 255 octets in all.
    #[error("the name is longer than 255 octets (RFC 1035 §2.3.4)")]
    TooLong,
    /// A backslash with nothing usable behind it.
    #[error("a backslash must be followed by a character or by three digits of at most 255")]
    BadEscape,
    /// A relative name where no origin is known.
    #[error("the name is relative and there is no origin; end it with a dot")]
    NoOrigin,
    /// Wire bytes that end early, use compression where none may be, or carry a reserved label type.
    #[error("the wire form of a name is malformed")]
    BadWire,
}

impl Name {
    /// The root, `.`.
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// Reads presentation form (RFC 1035 §5.1, RFC 4343 §2.1). A name without a final dot is
    /// completed by `origin`; `@` is the origin itself.
    pub fn parse(text: &[u8], origin: Option<&Self>) -> Result<Self, NameError> {
        let mut buffer = [0u8; MAX_NAME_LEN];
        let (len, suffix) = parse_parts(text, origin, &mut buffer)?;
        let mut wire = Vec::with_capacity(len + suffix.len());
        wire.extend_from_slice(&buffer[..len]);
        wire.extend_from_slice(suffix);
        Ok(Self(wire.into_boxed_slice()))
    }

    /// Reads presentation form as [`Name::parse`] does and appends the wire form to `out`, which
    /// stays as it was on error.
    pub fn parse_into(text: &[u8], origin: &Self, out: &mut Vec<u8>) -> Result<(), NameError> {
        let mut buffer = [0u8; MAX_NAME_LEN];
        let (len, suffix) = parse_parts(text, Some(origin), &mut buffer)?;
        out.extend_from_slice(&buffer[..len]);
        out.extend_from_slice(suffix);
        Ok(())
    }

    /// Reads presentation form, absolute with or without the final dot, as configuration,
    /// commands and file names write it.
    pub fn from_text(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text == "@" {
            return Err(NameError::NoOrigin);
        }
        Self::parse(text.as_bytes(), Some(&Self::root()))
    }

    /// Reads an uncompressed wire form that fills `wire` exactly.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        match wire_len(wire) {
            Some(len) if len == wire.len() => Ok(Self(wire.into())),
            _ => Err(NameError::BadWire),
        }
    }

    /// The wire form, root label included, in the case it was written in.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The labels from the leftmost to the last before the root.
    pub fn labels(&self) -> Labels<'_> {
        Labels(&self.0)
    }

    /// How many labels, the root not counted: 2 for `example.org.`.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Is this the root?
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Is the leftmost label `*` (RFC 4592 §2.1.1)?
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        parent(&self.0).map(|wire| Self(wire.into()))
    }

    /// Is this name `ancestor` or below it?
    pub fn is_at_or_below(&self, ancestor: &Self) -> bool {
        is_at_or_below(&self.0, &ancestor.0)
    }

    /// `label` put in front, its bytes taken as they are.
    pub fn child(&self, label: &[u8]) -> Result<Self, NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if label.len() > MAX_LABEL_LEN {
            return Err(NameError::LabelTooLong);
        }
        let mut wire = Vec::with_capacity(1 + label.len() + self.0.len());
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.0);
        Self::from_checked_len(wire)
    }

    /// The labels of `prefix` put in front: `_dmarc` and `example.org.` give `_dmarc.example.org.`.
    pub fn prefixed(&self, prefix: &str) -> Result<Self, NameError> {
        Self::parse(prefix.as_bytes(), Some(self))
    }

    /// The name with `suffix` replaced by `other`; `None` when it does not end in `suffix`.
    pub fn with_suffix_replaced(&self, suffix: &Self, other: &Self) -> Option<Result<Self, NameError>> {
        self.is_at_or_below(suffix).then(|| {
            let mut wire = self.0[..self.0.len() - suffix.0.len()].to_vec();
            wire.extend_from_slice(&other.0);
            Self::from_checked_len(wire)
        })
    }

    /// The same name in lower case, the canonical form of RFC 4034 §6.2.
    pub fn to_lowercase(&self) -> Self {
        Self(self.0.to_ascii_lowercase().into_boxed_slice())
    }

    /// Lowers the name in place.
    pub fn make_lowercase(&mut self) {
        self.0.make_ascii_lowercase();
    }

    fn from_checked_len(wire: Vec<u8>) -> Result<Self, NameError> {
        if wire.len() > MAX_NAME_LEN {
            return Err(NameError::TooLong);
        }
        Ok(Self(wire.into_boxed_slice()))
    }
}

/// Reads `text` into its own labels, whose length is returned, and the wire name that completes them.
fn parse_parts<'o>(
    text: &[u8],
    origin: Option<&'o Name>,
    out: &mut [u8; MAX_NAME_LEN],
) -> Result<(usize, &'o [u8]), NameError> {
    if text == b"@" {
        return origin.map(|origin| (0, origin.as_wire())).ok_or(NameError::NoOrigin);
    }
    let (len, absolute) = parse_labels(text, out)?;
    let suffix: &[u8] = match (absolute, origin) {
        (true, _) => &[0],
        (false, Some(origin)) => origin.as_wire(),
        (false, None) => return Err(NameError::NoOrigin),
    };
    if len + suffix.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong);
    }
    Ok((len, suffix))
}

/// Writes the labels of `text` into `out`, the root label left off; returns their length and
/// whether the text ended in a dot.
fn parse_labels(text: &[u8], out: &mut [u8; MAX_NAME_LEN]) -> Result<(usize, bool), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text == b"." {
        return Ok((0, true));
    }
    let (mut len, mut label_start, mut at) = (1, 0, 0);
    let mut absolute = false;
    while at < text.len() {
        let octet = match text[at] {
            b'.' => {
                end_label(out, label_start, len)?;
                at += 1;
                if at == text.len() {
                    absolute = true;
                    return Ok((len, absolute));
                }
                label_start = len;
                len += 1;
                continue;
            }
            b'\\' => {
                let (octet, used) = unescape(&text[at + 1..]).ok_or(NameError::BadEscape)?;
                at += 1 + used;
                octet
            }
            plain => {
                at += 1;
                plain
            }
        };
        *out.get_mut(len).ok_or(NameError::TooLong)? = octet;
        len += 1;
    }
    end_label(out, label_start, len)?;
    Ok((len, absolute))
}

fn end_label(out: &mut [u8; MAX_NAME_LEN], start: usize, end: usize) -> Result<(), NameError> {
    match end.saturating_sub(start + 1) {
        0 => Err(NameError::EmptyLabel),
        len if len > MAX_LABEL_LEN => Err(NameError::LabelTooLong),
        len => {
            *out.get_mut(start).ok_or(NameError::TooLong)? = len as u8;
            Ok(())
        }
    }
}

/// The octet behind a backslash, `\DDD` or `\X` (RFC 1035 §5.1), and how many bytes it took.
pub fn unescape(after_backslash: &[u8]) -> Option<(u8, usize)> {
    match after_backslash {
        [a, b, c, ..] if a.is_ascii_digit() => {
            let digit = |d: u8| d.is_ascii_digit().then(|| u32::from(d - b'0'));
            let value = digit(*a)? * 100 + digit(*b)? * 10 + digit(*c)?;
            Some((u8::try_from(value).ok()?, 3))
        }
        [a, ..] if !a.is_ascii_digit() => Some((*a, 1)),
        _ => None,
    }
}

/// The labels of a name from left to right, without the root label.
#[derive(Clone)]
pub struct Labels<'a>(&'a [u8]);

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];
    fn next(&mut self) -> Option<&'a [u8]> {
        let (&len, rest) = self.0.split_first()?;
        if len == 0 || rest.len() < usize::from(len) {
            return None;
        }
        let (label, rest) = rest.split_at(usize::from(len));
        self.0 = rest;
        Some(label)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut lower = [0u8; MAX_NAME_LEN];
        let lower = &mut lower[..self.0.len()];
        lower.copy_from_slice(&self.0);
        lower.make_ascii_lowercase();
        state.write(lower);
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        canonical_cmp(&self.0, &other.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_wire(&self.0, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_wire(&self.0, f)
    }
}

/// An uncompressed wire name, borrowed, to be displayed in presentation form as a [`Name`] is.
pub struct WireName<'a>(pub &'a [u8]);

impl fmt::Display for WireName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_wire(self.0, f)
    }
}

/// Writes presentation form with a final dot; specials are escaped so that it reads back the same.
fn fmt_wire(wire: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if wire.len() <= 1 {
        return f.write_str(".");
    }
    let is_special = |octet: &u8| matches!(octet, b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$');
    let is_plain = |octet: &u8| octet.is_ascii_graphic() && !is_special(octet);
    for label in Labels(wire) {
        let mut rest = label;
        while let Some(at) = rest.iter().position(|octet| !is_plain(octet)) {
            let (plain, special) = rest.split_at(at);
            f.write_str(std::str::from_utf8(plain).unwrap_or_default())?;
            match special[0] {
                octet if is_special(&octet) => write!(f, "\\{}", char::from(octet))?,
                octet => write!(f, "\\{octet:03}")?,
            }
            rest = &special[1..];
        }
        f.write_str(std::str::from_utf8(rest).unwrap_or_default())?;
        f.write_str(".")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    proptest! {
        #[test]
        fn the_same_octets_are_equal_and_no_others(a in "[ab]{0,40}", b in "[ab]{0,40}", at in 0usize..40) {
            prop_assert!(same_octets(a.as_bytes(), a.clone().as_bytes()));
            prop_assert_eq!(same_octets(a.as_bytes(), b.as_bytes()), a == b);
            let mut other = a.clone().into_bytes();
            if let Some(octet) = other.get_mut(at) {
                *octet ^= 1;
                prop_assert!(!same_octets(a.as_bytes(), &other));
            }
        }
    }

    #[test]
    fn finds_names_above() {
        let wire = b"\x01a\x04test\0";
        assert_eq!(measure(wire), Some((8, 2)));
        assert_eq!(
            [0, 1, 2, 3].map(|levels| ancestor(wire, levels)),
            [&wire[..], &wire[2..], &wire[7..], b""]
        );
    }

    #[test]
    fn completes_relative_names_by_the_origin() {
        let origin = name("example.org");
        assert_eq!(Name::parse(b"mail", Some(&origin)).unwrap(), name("mail.example.org."));
        assert_eq!(Name::parse(b"mail.", Some(&origin)).unwrap(), name("mail."));
        assert_eq!(Name::parse(b"@", Some(&origin)).unwrap(), origin);
        assert_eq!(Name::parse(b".", Some(&origin)).unwrap(), Name::root());
        assert_eq!(Name::parse(b"mail", None), Err(NameError::NoOrigin));
    }

    #[test]
    fn refuses_what_is_no_name() {
        let long = format!("{}.", "a".repeat(64));
        let too_long = "abcdefg.".repeat(32);
        for (text, error) in [
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("a\\", NameError::BadEscape),
            ("a\\25", NameError::BadEscape),
            ("a\\256", NameError::BadEscape),
            ("", NameError::Empty),
            (&long, NameError::LabelTooLong),
            (&too_long, NameError::TooLong),
        ] {
            assert_eq!(Name::from_text(text), Err(error), "{text}");
        }
        assert_eq!(Name::from_text(&"abcdefg.".repeat(31)).unwrap().as_wire().len(), 249);
    }

    #[test]
    fn escapes_both_ways() {
        let odd = Name::parse(b"a\\.b\\032c\\\\.x", Some(&Name::root())).unwrap();
        assert_eq!(odd.labels().next().unwrap(), b"a.b c\\");
        assert_eq!(odd.to_string(), "a\\.b\\032c\\\\.x.");
    }

    #[test]
    fn sorts_as_rfc_4034_section_6_1_shows() {
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "Z.a.example.",
            "zABC.a.EXAMPLE.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        let names: Vec<Name> = sorted.iter().map(|text| name(text)).collect();
        for (i, a) in names.iter().enumerate() {
            for (j, b) in names.iter().enumerate() {
                assert_eq!(a.cmp(b), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn knows_what_is_below_what() {
        assert!(name("a.Example.org").is_at_or_below(&name("example.ORG")));
        assert!(name("example.org").is_at_or_below(&name("example.org")));
        assert!(!name("anexample.org").is_at_or_below(&name("example.org")));
        assert!(name("org").is_at_or_below(&Name::root()));
        assert!(!name("org").is_at_or_below(&name("example.org")));
    }

    #[test]
    fn replaces_a_suffix_and_minds_the_length() {
        let replaced = name("a.b.example.").with_suffix_replaced(&name("example."), &name("test."));
        assert_eq!(replaced.unwrap().unwrap(), name("a.b.test."));
        let long = name(&"abcdefg.".repeat(31));
        assert_eq!(
            name("abcdefghi.example.").with_suffix_replaced(&name("example."), &long),
            Some(Err(NameError::TooLong))
        );
        assert_eq!(name("a.").with_suffix_replaced(&name("b."), &long), None);
    }

    fn any_name() -> impl Strategy<Value = Name> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..10).prop_map(|labels| {
            labels
                .iter()
                .try_fold(Name::root(), |name, label| name.child(label))
                .unwrap()
        })
    }

    proptest! {
        #[test]
        fn text_round_trips(name in any_name()) {
            let back = Name::from_text(&name.to_string()).unwrap();
            prop_assert_eq!(back.as_wire(), name.as_wire());
        }

        #[test]
        fn order_agrees_with_equality(a in any_name(), b in any_name()) {
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        }

        #[test]
        fn parsing_any_text_never_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(name) = Name::parse(&text, Some(&Name::root())) {
                prop_assert!(name.as_wire().len() <= MAX_NAME_LEN);
                prop_assert_eq!(Name::from_wire(name.as_wire()).unwrap(), name);
            }
        }
    }
}
