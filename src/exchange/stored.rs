//! Transferred zones on disk: a master file each, below the state directory, written beside and renamed into place.
//!
//! Its time of modification is when the zone's primary last said that it is the newest, be it to us or to the secondary
//! that we have it from (RFC 7314): so a restart knows when it expires, and being told so costs no writing.

use crate::finding::Finding;
use crate::name::Name;
use crate::record::{Record, RecordType};
use crate::zonefile::{self, DiskFiles};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The directory below the state directory.
const DIRECTORY: &str = "transferred";
/// Longer names would make file names that are too long.
const MAX_STEM: usize = 200;
/// A zone is no larger than what a transfer may bring.
const MAX_LEN: u64 = 4 << 30;

/// Where the zone of this apex is kept.
pub fn path(state: &Path, apex: &Name) -> PathBuf {
    let text = apex.to_lowercase().to_string();
    let stem = match text.trim_end_matches('.') {
        "" => "root".to_owned(),
        long if long.len() > MAX_STEM => Sha256::digest(long.as_bytes())
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect(),
        stem => stem.replace('/', "\\047"),
    };
    state.join(DIRECTORY).join(format!("{stem}.zone"))
}

/// Reads what is kept, the SOA first; the error is for the operator.
pub fn read(path: &Path, apex: &Name) -> Result<Vec<Record>, Finding> {
    let file = zonefile::read(path, apex, &DiskFiles { limit: MAX_LEN }).map_err(|unreadable| unreadable.finding)?;
    let (soa, rest): (Vec<Record>, Vec<Record>) = file
        .records
        .into_iter()
        .partition(|record| record.rtype == RecordType::SOA && record.owner == *apex);
    Ok(soa.into_iter().chain(rest).collect())
}

/// Has it been without a primary's word for longer than its SOA allows (RFC 1035 §3.3.13)? Looks at the first line only,
/// where the SOA is.
pub fn is_expired(path: &Path) -> bool {
    let mut line = String::new();
    let first = File::open(path).and_then(|file| BufReader::new(file).read_line(&mut line));
    // The last but one of its numbers.
    let expire = line
        .split_ascii_whitespace()
        .rev()
        .nth(1)
        .and_then(|word| word.parse().ok());
    match (first, expire, confirmed(path)) {
        (Ok(_), Some(expire), Some(at)) => at.elapsed().is_ok_and(|since| since >= Duration::from_secs(expire)),
        _ => false,
    }
}

/// When its primary last confirmed it.
pub(super) fn confirmed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Its primary confirmed it then.
pub(super) fn confirm(path: &Path, at: SystemTime) -> io::Result<()> {
    File::options().write(true).open(path)?.set_modified(at)
}

/// Puts a new version, confirmed `at`, in the place of the old one; all of it is on disk when this returns.
pub(super) fn write(path: &Path, records: &[Record], at: SystemTime) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let beside = path.with_extension("new");
    let mut out = BufWriter::with_capacity(1 << 18, File::create(&beside)?);
    zonefile::write(records, &mut out)?;
    out.flush()?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.set_modified(at)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(directory)?.sync_all()
}

/// The zone is fetched no more.
pub(super) fn forget(path: &Path) {
    // That there was none is as good.
    let _ = fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;

    #[test]
    fn each_name_has_a_file_of_its_own() {
        let state = Path::new("/state");
        let text = |apex: &str| path(state, &name(apex)).display().to_string();
        assert_eq!(text("Example.org"), "/state/transferred/example.org.zone");
        assert_eq!(text("."), "/state/transferred/root.zone");
        assert_eq!(
            text("0/25.2.0.192.in-addr.arpa"),
            "/state/transferred/0\\04725.2.0.192.in-addr.arpa.zone"
        );
        let long = ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(60)].join(".");
        assert!(text(&long).len() < 120, "{}", text(&long));
        assert_ne!(text(&long), text(&long.replace('d', "e")));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let state = tempfile::tempdir().unwrap();
        let apex = name("example.org");
        let path = path(state.path(), &apex);
        let record = |owner: &str, rtype, rdata: &[u8]| Record {
            owner: name(owner),
            rtype,
            ttl: 5,
            rdata: rdata.into(),
        };
        let soa = [&[0, 0][..], [7u32, 1, 1, 1, 1].map(u32::to_be_bytes).as_flattened()].concat();
        let records = vec![
            record("example.org", RecordType::SOA, &soa),
            record("a b.example.org", RecordType(65280), b"\0\xff"),
            record("example.org", RecordType::TXT, b"\x03\"\\\xe9"),
        ];
        assert!(confirmed(&path).is_none());
        let long_ago = SystemTime::UNIX_EPOCH;
        write(&path, &records, long_ago).unwrap();
        assert_eq!(read(&path, &apex).unwrap(), records);
        assert_eq!(confirmed(&path), Some(long_ago));
        let later = long_ago + Duration::from_secs(5);
        confirm(&path, later).unwrap();
        assert_eq!(confirmed(&path), Some(later));
        assert!(is_expired(&path), "its SOA allows one second");
        confirm(&path, SystemTime::now() + Duration::from_secs(60)).unwrap();
        assert!(!is_expired(&path));
        forget(&path);
        assert!(read(&path, &apex).is_err());
    }
}
