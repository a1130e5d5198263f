//! What can be wrong with a configuration file, told so that an operator can mend it.

use super::excerpt::Excerpt;
use crate::finding::{Finding, Place};
use std::fmt;
use std::path::Path;

/// Why a configuration file cannot be used. Shown in one line; [`ConfigError::excerpt`] has the line
/// of the file for those who have room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// What kind of fault it is.
    pub fault: Fault,
    /// The file, and the line and column where they can be named.
    pub place: Option<Place>,
    /// The line itself, where it can be shown. Boxed: errors travel in every `Result`.
    pub excerpt: Option<Box<Excerpt>>,
    /// What is the matter, one sentence without a final full stop.
    pub what: String,
    /// What to do about it, one sentence without a final full stop.
    pub cure: String,
}

/// The kinds of fault, each with a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// No configuration file where one is looked for.
    NotFound,
    /// The file is there but cannot be read.
    Unreadable,
    /// The file is far too large to be a configuration.
    TooLarge,
    /// The bytes are not UTF-8 text.
    NotUtf8,
    /// The text is not TOML; a key that is set twice is one of these.
    Syntax,
    /// A key that nobody knows.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// A value of another type than wanted.
    WrongType,
    /// A value of the right type that cannot be meant.
    BadValue,
}

impl Fault {
    /// Every fault, for documentation.
    pub const ALL: [Self; 9] = [
        Self::NotFound,
        Self::Unreadable,
        Self::TooLarge,
        Self::NotUtf8,
        Self::Syntax,
        Self::UnknownKey,
        Self::MissingKey,
        Self::WrongType,
        Self::BadValue,
    ];

    /// The stable code, as in docs/errors.md.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotFound => "config-not-found",
            Self::Unreadable => "config-unreadable",
            Self::TooLarge => "config-too-large",
            Self::NotUtf8 => "config-not-utf8",
            Self::Syntax => "config-syntax",
            Self::UnknownKey => "config-unknown-key",
            Self::MissingKey => "config-missing-key",
            Self::WrongType => "config-wrong-type",
            Self::BadValue => "config-bad-value",
        }
    }
}

impl ConfigError {
    /// A fault of a whole file.
    pub(super) fn of_file(fault: Fault, path: &Path, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            fault,
            place: Some(Place::file(path)),
            excerpt: None,
            what: what.into(),
            cure: cure.into(),
        }
    }

    /// The same as a finding, for `check` and the report at start.
    pub fn finding(&self) -> Finding {
        let finding = Finding::error(self.fault.code(), self.what.clone(), self.cure.clone());
        match &self.place {
            Some(place) => finding.at(place.clone()),
            None => finding,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding().fmt(f)
    }
}
