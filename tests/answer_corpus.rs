//! Replays the corpus of the fuzz target `answer`, whole and cut, and plays scenes chosen at random.

#[path = "fuzz/answer.rs"]
mod answer;

use std::path::Path;

#[test]
fn answers_hold_for_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/answer");
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        for end in (0..octets.len()).step_by(7) {
            answer::exercise(&octets[..end]);
        }
        answer::exercise(&octets);
        replayed += 1;
    }
    assert!(replayed >= 100, "the corpus is missing");
}

/// The corpus may lose its meaning when the way choices are read changes; these never do.
#[test]
fn answers_hold_for_choices_at_random() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut octet = || {
        // xorshift64 (Marsaglia): the same scenes in every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let played = (0..4000).filter(|number| {
        let octets: Vec<u8> = (0..32 + number % 500).map(|_| octet()).collect();
        answer::exercise(&octets)
    });
    let played = played.count();
    assert!(played > 2000, "only {played} of 4000 made a scene");
}
