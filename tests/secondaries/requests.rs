//! Requests for transfers one by one: who gets the zone, who does not and how he is told, and what exactly he gets.

use crate::common::client;
use crate::common::signpost::House;
use crate::common::transfers::{self, AXFR, IXFR, KEY_NAME, OBSERVER, SECRET, TsigKey, connect_from, receive, send};
use crate::common::wait_for;
use crate::common::wire::{Edns, Message, NOERROR, Query, REFUSED, SOA, TC, TXT, name};
use crate::{ZONE, keys, policy, rotate, zone_file};
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

const NOTAUTH: u16 = 9;
/// RFC 8914 §4.19.
const PROHIBITED: [u8; 2] = [0, 18];

fn house(policy: &str) -> House {
    let mut house = House::new(policy);
    house.write(&format!("zones/{ZONE}.zone"), zone_file());
    house.write(&format!("keys/{ZONE}/sel0.private"), keys::numbered(0));
    house.start(&[ZONE]);
    house
}

fn key(algorithm: &'static str) -> TsigKey {
    TsigKey {
        algorithm,
        secret: SECRET,
    }
}

/// One message by TCP from an address, and the first that comes back.
fn ask_from(from: Ipv4Addr, house: &House, query: &[u8]) -> Message {
    let mut stream = connect_from(from, house.address).unwrap();
    send(&mut stream, query).unwrap();
    Message::decode(&receive(&mut stream).unwrap()).unwrap()
}

fn with_edns(zone: &str, qtype: u16) -> Vec<u8> {
    let mut query = Query::new(name(zone), qtype);
    query.edns = Some(Edns::of_size(1232));
    query.encode()
}

/// IXFR from a serial (RFC 1995 §3).
fn ixfr(serial: u32) -> Vec<u8> {
    let mut query = Query::new(name(ZONE), IXFR).encode();
    query[9] = 1;
    query.extend(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0");
    query.extend([serial, 1, 1, 1, 1].map(u32::to_be_bytes).as_flattened());
    query
}

#[test]
fn every_algorithm_that_is_configured_and_no_other() {
    let algorithms = ["hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha1", "hmac-md5"];
    for configured in algorithms {
        let house = house(&policy(key(configured), None));
        let weak = ["hmac-sha1", "hmac-md5"].contains(&configured);
        if weak {
            house.wait_for_log(0, "broken or nearly so");
        }
        for asked in algorithms {
            let dig = || {
                let port = house.address.port().to_string();
                let output = Command::new("dig")
                    .args(["@127.0.0.1", "-p", &port, "+tcp", "+tries=1", ZONE, "AXFR"])
                    .args(["-y", &format!("{asked}:{KEY_NAME}:{SECRET}")])
                    .output()
                    .unwrap();
                // On a busy machine dig sometimes ends without a word.
                Some(String::from_utf8(output.stdout).unwrap()).filter(|said| !said.is_empty())
            };
            let said = wait_for("dig", dig);
            let given = said.contains("\tSOA\t") && !said.contains("verify failure");
            assert_eq!(given, asked == configured, "{configured} {asked}: {said}");
            if asked != configured {
                assert!(said.contains("BADKEY"), "{said}");
            }
        }
        assert_eq!(weak, house.log().contains("broken or nearly so"), "{configured}");
    }
}

#[test]
fn who_is_not_allowed_is_told_and_so_is_the_operator() {
    let house = house(&policy(key("hmac-sha256"), None));
    for qtype in [AXFR, IXFR] {
        let mark = house.log_mark();
        let query = match qtype {
            AXFR => with_edns(ZONE, AXFR),
            _ => ixfr(1),
        };
        let answer = ask_from(Ipv4Addr::LOCALHOST, &house, &query);
        assert_eq!((answer.rcode, answer.answer.len()), (REFUSED, 0));
        if let Some(opt) = answer.opt {
            assert_eq!(opt.options[4..6], PROHIBITED, "{:?}", opt.options);
        }
        house.wait_for_log(mark, "`[transfer] allow` does not name 127.0.0.1 without a key");
        // The log takes a line a second.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    let answer = ask_from(OBSERVER, &house, &with_edns("www.example.org", AXFR));
    assert_eq!(answer.rcode, NOTAUTH, "no zone of ours");
    let answer = ask_from(OBSERVER, &house, &with_edns(ZONE, AXFR));
    assert_eq!(answer.rcode, NOERROR);

    // A zone's own table counts in place of the server's, and a changed one counts at once.
    house.replace(
        &format!("zones/{ZONE}.toml"),
        "[transfer]\nallow = [\"127.0.0.8/31\"]\n",
    );
    for (from, rcode) in [
        (Ipv4Addr::new(127, 0, 0, 8), NOERROR),
        (OBSERVER, NOERROR),
        (Ipv4Addr::new(127, 0, 0, 7), REFUSED),
    ] {
        wait_for(&format!("{rcode} for {from}"), || {
            (ask_from(from, &house, &with_edns(ZONE, AXFR)).rcode == rcode).then_some(())
        });
    }
    house.replace(&format!("zones/{ZONE}.toml"), "[transfer]\nallow = []\n");
    wait_for("the zone to be closed", || {
        (ask_from(OBSERVER, &house, &with_edns(ZONE, AXFR)).rcode == REFUSED).then_some(())
    });
}

#[test]
fn ixfr_by_udp_tells_the_serial() {
    let house = house("[mail]\n[transfer]\nallow = [\"127.0.0.1\"]\nnotify_nameservers = false\n");
    let before = house.serial(ZONE);
    let serial = rotate(&house, 1);
    // RFC 1995 §2: who is behind sees the new SOA and comes by TCP, who is not has nothing to fetch.
    for ours in [before, serial, serial + 1] {
        let answer = Message::decode(&client::udp_bytes(house.address, &ixfr(ours)).unwrap()).unwrap();
        assert_eq!((answer.rcode, answer.serial()), (NOERROR, Some(serial)));
        assert!(answer.answer.len() == 1 && !answer.has(TC), "{answer:?}");
    }
    let answer = Message::decode(&client::udp_bytes(house.address, &with_edns(ZONE, AXFR)).unwrap()).unwrap();
    assert_eq!(answer.rcode, REFUSED, "AXFR by UDP");
}

/// Twelve megabytes read slowly: all of it is the version that was served when it was asked for.
#[test]
fn a_transfer_is_of_one_version_while_changes_go_on() {
    const NAMES: usize = 50_000;
    let mut house = House::new("[mail]\n[transfer]\nallow = [\"127.0.0.9\"]\nnotify_nameservers = false\n");
    let mut text = zone_file();
    for number in 0..NAMES {
        text.push_str(&format!("bulk{number} TXT \"{}\"\n", "x".repeat(200)));
    }
    house.write(&format!("zones/{ZONE}.zone"), text);
    house.write(&format!("keys/{ZONE}/sel0.private"), keys::numbered(0));
    house.start(&[ZONE]);
    let before = house.serial(ZONE);
    let key_before = house.ask(&format!("sel0._domainkey.{ZONE}"), TXT).answer;

    let mut stream = connect_from(OBSERVER, house.address).unwrap();
    send(&mut stream, &Query::new(name(ZONE), AXFR).encode()).unwrap();
    let mut records = Message::decode(&receive(&mut stream).unwrap()).unwrap().answer;
    for number in 1..=5 {
        rotate(&house, number);
    }
    while records.last().unwrap().rtype != SOA || records.len() == 1 {
        records.extend(Message::decode(&receive(&mut stream).unwrap()).unwrap().answer);
    }
    assert_eq!(records.first(), records.last());
    let serial = |rdata: &[u8]| u32::from_be_bytes(*rdata[rdata.len() - 20..].first_chunk().unwrap());
    assert_eq!(serial(&records[0].rdata), before);
    assert!(records.contains(&key_before[0]));
    assert_eq!(records.iter().filter(|record| record.rdata.len() == 201).count(), NAMES);
    assert_ne!(house.serial(ZONE), before);
}

/// Of a zone no more changes are kept than the zone is large (RFC 1995 §5); who is further behind gets all of it.
#[test]
fn the_journal_is_bounded() {
    let house = house("[mail]\n[transfer]\nallow = [\"127.0.0.9\"]\nnotify_nameservers = false\n");
    let size = || {
        let files = fs::read_dir(house.path("state")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    let first = house.serial(ZONE);
    for number in 0..100 {
        rotate(&house, number % 49 + 1);
    }
    let then = size();
    let mut last = 0;
    for number in 0..200 {
        last = rotate(&house, number % 49 + 1);
    }
    assert!(size() <= 2 * then, "{} after {then}", size());
    let second_type = |serial| ask_from(OBSERVER, &house, &ixfr(serial)).answer[1].rtype;
    assert_ne!(second_type(first), SOA, "all of the zone");
    assert_eq!(second_type(last - 1), SOA, "a difference");
    assert_eq!(second_type(last - 3), SOA, "several");
    let records = transfers::axfr(house.address, ZONE).unwrap();
    assert!(records.len() > 50);
}
