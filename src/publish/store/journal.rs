//! The journal: what changed between the versions of each zone, so that secondaries fetch no more than that (RFC 1995).
//!
//! A zone's differences stand side by side in the table, numbered; each is written by the commit that stores the
//! serial it leads to, so after a crash the journal leads to what is served or breaks off before it, and never tells
//! of a version that nobody saw. Of each zone the newest are kept, up to a number of octets that the writer says
//! (RFC 1995 §5: a difference larger than the zone is of no use).

use super::{Fault, StoreError, zone_key};
use crate::name::Name;
use crate::transfer::Delta;
use arc_swap::ArcSwapOption;
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction};
use std::path::PathBuf;
use std::sync::Arc;

const JOURNAL: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("journal");

/// One more difference of a zone.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The zone, by [`zone_key`].
    pub zone: Box<[u8]>,
    /// What changed.
    pub delta: &'a Delta,
    /// So many octets of differences are kept of this zone.
    pub keep: usize,
}

/// Reads the journal while others write it. Never waits.
#[derive(Debug, Clone)]
pub struct Journal {
    pub(super) database: Arc<ArcSwapOption<Database>>,
    pub(super) path: PathBuf,
}

impl Journal {
    /// What leads from one serial of a zone to another, the oldest first; `None` when the journal has not all of it.
    pub fn between(&self, apex: &Name, from: u32, to: u32) -> Result<Option<Vec<Delta>>, StoreError> {
        let Some(database) = self.database.load_full() else {
            return Ok(None);
        };
        read(&database, &zone_key(apex), from, to).map_err(|fault| fault.at(&self.path))
    }
}

#[cfg(test)]
impl Journal {
    /// One in which a difference of this zone is damaged.
    pub(crate) fn damaged(apex: &Name) -> Self {
        let memory = redb::backends::InMemoryBackend::new();
        let database = Database::builder().create_with_backend(memory).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut table = transaction.open_table(JOURNAL).unwrap();
        table.insert(&*key(&zone_key(apex), 0), &b"\0"[..]).unwrap();
        drop(table);
        transaction.commit().unwrap();
        Self {
            database: Arc::new(ArcSwapOption::from_pointee(database)),
            path: PathBuf::from("state"),
        }
    }
}

fn read(database: &Database, zone: &[u8], from: u32, to: u32) -> Result<Option<Vec<Delta>>, Fault> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(JOURNAL) {
        Ok(table) => table,
        // A state directory from before there was a journal.
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut deltas: Vec<Delta> = vec![];
    let (first, last) = (key(zone, 0), key(zone, u64::MAX));
    for entry in table.range::<&[u8]>(&*first..=&*last)?.rev() {
        let (_, value) = entry?;
        let delta = Delta::from_bytes(value.value())
            .ok_or_else(|| Fault::Corrupt("a difference in the journal is damaged".into()))?;
        let wanted = deltas.last().map_or(to, |newer| newer.from);
        if delta.to != wanted {
            return Ok(None);
        }
        let found = delta.from == from;
        deltas.push(delta);
        if found {
            deltas.reverse();
            return Ok(Some(deltas));
        }
    }
    Ok(None)
}

/// Writes differences and drops those that are too old.
pub(super) fn write(transaction: &WriteTransaction, entries: &[Entry<'_>]) -> Result<(), Fault> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(JOURNAL)?;
    for entry in entries {
        append(&mut table, entry)?;
    }
    Ok(())
}

fn append(table: &mut Table<'_, &'static [u8], &'static [u8]>, entry: &Entry<'_>) -> Result<(), Fault> {
    let (first, last) = (key(&entry.zone, 0), key(&entry.zone, u64::MAX));
    let value = entry.delta.to_bytes();
    let mut room = entry.keep.saturating_sub(value.len());
    let (mut newest, mut drop_up_to) = (None, None);
    for stored in table.range::<&[u8]>(&*first..=&*last)?.rev() {
        let (key, value) = stored?;
        newest.get_or_insert_with(|| number_of(key.value()));
        match room.checked_sub(value.value().len()) {
            Some(rest) => room = rest,
            None => {
                drop_up_to = Some(key.value().to_vec());
                break;
            }
        }
    }
    if let Some(oldest) = drop_up_to {
        table.retain_in::<&[u8], _>(&*first..=&*oldest, |_, _| false)?;
    }
    if value.len() <= entry.keep {
        let number = newest.map_or(0, |newest| newest + 1);
        table.insert(&*key(&entry.zone, number), &*value)?;
    }
    Ok(())
}

/// Names end in an octet of zero and in nothing else, so no zone's key begins with that of another.
fn key(zone: &[u8], number: u64) -> Vec<u8> {
    [zone, &number.to_be_bytes()].concat()
}

fn number_of(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |number| u64::from_be_bytes(*number))
}
