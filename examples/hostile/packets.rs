//! Queries, good ones and such as nobody should send. Made from a seed, so that a run can be repeated.

/// xorshift64* (Marsaglia, Vigna): good enough to damage packets with, and the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 32) as usize) % end
    }

    pub(crate) fn octets(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 40) as u8).collect()
    }
}

/// A name in wire form (RFC 1035 §3.1).
pub(crate) fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> = labels
        .flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes()))
        .collect();
    wire.push(0);
    wire
}

/// A query with an OPT record of these options.
pub(crate) fn query(id: u16, qname: &[u8], qtype: u16, options: &[u8]) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    query.extend(qname);
    query.extend(qtype.to_be_bytes());
    query.extend([0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0]);
    query.extend((options.len() as u16).to_be_bytes());
    query.extend(options);
    query
}

/// An EDNS option (RFC 6891 §6.1.2).
pub(crate) fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data].concat()
}

/// What is asked in earnest, and what mutants are made of: names at and below `zone`, types of data and of none.
pub(crate) fn seeds(zone: &str) -> Vec<Vec<u8>> {
    const TYPES: [u16; 14] = [1, 2, 5, 6, 15, 16, 28, 39, 43, 255, 252, 251, 250, 65_280];
    let prefixes = [
        "",
        "mail.",
        "nothing.here.",
        "_dmarc.",
        "big.",
        "chain.",
        "a.b.moved.",
        "sub.",
    ];
    let mut seeds = Vec::new();
    for (number, prefix) in prefixes.iter().enumerate() {
        for (at, qtype) in TYPES.iter().enumerate() {
            let options = match (number + at) % 4 {
                0 => Vec::new(),
                1 => option(10, b"abcdefgh"),
                2 => [option(3, b""), option(19, b""), option(11, b"")].concat(),
                _ => [option(12, &[0; 64]), option(10, &[7; 24]), option(65_001, b"x")].concat(),
            };
            seeds.push(query(0, &wire(&format!("{prefix}{zone}")), *qtype, &options));
        }
    }
    seeds
}

/// The longest datagram that is looked at.
pub(crate) const LONGEST: usize = 1472;

/// A packet that was a query once, or never.
pub(crate) fn mutant(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = seeds[dice.below(seeds.len())].clone();
    match dice.below(8) {
        // As it is.
        0 => {}
        1 | 2 => {
            for _ in 0..=dice.below(8) {
                let bit = dice.below(packet.len() * 8);
                packet[bit / 8] ^= 1 << (bit % 8);
            }
        }
        3 => packet.truncate(dice.below(packet.len() + 1)),
        // The head of one and the tail of another.
        4 => {
            let other = &seeds[dice.below(seeds.len())];
            packet.truncate(dice.below(packet.len() + 1));
            packet.extend(&other[dice.below(other.len())..]);
        }
        5 => {
            let most = if dice.below(16) == 0 { 1600 } else { 64 };
            let count = dice.below(most);
            packet = dice.octets(count);
        }
        // A header that can be read before octets that need not be.
        6 => {
            packet.truncate(12);
            let count = dice.below(300);
            packet.extend(dice.octets(count));
        }
        // Options without sense at the end of a good query.
        _ => {
            let end = packet.len() - opt_rdata(&packet);
            packet.truncate(end);
            let mut options = Vec::new();
            for _ in 0..dice.below(12) {
                let (code, count) = (dice.below(24) as u16, dice.below(48));
                options.extend(option(code, &dice.octets(count)));
            }
            packet[end - 2..].copy_from_slice(&(options.len() as u16).to_be_bytes());
            packet.extend(options);
        }
    }
    if packet.len() >= 2 {
        let id = dice.next() as u16;
        packet[..2].copy_from_slice(&id.to_be_bytes());
    }
    packet
}

/// Octets of options at the end of a seed.
fn opt_rdata(seed: &[u8]) -> usize {
    let question = seed[12..].iter().position(|&octet| octet == 0).unwrap_or(0);
    seed.len() - (12 + question + 1 + 4 + 11)
}

/// Must a server answer it? Whatever has a header without QR is a query of some kind.
pub(crate) fn is_query(packet: &[u8]) -> bool {
    packet.len() >= 12 && packet[2] & 0x80 == 0
}
