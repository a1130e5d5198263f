//! Plain TCP (RFC 7766, RFC 1035 §4.2.2) on a small tokio runtime of its own, and one beside it for long transfers.
//!
//! One multi-threaded runtime rather than one current-thread runtime per core: a listener cannot be shared out fairly
//! by SO_REUSEPORT (connections stay where they were accepted, and one slow core starves its own), while tasks move.
//! Per query the runtime costs little, because [`connection`] answers all that one read brought in one go, outside of
//! any await. The program's other tasks run elsewhere and cannot delay answers; nor can transfers, which go on where
//! threads give way to those that answer.
//!
//! - [`table`] knows every connection and decides about limits: who gets in, who has to go.
//! - [`connection`] is the life of one.
//! - [`stream`] is what a connection needs of TCP, or of TLS over it.
//! - Here: accepting, and a sweep that enforces all deadlines at once, so that no query pays for a timer.
//!
//! Running out of file descriptors is an everyday attack: then a few of the longest idle connections go, accepting
//! pauses for a moment, and the log says so once a minute.

mod connection;
mod stream;
mod table;
mod transfer;

pub(super) use self::connection::{Connection, FRAME, PREFIX};
pub(super) use self::table::{Order, Phase, Seat};
pub(super) use self::transfer::{Sending, tell_refused};

use self::table::{Admitted, Table};
use super::counters::Counters;
use super::encrypted::Sockets;
use super::priority::{answer_promptly, give_way};
use super::throttle::Throttle;
use super::{Handler, Limits};
use quinn::Endpoint;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// What all connections share.
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    pub(super) table: Arc<Table>,
    pub(super) counters: Arc<Counters>,
    /// Where long transfers go on.
    transfers: Handle,
}

impl<H> Shared<H> {
    /// A seat for a new connection, if it may have one.
    pub(super) fn admit(&self, peer: IpAddr) -> Option<Admitted> {
        let counters = &self.counters.tcp;
        counters.accepted.fetch_add(1, Relaxed);
        let admitted = self.table.admit(peer);
        match &admitted {
            Some(admitted) => counters.evicted.fetch_add(admitted.evicted, Relaxed),
            None => counters.refused.fetch_add(1, Relaxed),
        };
        admitted
    }
}

/// The TCP side while it serves.
pub(super) struct TcpSide {
    runtimes: Option<Runtimes>,
    acceptors: Vec<JoinHandle<()>>,
    /// Those of QUIC, which say goodbye after their connections are gone from the table.
    endpoints: Vec<Endpoint>,
    table: Arc<dyn Close>,
}

/// Where it runs.
struct Runtimes {
    /// Connections, and what is asked on them.
    answers: Runtime,
    /// Connections that are busy with a transfer: on threads that let all others of a core go first.
    transfers: Runtime,
}

/// What [`TcpSide`] needs of [`Shared`], without its type parameter.
trait Close: Send + Sync {
    fn finish_all(&self, patience: Duration);
}

impl<H: Handler> Close for Shared<H> {
    fn finish_all(&self, patience: Duration) {
        self.table.finish_all(patience);
    }
}

impl TcpSide {
    /// Starts to accept.
    pub(super) fn start<H: Handler>(
        listeners: Vec<TcpListener>,
        encrypted: Option<Sockets>,
        limits: Limits,
        threads: usize,
        handler: Arc<H>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let answers = runtime("tcp", threads).on_thread_start(answer_promptly).build()?;
        let transfers = runtime("transfers", threads).on_thread_start(give_way).build()?;
        let shared = Arc::new(Shared {
            handler,
            table: Arc::new(Table::new(limits)),
            counters,
            transfers: transfers.handle().clone(),
        });
        let inside = answers.enter();
        let mut acceptors = Vec::with_capacity(listeners.len());
        let mut endpoints = Vec::new();
        for listener in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            acceptors.push(answers.spawn(accept(listener, shared.clone(), welcome)));
        }
        if let Some(sockets) = encrypted {
            let (more, quic) = sockets.serve(&shared)?;
            acceptors.extend(more);
            endpoints = quic;
        }
        answers.spawn(sweep(shared.clone()));
        drop(inside);
        Ok(Self {
            runtimes: Some(Runtimes { answers, transfers }),
            acceptors,
            endpoints,
            table: shared,
        })
    }

    /// The runtime that answers, as long as it serves.
    pub(super) fn handle(&self) -> Option<Handle> {
        let runtimes = self.runtimes.as_ref()?;
        Some(runtimes.answers.handle().clone())
    }

    /// Accepts no more, lets connections send the answers to what has arrived, at most for `patience`, and closes
    /// everything. Blocks; further calls do nothing.
    pub(super) fn stop(&mut self, patience: Duration) {
        let Some(Runtimes { answers, transfers }) = self.runtimes.take() else {
            return;
        };
        for acceptor in self.acceptors.drain(..) {
            acceptor.abort();
        }
        self.table.finish_all(patience);
        // A runtime may not be dropped on a thread of another runtime, and the caller may be on one.
        let endpoints = std::mem::take(&mut self.endpoints);
        let closing = std::thread::spawn(move || {
            transfers.shutdown_timeout(CLOSING);
            answers.block_on(async {
                let all_gone = async {
                    for endpoint in &endpoints {
                        endpoint.wait_idle().await;
                    }
                };
                let _ = tokio::time::timeout(CLOSING, all_gone).await;
            });
            answers.shutdown_timeout(CLOSING);
        });
        let _ = closing.join();
    }
}

fn runtime(name: &str, threads: usize) -> Builder {
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(threads.max(1)).thread_name(name).enable_all();
    runtime
}

/// How long closing a runtime may take when all of its tasks are at an await.
const CLOSING: Duration = Duration::from_millis(500);

/// Accepts connections, each to be welcomed in a task of its own.
pub(super) async fn accept<H: Handler, F>(
    listener: tokio::net::TcpListener,
    shared: Arc<Shared<H>>,
    welcome: impl Fn(TcpStream, SocketAddr, Arc<Shared<H>>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                recover(&error, &shared).await;
                continue;
            }
        };
        tokio::spawn(welcome(stream, peer, shared.clone()));
    }
}

/// Gives a connection its seat and serves it.
async fn welcome<H: Handler>(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared<H>>) {
    let Some(admitted) = shared.admit(peer.ip()) else {
        return;
    };
    Connection::new(stream, peer, shared, admitted).serve().await;
}

/// After a failed accept. Errors of a single connection (accept(2): it broke off, a network error) are passed over.
async fn recover<H: Handler>(error: &io::Error, shared: &Shared<H>) {
    static THROTTLE: Throttle = Throttle::new(Duration::from_secs(60));
    if !matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    ) {
        return;
    }
    let evicted = shared.table.evict(RELIEF);
    shared.counters.tcp.evicted.fetch_add(evicted, Relaxed);
    if let Some(untold) = THROTTLE.admit(Instant::now()) {
        tracing::error!(
            untold,
            "cannot accept TCP connections: {error}; closing the longest idle ones; raise LimitNOFILE= or lower the number of connections"
        );
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Connections closed at once when files run out.
const RELIEF: usize = 16;

/// Closes what is past its deadline, until the runtime ends. Sleeps while there is no connection.
async fn sweep<H: Handler>(shared: Arc<Shared<H>>) {
    loop {
        shared.table.populated().await;
        tokio::time::sleep(shared.table.sweep_period()).await;
        let closed = shared.table.sweep();
        shared.counters.tcp.timed_out.fetch_add(closed, Relaxed);
    }
}
