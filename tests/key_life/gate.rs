//! The gate: no name server is assumed to have what it was not seen to serve.

use crate::common::wait_for;
use crate::support::*;
use std::time::{Duration, Instant};

fn policy() -> String {
    format!("{}{SIGNER}", rotation(""))
}

/// Orders a rotation and returns the selector of the key that was made.
fn rotate(house: &crate::common::signpost::House) -> String {
    let (code, said) = key(house, &["rotate", DOMAIN]);
    assert_eq!(code, 0, "{said}");
    let selector = said.split_whitespace().next().unwrap().to_owned();
    wait_for_stage(house, &selector, "published");
    selector
}

#[test]
fn a_secondary_that_lags_holds_the_rotation_until_it_serves_the_key_and_resolvers_have_forgotten() {
    let (house, secondary) = with_secondary(&policy(), Mood::Lags);
    let new = rotate(&house);
    let (code, said) = key(&house, &["wait", DOMAIN, &new, "--for", "signing", "--timeout", "1s"]);
    assert_eq!(code, 75, "{said}");
    let blamed = format!("ns2.example.org. ({}): it does not have the record", secondary.address);
    assert!(said.contains(&format!("is not served by {blamed}")), "{said}");
    let (code, said) = key(&house, &["status", DOMAIN]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("NOT served by {blamed}, for ")), "{said}");
    assert!(
        said.contains("the signer is switched to it once every name server serves it"),
        "{said}"
    );
    let view = status(&house);
    let view = view
        .as_array()
        .unwrap()
        .iter()
        .find(|view| view["selector"] == new.as_str())
        .unwrap();
    assert_eq!(view["safe_to_sign"], false, "{view}");
    let servers = view["servers"].as_array().unwrap();
    assert!(
        servers
            .iter()
            .any(|server| server["problem"] == "it does not have the record" && server["problem_seconds"].is_u64()),
        "{view}"
    );
    assert_eq!(selector(&house), "first");
    secondary.set(Mood::Follows);
    let served = Instant::now();
    let (code, said) = key(&house, &["wait", DOMAIN, &new, "--for", "signing", "--timeout", "30s"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        served.elapsed() >= Duration::from_secs(NEGATIVE_TTL),
        "{:?}",
        served.elapsed()
    );
    assert_eq!(wait_for_switch(&house, &["first"]), new);
    wait_for_stage(&house, &new, "signing");
    let (code, said) = key(&house, &["status", DOMAIN]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn one_that_refuses_or_is_silent_holds_it_as_well_and_says_so() {
    for (mood, words) in [(Mood::Refuses, "REFUSED"), (Mood::Silent, "it does not answer")] {
        let (house, secondary) = with_secondary(&policy(), mood);
        let new = rotate(&house);
        let (code, said) = key(&house, &["wait", DOMAIN, &new, "--timeout", "20s"]);
        assert_eq!(code, 75, "{said}");
        assert!(
            said.contains(&secondary.address.to_string()) && said.contains(words),
            "{words}: {said}"
        );
        assert_eq!(selector(&house), "first");
        let (code, said) = key(&house, &["status", DOMAIN]);
        assert_eq!(code, 1, "{said}");
        secondary.set(Mood::Follows);
        let (code, said) = key(&house, &["wait", DOMAIN, &new, "--timeout", "30s"]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(wait_for_switch(&house, &["first"]), new);
    }
}

#[test]
fn a_record_that_changes_while_a_name_server_is_asked_for_it_is_asked_for_again() {
    let (house, secondary) = with_secondary(&policy(), Mood::Holds);
    let new = rotate(&house);
    secondary.wait_until_holding();
    let file = format!("keys/example.org/{new}.txt");
    let text = std::fs::read_to_string(house.path(&file)).unwrap();
    house.replace(&file, text.replace("h=sha256; ", "h=sha256; s=email; "));
    wait_for("the record to be another", || {
        texts(house.address, &new)?[0].contains("s=email").then_some(())
    });
    secondary.set(Mood::Follows);
    assert_eq!(wait_for_switch(&house, &["first"]), new);
}

#[test]
fn an_old_key_stays_until_all_serve_the_one_after_it() {
    let (house, secondary) = with_secondary(&policy(), Mood::Follows);
    let new = rotate(&house);
    assert_eq!(wait_for_switch(&house, &["first"]), new);
    secondary.set(Mood::Refuses);
    wait_for_stage(&house, "first", "retiring");
    // Longer than it would retire.
    let (code, said) = key(
        &house,
        &["wait", DOMAIN, "first", "--for", "removal", "--timeout", "5s"],
    );
    assert_eq!(code, 75, "{said}");
    assert!(
        said.contains("once every name server serves the keys after it"),
        "{said}"
    );
    assert!(
        said.contains(&secondary.address.to_string()),
        "the one that holds it is named: {said}"
    );
    assert!(!texts(house.address, "first").unwrap()[0].ends_with("p="));
    secondary.set(Mood::Follows);
    let (code, said) = key(
        &house,
        &["wait", DOMAIN, "first", "--for", "removal", "--timeout", "60s"],
    );
    assert_eq!(code, 0, "{said}");
    assert_eq!(texts(house.address, "first").unwrap(), ["v=DKIM1; k=ed25519; p="]);
}

#[test]
fn the_exit_codes_of_status_and_wait() {
    let mut house = signed_domain(&policy());
    house.start(&[DOMAIN]);
    wait_for("the first key to be signed with", || {
        (stages(&house).get("first")? == "signing").then_some(())
    });
    assert_eq!(key(&house, &["wait", DOMAIN, "first", "--timeout", "20s"]).0, 0);
    let removal = ["wait", DOMAIN, "first", "--for", "removal", "--timeout", "1s"];
    assert_eq!(key(&house, &removal).0, 75);
    assert_eq!(key(&house, &["wait", DOMAIN, "gone", "--for", "removal"]).0, 0);
    let (code, said) = key(&house, &["wait", DOMAIN, "nope", "--timeout", "30s"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("no key with the selector nope"), "{said}");
    assert_eq!(key(&house, &["wait", DOMAIN, "nope", "--timeout", "1s"]).0, 75);
    assert_eq!(key(&house, &["status", "example.net"]).0, 2);
    assert_eq!(key(&house, &["revoke", DOMAIN, "first"]).0, 0);
    assert_eq!(key(&house, &removal).0, 0);
    assert_eq!(key(&house, &["wait", DOMAIN, "first", "--timeout", "30s"]).0, 2);
    house.stop();
    assert_eq!(key(&house, &["status"]).0, 69);
    assert_eq!(key(&house, &["rotate", DOMAIN]).0, 69);
    assert_eq!(
        key(&house, &["wait", DOMAIN, "first", "--timeout", "1s"]).0,
        75,
        "it may come back"
    );
}
