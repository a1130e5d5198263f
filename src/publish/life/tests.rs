use super::*;
use crate::finding::Severity;
use crate::publish::{Publisher, SharedZones};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

const DAY: u64 = 86_400;
const START: u64 = 1_790_000_000;

fn org() -> Name {
    Name::from_text("example.org").unwrap()
}

fn file(selector: &str, public: &str) -> DkimKey {
    DkimKey {
        domain: org(),
        selector: selector.into(),
        record: format!("v=DKIM1; k=rsa; p={public}").into(),
        algorithm: Algorithm::Rsa { bits: 2048 },
        sources: vec![PathBuf::from(format!("keys/example.org/{selector}.private"))],
    }
}

/// A signing domain through time.
#[derive(Default)]
struct Domain {
    states: Vec<KeyState>,
    files: Vec<DkimKey>,
    periods: Periods,
    signing: Option<BTreeSet<String>>,
    hold: bool,
}

impl Domain {
    fn turn(&mut self, now: u64) -> Turn {
        let signing = self.signing.clone();
        let sight = Sight {
            signs: &|selector, _| signing.as_ref().map(|names| names.contains(selector)),
            is_safe: &|key| key.course.seen.is_some(),
            hold: self.hold,
            served_ttl: &|_| Some(3600),
        };
        let turn = turn(
            &org(),
            &self.states,
            &self.files.iter().collect::<Vec<_>>(),
            sight,
            now,
            self.periods,
        );
        for (selector, state) in &turn.changes {
            self.states.retain(|old| old.selector != *selector);
            self.states.extend(state.clone());
        }
        turn
    }

    /// `selector stage record` of everything shown.
    fn show(&mut self, now: u64) -> Vec<String> {
        self.turn(now).show.iter().map(line).collect()
    }

    fn revoke(&mut self, selector: &str, now: u64) {
        for state in &mut self.states {
            if state.selector == selector {
                *state = state.revoked_by_command(now).unwrap_or_else(|| state.clone());
            }
        }
    }
}

fn line(key: &ZoneKey) -> String {
    format!("{:?} {} {}", key.stage, key.owner, key.record)
}

fn codes(turn: &Turn) -> Vec<&'static str> {
    turn.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_key_goes_from_live_through_retiring_and_revoked_to_nothing() {
    let mut domain = Domain {
        files: vec![file("mail", "AAAA")],
        ..Domain::default()
    };
    let live = ["Live mail._domainkey.example.org. v=DKIM1; k=rsa; p=AAAA"];
    assert_eq!(domain.show(START), live);
    assert_eq!(
        domain.turn(START + 400 * DAY).deadline,
        None,
        "a live key has no deadline"
    );

    domain.files.clear();
    let gone = START + 500 * DAY;
    let turn = domain.turn(gone);
    assert_eq!(codes(&turn), ["dkim-key-retiring"]);
    assert_eq!(turn.deadline, Some(gone + 7 * DAY));
    assert_eq!(
        domain.show(gone),
        ["Retiring mail._domainkey.example.org. v=DKIM1; k=rsa; p=AAAA"]
    );
    assert_eq!(domain.show(gone + 7 * DAY - 1).len(), 1);
    assert_eq!(domain.turn(gone + 7 * DAY - 1).changes, []);

    let revoked = gone + 7 * DAY;
    let turn = domain.turn(revoked);
    assert_eq!(turn.deadline, Some(revoked + 30 * DAY));
    assert_eq!(
        domain.show(revoked),
        ["Revoked mail._domainkey.example.org. v=DKIM1; k=rsa; p="]
    );
    assert_eq!(domain.show(revoked + 30 * DAY - 1).len(), 1);

    let turn = domain.turn(revoked + 30 * DAY);
    assert_eq!((turn.show, turn.deadline), (vec![], None));
    assert_eq!(domain.states, []);
    assert_eq!(domain.turn(revoked + 31 * DAY).changes, []);
}

#[test]
fn the_source_and_the_algorithm_stay_known_after_the_file_is_gone() {
    let ed25519 = DkimKey {
        algorithm: Algorithm::Ed25519,
        ..file("ed", "AAAA")
    };
    let mut domain = Domain {
        files: vec![ed25519],
        ..Domain::default()
    };
    domain.turn(START);
    domain.files.clear();
    domain.turn(START);
    let turn = domain.turn(START + 8 * DAY);
    assert_eq!(&*turn.show[0].record, "v=DKIM1; k=ed25519; p=");
    assert_eq!(turn.show[0].source, "keys/example.org/ed.private");
    assert_eq!(turn.show[0].algorithm, Some(Algorithm::Ed25519));
}

#[test]
fn a_key_that_comes_back_is_live_again() {
    for away in [1, 6 * DAY, 20 * DAY] {
        let mut domain = Domain {
            files: vec![file("mail", "AAAA")],
            ..Domain::default()
        };
        domain.turn(START);
        let files = std::mem::take(&mut domain.files);
        domain.turn(START);
        domain.turn(START + away);
        domain.files = files;
        assert_eq!(codes(&domain.turn(START + away)), ["dkim-key-back"]);
        assert_eq!(
            domain.show(START + away),
            ["Live mail._domainkey.example.org. v=DKIM1; k=rsa; p=AAAA"]
        );
        assert_eq!(domain.turn(START + 900 * DAY).deadline, None);
        domain.files.clear();
        let gone = START + 900 * DAY;
        assert_eq!(domain.turn(gone).deadline, Some(gone + 7 * DAY), "a new grace period");
    }
}

#[test]
fn another_key_under_the_same_selector_is_shown_at_once_with_a_warning() {
    let mut domain = Domain {
        files: vec![file("mail", "AAAA")],
        ..Domain::default()
    };
    domain.turn(START);
    domain.files = vec![file("mail", "BBBB")];
    let turn = domain.turn(START + 1);
    assert_eq!(
        turn.show.iter().map(line).collect::<Vec<_>>(),
        ["Live mail._domainkey.example.org. v=DKIM1; k=rsa; p=BBBB"]
    );
    assert_eq!(turn.findings[0].severity, Severity::Warning);
    assert_eq!(codes(&turn), ["dkim-key-replaced"]);
    assert_eq!(codes(&domain.turn(START + 2)), [""; 0], "told once");

    domain.files.clear();
    domain.turn(START + 3);
    domain.files = vec![file("mail", "CCCC")];
    assert_eq!(
        codes(&domain.turn(START + 4)),
        ["dkim-key-replaced"],
        "while the old one retires, too"
    );
}

#[test]
fn other_tags_or_other_line_breaks_make_no_other_key() {
    let mut domain = Domain {
        files: vec![file("mail", "AAAABBBB")],
        ..Domain::default()
    };
    domain.turn(START);
    domain.files[0].record = "v=DKIM1; t=y; k=rsa; p=AAAA BBBB".into();
    let turn = domain.turn(START + 1);
    assert_eq!(&*turn.show[0].record, "v=DKIM1; t=y; k=rsa; p=AAAA BBBB");
    assert_eq!((codes(&turn).len(), domain.states[0].since), (0, START));
}

#[test]
fn a_key_revoked_by_command_stays_revoked_until_another_public_key_comes() {
    let mut domain = Domain {
        files: vec![file("mail", "AAAA")],
        ..Domain::default()
    };
    domain.turn(START);
    domain.revoke("mail", START + 1);
    let revoked = ["Revoked mail._domainkey.example.org. v=DKIM1; k=rsa; p="];
    for later in [1, DAY, 100 * DAY] {
        let turn = domain.turn(START + later);
        assert_eq!(turn.show.iter().map(line).collect::<Vec<_>>(), revoked);
        assert_eq!(codes(&turn), ["dkim-key-revoked-present"], "while its file is there");
    }
    domain.files.clear();
    assert_eq!(domain.show(START + 101 * DAY), [""; 0], "long forgotten");
    domain.files = vec![file("mail", "AAAA")];
    assert_eq!(domain.show(START + 102 * DAY), revoked, "a backup does not revive it");
    domain.files = vec![file("mail", "BBBB")];
    let turn = domain.turn(START + 103 * DAY);
    assert_eq!(turn.show[0].stage, KeyStage::Live);
    assert_eq!(codes(&turn), [""; 0]);
}

#[test]
fn a_revoked_key_without_a_file_is_shown_until_it_is_forgotten() {
    let mut domain = Domain {
        files: vec![file("mail", "AAAA")],
        ..Domain::default()
    };
    domain.turn(START);
    domain.files.clear();
    domain.turn(START + DAY);
    domain.revoke("mail", START + 2 * DAY);
    assert_eq!(domain.turn(START + 2 * DAY).deadline, Some(START + 32 * DAY));
    assert_eq!(domain.show(START + 32 * DAY - 1).len(), 1);
    let turn = domain.turn(START + 32 * DAY);
    assert_eq!((turn.show, turn.deadline, turn.changes), (vec![], None, vec![]));
}

#[test]
fn a_whole_directory_that_vanishes_gets_the_same_grace() {
    let mut domain = Domain {
        files: (0..50).map(|n| file(&format!("s{n}"), "AAAA")).collect(),
        ..Domain::default()
    };
    domain.turn(START);
    let files = std::mem::take(&mut domain.files);
    let turn = domain.turn(START + 1);
    assert_eq!(turn.show.len(), 50);
    assert!(
        turn.show
            .iter()
            .all(|key| key.stage == KeyStage::Retiring && key.record.ends_with("p=AAAA"))
    );
    domain.files = files;
    assert!(
        domain
            .turn(START + DAY)
            .show
            .iter()
            .all(|key| key.stage == KeyStage::Live)
    );
}

#[test]
fn periods_of_no_length_are_passed_at_once() {
    let periods = |retire, forget| Periods {
        retire: Duration::from_secs(retire),
        forget: Duration::from_secs(forget),
    };
    for (periods, shown, kept) in [(periods(0, 60), 1, 1), (periods(0, 0), 0, 0)] {
        let mut domain = Domain {
            files: vec![file("mail", "AAAA")],
            periods,
            ..Domain::default()
        };
        domain.turn(START);
        domain.files.clear();
        let turn = domain.turn(START);
        assert_eq!((turn.show.len(), domain.states.len()), (shown, kept), "{periods:?}");
        assert!(turn.show.iter().all(|key| key.stage == KeyStage::Revoked));
    }
}

#[test]
fn a_clock_that_jumps_back_neither_loses_nor_keeps_a_key_for_years() {
    let mut domain = Domain {
        files: vec![file("mail", "AAAA")],
        ..Domain::default()
    };
    domain.turn(START);
    domain.files.clear();
    domain.turn(START);
    // An hour back: nothing happens, and the deadline holds.
    let turn = domain.turn(START - 3600);
    assert_eq!(
        (turn.show.len(), turn.changes.len(), turn.deadline),
        (1, 0, Some(START + 7 * DAY))
    );

    // The file vanished under a clock 70 years ahead that was then set right.
    domain.files = vec![file("mail", "AAAA")];
    domain.turn(START);
    domain.files.clear();
    domain.turn(START + 70 * 365 * DAY);
    let turn = domain.turn(START);
    assert_eq!(
        (turn.show[0].stage, turn.deadline),
        (KeyStage::Retiring, Some(START + 7 * DAY))
    );
    assert_eq!(domain.turn(START + 7 * DAY).show[0].stage, KeyStage::Revoked);
}

#[test]
fn a_clock_that_jumps_forward_takes_one_step_at_most() {
    let mut domain = Domain {
        files: vec![file("mail", "AAAA")],
        ..Domain::default()
    };
    domain.turn(START);
    domain.files.clear();
    let (decade, year) = (START + 3650 * DAY, 365 * DAY);
    assert_eq!(
        domain.turn(decade).show[0].stage,
        KeyStage::Retiring,
        "off for ten years"
    );
    assert_eq!(domain.turn(decade + year).show[0].stage, KeyStage::Revoked);
    assert_eq!(domain.turn(decade + year).show[0].stage, KeyStage::Revoked);
    assert_eq!(domain.show(decade + 2 * year), [""; 0]);
}

#[test]
fn a_selector_that_makes_no_name_is_told_and_the_others_are_shown() {
    let mut domain = Domain {
        files: vec![file(&"a".repeat(64), "AAAA"), file("mail", "AAAA")],
        ..Domain::default()
    };
    let turn = domain.turn(START);
    assert_eq!(
        (codes(&turn), turn.show.len(), turn.changes.len()),
        (vec!["dkim-owner-name"], 1, 1)
    );
}

#[test]
fn what_the_signer_names_is_signed_with_and_what_it_leaves_retires_though_its_file_stays() {
    let mut domain = Domain {
        files: vec![file("old", "AAAA"), file("new", "BBBB")],
        signing: Some(BTreeSet::from(["old".to_owned()])),
        ..Domain::default()
    };
    domain.turn(START);
    let stages = |domain: &Domain| -> Vec<(String, Stage)> {
        let mut stages: Vec<_> = domain
            .states
            .iter()
            .map(|key| (key.selector.clone(), key.stage))
            .collect();
        stages.sort_by(|a, b| a.0.cmp(&b.0));
        stages
    };
    assert_eq!(
        stages(&domain),
        [("new".into(), Stage::Live), ("old".into(), Stage::Signing)]
    );
    domain.signing = Some(BTreeSet::from(["new".to_owned()]));
    let turn = domain.turn(START + DAY);
    assert_eq!(codes(&turn), ["dkim-key-signs-unseen", "dkim-key-left"]);
    assert_eq!(
        stages(&domain),
        [("new".into(), Stage::Signing), ("old".into(), Stage::Retiring)]
    );
    assert_eq!(turn.deadline, Some(START + 8 * DAY));
    // The file is still there, and means nothing.
    assert_eq!(domain.turn(START + 8 * DAY).show[1].stage, KeyStage::Revoked);
    assert_eq!(domain.turn(START + 38 * DAY).show.len(), 1, "forgotten");
    assert_eq!(
        domain.turn(START + 39 * DAY).show.len(),
        1,
        "and its file does not bring it back"
    );
    domain.files.remove(0);
    domain.turn(START + 40 * DAY);
    assert_eq!(domain.states.len(), 1, "nothing is remembered once the file is gone");
}

#[test]
fn a_signer_that_goes_on_too_early_is_told_of_and_one_that_waits_is_not() {
    let mut domain = Domain {
        files: vec![file("a", "AAAA")],
        signing: Some(BTreeSet::from(["a".to_owned()])),
        ..Domain::default()
    };
    assert_eq!(
        codes(&domain.turn(START)),
        [""; 0],
        "before the first start another served it"
    );
    // Key and table at once, as with BIND.
    domain.files.push(file("b", "BBBB"));
    domain.signing = Some(BTreeSet::from(["b".to_owned()]));
    assert_eq!(
        codes(&domain.turn(START + DAY)),
        ["dkim-key-left", "dkim-key-signs-unseen"]
    );
    domain.files.push(file("c", "CCCC"));
    domain.turn(START + 2 * DAY);
    for key in domain.states.iter_mut().filter(|key| key.selector == "c") {
        key.course.seen = Some(START + 2 * DAY);
    }
    domain.signing = Some(BTreeSet::from(["c".to_owned()]));
    assert_eq!(codes(&domain.turn(START + 3 * DAY)), ["dkim-key-left"]);
}

#[test]
fn a_key_that_is_revoked_or_vanishes_in_the_middle_of_a_switch_is_not_on_its_way() {
    let mut domain = Domain {
        files: vec![file("a", "AAAA"), file("b", "BBBB")],
        ..Domain::default()
    };
    domain.turn(START);
    for key in &mut domain.states {
        key.course.switching = true;
        assert!(key.is_on_its_way() && !key.is_lost());
    }
    domain.files.clear();
    domain.turn(START + 1);
    domain.revoke("b", START + 1);
    assert!(domain.states.iter().all(|key| key.is_lost() && !key.is_on_its_way()));
}

#[test]
fn a_signer_that_goes_back_makes_the_old_key_live_again() {
    let mut domain = Domain {
        files: vec![file("old", "AAAA")],
        signing: Some(BTreeSet::from(["old".to_owned()])),
        ..Domain::default()
    };
    domain.turn(START);
    for away in [DAY, 10 * DAY] {
        domain.signing = Some(BTreeSet::new());
        domain.turn(START + away);
        domain.turn(START + away + 7 * DAY);
        domain.signing = Some(BTreeSet::from(["old".to_owned()]));
        let turn = domain.turn(START + away + 8 * DAY);
        assert_eq!(codes(&turn), ["dkim-key-back"]);
        assert_eq!(
            (turn.show[0].stage, domain.states[0].stage),
            (KeyStage::Live, Stage::Signing)
        );
    }
}

#[test]
fn a_key_is_not_withdrawn_while_its_successor_is_not_served_everywhere() {
    let mut domain = Domain {
        files: vec![file("old", "AAAA")],
        signing: Some(BTreeSet::from(["old".to_owned()])),
        hold: true,
        ..Domain::default()
    };
    domain.turn(START);
    domain.signing = Some(BTreeSet::new());
    domain.turn(START);
    let turn = domain.turn(START + 100 * DAY);
    assert_eq!((turn.show[0].stage, turn.deadline), (KeyStage::Retiring, None), "held");
    domain.hold = false;
    assert_eq!(domain.turn(START + 100 * DAY).show[0].stage, KeyStage::Revoked);
}

#[test]
fn what_was_seen_and_what_was_there_before_go_with_the_record() {
    let mut domain = Domain {
        files: vec![file("mail", "AAAA")],
        ..Domain::default()
    };
    domain.turn(START);
    assert_eq!(
        domain.states[0].course.old_ttl, 3600,
        "something else was served at its name"
    );
    domain.states[0].course.seen = Some(START);
    domain.turn(START + 1);
    assert_eq!(domain.states[0].course.seen, Some(START));
    domain.files = vec![file("mail", "BBBB")];
    domain.turn(START + 2);
    assert_eq!(domain.states[0].course.seen, None);
}

/// Ten years of a yearly rotation, a turn a day, restarted before and after every change.
#[test]
fn ten_years_of_rotation_with_a_restart_at_every_step() {
    let dir = tempfile::tempdir().unwrap();
    let mut shown_days: BTreeMap<String, [u32; 3]> = BTreeMap::new();
    let open = || Publisher::open(dir.path(), SharedZones::default()).unwrap();
    let mut publisher = open();
    for day in 0..3650 {
        let now = START + day * DAY;
        let year = day / 365;
        let mut files = vec![file(&format!("y{year}"), &format!("KEY{year}"))];
        if year > 0 && day % 365 < 3 {
            files.push(file(&format!("y{}", year - 1), &format!("KEY{}", year - 1)));
        }
        let files: Vec<&DkimKey> = files.iter().collect();
        let turn = publisher.turn_keys(&org(), &files, Sight::NONE, now, Periods::default());
        if !turn.changes.is_empty() {
            // Killed before anything was stored: the same step is taken again.
            drop(publisher);
            publisher = open();
            let again = publisher.turn_keys(&org(), &files, Sight::NONE, now, Periods::default());
            assert_eq!((&again.changes, &again.show), (&turn.changes, &turn.show));
            assert!(publisher.publish(vec![], now).unstored.is_none());
            drop(publisher);
            publisher = open();
            let after = publisher.turn_keys(&org(), &files, Sight::NONE, now, Periods::default());
            assert_eq!((&after.changes, &after.show), (&vec![], &turn.show));
        }
        for key in &turn.show {
            let stage = match key.stage {
                KeyStage::Live => 0,
                KeyStage::Retiring => 1,
                KeyStage::Revoked => 2,
            };
            shown_days.entry(key.owner.to_string()).or_default()[stage] += 1;
        }
        assert!(publisher.keys(&org()).len() <= 2, "nothing piles up");
    }
    assert_eq!(shown_days.len(), 10);
    for (year, (owner, days)) in shown_days.iter().enumerate() {
        let live = if year < 9 { 368 } else { 365 };
        let rest = if year < 9 { [7, 30] } else { [0, 0] };
        assert_eq!(*days, [live, rest[0], rest[1]], "{owner}");
    }
}

#[derive(Debug, Clone)]
enum Event {
    Wait(u32),
    Files(Vec<(u8, u8)>),
    Revoke(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0u32..4_000_000).prop_map(Event::Wait),
        prop::collection::vec((0u8..3, 0u8..2), 0..3).prop_map(Event::Files),
        (0u8..3).prop_map(Event::Revoke),
    ]
}

proptest! {
    /// Whatever happens: a second turn changes nothing, a key with a file is shown, a key that was
    /// live is shown for `retire`, and waiting for the deadlines empties the store of aged keys.
    #[test]
    fn turns_are_idempotent_and_keys_keep_their_grace(events in prop::collection::vec(event(), 1..40)) {
        let mut domain = Domain::default();
        let mut now = START;
        let mut last_live: BTreeMap<String, u64> = BTreeMap::new();
        for event in events {
            match event {
                Event::Wait(seconds) => now += u64::from(seconds),
                Event::Files(files) => {
                    let files: BTreeMap<u8, u8> = files.into_iter().collect();
                    domain.files = files.iter().map(|(s, p)| file(&format!("s{s}"), &format!("K{p}"))).collect();
                }
                Event::Revoke(s) => {
                    last_live.remove(&format!("s{s}"));
                    domain.revoke(&format!("s{s}"), now);
                }
            }
            let turn = domain.turn(now);
            let again = domain.turn(now);
            prop_assert_eq!(&again.changes, &vec![]);
            prop_assert_eq!(&again.show, &turn.show);
            prop_assert_eq!(again.deadline, turn.deadline);
            prop_assert!(turn.deadline.is_none_or(|deadline| deadline > now));
            for key in &domain.files {
                prop_assert!(turn.show.iter().any(|shown| shown.owner == key.owner().unwrap()));
            }
            for state in domain.states.iter().filter(|state| state.stage == Stage::Live) {
                last_live.insert(state.selector.clone(), now);
            }
            for (selector, live) in &last_live {
                let owner = org().prefixed(&format!("{selector}._domainkey")).unwrap();
                let kept = turn.show.iter().any(|key| key.owner == owner && key.stage != KeyStage::Revoked);
                prop_assert!(kept || now - live >= 7 * DAY, "{} was live at {} and is gone at {}", selector, live, now);
            }
        }
        domain.files.clear();
        let mut steps = 0;
        while let Some(deadline) = domain.turn(now).deadline {
            now = deadline;
            steps += 1;
            prop_assert!(steps < 20);
        }
        let sticky = Stage::Revoked { by_command: true };
        prop_assert!(domain.states.iter().all(|state| state.stage == sticky));
    }
}
