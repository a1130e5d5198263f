//! Findings: what an operator should know about his input, with the cure.
//!
//! Readers and composers return findings beside their result instead of logging: the edges decide
//! how to show them. A finding that cost something (a record left out, a file not taken) is an
//! [`Severity::Error`]; one that will hurt mail or resolvers is a [`Severity::Warning`]; one that
//! merely tells what was decided is a [`Severity::Note`].

use std::fmt;
use std::path::PathBuf;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something was decided or mended; nothing needs doing.
    Note,
    /// It is served, but it will hurt.
    Warning,
    /// It is not served, or an older version of it is.
    Error,
}

/// Where in the operator's files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, where one can be named.
    pub line: Option<u32>,
    /// The column in characters, from 1, where one can be named.
    pub column: Option<u32>,
}

/// One thing an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A stable kebab-case code such as `dkim-key-short`, listed in docs/errors.md.
    pub code: &'static str,
    /// Where it is, if it is in a file.
    pub place: Option<Place>,
    /// What is the matter, one sentence without a final full stop.
    pub what: String,
    /// What to do about it, one sentence without a final full stop; empty for a note.
    pub cure: String,
}

impl Place {
    /// A whole file.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
        }
    }

    /// A line of a file, counted from 1.
    pub fn line(file: impl Into<PathBuf>, line: u32) -> Self {
        Self {
            file: file.into(),
            line: Some(line),
            column: None,
        }
    }
}

impl Finding {
    /// A note: what was decided.
    pub fn note(code: &'static str, what: impl Into<String>) -> Self {
        Self {
            severity: Severity::Note,
            code,
            place: None,
            what: what.into(),
            cure: String::new(),
        }
    }

    /// A warning and its cure.
    pub fn warning(code: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            code,
            place: None,
            what: what.into(),
            cure: cure.into(),
        }
    }

    /// An error and its cure.
    pub fn error(code: &'static str, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place: None,
            what: what.into(),
            cure: cure.into(),
        }
    }

    /// The same finding with `rest` behind its cure.
    #[must_use]
    pub fn and_then_cure(mut self, rest: &str) -> Self {
        if !self.cure.is_empty() {
            self.cure.push_str("; ");
        }
        self.cure.push_str(rest);
        self
    }

    /// The same finding at `place`.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.what)?;
        if !self.cure.is_empty() {
            write!(f, "; {}", self.cure)?;
        }
        Ok(())
    }
}
