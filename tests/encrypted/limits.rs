//! The limits of TCP hold for encrypted connections, and count all of them together.

use crate::common::wire::{Query, SOA, name};
use crate::support::{self, Authority, NS1};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const ZONE: &str = "$TTL 60\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.53\n";

#[test]
fn a_client_has_so_many_connections_over_all_transports() {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, "[tcp]\nper_client = 3\n");
    house.write("zones/example.org.zone", ZONE);
    house.start(&["example.org"]);
    let tls = || support::connect(ports.dot, authority.client("dot", None));
    support::run(async {
        let first = tls().await.unwrap();
        let endpoint = support::quic_client(authority.client("doq", None));
        let _second = endpoint.connect(ports.doq, NS1).unwrap().await.unwrap();
        let _third = support::connect(ports.doh, authority.client("h2", None)).await.unwrap();
        assert!(tls().await.is_err(), "a fourth by TLS");
        assert!(support::connect(ports.doh, authority.client("h2", None)).await.is_err());
        let refused = endpoint.connect(ports.doq, NS1).unwrap().await;
        assert!(
            matches!(&refused, Err(quinn::ConnectionError::ConnectionClosed(_))),
            "{refused:?}"
        );
        let mut plain = TcpStream::connect(house.address).unwrap();
        plain.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(plain.read(&mut [0]).unwrap_or(0), 0, "nor by TCP");
        // One that leaves makes room.
        drop(first);
        let begin = Instant::now();
        while tls().await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
    });
    house.assert_unharmed();
}

#[test]
fn who_asks_nothing_has_to_go() {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, "[tcp]\nidle = \"1s\"\n");
    house.write("zones/example.org.zone", ZONE);
    house.start(&["example.org"]);
    let query = Query {
        id: 0,
        ..Query::new(name("example.org"), SOA)
    };
    let query = query.encode();
    support::run(async {
        let mut by_tls = support::connect(ports.dot, authority.client("dot", None))
            .await
            .unwrap();
        support::send(&mut by_tls, &query).await.unwrap();
        support::receive(&mut by_tls).await.unwrap();
        let mut config = support::quic_config(authority.client("doq", None));
        let mut transport = quinn::TransportConfig::default();
        // A client that keeps its connection alive and asks nothing is idle all the same.
        transport.keep_alive_interval(Some(Duration::from_millis(200)));
        config.transport_config(std::sync::Arc::new(transport));
        let endpoint = support::quic_client(authority.client("doq", None));
        let by_quic = endpoint.connect_with(config, ports.doq, NS1).unwrap().await.unwrap();
        let by_https = support::connect(ports.doh, authority.client("h2", None)).await.unwrap();
        let (client, connection) = h2::client::handshake(by_https).await.unwrap();
        let begin = Instant::now();
        // RFC 8446 §6.1: the end is said, so reading ends well.
        assert_eq!(tokio::io::AsyncReadExt::read(&mut by_tls, &mut [0]).await.unwrap(), 0);
        assert!(begin.elapsed() > Duration::from_millis(500));
        let closed = by_quic.closed().await;
        assert!(
            matches!(&closed, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 0u32.into()),
            "{closed:?}"
        );
        let _ = connection.await;
        drop(client);
    });
    house.assert_unharmed();
}

#[test]
fn garbage_harms_nobody() {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, "");
    house.write("zones/example.org.zone", ZONE);
    house.start(&["example.org"]);
    let plain = Query::new(name("example.org"), SOA).encode();
    let garbage: [&[u8]; 5] = [
        b"",
        b"\0",
        &[&[0, 29][..], &plain].concat(),
        b"GET /dns-query HTTP/1.1\r\n\r\n",
        &[0xff; 4096],
    ];
    for octets in garbage {
        for port in [ports.dot, ports.doh] {
            let mut stream = TcpStream::connect(port).unwrap();
            let _ = stream.write_all(octets);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut said = vec![];
            let _ = stream.read_to_end(&mut said);
            assert!(said.len() < 100, "an alert at most: {said:?}");
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let _ = socket.send_to(&octets[..octets.len().min(1400)], ports.doq);
    }
    support::run(async {
        // Behind a good handshake, too: no message, none that is whole, no HTTP/2.
        for octets in garbage {
            let mut by_tls = support::connect(ports.dot, authority.client("dot", None))
                .await
                .unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut by_tls, octets).await;
            let mut by_https = support::connect(ports.doh, authority.client("h2", None)).await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut by_https, octets).await;
            let endpoint = support::quic_client(authority.client("doq", None));
            let by_quic = endpoint.connect(ports.doq, NS1).unwrap().await.unwrap();
            let (mut send, _recv) = by_quic.open_bi().await.unwrap();
            let _ = send.write_all(octets).await;
            let _ = send.finish();
            let closed = by_quic.closed().await;
            assert!(
                matches!(&closed, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 2u32.into()),
                "{octets:?} {closed:?}"
            );
        }
    });
    let query = Query {
        id: 0,
        ..Query::new(name("example.org"), SOA)
    };
    let by_tls = support::tls_bytes(ports.dot, authority.client("dot", None), &query.encode());
    let by_quic = support::quic_messages(ports.doq, authority.client("doq", None), &query.encode());
    assert_eq!(by_quic.unwrap(), [by_tls.unwrap()]);
    house.assert_unharmed();
}

#[test]
fn a_handshake_that_never_ends_is_ended() {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, "");
    house.write("zones/example.org.zone", ZONE);
    house.start(&["example.org"]);
    let mut silent: Vec<TcpStream> = [ports.dot, ports.doh]
        .iter()
        .map(|port| TcpStream::connect(port).unwrap())
        .collect();
    for stream in &mut silent {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    house.assert_unharmed();
}

#[test]
fn a_stop_is_said_to_everybody() {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, "");
    house.write("zones/example.org.zone", ZONE);
    house.start(&["example.org"]);
    // Clients go on while we wait for the server to stop.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut open = runtime.block_on(async {
        let mut open = support::connect(ports.dot, authority.client("dot", None))
            .await
            .unwrap();
        support::send(&mut open, &Query::new(name("example.org"), SOA).encode())
            .await
            .unwrap();
        support::receive(&mut open).await.unwrap();
        open
    });
    let endpoint = runtime.block_on(async { support::quic_client(authority.client("doq", None)) });
    let by_quic = runtime.block_on(async { endpoint.connect(ports.doq, NS1).unwrap().await.unwrap() });
    let (client, connection) = runtime.block_on(async {
        let by_https = support::connect(ports.doh, authority.client("h2", None)).await.unwrap();
        h2::client::handshake(by_https).await.unwrap()
    });
    let by_https = runtime.spawn(connection);
    house.stop();
    let closed = runtime.block_on(by_quic.closed());
    assert!(
        matches!(&closed, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 0u32.into()),
        "{closed:?}"
    );
    let by_https = runtime.block_on(by_https).unwrap();
    // GOAWAY and the end of TLS; the client's own goodbye may come too late. Without them it would miss the end of TLS.
    let late = |error: &h2::Error| {
        let kind = error.get_io().map(std::io::Error::kind);
        matches!(kind, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset))
    };
    assert!(by_https.as_ref().map_or_else(late, |()| true), "{by_https:?}");
    drop(client);
    let read = runtime.block_on(tokio::io::AsyncReadExt::read(&mut open, &mut [0]));
    assert_eq!(read.unwrap(), 0, "close_notify, and then the end");
}
