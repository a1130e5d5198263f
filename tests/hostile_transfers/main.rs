//! Other servers that err or mean harm: primaries that send what no zone may hold, NOTIFYs that nobody should believe,
//! secondaries that do not read. What is served stays as it was, the log says why, and nothing is tried without pause.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

#[path = "../common/mod.rs"]
mod common;
mod fake;
mod notifies;
mod primaries;
mod secondaries;
mod signatures;

use common::signpost::House;
use common::wire::A;
use std::net::SocketAddr;

const ZONE: &str = "evil.test";

/// A server that fetches these zones from there.
fn house_fed_by(primary: SocketAddr, zones: &[String], config: &str, key: Option<&str>) -> House {
    let house = House::new(config);
    let key = key.map(|key| format!(", key = \"{key}\"")).unwrap_or_default();
    for zone in zones {
        let table = format!("[transfer]\nprimaries = [{{ address = \"{primary}\"{key} }}]\n");
        house.write(&format!("zones/{zone}.toml"), table);
    }
    house
}

fn wait_for_version(house: &House, zone: &str, serial: u32) {
    house.wait_for_answer("the version", &format!("version.{zone}"), A, |message| {
        message.answers(A) == [[192, 0, 2, serial as u8]]
    });
}
