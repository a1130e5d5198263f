//! Numbers as master files write them: periods with units, moments, and the mnemonics of registries.

use std::fmt;

/// A TTL or another period: seconds, or numbers with the units w, d, h, m and s in any order
/// (`1h30m`). A number without a unit stands alone. `None` for anything else or past 2^32 - 1.
pub(crate) fn parse_period(text: &[u8]) -> Option<u32> {
    let (mut total, mut number, mut digits) = (0u64, 0u64, 0);
    for &octet in text {
        if octet.is_ascii_digit() {
            number = number * 10 + u64::from(octet - b'0');
            digits += 1;
            if number > u64::from(u32::MAX) {
                return None;
            }
            continue;
        }
        let unit = match octet.to_ascii_lowercase() {
            b'w' => 7 * 86_400,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        if digits == 0 {
            return None;
        }
        total = total.checked_add(number * unit)?;
        (number, digits) = (0, 0);
    }
    match (digits, total) {
        (0, 0) if text.is_empty() => None,
        (0, total) => u32::try_from(total).ok(),
        (_, 0) => u32::try_from(number).ok(),
        _ => None,
    }
}

/// A moment as `YYYYMMDDHHmmSS` in UTC or as seconds since 1970 (RFC 4034 §3.2).
pub(super) fn parse_time(text: &str) -> Option<u32> {
    if text.len() != 14 {
        return parse_decimal(text);
    }
    let part = |range: std::ops::Range<usize>| parse_decimal::<u32>(text.get(range)?);
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(8..10)?, part(10..12)?, part(12..14)?);
    if year < 1970 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if day == 0 || day > days_in_month(year, month) {
        return None;
    }
    let days = (1970..year).map(days_in_year).sum::<u32>()
        + (1..month).map(|month| days_in_month(year, month)).sum::<u32>()
        + (day - 1);
    let seconds = u64::from(days) * 86_400 + u64::from(hour * 3_600 + minute * 60 + second);
    u32::try_from(seconds).ok()
}

/// Seconds since 1970, displayed as `YYYYMMDDHHmmSS`.
pub(super) struct Time(pub(super) u32);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut days, seconds) = (self.0 / 86_400, self.0 % 86_400);
        let mut year = 1970;
        while days >= days_in_year(year) {
            days -= days_in_year(year);
            year += 1;
        }
        let mut month = 1;
        while days >= days_in_month(year, month) {
            days -= days_in_month(year, month);
            month += 1;
        }
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}{month:02}{:02}{hour:02}{minute:02}{second:02}", days + 1)
    }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_year(year: u32) -> u32 {
    365 + u32::from(is_leap(year))
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Digits only: no sign, no blank.
pub(crate) fn parse_decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|octet| octet.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A number, or a word that a registry has for one.
pub(super) fn parse_mnemonic<T>(text: &str, registry: &[(&str, T)]) -> Option<T>
where
    T: std::str::FromStr + Copy,
{
    parse_decimal(text).or_else(|| {
        let known = registry.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        known.map(|(_, number)| *number)
    })
}

/// DNSSEC algorithm numbers (RFC 4034 appendix A.1 and the IANA registry).
pub(super) const ALGORITHMS: &[(&str, u8)] = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("ECC", 4),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("NSEC3DSA", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("NSEC3RSASHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECCGOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ECDSA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// DS digest types (IANA registry).
pub(super) const DIGEST_TYPES: &[(&str, u8)] = &[
    ("SHA-1", 1),
    ("SHA1", 1),
    ("SHA-256", 2),
    ("SHA256", 2),
    ("GOST", 3),
    ("SHA-384", 4),
    ("SHA384", 4),
];

/// Certificate types (RFC 4398 §2.1).
pub(super) const CERT_TYPES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// DSYNC schemes (RFC 9859 §2.1).
pub(super) const SCHEMES: &[(&str, u8)] = &[("NOTIFY", 1)];

/// Protocols of WKS (RFC 1010 by way of RFC 1035 §3.4.2).
pub(super) const PROTOCOLS: &[(&str, u8)] = &[("icmp", 1), ("tcp", 6), ("udp", 17)];

/// Services of WKS by the names they have had since RFC 1010 and a few that came later.
pub(super) const SERVICES: &[(&str, u16)] = &[
    ("echo", 7),
    ("discard", 9),
    ("daytime", 13),
    ("ftp-data", 20),
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("time", 37),
    ("nameserver", 42),
    ("whois", 43),
    ("domain", 53),
    ("tftp", 69),
    ("gopher", 70),
    ("finger", 79),
    ("http", 80),
    ("pop3", 110),
    ("sunrpc", 111),
    ("auth", 113),
    ("nntp", 119),
    ("ntp", 123),
    ("imap2", 143),
    ("snmp", 161),
    ("https", 443),
    ("submission", 587),
];
