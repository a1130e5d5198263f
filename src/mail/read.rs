//! How policy values are read: the small types that TOML strings and numbers turn into.
//!
//! Everything is parsed while it is deserialised, so that a mistake is reported with the line and
//! column of the value and the last good policy stays in force (parse, don't validate). Short forms
//! (`spf = "auto"` for `[mail.spf] record = "auto"`) go through one visitor instead of serde's
//! untagged enums, which would swallow the reason.

use crate::name::{Name, NameError};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// A policy that is a table or, for short, one string.
pub(super) trait Short: Sized {
    /// What the string means.
    fn from_short(text: &str) -> Result<Self, String>;
}

/// Reads a string by [`Short`] and a table by the type's own rules.
pub(super) fn text_or_table<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Short + Deserialize<'de>,
{
    struct TextOrTable<T>(PhantomData<T>);

    impl<'de, T: Short + Deserialize<'de>> Visitor<'de> for TextOrTable<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a table")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            T::from_short(text).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(TextOrTable(PhantomData))
}

/// Reads a string by its type's [`FromStr`].
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// A name in a policy, relative to the apex unless it ends in a dot or in the apex itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(String);

impl PolicyName {
    /// The owner it stands for: `mail` in `example.org` is `mail.example.org`, `@` the apex.
    pub fn owner(&self, apex: &Name) -> Result<Name, NameError> {
        if self.0 != "@" {
            let absolute = Name::from_text(&self.0)?;
            if !apex.is_root() && absolute.is_at_or_below(apex) {
                return Ok(absolute);
            }
        }
        Name::parse(self.0.as_bytes(), Some(apex))
    }

    /// The host it stands for as a target: one label is relative to the apex, more are absolute,
    /// because `mail.provider.example` is meant when it is written.
    pub fn target(&self, apex: &Name) -> Result<Name, NameError> {
        match self.0.contains('.') {
            true => Name::from_text(&self.0),
            false => self.owner(apex),
        }
    }
}

impl FromStr for PolicyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Name::parse(text.as_bytes(), Some(&Name::root())).map(|_| Self(text.to_owned()))
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PolicyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// A span of time as operators write it: `7d`, `90m`, `1d12h`; units `s m h d w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// Text that is no [`Period`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no span of time; write numbers with units s, m, h, d or w, such as \"7d\" or \"1h30m\"")]
pub struct NoPeriod(String);

impl FromStr for Period {
    type Err = NoPeriod;

    fn from_str(text: &str) -> Result<Self, NoPeriod> {
        let refuse = || NoPeriod(text.to_owned());
        let (mut total, mut rest) = (0u64, text.trim());
        if rest.is_empty() {
            return Err(refuse());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest.get(..digits).and_then(|d| d.parse().ok()).ok_or_else(refuse)?;
            let unit = rest[digits..].chars().next().ok_or_else(refuse)?;
            let seconds = match unit.to_ascii_lowercase() {
                's' => 1,
                'm' => 60,
                'h' => 3600,
                'd' => 86_400,
                'w' => 604_800,
                _ => return Err(refuse()),
            };
            total = number
                .checked_mul(seconds)
                .and_then(|part| total.checked_add(part))
                .ok_or_else(refuse)?;
            rest = &rest[digits + unit.len_utf8()..];
        }
        Ok(Self(Duration::from_secs(total)))
    }
}

/// Reads a [`Period`] as a [`Duration`].
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parsed::<D, Period>(deserializer).map(|period| period.0)
}

/// The most that a TTL may be (RFC 2181 §8).
const MAX_TTL: u64 = (1 << 31) - 1;

/// Reads seconds, as a number or as a [`Period`], that fit a TTL.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    struct Seconds;

    impl Seconds {
        fn check<E: Error>(seconds: u64) -> Result<u32, E> {
            match u32::try_from(seconds) {
                Ok(seconds) if u64::from(seconds) <= MAX_TTL => Ok(seconds),
                _ => Err(E::custom(format_args!(
                    "{seconds} seconds are more than 2^31 - 1 (RFC 2181 §8)"
                ))),
            }
        }
    }

    impl Visitor<'_> for Seconds {
        type Value = u32;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("seconds or a span of time such as \"1h\"")
        }

        fn visit_i64<E: Error>(self, seconds: i64) -> Result<u32, E> {
            match u64::try_from(seconds) {
                Ok(seconds) => Self::check(seconds),
                Err(_) => Err(E::custom("time cannot be negative")),
            }
        }

        fn visit_u64<E: Error>(self, seconds: u64) -> Result<u32, E> {
            Self::check(seconds)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<u32, E> {
            let period: Period = text.parse().map_err(E::custom)?;
            Self::check(period.0.as_secs())
        }
    }

    deserializer.deserialize_any(Seconds).map(Some)
}

/// Where reports go: a `mailto:` or an `https:` URI; a bare mail address is taken as `mailto:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportUri(String);

/// Text that is no [`ReportUri`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoReportUri {
    /// Neither scheme.
    #[error("`{0}` is no place for reports; write \"mailto:reports@example.org\"")]
    Scheme(String),
    /// A mail address without both its halves.
    #[error("`{0}` is no mail address; write \"mailto:reports@example.org\"")]
    Address(String),
    /// An octet that ends the URI inside a tag list.
    #[error("`{0}` contains {1:?}, which must be written as %{2:02X} here (RFC 9989, RFC 3986 §2.1)")]
    Octet(String, char, u32),
}

impl ReportUri {
    /// The URI as it stands in a record.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain of a `mailto:` address.
    pub fn mail_domain(&self) -> Option<Name> {
        mail_domain(&self.0)
    }
}

/// The domain of a `mailto:` URI; a `!size` or `?header` behind it is left off.
pub(super) fn mail_domain(uri: &str) -> Option<Name> {
    let scheme = uri.get(..7)?;
    if !scheme.eq_ignore_ascii_case("mailto:") {
        return None;
    }
    let address = uri[7..].split(['!', '?']).next()?;
    let (_, domain) = address.rsplit_once('@')?;
    Name::from_text(domain).ok()
}

impl FromStr for ReportUri {
    type Err = NoReportUri;

    fn from_str(text: &str) -> Result<Self, NoReportUri> {
        let lower = text.to_ascii_lowercase();
        let uri = match text {
            _ if lower.starts_with("mailto:") || lower.starts_with("https:") => text.to_owned(),
            _ if text.contains('@') && !text.contains(':') => format!("mailto:{text}"),
            _ => return Err(NoReportUri::Scheme(text.to_owned())),
        };
        let bad = |c: &char| !c.is_ascii_graphic() || matches!(c, ',' | ';' | '!' | '"' | '\\');
        if let Some(octet) = uri.chars().find(bad) {
            return Err(NoReportUri::Octet(text.to_owned(), octet, u32::from(octet)));
        }
        let is_mail = uri
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
        if is_mail && (mail_domain(&uri).is_none() || uri[7..].starts_with('@')) {
            return Err(NoReportUri::Address(text.to_owned()));
        }
        Ok(Self(uri))
    }
}

impl<'de> Deserialize<'de> for ReportUri {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// Report addresses put together as a tag's value.
pub(super) fn join_uris(uris: &[ReportUri]) -> String {
    uris.iter().map(ReportUri::as_str).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_spans_of_time_in_every_unit() {
        for (text, seconds) in [
            ("2s", 2),
            ("90m", 5400),
            ("7d", 604_800),
            ("1w", 604_800),
            ("1h30m", 5400),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Period(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "7", "d", "7 d", "7y", "-1d", "99999999999999999999d", "7dé"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_relative_unless_it_says_otherwise() {
        let apex = Name::from_text("example.org").unwrap();
        let owner = |text: &str| text.parse::<PolicyName>().unwrap().owner(&apex).unwrap().to_string();
        assert_eq!(owner("mail"), "mail.example.org.");
        assert_eq!(owner("a.b"), "a.b.example.org.");
        assert_eq!(owner("@"), "example.org.");
        assert_eq!(owner("mail.example.org"), "mail.example.org.");
        assert_eq!(owner("mail.example.net."), "mail.example.net.");
        let target = |text: &str| text.parse::<PolicyName>().unwrap().target(&apex).unwrap().to_string();
        assert_eq!(target("mail"), "mail.example.org.");
        assert_eq!(target("mail.example.net"), "mail.example.net.");
    }

    #[test]
    fn report_addresses_are_mended_or_refused() {
        let read = |text: &str| text.parse::<ReportUri>();
        assert_eq!(read("dmarc@example.org").unwrap().as_str(), "mailto:dmarc@example.org");
        assert_eq!(read("https://example.org/r").unwrap().mail_domain(), None);
        assert_eq!(
            read("mailto:a@example.org").unwrap().mail_domain(),
            Name::from_text("example.org").ok()
        );
        assert!(matches!(read("ftp://example.org"), Err(NoReportUri::Scheme(_))));
        assert!(matches!(read("mailto:@example.org"), Err(NoReportUri::Address(_))));
        assert!(matches!(read("mailto:a"), Err(NoReportUri::Address(_))));
        assert!(matches!(
            read("mailto:a@example.org!10m"),
            Err(NoReportUri::Octet(_, '!', _))
        ));
    }
}
