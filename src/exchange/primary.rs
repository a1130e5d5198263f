//! Asking a primary: which serial it has, and for the zone.
//!
//! One that speaks TLS is asked for both over TLS (RFC 9103), and shows who it is first; when it does not, nothing
//! is asked: there is no way back to TCP.

use super::{Shared, now, random, socket_to};
use crate::message::{EXPIRE_ASKED, HEADER_LEN, Message, Part, Rcode, expire_told, flags};
use crate::name::Name;
use crate::record::{Record, RecordType};
use crate::tls::{NoClient, server_name};
use crate::transfer::{Arrived, Fault, Incoming, Limits, Remote, serial_of};
use crate::tsig::Session;
use rustls::CertificateError;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a primary may take to answer a datagram, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(3);
const ATTEMPTS: u32 = 3;
/// How long it may take to accept a connection, and from one octet of a transfer to the next.
const STALLED: Duration = Duration::from_secs(30);
/// What we take by UDP (RFC 9715).
const PAYLOAD: u16 = 1232;
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
    /// We have nothing to speak TLS with.
    #[error("{0}")]
    Tls(#[from] NoClient),
    /// Whoever signed its certificate is nobody to us.
    #[error("no authority that is trusted here has signed its certificate; name its authority in `[tls] ca`")]
    Stranger,
    /// What came was no TLS.
    #[error("it does not speak TLS on this port")]
    NotTls,
    /// The configuration names a key that there is not.
    #[error("there is no key {0} to ask it with")]
    NoKey(Name),
}

impl Failure {
    /// Of a handshake of TLS.
    fn of_handshake(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Self::Stranger,
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            _ => Self::Io(error),
        }
    }

    /// May it be that the server does not know EDNS? Then it is asked without (RFC 6891 §7).
    fn is_of_edns(&self) -> bool {
        matches!(self, Self::Fault(Fault::Answered(Rcode::FORMERR | Rcode::NOTIMP)))
    }
}

/// What a server says of its zone.
#[derive(Debug)]
pub(super) struct Said {
    /// The SOA.
    pub(super) soa: Record,
    /// For how many seconds it may be served (RFC 7314).
    pub(super) expire: Option<u32>,
}

/// The SOA that a server has.
pub(super) async fn soa(shared: &Shared, remote: &Remote, apex: &Name) -> Result<Said, Failure> {
    match soa_within(shared, remote, apex, ATTEMPTS, true).await {
        Err(error) if error.is_of_edns() => soa_within(shared, remote, apex, ATTEMPTS, false).await,
        said => said,
    }
}

/// The same for somebody who waits: asked once.
pub(super) async fn soa_at_once(shared: &Shared, remote: &Remote, apex: &Name) -> Result<Record, Failure> {
    Ok(soa_within(shared, remote, apex, 1, false).await?.soa)
}

async fn soa_within(shared: &Shared, remote: &Remote, apex: &Name, attempts: u32, edns: bool) -> Result<Said, Failure> {
    if remote.tls.is_some() {
        return soa_by_stream(shared, remote, apex, edns).await;
    }
    for _ in 0..attempts {
        let (question, mut session) = question(shared, remote, apex, RecordType::SOA, None, edns)?;
        if let Some(answer) = ask_by_udp(shared, remote, &question, PATIENCE).await? {
            return soa_in(&answer, apex, session.as_mut());
        }
    }
    Err(Failure::Silent)
}

/// Over TLS.
async fn soa_by_stream(shared: &Shared, remote: &Remote, apex: &Name, edns: bool) -> Result<Said, Failure> {
    let (question, mut session) = question(shared, remote, apex, RecordType::SOA, None, edns)?;
    let answer = ask_by_stream(shared, remote, &question).await?;
    soa_in(&answer, apex, session.as_mut())
}

/// One question and its answer in datagrams; `None` for silence.
pub(super) async fn ask_by_udp(
    shared: &Shared,
    remote: &Remote,
    question: &[u8],
    patience: Duration,
) -> Result<Option<Vec<u8>>, Failure> {
    let socket = socket_to(shared, remote.address).await?;
    socket.send(question).await?;
    let mut answer = vec![0; 65_535];
    let until = tokio::time::Instant::now() + patience;
    while let Ok(received) = tokio::time::timeout_at(until, socket.recv(&mut answer)).await {
        let len = received?;
        let bytes = &answer[..len];
        // What is not an answer to this question may be a late one to another, or forged.
        let is_ours =
            Message::read(bytes).is_ok_and(|message| message.is_response()) && bytes.get(..2) == question.get(..2);
        if is_ours {
            answer.truncate(len);
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// The same by TCP, or by TLS where that is how the server is spoken to.
pub(super) async fn ask_by_stream(shared: &Shared, remote: &Remote, question: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut stream = connect(shared, remote).await?;
    ask(&mut stream, question).await?;
    let mut answer = vec![];
    read_message(&mut stream, &mut answer).await?;
    match answer.get(..2) == question.get(..2) {
        true => Ok(answer),
        false => Err(Fault::OtherQuestion.into()),
    }
}

fn soa_in(bytes: &[u8], apex: &Name, session: Option<&mut Session>) -> Result<Said, Failure> {
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
            let soa = Record {
                ttl: record.ttl,
                rdata: record.rdata().map_err(Fault::from)?,
                owner: record.owner,
                rtype: record.rtype,
            };
            let expire = expire_in(&message);
            return Ok(Said { soa, expire });
        }
    }
    Err(Failure::NotAuthoritative)
}

/// For how many seconds the zone may be served (RFC 7314 §3.2).
fn expire_in(message: &Message<'_>) -> Option<u32> {
    let mut records = message.records().map_while(Result::ok);
    let opt = records.find(|record| record.part == Part::Additional && record.rtype == RecordType::OPT)?;
    expire_told(&opt.rdata().ok()?)
}

/// Fetches what is newer than `ours`, or the whole zone, and for how many seconds it may be served.
pub(super) async fn fetch(
    shared: &Shared,
    remote: &Remote,
    apex: &Name,
    ours: Option<&Record>,
) -> Result<(Arrived, Option<u32>), Failure> {
    match fetch_by(shared, remote, apex, ours, true).await {
        Err(error) if error.is_of_edns() => fetch_by(shared, remote, apex, ours, false).await,
        fetched => fetched,
    }
}

async fn fetch_by(
    shared: &Shared,
    remote: &Remote,
    apex: &Name,
    ours: Option<&Record>,
    edns: bool,
) -> Result<(Arrived, Option<u32>), Failure> {
    let rtype = if ours.is_some() {
        RecordType::IXFR
    } else {
        RecordType::AXFR
    };
    let (question, session) = question(shared, remote, apex, rtype, ours, edns)?;
    let mut stream = connect(shared, remote).await?;
    ask(&mut stream, &question).await?;
    let id = u16::from_be_bytes([question[0], question[1]]);
    let serial = ours.map(serial_of);
    let mut incoming = Incoming::new(apex.clone(), id, serial, session, Limits::default());
    let mut message = vec![];
    let mut expire = None;
    let mut is_first = true;
    loop {
        read_message(&mut stream, &mut message).await?;
        let arrived = incoming.take(&message, now())?;
        if std::mem::take(&mut is_first) {
            expire = Message::read(&message).ok().and_then(|message| expire_in(&message));
        }
        if let Some(arrived) = arrived {
            return Ok((arrived, expire));
        }
        // A fast primary never makes us wait: the others of this runtime have their turn.
        tokio::task::yield_now().await;
    }
}

/// A connection to a primary.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn connect(shared: &Shared, remote: &Remote) -> Result<Box<dyn Stream>, Failure> {
    let stream = within(TcpStream::connect(remote.address)).await??;
    stream.set_nodelay(true)?;
    let Some(name) = &remote.tls else {
        return Ok(Box::new(stream));
    };
    let context = Arc::clone(&shared.tls.borrow());
    let name = server_name(name).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let connector = TlsConnector::from(context.client()?);
    let stream = within(connector.connect(name, stream)).await?;
    Ok(Box::new(stream.map_err(Failure::of_handshake)?))
}

async fn ask(stream: &mut dyn Stream, question: &[u8]) -> Result<(), Failure> {
    let framed = [&(question.len() as u16).to_be_bytes()[..], question].concat();
    within(stream.write_all(&framed)).await??;
    within(stream.flush()).await??;
    Ok(())
}

async fn read_message(stream: &mut dyn Stream, message: &mut Vec<u8>) -> Result<(), Failure> {
    let mut prefix = [0; 2];
    read(stream, &mut prefix).await?;
    message.resize(usize::from(u16::from_be_bytes(prefix)), 0);
    read(stream, message).await
}

async fn read(stream: &mut dyn Stream, mut room: &mut [u8]) -> Result<(), Failure> {
    while !room.is_empty() {
        match within(stream.read(room)).await? {
            Ok(0) => return Err(Failure::Closed),
            // By TLS, one who goes without a word.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Failure::Closed),
            Err(error) => return Err(error.into()),
            Ok(count) => room = &mut std::mem::take(&mut room)[count..],
        }
    }
    Ok(())
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(STALLED, work).await.map_err(|_| Failure::Silent)
}

/// A question about the apex, signed if it is to be, and what checks the answer. For IXFR our SOA stands in the authority
/// section (RFC 1995 §3).
pub(super) fn question(
    shared: &Shared,
    remote: &Remote,
    apex: &Name,
    rtype: RecordType,
    ours: Option<&Record>,
    edns: bool,
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
    if edns {
        question[HEADER_LEN - 1] = 1;
        let [high, low] = PAYLOAD.to_be_bytes();
        question.extend_from_slice(&[0, 0, 41, high, low, 0, 0, 0, 0, 0, EXPIRE_ASKED.len() as u8]);
        question.extend_from_slice(&EXPIRE_ASKED);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_that_fails_says_what_to_do() {
        let told = |error: rustls::Error| Failure::of_handshake(io::Error::new(io::ErrorKind::InvalidData, error));
        let unknown = told(CertificateError::UnknownIssuer.into());
        assert!(
            unknown.to_string().contains("name its authority in `[tls] ca`"),
            "{unknown}"
        );
        let garbage = told(rustls::Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType,
        ));
        assert_eq!(garbage.to_string(), "it does not speak TLS on this port");
        let expired = told(CertificateError::Expired.into());
        assert!(expired.to_string().contains("Expired"), "{expired}");
    }
}
