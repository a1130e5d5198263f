//! `signpost zone status`: two Signposts, one fetching from the other, each seen as it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::signpost::{BINARY, House};
use common::wire::{SERVFAIL, TXT};
use common::{free_port, wait_for};
use std::path::Path;
use std::process::Output;

const ZONE: &str = "\
$ORIGIN example.org.
$TTL 300
@    IN SOA ns hostmaster 100 3600 600 86400 300
     IN NS  ns
ns   IN A   192.0.2.1
www  IN TXT \"first\"
";

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks again and again until the status says all of these.
fn wait_for_status(house: &House, words: &[&str]) -> (String, Option<i32>) {
    wait_for(&format!("{words:?} in the status"), || {
        let output = house.command(&["zone", "status", "example.org"]);
        let said = stdout(&output);
        let all = words.iter().all(|word| said.contains(word));
        all.then(|| (said, output.status.code()))
    })
}

#[test]
fn both_sides_of_a_transfer_are_seen() {
    let mut secondary = House::new("");
    let mut primary = House::new(&format!(
        "[transfer]\nallow = [\"127.0.0.1\"]\nnotify = [\"{}\"]\n",
        secondary.address
    ));
    primary.write("zones/example.org.zone", ZONE);
    primary.start(&["example.org"]);

    // Nobody is there yet.
    let (said, code) = wait_for_status(
        &primary,
        &["primary, serial 100", &format!("{}  unknown", secondary.address)],
    );
    assert_eq!(code, Some(1), "{said}");

    secondary.write(
        "zones/example.org.toml",
        format!("[transfer]\nprimaries = [\"{}\"]\n", primary.address),
    );
    secondary.launch(&[], Path::new(BINARY));
    secondary.wait_for_answer("the zone", "www.example.org", TXT, |message| {
        message.texts(TXT) == ["first"]
    });
    let (said, code) = wait_for_status(&secondary, &["secondary, serial 100", "confirmed", "expires in 23 h"]);
    assert_eq!(code, Some(0), "{said}");
    let (said, code) = wait_for_status(&primary, &["serial 100, up to date", "fetched 100"]);
    assert_eq!(code, Some(0), "{said}");

    // A change is told and fetched at once.
    primary.replace(
        "zones/example.org.zone",
        ZONE.replace("first", "second").replace("100 3600", "101 3600"),
    );
    secondary.wait_for_answer("the change", "www.example.org", TXT, |message| {
        message.texts(TXT) == ["second"]
    });
    wait_for_status(&primary, &["serial 101, up to date", "told of 101", "fetched 101"]);
    let json = stdout(&primary.command(&["zone", "status", "--json"]));
    assert!(
        json.contains("\"up_to_date\": true") && json.contains("\"role\": \"primary\""),
        "{json}"
    );

    // One that is away is told with the reason.
    secondary.kill();
    primary.replace(
        "zones/example.org.zone",
        ZONE.replace("first", "third").replace("100 3600", "102 3600"),
    );
    primary.wait_for_answer("the next", "www.example.org", TXT, |message| {
        message.texts(TXT) == ["third"]
    });
    let (said, code) = wait_for_status(&primary, &["serial 102", "unknown"]);
    assert_eq!(code, Some(1), "{said}");

    // What is stored is served while the primary is away.
    primary.kill();
    secondary.launch(&[], Path::new(BINARY));
    secondary.wait_for_answer("what is stored", "www.example.org", TXT, |message| {
        message.texts(TXT) == ["second"]
    });
    wait_for_status(&secondary, &["secondary, serial 101", "attempts failed since"]);
    let unknown = secondary.command(&["zone", "status", "example.net"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn reload_asks_the_primaries_too() {
    let mut primary = House::new("[transfer]\nallow = [\"127.0.0.1\"]\nnotify_nameservers = false\n");
    primary.write("zones/example.org.zone", ZONE);
    primary.start(&["example.org"]);
    let mut secondary = House::new("");
    let table = format!("[transfer]\nprimaries = [\"{}\"]\n", primary.address);
    secondary.write("zones/example.org.toml", table);
    secondary.launch(&[], Path::new(BINARY));
    let says = |house: &House, text: &str| {
        house.wait_for_answer(text, "www.example.org", TXT, |message| message.texts(TXT) == [text]);
    };
    says(&secondary, "first");
    let changed = ZONE.replace("first", "second").replace("100 3600", "101 3600");
    primary.replace("zones/example.org.zone", changed);
    says(&primary, "second");
    assert_eq!(
        secondary.texts("www.example.org", TXT),
        ["first"],
        "nobody has told of it"
    );
    assert!(secondary.command(&["reload"]).status.success());
    says(&secondary, "second");
}

#[test]
fn a_zone_that_was_never_fetched_is_answered_with_servfail() {
    let mut house = House::new("");
    let nobody = free_port();
    house.write(
        "zones/example.org.toml",
        format!("[transfer]\nprimaries = [\"127.0.0.1:{nobody}\"]\n"),
    );
    house.launch(&[], Path::new(BINARY));
    house.wait_for_answer("SERVFAIL", "www.example.org", TXT, |message| message.rcode == SERVFAIL);
    wait_for_status(&house, &["no data", "not yet"]);
    let list = stdout(&house.command(&["zone", "list"]));
    assert!(list.contains("has no data"), "{list}");
    // With a zone file beside it the zone is made here.
    house.write("zones/example.org.zone", ZONE);
    house.wait_for_answer("the file", "www.example.org", TXT, |message| {
        message.texts(TXT) == ["first"]
    });
    house.assert_unharmed();
}
