//! Replays the corpus of the fuzz target `message`, whole and damaged in every simple way.

#![expect(clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "fuzz/message.rs"]
mod message;

use std::path::Path;

#[test]
fn messages_hold_whole_and_damaged() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/message");
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        message::exercise(&octets);
        for at in 0..octets.len() {
            message::exercise(&octets[..at]);
            for octet in [0, 1, 12, 0x3f, 0x40, 0xc0, 0xff] {
                let mut damaged = octets.clone();
                damaged[at] = octet;
                message::exercise(&damaged);
                damaged.insert(at, octet);
                message::exercise(&damaged);
            }
        }
        replayed += 1;
    }
    assert!(replayed >= 20, "the corpus is missing");
}
