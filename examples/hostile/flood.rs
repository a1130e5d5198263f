//! Floods, and a client with a cookie that asks on in the middle of them.

use super::packets::{Dice, option, query, wire};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What a flood is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// One name that exists, from very many addresses that are nobody's.
    Sources,
    /// One name that exists, from one address.
    Name,
    /// Names that do not exist, each its own, from one address.
    Subdomains,
    /// None, for comparison.
    Quiet,
}

/// How long and how hard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) flood: Flood,
    pub(crate) lasts: Duration,
    /// Good queries there must be, even if that takes longer.
    pub(crate) at_least: u64,
    /// Packets a second; `None` for as fast as it goes.
    pub(crate) rate: Option<u64>,
    /// Good queries a second.
    pub(crate) good_rate: u64,
}

/// What the good client saw.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) flooded: u64,
    pub(crate) asked: u64,
    /// Answered at the first attempt.
    pub(crate) at_once: u64,
    /// Answered at the first, second or third attempt, as stub resolvers ask.
    pub(crate) answered: u64,
    /// Times of those answered at the first attempt.
    pub(crate) times: Vec<Duration>,
}

impl Seen {
    /// The time that this share of the answers did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        let at = (times.len() as f64 * share) as usize;
        times
            .get(at.min(times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}

/// How often a stub resolver asks, and how long it waits each time (resolv.conf(5): 2 to 3 attempts of 5 s; shorter
/// here, which is the harder test).
const ATTEMPTS: u32 = 3;
/// Addresses of a flood of [`Flood::Sources`].
const SOURCES: usize = 512;

/// Floods `server`, which serves `zone`, and asks it good questions meanwhile. `wait` is the patience of one attempt.
pub(crate) fn run(server: SocketAddr, zone: &str, plan: Plan, wait: Duration) -> Seen {
    let over = AtomicBool::new(false);
    let flooded = AtomicU64::new(0);
    let mut seen = std::thread::scope(|scope| {
        if plan.flood != Flood::Quiet {
            scope.spawn(|| flood(server, zone, plan, &over, &flooded));
        }
        let seen = ask(server, zone, plan, wait);
        over.store(true, Relaxed);
        seen
    });
    seen.flooded = flooded.load(Relaxed);
    seen
}

fn flood(server: SocketAddr, zone: &str, plan: Plan, over: &AtomicBool, flooded: &AtomicU64) {
    let mut dice = Dice::new(7);
    let sources = if plan.flood == Flood::Sources { SOURCES } else { 1 };
    let sockets: Vec<UdpSocket> = (0..sources)
        .map(|_| {
            let address = Ipv4Addr::from_bits(0x7f40_0000 | dice.next() as u32 & 0x3f_ffff);
            let address = if sources == 1 {
                Ipv4Addr::new(127, 0, 1, 1)
            } else {
                address
            };
            let socket = UdpSocket::bind((address, 0)).expect("an address of the loopback");
            socket.connect(server).expect("an address");
            // The answers stay in its small buffer and then go nowhere, as with forged addresses.
            let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(1);
            socket
        })
        .collect();
    let (name, begin) = (wire(&format!("mail.{zone}")), Instant::now());
    let mut sent = 0_u64;
    while !over.load(Relaxed) && begin.elapsed() < plan.lasts * 20 {
        for _ in 0..64 {
            let id = dice.next() as u16;
            let packet = match plan.flood {
                Flood::Subdomains => query(id, &wire(&format!("x{:x}.{zone}", dice.next())), 1, &[]),
                _ => query(id, &name, 1, &[]),
            };
            // Refusals are told to senders on loopback; forged addresses would not hear of them.
            let _ = sockets[dice.below(sources)].send(&packet);
        }
        sent += 64;
        flooded.store(sent, Relaxed);
        if let Some(rate) = plan.rate {
            let due = Duration::from_nanos(sent * 1_000_000_000 / rate.max(1));
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        }
    }
}

/// The good client: a cookie first, then the same question at an even rate.
fn ask(server: SocketAddr, zone: &str, plan: Plan, wait: Duration) -> Seen {
    let name = wire(&format!("mail.{zone}"));
    let mut seen = Seen::default();
    let mut cookie = b"goodgood".to_vec();
    let begin = Instant::now();
    while begin.elapsed() < plan.lasts || seen.asked < plan.at_least {
        let due = Duration::from_nanos(seen.asked * 1_000_000_000 / plan.good_rate.max(1));
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
        seen.asked += 1;
        for attempt in 0..ATTEMPTS {
            // A port of its own for each question, as resolvers do (RFC 5452 §9.2): another worker may answer it.
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            socket.connect(server).expect("an address");
            socket.set_read_timeout(Some(wait)).expect("a timeout");
            let question = query(seen.asked as u16, &name, 1, &option(10, &cookie));
            let asked = Instant::now();
            let mut buffer = [0; 1500];
            let Ok(len) = socket.send(&question).and_then(|_| socket.recv(&mut buffer)) else {
                continue;
            };
            let reply = &buffer[..len];
            // The cookie stands first in the OPT, which stands last.
            if let Some(at) = reply
                .windows(12)
                .rposition(|part| part[..4] == [0, 10, 0, 24] && part[4..] == cookie[..8])
                && let Some(given) = reply.get(at + 4..at + 28)
            {
                cookie = given.to_vec();
            }
            if reply.len() > 12 && reply[3] & 0xf == 0 && reply[7] == 1 {
                seen.answered += 1;
                if attempt == 0 {
                    seen.at_once += 1;
                    seen.times.push(asked.elapsed());
                }
                break;
            }
        }
    }
    seen
}
