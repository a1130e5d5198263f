//! The answer of one zone: RFC 1034 §4.3.2 step 3 and what later RFCs made of it.
//!
//! A walk over names: it begins at the name asked and goes on at the target of each CNAME
//! (RFC 1034 §3.6.2) and of each CNAME made by a DNAME (RFC 6672 §3.2) as long as that is in the
//! zone. The answer section holds the chain in its order; the last name decides the RCODE
//! (RFC 6604 §3) and the authority section: nothing, a SOA (RFC 2308 §3) or a referral.

use super::Outcome;
use crate::message::{Full, Owner, Rcode, Response, Section, flags};
use crate::name::{MAX_NAME_LEN, is_at_or_below, wire_len};
use crate::record::{RecordType, Rrset};
use crate::zone::{Found, LookupName, Node, Zone};

/// How many CNAMEs are followed; a chain that is longer, or a loop, ends there.
const MAX_CHAIN: usize = 16;

/// The RCODE when the walk ends; `None` when it has moved on to another name.
type End = Option<Rcode>;

/// Answers for `name`, which is at or below the apex of `zone`.
#[inline]
pub(super) fn answer<'z>(
    zone: &'z Zone,
    qtype: RecordType,
    name: &mut LookupName,
    response: &mut Response<'_>,
) -> Outcome<'z> {
    let thing = name.hash() ^ u64::from(qtype.0).rotate_right(16);
    let mut walk = Walk {
        zone,
        qtype,
        response,
        name,
        made_up: false,
        followed: 0,
        passed: [0; MAX_CHAIN],
    };
    let walked = walk.run();
    let thing = if walk.made_up { 0 } else { thing };
    let rcode = walked.unwrap_or_else(|Full| {
        response.truncate();
        Rcode::NOERROR
    });
    Outcome::of_zone(zone, rcode, thing)
}

struct Walk<'w, 'o> {
    zone: &'w Zone,
    qtype: RecordType,
    response: &'w mut Response<'o>,
    /// The name that the walk has come to.
    name: &'w mut LookupName,
    /// Did a wildcard or a DNAME answer, as it would for names without end?
    made_up: bool,
    followed: usize,
    /// The hashes of the names it has passed, as many as were followed.
    passed: [u64; MAX_CHAIN],
}

impl<'w> Walk<'w, '_> {
    fn run(&mut self) -> Result<Rcode, Full> {
        loop {
            if let Some(rcode) = self.step()? {
                return Ok(rcode);
            }
        }
    }

    /// Goes on at `next`, if that is ours to answer, has not been passed yet, and the chain is not
    /// too long.
    fn follow(&mut self, next: LookupName) -> End {
        let hash = next.hash();
        self.passed[self.followed] = self.name.hash();
        self.followed += 1;
        let loops = self.passed[..self.followed].contains(&hash);
        let leaves_zone = !is_at_or_below(next.as_wire(), self.zone.apex().as_wire());
        *self.name = next;
        (loops || leaves_zone || self.followed == MAX_CHAIN).then_some(Rcode::NOERROR)
    }

    fn step(&mut self) -> Result<End, Full> {
        let found = self.zone.lookup(self.name);
        match found {
            Found::Name(node) | Found::Wildcard(node) => {
                self.made_up |= matches!(found, Found::Wildcard(_));
                self.at_node(node)
            }
            Found::Cut(cut) => self.at_cut(cut),
            Found::Dname(owner) => self.below_dname(owner),
            Found::Nothing => {
                self.response.set_flags(flags::AA);
                self.put_soa()?;
                Ok(Some(Rcode::NXDOMAIN))
            }
        }
    }

    fn at_node(&mut self, node: Node<'w>) -> Result<End, Full> {
        self.response.set_flags(flags::AA);
        if self.qtype == RecordType::ANY {
            return self.any(node);
        }
        // RRSIG and NSEC stand beside a CNAME (RFC 4035 §2.5): asked for them, it is not followed.
        if node.has_cname()
            && !matches!(self.qtype, RecordType::CNAME | RecordType::RRSIG | RecordType::NSEC)
            && let Some(cname) = node.rrset(RecordType::CNAME)
        {
            return self.follow_cname(cname);
        }
        match node.rrset(self.qtype) {
            Some(rrset) => self.put_answer(rrset)?,
            None => self.put_soa()?,
        }
        Ok(Some(Rcode::NOERROR))
    }

    /// RFC 8482 §4.1: one RRset is answer enough for ANY; the smallest amplifies least.
    #[cold]
    fn any(&mut self, node: Node<'w>) -> Result<End, Full> {
        match node.rrsets().min_by_key(|rrset| rrset.block.len()) {
            Some(rrset) => self.put_answer(rrset)?,
            None => self.put_soa()?,
        }
        Ok(Some(Rcode::NOERROR))
    }

    fn follow_cname(&mut self, cname: Rrset<'w>) -> Result<End, Full> {
        self.put_answer(cname)?;
        Ok(match LookupName::new(cname.first_rdata()) {
            Some(next) => self.follow(next),
            None => Some(Rcode::SERVFAIL),
        })
    }

    /// RFC 6672 §3.2: the DNAME, and a CNAME from the name asked to the name it stands for.
    #[inline(never)]
    fn below_dname(&mut self, owner: Node<'w>) -> Result<End, Full> {
        self.response.set_flags(flags::AA);
        self.made_up = true;
        let Some(dname) = owner.rrset(RecordType::DNAME) else {
            return Ok(Some(Rcode::SERVFAIL));
        };
        self.response
            .put_rrset(Section::Answer, self.above(owner.name()), dname)?;
        let target = dname.first_rdata();
        let target = &target[..wire_len(target).unwrap_or(0)];
        let name = self.name.as_wire();
        let prefix = &name[..name.len() - owner.name().len()];
        let mut buffer = [0u8; MAX_NAME_LEN];
        let len = prefix.len() + target.len();
        let Some(made) = buffer.get_mut(..len) else {
            // RFC 6672 §2.2: too long a name is told by YXDOMAIN.
            return Ok(Some(Rcode::YXDOMAIN));
        };
        made[..prefix.len()].copy_from_slice(prefix);
        made[prefix.len()..].copy_from_slice(target);
        let Some(next) = LookupName::new(made) else {
            return Ok(Some(Rcode::SERVFAIL));
        };
        let Some(record) = dname.records().next() else {
            return Ok(Some(Rcode::SERVFAIL));
        };
        let [_, _, class0, class1, ttl0, ttl1, ttl2, ttl3, ..] = *record.fixed;
        let [type0, type1] = RecordType::CNAME.0.to_be_bytes();
        let fixed = [type0, type1, class0, class1, ttl0, ttl1, ttl2, ttl3];
        self.response
            .put_name_record(Section::Answer, owner_of(self.name, self.followed), fixed, made)?;
        Ok(if self.qtype == RecordType::CNAME {
            Some(Rcode::NOERROR)
        } else {
            self.follow(next)
        })
    }

    /// A zone cut: DS of the cut itself is ours (RFC 4035 §3.1.4.1), all else is the child's.
    #[inline(never)]
    fn at_cut(&mut self, cut: Node<'w>) -> Result<End, Full> {
        if self.qtype == RecordType::DS && cut.name() == self.name.as_wire() {
            self.response.set_flags(flags::AA);
            match cut.rrset(RecordType::DS) {
                Some(rrset) => self.put_answer(rrset)?,
                None => self.put_soa()?,
            }
            return Ok(Some(Rcode::NOERROR));
        }
        if let Some(ns) = cut.rrset(RecordType::NS) {
            self.response
                .put_rrset(Section::Authority, self.above(cut.name()), ns)?;
            self.put_glue(cut, ns)?;
        }
        Ok(Some(Rcode::NOERROR))
    }

    /// The addresses of the child's name servers that we know. Those below the cut must fit, or TC
    /// is set (RFC 9471 §3.1); those elsewhere in the zone, sibling glue included, may be left off.
    fn put_glue(&mut self, cut: Node<'w>, ns: Rrset<'w>) -> Result<(), Full> {
        for must_fit in [true, false] {
            for target in ns.records().map(|record| record.rdata) {
                if is_at_or_below(target, cut.name()) == must_fit && is_at_or_below(target, self.zone.apex().as_wire())
                {
                    let put = self.put_addresses(target);
                    if must_fit {
                        put?;
                    }
                }
            }
        }
        Ok(())
    }

    fn put_addresses(&mut self, target: &[u8]) -> Result<(), Full> {
        let Some(node) = LookupName::new(target).and_then(|target| self.zone.find(&target)) else {
            return Ok(());
        };
        for rtype in [RecordType::A, RecordType::AAAA] {
            if let Some(addresses) = node.rrset(rtype) {
                self.response
                    .put_rrset(Section::Additional, Owner::Name(node.name()), addresses)?;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn put_answer(&mut self, rrset: Rrset<'_>) -> Result<(), Full> {
        self.response
            .put_rrset(Section::Answer, owner_of(self.name, self.followed), rrset)
    }

    /// The SOA of a negative answer; its TTL is the time to cache that (RFC 2308 §3).
    fn put_soa(&mut self) -> Result<(), Full> {
        let soa = self.zone.soa();
        let ttl = soa.records().next().map_or(0, |record| {
            let minimum = record
                .rdata
                .last_chunk::<4>()
                .map_or(0, |minimum| u32::from_be_bytes(*minimum));
            record.ttl().min(minimum)
        });
        let apex = self.zone.apex().as_wire();
        let ttl = Some(ttl.to_be_bytes());
        self.response
            .put_rrset_with_ttl(Section::Authority, self.above(apex), soa, ttl)
    }

    /// A name at or above the one that the walk has come to, as an owner.
    fn above(&self, name: &'w [u8]) -> Owner<'w> {
        if self.followed == 0 {
            Owner::Above(name.len())
        } else {
            Owner::Name(name)
        }
    }
}

fn owner_of(name: &LookupName, followed: usize) -> Owner<'_> {
    if followed == 0 {
        Owner::Question
    } else {
        Owner::Name(name.as_wire())
    }
}
