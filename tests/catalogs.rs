//! Catalogs (RFC 9432): Knot and BIND serve what Signpost lists, and one Signpost what another lists.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::daemon::{Daemon, Launch};
use common::signpost::{BINARY, House};
use common::wire::{NOERROR, REFUSED, SOA, TXT, name};
use common::{client, free_port, keys, wait_for};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CATALOG: &str = "catalog.example";

fn zone(apex: &str, text: &str) -> String {
    format!(
        "$ORIGIN {apex}.\n$TTL 300\n@ IN SOA ns hostmaster 100 3600 600 86400 300\n IN NS ns\n\
         ns IN A 192.0.2.1\nwww IN TXT \"{text}\"\n"
    )
}

/// A server that fetches what the catalog lists.
struct Consumer {
    address: SocketAddr,
    _daemon: Daemon,
    dir: TempDir,
}

impl Consumer {
    fn knot(primary: SocketAddr, address: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().display();
        let (ip, port) = (primary.ip(), primary.port());
        let conf = format!(
            "server:\n    rundir: \"{here}\"\n    pidfile: \"{here}/knot.pid\"\n    listen: 127.0.0.1@{}\n\
             control:\n    listen: \"{here}/knot.sock\"\n\
             database:\n    storage: \"{here}/db\"\n\
             log:\n  - target: stderr\n    any: info\n\
             remote:\n  - id: signpost\n    address: {ip}@{port}\n\
             acl:\n  - id: told\n    address: 127.0.0.1\n    action: notify\n\
             template:\n  - id: default\n    storage: \"{here}\"\n    zonefile-sync: -1\n    zonefile-load: none\n    journal-content: all\n\
             \x20 - id: member\n    storage: \"{here}\"\n    master: signpost\n    acl: told\n    zonefile-sync: -1\n    zonefile-load: none\n    journal-content: all\n\
             zone:\n  - domain: {CATALOG}\n    master: signpost\n    acl: told\n    catalog-role: interpret\n    catalog-template: member\n",
            address.port()
        );
        fs::create_dir(dir.path().join("db")).unwrap();
        let path = dir.path().join("knot.conf");
        fs::write(&path, conf).unwrap();
        let daemon = Launch::new("knot", dir.path(), "knotd").arg("-c").arg(path).start();
        Self {
            address,
            _daemon: daemon,
            dir,
        }
    }

    fn bind(primary: SocketAddr, address: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().display();
        let port = primary.port();
        let conf = format!(
            "options {{ directory \"{here}\"; pid-file none; session-keyfile \"{here}/session.key\";\n\
             listen-on port {} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;\n\
             notify no; allow-query {{ any; }}; allow-notify {{ 127.0.0.1; }}; serial-query-rate 2000; transfers-in 200;\n\
             transfers-per-ns 200; notify-rate 1000;\n\
             catalog-zones {{ zone \"{CATALOG}\" default-primaries {{ 127.0.0.1 port {port}; }} min-update-interval 1; }}; }};\n\
             controls {{ }};\n\
             zone \"{CATALOG}\" {{ type secondary; primaries {{ 127.0.0.1 port {port}; }}; file \"catalog.db\"; }};\n",
            address.port()
        );
        let path = dir.path().join("named.conf");
        fs::write(&path, conf).unwrap();
        let daemon = Launch::new("bind", dir.path(), "named")
            .args(["-g", "-c"])
            .arg(path)
            .start();
        Self {
            address,
            _daemon: daemon,
            dir,
        }
    }

    fn texts(&self, owner: &str) -> Option<Vec<String>> {
        Some(client::ask(self.address, name(owner), TXT)?.texts(TXT))
    }

    fn wait_for_text(&self, owner: &str, text: &str) {
        wait_for(&format!("{text} at {owner} in {}", self.dir.path().display()), || {
            (self.texts(owner)? == [text]).then_some(())
        });
    }

    fn wait_until_gone(&self, apex: &str) {
        wait_for(&format!("{apex} to be gone"), || {
            let message = client::ask(self.address, name(apex), SOA)?;
            (message.rcode == REFUSED).then_some(())
        });
    }
}

/// A Signpost that lists its zones, and the address that is told of them.
fn producer(zones: &[&str]) -> (House, SocketAddr) {
    let consumer = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut house = House::new(&format!(
        "[transfer]\nallow = [\"127.0.0.1\"]\nnotify = [\"{consumer}\"]\n"
    ));
    for apex in zones {
        house.write(&format!("zones/{apex}.zone"), zone(apex, "first"));
    }
    house.write(&format!("zones/{CATALOG}.toml"), "[catalog]\n");
    let mut all = zones.to_vec();
    all.push(CATALOG);
    house.start(&all);
    (house, consumer)
}

/// Zones come, change, rotate their keys and go, and the consumer follows.
fn follows(start: impl FnOnce(SocketAddr, SocketAddr) -> Consumer) {
    let (mut house, address) = producer(&["example.org", "example.net"]);
    let consumer = start(house.address, address);
    consumer.wait_for_text("www.example.org", "first");
    consumer.wait_for_text("www.example.net", "first");
    house.write("zones/example.com.zone", zone("example.com", "new"));
    consumer.wait_for_text("www.example.com", "new");
    house.replace(
        "zones/example.org.zone",
        zone("example.org", "second").replace(" 100 ", " 101 "),
    );
    consumer.wait_for_text("www.example.org", "second");
    let key = keys::ed25519();
    house.write("keys/example.net/s1.private", &key);
    house.wait_for_answer("the key", "s1._domainkey.example.net", TXT, |message| {
        message.rcode == NOERROR
    });
    let record = house.texts("s1._domainkey.example.net", TXT);
    consumer.wait_for_text("s1._domainkey.example.net", &record[0]);
    house.remove("zones/example.com.zone");
    consumer.wait_until_gone("example.com");
    house.assert_unharmed();
}

#[test]
fn knot_follows() {
    follows(Consumer::knot);
}

#[test]
fn bind_follows() {
    follows(Consumer::bind);
}

#[test]
fn another_signpost_follows_and_keeps_what_it_knows_while_the_catalog_is_broken() {
    let (mut house, address) = producer(&["example.org", "example.net"]);
    let mut consumer = House::new("[mail.spf]\nrecord = \"v=spf1 -all\"\n");
    consumer.address = address;
    consumer.write_config("[mail.spf]\nrecord = \"v=spf1 -all\"\n");
    let primaries = format!("[catalog]\n[transfer]\nprimaries = [\"{}\"]\n", house.address);
    consumer.write(&format!("zones/{CATALOG}.toml"), primaries);
    consumer.launch(&[], Path::new(BINARY));
    let first = |message: &common::wire::Message| message.texts(TXT) == ["first"];
    consumer.wait_for_answer("the zone", "www.example.org", TXT, first);
    consumer.wait_for_answer("the zone", "www.example.net", TXT, first);
    assert_eq!(
        consumer.texts("example.org", TXT),
        [] as [String; 0],
        "a fetched zone is a faithful copy"
    );
    house.write("zones/example.com.zone", zone("example.com", "new"));
    consumer.wait_for_answer("a new one", "www.example.com", TXT, |message| {
        message.texts(TXT) == ["new"]
    });
    house.replace(
        "zones/example.org.zone",
        zone("example.org", "second").replace(" 100 ", " 101 "),
    );
    consumer.wait_for_answer("a change", "www.example.org", TXT, |message| {
        message.texts(TXT) == ["second"]
    });
    house.remove("zones/example.com.zone");
    consumer.wait_for_answer("one that left", "www.example.com", TXT, |message| {
        message.rcode == REFUSED
    });
    wait_for("its data to go with it", || {
        (!consumer.path("state/transferred/example.com.zone").exists()).then_some(())
    });

    // Its own file has a `[mail]` and nothing of transfers: it comes from the primaries of the catalog all the same.
    consumer.write("zones/example.net.toml", "[mail.spf]\nrecord = \"v=spf1 a -all\"\n");
    consumer.wait_for_answer("its mail", "example.net", TXT, |message| {
        message.texts(TXT) == ["v=spf1 a -all"]
    });
    assert_eq!(consumer.texts("www.example.net", TXT), ["first"]);

    // Broken: a zone file of ours stands in the catalog's place, without a version.
    let mark = consumer.log_mark();
    let broken = "@ 0 IN SOA invalid. invalid. 4000000 3600 600 86400 300\n@ 0 IN NS invalid.\n";
    house.write(
        &format!("zones/{CATALOG}.zone"),
        format!("$ORIGIN {CATALOG}.\n{broken}"),
    );
    consumer.wait_for_log(mark, "no catalog that can be used: it has no version record");
    assert_eq!(consumer.texts("www.example.net", TXT), ["first"]);

    // It knows its zones after a restart without the primary.
    house.kill();
    consumer.kill();
    consumer.launch(&[], Path::new(BINARY));
    consumer.wait_for_answer("what is stored", "www.example.org", TXT, |message| {
        message.texts(TXT) == ["second"]
    });
    consumer.assert_unharmed();
}

#[test]
fn only_who_may_fetch_a_catalog_sees_it() {
    let (house, _) = producer(&["example.org"]);
    assert_eq!(house.ask(CATALOG, SOA).rcode, NOERROR);
    assert_eq!(house.texts(&format!("version.{CATALOG}"), TXT), ["2"]);
    house.write(
        &format!("zones/{CATALOG}.toml"),
        "[catalog]\n[transfer]\nallow = [\"192.0.2.1\"]\n",
    );
    house.wait_for_answer("refusal", &format!("version.{CATALOG}"), TXT, |message| {
        message.rcode == REFUSED
    });
    assert_eq!(house.ask("www.example.org", TXT).rcode, NOERROR);
}

const MANY: usize = 10_000;

fn many(start: impl FnOnce(SocketAddr, SocketAddr) -> Consumer, what: &str) {
    let names: Vec<String> = (0..MANY).map(|number| format!("d{number}.example")).collect();
    let consumer_at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut house = House::new(&format!(
        "[transfer]\nallow = [\"127.0.0.1\"]\nnotify = [\"{consumer_at}\"]\n"
    ));
    for apex in &names {
        house.write(&format!("zones/{apex}.zone"), zone(apex, "first"));
    }
    house.write(&format!("zones/{CATALOG}.toml"), "[catalog]\n");
    house.start(&[&names[0], &names[MANY - 1], CATALOG]);
    let began = Instant::now();
    let consumer = start(house.address, consumer_at);
    let until = began + Duration::from_secs(600);
    for apex in &names {
        let owner = format!("www.{apex}");
        while consumer.texts(&owner).is_none_or(|texts| texts != ["first"]) {
            assert!(Instant::now() < until, "{owner} does not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    println!(
        "{what}: {MANY} zones provisioned in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    // One rotation.
    let mut took: Vec<Duration> = vec![];
    for number in 0..20 {
        let apex = &names[number * 400];
        let owner = format!("s{number}._domainkey.{apex}");
        let key = keys::ed25519();
        let began = Instant::now();
        house.replace(&format!("keys/{apex}/s{number}.private"), &key);
        while consumer.texts(&owner).is_none_or(|texts| texts.is_empty()) {
            assert!(began.elapsed() < Duration::from_secs(10), "{owner} does not come");
            std::thread::sleep(Duration::from_millis(2));
        }
        took.push(began.elapsed());
    }
    took.sort();
    println!(
        "{what}: a rotation arrives after {:?} (median), {:?} (worst)",
        took[10], took[19]
    );
    assert!(took[19] < Duration::from_secs(1), "{took:?}");
    // A thousand at once.
    let key = keys::ed25519();
    let began = Instant::now();
    for apex in names.iter().take(1000) {
        house.replace(&format!("keys/{apex}/all.private"), &key);
    }
    for apex in names.iter().take(1000) {
        let owner = format!("all._domainkey.{apex}");
        while consumer.texts(&owner).is_none_or(|texts| texts.is_empty()) {
            assert!(began.elapsed() < Duration::from_secs(120), "{owner} is lost");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    println!(
        "{what}: a thousand rotations at once arrive in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    house.assert_unharmed();
}

#[test]
#[ignore = "a measurement, for release builds"]
fn ten_thousand_zones_in_knot() {
    many(Consumer::knot, "Knot");
}

#[test]
#[ignore = "a measurement, for release builds"]
fn ten_thousand_zones_in_bind() {
    many(Consumer::bind, "BIND");
}
