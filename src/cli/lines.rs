//! The line of a file that a finding is about, to be shown with it.
//!
//! A finding may be about a key file, and reports end up in logs and tickets. So no line is given
//! away that stands in a PEM block of a private key or names one, and in any other line every long
//! run of base64 is masked: it could be a key in a KeyTable (which may hold one inline).

use crate::finding::Place;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

/// The most octets of one line that are looked at.
const LINE_MAX: u64 = 64 * 1024;
/// A run of base64 at least this long is masked; labels and texts are shorter.
const SECRET_RUN: usize = 40;
/// What is left of a masked run, enough to find it again.
const SHOWN_OF_RUN: usize = 8;

/// Reads lines from disk. Cheap when asked in the order of files and lines.
#[derive(Debug, Default)]
pub struct Lines {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    reader: BufReader<File>,
    /// The number of the line read last.
    number: u32,
    in_private_key: bool,
}

impl Lines {
    /// The line at `place`; `None` if it has no line, cannot be read, or must not be shown.
    pub fn get(&mut self, place: &Place) -> Option<String> {
        let wanted = place.line?;
        let open = self
            .open
            .take()
            .filter(|open| open.path == place.file && open.number < wanted);
        let mut open = match open {
            Some(open) => open,
            None => Open::new(place)?,
        };
        let mut found = None;
        while open.number < wanted {
            found = open.next()?;
        }
        self.open = Some(open);
        found.map(|line| masked(&line))
    }
}

impl Open {
    fn new(place: &Place) -> Option<Self> {
        // A pipe or a device would keep us waiting.
        if !place.file.metadata().ok()?.is_file() {
            return None;
        }
        Some(Self {
            path: place.file.clone(),
            reader: BufReader::new(File::open(&place.file).ok()?),
            number: 0,
            in_private_key: false,
        })
    }

    /// The next line, `Some(None)` if it must not be shown, `None` at the end of the file.
    #[expect(
        clippy::option_option,
        reason = "the end of the file is another thing than a hidden line"
    )]
    fn next(&mut self) -> Option<Option<String>> {
        let mut octets = Vec::new();
        let read = self
            .reader
            .by_ref()
            .take(LINE_MAX)
            .read_until(b'\n', &mut octets)
            .ok()?;
        if read == 0 {
            return None;
        }
        if octets.last() != Some(&b'\n') {
            self.reader.skip_until(b'\n').ok()?;
        }
        self.number += 1;
        let line = String::from_utf8_lossy(&octets);
        let line = line.trim_end_matches(['\r', '\n']);
        let names_one = line.contains("PRIVATE KEY");
        if names_one {
            self.in_private_key = line.contains("BEGIN") && !line.contains("END ");
        }
        Some((!names_one && !self.in_private_key).then(|| line.to_owned()))
    }
}

/// Long runs of base64 made unreadable, every other character and every column kept.
fn masked(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    let mut shown = String::with_capacity(line.len());
    let mut at = 0;
    while at < chars.len() {
        let run = chars[at..].iter().take_while(|c| is_base64(**c)).count();
        let masked_from = if run >= SECRET_RUN { SHOWN_OF_RUN } else { run };
        shown.extend(&chars[at..at + masked_from]);
        shown.extend(std::iter::repeat_n('·', run - masked_from));
        at += run;
        if let Some(other) = chars.get(at) {
            shown.push(*other);
            at += 1;
        }
    }
    shown
}

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[test]
    fn finds_lines_forwards_and_backwards() {
        let (_dir, path) = file("one\ntwo\r\nthree");
        let mut lines = Lines::default();
        let mut get = |number| lines.get(&Place::line(&path, number));
        assert_eq!(get(2).as_deref(), Some("two"));
        assert_eq!(get(3).as_deref(), Some("three"));
        assert_eq!(get(1).as_deref(), Some("one"));
        assert_eq!(get(4), None);
        assert_eq!(lines.get(&Place::file(&path)), None);
        assert_eq!(lines.get(&Place::line("/nonexistent", 1)), None);
        assert_eq!(lines.get(&Place::line("/dev/zero", 1)), None);
    }

    #[test]
    fn shows_no_line_of_a_private_key() {
        let (_dir, path) = file("# key\n-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\nafter\n");
        let mut lines = Lines::default();
        let shown: Vec<_> = (1..=5).map(|number| lines.get(&Place::line(&path, number))).collect();
        assert_eq!(shown, [Some("# key".into()), None, None, None, Some("after".into())]);
    }

    #[test]
    fn masks_what_could_be_a_key_and_keeps_columns() {
        let inline = format!("name example.org:mail:{}", "A".repeat(64));
        let (_dir, path) = file(&inline);
        let shown = Lines::default().get(&Place::line(&path, 1)).unwrap();
        assert_eq!(shown, format!("name example.org:mail:AAAAAAAA{}", "·".repeat(56)));
        assert_eq!(shown.chars().count(), inline.chars().count());
    }

    #[test]
    fn survives_a_line_without_an_end() {
        let (_dir, path) = file(&format!("{}\nnext\n", "x ".repeat(1 << 20)));
        let mut lines = Lines::default();
        assert!(lines.get(&Place::line(&path, 1)).unwrap().len() <= 64 * 1024);
        assert_eq!(lines.get(&Place::line(&path, 2)).as_deref(), Some("next"));
    }
}
