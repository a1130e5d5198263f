//! Somebody else drives: the stages follow what is in the key directory and in the signer's tables.

use crate::common::keys;
use crate::common::signpost::House;
use crate::common::wait_for;
use crate::support::*;
use std::fs;
use std::process::Command;

const EARLY: &str = "dkim-key-signs-unseen";

fn serving(more: &str) -> House {
    let mut house = signed_domain(&format!("{}{SIGNER}", rotation(more)));
    house.start(&[DOMAIN]);
    wait_for_stage(&house, "first", "signing");
    house
}

/// OpenDKIM's own program makes a key.
fn genkey(house: &House, selector: &str) {
    let made = Command::new("opendkim-genkey")
        .args(["-b", "2048", "-h", "sha256", "-d", DOMAIN, "-s", selector, "-D"])
        .arg(house.path("keys/example.org"))
        .status();
    assert!(made.unwrap().success(), "opendkim-genkey made no key");
}

#[test]
fn a_script_with_opendkim_genkey_waits_switches_and_the_stages_follow() {
    let mut house = signed_domain(&format!("{}{}", rotation(""), SIGNER.replace("ed25519", "rsa")));
    let _ = fs::remove_file(house.path("keys/example.org/first.private"));
    genkey(&house, "2026a");
    sign_with(&house, "2026a");
    house.start(&[DOMAIN]);
    wait_for_stage(&house, "2026a", "signing");
    genkey(&house, "2026b");
    let (code, said) = key(
        &house,
        &["wait", DOMAIN, "2026b", "--for", "signing", "--timeout", "30s"],
    );
    assert_eq!(code, 0, "{said}");
    assert_eq!(stages(&house)["2026b"], "published");
    sign_with(&house, "2026b");
    wait_for_stage(&house, "2026b", "signing");
    assert_eq!(stages(&house)["2026a"], "retiring", "its file is there still");
    let (code, said) = key(
        &house,
        &["wait", DOMAIN, "2026a", "--for", "removal", "--timeout", "30s"],
    );
    assert_eq!(code, 0, "{said}");
    fs::remove_file(house.path("keys/example.org/2026a.private")).unwrap();
    fs::remove_file(house.path("keys/example.org/2026a.txt")).unwrap();
    wait_for_stage(&house, "2026a", "forgotten");
    assert!(!house.log().contains(EARLY), "{}", house.log());
}

#[test]
fn a_switch_before_the_key_was_seen_everywhere_is_told() {
    let house = serving("");
    house.write("keys/example.org/2026b.private", keys::ed25519());
    wait_for_stage(&house, "2026b", "published");
    let mark = house.log_mark();
    sign_with(&house, "2026b");
    let told = house.wait_for_log(mark, EARLY);
    assert!(told.contains("2026b._domainkey.example.org"), "{told}");
}

#[test]
fn the_classical_way_of_key_and_tables_at_once_is_told() {
    let house = serving("");
    let mark = house.log_mark();
    sign_with(&house, "2026b");
    house.write("keys/example.org/2026b.private", keys::ed25519());
    house.wait_for_log(mark, EARLY);
}

#[test]
fn a_switch_to_a_key_that_has_been_served_long_enough_is_not_told_even_if_nobody_asked() {
    let house = serving("");
    house.write("keys/example.org/2026b.private", keys::ed25519());
    wait_for("the key to be safe, without a wait for it", || {
        let views = status(&house);
        let view = views
            .as_array()?
            .iter()
            .find(|view| view["selector"] == "2026b")?
            .clone();
        let forgotten = view["next"].as_str()?.contains("resolvers have forgotten");
        let asked = view["servers"]
            .as_array()?
            .iter()
            .all(|server| server["problem"].is_null());
        let seen = asked && !view["servers"].as_array()?.is_empty() && !forgotten;
        seen.then_some(())
    });
    sign_with(&house, "2026b");
    wait_for_stage(&house, "2026b", "signing");
    assert!(!house.log().contains(EARLY), "{}", house.log());
}

#[test]
fn a_directory_that_is_moved_away_retires_its_keys_and_back_revives_them() {
    let mut house = House::new(&rotation("").replace("retire = \"3s\"", "retire = \"1h\""));
    house.write("zones/example.org.zone", zone(&[]));
    house.write("keys/example.org/one.private", keys::ed25519());
    house.write("keys/example.org/two.private", keys::ed25519());
    house.start(&[DOMAIN]);
    let both = |stage: &str| ["one", "two"].map(|selector| wait_for_stage(&house, selector, stage));
    both("published");
    fs::rename(house.path("keys/example.org"), house.path("away")).unwrap();
    both("retiring");
    assert!(
        !texts(house.address, "one").unwrap()[0].ends_with("p="),
        "mail in flight verifies"
    );
    fs::rename(house.path("away"), house.path("keys/example.org")).unwrap();
    both("published");
}

/// Rotates and waits until the key that came next is forgotten; its selector.
fn forget_one(house: &House) -> String {
    assert_eq!(key(house, &["rotate", DOMAIN]).0, 0);
    let second = wait_for_switch(house, &["first"]);
    wait_for_stage(house, &second, "signing");
    assert_eq!(key(house, &["rotate", DOMAIN]).0, 0);
    wait_for_switch(house, &["first", &second]);
    wait_for_stage(house, &second, "forgotten");
    second
}

#[test]
fn a_forgotten_key_is_revealed_if_that_is_wanted() {
    let public = tempfile::tempdir().unwrap();
    let folder = public.path().join("keys");
    let house = serving(&format!("reveal = \"{}\"", folder.display()));
    let (code, said) = key(&house, &["rotate", DOMAIN]);
    assert_eq!(code, 0, "{said}");
    let second = wait_for_switch(&house, &["first"]);
    let pem = fs::read_to_string(house.path(format!("keys/example.org/{second}.private"))).unwrap();
    wait_for_stage(&house, &second, "signing");
    assert_eq!(key(&house, &["rotate", DOMAIN]).0, 0);
    wait_for_switch(&house, &["first", &second]);
    let file = folder.join(format!("{second}._domainkey.example.org.pem"));
    wait_for("the key to be revoked and its file to go", || {
        (!files(&house).contains(&second)).then_some(())
    });
    assert!(
        !file.exists() || !stages(&house).contains_key(&second),
        "not before it is forgotten"
    );
    let revealed = wait_for("the revealed key", || fs::read_to_string(&file).ok());
    assert_eq!(revealed, pem);
    assert_eq!(stages(&house).get(&second), None);
    assert!(
        !house
            .path("state/retired/example.org")
            .join(format!("{second}.private"))
            .exists()
    );
}

#[test]
fn by_default_no_private_half_is_kept() {
    let house = serving("");
    let second = forget_one(&house);
    assert!(!files(&house).contains(&second));
    assert!(!house.path("state/retired").exists());
}

#[test]
fn the_hook_hears_of_a_key_once_it_is_revoked_and_before_its_files_go() {
    let scratch = tempfile::tempdir().unwrap();
    let told = scratch.path().join("told");
    let script =
        r#"echo "$SIGNPOST_ACTION $SIGNPOST_SELECTOR" >> "$0"; test "$SIGNPOST_ACTION" = switch -o -e "$0.go""#;
    let hook = format!("hook = [\"/bin/sh\", \"-c\", '{script}', \"{}\"]\n", told.display());
    let mut house = signed_domain(&format!("{}{SIGNER}{hook}", rotation("")));
    house.start(&[DOMAIN]);
    wait_for_stage(&house, "first", "signing");
    assert_eq!(key(&house, &["rotate", DOMAIN]).0, 0);
    let second = wait_for_switch(&house, &["first"]);
    wait_for_stage(&house, &second, "signing");
    assert_eq!(key(&house, &["rotate", DOMAIN]).0, 0);
    wait_for_switch(&house, &["first", &second]);
    let retire = format!("retire {second}\n");
    let said = wait_for("the hook to be told", || {
        fs::read_to_string(&told).ok().filter(|said| said.contains(&retire))
    });
    assert!(said.contains(&format!("switch {second}\n")), "{said}");
    assert_eq!(stages(&house)[&second], "revoked");
    assert!(files(&house).contains(&second), "the hook has not agreed");
    assert!(!fs::read_to_string(house.path("KeyTable")).unwrap().contains(&second));
    fs::write(scratch.path().join("told.go"), "").unwrap();
    assert!(house.command(&["reload"]).status.success());
    wait_for("its files to go", || (!files(&house).contains(&second)).then_some(()));
    let said = fs::read_to_string(&told).unwrap();
    assert!(!said.contains("retire first"), "Signpost did not make it: {said}");
}
