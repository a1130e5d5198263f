//! Writing a response.
//!
//! The question is copied as it came, case and all; owners and the names that RFC 1035 §4.1.4 and
//! RFC 3597 §4 allow to be compressed point back to where they stand already. Records are written
//! in whole RRsets (RFC 2181 §9): [`Response::put_rrset`] writes all of one or nothing.

use super::compression::Names;
use super::{HEADER_LEN, Query, Rcode, ReplyOptions, flags};
use crate::name::{self, MAX_NAME_LEN};
use crate::record::{RecordType, Rrset};

/// The response does not fit; what was begun has been taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Sections in the order in which they must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Answers to the question.
    Answer,
    /// Who to ask, or the SOA of a negative answer.
    Authority,
    /// Addresses.
    Additional,
}

/// Whose record is written.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'n> {
    /// The name in the question.
    Question,
    /// That name or one above it, told by its length in octets.
    Above(usize),
    /// Another name, uncompressed.
    Name(&'n [u8]),
}

/// A response being written.
pub struct Response<'o> {
    out: &'o mut [u8],
    len: usize,
    /// Where records must end so that EDNS still fits.
    limit: usize,
    /// Where the message must end.
    end: usize,
    flags: u16,
    counts: [u16; 3],
    question_end: usize,
    names: Names,
}

impl<'o> Response<'o> {
    /// Begins the response to `query`: at most `limit` octets, `reserve` of them kept for EDNS.
    /// RD is copied from the query; AA and TC are set later.
    #[inline]
    pub fn new(out: &'o mut [u8], query: &Query<'_>, limit: usize, reserve: usize) -> Self {
        let end = limit.min(out.len());
        let limit = end.saturating_sub(reserve).max(query.question_end);
        out[..query.question_end].copy_from_slice(&query.bytes[..query.question_end]);
        Self {
            out,
            len: query.question_end,
            limit,
            end,
            flags: flags::QR | (query.flags & (flags::OPCODE | flags::RD | flags::CD)),
            counts: [0; 3],
            question_end: query.question_end,
            names: Names::NONE,
        }
    }

    /// The header's flags, to be added to.
    #[inline]
    pub fn set_flags(&mut self, more: u16) {
        self.flags |= more;
    }

    /// The header's flags so far.
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// Octets written so far; OPT will stand there.
    pub fn written(&self) -> usize {
        self.len
    }

    /// How many records the section has so far.
    pub fn count(&self, section: Section) -> u16 {
        self.counts[section as usize]
    }

    /// Drops all records and sets TC: the client is to ask again over TCP (RFC 2181 §9).
    pub fn truncate(&mut self) {
        self.len = self.question_end;
        self.counts = [0; 3];
        self.flags |= flags::TC;
    }

    /// Writes the whole RRset, or nothing.
    #[inline(always)]
    pub fn put_rrset(&mut self, section: Section, owner: Owner<'_>, rrset: Rrset<'_>) -> Result<(), Full> {
        match self.pointer_to(owner) {
            Some(pointer) if !has_compressible_names(rrset.rtype) => self.put_plain_records(section, pointer, rrset),
            _ => self.put_rrset_with_ttl(section, owner, rrset, None),
        }
    }

    /// Writes the whole RRset with another TTL, or nothing.
    pub fn put_rrset_with_ttl(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rrset: Rrset<'_>,
        ttl: Option<[u8; 4]>,
    ) -> Result<(), Full> {
        let before = (self.len, self.names.count());
        let written = self.put_records(owner, rrset, ttl);
        match written {
            Ok(()) => self.counts[section as usize] += rrset.count,
            Err(Full) => self.take_back(before),
        }
        written
    }

    /// The pointer to an owner in the question. None to the root, which is shorter than a pointer.
    #[inline]
    fn pointer_to(&self, owner: Owner<'_>) -> Option<[u8; 2]> {
        match owner {
            Owner::Question => Some(QUESTION_POINTER),
            // The name ends before type and class.
            Owner::Above(len @ 2..=MAX_NAME_LEN) => {
                let offset = self.question_end.saturating_sub(4 + len) as u16;
                Some((0xc000 | offset).to_be_bytes())
            }
            Owner::Above(_) | Owner::Name(_) => None,
        }
    }

    fn put_owner(&mut self, owner: Owner<'_>) -> Result<(), Full> {
        match (self.pointer_to(owner), owner) {
            (Some(pointer), _) => self.put(&pointer),
            (None, Owner::Name(name)) => self.put_name(name),
            (None, _) => self.put(&[0]),
        }
    }

    /// The common case: owned by a name in the question, no names inside. Each record is a pointer and a copy.
    #[inline(always)]
    fn put_plain_records(&mut self, section: Section, pointer: [u8; 2], rrset: Rrset<'_>) -> Result<(), Full> {
        let end = self.len + rrset.block.len() + 2 * usize::from(rrset.count);
        if end > self.limit {
            return Err(Full);
        }
        let mut out = self.out.get_mut(self.len..end).ok_or(Full)?;
        let mut block = rrset.block;
        while let Some((fixed, _)) = block.split_first_chunk::<10>() {
            let len = 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            let (record, after) = block.split_at_checked(len).ok_or(Full)?;
            let (place, rest) = out.split_at_mut_checked(2 + len).ok_or(Full)?;
            place[..2].copy_from_slice(&pointer);
            place[2..].copy_from_slice(record);
            (block, out) = (after, rest);
        }
        self.len = end;
        self.counts[section as usize] += rrset.count;
        Ok(())
    }

    fn put_records(&mut self, owner: Owner<'_>, rrset: Rrset<'_>, ttl: Option<[u8; 4]>) -> Result<(), Full> {
        for record in rrset.records() {
            self.put_owner(owner)?;
            let mut fixed = *record.fixed;
            if let Some(ttl) = ttl {
                fixed[4..8].copy_from_slice(&ttl);
            }
            self.put(&fixed)?;
            let rdata_at = self.len;
            self.put_rdata(rrset.rtype, record.rdata)?;
            self.put_length(rdata_at);
        }
        Ok(())
    }

    /// Writes one record with a single name as its data, such as the CNAME of RFC 6672 §3.1.
    pub fn put_name_record(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        fixed: [u8; 8],
        target: &[u8],
    ) -> Result<(), Full> {
        let before = (self.len, self.names.count());
        let written = (|| {
            self.put_owner(owner)?;
            self.put(&fixed)?;
            self.put(&[0, 0])?;
            let rdata_at = self.len;
            self.put_name(target)?;
            self.put_length(rdata_at);
            Ok(())
        })();
        match written {
            Ok(()) => self.counts[section as usize] += 1,
            Err(Full) => self.take_back(before),
        }
        written
    }

    /// Unwrites what was written since length and names were these.
    fn take_back(&mut self, (len, names): (usize, usize)) {
        self.len = len;
        self.names.forget_from(names);
    }

    /// Sets the RDLENGTH in front of RDATA that goes from `rdata_at` to here.
    fn put_length(&mut self, rdata_at: usize) {
        let length = (self.len - rdata_at) as u16;
        self.out[rdata_at - 2..rdata_at].copy_from_slice(&length.to_be_bytes());
    }

    /// RDATA with the names compressed that may be (RFC 3597 §4: the types of RFC 1035 only).
    fn put_rdata(&mut self, rtype: RecordType, rdata: &[u8]) -> Result<(), Full> {
        let Some(Compressible { before, two, after }) = compressible_names(rtype) else {
            return self.put(rdata);
        };
        let (front, rest) = rdata.split_at_checked(before).ok_or(Full)?;
        let (mut names, end) = rest
            .len()
            .checked_sub(after)
            .and_then(|at| rest.split_at_checked(at))
            .ok_or(Full)?;
        self.put(front)?;
        if two {
            let (name, second) = name::wire_len(names)
                .and_then(|len| names.split_at_checked(len))
                .ok_or(Full)?;
            self.put_name(name)?;
            names = second;
        }
        self.put_name(names)?;
        self.put(end)
    }

    /// Writes a name, as a pointer as far as its end stands in the message already.
    fn put_name(&mut self, wire: &[u8]) -> Result<(), Full> {
        if self.names.count() == 0 {
            // Not before a name is to be written: most answers have none but the question's.
            self.names.remember_question(self.out, self.question_end);
        }
        let mut at = 0;
        while wire.get(at).is_some_and(|&len| len != 0) {
            if let Some(offset) = self.names.find(self.out, &wire[at..]) {
                let start = self.len;
                self.put(&wire[..at])?;
                self.put(&(0xc000 | offset).to_be_bytes())?;
                self.names.remember(wire, at, start);
                return Ok(());
            }
            at += 1 + usize::from(wire[at]);
        }
        let start = self.len;
        self.put(wire)?;
        self.names.remember(wire, at, start);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len + bytes.len();
        if end > self.limit {
            return Err(Full);
        }
        self.out.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// Finishes without EDNS and returns the length.
    pub fn finish(mut self, rcode: Rcode) -> usize {
        self.write_header(rcode, 0);
        self.len
    }

    /// Finishes with a bare OPT record (RFC 6891 §6.1.3) that offers `payload` and echoes DO (RFC 3225 §3);
    /// returns the length.
    #[inline]
    pub fn finish_with_edns(mut self, rcode: Rcode, payload: u16, dnssec_ok: bool) -> usize {
        let opts = self.put_opt(rcode, payload, dnssec_ok);
        self.write_header(rcode, opts);
        self.len
    }

    /// The same with those of `options` that fit.
    #[cold]
    pub fn finish_with_options(
        mut self,
        rcode: Rcode,
        payload: u16,
        dnssec_ok: bool,
        options: &ReplyOptions<'_>,
    ) -> usize {
        let opts = self.put_opt(rcode, payload, dnssec_ok);
        let before = self.len;
        if opts > 0
            && let Some(room) = self.out.get_mut(self.len..self.end)
        {
            let len = options.write(room, before);
            self.out[self.len - 2..self.len].copy_from_slice(&(len as u16).to_be_bytes());
            self.len += len;
        }
        self.write_header(rcode, opts);
        self.len
    }

    /// Writes an OPT record; returns how many there are now.
    fn put_opt(&mut self, rcode: Rcode, payload: u16, dnssec_ok: bool) -> u16 {
        // The reserve was kept free for this; a buffer too small even so sends the bare response.
        let Some(place) = self.out.get_mut(self.len..self.len + OPT_LEN) else {
            return 0;
        };
        place.copy_from_slice(&opt(rcode, payload, dnssec_ok));
        self.len += OPT_LEN;
        1
    }

    fn write_header(&mut self, rcode: Rcode, opt_count: u16) {
        let [answer, authority, additional] = self.counts;
        let words = [
            self.flags | (rcode.0 & 15),
            u16::from(self.question_end > HEADER_LEN),
            answer,
            authority,
            additional + opt_count,
        ];
        for (place, word) in self.out[2..HEADER_LEN].chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
    }
}

/// Octets of an OPT record without options.
pub const OPT_LEN: usize = 11;
/// Octets of an Extended DNS Error option without text (RFC 8914 §2).
pub const EXTENDED_ERROR_LEN: usize = 6;
/// A compression pointer to the question's name.
const QUESTION_POINTER: [u8; 2] = [0xc0, HEADER_LEN as u8];

fn has_compressible_names(rtype: RecordType) -> bool {
    compressible_names(rtype).is_some()
}

/// RDATA that has names which may be compressed.
struct Compressible {
    /// Octets before the names.
    before: usize,
    /// Two names, not one.
    two: bool,
    /// Octets behind the names.
    after: usize,
}

fn compressible_names(rtype: RecordType) -> Option<Compressible> {
    let (before, two, after) = match rtype {
        RecordType::NS
        | RecordType::CNAME
        | RecordType::PTR
        | RecordType::MB
        | RecordType::MD
        | RecordType::MF
        | RecordType::MG
        | RecordType::MR => (0, false, 0),
        RecordType::SOA => (0, true, 20),
        RecordType::MINFO => (0, true, 0),
        RecordType::MX => (2, false, 0),
        _ => return None,
    };
    Some(Compressible { before, two, after })
}

/// Writes the answer to a message whose question could not be used: the header alone, or with
/// the first `question_end` octets, and with an OPT record that offers `payload` if there is one.
pub fn write_error(
    out: &mut [u8],
    query: &[u8],
    question_end: usize,
    rcode: Rcode,
    payload: Option<u16>,
) -> Option<usize> {
    let header = query.get(..HEADER_LEN)?;
    let end = question_end.max(HEADER_LEN);
    out.get_mut(..end)?.copy_from_slice(query.get(..end)?);
    let asked = u16::from_be_bytes([header[2], header[3]]);
    let words = [
        flags::QR | (asked & (flags::OPCODE | flags::RD | flags::CD)) | rcode.0,
        u16::from(question_end > 0),
        0,
        0,
        u16::from(payload.is_some()),
    ];
    for (place, word) in out[2..HEADER_LEN].chunks_exact_mut(2).zip(words) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    let Some(payload) = payload else { return Some(end) };
    out.get_mut(end..end + OPT_LEN)?
        .copy_from_slice(&opt(rcode, payload, false));
    Some(end + OPT_LEN)
}

/// An OPT record without options (RFC 6891 §6.1.2).
fn opt(rcode: Rcode, payload: u16, dnssec_ok: bool) -> [u8; OPT_LEN] {
    let mut opt = [0; OPT_LEN];
    opt[2] = RecordType::OPT.0 as u8;
    opt[3..5].copy_from_slice(&payload.to_be_bytes());
    opt[5] = (rcode.0 >> 4) as u8;
    opt[7] = if dnssec_ok { 0x80 } else { 0 };
    opt
}
