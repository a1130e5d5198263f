//! One finding as a person reads it, and text filled into lines.

use super::paint::{Ink, Paint};
use crate::config::printable;
use crate::finding::{Finding, Severity};

/// Lines are filled up to here, in characters.
pub(super) const LINE: usize = 100;

/// The word for a severity.
pub fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// How a severity is painted.
pub(super) fn ink(severity: Severity) -> Ink {
    match severity {
        Severity::Note => Ink::Faint,
        Severity::Warning => Ink::Warning,
        Severity::Error => Ink::Error,
    }
}

/// A finding in labelled lines, the labels to the left of a common edge:
///
/// ```text
///   warning  the key has 1024 bits [dkim-key-short]
///        at  keys/example.org/mail
///      cure  make a key of 2048 bits
/// ```
pub(super) fn labelled(finding: &Finding, paint: Paint) -> String {
    let severity = word(finding.severity);
    let what = format!("{} [{}]", finding.what, finding.code);
    let mut text = line(paint, ink(finding.severity), severity, &what);
    if let Some(place) = &finding.place {
        text += &line(paint, Ink::Faint, "at", &place.to_string());
    }
    if !finding.cure.is_empty() {
        text += &line(paint, Ink::Cure, "cure", &finding.cure);
    }
    text
}

fn line(paint: Paint, ink: Ink, label: &str, text: &str) -> String {
    const EDGE: usize = 9;
    let blank = " ".repeat(EDGE.saturating_sub(label.len()));
    let filled = fill(&printable(text), LINE - EDGE - 2, EDGE + 2);
    format!("{blank}{}  {filled}\n", paint.paint(ink, label))
}

/// `text` broken between words into lines of at most `width` characters (a longer word keeps its own
/// line), all but the first indented by `indent`.
pub(super) fn fill(text: &str, width: usize, indent: usize) -> String {
    let mut filled = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let len = word.chars().count();
        if used > 0 && used + 1 + len > width {
            filled.push('\n');
            filled.push_str(&" ".repeat(indent));
            used = 0;
        }
        if used > 0 {
            filled.push(' ');
            used += 1;
        }
        filled.push_str(word);
        used += len;
    }
    filled
}

/// `1 zone`, `2 zones`.
pub(super) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// How many of these are errors, and how many warnings.
pub(super) fn severities<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> (usize, usize) {
    let (mut errors, mut warnings) = (0, 0);
    for finding in findings {
        match finding.severity {
            Severity::Error => errors += 1,
            Severity::Warning => warnings += 1,
            Severity::Note => {}
        }
    }
    (errors, warnings)
}

/// `2 errors, 1 warning`; empty when there is neither.
pub(super) fn tally(errors: usize, warnings: usize) -> String {
    let parts = [(errors, "error"), (warnings, "warning")];
    let parts = parts.iter().filter(|(number, _)| *number > 0);
    parts
        .map(|(number, one)| count(*number, one))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_lines_and_keeps_long_words_whole() {
        let filled = fill("one two  three abcdefghijklmnop four", 8, 2);
        assert_eq!(filled, "one two\n  three\n  abcdefghijklmnop\n  four");
        assert_eq!(fill("", 8, 2), "");
    }

    #[test]
    fn no_finding_can_paint_the_terminal() {
        let finding = Finding::error("code", "a \x1b[31m red\nlie", "b\r");
        let text = labelled(&finding, Paint::PLAIN);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert_eq!(text.lines().count(), 2);
    }
}
