//! The records of a zone file, kept for composing them anew: as records, and packed.
//!
//! A zone into which something is composed keeps its file's records beside the served zone, for keys
//! rotate and files break. There may be a hundred thousand such zones, so at rest the records are one
//! run of octets.

use crate::finding::Place;
use crate::name::Name;
use crate::record::{Record, RecordType};
use std::path::PathBuf;

/// The records of a zone file and where each stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) records: Vec<Record>,
    /// As in [`crate::zonefile::ZoneFile`]: empty when they are not known.
    pub(super) places: Vec<(u16, u32)>,
    pub(super) files: Vec<PathBuf>,
}

/// The same at rest.
#[derive(Debug)]
pub(super) struct PackedBase {
    /// Per record: owner in wire form, type, TTL, length of the RDATA, RDATA.
    octets: Box<[u8]>,
    places: Box<[(u16, u32)]>,
    files: Box<[PathBuf]>,
}

/// Octets of type, TTL and length of the RDATA.
const FIXED: usize = 8;

impl Base {
    /// Where the SOA stands.
    pub(super) fn soa(&self) -> Option<Place> {
        let at = self.records.iter().position(|record| record.rtype == RecordType::SOA)?;
        let &(file, line) = self.places.get(at)?;
        Some(Place::line(self.files.get(usize::from(file))?, line))
    }

    pub(super) fn pack(self) -> PackedBase {
        let size = |record: &Record| record.owner.as_wire().len() + FIXED + record.rdata.len();
        let mut octets = Vec::with_capacity(self.records.iter().map(size).sum());
        for record in &self.records {
            octets.extend_from_slice(record.owner.as_wire());
            octets.extend_from_slice(&record.rtype.0.to_be_bytes());
            octets.extend_from_slice(&record.ttl.to_be_bytes());
            // RDATA of a master file fits 16 bits (RFC 1035 §3.2.1).
            octets.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
            octets.extend_from_slice(&record.rdata);
        }
        PackedBase {
            octets: octets.into_boxed_slice(),
            places: self.places.into_boxed_slice(),
            files: self.files.into_boxed_slice(),
        }
    }
}

impl PackedBase {
    pub(super) fn unpack(&self) -> Base {
        let mut rest = &*self.octets;
        let records = std::iter::from_fn(|| {
            let (record, behind) = unpack_record(rest)?;
            rest = behind;
            Some(record)
        });
        Base {
            records: records.collect(),
            places: self.places.to_vec(),
            files: self.files.to_vec(),
        }
    }
}

/// The first record, and what is behind it.
fn unpack_record(octets: &[u8]) -> Option<(Record, &[u8])> {
    let (owner, rest) = octets.split_at_checked(crate::name::wire_len(octets)?)?;
    let (&[type0, type1, ttl0, ttl1, ttl2, ttl3, len0, len1], rest) = rest.split_first_chunk::<FIXED>()?;
    let (rdata, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([len0, len1])))?;
    let record = Record {
        owner: Name::from_wire(owner).ok()?,
        rtype: RecordType(u16::from_be_bytes([type0, type1])),
        ttl: u32::from_be_bytes([ttl0, ttl1, ttl2, ttl3]),
        rdata: rdata.into(),
    };
    Some((record, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = Record> {
        let owner = prop::collection::vec("[A-Za-z0-9_*-]{1,20}", 0..5);
        (
            owner,
            any::<u16>(),
            any::<u32>(),
            prop::collection::vec(any::<u8>(), 0..600),
        )
            .prop_map(|(labels, rtype, ttl, rdata)| Record {
                owner: Name::from_text(&(labels.join(".") + ".")).unwrap_or_else(|_| Name::root()),
                rtype: RecordType(rtype),
                ttl,
                rdata: rdata.into(),
            })
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(records in prop::collection::vec(record(), 0..20), line in any::<u32>()) {
            let base = Base {
                places: records.iter().map(|_| (0, line)).collect(),
                records,
                files: vec!["zones/example.org.zone".into()],
            };
            prop_assert_eq!(base.clone().pack().unpack(), base);
        }
    }

    #[test]
    fn the_longest_rdata_comes_back() {
        let longest = Record {
            owner: Name::root(),
            rtype: RecordType::TXT,
            ttl: 0,
            rdata: vec![7; usize::from(u16::MAX)].into(),
        };
        let base = Base {
            records: vec![longest.clone(), longest],
            places: vec![],
            files: vec![],
        };
        assert_eq!(base.clone().pack().unpack(), base);
    }
}
