//! The rules of answering, question by question. Zones are written as text, responses are decoded
//! by hickory-proto, which knows nothing of our code, and shown as text.

use super::*;
use crate::name::Name;
use crate::zone::Zone;
use crate::zonefile::{self, Open};
use hickory_proto::op::Message;
use std::io;
use std::path::Path;
use std::sync::Arc;

struct Text(String);

impl Open for Text {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }
}

const EXAMPLE: &str = r#"
$TTL 3600
@          SOA   ns1 hostmaster 7 7200 3600 1209600 300
@          NS    ns1
@          NS    ns.other.test.
@          MX    10 mail
ns1        A     192.0.2.53
mail       A     192.0.2.25
           AAAA  2001:db8::25
           TXT   "v=spf1 a -all"
s1._domainkey TXT "v=DKIM1; p=" "AAAA"
*.wild     TXT   "w"
*.wild     MX    5 mail
chain      CNAME link
link       CNAME mail
loop       CNAME pool
pool       CNAME loop
away       CNAME www.other.test.
gone       CNAME nowhere
starred    CNAME x.wild
below      CNAME host.sub
sub        NS    ns.sub
sub        NS    ns.kin
sub        NS    ns.other.test.
ns.sub     A     192.0.2.60
kin        NS    ns.kin
ns.kin     A     192.0.2.61
sub        DS    1 13 2 0000000000000000000000000000000000000000000000000000000000000000
moved      DNAME new
host.new   A     192.0.2.80
far        DNAME other.test.
long       DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddd
big        TXT   "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big        TXT   "1123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big        TXT   "2123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big        TXT   "3123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
big        TXT   "4123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
"#;

fn zone(apex: &str, text: &str) -> (Name, Option<Arc<Zone>>) {
    let apex = Name::from_text(apex).unwrap();
    let file = zonefile::read(Path::new("test.zone"), &apex, &Text(text.into())).unwrap();
    let (zone, _) = Zone::build(&apex, file.records, &[]).unwrap();
    (apex, Some(Arc::new(zone)))
}

fn example() -> ZoneSet {
    ZoneSet::default().with(&[zone("example.org", EXAMPLE)])
}

/// A query as bytes: name, type, and a tail of additional records.
fn query(name: &str, qtype: RecordType, additional: &[u8]) -> Vec<u8> {
    let mut bytes = vec![
        0xab,
        0xcd,
        0x01,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        u8::from(!additional.is_empty()),
    ];
    bytes.extend(Name::from_text(name).unwrap().as_wire());
    bytes.extend(qtype.0.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(additional);
    bytes
}

const EDNS: &[u8] = b"\0\0\x29\x10\0\0\0\0\0\0\0";

fn respond(zones: &ZoneSet, transport: Transport, bytes: &[u8]) -> Option<Vec<u8>> {
    let settings = Settings {
        version: Some("9".into()),
        ..Settings::default()
    };
    let mut out = vec![0xee; 65535];
    let len = answer(zones, &settings, transport, bytes, &mut out)?;
    out.truncate(len);
    Some(out)
}

/// A response as text: flags and RCODE, then each record with the letter of its section.
fn show(response: &[u8]) -> String {
    let message = Message::from_vec(response).unwrap();
    let metadata = &message.metadata;
    let mut text = format!("{:?}", metadata.response_code);
    for (set, flag) in [
        (metadata.authoritative, "aa"),
        (metadata.truncation, "tc"),
        (metadata.recursion_desired, "rd"),
        (metadata.recursion_available, "ra"),
    ] {
        if set {
            text += " ";
            text += flag;
        }
    }
    for (section, records) in [
        ("an", &message.answers),
        ("au", &message.authorities),
        ("ad", &message.additionals),
    ] {
        for record in records {
            text += &format!("\n{section} {record}");
        }
    }
    text
}

fn ask(name: &str, qtype: RecordType) -> String {
    show(&respond(&example(), Transport::Udp, &query(name, qtype, &[])).unwrap())
}

#[test]
fn answers_data_and_keeps_the_case_asked() {
    let response = respond(
        &example(),
        Transport::Udp,
        &query("MAIL.example.ORG", RecordType::A, &[]),
    )
    .unwrap();
    assert_eq!(&response[12..30], b"\x04MAIL\x07example\x03ORG\0");
    insta::assert_snapshot!(ask("mail.example.org", RecordType::TXT));
    insta::assert_snapshot!(ask("example.org", RecordType::MX));
    insta::assert_snapshot!(ask("s1._domainkey.example.org", RecordType::TXT));
}

#[test]
fn tells_nodata_from_nxdomain() {
    insta::assert_snapshot!(ask("_domainkey.example.org", RecordType::TXT));
    insta::assert_snapshot!(ask("mail.example.org", RecordType::MX));
    insta::assert_snapshot!(ask("nowhere.example.org", RecordType::A));
    insta::assert_snapshot!(ask("x.mail.example.org", RecordType::A));
}

#[test]
fn synthesizes_from_wildcards() {
    insta::assert_snapshot!(ask("a.b.wild.example.org", RecordType::MX));
    insta::assert_snapshot!(ask("a.wild.example.org", RecordType::A));
    insta::assert_snapshot!(ask("starred.example.org", RecordType::TXT));
}

#[test]
fn follows_chains_in_the_zone_and_cuts_loops() {
    insta::assert_snapshot!(ask("chain.example.org", RecordType::A));
    insta::assert_snapshot!(ask("chain.example.org", RecordType::CNAME));
    insta::assert_snapshot!(ask("away.example.org", RecordType::A));
    insta::assert_snapshot!(ask("gone.example.org", RecordType::A));
    insta::assert_snapshot!(ask("loop.example.org", RecordType::A));
    insta::assert_snapshot!(ask("below.example.org", RecordType::A));
}

#[test]
fn refers_with_glue_and_keeps_ds() {
    insta::assert_snapshot!(ask("www.sub.example.org", RecordType::A));
    insta::assert_snapshot!(ask("ns.sub.example.org", RecordType::A));
    insta::assert_snapshot!(ask("sub.example.org", RecordType::DS));
    insta::assert_snapshot!(ask("kin.example.org", RecordType::DS));
}

#[test]
fn redirects_by_dname() {
    insta::assert_snapshot!(ask("host.moved.example.org", RecordType::A));
    insta::assert_snapshot!(ask("moved.example.org", RecordType::DNAME));
    insta::assert_snapshot!(ask("moved.example.org", RecordType::A));
    insta::assert_snapshot!(ask("x.far.example.org", RecordType::A));
    let labels = format!("{0}.{0}", "e".repeat(60));
    insta::assert_snapshot!(ask(&format!("{labels}.long.example.org"), RecordType::A));
}

#[test]
fn a_dname_at_the_apex_redirects_all_but_the_apex() {
    let text = "$TTL 60\n@ SOA ns.other.test. h.other.test. 1 2 3 4 5\n@ NS ns.other.test.\n@ DNAME other.test.\n@ TXT \"here\"";
    let zones = ZoneSet::default().with(&[zone("alias.test", text)]);
    let ask = |name: &str, qtype| show(&respond(&zones, Transport::Udp, &query(name, qtype, &[])).unwrap());
    insta::assert_snapshot!(ask("www.alias.test", RecordType::A));
    insta::assert_snapshot!(ask("alias.test", RecordType::TXT));
}

#[test]
fn the_child_answers_and_the_parent_keeps_ds() {
    let child = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.70\nwww A 192.0.2.71";
    let zones = example().with(&[zone("sub.example.org", child)]);
    let ask = |name: &str, qtype| show(&respond(&zones, Transport::Udp, &query(name, qtype, &[])).unwrap());
    insta::assert_snapshot!(ask("www.sub.example.org", RecordType::A));
    insta::assert_snapshot!(ask("sub.example.org", RecordType::DS));
    let alone = ZoneSet::default().with(&[zone("sub.example.org", child)]);
    insta::assert_snapshot!(show(
        &respond(&alone, Transport::Udp, &query("sub.example.org", RecordType::DS, &[])).unwrap()
    ));
}

#[test]
fn truncates_exactly_when_it_does_not_fit() {
    let zones = example();
    let plain = query("big.example.org", RecordType::TXT, &[]);
    let udp = respond(&zones, Transport::Udp, &plain).unwrap();
    assert_eq!(show(&udp), "NoError aa tc rd");
    let whole = respond(&zones, Transport::Tcp, &plain).unwrap();
    assert!(whole.len() > 512 && show(&whole).matches("an ").count() == 5);
    let edns = query("big.example.org", RecordType::TXT, EDNS);
    assert_eq!(
        respond(&zones, Transport::Udp, &edns).unwrap().len(),
        whole.len() + OPT_LEN
    );
    for payload in 512..900u16 {
        let mut tail = EDNS.to_vec();
        tail[3..5].copy_from_slice(&payload.to_be_bytes());
        let response = respond(
            &zones,
            Transport::Udp,
            &query("big.example.org", RecordType::TXT, &tail),
        )
        .unwrap();
        assert!(response.len() <= usize::from(payload));
        let fits = whole.len() + OPT_LEN <= usize::from(payload);
        assert_eq!(response[2] & 2 == 0, fits, "TC exactly when it does not fit: {payload}");
    }
}

#[test]
fn follows_no_cname_for_the_types_that_stand_beside_it() {
    for qtype in [RecordType::RRSIG, RecordType::NSEC] {
        let said = ask("chain.example.org", qtype);
        assert!(
            said.starts_with("NoError") && !said.contains("CNAME"),
            "{qtype}: {said}"
        );
    }
    assert!(ask("chain.example.org", RecordType::DNSKEY).contains("CNAME"));
}

#[test]
fn any_gets_one_rrset() {
    insta::assert_snapshot!(ask("mail.example.org", RecordType::ANY));
    insta::assert_snapshot!(ask("wild.example.org", RecordType::ANY));
}

#[test]
fn refuses_what_is_not_ours_and_says_why() {
    let response = respond(
        &example(),
        Transport::Udp,
        &query("www.other.test", RecordType::A, EDNS),
    )
    .unwrap();
    assert_eq!(show(&response).lines().next(), Some("Refused rd"));
    assert_eq!(&response[response.len() - 6..], b"\0\x0f\0\x02\0\x14");
    assert_eq!(ask("www.other.test", RecordType::A), "Refused rd");
    assert_eq!(ask("example.org", RecordType::AXFR), "Refused rd");
    let mut other_class = query("example.org", RecordType::SOA, &[]);
    let last = other_class.len() - 1;
    other_class[last] = 4;
    assert_eq!(
        show(&respond(&example(), Transport::Udp, &other_class).unwrap()),
        "Refused rd"
    );
}

#[test]
fn answers_an_unknown_edns_version_with_badvers() {
    let mut tail = EDNS.to_vec();
    tail[6] = 1;
    let response = respond(
        &example(),
        Transport::Udp,
        &query("mail.example.org", RecordType::A, &tail),
    )
    .unwrap();
    assert_eq!(&response[6..12], [0, 0, 0, 0, 0, 1]);
    assert_eq!(&response[response.len() - 11..], b"\0\0\x29\x04\xd0\x01\0\0\0\0\0");
}

#[test]
fn ignores_unknown_options_and_echoes_do() {
    let tail = b"\0\0\x29\x10\0\0\0\x80\0\0\x06\xff\xff\0\x02ab";
    let response = respond(
        &example(),
        Transport::Udp,
        &query("mail.example.org", RecordType::A, tail),
    )
    .unwrap();
    assert_eq!(&response[response.len() - 11..], b"\0\0\x29\x04\xd0\0\0\x80\0\0\0");
}

#[test]
fn tells_its_version_only_by_choice() {
    let mut bytes = query("Version.BIND", RecordType::TXT, &[]);
    let last = bytes.len() - 1;
    bytes[last] = 3;
    assert!(
        respond(&example(), Transport::Udp, &bytes)
            .unwrap()
            .ends_with(b"\0\x02\x019")
    );
    let mut bytes = query("id.server", RecordType::TXT, &[]);
    let last = bytes.len() - 1;
    bytes[last] = 3;
    assert_eq!(
        show(&respond(&example(), Transport::Udp, &bytes).unwrap()),
        "Refused rd"
    );
}

#[test]
fn never_answers_an_answer() {
    let mut bytes = query("mail.example.org", RecordType::A, &[]);
    bytes[2] |= 0x80;
    assert_eq!(respond(&example(), Transport::Udp, &bytes), None);
    assert_eq!(respond(&example(), Transport::Udp, &bytes[..11]), None);
}

#[test]
fn denies_nothing_while_zones_are_being_read() {
    let loading = ZoneSet::loading().with(&[zone("example.org", EXAMPLE)]);
    let ask = |zones: &ZoneSet, name: &str, qtype| {
        let response = respond(zones, Transport::Udp, &query(name, qtype, EDNS)).unwrap();
        (response[3] & 15, response.ends_with(b"\0\x0f\0\x02\0\x0e"))
    };
    assert_eq!(ask(&loading, "mail.example.org", RecordType::A), (0, false));
    assert_eq!(ask(&loading, "example.com", RecordType::A), (2, true));
    assert_eq!(ask(&loading, "example.com", RecordType::AXFR), (2, true));
    let loaded = loading.loaded();
    assert_eq!(ask(&loaded, "mail.example.org", RecordType::A), (0, false));
    assert_eq!(ask(&loaded, "example.com", RecordType::A), (5, false));
}
