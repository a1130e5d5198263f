//! What holds of the answer to any query of any zones under any settings; shared by the fuzz target and the test that
//! replays its corpus.
//!
//! The octets of the input are choices: which zones there are and what stands in them, what the operator set, who asks
//! by what transport and when, and a query whose names are mostly names of the zones, so that CNAME chains, DNAMEs,
//! cuts, wildcards and answers too long for a datagram are met often, not by luck. In the end the query may be damaged.

#[path = "response.rs"]
mod response;

use arbitrary::{Result, Unstructured};
use hickory_proto::op::Message;
use signpost::answer::{Answered, Client, Secrets, Settings, SharedSecrets, Standing, Transport, answer};
use signpost::message::{Cookie, Query};
use signpost::name::Name;
use signpost::zone::{Zone, ZoneSet};
use signpost::zonefile;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// Plays what `octets` choose; panics if a promise of [`answer`] is broken. `false` when they choose no scene, such as
/// one with a zone that would be refused.
pub(crate) fn exercise(octets: &[u8]) -> bool {
    let Ok(Some(scene)) = Scene::choose(&mut Unstructured::new(octets)) else {
        return false;
    };
    scene.play();
    true
}

struct Scene {
    zones: ZoneSet,
    settings: Settings,
    peer: Option<SocketAddr>,
    now: u32,
    query: Asked,
}

/// A query, and what is known of it because it was made here.
struct Asked {
    octets: Vec<u8>,
    /// The size offered by EDNS.
    offered: Option<u16>,
    /// Does it show a server cookie that is good?
    proven: bool,
    /// Is it as it was made, so that the above is true?
    intact: bool,
}

impl Scene {
    fn choose(u: &mut Unstructured<'_>) -> Result<Option<Self>> {
        let Some(zones) = zones(u)? else { return Ok(None) };
        let cookies = secrets(u)?;
        let settings = Settings {
            version: text(u)?,
            identity: text(u)?,
            // What the configuration allows.
            max_udp_payload: u.int_in_range(512..=4096)?,
            keepalive: u.arbitrary()?,
            cookies,
            transfers: None,
        };
        let peer = *u.choose(&PEERS)?;
        let peer = peer.map(|address| SocketAddr::new(address, 53));
        let now = u.arbitrary()?;
        let query = query(u, settings.cookies.as_ref(), peer, now)?;
        Ok(Some(Self {
            zones,
            settings,
            peer,
            now,
            query,
        }))
    }

    /// Answers by both transports.
    fn play(&self) {
        let query = &self.query.octets[..];
        let room = usize::from(self.settings.max_udp_payload);
        let (udp, tcp) = (self.ask(Transport::Udp, room), self.ask(Transport::Tcp, 65_535));
        let is_query = query.len() >= 12 && query[2] & 0x80 == 0;
        assert_eq!(udp.is_some(), is_query, "answers queries, and nothing else");
        assert_eq!(tcp.is_some(), is_query);
        let (Some((answered, udp)), Some((_, tcp))) = (udp, tcp) else {
            return;
        };
        let limit = match (self.query.intact, self.query.offered) {
            (true, None) => 512,
            (true, Some(offered)) => usize::from(offered).clamp(512, room),
            (false, _) => room,
        };
        assert!(udp.len() <= limit, "{} octets where {limit} are allowed", udp.len());
        if self.query.intact {
            let proven = self.query.proven && self.settings.cookies.is_some() && self.peer.is_some();
            assert_eq!(
                answered.standing == Standing::Proven,
                proven,
                "a good cookie, and no other"
            );
        }
        response::slips_small(answered, query, &udp);
        let by_tcp = response::belongs(query, &tcp);
        let by_udp = response::belongs(query, &udp);
        assert!(tcp[2] & 2 == 0, "nothing is truncated that fits in 65 535 octets");
        if let (Some(by_udp), Some(by_tcp)) = (by_udp, by_tcp) {
            let least = if self.query.intact { limit } else { 512 };
            truncates_when_it_must(&by_udp, &by_tcp, tcp.len(), least);
        }
    }

    /// The answer, which does not depend on what was in the buffer before: nobody hears a piece of another's answer.
    fn ask(&self, transport: Transport, room: usize) -> Option<(Answered, Vec<u8>)> {
        let client = Client {
            transport,
            peer: &|| self.peer,
            now: &|| self.now,
            certificate: None,
            signed: None,
        };
        let [ones, zeros] = [0xff, 0].map(|before| {
            let mut out = vec![before; room];
            let answered = answer(&self.zones, &self.settings, &client, &self.query.octets, &mut out)?;
            out.truncate(answered.len());
            Some((answered, out))
        });
        assert_eq!(ones, zeros, "the same query, the same answer");
        zeros
    }
}

/// TC when what must be told does not fit, and then no records at all (RFC 2181 §9); else the answer is that of TCP,
/// but for addresses of name servers that one can do without.
fn truncates_when_it_must(udp: &Message, tcp: &Message, tcp_len: usize, limit: usize) {
    assert_eq!(udp.edns.is_some(), tcp.edns.is_some());
    if udp.metadata.truncation {
        assert!(udp.answers.is_empty() && udp.authorities.is_empty() && udp.additionals.is_empty());
        // Room for ZONEVERSION is kept although no zone may answer in the end.
        assert!(tcp_len + 10 > limit, "{tcp_len} octets would have fit into {limit}");
    } else {
        assert_eq!(udp.metadata.response_code, tcp.metadata.response_code);
        assert_eq!((&udp.answers, &udp.authorities), (&tcp.answers, &tcp.authorities));
        assert!(udp.additionals.iter().all(|record| tcp.additionals.contains(record)));
    }
}

const APEXES: [&str; 3] = ["a.test.", "c.a.test.", "."];
/// Labels of owners, targets and names asked, in master-file form. Two of the longest make answers long.
const LABELS: [&str; 9] = [
    "a",
    "b",
    "*",
    "mail",
    "_dmarc",
    "c",
    "\\000\\.\\255",
    "long-long-long-long-long-long-long-long-long-long-long-long-lon",
    "LONG-long-long-long-long-long-long-long-long-long-long-long-lo2",
];
const PEERS: [Option<IpAddr>; 4] = [
    Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1))),
    Some(IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
    Some(IpAddr::V6(std::net::Ipv4Addr::new(198, 51, 100, 7).to_ipv6_mapped())),
    None,
];

/// A name at or below an apex, in master-file form; now and then too long to be one.
fn name(u: &mut Unstructured<'_>) -> Result<String> {
    let mut name = String::new();
    for _ in 0..u.int_in_range(0..=4)? {
        name.push_str(u.choose(&LABELS)?);
        name.push('.');
    }
    match *u.choose(&APEXES)? {
        "." if name.is_empty() => name.push('.'),
        "." => {}
        apex => name.push_str(apex),
    }
    Ok(name)
}

/// One line of a master file. `None` when the record may not stand beside what is there already.
fn record(u: &mut Unstructured<'_>, solitary: &mut Vec<(String, bool)>) -> Result<Option<String>> {
    let owner = name(u)?;
    let rtype = u.int_in_range(0..=13)?;
    let alone = rtype == 0;
    let here = owner.to_ascii_lowercase();
    if solitary.iter().any(|(name, cname)| *name == here && (alone || *cname)) {
        return Ok(None);
    }
    solitary.push((here, alone));
    let number: u8 = u.arbitrary()?;
    let data = match rtype {
        0 => format!("CNAME {}", name(u)?),
        1 => format!("DNAME {}", name(u)?),
        2 | 3 => format!("NS {}", name(u)?),
        4 => format!("MX {number} {}", name(u)?),
        5 => format!("SRV {number} 0 25 {}", name(u)?),
        6 | 7 => format!("A 192.0.2.{number}"),
        8 => format!("AAAA 2001:db8::{number:x}"),
        9 => format!("TXT \"{}\"", "x".repeat(usize::from(number))),
        10 => format!("SPF \"v=spf1 -all\" \"{number}\""),
        11 => format!("PTR {}", name(u)?),
        12 => format!("DS {number} 13 2 {:064x}", number),
        _ => format!("TYPE65280 \\# 2 00{number:02x}"),
    };
    let ttl: u16 = u.arbitrary()?;
    Ok(Some(format!("{owner} {ttl} {data}\n")))
}

/// Up to three zones, one below the other, with the same records, of which each keeps what is its own.
fn zones(u: &mut Unstructured<'_>) -> Result<Option<ZoneSet>> {
    let mut lines = String::new();
    let mut solitary: Vec<_> = APEXES.iter().map(|apex| ((*apex).to_owned(), false)).collect();
    for _ in 0..u.int_in_range(0..=24)? {
        if let Some(line) = record(u, &mut solitary)? {
            lines.push_str(&line);
        }
    }
    let mask: u8 = u.int_in_range(0..=15)?;
    let mut changes = Vec::new();
    for (bit, apex) in APEXES.iter().enumerate().filter(|(bit, _)| mask & 1 << bit != 0) {
        let Ok(apex) = Name::from_text(apex) else { continue };
        let text = format!("@ 300 SOA ns h {bit} 7200 3600 1209600 60\n@ 300 NS ns\n{lines}");
        let Ok(file) = zonefile::read(Path::new("fuzz.zone"), &apex, &text) else {
            return Ok(None);
        };
        let Ok((zone, _)) = Zone::build(&apex, &file.records, &[]) else {
            return Ok(None);
        };
        changes.push((apex, Some(Arc::new(zone))));
    }
    // With the last bit, more zones are still to be read.
    let zones = if mask & 8 == 0 {
        ZoneSet::default()
    } else {
        ZoneSet::loading()
    };
    Ok(Some(zones.with(&changes)))
}

fn text(u: &mut Unstructured<'_>) -> Result<Option<String>> {
    Ok(match u.int_in_range(0..=3)? {
        0 => None,
        1 => Some("x".repeat(u.int_in_range(0..=255)?)),
        _ => Some("ns1.example".to_owned()),
    })
}

/// None, one, or two secrets.
fn secrets(u: &mut Unstructured<'_>) -> Result<Option<SharedSecrets>> {
    let count = u.int_in_range(0..=2u8)?;
    let mut lines = String::new();
    for number in 0..count {
        let _ = writeln!(lines, "{number:032x}");
    }
    Ok(Secrets::parse(&lines).ok().map(Secrets::shared))
}

const QTYPES: [u16; 24] = [
    1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 47, 99, 255, 251, 252, 250, 41, 253, 0, 65280, 257, 3,
];

fn query(
    u: &mut Unstructured<'_>,
    secrets: Option<&SharedSecrets>,
    peer: Option<SocketAddr>,
    now: u32,
) -> Result<Asked> {
    let mut octets = vec![0; 12];
    octets[0] = u.arbitrary()?;
    // One in four has odd flags; QR, opcode and TC among them.
    let odd = u.ratio(1, 4)?;
    octets[2..4].copy_from_slice(&if odd { u.arbitrary::<[u8; 2]>()? } else { [1, 0] });
    octets[5] = 1;
    octets.extend(qname(u)?);
    let qtype = if u.ratio(7, 8)? {
        *u.choose(&QTYPES)?
    } else {
        u.arbitrary()?
    };
    let qclass = *u.choose(&[1, 1, 1, 1, 3, 255, 254, 0])?;
    octets.extend([qtype, qclass].iter().flat_map(|word: &u16| word.to_be_bytes()));
    let mut asked = Asked {
        octets,
        offered: None,
        proven: false,
        intact: !odd,
    };
    if u.ratio(3, 4)? {
        put_edns(u, &mut asked, secrets, peer, now)?;
    }
    if u.ratio(1, 4)? {
        damage(u, &mut asked)?;
    }
    Ok(asked)
}

/// A name of the zones, one about the server itself, or octets; in any case.
fn qname(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut wire = match u.int_in_range(0..=7)? {
        0 => b"\x07version\x04bind\0".to_vec(),
        1 => b"\x02id\x06server\0".to_vec(),
        2 => {
            let len = u.int_in_range(0..=63)?;
            let label = u.bytes(len.min(u.len()))?;
            [&[label.len() as u8], label, b"\x01a\x04test\0"].concat()
        }
        _ => match Name::from_text(&name(u)?) {
            Ok(name) => name.as_wire().to_vec(),
            Err(_) => b"\0".to_vec(),
        },
    };
    if wire[0] == 0 && wire.len() > 1 {
        wire = b"\0".to_vec();
    }
    if u.arbitrary()? {
        wire.make_ascii_uppercase();
    }
    Ok(wire)
}

/// An OPT record (RFC 6891 §6.1.2) with options that are known, unknown, twice there, or of a wrong length.
fn put_edns(
    u: &mut Unstructured<'_>,
    asked: &mut Asked,
    secrets: Option<&SharedSecrets>,
    peer: Option<SocketAddr>,
    now: u32,
) -> Result<()> {
    let offered: u16 = *u.choose(&[1232, 0, 512, 4096, 65_535, 600])?;
    let version = if u.ratio(1, 16)? { u.arbitrary()? } else { 0u8 };
    let flags: u8 = u.arbitrary()?;
    let mut options = Vec::new();
    let mut fit = true;
    let mut cookie = None;
    for _ in 0..u.int_in_range(0..=6)? {
        let (code, data) = match u.int_in_range(0..=6)? {
            0 => (3, vec![]),
            1 => (11, vec![0; if u.ratio(7, 8)? { 0 } else { 1 }]),
            2 => (19, vec![0; usize::from(u.ratio(1, 8)?)]),
            3 => (12, vec![0; u.int_in_range(0..=400)?]),
            4 => (u.arbitrary()?, vec![1; u.int_in_range(0..=40)?]),
            _ => {
                let (data, good) = cookie_data(u, secrets, peer, now)?;
                cookie.get_or_insert(good);
                (10, data)
            }
        };
        if code == 10 {
            // A cookie by luck is the first one all the same, which alone counts (RFC 7873 §5.2).
            cookie.get_or_insert(false);
        }
        // What an option of an unknown code is, its code decides; it is not judged here.
        fit &= matches!(code, 3 | 10 | 11 | 12 | 19);
        options.extend(
            [code, data.len() as u16]
                .iter()
                .flat_map(|word: &u16| word.to_be_bytes()),
        );
        options.extend(data);
    }
    let octets = &mut asked.octets;
    octets[11] = 1;
    octets.extend([0, 0, 41]);
    octets.extend(offered.to_be_bytes());
    octets.extend([0, version, flags, 0]);
    octets.extend((options.len() as u16).to_be_bytes());
    octets.extend(options);
    asked.offered = Some(offered);
    // A malformed option makes a FORMERR of all of them, and another version is not looked into.
    asked.proven = cookie == Some(true) && version == 0 && Query::parse(&asked.octets).is_ok();
    asked.intact &= fit;
    Ok(())
}

/// The data of a COOKIE option (RFC 7873 §4), and whether it is good (RFC 9018 §4.3): ours and in its time.
fn cookie_data(
    u: &mut Unstructured<'_>,
    secrets: Option<&SharedSecrets>,
    peer: Option<SocketAddr>,
    now: u32,
) -> Result<(Vec<u8>, bool)> {
    let client: [u8; 8] = u.arbitrary()?;
    if let (Some(secrets), Some(peer), true) = (secrets, peer, u.ratio(3, 4)?) {
        let age = *u.choose(&[0, 1, 1800, 1801, 3600, 3601, -300, -301, i32::MAX, i32::MIN])?;
        let made = now.wrapping_sub(age.cast_unsigned());
        let fresh = Cookie { client, server: &[] };
        let (_, mut data) = secrets.load().reply(&fresh, peer.ip(), made);
        let forged = u.ratio(1, 8)?;
        if forged {
            data[23] ^= 1;
        }
        return Ok((data.to_vec(), !forged && (-300..=3600).contains(&age)));
    }
    let mut data = client.to_vec();
    data.resize(*u.choose(&[8, 16, 24, 40, 7, 41, 0, 15])?, 1);
    Ok((data, false))
}

/// Flips, cuts, puts in, or puts something behind.
fn damage(u: &mut Unstructured<'_>, asked: &mut Asked) -> Result<()> {
    asked.intact = false;
    for _ in 0..u.int_in_range(1..=4)? {
        let octets = &mut asked.octets;
        let at = u.int_in_range(0..=octets.len())?;
        let octet: u8 = u.arbitrary()?;
        match u.int_in_range(0..=3)? {
            0 => octets.truncate(at),
            1 => octets.insert(at, octet),
            2 => {
                let tail = u.bytes(u.len().min(usize::from(octet)))?;
                octets.extend(tail);
            }
            _ => {
                if let Some(place) = octets.get_mut(at) {
                    *place ^= octet;
                }
            }
        }
    }
    Ok(())
}
