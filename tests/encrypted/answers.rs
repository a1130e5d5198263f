//! The same answers as over TCP.

use crate::common::client;
use crate::common::signpost::House;
use crate::common::wire::{A, Edns, MX, Query, SOA, TXT, name};
use crate::support::{self, Authority, Ports, kdig, quic_messages, tls_bytes};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{Method, Request};

const ZONE: &str = r#"
$TTL 3600
@     SOA  ns1 hostmaster 2026112401 7200 3600 1209600 300
@     NS   ns1
@     MX   10 mail
ns1   A    192.0.2.53
mail  60 A 192.0.2.25
mail  TXT  "v=spf1 a -all"
"#;

fn served(authority: &Authority) -> (House, Ports) {
    let (mut house, ports) = support::house(authority, "");
    let big: String = (0..200)
        .map(|i| format!("big TXT \"{i:03}{}\"\n", "x".repeat(200)))
        .collect();
    house.write("zones/example.org.zone", format!("{ZONE}{big}"));
    house.start(&["example.org"]);
    (house, ports)
}

/// Queries of every kind, with the ID 0 that QUIC wants.
fn queries() -> Vec<Vec<u8>> {
    let asks = [
        ("example.org", SOA, false),
        ("example.org", MX, true),
        ("big.example.org", TXT, true),
        ("none.example.org", A, true),
        ("example.test", A, true),
        ("MAIL.example.org", 252, true),
    ];
    let encode = |(owner, qtype, edns): (&str, u16, bool)| {
        let query = Query {
            id: 0,
            edns: edns.then(|| Edns::of_size(1232)),
            ..Query::new(name(owner), qtype)
        };
        query.encode()
    };
    asks.map(encode).to_vec()
}

fn get(query: &[u8]) -> Request<()> {
    let message = BASE64_URL_SAFE_NO_PAD.encode(query);
    let uri = format!("https://ns1.example.org/dns-query?dns={message}");
    Request::get(uri).body(()).unwrap()
}

fn post(path: &str, kind: &str) -> Request<()> {
    let uri = format!("https://ns1.example.org{path}");
    Request::post(uri).header("content-type", kind).body(()).unwrap()
}

#[test]
fn every_transport_says_the_same_octets() {
    let authority = Authority::new();
    let (mut house, ports) = served(&authority);
    for query in queries() {
        let by_tcp = client::tcp_bytes(house.address, &query).unwrap();
        assert_eq!(
            tls_bytes(ports.dot, authority.client("dot", None), &query).unwrap(),
            by_tcp
        );
        let by_quic = quic_messages(ports.doq, authority.client("doq", None), &query).unwrap();
        assert_eq!(by_quic, [&*by_tcp]);
        for (request, body) in [
            (get(&query), None),
            (post("/dns-query", "application/dns-message"), Some(query.clone())),
        ] {
            let (status, headers, answer) = support::https(ports.doh, authority.client("h2", None), request, body);
            assert_eq!((status, &answer), (200, &by_tcp));
            assert_eq!(headers["content-type"], "application/dns-message");
        }
    }
    let status = house.command(&["status"]);
    let status = String::from_utf8_lossy(&status.stdout);
    for (transport, address) in [("TLS", ports.dot), ("QUIC", ports.doq), ("HTTPS", ports.doh)] {
        assert!(
            status.contains(&format!("listening on {address}, {transport}\n")),
            "{status}"
        );
    }
    house.assert_unharmed();
}

#[test]
fn kdig_gets_the_same_by_every_transport() {
    let authority = Authority::new();
    let (house, ports) = served(&authority);
    let ca = format!("+tls-ca={}", authority.certificate().display());
    let verified = [&*ca, "+tls-hostname=ns1.example.org", "+short"];
    for question in [
        ["example.org", "MX"],
        ["big.example.org", "TXT"],
        ["mail.example.org", "A"],
    ] {
        let by_tcp = kdig(house.address, &[&["+tcp", "+short"][..], &question].concat());
        assert!(!by_tcp.is_empty());
        for (server, transport) in [
            (ports.dot, &["+tls"][..]),
            (ports.doq, &["+quic"]),
            (ports.doh, &["+https"]),
            (ports.doh, &["+https", "+https-get"]),
        ] {
            // An option of TLS behind it would take kdig back to TLS.
            let said = kdig(server, &[&verified, transport, &question].concat());
            assert_eq!(said, by_tcp, "{transport:?} {question:?}");
        }
    }
}

#[test]
fn answers_are_padded_where_nobody_can_read_them() {
    let authority = Authority::new();
    let (house, ports) = served(&authority);
    let query = |padding: bool, keepalive: bool| {
        let mut edns = Edns::of_size(1232);
        edns.options.extend(padding.then(|| (12, vec![0; 64])));
        edns.options.extend(keepalive.then(|| (11, vec![])));
        let query = Query {
            id: 0,
            edns: Some(edns),
            ..Query::new(name("mail.example.org"), A)
        };
        query.encode()
    };
    let padded = query(true, false);
    let by_tcp = client::tcp_bytes(house.address, &padded).unwrap();
    assert!(by_tcp.len() < 100, "RFC 8467 §4: not without encryption");
    let by_tls = tls_bytes(ports.dot, authority.client("dot", None), &padded).unwrap();
    assert_eq!(by_tls.len(), 468);
    let unasked = tls_bytes(ports.dot, authority.client("dot", None), &query(false, true)).unwrap();
    assert!(unasked.ends_with(b"\0\x0b\0\x02\0\x64"), "RFC 7830 §4, RFC 7828");
    let by_quic = quic_messages(ports.doq, authority.client("doq", None), &padded).unwrap();
    assert_eq!(by_quic, [&*by_tls]);
    let (_, _, by_https) = support::https(ports.doh, authority.client("h2", None), get(&padded), None);
    assert_eq!(by_https, by_tls);
    // RFC 9250 §5.5.2: the option of TCP is none of QUIC.
    let refused = quic_messages(ports.doq, authority.client("doq", None), &query(false, true));
    assert!(
        matches!(&refused, Err(quinn::ConnectionError::ApplicationClosed(close)) if close.error_code == 2u32.into()),
        "{refused:?}"
    );
}

#[test]
fn https_tells_by_its_status_what_is_wrong() {
    let authority = Authority::new();
    let (house, ports) = served(&authority);
    let query = Query::new(name("mail.example.org"), A).encode();
    let ask = |request, body| {
        let (status, headers, answer) = support::https(ports.doh, authority.client("h2", None), request, body);
        assert_eq!(status == 200, !answer.is_empty());
        (status, headers)
    };
    let dns = "application/dns-message";
    let plain = |method: Method, uri: &str| {
        let uri = format!("https://ns1.example.org{uri}");
        Request::builder().method(method).uri(uri).body(()).unwrap()
    };
    let (status, headers) = ask(post("/dns-query", dns), Some(query.clone()));
    assert_eq!((status, headers["cache-control"].as_bytes()), (200, &b"max-age=60"[..]));
    let negative = Query::new(name("none.example.org"), A).encode();
    assert_eq!(ask(get(&negative), None).1["cache-control"], "max-age=300");
    for (request, body, status) in [
        (post("/", dns), Some(query.clone()), 404),
        (post("/dns-query", "text/plain"), Some(query.clone()), 415),
        (post("/dns-query", dns), Some(vec![0; 70_000]), 413),
        (post("/dns-query", dns), Some(vec![0; 3]), 400),
        (plain(Method::GET, "/dns-query"), None, 400),
        (plain(Method::GET, "/dns-query?dns=%%"), None, 400),
        (plain(Method::PUT, "/dns-query"), None, 405),
    ] {
        assert_eq!(ask(request, body).0, status);
    }
    drop(house);
}

#[test]
fn queries_on_one_connection_are_all_answered() {
    let authority = Authority::new();
    let (_house, ports) = served(&authority);
    support::run(async {
        let mut stream = support::connect(ports.dot, authority.client("dot", None))
            .await
            .unwrap();
        // More than goes through at once: answers wait for us to read, and we do not.
        let ask = |id| Query {
            id,
            ..Query::new(name("big.example.org"), TXT)
        };
        for id in 0..200 {
            support::send(&mut stream, &ask(id).encode()).await.unwrap();
        }
        for id in 0..200u16 {
            let answer = support::receive(&mut stream).await.unwrap();
            assert_eq!(answer[..2], id.to_be_bytes());
            assert!(answer.len() > 40_000);
        }
        let endpoint = support::quic_client(authority.client("doq", None));
        let connection = endpoint.connect(ports.doq, support::NS1).unwrap().await.unwrap();
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let connection = connection.clone();
            asked.spawn(async move {
                let (mut send, mut recv) = connection.open_bi().await.unwrap();
                let query = Query {
                    id: 0,
                    ..Query::new(name("big.example.org"), TXT)
                };
                let query = query.encode();
                let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
                send.write_all(&framed).await.unwrap();
                send.finish().unwrap();
                recv.read_to_end(1 << 17).await.unwrap().len()
            });
        }
        for len in asked.join_all().await {
            assert!(len > 40_000);
        }
        let stream = support::connect(ports.doh, authority.client("h2", None)).await.unwrap();
        // What is sent beyond the limit before the client knows of it is refused (RFC 9113 §5.1.2).
        let (client, connection) = h2::client::Builder::new()
            .initial_max_send_streams(100)
            .handshake::<_, bytes::Bytes>(stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        for (owner, least) in [("mail.example.org", 40), ("big.example.org", 40_000)] {
            let mut asked = tokio::task::JoinSet::new();
            for _ in 0..200 {
                let client = client.clone();
                let qtype = if least < 100 { A } else { TXT };
                let request = get(&Query::new(name(owner), qtype).encode());
                asked.spawn(async move {
                    let mut client = client.ready().await.unwrap();
                    let mut body = client.send_request(request, true).unwrap().0.await.unwrap().into_body();
                    let mut len = 0;
                    while let Some(chunk) = body.data().await {
                        let chunk = chunk.unwrap();
                        let _ = body.flow_control().release_capacity(chunk.len());
                        len += chunk.len();
                    }
                    len
                });
            }
            for len in asked.join_all().await {
                assert!(len > least);
            }
        }
    });
}
