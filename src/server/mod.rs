//! Sockets: UDP in batches, TCP with limits, both feeding [`crate::answer`].
//!
//! ```text
//! Server::bind / Server::adopt ──▶ Server::run ──▶ Running ──▶ Running::stop
//!   every socket or none            threads start     totals, liveness
//! ```
//!
//! - **UDP**: per address one thread per core, each with its own SO_REUSEPORT socket, a blocking `recvmmsg` and one
//!   `sendmmsg` per round (`udp`, `batch`). Answers leave from the address that was asked and are never fragmented
//!   by a path MTU the network claims (RFC 9715).
//! - **TCP** (RFC 7766): one small runtime of its own, in-order answers, everything that arrived in one read leaves in
//!   one write, and [`Limits`] on connections, clients, idleness and slowness (`tcp`).
//! - **TLS, QUIC and HTTPS** on the same runtime, with the same limits (`encrypted`).
//! - **Rates** of responses to those who may not be where they say they are, by UDP ([`RateLimit`], `limit`).
//! - **systemd**: sockets handed over ([`Inherited`]), readiness, reload and watchdog messages ([`systemd`]).
//!
//! What is answered is a [`Handler`]'s matter: the server's own is [`Answering`], tests plug in others. A handler that
//! panics costs its query a SERVFAIL, never a worker.
//!
//! Refuses: answers to port 0; UDP queries longer than 1472 octets; a second server on the same port, even one of the
//! same user, which SO_REUSEPORT alone would let in.

mod batch;
mod bind;
mod clock;
mod counters;
mod encrypted;
mod error;
mod guard;
mod holder;
mod inherit;
mod limit;
mod priority;
mod running;
pub mod systemd;
mod tcp;
mod udp;

use crate::answer::{Answered, Client, Settings};
use crate::throttle;
use crate::tls::SharedContext;
use crate::transfer::{self, Outgoing, Refused};
use crate::zone::ZoneSet;
use arc_swap::Guard;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use bind::Server;
pub use counters::Totals;
pub use error::BindError;
pub use holder::Holder;
pub use inherit::Inherited;
pub use limit::RateLimit;
pub use priority::give_way;
pub use running::{Liveness, Running};

pub use crate::publish::SharedZones;

/// What answers queries. Called by many threads at once; must not block.
pub trait Handler: Send + Sync + 'static {
    /// What the queries of one batch are answered from.
    type View;

    /// The state of this moment; taken once per batch and given back after it.
    fn view(&self) -> Self::View;

    /// Room for a UDP answer in octets.
    fn max_udp_payload(&self) -> u16;

    /// Answers `query` into `out`, which has [`Self::max_udp_payload`] octets for UDP and 65 535 for TCP. Returns
    /// what was written, `None` for silence.
    fn answer(&self, view: &Self::View, client: &Client<'_>, query: &[u8], out: &mut [u8]) -> Option<Answered>;

    /// Begins the transfer that `query`, which came by TCP, TLS or QUIC, asks for; why not, if it asks for one that is not given.
    /// `None`: it asks for none, or this handler gives none.
    fn begin_transfer(
        &self,
        _view: &Self::View,
        _client: &Client<'_>,
        _query: &[u8],
    ) -> Option<Result<Outgoing, Refused>> {
        None
    }
}

/// The handler that serves: the zones of the moment by [`crate::answer::answer`].
#[derive(Debug)]
pub struct Answering {
    /// The served zones.
    pub zones: SharedZones,
    /// What the operator chose about answering.
    pub settings: Settings,
}

impl Handler for Answering {
    type View = Guard<Arc<ZoneSet>>;

    fn view(&self) -> Self::View {
        self.zones.load()
    }

    fn max_udp_payload(&self) -> u16 {
        // RFC 1035 §4.2.1: every client takes 512 octets.
        self.settings.max_udp_payload.max(512)
    }

    fn answer(&self, view: &Self::View, client: &Client<'_>, query: &[u8], out: &mut [u8]) -> Option<Answered> {
        crate::answer::answer(view, &self.settings, client, query, out)
    }

    fn begin_transfer(
        &self,
        view: &Self::View,
        client: &Client<'_>,
        query: &[u8],
    ) -> Option<Result<Outgoing, Refused>> {
        if !transfer::is_request(query) {
            return None;
        }
        let transfers = self.settings.transfers.as_ref()?;
        let peer = (client.peer)()?;
        let now = u64::from((client.now)());
        Some(transfers.begin(
            view,
            query,
            client.requester(peer.ip()),
            now,
            self.settings.max_udp_payload,
        ))
    }
}

/// Where to listen and how much to bear.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Each by UDP and TCP. With port 0 the kernel chooses one port for both.
    pub addresses: Vec<SocketAddr>,
    /// UDP threads per address and TCP threads in all; default: one per core. With more than four addresses the UDP
    /// threads are shared out among them, at least one each.
    pub workers: usize,
    /// Limits on clients with connections.
    pub limits: Limits,
    /// The limit of responses by UDP; none by default.
    pub rate_limit: Option<RateLimit>,
    /// Where the encrypted transports are; nowhere by default.
    pub encrypted: Option<Encrypted>,
}

/// Where to listen for encrypted queries, and what their connections are made with.
#[derive(Debug, Clone)]
pub struct Encrypted {
    /// By TLS (RFC 7858).
    pub dot: Vec<SocketAddr>,
    /// By QUIC (RFC 9250).
    pub doq: Vec<SocketAddr>,
    /// By HTTPS (RFC 8484).
    pub doh: Vec<SocketAddr>,
    /// The certificate of the moment.
    pub context: SharedContext,
}

impl Listen {
    /// These addresses, everything else by default.
    pub fn on(addresses: impl Into<Vec<SocketAddr>>) -> Self {
        Self {
            addresses: addresses.into(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            limits: Limits::default(),
            rate_limit: None,
            encrypted: None,
        }
    }
}

/// How much clients may take by connections of any transport (RFC 7766 §6.2 and §10 leave the numbers to us).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all; default 2 000. When they are all taken, a new client pushes out the longest idle.
    pub connections: usize,
    /// Connections of one client, that is an IPv4 address or an IPv6 /64; default 64. Further ones are closed at once.
    pub per_client: usize,
    /// How long a connection may be open with nothing asked; default 10 s. From half of [`Self::connections`] on it
    /// shrinks, down to a tenth when they are all taken.
    pub idle: Duration,
    /// How long a message may take from its first octet to its last; default 5 s.
    pub message: Duration,
    /// How long a client may take to read the answers to what it asked in one go; default 10 s.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_000,
            per_client: 64,
            idle: Duration::from_secs(10),
            message: Duration::from_secs(5),
            write: Duration::from_secs(10),
        }
    }
}
