//! What changed between two versions of a zone, as IXFR tells it (RFC 1995 §4): records to take out, records to put in.

use crate::name;
use crate::record::{RecordType, Rrset};
use crate::zone::{Node, Zone};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// The difference between two versions of a zone. Both halves begin with the SOA of their version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The serial of the old version.
    pub from: u32,
    /// The serial of the new version.
    pub to: u32,
    /// Records one after the other in uncompressed wire form, those taken out before those put in.
    octets: Box<[u8]>,
    /// Where those put in begin.
    split: usize,
}

/// A record in uncompressed wire form: its owner, and the rest from its type on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireRecord<'d> {
    /// The owner.
    pub owner: &'d [u8],
    /// Type, class, TTL, RDLENGTH and RDATA.
    pub rest: &'d [u8],
}

impl Delta {
    /// From one version of a zone to another.
    pub fn between(old: &Zone, new: &Zone) -> Self {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        put_rrset(&mut removed, old.apex_node(), old.soa().block);
        put_rrset(&mut added, new.apex_node(), new.soa().block);
        let (mut olds, mut news) = (old.nodes().peekable(), new.nodes().peekable());
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => name::canonical_cmp(old.name(), new.name()),
            };
            let old = olds.next_if(|_| order.is_le());
            let new = news.next_if(|_| order.is_ge());
            compare_nodes(old, new, &mut removed, &mut added);
        }
        Self::of(old.serial(), new.serial(), removed, &added)
    }

    fn of(from: u32, to: u32, mut octets: Vec<u8>, added: &[u8]) -> Self {
        let split = octets.len();
        octets.extend_from_slice(added);
        Self {
            from,
            to,
            octets: octets.into(),
            split,
        }
    }

    /// The records taken out, the old SOA first.
    pub fn removed(&self) -> impl Iterator<Item = WireRecord<'_>> {
        Records(self.octets.get(..self.split).unwrap_or_default())
    }

    /// The records put in, the new SOA first.
    pub fn added(&self) -> impl Iterator<Item = WireRecord<'_>> {
        Records(self.octets.get(self.split..).unwrap_or_default())
    }

    /// The octets of all records, and where those put in begin.
    pub(super) fn octets(&self) -> (&[u8], usize) {
        (&self.octets, self.split)
    }

    /// Octets of all records: what a transfer takes, more or less.
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// It never is: both halves have a SOA.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// One difference in place of several that follow on each other: what was put in and taken out again between is in
    /// it no more. `None` when they do not follow on each other, or when there is none.
    pub fn condensed(deltas: &[Self]) -> Option<Self> {
        let (first, last) = (deltas.first()?, deltas.last()?);
        if !deltas.is_sorted_by(|a, b| a.to == b.from) {
            return None;
        }
        let (mut removed, mut added) = (BTreeSet::new(), BTreeSet::new());
        for delta in deltas {
            for record in delta.removed() {
                if !added.remove(&record) {
                    removed.insert(record);
                }
            }
            for record in delta.added() {
                if !removed.remove(&record) {
                    added.insert(record);
                }
            }
        }
        let soa_first = |records: BTreeSet<WireRecord<'_>>| {
            let (soa, rest): (Vec<_>, Vec<_>) = records.into_iter().partition(WireRecord::is_soa);
            soa.into_iter()
                .chain(rest)
                .flat_map(|record| [record.owner, record.rest].concat())
                .collect::<Vec<u8>>()
        };
        Some(Self::of(first.from, last.to, soa_first(removed), &soa_first(added)))
    }

    /// For storing.
    pub fn to_bytes(&self) -> Vec<u8> {
        let split = self.split as u32;
        let head = [self.from, self.to, split].map(u32::to_be_bytes);
        [head.as_flattened(), &self.octets].concat()
    }

    /// What was stored; `None` when it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, octets) = bytes.split_first_chunk::<12>()?;
        let word = |at: usize| Some(u32::from_be_bytes(*head.get(at..)?.first_chunk()?));
        let delta = Self {
            from: word(0)?,
            to: word(4)?,
            octets: octets.into(),
            split: word(8)? as usize,
        };
        let whole = |records: &[u8]| Records(records).map(|record| record.len()).sum::<usize>() == records.len();
        let (removed, added) = octets.split_at_checked(delta.split)?;
        (whole(removed) && whole(added)).then_some(delta)
    }
}

impl<'d> WireRecord<'d> {
    /// The record at the front of `octets`.
    pub(super) fn first(octets: &'d [u8]) -> Option<Self> {
        let (owner, rest) = octets.split_at_checked(name::wire_len(octets)?)?;
        let fixed = rest.first_chunk::<10>()?;
        let len = 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        Some(Self {
            owner,
            rest: rest.get(..len)?,
        })
    }

    /// Octets in all.
    pub(super) fn len(&self) -> usize {
        self.owner.len() + self.rest.len()
    }

    fn is_soa(&self) -> bool {
        self.rest.starts_with(&[0, 6])
    }
}

struct Records<'d>(&'d [u8]);

impl<'d> Iterator for Records<'d> {
    type Item = WireRecord<'d>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = WireRecord::first(self.0)?;
        self.0 = self.0.get(record.len()..).unwrap_or_default();
        Some(record)
    }
}

/// All records of an RRset.
fn put_rrset(out: &mut Vec<u8>, node: Node<'_>, block: &[u8]) {
    let mut rest = block;
    while let Some(record) = first_of_block(rest) {
        put(out, node, record);
        rest = &rest[record.len()..];
    }
}

fn put(out: &mut Vec<u8>, node: Node<'_>, record: &[u8]) {
    out.extend_from_slice(node.name());
    out.extend_from_slice(record);
}

/// The first record of an RRset's block.
fn first_of_block(block: &[u8]) -> Option<&[u8]> {
    let fixed = block.first_chunk::<10>()?;
    block.get(..10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))
}

/// What differs at one name; a version that has not the name gives no node.
fn compare_nodes(old: Option<Node<'_>>, new: Option<Node<'_>>, removed: &mut Vec<u8>, added: &mut Vec<u8>) {
    if let (Some(old), Some(new)) = (old, new)
        && old
            .rrsets()
            .map(|rrset| rrset.block)
            .eq(new.rrsets().map(|rrset| rrset.block))
    {
        return;
    }
    let (mut olds, mut news) = (rrsets(old).peekable(), rrsets(new).peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((_, old)), Some((_, new))) => old.rtype.cmp(&new.rtype),
        };
        let old = olds.next_if(|_| order.is_le());
        let new = news.next_if(|_| order.is_ge());
        match (old, new) {
            (Some((_, a)), Some((_, b))) if a.block == b.block => {}
            (Some((node, a)), Some((_, b))) => compare_blocks(node, a.block, b.block, removed, added),
            (Some((node, a)), None) => put_rrset(removed, node, a.block),
            (None, Some((node, b))) => put_rrset(added, node, b.block),
            (None, None) => {}
        }
    }
}

/// The RRsets of a node but the SOA, which has been told.
fn rrsets<'z>(node: Option<Node<'z>>) -> impl Iterator<Item = (Node<'z>, Rrset<'z>)> {
    node.into_iter().flat_map(|node| {
        let rrsets = node.rrsets().filter(|rrset| rrset.rtype != RecordType::SOA);
        rrsets.map(move |rrset| (node, rrset))
    })
}

/// Two RRsets of one name and type, each in the canonical order of its data. Another TTL makes another record.
fn compare_blocks(node: Node<'_>, mut old: &[u8], mut new: &[u8], removed: &mut Vec<u8>, added: &mut Vec<u8>) {
    loop {
        let (a, b) = (first_of_block(old), first_of_block(new));
        let order = match (a, b) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a[10..].cmp(&b[10..]),
        };
        let (old_record, new_record) = (a.filter(|_| order.is_le()), b.filter(|_| order.is_ge()));
        if old_record != new_record {
            old_record.into_iter().for_each(|record| put(removed, node, record));
            new_record.into_iter().for_each(|record| put(added, node, record));
        }
        old = &old[old_record.map_or(0, <[u8]>::len)..];
        new = &new[new_record.map_or(0, <[u8]>::len)..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::record::Record;
    use proptest::prelude::*;

    const APEX: &str = "example.org";

    fn zone(serial: u32, hosts: &BTreeSet<(u8, u8, u8)>) -> Zone {
        let apex = Name::from_text(APEX).unwrap();
        let record = |owner: Name, rtype, ttl: u32, rdata: &[u8]| Record {
            owner,
            rtype,
            ttl,
            rdata: rdata.into(),
        };
        let soa = [b"\0\0".as_slice(), &[serial, 1, 1, 1, 1].map(u32::to_be_bytes).concat()].concat();
        let mut records = vec![
            record(apex.clone(), RecordType::SOA, 60, &soa),
            record(apex.clone(), RecordType::NS, 60, b"\x02ns\0"),
        ];
        for &(host, rtype, octet) in hosts {
            let owner = match host {
                0 => apex.clone(),
                host => apex.prefixed(&format!("h{host}")).unwrap(),
            };
            let ttl = u32::from(rtype / 4) + 60;
            let (rtype, rdata) = match rtype % 4 {
                0 => (RecordType::A, vec![192, 0, 2, octet]),
                1 => (RecordType::TXT, vec![1, octet]),
                2 => (RecordType::MX, vec![0, octet, 0]),
                _ => (RecordType::NS, vec![1, b'a' + octet % 26, 0]),
            };
            records.push(record(owner, rtype, ttl, &rdata));
        }
        Zone::build(&apex, &records, &[]).unwrap().0
    }

    fn content(zone: &Zone) -> BTreeSet<Vec<u8>> {
        let records = zone.nodes().flat_map(|node| {
            node.rrsets().flat_map(move |rrset| {
                rrset
                    .records()
                    .map(move |record| [node.name(), record.fixed, record.rdata].concat())
            })
        });
        records.collect()
    }

    /// What a secondary does with a difference: RFC 1995 §4, strictly.
    fn applied(content: &BTreeSet<Vec<u8>>, delta: &Delta) -> BTreeSet<Vec<u8>> {
        let mut content = content.clone();
        let octets = |record: WireRecord<'_>| [record.owner, record.rest].concat();
        for record in delta.removed() {
            assert!(
                content.remove(&octets(record)),
                "{record:?} is not there to be taken out"
            );
        }
        for record in delta.added() {
            assert!(content.insert(octets(record)), "{record:?} is there already");
        }
        content
    }

    fn hosts() -> impl Strategy<Value = BTreeSet<(u8, u8, u8)>> {
        prop::collection::btree_set((0u8..6, 0u8..8, 0u8..4), 0..30)
    }

    proptest! {
        #[test]
        fn leads_from_one_version_to_the_other(versions in prop::collection::vec(hosts(), 2..6)) {
            let zones: Vec<Zone> = versions.iter().enumerate().map(|(n, hosts)| zone(n as u32 + 1, hosts)).collect();
            let mut deltas = vec![];
            for pair in zones.windows(2) {
                let delta = Delta::between(&pair[0], &pair[1]);
                prop_assert_eq!(applied(&content(&pair[0]), &delta), content(&pair[1]));
                prop_assert!(delta.removed().next().unwrap().is_soa() && delta.added().next().unwrap().is_soa());
                prop_assert_eq!(Delta::from_bytes(&delta.to_bytes()), Some(delta.clone()));
                deltas.push(delta);
            }
            let (first, last) = (&zones[0], &zones[zones.len() - 1]);
            let whole = Delta::condensed(&deltas).unwrap();
            prop_assert_eq!((whole.from, whole.to), (first.serial(), last.serial()));
            prop_assert_eq!(applied(&content(first), &whole), content(last));
            let direct = Delta::between(first, last);
            prop_assert_eq!(whole.len(), direct.len(), "nothing more than the difference");
            prop_assert!(whole.removed().next().unwrap().is_soa() && whole.added().next().unwrap().is_soa());
        }

        #[test]
        fn damaged_ones_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(delta) = Delta::from_bytes(&bytes) {
                prop_assert_eq!(delta.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn those_that_do_not_follow_on_each_other_are_not_condensed() {
        let none = BTreeSet::new();
        let delta = |from, to| Delta::between(&zone(from, &none), &zone(to, &none));
        assert!(Delta::condensed(&[]).is_none());
        assert!(Delta::condensed(&[delta(1, 2), delta(3, 4)]).is_none());
        assert_eq!(Delta::condensed(&[delta(1, 2), delta(2, 4)]).unwrap(), delta(1, 4));
    }
}
