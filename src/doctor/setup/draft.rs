//! A file as it is, and as it is to be: lines replaced, taken out and added, all others octet for octet.

use super::SetupError;
use crate::doctor::machine::Machine;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// A file that is to change.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The machine's name of it.
    pub(super) path: PathBuf,
    /// As it was when the draft was begun; `None` if it was not there.
    pub(super) old: Option<Vec<u8>>,
    lines: Vec<Vec<u8>>,
    edits: Vec<Edit>,
    /// New lines, each behind the old one of this number.
    inserted: Vec<(u32, String)>,
    added: Vec<String>,
}

/// Lines of the old file, from 1, and what comes in their place. Comments and blank lines between them stay.
#[derive(Debug, Clone)]
struct Edit {
    lines: RangeInclusive<u32>,
    new: Option<String>,
}

impl Edit {
    fn takes(&self, number: u32, line: &[u8]) -> bool {
        let line = line.trim_ascii();
        self.lines.contains(&number) && (*self.lines.start() == number || !(line.is_empty() || line.starts_with(b"#")))
    }
}

impl Draft {
    pub(super) fn of(machine: &Machine, path: &Path) -> Result<Self, SetupError> {
        let old = match machine.read(path) {
            Ok(content) => Some(content.to_vec()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let path = path.to_owned();
                return Err(SetupError::Unreadable { path, error });
            }
        };
        let lines = old.as_deref().map(lines).unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            old,
            lines,
            edits: vec![],
            inserted: vec![],
            added: vec![],
        })
    }

    pub(super) fn is_new(&self) -> bool {
        self.old.is_none()
    }

    pub(super) fn is_changed(&self) -> bool {
        let is_edited = !self.edits.is_empty() || !self.inserted.is_empty() || !self.added.is_empty();
        is_edited && self.old.as_ref() != Some(&self.content())
    }

    /// Puts `new` in the place of lines of the old file.
    pub(super) fn replace(&mut self, lines: RangeInclusive<u32>, new: impl Into<String>) {
        let new = Some(new.into());
        self.edits.push(Edit { lines, new });
    }

    pub(super) fn remove(&mut self, lines: RangeInclusive<u32>) {
        self.edits.push(Edit { lines, new: None });
    }

    /// Puts a line behind the one of this number; 0 is before the first.
    pub(super) fn insert_behind(&mut self, line: u32, new: impl Into<String>) {
        match (line as usize) < self.lines.len() {
            true => self.inserted.push((line, new.into())),
            false => self.add(new),
        }
    }

    /// Adds a line at the end.
    pub(super) fn add(&mut self, line: impl Into<String>) {
        self.added.push(line.into());
    }

    /// The file as it is to be.
    pub(super) fn content(&self) -> Vec<u8> {
        let mut content = vec![];
        let mut put = |line: &[u8]| {
            content.extend_from_slice(line);
            content.push(b'\n');
        };
        let inserted = |behind: u32| self.inserted.iter().filter(move |(line, _)| *line == behind);
        inserted(0).for_each(|(_, new)| put(new.as_bytes()));
        for (number, line) in (1u32..).zip(&self.lines) {
            match self.edits.iter().find(|edit| edit.takes(number, line)) {
                None => put(line),
                Some(Edit { lines, new: Some(new) }) if *lines.start() == number => put(new.as_bytes()),
                Some(_) => {}
            }
            inserted(number).for_each(|(_, new)| put(new.as_bytes()));
        }
        for line in &self.added {
            put(line.as_bytes());
        }
        content
    }
}

/// As `diff` would: the file, then what goes and what comes, with the number of the old line.
impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let new = if self.is_new() { " (new)" } else { "" };
        writeln!(f, "{}{new}", self.path.display())?;
        let mut edits: Vec<&Edit> = self.edits.iter().collect();
        edits.sort_by_key(|edit| *edit.lines.start());
        for edit in edits {
            for number in edit.lines.clone() {
                let line = self.lines.get(number.saturating_sub(1) as usize);
                let Some(line) = line.filter(|line| edit.takes(number, line)) else {
                    continue;
                };
                let line = String::from_utf8_lossy(line);
                writeln!(f, "{number:5} - {}", crate::config::printable(&line))?;
            }
            if let Some(new) = &edit.new {
                writeln!(f, "{:5} + {new}", edit.lines.start())?;
            }
        }
        for (behind, line) in &self.inserted {
            writeln!(f, "{:5} + {line}", behind + 1)?;
        }
        for line in &self.added {
            writeln!(f, "      + {line}")?;
        }
        Ok(())
    }
}

fn lines(content: &[u8]) -> Vec<Vec<u8>> {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    if content.is_empty() {
        return vec![];
    }
    content.split(|&octet| octet == b'\n').map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(old: &[u8]) -> Draft {
        Draft {
            path: "/etc/x".into(),
            old: Some(old.to_vec()),
            lines: lines(old),
            edits: vec![],
            inserted: vec![],
            added: vec![],
        }
    }

    #[test]
    fn new_lines_stand_where_they_are_put() {
        let mut draft = draft(b"a\nb\n");
        draft.insert_behind(0, "0");
        draft.insert_behind(1, "1");
        draft.insert_behind(1, "2");
        draft.insert_behind(2, "3");
        assert_eq!(draft.content(), b"0\na\n1\n2\nb\n3\n");
        assert_eq!(
            draft.to_string(),
            "/etc/x\n    1 + 0\n    2 + 1\n    2 + 2\n      + 3\n"
        );
    }

    #[test]
    fn a_line_in_the_place_of_the_same_changes_nothing() {
        let mut draft = draft(b"a\nb\n");
        draft.replace(2..=2, "b");
        assert!(!draft.is_changed());
        draft.replace(1..=1, "b");
        assert!(draft.is_changed());
    }

    #[test]
    fn what_is_not_edited_stays_octet_for_octet() {
        let old = b"# \xe9t\xe9\r\na\nb\n # why\n\n c\nd";
        assert!(!draft(old).is_changed());
        assert_eq!(draft(old).content(), [&old[..], b"\n"].concat());
        let mut draft = draft(old);
        draft.replace(3..=6, "B");
        draft.remove(2..=2);
        draft.add("e");
        assert_eq!(draft.content(), b"# \xe9t\xe9\r\nB\n # why\n\nd\ne\n");
        assert_eq!(
            draft.to_string(),
            "/etc/x\n    2 - a\n    3 - b\n    6 -  c\n    3 + B\n      + e\n"
        );
    }
}
