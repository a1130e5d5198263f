//! KeyTable rows and what they link: a file, or a key written in place, to a domain and selector.
//!
//! A SigningTable speaks for the KeyTables in its own folder. Rows that a new version of a table
//! shares with the old one keep their links, so that a row added to a table of 100 000 costs one row.

use super::layout;
use super::table::{self, KeyAt, KeyRow, SigningRow, Table};
use crate::finding::{Finding, Place};
use crate::name::Name;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A domain and a selector.
pub(super) type SlotName = (Name, String);
/// A row, as long as it is in its table.
pub(super) type RowId = u64;

/// One link of a row: for whom, and by which file (`None`: the key stands in the row).
pub(super) type Link = (SlotName, Option<Arc<Path>>);

/// A row and its links.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) table: Arc<Path>,
    pub(super) line: u32,
    pub(super) row: KeyRow,
    pub(super) links: Vec<Link>,
}

/// A link that came or went.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) row: RowId,
    pub(super) link: Link,
    pub(super) came: bool,
}

/// All tables.
#[derive(Debug, Default)]
pub(super) struct Links {
    rows: HashMap<RowId, Row>,
    next_row: RowId,
    key_tables: HashMap<Arc<Path>, KeyTable>,
    signing_tables: HashMap<Arc<Path>, Table<SigningRow>>,
    /// By folder and key name: the domains that are signed for, `None` for a wildcard.
    senders: HashMap<PathBuf, HashMap<String, BTreeSet<Option<Name>>>>,
}

#[derive(Debug, Default)]
struct KeyTable {
    rows: Vec<RowId>,
    findings: Vec<Finding>,
}

impl Links {
    pub(super) fn row(&self, id: RowId) -> Option<&Row> {
        self.rows.get(&id)
    }

    /// Takes a new version of a KeyTable (`None`: it is gone); says which links came and went.
    pub(super) fn update_key_table(&mut self, path: &Arc<Path>, content: Option<&[u8]>) -> Vec<Change> {
        let read = content.map_or_else(Table::default, |content| table::read_key_table(path, content));
        let old = self.key_tables.remove(path).unwrap_or_default();
        let mut known: HashMap<&KeyRow, Vec<RowId>> = HashMap::new();
        for id in old.rows.iter().rev() {
            if let Some(row) = self.rows.get(id) {
                known.entry(&row.row).or_default().push(*id);
            }
        }
        let mut kept = vec![];
        let mut fresh = vec![];
        for (line, row) in read.rows {
            match known.get_mut(&row).and_then(Vec::pop) {
                Some(id) => kept.push((id, line)),
                None => fresh.push((line, row)),
            }
        }
        // A row that cannot be read any more keeps its last good reading.
        let broken: HashMap<&str, u32> = read.broken.iter().map(|(line, name)| (name.as_str(), *line)).collect();
        let mut gone = vec![];
        for (row, ids) in known {
            match broken.get(row.name.as_str()) {
                Some(line) => kept.extend(ids.into_iter().map(|id| (id, *line))),
                None => gone.extend(ids),
            }
        }
        let mut changes = vec![];
        for id in gone {
            self.drop_row(id, &mut changes);
        }
        let mut rows = vec![];
        for (id, line) in kept {
            if let Some(row) = self.rows.get_mut(&id) {
                row.line = line;
                rows.push(id);
            }
        }
        for (line, row) in fresh {
            rows.push(self.add_row(path, line, row, &mut changes));
        }
        if content.is_some() {
            let findings = read.findings;
            self.key_tables.insert(path.clone(), KeyTable { rows, findings });
        }
        changes
    }

    /// Takes a new version of a SigningTable (`None`: it is gone). Returns the changes of links and
    /// the KeyTables that it speaks for.
    pub(super) fn update_signing_table(
        &mut self,
        path: &Arc<Path>,
        content: Option<&[u8]>,
    ) -> (Vec<Change>, Vec<Arc<Path>>) {
        match content {
            Some(content) => {
                _ = self
                    .signing_tables
                    .insert(path.clone(), table::read_signing_table(path, content))
            }
            None => _ = self.signing_tables.remove(path),
        }
        let folder = folder(path).to_path_buf();
        let mut senders: HashMap<String, BTreeSet<Option<Name>>> = HashMap::new();
        for (_, table) in self
            .signing_tables
            .iter()
            .filter(|(path, _)| self::folder(path) == folder)
        {
            for (_, row) in &table.rows {
                senders
                    .entry(row.key_name.clone())
                    .or_default()
                    .insert(row.domain.clone());
            }
        }
        self.senders.insert(folder.clone(), senders);
        let spoken_for: Vec<Arc<Path>> = self
            .key_tables
            .keys()
            .filter(|table| self::folder(table) == folder)
            .cloned()
            .collect();
        let mut changes = vec![];
        for table in &spoken_for {
            for id in self.key_tables[table].rows.clone() {
                self.relink(id, &mut changes);
            }
        }
        (changes, spoken_for)
    }

    fn add_row(&mut self, table: &Arc<Path>, line: u32, row: KeyRow, changes: &mut Vec<Change>) -> RowId {
        let id = self.next_row;
        self.next_row += 1;
        let row = Row {
            table: table.clone(),
            line,
            row,
            links: vec![],
        };
        self.rows.insert(id, row);
        self.relink(id, changes);
        id
    }

    fn drop_row(&mut self, id: RowId, changes: &mut Vec<Change>) {
        let links = self.rows.remove(&id).map(|row| row.links).unwrap_or_default();
        changes.extend(links.into_iter().map(|link| Change {
            row: id,
            link,
            came: false,
        }));
    }

    fn relink(&mut self, id: RowId, changes: &mut Vec<Change>) {
        let Some(row) = self.rows.get(&id) else {
            return;
        };
        let links = self.links_of(row);
        if links == row.links {
            return;
        }
        let change = |came| {
            move |link: &Link| Change {
                row: id,
                link: link.clone(),
                came,
            }
        };
        changes.extend(row.links.iter().map(change(false)));
        changes.extend(links.iter().map(change(true)));
        if let Some(row) = self.rows.get_mut(&id) {
            row.links = links;
        }
    }

    fn links_of(&self, row: &Row) -> Vec<Link> {
        let file = |domain: &Name| match &row.row.key {
            KeyAt::Inline(_) => None,
            KeyAt::File(path) => {
                let domain = domain.to_string();
                let path = path.replace('%', domain.trim_end_matches('.'));
                Some(Arc::from(normal(&folder(&row.table).join(path))))
            }
        };
        let link = |domain: &Name, sender: &Name| ((domain.clone(), row.row.selector.clone()), file(sender));
        let senders = self.senders_of(row).into_iter().flatten().flatten();
        match (&row.row.domain, row.row.has_percent_path()) {
            (Some(domain), false) => vec![link(domain, domain)],
            // Whoever the sender is, this domain signs; a path of its own is the likeliest.
            (Some(domain), true) => {
                let links: Vec<Link> = senders.map(|sender| link(domain, sender)).collect();
                if links.is_empty() {
                    vec![link(domain, domain)]
                } else {
                    links
                }
            }
            (None, _) => senders.map(|sender| link(sender, sender)).collect(),
        }
    }

    fn senders_of(&self, row: &Row) -> Option<&BTreeSet<Option<Name>>> {
        self.senders.get(folder(&row.table))?.get(&row.row.name)
    }

    /// Everything that is the matter with a table itself.
    pub(super) fn findings_of(&self, path: &Path) -> Vec<Finding> {
        let mut findings = vec![];
        if let Some(table) = self.key_tables.get(path) {
            findings.extend(table.findings.iter().cloned());
            let rows = table.rows.iter().filter_map(|id| self.rows.get(id));
            findings.extend(rows.filter_map(|row| self.judge_percent(row)));
        }
        if let Some(table) = self.signing_tables.get(path) {
            findings.extend(table.findings.iter().cloned());
            findings.extend(self.unknown_key_names(path, table));
        }
        findings
    }

    fn judge_percent(&self, row: &Row) -> Option<Finding> {
        if row.row.domain.is_some() {
            return None;
        }
        let place = Place::line(&*row.table, row.line);
        let name = &row.row.name;
        match self.senders_of(row) {
            None => Some(
                Finding::warning(
                    "key-table-no-domain",
                    format!("`%` is the domain of the sender, and no SigningTable in this folder refers to `{name}`"),
                    format!("add `*@example.org {name}` to the SigningTable, or write the domain here"),
                )
                .at(place),
            ),
            Some(senders) if senders.contains(&None) => Some(
                Finding::note(
                    "key-table-wildcard",
                    format!("a wildcard of the SigningTable refers to `{name}`, and the domains it stands for cannot be told; keys are taken by their paths"),
                )
                .at(place),
            ),
            Some(_) => None,
        }
    }

    fn unknown_key_names(&self, path: &Path, signing: &Table<SigningRow>) -> Vec<Finding> {
        let tables = self
            .key_tables
            .iter()
            .filter(|(table, _)| folder(table) == folder(path));
        let mut names = BTreeMap::new();
        for id in tables.flat_map(|(_, table)| &table.rows) {
            if let Some(row) = self.rows.get(id) {
                names.insert(row.row.name.as_str(), ());
            }
        }
        if names.is_empty() {
            return vec![];
        }
        let unknown = signing
            .rows
            .iter()
            .filter(|(_, row)| row.domain.is_some() && !names.contains_key(row.key_name.as_str()));
        unknown
            .map(|(line, row)| {
                Finding::warning(
                    "signing-table-unknown-key",
                    format!(
                        "no row of the KeyTable is named `{}`: this mail is not signed",
                        row.key_name
                    ),
                    "add the row to the KeyTable, or correct the name",
                )
                .at(Place::line(path, *line))
            })
            .collect()
    }
}

impl KeyRow {
    fn has_percent_path(&self) -> bool {
        matches!(&self.key, KeyAt::File(path) if path.contains('%'))
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// `.` and `..` taken out, without asking the file system.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// The record that opendkim-genkey leaves beside a key.
pub(crate) fn record_beside(file: &Path) -> PathBuf {
    let (_, stem) = layout::classify(file);
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // The stem is in lower case, the file's own name need not be.
    let stem = name.get(..stem.len()).unwrap_or(&stem);
    file.with_file_name(format!("{stem}.txt"))
}
