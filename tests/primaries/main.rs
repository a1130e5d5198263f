//! Signpost as a secondary of real primaries: BIND, NSD, Knot and PowerDNS have a zone of their own and a domain into
//! which Signpost composes mail records; both follow every change there.
//!
//! The zones' refresh timer is a day, so what Signpost learns of a running primary it learns by NOTIFY.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

#[path = "../common/mod.rs"]
mod common;
mod expiry;
mod peers;
#[path = "../secondaries/peers.rs"]
#[allow(dead_code, reason = "shared with the tests of secondaries")]
mod secondaries;

use common::signpost::{House, is_newer};
use common::transfers::{self, KEY_NAME, OBSERVER, TsigKey};
use common::wire::{A, SERVFAIL, SOA, TXT};
use common::{keys, wait_for};
use peers::{Kind, Primary};
use secondaries::Secondary;
use std::net::{SocketAddr, UdpSocket};

/// Served as it comes.
const PLAIN: &str = "plain.test";
/// With mail records of ours over it.
const MAIL: &str = "example.org";
const ZONES: &[&str] = &[PLAIN, MAIL];
const CHANGES: u32 = 20;

/// Version `number` of a zone.
fn version(number: u32) -> String {
    let mut text = format!(
        "$TTL 300\n@ SOA ns1 hostmaster {number} 86400 1 1209600 300\n@ NS ns1\nns1 A 127.0.0.1\n@ MX 10 mail\n\
         mail A 192.0.2.25\n*.wild TXT \"a \\\"wildcard\\\"\" \"\"\nsub NS ns.sub\nns.sub A 192.0.2.53\n\
         a\\.b TXT \"x\"\nodd TYPE65280 \\# 3 00ff0a\nversion A 192.0.2.{number}\nh{} A 192.0.2.1\n",
        number % 3
    );
    for host in 0..40 {
        text.push_str(&format!("host{host} A 192.0.2.{host}\n"));
    }
    text
}

fn write_version(primary: &Primary, number: u32) {
    ZONES.iter().for_each(|zone| primary.write(zone, &version(number)));
}

/// signpost.toml: whose secondary we are is in the zones' own files.
fn policy(key: TsigKey, notify: Option<SocketAddr>) -> String {
    let notify = notify.map(|to| format!("{{ address = \"{to}\", key = \"{KEY_NAME}\" }}"));
    format!(
        "{}\n[transfer]\nallow = [{{ address = \"127.0.0.1\", key = \"{KEY_NAME}\" }}, \"{OBSERVER}\"]\n\
         notify = [{}]\nnotify_nameservers = false\n",
        key.toml(),
        notify.unwrap_or_default()
    )
}

fn zone_policies(house: &House, primary: SocketAddr) {
    let transfer = format!("[transfer]\nprimaries = [{{ address = \"{primary}\", key = \"{KEY_NAME}\" }}]\n");
    house.write(&format!("zones/{PLAIN}.toml"), &transfer);
    let mail = format!("{transfer}\n[mail]\nspf = \"v=spf1 mx -all\"\n");
    house.write(&format!("zones/{MAIL}.toml"), mail);
}

/// Waits until both zones are of this version, to the last record.
fn wait_for_version(house: &House, primary: &Primary, number: u32) {
    for zone in ZONES {
        house.wait_for_answer("the new version", &format!("version.{zone}"), A, |message| {
            message.answers(A) == [[192, 0, 2, number as u8]]
        });
    }
    let theirs = transfers::axfr(primary.address, PLAIN).unwrap();
    assert_eq!(transfers::axfr(house.address, PLAIN).unwrap(), theirs);
    let but_soa = |server| {
        let mut records = transfers::axfr(server, MAIL).unwrap();
        records.retain(|record| record.rtype != SOA);
        records
    };
    let (ours, theirs) = (but_soa(house.address), but_soa(primary.address));
    let lacking: Vec<_> = theirs.difference(&ours).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
    let more: Vec<_> = ours.difference(&theirs).map(|record| record.rtype).collect();
    assert!(
        more.len() >= 2 && more.iter().all(|rtype| *rtype == TXT),
        "SPF and DKIM: {more:?}"
    );
}

fn follows(kind: &'static Kind) {
    let mut house = House::new("");
    let mut primary = Primary::new(kind, ZONES, house.address);
    write_version(&primary, 1);
    house.write(&format!("keys/{MAIL}/sel.private"), keys::numbered(0));
    zone_policies(&house, primary.address);
    // PowerDNS sends from ports among which ours may be.
    let held = UdpSocket::bind(house.address).unwrap();
    primary.start();
    drop(held);

    // A wrong key gets nothing: nothing is served, and the log says why. The right one heals it.
    house.write_config(&policy(primary.key.forged(), None));
    house.launch(&[], common::signpost::BINARY.as_ref());
    let why = house.wait_for_log(0, "the zone cannot be fetched");
    let reasons = ["BADSIG", "the secrets differ", "or does not know our key"];
    assert!(reasons.iter().any(|reason| why.contains(reason)), "{why}");
    house.wait_for_answer("SERVFAIL", PLAIN, SOA, |message| message.rcode == SERVFAIL);
    house.write_config(&policy(primary.key, None));
    wait_for_version(&house, &primary, 1);

    let (mark, mut serial) = (house.log_mark(), house.serial(MAIL));
    for number in 2..=CHANGES {
        write_version(&primary, number);
        primary.reload();
        wait_for_version(&house, &primary, number);
        serial = newer(&house, serial);
        if number % 5 == 0 {
            house.replace(&format!("keys/{MAIL}/sel.private"), keys::numbered(number));
            wait_for("the new key", || (house.serial(MAIL) != serial).then_some(()));
            serial = newer(&house, serial);
        }
    }
    let fetched = house.log();
    let fetched = fetched[mark..].lines().filter(|line| line.contains("zone fetched"));
    let by_ixfr = fetched.filter(|line| line.contains("kind=\"IXFR\"")).count() as u32;
    let expected = if kind.ixfr { 2 * (CHANGES - 1) } else { 0 };
    assert_eq!(by_ixfr, expected, "{}", primary.log());

    // While the primary is away, a restart serves what is on the disk, under the same serial.
    primary.stop();
    house.stop();
    house.start(ZONES);
    assert_eq!(house.serial(MAIL), serial);
    assert_eq!(house.serial(PLAIN), CHANGES);
    house.replace(&format!("keys/{MAIL}/more.private"), keys::numbered(1000));
    house.wait_for_answer("a key", &format!("more._domainkey.{MAIL}"), TXT, |message| {
        !message.answers(TXT).is_empty()
    });
    serial = newer(&house, serial);

    // It comes back with another version, and nobody has to do anything.
    primary.forget_journal();
    write_version(&primary, CHANGES + 1);
    primary.start();
    if !kind.ixfr {
        primary.reload();
    }
    wait_for_version(&house, &primary, CHANGES + 1);
    newer(&house, serial);
    house.assert_unharmed();
}

/// The serial of the composed zone, which has moved forward.
fn newer(house: &House, before: u32) -> u32 {
    let serial = house.serial(MAIL);
    assert!(is_newer(serial, before), "{serial} after {before}");
    serial
}

#[test]
fn bind_is_followed() {
    follows(&peers::BIND);
}

#[test]
fn nsd_is_followed() {
    follows(&peers::NSD);
}

#[test]
fn knot_is_followed() {
    follows(&peers::KNOT);
}

#[test]
fn powerdns_is_followed() {
    follows(&peers::POWERDNS);
}

/// BIND has the zone, Signpost composes keys into it, NSD fetches it from there.
#[test]
fn the_finished_zone_goes_on() {
    let mut secondary = Secondary::new(&secondaries::NSD);
    let mut house = House::new("");
    let mut primary = Primary::new(&peers::BIND, ZONES, house.address);
    primary.key = secondary.key;
    house.write_config(&policy(primary.key, Some(secondary.address)));
    house.write(&format!("keys/{MAIL}/sel.private"), keys::numbered(0));
    zone_policies(&house, primary.address);
    write_version(&primary, 1);
    primary.start();
    house.start(ZONES);
    wait_for_version(&house, &primary, 1);
    secondary.start(MAIL, house.address, secondary.key);
    for number in 2..=CHANGES {
        let before = house.serial(MAIL);
        if number % 2 == 0 {
            write_version(&primary, number);
            primary.reload();
            wait_for_version(&house, &primary, number);
        } else {
            house.replace(&format!("keys/{MAIL}/sel.private"), keys::numbered(number));
        }
        let serial = wait_for("the next version", || {
            Some(house.serial(MAIL)).filter(|&serial| serial != before)
        });
        secondary.wait_for_serial(MAIL, serial);
        // NSD answers by TCP from a process of before its reload for a moment, when UDP has the new version already.
        wait_for("the same zone at the secondary", || {
            let (there, here) = (
                transfers::axfr(secondary.address, MAIL),
                transfers::axfr(house.address, MAIL),
            );
            (here.is_some() && there == here).then_some(())
        });
    }
}
