//! Reading the messages of other servers, record by record: transfers, and answers to our own questions.
//!
//! Names may be compressed (RFC 1035 §4.1.4); pointers lead back, so that reading always ends. Nothing is judged here
//! but form.

use super::{HEADER_LEN, Rcode, flags};
use crate::name::{MAX_NAME_LEN, Name};
use crate::record::RecordType;

/// A message, its header read.
#[derive(Debug, Clone, Copy)]
pub struct Message<'m> {
    bytes: &'m [u8],
    /// The message's number.
    pub id: u16,
    /// The second word of the header.
    pub flags: u16,
    counts: [u16; 4],
}

/// The bytes are no message, or a record in them is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is malformed")]
pub struct BadMessage;

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The answer section.
    Answer,
    /// The authority section.
    Authority,
    /// The additional section.
    Additional,
}

/// A record of a message, its RDATA as it came.
#[derive(Debug, Clone)]
pub struct RawRecord<'m> {
    /// Where it stands.
    pub part: Part,
    /// Its owner.
    pub owner: Name,
    /// Its type.
    pub rtype: RecordType,
    /// Its class.
    pub class: u16,
    /// Its time to live as it came.
    pub ttl: u32,
    /// The whole message, for names in the data.
    message: &'m [u8],
    /// Where its data begins and ends.
    data: (usize, usize),
}

impl<'m> Message<'m> {
    /// Reads the header.
    pub fn read(bytes: &'m [u8]) -> Result<Self, BadMessage> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(BadMessage)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Ok(Self {
            bytes,
            id: word(0),
            flags: word(2),
            counts: [word(4), word(6), word(8), word(10)],
        })
    }

    /// Is it a response?
    pub fn is_response(&self) -> bool {
        self.flags & flags::QR != 0
    }

    /// The operation, 0 for QUERY, 4 for NOTIFY.
    pub fn opcode(&self) -> u8 {
        ((self.flags & flags::OPCODE) >> 11) as u8
    }

    /// The response code without its upper bits.
    pub fn rcode(&self) -> Rcode {
        Rcode(self.flags & 0xf)
    }

    /// Name, type and class of the question; `None` when there is none or more than one.
    pub fn question(&self) -> Result<Option<(Name, RecordType, u16)>, BadMessage> {
        if self.counts[0] != 1 {
            return Ok(None);
        }
        let (name, at) = read_name(self.bytes, HEADER_LEN).ok_or(BadMessage)?;
        let &[t0, t1, c0, c1] = self
            .bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .ok_or(BadMessage)?;
        let rtype = RecordType(u16::from_be_bytes([t0, t1]));
        Ok(Some((name, rtype, u16::from_be_bytes([c0, c1]))))
    }

    /// Where the question ends.
    pub fn question_end(&self) -> Result<usize, BadMessage> {
        (0..self.counts[0]).try_fold(HEADER_LEN, |at, _| {
            let end = skip_name(self.bytes, at).ok_or(BadMessage)? + 4;
            (end <= self.bytes.len()).then_some(end).ok_or(BadMessage)
        })
    }

    /// The records, in order. After an error nothing follows.
    pub fn records(&self) -> impl Iterator<Item = Result<RawRecord<'m>, BadMessage>> + use<'m> {
        let [_, answer, authority, additional] = self.counts.map(usize::from);
        let bytes = self.bytes;
        let mut at = self.question_end().ok();
        let mut number = 0;
        std::iter::from_fn(move || {
            if number == answer + authority + additional {
                return None;
            }
            let part = match number {
                n if n < answer => Part::Answer,
                n if n < answer + authority => Part::Authority,
                _ => Part::Additional,
            };
            let read = at.and_then(|at| record_at(bytes, at, part));
            let Some((record, after)) = read else {
                number = answer + authority + additional;
                return Some(Err(BadMessage));
            };
            at = Some(after);
            number += 1;
            Some(Ok(record))
        })
    }
}

impl RawRecord<'_> {
    /// The data with its names uncompressed, where its type's RFC knows of names that older servers compress
    /// (RFC 3597 §4); checked to end where it should.
    pub fn rdata(&self) -> Result<Box<[u8]>, BadMessage> {
        let (start, end) = self.data;
        let raw = self.message.get(start..end).ok_or(BadMessage)?;
        let Some(layout) = self.rtype.names_in_rdata() else {
            return Ok(raw.into());
        };
        let mut out = Vec::with_capacity(raw.len() + 32);
        let mut at = start;
        for (fixed, names) in layout.iter().copied() {
            out.extend_from_slice(
                self.message
                    .get(at..at + fixed)
                    .filter(|_| at + fixed <= end)
                    .ok_or(BadMessage)?,
            );
            at += fixed;
            for _ in 0..names {
                let (name, after) = read_name(self.message, at)
                    .filter(|(_, after)| *after <= end)
                    .ok_or(BadMessage)?;
                out.extend_from_slice(name.as_wire());
                at = after;
            }
        }
        out.extend_from_slice(self.message.get(at..end).ok_or(BadMessage)?);
        Ok(out.into())
    }
}

fn record_at(bytes: &[u8], at: usize, part: Part) -> Option<(RawRecord<'_>, usize)> {
    let (owner, fixed_at) = read_name(bytes, at)?;
    let &[t0, t1, c0, c1, l0, l1, l2, l3, d0, d1] = bytes.get(fixed_at..)?.first_chunk::<10>()?;
    let start = fixed_at + 10;
    let end = start + usize::from(u16::from_be_bytes([d0, d1]));
    bytes.get(start..end)?;
    let record = RawRecord {
        part,
        owner,
        rtype: RecordType(u16::from_be_bytes([t0, t1])),
        class: u16::from_be_bytes([c0, c1]),
        ttl: u32::from_be_bytes([l0, l1, l2, l3]),
        message: bytes,
        data: (start, end),
    };
    Some((record, end))
}

/// The octet behind a possibly compressed name; pointers are not followed, only skipped.
pub fn skip_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(len),
            0xc0.. => return bytes.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// A possibly compressed name and the octet behind it. Each pointer must lead further back than the one before.
pub fn read_name(bytes: &[u8], start: usize) -> Option<(Name, usize)> {
    let mut wire = [0u8; MAX_NAME_LEN];
    let (mut len, mut at, mut limit) = (0, start, start);
    let mut end = None;
    loop {
        match *bytes.get(at)? {
            0 => {
                // A name is at most 255 octets with its root label (RFC 1035 §2.3.4).
                *wire.get_mut(len)? = 0;
                let name = Name::from_wire(&wire[..=len]).ok()?;
                return Some((name, end.unwrap_or(at + 1)));
            }
            label @ 1..=63 => {
                let label = 1 + usize::from(label);
                wire.get_mut(len..len + label)?
                    .copy_from_slice(bytes.get(at..at + label)?);
                (len, at) = (len + label, at + label);
            }
            high @ 0xc0.. => {
                let low = *bytes.get(at + 1)?;
                end.get_or_insert(at + 2);
                at = usize::from(high & 0x3f) << 8 | usize::from(low);
                if at >= limit {
                    return None;
                }
                limit = at;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;
    use proptest::prelude::*;

    #[test]
    fn follows_pointers_back_but_not_in_circles() {
        let bytes = b"\x01a\x04test\0\x01b\xc0\x00\xc0\x07\xc0\x0d\xc0\x0f";
        assert_eq!(read_name(bytes, 0), Some((name("a.test"), 8)));
        assert_eq!(read_name(bytes, 8), Some((name("b.a.test"), 12)));
        assert_eq!(read_name(bytes, 12), Some((name("."), 14)));
        assert_eq!(read_name(bytes, 14), None, "forward");
        assert_eq!(read_name(b"\xc0\x00", 0), None, "itself");
        assert_eq!(read_name(b"\x01a", 0), None, "cut");
        assert_eq!(read_name(b"\x41a\0", 0), None, "a reserved label type");
        let long = [&[63u8; 64][..]; 4].concat();
        assert_eq!(read_name(&[&long[..], &[0]].concat(), 0), None, "257 octets");
    }

    #[test]
    fn reads_records_and_uncompresses_their_names() {
        let mut bytes = b"\x12\x34\x84\x00\0\x01\0\x01\0\0\0\0\x04test\0\0\x0f\0\x01".to_vec();
        bytes.extend(b"\xc0\x0c\0\x0f\0\x01\0\0\x0e\x10\0\x09\0\x0a\x04mail\xc0\x0c");
        let message = Message::read(&bytes).unwrap();
        assert_eq!((message.id, message.is_response(), message.opcode()), (0x1234, true, 0));
        assert_eq!(message.question().unwrap().unwrap(), (name("test"), RecordType::MX, 1));
        let records: Vec<_> = message.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].owner.clone(), records[0].ttl), (name("test"), 3600));
        assert_eq!(&*records[0].rdata().unwrap(), b"\0\x0a\x04mail\x04test\0");
        // Data that ends inside of its name.
        let at = bytes.len() - 10;
        bytes[at] = 8;
        bytes.pop();
        let records: Vec<_> = Message::read(&bytes).unwrap().records().collect();
        assert!(records[0].as_ref().unwrap().rdata().is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(message) = Message::read(&bytes) {
                let _ = message.question();
                for record in message.records().flatten() {
                    let _ = record.rdata();
                }
            }
        }
    }
}
