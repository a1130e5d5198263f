//! DNS over dedicated QUIC connections (RFC 9250).
//!
//! Each query has a stream of its own and its answer, or all messages of a transfer, come back on it. What the protocol
//! calls a fatal error ends the connection (RFC 9250 §4.3.3).

use super::super::Handler;
use super::super::clock::Clock;
use super::super::tcp::{FRAME, Order, PREFIX, Phase, Seat, Sending, Shared, tell_refused};
use super::{ANSWERS, Asker, MAX_QUERY, answer_one};
use crate::answer::Transport;
use crate::message::{HEADER_LEN, Query};
use crate::tls::SharedContext;
use crate::transfer::Outgoing;
use quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use rustls::pki_types::CertificateDer;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The connection is no longer needed (RFC 9250 §8.4).
const NO_ERROR: VarInt = VarInt::from_u32(0);
/// There is no answer (RFC 9250 §4.3.2).
const INTERNAL_ERROR: VarInt = VarInt::from_u32(1);
/// What came is against the protocol.
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
/// Too much is asked for.
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);

/// Queries that a client may have under way.
const STREAMS: u32 = 32;
/// Octets of a query with its length (RFC 9250 §4.2): so many may be sent ahead.
const QUERY_FRAME: usize = PREFIX + MAX_QUERY;
/// Octets that may wait for a client to read.
const SEND_WINDOW: u64 = 2 * FRAME as u64;

/// An endpoint that is deaf until it has a certificate.
pub(super) fn endpoint(socket: UdpSocket) -> io::Result<Endpoint> {
    Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))
}

pub(super) async fn accept<H: Handler>(endpoint: Endpoint, shared: Arc<Shared<H>>, mut context: SharedContext) {
    let mut may_change = true;
    loop {
        let crypto = context.borrow_and_update().quic();
        endpoint.set_server_config(crypto.map(|crypto| {
            let mut config = ServerConfig::with_crypto(crypto);
            config.transport_config(Arc::new(transport(shared.table.limits().idle)));
            // Who may have what depends on the address, and another one is that of a forger until it is proven
            // (RFC 9000 §9.3.1): a client that moves makes a new connection.
            config.migration(false);
            config
        }));
        loop {
            tokio::select! {
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => drop(tokio::spawn(welcome(incoming, shared.clone()))),
                    None => return,
                },
                changed = context.changed(), if may_change => {
                    // Or nobody is left to change it.
                    may_change = changed.is_ok();
                    break;
                }
            }
        }
    }
}

fn transport(idle: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(STREAMS.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(QUERY_FRAME as u32))
        .receive_window(VarInt::from_u32(STREAMS * QUERY_FRAME as u32))
        .send_window(SEND_WINDOW)
        .max_idle_timeout(idle.try_into().ok());
    transport
}

/// Gives a connection its seat and serves it.
async fn welcome<H: Handler>(incoming: Incoming, shared: Arc<Shared<H>>) {
    let peer = incoming.remote_address();
    // RFC 9000 §8.1.2: who takes more than a little has to be where he says he is, or others could be kept out in
    // their name.
    if !incoming.remote_address_validated() && shared.table.is_crowded(peer.ip()) {
        let _ = incoming.retry();
        return;
    }
    let Some(admitted) = shared.admit(peer.ip()) else {
        return incoming.refuse();
    };
    let seat = &admitted.seat;
    shared.table.note(seat, Phase::Reading);
    let Ok(connecting) = incoming.accept() else { return };
    let connection = tokio::select! {
        biased;
        shaken = connecting => match shaken {
            Ok(connection) => connection,
            Err(error) => return tracing::debug!(%peer, %error, "no handshake of QUIC"),
        },
        _ = seat.ordered() => return,
    };
    shared.table.note(seat, Phase::Idle);
    let session = Arc::new(Session {
        certificate: certificate(&connection),
        connection,
        peer,
        seat: seat.clone(),
        answers: Semaphore::new(ANSWERS),
        finishing: watch::Sender::new(false),
        shared: shared.clone(),
    });
    let connection = &session.connection;
    let mut streams = JoinSet::new();
    let order = loop {
        tokio::select! {
            biased;
            order = seat.ordered() => break order,
            stream = connection.accept_bi() => match stream {
                Ok(stream) => {
                    while streams.try_join_next().is_some() {}
                    streams.spawn(session.clone().serve(stream));
                }
                // How it ended does not matter.
                Err(_) => return,
            },
        }
    };
    if order == Order::Finish {
        // What has arrived, and no more.
        while let Some(stream) = now_or_never(connection.accept_bi()).await {
            let Ok(stream) = stream else { return };
            streams.spawn(session.clone().serve(stream));
        }
        session.finishing.send_replace(true);
        while streams.join_next().await.is_some() {}
    }
    let code = if order == Order::Reset {
        EXCESSIVE_LOAD
    } else {
        NO_ERROR
    };
    connection.close(code, b"");
}

/// What is there at once.
async fn now_or_never<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = std::future::ready(()) => None,
    }
}

/// The certificate that the client showed, if one was asked for.
fn certificate(connection: &Connection) -> Option<Vec<u8>> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>();
    Some(identity.ok()?.first()?.to_vec())
}

/// What the streams of a connection share.
struct Session<H> {
    shared: Arc<Shared<H>>,
    seat: Arc<Seat>,
    connection: Connection,
    /// Where the client was when it shook hands.
    peer: SocketAddr,
    certificate: Option<Vec<u8>>,
    /// Answers that may be made and written at a time.
    answers: Semaphore,
    /// What has not arrived by now is not waited for.
    finishing: watch::Sender<bool>,
}

/// Why a stream ends without an answer.
enum End {
    /// The client is slow, or gone, or there is nothing to say.
    Given,
    /// Its connection ends, too.
    Fatal(VarInt),
}

impl<H: Handler> Session<H> {
    /// One query and what comes of it.
    async fn serve(self: Arc<Self>, (mut send, recv): (SendStream, RecvStream)) {
        match self.converse(&mut send, recv).await {
            Ok(()) => {}
            Err(End::Given) => drop(send.reset(INTERNAL_ERROR)),
            Err(End::Fatal(code)) => self.connection.close(code, b""),
        }
    }

    async fn converse(&self, send: &mut SendStream, recv: RecvStream) -> Result<(), End> {
        let frame = self.read(recv).await?;
        let query = message_in(&frame).ok_or(End::Fatal(PROTOCOL_ERROR))?;
        // It is never closed.
        let permit = self.answers.acquire().await;
        match self.begin_transfer(query) {
            Some(sending) => {
                drop(frame);
                self.transfer(send, sending).await?;
            }
            None => {
                let answer = answer_one(&self.shared, &self.asker(), query).ok_or(End::Given)?;
                drop(frame);
                self.write(send, &answer).await?;
            }
        }
        drop(permit);
        send.finish().map_err(|_| End::Given)?;
        // Until the client has it all: what is closed before is lost.
        let _ = timeout(self.shared.table.limits().write, send.stopped()).await;
        Ok(())
    }

    /// All octets of a stream.
    async fn read(&self, mut recv: RecvStream) -> Result<Vec<u8>, End> {
        let mut finishing = self.finishing.subscribe();
        let read = timeout(self.shared.table.limits().message, recv.read_to_end(QUERY_FRAME));
        let frame = tokio::select! {
            biased;
            frame = read => frame.map_err(|_| End::Given)?,
            _ = finishing.wait_for(|finishing| *finishing) => return Err(End::Given),
        };
        frame.map_err(|error| match error {
            quinn::ReadToEndError::TooLong => End::Fatal(EXCESSIVE_LOAD),
            quinn::ReadToEndError::Read(_) => End::Given,
        })
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            transport: Transport::Quic,
            peer: self.peer,
            certificate: self.certificate.as_deref(),
        }
    }

    fn begin_transfer(&self, query: &[u8]) -> Option<Sending> {
        let view = self.shared.handler.view();
        let begun: Option<Result<Outgoing, _>> = self
            .asker()
            .told(|client| self.shared.handler.begin_transfer(&view, client, query));
        match begun? {
            Ok(outgoing) => {
                self.shared.counters.tcp.queries.fetch_add(1, Relaxed);
                self.shared.counters.tcp.answers.fetch_add(1, Relaxed);
                Some(Sending::new(outgoing, self.peer))
            }
            Err(refused) => {
                tell_refused(query, self.peer, &refused);
                None
            }
        }
    }

    async fn transfer(&self, send: &mut SendStream, mut sending: Sending) -> Result<(), End> {
        let mut room = vec![0; FRAME - PREFIX];
        let now = || u64::from(Clock::default().seconds());
        while !sending.is_done() {
            let len = sending.write(&mut room, now()).ok_or(End::Given)?;
            self.write(send, room.get(..len).unwrap_or_default()).await?;
        }
        sending.tell(now());
        Ok(())
    }

    /// Writes a message with its length. Who does not read it in time is no client.
    async fn write(&self, send: &mut SendStream, message: &[u8]) -> Result<(), End> {
        let table = &self.shared.table;
        table.note(&self.seat, Phase::Writing);
        let prefix = (message.len() as u16).to_be_bytes();
        let write = async {
            send.write_all(&prefix).await?;
            send.write_all(message).await
        };
        let written = timeout(table.limits().write, write).await;
        let written = written.map_err(|_| End::Fatal(EXCESSIVE_LOAD))?;
        table.note(&self.seat, Phase::Idle);
        written.map_err(|_| End::Given)
    }
}

/// The one message of a stream, if it is as RFC 9250 wants it: whole and alone (§4.2), its ID zero (§4.2.1), without the
/// option of RFC 7828 (§5.5.2).
fn message_in(frame: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = frame.split_first_chunk::<PREFIX>()?;
    let whole = message.len() == usize::from(u16::from_be_bytes(*prefix)) && message.len() >= HEADER_LEN;
    (whole && message.starts_with(&[0, 0]) && !has_keepalive(message)).then_some(message)
}

fn has_keepalive(message: &[u8]) -> bool {
    let edns = Query::parse(message).ok().and_then(|query| query.edns);
    edns.is_some_and(|edns| edns.options().keepalive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_one_whole_message_with_no_id() {
        let query = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\0\0\x06\0\x01";
        let frame = |query: &[u8]| [&[0, query.len() as u8], query].concat();
        assert_eq!(message_in(&frame(query)), Some(&query[..]));
        let keepalive = b"\0\0\x01\0\0\x01\0\0\0\0\0\x01\0\0\x06\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\x04\0\x0b\0\0";
        assert_eq!(message_in(&frame(keepalive)), None);
        assert_eq!(message_in(&[&frame(query)[..], b"\0"].concat()), None, "more behind it");
        assert_eq!(message_in(&frame(query)[..10]), None, "cut");
        assert_eq!(
            message_in(&frame(b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\0\0\x06\0\x01")),
            None,
            "an ID"
        );
        assert_eq!(message_in(b"\0\0"), None);
    }
}
