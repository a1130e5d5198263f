//! A zone on its way to a secondary, message by message (RFC 5936, RFC 1995).
//!
//! An [`Outgoing`] holds one version of the zone and where it is in it, no more: each message is written when the one
//! before has left, straight from the zone that is served. So a transfer of any size takes one message of memory, and
//! changes meanwhile do not touch it.
//!
//! Names that end in the apex point to the question, owners that repeat point to each other; that is all the
//! compression there is, and it is cheap.

use super::delta::{Delta, WireRecord};
use super::ledger::{Ledger, Said};
use crate::message::{HEADER_LEN, OPT_LEN, ReplyOptions, flags};
use crate::record::RecordType;
use crate::tsig::Session;
use crate::zone::Zone;
use std::net::IpAddr;
use std::sync::Arc;

/// The last offset that a compression pointer can name (RFC 1035 §4.1.4).
const MAX_POINTER: usize = 0x3fff;
/// A compression pointer to the question's name.
const QUESTION_POINTER: [u8; 2] = [0xc0, HEADER_LEN as u8];
/// The longest message.
const MAX_MESSAGE: usize = 65_535;

/// What is sent.
#[derive(Debug)]
pub enum Content {
    /// The SOA alone: the secondary has nothing to fetch (RFC 1995 §4).
    Serial,
    /// All of the zone, its SOA first and last (RFC 5936 §2.2).
    Whole,
    /// What changed since the secondary's version (RFC 1995 §4).
    Change(Delta),
}

/// A transfer under way.
#[derive(Debug)]
pub struct Outgoing {
    zone: Arc<Zone>,
    content: Content,
    /// What each message begins with: header and question.
    head: Box<[u8]>,
    /// Name servers that are asked in EDNS answer in EDNS (RFC 6891 §7).
    payload: Option<u16>,
    /// What is told by options of EDNS.
    options: ReplyOptions<'static>,
    session: Option<Session>,
    /// Where it is noted when it has left.
    ledger: Option<Ledger>,
    at: Cursor,
    /// Records and octets sent so far.
    records: u64,
    octets: u64,
}

/// Where in the content the next record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    /// The SOA that comes first.
    First,
    /// In the zone: node, RRset in it, octet in that.
    Zone(usize, usize, usize),
    /// In the difference: octet.
    Change(usize),
    /// The SOA that comes last.
    Last,
    /// Everything is sent.
    End,
}

/// A record that fits into no message; the transfer must break off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record of type {rtype} has {octets} octets, and none of more than {MAX_MESSAGE} with its owner can be sent")]
pub struct Oversize {
    /// Its type.
    pub rtype: RecordType,
    /// Its length.
    pub octets: usize,
}

impl Outgoing {
    /// Begins the answer to `query`, whose question ends at `question_end`.
    pub fn new(zone: Arc<Zone>, content: Content, query: &[u8], question_end: usize) -> Self {
        let mut head: Box<[u8]> = query
            .get(..question_end.max(HEADER_LEN))
            .unwrap_or(&[0; HEADER_LEN])
            .into();
        let asked = u16::from_be_bytes([head[2], head[3]]);
        // RFC 5936 §2.2.1: QR and AA; RD is copied (RFC 1035 §4.1.1).
        let answered = flags::QR | flags::AA | asked & (flags::RD | flags::CD);
        head[2..4].copy_from_slice(&answered.to_be_bytes());
        head[4..HEADER_LEN].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        Self {
            zone,
            content,
            head,
            payload: None,
            options: ReplyOptions::default(),
            session: None,
            ledger: None,
            at: Cursor::First,
            records: 0,
            octets: 0,
        }
    }

    /// With an OPT record in each message.
    #[must_use]
    pub fn with_edns(mut self, payload: Option<u16>) -> Self {
        self.payload = payload;
        self
    }

    /// Telling in EDNS for how many seconds the zone may be served (RFC 7314 §3.2).
    #[must_use]
    pub fn telling_expiry(mut self, seconds: Option<u32>) -> Self {
        self.options.expire = seconds;
        self
    }

    /// Signed.
    #[must_use]
    pub fn signed(mut self, session: Option<Session>) -> Self {
        self.session = session;
        self
    }

    /// Noted there when it has left.
    #[must_use]
    pub fn noted_in(mut self, ledger: Ledger) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// It has left, all of it, for a server at this address.
    pub fn has_left(&self, address: IpAddr, now: u64) {
        if let Some(ledger) = &self.ledger {
            let serial = self.zone.serial();
            ledger.fetched(self.zone.apex(), address, Said { serial, at: now });
        }
    }

    /// What is sent.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The version that is sent.
    pub fn zone(&self) -> &Arc<Zone> {
        &self.zone
    }

    /// Records and octets that were written so far.
    pub fn sent(&self) -> (u64, u64) {
        (self.records, self.octets)
    }

    /// Has everything been written?
    pub fn is_done(&self) -> bool {
        self.at == Cursor::End
    }

    /// Writes the next message into `out`, which takes 65 535 octets; returns its length. `now` is for the signature.
    pub fn write(&mut self, out: &mut [u8], now: u64) -> Result<usize, Oversize> {
        let limit = out.len().min(MAX_MESSAGE);
        let opt = self.payload.map_or(0, |_| OPT_LEN + self.options.reserve());
        let signature = self.session.as_ref().map_or(0, Session::reserve);
        let mut writer = Writer::new(out, &self.head, limit - opt - signature, self.zone.apex().as_wire());
        let mut at = self.at;
        while let Some(record) = self.record(at) {
            if !writer.put(record) {
                break;
            }
            at = self.after(at, record);
        }
        if writer.count == 0
            && let Some(record) = self.record(at)
        {
            return Err(Oversize {
                rtype: type_of(record.rest),
                octets: record.len(),
            });
        }
        let (mut len, count) = (writer.len, writer.count);
        out[6..8].copy_from_slice(&count.to_be_bytes());
        self.records += u64::from(count);
        self.at = at;
        if let Some(payload) = self.payload {
            let [high, low] = payload.to_be_bytes();
            out[len..len + OPT_LEN].copy_from_slice(&[0, 0, 41, high, low, 0, 0, 0, 0, 0, 0]);
            out[11] = 1;
            len += OPT_LEN;
            let options = self.options.write(&mut out[len..], len);
            out[len - 2..len].copy_from_slice(&(options as u16).to_be_bytes());
            len += options;
        }
        if let Some(session) = &mut self.session {
            // The room was kept.
            len = session.sign(out, len, now).unwrap_or(len);
        }
        self.octets += len as u64;
        Ok(len)
    }

    /// The record at a place.
    fn record(&self, at: Cursor) -> Option<WireRecord<'_>> {
        match at {
            Cursor::First | Cursor::Last => Some(WireRecord {
                owner: self.zone.apex().as_wire(),
                rest: self.zone.soa().block,
            }),
            Cursor::Zone(node, rrset, octet) => {
                let node = self.zone.node_at(node)?;
                let block = node.rrset_at(rrset)?.block.get(octet..)?;
                let fixed = block.first_chunk::<10>()?;
                let len = 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
                Some(WireRecord {
                    owner: node.name(),
                    rest: block.get(..len)?,
                })
            }
            Cursor::Change(octet) => match &self.content {
                Content::Change(delta) => WireRecord::first(delta.octets().0.get(octet..)?),
                _ => None,
            },
            Cursor::End => None,
        }
    }

    /// The place after a record.
    fn after(&self, at: Cursor, record: WireRecord<'_>) -> Cursor {
        match (at, &self.content) {
            (Cursor::First, Content::Serial) | (Cursor::Last | Cursor::End, _) => Cursor::End,
            // The SOA is the first RRset of the apex.
            (Cursor::First, Content::Whole) => self.settled(0, 1, 0),
            (Cursor::First, Content::Change(_)) => Cursor::Change(0),
            (Cursor::Zone(node, rrset, octet), _) => self.settled(node, rrset, octet + record.rest.len()),
            (Cursor::Change(octet), Content::Change(delta)) => match octet + record.len() {
                end if end < delta.len() => Cursor::Change(end),
                _ => Cursor::Last,
            },
            (Cursor::Change(_), _) => Cursor::Last,
        }
    }

    /// The next place in the zone at which there is a record.
    fn settled(&self, mut number: usize, mut rrset: usize, octet: usize) -> Cursor {
        let ends = |node: usize, rrset: usize| {
            let rrset = self.zone.node_at(node).and_then(|node| node.rrset_at(rrset));
            rrset.is_none_or(|rrset| octet >= rrset.block.len())
        };
        if octet > 0 && !ends(number, rrset) {
            return Cursor::Zone(number, rrset, octet);
        }
        if octet > 0 {
            rrset += 1;
        }
        while let Some(node) = self.zone.node_at(number) {
            if node.rrset_at(rrset).is_some() {
                return Cursor::Zone(number, rrset, 0);
            }
            (number, rrset) = (number + 1, 0);
        }
        Cursor::Last
    }
}

/// One message being filled.
struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
    limit: usize,
    count: u16,
    /// The apex, if names may point to the question: it was asked as the zone writes it, and is more than the root.
    apex: Option<&'o [u8]>,
    /// The owner before, and where it stands.
    last: Option<(usize, usize)>,
}

impl<'o> Writer<'o> {
    fn new(out: &'o mut [u8], head: &[u8], limit: usize, apex: &'o [u8]) -> Self {
        out[..head.len()].copy_from_slice(head);
        let question = head.get(HEADER_LEN..head.len().saturating_sub(4));
        Self {
            out,
            len: head.len(),
            limit,
            count: 0,
            apex: Some(apex).filter(|apex| apex.len() > 1 && question == Some(apex)),
            last: None,
        }
    }

    /// Writes a record, or nothing when it does not fit.
    fn put(&mut self, record: WireRecord<'_>) -> bool {
        // Compressed it takes no more than this.
        if self.len + record.len() > self.limit || self.count == u16::MAX {
            return false;
        }
        self.put_owner(record.owner);
        let rtype = type_of(record.rest);
        let (fixed, rdata) = record.rest.split_at(10);
        let names = match rtype {
            // RFC 3597 §4: names may be compressed in the types of RFC 1035 only.
            RecordType::NS | RecordType::CNAME | RecordType::PTR => 1,
            RecordType::MX => 1,
            RecordType::SOA => 2,
            _ => 0,
        };
        if names == 0 || self.apex.is_none() {
            self.copy(record.rest);
        } else {
            self.copy(fixed);
            let start = self.len;
            self.put_names(rdata, if rtype == RecordType::MX { 2 } else { 0 }, names);
            let len = (self.len - start) as u16;
            self.out[start - 2..start].copy_from_slice(&len.to_be_bytes());
        }
        self.count += 1;
        true
    }

    fn put_owner(&mut self, owner: &[u8]) {
        if let Some((at, len)) = self.last
            && self.out.get(at..at + len).is_some_and(|written| {
                written == &owner[..len.min(owner.len())] && (len == owner.len() || self.is_apex(&owner[len..]))
            })
        {
            self.copy(&(0xc000 | at as u16).to_be_bytes());
            return;
        }
        let at = self.len;
        let written = self.put_name(owner);
        self.last = (at <= MAX_POINTER && written > 0).then_some((at, written));
    }

    fn is_apex(&self, name: &[u8]) -> bool {
        self.apex == Some(name)
    }

    /// Writes a name, its end as a pointer to the question if it is the apex; returns how many octets stand there as
    /// they are in the name.
    fn put_name(&mut self, name: &[u8]) -> usize {
        let own = self
            .apex
            .and_then(|apex| name.strip_suffix(apex))
            .filter(|own| is_whole_labels(own));
        match own {
            Some(own) => {
                self.copy(own);
                self.copy(&QUESTION_POINTER);
                own.len()
            }
            None => {
                self.copy(name);
                name.len()
            }
        }
    }

    fn put_names(&mut self, rdata: &[u8], before: usize, names: usize) {
        let (front, mut rest) = rdata.split_at(before.min(rdata.len()));
        self.copy(front);
        for _ in 0..names {
            let len = crate::name::wire_len(rest).unwrap_or(rest.len());
            let (name, after) = rest.split_at(len);
            self.put_name(name);
            rest = after;
        }
        self.copy(rest);
    }

    fn copy(&mut self, octets: &[u8]) {
        self.out[self.len..self.len + octets.len()].copy_from_slice(octets);
        self.len += octets.len();
    }
}

/// Do the octets end where a label ends?
fn is_whole_labels(octets: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&len) = octets.get(at) {
        at += 1 + usize::from(len);
    }
    at == octets.len()
}

fn type_of(rest: &[u8]) -> RecordType {
    rest.first_chunk()
        .map_or(RecordType(0), |rtype| RecordType(u16::from_be_bytes(*rtype)))
}

#[cfg(test)]
mod tests;
