//! What the sockets count: plain numbers, written by the thread that owns them, read by anyone.
//!
//! Each worker has a struct of its own on cache lines of its own, so that counting costs no traffic between cores.
//! Numbers only grow; exporting them is somebody else's job.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The numbers of one UDP worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct UdpCounters {
    pub(super) queries: Counter,
    pub(super) answers: Counter,
    pub(super) truncated: Counter,
    pub(super) dropped: Counter,
    /// Responses held back by the limit of rates, and of those the ones sent without records.
    pub(super) limited: Counter,
    pub(super) slipped: Counter,
    /// Batches done: with `waiting` the sign of life that [`super::Liveness`] looks at.
    pub(super) rounds: Counter,
    /// Is the worker in the system call that waits for datagrams?
    pub(super) waiting: AtomicBool,
}

/// The numbers of the TCP side, which has several threads: added to once per read, not per query.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct TcpCounters {
    pub(super) queries: AtomicU64,
    pub(super) answers: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) timed_out: AtomicU64,
}

/// All counters of a server.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) udp: Vec<UdpCounters>,
    pub(super) tcp: TcpCounters,
}

/// The sums at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Datagrams received.
    pub udp_queries: u64,
    /// Datagrams sent.
    pub udp_answers: u64,
    /// Of those, the ones with TC set: the client was told to come back by TCP.
    pub udp_truncated: u64,
    /// Datagrams unfit to be answered (too long, from port 0) and answers that the kernel did not take.
    pub udp_dropped: u64,
    /// Answers that the limit of rates held back.
    pub udp_limited: u64,
    /// Of those, the ones sent without records: with TC, or with a cookie.
    pub udp_slipped: u64,
    /// Messages received by TCP, and by TLS, QUIC and HTTPS, here as below.
    pub tcp_queries: u64,
    /// Messages sent by TCP.
    pub tcp_answers: u64,
    /// TCP connections accepted.
    pub tcp_accepted: u64,
    /// Connections closed at once because their client had as many as one may have.
    pub tcp_refused: u64,
    /// Connections closed, longest idle first, to let a new one in.
    pub tcp_evicted: u64,
    /// Connections closed because they were idle or slow for too long.
    pub tcp_timed_out: u64,
}

/// A number that one thread writes.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds without a locked instruction: only the owning thread may call it.
    pub(super) fn add(&self, more: usize) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more as u64), Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    /// Zeroes for this many UDP workers.
    pub(super) fn new(udp_workers: usize) -> Self {
        Self {
            udp: (0..udp_workers).map(|_| UdpCounters::default()).collect(),
            tcp: TcpCounters::default(),
        }
    }

    /// The sums now.
    pub(super) fn totals(&self) -> Totals {
        let sum = |field: fn(&UdpCounters) -> &Counter| self.udp.iter().map(|worker| field(worker).get()).sum();
        Totals {
            udp_queries: sum(|worker| &worker.queries),
            udp_answers: sum(|worker| &worker.answers),
            udp_truncated: sum(|worker| &worker.truncated),
            udp_dropped: sum(|worker| &worker.dropped),
            udp_limited: sum(|worker| &worker.limited),
            udp_slipped: sum(|worker| &worker.slipped),
            tcp_queries: self.tcp.queries.load(Relaxed),
            tcp_answers: self.tcp.answers.load(Relaxed),
            tcp_accepted: self.tcp.accepted.load(Relaxed),
            tcp_refused: self.tcp.refused.load(Relaxed),
            tcp_evicted: self.tcp.evicted.load(Relaxed),
            tcp_timed_out: self.tcp.timed_out.load(Relaxed),
        }
    }
}
