//! A server while it serves, and how it ends.

use super::bind::wake;
use super::counters::{Counters, Totals};
use super::limit::Limiter;
use super::tcp::TcpSide;
use super::udp::{UdpPort, work};
use super::{Answering, Handler, Server, SharedZones, guard};
use crate::answer::Settings;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;

/// A server that serves, until [`Running::stop`] or until it is dropped, which does the same.
pub struct Running {
    addresses: Vec<SocketAddr>,
    encrypted: Vec<(&'static str, SocketAddr)>,
    stop: Arc<AtomicBool>,
    ports: Vec<UdpPort>,
    workers: Vec<JoinHandle<()>>,
    tcp: TcpSide,
    counters: Arc<Counters>,
}

/// Tells whether the server makes progress; what a watchdog should ask before it says so.
#[derive(Debug)]
pub struct Liveness {
    counters: Arc<Counters>,
    /// Rounds of each UDP worker when last asked.
    rounds: Vec<u64>,
    tcp: Option<Handle>,
    /// Tasks given to the TCP runtime, and those it has run.
    asked: u64,
    run: Arc<AtomicU64>,
}

impl Server {
    /// Serves `zones`.
    pub fn run(self, zones: SharedZones, settings: Settings) -> io::Result<Running> {
        self.serve(Answering { zones, settings })
    }

    /// Serves whatever `handler` answers. The error is one of starting threads.
    pub fn serve<H: Handler>(self, handler: H) -> io::Result<Running> {
        guard::install();
        let handler = Arc::new(handler);
        let counters = Arc::new(Counters::new(self.udp.len()));
        let tcp = TcpSide::start(
            self.tcp,
            self.encrypted,
            self.limits,
            self.workers,
            handler.clone(),
            counters.clone(),
        )?;
        let mut running = Running {
            addresses: self.addresses,
            encrypted: self.encrypted_addresses,
            stop: Arc::default(),
            ports: self.udp,
            workers: Vec::new(),
            tcp,
            counters,
        };
        // The kernel spreads the clients of an address among its workers.
        let sharers = running.ports.len().div_ceil(running.addresses.len().max(1));
        for (i, port) in running.ports.iter().enumerate() {
            let (port, handler) = (port.clone(), handler.clone());
            let limiter = self.rate_limit.map(|limit| Limiter::new(limit, sharers));
            let (counters, stop) = (running.counters.clone(), running.stop.clone());
            // A failure drops `running`, which stops what has started.
            let worker = std::thread::Builder::new().name(format!("udp-{i}")).spawn(move || {
                if let Some(own) = counters.udp.get(i) {
                    work(&port, &*handler, limiter, own, &stop);
                }
            })?;
            running.workers.push(worker);
        }
        Ok(running)
    }
}

impl Running {
    /// Where it listens, with the ports the kernel chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens for encrypted queries, each with its transport: `TLS`, `QUIC`, `HTTPS`.
    pub fn encrypted_addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.encrypted
    }

    /// What has been counted so far.
    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }

    /// A look at its progress, for a watchdog.
    pub fn liveness(&self) -> Liveness {
        Liveness {
            counters: self.counters.clone(),
            rounds: vec![u64::MAX; self.counters.udp.len()],
            tcp: self.tcp.handle(),
            asked: 0,
            run: Arc::default(),
        }
    }

    /// Stops: UDP workers finish their round, TCP connections send the answers to what has arrived, in 2 s at most;
    /// then all sockets are closed. Blocks until that is done.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.stop.store(true, Relaxed);
        self.ports.iter().for_each(wake);
        self.tcp.stop(PATIENCE);
        for worker in self.workers.drain(..) {
            // It does not panic; if it did, it is gone all the same.
            let _ = worker.join();
        }
        self.ports.clear();
    }
}

/// How long TCP clients get to read their last answers.
const PATIENCE: Duration = Duration::from_secs(2);

impl Drop for Running {
    fn drop(&mut self) {
        self.halt();
    }
}

impl Liveness {
    /// Has every UDP worker answered since the last call, or is it waiting for datagrams, and has the TCP runtime run
    /// the task it was given then? The first call has nothing to compare with and says yes.
    pub fn alive(&mut self) -> bool {
        let mut alive = self.run.load(Relaxed) == self.asked;
        for (worker, seen) in self.counters.udp.iter().zip(&mut self.rounds) {
            let rounds = worker.rounds.get();
            alive &= rounds != *seen || worker.waiting.load(Relaxed);
            *seen = rounds;
        }
        if let Some(tcp) = self.tcp.as_ref().filter(|_| alive) {
            self.asked += 1;
            let run = self.run.clone();
            tcp.spawn(async move { run.fetch_add(1, Relaxed) });
        }
        alive
    }
}
