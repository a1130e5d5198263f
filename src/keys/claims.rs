//! Who claims a slot, and with what: groups by their paths, KeyTable rows by name.
//!
//! The reading half of [`KeyDirectory`]; nothing changes here.

use super::directory::{Group, KeyDirectory, Slot};
use super::layout::{self, Hint, Kind, Unnamed};
use super::links::{Row, SlotName};
use super::public::Half;
use super::reading::Reading;
use super::slot::{Claim, Content, Source};
use super::table::KeyAt;
use crate::finding::{Finding, Place};
use std::path::Path;
use std::sync::Arc;

impl KeyDirectory {
    /// The slot that the path of a group claims; none where a table names the group.
    pub(super) fn claim_of(&self, path: &Path, group: &Group, findings: &mut Vec<Finding>) -> Option<SlotName> {
        let files = || {
            group
                .files
                .iter()
                .filter_map(|path| Some((path, self.files.get(path)?)))
        };
        let (first, _) = files().find(|(_, file)| file.reading.is_some() && file.kind != Kind::Ignored)?;
        if !path.starts_with(&self.root) {
            return None;
        }
        if !group.rows.is_empty() {
            findings.extend(self.overruled(path, group, first));
            return None;
        }
        let mut texts = files().filter_map(|(_, file)| match file.reading.as_ref()? {
            Reading::Text(text) => Some(text),
            Reading::Key(..) => None,
        });
        let telling = texts.find(|text| text.selector.is_some() || text.domain.is_some());
        let hint = telling.map_or(Hint::default(), |text| Hint {
            selector: text.selector.as_deref(),
            domain: text.domain.as_ref(),
        });
        let named = layout::identify(&self.root, path, hint);
        named
            .map_err(|unnamed| findings.push(unnamed_finding(&unnamed, first)))
            .ok()
    }

    /// A table names the group for others than its path does.
    fn overruled(&self, path: &Path, group: &Group, file: &Path) -> Option<Finding> {
        let (domain, selector) = layout::identify(&self.root, path, Hint::default()).ok()?;
        let rows = || group.rows.iter().filter_map(|id| self.links.row(*id));
        let is_same = |row: &Row| {
            row.links
                .iter()
                .any(|(name, _)| (&name.0, &name.1) == (&domain, &selector))
        };
        if rows().any(is_same) {
            return None;
        }
        let table = rows().next()?.table.display();
        let what = format!(
            "its path says selector {selector} of {domain}, but {table} names it for others, and the table counts"
        );
        Some(Finding::note("key-table-overrules", what).at(Place::file(file)))
    }

    /// Everything that speaks for a slot; rows whose file is missing are reported.
    pub(super) fn sources<'a>(
        &'a self,
        name: &SlotName,
        slot: &'a Slot,
        findings: &mut Vec<Finding>,
    ) -> Vec<Source<'a>> {
        let mut sources = vec![];
        for row in slot.rows.iter().filter_map(|id| self.links.row(*id)) {
            let claim = Claim::Row(&row.table, row.line);
            if let KeyAt::Inline(key) = &row.row.key {
                let content = Content::Key(key, Half::Private);
                sources.push(Source {
                    file: &row.table,
                    claim,
                    content,
                });
            }
            let files = row
                .links
                .iter()
                .filter(|(own, _)| own == name)
                .filter_map(|(_, file)| file.as_ref());
            for file in files {
                let before = sources.len();
                self.sources_of_file(file, claim, &mut sources);
                let is_missing = sources.len() == before && !self.files.contains_key(file);
                if is_missing && (file.starts_with(&self.root) || self.absent.contains(file)) {
                    findings.push(missing(file, Place::line(&*row.table, row.line)));
                }
            }
        }
        let files = slot
            .groups
            .iter()
            .filter_map(|group| self.groups.get(group))
            .flat_map(|group| group.files.iter());
        for (path, file) in files.filter_map(|path| Some((path, self.files.get(path)?))) {
            if let (Some(reading), false) = (&file.reading, file.kind == Kind::Ignored) {
                sources.push(Source {
                    file: path,
                    claim: Claim::Path,
                    content: reading.into(),
                });
            }
        }
        sources
    }

    /// The file that a row names, and the public files of its group.
    fn sources_of_file<'a>(&'a self, file: &Arc<Path>, claim: Claim<'a>, sources: &mut Vec<Source<'a>>) {
        let (_, stem) = layout::classify(file);
        let group = self.groups.get(layout::group(file, &stem).as_path());
        for path in group.into_iter().flat_map(|group| group.files.iter()) {
            let Some(reading) = self.files.get(path).and_then(|file| file.reading.as_ref()) else {
                continue;
            };
            if path == file || !matches!(reading, Reading::Key(_, Half::Private)) {
                sources.push(Source {
                    file: path,
                    claim,
                    content: reading.into(),
                });
            }
        }
    }
}

fn missing(file: &Path, place: Place) -> Finding {
    Finding::error(
        "key-table-file-missing",
        format!("{} is not there or cannot be read", file.display()),
        "put the key there, let Signpost read it, or take the row out",
    )
    .at(place)
}

fn unnamed_finding(unnamed: &Unnamed, file: &Path) -> Finding {
    let (code, cure) = match unnamed {
        Unnamed::NoDomain if !file.as_os_str().is_ascii() => (
            "key-no-domain",
            "name the folder by the domain in ASCII, as `xn--mnchen-3ya.example` (RFC 5890 §2.3.2.1)",
        ),
        Unnamed::NoDomain => (
            "key-no-domain",
            "put it into a folder named by its domain, as `example.org/SELECTOR.private`, or name it in a KeyTable",
        ),
        Unnamed::BadSelector(_) => ("key-selector", "rename the file to its selector, as `2026b.private`"),
    };
    Finding::error(code, unnamed.to_string(), cure).at(Place::file(file))
}
