//! Master files (RFC 1035 §5, RFC 2308 §4, RFC 3597 §5): text to records and back.
//!
//! Stub of the interface.

use crate::finding::Finding;
use crate::name::Name;
use crate::record::Record;
use std::io;
use std::path::{Path, PathBuf};

/// A zone's records as its files write them.
#[derive(Debug)]
pub struct ZoneFile {
    /// Every record in the order of the text, the SOA among them.
    pub records: Vec<Record>,
    /// The file of each record by index into `files`, and its line, in the order of `records`.
    pub places: Vec<(u16, u32)>,
    /// The zone file and every file it includes, in the order they were opened.
    pub files: Vec<PathBuf>,
    /// What the reader mended or left out.
    pub findings: Vec<Finding>,
}

/// Opens a file named by the zone file or by `$INCLUDE`: the only I/O of this module, handed in.
pub trait Open {
    /// The whole content of the file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// Reads the zone `apex` from the master file at `path`. On error nothing is taken: the finding
/// names file, line, column and the line itself, and `files` lists what was opened until then, so
/// that a caller can watch them for the mended version.
pub fn read(_path: &Path, _apex: &Name, _open: &dyn Open) -> Result<ZoneFile, Box<Unreadable>> {
    Err(Box::new(Unreadable {
        finding: Finding::error("stub", "", ""),
        files: vec![],
    }))
}

/// A master file that cannot be taken.
#[derive(Debug)]
pub struct Unreadable {
    /// The first error.
    pub finding: Finding,
    /// Every file that was opened, the faulty one included.
    pub files: Vec<PathBuf>,
}

/// Writes records as a master file, one a line, absolute names.
pub fn write(records: &[Record], out: &mut dyn io::Write) -> io::Result<()> {
    for record in records {
        writeln!(out, "{record}")?;
    }
    Ok(())
}
