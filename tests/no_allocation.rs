//! No answer allocates: every shape of question and answer, by UDP and by TCP, under an allocator that counts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

use signpost::answer::{Client, Secrets, Settings, Transport, answer};
use signpost::name::Name;
use signpost::zone::{Zone, ZoneSet};
use signpost::zonefile;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

const ZONE: &str = r#"
$TTL 3600
@       SOA   ns1 hostmaster 7 7200 3600 1209600 300
@       NS    ns1
@       NS    ns.other.test.
@       MX    10 mail
@       TXT   "v=spf1 mx -all"
ns1     A     192.0.2.53
mail    A     192.0.2.25
        AAAA  2001:db8::25
s1._domainkey TXT "v=DKIM1; p=" "AAAA"
*.wild  TXT   "w"
chain   CNAME link
link    CNAME mail
loop    CNAME pool
pool    CNAME loop
away    CNAME www.other.test.
gone    CNAME nowhere
sub     NS    ns.sub
sub     NS    ns.other.test.
ns.sub  A     192.0.2.60
moved   DNAME new
host.new A    192.0.2.80
"#;

fn zones() -> ZoneSet {
    let apex = Name::from_text("example.org").unwrap();
    // One answer that is too long for a datagram.
    let big: String = (0..40).map(|i| format!("big TXT \"{i:0>100}\"\n")).collect();
    let file = zonefile::read(Path::new("zone"), &apex, &(ZONE.to_owned() + &big)).unwrap();
    let (zone, _) = Zone::build(&apex, &file.records, &[]).unwrap();
    ZoneSet::default().with(&[(apex, Some(Arc::new(zone)))])
}

fn question(owner: &str, qtype: u16, qclass: u16, additional: &[u8]) -> Vec<u8> {
    let mut octets = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!additional.is_empty())];
    octets.extend_from_slice(Name::from_text(owner).unwrap().as_wire());
    octets.extend_from_slice(&qtype.to_be_bytes());
    octets.extend_from_slice(&qclass.to_be_bytes());
    octets.extend_from_slice(additional);
    octets
}

/// OPT records: bare, of an unknown version, with NSID, a cookie and ZONEVERSION, with a cookie that is malformed.
const OPTS: [&[u8]; 5] = [
    b"",
    b"\0\0\x29\x10\0\0\0\x80\0\0\0",
    b"\0\0\x29\x10\0\0\x01\0\0\0\0",
    b"\0\0\x29\x10\0\0\0\0\0\0\x14\0\x03\0\0\0\x0a\0\x08abcdefgh\0\x13\0\0",
    b"\0\0\x29\x10\0\0\0\0\0\0\x07\0\x0a\0\x03abc",
];

#[test]
fn no_answer_allocates() {
    let owners = [
        "example.org",
        "MAIL.example.org",
        "s1._domainkey.example.org",
        "_domainkey.example.org",
        "a.b.wild.example.org",
        "chain.example.org",
        "loop.example.org",
        "away.example.org",
        "gone.example.org",
        "nx.example.org",
        "x.sub.example.org",
        "sub.example.org",
        "host.moved.example.org",
        "big.example.org",
        "example.com",
        ".",
        "version.bind",
        "id.server",
    ];
    let (a, ns, soa, txt, aaaa, ds, axfr, any) = (1u16, 2, 6, 16, 28, 43, 252, 255);
    let mut questions = Vec::new();
    for owner in owners {
        for qtype in [a, ns, soa, txt, aaaa, ds, axfr, any, 41] {
            for qclass in [1, 3, 4] {
                questions.extend(OPTS.map(|opt| question(owner, qtype, qclass, opt)));
            }
        }
    }
    let cut: Vec<Vec<u8>> = questions
        .iter()
        .step_by(7)
        .map(|octets| octets[..octets.len() - 3].to_vec())
        .collect();
    questions.extend(cut);
    let zones = zones();
    let settings = Settings {
        version: Some("9".into()),
        identity: Some("ns1".into()),
        keepalive: Some(100),
        cookies: Some(Secrets::one([7; 16]).shared()),
        ..Settings::default()
    };
    let peer: SocketAddr = "192.0.2.7:5353".parse().unwrap();
    let mut out = vec![0; usize::from(u16::MAX)];
    for transport in [Transport::Udp, Transport::Tcp] {
        let client = Client {
            transport,
            peer: &|| Some(peer),
            now: &|| 1_700_000_000,
            certificate: None,
            signed: None,
        };
        let room = if transport == Transport::Udp { 1232 } else { out.len() };
        // What a thread needs once: its place among the readers of the secrets.
        answer(
            &zones,
            &settings,
            &client,
            &question(".", soa, 1, OPTS[3]),
            &mut out[..room],
        );
        for octets in &questions {
            let mut written = None;
            let counted = allocation_counter::measure(|| {
                written = answer(&zones, &settings, &client, octets, &mut out[..room]);
            });
            assert_eq!(
                counted.count_total,
                0,
                "{transport:?}, {} octets, {:x?}",
                octets.len(),
                octets
            );
            assert!(written.is_some(), "each of these gets a response: {octets:x?}");
        }
    }
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(counted.count_total, 1, "the allocator does not count");
}
