//! From rename(2) of a key to the first right answer: milliseconds.
//!
//! A test binary of its own, so that nothing of ours runs beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::signpost::House;
use common::wire::{Message, Query, TXT, name};
use common::{client, keys};
use std::fs;
use std::time::{Duration, Instant};

const ZONE: &str = "\
$ORIGIN example.org.
$TTL 300
@   IN SOA ns hostmaster 100 3600 600 86400 300
    IN NS  ns
ns  IN A   192.0.2.1
";

/// Changes in a round.
const CHANGES: usize = 200;
/// Other work on the machine only ever adds: the quickest of a few rounds tells about the server.
const ROUNDS: usize = 10;

#[test]
fn the_answer_follows_a_rename_within_milliseconds() {
    let mut house = House::new("");
    house.write("zones/example.org.zone", ZONE);
    house.start(&["example.org"]);
    fs::create_dir_all(house.path("keys/example.org")).unwrap();
    let met = (0..ROUNDS).any(|_| {
        let waits = round(&house);
        let (median, p99, most) = (waits[CHANGES / 2], waits[CHANGES * 99 / 100], waits[CHANGES - 1]);
        eprintln!("rename to answer over {CHANGES} changes: p50 {median:?}, p99 {p99:?}, most {most:?}");
        median <= Duration::from_millis(2) && p99 <= Duration::from_millis(10)
    });
    assert!(met, "no round had p50 within 2 ms and p99 within 10 ms");
    house.assert_unharmed();
}

/// How long each of [`CHANGES`] new keys took to be answered, the shortest first.
fn round(house: &House) -> Vec<Duration> {
    let pems: Vec<String> = (0..CHANGES).map(|_| keys::ed25519()).collect();
    let mut waits: Vec<Duration> = pems.iter().map(|pem| change(house, pem)).collect();
    waits.sort_unstable();
    waits
}

/// Renames a key into place and asks without pause until the answer has it.
fn change(house: &House, pem: &str) -> Duration {
    // The public half of an Ed25519 key is published bare (RFC 8463 §4.2), without the twelve octets,
    // sixteen characters, in front of it.
    let public = &keys::public_half(pem, &house.path(""))[16..];
    let query = Query::new(name("sel._domainkey.example.org"), TXT).encode();
    let socket = client::udp_socket(house.address);
    fs::write(house.path(".next"), pem).unwrap();
    let begin = Instant::now();
    fs::rename(house.path(".next"), house.path("keys/example.org/sel.private")).unwrap();
    loop {
        socket.send(&query).unwrap();
        let message = Message::decode(&client::receive(&socket, &query).unwrap()).unwrap();
        if message.texts(TXT).iter().any(|text| text.contains(public)) {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < common::PATIENCE, "the key is not published");
    }
}
