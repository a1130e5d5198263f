//! DNS over TLS (RFC 7858), QUIC (RFC 9250) and HTTPS (RFC 8484), on the runtime of TCP and with its limits.
//!
//! A connection has its seat in the same [`Table`](super::tcp::Table) from before its handshake on: of all transports
//! together there are so many connections in all and of a client, and who is idle or slow has to go. What is answered
//! is the same octets as by TCP, padded if that was asked for.
//!
//! - TLS is here: a handshake, and then a [`Connection`] like that of TCP, transfers (RFC 9103) included.
//! - [`quic`] answers one query a stream, transfers too.
//! - [`https`] answers one query a request, and gives no transfers (RFC 8484 §1).
//!
//! As long as there is no certificate that is good, connections are closed at once.

mod https;
mod quic;

use super::clock::Clock;
use super::tcp::{self, Connection, Phase, Shared};
use super::{Handler, guard};
use crate::answer::{Client, Transport};
use crate::tls::{Context, SharedContext};
use quinn::Endpoint;
use rustls::ServerConfig;
use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The longest query by QUIC and HTTPS, each of which is held until it is whole, many of one client at a time. Who pads
/// makes 128 octets of a query (RFC 8467 §4.1); a signature has some hundred.
const MAX_QUERY: usize = 4096;

/// Answers that a connection by QUIC or HTTPS has under way at a time. The others wait: who asks much and does not read
/// makes us hold no more.
const ANSWERS: usize = 8;

/// The sockets of the encrypted transports, and what their connections are made with.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) tls: Vec<TcpListener>,
    pub(super) quic: Vec<UdpSocket>,
    pub(super) https: Vec<TcpListener>,
    pub(super) context: SharedContext,
}

impl Sockets {
    /// Starts to accept; the endpoints of QUIC are returned as well. To be called inside the runtime.
    pub(super) fn serve<H: Handler>(self, shared: &Arc<Shared<H>>) -> io::Result<(Vec<JoinHandle<()>>, Vec<Endpoint>)> {
        let (mut acceptors, mut endpoints) = (Vec::new(), Vec::new());
        for (listeners, kind) in [(self.tls, Kind::Tls), (self.https, Kind::Https)] {
            for listener in listeners {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let context = self.context.clone();
                let welcome = move |stream, peer, shared| welcome(stream, peer, shared, context.clone(), kind);
                acceptors.push(tokio::spawn(tcp::accept(listener, shared.clone(), welcome)));
            }
        }
        for socket in self.quic {
            let endpoint = quic::endpoint(socket)?;
            endpoints.push(endpoint.clone());
            acceptors.push(tokio::spawn(quic::accept(
                endpoint,
                shared.clone(),
                self.context.clone(),
            )));
        }
        Ok((acceptors, endpoints))
    }
}

/// What is spoken over TLS.
#[derive(Clone, Copy)]
enum Kind {
    Tls,
    Https,
}

impl Kind {
    fn config(self, context: &Context) -> Option<Arc<ServerConfig>> {
        match self {
            Self::Tls => context.tls(),
            Self::Https => context.https(),
        }
    }
}

/// Gives a connection its seat, shakes hands and serves it.
async fn welcome<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared<H>>,
    context: SharedContext,
    kind: Kind,
) {
    let Some(admitted) = shared.admit(peer.ip()) else {
        return;
    };
    let seat = &admitted.seat;
    // Bound to a variable, it would be held over the handshake.
    let Some(config) = kind.config(&context.borrow()) else {
        return;
    };
    // The handshake has the time of a message.
    shared.table.note(seat, Phase::Reading);
    let shaken = tokio::select! {
        biased;
        shaken = TlsAcceptor::from(config).accept(stream) => shaken,
        _ = seat.ordered() => return,
    };
    let stream: TlsStream<TcpStream> = match shaken {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%peer, %error, "no handshake of TLS"),
    };
    shared.table.note(seat, Phase::Idle);
    match kind {
        Kind::Tls => {
            Connection::new(stream, peer, shared, admitted).serve().await;
        }
        Kind::Https => https::serve(stream, peer, &shared, seat).await,
    }
}

/// The octets of the answer to one query, and whether there is one.
fn answer_one<H: Handler>(shared: &Shared<H>, client: &Asker<'_>, query: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; 65_535].into_boxed_slice());
    }
    let counters = &shared.counters.tcp;
    counters.queries.fetch_add(1, Relaxed);
    let view = shared.handler.view();
    ROOM.with_borrow_mut(|room| {
        let answered = client.told(|client| guard::answer(&*shared.handler, &view, client, query, room))?;
        counters.answers.fetch_add(1, Relaxed);
        Some(room[..answered.len()].to_vec())
    })
}

/// Who asks.
struct Asker<'a> {
    transport: Transport,
    peer: SocketAddr,
    certificate: Option<&'a [u8]>,
}

impl Asker<'_> {
    /// As the engine wants to be told of it.
    fn told<T>(&self, ask: impl FnOnce(&Client<'_>) -> T) -> T {
        let clock = Clock::default();
        ask(&Client {
            transport: self.transport,
            peer: &|| Some(self.peer),
            now: &|| clock.seconds(),
            certificate: self.certificate,
            signed: None,
        })
    }
}
