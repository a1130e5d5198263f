//! Replays the corpus of the fuzz target `master_file`, whole and damaged in every simple way.

#![allow(clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "fuzz/damage.rs"]
mod damage;
#[path = "fuzz/master_file.rs"]
mod master_file;
#[path = "fuzz/replay.rs"]
mod replay;

#[test]
fn the_corpus_holds_whole_and_damaged() {
    replay::corpus("master_file", 5, |octets| {
        damage::exercise(octets, 1 + octets.len() / 400, b"\0\"\n(;\\\xff", master_file::exercise);
    });
}
