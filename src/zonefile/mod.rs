//! Master files: text to records and back.
//!
//! Reads what BIND 9 reads: RFC 1035 §5, `$TTL` (RFC 2308 §4), types and classes by number and
//! opaque data (RFC 3597 §5), `$GENERATE`, times with units, and `$INCLUDE` of a file relative to
//! the one that includes it. Class IN only. The first error ends the reading and nothing is taken;
//! records outside the zone are left out with a warning. The only I/O is the [`Open`] handed in.
//!
//! Codes of findings: `zone-unreadable` (no file, no regular file, too large), `zone-binary` (UTF-16,
//! BIND's raw format or other binary data), `zone-private-key`, `zone-empty`, `zone-syntax`,
//! `zone-record` (RDATA), `zone-type`, `zone-class`, `zone-ttl`, `zone-include`, `zone-generate`,
//! `zone-soa` and `zone-too-large` are errors; `zone-out-of-zone` and `zone-ttl-range` are warnings;
//! `zone-text-split` and `zone-byte-order-mark` are notes.

mod directive;
mod disk;
mod fault;
mod generate;
mod lexer;
mod reader;
#[cfg(test)]
mod tests;
mod words;
mod writer;

use crate::finding::Finding;
use crate::name::Name;
use crate::record::Record;
use std::io;
use std::path::{Path, PathBuf};

pub use disk::DiskFiles;
pub use fault::Unreadable;
pub use writer::write;

/// What some editors put in front of UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A zone's records as its files write them.
#[derive(Debug)]
pub struct ZoneFile {
    /// Every record in the order of the text, exactly one SOA at the apex among them, all of class
    /// IN, at or below the apex and well-formed. Duplicates and conflicts are still there.
    pub records: Vec<Record>,
    /// The file of each record by index into `files`, and its line, in the order of `records`.
    pub places: Vec<(u16, u32)>,
    /// The zone file and every file it includes, each once, in the order they were opened.
    pub files: Vec<PathBuf>,
    /// What the reader mended or left out.
    pub findings: Vec<Finding>,
}

/// Opens a file named by the zone file or by `$INCLUDE`: the only I/O of this module, handed in.
pub trait Open {
    /// The whole content of the file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// A text in memory: it is the file, whatever its name.
impl Open for &str {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.as_bytes().to_vec())
    }
}

/// The same.
impl Open for String {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.as_bytes().to_vec())
    }
}

/// Reads the zone `apex` from the master file at `path`. On error nothing is taken: the finding
/// names file, line, column and the line itself, and `files` lists what was opened until then, so
/// that a caller can watch them for the mended version.
pub fn read(path: &Path, apex: &Name, open: &dyn Open) -> Result<ZoneFile, Box<Unreadable>> {
    reader::read(path, apex, open)
}
