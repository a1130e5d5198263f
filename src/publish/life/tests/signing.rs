//! Keys that signers go on to, leave and come back to.

use super::*;

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

/// opendkim-genkey and Signpost write the record beside the key a moment later. Before, that cost the record's TTL.
#[test]
fn a_record_beside_a_new_key_makes_it_wait_for_no_ttl() {
    let mut domain = Domain {
        ttl: Some(0),
        files: vec![file("mail", "AAAA")],
        ..Domain::default()
    };
    domain.turn(START);
    domain.states[0].course.seen = Some(START);
    domain.ttl = None;
    domain.files[0].record = "v=DKIM1; h=sha256; k=rsa; p=AAAA".into();
    domain.turn(START + 1);
    let course = domain.states[0].course;
    assert_eq!((course.seen, course.old_ttl), (None, 0), "it is asked for anew");
    domain.files = vec![file("mail", "AAAA")];
    domain.turn(START + 2);
    assert_eq!(domain.states[0].course.old_ttl, 3600, "the one before asked for more");
}

#[test]
fn a_key_that_is_revoked_while_the_signer_goes_on_to_it_does_not_come_back() {
    let mut domain = Domain {
        files: vec![file("old", "AAAA"), file("new", "BBBB")],
        ..Domain::default()
    };
    domain.turn(START);
    let at = |domain: &Domain, selector: &str| domain.states.iter().position(|key| key.selector == selector).unwrap();
    let (old, new) = (at(&domain, "old"), at(&domain, "new"));
    domain.states[old].stage = Stage::Signing;
    domain.states[new].course.switching = true;
    let stages = |changed: Vec<KeyState>| -> Vec<(String, Stage)> {
        changed.into_iter().map(|key| (key.selector, key.stage)).collect()
    };
    assert_eq!(
        stages(switched(&domain.states, "new", START + 1)),
        [("new".into(), Stage::Signing), ("old".into(), Stage::Retiring)]
    );
    domain.revoke("new", START + 1);
    assert_eq!(stages(switched(&domain.states, "new", START + 2)), []);
    let shown = domain.turn(START + 3).show;
    assert!(shown.iter().any(|key| key.stage == KeyStage::Revoked), "{shown:?}");
}
