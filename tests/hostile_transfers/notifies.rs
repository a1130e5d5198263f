//! NOTIFYs that nobody should believe, and too many of them.

use crate::common::wire::name;
use crate::fake::{FakePrimary, answer, good, notify, rcode_from, says};
use crate::{ZONE, house_fed_by, wait_for_version};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

const FORMERR: u8 = 1;
const REFUSED: u8 = 5;
const NOTAUTH: u8 = 9;

#[test]
fn who_is_no_primary_is_refused() {
    let primary = FakePrimary::new(1);
    let mut house = house_fed_by(primary.address, &[ZONE.to_owned()], "", None);
    house.write(
        "zones/own.test.zone",
        "@ 300 SOA ns h 1 86400 86400 86400 1\n@ 300 NS ns\nns 300 A 192.0.2.1\n",
    );
    house.start(&["own.test"]);
    wait_for_version(&house, ZONE, 1);
    let stranger = Ipv4Addr::new(127, 0, 0, 66);
    let (mark, before) = (house.log_mark(), primary.counts());
    // The zone's refresh timer is a second: that goes on, and only that.
    let began = Instant::now();
    for (from, zone, rcode) in [
        (stranger, ZONE, REFUSED),
        (Ipv4Addr::LOCALHOST, "unknown.test", NOTAUTH),
        (Ipv4Addr::LOCALHOST, "sub.evil.test", NOTAUTH),
        (Ipv4Addr::LOCALHOST, "own.test", NOTAUTH),
        (stranger, "own.test", NOTAUTH),
    ] {
        let told = notify(&name(zone), 7);
        assert_eq!(rcode_from(from, house.address, &told), Some(rcode), "{zone}");
    }
    house.wait_for_log(
        mark,
        "NOTIFY of a server that is no primary of the zone from=127.0.0.66",
    );
    let mut odd = notify(&name(ZONE), 7);
    let at = 12 + name(ZONE).len() + 1;
    odd[at] = 1;
    assert_eq!(
        rcode_from(Ipv4Addr::LOCALHOST, house.address, &odd),
        Some(FORMERR),
        "of an A record"
    );
    for len in 12..at {
        let _ = rcode_from(Ipv4Addr::LOCALHOST, house.address, &odd[..len]);
    }
    let seconds = began.elapsed().as_secs() as usize + 2;
    assert!(
        primary.counts().0 - before.0 <= seconds,
        "{:?} after {before:?}",
        primary.counts()
    );
    assert_eq!(primary.counts().1, before.1);
    house.assert_unharmed();
}

/// The serial that a NOTIFY tells is no promise (RFC 1996 §3.11): it is asked for, and when it is not there, that is it.
#[test]
fn a_serial_that_is_not_there_yet_is_nothing() {
    let primary = FakePrimary::new(1);
    let mut house = house_fed_by(primary.address, &[ZONE.to_owned()], "", None);
    house.start(&[]);
    wait_for_version(&house, ZONE, 1);
    let (_, connections) = primary.counts();
    for serial in [2, 1000, 0x7fff_ffff, 0x8000_0001, 0] {
        assert_eq!(
            rcode_from(Ipv4Addr::LOCALHOST, house.address, &notify(&name(ZONE), serial)),
            Some(0)
        );
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(primary.counts().1, connections);
    assert_eq!(house.serial(ZONE), 1);
    primary.play(2, good(2));
    wait_for_version(&house, ZONE, 2);
}

/// NOTIFY by UDP may be forged: thousands a second lead to a handful of questions, and a bad primary is not hammered.
#[test]
fn a_flood_is_heeded_a_few_times_a_second() {
    let primary = FakePrimary::new(1);
    let mut house = house_fed_by(primary.address, &[ZONE.to_owned()], "", None);
    house.start(&[]);
    wait_for_version(&house, ZONE, 1);
    for refuses in [false, true] {
        if refuses {
            primary.play(9, says(|question| vec![answer(question, &[])]));
        }
        let (questions, connections) = primary.counts();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let began = Instant::now();
        let mut sent = 0;
        while began.elapsed() < Duration::from_secs(3) {
            socket.send_to(&notify(&name(ZONE), 9), house.address).unwrap();
            sent += 1;
            std::thread::sleep(Duration::from_micros(200));
        }
        assert!(sent > 1000, "{sent}");
        let seconds = began.elapsed().as_secs() as usize + 1;
        let asked = primary.counts().0 - questions;
        let fetched = primary.counts().1 - connections;
        assert!(asked >= 3 && asked <= 6 * seconds, "{asked} questions in {seconds} s");
        assert!(fetched <= 12 * seconds, "{fetched} connections in {seconds} s");
    }
    primary.play(10, good(10));
    wait_for_version(&house, ZONE, 10);
    house.assert_unharmed();
}
