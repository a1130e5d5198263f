//! A part of a domain: BIND keeps `example.org` and delegates `_domainkey` and `_dmarc` to Signpost, where no
//! zone file is; SOA and NS come from `[zone]`, the rest from keys and policy.
//!
//! The first test has all of it in a network namespace: BIND, Signpost and a resolver (Unbound) on port 53 of
//! three loopback addresses, so that the delegation is followed as in the world. Needs root, for the namespace.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::keys;
use common::netns::Namespace;
use common::peers::{self, ZoneOf};
use common::signpost::{BINARY, House, is_newer};
use common::wait_for;
use common::wire::{AA, NOERROR, NS, NXDOMAIN, REFUSED, SOA, TXT, name};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// The hoster's zone: the whole domain but for two names.
const AT_THE_HOSTER: &str = "\
$ORIGIN example.org.
$TTL 300
@ IN SOA ns.hoster hostmaster 1 14400 3600 1209600 300
@ IN NS ns.hoster
@ IN MX 10 mail
mail IN A 192.0.2.25
ns.hoster IN A 127.0.0.1
ns1 IN A 127.0.0.2
_domainkey IN NS ns1.example.org.
_dmarc IN NS ns1.example.org.
";

const KEYS_TOML: &str = "[zone]\nnameservers = [\"ns1.example.org\"]\nttl = \"2s\"\nminimum = \"2s\"\n";
const DMARC_TOML: &str =
    "[zone]\nnameservers = [\"ns1.example.org\"]\n\n[mail.dmarc]\npolicy = \"reject\"\nttl = \"2s\"\n";

const KEYS: &str = "_domainkey.example.org";
const DMARC: &str = "_dmarc.example.org";
const SELECTOR: &str = "sel._domainkey.example.org";

/// What dig says inside of the namespace.
struct Dig<'n>(&'n Namespace);

impl Dig<'_> {
    fn ask(&self, server: &str, owner: &str, rtype: &str) -> String {
        let at = format!("@{server}");
        let output = self
            .0
            .output("dig", &["+tries=1", "+time=2", "+nosplit", &at, owner, rtype]);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The data of the answer, texts put together.
    fn data(&self, server: &str, owner: &str, rtype: &str) -> Vec<String> {
        let said = self.ask(server, owner, rtype);
        let answer = said.split(";; ANSWER SECTION:\n").nth(1).unwrap_or_default();
        let lines = answer.lines().take_while(|line| !line.is_empty());
        lines
            .map(|line| {
                line.split_whitespace()
                    .skip(4)
                    .collect::<Vec<_>>()
                    .join(" ")
                    .replace(['"', ' '], "")
            })
            .collect()
    }
}

fn has_public_half(texts: &[String], pem: &str, house: &House) -> bool {
    let public = keys::public_half(pem, &house.path(""));
    matches!(texts, [text] if text.ends_with(&format!("p={public}")))
}

#[test]
fn a_resolver_follows_the_delegation_and_a_rotation() {
    const HOSTER: &str = "127.0.0.1";
    const SIGNPOST: &str = "127.0.0.2";
    const RESOLVER: &str = "127.0.0.3";
    let house = House::new("");
    house.replace(
        "signpost.toml",
        "listen = [\"127.0.0.2:53\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n\
         [mail]\nspf = \"v=spf1 -all\"\nservices = { imaps = \"mail\" }\n",
    );
    house.write(&format!("zones/{KEYS}.toml"), KEYS_TOML);
    house.write(&format!("zones/{DMARC}.toml"), DMARC_TOML);
    let first = keys::rsa();
    house.write("keys/example.org/sel.private", &first);

    let namespace = Namespace::new();
    let dig = Dig(&namespace);
    for folder in ["bind", "unbound"] {
        fs::create_dir(house.path(folder)).unwrap();
    }
    house.write("bind/example.org.zone", AT_THE_HOSTER);
    let zones = [ZoneOf {
        apex: name("example.org"),
        file: house.path("bind/example.org.zone"),
    }];
    let _bind = peers::bind_in(&namespace, &house.path("bind"), &zones);
    let config = house.path("signpost.toml");
    let _signpost = namespace.start(
        "signpost",
        &house.path("state"),
        BINARY,
        ["--config", config.to_str().unwrap()],
    );
    house.write(
        "unbound/unbound.conf",
        format!(
            "server:\n directory: \"{0}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n interface: {RESOLVER}\n \
             do-not-query-localhost: no\n access-control: 127.0.0.0/8 allow\n num-threads: 1\n use-syslog: no\n \
             logfile: \"\"\n module-config: \"iterator\"\n qname-minimisation: yes\n\
             remote-control:\n control-enable: no\n\
             stub-zone:\n name: \"example.org\"\n stub-addr: {HOSTER}\n",
            house.path("unbound").display()
        ),
    );
    let conf = house.path("unbound/unbound.conf");
    let _unbound = namespace.start(
        "unbound",
        &house.path("unbound"),
        "unbound",
        ["-d", "-c", conf.to_str().unwrap()],
    );
    wait_for("BIND", || {
        (!dig.data(HOSTER, "example.org", "SOA").is_empty()).then_some(())
    });
    wait_for("Signpost", || {
        (!dig.data(SIGNPOST, KEYS, "SOA").is_empty()).then_some(())
    });
    wait_for("Signpost", || {
        (!dig.data(SIGNPOST, DMARC, "SOA").is_empty()).then_some(())
    });
    wait_for("Unbound", || {
        (!dig.data(RESOLVER, "mail.example.org", "A").is_empty()).then_some(())
    });

    // Through the delegation.
    let key = dig.data(RESOLVER, SELECTOR, "TXT");
    assert!(has_public_half(&key, &first, &house), "{key:?}");
    assert_eq!(dig.data(RESOLVER, DMARC, "TXT"), ["v=DMARC1;p=reject"]);
    assert_eq!(
        dig.data(RESOLVER, "mail.example.org", "A"),
        ["192.0.2.25"],
        "the rest is the hoster's"
    );
    assert_eq!(dig.data(RESOLVER, KEYS, "NS"), ["ns1.example.org."]);

    // What is not there.
    for (owner, rtype, status) in [
        ("none._domainkey.example.org", "TXT", "NXDOMAIN"),
        (SELECTOR, "A", "NOERROR"),
        (KEYS, "TXT", "NOERROR"),
        (DMARC, "A", "NOERROR"),
        ("none._dmarc.example.org", "TXT", "NXDOMAIN"),
    ] {
        for server in [SIGNPOST, RESOLVER] {
            let said = dig.ask(server, owner, rtype);
            assert!(
                said.contains(&format!("status: {status}")) && said.contains("ANSWER: 0"),
                "{server}: {said}"
            );
        }
    }

    // A rotation is seen as soon as the TTL of what the resolver has is over, and no sooner than Signpost has it.
    let second = keys::rsa();
    house.replace("keys/example.org/sel.private", &second);
    wait_for("the second key", || {
        has_public_half(&dig.data(SIGNPOST, SELECTOR, "TXT"), &second, &house).then_some(())
    });
    let begin = Instant::now();
    wait_for("the second key at the resolver", || {
        has_public_half(&dig.data(RESOLVER, SELECTOR, "TXT"), &second, &house).then_some(())
    });
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());

    // A selector that was asked for too early is there when the negative TTL is over.
    let third = keys::rsa();
    assert!(
        dig.ask(RESOLVER, "next._domainkey.example.org", "TXT")
            .contains("status: NXDOMAIN")
    );
    house.write("keys/example.org/next.private", &third);
    let begin = Instant::now();
    wait_for("the new selector at the resolver", || {
        let texts = dig.data(RESOLVER, "next._domainkey.example.org", "TXT");
        has_public_half(&texts, &third, &house).then_some(())
    });
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    house.write(&format!("zones/{DMARC}.toml"), DMARC_TOML.replace("reject", "none"));
    wait_for("the new policy at the resolver", || {
        (dig.data(RESOLVER, DMARC, "TXT") == ["v=DMARC1;p=none"]).then_some(())
    });
}

/// Both parts served on a free port.
fn serving(policy: &str) -> House {
    let mut house = House::new(policy);
    house.write(&format!("zones/{KEYS}.toml"), KEYS_TOML);
    house.write(&format!("zones/{DMARC}.toml"), DMARC_TOML);
    house.write("keys/example.org/sel.private", keys::rsa());
    let key = house.path("keys/example.org/sel.private");
    fs::set_permissions(key, fs::Permissions::from_mode(0o640)).unwrap();
    house.start(&[KEYS, DMARC]);
    house
}

#[test]
fn such_a_zone_is_whole_and_says_where_it_comes_from() {
    let mut house = serving("[mail]\nspf = \"v=spf1 -all\"\nsends = true\ncaa = { issue = [] }\n");
    for zone in [KEYS, DMARC] {
        for rtype in [SOA, NS] {
            let answer = house.ask(zone, rtype);
            assert!(answer.has(AA) && answer.answers(rtype).len() == 1, "{answer:?}");
        }
    }
    // Until everything is loaded no name is known to be none of ours.
    house.wait_for_answer("the rest is not ours", "example.org", SOA, |message| {
        message.rcode == REFUSED
    });
    assert_eq!(house.texts(DMARC, TXT), ["v=DMARC1; p=reject"]);
    assert_eq!(house.ask(&format!("_dmarc.{DMARC}"), TXT).rcode, NXDOMAIN);
    assert_eq!(house.ask(&format!("_dmarc.{KEYS}"), TXT).rcode, NXDOMAIN);
    let negative = house.ask(KEYS, TXT);
    assert_eq!((negative.rcode, negative.answer.len()), (NOERROR, 0), "no SPF here");

    let report = house.wait_for_log(0, "Serving 2 zones");
    let origin = format!("composed from {}", house.path(format!("zones/{KEYS}.toml")).display());
    assert!(report.contains(&origin), "{report}");
    assert!(report.contains("DKIM  sel  TXT"), "{report}");
    let list = String::from_utf8(house.command(&["zone", "list"]).stdout).unwrap();
    assert!(
        list.contains(&format!("{KEYS}. serial 1, 3 records, {origin}")),
        "{list}"
    );
    let print = String::from_utf8(house.command(&["zone", "print", KEYS]).stdout).unwrap();
    assert!(
        print.contains("SOA\tns1.example.org. hostmaster.example.org. 1 "),
        "{print}"
    );
    house.stop();
    let check = house.command(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && said.contains("all is well"), "{said}");
    house.start(&[KEYS, DMARC]);
    assert_eq!(
        (house.serial(KEYS), house.serial(DMARC)),
        (1, 1),
        "the same content, the same serial"
    );
    house.assert_unharmed();
}

#[test]
fn the_serial_moves_with_the_content_and_never_back() {
    let mut house = serving("");
    let second = keys::rsa();
    house.write("keys/example.org/second.private", &second);
    house.wait_for_answer("the second key", "second._domainkey.example.org", TXT, |message| {
        message.answer.len() == 1
    });
    let with_second = house.serial(KEYS);
    assert!(is_newer(with_second, 1), "{with_second}");
    assert_eq!(house.serial(DMARC), 1, "the other zone has not changed");

    // An edit of [zone] is served at once, with nothing composed besides, too.
    let other = KEYS_TOML.replace("[\"ns1.example.org\"]", "[\"ns1.example.org\", \"ns2.example.net\"]");
    house.write(&format!("zones/{KEYS}.toml"), &other);
    house.wait_for_answer("two name servers", KEYS, NS, |message| message.answer.len() == 2);
    let with_two = house.serial(KEYS);
    assert!(is_newer(with_two, with_second), "{with_two} after {with_second}");

    // The serial may be raised by hand.
    let other = format!("{other}serial = 900\n");
    house.write(&format!("zones/{KEYS}.toml"), &other);
    house.wait_for_answer("the serial asked for", KEYS, SOA, |message| {
        message.serial() == Some(900)
    });
    let with_two = 900;

    // A broken edit leaves the last good version.
    let mark = house.log_mark();
    house.write(
        &format!("zones/{KEYS}.toml"),
        other.replace("nameservers", "nameserver"),
    );
    let told = house.wait_for_log(mark, "config-unknown-key");
    assert!(told.contains("did you mean `nameservers`"), "{told}");
    assert_eq!((house.ask(KEYS, NS).answer.len(), house.serial(KEYS)), (2, with_two));

    // A crash forgets nothing; neither does the removal of the file.
    house.kill();
    house.write(&format!("zones/{KEYS}.toml"), &other);
    house.start(&[KEYS]);
    assert_eq!(house.serial(KEYS), with_two);
    house.remove(&format!("zones/{KEYS}.toml"));
    house.wait_for_answer("no zone", KEYS, SOA, |message| message.rcode == REFUSED);
    assert_eq!(house.ask(DMARC, SOA).rcode, NOERROR);
    house.write(&format!("zones/{KEYS}.toml"), KEYS_TOML);
    house.wait_for_answer("the zone again", KEYS, NS, |message| message.answer.len() == 1);
    let again = house.serial(KEYS);
    assert!(is_newer(again, with_two), "{again} after {with_two}");
    house.assert_unharmed();
}

#[test]
fn a_zone_file_takes_over_and_gives_back() {
    let mut house = serving("");
    let mark = house.log_mark();
    let file = "$TTL 60\n@ IN SOA ns9.example.org. hostmaster.example.org. 50 14400 3600 1209600 300\n\
                @ IN NS ns9.example.org.\nnote IN TXT \"by hand\"\n";
    house.write(&format!("zones/{KEYS}.zone"), file);
    house.wait_for_answer("the file's record", "note._domainkey.example.org", TXT, |message| {
        message.texts(TXT) == ["by hand"]
    });
    house.wait_for_log(mark, "zone-table-unused");
    assert_eq!(house.ask(SELECTOR, TXT).answer.len(), 1, "the key stays");
    let with_file = house.serial(KEYS);
    assert!(is_newer(with_file, 1), "{with_file}");
    house.remove(&format!("zones/{KEYS}.zone"));
    house.wait_for_answer("[zone] again", "note._domainkey.example.org", TXT, |message| {
        message.rcode == NXDOMAIN
    });
    assert!(is_newer(house.serial(KEYS), with_file));
    house.assert_unharmed();
}

#[test]
fn with_the_whole_domain_here_too_each_name_is_in_its_closest_zone() {
    let mut house = House::new("[mail.dmarc]\npolicy = \"none\"\nrua = [\"mailto:d@example.net\"]\n");
    let whole = "$ORIGIN example.org.\n$TTL 60\n@ IN SOA ns1 hostmaster 10 14400 3600 1209600 300\n@ IN NS ns1\n\
                 ns1 IN A 192.0.2.1\n_domainkey IN NS ns1\n";
    house.write("zones/example.org.zone", whole);
    house.write("keys/example.org/sel.private", keys::rsa());
    house.write(
        "zones/example.net.zone",
        whole.replace("org", "net").replace("_domainkey IN NS ns1\n", ""),
    );
    house.start(&["example.org", "example.net"]);
    let leave = "example.org._report._dmarc.example.net";
    house.wait_for_answer("leave to report", leave, TXT, |message| {
        message.texts(TXT) == ["v=DMARC1"]
    });
    assert_eq!(house.ask(SELECTOR, TXT).answer.len(), 0, "delegated away");

    // The part comes: the key is there, the domain keeps the delegation.
    house.write(&format!("zones/{KEYS}.toml"), KEYS_TOML);
    let answer = house.wait_for_answer("the key", SELECTOR, TXT, |message| message.answer.len() == 1);
    assert!(answer.has(AA));
    assert!(house.ask(KEYS, NS).has(AA));
    // Its keys rotate there, and the domain's own zone does not move.
    let (of_domain, of_part) = (house.serial("example.org"), house.serial(KEYS));
    house.write("keys/example.org/next.private", keys::rsa());
    house.wait_for_answer("the next key", "next._domainkey.example.org", TXT, |message| {
        message.answer.len() == 1
    });
    assert!(is_newer(house.serial(KEYS), of_part));
    assert_eq!(house.serial("example.org"), of_domain);

    let status = String::from_utf8(house.command(&["status"]).stdout).unwrap();
    assert!(!status.contains("has no NS records"), "{status}");

    // The DMARC record moves with its zone, and back; who may report is decided by the zone that has it.
    house.write(&format!("zones/{DMARC}.toml"), DMARC_TOML);
    house.wait_for_answer("the policy of the part", DMARC, TXT, |message| {
        message.texts(TXT) == ["v=DMARC1; p=reject; rua=mailto:d@example.net"]
    });
    house.write(
        &format!("zones/{DMARC}.toml"),
        DMARC_TOML.replace("ttl", "rua = []\nttl"),
    );
    house.wait_for_answer("nobody reports", leave, TXT, |message| message.answer.is_empty());
    let print = String::from_utf8(house.command(&["zone", "print", "example.org"]).stdout).unwrap();
    assert!(!print.contains("v=DMARC1"), "{print}");
    let status = String::from_utf8(house.command(&["status"]).stdout).unwrap();
    assert!(status.contains("example.org. has no NS records for it"), "{status}");
    house.remove(&format!("zones/{DMARC}.toml"));
    house.wait_for_answer("the policy of the domain", DMARC, TXT, |message| {
        message.texts(TXT) == ["v=DMARC1; p=none; rua=mailto:d@example.net"]
    });
    house.wait_for_answer("leave to report", leave, TXT, |message| {
        message.texts(TXT) == ["v=DMARC1"]
    });
    house.assert_unharmed();
}

#[test]
fn a_single_selector_can_be_delegated_and_leave_to_report_too() {
    let mut house = House::new("");
    house.write(&format!("zones/{SELECTOR}.toml"), KEYS_TOML);
    house.write("zones/_report._dmarc.example.org.toml", KEYS_TOML);
    let other = "@ 60 IN SOA ns1.example.net. h.example.net. 1 14400 3600 1209600 300\n@ 60 IN NS ns1.example.net.\n";
    house.write("zones/example.com.zone", other);
    house.write(
        "zones/example.com.toml",
        "mail.dmarc = \"v=DMARC1; p=none; rua=mailto:d@example.org\"\n",
    );
    for selector in ["sel", "other"] {
        house.write(&format!("keys/example.org/{selector}.private"), keys::rsa());
    }
    house.start(&[SELECTOR, "_report._dmarc.example.org", "example.com"]);
    assert_eq!(house.ask(SELECTOR, TXT).answer.len(), 1);
    // Until everything is loaded no name is known to be none of ours.
    house.wait_for_answer("nobody's key", "other._domainkey.example.org", TXT, |message| {
        message.rcode == REFUSED
    });
    assert_eq!(house.texts("example.com._report._dmarc.example.org", TXT), ["v=DMARC1"]);
    // The zone of all selectors comes above it: each key is in the closest one.
    house.write(&format!("zones/{KEYS}.toml"), KEYS_TOML);
    house.wait_for_answer("the other key", "other._domainkey.example.org", TXT, |message| {
        message.answer.len() == 1
    });
    let print = String::from_utf8(house.command(&["zone", "print", KEYS]).stdout).unwrap();
    assert!(
        print.contains("other._domainkey") && !print.contains("sel._domainkey"),
        "{print}"
    );
    // The end of a key is seen wherever it stands.
    let revoked = house.command(&["key", "revoke", "example.org", "sel"]);
    assert!(revoked.status.success(), "{revoked:?}");
    assert!(house.texts(SELECTOR, TXT)[0].ends_with("p="));
    house.assert_unharmed();
}

#[test]
fn what_is_missing_is_told_with_its_cure() {
    let mut house = House::new("");
    house.write(&format!("zones/{KEYS}.toml"), "[zone]\nttl = \"1h\"\n");
    house.write(&format!("zones/{DMARC}.toml"), "[mail.dmarc]\npolicy = \"none\"\n");
    house.write("zones/_mta-sts.example.org.toml", KEYS_TOML);
    house.write("keys/example.org/sel.private", keys::rsa());
    let check = house.command(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(!check.status.success(), "{said}");
    for part in [
        "_domainkey.example.org.toml:1:1: error: `nameservers` is missing in [zone]",
        "_dmarc.example.org.toml: warning: there is no zone _dmarc.example.org.",
        "[policy-without-zone]",
        "or write [zone] with `nameservers =",
        "_mta-sts.example.org.toml:1: note: _mta-sts.example.org. has no records but SOA and NS",
    ] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    house.start(&["_mta-sts.example.org"]);
    house.wait_for_log(0, "policy-without-zone");
    let status = String::from_utf8(house.command(&["status"]).stdout).unwrap();
    assert!(status.contains("there is no zone _dmarc.example.org."), "{status}");
    let list = String::from_utf8(house.command(&["key", "list"]).stdout).unwrap();
    assert!(list.contains("no keys are published"), "{list}");
    // Mended, both are served, and what was told is over.
    house.write(&format!("zones/{KEYS}.toml"), KEYS_TOML);
    house.write(&format!("zones/{DMARC}.toml"), DMARC_TOML);
    house.wait_for_answer("the first", KEYS, SOA, |message| message.answer.len() == 1);
    house.wait_for_answer("the key", SELECTOR, TXT, |message| message.answer.len() == 1);
    house.wait_for_answer("the second", DMARC, TXT, |message| message.answer.len() == 1);
    let status = String::from_utf8(house.command(&["status"]).stdout).unwrap();
    assert!(!status.contains("there is no zone"), "{status}");
    house.assert_unharmed();
}
