//! A zone on its way here, message by message: AXFR (RFC 5936 §2.2) and IXFR (RFC 1995 §4), judged as they come.
//!
//! Nothing is believed before the last record: an [`Incoming`] gives nothing until the transfer is whole. What no zone
//! may hold ends it at once: a record out of the zone, of another class or of a type that is no data, data that does
//! not fit its type, a SOA where none may be, records after the end, more than [`Limits`] allow.

use crate::message::{BadMessage, Message, Part, RawRecord, Rcode};
use crate::name::Name;
use crate::record::{Record, RecordType, text};
use crate::tsig::{Session, Unverified};

/// How much a transfer may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records, counted as they come.
    pub records: usize,
    /// Octets of messages.
    pub octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records: 20_000_000,
            octets: 2 << 30,
        }
    }
}

/// What a finished transfer brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrived {
    /// The primary has nothing newer; this is its serial.
    Nothing(u32),
    /// The whole zone, its SOA first.
    Whole(Vec<Record>),
    /// What changed, step by step.
    Changes(Vec<Step>),
}

/// One difference of an IXFR; both halves begin with the SOA of their version.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Records to take out.
    pub removed: Vec<Record>,
    /// Records to put in.
    pub added: Vec<Record>,
}

/// Why a transfer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// RFC 1035 §4.1.1: it says no.
    #[error("the primary answers {}", rcode_text(*.0))]
    Answered(Rcode),
    /// Something that is no answer to our question.
    #[error("the answer is to another question than ours")]
    OtherQuestion,
    /// The signature.
    #[error(transparent)]
    Signature(#[from] Unverified),
    /// Form.
    #[error("a message of the transfer is malformed")]
    Malformed,
    /// RFC 5936 §2.2: the SOA comes first.
    #[error("the transfer begins with a record of type {0}, not with the SOA of the zone")]
    NotSoaFirst(RecordType),
    /// The answer has no record at all.
    #[error("the answer holds no record")]
    Empty,
    /// A record of another zone.
    #[error("it holds a record of {0}, which is not in the zone")]
    OutOfZone(Name),
    /// A record of another class.
    #[error("it holds a record of class {class} at {owner}; only class IN is data here")]
    Class {
        /// Its owner.
        owner: Name,
        /// Its class.
        class: u16,
    },
    /// A record that can be no data.
    #[error("it holds a record of type {rtype} at {owner}, which is no data")]
    MetaType {
        /// Its owner.
        owner: Name,
        /// Its type.
        rtype: RecordType,
    },
    /// A record that does not fit its type.
    #[error("the record of type {rtype} at {owner} is malformed: {why}")]
    Data {
        /// Its owner.
        owner: Name,
        /// Its type.
        rtype: RecordType,
        /// What is wrong.
        why: String,
    },
    /// A SOA where none may be.
    #[error("it holds a SOA of serial {0} in the middle")]
    SoaInTheMiddle(u32),
    /// A SOA below the apex.
    #[error("it holds a SOA at {0}, below the apex")]
    SoaBelow(Name),
    /// More came than the transfer has.
    #[error("records follow after the end of the transfer")]
    AfterTheEnd,
    /// More than allowed.
    #[error("it is larger than {0} allowed here")]
    TooLarge(&'static str),
    /// An IXFR that does not begin at our version or whose steps do not follow on each other.
    #[error("the changes it tells do not lead from our version to the new one")]
    Disordered,
}

fn rcode_text(rcode: Rcode) -> String {
    match rcode {
        Rcode::REFUSED => "REFUSED: it does not allow the transfer to this address and key".to_owned(),
        Rcode::NOTAUTH => "NOTAUTH: it does not serve the zone, or does not know our key".to_owned(),
        Rcode::SERVFAIL => "SERVFAIL: it has no good version of the zone itself".to_owned(),
        Rcode::FORMERR => "FORMERR".to_owned(),
        Rcode::NOTIMP => "NOTIMP".to_owned(),
        Rcode::NXDOMAIN => "NXDOMAIN: it does not know the zone".to_owned(),
        Rcode(code) => format!("with code {code}"),
    }
}

impl From<BadMessage> for Fault {
    fn from(BadMessage: BadMessage) -> Self {
        Self::Malformed
    }
}

/// A transfer under way.
#[derive(Debug)]
pub struct Incoming {
    apex: Name,
    id: u16,
    /// The serial we have, when IXFR was asked for.
    ours: Option<u32>,
    session: Option<Session>,
    limits: Limits,
    records: usize,
    octets: usize,
    /// The SOA of the new version, once it has come.
    first: Option<Record>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has come, or the SOA alone.
    Begun,
    Whole(Vec<Record>),
    Changes {
        steps: Vec<Step>,
        /// Are records put in now?
        adding: bool,
    },
    Done(Arrived),
    /// The result has been given.
    Over,
}

impl Incoming {
    /// Waits for the answer to a question of this number about `apex`; `ours` is our serial when it was for IXFR.
    pub fn new(apex: Name, id: u16, ours: Option<u32>, session: Option<Session>, limits: Limits) -> Self {
        Self {
            apex,
            id,
            ours,
            session,
            limits,
            records: 0,
            octets: 0,
            first: None,
            state: State::Begun,
        }
    }

    /// Takes the next message; gives what arrived when that was the last.
    pub fn take(&mut self, bytes: &[u8], now: u64) -> Result<Option<Arrived>, Fault> {
        let message = Message::read(bytes)?;
        if message.id != self.id || !message.is_response() || message.opcode() != 0 {
            return Err(Fault::OtherQuestion);
        }
        // A refusal is told before its signature, which it may not have (RFC 8945 §5.3.2).
        if let Some(session) = &mut self.session {
            let checked = session.check(bytes, now);
            if message.rcode() != Rcode::NOERROR && checked == Err(Unverified::Unsigned) {
                return Err(Fault::Answered(message.rcode()));
            }
            checked?;
        }
        if message.rcode() != Rcode::NOERROR {
            return Err(Fault::Answered(message.rcode()));
        }
        if message.question()?.is_some_and(|(name, ..)| name != self.apex) {
            return Err(Fault::OtherQuestion);
        }
        self.octets += bytes.len();
        if self.octets > self.limits.octets {
            return Err(Fault::TooLarge("the number of octets"));
        }
        let before = self.records;
        for record in message.records() {
            let record = record?;
            if record.part == Part::Answer {
                self.put(&record)?;
            }
        }
        if self.records == before {
            return Err(Fault::Empty);
        }
        self.finish()
    }

    /// What arrived, if that was all.
    fn finish(&mut self) -> Result<Option<Arrived>, Fault> {
        // RFC 1995 §4: a single SOA that is not newer than ours says that there is nothing.
        if let (State::Begun, Some(first), Some(ours)) = (&self.state, &self.first, self.ours)
            && !is_newer(serial_of(first), ours)
        {
            self.state = State::Done(Arrived::Nothing(serial_of(first)));
        }
        if !matches!(self.state, State::Done(_)) {
            return Ok(None);
        }
        if let Some(session) = &self.session {
            session.end()?;
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Done(arrived) => Ok(Some(arrived)),
            _ => Ok(None),
        }
    }

    fn put(&mut self, raw: &RawRecord<'_>) -> Result<(), Fault> {
        self.records += 1;
        if self.records > self.limits.records {
            return Err(Fault::TooLarge("the number of records"));
        }
        let record = self.judged(raw)?;
        let Some(first) = &self.first else {
            if record.rtype != RecordType::SOA {
                return Err(Fault::NotSoaFirst(record.rtype));
            }
            self.first = Some(record);
            return Ok(());
        };
        let (is_soa, serial) = match record.rtype {
            RecordType::SOA => (true, serial_of(&record)),
            _ => (false, 0),
        };
        let newest = serial_of(first);
        match &mut self.state {
            State::Begun if is_soa && self.ours == Some(serial) && serial != newest => {
                let mut step = Step::default();
                step.removed.push(record);
                self.state = State::Changes {
                    steps: vec![step],
                    adding: false,
                };
            }
            // A zone of a SOA alone ends where it began.
            State::Begun if is_soa && serial == newest => {
                self.state = State::Done(Arrived::Whole(vec![record]));
            }
            State::Begun if is_soa => return Err(Fault::SoaInTheMiddle(serial)),
            State::Begun => self.state = State::Whole(vec![first.clone(), record]),
            State::Whole(records) if is_soa => {
                if serial != newest {
                    return Err(Fault::SoaInTheMiddle(serial));
                }
                self.state = State::Done(Arrived::Whole(std::mem::take(records)));
            }
            State::Whole(records) => records.push(record),
            State::Changes { steps, adding } => {
                let step = steps.last_mut().ok_or(Fault::Disordered)?;
                match (is_soa, *adding) {
                    (false, false) => step.removed.push(record),
                    (false, true) => step.added.push(record),
                    (true, false) => {
                        step.added.push(record);
                        *adding = true;
                    }
                    (true, true) => {
                        let reached = step.added.first().map(serial_of);
                        if reached != Some(serial) {
                            return Err(Fault::Disordered);
                        }
                        if serial == newest {
                            self.state = State::Done(Arrived::Changes(std::mem::take(steps)));
                        } else {
                            let mut step = Step::default();
                            step.removed.push(record);
                            steps.push(step);
                            *adding = false;
                        }
                    }
                }
            }
            State::Done(_) | State::Over => return Err(Fault::AfterTheEnd),
        }
        Ok(())
    }

    /// The record, if a zone may hold it.
    fn judged(&self, raw: &RawRecord<'_>) -> Result<Record, Fault> {
        let (owner, rtype) = (raw.owner.clone(), raw.rtype);
        if !owner.is_at_or_below(&self.apex) {
            return Err(Fault::OutOfZone(owner));
        }
        if raw.class != 1 {
            let class = raw.class;
            return Err(Fault::Class { owner, class });
        }
        if rtype.is_meta() {
            return Err(Fault::MetaType { owner, rtype });
        }
        if rtype == RecordType::SOA && owner != self.apex {
            return Err(Fault::SoaBelow(owner));
        }
        let rdata = raw.rdata()?;
        if let Err(error) = text::check_wire(rtype, &rdata) {
            let why = error.to_string();
            return Err(Fault::Data { owner, rtype, why });
        }
        Ok(Record {
            owner,
            rtype,
            // RFC 2181 §8: with the highest bit set it is zero.
            ttl: if raw.ttl > i32::MAX.unsigned_abs() { 0 } else { raw.ttl },
            rdata,
        })
    }
}

/// The serial of a SOA record; 0 of what is none.
pub fn serial_of(soa: &Record) -> u32 {
    let numbers = soa.rdata.last_chunk::<20>();
    numbers
        .and_then(|numbers| numbers.first_chunk())
        .map_or(0, |serial| u32::from_be_bytes(*serial))
}

fn is_newer(serial: u32, than: u32) -> bool {
    crate::publish::Serial(serial).is_newer_than(crate::publish::Serial(than))
}

/// Carries steps out on the records of a zone (RFC 1995 §4). `None` when they do not fit: a record to be taken out is not
/// there, or one to be put in is with another TTL; then the whole zone must be fetched. One that is there as it is to be
/// changes nothing, whatever was meant: NSD 4.6 tells of records at the apex that stay as they are.
pub fn apply(records: Vec<Record>, steps: &[Step]) -> Option<Vec<Record>> {
    let key = |record: &Record| (record.owner.to_lowercase(), record.rtype, record.rdata.clone());
    let mut content: std::collections::BTreeMap<_, Record> =
        records.into_iter().map(|record| (key(&record), record)).collect();
    for step in steps {
        for record in &step.removed {
            content.remove(&key(record))?;
        }
        for record in &step.added {
            if let Some(before) = content.insert(key(record), record.clone())
                && before.ttl != record.ttl
            {
                return None;
            }
        }
    }
    let (soa, rest): (Vec<Record>, Vec<Record>) = content
        .into_values()
        .partition(|record| record.rtype == RecordType::SOA);
    (soa.len() == 1).then(|| soa.into_iter().chain(rest).collect())
}

#[cfg(test)]
mod tests;
