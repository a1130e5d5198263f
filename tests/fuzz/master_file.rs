//! What holds of any master file; shared by the fuzz target and the test that replays its corpus.
//!
//! The input is the zone file; `$INCLUDE` of whatever name gets a few records and an error of its own.

use signpost::finding::Severity;
use signpost::name::Name;
use signpost::record::{RecordType, text};
use signpost::zonefile::{self, Open, ZoneFile};
use std::io;
use std::path::Path;

/// The zone file under one name, one short file under every other name but `missing`.
struct Files<'a>(&'a [u8]);

impl Open for Files<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("example.org.zone") => Ok(self.0.to_vec()),
            Some("missing") => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(b"$ORIGIN inner\n  7 TXT ( \"included\"\n )\nb A 192.0.2.1".to_vec()),
        }
    }
}

fn read(text: &[u8]) -> Result<ZoneFile, Box<zonefile::Unreadable>> {
    let apex = Name::from_text("example.org").unwrap_or_else(|error| panic!("{error}"));
    zonefile::read(Path::new("example.org.zone"), &apex, &Files(text))
}

/// Reads `octets` as a zone and writes it again; panics if a promise of `zonefile` is broken.
pub(crate) fn exercise(octets: &[u8]) {
    // Each $GENERATE makes up to 65 536 records by right: a few lines would only measure memory.
    let generates = octets.windows(9).filter(|nine| nine.eq_ignore_ascii_case(b"$GENERATE"));
    if generates.count() > 1 {
        return;
    }
    match read(octets) {
        Ok(zone) => judge_zone(&zone),
        Err(error) => {
            assert_eq!(error.finding.severity, Severity::Error);
            assert!(
                !error.finding.what.is_empty() && !error.finding.cure.is_empty(),
                "{error}"
            );
            assert!(error.finding.place.is_some() && !error.files.is_empty(), "{error}");
            let shown = error.to_string();
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
            assert!(error.excerpt.lines().count() <= 2, "{shown}");
        }
    }
}

fn judge_zone(zone: &ZoneFile) {
    assert_eq!(zone.records.len(), zone.places.len());
    let soas = zone.records.iter().filter(|record| record.rtype == RecordType::SOA);
    assert_eq!(soas.count(), 1);
    for (record, (file, line)) in zone.records.iter().zip(&zone.places) {
        assert!(usize::from(*file) < zone.files.len() && *line > 0);
        assert!(record.ttl <= 0x7fff_ffff && !record.rtype.is_meta());
        assert_eq!(text::check_wire(record.rtype, &record.rdata), Ok(()));
        for (range, _) in text::names_in(record.rtype, &record.rdata) {
            assert!(Name::from_wire(&record.rdata[range]).is_ok());
        }
    }
    // As it is written for other servers, and as messages show it.
    let mut portable = Vec::new();
    zonefile::write(&zone.records, &mut portable).unwrap_or_else(|error| panic!("{error}"));
    let shown: String = zone.records.iter().map(|record| format!("{record}\n")).collect();
    for text in [&portable[..], shown.as_bytes()] {
        let back = read(text).unwrap_or_else(|error| panic!("{error}"));
        assert!(back.findings.is_empty(), "{:?}", back.findings);
        assert!(back.records == zone.records, "{shown}");
    }
}
