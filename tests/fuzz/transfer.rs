//! What holds of a transfer on its way here, whatever the primary sends; shared by the fuzz target and the test that
//! replays its corpus.
//!
//! The octets of the input are choices: two versions of a zone, how the newer one is told (whole, as changes, as no news,
//! in messages of what size, signed or not), and what becomes of the messages on their way: lost, doubled, swapped, cut,
//! bent, or with a record more.

use arbitrary::{Result, Unstructured};
use signpost::name::Name;
use signpost::record::{Record, RecordType};
use signpost::transfer::{Arrived, Content, Delta, Incoming, Limits, Outgoing, Step, apply, serial_of};
use signpost::tsig::{Algorithm, Key, Keyring, Session, SignedQuery};
use signpost::zone::Zone;
use std::collections::BTreeSet;
use std::sync::Arc;

const NOW: u64 = 1_800_000_000;
const LIMITS: Limits = Limits {
    records: 150,
    octets: 30_000,
};

/// Plays what `octets` choose; panics if a promise of [`Incoming`] is broken. `Some(true)` when something arrived, `None`
/// when they choose no scene.
pub(crate) fn exercise(octets: &[u8]) -> Option<bool> {
    let scene = Scene::choose(&mut Unstructured::new(octets)).ok().flatten()?;
    Some(scene.play())
}

struct Scene {
    old: Arc<Zone>,
    new: Arc<Zone>,
    /// The serial that is asked from, for IXFR.
    ours: Option<u32>,
    session: Option<Session>,
    messages: Vec<Vec<u8>>,
    /// Do the messages come as they were sent?
    intact: bool,
}

impl Scene {
    fn choose(u: &mut Unstructured<'_>) -> Result<Option<Self>> {
        let serial: u32 = *u.choose(&[1, 0x7fff_ffff, u32::MAX])?;
        let (old, new) = (zone(u, serial)?, zone(u, serial.wrapping_add(1))?);
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(None);
        };
        let kind = u.int_in_range(0..=3)?;
        let content = match kind {
            0 => Content::Serial,
            1 => Content::Change(Delta::between(&old, &new)),
            _ => Content::Whole,
        };
        let ours = match kind {
            0 => Some(new.serial()),
            1 => Some(old.serial()),
            2 => Some(old.serial().wrapping_sub(1)),
            _ => None,
        };
        let rtype = if ours.is_some() {
            RecordType::IXFR
        } else {
            RecordType::AXFR
        };
        let Some((query, end, asked, answering)) = query(&old, rtype, u.arbitrary()?) else {
            return Ok(None);
        };
        let mut outgoing = Outgoing::new(Arc::clone(&new), content, &query, end).signed(answering);
        let room = u.int_in_range(400..=2000)?;
        let mut messages = vec![];
        while !outgoing.is_done() {
            let mut message = vec![0; room];
            let Ok(len) = outgoing.write(&mut message, NOW) else {
                return Ok(None);
            };
            message.truncate(len);
            messages.push(message);
        }
        let sent = messages.clone();
        for _ in 0..u.int_in_range(0..=3)? {
            damage(u, &mut messages)?;
        }
        Ok(Some(Self {
            intact: messages == sent,
            old,
            new,
            ours,
            session: asked,
            messages,
        }))
    }

    fn play(&self) -> bool {
        let apex = self.new.apex();
        let mut incoming = Incoming::new(apex.clone(), 0x1234, self.ours, self.session.clone(), LIMITS);
        let mut arrived = None;
        for message in &self.messages {
            match incoming.take(message, NOW) {
                Ok(None) => assert!(arrived.is_none(), "nothing may follow"),
                Ok(Some(brought)) => assert!(arrived.replace(brought).is_none(), "a transfer ends once"),
                Err(_) => break,
            }
        }
        if let Some(arrived) = &arrived {
            self.judge(arrived);
        }
        let octets: usize = self.messages.iter().map(Vec::len).sum();
        if self.intact && octets < LIMITS.octets && self.new.records().count() + 2 < LIMITS.records / 2 {
            assert!(arrived.is_some(), "what is whole arrives");
        }
        arrived.is_some()
    }

    /// What arrived is such as may be believed; as it was sent, if it was signed or not touched.
    fn judge(&self, arrived: &Arrived) {
        let records = match arrived {
            Arrived::Nothing(serial) => {
                let ours = self.ours.expect("nothing new is an answer to IXFR only");
                assert!(
                    serial.wrapping_sub(ours) > i32::MAX as u32 || *serial == ours,
                    "{serial} {ours}"
                );
                return;
            }
            Arrived::Whole(records) => Some(records.clone()),
            Arrived::Changes(steps) => {
                self.steps_follow(steps);
                apply(self.old.records().collect(), steps)
            }
        };
        let Some(records) = records else {
            assert!(!self.intact && self.session.is_none(), "good changes fit");
            return;
        };
        assert!(records.len() <= LIMITS.records);
        assert_eq!(records[0].rtype, RecordType::SOA);
        for record in &records {
            assert!(record.owner.is_at_or_below(self.new.apex()) && !record.rtype.is_meta());
        }
        let soas = records.iter().filter(|record| record.rtype == RecordType::SOA);
        assert_eq!(soas.count(), 1, "one SOA, the first record");
        let built = Zone::build(self.new.apex(), &records, &[]);
        if self.intact || self.session.is_some() {
            let Ok((built, _)) = built else { panic!("a good zone") };
            assert_eq!(content(&built), content(&self.new), "what was sent");
        }
    }

    /// From our serial on, each begins where the one before ends, and each half with its SOA.
    fn steps_follow(&self, steps: &[Step]) {
        let mut at = self.ours.expect("changes are an answer to IXFR only");
        assert!(!steps.is_empty());
        for step in steps {
            for half in [&step.removed, &step.added] {
                let soas = half.iter().filter(|record| record.rtype == RecordType::SOA);
                assert!(soas.count() == 1 && half[0].rtype == RecordType::SOA);
            }
            assert_eq!(serial_of(&step.removed[0]), at);
            at = serial_of(&step.added[0]);
        }
    }
}

fn content(zone: &Zone) -> BTreeSet<(Name, u16, u32, Vec<u8>)> {
    let records = zone.records();
    let parts = records.map(|record| (record.owner, record.rtype.0, record.ttl, record.rdata.to_vec()));
    parts.collect()
}

const LABELS: [&str; 5] = [
    "a",
    "*",
    "mail",
    "_dmarc",
    "LONG-long-long-long-long-long-long-long-long-long-long-long-lo",
];

/// A version of a zone.
fn zone(u: &mut Unstructured<'_>, serial: u32) -> Result<Option<Arc<Zone>>> {
    let Ok(apex) = Name::from_text("a.test") else {
        return Ok(None);
    };
    let record = |owner: &Name, rtype, ttl, rdata: &[u8]| Record {
        owner: owner.clone(),
        rtype,
        ttl,
        rdata: rdata.into(),
    };
    let numbers = [serial, 1, 1, 1, 1].map(u32::to_be_bytes);
    let soa = [&b"\x02ns\0\0"[..], numbers.as_flattened()].concat();
    let mut records = vec![
        record(&apex, RecordType::SOA, 300, &soa),
        record(&apex, RecordType::NS, 300, b"\x02ns\0"),
    ];
    for _ in 0..u.int_in_range(0..=20)? {
        let mut owner = apex.clone();
        for _ in 0..u.int_in_range(0..=3)? {
            owner = owner.prefixed(u.choose(&LABELS)?).unwrap_or(owner);
        }
        let octet: u8 = u.arbitrary()?;
        let ttl = u32::from(u.ratio(1, 4)?) + 60;
        let (rtype, rdata) = match u.int_in_range(0..=3)? {
            0 => (RecordType::A, vec![192, 0, 2, octet]),
            1 => (RecordType::TXT, [vec![octet], vec![b'x'; octet.into()]].concat()),
            2 => (RecordType::MX, [&[0, octet][..], apex.as_wire()].concat()),
            _ => (RecordType(65280), vec![octet]),
        };
        records.push(record(&owner, rtype, ttl, &rdata));
    }
    Ok(Zone::build(&apex, &records, &[]).ok().map(|(zone, _)| Arc::new(zone)))
}

type Asked = (Vec<u8>, usize, Option<Session>, Option<Session>);

/// A question for the zone, where it ends, and the sessions of both sides if it is signed.
fn query(zone: &Zone, rtype: RecordType, signed: bool) -> Option<Asked> {
    let mut query = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0".to_vec();
    query.extend(zone.apex().as_wire());
    query.extend(rtype.0.to_be_bytes());
    query.extend([0, 1]);
    let end = query.len();
    if !signed {
        return Some((query, end, None, None));
    }
    let key = Key::new(&Name::from_text("key.test").ok()?, Algorithm::Sha256, "c2VjcmV0").ok()?;
    query.resize(end + 512, 0);
    let (asked, len) = Session::ask(Arc::new(key.clone()), &mut query, end, NOW)?;
    query.truncate(len);
    let found = SignedQuery::find(&query).ok()??;
    let answering = Keyring::from_iter([key]).verify(&found, NOW).ok()?;
    Some((query.clone(), end, Some(asked), Some(answering)))
}

/// What may happen to messages on their way.
fn damage(u: &mut Unstructured<'_>, messages: &mut Vec<Vec<u8>>) -> Result<()> {
    if messages.is_empty() {
        return Ok(());
    }
    let at = u.choose_index(messages.len())?;
    let other = u.choose_index(messages.len())?;
    match u.int_in_range(0..=6)? {
        0 => drop(messages.remove(at)),
        1 => messages.insert(other, messages[at].clone()),
        2 => messages.swap(at, other),
        3 => {
            let len = u.int_in_range(0..=messages[at].len())?;
            messages[at].truncate(len);
        }
        4 if !messages[at].is_empty() => {
            let octet = u.choose_index(messages[at].len())?;
            messages[at][octet] = u.arbitrary()?;
        }
        5 if messages[at].len() > 12 => {
            // One record more, at the end, counted as an answer.
            messages[at][7] = messages[at][7].wrapping_add(1);
            let owner = *u.choose(&[
                &b"\xc0\x0c"[..],
                b"\x01a\xc0\x0c",
                b"\x04bank\x04test\0",
                b"\xc0\xff",
                b"\0",
            ])?;
            messages[at].extend(owner);
            let rtype = *u.choose(&[1u16, 2, 5, 6, 16, 41, 250, 255, 65280])?;
            messages[at].extend(rtype.to_be_bytes());
            let class = if u.ratio(1, 8)? { 3 } else { 1 };
            messages[at].extend([0, class, 0, 0, 0, 60]);
            let len = u.int_in_range(0..=24)?;
            let rdata = u.bytes(len)?.to_vec();
            messages[at].extend([0, len as u8]);
            messages[at].extend(rdata);
        }
        _ => messages.push(messages[at].clone()),
    }
    Ok(())
}
