//! What a public name server owes to EDNS, asked by dig: the matrix of ednscomp and what was added since, and that it
//! tells no more than it must.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

mod common;

use common::signpost::House;
use std::process::Command;

const ZONE: &str = r#"
$TTL 3600
@     SOA  ns1 hostmaster 2026112401 7200 3600 1209600 300
@     NS   ns1
@     MX   10 mail
ns1   A    192.0.2.53
mail  A    192.0.2.25
mail  TXT  "v=spf1 a -all"
"#;

/// A server for example.test with a name of 900 octets of TXT.
fn house(config: &str) -> House {
    let mut house = House::new(config);
    let big: String = (0..9).map(|i| format!("big TXT \"{i}{}\"\n", "x".repeat(99))).collect();
    house.write("zones/example.test.zone", format!("{ZONE}{big}"));
    house.start(&["example.test"]);
    house
}

/// What dig says to these words.
fn dig(house: &House, words: &str) -> String {
    let output = Command::new("dig")
        .args([
            &format!("@{}", house.address.ip()),
            "-p",
            &house.address.port().to_string(),
        ])
        // No answer is no excuse on a busy machine; what was answered is judged.
        .args([
            "+tries=3",
            "+time=10",
            "+norecurse",
            "+noall",
            "+comments",
            "+answer",
            "+authority",
            "+additional",
        ])
        .args(words.split_whitespace())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Asks with `words` and holds what comes against `wanted`: words that must be there, or with `!` in front must not.
fn hold(house: &House, words: &str, wanted: &[&str]) {
    let said = dig(house, words);
    for want in wanted {
        match want.strip_prefix('!') {
            Some(unwanted) => assert!(!said.contains(unwanted), "dig {words}: `{unwanted}` is in\n{said}"),
            None => assert!(said.contains(want), "dig {words}: no `{want}` in\n{said}"),
        }
    }
}

/// https://ednscomp.isc.org: each line is one of its tests.
#[test]
fn complies_with_edns_as_ednscomp_asks() {
    let house = house("");
    let soa = "SOA\tns1.example.test.";
    for (test, words, wanted) in [
        (
            "dns",
            "+noedns +nocookie example.test SOA",
            &["status: NOERROR", soa, "!EDNS"][..],
        ),
        ("aa", "+noedns +nocookie example.test SOA", &["flags: qr aa;"]),
        (
            "ad",
            "+noedns +nocookie +ad example.test SOA",
            &["status: NOERROR", soa, "flags: qr aa;"],
        ),
        (
            "cd",
            "+noedns +nocookie +cd example.test SOA",
            &["status: NOERROR", soa],
        ),
        (
            "rd",
            "+noedns +nocookie +rec example.test SOA",
            &["status: NOERROR", soa, "flags: qr aa rd;"],
        ),
        (
            "z",
            "+noedns +nocookie +zflag example.test SOA",
            &["status: NOERROR", soa, "!MBZ"],
        ),
        (
            "opcode",
            "+noedns +nocookie +opcode=15 +header-only",
            &["status: NOTIMP"],
        ),
        (
            "opcode with a question",
            "+noedns +nocookie +opcode=15 example.test SOA",
            &["status: NOTIMP", "!SOA\t"],
        ),
        (
            "unknown type",
            "+noedns +nocookie example.test TYPE1000",
            &["status: NOERROR", "ANSWER: 0", "AUTHORITY: 1"],
        ),
        (
            "edns",
            "+edns=0 +nocookie example.test SOA",
            &["status: NOERROR", soa, "EDNS: version: 0, flags:; udp: 1232"],
        ),
        (
            "edns1",
            "+edns=1 +noednsneg +nocookie example.test SOA",
            &["status: BADVERS", "EDNS: version: 0", "!SOA\t"],
        ),
        (
            "edns1opt",
            "+edns=1 +noednsneg +nocookie +ednsopt=100 example.test SOA",
            &["status: BADVERS", "EDNS: version: 0", "!OPT=100", "!SOA\t"],
        ),
        (
            "edns1flags",
            "+edns=1 +noednsneg +nocookie +ednsflags=0x0080 example.test SOA",
            &["status: BADVERS", "EDNS: version: 0", "!MBZ", "!SOA\t"],
        ),
        (
            "ednsopt",
            "+edns=0 +nocookie +ednsopt=100 example.test SOA",
            &["status: NOERROR", soa, "EDNS: version: 0", "!OPT=100"],
        ),
        (
            "ednsflags",
            "+edns=0 +nocookie +ednsflags=0x0080 example.test SOA",
            &["status: NOERROR", soa, "EDNS: version: 0", "!MBZ"],
        ),
        (
            "docheck",
            "+edns=0 +nocookie +dnssec example.test SOA",
            &["status: NOERROR", soa, "flags: do;"],
        ),
        ("do clear", "+edns=0 +nocookie example.test SOA", &["!flags: do"]),
        (
            "optlist",
            "+edns=0 +nsid +expire +cookie +subnet=192.0.2.0/24 example.test SOA",
            &[
                "status: NOERROR",
                soa,
                "EDNS: version: 0",
                "(good)",
                "!NSID",
                "!SUBNET",
                "EXPIRE: 1209600",
            ],
        ),
        (
            "ednstcp",
            "+edns=0 +nocookie +tcp example.test SOA",
            &["status: NOERROR", soa, "EDNS: version: 0"],
        ),
        (
            "bind11",
            "+edns=0 +nocookie +dnssec +subnet=2001:db8::/48 +nsid +expire example.test SOA",
            &["status: NOERROR", soa, "flags: do;"],
        ),
        (
            "dns512",
            "+noedns +nocookie +ignore big.example.test TXT",
            &["flags: qr aa tc;", "ANSWER: 0", "status: NOERROR"],
        ),
        (
            "edns512",
            "+edns=0 +bufsize=512 +ignore big.example.test TXT",
            &["flags: qr aa tc;", "ANSWER: 0", "EDNS: version: 0", "(good)"],
        ),
        (
            "edns512tcp",
            "+edns=0 +bufsize=512 +tcp big.example.test TXT",
            &["flags: qr aa;", "ANSWER: 9"],
        ),
        (
            "edns1232",
            "+edns=0 +bufsize=1232 +ignore big.example.test TXT",
            &["flags: qr aa;", "ANSWER: 9"],
        ),
        (
            "nxdomain",
            "+edns=0 nowhere.example.test A",
            &["status: NXDOMAIN", "AUTHORITY: 1", "EDNS: version: 0"],
        ),
        (
            "padding",
            "+edns=0 +padding=128 example.test SOA",
            &["status: NOERROR", soa, "!PAD"],
        ),
        (
            "keepalive by UDP",
            "+edns=0 +keepalive example.test SOA",
            &["status: NOERROR", "!KEEPALIVE"],
        ),
        (
            "keepalive by TCP",
            "+edns=0 +keepalive +tcp example.test SOA",
            &["status: NOERROR", "KEEPALIVE: 10.0 secs"],
        ),
        (
            "cookie of a wrong length",
            "+edns=0 +ednsopt=10:010203 +nocookie example.test SOA",
            &["status: FORMERR", "EDNS: version: 0"],
        ),
    ] {
        eprintln!("{test}");
        hold(&house, words, wanted);
    }
}

#[test]
fn names_itself_only_if_told_to() {
    let silent = house("");
    hold(&silent, "+nsid example.test SOA", &["status: NOERROR", "!NSID"]);
    for name in ["version.bind", "version.server", "id.server", "hostname.bind"] {
        hold(&silent, &format!("{name} CH TXT"), &["status: REFUSED", "ANSWER: 0"]);
    }
    let telling = house("identity = \"ns1.example.test\"\nversion = \"Signpost\"\n");
    hold(&telling, "+nsid example.test SOA", &["(\"ns1.example.test\")"]);
    hold(
        &telling,
        "+nsid +tcp nowhere.example.test SOA",
        &["(\"ns1.example.test\")"],
    );
    hold(&telling, "example.test SOA", &["!NSID"]);
    hold(&telling, "id.server CH TXT", &["\"ns1.example.test\""]);
    hold(&telling, "version.bind CH TXT", &["\"Signpost\""]);
}

#[test]
fn tells_the_version_of_its_zone() {
    let house = house("");
    // 2 labels, type 0, serial 2026112401.
    let version = "OPT=19: 02 00 78 c4 05 91";
    assert_eq!(2026112401_u32.to_be_bytes(), [0x78, 0xc4, 0x05, 0x91]);
    hold(&house, "+ednsopt=19 mail.example.test A", &[version]);
    hold(
        &house,
        "+ednsopt=19 +tcp nowhere.example.test A",
        &[version, "status: NXDOMAIN"],
    );
    hold(&house, "+ednsopt=19 example.net A", &["status: REFUSED", "!OPT=19"]);
    hold(&house, "+ednsopt=19:0200 example.test A", &["status: FORMERR"]);
}

#[test]
fn gives_away_nothing_that_amplifies() {
    let house = house("");
    hold(
        &house,
        "+nocookie example.test ANY",
        &["status: NOERROR", "ANSWER: 1,", "ADDITIONAL: 1"],
    );
    for words in [
        "example.test AXFR",
        "+tcp example.test AXFR",
        "+tcp example.test IXFR=1",
    ] {
        let said = dig(&house, words);
        assert!(
            said.contains("Transfer failed") || said.contains("status: REFUSED"),
            "dig {words}: {said}"
        );
        assert!(!said.contains("192.0.2.25"), "dig {words}: {said}");
    }
    // Minimal: no NS and no addresses beside an answer.
    hold(
        &house,
        "example.test MX",
        &["ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1", "EDNS"],
    );
    // Why it is refused (RFC 8914).
    hold(
        &house,
        "example.net A",
        &["status: REFUSED", "EDE: 20 (Not Authoritative)"],
    );
    hold(&house, "id.server CH TXT", &["EDE: 18 (Prohibited)"]);
}
