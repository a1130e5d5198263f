//! The TSIG record of a message (RFC 8945 §4.2): finding it, and writing one.

use super::Algorithm;
use crate::message::{HEADER_LEN, skip_name};
use crate::name::{self, Name};
use crate::record::RecordType;

/// Errors that a TSIG record tells of (RFC 8945 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TsigError(pub u16);

impl TsigError {
    /// The signature is good.
    pub const NONE: Self = Self(0);
    /// 16, BADSIG: the signature is another's, or the message was changed.
    pub const BADSIG: Self = Self(16);
    /// 17, BADKEY: there is no key of that name and algorithm.
    pub const BADKEY: Self = Self(17);
    /// 18, BADTIME: the clocks differ by more than the fudge.
    pub const BADTIME: Self = Self(18);
    /// 22, BADTRUNC: the signature is shorter than policy allows.
    pub const BADTRUNC: Self = Self(22);
}

/// A message with a TSIG record at its end.
#[derive(Debug, Clone)]
pub struct SignedQuery<'m> {
    /// The whole message.
    pub(super) message: &'m [u8],
    /// Where the TSIG record begins.
    pub(super) start: usize,
    /// The name of the key, in lower case.
    pub key_name: Name,
    /// The name of the algorithm.
    pub(super) algorithm: &'m [u8],
    /// When it was signed, in seconds since 1970.
    pub(super) time: u64,
    pub(super) fudge: u16,
    pub(super) mac: &'m [u8],
    pub(super) original_id: u16,
    pub(super) error: TsigError,
    pub(super) other: &'m [u8],
}

impl<'m> SignedQuery<'m> {
    /// Finds the TSIG record, which is the last of the message (RFC 8945 §5.1). `Ok(None)`: there is none.
    /// `Err(())`: the message, or where it stands in it, is malformed.
    pub fn find(message: &'m [u8]) -> Result<Option<Self>, Malformed> {
        let header = message.first_chunk::<HEADER_LEN>().ok_or(Malformed)?;
        let word = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
        let mut at = HEADER_LEN;
        for _ in 0..word(4) {
            at = skip_name(message, at).ok_or(Malformed)? + 4;
        }
        let records = word(6) + word(8) + word(10);
        for number in 1..=records {
            let owner = at;
            let fixed_at = skip_name(message, at).ok_or(Malformed)?;
            let fixed = message
                .get(fixed_at..)
                .and_then(|rest| rest.first_chunk::<10>())
                .ok_or(Malformed)?;
            let len = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
            let rdata = message.get(fixed_at + 10..fixed_at + 10 + len).ok_or(Malformed)?;
            at = fixed_at + 10 + len;
            if u16::from_be_bytes([fixed[0], fixed[1]]) == RecordType::TSIG.0 {
                let is_last = number == records && word(10) > 0 && at == message.len();
                // RFC 8945 §4.2: class ANY, TTL 0.
                if !is_last || fixed[2..8] != [0, 255, 0, 0, 0, 0] {
                    return Err(Malformed);
                }
                return Self::read(message, owner, rdata).map(Some).ok_or(Malformed);
            }
        }
        Ok(None)
    }

    fn read(message: &'m [u8], start: usize, rdata: &'m [u8]) -> Option<Self> {
        let owner_len = name::wire_len(&message[start..])?;
        let (algorithm, rest) = rdata.split_at_checked(name::wire_len(rdata)?)?;
        let (fixed, rest) = rest.split_first_chunk::<10>()?;
        let &[t0, t1, t2, t3, t4, t5, f0, f1, m0, m1] = fixed;
        let (mac, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([m0, m1])))?;
        let (&[i0, i1, e0, e1, o0, o1], other) = rest.split_first_chunk::<6>()?;
        if other.len() != usize::from(u16::from_be_bytes([o0, o1])) {
            return None;
        }
        Some(Self {
            message,
            start,
            key_name: Name::from_wire(&message[start..start + owner_len]).ok()?.to_lowercase(),
            algorithm,
            time: u64::from_be_bytes([0, 0, t0, t1, t2, t3, t4, t5]),
            fudge: u16::from_be_bytes([f0, f1]),
            mac,
            original_id: u16::from_be_bytes([i0, i1]),
            error: TsigError(u16::from_be_bytes([e0, e1])),
            other,
        })
    }

    /// The message without the record, as it was before it was signed (RFC 8945 §5.2): its header, with one additional
    /// record less, and the rest.
    pub(super) fn unsigned(&self) -> ([u8; HEADER_LEN], &'m [u8]) {
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&self.message[..HEADER_LEN]);
        header[..2].copy_from_slice(&self.original_id.to_be_bytes());
        let additional = u16::from_be_bytes([header[10], header[11]]).wrapping_sub(1);
        header[10..].copy_from_slice(&additional.to_be_bytes());
        (header, &self.message[HEADER_LEN..self.start])
    }

    /// The message as it was before it was signed, with the ID it came with.
    pub fn stripped(&self) -> Vec<u8> {
        let (header, rest) = self.unsigned();
        let mut message = [&header[..], rest].concat();
        message[..2].copy_from_slice(&self.message[..2]);
        message
    }

    /// When the message says it was signed, in seconds since 1970.
    pub fn time(&self) -> u64 {
        self.time
    }
}

/// The message cannot be read, or a TSIG record stands where none may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The parts of a TSIG record to be written.
pub(super) struct Written<'a> {
    pub(super) key_name: &'a [u8],
    pub(super) algorithm: &'a [u8],
    pub(super) time: u64,
    pub(super) fudge: u16,
    pub(super) mac: &'a [u8],
    pub(super) original_id: u16,
    pub(super) error: TsigError,
    pub(super) other: &'a [u8],
}

impl Written<'_> {
    /// Appends the record to the message in `out[..len]` and counts it; returns the new length, or `None` when there is
    /// no room.
    pub(super) fn append(&self, out: &mut [u8], len: usize) -> Option<usize> {
        let rdata_len = self.algorithm.len() + 10 + self.mac.len() + 6 + self.other.len();
        let mut record = Vec::with_capacity(self.key_name.len() + 10 + rdata_len);
        record.extend_from_slice(self.key_name);
        record.extend_from_slice(&RecordType::TSIG.0.to_be_bytes());
        record.extend_from_slice(&[0, 255, 0, 0, 0, 0]);
        record.extend_from_slice(&u16::try_from(rdata_len).ok()?.to_be_bytes());
        record.extend_from_slice(self.algorithm);
        record.extend_from_slice(&self.time.to_be_bytes()[2..]);
        record.extend_from_slice(&self.fudge.to_be_bytes());
        record.extend_from_slice(&u16::try_from(self.mac.len()).ok()?.to_be_bytes());
        record.extend_from_slice(self.mac);
        record.extend_from_slice(&self.original_id.to_be_bytes());
        record.extend_from_slice(&self.error.0.to_be_bytes());
        record.extend_from_slice(&u16::try_from(self.other.len()).ok()?.to_be_bytes());
        record.extend_from_slice(self.other);
        out.get_mut(len..len + record.len())?.copy_from_slice(&record);
        let count = out.get_mut(10..HEADER_LEN)?;
        let more = u16::from_be_bytes([count[0], count[1]]).checked_add(1)?;
        count.copy_from_slice(&more.to_be_bytes());
        Some(len + record.len())
    }
}

/// Octets of a TSIG record with a key of this name and algorithm that tells no error.
pub(super) fn good_len(key_name: &[u8], algorithm: Algorithm) -> usize {
    key_name.len() + 10 + algorithm.wire().len() + 10 + algorithm.signature_len() + 6
}
