//! Replays the corpus of the fuzz target `transfer`, whole and cut, and plays transfers chosen at random.

#![allow(clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "fuzz/replay.rs"]
mod replay;
#[path = "fuzz/scenes.rs"]
mod scenes;
#[path = "fuzz/transfer.rs"]
mod transfer;

#[test]
fn transfers_hold_for_the_corpus() {
    replay::corpus("transfer", 50, |octets| {
        for end in (0..octets.len()).step_by(7) {
            transfer::exercise(&octets[..end]);
        }
        transfer::exercise(octets);
    });
}

#[test]
fn transfers_hold_for_choices_at_random() {
    let played: Vec<bool> = scenes::at_random(6000, 300)
        .filter_map(|octets| transfer::exercise(&octets))
        .collect();
    let arrived = played.iter().filter(|&&whole| whole).count();
    let played = played.len();
    assert!(
        played > 2000 && arrived > 500,
        "{played} of 6000 made a scene, {arrived} arrived"
    );
}
