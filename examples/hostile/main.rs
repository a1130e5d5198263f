//! Hostile traffic for a running server: packets that are no good queries, and floods.
//!
//! ```text
//! cargo run --release --example hostile -- ADDRESS ZONE PID packets [COUNT [SEED]]
//! cargo run --release --example hostile -- ADDRESS ZONE PID flood [SECONDS [PACKETS_PER_SECOND]]
//! ```
//!
//! ZONE must have an A record at `mail`; names such as `big`, `chain`, `moved` and `sub` make answers of other kinds.
//! PID is the server's, to tell its memory. `packets` sends mutants of queries by UDP and TCP and stops with a panic at
//! the first reply that should not be; docs/hostile-traffic.md tells what was found. `flood` floods from many
//! addresses, of one name, and of random sub-domains, and tells how a client with a cookie fares. All is loopback: the
//! addresses of the flood are those of 127.0.0.0/8.

#![expect(clippy::expect_used, reason = "a test tool may fail where it stands")]

mod batter;
mod flood;
mod packets;

use flood::{Flood, Plan};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The default of `max_udp_payload`.
const LIMIT: usize = 1232;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, zone, pid, mode, rest @ ..] = &args[..] else {
        eprintln!("usage: hostile ADDRESS ZONE PID packets [COUNT [SEED]] | flood [SECONDS [PACKETS_PER_SECOND]]");
        std::process::exit(64);
    };
    let address: SocketAddr = address.parse().expect("an address with a port");
    let pid: u32 = pid.parse().expect("a process id");
    let number = |at: usize| rest.get(at).map(|text| text.parse::<u64>().expect("a number"));
    match mode.as_str() {
        "packets" => packets(
            address,
            zone,
            pid,
            number(0).unwrap_or(1_000_000),
            number(1).unwrap_or(1),
        ),
        _ => floods(address, zone, pid, number(0).unwrap_or(10), number(1)),
    }
}

fn memory(pid: u32) -> String {
    batter::resident(pid).map_or("gone".into(), |octets| {
        format!("{:.1} MiB", octets as f64 / 1_048_576.0)
    })
}

/// In ten parts, so that memory can be seen to stay.
fn packets(address: SocketAddr, zone: &str, pid: u32, count: u64, seed: u64) {
    println!("memory before: {}", memory(pid));
    let begin = Instant::now();
    let mut done = 0;
    for part in 0..10 {
        let tally = batter::batter(address, zone, LIMIT, count.div_ceil(10), seed.wrapping_add(part));
        done += tally.by_udp + tally.by_tcp;
        let rate = done as f64 / begin.elapsed().as_secs_f64();
        println!("{done} packets, {rate:.0}/s, {tally:?}, memory {}", memory(pid));
    }
}

fn floods(address: SocketAddr, zone: &str, pid: u32, seconds: u64, rate: Option<u64>) {
    println!("memory before: {}", memory(pid));
    for flood in [Flood::Quiet, Flood::Sources, Flood::Name, Flood::Subdomains] {
        let before = batter::dropped(address);
        let plan = Plan {
            flood,
            lasts: Duration::from_secs(seconds),
            at_least: 0,
            rate,
            good_rate: 200,
        };
        let seen = flood::run(address, zone, plan, Duration::from_secs(1));
        let share = |part: u64| 100.0 * part as f64 / seen.asked.max(1) as f64;
        println!(
            "{flood:?}: {} packets/s, {} dropped by the kernel; good queries: {} asked, {:.2} % answered at once, {:.2} % \
             within three attempts, p50 {:?}, p99 {:?}; memory {}",
            seen.flooded / seconds.max(1),
            batter::dropped(address) - before,
            seen.asked,
            share(seen.at_once),
            share(seen.answered),
            seen.quantile(0.5),
            seen.quantile(0.99),
            memory(pid)
        );
    }
}
