//! DNS messages from the RFCs alone (RFC 1035 §4, RFC 6891 §6, RFC 3597 §4): what the tests send
//! and how they read what comes back. Nothing of the server's own code is used, so that a mistake
//! there cannot hide itself here.
//!
//! Names are uncompressed wire bytes. A decoded record is canonical (RFC 4034 §6.2): owner and the
//! names inside RDATA are uncompressed and in lower case, so that records compare as bytes.

use std::fmt;

/// A name in uncompressed wire form.
pub(crate) type WireName = Vec<u8>;

pub(crate) const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const PTR: u16 = 12;
pub(crate) const MX: u16 = 15;
pub(crate) const TXT: u16 = 16;
pub(crate) const AAAA: u16 = 28;
pub(crate) const SRV: u16 = 33;
pub(crate) const DNAME: u16 = 39;
pub(crate) const OPT: u16 = 41;
pub(crate) const DS: u16 = 43;
pub(crate) const RRSIG: u16 = 46;
pub(crate) const SPF: u16 = 99;
pub(crate) const ANY: u16 = 255;
pub(crate) const CAA: u16 = 257;

pub(crate) const IN: u16 = 1;
pub(crate) const CH: u16 = 3;

pub(crate) const NOERROR: u16 = 0;
pub(crate) const FORMERR: u16 = 1;
pub(crate) const SERVFAIL: u16 = 2;
pub(crate) const NXDOMAIN: u16 = 3;
pub(crate) const NOTIMP: u16 = 4;
pub(crate) const REFUSED: u16 = 5;
pub(crate) const BADVERS: u16 = 16;

pub(crate) const QR: u16 = 0x8000;
pub(crate) const AA: u16 = 0x0400;
pub(crate) const TC: u16 = 0x0200;
pub(crate) const RD: u16 = 0x0100;
pub(crate) const RA: u16 = 0x0080;
pub(crate) const AD: u16 = 0x0020;
pub(crate) const CD: u16 = 0x0010;

/// The wire form of a name written without escapes; the final dot may be left off.
pub(crate) fn name(text: &str) -> WireName {
    let mut wire = vec![];
    for label in text.split('.').filter(|label| !label.is_empty()) {
        assert!(label.len() <= 63, "label too long in {text}");
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    assert!(wire.len() <= 255, "name too long: {text}");
    wire
}

/// `label` put in front of `parent`.
pub(crate) fn child(label: &[u8], parent: &[u8]) -> WireName {
    let mut wire = vec![label.len() as u8];
    wire.extend_from_slice(label);
    wire.extend_from_slice(parent);
    wire
}

/// The name without its leftmost label; `None` for the root.
pub(crate) fn parent(name: &[u8]) -> Option<&[u8]> {
    match name.first() {
        None | Some(0) => None,
        Some(&len) => Some(&name[1 + usize::from(len)..]),
    }
}

/// Is `name` at or below `ancestor`, whatever the case?
pub(crate) fn at_or_below(name: &[u8], ancestor: &[u8]) -> bool {
    let mut rest = Some(name);
    while let Some(here) = rest {
        if here.eq_ignore_ascii_case(ancestor) {
            return true;
        }
        rest = parent(here);
    }
    false
}

/// Presentation form with a final dot (RFC 1035 §5.1, RFC 4343 §2.1).
pub(crate) fn to_text(name: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = name;
    while let Some((&len, after)) = rest.split_first() {
        if len == 0 {
            break;
        }
        for &byte in &after[..usize::from(len)] {
            match byte {
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                    text.push('\\');
                    text.push(char::from(byte));
                }
                0x21..=0x7e => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\{byte:03}")),
            }
        }
        text.push('.');
        rest = &after[usize::from(len)..];
    }
    if text.is_empty() {
        text.push('.');
    }
    text
}

/// The OPT record of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edns {
    pub(crate) size: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

impl Edns {
    pub(crate) fn of_size(size: u16) -> Self {
        Self {
            size,
            version: 0,
            dnssec_ok: false,
            options: vec![],
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(0);
        out.extend_from_slice(&OPT.to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&[0, self.version, if self.dnssec_ok { 0x80 } else { 0 }, 0]);
        let len: usize = self.options.iter().map(|(_, data)| 4 + data.len()).sum();
        out.extend_from_slice(&(len as u16).to_be_bytes());
        for (code, data) in &self.options {
            out.extend_from_slice(&code.to_be_bytes());
            out.extend_from_slice(&(data.len() as u16).to_be_bytes());
            out.extend_from_slice(data);
        }
    }
}

/// A question with all that belongs to it in the header and in the OPT record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) id: u16,
    /// The flags word: QR, opcode, RD, AD, CD and whatever a test wants wrong.
    pub(crate) flags: u16,
    pub(crate) qname: WireName,
    pub(crate) qtype: u16,
    pub(crate) qclass: u16,
    pub(crate) edns: Option<Edns>,
}

impl Query {
    /// A plain query of class IN without EDNS.
    pub(crate) fn new(qname: WireName, qtype: u16) -> Self {
        Self {
            id: 0x5150,
            flags: 0,
            qname,
            qtype,
            qclass: IN,
            edns: None,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![];
        for word in [self.id, self.flags, 1, 0, 0, u16::from(self.edns.is_some())] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(&self.qname);
        out.extend_from_slice(&self.qtype.to_be_bytes());
        out.extend_from_slice(&self.qclass.to_be_bytes());
        if let Some(edns) = &self.edns {
            edns.encode(&mut out);
        }
        out
    }
}

/// What a response's OPT record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opt {
    pub(crate) size: u16,
    pub(crate) version: u8,
    pub(crate) dnssec_ok: bool,
    pub(crate) options: Vec<u8>,
}

/// A record in canonical form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rr {
    pub(crate) owner: WireName,
    pub(crate) rtype: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    pub(crate) rdata: Vec<u8>,
}

/// A decoded message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// The twelve bits of RFC 6891 §6.1.3.
    pub(crate) rcode: u16,
    /// Name in the case it came in, type, class.
    pub(crate) questions: Vec<(WireName, u16, u16)>,
    pub(crate) answer: Vec<Rr>,
    pub(crate) authority: Vec<Rr>,
    /// Without the OPT record.
    pub(crate) additional: Vec<Rr>,
    pub(crate) opt: Option<Opt>,
    /// Octets on the wire.
    pub(crate) len: usize,
}

impl Message {
    /// Decodes a whole message; `Err` says what is malformed. Octets left over are malformed too.
    pub(crate) fn decode(wire: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { wire, at: 0 };
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let mut message = Self {
            id,
            flags,
            rcode: flags & 0xf,
            questions: vec![],
            answer: vec![],
            authority: vec![],
            additional: vec![],
            opt: None,
            len: wire.len(),
        };
        for _ in 0..counts[0] {
            message.questions.push((reader.name()?, reader.u16()?, reader.u16()?));
        }
        for _ in 0..counts[1] {
            message.answer.push(reader.record()?);
        }
        for _ in 0..counts[2] {
            message.authority.push(reader.record()?);
        }
        for _ in 0..counts[3] {
            message.take_additional(reader.record()?)?;
        }
        if reader.at != wire.len() {
            return Err(format!("{} octets after the message", wire.len() - reader.at));
        }
        Ok(message)
    }

    fn take_additional(&mut self, record: Rr) -> Result<(), String> {
        if record.rtype != OPT {
            self.additional.push(record);
            return Ok(());
        }
        if self.opt.is_some() {
            return Err("two OPT records".into());
        }
        if record.owner != [0] {
            return Err("an OPT record not at the root".into());
        }
        self.rcode |= ((record.ttl >> 24) as u16) << 4;
        self.opt = Some(Opt {
            size: record.class,
            version: (record.ttl >> 16) as u8,
            dnssec_ok: record.ttl & 0x8000 != 0,
            options: record.rdata,
        });
        Ok(())
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The RDATA of the answers of one type, in the order they came.
    pub(crate) fn answers(&self, rtype: u16) -> Vec<&[u8]> {
        self.answer
            .iter()
            .filter(|rr| rr.rtype == rtype)
            .map(|rr| &rr.rdata[..])
            .collect()
    }

    /// The answers of TXT or SPF type, the character-strings of each put together.
    pub(crate) fn texts(&self, rtype: u16) -> Vec<String> {
        self.answers(rtype).into_iter().map(join_strings).collect()
    }

    /// The serial of the SOA in the answer section.
    pub(crate) fn serial(&self) -> Option<u32> {
        let rdata = *self.answers(SOA).first()?;
        let serial = rdata.get(rdata.len().checked_sub(20)?..)?.first_chunk()?;
        Some(u32::from_be_bytes(*serial))
    }
}

/// The character-strings of TXT data put together.
pub(crate) fn join_strings(rdata: &[u8]) -> String {
    let mut text = vec![];
    let mut rest = rdata;
    while let Some((&len, after)) = rest.split_first() {
        text.extend_from_slice(&after[..usize::from(len)]);
        rest = &after[usize::from(len)..];
    }
    String::from_utf8_lossy(&text).into_owned()
}

struct Reader<'a> {
    wire: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], String> {
        let bytes = self.wire.get(self.at..self.at + len).ok_or("the message ends early")?;
        self.at += len;
        Ok(bytes)
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.bytes(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.bytes(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// A name, decompressed. A pointer must point before where the name it stands in began.
    fn name(&mut self) -> Result<WireName, String> {
        let mut name = vec![];
        let mut at = self.at;
        let mut limit = self.at;
        let mut end = None;
        loop {
            let len = *self.wire.get(at).ok_or("a name ends early")?;
            match len {
                0 => {
                    name.push(0);
                    self.at = end.unwrap_or(at + 1);
                    return if name.len() <= 255 {
                        Ok(name)
                    } else {
                        Err("a name over 255 octets".into())
                    };
                }
                1..=63 => {
                    let next = at + 1 + usize::from(len);
                    name.extend_from_slice(self.wire.get(at..next).ok_or("a label ends early")?);
                    at = next;
                }
                0xc0.. => {
                    let low = *self.wire.get(at + 1).ok_or("a pointer ends early")?;
                    let target = usize::from(len & 0x3f) << 8 | usize::from(low);
                    if target >= limit {
                        return Err("a compression pointer that does not point back".into());
                    }
                    end.get_or_insert(at + 2);
                    limit = target;
                    at = target;
                }
                _ => return Err("a reserved label type".into()),
            }
        }
    }

    fn record(&mut self) -> Result<Rr, String> {
        let owner = self.name()?.to_ascii_lowercase();
        let (rtype, class, ttl) = (self.u16()?, self.u16()?, self.u32()?);
        let len = usize::from(self.u16()?);
        let end = self.at + len;
        if end > self.wire.len() {
            return Err("RDATA ends early".into());
        }
        let rdata = self.rdata(rtype, end)?;
        if self.at != end {
            return Err(format!("RDATA of {} does not fit its length", type_text(rtype)));
        }
        Ok(Rr {
            owner,
            rtype,
            class,
            ttl,
            rdata,
        })
    }

    /// RDATA up to `end` with its names canonical. Only the types of RFC 1035 may be compressed
    /// (RFC 3597 §4), but those of RFC 4034 §6.2 are lowered as well.
    fn rdata(&mut self, rtype: u16, end: usize) -> Result<Vec<u8>, String> {
        let (fixed, names) = match rtype {
            NS | CNAME | PTR | DNAME | 3 | 4 | 7 | 8 | 9 => (0, 1),
            SOA | 14 | 17 => (0, 2),
            MX | 18 | 21 | 36 => (2, 1),
            26 => (2, 2),
            SRV => (6, 1),
            35 => return self.naptr(end),
            _ => (0, 0),
        };
        let mut rdata = self.bytes(fixed)?.to_vec();
        for _ in 0..names {
            rdata.extend_from_slice(&self.name()?.to_ascii_lowercase());
        }
        if self.at > end {
            return Err("a name runs over the end of RDATA".into());
        }
        rdata.extend_from_slice(self.bytes(end - self.at)?);
        Ok(rdata)
    }

    /// NAPTR (RFC 3403 §4.1): two numbers, three strings, a name.
    fn naptr(&mut self, end: usize) -> Result<Vec<u8>, String> {
        let mut rdata = self.bytes(4)?.to_vec();
        for _ in 0..3 {
            let len = self.bytes(1)?[0];
            rdata.push(len);
            rdata.extend_from_slice(self.bytes(usize::from(len))?);
        }
        rdata.extend_from_slice(&self.name()?.to_ascii_lowercase());
        if self.at > end {
            return Err("a name runs over the end of RDATA".into());
        }
        Ok(rdata)
    }
}

/// The mnemonic of a type the tests use, else RFC 3597's.
pub(crate) fn type_text(rtype: u16) -> String {
    let known = match rtype {
        A => "A",
        NS => "NS",
        CNAME => "CNAME",
        SOA => "SOA",
        PTR => "PTR",
        MX => "MX",
        TXT => "TXT",
        AAAA => "AAAA",
        SRV => "SRV",
        DNAME => "DNAME",
        DS => "DS",
        RRSIG => "RRSIG",
        SPF => "SPF",
        ANY => "ANY",
        CAA => "CAA",
        _ => return format!("TYPE{rtype}"),
    };
    known.into()
}

impl fmt::Debug for Rr {
    /// One line, as dig shows it: names and addresses in words, other data as RFC 3597 has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", to_text(&self.owner), self.ttl)?;
        if self.class != IN {
            write!(f, "CLASS{} ", self.class)?;
        }
        write!(f, "{} ", type_text(self.rtype))?;
        match (self.rtype, &self.rdata[..]) {
            (A, &[a, b, c, d]) => write!(f, "{a}.{b}.{c}.{d}"),
            (NS | CNAME | PTR | DNAME, name) => f.write_str(&to_text(name)),
            (MX, [high, low, name @ ..]) => {
                write!(f, "{} {}", u16::from_be_bytes([*high, *low]), to_text(name))
            }
            (TXT | SPF, rdata) if rdata.len() < 80 => write!(f, "{:?}", join_strings(rdata)),
            (_, rdata) => {
                write!(f, "\\# {} ", rdata.len())?;
                rdata.iter().take(48).try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(if rdata.len() > 48 { "…" } else { "" })
            }
        }
    }
}
