//! Secondaries that ask and do not read, or ask for what no message can carry.

use crate::common::signpost::House;
use crate::common::transfers::{self, AXFR, OBSERVER, connect_from, receive, send};
use crate::common::wire::{Message, Query, SOA, name};
use std::fs;
use std::io::ErrorKind;

const ZONE: &str = "own.test";
const POLICY: &str = "[transfer]\nallow = [\"127.0.0.9\"]\nnotify_nameservers = false\n";

fn zone_file(more: &str) -> String {
    format!("$TTL 300\n@ SOA ns h 1 86400 86400 86400 1\n@ NS ns\nns A 192.0.2.1\n{more}")
}

fn resident_kib(house: &House) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", house.daemon().pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Forty at once leave twelve megabytes each unread: it costs a message each, everybody else is served, and in the end
/// they are put out.
#[test]
fn slow_readers_cost_little_and_are_put_out() {
    let mut house = House::new(POLICY);
    let bulk: String = (0..50_000)
        .map(|n| format!("b{n} TXT \"{}\"\n", "x".repeat(200)))
        .collect();
    house.write(&format!("zones/{ZONE}.zone"), zone_file(&bulk));
    house.start(&[ZONE]);
    let all = transfers::axfr(house.address, ZONE).unwrap().len();
    let before = resident_kib(&house);
    let mut slow: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = connect_from(OBSERVER, house.address).unwrap();
            send(&mut stream, &Query::new(name(ZONE), AXFR).encode()).unwrap();
            receive(&mut stream).unwrap();
            stream
        })
        .collect();
    assert_eq!(transfers::axfr(house.address, ZONE).unwrap().len(), all);
    assert_eq!(house.serial(ZONE), 1);
    let grown = resident_kib(&house).saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB for forty of them");
    // A write deadline of ten seconds; what the kernel holds is read, then comes the end.
    std::thread::sleep(std::time::Duration::from_secs(13));
    for stream in &mut slow {
        let end = loop {
            match receive(stream) {
                Ok(message) => assert!(Message::decode(&message).unwrap().answer.len() > 1),
                Err(error) => break error.kind(),
            }
        };
        assert!(
            [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&end),
            "{end:?}"
        );
    }
    house.assert_unharmed();
}

/// RFC 5936 §2.2: what cannot be sent on is broken off, never made to look whole.
#[test]
fn a_record_too_long_for_a_message_breaks_off() {
    let mut house = House::new(POLICY);
    let text = format!("\"{}\" ", "x".repeat(255)).repeat(255) + &format!("\"{}\"", "y".repeat(249));
    house.write(&format!("zones/{ZONE}.zone"), zone_file(&format!("long TXT {text}\n")));
    house.start(&[ZONE]);
    let mut stream = connect_from(OBSERVER, house.address).unwrap();
    send(&mut stream, &Query::new(name(ZONE), AXFR).encode()).unwrap();
    let mut soas = 0;
    while let Ok(message) = receive(&mut stream) {
        let message = Message::decode(&message).unwrap();
        soas += message.answer.iter().filter(|record| record.rtype == SOA).count();
    }
    assert!(soas <= 1);
    house.wait_for_log(0, "the transfer breaks off: a record of type TXT");
    assert_eq!(house.serial(ZONE), 1);
    house.assert_unharmed();
}
