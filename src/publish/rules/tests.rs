use super::*;
use crate::finding::Severity;
use proptest::prelude::*;

/// A zone through its versions.
struct History {
    apex: Name,
    soa: Place,
    state: Option<ZoneState>,
}

impl History {
    fn new() -> Self {
        Self {
            apex: Name::from_text("example.org").unwrap(),
            soa: Place::line("zones/example.org.zone", 2),
            state: None,
        }
    }

    /// Offers a version; returns the published serial and the codes of the findings.
    fn offer(&mut self, file: u32, content: u8, composed: bool) -> (u32, Vec<&'static str>) {
        let (serial, findings) = self.offer_told(file, content, composed);
        (serial, findings.iter().map(|finding| finding.code).collect())
    }

    fn offer_told(&mut self, file: u32, content: u8, composed: bool) -> (u32, Vec<Finding>) {
        let offer = Offer {
            apex: &self.apex,
            soa: Some(&self.soa),
            file: Serial(file),
            composed,
            hash: [content; 32],
        };
        let (state, findings) = offer.decide(self.state.as_ref());
        assert_eq!((state.file, state.hash), (Serial(file), [content; 32]));
        self.state = Some(state);
        (state.published.0, findings)
    }
}

#[test]
fn a_plain_zone_keeps_its_files_serial_through_every_edit() {
    let mut zone = History::new();
    assert_eq!(zone.offer(7, 1, false), (7, vec![]));
    assert_eq!(zone.offer(7, 1, false), (7, vec![]), "restart");
    assert_eq!(zone.offer(8, 2, false), (8, vec![]), "edited and raised");
    assert_eq!(zone.offer(9, 2, false), (9, vec![]), "only raised");
    assert_eq!(zone.offer(9, 3, false), (9, vec!["serial-not-raised"]));
    assert_eq!(zone.offer(9, 3, false), (9, vec![]), "told once");
    assert_eq!(zone.offer(5, 4, false), (5, vec!["serial-backwards"]));
    assert_eq!(zone.offer(5, 4, false), (5, vec![]), "told once");
    assert_eq!(
        zone.offer(5 + (1 << 31), 4, false),
        (5 + (1 << 31), vec!["serial-backwards"])
    );
}

#[test]
fn a_composed_zone_starts_with_its_files_serial_and_moves_exactly_with_its_content() {
    let mut zone = History::new();
    assert_eq!(zone.offer(2026111901, 1, true), (2026111901, vec![]), "first time ever");
    assert_eq!(zone.offer(2026111901, 1, true), (2026111901, vec![]), "restart");
    assert_eq!(zone.offer(2026111901, 2, true), (2026111902, vec![]), "a key came");
    assert_eq!(zone.offer(2026111901, 2, true), (2026111902, vec![]), "restart");
    assert_eq!(
        zone.offer(2026111901, 1, true),
        (2026111903, vec![]),
        "the old content is a new version"
    );
}

#[test]
fn a_composed_zone_follows_its_file_forward_and_never_back() {
    let mut zone = History::new();
    zone.offer(100, 1, true);
    assert_eq!(zone.offer(110, 1, true), (110, vec![]), "raised alone");
    assert_eq!(zone.offer(120, 2, true), (120, vec![]), "raised with an edit");
    assert_eq!(
        zone.offer(121, 3, true),
        (121, vec![]),
        "raised to what we would have taken"
    );
    assert_eq!(zone.offer(50, 3, true), (121, vec!["serial-kept"]), "lowered alone");
    assert_eq!(zone.offer(50, 3, true), (121, vec![]), "told once");
    assert_eq!(
        zone.offer(51, 4, true),
        (122, vec!["serial-kept"]),
        "raised, but not above ours"
    );
    assert_eq!(zone.offer(122, 4, true), (122, vec![]), "raised to ours");
    assert_eq!(
        zone.offer(122 + (1 << 31), 5, true),
        (123, vec!["serial-kept"]),
        "undefined distance"
    );
}

#[test]
fn serials_wrap_around_as_rfc_1982_counts() {
    let mut zone = History::new();
    zone.offer(u32::MAX, 1, true);
    assert_eq!(zone.offer(u32::MAX, 2, true).0, 0);
    assert_eq!(zone.offer(u32::MAX, 3, true).0, 1);
    assert_eq!(zone.offer(7, 3, true).0, 7);
}

#[test]
fn a_plain_zone_that_gets_composed_moves_on_from_its_files_serial() {
    let mut zone = History::new();
    zone.offer(10, 1, false);
    assert_eq!(zone.offer(10, 2, true), (11, vec![]));
    let mut same_bytes = History::new();
    same_bytes.offer(10, 1, false);
    assert_eq!(
        same_bytes.offer(10, 1, true),
        (10, vec![]),
        "what was composed stood there already"
    );
}

#[test]
fn when_composing_stops_the_serial_holds_until_the_file_has_caught_up() {
    let mut zone = History::new();
    zone.offer(10, 1, true);
    zone.offer(10, 2, true);
    let (serial, findings) = zone.offer_told(10, 3, false);
    assert_eq!(serial, 12);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].severity, Severity::Warning);
    insta::assert_snapshot!(
        findings[0],
        @"zones/example.org.zone:2: example.org.: nothing is composed any more, but secondaries hold serial 12 and the file says 10; set the SOA serial in zones/example.org.zone to at least 12"
    );
    assert_eq!(
        zone.offer(10, 4, false),
        (13, vec!["serial-behind"]),
        "an edit still moves it"
    );
    assert_eq!(zone.offer(10, 4, false), (13, vec!["serial-behind"]), "restart");
    assert_eq!(zone.offer(13, 4, false), (13, vec![]), "the cure works");
    assert_eq!(zone.offer(14, 5, false), (14, vec![]), "and the zone is its file again");
    assert_eq!(zone.offer(14, 6, false), (14, vec!["serial-not-raised"]));
}

#[test]
fn composing_that_stops_while_the_file_is_level_leaves_the_file_in_charge() {
    let mut zone = History::new();
    zone.offer(10, 1, true);
    assert_eq!(zone.offer(10, 1, false), (10, vec![]));
    assert!(!zone.state.unwrap().composed);
    let mut newer = History::new();
    newer.offer(10, 1, true);
    newer.offer(10, 2, true);
    assert_eq!(newer.offer(20, 3, false), (20, vec![]));
    assert!(!newer.state.unwrap().composed);
}

proptest! {
    /// Whatever operators do: once composed, the serial is newer exactly when anything moved, and
    /// offering the same again changes nothing.
    #[test]
    fn a_composed_zone_never_goes_backwards(
        start: u32,
        edits in prop::collection::vec((-3i32..4, any::<u32>(), 0u8..3, any::<bool>()), 1..60),
    ) {
        let mut zone = History::new();
        zone.offer(start, 0, true);
        let mut file = start;
        for (step, jump, content, composed) in edits {
            file = if step == 3 { jump } else { file.wrapping_add_signed(step) };
            let before = zone.state.unwrap();
            // A zone that became its file's again is the operator's own affair.
            let ours = before.composed || composed;
            let (after, _) = zone.offer(file, content, composed);
            let (after, published) = (Serial(after), before.published);
            if ours {
                prop_assert!(after == published || after.is_newer_than(published), "{published} {after}");
                let adopted = Serial(file).is_newer_than(published);
                prop_assert_eq!(after != published, adopted || [content; 32] != before.hash);
            } else {
                prop_assert_eq!(after, Serial(file));
            }
            let state = zone.state;
            zone.offer(file, content, composed);
            prop_assert_eq!(zone.state, state);
        }
    }
}
