//! Orders that cannot be carried out are refused with the reason and the cure.

use crate::common::keys;
use crate::common::signpost::House;
use crate::support::*;

fn serving() -> House {
    let mut house = signed_domain(&format!("{}{SIGNER}", rotation("")));
    house.start(&[DOMAIN]);
    wait_for_stage(&house, "first", "signing");
    house
}

#[track_caller]
fn refused(house: &House, args: &[&str], words: &str) {
    let (code, said) = key(house, args);
    assert_eq!(code, 2, "{args:?}: {said}");
    assert!(said.contains(words), "{args:?}: {said}");
}

#[test]
fn without_a_signer_none_is_switched_but_keys_are_made() {
    let mut house = House::new(&rotation(""));
    house.write("zones/example.org.zone", zone(&[]));
    house.start(&[DOMAIN]);
    refused(&house, &["rotate", DOMAIN], "no [[signer]] says which program signs");
    let (code, said) = key(&house, &["new", DOMAIN, "--selector", "Mail1"]);
    assert_eq!(code, 0, "{said}");
    wait_for_stage(&house, "mail1", "published");
    refused(
        &house,
        &["new", DOMAIN, "--selector", "mail1"],
        "has a key with the selector mail1; take another",
    );
    assert_eq!(key(&house, &["new", DOMAIN, "--selector", "../mail"]).0, 64);
}

#[test]
fn unknown_domains_selectors_and_kinds() {
    let house = serving();
    refused(
        &house,
        &["rotate", "example.net"],
        "no zone that is served holds _domainkey.example.net.",
    );
    refused(
        &house,
        &["rotate", DOMAIN, "--selector", "first"],
        "first is signed with already",
    );
    refused(
        &house,
        &["rotate", DOMAIN, "--algorithm", "rsa2048"],
        "no [[signer]] signs with keys of rsa2048",
    );
    assert!(matches!(
        key(&house, &["rotate", DOMAIN, "--algorithm", "dsa"]).0,
        2 | 64
    ));
    assert_eq!(selector(&house), "first");
    assert_eq!(files(&house), ["first"]);
}

#[test]
fn a_second_rotation_while_one_is_under_way_is_refused() {
    let (house, secondary) = with_secondary(&format!("{}{SIGNER}", rotation("")), Mood::Lags);
    wait_for_stage(&house, "first", "signing");
    let (code, said) = key(&house, &["rotate", DOMAIN]);
    assert_eq!(code, 0, "{said}");
    let next = said.split_whitespace().next().unwrap().to_owned();
    wait_for_stage(&house, &next, "published");
    refused(&house, &["rotate", DOMAIN], &format!("{next} is on its way already"));
    // Another may be chosen in its place.
    house.write("keys/example.org/mine.private", keys::ed25519());
    wait_for_stage(&house, "mine", "published");
    let (code, said) = key(&house, &["rotate", DOMAIN, "--selector", "mine"]);
    assert_eq!(code, 0, "{said}");
    secondary.set(Mood::Follows);
    let (code, said) = key(&house, &["wait", DOMAIN, "mine", "--timeout", "30s"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(wait_for_switch(&house, &["first"]), "mine");
    wait_for_stage(&house, "mine", "signing");
    assert_eq!(stages(&house)[&next], "published", "it is left for another time");
    assert_eq!(selector(&house), "mine");
}

#[test]
fn a_key_that_leaked_is_revoked_and_the_signer_goes_on_to_the_next() {
    let house = serving();
    assert_eq!(key(&house, &["revoke", DOMAIN, "first"]).0, 0);
    let (code, said) = key(&house, &["rotate", DOMAIN]);
    assert_eq!(code, 0, "{said}");
    let next = wait_for_switch(&house, &["first"]);
    wait_for_stage(&house, &next, "signing");
    let table = std::fs::read_to_string(house.path("SigningTable")).unwrap();
    assert!(!table.contains("first."), "the leaked key signs no more: {table}");
    let (code, said) = key(&house, &["rotate", DOMAIN, "--selector", "first"]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn a_key_on_its_way_in_that_is_revoked_is_not_switched_to() {
    let (house, secondary) = with_secondary(&format!("{}{SIGNER}", rotation("")), Mood::Lags);
    let (_, said) = key(&house, &["rotate", DOMAIN]);
    let next = said.split_whitespace().next().unwrap().to_owned();
    wait_for_stage(&house, &next, "published");
    assert_eq!(key(&house, &["revoke", DOMAIN, &next]).0, 0);
    secondary.set(Mood::Follows);
    let (code, said) = key(&house, &["rotate", DOMAIN]);
    assert_eq!(code, 0, "{said}");
    let after = wait_for_switch(&house, &["first"]);
    assert_ne!(after, next);
}
