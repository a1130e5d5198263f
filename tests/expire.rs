//! EDNS EXPIRE (RFC 7314): a zone lives as long as its primary allows, through however many secondaries it came. Asked
//! by dig.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

mod common;

use common::signpost::{BINARY, House};
use common::wait_for;
use common::wire::TXT;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

const ZONE: &str = "\
$ORIGIN example.org.
$TTL 300
@    IN SOA ns hostmaster 100 3600 600 86400 300
     IN NS  ns
ns   IN A   192.0.2.1
www  IN TXT \"first\"
";

/// What dig says of EXPIRE when it asks `house` with these words.
fn expire(house: &House, words: &str) -> Option<u64> {
    let output = Command::new("dig")
        .args([&format!("@{}", house.address.ip()), "-p"])
        .arg(house.address.port().to_string())
        .args(["+tries=3", "+time=10", "+norecurse", "+expire"])
        .args(words.split_whitespace())
        .output()
        .expect("dig");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = said.lines().find_map(|line| line.trim().strip_prefix("; EXPIRE: "))?;
    let seconds = told.split_whitespace().next().unwrap();
    Some(seconds.parse().unwrap_or_else(|_| panic!("{said}")))
}

fn secondary_of(primary: &House) -> House {
    let mut house = House::new("[transfer]\nallow = [\"127.0.0.1\"]\n");
    house.write(
        "zones/example.org.toml",
        format!("[transfer]\nprimaries = [\"{}\"]\n", primary.address),
    );
    start(&mut house);
    house
}

fn start(house: &mut House) {
    house.launch(&[], Path::new(BINARY));
    house.wait_for_answer("the zone", "www.example.org", TXT, |message| {
        message.texts(TXT) == ["first"]
    });
    // It is served before it is on disk.
    let stored = house.path("state/transferred/example.org.zone");
    wait_for("what is kept", || stored.exists().then_some(()));
}

#[test]
fn a_secondary_of_a_secondary_lives_no_longer() {
    const AGO: u64 = 40_000;
    let mut primary = House::new("[transfer]\nallow = [\"127.0.0.1\"]\n");
    primary.write("zones/example.org.zone", ZONE);
    primary.start(&["example.org"]);
    assert_eq!(expire(&primary, "example.org SOA"), Some(86_400));
    assert_eq!(expire(&primary, "EXAMPLE.org SOA +tcp"), Some(86_400));
    for words in ["example.org SOA +noexpire", "example.org NS", "www.example.org SOA"] {
        assert_eq!(expire(&primary, words), None, "{words}");
    }

    // The first secondary has been without its primary for a while.
    let mut first = secondary_of(&primary);
    primary.kill();
    first.kill();
    let stored = first.path("state/transferred/example.org.zone");
    let modified = SystemTime::now() - Duration::from_secs(AGO);
    File::options()
        .write(true)
        .open(stored)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    start(&mut first);
    let about = |seconds: u64| (86_400 - AGO - 60..=86_400 - AGO).contains(&seconds);
    wait_for("what is left", || {
        expire(&first, "example.org SOA").filter(|seconds| about(*seconds))
    });

    // Who has it from there has no more, now and after a restart; nor has who has it from there.
    let mut second = secondary_of(&first);
    wait_for("what is left", || {
        expire(&second, "example.org SOA").filter(|seconds| about(*seconds))
    });
    second.kill();
    start(&mut second);
    let third = secondary_of(&second);
    wait_for("what is left", || {
        expire(&third, "example.org SOA").filter(|seconds| about(*seconds))
    });

    // When the first hears from the primary, all have all their time again, each as soon as it asks.
    primary.start(&["example.org"]);
    for house in [&mut first, &mut second] {
        house.kill();
        start(house);
        wait_for("all of it", || {
            expire(house, "example.org SOA").filter(|seconds| *seconds > 86_000)
        });
    }
}
