//! What is written is read again, message by message, and must be the zone.

use super::*;
use crate::message::{Message, Part};
use crate::record::Record;
use crate::testing::{name, record};
use crate::tsig::{Algorithm, Key, Keyring, SignedQuery};
use proptest::prelude::*;

/// A zone of hosts below `apex` with records that can be compressed and some that cannot.
fn zone(apex: &str, hosts: usize, serial: u32) -> Arc<Zone> {
    let at = |host: &str| match apex {
        "." => host.to_owned(),
        apex => format!("{host}.{apex}"),
    };
    let wire = |text: &str| name(text).as_wire().to_vec();
    let numbers = [serial, 1, 1, 1, 1].map(u32::to_be_bytes).concat();
    let soa = [wire(&at("ns")), wire(&at("hostmaster")), numbers].concat();
    let mut records = vec![
        record(apex, RecordType::SOA, &soa),
        record(apex, RecordType::NS, wire(&at("ns"))),
        record(apex, RecordType::NS, wire("ns.example.net")),
        record(apex, RecordType::MX, [&[0, 10], &wire(&at("Mail"))[..]].concat()),
    ];
    for number in 0..hosts {
        let host = at(&format!("host{number}"));
        records.push(record(&host, RecordType::A, [192, 0, 2, number as u8]));
        records.push(record(&host, RecordType::A, [192, 0, 3, number as u8]));
        let text = [&[100][..], &[b'x'; 100]].concat();
        records.push(record(&host, RecordType::TXT, &text));
        records.push(record(
            &at(&format!("alias.host{number}")),
            RecordType::CNAME,
            wire(&host),
        ));
    }
    Arc::new(Zone::build(&name(apex), &records, &[]).unwrap().0)
}

fn query(apex: &str) -> Vec<u8> {
    let mut query = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(name(apex).as_wire());
    query.extend([0, 252, 0, 1]);
    query
}

fn begin(zone: &Arc<Zone>, content: Content, query: &[u8]) -> Outgoing {
    Outgoing::new(Arc::clone(zone), content, query, query.len())
}

/// All messages of a transfer in buffers of this size.
fn messages(mut transfer: Outgoing, room: usize) -> Vec<Vec<u8>> {
    let mut messages = vec![];
    while !transfer.is_done() {
        let mut out = vec![0; room];
        let len = transfer.write(&mut out, 1000).unwrap();
        out.truncate(len);
        messages.push(out);
    }
    messages
}

/// The records of all messages as text.
fn records(messages: &[Vec<u8>]) -> Vec<String> {
    let mut records = vec![];
    for bytes in messages {
        let message = Message::read(bytes).unwrap();
        assert_eq!((message.id, message.flags), (0xabcd, flags::QR | flags::AA | flags::RD));
        for raw in message
            .records()
            .map(Result::unwrap)
            .filter(|raw| raw.part == Part::Answer)
        {
            let record = Record {
                owner: raw.owner.clone(),
                rtype: raw.rtype,
                ttl: raw.ttl,
                rdata: raw.rdata().unwrap(),
            };
            records.push(record.to_string());
        }
    }
    records
}

fn of_zone(zone: &Zone) -> Vec<String> {
    zone.records().map(|record| record.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_whole_zone_arrives(
        apex in prop::sample::select(vec!["example.org", ".", "test", "a.very.long.name.of.a.zone.example"]),
        hosts in 0usize..60,
        room in 400usize..3000,
        edns: bool,
    ) {
        let zone = zone(apex, hosts, 7);
        let transfer = begin(&zone, Content::Whole, &query(apex)).with_edns(edns.then_some(1232));
        let messages = messages(transfer, room);
        for message in &messages {
            prop_assert!(message.len() <= room);
            prop_assert_eq!(message[11], u8::from(edns));
        }
        let mut expected = of_zone(&zone);
        expected.push(expected[0].clone());
        prop_assert_eq!(records(&messages), expected);
    }
}

#[test]
fn a_zone_that_was_asked_for_in_other_letters_arrives_in_its_own() {
    let zone = zone("example.org", 3, 7);
    let mut expected = of_zone(&zone);
    expected.push(expected[0].clone());
    let asked = query("EXAMPLE.org");
    let messages = messages(begin(&zone, Content::Whole, &asked), 4000);
    assert_eq!(&messages[0][12..asked.len()], &asked[12..], "the question as it came");
    assert_eq!(records(&messages), expected);
}

#[test]
fn messages_are_filled_and_names_are_compressed() {
    let zone = zone("example.org", 2000, 7);
    let messages = messages(begin(&zone, Content::Whole, &query("example.org")), 65_535);
    let octets: usize = messages.iter().map(Vec::len).sum();
    let uncompressed: usize = zone
        .records()
        .map(|r| r.owner.as_wire().len() + 10 + r.rdata.len())
        .sum();
    assert!(octets * 100 < uncompressed * 86, "{octets} of {uncompressed}");
    assert_eq!(messages.len(), octets.div_ceil(65_535 - 130), "each as full as can be");
}

#[test]
fn a_difference_is_told_as_rfc_1995_says() {
    let (old, new) = (zone("example.org", 2, 7), zone("example.org", 3, 9));
    let delta = Delta::between(&old, &new);
    let messages = messages(begin(&new, Content::Change(delta), &query("example.org")), 65_535);
    let told: Vec<String> = records(&messages)
        .iter()
        .map(|text| {
            let mut words = text.split(' ');
            let (owner, rtype) = (words.next().unwrap(), words.nth(2).unwrap());
            let serial = if rtype == "SOA" { words.nth(2).unwrap() } else { "" };
            format!("{owner} {rtype} {serial}")
        })
        .collect();
    let expected = [
        "example.org. SOA 9",
        "example.org. SOA 7",
        "example.org. SOA 9",
        "host2.example.org. A ",
        "host2.example.org. A ",
        "host2.example.org. TXT ",
        "alias.host2.example.org. CNAME ",
        "example.org. SOA 9",
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_serial_alone_is_one_record() {
    let zone = zone("example.org", 3, 7);
    let messages = messages(begin(&zone, Content::Serial, &query("example.org")), 65_535);
    assert_eq!(records(&messages), of_zone(&zone)[..1]);
}

#[test]
fn every_message_of_a_signed_transfer_is_signed() {
    let zone = zone("example.org", 60, 7);
    let key = Key::new(&name("hoster"), Algorithm::Sha512, "c2VjcmV0").unwrap();
    let ring: Keyring = [key.clone()].into_iter().collect();
    let mut asked = query("example.org");
    let len = asked.len();
    asked.resize(len + 300, 0);
    let (mut client, signed_len) = Session::ask(Arc::new(key), &mut asked, len, 1000).unwrap();
    asked.truncate(signed_len);
    let session = ring.verify(&SignedQuery::find(&asked).unwrap().unwrap(), 1000).unwrap();
    let transfer = Outgoing::new(Arc::clone(&zone), Content::Whole, &asked, len).signed(Some(session));
    let messages = messages(transfer, 900);
    assert!(messages.len() > 5);
    for message in &messages {
        assert!(message.len() <= 900);
        assert_eq!(client.check(message, 1000), Ok(()));
    }
    assert_eq!(client.end(), Ok(()));
}

#[test]
fn a_record_that_fits_into_no_message_breaks_the_transfer_off() {
    let zone = zone("example.org", 1, 7);
    let mut transfer = begin(&zone, Content::Whole, &query("example.org"));
    let mut out = vec![0; 150];
    let told = std::iter::repeat_with(|| transfer.write(&mut out, 0))
        .take(9)
        .find_map(Result::err);
    assert_eq!(told.unwrap().rtype, RecordType::TXT);
}

#[test]
fn tells_in_edns_how_long_the_zone_may_be_served() {
    let zone = zone("example.org", 20, 7);
    for room in [500, 4000] {
        let transfer = begin(&zone, Content::Whole, &query("example.org")).with_edns(Some(1232));
        let messages = messages(transfer.telling_expiry(Some(1234)), room);
        for bytes in &messages {
            let message = Message::read(bytes).unwrap();
            let opt = message
                .records()
                .map(Result::unwrap)
                .find(|raw| raw.part == Part::Additional)
                .unwrap();
            assert_eq!(crate::message::expire_told(&opt.rdata().unwrap()), Some(1234));
            assert!(bytes.len() <= room);
        }
        assert_eq!(records(&messages).len(), zone.record_count() + 1);
    }
}
