//! Random data of all the usual types, in the text every peer reads. None of it is about mail: SPF
//! texts would be mended by Signpost (never two at a name), which the peers do not.

use crate::common::wire::to_text;
use crate::rng::Rng;

/// A type and the RDATA of its records, distinct ones; names in it point at `target`.
pub(crate) fn random_rrset(rng: &mut Rng, target: &[u8]) -> (&'static str, Vec<String>) {
    let target = to_text(target);
    let (rtype, most) = rng.pick(TYPES);
    let count = 1 + rng.below(most);
    let mut rdatas: Vec<String> = (0..count).map(|number| rdata(rng, rtype, number, &target)).collect();
    rdatas.sort_unstable();
    rdatas.dedup();
    (rtype, rdatas)
}

/// Types and how large an RRset may grow. The everyday ones come often.
const TYPES: &[(&str, usize)] = &[
    ("A", 4),
    ("A", 30),
    ("AAAA", 4),
    ("A", 2),
    ("AAAA", 2),
    ("MX", 4),
    ("MX", 2),
    ("TXT", 4),
    ("TXT", 2),
    ("TXT", 1),
    ("SRV", 3),
    ("SPF", 1),
    ("TYPE65400", 2),
    ("CAA", 3),
    ("PTR", 2),
    ("HINFO", 1),
    ("NAPTR", 2),
    ("SSHFP", 2),
    ("TLSA", 2),
    ("LOC", 1),
    ("RP", 1),
    ("AFSDB", 2),
    ("URI", 1),
    ("SVCB", 1),
    ("HTTPS", 2),
    ("CERT", 1),
    ("EUI48", 1),
    ("EUI64", 1),
    ("NID", 1),
    ("L32", 1),
    ("LP", 1),
    ("APL", 1),
    ("DHCID", 1),
    ("KX", 1),
    ("OPENPGPKEY", 1),
    ("SMIMEA", 1),
    ("MINFO", 1),
    ("RT", 1),
    ("IPSECKEY", 1),
    ("CSYNC", 1),
];

fn rdata(rng: &mut Rng, rtype: &str, number: usize, target: &str) -> String {
    let byte = rng.below(256);
    match rtype {
        "A" => format!("192.0.2.{byte}"),
        "AAAA" => format!("2001:db8::{byte:x}:{number:x}"),
        "MX" if rng.chance(5) => "0 .".into(),
        "MX" | "AFSDB" | "KX" | "RT" | "LP" => format!("{} {target}", 10 * number),
        "TXT" => random_text(rng, number),
        "SRV" => format!("{} 5 5060 {target}", number * 10),
        "SPF" => "\"of the retired type\"".into(),
        "TYPE65400" => match rng.below(12) {
            0 => "\\# 0".into(),
            len => format!("\\# {len} {}", rng.hex(len)),
        },
        "CAA" => format!(
            "{} issue \"ca{number}.example; account={byte}\"",
            if rng.chance(20) { 128 } else { 0 }
        ),
        "PTR" => target.into(),
        "HINFO" => "\"a cpu\" \"an os\"".into(),
        "NAPTR" => format!("{number} 10 \"u\" \"E2U+sip\" \"!^.*$!sip:info@example.org!\" ."),
        "SSHFP" => format!("4 2 {}", rng.hex(32)),
        "TLSA" | "SMIMEA" => format!("3 1 1 {}", rng.hex(32)),
        "LOC" => "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m".into(),
        "RP" | "MINFO" => format!("hostmaster.example.org. {target}"),
        "URI" => "10 1 \"https://www.example.org/\"".into(),
        "SVCB" => format!("1 {target} alpn=h2"),
        "HTTPS" => format!("{} {target} alpn=h2,h3 port=8443 ipv4hint=192.0.2.1", number + 1),
        "CERT" => "1 12345 8 AQIDBAUGBwg=".into(),
        "EUI48" => format!("00-00-5e-00-53-{byte:02x}"),
        "EUI64" => format!("00-00-5e-ef-10-00-00-{byte:02x}"),
        "NID" => format!("10 0014:4fff:ff20:{byte:04x}"),
        "L32" => format!("10 192.0.2.{byte}"),
        "APL" => "1:192.0.2.0/24 !2:2001:db8::/32".into(),
        "DHCID" | "OPENPGPKEY" => "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=".into(),
        "IPSECKEY" => "10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==".into(),
        "CSYNC" => "66 3 A NS AAAA".into(),
        other => unreachable!("no data for {other}"),
    }
}

fn random_text(rng: &mut Rng, number: usize) -> String {
    match rng.below(6) {
        0 => "\"\"".into(),
        1 => format!("\"with \\\"quotes\\\", a ; and \\000\\255\" \"{number}\""),
        2 => format!("\"{}\" \"{}\"", rng.hex(60), rng.hex(100)),
        3 => format!("unquoted{number}"),
        _ => format!("\"of the everyday type {number}\""),
    }
}
