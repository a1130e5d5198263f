//! The limits of TCP hold for encrypted connections, and count all of them together.

use crate::common::signpost::House;
use crate::common::wait_for;
use crate::common::wire::{Edns, Query, SOA, TXT, name};
use crate::support::{self, Authority, NS1, Ports};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ZONE: &str = "$TTL 60\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.53\n";

/// A server of this zone, with these lines more in its configuration.
fn served(config: &str, zone: &str) -> (Authority, House, Ports) {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, config);
    house.write("zones/example.org.zone", zone);
    house.start(&["example.org"]);
    (authority, house, ports)
}

/// With a name whose answer has 40 kB.
fn big_zone() -> String {
    let big = (0..200).map(|i| format!("big TXT \"{i:03}{}\"\n", "x".repeat(200)));
    ZONE.to_owned() + &big.collect::<String>()
}

/// A question as QUIC and HTTPS want it (RFC 9250 §4.2.1, RFC 8484 §4.1).
fn without_id(owner: &str, rtype: u16) -> Vec<u8> {
    let query = Query {
        id: 0,
        ..Query::new(name(owner), rtype)
    };
    query.encode()
}

#[test]
fn a_client_has_so_many_connections_over_all_transports() {
    let (authority, mut house, ports) = served("[tcp]\nper_client = 3\n", ZONE);
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
        assert!(is_end(&plain.read(&mut [0])), "nor by TCP");
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
    let (authority, mut house, ports) = served("[tcp]\nidle = \"1s\"\n", ZONE);
    let query = without_id("example.org", SOA);
    support::run(async {
        let mut by_tls = support::connect(ports.dot, authority.client("dot", None))
            .await
            .unwrap();
        support::send(&mut by_tls, &query).await.unwrap();
        support::receive(&mut by_tls).await.unwrap();
        let begin = Instant::now();
        let mut config = support::quic_config(authority.client("doq", None));
        let mut transport = quinn::TransportConfig::default();
        // A client that keeps its connection alive and asks nothing is idle all the same.
        transport.keep_alive_interval(Some(Duration::from_millis(200)));
        config.transport_config(Arc::new(transport));
        let endpoint = support::quic_client(authority.client("doq", None));
        let by_quic = endpoint.connect_with(config, ports.doq, NS1).unwrap().await.unwrap();
        let by_https = support::connect(ports.doh, authority.client("h2", None)).await.unwrap();
        let (client, connection) = h2::client::handshake(by_https).await.unwrap();
        // RFC 8446 §6.1: the end is said, so reading ends well.
        assert_eq!(tokio::io::AsyncReadExt::read(&mut by_tls, &mut [0]).await.unwrap(), 0);
        assert!(begin.elapsed() > Duration::from_millis(500));
        let closed = by_quic.closed().await;
        assert!(
            matches!(&closed, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 0u32.into()),
            "{closed:?}"
        );
        assert_well_closed(&connection.await);
        drop(client);
    });
    house.assert_unharmed();
}

#[test]
fn garbage_harms_nobody() {
    let (authority, mut house, ports) = served("", ZONE);
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
    let (authority, mut house, ports) = served("[tcp]\nidle = \"60s\"\nper_client = 3\n", ZONE);
    // By QUIC a datagram, and nothing after it.
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let initial = support::run(async {
        let endpoint = support::quic_client(authority.client("doq", None));
        let _connecting = endpoint.connect(nobody.local_addr().unwrap(), NS1).unwrap();
        let nobody = nobody.try_clone().unwrap();
        let received = tokio::task::spawn_blocking(move || {
            let mut octets = [0; 1500];
            let len = nobody.recv(&mut octets).unwrap();
            octets[..len].to_vec()
        });
        received.await.unwrap()
    });
    let begin = Instant::now();
    nobody.send_to(&initial, ports.doq).unwrap();
    // By TLS, the beginning of a ClientHello, an octet at a time.
    let mut slow: Vec<TcpStream> = [ports.dot, ports.doh]
        .map(|port| TcpStream::connect(port).unwrap())
        .into();
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    for octet in hello.into_iter().chain(std::iter::repeat(0)) {
        slow.retain_mut(|stream| {
            let _ = stream.write_all(&[octet]);
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            !is_end(&stream.read(&mut [0]))
        });
        if slow.is_empty() {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "{slow:?}");
    }
    // All seats are free again.
    let query = Query::new(name("example.org"), SOA).encode();
    wait_for("the seats", || {
        let mut plain: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(house.address).unwrap()).collect();
        let answered = plain.iter_mut().all(|stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
            stream.write_all(&framed).is_ok() && stream.read(&mut [0]).is_ok_and(|len| len > 0)
        });
        answered.then_some(())
    });
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    house.assert_unharmed();
}

/// How long a client has to read what it asked for; it is no option.
const WRITE: Duration = Duration::from_secs(10);

#[test]
fn who_does_not_read_has_to_go() {
    let (authority, mut house, ports) = served("[tcp]\nidle = \"60s\"\n", &big_zone());
    let query = without_id("big.example.org", TXT);
    support::run(async {
        let begin = Instant::now();
        let mut config = support::quic_config(authority.client("doq", None));
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(1000u32.into());
        config.transport_config(Arc::new(transport));
        let endpoint = support::quic_client(authority.client("doq", None));
        let by_quic = endpoint.connect_with(config, ports.doq, NS1).unwrap().await.unwrap();
        let (mut ask, _unread) = by_quic.open_bi().await.unwrap();
        let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
        ask.write_all(&framed).await.unwrap();
        ask.finish().unwrap();

        let by_https = support::connect(ports.doh, authority.client("h2", None)).await.unwrap();
        let (mut client, connection) = h2::client::Builder::new()
            .initial_window_size(1000)
            .handshake::<_, bytes::Bytes>(by_https)
            .await
            .unwrap();
        let by_https = tokio::spawn(connection);
        let (_response, mut body) = client.send_request(post(), false).unwrap();
        body.send_data(query.into(), true).unwrap();

        let closed = by_quic.closed().await;
        assert!(
            matches!(&closed, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 4u32.into()),
            "{closed:?}"
        );
        let _ = by_https.await.unwrap();
        assert!(begin.elapsed() < WRITE * 2, "{:?}", begin.elapsed());
    });
    house.assert_unharmed();
}

/// Each answer that is made is held until the client has read it.
#[test]
fn who_does_not_read_has_few_answers_made() {
    let (authority, mut house, ports) = served("", &big_zone());
    let query = without_id("big.example.org", TXT);
    let answered = || {
        let status = house.command(&["status"]);
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        let (before, _) = status.split_once(" over TCP").unwrap();
        before.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    // What is asked after them is answered, and is not of theirs.
    let small = Query::new(name("example.org"), SOA).encode();
    let settled = |before: u32| {
        wait_for("some answers", || (answered() >= before + 8).then_some(()));
        support::tls_bytes(ports.dot, authority.client("dot", None), &small).unwrap();
        answered() - before - 1
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let before = answered();
    let mut unread = runtime.block_on(async {
        let mut config = support::quic_config(authority.client("doq", None));
        let mut transport = quinn::TransportConfig::default();
        transport.stream_receive_window(1000u32.into());
        config.transport_config(Arc::new(transport));
        let endpoint = support::quic_client(authority.client("doq", None));
        let by_quic = endpoint.connect_with(config, ports.doq, NS1).unwrap().await.unwrap();
        let mut unread = vec![];
        for _ in 0..32 {
            let (mut ask, answer) = by_quic.open_bi().await.unwrap();
            let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
            ask.write_all(&framed).await.unwrap();
            ask.finish().unwrap();
            unread.push(answer);
        }
        unread
    });
    // Beside those that are under way, what waits in QUIC: no more than two frames.
    let made = settled(before);
    assert!(made <= 8 + 3, "{made}");
    runtime.block_on(async {
        let mut reading = tokio::task::JoinSet::new();
        for mut answer in unread.drain(..) {
            reading.spawn(async move { answer.read_to_end(1 << 17).await.unwrap().len() });
        }
        assert!(reading.join_all().await.iter().all(|len| *len > 40_000));
    });
    let before = answered();
    let _unread = runtime.block_on(async {
        let by_https = support::connect(ports.doh, authority.client("h2", None)).await.unwrap();
        let (mut client, connection) = h2::client::Builder::new()
            .initial_window_size(1000)
            .handshake::<_, bytes::Bytes>(by_https)
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut unread = vec![];
        for _ in 0..32 {
            client = client.ready().await.unwrap();
            let (response, mut body) = client.send_request(post(), false).unwrap();
            body.send_data(query.clone().into(), true).unwrap();
            unread.push(response);
        }
        unread
    });
    let made = settled(before);
    assert!(made <= 8, "{made}");
    house.assert_unharmed();
}

#[test]
fn who_only_begins_to_ask_is_idle() {
    let (authority, mut house, ports) = served("[tcp]\nidle = \"1s\"\n", ZONE);
    support::run(async {
        let by_https = support::connect(ports.doh, authority.client("h2", None)).await.unwrap();
        let (mut client, connection) = h2::client::handshake(by_https).await.unwrap();
        let mut by_https = tokio::spawn(connection);
        let begin = Instant::now();
        let mut begun = vec![];
        loop {
            if let Ok(request) = client.send_request(post(), false) {
                begun.push(request);
            }
            if let Ok(ended) = tokio::time::timeout(Duration::from_millis(200), &mut by_https).await {
                assert_well_closed(&ended.unwrap());
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
    });
    house.assert_unharmed();
}

#[test]
fn queries_have_a_length_that_is_bearable() {
    let (authority, mut house, ports) = served("", ZONE);
    let padded = |len: usize| {
        let mut query = Query {
            id: 0,
            edns: Some(Edns::of_size(1232)),
            ..Query::new(name("example.org"), SOA)
        };
        let rest = len - query.encode().len() - 4;
        query.edns.as_mut().unwrap().options.push((12, vec![0; rest]));
        query.encode()
    };
    for (len, code) in [(4096, 0), (4097, 4)] {
        let answer = support::quic_messages(ports.doq, authority.client("doq", None), &padded(len));
        let closed = match answer {
            Ok(_) => 0u32.into(),
            Err(quinn::ConnectionError::ApplicationClosed(close)) => close.error_code,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(closed, u32::into(code), "{len}");
    }
    for (len, status) in [(4096, 200), (4097, 413)] {
        let config = authority.client("h2", None);
        assert_eq!(support::https(ports.doh, config, post(), Some(padded(len))).0, status);
    }
    for (len, status) in [(4096, 200), (4097, 414)] {
        let message = BASE64_URL_SAFE_NO_PAD.encode(padded(len));
        let uri = format!("https://ns1.example.org/dns-query?dns={message}");
        let request = http::Request::get(uri).body(()).unwrap();
        assert_eq!(
            support::https(ports.doh, authority.client("h2", None), request, None).0,
            status
        );
    }
    house.assert_unharmed();
}

/// A request with a body to come.
fn post() -> http::Request<()> {
    http::Request::post("https://ns1.example.org/dns-query")
        .header("content-type", "application/dns-message")
        .body(())
        .unwrap()
}

/// Has the other side ended it? That nothing came in time is another matter.
fn is_end(read: &std::io::Result<usize>) -> bool {
    match read {
        Ok(count) => *count == 0,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    }
}

/// GOAWAY and the end of TLS; the client's own goodbye may come too late. Without them it would miss the end of TLS.
fn assert_well_closed(closed: &Result<(), h2::Error>) {
    let late = |error: &h2::Error| {
        let kind = error.get_io().map(std::io::Error::kind);
        matches!(kind, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset))
    };
    assert!(closed.as_ref().map_or_else(late, |()| true), "{closed:?}");
}

#[test]
fn a_stop_waits_for_nobody_who_has_not_asked() {
    let (authority, mut house, ports) = served("", ZONE);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (connection, _half) = runtime.block_on(async {
        let endpoint = support::quic_client(authority.client("doq", None));
        let connection = endpoint.connect(ports.doq, NS1).unwrap().await.unwrap();
        let (mut half, _recv) = connection.open_bi().await.unwrap();
        half.write_all(&[0]).await.unwrap();
        // What is asked after it is answered, so the server has seen it.
        let (mut whole, mut recv) = connection.open_bi().await.unwrap();
        let query = Query {
            id: 0,
            ..Query::new(name("example.org"), SOA)
        };
        let query = query.encode();
        let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
        whole.write_all(&framed).await.unwrap();
        whole.finish().unwrap();
        recv.read_to_end(1000).await.unwrap();
        (connection, half)
    });
    let begin = Instant::now();
    house.stop();
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    let closed = runtime.block_on(connection.closed());
    assert!(
        matches!(&closed, quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 0u32.into()),
        "{closed:?}"
    );
}

#[test]
fn a_stop_is_said_to_everybody() {
    let (authority, mut house, ports) = served("", ZONE);
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
    assert_well_closed(&by_https);
    drop(client);
    let read = runtime.block_on(tokio::io::AsyncReadExt::read(&mut open, &mut [0]));
    assert_eq!(read.unwrap(), 0, "close_notify, and then the end");
}
