//! Names for new keys: `{year}{month}{day}-{alg}` and the like.

use crate::keys::Algorithm;
use std::fmt;
use std::str::FromStr;

/// What new selectors look like. `{year}`, `{month}`, `{day}` and `{alg}` (`rsa` or `ed`) are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorPattern(String);

/// Why a pattern is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Something in braces that is not known.
    #[error("`{0}` is not known in a selector; write {{year}}, {{month}}, {{day}} or {{alg}}")]
    Placeholder(String),
    /// What comes of it is no selector.
    #[error(
        "`{0}` makes no selector: it takes letters, digits, dashes and dots (RFC 6376 §3.1), at most 63 between dots"
    )]
    NoSelector(String),
}

impl Default for SelectorPattern {
    fn default() -> Self {
        Self("{year}{month}{day}-{alg}".into())
    }
}

impl FromStr for SelectorPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let pattern = Self(text.to_ascii_lowercase());
        let filled = pattern.fill(Algorithm::Rsa { bits: 2048 }, 0);
        if let Some((_, rest)) = filled.split_once('{') {
            let name = rest.split('}').next().unwrap_or(rest);
            return Err(PatternError::Placeholder(format!("{{{name}}}")));
        }
        let is_label = |label: &str| {
            let legal = label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
            // Room for what makes it unique.
            (1..=58).contains(&label.len()) && legal && !label.starts_with('-') && !label.ends_with('-')
        };
        match filled.split('.').all(is_label) && filled.len() <= 190 {
            true => Ok(pattern),
            false => Err(PatternError::NoSelector(text.into())),
        }
    }
}

impl fmt::Display for SelectorPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SelectorPattern {
    /// The selector for a key that is made at `now`, in seconds since 1970; with `-2`, `-3` … behind it while it
    /// `is_taken`: a selector that was ever used must not be used again while anybody may remember its key.
    pub fn unused(&self, algorithm: Algorithm, now: u64, is_taken: &dyn Fn(&str) -> bool) -> String {
        let plain = self.fill(algorithm, now);
        let numbered = (2u32..).map(|number| format!("{plain}-{number}"));
        let mut candidates = std::iter::once(plain.clone()).chain(numbered);
        candidates.find(|candidate| !is_taken(candidate)).unwrap_or(plain)
    }

    fn fill(&self, algorithm: Algorithm, now: u64) -> String {
        let (year, month, day) = date(now / 86_400);
        let kind = match algorithm {
            Algorithm::Rsa { .. } => "rsa",
            Algorithm::Ed25519 => "ed",
        };
        self.0
            .replace("{year}", &format!("{year:04}"))
            .replace("{month}", &format!("{month:02}"))
            .replace("{day}", &format!("{day:02}"))
            .replace("{alg}", kind)
    }
}

/// Year, month and day of a day since 1970, by the Gregorian calendar: years of 400 are alike, and begun in March the
/// leap day is their last.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march / ERA, from_march % ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, (1970, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (951_868_800, (2000, 3, 1)),
            (1_798_761_599, (2026, 12, 31)),
            (4_107_542_400, (2100, 3, 1)),
        ] {
            assert_eq!(date(seconds / 86_400), expected);
        }
    }

    #[test]
    fn a_selector_is_never_taken_twice() {
        let pattern: SelectorPattern = "{year}{month}-{alg}".parse().unwrap();
        let taken = ["202611-ed", "202611-ed-2"];
        let now = 1_794_000_000;
        assert_eq!(
            pattern.unused(Algorithm::Ed25519, now, &|name| taken.contains(&name)),
            "202611-ed-3"
        );
        assert_eq!(
            pattern.unused(Algorithm::Rsa { bits: 2048 }, now, &|_| false),
            "202611-rsa"
        );
    }

    #[test]
    fn what_makes_no_selector_is_refused() {
        for (text, wanted) in [
            ("{week}", "`{week}` is not known"),
            ("a_b", "makes no selector"),
            ("", "makes no selector"),
            ("-{year}", "makes no selector"),
            ("{year", "`{year}` is not known"),
        ] {
            let error = text.parse::<SelectorPattern>().unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        assert!("s{year}.mail".parse::<SelectorPattern>().is_ok());
    }
}
