//! Replays the corpus of the fuzz target `answer`, whole and cut, and plays scenes chosen at random.

#![allow(clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "fuzz/answer.rs"]
mod answer;
#[path = "fuzz/replay.rs"]
mod replay;
#[path = "fuzz/scenes.rs"]
mod scenes;

#[test]
fn answers_hold_for_the_corpus() {
    replay::corpus("answer", 100, |octets| {
        for end in (0..octets.len()).step_by(7) {
            answer::exercise(&octets[..end]);
        }
        answer::exercise(octets);
    });
}

#[test]
fn answers_hold_for_choices_at_random() {
    let played = scenes::at_random(4000, 500)
        .filter(|octets| answer::exercise(octets))
        .count();
    assert!(played > 2000, "only {played} of 4000 made a scene");
}
