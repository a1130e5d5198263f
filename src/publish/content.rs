//! The content of a zone apart from its serial: what must differ before the serial may move.
//!
//! It is taken from the built zone, so it is what is served: owner names in lower case (RFC 4343),
//! records in canonical order and each once (RFC 2181 §5), TTLs made one, what is out of the zone
//! left out. Names that exist without data are no part of it: no secondary is told of them.

use crate::record::RecordType;
use crate::zone::Zone;
use sha2::{Digest, Sha256};

/// SHA-256 of a zone's records without the SOA serial.
pub type ContentHash = [u8; 32];

/// The SOA RDATA ends in five numbers of four octets, the serial the first of them (RFC 1035 §3.3.13).
const SOA_NUMBERS: usize = 20;

/// The hash of a zone's content. Each RRset goes in as owner, number of records and records; every
/// part tells its own length.
pub(super) fn hash(zone: &Zone) -> ContentHash {
    let mut digest = Sha256::new();
    for node in zone.nodes() {
        for rrset in node.rrsets() {
            digest.update(node.name());
            digest.update(rrset.count.to_be_bytes());
            if rrset.rtype == RecordType::SOA {
                let serial = rrset.block.len().saturating_sub(SOA_NUMBERS);
                digest.update(&rrset.block[..serial]);
                digest.update(rrset.block.get(serial + 4..).unwrap_or_default());
            } else {
                digest.update(rrset.block);
            }
        }
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::publish::testing::{a, mx, records};
    use crate::record::Record;
    use proptest::prelude::*;

    fn hash_of(records: Vec<Record>) -> ContentHash {
        let apex = Name::from_text("example.org").unwrap();
        hash(&Zone::build(&apex, &records, &[]).unwrap().0)
    }

    fn with(serial: u32, more: Vec<Record>) -> Vec<Record> {
        let mut all = records("example.org", serial);
        all.extend(more);
        all
    }

    #[test]
    fn the_serial_does_not_count_and_everything_else_does() {
        let base = hash_of(with(1, vec![a("mail.example.org", 1)]));
        assert_eq!(base, hash_of(with(2, vec![a("MAIL.example.ORG", 1)])));
        let mut other_ttl = a("mail.example.org", 1);
        other_ttl.ttl += 1;
        let mut other_soa = with(1, vec![a("mail.example.org", 1)]);
        *other_soa[0].rdata.last_mut().unwrap() ^= 1;
        for changed in [
            with(1, vec![]),
            with(1, vec![a("mail.example.org", 2)]),
            with(1, vec![a("other.example.org", 1)]),
            with(1, vec![a("mail.example.org", 1), a("mail.example.org", 2)]),
            with(1, vec![a("mail.example.org", 1), mx("example.org", "mail.example.org")]),
            with(1, vec![other_ttl]),
            other_soa,
        ] {
            assert_ne!(base, hash_of(changed.clone()), "{changed:?}");
        }
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_count(
            hosts in prop::collection::vec((0u8..4, 0u8..4), 1..12),
            turns in 0usize..12,
            again in any::<prop::sample::Index>(),
        ) {
            let mut records = with(1, hosts.iter().map(|(h, n)| a(&format!("h{h}.example.org"), *n)).collect());
            let hash = hash_of(records.clone());
            records.push(again.get(&records).clone());
            let turns = turns % records.len();
            records.rotate_left(turns);
            records.reverse();
            // A second SOA of the same text is the same record.
            prop_assert_eq!(hash, hash_of(records));
        }
    }
}
