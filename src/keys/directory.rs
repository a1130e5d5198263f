//! The key directory as a whole, kept up to date file by file.
//!
//! Three things are remembered: each file's last good reading, the group of files that each belongs
//! to (see `layout`), and per domain and selector the slot that groups and KeyTable rows claim. A
//! change marks what it touches; [`KeyDirectory::resolve`] works through the marks and nothing else.
//!
//! A file that a KeyTable names stands for what the table says and not for what its path says.

use super::DkimKey;
use super::layout::{self, Kind};
use super::links::{self, Change, Links, RowId, SlotName};
use super::reading::{self, Expectation, Reading};
use super::slot;
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
    pub(super) root: PathBuf,
    pub(super) files: HashMap<Arc<Path>, File>,
    pub(super) groups: HashMap<Arc<Path>, Group>,
    pub(super) links: Links,
    /// By signing domain and selector.
    slots: BTreeMap<SlotName, Slot>,
    /// Files outside of the root that rows name, with the number of links.
    wanted: BTreeMap<Arc<Path>, usize>,
    /// Those of them that are known not to be there.
    pub(super) absent: HashSet<Arc<Path>>,
    touched: Touched,
}

#[derive(Debug, Default)]
struct Touched {
    files: HashSet<Arc<Path>>,
    tables: HashSet<Arc<Path>>,
    groups: HashSet<Arc<Path>>,
    slots: HashSet<SlotName>,
    notes: Vec<Finding>,
}

#[derive(Debug)]
pub(super) struct File {
    pub(super) kind: Kind,
    /// The last good one.
    pub(super) reading: Option<Reading>,
    /// Of the last content, good or bad.
    findings: Vec<Finding>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) files: Paths,
    /// Rows that name one of the files, with the file.
    pub(super) rows: BTreeSet<RowId>,
    /// The slot that the path claims.
    claimed: Option<SlotName>,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) groups: Paths,
    pub(super) rows: BTreeSet<RowId>,
    key: Option<DkimKey>,
}

/// A few paths, in order. Most groups are one or two files and most slots one group, of a hundred thousand.
#[derive(Debug, Default)]
pub(super) struct Paths(Vec<Arc<Path>>);

impl Paths {
    fn insert(&mut self, path: Arc<Path>) {
        if let Err(at) = self.0.binary_search(&path) {
            self.0.reserve_exact(1);
            self.0.insert(at, path);
        }
    }

    fn remove(&mut self, path: &Arc<Path>) {
        if let Ok(at) = self.0.binary_search(path) {
            self.0.remove(at);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Arc<Path>> {
        self.0.iter()
    }
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
        let slots = self.slots.range((domain.clone(), String::new())..);
        slots
            .take_while(|((of, _), _)| of == domain)
            .filter_map(|(_, slot)| slot.key.as_ref())
            .collect()
    }

    /// Every signing domain with at least one key, in canonical order.
    pub fn domains(&self) -> Vec<&Name> {
        let with_keys = self.slots.iter().filter(|(_, slot)| slot.key.is_some());
        let mut domains: Vec<&Name> = with_keys.map(|((domain, _), _)| domain).collect();
        domains.dedup();
        domains
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
        let slot = self.slots.entry(name.clone()).or_default();
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
    fn claim(&mut self, path: &Arc<Path>, slots: &mut HashSet<SlotName>, findings: &mut Vec<Finding>) {
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
            if let Some(slot) = self.slots.get_mut(&old) {
                slot.groups.remove(path);
            }
            slots.insert(old);
        }
        if let Some(new) = claimed {
            self.slots.entry(new.clone()).or_default().groups.insert(path.clone());
            slots.insert(new);
        }
    }

    /// Decides a slot anew; says whether its key is another one now.
    fn decide(&mut self, name: &SlotName, findings: &mut Vec<Finding>) -> bool {
        let Some(slot) = self.slots.get(name) else {
            return false;
        };
        let (key, found) = slot::decide(&name.0, &name.1, self.sources(name, slot, findings));
        findings.extend(found);
        let changed = slot.key != key;
        let is_claimed = !slot.groups.is_empty() || !slot.rows.is_empty();
        if !is_claimed {
            self.slots.remove(name);
        } else if let Some(slot) = self.slots.get_mut(name) {
            slot.key = key;
        }
        changed
    }
}
