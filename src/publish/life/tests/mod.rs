//! The life of keys: files that come and go, and what time does. What signers do is in [`signing`], long times and
//! chance in [`long`].

mod long;
mod signing;

use super::*;
use crate::finding::Severity;
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
    /// Of what is served at a selector; an hour unless it is said.
    ttl: Option<u32>,
}

impl Domain {
    fn turn(&mut self, now: u64) -> Turn {
        let signing = self.signing.clone();
        let sight = Sight {
            signs: &|selector, _| signing.as_ref().map(|names| names.contains(selector)),
            is_safe: &|key| key.course.seen.is_some(),
            hold: self.hold,
            served_ttl: &|_| self.ttl.or(Some(3600)),
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
