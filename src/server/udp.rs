//! The UDP worker: one thread with one socket, so that a blocking `recvmmsg` is all the waiting there is.
//!
//! Under load a round takes many datagrams for two system calls; idle, the thread sleeps in the kernel. The zones
//! are looked up once per round. A worker ends only when it is told to: an error of the socket is logged and tried
//! again.

use super::batch::Batch;
use super::clock::Clock;
use super::counters::UdpCounters;
use super::limit::{Limiter, Verdict};
use super::priority::answer_promptly;
use super::throttle::Throttle;
use super::{Handler, guard};
use crate::answer::{Answered, Client, Transport};
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The socket of one worker.
#[derive(Debug, Clone)]
pub(super) struct UdpPort {
    pub(super) socket: Arc<UdpSocket>,
    /// Bound to 0.0.0.0 or ::, so that the address asked must be found out per datagram.
    pub(super) wildcard: bool,
    /// Handed over by the service manager, which goes on using it: it must not be shut down.
    pub(super) inherited: bool,
}

/// Serves until `stop` is set. The socket's read timeout or its shutdown wakes a waiting worker for that.
#[inline(never)] // tests/instructions.rs counts within it.
pub(super) fn work<H: Handler>(
    port: &UdpPort,
    handler: &H,
    mut limiter: Option<Limiter>,
    counters: &UdpCounters,
    stop: &AtomicBool,
) {
    answer_promptly();
    let mut batch = Batch::new(handler.max_udp_payload(), port.wildcard);
    while !stop.load(Relaxed) {
        counters.waiting.store(true, Relaxed);
        let received = batch.receive(&port.socket);
        counters.waiting.store(false, Relaxed);
        counters.rounds.add(1);
        if let Some(limiter) = &mut limiter {
            limiter.tick(Instant::now());
        }
        match received {
            Ok(count) => {
                counters.queries.add(count);
                round(&mut batch, port, handler, limiter.as_mut(), counters);
            }
            Err(error) => ride_out(&error),
        }
    }
}

fn round<H: Handler>(
    batch: &mut Batch,
    port: &UdpPort,
    handler: &H,
    mut limiter: Option<&mut Limiter>,
    counters: &UdpCounters,
) {
    let view = handler.view();
    let clock = Clock::default();
    let now = || clock.seconds();
    let mut truncated = 0;
    let unfit = batch.answer_each(|query, out| {
        let client = Client {
            transport: Transport::Udp,
            peer: &|| query.peer(),
            now: &now,
            certificate: None,
            signed: None,
        };
        let answered = guard::answer(handler, &view, &client, query.octets, out)?;
        let length = match &mut limiter {
            None => answered.len(),
            Some(limiter) => limited(limiter, &answered, &client, out, counters)?,
        };
        truncated += usize::from(is_truncated(out));
        Some(length)
    });
    drop(view);
    let sent = batch.send(&port.socket);
    counters.answers.add(sent.answers);
    counters.truncated.add(truncated);
    counters.dropped.add(unfit + sent.refused);
}

/// What the limit of rates leaves of a response: its length, or `None` for silence.
fn limited(
    limiter: &mut Limiter,
    answered: &Answered,
    client: &Client<'_>,
    out: &mut [u8],
    counters: &UdpCounters,
) -> Option<usize> {
    let verdict = limiter.judge(answered.standing, answered.subject(out), (client.peer)()?.ip());
    if verdict == Verdict::Send {
        return Some(answered.len());
    }
    counters.limited.add(1);
    if verdict == Verdict::Drop {
        return None;
    }
    counters.slipped.add(1);
    Some(answered.slip(out))
}

/// Is TC set (RFC 1035 §4.1.1)?
fn is_truncated(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

/// Errors of receiving. A passed timeout, a signal and an ICMP error about an earlier answer are everyday; with
/// anything else, such as no memory, waiting a moment is better than asking again at once.
fn ride_out(error: &io::Error) {
    static THROTTLE: Throttle = Throttle::new(Duration::from_secs(60));
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable, WouldBlock};
    if matches!(
        error.kind(),
        WouldBlock | Interrupted | ConnectionRefused | HostUnreachable | NetworkUnreachable
    ) {
        return;
    }
    if let Some(untold) = THROTTLE.admit(Instant::now()) {
        tracing::error!(untold, "receiving by UDP failed, trying again: {error}");
    }
    std::thread::sleep(Duration::from_millis(50));
}
