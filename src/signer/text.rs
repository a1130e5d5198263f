//! Lines of tables, changed so that every other byte stays what it was.

use std::ops::Range;

/// A text as its lines, each with its line break.
pub(super) struct Lines {
    lines: Vec<Vec<u8>>,
}

impl Lines {
    pub(super) fn of(text: &[u8]) -> Self {
        Self {
            lines: text
                .split_inclusive(|&octet| octet == b'\n')
                .map(<[u8]>::to_vec)
                .collect(),
        }
    }

    /// The line of a number that counts from 1, as findings have it.
    pub(super) fn line(&self, number: u32) -> &[u8] {
        self.lines.get(index(number)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }

    /// Puts `text` in the place of part of a line.
    pub(super) fn replace(&mut self, number: u32, range: Range<usize>, text: &str) {
        if let Some(line) = self.lines.get_mut(index(number)) {
            line.splice(range, text.bytes());
        }
    }

    /// Puts a row behind the line of this number; 0 is before the first. It ends as the lines around it do.
    pub(super) fn insert_behind(&mut self, number: u32, row: &[u8]) {
        let at = usize::try_from(number).unwrap_or(usize::MAX).min(self.lines.len());
        let model = at.checked_sub(1).or((!self.lines.is_empty()).then_some(0));
        let model = model.and_then(|at| self.lines.get(at));
        let end: &[u8] = match model {
            Some(line) if line.ends_with(b"\r\n") => b"\r\n",
            _ => b"\n",
        };
        if let Some(before) = at.checked_sub(1).and_then(|at| self.lines.get_mut(at))
            && !before.ends_with(b"\n")
        {
            before.extend_from_slice(end);
        }
        self.lines.insert(at, [row.trim_ascii_end(), end].concat());
    }

    pub(super) fn remove(&mut self, number: u32) {
        if index(number) < self.lines.len() {
            self.lines.remove(index(number));
        }
    }

    pub(super) fn into_text(self) -> Vec<u8> {
        self.lines.concat()
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).map_or(usize::MAX, |number| number.wrapping_sub(1))
}

/// Where the first word of a row is, and where the rest, without blanks at its ends and without a comment.
pub(super) fn fields(line: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let end = line.iter().position(|&octet| octet == b'#').unwrap_or(line.len());
    let row = &line[..end];
    let start = row.len() - row.trim_ascii_start().len();
    let end = start + row.trim_ascii().len();
    let first = row[start..end]
        .iter()
        .position(u8::is_ascii_whitespace)
        .map_or(end, |len| start + len);
    let rest = end - row[first..end].trim_ascii_start().len();
    (start < end).then_some((start..first, rest..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_as_its_neighbours_do_and_the_last_line_gets_its_break() {
        let put = |text: &[u8], behind: u32| {
            let mut lines = Lines::of(text);
            lines.insert_behind(behind, b"new");
            String::from_utf8(lines.into_text()).unwrap()
        };
        assert_eq!(put(b"", 0), "new\n");
        assert_eq!(put(b"a\nb", 2), "a\nb\nnew\n");
        assert_eq!(put(b"a\r\nb", 1), "a\r\nnew\r\nb");
        assert_eq!(put(b"a\r\n", 0), "new\r\na\r\n");
    }

    #[test]
    fn fields_are_found_without_blanks_and_comments() {
        let of = |line: &'static str| fields(line.as_bytes()).map(|(first, rest)| (&line[first], &line[rest]));
        assert_eq!(of(" a \t b c # d\r\n"), Some(("a", "b c")));
        assert_eq!(of("a\n"), Some(("a", "")));
        assert_eq!(of(" # a b\n"), None);
        assert_eq!(of("\r\n"), None);
    }
}
