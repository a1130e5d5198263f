//! The content of a zone apart from its serial: what must differ before the serial may move.
//!
//! The SOA RDATA ends in five 32-bit numbers (RFC 1035 §3.3.13), the serial first among them, so
//! it stands 20 octets from the end whatever the two names before it are.

use super::serial::Serial;
use crate::name::Name;
use crate::record::{Record, RecordType};
use sha2::{Digest, Sha256};
use std::cmp::Ordering;

/// SHA-256 of a zone's records without the SOA serial.
pub type ContentHash = [u8; 32];

/// Two root names and five numbers.
const SHORTEST_SOA: usize = 22;
const SERIAL_FROM_END: usize = 20;

/// The serial of the SOA at `apex`; `None` when there is no SOA or none of that form.
pub(super) fn serial_of(apex: &Name, records: &[Record]) -> Option<Serial> {
    let soa = records.iter().find(|record| is_soa(apex, record))?;
    let (_, numbers) = soa.rdata.split_last_chunk::<SERIAL_FROM_END>()?;
    let (serial, _) = numbers.split_first_chunk::<4>()?;
    Some(Serial(u32::from_be_bytes(*serial)))
}

/// Writes `serial` into the SOA at `apex`.
pub(super) fn set_serial(apex: &Name, records: &mut [Record], serial: Serial) {
    for soa in records.iter_mut().filter(|record| is_soa(apex, record)) {
        if let Some((_, numbers)) = soa.rdata.split_last_chunk_mut::<SERIAL_FROM_END>() {
            numbers[..4].copy_from_slice(&serial.0.to_be_bytes());
        }
    }
}

/// The hash of a zone's content, the same for every order of the records, every case of the owner
/// names (RFC 4343) and however often a record is written (RFC 2181 §5).
pub(super) fn hash(apex: &Name, records: &[Record]) -> ContentHash {
    let mut order: Vec<&Record> = records.iter().collect();
    order.sort_unstable_by(|a, b| compare(apex, a, b));
    order.dedup_by(|a, b| compare(apex, a, b) == Ordering::Equal);
    let mut digest = Sha256::new();
    let mut one = Vec::with_capacity(512);
    for record in order {
        let (front, back) = hashed_rdata(apex, record);
        one.clear();
        one.extend(lower(&record.owner));
        one.extend_from_slice(&record.rtype.0.to_be_bytes());
        one.extend_from_slice(&record.ttl.to_be_bytes());
        one.extend_from_slice(&((front.len() + back.len()) as u64).to_be_bytes());
        one.extend_from_slice(front);
        one.extend_from_slice(back);
        digest.update(&one);
    }
    digest.finalize().into()
}

fn is_soa(apex: &Name, record: &Record) -> bool {
    record.rtype == RecordType::SOA && record.rdata.len() >= SHORTEST_SOA && record.owner == *apex
}

/// The RDATA as it is hashed: around the serial for the SOA, whole for the rest.
fn hashed_rdata<'a>(apex: &Name, record: &'a Record) -> (&'a [u8], &'a [u8]) {
    if is_soa(apex, record) {
        let serial = record.rdata.len() - SERIAL_FROM_END;
        (&record.rdata[..serial], &record.rdata[serial + 4..])
    } else {
        (&record.rdata, &[])
    }
}

/// Any fixed order does; this one is cheap.
fn compare(apex: &Name, a: &Record, b: &Record) -> Ordering {
    lower(&a.owner)
        .cmp(lower(&b.owner))
        .then_with(|| a.rtype.cmp(&b.rtype))
        .then_with(|| hashed_rdata(apex, a).cmp(&hashed_rdata(apex, b)))
        .then_with(|| a.ttl.cmp(&b.ttl))
}

fn lower(name: &Name) -> impl Iterator<Item = u8> + '_ {
    name.as_wire().iter().map(u8::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    fn soa(owner: &str, serial: u32) -> Record {
        let mut rdata = name("ns1.example.org").as_wire().to_vec();
        rdata.extend_from_slice(name("hostmaster.example.org").as_wire());
        for number in [serial, 7200, 3600, 1_209_600, 300] {
            rdata.extend_from_slice(&number.to_be_bytes());
        }
        Record {
            owner: name(owner),
            rtype: RecordType::SOA,
            ttl: 3600,
            rdata: rdata.into(),
        }
    }

    fn txt(owner: &str, ttl: u32, text: &str) -> Record {
        Record::text(name(owner), RecordType::TXT, ttl, text.as_bytes())
    }

    #[test]
    fn reads_and_writes_the_serial_and_nothing_beside_it() {
        let apex = name("example.org");
        let mut records = vec![txt("example.org", 60, "x"), soa("Example.ORG", 2026111901)];
        assert_eq!(serial_of(&apex, &records), Some(Serial(2026111901)));
        set_serial(&apex, &mut records, Serial(u32::MAX));
        assert_eq!(records, vec![txt("example.org", 60, "x"), soa("Example.ORG", u32::MAX)]);
    }

    #[test]
    fn a_cut_off_soa_has_no_serial_and_is_left_alone() {
        let apex = name("example.org");
        let mut cut = soa("example.org", 7);
        cut.rdata = cut.rdata[..19].into();
        let mut records = vec![cut.clone()];
        assert_eq!(serial_of(&apex, &records), None);
        set_serial(&apex, &mut records, Serial(9));
        assert_eq!(records, vec![cut]);
        assert_eq!(serial_of(&apex, &[soa("sub.example.org", 7)]), None);
    }

    #[test]
    fn the_serial_does_not_count_and_everything_else_does() {
        let apex = name("example.org");
        let base = hash(&apex, &[soa("example.org", 1), txt("a.example.org", 60, "x")]);
        assert_eq!(
            base,
            hash(&apex, &[soa("example.org", 2), txt("A.example.ORG", 60, "x")])
        );
        let mut other_minimum = soa("example.org", 1);
        *other_minimum.rdata.last_mut().unwrap() ^= 1;
        for changed in [
            vec![soa("example.org", 1)],
            vec![soa("example.org", 1), txt("b.example.org", 60, "x")],
            vec![soa("example.org", 1), txt("a.example.org", 61, "x")],
            vec![soa("example.org", 1), txt("a.example.org", 60, "X")],
            vec![other_minimum, txt("a.example.org", 60, "x")],
        ] {
            assert_ne!(base, hash(&apex, &changed), "{changed:?}");
        }
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_count(
            texts in prop::collection::vec(("[a-c]{1,2}", 0u32..3, "[xy]{0,2}"), 1..12),
            seed: u64,
        ) {
            let apex = name("example.org");
            let mut records: Vec<Record> =
                texts.iter().map(|(owner, ttl, text)| txt(&format!("{owner}.example.org"), *ttl, text)).collect();
            let sorted = hash(&apex, &records);
            let repeated = records[seed as usize % records.len()].clone();
            records.push(repeated);
            records.rotate_left(seed as usize % texts.len());
            records.reverse();
            prop_assert_eq!(sorted, hash(&apex, &records));
        }
    }
}
