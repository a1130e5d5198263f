//! What the publisher keeps when its process is killed or the disk is full.
//!
//! The children are this test's own binary, run again for one ignored test with the state
//! directory in `SIGNPOST_TEST_STATE`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use signpost::compose::{Composed, Composition};
use signpost::keys::{Algorithm, DkimKey};
use signpost::name::Name;
use signpost::publish::{Change, Fate, Outcome, Periods, Publisher, SharedZones, Sight, Stage, Store, StoreError};
use signpost::record::{Record, RecordType};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

const NOW: u64 = 1_790_000_000;
const STATE: &str = "SIGNPOST_TEST_STATE";
const FIRST: &str = "SIGNPOST_TEST_FIRST";

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

/// A zone whose content is a number, with something composed into it.
fn version(apex: &str, file_serial: u32, content: u32) -> Change<'static> {
    let record = |rtype, rdata: &[u8]| Record {
        owner: name(apex),
        rtype,
        ttl: 300,
        rdata: rdata.into(),
    };
    let mut soa = [
        name("ns.example.net").as_wire(),
        name("hostmaster.example.net").as_wire(),
    ]
    .concat();
    for value in [file_serial, 7200, 3600, 1_209_600, 300] {
        soa.extend_from_slice(&value.to_be_bytes());
    }
    Change::Serve {
        apex: name(apex),
        composition: Composition {
            empty_names: vec![],
            records: vec![
                record(RecordType::SOA, &soa),
                record(RecordType::NS, name("ns.example.net").as_wire()),
                record(RecordType::A, &content.to_be_bytes()),
            ]
            .into_iter()
            .map(Cow::Owned)
            .collect(),
            composed: vec![Composed {
                what: "SPF",
                owner: name(apex),
                rtype: RecordType::TXT,
                from: "policy".into(),
            }],
            findings: vec![],
        },
        soa: None,
    }
}

fn key(number: u32) -> DkimKey {
    DkimKey {
        domain: name("example.org"),
        selector: format!("k{number}"),
        record: format!("v=DKIM1; k=ed25519; p=KEY{number}").into(),
        algorithm: Algorithm::Ed25519,
        sources: vec![PathBuf::from(format!("keys/example.org/k{number}.private"))],
    }
}

fn child(test: &str, state: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(STATE, state)
        .stdout(Stdio::piped());
    command
}

fn state_of_child() -> PathBuf {
    PathBuf::from(std::env::var_os(STATE).expect("run by another test"))
}

const APEXES: [&str; 3] = ["a.example.org", "b.example.org", "c.example.org"];

#[test]
#[ignore = "run by kill_9_loses_no_serial_and_no_key"]
fn publishes_until_it_is_killed() {
    let first: u32 = std::env::var(FIRST).expect("run by another test").parse().unwrap();
    let mut publisher = Publisher::open(&state_of_child(), SharedZones::default()).unwrap();
    for content in first.. {
        let files = [key(content)];
        publisher.turn_keys(&name("example.org"), &[&files[0]], Sight::NONE, NOW, Periods::default());
        let batch = APEXES.map(|apex| version(apex, 100, content)).into();
        let outcome = publisher.publish(batch, NOW);
        assert!(outcome.unstored.is_none());
        let serials: Vec<String> = outcome.zones.iter().map(|zone| zone.new.unwrap().to_string()).collect();
        // One write to a pipe is not torn by a kill.
        println!("published {content} {}", serials.join(" "));
    }
}

#[test]
fn kill_9_loses_no_serial_and_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen_keys = BTreeSet::new();
    let mut next = 0;
    let mut random = 4711u32;
    for _ in 0..20 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let kill_after = 1 + random as usize % 37;
        let mut running = child("publishes_until_it_is_killed", dir.path())
            .env(FIRST, next.to_string())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
        let mut told = vec![];
        while let Some(Ok(line)) = lines.next() {
            if let Some((_, published)) = line.split_once("published ") {
                told.push(published.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<u32>>());
            }
            if told.len() == kill_after {
                running.kill().unwrap();
            }
        }
        running.wait().unwrap();
        assert!(told.len() >= kill_after, "the child ended before it was killed");
        seen_keys.extend(told.iter().map(|line| line[0]));
        let (last, serials) = told[told.len() - 1].split_first().unwrap();
        next = check_after_kill(dir.path(), *last, serials, &seen_keys) + 1;
    }
}

/// Reopens what a killed child left; returns the number of the last content it had stored.
fn check_after_kill(state: &Path, last: u32, serials: &[u32], seen_keys: &BTreeSet<u32>) -> u32 {
    let peeked = Store::peek(state);
    assert!(matches!(peeked, Err(StoreError::Unfinished { .. })), "{peeked:?}");
    let (store, stored) = Store::open(state).unwrap();
    drop(store);
    let keys: BTreeMap<&str, Stage> = stored
        .keys
        .iter()
        .map(|key| (key.selector.as_str(), key.stage))
        .collect();
    for number in seen_keys {
        let stage = keys.get(format!("k{number}").as_str());
        let live = *number == last && stage == Some(&Stage::Live);
        assert!(live || stage == Some(&Stage::Retiring), "k{number}: {stage:?}");
    }
    // The kill may have come between a commit and its line: then all of that batch is stored.
    let mut publisher = Publisher::open(state, SharedZones::default()).unwrap();
    let one_more = publisher.state(&name(APEXES[0])).unwrap().published.0 != serials[0];
    let content = last + u32::from(one_more);
    let outcome = publisher.publish(APEXES.map(|apex| version(apex, 100, content)).into(), NOW);
    for (zone, serial) in outcome.zones.iter().zip(serials) {
        assert_eq!(zone.new.unwrap().0, serial + u32::from(one_more), "{}", zone.apex);
        assert!(
            !zone.changed,
            "{}: the content stored with the serial is the one that was served",
            zone.apex
        );
    }
    content
}

fn fates(outcome: &Outcome) -> BTreeSet<String> {
    outcome.zones.iter().map(|zone| format!("{:?}", zone.fate)).collect()
}

#[test]
#[ignore = "run by a_full_disk_keeps_the_last_version_served_and_catches_up"]
fn meets_a_full_disk() {
    let state = state_of_child();
    let zones = SharedZones::default();
    let serial = |apex: &str| zones.load().get(&name(apex)).map(|zone| zone.serial());
    let mut publisher = Publisher::open(&state, Arc::clone(&zones)).unwrap();
    let many = |round: u32| {
        (0..200)
            .map(|n| version(&format!("z{round}-{n}.example.net"), 1, 1))
            .collect::<Vec<_>>()
    };
    publisher.publish(vec![version("example.org", 7, 1)], NOW);

    let mut round = 0;
    let full = loop {
        let outcome = publisher.publish(many(round), NOW);
        if let Some(finding) = &outcome.unstored {
            assert_eq!(finding.code, "state-full", "{finding}");
            break outcome;
        }
        round += 1;
        assert!(round < 10_000, "the disk never filled");
    };
    assert_eq!(fates(&full), BTreeSet::from(["Waiting".into()]));
    assert_eq!(serial(&format!("z{round}-0.example.net")), None);
    assert_eq!(publisher.deadline(), Some(NOW + signpost::publish::RETRY_SECS));

    // A change waits, an older version of it is replaced by a newer, what is unchanged is served.
    publisher.publish(vec![version("example.org", 7, 2)], NOW);
    let outcome = publisher.publish(
        vec![version("example.org", 7, 3), version("z0-0.example.net", 1, 1)],
        NOW,
    );
    let fate = |apex: &str| {
        outcome
            .zones
            .iter()
            .find(|zone| zone.apex == name(apex))
            .map(|zone| zone.fate)
    };
    assert_eq!(fate("example.org"), Some(Fate::Waiting));
    assert_eq!(fate("z0-0.example.net"), Some(Fate::Served));
    assert_eq!(serial("example.org"), Some(7));
    assert!(
        matches!(Store::open(&state), Err(StoreError::Locked { .. })),
        "still ours"
    );

    make_room();
    let outcome = publisher.retry(NOW + 60);
    assert_eq!(outcome.unstored, None);
    assert_eq!(fates(&outcome), BTreeSet::from(["Served".into()]));
    assert_eq!(outcome.zones.len(), 201);
    assert_eq!(serial("example.org"), Some(8));
    assert_eq!(publisher.deadline(), None);
    drop(publisher);
    let mut publisher = Publisher::open(&state, SharedZones::default()).unwrap();
    let outcome = publisher.publish(vec![version("example.org", 7, 3)], NOW);
    assert_eq!((outcome.zones[0].new.unwrap().0, outcome.zones[0].changed), (8, false));
    println!("caught up");
}

/// Lifts the limit that stood for the end of the disk.
fn make_room() {
    let process = std::process::id().to_string();
    let done = Command::new("prlimit")
        .args(["--pid", &process, "--fsize=unlimited:unlimited"])
        .status()
        .unwrap();
    assert!(done.success());
}

/// A limit on the size of files behaves like the end of the disk and needs no file system to be made.
#[test]
fn a_full_disk_keeps_the_last_version_served_and_catches_up() {
    let dir = tempfile::tempdir().unwrap();
    let inner = child("meets_a_full_disk", dir.path());
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 400; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env(STATE, dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("caught up"), "{told}");
}
