//! The state store: what must survive a restart, a kill -9 and a power cut.
//!
//! On disk: `signpost.redb` in the state directory, a redb database of four tables, and `lock`,
//! held by the Signpost that uses the directory and naming its process.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `"format"` | the version of this layout, [`FORMAT`] |
//! | `zones` | apex, wire form in lower case | published serial, file's serial, composed, SHA-256 of the content |
//! | `keys` | signing domain in wire form, then the selector | one key as JSON, see [`row`] |
//! | `journal` | apex in wire form, then a number | what changed between two versions, see [`journal`] |
//!
//! A commit is one write transaction, flushed to the disk before it returns: all of a batch is
//! stored or nothing of it. After a failed commit the file is opened anew at the next one, for the
//! database refuses to go on after an I/O error; redb itself undoes what was half written.
//!
//! It refuses: a state directory that another Signpost uses, a file of a newer layout, a file that
//! is damaged (each page's checksum is verified at every open). A damaged file is never replaced
//! on its own account, because starting without it can move serials backwards, which secondaries
//! do not forgive; [`Store::move_aside`] does it when the operator asks.

mod error;
mod journal;
mod row;

pub use error::StoreError;
pub use journal::{Entry, Journal};

use super::life::KeyState;
use super::rules::ZoneState;
use crate::name::Name;
use arc_swap::ArcSwapOption;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The version of the layout that this Signpost writes, and the newest it reads.
pub const FORMAT: u64 = 1;

const DATABASE: &str = "signpost.redb";
const LOCK: &str = "lock";
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const ZONES: TableDefinition<'_, &[u8], row::ZoneRow> = TableDefinition::new("zones");
const KEYS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");
/// Everything is read once at start and kept by others: the cache only serves the tree's upper pages.
const CACHE_BYTES: usize = 8 << 20;

/// The states of all zones by [`ApexDigest`].
pub type ZoneStates = BTreeMap<ApexDigest, ZoneState>;

/// Stands for an apex in memory: the first half of its key's SHA-256. There may be a million, and so they
/// are flat and of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApexDigest([u8; 16]);

/// Everything that is stored.
#[derive(Debug, Default)]
pub struct Stored {
    /// Every zone that was ever published.
    pub zones: ZoneStates,
    /// Every key that is remembered, those of a signing domain side by side.
    pub keys: Vec<KeyState>,
}

/// What one commit is to write.
#[derive(Debug, Default)]
pub struct Writes<'a> {
    /// Zones by [`zone_key`].
    pub zones: Vec<(Box<[u8]>, ZoneState)>,
    /// Keys by signing domain and selector; `None` forgets one.
    pub keys: Vec<(&'a Name, &'a str, Option<&'a KeyState>)>,
    /// What changed in zones that others may fetch.
    pub journal: Vec<Entry<'a>>,
}

/// An open state store.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// `None` after a failed commit, until the next one.
    database: Arc<ArcSwapOption<Database>>,
    /// Locked as long as it lives.
    _lock: File,
}

impl Store {
    /// Opens the store in the state directory `dir`, creating both where needed, and reads all of it.
    pub fn open(dir: &Path) -> Result<(Self, Stored), StoreError> {
        let lock = lock(dir)?;
        let path = dir.join(DATABASE);
        let database = open_database(&path)?;
        let stored = read(&database).map_err(|fault| fault.at(&path))?;
        let store = Self {
            path,
            database: Arc::new(ArcSwapOption::from_pointee(database)),
            _lock: lock,
        };
        Ok((store, stored))
    }

    /// Reads what is stored in `dir` without changing anything; `None` when there is no store yet.
    /// For offline commands: a running Signpost is asked instead, it holds the lock.
    pub fn peek(dir: &Path) -> Result<Option<Stored>, StoreError> {
        let path = dir.join(DATABASE);
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(StoreError::from_io(&path, error)),
        }
        let database = match Builder::new().set_cache_size(CACHE_BYTES).open_read_only(&path) {
            Ok(database) => database,
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(StoreError::Locked {
                    dir: dir.to_owned(),
                    holder: read_holder(&dir.join(LOCK)),
                });
            }
            Err(error) => return Err(Fault::from(error).at(&path)),
        };
        read(&database).map(Some).map_err(|fault| fault.at(&path))
    }

    /// Renames a damaged store so that the next [`Store::open`] begins an empty one; returns its
    /// new name. Serials then start from the zone files again and retired keys are forgotten.
    pub fn move_aside(dir: &Path) -> Result<PathBuf, StoreError> {
        let _lock = lock(dir)?;
        let path = dir.join(DATABASE);
        let aside = (1u32..)
            .map(|n| dir.join(format!("{DATABASE}.damaged-{n}")))
            .find(|name| !name.exists())
            .unwrap_or_else(|| dir.join(format!("{DATABASE}.damaged")));
        fs::rename(&path, &aside).map_err(|error| StoreError::from_io(&path, error))?;
        sync_dir(dir)?;
        Ok(aside)
    }

    /// Writes a batch and flushes it to the disk. After an error nothing of it counts as stored.
    pub fn commit(&mut self, writes: &Writes<'_>) -> Result<(), StoreError> {
        let database = match self.database.load_full() {
            Some(database) => database,
            None => {
                let database = Arc::new(open_database(&self.path)?);
                self.database.store(Some(Arc::clone(&database)));
                database
            }
        };
        write(&database, writes).map_err(|fault| {
            self.database.store(None);
            fault.at(&self.path)
        })
    }

    /// A reader of the journal.
    pub fn journal(&self) -> Journal {
        Journal {
            database: Arc::clone(&self.database),
            path: self.path.clone(),
        }
    }
}

/// The key of a zone: its apex in wire form and lower case.
pub fn zone_key(apex: &Name) -> Box<[u8]> {
    apex.as_wire().to_ascii_lowercase().into_boxed_slice()
}

impl ApexDigest {
    /// The digest of an apex.
    pub fn of(apex: &Name) -> Self {
        Self::of_key(&zone_key(apex))
    }

    fn of_key(key: &[u8]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&Sha256::digest(key)[..16]);
        Self(half)
    }
}

/// A fault that does not know its file yet.
enum Fault {
    Redb(Box<redb::Error>),
    Newer(u64),
    Corrupt(String),
}

impl Fault {
    fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Redb(error) => StoreError::from_redb(path, *error),
            Self::Newer(format) => StoreError::Newer {
                path: path.to_owned(),
                format,
            },
            Self::Corrupt(what) => StoreError::Corrupt {
                path: path.to_owned(),
                what,
            },
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Redb(Box::new(error.into()))
    }
}

/// Opens or creates the database; a new one is laid out, an old one is checked for its format.
fn open_database(path: &Path) -> Result<Database, StoreError> {
    let database = Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create(path)
        .map_err(|error| Fault::from(error).at(path))?;
    if lay_out(&database).map_err(|fault| fault.at(path))? {
        // A file that was just created is only safe once its name is.
        sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(database)
}

/// Creates the tables of a new database; returns whether it was new.
fn lay_out(database: &Database) -> Result<bool, Fault> {
    let tables = database.begin_read()?.list_tables()?.count();
    if tables > 0 {
        return check_format(database).map(|()| false);
    }
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert("format", FORMAT)?;
    transaction.open_table(ZONES)?;
    transaction.open_table(KEYS)?;
    transaction.commit()?;
    Ok(true)
}

fn check_format(database: &impl ReadableDatabase) -> Result<(), Fault> {
    let format = database.begin_read()?.open_table(META)?.get("format")?;
    match format.map(|format| format.value()) {
        Some(FORMAT) => Ok(()),
        Some(newer) if newer > FORMAT => Err(Fault::Newer(newer)),
        Some(other) => Err(Fault::Corrupt(format!("format {other} was never in use"))),
        None => Err(Fault::Corrupt("it names no format".into())),
    }
}

fn read(database: &impl ReadableDatabase) -> Result<Stored, Fault> {
    check_format(database)?;
    let transaction = database.begin_read()?;
    // A map that is made of all its entries at once is packed tightly.
    let mut zones = vec![];
    for entry in transaction.open_table(ZONES)?.iter()? {
        let (key, value) = entry?;
        zones.push((ApexDigest::of_key(key.value()), row::zone_state(value.value())));
    }
    let mut keys = vec![];
    for entry in transaction.open_table(KEYS)?.iter()? {
        let (key, value) = entry?;
        keys.push(row::key_state(key.value(), value.value()).map_err(Fault::Corrupt)?);
    }
    Ok(Stored {
        zones: zones.into_iter().collect(),
        keys,
    })
}

fn write(database: &Database, writes: &Writes<'_>) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    if !writes.zones.is_empty() {
        let mut table = transaction.open_table(ZONES)?;
        for (key, state) in &writes.zones {
            table.insert(&**key, row::zone_row(state))?;
        }
    }
    if !writes.keys.is_empty() {
        let mut table = transaction.open_table(KEYS)?;
        for (domain, selector, state) in &writes.keys {
            let key = row::key_key(domain, selector);
            match state {
                Some(state) => table.insert(&*key, &*row::key_row(state).map_err(Fault::Corrupt)?)?,
                None => table.remove(&*key)?,
            };
        }
    }
    journal::write(&transaction, &writes.journal)?;
    transaction.commit()?;
    Ok(())
}

/// Takes the state directory for this process.
fn lock(dir: &Path) -> Result<File, StoreError> {
    fs::create_dir_all(dir).map_err(|error| StoreError::from_io(dir, error))?;
    let path = dir.join(LOCK);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| StoreError::from_io(&path, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Locked {
                dir: dir.to_owned(),
                holder: read_holder(&path),
            });
        }
        Err(TryLockError::Error(error)) => return Err(StoreError::from_io(&path, error)),
    }
    // Who holds it is a courtesy to the next one; a full disk must not stop us for that.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

/// The process that last took the lock.
fn read_holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| StoreError::from_io(dir, error))
}

#[cfg(test)]
mod tests;
