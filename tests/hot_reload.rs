//! The answer follows a key, a zone edit and a policy edit at once: no command, no restart.
//!
//! Every test runs the real binary on a directory of its own, changes files as people, editors and
//! deployment tools do, and waits for the answer. Serials are watched beside: they move by RFC 1982
//! exactly when bytes change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::client;
use common::keys;
use common::signpost::{BINARY, House, is_newer};
use common::wire::{A, AA, Message, NOERROR, NXDOMAIN, Query, REFUSED, SOA, TXT, name};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::time::{Duration, Instant};

const ZONE: &str = "example.org";
const SELECTOR: &str = "sel._domainkey.example.org";
/// How a change of a key file that lies in a key directory of the flat kind is named.
const KEY_FILE: &str = "keys/example.org/sel.private";

/// A master file with this serial and this text at `www`.
fn zone_text(serial: u32, www: &str) -> String {
    format!(
        "$ORIGIN example.org.\n$TTL 300\n@ IN SOA ns hostmaster {serial} 3600 600 86400 300\n  IN NS ns\n\
         ns IN A 192.0.2.1\nwww IN TXT \"{www}\"\n"
    )
}

/// A served zone, no key yet.
fn serving(policy: &str) -> House {
    let mut house = House::new(policy);
    house.write("zones/example.org.zone", zone_text(100, "first"));
    house.start(&[ZONE]);
    house
}

fn wait_for_key(house: &House, pem: &str) {
    let public = keys::public_half(pem, &house.path(""));
    house.wait_for_answer("the key", SELECTOR, TXT, |message| {
        message
            .texts(TXT)
            .iter()
            .any(|text| text.ends_with(&format!("p={public}")))
    });
}

fn wait_for_text(house: &House, owner: &str, text: &str) {
    house.wait_for_answer(text, owner, TXT, |message| message.texts(TXT) == [text]);
}

fn wait_for_rcode(house: &House, owner: &str, rtype: u16, rcode: u16) {
    house.wait_for_answer(&format!("rcode {rcode}"), owner, rtype, |message| {
        message.rcode == rcode
    });
}

#[test]
fn a_key_that_is_dropped_replaced_and_removed_is_followed() {
    let mut house = serving("[mail.dkim.rotation]\nretire = \"2s\"\nforget = \"2s\"\n");
    let without_key = house.serial(ZONE);
    assert_eq!(without_key, 100, "nothing is composed: the file's own serial");

    let first = keys::rsa();
    house.write(KEY_FILE, &first);
    wait_for_key(&house, &first);
    let with_key = house.serial(ZONE);
    assert!(is_newer(with_key, without_key), "{with_key} after {without_key}");

    let second = keys::rsa();
    house.replace(KEY_FILE, &second);
    wait_for_key(&house, &second);
    let with_second = house.serial(ZONE);
    assert!(is_newer(with_second, with_key), "{with_second} after {with_key}");

    // Gone: kept for mail in flight, then revoked, then forgotten.
    let removed = Instant::now();
    house.remove(KEY_FILE);
    house.wait_for_answer("a revoked key", SELECTOR, TXT, |message| {
        message
            .texts(TXT)
            .iter()
            .any(|text| text.trim_end_matches([' ', ';']).ends_with("p="))
    });
    assert!(
        removed.elapsed() > Duration::from_secs(1),
        "the key was not kept for its grace period"
    );
    let revoked = house.serial(ZONE);
    assert!(is_newer(revoked, with_second), "{revoked} after {with_second}");
    house.wait_for_answer("nothing", SELECTOR, TXT, |message| message.answer.is_empty());
    assert!(
        removed.elapsed() > Duration::from_secs(3),
        "the revocation was not kept"
    );
    assert!(is_newer(house.serial(ZONE), revoked));
    house.assert_unharmed();
}

#[test]
fn a_key_that_returns_within_its_grace_changes_nothing() {
    let mut house = serving("");
    let key = keys::rsa();
    house.write(KEY_FILE, &key);
    wait_for_key(&house, &key);
    let serial = house.serial(ZONE);
    let mark = house.log_mark();
    house.remove(KEY_FILE);
    house.wait_for_log(mark, "sel");
    house.write(KEY_FILE, &key);
    // A change behind it is seen, so the return was seen as well.
    let marker = keys::rsa();
    house.write("keys/example.org/marker.private", &marker);
    house.wait_for_answer("the marker", "marker._domainkey.example.org", TXT, |m| {
        !m.answer.is_empty()
    });
    wait_for_key(&house, &key);
    assert_eq!(
        house.serial(ZONE),
        serial.wrapping_add(1),
        "only the marker moved the serial"
    );
    house.assert_unharmed();
}

#[test]
fn a_key_file_that_is_still_being_written_is_waited_for() {
    let mut house = serving("");
    let key = keys::rsa();
    let (front, back) = key.split_at(key.len() / 2);
    house.write(KEY_FILE, "");
    house.write(KEY_FILE, front);
    house.write("zones/example.org.zone", zone_text(101, "behind it"));
    wait_for_text(&house, "www.example.org", "behind it");
    assert!(house.ask(SELECTOR, TXT).answer.is_empty(), "half a key was published");
    let mut whole = fs::File::options().append(true).open(house.path(KEY_FILE)).unwrap();
    std::io::Write::write_all(&mut whole, back.as_bytes()).unwrap();
    drop(whole);
    wait_for_key(&house, &key);
    house.assert_unharmed();
}

#[test]
fn a_zone_file_is_followed_in_place_by_rename_added_and_removed() {
    let mut house = serving("");
    house.write("zones/example.org.zone", zone_text(101, "in place"));
    wait_for_text(&house, "www.example.org", "in place");
    assert_eq!(house.serial(ZONE), 101, "the file's serial, to the byte");
    house.replace("zones/example.org.zone", zone_text(102, "by rename"));
    wait_for_text(&house, "www.example.org", "by rename");
    assert_eq!(house.serial(ZONE), 102);

    assert_eq!(house.ask("example.net", SOA).rcode, REFUSED);
    let other = zone_text(1, "other").replace("example.org", "example.net");
    house.write("zones/clients/example.net.zone", &other);
    wait_for_text(&house, "www.example.net", "other");
    house.remove("zones/clients/example.net.zone");
    wait_for_rcode(&house, "example.net", SOA, REFUSED);
    assert_eq!(
        house.ask("www.example.org", TXT).texts(TXT),
        ["by rename"],
        "the other zone is untouched"
    );
    house.assert_unharmed();
}

#[test]
fn a_file_that_is_deleted_and_written_anew_never_takes_its_zone_down() {
    let mut house = serving("");
    house.write("zones/example.org.toml", "[mail.spf]\nrecord = \"v=spf1 mx -all\"\n");
    wait_for_text(&house, ZONE, "v=spf1 mx -all");
    let policy = fs::read(house.path("zones/example.org.toml")).unwrap();
    for serial in 101..120 {
        let mark = house.log_mark();
        house.remove("zones/example.org.zone");
        house.remove("zones/example.org.toml");
        // What the server does about it would be seen after another change that it follows.
        house.write(
            "zones/example.net.zone",
            zone_text(serial, "other").replace("example.org", "example.net"),
        );
        house.wait_for_answer("the other zone", "example.net", SOA, |message| {
            message.rcode == NOERROR && house.serial("example.net") == serial
        });
        assert_eq!(house.texts(ZONE, TXT), ["v=spf1 mx -all"], "{serial}");
        house.write("zones/example.org.toml", &policy);
        let text = format!("written anew {serial}");
        house.write("zones/example.org.zone", zone_text(serial, &text));
        wait_for_text(&house, "www.example.org", &text);
        assert!(!house.log()[mark..].contains("ERROR"), "{}", &house.log()[mark..]);
    }
    house.assert_unharmed();
}

#[test]
fn an_included_file_is_followed() {
    let mut house = House::new("");
    house.write("zones/shared/hosts.inc", "host IN A 192.0.2.7\n");
    house.write(
        "zones/example.org.zone",
        zone_text(100, "first") + "$INCLUDE shared/hosts.inc\n",
    );
    house.start(&[ZONE]);
    assert_eq!(house.ask("host.example.org", A).answers(A), [[192, 0, 2, 7]]);
    house.replace("zones/shared/hosts.inc", "host IN A 192.0.2.8\n");
    house.wait_for_answer("the new address", "host.example.org", A, |m| {
        m.answers(A) == [[192, 0, 2, 8]]
    });
    house.assert_unharmed();
}

#[test]
fn a_policy_is_followed() {
    let mut house = serving("");
    house.write("zones/example.org.toml", "[mail.spf]\nrecord = \"v=spf1 mx -all\"\n");
    wait_for_text(&house, ZONE, "v=spf1 mx -all");
    let serial = house.serial(ZONE);
    assert!(is_newer(serial, 100));
    house.write_config("[mail.dmarc]\npolicy = \"reject\"\n");
    house.wait_for_answer("DMARC from signpost.toml", "_dmarc.example.org", TXT, |message| {
        message
            .texts(TXT)
            .iter()
            .any(|text| text.starts_with("v=DMARC1; p=reject"))
    });
    wait_for_text(&house, ZONE, "v=spf1 mx -all");
    let both = house.serial(ZONE);
    assert!(is_newer(both, serial), "{both} after {serial}");
    house.remove("zones/example.org.toml");
    house.wait_for_answer("no SPF", ZONE, TXT, |message| message.answer.is_empty());
    assert!(is_newer(house.serial(ZONE), both));
    house.assert_unharmed();
}

#[test]
fn a_directory_moved_in_and_a_symlink_swapped_are_followed() {
    let mut house = serving("");
    let (first, second) = (keys::rsa(), keys::rsa());
    // A whole directory, made elsewhere and moved in.
    house.write("incoming/example.org/sel.private", &first);
    fs::rename(house.path("incoming/example.org"), house.path("keys/example.org")).unwrap();
    wait_for_key(&house, &first);

    // The layout of deployment tools: `current` is a symlink that is swapped by rename.
    house.write(
        "releases/1/example.net.zone",
        zone_text(1, "release one").replace("example.org", "example.net"),
    );
    house.write(
        "releases/2/example.net.zone",
        zone_text(2, "release two").replace("example.org", "example.net"),
    );
    symlink(house.path("releases/1"), house.path("zones/current")).unwrap();
    wait_for_text(&house, "www.example.net", "release one");
    symlink(house.path("releases/2"), house.path(".next")).unwrap();
    fs::rename(house.path(".next"), house.path("zones/current")).unwrap();
    wait_for_text(&house, "www.example.net", "release two");

    // A key that is a symlink, as certificate tools leave them.
    house.write("vault/two.private", &second);
    symlink(house.path("vault/two.private"), house.path(".next")).unwrap();
    fs::rename(house.path(".next"), house.path(KEY_FILE)).unwrap();
    wait_for_key(&house, &second);
    house.assert_unharmed();
}

#[test]
fn permissions_that_arrive_after_the_file_are_followed() {
    // Root reads everything: this server runs as nobody, from a copy it may execute.
    let mut house = House::new("");
    house.write("zones/example.org.zone", zone_text(100, "first"));
    for path in ["", "state", "keys", "zones"] {
        fs::set_permissions(house.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        chown(house.path(path), Some(65_534), Some(65_534)).unwrap();
    }
    let binary = house.path("signpost-of-nobody");
    fs::copy(BINARY, &binary).unwrap();
    let prefix = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--pdeathsig=TERM",
    ];
    house.start_program(&prefix.map(str::to_owned), &binary, &[ZONE]);

    let key = keys::rsa();
    fs::create_dir(house.path("keys/example.org")).unwrap();
    house.write("unreadable", &key);
    fs::set_permissions(house.path("unreadable"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::rename(house.path("unreadable"), house.path(KEY_FILE)).unwrap();
    house.wait_for_log(0, "sel.private");
    assert!(house.ask(SELECTOR, TXT).answer.is_empty());
    chown(house.path(KEY_FILE), Some(65_534), Some(65_534)).unwrap();
    fs::set_permissions(house.path(KEY_FILE), fs::Permissions::from_mode(0o400)).unwrap();
    wait_for_key(&house, &key);

    // A zone file likewise.
    house.write("unreadable", zone_text(1, "late").replace("example.org", "example.net"));
    fs::set_permissions(house.path("unreadable"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::rename(house.path("unreadable"), house.path("zones/example.net.zone")).unwrap();
    house.wait_for_log(0, "example.net.zone");
    fs::set_permissions(house.path("zones/example.net.zone"), fs::Permissions::from_mode(0o644)).unwrap();
    wait_for_text(&house, "www.example.net", "late");
    house.assert_unharmed();
}

#[test]
fn sighup_reads_everything_again() {
    let mut house = serving("");
    let before = house.serial(ZONE);
    house.daemon().signal("HUP");
    house.write("zones/example.org.zone", zone_text(before + 1, "after HUP"));
    house.daemon().signal("HUP");
    wait_for_text(&house, "www.example.org", "after HUP");
    house.daemon().signal("HUP");
    house.assert_unharmed();
    assert_eq!(house.serial(ZONE), before + 1, "reading again changes nothing");
}

#[test]
fn a_broken_edit_keeps_the_last_good_version() {
    let mut house = serving("[mail.spf]\nrecord = \"v=spf1 mx -all\"\n");
    let key = keys::rsa();
    house.write(KEY_FILE, &key);
    wait_for_key(&house, &key);
    let serial = house.serial(ZONE);
    let good = zone_text(100, "first");
    let breakages: [(&str, &str, &[u8]); 6] = [
        (
            "zones/example.org.zone",
            "example.org.zone:3",
            b"$ORIGIN example.org.\n$TTL 300\nwww IN A 300.1.2.3\n",
        ),
        ("zones/example.org.zone", "example.org.zone", &good.as_bytes()[..70]),
        (
            "zones/example.org.zone",
            "example.org.zone",
            &[0x7f, b'E', b'L', b'F', 0, 0, 1, 2, 3],
        ),
        (
            "zones/example.org.toml",
            "example.org.toml:2",
            b"[mail.spf]\nrecrod = \"v=spf1 -all\"\n",
        ),
        ("zones/example.org.toml", "example.org.toml:1", b"[mail.spf\n"),
        (
            KEY_FILE,
            "sel.private",
            b"-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n",
        ),
    ];
    for (path, place, broken) in breakages {
        let mark = house.log_mark();
        house.write(path, broken);
        house.wait_for_log(mark, place);
        house.assert_unharmed();
        assert_eq!(house.texts("www.example.org", TXT), ["first"], "{place}");
        assert_eq!(house.texts(ZONE, TXT), ["v=spf1 mx -all"], "{place}");
        wait_for_key(&house, &key);
        assert_eq!(house.serial(ZONE), serial, "{place}");
        match path {
            KEY_FILE => house.write(path, &key),
            _ if path.ends_with(".toml") => house.remove(path),
            _ => house.write(path, &good),
        }
    }
    // And a good edit is taken up again.
    house.write("zones/example.org.zone", zone_text(100, "mended"));
    wait_for_text(&house, "www.example.org", "mended");
}

#[test]
fn the_serial_moves_exactly_when_bytes_change() {
    let mut house = serving("[mail.spf]\nrecord = \"v=spf1 mx -all\"\n");
    let mut serial = house.serial(ZONE);
    // A comment, another order, another case of the same file: the same zone.
    let same = zone_text(100, "first");
    for (number, text) in [
        "; a comment\n".to_owned() + &same,
        same.replace("\nwww", "\n\n\nwww"),
        same.clone(),
    ]
    .into_iter()
    .enumerate()
    {
        house.replace("zones/example.org.zone", text);
        // A change of another zone behind it shows that this one was read.
        let marker = zone_text(1, &format!("marker {number}")).replace("example.org", "example.net");
        house.replace("zones/example.net.zone", marker);
        wait_for_text(&house, "www.example.net", &format!("marker {number}"));
        assert_eq!(house.serial(ZONE), serial, "the same content, the same serial");
    }
    // A file serial that is older, newer, far away: forward all the same.
    for (file_serial, text) in [
        (50, "older"),
        (101, "newer"),
        (4_000_000_000, "wrapped"),
        (7, "back again"),
    ] {
        house.replace("zones/example.org.zone", zone_text(file_serial, text));
        wait_for_text(&house, "www.example.org", text);
        let next = house.serial(ZONE);
        assert!(is_newer(next, serial), "{text}: {next} after {serial}");
        serial = next;
    }
    house.assert_unharmed();
}

#[test]
fn nothing_is_lost_by_kill_9() {
    let mut house = serving("[mail.dkim.rotation]\nretire = \"1h\"\nforget = \"1h\"\n");
    let key = keys::rsa();
    house.write(KEY_FILE, &key);
    wait_for_key(&house, &key);
    let mut serial = house.serial(ZONE);
    for round in 0..4 {
        house.kill();
        house.start(&[ZONE]);
        assert_eq!(house.serial(ZONE), serial, "round {round}: same content, same serial");
        wait_for_key(&house, &key);
        // Changed and killed at once: the published serial must never be seen to go backwards.
        house.replace("zones/example.org.zone", zone_text(100, &format!("round {round}")));
        wait_for_text(&house, "www.example.org", &format!("round {round}"));
        let next = house.serial(ZONE);
        assert!(is_newer(next, serial), "{next} after {serial}");
        serial = next;
    }
    // A key that vanished keeps its record over the restart.
    let mark = house.log_mark();
    house.remove(KEY_FILE);
    house.wait_for_log(mark, "sel");
    house.kill();
    house.start(&[ZONE]);
    wait_for_key(&house, &key);
    // Changes made while it was down are published at the start, forward.
    house.kill();
    house.replace("zones/example.org.zone", zone_text(1, "while it was down"));
    house.start(&[ZONE]);
    wait_for_text(&house, "www.example.org", "while it was down");
    assert!(is_newer(house.serial(ZONE), serial));
    // An orderly end loses nothing either.
    let last = house.serial(ZONE);
    house.stop();
    house.start(&[ZONE]);
    assert_eq!(house.serial(ZONE), last);
}

#[test]
fn answers_keep_coming_while_everything_changes() {
    let mut house = serving("");
    let query = Query::new(name("www.example.org"), TXT).encode();
    let socket = client::udp_socket(house.address);
    for round in 0..100u32 {
        house.replace("zones/example.org.zone", zone_text(200 + round, "steady"));
        for _ in 0..20 {
            socket.send(&query).unwrap();
            let message = Message::decode(&client::receive(&socket, &query).unwrap()).unwrap();
            assert!(message.has(AA) && message.rcode == NOERROR, "{message:?}");
            assert!(
                message.texts(TXT) == ["first"] || message.texts(TXT) == ["steady"],
                "{message:?}"
            );
        }
    }
    assert_eq!(house.ask("nothing.example.org", A).rcode, NXDOMAIN);
    house.wait_for_answer("the last serial", ZONE, SOA, |message| message.serial() == Some(299));
    house.assert_unharmed();
}
