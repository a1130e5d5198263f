//! A zone's own records as policy reads them.
//!
//! Answers what can be known from one zone alone: the addresses of its MX hosts, whether a name
//! exists, what lies below a zone cut, which wildcard would answer (RFC 1034 §4.3.2, RFC 4592).
//! Indexes are made when first asked for: a zone without mail costs nothing.

use crate::name::Name;
use crate::record::{Record, RecordType};
use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::net::IpAddr;

/// Borrowed records of one zone with an index by owner.
pub struct ZoneView<'a> {
    apex: &'a Name,
    records: Vec<&'a Record>,
    /// The positions of all records, those of one owner side by side and in their order.
    by_owner: OnceCell<Vec<usize>>,
    non_terminals: OnceCell<HashSet<Name>>,
    has_wildcard: OnceCell<bool>,
    /// Most zones have none of either, and then nobody has to look for them above a name.
    has_cut: OnceCell<bool>,
    has_dname: OnceCell<bool>,
}

/// What the zone itself tells about a name and a type.
#[derive(Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// The name is outside of the zone, below a cut or behind a CNAME or DNAME that leads out.
    Elsewhere,
    /// Nothing there: NXDOMAIN or NODATA, a void lookup of RFC 7208 §4.6.4.
    Void,
    /// These records.
    Records(Vec<&'a Record>),
}

/// How many CNAMEs are followed before a chain is taken for a loop.
const MAX_CHAIN: usize = 8;

impl<'a> ZoneView<'a> {
    /// A view of `records`, which are those of the zone `apex`.
    pub fn new(apex: &'a Name, records: impl IntoIterator<Item = &'a Record>) -> Self {
        Self {
            apex,
            records: records.into_iter().collect(),
            by_owner: OnceCell::new(),
            non_terminals: OnceCell::new(),
            has_wildcard: OnceCell::new(),
            has_cut: OnceCell::new(),
            has_dname: OnceCell::new(),
        }
    }

    /// The apex.
    pub fn apex(&self) -> &'a Name {
        self.apex
    }

    /// All records, in their order.
    pub fn records(&self) -> &[&'a Record] {
        &self.records
    }

    /// The positions in [`Self::records`] of those at `name`.
    pub fn positions(&self, name: &Name) -> &[usize] {
        let index = self.index();
        let start = index.partition_point(|&at| order(self.owner(at), name).is_lt());
        // They are few beside the rest of the zone, and looked at one by one anyway.
        let of_name = index[start..].iter().take_while(|&&at| self.owner(at) == name);
        &index[start..start + of_name.count()]
    }

    fn index(&self) -> &[usize] {
        self.by_owner.get_or_init(|| {
            let mut index: Vec<usize> = (0..self.records.len()).collect();
            index.sort_by(|&a, &b| order(self.owner(a), self.owner(b)));
            index
        })
    }

    fn owner(&self, at: usize) -> &'a Name {
        &self.records[at].owner
    }

    /// The records at `name`, in their order.
    pub fn at<'s>(&'s self, name: &Name) -> impl Iterator<Item = &'a Record> + use<'a, 's> {
        self.positions(name).iter().map(|&at| self.records[at])
    }

    /// The records of one type at `name`, as they are written there.
    pub fn rrset<'s>(&'s self, name: &Name, rtype: RecordType) -> impl Iterator<Item = &'a Record> + use<'a, 's> {
        self.at(name).filter(move |record| record.rtype == rtype)
    }

    /// Is there a record of this type at exactly this name?
    pub fn has(&self, name: &Name, rtype: RecordType) -> bool {
        self.rrset(name, rtype).next().is_some()
    }

    /// Does the name exist, with data or as an empty non-terminal (RFC 4592 §2.2.2)?
    pub fn exists(&self, name: &Name) -> bool {
        self.has_records(name) || self.empty_non_terminals().contains(name)
    }

    fn has_records(&self, name: &Name) -> bool {
        !self.positions(name).is_empty()
    }

    fn empty_non_terminals(&self) -> &HashSet<Name> {
        self.non_terminals.get_or_init(|| {
            let mut empty = HashSet::new();
            for of_owner in self.index().chunk_by(|&a, &b| self.owner(a) == self.owner(b)) {
                let above = self.up_to_apex(self.owner(of_owner[0])).skip(1);
                // What is above an owner is looked at when its own turn comes.
                for name in above.take_while(|name| !self.has_records(name)) {
                    if !empty.insert(name) {
                        break;
                    }
                }
            }
            empty
        })
    }

    fn has_wildcard(&self) -> bool {
        let search = || self.records.iter().any(|record| record.owner.is_wildcard());
        *self.has_wildcard.get_or_init(search)
    }

    /// The zone cut at or above `name`, below the apex: what lies there belongs to a child zone
    /// (RFC 2181 §6).
    pub fn cut_at_or_above(&self, name: &Name) -> Option<Name> {
        let is_cut = |record: &&Record| record.rtype == RecordType::NS && record.owner != *self.apex;
        if !*self.has_cut.get_or_init(|| self.records.iter().any(is_cut)) {
            return None;
        }
        self.up_to_apex(name)
            .find(|n| n != self.apex && self.has(n, RecordType::NS))
    }

    /// The DNAME above `name`, which hides everything below it (RFC 6672 §2.4).
    pub fn dname_above(&self, name: &Name) -> Option<Name> {
        let is_dname = |record: &&Record| record.rtype == RecordType::DNAME;
        if !*self.has_dname.get_or_init(|| self.records.iter().any(is_dname)) {
            return None;
        }
        self.up_to_apex(name).skip(1).find(|n| self.has(n, RecordType::DNAME))
    }

    /// The wildcard that would answer for `name` if the name does not exist: the source of
    /// synthesis of RFC 4592 §3.3.1.
    pub fn wildcard_for(&self, name: &Name) -> Option<Name> {
        if !self.has_wildcard() || self.exists(name) {
            return None;
        }
        let encloser = self.up_to_apex(name).find(|n| self.exists(n))?;
        let wildcard = encloser.child(b"*").ok()?;
        self.at(&wildcard).next().map(|_| wildcard)
    }

    /// What the zone itself knows of `name` and `rtype`, wildcards and in-zone CNAMEs followed.
    pub fn lookup(&self, name: &Name, rtype: RecordType) -> Known<'a> {
        let mut name = name.clone();
        for _ in 0..MAX_CHAIN {
            if !name.is_at_or_below(self.apex)
                || self.cut_at_or_above(&name).is_some()
                || self.dname_above(&name).is_some()
            {
                return Known::Elsewhere;
            }
            let source = self.wildcard_for(&name).unwrap_or(name);
            let found: Vec<_> = self.rrset(&source, rtype).collect();
            if !found.is_empty() {
                return Known::Records(found);
            }
            let Some(target) = self.rrset(&source, RecordType::CNAME).next() else {
                return Known::Void;
            };
            match Name::from_wire(&target.rdata) {
                Ok(target) => name = target,
                Err(_) => return Known::Elsewhere,
            }
        }
        Known::Elsewhere
    }

    /// The addresses of a host in ascending order, IPv4 first; `None` when this zone cannot tell.
    pub fn addresses(&self, host: &Name) -> Option<Vec<IpAddr>> {
        let mut addresses = vec![];
        for rtype in [RecordType::A, RecordType::AAAA] {
            match self.lookup(host, rtype) {
                Known::Elsewhere => return None,
                Known::Void => {}
                Known::Records(records) => addresses.extend(records.iter().filter_map(|r| address(r))),
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        Some(addresses)
    }

    /// The MX of `name` as preference and host, best first, then in canonical order; a null MX
    /// (RFC 7505) is the root at preference 0.
    pub fn mx(&self, name: &Name) -> Vec<(u16, Name)> {
        let mut mx: Vec<_> = self.rrset(name, RecordType::MX).filter_map(mx_target).collect();
        mx.sort();
        mx.dedup();
        mx
    }

    fn up_to_apex(&self, name: &Name) -> impl Iterator<Item = Name> + use<'a> {
        let apex = self.apex;
        let start = name.is_at_or_below(apex).then(|| name.clone());
        std::iter::successors(start, move |n| (n != apex).then(|| n.parent()).flatten())
    }
}

/// An order of names in which equal ones meet: cheaper than the canonical one.
fn order(a: &Name, b: &Name) -> Ordering {
    let (a, b) = (a.as_wire(), b.as_wire());
    a.len().cmp(&b.len()).then_with(|| {
        let (a, b) = (
            a.iter().map(u8::to_ascii_lowercase),
            b.iter().map(u8::to_ascii_lowercase),
        );
        a.cmp(b)
    })
}

fn address(record: &Record) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(&record.rdata[..]) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(&record.rdata[..]).ok().map(IpAddr::from)
}

fn mx_target(record: &Record) -> Option<(u16, Name)> {
    let (preference, host) = record.rdata.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*preference), Name::from_wire(host).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::fixture::*;

    #[test]
    fn follows_wildcards_cnames_and_stops_at_cuts() {
        let apex = name("example.org");
        let records = [
            soa("example.org"),
            a("*.example.org", "192.0.2.9"),
            a("host.example.org", "192.0.2.1"),
            cname("alias.example.org", "host.example.org"),
            cname("out.example.org", "host.example.net"),
            cname("loop.example.org", "loop.example.org"),
            ns("child.example.org", "ns.example.net"),
            a("deep.ent.example.org", "192.0.2.2"),
        ];
        let view = ZoneView::new(&apex, &records);
        let ips = |host: &str| {
            view.addresses(&name(host))
                .map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(ips("host.example.org"), Some(vec!["192.0.2.1".into()]));
        assert_eq!(ips("alias.example.org"), Some(vec!["192.0.2.1".into()]));
        assert_eq!(ips("any.example.org"), Some(vec!["192.0.2.9".into()]));
        assert_eq!(ips("ent.example.org"), Some(vec![]));
        assert_eq!(ips("other.ent.example.org"), Some(vec![]));
        for elsewhere in [
            "out.example.org",
            "loop.example.org",
            "x.child.example.org",
            "example.net",
        ] {
            assert_eq!(ips(elsewhere), None, "{elsewhere}");
        }
        assert!(view.exists(&name("ent.example.org")) && !view.exists(&name("any.example.org")));
        assert_eq!(view.wildcard_for(&name("x.y.example.org")), Some(name("*.example.org")));
        assert_eq!(
            view.cut_at_or_above(&name("x.child.example.org")),
            Some(name("child.example.org"))
        );
        assert_eq!(view.cut_at_or_above(&name("host.example.org")), None);
    }
}
