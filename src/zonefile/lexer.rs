//! Bytes of a master file to entries: the words of one record or directive (RFC 1035 §5.1).
//!
//! One pass, nothing copied: words are slices of the file. An entry ends with its line unless a
//! parenthesis is open. Comments go from `;` to the end of the line, a quoted string may not go past
//! it; a carriage return counts as a blank before a line feed and as the end of a line elsewhere.

use crate::record::text::Token;

/// Takes entries off a file one after the other.
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
}

/// One record or directive. Made once and filled again for every entry.
#[derive(Default)]
pub(super) struct Entry<'a> {
    /// Its words; at least one.
    pub(super) tokens: Vec<Token<'a>>,
    /// Where in the file each word starts, its quote included.
    pub(super) starts: Vec<usize>,
    /// Where in the file the entry ends.
    pub(super) end: usize,
    /// The line of its first word, from 1.
    pub(super) line: u32,
    /// Does its line start with a blank, so that the owner before is meant?
    pub(super) indented: bool,
}

impl Entry<'_> {
    /// An empty one with room for the words of most entries.
    pub(super) fn with_room() -> Self {
        Self {
            tokens: Vec::with_capacity(16),
            starts: Vec::with_capacity(16),
            ..Self::default()
        }
    }
}

/// What is wrong with the bytes themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LexError {
    /// A quote with no other on its line.
    OpenQuote { at: usize },
    /// A parenthesis that is never closed.
    OpenParenthesis { at: usize },
    /// A closing parenthesis with none open.
    StrayParenthesis { at: usize },
}

/// Is the octet part of a word? Indexed by the octet.
const IN_WORD: [bool; 256] = {
    let mut table = [true; 256];
    let mut specials: &[u8] = b" \t\r\n;()\"";
    while let [special, rest @ ..] = specials {
        table[*special as usize] = false;
        specials = rest;
    }
    table
};

impl<'a> Lexer<'a> {
    /// Starts at offset `at`, which is on the first line of `text`.
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at, line: 1 }
    }

    /// Fills `entry` with the next entry; `false` at the end of the file.
    pub(super) fn next(&mut self, entry: &mut Entry<'a>) -> Result<bool, LexError> {
        entry.tokens.clear();
        entry.starts.clear();
        let mut open = Vec::new();
        self.note_indent(entry);
        while let Some(&octet) = self.text.get(self.at) {
            let start = self.at;
            self.at += 1;
            match octet {
                b' ' | b'\t' => continue,
                b'\n' => self.line += 1,
                b'\r' if self.text.get(self.at) == Some(&b'\n') => continue,
                b'\r' => (),
                b';' => {
                    self.skip_comment();
                    continue;
                }
                b'(' => {
                    open.push(start);
                    continue;
                }
                b')' => {
                    open.pop().ok_or(LexError::StrayParenthesis { at: start })?;
                    continue;
                }
                b'"' => {
                    let text = self.quoted().ok_or(LexError::OpenQuote { at: start })?;
                    self.push(entry, text, true, start);
                    continue;
                }
                _ => {
                    let text = self.word(start);
                    self.push(entry, text, false, start);
                    continue;
                }
            }
            // The end of a line.
            if !open.is_empty() {
                continue;
            }
            if !entry.tokens.is_empty() {
                entry.end = start;
                return Ok(true);
            }
            self.note_indent(entry);
        }
        entry.end = self.text.len();
        match open.pop() {
            Some(at) => Err(LexError::OpenParenthesis { at }),
            None => Ok(!entry.tokens.is_empty()),
        }
    }

    fn note_indent(&self, entry: &mut Entry<'a>) {
        entry.indented = matches!(self.text.get(self.at), Some(b' ' | b'\t'));
    }

    fn push(&self, entry: &mut Entry<'a>, text: &'a [u8], quoted: bool, start: usize) {
        if entry.tokens.is_empty() {
            entry.line = self.line;
        }
        entry.tokens.push(Token { text, quoted });
        entry.starts.push(start);
    }

    fn skip_comment(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len());
    }

    /// The word that starts at `start`. A backslash takes the next octet into it, whatever it is but
    /// a line feed.
    fn word(&mut self, start: usize) -> &'a [u8] {
        self.at = start;
        while let Some(&octet) = self.text.get(self.at) {
            if !IN_WORD[usize::from(octet)] {
                break;
            }
            self.at += 1;
            if octet == b'\\' && self.text.get(self.at).is_some_and(|next| *next != b'\n') {
                self.at += 1;
            }
        }
        &self.text[start..self.at]
    }

    /// What stands between the quote before the cursor and the next one; `None` if the line ends first.
    fn quoted(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\n' => return None,
                b'\\' if self.text.get(self.at + 1) != Some(&b'\n') => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(&self.text[start..self.at - 1])
    }
}
