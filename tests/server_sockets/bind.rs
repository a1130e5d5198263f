//! Getting sockets: errors, and sockets handed over.

use crate::support::*;
use signpost::server::{BindError, Encrypted, Inherited, Listen, Server};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

fn bind(addresses: &[SocketAddr]) -> Result<Server, BindError> {
    Server::bind(&Listen {
        workers: 2,
        ..Listen::on(addresses)
    })
}

/// An address that no other test uses, so that a port given back stays free: a client's port is on 127.0.0.1.
fn own(test: u8, port: u16) -> SocketAddr {
    ([127, 0, 53, test], port).into()
}

fn error_of(addresses: &[SocketAddr]) -> String {
    bind(addresses).expect_err("it cannot be bound").to_string()
}

/// A process that is neither we nor root's business: python3 with a socket of this kind, where python3 is installed.
fn holder(kind: &str) -> Option<(Child, SocketAddr)> {
    let script = format!(
        "import socket,sys\ns=socket.socket(type=socket.SOCK_{kind})\ns.bind(('127.0.53.1',0))\n\
         if '{kind}'=='STREAM': s.listen()\nprint(s.getsockname()[1],flush=True)\nsys.stdin.read()"
    );
    let spawned = Command::new("python3")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("skipped: no python3 to hold a port");
        return None;
    };
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    Some((child, own(1, line.trim().parse().unwrap())))
}

#[test]
fn names_the_process_that_holds_the_port() {
    for (kind, transport) in [("DGRAM", "UDP"), ("STREAM", "TCP")] {
        let Some((mut child, address)) = holder(kind) else {
            return;
        };
        let error = error_of(&[address]);
        let pid = child.id();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(
            error,
            format!(
                "cannot listen on {address}: {transport} port held by python3 (pid {pid}); stop it or choose another \
                 address in listen"
            )
        );
    }
}

#[test]
fn all_or_nothing() {
    let taken = TcpListener::bind(("127.0.53.2", 0)).unwrap().local_addr().unwrap();
    let held = UdpSocket::bind(taken).unwrap();
    let free = bind(&[own(2, 0)]).unwrap().addresses()[0];
    assert!(bind(&[free, taken]).is_err());
    // A process that another test is just starting has our sockets too until it is the other program.
    eventually("the first address was given back", || UdpSocket::bind(free).is_ok());
    drop(held);
    eventually("both are free", || bind(&[free, taken]).is_ok());
}

#[test]
fn refuses_a_port_that_another_server_of_the_same_user_has() {
    let first = bind(&[own(3, 0)]).unwrap();
    let address = first.addresses()[0];
    assert!(bind(&[address]).is_err());
    // Even one that shares: SO_REUSEPORT would let us in, and take half of its queries.
    let sharing = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    sharing.set_reuse_port(true).unwrap();
    sharing.bind(&own(3, 0).into()).unwrap();
    assert!(bind(&[sharing.local_addr().unwrap().as_socket().unwrap()]).is_err());
}

#[test]
fn an_address_named_twice_is_told() {
    let free = bind(&[own(4, 0)]).unwrap().addresses()[0];
    assert_eq!(
        error_of(&[free, free]),
        format!("cannot listen on {free} of listen: another address covers it already; take one of the two out")
    );
    let any = SocketAddr::from(([0, 0, 0, 0], free.port()));
    assert!(matches!(bind(&[any, free]), Err(BindError::Twice { address, .. }) if address == free));
}

#[test]
fn errors_read_like_advice() {
    insta::assert_snapshot!("nothing", error_of(&[]));
    insta::assert_snapshot!("no_such_address", error_of(&["192.0.2.53:5300".parse().unwrap()]));
    let not_permitted = |key, address: &str| {
        let address = address.parse().unwrap();
        BindError::NotPermitted { address, key }.to_string()
    };
    insta::assert_snapshot!("not_permitted", not_permitted("listen", "0.0.0.0:53"));
    insta::assert_snapshot!("not_permitted_encrypted", not_permitted("[tls] dot", "0.0.0.0:853"));
}

#[test]
fn an_address_that_cannot_be_had_is_told_with_its_key() {
    let free = bind(&[own(12, 0)]).unwrap().addresses()[0];
    let far: SocketAddr = "192.0.2.53:5300".parse().unwrap();
    for (dot, doq, doh, address, words) in [
        (
            vec![free],
            vec![],
            vec![],
            free,
            " of [tls] dot: another address covers it",
        ),
        (vec![], vec![far], vec![], far, "typing error in [tls] doq"),
        (vec![], vec![], vec![far], far, "typing error in [tls] doh"),
    ] {
        let (_sender, context) = signpost::tls::shared(signpost::tls::Context::default());
        let listen = Listen {
            encrypted: Some(Encrypted { dot, doq, doh, context }),
            ..Listen::on([free])
        };
        let error = Server::bind(&listen).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains(words), "{error}");
    }
}

#[test]
fn serves_sockets_handed_over_instead_of_listen() {
    let tcp = TcpListener::bind(("127.0.53.6", 0)).unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(("0.0.0.0", address.port())).unwrap();
    let (pipe, _writer) = std::io::pipe().unwrap();
    let kept = udp.try_clone().unwrap();
    let inherited = vec![
        Inherited::new("dns", tcp),
        Inherited::new("dns", udp),
        Inherited::new("odd", pipe),
        Inherited::new("peer", std::net::TcpStream::connect(address).unwrap()),
    ];
    let server = Server::adopt(
        &Listen {
            workers: 2,
            ..Listen::on([own(6, 53)])
        },
        inherited,
    )
    .unwrap();
    let codes: Vec<_> = server.findings().iter().map(|finding| finding.code).collect();
    assert_eq!(
        codes,
        [
            "activation-socket-unused",
            "activation-socket-unused",
            "activation-replaces-listen"
        ]
    );
    let running = server.serve(Echo).unwrap();
    assert_eq!(
        ask_tcp(&mut tcp_client(address), &query(1, "t")).unwrap(),
        echoed(1, "t")
    );
    let asked = SocketAddr::from(([127, 0, 0, 2], address.port()));
    assert_eq!(ask_udp(&udp_client(asked), &query(1, "u")).unwrap(), echoed(1, "u"));
    running.stop();
    // The manager's copy still works: it was not shut down with us.
    let client = udp_client(address);
    client.send(b"later").unwrap();
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(kept.recv(&mut [0; 16]).unwrap(), 5);
}

#[test]
fn an_inherited_socket_of_both_families_answers_from_the_address_asked() {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None).unwrap();
    socket.set_only_v6(false).unwrap();
    socket.bind(&"[::]:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let inherited = vec![Inherited::new("dns", UdpSocket::from(socket))];
    let _running = Server::adopt(&Listen::on([own(10, 53)]), inherited)
        .unwrap()
        .serve(Echo)
        .unwrap();
    for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
        let client = udp_client(SocketAddr::new(ip.parse().unwrap(), port));
        assert_eq!(
            ask_udp(&client, &query(1, ip)).unwrap_or_else(|error| panic!("{ip}: {error}")),
            echoed(1, ip)
        );
    }
}

#[test]
fn a_machine_without_ipv6_serves_the_rest() {
    let this = std::env::current_exe().unwrap();
    let setup = "ip link set lo up && sysctl -qw net.ipv6.conf.all.disable_ipv6=1 && echo ready && \
                 exec \"$0\" --exact bind::child_without_ipv6 --ignored --nocapture";
    let child = Command::new("unshare")
        .args(["-rn", "sh", "-c", setup])
        .arg(this)
        .output();
    let Some(child) = child.ok().filter(|child| child.stdout.starts_with(b"ready")) else {
        eprintln!("skipped: no network namespace to be had");
        return;
    };
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
#[ignore = "run in a network namespace by a_machine_without_ipv6_serves_the_rest"]
fn child_without_ipv6() {
    let ipv6 = "[::1]:5300".parse().unwrap();
    let server = bind(&[own(11, 5300), ipv6]).unwrap();
    assert_eq!(server.addresses(), [own(11, 5300)]);
    assert_eq!(server.findings()[0].code, "listen-without-ipv6");
    assert!(matches!(bind(&[ipv6]), Err(BindError::NoSuchAddress { address, .. }) if address == ipv6));
}

#[test]
fn sockets_like_listen_are_no_finding() {
    let tcp = TcpListener::bind(("127.0.53.7", 0)).unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).unwrap();
    let inherited = vec![Inherited::new("dns", udp), Inherited::new("dns", tcp)];
    let server = Server::adopt(&Listen::on([address]), inherited).unwrap();
    assert_eq!(server.findings(), []);
    assert_eq!(server.addresses(), [address]);
}

#[test]
fn nothing_handed_over_means_listen() {
    let server = Server::adopt(&Listen::on([own(8, 0)]), Inherited::take()).unwrap();
    assert_eq!(server.addresses().len(), 1);
    assert_eq!(server.findings(), []);
}

#[test]
fn takes_sockets_from_systemd() {
    for (flags, datagram) in [(&["-d"][..], true), (&[][..], false)] {
        let address = bind(&[own(9, 0)]).unwrap().addresses()[0];
        let spawned = Command::new("systemd-socket-activate")
            .args(flags)
            .arg(format!("--listen={address}"))
            .args(["--fdname=dns", "-E", "SIGNPOST_TEST_LISTEN"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "bind::child_started_by_systemd", "--ignored", "--nocapture"])
            .env("SIGNPOST_TEST_LISTEN", address.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else {
            eprintln!("skipped: no systemd-socket-activate");
            return;
        };
        let answer = if datagram {
            patiently_udp(address)
        } else {
            patiently_tcp(address)
        };
        assert_eq!(answer, echoed(1, "activated"));
        assert!(child.wait().unwrap().success(), "datagram: {datagram}");
    }
}

fn patiently_udp(address: SocketAddr) -> Vec<u8> {
    let client = udp_client(address);
    let start = Instant::now();
    loop {
        // Refused until systemd-socket-activate has its socket.
        match ask_udp(&client, &query(1, "activated")) {
            Ok(answer) => return answer,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
    }
}

fn patiently_tcp(address: SocketAddr) -> Vec<u8> {
    let start = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < PATIENCE, "nobody listens");
    }
    ask_tcp(&mut tcp_client(address), &query(1, "activated")).unwrap()
}

#[test]
#[ignore = "started with sockets by takes_sockets_from_systemd"]
fn child_started_by_systemd() {
    let address: SocketAddr = std::env::var("SIGNPOST_TEST_LISTEN").unwrap().parse().unwrap();
    let inherited = Inherited::take();
    assert_eq!(inherited.iter().map(Inherited::name).collect::<Vec<_>>(), ["dns"]);
    assert!(Inherited::take().is_empty(), "only once");
    let server = Server::adopt(&Listen::on([address]), inherited).unwrap();
    assert_eq!(server.addresses(), [address]);
    assert_eq!(server.findings()[0].code, "activation-transport-missing");
    let running = server.serve(Echo).unwrap();
    until(&running, |totals| totals.udp_answers + totals.tcp_answers >= 1);
}
