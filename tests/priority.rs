//! What answers goes before all else: with the priority that the unit gives, UDP and TCP keep it, and whoever composes,
//! fetches or sends a large zone has given it up.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

mod common;

use common::signpost::{BINARY, House};
use common::transfers::axfr;
use std::fs;
use std::path::Path;

/// Records of the zone: enough for more than a message.
const RECORDS: usize = 20_000;

/// A thread of the server.
#[derive(Debug)]
struct Thread {
    name: String,
    nice: i32,
    /// Nanoseconds on a core so far.
    ran: u64,
}

fn threads(pid: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let read = |task: fs::DirEntry| {
        let (stat, schedstat) = (task.path().join("stat"), task.path().join("schedstat"));
        let (stat, schedstat) = (fs::read_to_string(stat).ok()?, fs::read_to_string(schedstat).ok()?);
        // proc_pid_stat(5): `pid (comm) state …`, of which nice is the 19th.
        let (head, tail) = stat.rsplit_once(") ")?;
        Some(Thread {
            name: head.split_once('(')?.1.to_owned(),
            nice: tail.split(' ').nth(16)?.parse().ok()?,
            ran: schedstat.split(' ').next()?.parse().ok()?,
        })
    };
    tasks.filter_map(|task| read(task.unwrap())).collect()
}

#[test]
fn only_what_answers_keeps_a_priority_above_others() {
    let mut house = House::new("[transfer]\nallow = [\"127.0.0.0/8\"]\n");
    let mut zone = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 300\n NS ns\nns A 127.0.0.1\n".to_owned();
    zone.extend((0..RECORDS).map(|i| format!("h{i} TXT \"v=spf1 ip4:192.0.2.{} -all\"\n", i % 256)));
    house.write("zones/example.org.zone", zone);
    let prefix = ["nice", "-n", "-10"].map(str::to_owned);
    house.start_program(&prefix, Path::new(BINARY), &["example.org"]);
    let pid = house.daemon().pid();
    let ran = |name: &str| {
        let threads = threads(pid);
        let named: Vec<&Thread> = threads.iter().filter(|thread| thread.name.starts_with(name)).collect();
        assert!(!named.is_empty(), "no thread is named {name}: {threads:?}");
        named.iter().map(|thread| thread.ran).sum::<u64>()
    };
    let before = (ran("tcp"), ran("transfers"));
    assert!(axfr(house.address, "example.org").unwrap().len() > RECORDS);
    let after = (ran("tcp"), ran("transfers"));
    let (tcp, transfers) = (after.0 - before.0, after.1 - before.1);
    assert!(
        transfers > tcp,
        "the transfer is sent by those that answer: {transfers} ns, {tcp} ns"
    );
    for thread in threads(pid) {
        let answers = ["udp-", "tcp"].iter().any(|name| thread.name.starts_with(name));
        assert_eq!(thread.nice, if answers { -10 } else { 0 }, "{thread:?}");
    }
}
