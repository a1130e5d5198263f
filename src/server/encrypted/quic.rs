//! DNS over dedicated QUIC connections (RFC 9250).
//!
//! Each query has a stream of its own and its answer, or all messages of a transfer, come back on it. What the protocol
//! calls a fatal error ends the connection (RFC 9250 §4.3.3).

use super::super::Handler;
use super::super::clock::Clock;
use super::super::tcp::{Order, Phase, Seat, Sending, Shared, tell_refused};
use super::{Asker, answer_one};
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

/// Octets of the length in front of a message (RFC 9250 §4.2).
const PREFIX: usize = 2;
/// The longest message with its length.
const FRAME: usize = PREFIX + 65_535;
/// Queries that a client may have under way.
const STREAMS: u32 = 32;
/// Octets that a client may send ahead, and that may wait for it to read.
const WINDOW: u32 = 2 * FRAME as u32;

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
        .stream_receive_window(VarInt::from_u32(FRAME as u32))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into())
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
    let certificate = certificate(&connection).map(Arc::from);
    let mut streams = JoinSet::new();
    let order = loop {
        tokio::select! {
            biased;
            order = seat.ordered() => break order,
            stream = connection.accept_bi() => match stream {
                Ok((send, recv)) => {
                    while streams.try_join_next().is_some() {}
                    let stream = Stream {
                        shared: shared.clone(),
                        seat: seat.clone(),
                        connection: connection.clone(),
                        peer,
                        certificate: certificate.clone(),
                        send,
                    };
                    streams.spawn(stream.serve(recv));
                }
                // How it ended does not matter.
                Err(_) => return,
            },
        }
    };
    if order == Order::Finish {
        while streams.join_next().await.is_some() {}
    }
    let code = if order == Order::Reset {
        EXCESSIVE_LOAD
    } else {
        NO_ERROR
    };
    connection.close(code, b"");
}

/// The certificate that the client showed, if one was asked for.
fn certificate(connection: &Connection) -> Option<Vec<u8>> {
    let identity = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>();
    Some(identity.ok()?.first()?.to_vec())
}

/// One query and what comes of it.
struct Stream<H> {
    shared: Arc<Shared<H>>,
    seat: Arc<Seat>,
    connection: Connection,
    /// Where the client was when it shook hands.
    peer: SocketAddr,
    certificate: Option<Arc<[u8]>>,
    send: SendStream,
}

/// Why a stream ends without an answer.
enum End {
    /// The client is slow, or gone, or there is nothing to say.
    Given,
    /// Its connection ends, too.
    Fatal,
}

impl<H: Handler> Stream<H> {
    async fn serve(mut self, recv: RecvStream) {
        match self.converse(recv).await {
            Ok(()) => {}
            Err(End::Given) => drop(self.send.reset(INTERNAL_ERROR)),
            Err(End::Fatal) => self.connection.close(PROTOCOL_ERROR, b""),
        }
    }

    async fn converse(&mut self, mut recv: RecvStream) -> Result<(), End> {
        let limits = self.shared.table.limits();
        let frame = timeout(limits.message, recv.read_to_end(FRAME)).await;
        let frame = frame.map_err(|_| End::Given)?.map_err(|error| match error {
            quinn::ReadToEndError::TooLong => End::Fatal,
            quinn::ReadToEndError::Read(_) => End::Given,
        })?;
        let query = message_in(&frame).ok_or(End::Fatal)?;
        // What is on the way to be answered is no idleness.
        self.shared.table.note(&self.seat, Phase::Idle);
        match self.begin_transfer(query) {
            Some(sending) => self.transfer(sending).await?,
            None => {
                let answer = answer_one(&self.shared, &self.asker(), query).ok_or(End::Given)?;
                self.write(&answer).await?;
            }
        }
        self.send.finish().map_err(|_| End::Given)?;
        // Until the client has it all: what is closed before is lost.
        let _ = timeout(limits.write, self.send.stopped()).await;
        Ok(())
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

    async fn transfer(&mut self, mut sending: Sending) -> Result<(), End> {
        let mut room = vec![0; FRAME - PREFIX];
        let now = || u64::from(Clock::default().seconds());
        while !sending.is_done() {
            let len = sending.write(&mut room, now()).ok_or(End::Given)?;
            self.write(room.get(..len).unwrap_or_default()).await?;
        }
        sending.tell(now());
        Ok(())
    }

    /// Writes a message with its length.
    async fn write(&mut self, message: &[u8]) -> Result<(), End> {
        let frame = [&(message.len() as u16).to_be_bytes()[..], message].concat();
        let written = timeout(self.shared.table.limits().write, self.send.write_all(&frame)).await;
        self.shared.table.note(&self.seat, Phase::Idle);
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Given),
        }
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
