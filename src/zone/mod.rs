//! Zones, immutable once built, and the set of zones that is served.
//!
//! A [`Zone`] holds its names as nodes in canonical order (RFC 4034 §6.1), empty non-terminals
//! among them, over one byte arena, with a hash index from name to node. What the lookup of
//! RFC 1034 §4.3.2 would have to find out on its way down is decided when the zone is built: each
//! node knows the zone cut or DNAME that hides it and the wildcard below it. So a lookup is one
//! probe for a name that exists, and for one that does not one more per label from the apex down
//! to the closest encloser (RFC 4592 §3.3.1).
//!
//! Names are kept in lower case (the canonical form of RFC 4034 §6.2); names inside RDATA keep the
//! case they were written in.

mod build;
mod judge;
mod lookup_name;
mod set;
#[cfg(test)]
mod tests;

use crate::name::{Name, same_octets};
use crate::record::{Record, RecordType, Rrset};

pub use build::ZoneError;
pub use judge::judge;
pub use lookup_name::LookupName;
pub use set::ZoneSet;

/// A finished zone. It never changes: a new version is a new `Zone`.
pub struct Zone {
    apex: Name,
    /// In canonical order; the apex is the first.
    nodes: Box<[NodeEntry]>,
    /// Grouped by node, within a node by type.
    rrsets: Box<[RrsetEntry]>,
    /// Owner names in lower case, and the records: type, class, TTL, RDLENGTH, RDATA.
    arena: Box<[u8]>,
    /// Open addressing, a power of two of slots: number of a node plus one, zero for a free slot. A zone of up to
    /// [`SMALL`] nodes has none: they are looked through.
    index: Box<[u32]>,
    kind: Kind,
}

/// What kind of zone it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One that is answered from.
    Ordinary,
    /// A list of zones (RFC 9432), by its only name server `invalid.`.
    Catalog,
    /// One that has no data that may be told.
    Unavailable,
}

/// A name of the zone, as stored. `NONE` stands for no node.
#[derive(Clone, Copy)]
struct NodeEntry {
    hash: u32,
    name_at: u32,
    first_rrset: u32,
    /// The topmost zone cut or DNAME owner strictly above.
    cover: u32,
    /// The child `*`.
    wildcard: u32,
    rrset_count: u16,
    name_len: u8,
    flags: u8,
}

#[derive(Clone, Copy)]
struct RrsetEntry {
    at: u32,
    len: u32,
    rtype: RecordType,
    count: u16,
}

const NONE: u32 = u32::MAX;
/// So few nodes are looked through as fast as an index, and of a million zones most are no larger.
const SMALL: usize = 8;
/// Not the apex, owns NS, and nothing above hides it: a delegation point (RFC 9499 "zone cut").
const ZONE_CUT: u8 = 1;
const HAS_CNAME: u8 = 2;
const HAS_DNAME: u8 = 4;

/// What a lookup found, the cases of RFC 1034 §4.3.2 step 3.
#[derive(Debug, Clone, Copy)]
pub enum Found<'z> {
    /// 3a: the name itself, possibly an empty non-terminal.
    Name(Node<'z>),
    /// 3b: the name is at or below this zone cut.
    Cut(Node<'z>),
    /// RFC 6672 §3.2: the name is below this DNAME owner.
    Dname(Node<'z>),
    /// 3c: the name does not exist, and this `*` covers it.
    Wildcard(Node<'z>),
    /// The name does not exist.
    Nothing,
}

/// A node of a zone.
#[derive(Clone, Copy)]
pub struct Node<'z> {
    zone: &'z Zone,
    entry: &'z NodeEntry,
}

impl Zone {
    /// The apex, lower case.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// A hash of the apex: tells zones apart well enough to count by.
    pub fn apex_hash(&self) -> u32 {
        self.nodes[0].hash
    }

    /// In the place of a zone that this server should have and has not: a secondary's before its first transfer, or
    /// after it expired. Whatever is asked of it gets SERVFAIL.
    pub fn unavailable(apex: &Name) -> Result<Self, ZoneError> {
        let record = |rtype, rdata: &[u8]| Record {
            owner: apex.clone(),
            rtype,
            ttl: 0,
            rdata: rdata.into(),
        };
        // What every zone must have, so that no code has to ask; none of it is ever told.
        let records = [record(RecordType::SOA, &[0; 22]), record(RecordType::NS, &[0])];
        let (zone, _) = Self::build(apex, &records, &[])?;
        Ok(Self {
            kind: Kind::Unavailable,
            ..zone
        })
    }

    /// Is it no zone that can be answered from? See [`Zone::unavailable`].
    pub fn is_unavailable(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// Is it a list of zones (RFC 9432)?
    pub fn is_catalog(&self) -> bool {
        self.kind == Kind::Catalog
    }

    /// Is it one that not everybody is answered from: unavailable, or a catalog?
    pub fn is_special(&self) -> bool {
        self.kind != Kind::Ordinary
    }

    /// The node of the apex.
    pub fn apex_node(&self) -> Node<'_> {
        self.node(0)
    }

    /// The SOA record's RRset; every zone has exactly one (RFC 1035 §5.2).
    pub fn soa(&self) -> Rrset<'_> {
        self.rrset(self.nodes[0].first_rrset as usize)
    }

    /// The serial of the SOA.
    pub fn serial(&self) -> u32 {
        let rdata = self.soa().records().next().map_or(&[][..], |record| record.rdata);
        match rdata.len().checked_sub(20).and_then(|at| rdata.get(at..at + 4)) {
            Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
            _ => 0,
        }
    }

    /// How long a secondary may serve the zone without hearing from its primary, in seconds (RFC 1035 §3.3.13).
    pub fn expire(&self) -> u32 {
        let numbers = self.soa().first_rdata().last_chunk::<8>();
        let expire = numbers.and_then(|numbers| numbers.first_chunk());
        expire.map_or(0, |expire| u32::from_be_bytes(*expire))
    }

    /// The same zone with another serial in its SOA, for the publisher: while a zone is not shared
    /// yet, its content decides its serial. The serial stands 20 octets from the end (RFC 1035 §3.3.13).
    #[must_use]
    pub fn with_serial(mut self, serial: u32) -> Self {
        let soa = self.rrsets[self.nodes[0].first_rrset as usize];
        let end = (soa.at + soa.len) as usize;
        if self.soa().first_rdata().len() >= 20 {
            self.arena[end - 20..end - 16].copy_from_slice(&serial.to_be_bytes());
        }
        self
    }

    /// Octets of all names and records: what a transfer takes, more or less.
    pub fn octets(&self) -> usize {
        self.arena.len()
    }

    /// How many records, the SOA counted once.
    pub fn record_count(&self) -> usize {
        self.rrsets.iter().map(|rrset| usize::from(rrset.count)).sum()
    }

    /// Every node in canonical order, the apex first.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.nodes.iter().map(|entry| Node { zone: self, entry })
    }

    /// The node of this number in canonical order; the apex is 0.
    pub fn node_at(&self, number: usize) -> Option<Node<'_>> {
        let entry = self.nodes.get(number)?;
        Some(Node { zone: self, entry })
    }

    /// Every record in canonical order, but the SOA first of all.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.nodes()
            .flat_map(|node| node.rrsets().flat_map(move |rrset| node.owned_records(rrset)))
    }

    /// The node of exactly this name, whether a cut or DNAME hides it or not.
    #[inline(always)]
    pub fn find(&self, name: &LookupName) -> Option<Node<'_>> {
        self.find_hashed(name.as_wire(), name.hash())
    }

    /// Looks `name`, which is at or below the apex, up by RFC 1034 §4.3.2 step 3.
    #[inline(always)]
    pub fn lookup(&self, name: &LookupName) -> Found<'_> {
        let Some(node) = self.find(name) else {
            return self.below_closest_encloser(self.closest_encloser(name));
        };
        match self.hidden_by(node.entry) {
            Some(hidden) => hidden,
            None if node.entry.flags & ZONE_CUT != 0 => Found::Cut(node),
            None => Found::Name(node),
        }
    }

    /// The longest existing name above `name`, which does not exist (RFC 4592 §3.3.1). From the apex down: a name
    /// below one that does not exist does not exist either, so many labels cost no more than few.
    #[inline(never)]
    fn closest_encloser(&self, name: &LookupName) -> Node<'_> {
        let mut encloser = self.apex_node();
        for labels in self.apex.label_count() + 1..name.label_count() {
            let suffix = name.suffix(labels);
            match self.find_hashed(suffix, lookup_name::hash_name(suffix)) {
                Some(node) => encloser = node,
                None => break,
            }
        }
        encloser
    }

    fn below_closest_encloser<'z>(&'z self, encloser: Node<'z>) -> Found<'z> {
        let entry = encloser.entry;
        if let Some(hidden) = self.hidden_by(entry) {
            hidden
        } else if entry.flags & ZONE_CUT != 0 {
            Found::Cut(encloser)
        } else if entry.flags & HAS_DNAME != 0 {
            Found::Dname(encloser)
        } else if entry.wildcard != NONE {
            Found::Wildcard(self.node(entry.wildcard as usize))
        } else {
            Found::Nothing
        }
    }

    fn hidden_by(&self, entry: &NodeEntry) -> Option<Found<'_>> {
        if entry.cover == NONE {
            return None;
        }
        let cover = self.node(entry.cover as usize);
        Some(if cover.entry.flags & ZONE_CUT != 0 {
            Found::Cut(cover)
        } else {
            Found::Dname(cover)
        })
    }

    #[inline(always)]
    fn find_hashed(&self, wire: &[u8], hash: u64) -> Option<Node<'_>> {
        let is_it = |entry: &NodeEntry| entry.hash == tag(hash) && same_octets(self.name_of(entry), wire);
        let Some(mask) = self.index.len().checked_sub(1) else {
            return self
                .nodes
                .iter()
                .find(|entry| is_it(entry))
                .map(|entry| Node { zone: self, entry });
        };
        let mut slot = hash as usize & mask;
        loop {
            let number = self.index[slot].checked_sub(1)?;
            let entry = &self.nodes[number as usize];
            if is_it(entry) {
                return Some(Node { zone: self, entry });
            }
            slot = (slot + 1) & mask;
        }
    }

    fn node(&self, number: usize) -> Node<'_> {
        Node {
            zone: self,
            entry: &self.nodes[number],
        }
    }

    fn name_of(&self, entry: &NodeEntry) -> &[u8] {
        let at = entry.name_at as usize;
        &self.arena[at..at + usize::from(entry.name_len)]
    }

    fn rrset(&self, number: usize) -> Rrset<'_> {
        let entry = &self.rrsets[number];
        let at = entry.at as usize;
        Rrset {
            rtype: entry.rtype,
            count: entry.count,
            block: &self.arena[at..at + entry.len as usize],
        }
    }
}

/// The part of a hash that a node keeps; the index uses the other end.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl<'z> Node<'z> {
    /// The owner name in wire form, lower case.
    pub fn name(self) -> &'z [u8] {
        self.zone.name_of(self.entry)
    }

    /// The RRset of this type.
    pub fn rrset(self, rtype: RecordType) -> Option<Rrset<'z>> {
        let first = self.entry.first_rrset as usize;
        let entries = &self.zone.rrsets[first..first + usize::from(self.entry.rrset_count)];
        let offset = entries.iter().position(|entry| entry.rtype == rtype)?;
        Some(self.zone.rrset(first + offset))
    }

    /// All RRsets; at the apex the SOA is the first, else they are in the order of their types.
    pub fn rrsets(self) -> impl Iterator<Item = Rrset<'z>> {
        let first = self.entry.first_rrset as usize;
        (first..first + usize::from(self.entry.rrset_count)).map(move |number| self.zone.rrset(number))
    }

    /// The RRset of this number, in the order of [`Self::rrsets`].
    pub fn rrset_at(self, number: usize) -> Option<Rrset<'z>> {
        let first = self.entry.first_rrset as usize;
        (number < usize::from(self.entry.rrset_count)).then(|| self.zone.rrset(first + number))
    }

    /// Is there a CNAME here?
    pub fn has_cname(self) -> bool {
        self.entry.flags & HAS_CNAME != 0
    }

    fn owned_records(self, rrset: Rrset<'z>) -> impl Iterator<Item = Record> + 'z {
        rrset.records().filter_map(move |record| {
            let owner = Name::from_wire(self.name()).ok()?;
            Some(Record {
                owner,
                rtype: rrset.rtype,
                ttl: record.ttl(),
                rdata: record.rdata.into(),
            })
        })
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Name::from_wire(self.name()) {
            Ok(name) => write!(f, "{name}"),
            Err(error) => write!(f, "{error}"),
        }
    }
}

impl std::fmt::Debug for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Zone({} serial {}, {} records)",
            self.apex,
            self.serial(),
            self.record_count()
        )
    }
}
