//! Asking a primary: which serial it has, and for the zone.

use super::{Shared, now, random, socket_to};
use crate::message::{HEADER_LEN, Message, Part, Rcode, flags};
use crate::name::Name;
use crate::record::{Record, RecordType};
use crate::transfer::{Arrived, Fault, Incoming, Limits, Remote, serial_of};
use crate::tsig::Session;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a primary may take to answer a datagram, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(3);
const ATTEMPTS: u32 = 3;
/// How long it may take to accept a connection, and from one octet of a transfer to the next.
const STALLED: Duration = Duration::from_secs(30);
/// A question with its signature is no longer.
const QUESTION_LEN: usize = 2048;

/// Why a primary gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No connection, or it broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Silence.
    #[error("it does not answer")]
    Silent,
    /// It closed the connection early.
    #[error("it closes the connection in the middle of the transfer")]
    Closed,
    /// What it says is not believed.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// RFC 1034 §4.3.5: only who is authoritative can be asked.
    #[error("it is not authoritative for the zone")]
    NotAuthoritative,
    /// The configuration names a key that there is not.
    #[error("there is no key {0} to ask it with")]
    NoKey(Name),
}

/// The SOA that a server has.
pub(super) async fn soa(shared: &Shared, remote: &Remote, apex: &Name) -> Result<Record, Failure> {
    soa_within(shared, remote, apex, ATTEMPTS).await
}

/// The same for somebody who waits: asked once.
pub(super) async fn soa_at_once(shared: &Shared, remote: &Remote, apex: &Name) -> Result<Record, Failure> {
    soa_within(shared, remote, apex, 1).await
}

async fn soa_within(shared: &Shared, remote: &Remote, apex: &Name, attempts: u32) -> Result<Record, Failure> {
    let socket = socket_to(shared, remote.address).await?;
    let mut answer = vec![0; 65_535];
    for _ in 0..attempts {
        let (question, mut session) = question(shared, remote, apex, RecordType::SOA, None)?;
        socket.send(&question).await?;
        let until = tokio::time::Instant::now() + PATIENCE;
        while let Ok(received) = tokio::time::timeout_at(until, socket.recv(&mut answer)).await {
            let bytes = &answer[..received?];
            // What is not an answer to this question may be a late one to another, or forged.
            let is_ours =
                Message::read(bytes).is_ok_and(|message| message.is_response()) && bytes.get(..2) == question.get(..2);
            if is_ours {
                return soa_in(bytes, apex, session.as_mut());
            }
        }
    }
    Err(Failure::Silent)
}

fn soa_in(bytes: &[u8], apex: &Name, session: Option<&mut Session>) -> Result<Record, Failure> {
    let message = Message::read(bytes).map_err(Fault::from)?;
    if let Some(session) = session {
        session.check(bytes, now()).map_err(Fault::from)?;
    }
    if message.rcode() != Rcode::NOERROR {
        return Err(Fault::Answered(message.rcode()).into());
    }
    if message.flags & flags::AA == 0 {
        return Err(Failure::NotAuthoritative);
    }
    for record in message.records() {
        let record = record.map_err(Fault::from)?;
        if record.part == Part::Answer && record.rtype == RecordType::SOA && record.owner == *apex {
            return Ok(Record {
                ttl: record.ttl,
                rdata: record.rdata().map_err(Fault::from)?,
                owner: record.owner,
                rtype: record.rtype,
            });
        }
    }
    Err(Failure::NotAuthoritative)
}

/// Fetches what is newer than `ours`, or the whole zone.
pub(super) async fn fetch(
    shared: &Shared,
    remote: &Remote,
    apex: &Name,
    ours: Option<&Record>,
) -> Result<Arrived, Failure> {
    let rtype = if ours.is_some() {
        RecordType::IXFR
    } else {
        RecordType::AXFR
    };
    let (question, session) = question(shared, remote, apex, rtype, ours)?;
    let mut stream = within(TcpStream::connect(remote.address)).await??;
    stream.set_nodelay(true)?;
    let framed = [&(question.len() as u16).to_be_bytes()[..], &question].concat();
    within(stream.write_all(&framed)).await??;
    let id = u16::from_be_bytes([question[0], question[1]]);
    let serial = ours.map(serial_of);
    let mut incoming = Incoming::new(apex.clone(), id, serial, session, Limits::default());
    let mut message = vec![];
    loop {
        let mut prefix = [0; 2];
        read(&mut stream, &mut prefix).await?;
        message.resize(usize::from(u16::from_be_bytes(prefix)), 0);
        read(&mut stream, &mut message).await?;
        if let Some(arrived) = incoming.take(&message, now())? {
            return Ok(arrived);
        }
        // A fast primary never makes us wait: the others of this runtime have their turn.
        tokio::task::yield_now().await;
    }
}

async fn read(stream: &mut TcpStream, mut room: &mut [u8]) -> Result<(), Failure> {
    while !room.is_empty() {
        match within(stream.read(room)).await?? {
            0 => return Err(Failure::Closed),
            count => room = &mut std::mem::take(&mut room)[count..],
        }
    }
    Ok(())
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(STALLED, work).await.map_err(|_| Failure::Silent)
}

/// A question about the apex, signed if it is to be, and what checks the answer. For IXFR our SOA stands in the authority
/// section (RFC 1995 §3).
fn question(
    shared: &Shared,
    remote: &Remote,
    apex: &Name,
    rtype: RecordType,
    ours: Option<&Record>,
) -> Result<(Vec<u8>, Option<Session>), Failure> {
    let [id_high, id_low] = random().to_be_bytes();
    let mut question = vec![id_high, id_low, 0, 0, 0, 1, 0, 0, 0, u8::from(ours.is_some()), 0, 0];
    question.extend_from_slice(apex.as_wire());
    question.extend_from_slice(&rtype.0.to_be_bytes());
    question.extend_from_slice(&[0, 1]);
    if let Some(soa) = ours {
        question.extend_from_slice(&[0xc0, HEADER_LEN as u8]);
        question.extend_from_slice(&RecordType::SOA.0.to_be_bytes());
        question.extend_from_slice(&[0, 1]);
        question.extend_from_slice(&soa.ttl.to_be_bytes());
        question.extend_from_slice(&(soa.rdata.len() as u16).to_be_bytes());
        question.extend_from_slice(&soa.rdata);
    }
    let Some(name) = &remote.key else {
        return Ok((question, None));
    };
    let key = shared.keys.load().get(name).cloned();
    let key = key.ok_or_else(|| Failure::NoKey(name.clone()))?;
    let len = question.len();
    question.resize(len + QUESTION_LEN, 0);
    let (session, len) = Session::ask(key, &mut question, len, now()).ok_or_else(|| Failure::NoKey(name.clone()))?;
    question.truncate(len);
    Ok((question, Some(session)))
}
