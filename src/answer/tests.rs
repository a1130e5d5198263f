//! The rules of answering, question by question. Zones are written as text, responses are decoded
//! by hickory-proto, which knows nothing of our code, and shown as text.

use super::*;
use crate::name::Name;
use crate::zone::Zone;
use crate::zonefile;
use hickory_proto::op::Message;
use std::path::Path;
use std::sync::Arc;

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
    let file = zonefile::read(Path::new("test.zone"), &apex, &text).unwrap();
    let (zone, _) = Zone::build(&apex, &file.records, &[]).unwrap();
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
    let answered = answer(zones, &settings, &Client::anonymous(transport), bytes, &mut out)?;
    out.truncate(answered.len());
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
fn points_to_owners_in_the_question_and_writes_the_root_out() {
    let zones = example().with(&[zone(".", "@ 60 SOA ns.test. h.test. 1 2 3 4 5\n@ 60 NS ns.test.")]);
    for (asked, qtype, owner) in [
        ("nx.Example.org", RecordType::A, &b"\xc0\x0f"[..]),
        ("a.b.sub.example.org", RecordType::A, b"\xc0\x10"),
        ("mail.example.org", RecordType::A, b"\xc0\x0c"),
        ("example.org", RecordType::AAAA, b"\xc0\x0c"),
        ("x.moved.example.org", RecordType::DNAME, b"\xc0\x0e"),
        ("nx.test", RecordType::A, b"\0"),
    ] {
        let asked = query(asked, qtype, &[]);
        let response = respond(&zones, Transport::Tcp, &asked).unwrap();
        assert_eq!(&response[asked.len()..][..owner.len()], owner, "{}", show(&response));
    }
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

const NSID: &[u8] = b"\0\x03\0\0";
const KEEPALIVE: &[u8] = b"\0\x0b\0\0";
const ZONEVERSION: &[u8] = b"\0\x13\0\0";
const CLIENT_COOKIE: &[u8] = b"\0\x0a\0\x08\x24\x64\xc4\xab\xcf\x10\xc9\x57";
/// What RFC 9018 §A.1 has for it.
const FULL_COOKIE: &[u8] =
    b"\0\x0a\0\x18\x24\x64\xc4\xab\xcf\x10\xc9\x57\x01\0\0\0\x5c\xf7\x9f\x11\x1f\x81\x30\xc3\xee\xe2\x94\x80";

/// An OPT record with options, for a payload of 512 octets.
fn edns(options: &[&[u8]]) -> Vec<u8> {
    let options = options.concat();
    let mut opt = b"\0\0\x29\x02\0\0\0\0\0".to_vec();
    opt.extend((options.len() as u16).to_be_bytes());
    opt.extend(options);
    opt
}

/// The response to a client of RFC 9018 §A.1 from a server that tells all it can.
fn respond_to_options(transport: Transport, bytes: &[u8]) -> (Answered, Vec<u8>) {
    let secret = b"\xe5\xe9\x73\xe5\xa6\xb2\xa4\x3f\x48\xe7\xdc\x84\x9e\x37\xbf\xcf";
    let settings = Settings {
        identity: Some("ns1".into()),
        keepalive: Some(100),
        cookies: Some(Secrets::one(*secret).shared()),
        ..Settings::default()
    };
    let client = Client {
        transport,
        peer: &|| Some(([198, 51, 100, 100], 4242).into()),
        now: &|| 1_559_731_985,
        certificate: None,
        signed: None,
    };
    let mut out = vec![0xee; 65535];
    let answered = answer(&example(), &settings, &client, bytes, &mut out).unwrap();
    out.truncate(answered.len());
    (answered, out)
}

/// The options of a response: all octets behind its OPT's fixed part.
fn options_of<'r>(answered: &Answered, response: &'r [u8]) -> &'r [u8] {
    let opt = &response[usize::from(answered.opt)..];
    assert_eq!(opt[..3], [0, 0, 41]);
    assert_eq!(usize::from(u16::from_be_bytes([opt[9], opt[10]])), opt.len() - 11);
    &opt[11..]
}

#[test]
fn tells_by_options_what_was_asked_for_and_nothing_else() {
    let asked = query(
        "mail.example.org",
        RecordType::A,
        &edns(&[NSID, KEEPALIVE, ZONEVERSION, CLIENT_COOKIE]),
    );
    let version = b"\0\x13\0\x06\x02\0\0\0\0\x07".as_slice();
    let nsid = b"\0\x03\0\x03ns1".as_slice();
    let (answered, response) = respond_to_options(Transport::Udp, &asked);
    assert_eq!(options_of(&answered, &response), [FULL_COOKIE, version, nsid].concat());
    let (answered, response) = respond_to_options(Transport::Tcp, &asked);
    let keepalive = b"\0\x0b\0\x02\0\x64".as_slice();
    assert_eq!(
        options_of(&answered, &response),
        [FULL_COOKIE, version, keepalive, nsid].concat()
    );
    let unknown = query("mail.example.org", RecordType::A, &edns(&[b"\xff\x01\0\x02hi"]));
    let (answered, response) = respond_to_options(Transport::Tcp, &unknown);
    assert_eq!(options_of(&answered, &response), b"");
    // Hidden unless configured.
    let hidden = respond(
        &example(),
        Transport::Udp,
        &query("mail.example.org", RecordType::A, &edns(&[NSID])),
    );
    assert!(hidden.unwrap().ends_with(b"\0\0\x29\x04\xd0\0\0\0\0\0\0"));
}

#[test]
fn tells_the_version_of_the_zone_that_answers_only() {
    let version = |name: &str, qtype| {
        let (answered, response) = respond_to_options(Transport::Udp, &query(name, qtype, &edns(&[ZONEVERSION])));
        options_of(&answered, &response).to_vec()
    };
    let ours = b"\0\x13\0\x06\x02\0\0\0\0\x07";
    for (name, qtype) in [
        ("example.org", RecordType::SOA),
        ("nowhere.example.org", RecordType::A),
        ("mail.example.org", RecordType::MX),
        ("host.sub.example.org", RecordType::A),
    ] {
        assert_eq!(version(name, qtype), ours, "{name}");
    }
    assert_eq!(
        version("example.net", RecordType::A),
        b"\0\x0f\0\x02\0\x14",
        "the error alone"
    );
}

#[test]
fn knows_a_client_by_its_cookie() {
    let ask = |options: &[&[u8]]| {
        respond_to_options(
            Transport::Udp,
            &query("mail.example.org", RecordType::A, &edns(options)),
        )
    };
    assert_eq!(ask(&[]).0.standing, Standing::Unknown);
    assert_eq!(ask(&[CLIENT_COOKIE]).0.standing, Standing::Asking);
    assert_eq!(ask(&[FULL_COOKIE]).0.standing, Standing::Proven);
    // A bad one gets a normal answer and a good one (RFC 7873 §5.2.3).
    let mut bad = FULL_COOKIE.to_vec();
    bad[27] ^= 1;
    let (answered, response) = ask(&[&bad]);
    assert_eq!(
        (answered.standing, options_of(&answered, &response)),
        (Standing::Asking, FULL_COOKIE)
    );
    assert_eq!(show(&response).lines().next(), Some("NoError aa rd"));
    let wrong_length = query("mail.example.org", RecordType::A, &edns(&[b"\0\x0a\0\x09123456789"]));
    assert_eq!(show(&respond_to_options(Transport::Udp, &wrong_length).1), "FormErr rd");
}

#[test]
fn gives_a_cookie_without_a_question() {
    let mut bytes = b"\xab\xcd\x01\0\0\0\0\0\0\0\0\x01".to_vec();
    bytes.extend(edns(&[CLIENT_COOKIE]));
    let (answered, response) = respond_to_options(Transport::Udp, &bytes);
    assert_eq!(response[..12], *b"\xab\xcd\x81\0\0\0\0\0\0\0\0\x01");
    assert_eq!(options_of(&answered, &response), FULL_COOKIE);
}

#[test]
fn keeps_room_for_options_and_truncates_for_them() {
    let ask = |transport, payload: u16, options: &[&[u8]]| {
        let mut opt = edns(options);
        opt[3..5].copy_from_slice(&payload.to_be_bytes());
        respond_to_options(transport, &query("big.example.org", RecordType::TXT, &opt))
    };
    let all = &[NSID, ZONEVERSION, CLIENT_COOKIE];
    let records = ask(Transport::Tcp, 512, &[]).1.len();
    let whole = ask(Transport::Tcp, 512, all).1.len();
    assert_eq!(whole, records + 28 + 10 + 7);
    for payload in 512..whole as u16 + 9 {
        let (answered, response) = ask(Transport::Udp, payload, all);
        let truncated = usize::from(payload) < whole;
        assert_eq!(
            (response[2] & 2 != 0, response[7]),
            (truncated, if truncated { 0 } else { 5 }),
            "{payload}"
        );
        assert!(response.len() <= usize::from(payload));
        assert_eq!(options_of(&answered, &response).len(), 28 + 10 + 7);
        assert_eq!(
            ask(Transport::Udp, payload, &[]).1[2] & 2 != 0,
            usize::from(payload) < records,
            "{payload}"
        );
    }
}

#[test]
fn slips_as_truncated_or_with_a_cookie() {
    let slip = |options: Option<&[&[u8]]>| {
        let additional = options.map(edns).unwrap_or_default();
        let (answered, mut response) =
            respond_to_options(Transport::Udp, &query("mail.example.org", RecordType::TXT, &additional));
        let len = answered.slip(&mut response);
        response.truncate(len);
        response
    };
    let question = query("mail.example.org", RecordType::TXT, &[]).len();
    assert_eq!(show(&slip(None)), "NoError tc rd");
    assert_eq!(slip(None).len(), question);
    let plain = slip(Some(&[NSID, ZONEVERSION]));
    assert_eq!(show(&plain), "NoError tc rd");
    assert_eq!(plain.len(), question + 11, "OPT without options");
    let (refused, mut response) = respond_to_options(Transport::Udp, &query("a.test", RecordType::A, &edns(&[NSID])));
    let len = refused.slip(&mut response);
    assert_eq!(show(&response[..len]), "Refused rd", "an error stays one");
    let mut opt = edns(&[]);
    opt[6] = 1;
    let (badvers, mut response) = respond_to_options(Transport::Udp, &query("a.test", RecordType::A, &opt));
    let whole = response.clone();
    assert_eq!((badvers.slip(&mut response), response), (whole.len(), whole));
    let cookie = slip(Some(&[NSID, CLIENT_COOKIE]));
    assert_eq!(show(&cookie), "BADCOOKIE rd");
    assert!(cookie.ends_with(FULL_COOKIE) && cookie.len() == question + 11 + 28);
}

#[test]
fn counts_alike_what_an_attacker_can_vary_without_end() {
    let of = |name: &str, qtype| {
        let (answered, response) = respond_to_options(Transport::Udp, &query(name, qtype, &[]));
        answered.subject(&response)
    };
    let mail = of("mail.example.org", RecordType::A);
    assert_eq!(mail.kind, Kind::Positive);
    assert_eq!(of("MAIL.example.org", RecordType::A), mail);
    assert_ne!(of("mail.example.org", RecordType::AAAA), mail);
    assert_ne!(of("ns1.example.org", RecordType::A), mail);
    let nothing = of("a.example.org", RecordType::A);
    assert_eq!(nothing.kind, Kind::Negative);
    assert_eq!(of("b.example.org", RecordType::TXT), nothing);
    assert_eq!(of("mail.example.org", RecordType::SRV), nothing);
    let wildcard = of("a.wild.example.org", RecordType::TXT);
    assert_eq!(wildcard.kind, Kind::Positive);
    assert_eq!(of("b.wild.example.org", RecordType::MX), wildcard);
    assert_eq!(of("a.far.example.org", RecordType::A), wildcard);
    let referral = of("a.sub.example.org", RecordType::A);
    assert_eq!(referral.kind, Kind::Referral);
    assert_eq!(of("b.sub.example.org", RecordType::A), referral);
    let error = of("a.test", RecordType::A);
    assert_eq!(error.kind, Kind::Error);
    assert_eq!(of("example.org", RecordType::AXFR), error);
    assert_eq!(of("big.example.org", RecordType::TXT).kind, Kind::Positive, "truncated");
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
