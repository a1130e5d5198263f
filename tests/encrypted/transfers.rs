//! Zone transfers over TLS (RFC 9103) and QUIC (RFC 9250 §5.7): BIND as a secondary and as a primary.

use crate::common::daemon::{Daemon, Launch};
use crate::common::signpost::House;
use crate::common::transfers::AXFR;
use crate::common::wire::{A, Message, Query, SOA, name};
use crate::common::{client, free_port, wait_for};
use crate::support::{self, Authority, Ports, kdig, quic_messages};
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// The name in the certificate of the other server.
const NS2: &str = "ns2.example.net";

fn zone(serial: u32) -> String {
    let mut text = format!(
        "$TTL 300\n@ SOA ns1 hostmaster {serial} 86400 1 1209600 300\n@ NS ns1\nns1 A 127.0.0.1\n\
         version A 192.0.2.{serial}\n"
    );
    for host in 0..2000 {
        text.push_str(&format!("host{host} TXT \"{}\"\n", "x".repeat(100)));
    }
    text
}

fn served(authority: &Authority, more: &str) -> (House, Ports) {
    let (mut house, ports) = support::house(authority, more);
    house.write("zones/example.org.zone", zone(1));
    house.start(&["example.org"]);
    (house, ports)
}

/// The records of a transfer as kdig shows them, in order.
fn records(said: &str) -> Vec<&str> {
    let mut records: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with(';') && !line.is_empty())
        .collect();
    records.sort_unstable();
    records
}

#[test]
fn a_zone_goes_over_tls_and_quic_as_over_tcp() {
    let authority = Authority::new();
    let (mut house, ports) = served(
        &authority,
        "[transfer]\nallow = [\"127.0.0.1\"]\nnotify_nameservers = false\n",
    );
    let by_tcp = kdig(house.address, &["+tcp", "example.org", "AXFR"]);
    let by_tls = kdig(ports.dot, &["+tls", "example.org", "AXFR"]);
    assert_eq!(records(&by_tls), records(&by_tcp));
    assert_eq!(records(&by_tls).len(), 2005);
    let query = Query {
        id: 0,
        ..Query::new(name("example.org"), AXFR)
    };
    let messages = quic_messages(ports.doq, authority.client("doq", None), &query.encode()).unwrap();
    assert!(messages.len() > 1);
    let count: usize = messages
        .iter()
        .map(|message| Message::decode(message).unwrap().answer.len())
        .sum();
    assert_eq!(count, 2005);
    house.assert_unharmed();
}

#[test]
fn who_may_have_a_zone_may_depend_on_how_he_comes() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let (mut house, ports) = served(
        &authority,
        "client_ca = \"clients.pem\"\n[transfer]\nnotify_nameservers = false\n\
         allow = [{ address = \"127.0.0.1\", tls = true }]\n",
    );
    let certificates = tempfile::tempdir().unwrap();
    let dir = certificates.path();
    authority.issue(NS2, dir, "ns2");
    authority.issue("ns3.example.net", dir, "ns3");
    stranger.issue(NS2, dir, "stranger");
    let query = Query {
        id: 0,
        ..Query::new(name("example.org"), AXFR)
    };
    let query = query.encode();
    let rcode = |answer: &[u8]| answer[3] & 0xf;
    let by_tcp = || rcode(&client::tcp_bytes(house.address, &query).unwrap());
    let by_tls = |own: Option<&str>| {
        let config = authority.client("dot", own.map(|stem| (dir, stem)));
        support::tls_bytes(ports.dot, config, &query).map(|answer| rcode(&answer))
    };
    let by_quic = |own: Option<&str>| {
        let config = authority.client("doq", own.map(|stem| (dir, stem)));
        quic_messages(ports.doq, config, &query).map(|messages| rcode(&messages[0]))
    };
    const REFUSED: u8 = 5;
    // Without authorities no encrypted connection is made with this configuration: they are missing yet.
    house.wait_for_log(0, "a file of [tls] cannot be read");
    fs::copy(authority.certificate(), house.path("clients.pem")).unwrap();
    house.wait_for_log(0, "the certificates were read");
    assert_eq!(by_tcp(), REFUSED);
    assert_eq!(by_tls(None).unwrap(), 0);
    assert_eq!(by_quic(None).unwrap(), 0);
    let mark = house.log_mark();
    let config = fs::read_to_string(house.path("signpost.toml")).unwrap();
    let named = format!("allow = [{{ tls = \"{NS2}\" }}]");
    house.replace(
        "signpost.toml",
        config.replace("allow = [{ address = \"127.0.0.1\", tls = true }]", &named),
    );
    wait_for("the new policy", || (by_tls(None).unwrap() == REFUSED).then_some(()));
    // Not each refusal is told.
    wait_for("the refusal in the log", || {
        by_tls(None).unwrap();
        let told = "`[transfer] allow` does not name 127.0.0.1 without a key over TLS";
        house.log()[mark..].contains(told).then_some(())
    });
    assert_eq!(by_tls(Some("ns2")).unwrap(), 0);
    assert_eq!(by_quic(Some("ns2")).unwrap(), 0);
    assert_eq!(by_tls(Some("ns3")).unwrap(), REFUSED);
    assert_eq!(by_quic(None).unwrap(), REFUSED);
    assert_eq!(by_tcp(), REFUSED);
    assert!(by_tls(Some("stranger")).is_err(), "one that nobody signed whom we know");
    house.assert_unharmed();
}

/// Resuming, a client shows no certificate: one that has run out would be good as long as the server runs.
#[test]
fn a_certificate_is_looked_at_for_each_connection() {
    let authority = Authority::new();
    let certificates = tempfile::tempdir().unwrap();
    authority.issue(NS2, certificates.path(), "ns2");
    for (more, may_resume) in [("", true), ("client_ca = \"clients.pem\"\n", false)] {
        let (mut house, ports) = support::house(&authority, more);
        fs::copy(authority.certificate(), house.path("clients.pem")).unwrap();
        house.write("zones/example.org.zone", zone(1));
        house.start(&["example.org"]);
        let query = Query::new(name("example.org"), SOA).encode();
        let resumed = support::run(async {
            let config = authority.client("dot", Some((certificates.path(), "ns2")));
            let mut kinds = vec![];
            for _ in 0..2 {
                let mut stream = support::connect(ports.dot, config.clone()).await.unwrap();
                support::send(&mut stream, &query).await.unwrap();
                // Tickets come before the answer.
                support::receive(&mut stream).await.unwrap();
                kinds.push(stream.get_ref().1.handshake_kind());
            }
            kinds[1] == Some(rustls::HandshakeKind::Resumed)
        });
        assert_eq!(resumed, may_resume, "{more}");
        house.assert_unharmed();
    }
}

/// RFC 9000 §9.3.1: the source of a datagram may be forged, and whose address it is has got the zone.
#[test]
fn a_zone_is_not_given_to_an_address_that_a_connection_did_not_come_from() {
    let authority = Authority::new();
    let (mut house, ports) = served(
        &authority,
        "[transfer]\nallow = [\"127.0.0.1\"]\nnotify_nameservers = false\n",
    );
    let query = Query {
        id: 0,
        ..Query::new(name("example.org"), AXFR)
    };
    let socket = |last| UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), 0)).unwrap();
    let own = socket(2);
    let rcode = support::run(async {
        let endpoint = support::quic_client(authority.client("doq", None));
        endpoint.rebind(own.try_clone().unwrap()).unwrap();
        let connection = endpoint.connect(ports.doq, support::NS1).unwrap().await.unwrap();
        endpoint.rebind(socket(1)).unwrap();
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        let query = query.encode();
        let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
        send.write_all(&framed).await.unwrap();
        send.finish().unwrap();
        let mut read = std::pin::pin!(recv.read_to_end(1 << 24));
        let answer = tokio::select! {
            answer = &mut read => answer,
            // Silence; what is sent again then comes from where the connection came from.
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                endpoint.rebind(own).unwrap();
                read.await
            }
        };
        let answer = answer.unwrap();
        answer[5] & 0xf
    });
    assert_eq!(rcode, 5, "REFUSED");
    house.assert_unharmed();
}

#[test]
fn a_transfer_over_https_is_refused() {
    let authority = Authority::new();
    let (_house, ports) = served(
        &authority,
        "[transfer]\nallow = [\"127.0.0.1\"]\nnotify_nameservers = false\n",
    );
    let request =
        http::Request::post("https://ns1.example.org/dns-query").header("content-type", "application/dns-message");
    let query = Query::new(name("example.org"), AXFR).encode();
    let config = authority.client("h2", None);
    let (status, _, answer) = support::https(ports.doh, config, request.body(()).unwrap(), Some(query));
    assert_eq!((status, answer[3] & 0xf), (200, 5));
}

/// BIND with this in its configuration.
fn bind(dir: &Path, plain: u16, conf: &str) -> Daemon {
    let here = dir.display();
    let options = format!(
        "directory \"{here}\"; pid-file none; session-keyfile \"{here}/session.key\"; recursion no; \
         listen-on-v6 {{ none; }}; listen-on port {plain} {{ 127.0.0.1; }}; dnssec-validation no; \
         notify-source 127.0.0.1; min-refresh-time 1; min-retry-time 1; allow-notify {{ 127.0.0.1; }};"
    );
    let path = dir.join("named.conf");
    fs::write(&path, conf.replace("OPTIONS", &options)).unwrap();
    Launch::new("bind", dir, "named")
        .args(["-g", "-n", "1", "-c"])
        .arg(path)
        .start()
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[test]
fn bind_is_a_secondary_over_mutual_tls() {
    let authority = Authority::new();
    let plain = free_port();
    let (house, ports) = served(
        &authority,
        &format!(
            "client_ca = \"clients.pem\"\n[transfer]\nallow = [{{ tls = \"{NS2}\" }}]\n\
             notify = [\"127.0.0.1:{plain}\"]\nnotify_nameservers = false\n"
        ),
    );
    fs::copy(authority.certificate(), house.path("clients.pem")).unwrap();
    house.wait_for_log(0, "the certificates were read");
    let dir = tempfile::tempdir().unwrap();
    authority.issue(NS2, dir.path(), "ns2");
    let conf = format!(
        "options {{ OPTIONS }};\ntls xot {{ ca-file \"{}\"; remote-hostname \"{}\"; cert-file \"ns2.pem\"; \
         key-file \"ns2.key\"; }};\nzone example.org {{ type secondary; file \"example.org.db\"; \
         primaries {{ 127.0.0.1 port {} tls xot; }}; }};\n",
        authority.certificate().display(),
        support::NS1,
        ports.dot.port()
    );
    let mut bind = bind(dir.path(), plain, &conf);
    bind.wait_until_serving(local(plain), &[name("example.org")]);
    for serial in 2..6 {
        house.replace("zones/example.org.zone", zone(serial));
        wait_for("the change at BIND", || {
            let answer = client::ask(local(plain), name("version.example.org"), A)?;
            (answer.answers(A) == [&[192, 0, 2, serial as u8]]).then_some(())
        });
    }
    wait_for("word of a difference sent", || {
        let log = house.log();
        let is_it = |line: &str| line.contains("zone sent zone=example.org.") && line.contains("kind=\"IXFR\"");
        log.lines().any(is_it).then_some(())
    });
}

/// BIND as a primary that wants certificates of those that transfer.
struct Primary {
    dir: TempDir,
    plain: u16,
    tls: u16,
    daemon: Option<Daemon>,
}

impl Primary {
    fn new(authority: &Authority) -> Self {
        let mut primary = Self {
            dir: tempfile::tempdir().unwrap(),
            plain: free_port(),
            tls: free_port(),
            daemon: None,
        };
        authority.issue(NS2, primary.dir.path(), "ns2");
        fs::write(primary.dir.path().join("example.org.db"), zone(1)).unwrap();
        primary.start(authority);
        primary
    }

    fn start(&mut self, authority: &Authority) {
        let Self { plain, tls, .. } = self;
        let conf = format!(
            "tls local {{ cert-file \"ns2.pem\"; key-file \"ns2.key\"; ca-file \"{}\"; }};\n\
             options {{ OPTIONS listen-on port {tls} tls local {{ 127.0.0.1; }}; \
             allow-transfer port {tls} transport tls {{ 127.0.0.1; }}; notify no; }};\n\
             zone example.org {{ type primary; file \"example.org.db\"; }};\n",
            authority.certificate().display()
        );
        let mut daemon = bind(self.dir.path(), *plain, &conf);
        daemon.wait_until_serving(local(*plain), &[name("example.org")]);
        self.daemon = Some(daemon);
    }
}

/// A house that is a secondary of the primary, by its certificate for `named`.
fn secondary(authority: &Authority, primary: &Primary, named: &str) -> House {
    let (house, _) = support::house(authority, "ca = \"primaries.pem\"\n");
    fs::copy(authority.certificate(), house.path("primaries.pem")).unwrap();
    house.write(
        "zones/example.org.toml",
        format!(
            "[transfer]\nprimaries = [{{ address = \"127.0.0.1:{}\", tls = \"{named}\" }}]\n",
            primary.tls
        ),
    );
    house
}

/// Tells of a change, as the primary would.
fn notify(house: &House) {
    let query = Query {
        flags: 4 << 11 | 0x0400,
        ..Query::new(name("example.org"), SOA)
    };
    let answer = client::udp(house.address, &query).unwrap();
    assert_eq!(answer.rcode, 0);
}

#[test]
fn bind_is_a_primary_over_mutual_tls_and_is_never_asked_without() {
    let authority = Authority::new();
    let mut primary = Primary::new(&authority);
    let mut house = secondary(&authority, &primary, NS2);
    house.start(&["example.org"]);
    assert_eq!(house.serial("example.org"), 1);
    for serial in 2..4 {
        fs::write(primary.dir.path().join("example.org.db"), zone(serial)).unwrap();
        primary.daemon.as_ref().unwrap().signal("HUP");
        wait_for("BIND to read it", || {
            let soa = client::ask(local(primary.plain), name("example.org"), SOA)?;
            (soa.serial() == Some(serial)).then_some(())
        });
        notify(&house);
        house.wait_for_answer("the change", "version.example.org", A, |answer| {
            answer.answers(A) == [&[192, 0, 2, serial as u8]]
        });
    }
    // The primary stops TLS. Whatever comes to its ports now is looked at.
    primary.daemon = None;
    let listening: Vec<(TcpListener, UdpSocket)> = wait_for("the ports", || {
        let bind = |port| Some((TcpListener::bind(local(port)).ok()?, UdpSocket::bind(local(port)).ok()?));
        [primary.tls, primary.plain].map(bind).into_iter().collect()
    });
    let [(tls, tls_udp), (plain, plain_udp)] = &listening[..] else {
        unreachable!()
    };
    tls.set_nonblocking(true).unwrap();
    for attempt in 0..3 {
        let mark = house.log_mark();
        notify(&house);
        let mut stream = wait_for("a connection", || Some(tls.accept().ok()?.0));
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut begin = [0; 3];
        stream.read_exact(&mut begin).unwrap();
        assert_eq!(
            begin[..2],
            [22, 3],
            "RFC 8446 §5.1: a record of a handshake, attempt {attempt}"
        );
        drop(stream);
        // It is said once.
        if attempt == 0 {
            let log = house.wait_for_log(mark, "the zone cannot be fetched");
            assert!(log.contains(&format!("127.0.0.1:{} (TLS)", primary.tls)), "{log}");
        }
    }
    plain.set_nonblocking(true).unwrap();
    assert!(plain.accept().is_err(), "TCP to the plain port");
    for socket in [tls_udp, plain_udp] {
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv(&mut [0; 512]).is_err(), "a datagram");
    }
    // It is there again.
    drop(listening);
    fs::write(primary.dir.path().join("example.org.db"), zone(9)).unwrap();
    primary.start(&authority);
    notify(&house);
    house.wait_for_answer("the change", "version.example.org", A, |answer| {
        answer.answers(A) == [&[192, 0, 2, 9]]
    });
    house.assert_unharmed();
}

#[test]
fn a_primary_that_is_not_who_it_should_be_gives_nothing() {
    let authority = Authority::new();
    let primary = Primary::new(&authority);
    let mut house = secondary(&authority, &primary, "ns9.example.net");
    house.launch(&[], Path::new(crate::common::signpost::BINARY));
    house.wait_for_log(0, "the zone cannot be fetched");
    let log = house.log();
    assert!(log.contains("not valid for name \"ns9.example.net\""), "{log}");
    // Of an authority that is none of those that are named.
    let stranger = Authority::named("Other Authority");
    let mut other = secondary(&stranger, &primary, NS2);
    other.launch(&[], Path::new(crate::common::signpost::BINARY));
    let log = other.wait_for_log(0, "the zone cannot be fetched");
    assert!(
        log.contains("no authority that is trusted here has signed its certificate"),
        "{log}"
    );
    assert!(!other.log().contains("zone fetched"), "{}", other.log());
}

#[test]
fn authorities_that_are_installed_later_are_found() {
    let authority = Authority::new();
    let primary = Primary::new(&authority);
    let mut house = secondary(&authority, &primary, NS2);
    let config = fs::read_to_string(house.path("signpost.toml")).unwrap();
    house.write("signpost.toml", config.replace("ca = \"primaries.pem\"\n", ""));
    // Where those of the system are.
    fs::create_dir(house.path("none")).unwrap();
    let of_the_system = ["env", "SSL_CERT_FILE=system.pem", "SSL_CERT_DIR=none"].map(str::to_owned);
    house.launch(&of_the_system, Path::new(crate::common::signpost::BINARY));
    house.wait_for_log(0, "this machine trusts no authority");
    fs::copy(authority.certificate(), house.path("system.pem")).unwrap();
    wait_for("the zone", || {
        notify(&house);
        house.log().contains("zone fetched").then_some(())
    });
    house.assert_unharmed();
}
