//! Replays the corpus of the fuzz target `transfer`, whole and cut, and plays transfers chosen at random.

#![allow(clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "fuzz/transfer.rs"]
mod transfer;

use std::path::Path;

#[test]
fn transfers_hold_for_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/transfer");
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        for end in (0..octets.len()).step_by(7) {
            transfer::exercise(&octets[..end]);
        }
        transfer::exercise(&octets);
        replayed += 1;
    }
    assert!(replayed >= 50, "the corpus is missing");
}

/// The corpus may lose its meaning when the way choices are read changes; these never do.
#[test]
fn transfers_hold_for_choices_at_random() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut octet = || {
        // xorshift64 (Marsaglia): the same scenes in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let (mut played, mut arrived) = (0, 0);
    for number in 0..6000 {
        let octets: Vec<u8> = (0..32 + number % 300).map(|_| octet()).collect();
        if let Some(whole) = transfer::exercise(&octets) {
            played += 1;
            arrived += i32::from(whole);
        }
    }
    assert!(
        played > 2000 && arrived > 500,
        "{played} of 6000 made a scene, {arrived} arrived"
    );
}
