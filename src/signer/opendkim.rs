//! OpenDKIM's KeyTable and SigningTable, changed so that whoever reads them at any moment finds a selector with its own
//! key (opendkim.conf(5)).
//!
//! A row of the KeyTable whose name has the selector in it, as `2026a._domainkey.example.org` has, gets a new row beside
//! it first; then the SigningTable is changed to name that one: between the two, what is signed with is the old row,
//! which is whole. A row of any other name, such as `default`, is changed in its place, by one rename.

use super::error::{Fault, SignerError};
use super::text::{Lines, fields};
use super::{Switch, bare};
use crate::keys::{KeyAt, KeyRow, SigningRow, Table, read_key_table, read_signing_table};
use crate::name::Name;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

/// Both tables, as they were at one moment.
pub(crate) struct Tables<'a> {
    keys: Text<'a, KeyRow>,
    signing: Text<'a, SigningRow>,
    /// The rows of the KeyTable, by their names.
    by_name: HashMap<String, Vec<usize>>,
}

struct Text<'a, Row> {
    file: &'a Path,
    content: &'a [u8],
    table: Table<Row>,
}

impl<'a> Tables<'a> {
    pub(crate) fn read(keys: (&'a Path, &'a [u8]), signing: (&'a Path, &'a [u8])) -> Result<Self, SignerError> {
        for (file, content) in [keys, signing] {
            if content.contains(&0) {
                let what = "it is no text: a data base cannot be rewritten";
                let cure = "use a text file (refile:) in opendkim.conf, or kind = \"hook\" in [[signer]]";
                return Err(SignerError::new(Fault::Table, what, cure).at(file));
            }
        }
        let table = read_key_table(keys.0, keys.1);
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, (_, row)) in table.rows.iter().enumerate() {
            by_name.entry(row.name.clone()).or_default().push(at);
        }
        Ok(Self {
            keys: Text {
                file: keys.0,
                content: keys.1,
                table,
            },
            by_name,
            signing: Text {
                file: signing.0,
                content: signing.1,
                table: read_signing_table(signing.0, signing.1),
            },
        })
    }

    /// The selectors that each domain is signed with.
    pub(super) fn in_use(&self) -> BTreeMap<Name, BTreeSet<String>> {
        let mut found: BTreeMap<Name, BTreeSet<String>> = BTreeMap::new();
        for (_, row) in &self.signing.table.rows {
            for (_, key) in self.keys_of(row) {
                if let Some(domain) = key.domain.as_ref().or(row.domain.as_ref()) {
                    found.entry(domain.clone()).or_default().insert(key.selector.clone());
                }
            }
        }
        found
    }

    /// The KeyTable with a row for the new key.
    pub(super) fn with_key(&self, switch: &Switch<'_>) -> Result<Vec<u8>, SignerError> {
        self.refuse_what_cannot_be_changed(switch.domain)?;
        let (domain, path) = (bare(switch.domain), written_path(switch.key_file)?);
        self.check_new_rows(switch, &path)?;
        let mut lines = Lines::of(self.keys.content);
        let value = |written: &str| format!("{written}:{}:{path}", switch.selector);
        let old = self.rows_to_leave(switch)?;
        // From the end on, so that the numbers of lines before stay true.
        for (line, row) in old.iter().rev() {
            let text = lines.line(*line).to_vec();
            let Some((first, rest)) = fields(&text) else { continue };
            let written = String::from_utf8_lossy(&text[rest.clone()]).into_owned();
            // The type of a data set is let pass by our reader, wherever people copied it to.
            let written = ["refile:", "file:"]
                .iter()
                .find_map(|kind| written.strip_prefix(kind))
                .unwrap_or(&written);
            let written = written.split(':').next().unwrap_or_default().trim();
            match renamed(&row.name, old_selector(switch), switch.selector) {
                None => lines.replace(*line, rest, &value(written)),
                Some(name) if self.is_free(&name, switch)? => {
                    let blank = &text[first.end..rest.start];
                    let row = [&text[..first.start], name.as_bytes(), blank, value(written).as_bytes()].concat();
                    lines.insert_behind(*line, &row);
                }
                Some(_) => {}
            }
        }
        if old.is_empty() && self.new_rows(switch).next().is_none() {
            let name = format!("{}._domainkey.{domain}", switch.selector);
            self.is_free(&name, switch)?;
            let mut from_the_end = self.keys.table.rows.iter().rev();
            let last = from_the_end.find(|(_, row)| row.domain.as_ref() == Some(switch.domain));
            let at = last.map_or(lines.len(), |(line, _)| *line);
            lines.insert_behind(at, format!("{name} {}", value(&domain)).as_bytes());
        }
        Ok(lines.into_text())
    }

    /// The SigningTable that names the new key, which the KeyTable has.
    pub(super) fn with_signing(&self, switch: &Switch<'_>) -> Result<Vec<u8>, SignerError> {
        self.refuse_what_cannot_be_changed(switch.domain)?;
        let mut lines = Lines::of(self.signing.content);
        let old = self.rows_to_leave(switch)?;
        for (_, row) in &old {
            let name = renamed(&row.name, old_selector(switch), switch.selector);
            let Some(name) = name.filter(|name| self.new_rows(switch).any(|(_, row)| row.name == *name)) else {
                return Err(self.gone(switch.selector));
            };
            let naming = self
                .signing
                .table
                .rows
                .iter()
                .filter(|(_, signing)| signing.key_name == row.name);
            for (line, _) in naming {
                let text = lines.line(*line).to_vec();
                if let Some((_, rest)) = fields(&text) {
                    // What follows a colon is the signer, `i=`.
                    let len = text[rest.clone()].iter().take_while(|octet| **octet != b':').count();
                    let len = text[rest.start..rest.start + len].trim_ascii_end().len();
                    lines.replace(*line, rest.start..rest.start + len, &name);
                }
            }
        }
        let new: Vec<&KeyRow> = self.new_rows(switch).map(|(_, row)| row).collect();
        if old.is_empty() && !new.iter().any(|row| self.is_named(row)) {
            let row = new.first().ok_or_else(|| self.gone(switch.selector))?;
            let row = format!("{} {}", self.pattern(switch.domain), row.name);
            lines.insert_behind(self.place_in_signing(switch.domain, lines.len()), row.as_bytes());
        }
        Ok(lines.into_text())
    }

    /// The KeyTable without the rows of a key that nothing is signed with.
    pub(super) fn without_key(&self, domain: &Name, selector: &str) -> Result<Vec<u8>, SignerError> {
        let mut lines = Lines::of(self.keys.content);
        for (line, row) in self.keys.table.rows.iter().rev() {
            if row.domain.as_ref() != Some(domain) || row.selector != selector {
                continue;
            }
            if let Some((line, _)) = self.signing.table.rows.iter().find(|(_, signing)| names(signing, row)) {
                return Err(SignerError::new(
                    Fault::Disagrees,
                    format!("mail of {} is still signed with selector {selector}", bare(domain)),
                    "name another key in this row, or remove it; until then the old key stays",
                )
                .at_line(self.signing.file, *line));
            }
            lines.remove(*line);
        }
        Ok(lines.into_text())
    }

    /// Somebody writes the KeyTable between our two steps.
    fn gone(&self, selector: &str) -> SignerError {
        let what = format!("the row for selector {selector} is gone again");
        SignerError::new(Fault::Busy, what, "let the other program finish; it is tried again").at(self.keys.file)
    }

    fn keys_of(&self, signing: &SigningRow) -> impl Iterator<Item = &(u32, KeyRow)> {
        let rows = self.by_name.get(&signing.key_name).into_iter().flatten();
        rows.filter_map(|&at| self.keys.table.rows.get(at))
    }

    fn is_named(&self, row: &KeyRow) -> bool {
        self.signing.table.rows.iter().any(|(_, signing)| names(signing, row))
    }

    fn of_selector<'s>(&'s self, domain: &'s Name, selector: &'s str) -> impl Iterator<Item = &'s (u32, KeyRow)> {
        let rows = self.keys.table.rows.iter();
        rows.filter(move |(_, row)| row.domain.as_ref() == Some(domain) && row.selector == selector)
    }

    fn new_rows<'s>(&'s self, switch: &'s Switch<'_>) -> impl Iterator<Item = &'s (u32, KeyRow)> {
        self.of_selector(switch.domain, switch.selector)
    }

    /// The rows of the KeyTable that mail is signed with and should not be any more. Fails if it is signed with neither
    /// the old key nor the new one: then somebody else has decided.
    fn rows_to_leave<'s>(&'s self, switch: &'s Switch<'_>) -> Result<Vec<&'s (u32, KeyRow)>, SignerError> {
        let Some(old) = switch.old_selector else {
            return Ok(vec![]);
        };
        let rows: Vec<_> = self
            .of_selector(switch.domain, old)
            .filter(|(_, row)| self.is_named(row))
            .collect();
        if rows.is_empty() && !self.new_rows(switch).any(|(_, row)| self.is_named(row)) {
            let domain = bare(switch.domain);
            let found = self.in_use().remove(switch.domain).unwrap_or_default();
            let found = match found.is_empty() {
                true => "with no key of its own".to_owned(),
                false => format!("with {}", found.into_iter().collect::<Vec<_>>().join(", ")),
            };
            return Err(SignerError::new(
                Fault::Disagrees,
                format!("mail of {domain} is not signed with selector {old} but {found}: somebody else changed it"),
                format!(
                    "have `{}` name a row `NAME {domain}:{old}:/path/to/key` of the KeyTable again",
                    self.pattern(switch.domain)
                ),
            )
            .at(self.signing.file));
        }
        Ok(rows)
    }

    /// Rows that the new selector has already must be of this key.
    fn check_new_rows(&self, switch: &Switch<'_>, path: &str) -> Result<(), SignerError> {
        let other = self.new_rows(switch).find(|(_, row)| match &row.key {
            KeyAt::File(written) => {
                let real = |path: &str| fs::canonicalize(path).ok();
                written != path && (real(path).is_none() || real(written) != real(path))
            }
            KeyAt::Inline(_) => true,
        });
        other.map_or(Ok(()), |(line, _)| {
            Err(SignerError::new(
                Fault::Disagrees,
                format!("selector {} has another key here than {path}", switch.selector),
                format!(
                    "write `{}:{}:{path}`, or remove the row",
                    bare(switch.domain),
                    switch.selector
                ),
            )
            .at_line(self.keys.file, *line))
        })
    }

    /// Is a new row of this name to be made? Not if it is there; it must not be there for another key.
    fn is_free(&self, name: &str, switch: &Switch<'_>) -> Result<bool, SignerError> {
        match self.keys.table.rows.iter().find(|(_, row)| row.name == name) {
            None => Ok(true),
            Some((_, row)) if row.domain.as_ref() == Some(switch.domain) && row.selector == switch.selector => {
                Ok(false)
            }
            Some((line, _)) => Err(SignerError::new(
                Fault::Disagrees,
                format!("the name `{name}`, which the row of the new key gets, is that of another key"),
                "give this row another name, here and in the SigningTable",
            )
            .at_line(self.keys.file, *line)),
        }
    }

    /// Rows that stand for several domains, or hold the key itself, are not ours to change.
    fn refuse_what_cannot_be_changed(&self, domain: &Name) -> Result<(), SignerError> {
        let refuse = |file: &Path, line: u32, what: &str| {
            let domain = bare(domain);
            let cure = format!(
                "write `SELECTOR._domainkey.{domain} {domain}:SELECTOR:/path/to/key` into the KeyTable, and \
                 `*@{domain} SELECTOR._domainkey.{domain}` into the SigningTable"
            );
            Err(SignerError::new(
                Fault::Table,
                format!("mail of {domain} is signed by way of this row, {what}"),
                cure,
            )
            .at_line(file, line))
        };
        let lines = Lines::of(self.signing.content);
        for (line, row) in &self.signing.table.rows {
            let is_own = row.domain.as_ref() == Some(domain);
            let text = lines.line(*line);
            if is_own && fields(text).is_some_and(|(_, name)| text[name].contains(&b'%')) {
                return refuse(self.signing.file, *line, "whose % stands for many domains");
            }
            let is_broken = |(_, name): &&(u32, String)| is_own && *name == row.key_name;
            if let Some((line, _)) = self.keys.table.broken.iter().find(is_broken) {
                return refuse(self.keys.file, *line, "which cannot be read");
            }
            // Somebody is in the middle of changing both tables.
            if is_own && self.keys_of(row).next().is_none() {
                return refuse(self.signing.file, *line, "whose key is not in the KeyTable");
            }
            for (line, key) in self.keys_of(row) {
                let is_own = key.domain.as_ref().map_or(is_own, |of| of == domain);
                match &key.key {
                    _ if !is_own => {}
                    _ if key.domain.is_none() => {
                        return refuse(self.keys.file, *line, "whose % stands for many domains");
                    }
                    KeyAt::Inline(_) => return refuse(self.keys.file, *line, "which has the key itself in it"),
                    KeyAt::File(path) if path.contains('%') => {
                        return refuse(self.keys.file, *line, "whose % stands for many domains");
                    }
                    KeyAt::File(_) => {}
                }
            }
        }
        Ok(())
    }

    /// How the table says "everybody in this domain": `refile:` tables have patterns, `file:` tables names.
    fn pattern(&self, domain: &Name) -> String {
        let rows = &self.signing.table.rows;
        let has_patterns = rows.is_empty() || rows.iter().any(|(_, row)| row.pattern.contains('*'));
        let domain = bare(domain);
        if has_patterns { format!("*@{domain}") } else { domain }
    }

    /// Behind the last row of the domain; else before the first one that stands for many, for the first that fits counts.
    pub(crate) fn place_in_signing(&self, domain: &Name, end: u32) -> u32 {
        let rows = &self.signing.table.rows;
        let last = rows.iter().rev().find(|(_, row)| row.domain.as_ref() == Some(domain));
        let many = || rows.iter().find(|(_, row)| row.domain.is_none());
        last.map(|(line, _)| *line)
            .or_else(|| many().map(|(line, _)| line - 1))
            .unwrap_or(end)
    }
}

/// Does a row of the SigningTable name this row of the KeyTable? A `%` may stand for anything.
fn names(signing: &SigningRow, row: &KeyRow) -> bool {
    match signing.key_name.split_once('%') {
        None => signing.key_name == row.name,
        Some((front, rest)) => {
            let end = rest.rsplit('%').next().unwrap_or_default();
            row.name.len() >= front.len() + end.len() && row.name.starts_with(front) && row.name.ends_with(end)
        }
    }
}

/// `name` with the new selector in the place of the old one, if that is a part of it.
fn renamed(name: &str, old: &str, new: &str) -> Option<String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let lower = name.to_ascii_lowercase();
    let mut found = lower.match_indices(old);
    let (at, _) = found.find(|(at, _)| !lower[..*at].ends_with(part) && !lower[at + old.len()..].starts_with(part))?;
    Some([&name[..at], new, &name[at + old.len()..]].concat())
}

fn old_selector<'a>(switch: &Switch<'a>) -> &'a str {
    switch.old_selector.unwrap_or_default()
}

/// The path as it is written into a KeyTable: absolute, for OpenDKIM has a working directory of its own.
pub(crate) fn written_path(key: &Path) -> Result<String, SignerError> {
    let absolute = std::path::absolute(key).map_err(|error| SignerError::io(key, "find it", error))?;
    let text = absolute.to_str().unwrap_or_default();
    match text.is_empty() || text.contains(|c: char| c.is_whitespace() || "#%".contains(c)) {
        false => Ok(text.to_owned()),
        true => Err(SignerError::new(
            Fault::Table,
            "the path of the key cannot be written into a KeyTable",
            "use `keys` of [[signer]] without blanks, # and % in it",
        )
        .at(key)),
    }
}

#[cfg(test)]
mod tests;
