use super::*;
use crate::keys::Algorithm;
use crate::publish::life::Sight;
use crate::publish::testing::{name, remove, serve};
use std::borrow::Cow;
use std::path::PathBuf;

const NOW: u64 = 1_790_000_000;

struct Running {
    publisher: Publisher,
    zones: SharedZones,
}

fn start(dir: &Path) -> Running {
    let zones = SharedZones::default();
    Running {
        publisher: Publisher::open(dir, Arc::clone(&zones)).unwrap(),
        zones,
    }
}

impl Running {
    fn publish(&mut self, batch: Vec<Change>) -> Vec<String> {
        let outcome = self.publisher.publish(batch, NOW);
        assert_eq!(outcome.unstored, None);
        outcome.zones.iter().map(line).collect()
    }

    fn served(&self, apex: &str) -> Option<u32> {
        self.zones.load().get(&name(apex)).map(|zone| zone.serial())
    }
}

fn line(zone: &Published) -> String {
    let serial = |serial: Option<Serial>| serial.map_or("-".into(), |serial| serial.to_string());
    let codes: Vec<&str> = zone.findings.iter().map(|finding| finding.code).collect();
    format!(
        "{} {:?} {}>{}{} {}",
        zone.apex,
        zone.fate,
        serial(zone.old),
        serial(zone.new),
        if zone.changed { " changed" } else { "" },
        codes.join(" ")
    )
    .trim_end()
    .to_owned()
}

#[test]
fn serves_what_it_tells_and_remembers_it_through_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = start(dir.path());
    assert_eq!(
        run.publish(vec![
            serve("example.org", 7, 1, true),
            serve("example.net", 9, 1, false)
        ]),
        ["example.net. Served ->9 changed", "example.org. Served ->7 changed"]
    );
    assert_eq!(
        run.publish(vec![serve("example.org", 7, 2, true)]),
        ["example.org. Served 7>8 changed"]
    );
    assert_eq!(
        (run.served("example.org"), run.served("example.net")),
        (Some(8), Some(9))
    );
    drop(run);

    let mut run = start(dir.path());
    assert_eq!(run.served("example.org"), None);
    assert_eq!(
        run.publish(vec![
            serve("Example.ORG", 7, 2, true),
            serve("example.net", 9, 1, false)
        ]),
        ["example.net. Served 9>9", "Example.ORG. Served 8>8"]
    );
    assert_eq!(
        (run.served("example.org"), run.served("example.net")),
        (Some(8), Some(9))
    );
    assert_eq!(
        run.publish(vec![serve("example.org", 7, 3, true)]),
        ["example.org. Served 8>9 changed"]
    );
}

#[test]
fn tells_what_was_composed_and_every_finding_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = start(dir.path());
    run.publish(vec![serve("example.org", 7, 1, false)]);
    let Change::Serve {
        apex, mut composition, ..
    } = serve("example.org", 7, 2, false)
    else {
        panic!("not a version");
    };
    composition.findings.push(Finding::note("from-composing", "told first"));
    composition
        .records
        .push(Cow::Owned(crate::publish::testing::a("example.com", 1)));
    let soa = Some(Place::line("zones/example.org.zone", 3));
    let outcome = run
        .publisher
        .publish(vec![Change::Serve { apex, composition, soa }], NOW);
    assert_eq!(
        line(&outcome.zones[0]),
        "example.org. Served 7>7 changed from-composing zone-out-of-zone serial-not-raised"
    );
    assert_eq!(outcome.zones[0].findings[2].place.as_ref().unwrap().line, Some(3));
    let composed = run.publisher.publish(vec![serve("example.org", 7, 2, true)], NOW);
    assert_eq!(composed.zones[0].composed.len(), 1);
}

#[test]
fn a_zone_that_cannot_be_built_keeps_its_last_good_version() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = start(dir.path());
    run.publish(vec![serve("example.org", 7, 1, true)]);
    let Change::Serve {
        apex,
        mut composition,
        soa,
    } = serve("example.org", 8, 2, true)
    else {
        panic!("not a version");
    };
    composition.records.remove(0);
    let broken = Change::Serve { apex, composition, soa };
    assert_eq!(
        run.publish(vec![broken, serve("example.net", 1, 1, true)]),
        [
            "example.net. Served ->1 changed",
            "example.org. Refused 7>- zone-no-soa"
        ]
    );
    assert_eq!(run.served("example.org"), Some(7));
    assert_eq!(
        run.publish(vec![serve("example.org", 7, 1, true)]),
        ["example.org. Served 7>7"]
    );
}

#[test]
fn a_zone_that_is_taken_out_comes_back_with_its_serial_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = start(dir.path());
    run.publish(vec![serve("example.org", 7, 1, true)]);
    run.publish(vec![serve("example.org", 7, 2, true)]);
    assert_eq!(
        run.publish(vec![remove("example.org")]),
        ["example.org. Removed 8>- changed"]
    );
    assert_eq!(run.served("example.org"), None);
    assert_eq!(run.publish(vec![remove("example.org")]), ["example.org. Removed 8>-"]);
    assert_eq!(
        run.publish(vec![serve("example.org", 1, 3, true)]),
        ["example.org. Served 8>9 changed serial-kept"]
    );
}

#[test]
fn of_two_changes_of_one_zone_the_later_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = start(dir.path());
    let batch = vec![serve("example.org", 7, 1, true), serve("EXAMPLE.org", 9, 2, true)];
    assert_eq!(run.publish(batch).len(), 1);
    assert_eq!(run.served("example.org"), Some(9));
    assert_eq!(
        run.publish(vec![serve("example.org", 9, 2, true), remove("example.org")])
            .len(),
        1
    );
    assert_eq!(run.served("example.org"), None);
}

#[test]
fn publishes_many_zones_of_a_batch_on_all_cores() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = start(dir.path());
    let batch = |content| {
        (0..500)
            .map(|n| serve(&format!("z{n}.example.org"), n, content, true))
            .collect()
    };
    assert_eq!(run.publish(batch(1)).len(), 500);
    assert_eq!(
        run.publish(batch(1))
            .iter()
            .filter(|line| line.ends_with("changed"))
            .count(),
        0
    );
    let mut told = run.publish(batch(2));
    assert!(told.iter().all(|line| line.ends_with("changed")));
    told.dedup();
    assert_eq!(told.len(), 500);
    for n in 0..500 {
        assert_eq!(run.served(&format!("z{n}.example.org")), Some(n + 1));
    }
}

fn key(selector: &str) -> DkimKey {
    DkimKey {
        domain: name("example.org"),
        selector: selector.into(),
        record: "v=DKIM1; k=ed25519; p=AAAA".into(),
        algorithm: Algorithm::Ed25519,
        sources: vec![PathBuf::from("keys/example.org/mail")],
    }
}

#[test]
fn a_key_that_vanishes_while_signpost_is_down_begins_its_retirement_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (org, periods) = (name("example.org"), Periods::default());
    let mut run = start(dir.path());
    run.publisher
        .turn_keys(&org, &[&key("mail")], Sight::NONE, NOW, periods);
    run.publish(vec![]);
    assert_eq!(run.publisher.deadline(), None);
    drop(run);

    let later = NOW + 1_000_000;
    let mut run = start(dir.path());
    assert_eq!(run.publisher.key_domains().collect::<Vec<_>>(), [&org]);
    let turn = run.publisher.turn_keys(&org, &[], Sight::NONE, later, periods);
    assert_eq!(&*turn.show[0].record, "v=DKIM1; k=ed25519; p=AAAA");
    let due = later + periods.retire.as_secs();
    assert_eq!(run.publisher.deadline(), Some(due));
    assert_eq!(run.publisher.due(due - 1), []);
    assert_eq!(run.publisher.due(due), std::slice::from_ref(&org));
    assert_eq!(
        run.publisher.deadline(),
        None,
        "whoever was told and has no zone for it is not woken again"
    );
    run.publisher.turn_keys(&org, &[], Sight::NONE, due, periods);
    assert_eq!(run.publisher.due(due), []);
    assert_eq!(run.publisher.deadline(), Some(due + periods.forget.as_secs()));
}

#[test]
fn what_was_not_published_after_a_turn_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = start(dir.path());
    run.publisher.turn_keys(
        &name("example.org"),
        &[&key("mail")],
        Sight::NONE,
        NOW,
        Periods::default(),
    );
    drop(run);
    assert_eq!(start(dir.path()).publisher.keys(&name("example.org")), []);
}

#[test]
fn revoking_is_stored_at_once_and_an_unknown_key_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (org, periods) = (name("example.org"), Periods::default());
    let mut run = start(dir.path());
    assert!(
        run.publisher
            .revoke(&org, "mail", NOW)
            .unwrap_err()
            .cure
            .starts_with("check the spelling")
    );
    run.publisher
        .turn_keys(&org, &[&key("mail")], Sight::NONE, NOW, periods);
    let unknown = run.publisher.revoke(&org, "post", NOW).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "example.org. has no DKIM key with the selector post; its selectors are: mail"
    );
    run.publisher.revoke(&org, "Mail", NOW).unwrap();
    drop(run);
    let mut run = start(dir.path());
    assert_eq!(
        &*run
            .publisher
            .turn_keys(&org, &[&key("mail")], Sight::NONE, NOW, periods)
            .show[0]
            .record,
        "v=DKIM1; k=ed25519; p="
    );
    run.publisher.revoke(&org, "mail", NOW).unwrap();
    assert_eq!(
        run.publisher
            .turn_keys(&org, &[&key("mail")], Sight::NONE, NOW, periods)
            .changes,
        [],
        "revoked already"
    );
}
