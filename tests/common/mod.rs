//! What the tests in this folder share: real peers and the real binary, started in the foreground
//! from files of their own on free loopback ports, and a DNS client that owes nothing to our code.
//!
//! - [`wire`]: queries out, messages in, written from RFC 1035 and RFC 6891 alone;
//! - [`client`]: one question over UDP or TCP;
//! - [`daemon`]: a process that is waited for, ended by its pid and heard when a test fails;
//! - [`peers`]: BIND, NSD, Knot and Unbound; [`powerdns`]; [`signpost`]: the binary under test;
//! - [`transfers`]: zones fetched whole, and the key that both sides sign with;
//! - [`keys`]: private keys and their public halves, by openssl or, by the hundred, from a number;
//! - [`netns`]: a network namespace with its own port 53 and resolv.conf.

#![allow(dead_code, reason = "every test binary uses its own part of this folder")]

pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod keys;
pub(crate) mod netns;
pub(crate) mod peers;
pub(crate) mod powerdns;
pub(crate) mod signpost;
pub(crate) mod transfers;
pub(crate) mod wire;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long a test waits for something that should happen at once: a busy machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A port that is free for UDP and TCP on 127.0.0.1 and ::1. Below the kernel's ephemeral range, so
/// that no client socket takes it between here and the server's own bind, and never given twice by
/// one test process.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_add(step.wrapping_mul(7))) % COUNT;
        let free = ["127.0.0.1", "::1"].iter().all(|host| {
            let address = SocketAddr::new(host.parse().unwrap(), port);
            UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
        });
        if free {
            return port;
        }
    }
    panic!("no port between {FIRST} and {} is free", FIRST + COUNT);
}

/// Asks `condition` until it gives something; panics with `what` when [`PATIENCE`] is over.
pub(crate) fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(PATIENCE, what, condition)
}

/// Asks `condition` until it gives something; panics with `what` when `limit` is over.
pub(crate) fn wait_at_most<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begin.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
