//! A zone whose primary stays away: served until it expires, then SERVFAIL, then whole again by itself.

use crate::common::signpost::{BINARY, House, is_newer};
use crate::common::transfers::loopback;
use crate::common::wire::{A, SERVFAIL, SOA, TXT, name};
use crate::common::{client, free_port, keys, wait_for};
use crate::peers::{self, Primary};
use crate::{MAIL, PLAIN, ZONES, policy, zone_policies};

/// A version with timers of seconds.
fn version(serial: u32) -> String {
    format!(
        "$TTL 300\n@ SOA ns1 hostmaster {serial} 1 1 3 300\n@ NS ns1\nns1 A 127.0.0.1\nversion A 192.0.2.{serial}\n"
    )
}

fn write(primary: &Primary, serial: u32) {
    ZONES.iter().for_each(|zone| primary.write(zone, &version(serial)));
}

fn wait_for_version(house: &House, serial: u32) {
    for zone in ZONES {
        house.wait_for_answer("the version", &format!("version.{zone}"), A, |message| {
            message.answers(A) == [[192, 0, 2, serial as u8]]
        });
    }
}

#[test]
fn an_expired_zone_heals_alone_and_backwards_too() {
    let mut house = House::new("");
    // It tells somebody else of changes: only the refresh timer finds them.
    let mut primary = Primary::new(&peers::BIND, ZONES, loopback(free_port()));
    house.write_config(&policy(primary.key, None));
    house.write(&format!("keys/{MAIL}/sel.private"), keys::numbered(0));
    zone_policies(&house, primary.address);
    write(&primary, 100);
    primary.start();
    house.start(ZONES);
    wait_for_version(&house, 100);
    write(&primary, 101);
    primary.reload();
    wait_for_version(&house, 101);
    assert_eq!(house.serial(PLAIN), 101);
    let composed = house.serial(MAIL);

    let mark = house.log_mark();
    primary.stop();
    wait_for_version(&house, 101);
    for zone in ZONES {
        house.wait_for_answer("SERVFAIL", zone, SOA, |message| message.rcode == SERVFAIL);
    }
    house.wait_for_log(mark, "the zone has expired");

    // Expired it stays over a restart, and when a key comes.
    house.stop();
    house.replace(&format!("keys/{MAIL}/sel.private"), keys::numbered(1));
    house.launch(&[], BINARY.as_ref());
    for zone in ZONES {
        wait_for("an answer", || client::ask(house.address, name(zone), SOA));
        assert_eq!(house.ask(zone, SOA).rcode, SERVFAIL);
    }

    // The primary comes back with an older version. Our own serial goes on all the same where we compose.
    primary.forget_journal();
    write(&primary, 50);
    primary.start();
    wait_for_version(&house, 50);
    assert_eq!(house.serial(PLAIN), 50);
    let healed = house.serial(MAIL);
    assert!(is_newer(healed, composed), "{healed} after {composed}");
    assert_eq!(house.ask(&format!("sel._domainkey.{MAIL}"), TXT).answers(TXT).len(), 1);
    write(&primary, 51);
    primary.reload();
    wait_for_version(&house, 51);
    assert!(is_newer(house.serial(MAIL), healed));
    house.assert_unharmed();
}
