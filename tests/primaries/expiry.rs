//! A zone whose primary stays away: served until it expires, then SERVFAIL, then whole again by itself.

use crate::common::signpost::House;
use crate::common::wire::{A, SERVFAIL, SOA};
use crate::common::{transfers, wait_for};
use crate::peers::{self, Primary};
use crate::{PLAIN, policy};

/// A version with timers of seconds.
fn version(serial: u32) -> String {
    format!(
        "$TTL 300\n@ SOA ns1 hostmaster {serial} 1 1 3 300\n@ NS ns1\nns1 A 127.0.0.1\nversion A 192.0.2.{serial}\n"
    )
}

fn wait_for_version(house: &House, serial: u32) {
    house.wait_for_answer("the version", &format!("version.{PLAIN}"), A, |message| {
        message.answers(A) == [[192, 0, 2, serial as u8]]
    });
}

#[test]
fn an_expired_zone_heals_alone_and_backwards_too() {
    const ZONES: &[&str] = &[PLAIN];
    let mut house = House::new("");
    let mut primary = Primary::new(&peers::BIND, ZONES, house.address);
    house.write_config(&policy(primary.key, None));
    let table = format!(
        "[transfer]\nprimaries = [{{ address = \"{}\", key = \"{}\" }}]\n",
        primary.address,
        transfers::KEY_NAME
    );
    house.write(&format!("zones/{PLAIN}.toml"), table);
    primary.write(PLAIN, &version(100));
    primary.start();
    house.start(ZONES);
    wait_for_version(&house, 100);

    // Its refresh timer alone finds a change: nobody tells of it as long as the key is unknown there.
    primary.write(PLAIN, &version(101));
    primary.reload();
    wait_for_version(&house, 101);

    let mark = house.log_mark();
    primary.stop();
    wait_for_version(&house, 101);
    house.wait_for_answer("SERVFAIL", PLAIN, SOA, |message| message.rcode == SERVFAIL);
    house.wait_for_log(mark, "the zone has expired");

    // Expired it stays over a restart.
    house.stop();
    house.launch(&[], crate::common::signpost::BINARY.as_ref());
    wait_for("an answer", || {
        crate::common::client::ask(house.address, crate::common::wire::name(PLAIN), SOA)
    });
    assert_eq!(house.ask(PLAIN, SOA).rcode, SERVFAIL);

    // The primary comes back with an older version.
    primary.forget_journal();
    primary.write(PLAIN, &version(50));
    primary.start();
    wait_for_version(&house, 50);
    assert_eq!(house.serial(PLAIN), 50);
    primary.write(PLAIN, &version(51));
    primary.reload();
    wait_for_version(&house, 51);
    house.assert_unharmed();
}
