//! Replays the corpus of the fuzz target `mail`, whole and damaged in every simple way.

#![allow(clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "fuzz/damage.rs"]
mod damage;
#[path = "fuzz/mail.rs"]
mod mail;
#[path = "fuzz/replay.rs"]
mod replay;

#[test]
fn messages_hold_whole_and_damaged() {
    replay::corpus("mail", 5, |octets| {
        damage::exercise(octets, 1 + octets.len() / 100, b"\0\r\n:<>@ \xff", mail::exercise);
    });
}
