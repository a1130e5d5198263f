//! Ten years, and whatever chance brings.

use super::*;
use crate::publish::{Publisher, SharedZones};
use proptest::prelude::*;

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
