//! The key directory as a whole, kept up to date file by file.
//!
//! Three things are remembered: each file's last good reading, the group of files that each belongs
//! to (see `layout`), and per domain and selector the slot that groups and KeyTable rows claim. A
//! change marks what it touches; [`KeyDirectory::resolve`] works through the marks and nothing else.
//!
//! A file that a KeyTable names stands for what the table says and not for what its path says.

use super::DkimKey;
use super::layout::{self, Hint, Kind, Unnamed};
use super::links::{self, Change, Links, RowId, SlotName};
use super::public::Half;
use super::reading::{self, Expectation, Reading};
use super::slot::{self, Claim, Content, Source};
use super::table::KeyAt;
use crate::finding::{Finding, Place, Severity};
use crate::name::Name;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of a key directory: every file's last good reading, and the keys they make.
///
/// Paths are compared as they are written, `.` and `..` taken out: hand in paths with the same prefix
/// as the root, and make the root absolute where a KeyTable names keys by absolute paths below it.
#[derive(Debug, Default)]
pub struct KeyDirectory {
    root: PathBuf,
    files: HashMap<Arc<Path>, File>,
    groups: HashMap<Arc<Path>, Group>,
    links: Links,
    slots: BTreeMap<Name, BTreeMap<String, Slot>>,
    /// Files outside of the root that rows name, with the number of links.
    wanted: BTreeMap<Arc<Path>, usize>,
    /// Those of them that are known not to be there.
    absent: HashSet<Arc<Path>>,
    touched: Touched,
}

#[derive(Debug, Default)]
struct Touched {
    files: BTreeSet<Arc<Path>>,
    tables: BTreeSet<Arc<Path>>,
    groups: BTreeSet<Arc<Path>>,
    slots: BTreeSet<SlotName>,
    notes: Vec<Finding>,
}

#[derive(Debug)]
struct File {
    kind: Kind,
    /// The last good one.
    reading: Option<Reading>,
    /// Of the last content, good or bad.
    findings: Vec<Finding>,
}

#[derive(Debug, Default)]
struct Group {
    files: BTreeSet<Arc<Path>>,
    /// Rows that name one of the files, with the file.
    rows: BTreeSet<RowId>,
    /// The slot that the path claims.
    claimed: Option<SlotName>,
}

#[derive(Debug, Default)]
struct Slot {
    groups: BTreeSet<Arc<Path>>,
    rows: BTreeSet<RowId>,
    key: Option<DkimKey>,
}

impl KeyDirectory {
    /// An empty directory at `root`; paths handed to [`Self::update`] are below it or wanted by a KeyTable.
    pub fn new(root: &Path) -> Self {
        Self {
            root: links::normal(root),
            ..Self::default()
        }
    }

    /// Takes the new content of one file (`None`: the file is gone). Content that is no key leaves
    /// the last good reading in force; so does a file that is empty or ends in the middle.
    pub fn update(&mut self, path: &Path, content: Option<&[u8]>) {
        let path: Arc<Path> = Arc::from(links::normal(path));
        let (kind, stem) = layout::classify(&path);
        match kind {
            Kind::KeyTable | Kind::SigningTable if path.starts_with(&self.root) => {
                self.update_table(&path, kind, content)
            }
            _ => match content {
                Some(content) => self.read_file(&path, kind, &stem, content),
                None => self.forget_file(&path, &stem),
            },
        }
    }

    /// Resolves what was updated since the last call: which signing domains have other keys now,
    /// and everything the operator should know about the files that were touched, by place.
    pub fn resolve(&mut self) -> (BTreeSet<Name>, Vec<Finding>) {
        let touched = std::mem::take(&mut self.touched);
        let mut findings = touched.notes;
        let mut slots = touched.slots;
        for group in touched.groups {
            self.claim(&group, &mut slots, &mut findings);
        }
        let mut changed = BTreeSet::new();
        for slot in slots {
            if self.decide(&slot, &mut findings) {
                changed.insert(slot.0);
            }
        }
        for path in touched.files {
            findings.extend(
                self.files
                    .get(&path)
                    .into_iter()
                    .flat_map(|file| file.findings.iter().cloned()),
            );
        }
        for table in touched.tables {
            findings.extend(self.links.findings_of(&table));
        }
        findings.sort_by(|a, b| (&a.place, b.severity, a).cmp(&(&b.place, a.severity, b)));
        findings.dedup();
        (changed, findings)
    }

    /// Files outside of the root that a KeyTable names, and the records that may be beside them: they
    /// must be read and watched too, and [`Self::update`] told of those that are not there. Up to date
    /// after each update; empty where every key is below the root.
    pub fn wanted(&self) -> Vec<PathBuf> {
        let with_record = |path: &Arc<Path>| [path.to_path_buf(), links::record_beside(path)];
        let wanted: BTreeSet<PathBuf> = self.wanted.keys().flat_map(with_record).collect();
        wanted.into_iter().collect()
    }

    /// The keys of one signing domain, in the order of their selectors.
    pub fn keys_of(&self, domain: &Name) -> Vec<&DkimKey> {
        let slots = self.slots.get(domain).into_iter().flatten();
        slots.filter_map(|(_, slot)| slot.key.as_ref()).collect()
    }

    /// Every signing domain with at least one key, in canonical order.
    pub fn domains(&self) -> Vec<&Name> {
        let has_key = |slots: &BTreeMap<String, Slot>| slots.values().any(|slot| slot.key.is_some());
        self.slots
            .iter()
            .filter(|(_, slots)| has_key(slots))
            .map(|(domain, _)| domain)
            .collect()
    }

    fn update_table(&mut self, path: &Arc<Path>, kind: Kind, content: Option<&[u8]>) {
        if content.is_some_and(|content| content.trim_ascii().is_empty()) {
            // Editors that write in place empty a file first.
            let what = "the table is empty; its last good content stays until it is filled or removed";
            self.touched
                .notes
                .push(Finding::note("key-unfinished", what).at(Place::file(&**path)));
            return;
        }
        let changes = match kind {
            Kind::KeyTable => self.links.update_key_table(path, content),
            _ => {
                let (changes, spoken_for) = self.links.update_signing_table(path, content);
                self.touched.tables.extend(spoken_for);
                changes
            }
        };
        self.touched.tables.insert(path.clone());
        for change in changes {
            self.apply(change);
        }
    }

    fn apply(&mut self, Change { row, link, came }: Change) {
        let (name, file) = link;
        let slot = self
            .slots
            .entry(name.0.clone())
            .or_default()
            .entry(name.1.clone())
            .or_default();
        if came {
            slot.rows.insert(row);
        } else {
            slot.rows.remove(&row);
        }
        self.touched.slots.insert(name);
        let Some(file) = file else {
            return;
        };
        self.want(&file, came);
        let (_, stem) = layout::classify(&file);
        let group: Arc<Path> = Arc::from(layout::group(&file, &stem));
        let entry = self.groups.entry(group.clone()).or_default();
        if came {
            entry.rows.insert(row);
        } else {
            entry.rows.remove(&row);
        }
        self.touched.groups.insert(group);
    }

    /// Counts the links to files outside of the root; those that nobody names any more are forgotten.
    fn want(&mut self, file: &Arc<Path>, came: bool) {
        if file.starts_with(&self.root) {
            return;
        }
        let count = self.wanted.entry(file.clone()).or_default();
        *count = if came { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.wanted.remove(file);
            for path in [file.to_path_buf(), links::record_beside(file)] {
                let (_, stem) = layout::classify(&path);
                let path = Arc::from(path);
                self.forget_file(&path, &stem);
                self.absent.remove(&path);
            }
        }
    }

    fn read_file(&mut self, path: &Arc<Path>, kind: Kind, stem: &str, content: &[u8]) {
        self.absent.remove(path);
        let group: Arc<Path> = Arc::from(layout::group(path, stem));
        let known = self.files.get(path).is_some_and(|file| file.reading.is_some());
        let expected = Expectation {
            kind,
            stem,
            is_meant: known || self.is_named(path, &group) || self.is_placed_like_a_key(path, kind, stem),
        };
        let read = reading::read(content, expected);
        if let Ok(None) = read {
            self.forget_file(path, stem);
            return;
        }
        let file = self.files.entry(path.clone()).or_insert_with(|| File {
            kind,
            reading: None,
            findings: vec![],
        });
        file.findings = match read {
            Ok(read) => {
                let (reading, findings) = read.unzip();
                file.reading = reading;
                findings
                    .into_iter()
                    .flatten()
                    .map(|finding| finding.at(Place::file(&**path)))
                    .collect()
            }
            Err(fault) => {
                let mut finding = fault.advise(path, Place::file(&**path));
                if finding.severity == Severity::Error && known {
                    finding.what.push_str("; its last good content stays in force");
                }
                vec![finding]
            }
        };
        self.touched.files.insert(path.clone());
        self.groups.entry(group.clone()).or_default().files.insert(path.clone());
        self.touch_group(&group);
    }

    fn forget_file(&mut self, path: &Arc<Path>, stem: &str) {
        if !path.starts_with(&self.root) {
            self.absent.insert(path.clone());
        }
        let known = self.files.remove(path).is_some();
        let group: Arc<Path> = Arc::from(layout::group(path, stem));
        if let Some(entry) = self.groups.get_mut(&group) {
            entry.files.remove(path);
        }
        if known || self.groups.contains_key(&group) {
            self.touch_group(&group);
        }
    }

    fn touch_group(&mut self, group: &Arc<Path>) {
        let rows = self.groups.get(group).into_iter().flat_map(|entry| &entry.rows);
        let links = rows.filter_map(|id| self.links.row(*id)).flat_map(|row| &row.links);
        self.touched.slots.extend(links.map(|(name, _)| name.clone()));
        self.touched.groups.insert(group.clone());
    }

    /// Does a row name this very file?
    fn is_named(&self, path: &Path, group: &Arc<Path>) -> bool {
        let rows = self.groups.get(group).into_iter().flat_map(|entry| &entry.rows);
        let mut links = rows.filter_map(|id| self.links.row(*id)).flat_map(|row| &row.links);
        links.any(|(_, file)| file.as_deref() == Some(path))
    }

    /// Is it named like a key, or does it stand without an extension in a domain's folder, as the
    /// tutorial's `mail` does?
    fn is_placed_like_a_key(&self, path: &Path, kind: Kind, stem: &str) -> bool {
        match kind {
            Kind::Private | Kind::Either | Kind::Public => true,
            Kind::Plain => !stem.contains('.') && layout::enclosing_domain(&self.root, path).is_some(),
            Kind::Text | Kind::Ignored | Kind::KeyTable | Kind::SigningTable => false,
        }
    }

    /// Works out which slot the path of a group claims, and marks what changed by it.
    fn claim(&mut self, path: &Arc<Path>, slots: &mut BTreeSet<SlotName>, findings: &mut Vec<Finding>) {
        let Some(group) = self.groups.get(path) else {
            return;
        };
        let claimed = self.claim_of(path, group, findings);
        let before = group.claimed.clone();
        if group.files.is_empty() && group.rows.is_empty() {
            self.groups.remove(path);
        } else if let Some(group) = self.groups.get_mut(path) {
            group.claimed.clone_from(&claimed);
        }
        if let Some(old) = before.filter(|old| Some(old) != claimed.as_ref()) {
            if let Some(slot) = self.slots.get_mut(&old.0).and_then(|slots| slots.get_mut(&old.1)) {
                slot.groups.remove(path);
            }
            slots.insert(old);
        }
        if let Some(new) = claimed {
            let slot = self
                .slots
                .entry(new.0.clone())
                .or_default()
                .entry(new.1.clone())
                .or_default();
            slot.groups.insert(path.clone());
            slots.insert(new);
        }
    }

    fn claim_of(&self, path: &Path, group: &Group, findings: &mut Vec<Finding>) -> Option<SlotName> {
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
        let texts = files().filter_map(|(_, file)| match file.reading.as_ref()? {
            Reading::Text(text) => Some(text),
            Reading::Key(..) => None,
        });
        let hint = texts.last().map_or(Hint::default(), |text| Hint {
            selector: text.selector.as_deref(),
            domain: text.domain.as_ref(),
        });
        let named = layout::identify(&self.root, path, hint);
        if group.rows.is_empty() {
            return named
                .map_err(|unnamed| findings.push(unnamed_finding(&unnamed, first)))
                .ok();
        }
        let mut rows = group.rows.iter().filter_map(|id| self.links.row(*id));
        if let Ok(own) = named
            && !rows.clone().any(|row| row.links.iter().any(|(name, _)| *name == own))
            && let Some(row) = rows.next()
        {
            let what = format!(
                "its path says selector {} of {}, but {} names it for others, and the table counts",
                own.1,
                own.0,
                row.table.display()
            );
            findings.push(Finding::note("key-table-overrules", what).at(Place::file(&**first)));
        }
        None
    }

    /// Decides a slot anew; says whether its key is another one now.
    fn decide(&mut self, name: &SlotName, findings: &mut Vec<Finding>) -> bool {
        let Some(slot) = self.slots.get(&name.0).and_then(|slots| slots.get(&name.1)) else {
            return false;
        };
        let (key, found) = slot::decide(&name.0, &name.1, self.sources(name, slot, findings));
        findings.extend(found);
        let changed = slot.key != key;
        let is_claimed = !slot.groups.is_empty() || !slot.rows.is_empty();
        if let Some(slots) = self.slots.get_mut(&name.0) {
            if !is_claimed {
                slots.remove(&name.1);
            } else if let Some(slot) = slots.get_mut(&name.1) {
                slot.key = key;
            }
            if slots.is_empty() {
                self.slots.remove(&name.0);
            }
        }
        changed
    }

    /// Everything that speaks for a slot; rows whose file is missing are reported.
    fn sources<'a>(&'a self, name: &SlotName, slot: &'a Slot, findings: &mut Vec<Finding>) -> Vec<Source<'a>> {
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
            .flat_map(|group| &group.files);
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
        for path in group.into_iter().flat_map(|group| &group.files) {
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
