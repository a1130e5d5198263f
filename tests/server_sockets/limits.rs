//! What TCP clients may not do to others.

use crate::support::*;
use signpost::server::{Limits, Listen, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

#[test]
fn closes_an_idle_connection() {
    let limits = Limits {
        idle: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = start(&["127.0.0.1:0"], limits);
    let mut silent = tcp_client(server.addresses()[0]);
    let mut asking = tcp_client(server.addresses()[0]);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(600) {
        assert_eq!(
            ask_tcp(&mut asking, &query(1, "x")).unwrap(),
            echoed(1, "x"),
            "not idle"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(
        until_closed(&mut silent) < Duration::from_millis(50),
        "it was closed meanwhile"
    );
    let took = until_closed(&mut asking);
    assert!(
        took >= Duration::from_millis(250) && took < Duration::from_secs(2),
        "{took:?}"
    );
    assert_eq!(server.totals().tcp_timed_out, 2);
}

#[test]
fn closes_a_connection_whose_message_takes_too_long() {
    let limits = Limits {
        message: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = start(&["127.0.0.1:0"], limits);
    let mut client = tcp_client(server.addresses()[0]);
    assert!(ask_tcp(&mut client, &query(1, "x")).is_ok());
    let mut drip = client.try_clone().unwrap();
    let start = Instant::now();
    // Octets keep coming: only a whole message would count.
    while drip.write_all(&[0xff]).is_ok() {
        assert!(start.elapsed() < PATIENCE, "still open");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    until_closed(&mut client);
    assert_eq!(server.totals().tcp_timed_out, 1);
}

#[test]
fn closes_a_connection_that_does_not_read_its_answers() {
    let limits = Limits {
        write: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = start(&["127.0.0.1:0"], limits);
    let mut client = tcp_client(server.addresses()[0]);
    let burst: Vec<u8> = (0..1000).flat_map(|id| framed(&query(id, "huge"))).collect();
    client.write_all(&burst).unwrap();
    until(&server, |totals| totals.tcp_timed_out == 1);
    let mut read = 0;
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        read += count;
    }
    assert!(read < 1000 * 65_537, "the rest was forgotten");
}

#[test]
fn one_client_may_hold_only_so_many_connections() {
    let server = start(
        &["127.0.0.1:0"],
        Limits {
            per_client: 3,
            ..Limits::default()
        },
    );
    let address = server.addresses()[0];
    let mut held: Vec<TcpStream> = (0..3).map(|_| tcp_client(address)).collect();
    for client in &mut held {
        assert!(ask_tcp(client, &query(1, "x")).is_ok());
    }
    until_closed(&mut tcp_client(address));
    assert_eq!(server.totals().tcp_refused, 1);
    assert!(
        ask_tcp(&mut connect_from([127, 0, 0, 9], address), &query(1, "x")).is_ok(),
        "another client"
    );
    drop(held.pop());
    let start = Instant::now();
    while ask_tcp(&mut tcp_client(address), &query(1, "x")).is_err() {
        assert!(start.elapsed() < PATIENCE, "no room after one left");
    }
}

#[test]
fn a_full_table_pushes_out_the_longest_idle() {
    let server = start(
        &["127.0.0.1:0"],
        Limits {
            connections: 4,
            ..Limits::default()
        },
    );
    let address = server.addresses()[0];
    let mut clients: Vec<TcpStream> = (0..4).map(|_| tcp_client(address)).collect();
    for client in &mut clients {
        assert!(ask_tcp(client, &query(1, "x")).is_ok());
        // Ages are counted in milliseconds.
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(ask_tcp(&mut clients[0], &query(2, "x")).is_ok());
    let mut fresh = tcp_client(address);
    assert!(ask_tcp(&mut fresh, &query(3, "x")).is_ok());
    assert!(until_closed(&mut clients[1]) < Duration::from_secs(1));
    for i in [0, 2, 3] {
        assert!(ask_tcp(&mut clients[i], &query(4, "x")).is_ok(), "client {i} stays");
    }
    assert_eq!(server.totals().tcp_evicted, 1);
}

#[test]
fn idle_and_slow_clients_do_not_delay_fresh_ones() {
    // Our own clients need files too; binding raises the limit.
    let many = Limits {
        connections: 9_000,
        ..Limits::default()
    };
    Server::bind(&Listen {
        limits: many,
        ..Listen::on(["127.0.0.1:0".parse().unwrap()])
    })
    .unwrap();
    let server = start(
        &["127.0.0.1:0"],
        Limits {
            per_client: 9_000,
            ..Limits::default()
        },
    );
    let address = server.addresses()[0];
    let before = fresh_answers(address);
    let idle: Vec<TcpStream> = (0..2_000).map(|_| tcp_client(address)).collect();
    let mut slow: Vec<TcpStream> = (0..1_000).map(|_| tcp_client(address)).collect();
    let (rounds, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let during = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                for client in &mut slow {
                    // Those pushed out or past their deadline come back, as an attacker would.
                    if client.write_all(&[0x7f]).is_err() {
                        *client = tcp_client(address);
                    }
                    std::thread::sleep(Duration::from_micros(900));
                }
                rounds.fetch_add(1, Relaxed);
            }
        });
        let mut during = Vec::new();
        while rounds.load(Relaxed) < 3 {
            during.push(fresh_answers(address));
        }
        done.store(true, Relaxed);
        during
    });
    drop(idle);
    // The median of the percentiles: the machine may be busy with something else for a while.
    let median = |kind: fn(&Answers) -> Duration| {
        let mut all: Vec<Duration> = during.iter().map(kind).collect();
        all.sort();
        all[all.len() / 2]
    };
    let [udp, tcp] = [median(|answers| answers.udp), median(|answers| answers.tcp)];
    println!(
        "before {before:?}, during UDP {udp:?} TCP {tcp:?} ({} times), {:?}",
        during.len(),
        server.totals()
    );
    let bound = |quiet: Duration| quiet * 5 + Duration::from_millis(10);
    assert!(tcp <= bound(before.tcp), "TCP {before:?} {during:?}");
    assert!(udp <= bound(before.udp), "UDP {before:?} {during:?}");
    assert!(server.totals().tcp_evicted >= 1_000, "{:?}", server.totals());
}

/// 99th percentiles of a fresh client's wait.
#[derive(Debug)]
struct Answers {
    udp: Duration,
    tcp: Duration,
}

fn fresh_answers(address: SocketAddr) -> Answers {
    let percentile = |ask: &dyn Fn()| {
        let mut took: Vec<Duration> = (0..400)
            .map(|_| {
                let start = Instant::now();
                ask();
                start.elapsed()
            })
            .collect();
        took.sort();
        took[took.len() * 99 / 100]
    };
    Answers {
        udp: percentile(&|| assert!(ask_udp(&udp_client(address), &query(1, "x")).is_ok())),
        tcp: percentile(&|| assert!(ask_tcp(&mut tcp_client(address), &query(1, "x")).is_ok())),
    }
}

#[test]
fn running_out_of_files_closes_idle_connections_and_lets_new_ones_in() {
    let this = std::env::current_exe().unwrap();
    // In a process of its own, which may open 60 files.
    let child = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 60; exec \"$0\" --exact limits::child_short_of_files --ignored --nocapture",
        ])
        .arg(this)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
#[ignore = "run with few files by running_out_of_files_closes_idle_connections_and_lets_new_ones_in"]
fn child_short_of_files() {
    let listen = Listen {
        workers: 1,
        ..Listen::on(["127.0.0.1:0".parse().unwrap()])
    };
    let server = Server::bind(&listen).unwrap();
    assert_eq!(server.findings()[0].code, "open-files-limited");
    let running = server.serve(Echo).unwrap();
    let address = running.addresses()[0];
    // The clients of this process and their connections share the 60 files; those that wait in the backlog cost one.
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(address) {
        clients.push(client);
    }
    assert!(clients.len() > 10, "{}", clients.len());
    drop(clients.split_off(clients.len() - 4));
    until(&running, |totals| totals.tcp_evicted >= 1);
    let mut fresh = tcp_client(address);
    assert_eq!(ask_tcp(&mut fresh, &query(1, "x")).unwrap(), echoed(1, "x"));
}

fn connect_from(ip: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
