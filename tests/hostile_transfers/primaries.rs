//! Transfers that are wrong in one way each.

use crate::common::transfers::send;
use crate::common::wait_for;
use crate::common::wire::{self, A, IN, child, name};
use crate::fake::{FakePrimary, Script, a, answer, apex_of, good, notify, rcode_from, record, says, soa, version};
use crate::{ZONE, house_fed_by, wait_for_version};
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A transfer of one message whose records are version 2 and more before its last SOA.
fn with(more: fn(&[u8]) -> Vec<Vec<u8>>) -> Script {
    says(move |question| {
        let apex = apex_of(question);
        let mut records = version(&apex, 2);
        let last = records.pop().unwrap();
        records.extend(more(&apex));
        records.push(last);
        vec![answer(question, &records)]
    })
}

/// Version 2 with its octets changed.
fn bent(bend: fn(&mut Vec<u8>)) -> Script {
    says(move |question| {
        let mut message = answer(question, &version(&apex_of(question), 2));
        bend(&mut message);
        vec![message]
    })
}

/// What is wrong, and the words of the log.
fn wrongs() -> Vec<(&'static str, Script, &'static str)> {
    vec![
        (
            "a SOA in the middle",
            with(|apex| vec![soa(apex, 9)]),
            "a SOA of serial 9 in the middle",
        ),
        (
            "a SOA below the apex",
            with(|apex| vec![soa(&child(b"sub", apex), 2)]),
            "SOA at sub.evil.test., below the apex",
        ),
        (
            "a record of another zone",
            with(|_| vec![a(&name("bank.test"), "www", 66)]),
            "www.bank.test., which is not in the zone",
        ),
        (
            "a record of another class",
            with(|apex| vec![record(apex, wire::TXT, wire::CH, b"\x01x")]),
            "a record of class 3",
        ),
        (
            "a type that is no data",
            with(|apex| vec![record(apex, wire::ANY, IN, b"")]),
            "which is no data",
        ),
        (
            "an address of five octets",
            with(|apex| vec![record(apex, A, IN, b"\xc0\0\x02\x01\x01")]),
            "record of type A at evil.test. is malformed",
        ),
        (
            "a name of 256 octets",
            with(|apex| {
                let label = [b'x'; 63];
                let mut owner = child(&[b'y'; 53], apex);
                for _ in 0..3 {
                    owner = child(&label, &owner);
                }
                assert_eq!(owner.len(), 257);
                vec![record(&owner, A, IN, &[192, 0, 2, 1])]
            }),
            "a message of the transfer is malformed",
        ),
        (
            "a record longer than its message",
            bent(|message| {
                let at = message.len() - 24;
                message[at..at + 2].copy_from_slice(&u16::MAX.to_be_bytes());
            }),
            "a message of the transfer is malformed",
        ),
        (
            "counts that are too high",
            bent(|message| message[6] = 0xff),
            "a message of the transfer is malformed",
        ),
        (
            "another id",
            bent(|message| message[0] ^= 1),
            "to another question than ours",
        ),
        (
            "another question",
            says(|question| {
                let mut other = question.to_vec();
                other[13] ^= 1;
                vec![answer(&other, &version(&apex_of(question), 2))]
            }),
            "to another question than ours",
        ),
        (
            "a question in place of an answer",
            bent(|message| message[2] &= 0x7f),
            "to another question than ours",
        ),
        (
            "no record",
            says(|question| vec![answer(question, &[])]),
            "the answer holds no record",
        ),
        (
            "no SOA first",
            says(|question| vec![answer(question, &version(&apex_of(question), 2)[1..])]),
            "not with the SOA of the zone",
        ),
        (
            "records after the end",
            says(|question| {
                let apex = apex_of(question);
                let records = [version(&apex, 2), vec![a(&apex, "late", 1)]].concat();
                vec![answer(question, &records)]
            }),
            "records follow after the end",
        ),
        (
            "an early close",
            Arc::new(|question, stream| {
                let records = version(&apex_of(question), 2);
                let _ = send(stream, &answer(question, &records[..3]));
            }),
            "closes the connection in the middle",
        ),
        (
            "half a message",
            Arc::new(|question, stream| {
                let message = answer(question, &version(&apex_of(question), 2));
                let _ = stream.write_all(&(message.len() as u16).to_be_bytes());
                let _ = stream.write_all(&message[..message.len() / 2]);
            }),
            "closes the connection in the middle",
        ),
        (
            "a refusal",
            bent(|message| message[3] |= 5),
            "REFUSED: it does not allow the transfer",
        ),
        (
            "two records where one alone may be",
            with(|apex| {
                let alias = record(&child(b"version", apex), wire::CNAME, IN, &name("x.test"));
                vec![alias]
            }),
            "what it sends is no zone",
        ),
    ]
}

#[test]
fn what_no_zone_may_hold_changes_nothing() {
    let primary = FakePrimary::new(1);
    let mut house = house_fed_by(primary.address, &[ZONE.to_owned()], "", None);
    house.start(&[]);
    wait_for_version(&house, ZONE, 1);
    // Told once it is stored, after it is served.
    house.wait_for_log(0, "zone fetched");
    let mut serial = 2;
    for (what, script, reason) in wrongs() {
        let (began, mark, (_, before)) = (Instant::now(), house.log_mark(), primary.counts());
        // The bad version is number 2 to whoever has number 1: so the good one in between is another each time.
        primary.play(serial, script);
        let told = notify(&name(ZONE), serial);
        assert_eq!(rcode_from(Ipv4Addr::LOCALHOST, house.address, &told), Some(0));
        let log = house.wait_for_log(mark, reason);
        assert!(!log.contains("zone fetched"), "{what}: {log}");
        wait_for_version(&house, ZONE, 1);
        // It is tried again at the pace of the zone's own timer, with IXFR and AXFR.
        std::thread::sleep(Duration::from_millis(1500).saturating_sub(began.elapsed()));
        let seconds = began.elapsed().as_secs() as usize + 1;
        let tried = primary.counts().1 - before;
        assert!(tried <= 2 * (seconds + 1), "{what}: {tried} connections in {seconds} s");
        serial += 1;
    }
    // In the end it comes to its senses.
    primary.play(serial, good(serial));
    wait_for_version(&house, ZONE, serial);
    house.assert_unharmed();
}

#[test]
fn the_longest_names_and_records_are_taken() {
    let primary = FakePrimary::new(1);
    let script = says(|question| {
        let apex = apex_of(question);
        let mut owner = child(&[b'y'; 51], &apex);
        for _ in 0..3 {
            owner = child(&[b'x'; 63], &owner);
        }
        assert_eq!(owner.len(), 255);
        let text = [&[255][..], &[b'x'; 255]].concat().repeat(250);
        let records = [
            &version(&apex, 1)[..3],
            &[
                record(&owner, A, IN, &[192, 0, 2, 255]),
                record(&child(b"long", &apex), wire::TXT, IN, &text),
            ],
        ];
        vec![answer(question, &records.concat()), answer(question, &[soa(&apex, 1)])]
    });
    primary.play(1, script);
    let mut house = house_fed_by(primary.address, &[ZONE.to_owned()], "", None);
    house.start(&[]);
    wait_for_version(&house, ZONE, 1);
    let long = house.ask(&format!("long.{ZONE}"), wire::TXT);
    assert_eq!(long.texts(wire::TXT)[0].len(), 250 * 255);
    let (x, y) = ("x".repeat(63), "y".repeat(51));
    let owner = format!("{x}.{x}.{x}.{y}.{ZONE}");
    assert_eq!(house.ask(&owner, A).answers(A), [[192, 0, 2, 255]]);
}

/// What came is served although the disk takes none of it, and kept as soon as it does.
#[test]
fn a_full_disk_keeps_no_version_from_being_served() {
    let primary = FakePrimary::new(1);
    let mut house = house_fed_by(primary.address, &[ZONE.to_owned()], "", None);
    house.write("state/transferred", "in the way");
    house.start(&[]);
    wait_for_version(&house, ZONE, 1);
    house.wait_for_log(0, "a restart would bring back the version of before");
    house.remove("state/transferred");
    assert!(house.command(&["reload"]).status.success());
    let stored = house.path(format!("state/transferred/{ZONE}.zone"));
    wait_for("what is kept", || stored.exists().then_some(()));
    wait_for_version(&house, ZONE, 1);
    house.kill();
    primary.play(1, Arc::new(|_, _| std::thread::sleep(Duration::from_secs(60))));
    house.start(&[ZONE]);
    wait_for_version(&house, ZONE, 1);
    house.assert_unharmed();
}

/// Primaries that accept and say nothing hold up their own zones, not those of others.
#[test]
fn silent_primaries_hold_up_nobody_else() {
    let silent = FakePrimary::new(1);
    silent.play(1, Arc::new(|_, _| std::thread::sleep(Duration::from_secs(60))));
    let zones: Vec<String> = (0..100).map(|number| format!("silent{number}.test")).collect();
    let mut house = house_fed_by(silent.address, &zones, "", None);
    house.start(&[]);
    wait_for("the silent one to be asked", || (silent.counts().1 >= 16).then_some(()));
    let lively = FakePrimary::new(1);
    let table = format!("[transfer]\nprimaries = [\"{}\"]\n", lively.address);
    house.write(&format!("zones/{ZONE}.toml"), table);
    wait_for_version(&house, ZONE, 1);
    lively.play(2, good(2));
    wait_for_version(&house, ZONE, 2);
    house.assert_unharmed();
}
