//! Hostile traffic on the running binary: mutants of queries by UDP and TCP, and floods with a good client among them.
//! The program that does the same at length is examples/hostile.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]
#![allow(dead_code, reason = "the example uses more of its modules than the test")]

#[path = "../examples/hostile/batter.rs"]
mod batter;
mod common;
#[path = "../examples/hostile/flood.rs"]
mod flood;
#[path = "../examples/hostile/packets.rs"]
mod packets;

use common::signpost::House;
use flood::{Flood, Plan};
use std::time::Duration;

const ZONE: &str = "\
$TTL 3600
@       SOA ns1 h 1 2 3 4 5
@       NS  ns1
@       MX  10 mail
ns1     A   192.0.2.53
mail    A   192.0.2.25
_dmarc  TXT \"v=DMARC1; p=none\"
chain   CNAME link
link    CNAME mail
moved   DNAME new
*.new   A   192.0.2.1
sub     NS  ns.sub
ns.sub  AAAA 2001:db8::1
$GENERATE 1-9 big TXT \"$ 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"
";

fn house(config: &str) -> House {
    let mut house = House::new(config);
    house.write("zones/example.test.zone", ZONE);
    house.start(&["example.test"]);
    house
}

#[test]
fn no_packet_hurts() {
    let mut house = house("");
    let pid = house.daemon().pid();
    // What it needs for its first connections is not yet there at the start.
    batter::batter(house.address, "example.test", 1232, 20_000, 1);
    let before = batter::resident(pid).unwrap();
    let tally = batter::batter(house.address, "example.test", 1232, 180_000, 2);
    let after = batter::resident(pid).unwrap();
    assert!(tally.by_tcp > 5_000 && tally.answers > 60_000, "{tally:?}");
    assert!(after < before + (4 << 20), "{before} octets of memory became {after}");
    house.assert_unharmed();
    let log = house.log();
    assert!(log.lines().count() < 100, "the log is not theirs to fill:\n{log}");
}

/// At a rate that a busy machine bears too: what is shown is that the limit of rates does not hit who has a cookie,
/// not what the machine can do.
#[test]
fn floods_do_not_shut_out_who_has_a_cookie() {
    let mut house = house("[rate_limit]\nresponses_per_second = 5\n");
    for flood in [Flood::Sources, Flood::Name, Flood::Subdomains] {
        let plan = Plan {
            flood,
            lasts: Duration::from_secs(2),
            at_least: 50,
            rate: Some(1_000),
            good_rate: 50,
        };
        let seen = flood::run(house.address, "example.test", plan, Duration::from_secs(2));
        assert!(seen.flooded > 500, "{flood:?}: {seen:?}");
        assert!(seen.answered * 100 >= seen.asked * 99, "{flood:?}: {seen:?}");
        // The first attempt of all has no cookie yet and may be held back, and the machine may be very busy. Without
        // the exemption fewer than three of four would be answered at once.
        assert!(seen.at_once * 10 >= seen.asked * 8, "{flood:?}: {seen:?}");
    }
    let status = String::from_utf8(house.command(&["status"]).stdout).unwrap();
    assert!(status.contains("held back by the limit of rates"), "{status}");
    house.assert_unharmed();
}
