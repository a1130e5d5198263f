//! The automatic schedule: every rotation safe, through reloads and kills.

use crate::common::signpost::House;
use crate::common::wait_at_most;
use crate::support::*;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// Each reload leaves a copy of the tables.
const RECORDED: &str =
    "reload = [\"/bin/sh\", \"-c\", \"d=reloads/$(date +%s%N); mkdir -p $d; cp KeyTable SigningTable $d\"]\n";

fn driven(every: &str, forget: &str) -> House {
    let rotation =
        rotation(&format!("every = \"{every}\"")).replace("forget = \"2s\"", &format!("forget = \"{forget}\""));
    let mut house = signed_domain(&format!("{rotation}{SIGNER}{RECORDED}"));
    house.start(&[DOMAIN]);
    house
}

/// Every public half that there is a file for.
fn made(house: &House) -> BTreeSet<String> {
    files(house)
        .into_iter()
        .filter_map(|selector| fs::read_to_string(house.path(format!("keys/example.org/{selector}.private"))).ok())
        .collect()
}

#[test]
fn at_every_reload_of_three_rotations_selector_and_key_agree() {
    let house = driven("6s", "1h");
    let observer = Observer::start(&house);
    let mut seen = vec!["first".to_owned()];
    for _ in 0..3 {
        let old: Vec<&str> = seen.iter().map(String::as_str).collect();
        let next = wait_for_switch(&house, &old);
        seen.push(next);
    }
    let observed = observer.end();
    assert_eq!(observed.failures, Vec::<String>::new(), "{}", house.log());
    assert!(observed.looks > 100, "{}", observed.looks);
    assert_eq!(observed.selectors, seen);
    let mut reloads: Vec<_> = fs::read_dir(house.path("reloads"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    reloads.sort();
    assert!(reloads.len() >= 3, "{reloads:?}");
    for reload in reloads {
        let (selector, file) = signs_with(&reload).expect("the tables name a key");
        let Ok(pem) = fs::read_to_string(&file) else {
            // Retired, revoked and removed since.
            continue;
        };
        let public = public_half(&pem, &house.path(""));
        let texts = texts(house.address, &selector).unwrap();
        let is_right = [String::new(), public]
            .iter()
            .any(|key| texts[0].ends_with(&format!(" p={key}")));
        assert!(texts.len() == 1 && is_right, "{selector}: {texts:?}");
        assert_eq!(file.file_stem().unwrap().to_string_lossy(), selector);
    }
}

#[test]
fn the_files_of_an_old_key_go_and_what_was_not_made_here_stays() {
    let house = driven("6s", "2s");
    let second = wait_for_switch(&house, &["first"]);
    wait_for_switch(&house, &["first", &second]);
    wait_for_stage(&house, "first", "revoked");
    wait_for_stage(&house, &second, "forgotten");
    assert!(!files(&house).contains(&second), "{:?}", files(&house));
    assert!(!house.path(format!("keys/example.org/{second}.txt")).exists());
    assert!(files(&house).contains(&"first".to_owned()), "not made here");
    let table = fs::read_to_string(house.path("KeyTable")).unwrap();
    assert!(
        table.starts_with("# the keys\n") && !table.contains(&format!("{second}.")),
        "{table}"
    );
}

#[test]
fn killed_at_any_moment_the_rotation_goes_on_and_no_signature_fails() {
    let mut house = driven("3s", "1h");
    let observer = Observer::start(&house);
    let mut keys = made(&house);
    let mut dice = 5_u64;
    let began = Instant::now();
    let mut kills = 0;
    while began.elapsed() < Duration::from_secs(25) {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // Mostly in the middle of a step, now and then after a whole rotation.
        let rest = Duration::from_millis((dice >> 33) % if kills % 4 == 3 { 6000 } else { 1500 });
        let until = Instant::now() + rest;
        while Instant::now() < until {
            keys.extend(made(&house));
            std::thread::sleep(Duration::from_millis(5));
        }
        house.kill();
        kills += 1;
        house.start(&[DOMAIN]);
    }
    let before = selector(&house);
    wait_at_most(Duration::from_secs(60), "a rotation after all kills", || {
        keys.extend(made(&house));
        (selector(&house) != before).then_some(())
    });
    let observed = observer.end();
    assert_eq!(
        observed.failures,
        Vec::<String>::new(),
        "{kills} kills\n{}",
        house.log()
    );
    let mut all = observed.selectors.clone();
    all.sort();
    all.dedup();
    assert_eq!(
        all.len(),
        observed.selectors.len(),
        "no key is gone back to: {:?}",
        observed.selectors
    );
    assert!(all.len() >= 3 && kills >= 10, "{all:?} {kills}");
    // A key that was made in the moment of a crash is the next one: none is made twice for one step.
    assert!(
        keys.len() <= all.len() + 1,
        "{} keys for {} steps\n{}",
        keys.len(),
        all.len(),
        house.log()
    );
    house.assert_unharmed();
}
