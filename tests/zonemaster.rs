//! Zonemaster's judgement of two Signpost name servers that serve a delegated zone, and a zone without a file that is
//! delegated from it: no finding at NOTICE or above.
//!
//! All of it happens in a network namespace, which has a root and a top-level zone of its own, served by a third
//! Signpost, so that the delegation is tested like any other. Needs root, for the namespace.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

mod common;

use common::netns::Namespace;
use common::signpost::{BINARY, House};
use common::wait_for;
use serde_json::Value;
use std::path::Path;

/// What cannot be otherwise here: (tag, why).
const EXPECTED: [(&str, &str); 3] = [
    (
        "NAMESERVER_IP_PRIVATE_NETWORK",
        "the addresses are those set aside for examples (RFC 5737, RFC 3849)",
    ),
    ("NEITHER_DNSKEY_NOR_DS", "the zone is not signed"),
    ("NOT_SIGNED", "the zone is not signed"),
];

/// The same of a zone that is no mail domain and whose name has an underscore.
const OF_PART: [(&str, &str); 2] = [
    (
        "NON_ALLOWED_CHARS",
        "no host has an underscore in its name, and this is none (RFC 8552)",
    ),
    ("Z09_MISSING_MAIL_TARGET", "no mail is sent to such a name"),
];

const ROOT: &str = "\
$TTL 86400
@ SOA a.root-servers.test. hostmaster.example.test. 2026112401 14400 7200 1209600 86400
@ NS a.root-servers.test.
test. NS a.root-servers.test.
a.root-servers.test. A 198.51.100.1
a.root-servers.test. AAAA 2001:db8:1::1
; Who the name servers are, by address.
53.2.0.192.in-addr.arpa. PTR ns1.example.test.
53.113.0.203.in-addr.arpa. PTR ns2.example.test.
3.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR ns1.example.test.
3.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR ns2.example.test.
";

const TEST: &str = "\
$TTL 86400
@ SOA a.root-servers hostmaster.example 2026112401 14400 7200 1209600 86400
@ NS a.root-servers
a.root-servers A 198.51.100.1
a.root-servers AAAA 2001:db8:1::1
example NS ns1.example
example NS ns2.example
ns1.example A 192.0.2.53
ns1.example AAAA 2001:db8:2::53
ns2.example A 203.0.113.53
ns2.example AAAA 2001:db8:3::53
";

const EXAMPLE: &str = "\
$TTL 86400
@ SOA ns1 hostmaster 2026112401 14400 7200 1209600 86400
@ NS ns1
@ NS ns2
@ MX 10 mail
@ A 192.0.2.25
@ AAAA 2001:db8:2::25
ns1 A 192.0.2.53
ns1 AAAA 2001:db8:2::53
ns2 A 203.0.113.53
ns2 AAAA 2001:db8:3::53
mail A 192.0.2.25
mail AAAA 2001:db8:2::25
_domainkey NS ns1
_domainkey NS ns2
";

/// The same servers' zone without a file, `_domainkey.example.test`.
const PART: &str = "[zone]\nnameservers = [\"ns1.example.test\", \"ns2.example.test\"]\n";

const POLICY: &str = "[mail.spf]\nrecord = \"v=spf1 mx -all\"\n[mail.dmarc]\npolicy = \"reject\"\n";

/// A server on port 53 of these addresses of the namespace.
fn serve(namespace: &Namespace, addresses: [&str; 2], files: &[(&str, &str)], policy: &str) -> House {
    for address in addresses {
        let added = namespace.output("ip", &["address", "add", address, "dev", "lo"]);
        assert!(added.status.success(), "{added:?}");
    }
    let [v4, v6] = addresses;
    let mut house = House::new("");
    let listen =
        format!("listen = [\"{v4}:53\", \"[{v6}]:53\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n");
    house.replace("signpost.toml", format!("{listen}{policy}"));
    for (file, text) in files {
        house.write(&format!("zones/{file}"), text);
    }
    house.launch(&namespace.prefix(), Path::new(BINARY));
    for (file, _) in files {
        let apex = file
            .rsplit_once('.')
            .map(|(zone, _)| zone.replace("root", "."))
            .unwrap();
        wait_for(&format!("{v6} to serve {apex}"), || {
            let server = format!("@{v6}");
            let said = namespace.output(
                "dig",
                &[&server, "+short", "+norecurse", "+time=2", "+tries=1", &apex, "SOA"],
            );
            String::from_utf8_lossy(&said.stdout)
                .contains("hostmaster")
                .then_some(())
        });
    }
    house
}

#[test]
fn zonemaster_finds_nothing() {
    let namespace = Namespace::new();
    let parents = [("root.zone", ROOT), ("test.zone", TEST)];
    let _root = serve(&namespace, ["198.51.100.1", "2001:db8:1::1"], &parents, "");
    let zones = [("example.test.zone", EXAMPLE), ("_domainkey.example.test.toml", PART)];
    let _first = serve(&namespace, ["192.0.2.53", "2001:db8:2::53"], &zones, POLICY);
    let _second = serve(&namespace, ["203.0.113.53", "2001:db8:3::53"], &zones, POLICY);
    // Where the mail goes must be there too.
    assert!(
        namespace
            .output("ip", &["address", "add", "192.0.2.25", "dev", "lo"])
            .status
            .success()
    );
    judge(&namespace, "example.test", &[]);
    judge(&namespace, "_domainkey.example.test", &OF_PART);
}

/// Has Zonemaster judge a zone, and asserts that nothing is found but what cannot be otherwise.
fn judge(namespace: &Namespace, zone: &str, expected: &[(&str, &str)]) {
    let hints = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        hints.path(),
        ". 3600000 NS a.root-servers.test.\n\
         a.root-servers.test. 3600000 A 198.51.100.1\n\
         a.root-servers.test. 3600000 AAAA 2001:db8:1::1\n",
    )
    .unwrap();
    let hints = hints.path().to_str().unwrap();
    let words = [zone, "--hints", hints, "--level", "DEBUG", "--json", "--no-progress"];
    let output = namespace.output("zonemaster-cli", &words);
    let said: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let word = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();

    let ended: Vec<String> = said
        .iter()
        .filter(|entry| word(entry, "tag") == "TEST_CASE_END")
        .map(|entry| word(entry, "testcase"))
        .collect();
    assert!(ended.len() >= 50, "all of its tests were run: {ended:?}");
    for test in [
        "ADDRESS02",
        "CONNECTIVITY02",
        "CONSISTENCY06",
        "DELEGATION07",
        "NAMESERVER13",
        "ZONE10",
    ] {
        assert!(ended.iter().any(|ended| ended == test), "{test} was run: {ended:?}");
    }
    let findings: Vec<&Value> = said
        .iter()
        .filter(|entry| ["NOTICE", "WARNING", "ERROR", "CRITICAL"].contains(&word(entry, "level").as_str()))
        .filter(|entry| {
            !EXPECTED
                .iter()
                .chain(expected)
                .any(|(tag, _)| word(entry, "tag") == *tag)
        })
        .collect();
    assert!(findings.is_empty(), "{findings:#?}");
}
