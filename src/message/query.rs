//! Reading a query.
//!
//! The order of the checks is that of a name server that trusts nobody: length, QR (never an
//! answer to an answer), opcode, counts (RFC 9619: exactly one question), the question, then the
//! rest of the message up to its last octet, with EDNS picked out (RFC 6891 §6.1.1: at most one
//! OPT, owned by the root).

use super::reader::skip_name;
use super::{HEADER_LEN, OPT_LEN, Options, Rcode, flags};
use crate::name;
use crate::record::RecordType;

/// Every client takes that much by UDP; less is treated as this (RFC 6891 §6.2.3).
const MIN_PAYLOAD: u16 = 512;
/// DO, in the first octet of EDNS's flags (RFC 3225 §3).
const DNSSEC_OK: u8 = 0x80;

/// A well-formed query of opcode QUERY with one question, or with none when it is for a cookie.
#[derive(Debug, Clone, Copy)]
pub struct Query<'q> {
    /// The whole message.
    pub bytes: &'q [u8],
    /// The second word of the header.
    pub flags: u16,
    /// Where the question ends and the records begin.
    pub question_end: usize,
    /// The name asked, uncompressed, in the client's case. Empty in a query without a question, which only
    /// asks for a server cookie (RFC 7873 §5.4).
    pub qname: &'q [u8],
    /// How many labels the name has, the root not counted.
    pub labels: usize,
    /// The type asked.
    pub qtype: RecordType,
    /// The class asked.
    pub qclass: u16,
    /// EDNS, if the client speaks it.
    pub edns: Option<Edns<'q>>,
    /// Are there additional records beside that of EDNS? One of them may be a signature.
    pub has_more: bool,
}

/// What the client's OPT record says (RFC 6891 §6.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edns<'q> {
    /// The largest response that the client takes over UDP, at least 512.
    pub payload: u16,
    /// The version; only 0 is known.
    pub version: u8,
    /// DNSSEC OK (RFC 3225).
    pub dnssec_ok: bool,
    /// The options, well-formed; see [`Edns::options`]. Empty for other versions, whose form is not known.
    pub rdata: &'q [u8],
}

impl<'q> Edns<'q> {
    /// The common case: nothing follows the question but an OPT of our version without options.
    #[inline]
    fn bare(tail: &[u8]) -> Option<Self> {
        let &[0, 0, 41, p0, p1, _, 0, flags, _, 0, 0] = <&[u8; OPT_LEN]>::try_from(tail).ok()? else {
            return None;
        };
        Some(Self {
            payload: u16::from_be_bytes([p0, p1]).max(MIN_PAYLOAD),
            version: 0,
            dnssec_ok: flags & DNSSEC_OK != 0,
            rdata: &[],
        })
    }

    /// What is asked for by options.
    pub fn options(&self) -> Options<'q> {
        Options::parse(self.rdata).unwrap_or_default()
    }
}

/// What is not answered as a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Too short to have a header, or itself a response: say nothing.
    Silence,
    /// Answer with the header alone and this code; nothing of the rest can be trusted.
    Header(Rcode),
    /// The question, which ends there, was read but what follows it is malformed: answer with the question and this
    /// code, and with an OPT if one was seen (RFC 6891 §6.1.1).
    Question(Rcode, usize, bool),
}

impl<'q> Query<'q> {
    /// Reads a message.
    #[inline(always)]
    pub fn parse(bytes: &'q [u8]) -> Result<Self, Malformed> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Silence);
        };
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let header_flags = word(2);
        if header_flags & (flags::QR | flags::OPCODE) != 0 {
            let notimp = Malformed::Header(Rcode::NOTIMP);
            return Err(if header_flags & flags::QR != 0 {
                Malformed::Silence
            } else {
                notimp
            });
        }
        let formerr = Malformed::Header(Rcode::FORMERR);
        // RFC 9619: a query has one question; TC in a query makes no sense (RFC 1035 §4.1.1).
        if word(4) != 1 || header_flags & flags::TC != 0 {
            return Self::without_question(bytes, header_flags).ok_or(formerr);
        }
        let (name_len, labels) = name::measure(&bytes[HEADER_LEN..]).ok_or(formerr)?;
        let name_end = HEADER_LEN + name_len;
        let Some((&[t0, t1, c0, c1], rest)) = bytes[name_end..].split_first_chunk::<4>() else {
            return Err(formerr);
        };
        let question_end = name_end + 4;
        let qtype = RecordType(u16::from_be_bytes([t0, t1]));
        let malformed = |edns| Malformed::Question(Rcode::FORMERR, question_end, edns);
        // Nothing belongs into answer and authority of a query but IXFR's SOA (RFC 1995 §3).
        let authority = word(8);
        if word(6) != 0 || authority > u16::from(qtype == RecordType::IXFR) {
            return Err(malformed(false));
        }
        let (edns, has_more) = match (authority, word(10), Edns::bare(rest)) {
            (0, 1, Some(edns)) => (Some(edns), false),
            (authority, additional, _) => {
                let edns =
                    records(bytes, question_end, usize::from(authority), usize::from(additional)).map_err(malformed)?;
                (edns, additional > u16::from(edns.is_some()))
            }
        };
        Ok(Self {
            bytes,
            flags: header_flags,
            question_end,
            qname: &bytes[HEADER_LEN..name_end],
            labels,
            qtype,
            qclass: u16::from_be_bytes([c0, c1]),
            edns,
            has_more,
        })
    }

    /// The message from the name asked on.
    #[inline]
    pub fn from_qname(&self) -> &'q [u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or_default()
    }

    /// [`Query::parse`] for callers off the path of a common query: that path has the code to itself.
    #[cold]
    #[inline(never)]
    pub fn parse_rarely(bytes: &'q [u8]) -> Result<Self, Malformed> {
        Self::parse(bytes)
    }

    /// RFC 7873 §5.4: no question at all, but a COOKIE option. Nothing else may come without a question.
    #[cold]
    fn without_question(bytes: &'q [u8], header_flags: u16) -> Option<Self> {
        let &[c0, c1, c2, c3, c4, c5, a0, a1] = bytes.get(4..)?.first_chunk::<8>()?;
        if [c0, c1, c2, c3, c4, c5] != [0; 6] || header_flags & flags::TC != 0 {
            return None;
        }
        let mut query = Self {
            bytes,
            flags: header_flags,
            question_end: HEADER_LEN,
            qname: &[],
            labels: 0,
            qtype: RecordType(0),
            qclass: 0,
            edns: None,
            has_more: false,
        };
        query.edns = records(bytes, HEADER_LEN, 0, usize::from(u16::from_be_bytes([a0, a1]))).ok()?;
        query.edns?.options().cookie?;
        Some(query)
    }
}

/// Walks the records from `at` to the end of the message and picks out EDNS; the error, that they are malformed, says
/// whether an OPT was seen.
fn records(bytes: &[u8], mut at: usize, authority: usize, additional: usize) -> Result<Option<Edns<'_>>, bool> {
    let mut edns = None;
    for number in 0..authority + additional {
        let (fixed, rdata, after) = record_at(bytes, at).ok_or(edns.is_some())?;
        if u16::from_be_bytes([fixed[0], fixed[1]]) == RecordType::OPT.0 {
            if number < authority || edns.is_some() || bytes[at] != 0 {
                // Which of two is meant nobody knows; BIND, NSD and Knot answer with none as well.
                return Err(false);
            }
            // RFC 6891 §6.1.3: of another version than ours, nothing but that is known.
            let rdata = if fixed[5] == 0 { rdata } else { &[] };
            if !rdata.is_empty() {
                Options::parse(rdata).ok_or(true)?;
            }
            edns = Some(Edns {
                payload: u16::from_be_bytes([fixed[2], fixed[3]]).max(MIN_PAYLOAD),
                version: fixed[5],
                dnssec_ok: fixed[6] & DNSSEC_OK != 0,
                rdata,
            });
        }
        at = after;
    }
    if at == bytes.len() {
        Ok(edns)
    } else {
        Err(edns.is_some())
    }
}

/// The record at an offset: type, class, TTL and RDLENGTH, then RDATA, then where the next record begins.
fn record_at(bytes: &[u8], at: usize) -> Option<(&[u8; 10], &[u8], usize)> {
    let at = skip_name(bytes, at)?;
    let fixed = bytes.get(at..)?.first_chunk::<10>()?;
    let data = at + 10;
    let after = data + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    Some((fixed, bytes.get(data..after)?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for `a.test` A with these counts and this tail.
    fn message(flags: u16, counts: [u16; 4], tail: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34];
        bytes.extend(flags.to_be_bytes());
        bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        bytes.extend(b"\x01a\x04test\x00\x00\x01\x00\x01");
        bytes.extend(tail);
        bytes
    }

    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00";

    #[test]
    fn reads_a_question_and_edns() {
        let bytes = message(flags::RD, [1, 0, 0, 1], OPT);
        let query = Query::parse(&bytes).unwrap();
        assert_eq!(query.qname, b"\x01a\x04test\x00");
        assert_eq!((query.qtype, query.qclass), (RecordType::A, 1));
        assert_eq!(
            query.edns,
            Some(Edns {
                payload: 1232,
                version: 0,
                dnssec_ok: true,
                rdata: b"",
            })
        );
        assert_eq!(Query::parse(&message(0, [1, 0, 0, 0], &[])).unwrap().edns, None);
    }

    #[test]
    fn says_nothing_to_a_response_or_a_fragment() {
        assert_eq!(
            Query::parse(&message(flags::QR, [1, 0, 0, 0], &[])).unwrap_err(),
            Malformed::Silence
        );
        assert_eq!(Query::parse(&[0; 11]).unwrap_err(), Malformed::Silence);
    }

    #[test]
    fn refuses_other_opcodes_and_question_counts() {
        assert_eq!(
            Query::parse(&message(0x2800, [1, 0, 0, 0], &[])).unwrap_err(),
            Malformed::Header(Rcode::NOTIMP)
        );
        for count in [0, 2, 0xffff] {
            let bytes = message(0, [count, 0, 0, 0], &[]);
            assert_eq!(
                Query::parse(&bytes).unwrap_err(),
                Malformed::Header(Rcode::FORMERR),
                "{count}"
            );
        }
        let mut pointer = message(0, [1, 0, 0, 0], &[]);
        pointer[12..14].copy_from_slice(&[0xc0, 12]);
        assert_eq!(Query::parse(&pointer).unwrap_err(), Malformed::Header(Rcode::FORMERR));
    }

    #[test]
    fn takes_no_question_for_a_cookie_only() {
        let header = b"\x12\x34\x01\0\0\0\0\0\0\0\0\x01";
        let cookie = b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh";
        let bytes = [&header[..], cookie].concat();
        let query = Query::parse(&bytes).unwrap();
        assert_eq!((query.qname, query.question_end), (&b""[..], HEADER_LEN));
        assert_eq!(query.edns.unwrap().options().cookie.unwrap().client, *b"abcdefgh");
        for bytes in [&header[..], &[&header[..], OPT].concat(), &bytes[..bytes.len() - 1]] {
            assert_eq!(Query::parse(bytes).unwrap_err(), Malformed::Header(Rcode::FORMERR));
        }
        for (at, octet) in [(2, 0x03), (7, 1), (9, 1), (11, 2)] {
            let mut bytes = bytes.clone();
            bytes[at] = octet;
            assert_eq!(
                Query::parse(&bytes).unwrap_err(),
                Malformed::Header(Rcode::FORMERR),
                "{at}"
            );
        }
    }

    #[test]
    fn does_not_look_into_options_of_another_version() {
        let tail = b"\0\0\x29\x04\xd0\0\x01\0\0\0\x05\x00\x0a\x00\x08\x01";
        let bytes = message(0, [1, 0, 0, 1], tail);
        assert_eq!(Query::parse(&bytes).unwrap().edns.unwrap().version, 1);
    }

    #[test]
    fn refuses_malformed_tails() {
        let twice = [OPT, OPT].concat();
        let owned = [b"\x01x".as_slice(), OPT].concat();
        let cut_option = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x05\x00\x0a\x00\x08\x01";
        let more = [OPT, b"x"].concat();
        for (counts, tail, edns) in [
            ([1, 0, 0, 1], &[][..], false),
            ([1, 0, 0, 0], b"x", false),
            ([1, 0, 0, 1], &OPT[..10], false),
            ([1, 0, 0, 2], &twice, false),
            ([1, 0, 0, 1], &owned, false),
            ([1, 0, 0, 1], &more, true),
            ([1, 0, 0, 1], cut_option, true),
            ([1, 1, 0, 0], OPT, false),
            ([1, 0, 1, 0], OPT, false),
        ] {
            let bytes = message(0, counts, tail);
            assert_eq!(
                Query::parse(&bytes).unwrap_err(),
                Malformed::Question(Rcode::FORMERR, 24, edns),
                "{counts:?} {tail:?}"
            );
        }
    }
}
