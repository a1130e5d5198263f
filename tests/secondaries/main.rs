//! Signpost as a primary of real secondaries: NSD, Knot, BIND and PowerDNS fetch a zone into which keys are composed,
//! are told of each of 200 rotations, and have the same records after each as Signpost itself.
//!
//! The zone's refresh timer is a day, so what a secondary learns it learns by NOTIFY.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

#[path = "../common/mod.rs"]
mod common;
mod notify;
mod peers;
mod requests;

use common::keys;
use common::signpost::House;
use common::transfers::{self, KEY_NAME, OBSERVER, TsigKey};
use common::wait_for;
use common::wire::TXT;
use peers::{Kind, Secondary};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const ZONE: &str = "example.org";
const ROTATIONS: u32 = 200;
/// So often in between all records are compared.
const COMPARED: u32 = 5;

/// A zone of a few dozen names, so that a rotation is a small part of it.
fn zone_file() -> String {
    let mut text = "$TTL 300\n@ SOA ns1 hostmaster 2026010100 86400 86400 1209600 300\n@ NS ns1\nns1 A 127.0.0.1\n\
                    @ MX 10 mail\nmail A 192.0.2.25\n*.wild TXT \"a \\\"wildcard\\\"\" \"\"\n\
                    a\\.b TXT \"x\"\nMiXeD CNAME Target.Example.ORG.\nsub NS ns.sub\nns.sub A 192.0.2.53\n\
                    odd TYPE65280 \\# 3 00ff0a\n"
        .to_owned();
    for number in 0..40 {
        text.push_str(&format!("host{number} A 192.0.2.{number}\n"));
    }
    text
}

/// Who may have the zone and who is told.
fn policy(key: TsigKey, notify: Option<SocketAddr>) -> String {
    let notify = notify.map(|to| format!("{{ address = \"{to}\", key = \"{KEY_NAME}\" }}"));
    format!(
        "[mail]\n\n{}\n[transfer]\nallow = [{{ address = \"127.0.0.1\", key = \"{KEY_NAME}\" }}, \"{OBSERVER}\"]\n\
         notify = [{}]\nnotify_nameservers = false\n",
        key.toml(),
        notify.unwrap_or_default()
    )
}

/// A new key in place of the old one, and now and then a selector more; returns the new serial.
fn rotate(house: &House, number: u32) -> u32 {
    let before = house.serial(ZONE);
    let selector = number / 50;
    house.replace(&format!("keys/{ZONE}/sel{selector}.private"), keys::numbered(number));
    wait_for("the new key's serial", || {
        transfers::serial(house.address, ZONE).filter(|&serial| serial != before)
    })
}

/// Waits until the secondary has what the primary has, to the last record: a process of NSD that ends may give the zone
/// of before once more.
fn assert_equal(house: &House, secondary: &Secondary) {
    let mut difference = String::new();
    let is_equal = |difference: &mut String| {
        let (ours, theirs) = (
            transfers::axfr(house.address, ZONE).unwrap(),
            transfers::axfr(secondary.address, ZONE).unwrap(),
        );
        let lacking: Vec<_> = ours.difference(&theirs).collect();
        let surplus: Vec<_> = theirs.difference(&ours).collect();
        *difference = format!("it lacks {lacking:#?}, and has {surplus:#?}");
        lacking.is_empty() && surplus.is_empty()
    };
    let end = Instant::now() + Duration::from_secs(10);
    while !is_equal(&mut difference) {
        assert!(Instant::now() < end, "{difference}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn count(log: &str, part: &str) -> usize {
    log.lines().filter(|line| line.contains(part)).count()
}

fn serves(kind: &'static Kind) {
    let mut secondary = Secondary::new(kind);
    let mut house = House::new(&policy(secondary.key, Some(secondary.address)));
    house.write(&format!("zones/{ZONE}.zone"), zone_file());
    house.write(&format!("keys/{ZONE}/sel0.private"), keys::numbered(0));
    house.start(&[ZONE]);

    // A wrong key gets nothing, and the log says why.
    secondary.start(ZONE, house.address, secondary.key.forged());
    house.wait_for_log(0, "the secrets differ");
    assert_eq!(transfers::serial(secondary.address, ZONE), None);
    secondary.stop();

    secondary.start(ZONE, house.address, secondary.key);
    secondary.wait_for_serial(ZONE, house.serial(ZONE));
    assert_equal(&house, &secondary);

    let (sent, told) = (house.log_mark(), secondary.log().len());
    for number in 1..=ROTATIONS {
        let serial = rotate(&house, number);
        if number % kind.pace == 0 {
            secondary.wait_for_serial(ZONE, serial);
        }
        if number % (ROTATIONS / COMPARED) == 0 {
            assert_equal(&house, &secondary);
        }
    }
    let log = house.log();
    let transfers = (ROTATIONS / kind.pace) as usize;
    assert_eq!(count(&log[sent..], "to=127.0.0.1 kind=\"AXFR\""), 0);
    let ours = count(&log[sent..], "to=127.0.0.1 kind=\"IXFR\"");
    let theirs = count(&secondary.log()[told..], kind.ixfr);
    assert!(
        ours >= transfers && theirs >= transfers,
        "{ours}, {theirs}: {}",
        secondary.log()
    );

    // What it missed while it was off comes in one piece.
    secondary.wait_until_stored(ZONE, house.serial(ZONE));
    secondary.stop();
    let serial = (1..=5).fold(0, |_, more| rotate(&house, ROTATIONS + more));
    let sent = house.log_mark();
    secondary.start(ZONE, house.address, secondary.key);
    secondary.wait_for_serial(ZONE, serial);
    house.wait_for_log(sent, "kind=\"IXFR\"");
    assert_eq!(count(&house.log()[sent..], "to=127.0.0.1 kind="), 1, "{}", house.log());
    assert_equal(&house, &secondary);

    // What changed while the primary was off.
    house.stop();
    house.replace(&format!("keys/{ZONE}/late.private"), keys::numbered(1000));
    let sent = house.log_mark();
    house.start(&[ZONE]);
    assert!(!house.texts(&format!("late._domainkey.{ZONE}"), TXT).is_empty());
    // Of the version before it only the digest is there: the whole zone is sent.
    secondary.wait_for_serial(ZONE, house.serial(ZONE));
    house.wait_for_log(sent, "kind=\"AXFR\"");
    assert_equal(&house, &secondary);

    killed_before_it_told(&mut house, &mut secondary);
}

/// Killed with a version published of which nobody was told: the start tells of it.
fn killed_before_it_told(house: &mut House, secondary: &mut Secondary) {
    house.stop();
    house.write_config(&policy(secondary.key, None));
    house.start(&[ZONE]);
    let before = house.serial(ZONE);
    let serial = rotate(house, 2000);
    house.kill();
    assert_eq!(transfers::serial(secondary.address, ZONE), Some(before));
    house.write_config(&policy(secondary.key, Some(secondary.address)));
    let sent = house.log_mark();
    house.start(&[ZONE]);
    assert_eq!(house.serial(ZONE), serial);
    secondary.wait_for_serial(ZONE, serial);
    house.wait_for_log(sent, "kind=\"IXFR\"");
    assert_equal(house, secondary);
    house.assert_unharmed();
}

#[test]
fn nsd_follows_200_rotations() {
    serves(&peers::NSD);
}

#[test]
fn knot_follows_200_rotations() {
    serves(&peers::KNOT);
}

#[test]
fn bind_follows_200_rotations() {
    serves(&peers::BIND);
}

#[test]
fn powerdns_follows_200_rotations() {
    serves(&peers::POWERDNS);
}
