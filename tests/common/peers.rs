//! The judges: BIND, NSD, Knot and Unbound as Debian ships them, each in the foreground from a
//! configuration of its own.
//!
//! All are set up to answer as alike as they can: minimal responses (BIND's `yes` leaves sibling
//! glue out of referrals and `no-auth` does not, so it is `no-auth`), UDP payloads of 1232 octets (RFC 9715), one worker each so that answers
//! come in the order of the questions, no rate limits, no cookies, no control channel, and no
//! check of a zone beyond what the protocol forbids.

use super::client;
use super::daemon::{Daemon, Launch};
use super::wire::{WireName, to_text};
use super::{free_port, netns::Namespace};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A zone for a peer to serve.
#[derive(Debug, Clone)]
pub(crate) struct ZoneOf {
    pub(crate) apex: WireName,
    pub(crate) file: PathBuf,
}

/// A running peer and where it answers.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) daemon: Daemon,
}

/// BIND's `named`.
pub(crate) fn bind(dir: &Path, zones: &[ZoneOf]) -> Peer {
    let port = free_port();
    let launch = named(dir, &[], port, zones);
    serve("bind", port, launch, zones)
}

/// BIND's `named` on port 53 of a network namespace.
pub(crate) fn bind_in(namespace: &Namespace, dir: &Path, zones: &[ZoneOf]) -> Daemon {
    named(dir, &namespace.prefix(), 53, zones).start()
}

fn named(dir: &Path, prefix: &[String], port: u16, zones: &[ZoneOf]) -> Launch {
    let here = dir.display();
    let mut conf = format!(
        "options {{ directory \"{here}\"; pid-file none; session-keyfile \"{here}/session.key\";\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         recursion no; allow-query {{ any; }}; allow-transfer {{ none; }}; notify no; dnssec-validation no;\n\
         minimal-responses no-auth; minimal-any no; zero-no-soa-ttl no; answer-cookie no; require-server-cookie no;\n\
         edns-udp-size 1232; max-udp-size 1232; version none; hostname none; server-id none;\n\
         check-names primary ignore; check-integrity no; check-sibling no; check-mx ignore; check-mx-cname ignore;\n\
         check-srv-cname ignore; check-spf ignore; check-wildcard no; check-dup-records ignore; empty-zones-enable no; }};\n\
         controls {{ }};\n"
    );
    for zone in zones {
        let (apex, file) = (to_text(&zone.apex), zone.file.display());
        let apex = apex.replace('"', "\\\"");
        writeln!(conf, "zone \"{apex}\" {{ type primary; file \"{file}\"; }};").unwrap();
    }
    let path = dir.join("named.conf");
    fs::write(&path, conf).unwrap();
    Launch::under("bind", dir, prefix, "named")
        .arg("-g")
        .args(["-n", "1", "-U", "1", "-c"])
        .arg(path)
}

/// NSD.
pub(crate) fn nsd(dir: &Path, zones: &[ZoneOf]) -> Peer {
    let port = free_port();
    let here = dir.display();
    let mut conf = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{here}\"\n database: \"\"\n \
         pidfile: \"\"\n xfrdfile: \"{here}/xfrd.state\"\n zonelistfile: \"{here}/zone.list\"\n xfrdir: \"{here}\"\n \
         server-count: 1\n hide-version: yes\n minimal-responses: yes\n confine-to-zone: yes\n refuse-any: no\n answer-cookie: no\n \
         ipv4-edns-size: 1232\n ipv6-edns-size: 1232\n rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\n\
         remote-control:\n control-enable: no\n"
    );
    for zone in zones {
        let (apex, file) = (to_text(&zone.apex), zone.file.display());
        writeln!(conf, "zone:\n name: \"{apex}\"\n zonefile: \"{file}\"").unwrap();
    }
    let path = dir.join("nsd.conf");
    fs::write(&path, conf).unwrap();
    let launch = Launch::new("nsd", dir, "nsd").args(["-d", "-c"]).arg(path);
    serve("nsd", port, launch, zones)
}

/// Knot DNS.
pub(crate) fn knot(dir: &Path, zones: &[ZoneOf]) -> Peer {
    let port = free_port();
    let here = dir.display();
    let mut conf = format!(
        "server:\n    rundir: \"{here}\"\n    pidfile: \"{here}/knot.pid\"\n    listen: 127.0.0.1@{port}\n    \
         udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n    udp-max-payload: 1232\n    \
         version: \"\"\n    identity: \"\"\n\
         control:\n    listen: \"{here}/knot.sock\"\n\
         database:\n    storage: \"{here}/knot-db\"\n\
         log:\n  - target: stderr\n    any: info\n\
         template:\n  - id: default\n    storage: \"{here}\"\n    semantic-checks: soft\n    zonefile-sync: -1\n    \
         journal-content: none\n    zonefile-load: whole\n\
         zone:\n"
    );
    for zone in zones {
        let (apex, file) = (to_text(&zone.apex), zone.file.display());
        writeln!(conf, "  - domain: \"{apex}\"\n    file: \"{file}\"").unwrap();
    }
    let path = dir.join("knot.conf");
    fs::write(&path, conf).unwrap();
    let launch = Launch::new("knot", dir, "knotd").arg("-c").arg(path);
    serve("knot", port, launch, zones)
}

/// Unbound, resolving everything below `domain` by asking `server`, as the world would.
pub(crate) fn unbound(dir: &Path, domain: &str, server: SocketAddr) -> Peer {
    let port = free_port();
    let here = dir.display();
    let conf = format!(
        "server:\n directory: \"{here}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n interface: 127.0.0.1@{port}\n \
         do-not-query-localhost: no\n num-threads: 1\n use-syslog: no\n logfile: \"\"\n verbosity: 1\n \
         module-config: \"iterator\"\n use-caps-for-id: yes\n\
         remote-control:\n control-enable: no\n\
         stub-zone:\n name: \"{domain}\"\n stub-addr: {}@{}\n",
        server.ip(),
        server.port()
    );
    let path = dir.join("unbound.conf");
    fs::write(&path, conf).unwrap();
    let mut daemon = Launch::new("unbound", dir, "unbound")
        .args(["-d", "-c"])
        .arg(path)
        .start();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    super::wait_for("Unbound to answer", || {
        assert!(daemon.is_running(), "unbound does not run: {}", daemon.log());
        client::resolve(address, super::wire::name("localhost"), super::wire::A)
    });
    Peer {
        name: "unbound",
        address,
        daemon,
    }
}

fn serve(name: &'static str, port: u16, launch: Launch, zones: &[ZoneOf]) -> Peer {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut daemon = launch.start();
    let apexes: Vec<WireName> = zones.iter().map(|zone| zone.apex.clone()).collect();
    daemon.wait_until_serving(address, &apexes);
    Peer { name, address, daemon }
}
