//! Building a zone: sorting, grouping, and deciding ahead what lookups will need.
//!
//! Refuses what no name server should serve: no SOA or several (RFC 1035 §5.2), an apex without
//! NS, a CNAME beside other data (RFC 1034 §3.6.2, RFC 2181 §10.1), two CNAMEs or two DNAMEs at a
//! name (RFC 6672 §2.4). Mends with a finding: records outside of the zone are left out; the TTLs
//! of an RRset are made one (RFC 2181 §5.2); the same record twice counts once (RFC 2181 §5.1).

use super::{HAS_CNAME, HAS_DNAME, Kind, NONE, NodeEntry, RrsetEntry, SMALL, ZONE_CUT, Zone, lookup_name, tag};
use crate::finding::Finding;
use crate::name::{self, Name};
use crate::record::{Record, RecordType};
use std::borrow::Borrow;
use std::cmp::Ordering;

/// Why records make no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ZoneError(pub Finding);

/// Marks a name that exists without data while a zone is built; type 0 is reserved (RFC 6895 §3.1)
/// and so never that of a record.
const EXISTS: RecordType = RecordType(0);

impl Zone {
    /// Builds a zone from its records, in any order; `empty_names` are made to exist even if
    /// nothing is at or below them. Findings tell of what was left out or mended.
    pub fn build(
        apex: &Name,
        records: &[impl Borrow<Record>],
        empty_names: &[Name],
    ) -> Result<(Self, Vec<Finding>), ZoneError> {
        let mut findings = Vec::new();
        let exists = |owner: &Name| Record {
            owner: owner.clone(),
            rtype: EXISTS,
            ttl: 0,
            rdata: Box::default(),
        };
        let marks: Vec<Record> = empty_names.iter().map(exists).collect();
        let mut records: Vec<&Record> = records.iter().map(Borrow::borrow).chain(&marks).collect();
        records.retain(|record| keep(apex, record, &mut findings));
        records.sort_by(|a, b| {
            a.owner
                .cmp(&b.owner)
                .then(type_order(a.rtype).cmp(&type_order(b.rtype)))
                .then_with(|| a.rdata.cmp(&b.rdata))
        });
        records.dedup_by(|b, a| a.owner == b.owner && a.rtype == b.rtype && a.rdata == b.rdata);

        let mut builder = Builder::new(apex, records.len());
        for at_owner in records.chunk_by(|a, b| a.owner == b.owner) {
            check_node(apex, at_owner)?;
            builder.add_node(at_owner, &mut findings)?;
        }
        let mut zone = builder.finish()?;
        check_apex(&zone)?;
        zone.kind = kind_of(&zone);
        Ok((zone, findings))
    }
}

/// The SOA first, then by number.
fn type_order(rtype: RecordType) -> u32 {
    if rtype == RecordType::SOA {
        0
    } else {
        1 + u32::from(rtype.0)
    }
}

fn keep(apex: &Name, record: &Record, findings: &mut Vec<Finding>) -> bool {
    if !record.owner.is_at_or_below(apex) {
        findings.push(Finding::warning(
            "zone-out-of-zone",
            format!(
                "{} {} is outside of the zone {apex} and was left out",
                record.owner, record.rtype
            ),
            "move it to the zone it belongs to, or end relative names without a dot",
        ));
        return false;
    }
    if record.rtype.is_meta() {
        findings.push(Finding::warning(
            "zone-meta-type",
            format!(
                "{} {} can never be zone data and was left out",
                record.owner, record.rtype
            ),
            "remove the record",
        ));
        return false;
    }
    true
}

/// The rules about what may stand together at one name.
fn check_node(apex: &Name, records: &[&Record]) -> Result<(), ZoneError> {
    let owner = &records[0].owner;
    let count = |rtype| records.iter().filter(|record| record.rtype == rtype).count();
    if count(RecordType::CNAME) > 0 {
        let other = records.iter().find(|record| {
            // RFC 2181 §10.1, RFC 4034 §4: only DNSSEC's own records may stand beside a CNAME.
            !matches!(
                record.rtype,
                RecordType::CNAME
                    | RecordType::RRSIG
                    | RecordType::NSEC
                    | RecordType::KEY
                    | RecordType::SIG
                    | RecordType::NXT
                    | EXISTS
            )
        });
        if let Some(other) = other {
            return Err(ZoneError(Finding::error(
                "zone-cname-and-other",
                format!("{owner} has a CNAME and also {} (RFC 2181 §10.1)", other.rtype),
                "remove one of the two",
            )));
        }
    }
    for (rtype, code) in [
        (RecordType::CNAME, "zone-two-cnames"),
        (RecordType::DNAME, "zone-two-dnames"),
    ] {
        if count(rtype) > 1 {
            return Err(ZoneError(Finding::error(
                code,
                format!("{owner} has more than one {rtype}"),
                "keep one",
            )));
        }
    }
    if owner != apex && count(RecordType::SOA) > 0 {
        return Err(ZoneError(Finding::error(
            "zone-soa-below-apex",
            format!("{owner} has a SOA, but the apex of this zone is {apex}"),
            "remove it, or make a zone file of its own for it",
        )));
    }
    Ok(())
}

fn check_apex(zone: &Zone) -> Result<(), ZoneError> {
    let apex = &zone.apex;
    match zone.apex_node().rrset(RecordType::SOA).map(|soa| soa.count) {
        Some(1) => {}
        Some(_) => {
            return Err(ZoneError(Finding::error(
                "zone-two-soas",
                format!("{apex} has more than one SOA"),
                "keep one",
            )));
        }
        None => {
            let cure = format!("add one, such as `@ IN SOA ns.{apex} hostmaster.{apex} 1 7200 3600 1209600 300`");
            return Err(ZoneError(Finding::error(
                "zone-no-soa",
                format!("{apex} has no SOA"),
                cure,
            )));
        }
    }
    if zone.apex_node().rrset(RecordType::NS).is_none() {
        return Err(ZoneError(Finding::error(
            "zone-no-ns",
            format!("{apex} has no NS record at its apex"),
            "name its name servers, those that the parent zone delegates to",
        )));
    }
    Ok(())
}

struct Builder {
    apex: Name,
    nodes: Vec<NodeEntry>,
    rrsets: Vec<RrsetEntry>,
    arena: Vec<u8>,
    /// The numbers of the nodes from the apex down to the last one added.
    path: Vec<u32>,
}

impl Builder {
    fn new(apex: &Name, records: usize) -> Self {
        let mut apex = apex.clone();
        apex.make_lowercase();
        Self {
            apex,
            nodes: Vec::with_capacity(records / 2 + 1),
            rrsets: Vec::with_capacity(records),
            arena: Vec::with_capacity(records * 64),
            path: Vec::new(),
        }
    }

    /// Adds the node of `records`, all of one owner, and the empty non-terminals that lead to it.
    fn add_node(&mut self, records: &[&Record], findings: &mut Vec<Finding>) -> Result<(), ZoneError> {
        let owner = records[0].owner.as_wire();
        while let Some(&last) = self.path.last() {
            if name::is_at_or_below(owner, self.name_of(last)) {
                break;
            }
            self.path.pop();
        }
        let above = self.path.last().map(|&number| self.name_of(number).len());
        let mut missing = Vec::new();
        let mut ancestor = name::parent(owner);
        while let (Some(above), Some(name)) = (above, ancestor) {
            if name.len() <= above {
                break;
            }
            missing.push(name);
            ancestor = name::parent(name);
        }
        for name in missing.into_iter().rev() {
            self.push_node(name)?;
        }
        let number = self.push_node(owner)?;
        self.add_rrsets(number, records, findings)
    }

    fn push_node(&mut self, name: &[u8]) -> Result<u32, ZoneError> {
        let number = fits(self.nodes.len())?;
        let name_at = fits(self.arena.len())?;
        self.arena.extend(name.iter().map(u8::to_ascii_lowercase));
        let name = &self.arena[name_at as usize..];
        let cover = self.path.last().map_or(NONE, |&parent| {
            let parent_entry = &self.nodes[parent as usize];
            match parent_entry.cover {
                NONE if parent_entry.flags & (ZONE_CUT | HAS_DNAME) != 0 => parent,
                cover => cover,
            }
        });
        if name.starts_with(b"\x01*")
            && let Some(&parent) = self.path.last()
        {
            self.nodes[parent as usize].wildcard = number;
        }
        self.nodes.push(NodeEntry {
            hash: tag(lookup_name::hash_name(name)),
            name_at,
            first_rrset: fits(self.rrsets.len())?,
            cover,
            wildcard: NONE,
            rrset_count: 0,
            name_len: name.len() as u8,
            flags: 0,
        });
        self.path.push(number);
        Ok(number)
    }

    fn add_rrsets(&mut self, number: u32, records: &[&Record], findings: &mut Vec<Finding>) -> Result<(), ZoneError> {
        for rrset in records
            .chunk_by(|a, b| a.rtype == b.rtype)
            .filter(|rrset| rrset[0].rtype != EXISTS)
        {
            self.add_rrset(rrset, findings)?;
            let entry = &mut self.nodes[number as usize];
            entry.rrset_count += 1;
            entry.flags |= match rrset[0].rtype {
                RecordType::NS if number != 0 && entry.cover == NONE => ZONE_CUT,
                RecordType::CNAME => HAS_CNAME,
                RecordType::DNAME => HAS_DNAME,
                _ => 0,
            };
        }
        Ok(())
    }

    fn add_rrset(&mut self, rrset: &[&Record], findings: &mut Vec<Finding>) -> Result<(), ZoneError> {
        let Record { owner, rtype, .. } = rrset[0];
        let ttl = rrset.iter().map(|record| record.ttl).min().unwrap_or(0);
        // RRSIGs carry the TTL of what they cover, so theirs may differ (RFC 4034 §3).
        let one_ttl = *rtype != RecordType::RRSIG;
        if one_ttl && rrset.iter().any(|record| record.ttl != ttl) {
            findings.push(Finding::warning(
                "zone-ttl-differs",
                format!("the {rtype} records of {owner} have different TTLs; {ttl}, the lowest, is used for all"),
                "give them one TTL (RFC 2181 §5.2)",
            ));
        }
        let at = fits(self.arena.len())?;
        for record in rrset {
            let len = u16::try_from(record.rdata.len()).map_err(|_| too_large(owner, *rtype))?;
            self.arena.extend_from_slice(&rtype.0.to_be_bytes());
            self.arena.extend_from_slice(&1u16.to_be_bytes());
            self.arena
                .extend_from_slice(&(if one_ttl { ttl } else { record.ttl }).to_be_bytes());
            self.arena.extend_from_slice(&len.to_be_bytes());
            self.arena.extend_from_slice(&record.rdata);
        }
        let len = fits(self.arena.len())? - at;
        let count = u16::try_from(rrset.len()).map_err(|_| too_large(owner, *rtype))?;
        self.rrsets.push(RrsetEntry {
            at,
            len,
            rtype: *rtype,
            count,
        });
        Ok(())
    }

    fn finish(self) -> Result<Zone, ZoneError> {
        if self.nodes.is_empty() || self.name_of(0).cmp(self.apex.as_wire()) != Ordering::Equal {
            let what = format!("there is nothing at {}, the apex of the zone", self.apex);
            return Err(ZoneError(Finding::error(
                "zone-no-soa",
                what,
                "add a SOA and NS records there",
            )));
        }
        let index = self.build_index();
        Ok(Zone {
            apex: self.apex,
            // Copies of the very size: to cut the room down in place would leave holes behind each of a million zones.
            nodes: self.nodes.as_slice().into(),
            rrsets: self.rrsets.as_slice().into(),
            arena: self.arena.as_slice().into(),
            index,
            kind: Kind::Ordinary,
        })
    }

    /// At most half of the slots are taken, so that probing stays short and always ends.
    fn build_index(&self) -> Box<[u32]> {
        if self.nodes.len() <= SMALL {
            return Box::default();
        }
        let mut index = vec![0u32; (self.nodes.len() * 2).next_power_of_two()].into_boxed_slice();
        let mask = index.len() - 1;
        for number in 0..self.nodes.len() as u32 {
            let mut slot = lookup_name::hash_name(self.name_of(number)) as usize & mask;
            while index[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            index[slot] = number + 1;
        }
        index
    }

    fn name_of(&self, number: u32) -> &[u8] {
        let entry = &self.nodes[number as usize];
        let at = entry.name_at as usize;
        &self.arena[at..at + usize::from(entry.name_len)]
    }
}

/// RFC 9432 §4.1: the NS of a catalog is `invalid.`, which no other zone can have.
fn kind_of(zone: &Zone) -> Kind {
    let nameservers = zone.apex_node().rrset(RecordType::NS);
    match nameservers {
        Some(rrset) if rrset.count == 1 && rrset.first_rdata() == b"\x07invalid\0" => Kind::Catalog,
        _ => Kind::Ordinary,
    }
}

fn fits(size: usize) -> Result<u32, ZoneError> {
    u32::try_from(size).ok().filter(|&size| size != NONE).ok_or_else(|| {
        ZoneError(Finding::error(
            "zone-too-large",
            "the zone holds more than 4 GiB of data",
            "split it by delegation",
        ))
    })
}

fn too_large(owner: &Name, rtype: RecordType) -> ZoneError {
    let what = format!("the {rtype} RRset of {owner} has more records or data than a message can carry");
    ZoneError(Finding::error("zone-rrset-too-large", what, "remove records"))
}
