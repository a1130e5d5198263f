//! A line of the operator's file, shown with a mark under the place that is meant.
//!
//! Promises that nothing in the file can move the cursor or colour the terminal: every control
//! character is shown as a blank or as `·`. Long lines are cut to a window around the mark.

use std::fmt;

/// How many characters of a line are shown.
const WINDOW: usize = 100;

/// A line and the part of it that is meant. Its display form is two lines without a final newline:
///
/// ```text
///   12 | lisen = ["192.0.2.1:53"]
///      | ^^^^^
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    number: u32,
    text: String,
    mark: Option<Mark>,
}

/// Blanks before the mark and its width, in characters of the shown text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    start: usize,
    width: usize,
}

impl Excerpt {
    /// Line `number` (from 1) with the text `line`, of which `width` characters from `column` (from 1)
    /// are meant; no column means the whole line.
    pub fn new(number: u32, line: &str, column: Option<u32>, width: usize) -> Self {
        let chars: Vec<char> = line.trim_end_matches(['\r', '\n']).chars().map(harmless).collect();
        let start = column.map(|column| (column.max(1) as usize - 1).min(chars.len()));
        let first = match start {
            Some(start) if chars.len() > WINDOW => start.saturating_sub(WINDOW / 2),
            _ => 0,
        };
        let mut text: String = chars.iter().skip(first).take(WINDOW).collect();
        if first + WINDOW < chars.len() {
            text.push('…');
        }
        let room = text.chars().count();
        let lead = if first > 0 { "…" } else { "" };
        let mark = start.map(|start| Mark {
            start: start - first + lead.chars().count(),
            width: width.clamp(1, (room + first).saturating_sub(start).max(1)),
        });
        Self {
            number,
            text: format!("{lead}{text}").trim_end().to_owned(),
            mark,
        }
    }

    /// Line `number` (from 1) of `text`, if there is one.
    pub fn of(text: &str, number: u32, column: Option<u32>, width: usize) -> Option<Self> {
        let line = text.split('\n').nth((number as usize).checked_sub(1)?)?;
        Some(Self::new(number, line, column, width))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4} | {}", self.number, self.text)?;
        if let Some(mark) = self.mark {
            write!(
                f,
                "\n     | {:start$}{}",
                "",
                "^".repeat(mark.width),
                start = mark.start
            )?;
        }
        Ok(())
    }
}

/// `text` in one line that a terminal shows as it is.
pub fn printable(text: &str) -> String {
    text.chars().map(harmless).collect()
}

fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        // Right-to-left overrides and their kin reorder what is shown after them.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '·',
        c if c.is_control() => '·',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_the_characters_that_are_meant() {
        let shown = Excerpt::new(3, "wörkers = \"four\"\r\n", Some(11), 6).to_string();
        assert_eq!(shown, "   3 | wörkers = \"four\"\n     |           ^^^^^^");
    }

    #[test]
    fn marks_the_end_of_a_line_that_stops_too_early() {
        let shown = Excerpt::new(1, "listen = ", Some(10), 0).to_string();
        assert_eq!(shown, "   1 | listen =\n     |          ^");
    }

    #[test]
    fn cuts_a_long_line_around_the_mark() {
        let line = format!("{}HERE{}", "a".repeat(5000), "b".repeat(5000));
        let shown = Excerpt::new(1, &line, Some(5001), 4).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].chars().count() < 120, "{shown}");
        let at = lines[1].chars().position(|c| c == '^').unwrap();
        let marked: String = lines[0].chars().skip(at).take(4).collect();
        assert_eq!(marked, "HERE");
    }

    #[test]
    fn lets_no_control_character_through() {
        let shown = Excerpt::new(1, "a\x1b[31m\u{202e}b\tc\u{7}", Some(1), 1).to_string();
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
    }

    #[test]
    fn finds_a_line_by_its_number() {
        assert!(Excerpt::of("a\nb\n", 2, None, 1).unwrap().to_string().ends_with("| b"));
        assert_eq!(Excerpt::of("a\nb\n", 9, None, 1), None);
        assert_eq!(Excerpt::of("a\nb\n", 0, None, 1), None);
    }
}
