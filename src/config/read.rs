//! From TOML text to values, and from what the TOML reader says to advice.
//!
//! Serde names the fault in a sentence and by a span of bytes; the span is looked up in the parsed
//! document to learn which key it is, and the key in [`super::options`] to say what it wants. Nothing
//! depends on serde's wording for correctness: a sentence that is not recognised is shown as it is.

use super::error::{ConfigError, Fault};
use super::excerpt::Excerpt;
use super::options;
use crate::finding::Place;
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The most octets a configuration file may have. Far above any real one.
pub(super) const MAX_LEN: usize = 1 << 20;

/// A file's text. Documents of two files can be merged, so each has its own range of positions:
/// position `start` is the first octet of `text`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) start: usize,
}

/// Which file is read: it decides which advice fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `signpost.toml`.
    Server,
    /// `zones/NAME.toml`.
    Zone,
}

/// Parses one file, positions counted from 0.
pub(super) fn document<'t>(path: &Path, text: &'t str) -> Result<Spanned<DeTable<'t>>, ConfigError> {
    if text.len() > MAX_LEN {
        return Err(ConfigError::of_file(
            Fault::TooLarge,
            path,
            format!("{} octets are too many for a configuration file", text.len()),
            format!("keep it below {MAX_LEN} octets; is this the right file?"),
        ));
    }
    let source = Source { path, text, start: 0 };
    DeTable::parse(text).map_err(|error| {
        let message = error.message().to_owned();
        let cure = match message.as_str() {
            "duplicate key" => "keep one of the two",
            m if m.contains("quoted") => "put the value in double quotes",
            m if m.contains("key with no value") => "write `key = value`, texts in double quotes",
            _ => "mend the TOML here: texts stand in double quotes, lists in brackets",
        };
        let what = match message.as_str() {
            "duplicate key" => "this key is set twice".to_owned(),
            _ => format!("this is not TOML: {message}"),
        };
        source.error(Fault::Syntax, error.span(), what, cure)
    })
}

/// Reads `root` as a `T`. `sources` are the files that `root` was made of, the one to blame when
/// no position is known last.
pub(super) fn read<T: DeserializeOwned>(
    root: &Spanned<DeTable<'_>>,
    kind: Kind,
    sources: &[Source<'_>],
) -> Result<T, ConfigError> {
    T::deserialize(toml::Deserializer::from(root.clone())).map_err(|error| {
        let key = error.span().and_then(|span| key_at(root.get_ref(), &span));
        let advice = advise(error.message(), key.as_deref(), kind);
        let blamed = error
            .span()
            .and_then(|span| sources.iter().rfind(|source| source.start <= span.start))
            .or(sources.last());
        match blamed {
            Some(source) => source.error(advice.fault, error.span(), advice.what, advice.cure),
            None => ConfigError {
                fault: advice.fault,
                place: None,
                excerpt: None,
                what: advice.what,
                cure: advice.cure,
            },
        }
    })
}

/// The words a table of type `T` knows, learned by asking it for one it cannot know.
fn words_of<T: DeserializeOwned>() -> Vec<String> {
    match toml::from_str::<T>("\"?\" = 0") {
        Ok(_) => vec![],
        Err(error) => quoted_words(error.message().split_once(", expected ").map_or("", |(_, list)| list)),
    }
}

impl Source<'_> {
    fn error(
        &self,
        fault: Fault,
        span: Option<Range<usize>>,
        what: impl Into<String>,
        cure: impl Into<String>,
    ) -> ConfigError {
        let mut error = ConfigError::of_file(fault, self.path, what, cure);
        if let Some(span) = span {
            let (line, column) = self.position(span.start);
            let width = self
                .text
                .get(span.start.saturating_sub(self.start)..span.end.saturating_sub(self.start))
                .map_or(1, |meant| meant.lines().next().unwrap_or("").chars().count());
            error.place = Some(Place {
                column: Some(column),
                ..Place::line(self.path, line)
            });
            error.excerpt = Excerpt::of(self.text, line, Some(column), width).map(Box::new);
        }
        error
    }

    /// The line of a key at the top of the file.
    pub(super) fn place_of(&self, document: &Spanned<DeTable<'_>>, key: &str) -> Place {
        match document.get_ref().get_key_value(key) {
            Some((key, _)) => Place::line(self.path, self.position(key.span().start).0),
            None => Place::file(self.path),
        }
    }

    /// Line and column in characters, both from 1.
    fn position(&self, at: usize) -> (u32, u32) {
        let mut at = at.saturating_sub(self.start).min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&octet| octet == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        (
            u32::try_from(line).unwrap_or(u32::MAX),
            u32::try_from(column).unwrap_or(u32::MAX),
        )
    }
}

/// The key, with its tables in front, whose name or value is the smallest around `span`.
fn key_at(root: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    search_table(root, &mut Vec::new(), span, &mut best);
    best.map(|(_, key)| key)
}

fn search_table<'a>(
    table: &'a DeTable<'_>,
    path: &mut Vec<&'a str>,
    span: &Range<usize>,
    best: &mut Option<(usize, String)>,
) {
    for (key, value) in table {
        path.push(key.get_ref());
        keep_smaller(&key.span(), path, span, best);
        search_value(value, path, span, best);
        path.pop();
    }
}

fn search_value<'a>(
    value: &'a Spanned<DeValue<'_>>,
    path: &mut Vec<&'a str>,
    span: &Range<usize>,
    best: &mut Option<(usize, String)>,
) {
    keep_smaller(&value.span(), path, span, best);
    match value.get_ref() {
        DeValue::Table(table) => search_table(table, path, span, best),
        DeValue::Array(array) => array.iter().for_each(|element| search_value(element, path, span, best)),
        _ => {}
    }
}

fn keep_smaller(candidate: &Range<usize>, path: &[&str], span: &Range<usize>, best: &mut Option<(usize, String)>) {
    if candidate.start <= span.start && span.end <= candidate.end {
        let size = candidate.len();
        if best.as_ref().is_none_or(|(smallest, _)| size < *smallest) {
            *best = Some((size, path.join(".")));
        }
    }
}

/// What to tell the operator.
struct Advice {
    fault: Fault,
    what: String,
    cure: String,
}

/// Turns a sentence of serde's, or a `what; cure` of our own, into advice about `key`.
fn advise(message: &str, key: Option<&str>, kind: Kind) -> Advice {
    let (subject, row) = (
        key.map_or_else(|| "this".to_owned(), |key| format!("`{key}`")),
        key.and_then(options::row),
    );
    if let Some((word, known)) = unknown(message, "unknown field `") {
        // The TOML reader shows a date as a table with a key of its own.
        if word.starts_with("$__toml_private") {
            return Advice {
                fault: Fault::WrongType,
                what: format!(
                    "{subject} wants {}, not a date",
                    row.map_or("another value", |row| row.wants)
                ),
                cure: row.map_or_else(|| "put a text in double quotes".to_owned(), example),
            };
        }
        return unknown_key(word, known, key, kind);
    }
    if let Some((word, known)) = unknown(message, "unknown variant `") {
        return unknown_word(word, &known, key);
    }
    if let Some((word, _)) = parts(message, "missing field `", "`") {
        let table = key.map(|key| format!(" in [{key}]")).unwrap_or_default();
        return Advice {
            fault: Fault::MissingKey,
            what: format!("`{word}` is missing{table}"),
            cure: match key.and_then(|table| options::row(&format!("{table}.{word}"))) {
                Some(row) => format!("add a line such as `{}`", row.example),
                None => format!("add a line `{word} = …`"),
            },
        };
    }
    for prefix in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some((got, expected)) = parts(message, prefix, ", expected ") {
            // Serde names a table by the Rust type it becomes.
            let table = expected.starts_with("struct ");
            let expected = if table { "a table" } else { expected };
            let wants = row.map_or(expected, |row| row.wants);
            return Advice {
                fault: Fault::WrongType,
                what: format!("{subject} wants {wants}, not {}", in_plain_words(got)),
                cure: match (row, key) {
                    (Some(row), _) => example(row),
                    (None, Some(key)) if table => format!("write `[{key}]` and its keys below it"),
                    _ => format!("write {expected}"),
                },
            };
        }
    }
    // The TOML reader's own words for something that cannot be one word out of several.
    if let (true, Some(row)) = (message.starts_with("wanted "), row) {
        return Advice {
            fault: Fault::WrongType,
            what: format!("{subject} wants {}", row.wants),
            cure: example(row),
        };
    }
    if message.starts_with("data did not match any variant") {
        return Advice {
            fault: Fault::WrongType,
            what: format!("{subject} has none of the forms it can have"),
            cure: "see signpost.toml(5) for its forms".to_owned(),
        };
    }
    let (what, cure) = what_and_cure(message);
    Advice {
        fault: Fault::BadValue,
        what: format!("{subject}: {what}"),
        cure: match (cure, row) {
            ("", Some(row)) => example(row),
            ("", None) => "see signpost.toml(5)".to_owned(),
            (cure, _) => cure.to_owned(),
        },
    }
}

/// Takes `what; cure` apart at the first semicolon that is not part of something quoted.
fn what_and_cure(message: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, c) in message.char_indices() {
        match (quote, c) {
            (None, '"' | '`') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ';') if message[at..].starts_with("; ") => return (&message[..at], &message[at + 2..]),
            _ => {}
        }
    }
    (message, "")
}

fn unknown_key(word: &str, known: Vec<String>, key: Option<&str>, kind: Kind) -> Advice {
    let table = key.and_then(|key| key.strip_suffix(word)?.strip_suffix('.'));
    let what = match table {
        Some(table) => format!("there is no key `{word}` in [{table}]"),
        None => format!("there is no key `{word}`"),
    };
    let cure = if kind == Kind::Server && table.is_none() && word == "zone" {
        "it belongs to a zone without a zone file: write it into the NAME.toml of that zone".to_owned()
    } else if let Some(near) = nearest(word, &known) {
        format!("did you mean `{near}`?")
    } else if options::is_top_level(word) {
        match kind {
            Kind::Zone if word != "mail" => format!("`{word}` is for the whole server: set it in signpost.toml"),
            // TOML gives every line after a [table] to that table.
            _ => format!("move `{word}` up, above the first line in brackets"),
        }
    } else if table.is_none() && words_of::<crate::mail::MailPolicy>().iter().any(|mail| mail == word) {
        format!("it belongs to the mail policy: write `[mail.{word}]` or put it below `[mail]`")
    } else if known.is_empty() {
        "remove it: nothing can be set here".to_owned()
    } else {
        format!("the known ones are {}", list(&known))
    };
    Advice {
        fault: Fault::UnknownKey,
        what,
        cure,
    }
}

fn unknown_word(word: &str, known: &[String], key: Option<&str>) -> Advice {
    Advice {
        fault: Fault::BadValue,
        what: match key {
            Some(key) => format!("`{key}` cannot be \"{word}\""),
            None => format!("\"{word}\" is not known here"),
        },
        cure: match nearest(word, known) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("the known ones are {}", list(known)),
        },
    }
}

/// The unknown word and the known ones.
fn unknown<'m>(message: &'m str, head: &str) -> Option<(&'m str, Vec<String>)> {
    let (word, known) = parts(message, head, "`, expected ").or_else(|| parts(message, head, "`, there are no "))?;
    Some((word, quoted_words(known)))
}

/// `rest` and `tail` of `head rest middle tail`. The last `middle` counts: what stands before it
/// may be the operator's own word, with anything in it.
fn parts<'m>(message: &'m str, head: &str, middle: &str) -> Option<(&'m str, &'m str)> {
    let rest = message.strip_prefix(head)?;
    let at = rest.rfind(middle)?;
    Some((&rest[..at], &rest[at + middle.len()..]))
}

/// The words between backquotes: serde lists what it knows as "one of `a`, `b`".
fn quoted_words(list: &str) -> Vec<String> {
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The known word that `word` was probably meant to be: one or two slips away, or a part of it.
fn nearest<'k>(word: &str, known: &'k [String]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let slips = (word.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate.as_str()))
        .filter(|&(distance, candidate)| {
            distance <= slips || (word.len() >= 4 && (candidate.contains(&word) || word.contains(candidate)))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

fn example(row: &options::OptionRow) -> String {
    format!("write for example `{}`", row.example)
}

fn list(words: &[String]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What serde calls a value, in words for people.
fn in_plain_words(got: &str) -> String {
    match got.split_once(' ') {
        Some(("string", text)) => format!("the text {text}"),
        Some(("integer", number)) => format!("the number {}", number.trim_matches('`')),
        Some(("boolean", word)) => word.trim_matches('`').to_owned(),
        Some(("floating", number)) => format!("the number {}", number.trim_start_matches("point ").trim_matches('`')),
        _ => match got {
            "sequence" => "a list".to_owned(),
            "map" => "a table".to_owned(),
            other => other.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_in_quotes_does_not_part_what_from_cure() {
        for (message, expected) in [
            ("it is wrong; mend it", ("it is wrong", "mend it")),
            ("as in \"t=y; o=-;\" (RFC 4870)", ("as in \"t=y; o=-;\" (RFC 4870)", "")),
            (
                "begins with `v=DMARC1; `; write it; so",
                ("begins with `v=DMARC1; `", "write it; so"),
            ),
            ("an open \"quote; stays whole", ("an open \"quote; stays whole", "")),
        ] {
            assert_eq!(what_and_cure(message), expected);
        }
    }

    #[test]
    fn the_operators_own_word_may_hold_anything() {
        let (word, known) = unknown(
            "unknown field `a`, expected `b`, expected one of `c`, `d`",
            "unknown field `",
        )
        .unwrap();
        assert_eq!((word, known), ("a`, expected `b", vec!["c".to_owned(), "d".to_owned()]));
        let (word, known) = unknown("unknown field `x`, there are no fields", "unknown field `").unwrap();
        assert_eq!((word, known), ("x", vec![]));
    }

    #[test]
    fn a_word_far_from_all_is_near_to_none() {
        let known = ["listen".to_owned(), "zones".to_owned()];
        assert_eq!(nearest("Listen", &known), Some("listen"));
        assert_eq!(nearest("zone", &known), Some("zones"));
        assert_eq!(nearest("quit", &known), None);
        assert_eq!(nearest("", &known), None);
    }
}
