//! The commands that ask the running server, as an operator types them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::keys;
use common::signpost::House;
use common::wire::TXT;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

const ZONE: &str = "example.org";
const OWNER: &str = "sel._domainkey.example.org";
const TEXT: &str = "$TTL 300\n@ IN SOA ns hostmaster 100 7200 3600 1209600 300\n IN NS ns\n IN MX 10 mail\n\
                    ns IN A 192.0.2.1\nmail IN A 192.0.2.25\n";

fn serving() -> House {
    let mut house = House::new("");
    house.write("zones/example.org.zone", TEXT);
    house.write("keys/example.org/sel.private", keys::ed25519());
    house.start(&[ZONE]);
    house
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_key_is_revoked_at_once_although_its_file_is_there() {
    let house = serving();
    let before = house.serial(ZONE);
    let output = house.command(&["key", "revoke", "Example.ORG", "sel"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(
        house.texts(OWNER, TXT),
        ["v=DKIM1; k=ed25519; p="],
        "served when the command returns"
    );
    assert!(common::signpost::is_newer(house.serial(ZONE), before));
    let list = said(&house.command(&["key", "list"]));
    assert!(list.contains("example.org. sel revoked by command"), "{list}");
    let unknown = house.command(&["key", "revoke", "example.org", "other"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", said(&unknown));
}

#[test]
fn a_revocation_survives_kill_9_and_ends_with_another_key() {
    let mut house = serving();
    assert_eq!(house.command(&["key", "revoke", ZONE, "sel"]).status.code(), Some(0));
    let serial = house.serial(ZONE);
    house.kill();
    house.start(&[ZONE]);
    assert_eq!(house.texts(OWNER, TXT), ["v=DKIM1; k=ed25519; p="]);
    assert_eq!(house.serial(ZONE), serial, "the same content keeps its serial");
    house.replace("keys/example.org/sel.private", keys::ed25519());
    house.wait_for_answer("another key", OWNER, TXT, |message| {
        message.texts(TXT).iter().any(|text| !text.ends_with("p="))
    });
}

#[test]
fn a_zone_is_printed_as_a_master_file_that_bind_loads() {
    let house = serving();
    let output = house.command(&["zone", "print", ZONE]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let printed = house.path("printed.zone");
    std::fs::write(&printed, &output.stdout).unwrap();
    let judged = Command::new("named-checkzone")
        .arg(ZONE)
        .arg(&printed)
        .output()
        .expect("named-checkzone");
    assert!(judged.status.success(), "{}\n{}", said(&judged), said(&output));
    assert!(said(&output).contains("v=DKIM1; k=ed25519; p="), "{}", said(&output));
    assert_eq!(house.command(&["zone", "print", "example.net"]).status.code(), Some(2));
}

#[test]
fn lists_status_and_reload_answer() {
    let house = serving();
    let list = said(&house.command(&["zone", "list"]));
    assert!(
        list.starts_with(&format!("example.org. serial {}, ", house.serial(ZONE))),
        "{list}"
    );
    let status = said(&house.command(&["status"]));
    assert!(status.contains("1 zone served"), "{status}");
    assert_eq!(house.command(&["reload"]).status.code(), Some(0));
}

#[test]
fn nobody_there_is_said_and_has_its_exit_code() {
    let mut house = serving();
    house.stop();
    let output = house.command(&["status"]);
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("no server answers at "), "{}", said(&output));
}

#[test]
fn check_judges_without_a_server_and_ends_with_the_worst() {
    let house = House::new("");
    house.write("zones/example.org.zone", TEXT);
    let fine = house.command(&["check"]);
    assert_eq!(fine.status.code(), Some(0), "{}", said(&fine));
    house.write("zones/example.net.zone", format!("{TEXT}www IN A 192.0.2.300\n"));
    let broken = house.command(&["check"]);
    assert_eq!(broken.status.code(), Some(2), "{}", said(&broken));
    assert!(said(&broken).contains("example.net.zone:7:"), "{}", said(&broken));
    assert!(!house.path("state/signpost.redb").exists(), "check touches no state");
}

/// Every judgment that an operator may count on, in one directory.
#[test]
fn a_configuration_below_a_hidden_directory_is_read() {
    let house = House::new("");
    let (hidden, config) = (
        house.path(".hidden.tmp"),
        "zones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n",
    );
    for folder in ["zones", "keys", "state"] {
        std::fs::create_dir_all(hidden.join(folder)).unwrap();
    }
    house.write(".hidden.tmp/signpost.toml", config);
    house.write(".hidden.tmp/zones/example.org.zone", TEXT);
    house.write(".hidden.tmp/zones/.example.net.zone", TEXT);
    let output = house.command(&["check", "--config", ".hidden.tmp/signpost.toml"]);
    assert!(said(&output).contains("1 zones and 0 keys"), "{}", said(&output));
}

#[test]
fn check_judges_transfers_and_their_keys() {
    let house = House::new(
        "[transfer]\nallow = [{ key = \"hoster\" }]\n[[tsig]]\nname = \"other\"\nsecret_file = \"other.key\"\n",
    );
    house.write("zones/example.org.zone", TEXT);
    house.write("zones/example.org.toml", "[transfer]\nallow = [{ key = \"third\" }]\n");
    let told = said(&house.command(&["check"]));
    for words in [
        "the key hoster.",
        "[tsig-key-unknown]",
        "the key third.",
        "other.key",
        "[tsig-key-file]",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn check_knows_what_hurts() {
    let mut house = House::new("");
    house.write("zones/example.org.zone", TEXT);
    house.write("keys/example.org/sel.private", keys::ed25519());
    house.start(&[ZONE]);
    house.stop();
    let published = house.path("keys/example.org/sel.private");
    std::fs::set_permissions(&published, std::fs::Permissions::from_mode(0o644)).unwrap();
    house.replace(
        "zones/example.org.zone",
        "$TTL 300\n@ IN SOA ns hostmaster 90 3600 3600 1209600 300\n@ NS ns\n@ NS alias\n@ MX 10 gone\n\
         ns A 192.0.2.1\nalias CNAME ns\n@ TXT \"v=spf1 -all\"\n@ TXT \"v=spf1 a -all\"\n\
         _dmarc TXT \"v=DMARC1; p=none\"\n_dmarc TXT \"v=DMARC1; p=reject\"\nsub NS ns.sub\nwww.sub TXT x\n\
         deep TXT \"v=spf1 a a a a a a a a a a a -all\"\nvoid TXT \"v=spf1 a:n1 a:n2 a:n3 include:n4.example.org -all\"\n\
         sel._domainkey TXT \"v=DKIM1; p=AAAA\"\nold._domainkey TXT \"v=DKIM1; h=rsa-sha256; p=AAAA\"\n",
    );
    house.write("keys/KeyTable", "row example.org:missing:/nowhere/missing.private\n");
    house.write("keys/example.org/two.private", keys::ed25519());
    house.write("keys/example.org.two.private", keys::ed25519());
    let output = house.command(&["check"]);
    let text = said(&output);
    for code in [
        "record-twice",
        "spf-lookups",
        "spf-void-lookups",
        "dkim-hash",
        "dkim-static-shadowed",
        "dkim-two-keys",
        "key-world-readable",
        "key-table-file-missing",
        "zone-ns-alias",
        "zone-mx-nowhere",
        "zone-glue-missing",
        "zone-occluded",
        "zone-soa-times",
    ] {
        assert!(text.contains(&format!("[{code}]")), "{code} is not in\n{text}");
    }
    assert!(
        text.contains("[serial-"),
        "the serial is older than the published one:\n{text}"
    );
    let json = house.command(&["check", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["exit"].as_i64(), json.status.code().map(i64::from));
}
