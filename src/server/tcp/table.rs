//! Every connection there is, by TCP, TLS, QUIC and HTTPS, and the limits on them.
//!
//! A connection holds a [`Seat`]: it says there what it is doing and since when, and reads there when it is told to go.
//! The lock is taken when a connection comes or goes, when one must be pushed out and by the sweep, never per query.
//!
//! Since when counts from the last answer, not from the last octet: a client that sends one octet a second is as idle
//! as one that sends none, and both go before a client that asks.

use super::super::Limits;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Phase {
    /// Nothing asked, nothing to send.
    Idle,
    /// A message has begun to arrive.
    Reading,
    /// Answers wait for the client to read.
    Writing,
}

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Order {
    /// Answer what has arrived, then close.
    Finish,
    /// Close now.
    Close,
    /// Close now and forget what was not sent: the client does not read.
    Reset,
}

/// The place of one connection in the table.
#[derive(Debug)]
pub(in crate::server) struct Seat {
    id: u64,
    client: Client,
    /// Milliseconds since the table was made, times 4, plus the phase.
    doing: AtomicU64,
    order: AtomicU8,
    ordered: Notify,
}

/// A client in the sense of the per-client limit: an IPv4 address or the /64 of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    V4(u32),
    V6(u64),
}

/// A connection that got in. It gives its seat back when dropped; nothing happens if it was taken away before.
pub(in crate::server) struct Admitted {
    table: Arc<Table>,
    pub(in crate::server) seat: Arc<Seat>,
    /// How many others had to go for it.
    pub(in crate::server) evicted: u64,
}

/// All connections. See the module.
pub(in crate::server) struct Table {
    limits: Limits,
    /// Milliseconds in `Seat::doing` count from here.
    start: Instant,
    taken: Mutex<Taken>,
    /// The last connection left.
    emptied: Condvar,
    /// The first connection came.
    filled: Notify,
}

#[derive(Default)]
struct Taken {
    /// Nobody gets in any more.
    closing: bool,
    next_id: u64,
    seats: HashMap<u64, Arc<Seat>>,
    per_client: HashMap<Client, usize>,
}

impl Table {
    pub(in crate::server) fn new(limits: Limits) -> Self {
        Self {
            limits,
            start: Instant::now(),
            taken: Mutex::default(),
            emptied: Condvar::new(),
            filled: Notify::new(),
        }
    }

    /// A seat for a connection from `peer`; when all are taken, the longest idle lose theirs. `None`: this client has
    /// as many as one may have, or the server is stopping.
    pub(in crate::server) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let client = Client::from(peer);
        let mut taken = self.lock();
        let held = taken.per_client.get(&client).copied().unwrap_or(0);
        if taken.closing || held >= self.limits.per_client {
            return None;
        }
        let full = taken.seats.len() >= self.limits.connections;
        // A few at a time, so that a flood does not search the table for each of its connections.
        let evicted = if full {
            taken.evict(1 + self.limits.connections / 64)
        } else {
            0
        };
        let id = taken.next_id;
        taken.next_id += 1;
        let seat = Arc::new(Seat {
            id,
            client,
            doing: AtomicU64::new(pack(self.now(), Phase::Idle)),
            order: AtomicU8::new(0),
            ordered: Notify::new(),
        });
        *taken.per_client.entry(client).or_default() += 1;
        taken.seats.insert(id, seat.clone());
        drop(taken);
        self.filled.notify_one();
        Some(Admitted {
            table: self.clone(),
            seat,
            evicted,
        })
    }

    /// How much clients may take.
    pub(in crate::server) fn limits(&self) -> Limits {
        self.limits
    }

    /// Has this client, or have all together, half of the connections that may be?
    pub(in crate::server) fn is_crowded(&self, peer: IpAddr) -> bool {
        let taken = self.lock();
        let held = taken.per_client.get(&Client::from(peer)).copied().unwrap_or(0);
        held >= self.limits.per_client / 2 || taken.seats.len() >= self.limits.connections / 2
    }

    /// Pushes out the longest idle connections, at most `count`. Returns how many.
    pub(in crate::server) fn evict(&self, count: usize) -> u64 {
        self.lock().evict(count)
    }

    /// Says what the connection in `seat` is doing from now on.
    pub(in crate::server) fn note(&self, seat: &Seat, phase: Phase) {
        seat.doing.store(pack(self.now(), phase), Relaxed);
    }

    /// Waits until there is a connection.
    pub(in crate::server) async fn populated(&self) {
        while self.lock().seats.is_empty() {
            self.filled.notified().await;
        }
    }

    /// How often [`Self::sweep`] is due: often enough for the shortest limit.
    pub(in crate::server) fn sweep_period(&self) -> Duration {
        let Limits {
            idle, message, write, ..
        } = self.limits;
        (idle.min(message).min(write) / 4).clamp(Duration::from_millis(10), Duration::from_millis(250))
    }

    /// Tells connections that are past their deadline to go. Returns how many.
    pub(in crate::server) fn sweep(&self) -> u64 {
        let taken = self.lock();
        let idle = idle_limit(&self.limits, taken.seats.len());
        let now = self.now();
        let mut closed = 0;
        for seat in taken.seats.values() {
            let (since, phase) = unpack(seat.doing.load(Relaxed));
            let (limit, order) = match phase {
                Phase::Idle => (idle, Order::Close),
                Phase::Reading => (self.limits.message, Order::Close),
                Phase::Writing => (self.limits.write, Order::Reset),
            };
            if u128::from(now.saturating_sub(since)) >= limit.as_millis() && seat.tell(order) {
                closed += 1;
            }
        }
        closed
    }

    /// Lets nobody in any more, tells every connection to finish and waits until all have left, at most for
    /// `patience`. Blocks.
    pub(in crate::server) fn finish_all(&self, patience: Duration) {
        let mut taken = self.lock();
        taken.closing = true;
        for seat in taken.seats.values() {
            seat.tell(Order::Finish);
        }
        // Poisoning or a timeout: what is left is closed with the runtime.
        let _ = self
            .emptied
            .wait_timeout_while(taken, patience, |taken| !taken.seats.is_empty());
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing panics while it is held.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut taken = self.table.lock();
        taken.remove(self.seat.id);
        if taken.seats.is_empty() {
            self.table.emptied.notify_all();
        }
    }
}

impl Taken {
    fn remove(&mut self, id: u64) -> Option<Arc<Seat>> {
        let seat = self.seats.remove(&id)?;
        if let Some(held) = self.per_client.get_mut(&seat.client) {
            *held -= 1;
            if *held == 0 {
                self.per_client.remove(&seat.client);
            }
        }
        Some(seat)
    }

    fn evict(&mut self, count: usize) -> u64 {
        let mut by_age: Vec<(u64, u64)> = self
            .seats
            .values()
            .map(|seat| (unpack(seat.doing.load(Relaxed)).0, seat.id))
            .collect();
        let count = count.min(by_age.len());
        if count < by_age.len() {
            by_age.select_nth_unstable(count);
        }
        let mut evicted = 0;
        for &(_, id) in by_age.iter().take(count) {
            if let Some(seat) = self.remove(id) {
                seat.tell(Order::Close);
                evicted += 1;
            }
        }
        evicted
    }
}

impl Seat {
    /// Waits for an order.
    pub(in crate::server) async fn ordered(&self) -> Order {
        loop {
            match self.order.load(Relaxed) {
                1 => return Order::Finish,
                2 => return Order::Close,
                3 => return Order::Reset,
                _ => self.ordered.notified().await,
            }
        }
    }

    /// Gives an order; a harder one replaces a softer one. Returns whether it was news.
    fn tell(&self, order: Order) -> bool {
        let level = match order {
            Order::Finish => 1,
            Order::Close => 2,
            Order::Reset => 3,
        };
        let news = self.order.fetch_max(level, Relaxed) < level;
        if news {
            self.ordered.notify_one();
        }
        news
    }
}

impl From<IpAddr> for Client {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

/// The idle limit with this many connections open: whole up to half of what may be open, then shrinking evenly to a
/// tenth.
fn idle_limit(limits: &Limits, open: usize) -> Duration {
    let half = limits.connections / 2;
    if open <= half || half == 0 {
        return limits.idle;
    }
    let over = (open - half).min(half) as f64 / half as f64;
    limits.idle.mul_f64(1.0 - 0.9 * over)
}

fn pack(millis: u64, phase: Phase) -> u64 {
    millis << 2 | phase as u64
}

fn unpack(doing: u64) -> (u64, Phase) {
    let phase = match doing & 3 {
        0 => Phase::Idle,
        1 => Phase::Reading,
        _ => Phase::Writing,
    };
    (doing >> 2, phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(connections: usize, per_client: usize) -> Arc<Table> {
        Arc::new(Table::new(Limits {
            connections,
            per_client,
            ..Limits::default()
        }))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn counts_an_ipv6_client_by_its_64_bit_prefix() {
        let table = table(10, 2);
        let first = table.admit(ip("2001:db8:0:1::1"));
        let second = table.admit(ip("2001:db8:0:1:ffff::2"));
        assert!(first.is_some() && second.is_some());
        assert!(table.admit(ip("2001:db8:0:1::3")).is_none(), "third of the same /64");
        assert!(table.admit(ip("2001:db8:0:2::1")).is_some(), "another /64");
        drop(first);
        assert!(table.admit(ip("2001:db8:0:1::3")).is_some(), "after one left");
    }

    #[test]
    fn counts_a_mapped_ipv4_client_as_ipv4() {
        let table = table(10, 1);
        let _mapped = table.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert!(table.admit(ip("192.0.2.1")).is_none());
        assert!(table.admit(ip("::ffff:192.0.2.2")).is_some());
    }

    #[test]
    fn it_is_crowded_for_one_that_has_half_of_his_and_for_all_when_half_are_taken() {
        let table = table(4, 2);
        assert!(!table.is_crowded(ip("192.0.2.1")));
        let _first = table.admit(ip("192.0.2.1")).unwrap();
        assert!(table.is_crowded(ip("192.0.2.1")));
        assert!(!table.is_crowded(ip("192.0.2.2")));
        let _second = table.admit(ip("192.0.2.3")).unwrap();
        assert!(table.is_crowded(ip("192.0.2.2")));
    }

    #[test]
    fn pushes_out_the_longest_idle_when_full() {
        let table = table(3, 10);
        let mut open: Vec<_> = (0..3).map(|_| table.admit(ip("192.0.2.1")).unwrap()).collect();
        for (admitted, millis) in open.iter().zip([5, 3, 9]) {
            admitted.seat.doing.store(pack(millis, Phase::Idle), Relaxed);
        }
        let new = table.admit(ip("192.0.2.1")).unwrap();
        assert_eq!(new.evicted, 1);
        let told: Vec<u8> = open.iter().map(|admitted| admitted.seat.order.load(Relaxed)).collect();
        assert_eq!(told, [0, 2, 0]);
        open.remove(1);
        assert_eq!(
            table.lock().per_client[&Client::from(ip("192.0.2.1"))],
            3,
            "left once, not twice"
        );
    }

    #[test]
    fn lets_nobody_in_while_stopping() {
        let table = table(3, 10);
        table.finish_all(Duration::ZERO);
        assert!(table.admit(ip("192.0.2.1")).is_none());
    }

    #[test]
    fn idle_limit_shrinks_from_half_full_on() {
        let limits = Limits {
            connections: 100,
            idle: Duration::from_secs(10),
            ..Limits::default()
        };
        let seconds: Vec<_> = [0, 50, 75, 100, 200]
            .iter()
            .map(|&n| idle_limit(&limits, n).as_secs_f64())
            .collect();
        let expected = [10.0, 10.0, 5.5, 1.0, 1.0];
        assert!(
            seconds.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{seconds:?}"
        );
    }

    #[test]
    fn a_harder_order_replaces_a_softer_one() {
        let table = table(1, 1);
        let seat = &table.admit(ip("192.0.2.1")).unwrap().seat;
        assert!(seat.tell(Order::Close));
        assert!(!seat.tell(Order::Finish));
        assert!(!seat.tell(Order::Close));
        assert!(seat.tell(Order::Reset));
    }
}
