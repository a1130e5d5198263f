//! What an answer costs: instructions, counted by callgrind, held to numbers that stand here.
//!
//! The zone and the mix of questions are those of `benches/cost.py`: a mail domain of a thousand keys,
//! DKIM first of all. Counted is [`answer`] alone, from the octets of the query to those of the response;
//! and all that a UDP worker of the running server does for one answer, from receiving a batch to having
//! sent it. The counts are the same on every run of one build and move by little between compilers, unlike
//! any time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::client;
use common::signpost::{BINARY, House};
use signpost::answer::{Client, Settings, Transport, answer};
use signpost::name::Name;
use signpost::zone::{Zone, ZoneSet};
use signpost::zonefile;
use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Instructions per answer when last measured. Less is better: then lower it here, with the change that did it.
const PER_ANSWER: f64 = 1020.0;
/// The same for all that a UDP worker does, system calls' own work left out.
const PER_ANSWER_SERVED: f64 = 1169.0;
/// How far the count may be off before the test fails, up or down.
const TOLERANCE: f64 = 0.05;

const ZONE: &str = "bench.test";
const KEYS: usize = 1000;
const QUESTIONS: usize = 20_000;
const ROUNDS: usize = 2;
/// Questions under way at once: two full batches.
const OUTSTANDING: usize = 128;

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn zone_text(numbers: &mut Numbers) -> String {
    let mut text = format!(
        "$ORIGIN {ZONE}.\n$TTL 3600\n@ IN SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ IN NS ns1\n@ IN NS ns2\n\
         ns1 IN A 127.0.0.1\nns2 IN A 127.0.0.2\n@ IN MX 10 mail\nmail IN A 192.0.2.25\nmail IN AAAA 2001:db8::25\n\
         @ IN TXT \"v=spf1 ip4:192.0.2.25 mx -all\"\nmail IN TXT \"v=spf1 ip4:192.0.2.25 a -all\"\n\
         _dmarc IN TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@{ZONE}\"\n"
    );
    for i in 0..KEYS {
        let public: String = (0..392).map(|_| char::from(b'A' + numbers.below(26) as u8)).collect();
        let (front, rest) = public.split_at(237);
        writeln!(text, "s{i}._domainkey IN TXT \"v=DKIM1; k=rsa; p={front}\" \"{rest}\"").unwrap();
        writeln!(text, "host{i} IN A 10.0.{}.{}", i / 256, i % 256).unwrap();
    }
    text
}

fn zones(numbers: &mut Numbers) -> ZoneSet {
    let text = zone_text(numbers);
    let apex = Name::from_text(ZONE).unwrap();
    let file = zonefile::read(Path::new("bench.test.zone"), &apex, &text).unwrap();
    let (zone, _) = Zone::build(&apex, &file.records, &[]).unwrap();
    ZoneSet::default().with(&[(apex, Some(Arc::new(zone)))])
}

fn question(numbers: &mut Numbers) -> Vec<u8> {
    let key = numbers.below(KEYS);
    let (owner, qtype) = match numbers.below(100) {
        0..35 => (format!("s{key}._domainkey.{ZONE}"), 16u16),
        35..50 => (ZONE.to_owned(), 16),
        50..60 => (format!("_dmarc.{ZONE}"), 16),
        60..70 => (ZONE.to_owned(), 15),
        70..85 => (format!("host{key}.{ZONE}"), 1),
        85..90 => (format!("mail.{ZONE}"), 28),
        _ => (format!("nx{}.{ZONE}", numbers.below(100_000)), 1),
    };
    let mut octets = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    octets.extend_from_slice(Name::from_text(&owner).unwrap().as_wire());
    octets.extend_from_slice(&qtype.to_be_bytes());
    // Class IN, and an OPT that takes 4096 octets.
    octets.extend_from_slice(&[0, 1, 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]);
    octets
}

/// What callgrind counts, by its name: nothing but answers.
#[inline(never)]
fn every_question_answered(zones: &ZoneSet, settings: &Settings, questions: &[Vec<u8>], out: &mut [u8]) -> usize {
    let client = Client::anonymous(Transport::Udp);
    let lengths = questions
        .iter()
        .map(|octets| answer(zones, settings, &client, octets, out).map_or(0, |answered| answered.len()));
    lengths.sum()
}

#[test]
#[ignore = "run by the other test, below callgrind"]
fn answers_the_mix() {
    let mut numbers = Numbers(7);
    let zones = zones(&mut numbers);
    let questions: Vec<Vec<u8>> = (0..QUESTIONS).map(|_| question(&mut numbers)).collect();
    let mut out = vec![0; 1232];
    for _ in 0..ROUNDS {
        let octets = every_question_answered(&zones, &Settings::default(), &questions, &mut out);
        assert!(black_box(octets) > QUESTIONS * 40, "most questions have an answer");
    }
}

#[test]
fn an_answer_costs_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let run = Command::new("valgrind")
        .args(callgrind("*every_question_answered*", folder.path(), &log))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "answers_the_mix", "--ignored", "--test-threads=1"])
        .output()
        .expect("valgrind, a Debian package, is needed to count instructions");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    judge("an answer", &log, QUESTIONS * ROUNDS, PER_ANSWER);
}

#[test]
fn a_udp_worker_costs_what_it_did() {
    let mut numbers = Numbers(7);
    let mut house = House::new("");
    let config = fs::read_to_string(house.path("signpost.toml")).unwrap();
    house.replace("signpost.toml", format!("workers = 1\n{config}"));
    house.replace("zones/bench.test.zone", zone_text(&mut numbers));
    let log = house.path("callgrind.log");
    let mut below = vec!["valgrind".to_owned()];
    below.extend(callgrind("*server::udp::work*", &house.path(""), &log));
    house.launch(&below, Path::new(BINARY));
    // Asking until it serves would be counted.
    house.wait_for_log(0, &format!("{ZONE}  serial"));

    let socket = client::udp_socket(house.address);
    let questions: Vec<Vec<u8>> = (0..QUESTIONS).map(|_| question(&mut numbers)).collect();
    let mut out = [0; 1232];
    for at_once in questions.chunks(OUTSTANDING) {
        // It sleeps while they gather, so that its batches are as full as under load.
        house.daemon().signal("STOP");
        at_once.iter().for_each(|octets| assert!(socket.send(octets).is_ok()));
        house.daemon().signal("CONT");
        at_once
            .iter()
            .for_each(|_| assert!(socket.recv(&mut out).is_ok(), "an answer to each question"));
    }
    house.stop();
    judge("an answer by UDP", &log, QUESTIONS, PER_ANSWER_SERVED);
}

/// Counts instructions within the functions of this name.
fn callgrind(within: &str, folder: &Path, log: &Path) -> [String; 5] {
    [
        "--tool=callgrind".to_owned(),
        "--collect-atstart=no".to_owned(),
        format!("--toggle-collect={within}"),
        format!("--callgrind-out-file={}", folder.join("callgrind.out").display()),
        format!("--log-file={}", log.display()),
    ]
}

fn judge(what: &str, log: &Path, answers: usize, expected: f64) {
    let said = fs::read_to_string(log).unwrap();
    let counted: f64 = said
        .lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        .unwrap_or_else(|| panic!("callgrind says what it counted: {said}"));
    let each = counted / answers as f64;
    println!("{what}: {each:.0} instructions");
    let off = each / expected - 1.0;
    assert!(
        off.abs() <= TOLERANCE,
        "{what} costs {each:.0} instructions, {:+.1} % against {expected}. If it costs more, find out why \
         (callgrind_annotate); if it is worth it, or costs less, set the number in tests/instructions.rs anew.",
        off * 100.0
    );
}
