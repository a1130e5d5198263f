//! `[mail.dkim.rotation]`: when keys are made, what they are called, how long they live.
//!
//! ```toml
//! [mail.dkim.rotation]
//! every = "90d"                       # a new key so often, made by Signpost; "never": only when told to
//! algorithms = ["rsa2048"]            # what is made: rsa2048 rsa3072 rsa4096 ed25519
//! selector = "{year}{month}{day}-{alg}"
//! retire = "7d"                       # a vanished key keeps its record so long, for mail in flight
//! forget = "30d"                      # then `p=` for so long, then nothing
//! reveal = "/var/www/keys"            # then its private half is published here; off by default
//! ```

use super::read;
use crate::keys::Algorithm;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// `[mail.dkim.rotation]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// How often a new key is made; `None`: only when somebody asks for it.
    #[serde(deserialize_with = "every")]
    pub every: Option<Duration>,
    /// From the file's vanishing until the key is revoked; 7 days by default.
    #[serde(deserialize_with = "read::duration")]
    pub retire: Duration,
    /// From the revocation until the record goes; 30 days by default.
    #[serde(deserialize_with = "read::duration")]
    pub forget: Duration,
    /// The keys that are made, one of a kind; an RSA key of 2048 bits by default.
    #[serde(deserialize_with = "algorithms")]
    pub algorithms: Vec<NewKey>,
    /// The selectors of new keys.
    #[serde(deserialize_with = "read::parsed")]
    pub selector: SelectorPattern,
    /// Where the private half of a forgotten key is published; `None`: nowhere.
    #[serde(deserialize_with = "folder")]
    pub reveal: Option<PathBuf>,
}

/// A kind of key that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewKey {
    /// RSA of 2048 bits: what every verifier takes (RFC 8301 §3.2).
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
    /// Ed25519 (RFC 8463).
    Ed25519,
}

impl NewKey {
    /// What would be made in the place of a key of this kind.
    pub fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::Rsa { bits: ..=2048 } => Self::Rsa2048,
            Algorithm::Rsa { bits: ..=3072 } => Self::Rsa3072,
            Algorithm::Rsa { .. } => Self::Rsa4096,
        }
    }

    /// Of one kind: then one takes the other's place.
    pub fn is_kind_of(self, algorithm: Algorithm) -> bool {
        matches!(self, Self::Ed25519) == matches!(algorithm, Algorithm::Ed25519)
    }

    /// What `{alg}` of a selector stands for.
    pub fn short(self) -> &'static str {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => "rsa",
            Self::Ed25519 => "ed",
        }
    }

    /// Its name, as in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Rsa2048, Self::Rsa3072, Self::Rsa4096, Self::Ed25519]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Bits of the modulus; `None` for Ed25519.
    pub fn bits(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
            Self::Ed25519 => None,
        }
    }
}

/// What new selectors look like: text with `{year}`, `{month}`, `{day}` and `{alg}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorPattern(String);

impl SelectorPattern {
    /// The selector of a key that is made at `now`, in seconds since 1970, UTC.
    pub fn selector(&self, now: u64, key: NewKey) -> String {
        let (year, month, day) = date(now);
        self.0
            .replace("{year}", &format!("{year:04}"))
            .replace("{month}", &format!("{month:02}"))
            .replace("{day}", &format!("{day:02}"))
            .replace("{alg}", key.short())
    }

    /// The same, with `-2`, `-3` … behind it while it `is_taken`: a selector that was ever used must not be used again
    /// while anybody may remember its key.
    pub fn unused(&self, now: u64, key: NewKey, is_taken: &dyn Fn(&str) -> bool) -> String {
        let plain = self.selector(now, key);
        let numbered = (2u32..).map(|number| format!("{plain}-{number}"));
        let mut candidates = std::iter::once(plain.clone()).chain(numbered);
        candidates.find(|candidate| !is_taken(candidate)).unwrap_or(plain)
    }
}

impl Default for SelectorPattern {
    fn default() -> Self {
        Self("{year}{month}{day}-{alg}".to_owned())
    }
}

impl FromStr for SelectorPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = Self(text.to_ascii_lowercase());
        // Two dates that have no part in common: what does not change makes only one key ever.
        let (first, second) = (
            pattern.selector(0, NewKey::Rsa2048),
            pattern.selector(951_868_800, NewKey::Rsa2048),
        );
        if first == second {
            return Err(format!(
                "\"{text}\" gives every key the same selector; put {{year}}, {{month}} and {{day}} into it"
            ));
        }
        // Placeholders are longer than what they stand for, but for `{alg}` and rsa, which is not longer either.
        match is_selector(&first) {
            true => Ok(pattern),
            false => Err(format!(
                "\"{text}\" makes the selector \"{first}\", which is none (RFC 6376 §3.1); use letters, digits, dashes \
                 and dots, and {{year}}, {{month}}, {{day}}, {{alg}}"
            )),
        }
    }
}

/// RFC 6376 §3.1: labels of a host name, joined by dots. Room is left for a number behind it.
fn is_selector(text: &str) -> bool {
    let legal = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    let is_label = |label: &str| {
        (1..=60).contains(&label.len()) && label.bytes().all(legal) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 120 && text.split('.').all(is_label)
}

/// Year, month and day of a time in seconds since 1970, in the Gregorian calendar, UTC.
pub(crate) fn date(seconds: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let mut days = seconds / DAY.as_secs();
    let mut year = 1970 + 400 * (days / DAYS_OF_400_YEARS);
    days %= DAYS_OF_400_YEARS;
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            every: None,
            retire: 7 * DAY,
            forget: 30 * DAY,
            algorithms: vec![NewKey::Rsa2048],
            selector: SelectorPattern::default(),
            reveal: None,
        }
    }
}

/// The table as a whole: its keys must go together.
pub(super) fn checked<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rotation, D::Error> {
    let rotation = Rotation::deserialize(deserializer)?;
    let selectors = |key: &NewKey| rotation.selector.selector(0, *key);
    match rotation.algorithms.as_slice() {
        [first, second] if selectors(first) == selectors(second) => Err(D::Error::custom(
            "two keys would get the same selector; put {alg} into `selector`",
        )),
        _ => Ok(rotation),
    }
}

/// A duration, or `never`, which undoes an inherited one.
fn every<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "never" {
        return Ok(None);
    }
    let period: read::Period = text.parse().map_err(D::Error::custom)?;
    match period.0.is_zero() {
        true => Err(D::Error::custom(
            "a new key every moment is too often; write a duration such as \"90d\", or \"never\"",
        )),
        false => Ok(Some(period.0)),
    }
}

fn algorithms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NewKey>, D::Error> {
    let list = Vec::<NewKey>::deserialize(deserializer)?;
    let of = |kind| list.iter().filter(|key| key.short() == kind).count();
    match (of("rsa"), of("ed")) {
        (0, 0) => Err(D::Error::custom(
            "the list is empty, so no key could be made; write [\"rsa2048\"], or leave the key out",
        )),
        (0..=1, 0..=1) => Ok(list),
        _ => Err(D::Error::custom(
            "two keys of the same kind sign no better than one; keep one RSA key and one Ed25519 key at most",
        )),
    }
}

/// An absolute path: the policy of a zone comes from two files, each in a directory of its own.
fn folder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "" => Ok(None),
        path if path.starts_with('/') && !path.contains('\0') => Ok(Some(path.into())),
        _ => Err(D::Error::custom(format!(
            "\"{text}\" is no absolute path; write it from the root on, such as \"/var/www/keys\""
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(text: &str) -> Result<Rotation, String> {
        let table = toml::Deserializer::parse(text).map_err(|error| error.message().to_owned())?;
        checked(table).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, (1970, 1, 1)),
            (86_399, (1970, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (951_868_800, (2000, 3, 1)),
            (1_798_761_599, (2026, 12, 31)),
            (1_798_761_600, (2027, 1, 1)),
            (4_107_542_400, (2100, 3, 1)),
            (13_574_563_200, (2400, 2, 29)),
        ] {
            assert_eq!(date(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn selectors_are_made_of_the_day_and_the_algorithm() {
        let now = 1_798_675_200;
        assert_eq!(
            SelectorPattern::default().selector(now, NewKey::Rsa2048),
            "20261231-rsa"
        );
        let own: SelectorPattern = "M{Month}.{year}.{alg}".parse().unwrap();
        assert_eq!(own.selector(now, NewKey::Ed25519), "m12.2026.ed");
    }

    #[test]
    fn a_selector_is_never_taken_twice() {
        let pattern: SelectorPattern = "{year}{month}-{alg}".parse().unwrap();
        let taken = ["202612-ed", "202612-ed-2"];
        let unused = |key| pattern.unused(1_798_675_200, key, &|name| taken.contains(&name));
        assert_eq!(
            (unused(NewKey::Ed25519).as_str(), unused(NewKey::Rsa2048).as_str()),
            ("202612-ed-3", "202612-rsa")
        );
    }

    #[test]
    fn every_key_is_read_and_never_undoes_what_is_inherited() {
        assert_eq!(rotation("").unwrap(), Rotation::default());
        assert_eq!(rotation("every = 'never'\nreveal = ''").unwrap(), Rotation::default());
        let all = rotation(
            "every = '90d'\nretire = '2d'\nforget = '3d'\nalgorithms = ['rsa4096', 'ed25519']\n\
             selector = '{year}{month}-{alg}'\nreveal = '/srv/keys'",
        )
        .unwrap();
        assert_eq!((all.every, all.retire, all.forget), (Some(90 * DAY), 2 * DAY, 3 * DAY));
        assert_eq!(all.algorithms, [NewKey::Rsa4096, NewKey::Ed25519]);
        assert_eq!(all.reveal, Some("/srv/keys".into()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_cure() {
        for (text, words) in [
            ("every = '0s'", "a new key every moment is too often; write"),
            ("every = 'often'", "is no span of time; write"),
            ("algorithms = []", "the list is empty"),
            ("algorithms = ['rsa2048', 'rsa4096']", "two keys of the same kind"),
            ("algorithms = ['rsa1024']", "unknown variant `rsa1024`"),
            ("selector = 'mail'", "the same selector; put {year}"),
            (
                "selector = '{year}_{alg}'",
                "which is none (RFC 6376 §3.1); use letters",
            ),
            ("selector = '{year}{week}'", "which is none"),
            ("selector = '-{year}'", "which is none"),
            ("selector = '{year}..x'", "which is none"),
            (
                "selector = '{year}'\nalgorithms = ['rsa2048', 'ed25519']",
                "the same selector; put {alg}",
            ),
            ("reveal = 'keys'", "is no absolute path; write it from the root on"),
            ("evry = '1d'", "unknown field `evry`"),
        ] {
            let told = rotation(text).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
    }
}
