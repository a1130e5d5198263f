//! Starting with many zones: the first are answered while others are still being read, what is not
//! read yet is never denied, one bad zone stops nothing, and a stop is heeded meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::client;
use common::signpost::{BINARY, House};
use common::wait_for;
use common::wire::{Edns, NOERROR, NXDOMAIN, Query, REFUSED, SOA, name};
use std::fs;
use std::path::Path;

const ZONES: usize = 20_000;
const SERVFAIL: u16 = 2;
/// The Extended DNS Error 14 (RFC 8914 §4.15) as an option.
const NOT_READY: &[u8] = &[0, 15, 0, 2, 0, 14];

/// `example.org` and thousands of zones below it, to which it delegates nothing.
fn house_of_many() -> House {
    let house = House::new("");
    let text =
        |serial| format!("@ 300 IN SOA ns.example.net. hostmaster {serial} 3600 600 86400 300\n@ NS ns.example.net.\n");
    house.write("zones/example.org.zone", text(1));
    for i in 0..ZONES {
        let path = house.path(format!("zones/{}/z{i:05}.example.org.zone", i / 1000));
        if i % 1000 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, text(2)).unwrap();
    }
    house.write("zones/7/z07777.example.org.zone", "@ 300 IN SOA broken\n");
    house
}

fn soa(zone: &str) -> Query {
    let mut query = Query::new(name(zone), SOA);
    query.edns = Some(Edns::of_size(1232));
    query
}

#[test]
fn answers_what_is_read_and_denies_nothing_meanwhile() {
    let mut house = house_of_many();
    house.launch(&[], Path::new(BINARY));
    let (first, last) = (soa("z00000.example.org"), soa("www.example.org"));
    wait_for("the zone that is read first", || {
        client::udp(house.address, &first).filter(|message| message.rcode == NOERROR)
    });
    let mut not_ready = 0;
    wait_for("the zone that is read last", || {
        let message = client::udp(house.address, &last)?;
        if message.rcode == SERVFAIL {
            let opt = message.opt.as_ref().expect("an OPT for an OPT");
            assert_eq!(opt.options, NOT_READY, "{message:?}");
            not_ready += 1;
            return None;
        }
        assert_eq!(message.rcode, NXDOMAIN, "{message:?}");
        Some(())
    });
    assert!(
        not_ready > 0,
        "every zone was there at once: the first was not answered early"
    );
    let child = client::udp(house.address, &soa("z19999.example.org")).unwrap();
    assert_eq!(
        child.serial(),
        Some(2),
        "a zone below was not there before the zone above"
    );
    let outside = || client::udp(house.address, &soa("example.com"));
    wait_for("the end of the start", || {
        outside().filter(|message| message.rcode == REFUSED)
    });
    house.wait_for_log(0, "z07777.example.org");
    let broken = client::udp(house.address, &soa("z07777.example.org")).unwrap();
    assert_eq!(broken.rcode, NXDOMAIN, "the zone above answers for it: {broken:?}");
    let beside = client::udp(house.address, &soa("z07778.example.org")).unwrap();
    assert_eq!(beside.rcode, NOERROR);
    house.assert_unharmed();
}

#[test]
fn can_be_stopped_before_everything_is_read() {
    let mut house = house_of_many();
    house.launch(&[], Path::new(BINARY));
    let first = soa("z00000.example.org");
    wait_for("the first zone", || {
        client::udp(house.address, &first).filter(|message| message.rcode == NOERROR)
    });
    house.stop();
    assert!(
        !house.log().contains("Serving"),
        "it was stopped too late to tell:\n{}",
        house.log()
    );
}
