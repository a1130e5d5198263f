//! NSD, Knot, BIND and PowerDNS as secondaries of the server under test: each with a key of another algorithm, each on a
//! loopback port of its own, each kept from asking for changes of its own accord.

use crate::common::daemon::{Daemon, Launch};
use crate::common::transfers::{KEY_NAME, OBSERVER, SECRET, TsigKey, loopback, serial};
use crate::common::{free_port, powerdns, wait_for};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

/// A secondary of one zone.
pub(crate) struct Secondary {
    // Before the directory: it is dropped first, and its log is still there to be shown.
    daemon: Option<Daemon>,
    dir: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) kind: &'static Kind,
    /// The key of both sides.
    pub(crate) key: TsigKey,
}

/// What there is to know of one program.
pub(crate) struct Kind {
    name: &'static str,
    algorithm: &'static str,
    /// Writes its files into a directory and says how it is started.
    launch: fn(&Setup<'_>) -> Launch,
    /// After so many rotations it is waited for.
    pub(crate) pace: u32,
    /// Does it not write its zones when it ends?
    writes_late: bool,
    /// What its log says of a transfer that brought changes only.
    pub(crate) ixfr: &'static str,
}

struct Setup<'a> {
    here: &'a Path,
    port: u16,
    zone: &'a str,
    primary: SocketAddr,
    key: TsigKey,
}

pub(crate) const NSD: Kind = Kind {
    name: "nsd",
    algorithm: "hmac-sha256",
    launch: nsd,
    pace: 1,
    writes_late: true,
    ixfr: "bytes in",
};

pub(crate) const KNOT: Kind = Kind {
    name: "knot",
    algorithm: "hmac-sha384",
    launch: knot,
    pace: 1,
    writes_late: false,
    ixfr: "IXFR, incoming, remote 127.0.0.1",
};

pub(crate) const BIND: Kind = Kind {
    name: "bind",
    algorithm: "hmac-sha512",
    launch: bind,
    pace: 1,
    writes_late: false,
    ixfr: "got incremental response",
};

pub(crate) const POWERDNS: Kind = Kind {
    name: "pdns",
    algorithm: "hmac-sha256",
    launch: powerdns,
    // It looks for work once a second.
    pace: 20,
    writes_late: false,
    ixfr: "got 1 delta",
};

impl Secondary {
    /// One that does not run yet.
    pub(crate) fn new(kind: &'static Kind) -> Self {
        Self {
            daemon: None,
            dir: tempfile::Builder::new()
                .prefix("signpost-secondary-")
                .tempdir()
                .unwrap(),
            address: loopback(free_port()),
            kind,
            key: TsigKey {
                algorithm: kind.algorithm,
                secret: SECRET,
            },
        }
    }

    /// Starts it, with this key, which may be a wrong one.
    pub(crate) fn start(&mut self, zone: &str, primary: SocketAddr, key: TsigKey) {
        let setup = Setup {
            here: self.dir.path(),
            port: self.address.port(),
            zone,
            primary,
            key,
        };
        self.daemon = Some((self.kind.launch)(&setup).start());
    }

    /// Waits until its zone file has this version, if it writes it late.
    pub(crate) fn wait_until_stored(&self, zone: &str, serial: u32) {
        if self.kind.writes_late {
            let path = self.dir.path().join(format!("{zone}.zone"));
            wait_for("the zone file", || {
                fs::read_to_string(&path)
                    .ok()
                    .filter(|text| text.contains(&serial.to_string()))
            });
        }
    }

    /// Ends it; what it has of the zone stays on its disk.
    pub(crate) fn stop(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.signal("TERM");
        daemon.wait_until_ended();
    }

    pub(crate) fn log(&self) -> String {
        self.daemon.as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// Waits until it serves this version.
    pub(crate) fn wait_for_serial(&mut self, zone: &str, wanted: u32) {
        let (name, address) = (self.kind.name, self.address);
        let daemon = self.daemon.as_mut().unwrap();
        wait_for(&format!("{name} to have serial {wanted}"), || {
            assert!(daemon.is_running(), "{name} has ended:\n{}", daemon.log());
            serial(address, zone).filter(|&serial| serial == wanted)
        });
    }
}

fn nsd(setup: &Setup<'_>) -> Launch {
    let Setup { port, zone, key, .. } = setup;
    let here = setup.here.display();
    let conf = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{here}\"\n database: \"\"\n \
         pidfile: \"\"\n xfrdfile: \"{here}/xfrd.state\"\n zonelistfile: \"{here}/zone.list\"\n xfrdir: \"{here}\"\n \
         server-count: 1\n zonefiles-write: 1\n xfrd-reload-timeout: 0\n verbosity: 2\n rrl-ratelimit: 0\n\
         remote-control:\n control-enable: no\n\
         key:\n name: \"{KEY_NAME}\"\n algorithm: {}\n secret: \"{}\"\n\
         zone:\n name: \"{zone}\"\n zonefile: \"{zone}.zone\"\n allow-notify: 127.0.0.1 {KEY_NAME}\n \
         request-xfr: 127.0.0.1@{} {KEY_NAME}\n provide-xfr: {OBSERVER} NOKEY\n",
        key.algorithm,
        key.secret,
        setup.primary.port()
    );
    let path = setup.here.join("nsd.conf");
    fs::write(&path, conf).unwrap();
    Launch::new("nsd", setup.here, "nsd").args(["-d", "-c"]).arg(path)
}

fn knot(setup: &Setup<'_>) -> Launch {
    let Setup { port, zone, key, .. } = setup;
    let here = setup.here.display();
    let conf = format!(
        "server:\n    rundir: \"{here}\"\n    pidfile: \"{here}/knot.pid\"\n    listen: 127.0.0.1@{port}\n    \
         udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
         control:\n    listen: \"{here}/knot.sock\"\n\
         database:\n    storage: \"{here}/db\"\n\
         log:\n  - target: stderr\n    any: info\n\
         key:\n  - id: {KEY_NAME}\n    algorithm: {}\n    secret: {}\n\
         remote:\n  - id: primary\n    address: 127.0.0.1@{}\n    key: {KEY_NAME}\n\
         acl:\n  - id: primary\n    address: 127.0.0.1\n    key: {KEY_NAME}\n    action: notify\n  \
         - id: observer\n    address: {OBSERVER}\n    action: transfer\n\
         zone:\n  - domain: \"{zone}\"\n    storage: \"{here}\"\n    master: primary\n    acl: [primary, observer]\n    \
         zonefile-sync: 0\n    semantic-checks: off\n",
        key.algorithm,
        key.secret,
        setup.primary.port()
    );
    fs::create_dir_all(setup.here.join("db")).unwrap();
    let path = setup.here.join("knot.conf");
    fs::write(&path, conf).unwrap();
    Launch::new("knot", setup.here, "knotd").arg("-c").arg(path)
}

fn bind(setup: &Setup<'_>) -> Launch {
    let Setup { port, zone, key, .. } = setup;
    let here = setup.here.display();
    let conf = format!(
        "key \"{KEY_NAME}\" {{ algorithm {}; secret \"{}\"; }};\n\
         options {{ directory \"{here}\"; pid-file none; session-keyfile \"{here}/session.key\";\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;\n\
         allow-transfer {{ {OBSERVER}; }}; notify no; serial-query-rate 1000; empty-zones-enable no; }};\n\
         controls {{ }};\n\
         zone \"{zone}\" {{ type secondary; file \"{zone}.db\"; masterfile-format text;\n \
         primaries {{ 127.0.0.1 port {} key \"{KEY_NAME}\"; }}; }};\n",
        key.algorithm,
        key.secret,
        setup.primary.port()
    );
    let path = setup.here.join("named.conf");
    fs::write(&path, conf).unwrap();
    Launch::new("bind", setup.here, "named")
        .arg("-g")
        .args(["-n", "1", "-U", "1", "-d", "3", "-c"])
        .arg(path)
}

fn powerdns(setup: &Setup<'_>) -> Launch {
    if powerdns::prepare(setup.here, setup.port, "secondary=yes\n") {
        let primary = setup.primary.to_string();
        powerdns::util(setup.here, &["create-secondary-zone", setup.zone, &primary]);
        powerdns::util(setup.here, &["set-meta", setup.zone, "IXFR", "1"]);
    }
    powerdns::use_key(setup.here, setup.zone, setup.key, "secondary");
    powerdns::launch(setup.here)
}
