//! The demonstration of the repository, served: every record of the tutorial and what a mail
//! domain needs today beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::signpost::House;
use common::wire::{A, AA, AAAA, CAA, CNAME, MX, NOERROR, NS, NXDOMAIN, SOA, SPF, SRV, TXT, join_strings, name};
use common::{client, peers};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const APEX_SPF: &str = "v=spf1 ip4:192.0.2.1 mx -all";
const HOST_SPF: &str = "v=spf1 ip4:192.0.2.1 a -all";

/// The files of the demonstration in a directory of their own, on another port.
fn demo() -> House {
    let house = House::new("");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["zones", "keys"] {
        copy(&here.join(folder), &house.path(folder));
    }
    let config = fs::read_to_string(here.join("signpost.toml")).unwrap();
    assert!(config.contains("[::1]:5300"), "the demo listens on both families");
    let port = house.address.port().to_string();
    house.replace("signpost.toml", config.replace("5300", &port));
    house
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The public key as opendkim-genkey wrote it into mail.txt.
fn public_key_of_the_demo() -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("keys/skyminds.net/mail.txt")).unwrap();
    let strings: String = text.split('"').skip(1).step_by(2).collect();
    strings.split_once("p=").unwrap().1.to_owned()
}

#[test]
fn every_record_of_the_tutorial_is_answered() {
    let mut house = demo();
    house.start(&["skyminds.net"]);

    // SPF at the apex and at the host, as TXT and as type 99, byte for byte the same.
    for (owner, spf) in [("skyminds.net", APEX_SPF), ("mail.skyminds.net", HOST_SPF)] {
        let of_type = |rtype| {
            let message = house.ask(owner, rtype);
            let answers = message.answers(rtype);
            answers
                .into_iter()
                .filter(|rdata| join_strings(rdata).starts_with("v=spf1"))
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        };
        assert_eq!(of_type(TXT).len(), 1, "one SPF at {owner}");
        assert_eq!(of_type(TXT), of_type(SPF), "TXT and SPF at {owner}");
        assert_eq!(join_strings(&of_type(SPF)[0]), spf);
    }

    // The key: 4096 bits, nothing lost, and a hash that is one.
    let message = house.ask("mail._domainkey.skyminds.net", TXT);
    let keys = message.texts(TXT);
    assert_eq!(keys.len(), 1);
    let key = &keys[0];
    assert!(key.starts_with("v=DKIM1;"), "{key}");
    assert!(key.contains(&public_key_of_the_demo()), "the whole key: {key}");
    assert!(key.contains("h=sha256") && !key.contains("rsa-sha256"), "{key}");
    assert!(key.contains("s=email"), "the tags of mail.txt are kept: {key}");

    // The historic three, because the policy asks.
    assert_eq!(house.texts("_domainkey.skyminds.net", TXT), ["t=y; o=-;"]);
    assert_eq!(house.texts("_adsp._domainkey.skyminds.net", TXT), ["dkim=unknown"]);
    let apex = house.texts("skyminds.net", TXT);
    assert!(
        apex.contains(&"spf2.0/pra ip4:192.0.2.1 mx -all".to_owned()),
        "{apex:?}"
    );

    house.assert_unharmed();
}

#[test]
fn what_a_mail_domain_needs_today_is_answered() {
    let mut house = demo();
    house.start(&["skyminds.net"]);
    for (owner, begins) in [
        ("_dmarc.skyminds.net", "v=DMARC1; p=quarantine;"),
        (
            "_smtp._tls.skyminds.net",
            "v=TLSRPTv1; rua=mailto:tls-reports@skyminds.net",
        ),
        ("_mta-sts.skyminds.net", "v=STSv1; id="),
        (
            "default._bimi.skyminds.net",
            "v=BIMI1; l=https://www.skyminds.net/logo.svg;",
        ),
    ] {
        let texts = house.texts(owner, TXT);
        assert_eq!(texts.len(), 1, "{owner}: {texts:?}");
        assert!(texts[0].starts_with(begins), "{owner}: {}", texts[0]);
    }
    let id = house.texts("_mta-sts.skyminds.net", TXT).remove(0);
    let id = id.trim_start_matches("v=STSv1; id=").trim_end_matches(';');
    assert!(
        (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()),
        "{id}"
    );
    house.assert_unharmed();
}

#[test]
fn the_zone_file_itself_is_answered() {
    let mut house = demo();
    house.start(&["skyminds.net"]);
    let count = |owner: &str, rtype| house.ask(owner, rtype).answers(rtype).len();
    assert_eq!(count("skyminds.net", SOA), 1);
    assert_eq!(count("skyminds.net", MX), 1);
    assert_eq!(count("skyminds.net", CAA), 2);
    assert_eq!(count("mail.skyminds.net", A), 1);
    assert_eq!(count("mail.skyminds.net", AAAA), 1);
    assert_eq!(count("_imaps._tcp.skyminds.net", SRV), 1);
    assert_eq!(count("autoconfig.skyminds.net", CNAME), 1);
    let message = house.ask("skyminds.net", NS);
    let servers = message.answers(NS);
    assert!(
        servers.contains(&&name("ns.kimsufi.com")[..]),
        "the hoster's secondary: {message:?}"
    );
    assert!(message.has(AA));
    // In-zone chains are followed to their end.
    let message = house.ask("ftp.skyminds.net", A);
    assert_eq!(
        (message.answers(CNAME).len(), message.answers(A).len()),
        (2, 1),
        "{message:?}"
    );
    assert_eq!(house.ask("nothing.skyminds.net", A).rcode, NXDOMAIN);
    // Empty non-terminals exist (RFC 8020): `_domainkey` and `_tcp` have names below them.
    assert_eq!(house.ask("_tcp.skyminds.net", TXT).rcode, NOERROR);
    assert_eq!(house.ask("_tls.skyminds.net", TXT).rcode, NOERROR);
    house.assert_unharmed();
}

#[test]
fn both_families_and_both_transports_answer() {
    let mut house = demo();
    house.start(&["skyminds.net"]);
    let query = common::wire::Query::new(name("skyminds.net"), SOA);
    for host in ["127.0.0.1", "::1"] {
        let server = SocketAddr::new(host.parse().unwrap(), house.address.port());
        for (transport, message) in [
            ("UDP", client::udp(server, &query)),
            ("TCP", client::tcp(server, &query)),
        ] {
            let message = message.unwrap_or_else(|| panic!("no answer from {server} over {transport}"));
            assert_eq!(
                (message.rcode, message.answer.len()),
                (NOERROR, 1),
                "{server} over {transport}"
            );
        }
    }
}

/// Unbound asks as the world does (random case, EDNS, TCP after truncation) and finds everything.
#[test]
fn a_resolver_finds_it_all() {
    let mut house = demo();
    house.start(&["skyminds.net"]);
    let dir = house.path("unbound");
    fs::create_dir(&dir).unwrap();
    let resolver = peers::unbound(&dir, "skyminds.net", house.address);
    let texts = |owner: &str, rtype| {
        client::resolve(resolver.address, name(owner), rtype)
            .unwrap_or_else(|| panic!("no answer for {owner}"))
            .texts(rtype)
    };
    assert!(texts("mail._domainkey.skyminds.net", TXT)[0].contains(&public_key_of_the_demo()));
    assert!(texts("skyminds.net", TXT).contains(&APEX_SPF.to_owned()));
    assert_eq!(texts("mail.skyminds.net", SPF), [HOST_SPF]);
    assert_eq!(texts("_dmarc.skyminds.net", TXT).len(), 1);
}

#[test]
fn the_start_tells_what_is_served_and_what_was_mended() {
    let mut house = demo();
    house.start(&["skyminds.net"]);
    let serial = house.serial("skyminds.net").to_string();
    house.wait_for_log(0, &serial);
    let log = house.log();
    for word in [
        "skyminds.net",
        "DKIM",
        "SPF",
        "DMARC",
        "mail.txt",
        "rsa-sha256",
        "sha256",
    ] {
        assert!(log.contains(word), "`{word}` is not told at start:\n{log}");
    }
}
