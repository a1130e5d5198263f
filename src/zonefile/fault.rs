//! What is wrong at a place of a master file, and the message with the line itself made of it.

use super::lexer::LexError;
use crate::finding::{Finding, Place};
use crate::record::text::write_harmless;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A master file that cannot be taken.
#[derive(Debug)]
pub struct Unreadable {
    /// The first error: file, line and column, what is wrong and how to mend it.
    pub finding: Finding,
    /// The line of the error with its number and a mark below the place, on two lines, ready to be
    /// shown: clipped, with every control character escaped. Empty where no line is meant.
    pub excerpt: String,
    /// Every file that was opened, the faulty one included.
    pub files: Vec<PathBuf>,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.finding)?;
        match self.excerpt.is_empty() {
            true => Ok(()),
            false => write!(f, "\n{}", self.excerpt),
        }
    }
}

impl std::error::Error for Unreadable {}

/// An error before it has its file and line.
#[derive(Debug)]
pub(super) enum Fault {
    /// In the file that is being read.
    Here(Here),
    /// In a file that it includes: finished already.
    Included(Box<Unreadable>),
}

/// An error in the file that is being read.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) code: &'static str,
    /// The offset of the octet that is meant; `None` for the whole file.
    pub(super) at: Option<usize>,
    pub(super) what: String,
    pub(super) cure: String,
}

impl Fault {
    /// A fault in the form of the text at `at`.
    pub(super) fn syntax(at: usize, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::coded("zone-syntax", Some(at), what, cure)
    }

    pub(super) fn coded(
        code: &'static str,
        at: Option<usize>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::Here(Here {
            code,
            at,
            what: what.into(),
            cure: cure.into(),
        })
    }
}

impl From<LexError> for Fault {
    fn from(error: LexError) -> Self {
        match error {
            LexError::OpenQuote { at } => Self::syntax(
                at,
                "the quoted string that starts here has no end on its line",
                "close it with a quote, or write \\\" for a quote inside it",
            ),
            LexError::OpenParenthesis { at } => Self::syntax(
                at,
                "the parenthesis that opens here is never closed",
                "close it behind the last word of the record",
            ),
            LexError::StrayParenthesis { at } => Self::syntax(
                at,
                "a parenthesis closes here and none is open",
                "take it out, or open one on the record's first line",
            ),
        }
    }
}

impl Here {
    /// The message for the operator: `text` is the content of `file`.
    pub(super) fn unreadable(self, file: &Path, text: &[u8], files: Vec<PathBuf>) -> Box<Unreadable> {
        // A key that was named by mistake: none of its lines is shown.
        if contains(text, b"PRIVATE KEY-----") {
            let finding = Finding::error(
                "zone-private-key",
                "the file is a private key, not zone data",
                "name the .txt file with its public half instead",
            );
            return Box::new(Unreadable {
                finding: finding.at(Place::file(file)),
                excerpt: String::new(),
                files,
            });
        }
        let spot = self.at.map(|at| Spot::find(text, at));
        let place = Place {
            file: file.to_owned(),
            line: spot.as_ref().map(|spot| spot.line),
            column: spot.as_ref().map(|spot| spot.column),
        };
        Box::new(Unreadable {
            finding: Finding::error(self.code, self.what, self.cure).at(place),
            excerpt: spot.map(|spot| spot.excerpt()).unwrap_or_default(),
            files,
        })
    }
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

/// An octet of a file by line and column.
struct Spot<'a> {
    line: u32,
    column: u32,
    before: &'a [u8],
    after: &'a [u8],
}

/// How much of a line is shown on either side of the place that is meant, in octets.
const MARGIN: usize = 60;

impl<'a> Spot<'a> {
    fn find(text: &'a [u8], at: usize) -> Self {
        let (before, after) = text.split_at(at.min(text.len()));
        let line = 1 + before.iter().filter(|octet| **octet == b'\n').count();
        let start = before
            .iter()
            .rposition(|octet| *octet == b'\n')
            .map_or(0, |feed| feed + 1);
        let end = after.iter().position(|octet| matches!(octet, b'\n' | b'\r'));
        let before = before.get(start..).unwrap_or_default();
        let before = before.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(before);
        Self {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(1 + String::from_utf8_lossy(before).chars().count()).unwrap_or(u32::MAX),
            before,
            after: after.get(..end.unwrap_or(after.len())).unwrap_or_default(),
        }
    }

    /// Two lines: the line of the file and a mark below the column.
    fn excerpt(&self) -> String {
        let mut shown = String::new();
        let clipped = self.before.len().saturating_sub(MARGIN);
        if clipped > 0 {
            shown.push('…');
        }
        push_harmless(&mut shown, &self.before[clipped..]);
        let mark = shown.chars().count();
        push_harmless(&mut shown, &self.after[..self.after.len().min(MARGIN)]);
        if self.after.len() > MARGIN {
            shown.push('…');
        }
        let number = self.line;
        let gutter = " ".repeat(number.to_string().len());
        format!("  {number} | {}\n  {gutter} | {}^", shown.trim_end(), " ".repeat(mark))
    }
}

/// Appends bytes of a file; what does not print is escaped.
fn push_harmless(shown: &mut String, octets: &[u8]) {
    for chunk in octets.utf8_chunks() {
        for c in chunk.valid().chars() {
            // A String takes everything.
            let _ = write_harmless(shown, c);
        }
        for octet in chunk.invalid() {
            let _ = write!(shown, "\\{octet:03}");
        }
    }
}
