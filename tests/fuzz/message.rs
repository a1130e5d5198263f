//! What holds of the answer to any message; shared by the fuzz target and the test that replays its corpus.

#[path = "response.rs"]
mod response;

use signpost::answer::{Client, Secrets, Settings, Transport, answer};
use signpost::name::Name;
use signpost::zone::{Zone, ZoneSet};
use signpost::zonefile;
use std::path::Path;
use std::sync::{Arc, LazyLock};

const PARENT: &str = r#"
$TTL 3600
@       SOA ns h 1 7200 3600 1209600 300
@       NS  ns
@       MX  10 mail
ns      A   192.0.2.53
*       MX  10 mail
a.*     TXT "x"
mail    A   192.0.2.25
chain   CNAME link
link    CNAME chain2
chain2  CNAME x.moved
moved   DNAME new
y.new   A   192.0.2.1
loop    CNAME loop2
loop2   CNAME loop
sub     NS  ns.sub
ns.sub  AAAA 2001:db8::1
kin     NS  ns.sub
big     TXT "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big     TXT "1123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big     TXT "2123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big     TXT "3123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big     TXT "4123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
"#;
const CHILD: &str = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n@ DNAME a.test.\nb SPF \"v=spf1 -all\"\n";

static ZONES: LazyLock<ZoneSet> = LazyLock::new(|| {
    let zone = |apex: &str, text| {
        let apex = Name::from_text(apex).expect("a name");
        let file = zonefile::read(Path::new("fuzz.zone"), &apex, &text).expect("a good zone file");
        // A DNAME hides what is below it; the reader does not mind, and neither does the zone.
        let (zone, _) = Zone::build(&apex, &file.records, &[]).expect("a good zone");
        (apex, Some(Arc::new(zone)))
    };
    ZoneSet::default().with(&[zone("a.test", PARENT), zone("c.a.test", CHILD)])
});

/// Answers `octets` over UDP and TCP; panics if a promise of `answer` is broken.
pub(crate) fn exercise(octets: &[u8]) {
    let settings = Settings {
        version: Some("x".into()),
        identity: Some("ns1.example".into()),
        cookies: Some(Secrets::one([7; 16]).shared()),
        // Not the timeout of connections, which is told over TCP only.
        ..Settings::default()
    };
    let mut udp = vec![0u8; usize::from(settings.max_udp_payload)];
    let mut tcp = vec![0u8; 65_535];
    let client = |transport| Client {
        transport,
        peer: &|| Some(([192, 0, 2, 1], 53).into()),
        now: &|| 1_700_000_000,
        certificate: None,
        signed: None,
    };
    let over_udp = answer(&ZONES, &settings, &client(Transport::Udp), octets, &mut udp);
    if let Some(answered) = over_udp {
        response::slips_small(answered, octets, &udp);
    }
    let over_udp = over_udp.map(|answered| &udp[..answered.len()]);
    let over_tcp = answer(&ZONES, &settings, &client(Transport::Tcp), octets, &mut tcp);
    let over_tcp = over_tcp.map(|answered| &tcp[..answered.len()]);
    let is_query = octets.len() >= 12 && octets[2] & 0x80 == 0;
    assert_eq!(over_udp.is_some(), is_query, "answers queries, and nothing else");
    assert_eq!(over_tcp.is_some(), is_query);
    for response in [over_udp, over_tcp].into_iter().flatten() {
        response::belongs(octets, response);
    }
    if let (Some(udp), Some(tcp)) = (over_udp, over_tcp) {
        assert!(udp.len() <= 1232);
        assert!(
            tcp[2] & 2 == 0,
            "nothing is truncated over TCP that fits in 65 535 octets"
        );
        assert!(udp[2] & 2 != 0 || udp == tcp, "the same answer but for truncation");
    }
}
