//! What the servers are asked: every name there is and many there are not, in every type that
//! matters, with EDNS and without, over UDP and TCP, politely and otherwise.

use crate::common::wire::{
    A, AAAA, AD, ANY, CD, CH, CNAME, DNAME, DS, Edns, IN, MX, NS, QR, Query, RD, RRSIG, SOA, SPF, SRV, TXT, WireName,
    child, name, parent,
};
use crate::generate::TestZone;
use crate::rng::Rng;

/// One message to send.
pub(crate) struct Question {
    /// What kind of question, for counting.
    pub(crate) category: &'static str,
    pub(crate) wire: Vec<u8>,
    pub(crate) tcp: bool,
    /// The question in it, when the message is a well-formed query of class IN.
    pub(crate) query: Option<Query>,
}

const TYPES: &[u16] = &[
    A, AAAA, MX, TXT, NS, SOA, CNAME, DNAME, DS, SRV, SPF, ANY, 65_400, RRSIG, 257, 12, 65, 35,
];
/// Asked at every name that exists.
const AT_EVERY_NAME: &[u16] = &[A, TXT, NS, CNAME, DS, DNAME];

/// All questions for the zones of one seed.
pub(crate) fn questions(zones: &[TestZone], seed: u64, random: usize) -> Vec<Question> {
    let mut rng = Rng::new(seed ^ 0x0a5c_1e55);
    let mut all = vec![];
    for qname in zones.iter().flat_map(|zone| zone.names.iter().chain(&zone.hints)) {
        for &qtype in AT_EVERY_NAME {
            all.push(ordinary(&mut rng, qname.clone(), qtype));
        }
    }
    for zone in zones {
        for &qtype in TYPES {
            all.push(ordinary(&mut rng, zone.apex.clone(), qtype));
        }
    }
    for _ in 0..random {
        let (qname, qtype) = (random_name(&mut rng, zones), rng.pick(TYPES));
        all.push(ordinary(&mut rng, qname, qtype));
    }
    for _ in 0..random / 20 {
        let qname = random_name(&mut rng, zones);
        all.push(odd_header(&mut rng, qname.clone()));
        all.push(odd_edns(&mut rng, qname.clone()));
        all.push(malformed(&mut rng, qname));
    }
    all
}

/// A name that exists, or one near it that may not.
fn random_name(rng: &mut Rng, zones: &[TestZone]) -> WireName {
    let zone = &zones[rng.below(zones.len())];
    let known = if rng.chance(75) || zone.hints.is_empty() {
        &zone.names
    } else {
        &zone.hints
    };
    let base = rng.pick(known);
    let labels: [&[u8]; 6] = [b"a", b"*", b"www", b"zz", b"\xff\x00", b"_x"];
    let made = match rng.below(10) {
        0..3 => base,
        3..6 => child(rng.pick(&labels), &base),
        6..8 => child(rng.pick(&labels), &child(rng.pick(&labels), &base)),
        8 => child(rng.pick(&labels), parent(&base).unwrap_or(&base)),
        _ if rng.chance(30) => child(rng.pick(&labels), &name("elsewhere.example")),
        _ => child(rng.pick(&labels), &zone.apex),
    };
    if made.len() <= 255 { made } else { zone.apex.clone() }
}

/// A query as resolvers send it.
fn ordinary(rng: &mut Rng, mut qname: WireName, qtype: u16) -> Question {
    if rng.chance(30) {
        for byte in &mut qname {
            if byte.is_ascii_alphabetic() && rng.chance(50) {
                *byte ^= 0x20;
            }
        }
    }
    let mut query = Query::new(qname, qtype);
    query.id = rng.next() as u16;
    for (flag, percent) in [(RD, 30), (CD, 5), (AD, 5)] {
        if rng.chance(percent) {
            query.flags |= flag;
        }
    }
    if rng.chance(60) {
        let mut edns = Edns::of_size(rng.pick(&[512, 1232, 1232, 4096, 0]));
        edns.dnssec_ok = rng.chance(30);
        query.edns = Some(edns);
    }
    Question {
        category: match qtype {
            ANY => "ANY",
            _ if query.edns.is_some() => "edns",
            _ => "plain",
        },
        wire: query.encode(),
        tcp: rng.chance(6),
        query: Some(query),
    }
}

/// Other classes, other opcodes, other counts.
fn odd_header(rng: &mut Rng, qname: WireName) -> Question {
    let mut query = Query::new(qname, rng.pick(TYPES));
    query.id = rng.next() as u16;
    let mut category = "class";
    let mut counts = None;
    match rng.below(10) {
        0..3 => query.qclass = rng.pick(&[CH, 4, 254, ANY, 0, 2, 65_280]),
        3 => {
            query.qclass = CH;
            query.qtype = TXT;
            query.qname = name(["version.bind", "id.server", "hostname.bind", "version.server"][rng.below(4)]);
        }
        4..7 => {
            category = "opcode";
            // 1 inverse query, 2 status, 3 unassigned, 4 notify, 5 update, 6 stateful, 7 and up unassigned.
            query.flags |= (1 + rng.below(15) as u16) << 11;
            if rng.chance(50) {
                query.qtype = SOA;
            }
        }
        7 => {
            category = "counts";
            counts = Some((5, rng.pick(&[0, 2, 3])));
        }
        8 => {
            category = "counts";
            counts = Some((rng.pick(&[7, 9]), 1));
        }
        _ => {
            category = "meta type";
            query.qtype = rng.pick(&[0, 41, 249, 250, 251, 252, 253, 254, 128, 65_535]);
        }
    }
    let mut wire = query.encode();
    if let Some((at, count)) = counts {
        wire[at] = count;
        if (at, count) == (5, 2) {
            let question = wire[12..].to_vec();
            wire.extend_from_slice(&question);
        }
    }
    Question {
        category,
        wire,
        tcp: false,
        query: None,
    }
}

/// Versions, options, sizes and flags that an OPT record may carry.
fn odd_edns(rng: &mut Rng, qname: WireName) -> Question {
    let mut query = Query::new(qname, rng.pick(&[A, TXT, SOA, MX]));
    query.id = rng.next() as u16;
    query.qclass = IN;
    let mut edns = Edns::of_size(rng.pick(&[0, 511, 1232, 65_535]));
    let category = match rng.below(4) {
        0 => {
            edns.version = 1 + rng.below(255) as u8;
            "edns version"
        }
        1 => {
            edns.options = vec![(65_001, rng.bytes(12)), (100, vec![])];
            "edns option"
        }
        2 => {
            // The name server identifier, an empty client subnet, padding.
            edns.options = vec![(3, vec![]), (12, vec![0; 16])];
            "edns option"
        }
        _ => {
            edns.dnssec_ok = true;
            "edns size"
        }
    };
    query.edns = Some(edns);
    Question {
        category,
        wire: query.encode(),
        tcp: false,
        query: None,
    }
}

/// Messages that are broken, or are no queries at all.
fn malformed(rng: &mut Rng, qname: WireName) -> Question {
    let mut query = Query::new(qname, rng.pick(TYPES));
    query.id = rng.next() as u16;
    let mut wire = query.encode();
    let category = match rng.below(9) {
        0 => {
            wire.truncate(12 + rng.below(wire.len() - 12));
            "truncated"
        }
        1 => {
            wire.truncate(rng.below(12));
            "short header"
        }
        2 => {
            wire[2] |= (QR >> 8) as u8;
            "response"
        }
        3 => {
            // A question whose name is a pointer to itself, or to the header.
            wire.truncate(12);
            wire.extend_from_slice(&[0xc0, rng.pick(&[12, 0, 4]), 0, 1, 0, 1]);
            "pointer in question"
        }
        4 => {
            wire[12] = rng.pick(&[0x40, 0x80, 0x7f, 0xbf]);
            "label type"
        }
        5 => {
            wire.extend_from_slice(&rng.bytes(5));
            "trailing octets"
        }
        6 => {
            query.edns = Some(Edns::of_size(1232));
            wire = query.encode();
            let opt = wire[wire.len() - 11..].to_vec();
            wire.extend_from_slice(&opt);
            wire[11] = 2;
            "two OPT"
        }
        7 => {
            query.edns = Some(Edns::of_size(1232));
            wire = query.encode();
            let last = wire.len() - 1;
            wire[last] = 7;
            "OPT cut short"
        }
        _ => {
            let keep = 12 + rng.below(20);
            wire.truncate(12);
            wire.extend_from_slice(&rng.bytes(keep));
            "noise"
        }
    };
    Question {
        category,
        wire,
        tcp: false,
        query: None,
    }
}
