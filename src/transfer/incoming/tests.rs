//! Good transfers arrive as they were sent; each damage that peers have met is refused with its name.

use super::*;
use crate::testing::{self, name, record};
use crate::transfer::{Content, Delta, Outgoing};
use crate::zone::Zone;
use proptest::prelude::*;
use std::sync::Arc;

fn soa(serial: u32) -> Record {
    testing::soa("example.org", serial)
}

fn a(owner: &str, last: u8) -> Record {
    record(owner, RecordType::A, [192, 0, 2, last])
}

fn ns() -> Record {
    testing::ns("example.org", "ns.example.net")
}

/// A message of these records.
fn message(records: &[Record]) -> Vec<u8> {
    let count = records.len() as u8;
    let mut bytes = vec![0x12, 0x34, 0x84, 0, 0, 0, 0, count, 0, 0, 0, 0];
    for record in records {
        bytes.extend(record.owner.as_wire());
        bytes.extend(record.rtype.0.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(record.ttl.to_be_bytes());
        bytes.extend((record.rdata.len() as u16).to_be_bytes());
        bytes.extend(&record.rdata[..]);
    }
    bytes
}

fn incoming(ours: Option<u32>) -> Incoming {
    Incoming::new(name("example.org"), 0x1234, ours, None, Limits::default())
}

/// What comes of messages of these records.
fn take(ours: Option<u32>, messages: &[&[Record]]) -> Result<Option<Arrived>, Fault> {
    let mut incoming = incoming(ours);
    let mut arrived = None;
    for records in messages {
        assert_eq!(arrived, None, "not before the last message");
        arrived = incoming.take(&message(records), 0)?;
    }
    Ok(arrived)
}

#[test]
fn a_whole_zone_may_come_in_one_message_or_record_by_record() {
    let zone = [soa(7), ns(), a("www.example.org", 1)];
    let all = [&zone[..], &[soa(7)]].concat();
    assert_eq!(take(None, &[&all]), Ok(Some(Arrived::Whole(zone.to_vec()))));
    let each: Vec<&[Record]> = all.chunks(1).collect();
    assert_eq!(take(None, &each), Ok(Some(Arrived::Whole(zone.to_vec()))));
    // The same in answer to IXFR, where the first SOA alone tells nothing yet.
    assert_eq!(take(Some(6), &each), Ok(Some(Arrived::Whole(zone.to_vec()))));
    assert_eq!(take(None, &[&all[..3]]), Ok(None), "it goes on");
}

#[test]
fn changes_come_step_by_step() {
    let all = [
        soa(9),
        soa(7),
        a("a.example.org", 1),
        soa(8),
        a("a.example.org", 2),
        soa(8),
        soa(9),
        a("b.example.org", 3),
        soa(9),
    ];
    let steps = vec![
        Step {
            removed: vec![soa(7), a("a.example.org", 1)],
            added: vec![soa(8), a("a.example.org", 2)],
        },
        Step {
            removed: vec![soa(8)],
            added: vec![soa(9), a("b.example.org", 3)],
        },
    ];
    let each: Vec<&[Record]> = all.chunks(1).collect();
    assert_eq!(take(Some(7), &[&all]).unwrap(), Some(Arrived::Changes(steps)));
    assert!(matches!(take(Some(7), &each), Ok(Some(Arrived::Changes(steps))) if steps.len() == 2));
}

#[test]
fn the_serial_alone_says_that_there_is_nothing() {
    for serial in [7, 6] {
        assert_eq!(take(Some(7), &[&[soa(serial)]]), Ok(Some(Arrived::Nothing(serial))));
    }
    assert_eq!(take(Some(7), &[&[soa(8)]]), Ok(None), "more will come");
}

#[test]
fn what_no_zone_may_hold_is_refused() {
    let class = {
        let mut bytes = message(&[soa(7), ns()]);
        let at = bytes.len() - ns().rdata.len() - 7;
        bytes[at] = 3;
        bytes
    };
    assert!(matches!(
        incoming(None).take(&class, 0),
        Err(Fault::Class { class: 3, .. })
    ));
    let cases: [(&[Record], Fault); 9] = [
        (&[ns()], Fault::NotSoaFirst(RecordType::NS)),
        (&[soa(7), a("example.net", 1)], Fault::OutOfZone(name("example.net"))),
        (&[soa(7), a("xexample.org", 1)], Fault::OutOfZone(name("xexample.org"))),
        (&[soa(7), ns(), soa(8)], Fault::SoaInTheMiddle(8)),
        (&[soa(7), ns(), soa(7), ns()], Fault::AfterTheEnd),
        (
            &[soa(7), record("sub.example.org", RecordType::SOA, &soa(7).rdata)],
            Fault::SoaBelow(name("sub.example.org")),
        ),
        (
            &[soa(7), record("example.org", RecordType::OPT, b"")],
            Fault::MetaType {
                owner: name("example.org"),
                rtype: RecordType::OPT,
            },
        ),
        (&[soa(7), soa(6), soa(5)], Fault::SoaInTheMiddle(6)),
        (&[], Fault::Empty),
    ];
    for (records, fault) in cases {
        assert_eq!(take(None, &[records]), Err(fault));
    }
    let short = take(None, &[&[soa(7), record("example.org", RecordType::A, [192, 0, 2])]]);
    assert!(
        matches!(
            short,
            Err(Fault::Data {
                rtype: RecordType::A,
                ..
            })
        ),
        "{short:?}"
    );
}

#[test]
fn changes_that_do_not_follow_on_each_other_are_refused() {
    let ours = Some(7);
    for records in [&[soa(9), soa(7), soa(8), soa(7)][..], &[soa(9), soa(7), soa(8), soa(9)]] {
        assert_eq!(take(ours, &[records]), Err(Fault::Disordered));
    }
    assert_eq!(take(ours, &[&[soa(9), soa(6), soa(9)]]), Err(Fault::SoaInTheMiddle(6)));
}

#[test]
fn another_answer_than_ours_is_refused() {
    let good = message(&[soa(7), ns(), soa(7)]);
    for (at, octet, fault) in [
        (1, 0, Fault::OtherQuestion),
        (2, 0, Fault::OtherQuestion),
        (2, 0xa4, Fault::OtherQuestion),
        (3, 5, Fault::Answered(Rcode::REFUSED)),
    ] {
        let mut bytes = good.clone();
        bytes[at] = octet;
        assert_eq!(incoming(None).take(&bytes, 0), Err(fault), "octet {at}");
    }
    for len in 0..good.len() {
        assert_eq!(
            incoming(None).take(&good[..len], 0),
            Err(Fault::Malformed),
            "cut at {len}"
        );
    }
    let other = Incoming::new(name("example.net"), 0x1234, None, None, Limits::default()).take(&good, 0);
    assert_eq!(other, Err(Fault::OutOfZone(name("example.org"))));
}

#[test]
fn limits_hold() {
    let limits = Limits {
        records: 3,
        octets: 200,
    };
    let take =
        |records: &[Record]| Incoming::new(name("example.org"), 0x1234, None, None, limits).take(&message(records), 0);
    assert_eq!(
        take(&[soa(7), ns(), ns(), ns()]),
        Err(Fault::TooLarge("the number of records"))
    );
    let long = record("example.org", RecordType::TXT, [&[200][..], &[b'x'; 200]].concat());
    assert_eq!(take(&[soa(7), long]), Err(Fault::TooLarge("the number of octets")));
}

#[test]
fn an_unsigned_transfer_is_refused_where_a_signed_one_was_asked_for() {
    use crate::tsig::{Algorithm, Key};
    let key = Arc::new(Key::new(&name("hoster"), Algorithm::Sha256, "c2VjcmV0").unwrap());
    let mut query = vec![0; 300];
    query[..12].copy_from_slice(&[0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (session, _) = Session::ask(key, &mut query, 12, 0).unwrap();
    let mut incoming = Incoming::new(name("example.org"), 0x1234, None, Some(session), Limits::default());
    let told = incoming.take(&message(&[soa(7), ns(), soa(7)]), 0);
    assert_eq!(told, Err(Fault::Signature(Unverified::Unsigned)));
}

#[test]
fn steps_that_do_not_fit_are_not_carried_out() {
    let zone = vec![soa(7), ns(), a("a.example.org", 1)];
    let step = |removed: &[Record], added: &[Record]| Step {
        removed: [&[soa(7)], removed].concat(),
        added: [&[soa(8)], added].concat(),
    };
    let good = apply(
        zone.clone(),
        &[step(&[a("A.example.org", 1)], &[a("b.example.org", 2)])],
    );
    assert_eq!(good, Some(vec![soa(8), ns(), a("b.example.org", 2)]));
    assert_eq!(apply(zone.clone(), &[step(&[a("x.example.org", 1)], &[])]), None);
    let again = a("a.example.org", 1);
    let other_ttl = Record {
        ttl: again.ttl + 1,
        ..again.clone()
    };
    assert_eq!(
        apply(zone.clone(), &[step(&[], std::slice::from_ref(&again))]),
        Some(vec![soa(8), ns(), again])
    );
    assert_eq!(apply(zone, &[step(&[], &[other_ttl])]), None);
}

fn zone(serial: u32, hosts: &[u8]) -> Arc<Zone> {
    let mut records = vec![soa(serial), ns()];
    records.extend(hosts.iter().map(|host| a(&format!("h{}.example.org", host % 8), *host)));
    Arc::new(Zone::build(&name("example.org"), &records, &[]).unwrap().0)
}

/// The messages that we send ourselves, of this size.
fn sent(zone: &Arc<Zone>, content: Content, room: usize) -> Vec<Vec<u8>> {
    let query = [b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\xfb\0\x01".as_slice()].concat();
    let mut outgoing = Outgoing::new(Arc::clone(zone), content, &query, query.len());
    let mut messages = vec![];
    while !outgoing.is_done() {
        let mut out = vec![0; room];
        let len = outgoing.write(&mut out, 0).unwrap();
        out.truncate(len);
        messages.push(out);
    }
    messages
}

proptest! {
    #[test]
    fn what_we_send_arrives(old in prop::collection::vec(any::<u8>(), 0..30), new in prop::collection::vec(any::<u8>(), 0..30), room in 120usize..900) {
        let (old, new) = (zone(7, &old), zone(9, &new));
        let records = |zone: &Zone| zone.records().collect::<Vec<_>>();
        let mut whole = incoming(None);
        let mut change = incoming(Some(7));
        let mut arrived = None;
        for message in sent(&new, Content::Whole, room) {
            arrived = whole.take(&message, 0).unwrap();
        }
        prop_assert_eq!(arrived, Some(Arrived::Whole(records(&new))));
        let mut arrived = None;
        for message in sent(&new, Content::Change(Delta::between(&old, &new)), room) {
            arrived = change.take(&message, 0).unwrap();
        }
        let Some(Arrived::Changes(steps)) = arrived else { panic!("{arrived:?}") };
        let applied = apply(records(&old), &steps).unwrap();
        let rebuilt = Zone::build(&name("example.org"), &applied, &[]).unwrap().0;
        prop_assert_eq!(records(&rebuilt), records(&new));
    }

    #[test]
    fn nothing_makes_it_panic(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..4), flip in any::<(usize, u8)>()) {
        let mut incoming = incoming(Some(7));
        for message in &messages {
            let _ = incoming.take(message, 0);
        }
        let mut good = message(&[soa(9), soa(7), a("a.example.org", 1), soa(9), soa(9)]);
        let at = flip.0 % good.len();
        good[at] ^= flip.1;
        let _ = Incoming::new(name("example.org"), 0x1234, Some(7), None, Limits::default()).take(&good, 0);
    }
}
