//! dkim-rotate drives: its own program makes, uses and withdraws keys, and Signpost serves the zone that it writes.
//!
//! The zone file is one line, an `$INCLUDE` of what dkim-rotate writes, and `dns_reload` has nothing to do. After each
//! step the key that the mail server is told to sign with is the one that is served.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::keys;
use common::signpost::House;
use common::wait_for;
use common::wire::TXT;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const ZONE: &str = "dkim.example.net";
const STEPS: usize = 6;
/// dkim-rotate's waits, so short that each step may be the next.
const LAG: Duration = Duration::from_secs(1);

/// An instance's configuration: a zone file with directives.
fn instance(house: &House) -> String {
    let var = house.path("dkim-rotate");
    format!(
        "$TTL 3\n@ SOA ns1 hostmaster (\n1;!SERIAL\n10 5 100 2 )\n@ NS ns1\nns1 A 192.0.2.53\n\
         ! instance_var_dir {}\n! pub_url -\n! mta_group -\n! dns_lag 1s\n! email_lag 1s\n! max_selector 4\n\
         ! dns_reload true\n",
        var.display()
    )
}

fn dkim_rotate(mode: &str, instance: &Path) {
    let output = Command::new("dkim-rotate").arg(mode).arg(instance).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// What the mail server is told: the selector and the file of the private key.
fn in_use(house: &House) -> (String, String) {
    let told = fs::read_to_string(house.path("dkim-rotate/exim")).unwrap();
    let value = |key: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("no {key} in {told}")).trim().to_owned()
    };
    (value("selector:"), value("privkey:"))
}

#[test]
fn the_key_that_dkim_rotate_signs_with_is_served() {
    let mut house = House::new("");
    house.write("instance.zone", instance(&house));
    let file = house.path("instance.zone");
    dkim_rotate("--new", &file);
    let written = house.path("dkim-rotate/zone");
    house.write(
        &format!("zones/{ZONE}.zone"),
        format!("$INCLUDE {}\n", written.display()),
    );
    house.start(&[ZONE]);

    let mut used = BTreeSet::new();
    for _ in 0..STEPS {
        let step = Instant::now();
        let (selector, key) = in_use(&house);
        let public = keys::public_half(&fs::read_to_string(&key).unwrap(), &house.path("state"));
        wait_for(&format!("the key of {selector}"), || {
            let texts = house.texts(&format!("{selector}.{ZONE}"), TXT);
            texts
                .iter()
                .any(|text| text.ends_with(&format!("p={public}")))
                .then_some(())
        });
        used.insert(key);
        // It goes by the time that has passed since its last step.
        std::thread::sleep((LAG + LAG / 5).saturating_sub(step.elapsed()));
        dkim_rotate("--major", &file);
    }
    assert!(used.len() >= STEPS - 1, "a key for each step: {used:?}");

    // What it has withdrawn is gone here as well.
    let zone = fs::read_to_string(&written).unwrap();
    for selector in ["a", "b", "c", "d"] {
        let advertised = zone.contains(&format!("\n{selector} IN TXT "));
        wait_for(&format!("{selector} as dkim-rotate has it"), || {
            (house.texts(&format!("{selector}.{ZONE}"), TXT).is_empty() != advertised).then_some(())
        });
    }
    house.assert_unharmed();
}
