//! Replays the corpus of the fuzz target `config`, whole and damaged in every simple way.

#![allow(clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "fuzz/config.rs"]
mod config;
#[path = "fuzz/damage.rs"]
mod damage;
#[path = "fuzz/replay.rs"]
mod replay;

#[test]
fn the_corpus_holds_whole_and_damaged() {
    replay::corpus("config", 5, |octets| {
        damage::exercise(octets, 1, b"\0\"[\xff", config::exercise)
    });
}
