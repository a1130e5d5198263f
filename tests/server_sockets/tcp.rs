//! TCP over real sockets: framing, pipelining, the end of a connection.

use crate::support::*;
use signpost::server::Limits;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

#[test]
fn answers_a_thousand_queries_of_one_write_in_order() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let mut client = tcp_client(server.addresses()[0]);
    let burst: Vec<u8> = (0..1000).flat_map(|id| framed(&query(id, "example.test"))).collect();
    client.write_all(&burst).unwrap();
    for id in 0..1000 {
        assert_eq!(read_message(&mut client).unwrap(), echoed(id, "example.test"));
    }
    until(&server, |totals| {
        (totals.tcp_queries, totals.tcp_answers) == (1000, 1000)
    });
}

#[test]
fn answers_of_one_read_leave_in_one_write() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let mut client = tcp_client(server.addresses()[0]);
    // Both queries are in the socket when the server reads, as one write is one segment on loopback.
    let burst = [framed(&query(1, "a")), framed(&query(2, "b"))].concat();
    let expected = [framed(&echoed(1, "a")), framed(&echoed(2, "b"))].concat();
    client.write_all(&burst).unwrap();
    let mut buffer = [0; 512];
    let length = client.read(&mut buffer).unwrap();
    assert_eq!(buffer[..length], expected);
}

#[test]
fn puts_messages_together_that_come_octet_by_octet() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let mut client = tcp_client(server.addresses()[0]);
    let stream = [
        framed(&query(1, "one")),
        framed(&query(2, "")),
        framed(&query(3, "three")),
    ]
    .concat();
    for octet in stream {
        client.write_all(&[octet]).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(read_message(&mut client).unwrap(), echoed(1, "one"));
    assert_eq!(read_message(&mut client).unwrap(), echoed(2, ""));
    assert_eq!(read_message(&mut client).unwrap(), echoed(3, "three"));
}

#[test]
fn answers_the_longest_messages() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let mut client = tcp_client(server.addresses()[0]);
    let long = "x".repeat(65_535 - 12);
    for id in 0..5 {
        assert_eq!(ask_tcp(&mut client, &query(id, &long)).unwrap(), echoed(id, &long));
    }
    assert_eq!(ask_tcp(&mut client, &query(9, "huge")).unwrap(), vec![7; 65_535]);
}

#[test]
fn passes_over_queries_that_get_no_answer() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let mut client = tcp_client(server.addresses()[0]);
    let burst = [framed(&query(1, "silence")), framed(b""), framed(&query(2, "x"))].concat();
    client.write_all(&burst).unwrap();
    assert_eq!(read_message(&mut client).unwrap(), echoed(2, "x"));
}

#[test]
fn answers_a_client_that_has_closed_its_side() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let mut client = tcp_client(server.addresses()[0]);
    client.write_all(&framed(&query(1, "x"))).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_message(&mut client).unwrap(), echoed(1, "x"));
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "the server closes its side too");
}

#[test]
fn more_answers_than_the_socket_holds_all_arrive_once_the_client_reads() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let mut client = tcp_client(server.addresses()[0]);
    let mut writer = client.try_clone().unwrap();
    let count = 400;
    let burst: Vec<u8> = (0..count).flat_map(|id| framed(&query(id, "huge"))).collect();
    // 26 MB of answers to 7 kB of queries, which nobody reads at first.
    writer.write_all(&burst).unwrap();
    until(&server, |totals| totals.tcp_answers >= 10);
    for _ in 0..count {
        assert_eq!(read_message(&mut client).unwrap().len(), 65_535);
    }
    assert_eq!(ask_tcp(&mut client, &query(1, "x")).unwrap(), echoed(1, "x"));
}

#[test]
fn stop_answers_what_has_arrived_and_closes_the_rest() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let address = server.addresses()[0];
    let mut idle: Vec<TcpStream> = (0..10).map(|_| tcp_client(address)).collect();
    let mut asking = tcp_client(address);
    assert!(ask_tcp(&mut asking, &query(0, "x")).is_ok());
    until(&server, |totals| totals.tcp_accepted == 11);
    // Far more than the socket takes: the answers are in flight when the server stops.
    let burst: Vec<u8> = (0..100).flat_map(|id| framed(&query(id, "huge"))).collect();
    asking.write_all(&burst).unwrap();
    until(&server, |totals| totals.tcp_answers >= 2);
    let stopping = std::thread::spawn(move || {
        let start = Instant::now();
        server.stop();
        start.elapsed()
    });
    for client in &mut idle {
        until_closed(client);
    }
    for _ in 0..100 {
        assert_eq!(read_message(&mut asking).unwrap().len(), 65_535);
    }
    assert_eq!(asking.read(&mut [0; 1]).unwrap(), 0);
    assert!(stopping.join().unwrap() < Duration::from_secs(2));
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn stop_does_not_wait_longer_than_2_s_for_a_client_that_does_not_read() {
    let server = start(&["127.0.0.1:0"], Limits::default());
    let mut client = tcp_client(server.addresses()[0]);
    let burst: Vec<u8> = (0..1000).flat_map(|id| framed(&query(id, "huge"))).collect();
    client.write_all(&burst).unwrap();
    until(&server, |totals| totals.tcp_answers >= 10);
    let start = Instant::now();
    server.stop();
    let took = start.elapsed();
    assert!(
        took > Duration::from_millis(1900) && took < Duration::from_secs(4),
        "{took:?}"
    );
}
