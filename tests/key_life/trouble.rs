//! What can go wrong: each has a message, and no key is lost.

use crate::common::daemon::Launch;
use crate::common::keys;
use crate::common::signpost::{BINARY, House};
use crate::common::wait_for;
use crate::support::*;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

fn serving(policy: &str) -> House {
    let mut house = signed_domain(policy);
    house.start(&[DOMAIN]);
    wait_for_stage(&house, "first", "signing");
    house
}

/// A file system of a few pages, mounted over a directory until it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(directory: PathBuf, size: &str) -> Self {
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(&directory);
        assert!(mount.status().unwrap().success(), "mounting a tmpfs needs root");
        Self(directory)
    }

    fn fill(&self) {
        let mut filler = File::create(self.0.join(".filler")).unwrap();
        let _ = std::io::copy(&mut std::io::repeat(7), &mut filler);
    }

    fn free(&self) {
        fs::remove_file(self.0.join(".filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn while_the_reload_fails_the_old_key_is_signing_and_it_is_tried_again() {
    let reload = "reload = [\"/bin/sh\", \"-c\", \"test -e reloadable || { echo 'no such unit' >&2; exit 5; }\"]\n";
    let house = serving(&format!("{}{SIGNER}{reload}", rotation("")));
    assert_eq!(key(&house, &["rotate", DOMAIN]).0, 0);
    let next = wait_for_switch(&house, &["first"]);
    let log = house.wait_for_log(0, "signer-reload");
    assert!(log.contains("/bin/sh failed, exit status: 5: no such unit"), "{log}");
    let stages_now = stages(&house);
    assert_eq!(
        (stages_now["first"].as_str(), stages_now[&next].as_str()),
        ("signing", "published")
    );
    let (code, said) = key(&house, &["status", DOMAIN]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("the last step failed") && said.contains("/bin/sh failed"),
        "{said}"
    );
    let views = status(&house);
    assert!(
        views[0]["trouble"]
            .as_str()
            .is_some_and(|why| why.contains("/bin/sh failed")),
        "{views}"
    );
    house.write("reloadable", "");
    wait_for_stage(&house, &next, "signing");
    let (code, said) = key(&house, &["status", DOMAIN]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_key_table_that_is_edited_meanwhile_is_kept() {
    let house = serving(&format!("{}{SIGNER}", rotation("")));
    assert_eq!(key(&house, &["rotate", DOMAIN]).0, 0);
    // While the key waits for the resolvers.
    let table = fs::read_to_string(house.path("KeyTable")).unwrap();
    house.replace(
        "KeyTable",
        format!("{table}# of ours\nother.example other.example:x:/srv/x.private\n"),
    );
    let next = wait_for_switch(&house, &["first"]);
    wait_for_stage(&house, &next, "signing");
    let table = fs::read_to_string(house.path("KeyTable")).unwrap();
    assert!(
        table.contains("# of ours\nother.example other.example:x:/srv/x.private\n"),
        "{table}"
    );
}

#[test]
fn a_signer_that_was_switched_by_hand_to_an_unknown_key_is_left_alone_and_followed_when_that_is_mended() {
    let house = serving(&format!("{}{SIGNER}", rotation("")));
    assert_eq!(key(&house, &["rotate", DOMAIN]).0, 0);
    let mark = house.log_mark();
    let (good_keys, good_signing) = (
        fs::read(house.path("KeyTable")).unwrap(),
        fs::read(house.path("SigningTable")).unwrap(),
    );
    sign_with(&house, "mine");
    let log = wait_for("the message", || {
        let log = house.log();
        let since = log.get(mark..)?.to_owned();
        since.contains("signer-disagrees").then_some(since)
    });
    assert!(
        log.contains("is signed with selector mine: somebody else changed it"),
        "{log}"
    );
    assert_eq!(selector(&house), "mine", "never overwritten blindly");
    house.replace("KeyTable", good_keys);
    house.replace("SigningTable", good_signing);
    // An attempt that had begun before they were mended fails as well, and the next may rest for twice as long.
    let next = wait_for_switch_at_most(Duration::from_secs(90), &house, &["first", "mine"]);
    wait_for_stage(&house, &next, "signing");
}

/// With room on the disk again, the rotation goes on.
fn goes_on_with_room(mut house: House, disk: SmallDisk) {
    disk.free();
    house.command(&["reload"]);
    let next = wait_for_switch(&house, &["first"]);
    wait_for_stage(&house, &next, "signing");
    house.assert_unharmed();
    house.stop();
    drop(disk);
}

#[test]
fn a_full_disk_for_keys_holds_the_rotation_and_nothing_else() {
    let mut house = signed_domain(&format!("{}{SIGNER}", rotation("every = \"2s\"")));
    let first = fs::read(house.path("keys/example.org/first.private")).unwrap();
    let disk = SmallDisk::mount(house.path("keys"), "64k");
    house.write("keys/example.org/first.private", first);
    disk.fill();
    house.start(&[DOMAIN]);
    house.wait_for_log(0, "signer-disk-full");
    assert_eq!(files(&house), ["first"]);
    let (code, said) = key(&house, &["status", DOMAIN]);
    assert_eq!(code, 1, "{said}");
    goes_on_with_room(house, disk);
}

#[test]
fn a_full_disk_for_the_state_holds_the_rotation_and_no_key_is_made_twice() {
    let mut house = signed_domain(&format!("{}{SIGNER}", rotation("every = \"4s\"")));
    let disk = SmallDisk::mount(house.path("state"), "8m");
    house.start(&[DOMAIN]);
    wait_for_stage(&house, "first", "signing");
    disk.fill();
    house.wait_for_log(0, "state-");
    let observer = Observer::start(&house);
    std::thread::sleep(Duration::from_secs(12));
    let observed = observer.end();
    assert_eq!(observed.failures, Vec::<String>::new(), "{}", house.log());
    assert!(files(&house).len() <= 2, "{:?}\n{}", files(&house), house.log());
    goes_on_with_room(house, disk);
}

#[test]
fn a_second_signpost_that_would_drive_the_same_signer_refuses() {
    let policy = format!("{}{SIGNER}", rotation(""));
    let mut house = serving(&policy);
    let other = house.path("other.toml");
    let text = fs::read_to_string(house.path("signpost.toml")).unwrap();
    let text = text.replace("state = \"state\"", "state = \"other-state\"");
    let port = crate::common::free_port();
    let text = text.replace(&house.address.to_string(), &format!("127.0.0.1:{port}"));
    fs::write(&other, &text).unwrap();
    let mut second = Launch::new("second", &house.path(""), BINARY)
        .args(["--config", other.to_str().unwrap()])
        .start();
    let code = second.wait_until_ended();
    assert!(code.is_some_and(|code| code != 0), "{}", second.log());
    let log = second.log();
    assert!(
        log.contains("another Signpost drives the signers of this key directory"),
        "{log}"
    );
    // Without a signer it only reads, and may.
    fs::write(&other, text.split("[[signer]]").next().unwrap()).unwrap();
    let mut second = Launch::new("third", &house.path(""), BINARY)
        .args(["--config", other.to_str().unwrap()])
        .start();
    let address = ([127, 0, 0, 1], port).into();
    second.wait_until_serving(address, &[crate::common::wire::name(DOMAIN)]);
    house.assert_unharmed();
    house.kill();
    house.start(&[DOMAIN]);
}

#[test]
fn keys_are_not_revealed_into_the_key_directory() {
    let house = signed_domain("");
    let inside = house.path("keys/old");
    house.write_config(&rotation(&format!("reveal = \"{}\"", inside.display())));
    let output = house.command(&["check"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(said(&output).contains("would be published anew"), "{}", said(&output));
    house.write_config("");
    house.write(
        "zones/example.org.toml",
        rotation(&format!("reveal = \"{}\"", inside.display())),
    );
    let output = house.command(&["check"]);
    assert_ne!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("would be published anew"), "{}", said(&output));
}

#[test]
fn a_key_that_is_lost_while_the_signer_is_switched_to_it_is_not_the_end() {
    let reload = "reload = [\"/bin/sh\", \"-c\", \"test -e reloadable\"]\n";
    let house = serving(&format!("{}{SIGNER}{reload}", rotation("")));
    assert_eq!(key(&house, &["rotate", DOMAIN]).0, 0);
    let lost = wait_for_switch(&house, &["first"]);
    house.wait_for_log(0, "signer-reload");
    house.remove(&format!("keys/example.org/{lost}.private"));
    house.remove(&format!("keys/example.org/{lost}.txt"));
    wait_for_stage(&house, &lost, "retiring");
    house.write("reloadable", "");
    house.write("keys/example.org/mine.private", keys::ed25519());
    wait_for_stage(&house, "mine", "published");
    let (code, said) = key(&house, &["rotate", DOMAIN, "--selector", "mine"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(wait_for_switch(&house, &["first", &lost]), "mine");
    wait_for_stage(&house, "mine", "signing");
}
