//! Colour where it helps and nowhere else.

use std::io::IsTerminal;

/// Paints words for a terminal, or leaves them plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    colour: bool,
}

/// What a word is, and so how it is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// What the eye should find first: the name of a zone.
    Name,
    /// What may be skipped.
    Faint,
    /// A kind of record.
    Kind,
    /// What to do.
    Cure,
    /// A warning.
    Warning,
    /// An error.
    Error,
}

impl Paint {
    /// No colour at all.
    pub const PLAIN: Self = Self { colour: false };
    /// Colour whatever the terminal.
    pub const COLOURED: Self = Self { colour: true };

    /// What standard output deserves: colour only on a terminal that has it and whose owner does not
    /// object by `NO_COLOR` (<https://no-color.org>: set and not empty).
    pub fn for_stdout() -> Self {
        Self::decide(
            std::io::stdout().is_terminal(),
            std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            std::env::var_os("TERM").is_some_and(|term| term == "dumb"),
        )
    }

    fn decide(terminal: bool, objected: bool, dumb: bool) -> Self {
        Self {
            colour: terminal && !objected && !dumb,
        }
    }

    /// `text` in `ink`.
    pub fn paint(self, ink: Ink, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Name => "1",
            Ink::Faint => "2",
            Ink::Kind => "36",
            Ink::Cure => "32",
            Ink::Warning => "1;33",
            Ink::Error => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_a_willing_terminal() {
        assert_eq!(Paint::decide(true, false, false), Paint::COLOURED);
        for (terminal, objected, dumb) in [(false, false, false), (true, true, false), (true, false, true)] {
            assert_eq!(Paint::decide(terminal, objected, dumb), Paint::PLAIN);
        }
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(Paint::PLAIN.paint(Ink::Error, "error"), "error");
        assert_eq!(
            Paint::COLOURED.paint(Ink::Name, "example.org"),
            "\x1b[1mexample.org\x1b[0m"
        );
        assert_eq!(Paint::COLOURED.paint(Ink::Name, ""), "");
    }
}
