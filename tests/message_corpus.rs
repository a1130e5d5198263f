//! Replays the corpus of the fuzz target `message`, whole and damaged in every simple way.

#![allow(clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "fuzz/message.rs"]
mod message;
#[path = "fuzz/replay.rs"]
mod replay;

#[test]
fn messages_hold_whole_and_damaged() {
    replay::corpus("message", 20, |octets| {
        message::exercise(octets);
        for at in 0..octets.len() {
            message::exercise(&octets[..at]);
            for octet in [0, 1, 12, 0x3f, 0x40, 0xc0, 0xff] {
                let mut damaged = octets.to_vec();
                damaged[at] = octet;
                message::exercise(&damaged);
                damaged.insert(at, octet);
                message::exercise(&damaged);
            }
        }
    });
}
