//! UDP over real sockets.

use crate::support::*;
use signpost::answer::{Answered, Client};
use signpost::server::{Handler, Limits, Listen, Server};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn answers_every_query_of_many_clients() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let address = server.addresses()[0];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = udp_client(address);
                for round in 0..20 {
                    let ids = round * 100..(round + 1) * 100;
                    for id in ids.clone() {
                        client.send(&query(id, "x")).unwrap();
                    }
                    let mut got: Vec<Vec<u8>> = ids
                        .clone()
                        .map(|_| {
                            let mut buffer = [0; 512];
                            let length = client.recv(&mut buffer).expect("an answer");
                            buffer[..length].to_vec()
                        })
                        .collect();
                    got.sort();
                    assert_eq!(got, ids.map(|id| echoed(id, "x")).collect::<Vec<_>>());
                }
            });
        }
    });
    let totals = until(&server, |totals| totals.udp_answers == 8000);
    assert_eq!(
        (totals.udp_queries, totals.udp_dropped, totals.udp_truncated),
        (8000, 0, 0)
    );
}

#[test]
fn answers_from_the_address_that_was_asked() {
    let server = start(&["0.0.0.0:0", "[::]:0"], Limits::default());
    let [v4, v6] = *server.addresses() else {
        panic!("two addresses: {:?}", server.addresses())
    };
    for (ip, port) in [
        ("127.0.0.1", v4.port()),
        ("127.0.0.2", v4.port()),
        ("127.1.2.3", v4.port()),
        ("::1", v6.port()),
    ] {
        let client = udp_client(SocketAddr::new(ip.parse().unwrap(), port));
        let answer = ask_udp(&client, &query(1, ip)).unwrap_or_else(|error| panic!("{ip}: {error}"));
        assert_eq!(answer, echoed(1, ip));
    }
}

#[test]
fn serves_udp_and_tcp_on_the_same_chosen_port() {
    let server = start(&["127.0.0.1:0", "[::1]:0"], Limits::default());
    assert_eq!(server.addresses().len(), 2);
    for &address in server.addresses() {
        assert_ne!(address.port(), 0);
        assert_eq!(ask_udp(&udp_client(address), &query(1, "u")).unwrap(), echoed(1, "u"));
        assert_eq!(
            ask_tcp(&mut tcp_client(address), &query(2, "t")).unwrap(),
            echoed(2, "t")
        );
    }
}

#[test]
fn a_panic_costs_one_query_a_servfail_and_nothing_else() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let address = server.addresses()[0];
    let udp = udp_client(address);
    let mut tcp = tcp_client(address);
    let servfail = [0, 9, 0x81, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    for _ in 0..50 {
        assert_eq!(ask_udp(&udp, &query(9, "panic")).unwrap(), servfail);
        assert_eq!(ask_tcp(&mut tcp, &query(9, "panic")).unwrap(), servfail);
    }
    assert_eq!(ask_udp(&udp, &query(1, "x")).unwrap(), echoed(1, "x"));
    assert_eq!(ask_tcp(&mut tcp, &query(1, "x")).unwrap(), echoed(1, "x"));
}

#[test]
fn a_query_nobody_answers_does_not_hold_up_the_next() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let client = udp_client(server.addresses()[0]);
    client.send(&query(1, "silence")).unwrap();
    client.send(&[0; 1473]).unwrap();
    assert_eq!(ask_udp(&client, &query(2, "x")).unwrap(), echoed(2, "x"));
    let totals = until(&server, |totals| totals.udp_answers + totals.udp_dropped == 2);
    assert_eq!((totals.udp_queries, totals.udp_answers), (3, 1));
}

#[test]
fn counts_truncated_answers() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let client = udp_client(server.addresses()[0]);
    let mut truncated = query(1, "x");
    // TC: the handler echoes it.
    truncated[2] |= 0x02;
    assert!(ask_udp(&client, &truncated).is_ok());
    assert!(ask_udp(&client, &query(2, "x")).is_ok());
    let totals = until(&server, |totals| totals.udp_answers == 2);
    until(&server, |totals| totals.udp_truncated == 1);
    assert_eq!(totals.udp_queries, 2);
}

#[test]
fn never_answers_to_port_0() {
    let server = start(&["127.0.0.1:0", "0.0.0.0:0"], Limits::default());
    let Ok(raw) = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)) else {
        eprintln!("skipped: only root may send from port 0");
        return;
    };
    for (sent, address) in (1..).zip(server.addresses()) {
        let payload = query(1, "x");
        // Source port, destination port, length, no checksum (RFC 768).
        let ports = [0, address.port(), 8 + payload.len() as u16, 0];
        let datagram = [ports.map(u16::to_be_bytes).concat(), payload].concat();
        raw.send_to(&datagram, &SocketAddr::from(([127, 0, 0, 1], address.port())).into())
            .unwrap();
        let totals = until(&server, |totals| totals.udp_dropped == sent);
        assert_eq!((totals.udp_queries, totals.udp_answers), (sent, 0));
    }
}

/// Blocks while the lock is held, as no handler should.
struct Stuck(Arc<Mutex<()>>);

impl Handler for Stuck {
    type View = ();

    fn view(&self) {}

    fn max_udp_payload(&self) -> u16 {
        1232
    }

    fn answer(&self, (): &(), client: &Client<'_>, query: &[u8], out: &mut [u8]) -> Option<Answered> {
        drop(self.0.lock().unwrap());
        Echo.answer(&(), client, query, out)
    }
}

#[test]
fn liveness_is_lost_while_a_worker_is_stuck() {
    let listen = Listen {
        workers: 2,
        ..Listen::on(["127.0.0.1:0".parse().unwrap()])
    };
    let lock = Arc::new(Mutex::new(()));
    let server = Server::bind(&listen).unwrap().serve(Stuck(lock.clone())).unwrap();
    let mut liveness = server.liveness();
    let mut becomes = |wanted: bool| {
        let start = Instant::now();
        // Asked no more often than a worker on a busy machine needs to come by.
        while liveness.alive() != wanted {
            assert!(start.elapsed() < PATIENCE, "not {wanted} within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    becomes(true);
    let held = lock.lock().unwrap();
    let client = udp_client(server.addresses()[0]);
    client.send(&query(1, "x")).unwrap();
    until(&server, |totals| totals.udp_queries == 1);
    becomes(false);
    drop(held);
    assert_eq!(client.recv(&mut [0; 64]).unwrap(), 13);
    becomes(true);
}

#[test]
fn stops_at_once_and_gives_the_port_back() {
    for _ in 0..3 {
        let server = start(&["127.0.0.1:0", "[::]:0"], Limits::default());
        let addresses = server.addresses().to_vec();
        assert!(ask_udp(&udp_client(addresses[0]), &query(1, "x")).is_ok());
        let start = Instant::now();
        server.stop();
        assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
        Server::bind(&Listen::on(addresses)).expect("the port is free again");
    }
}
