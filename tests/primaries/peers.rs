//! BIND, NSD, Knot and PowerDNS as primaries of the server under test: each gives its zones to who signs with the key,
//! tells of changes signed with it, and lets the observer have them without.

use crate::common::daemon::{Daemon, Launch};
use crate::common::transfers::{KEY_NAME, OBSERVER, SECRET, TsigKey, loopback};
use crate::common::wire::{WireName, name};
use crate::common::{free_port, powerdns};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;

/// A primary of some zones.
pub(crate) struct Primary {
    // Before the directory: it is dropped first, and its log is still there to be shown.
    daemon: Option<Daemon>,
    dir: TempDir,
    pub(crate) address: SocketAddr,
    kind: &'static Kind,
    zones: &'static [&'static str],
    secondary: SocketAddr,
    pub(crate) key: TsigKey,
}

/// What there is to know of one program.
pub(crate) struct Kind {
    algorithm: &'static str,
    /// Writes its configuration and says how it is started.
    launch: fn(&Primary) -> Launch,
    /// Has it take over changed zone files.
    reload: fn(&Primary),
    /// Does it tell changes, not only zones?
    pub(crate) ixfr: bool,
}

pub(crate) const NSD: Kind = Kind {
    algorithm: "hmac-sha512",
    launch: nsd,
    reload: hang_up,
    ixfr: true,
};

pub(crate) const KNOT: Kind = Kind {
    algorithm: "hmac-sha256",
    launch: knot,
    reload: hang_up,
    ixfr: true,
};

pub(crate) const BIND: Kind = Kind {
    algorithm: "hmac-sha384",
    launch: bind,
    reload: hang_up,
    ixfr: true,
};

pub(crate) const POWERDNS: Kind = Kind {
    algorithm: "hmac-sha256",
    launch: powerdns,
    reload: load_zones,
    ixfr: false,
};

impl Primary {
    /// One that does not run yet, and whose zones have no files yet.
    pub(crate) fn new(kind: &'static Kind, zones: &'static [&'static str], secondary: SocketAddr) -> Self {
        Self {
            daemon: None,
            dir: tempfile::Builder::new().prefix("signpost-primary-").tempdir().unwrap(),
            address: loopback(free_port()),
            kind,
            zones,
            secondary,
            key: TsigKey {
                algorithm: kind.algorithm,
                secret: SECRET,
            },
        }
    }

    /// Writes the file of a zone.
    pub(crate) fn write(&self, zone: &str, text: &str) {
        let beside = self.dir.path().join("beside");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.file(zone)).unwrap();
    }

    /// Starts it and waits until it serves all zones.
    pub(crate) fn start(&mut self) {
        let mut daemon = (self.kind.launch)(self).start();
        let zones: Vec<WireName> = self.zones.iter().map(|zone| name(zone)).collect();
        daemon.wait_until_serving(self.address, &zones);
        self.daemon = Some(daemon);
    }

    /// Has it take over changed zone files.
    pub(crate) fn reload(&self) {
        (self.kind.reload)(self);
    }

    pub(crate) fn stop(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.signal("TERM");
        daemon.wait_until_ended();
    }

    pub(crate) fn log(&self) -> String {
        self.daemon.as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// Drops what it knows of earlier versions, which the next may not follow on.
    pub(crate) fn forget_journal(&self) {
        for zone in self.zones {
            let _ = fs::remove_file(self.dir.path().join(format!("{zone}.zone.jnl")));
        }
    }

    fn file(&self, zone: &str) -> std::path::PathBuf {
        self.dir.path().join(format!("{zone}.zone"))
    }

    fn here(&self) -> &Path {
        self.dir.path()
    }
}

fn hang_up(primary: &Primary) {
    primary.daemon.as_ref().unwrap().signal("HUP");
}

fn nsd(primary: &Primary) -> Launch {
    let (here, port, key) = (primary.here().display(), primary.address.port(), primary.key);
    let mut conf = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{here}\"\n database: \"\"\n \
         pidfile: \"\"\n xfrdfile: \"{here}/xfrd.state\"\n zonelistfile: \"{here}/zone.list\"\n xfrdir: \"{here}\"\n \
         server-count: 1\n verbosity: 2\n rrl-ratelimit: 0\n\
         remote-control:\n control-enable: no\n\
         key:\n name: \"{KEY_NAME}\"\n algorithm: {}\n secret: \"{}\"\n",
        key.algorithm, key.secret
    );
    for zone in primary.zones {
        writeln!(
            conf,
            "zone:\n name: \"{zone}\"\n zonefile: \"{zone}.zone\"\n notify: {to} {KEY_NAME}\n notify-retry: 5\n \
             provide-xfr: 127.0.0.1 {KEY_NAME}\n provide-xfr: {OBSERVER} NOKEY\n store-ixfr: yes\n create-ixfr: yes",
            to = primary.secondary.to_string().replace(':', "@")
        )
        .unwrap();
    }
    let path = primary.here().join("nsd.conf");
    fs::write(&path, conf).unwrap();
    Launch::new("nsd", primary.here(), "nsd").args(["-d", "-c"]).arg(path)
}

fn knot(primary: &Primary) -> Launch {
    let (here, port, key) = (primary.here().display(), primary.address.port(), primary.key);
    fs::create_dir_all(primary.here().join("db")).unwrap();
    let mut conf = format!(
        "server:\n    rundir: \"{here}\"\n    pidfile: \"{here}/knot.pid\"\n    listen: 127.0.0.1@{port}\n    \
         udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
         control:\n    listen: \"{here}/knot.sock\"\n\
         database:\n    storage: \"{here}/db\"\n\
         log:\n  - target: stderr\n    any: info\n\
         key:\n  - id: {KEY_NAME}\n    algorithm: {}\n    secret: {}\n\
         remote:\n  - id: secondary\n    address: {}\n    key: {KEY_NAME}\n\
         acl:\n  - id: secondary\n    address: 127.0.0.1\n    key: {KEY_NAME}\n    action: transfer\n  \
         - id: observer\n    address: {OBSERVER}\n    action: transfer\n\
         zone:\n",
        key.algorithm,
        key.secret,
        primary.secondary.to_string().replace(':', "@")
    );
    for zone in primary.zones {
        writeln!(
            conf,
            "  - domain: \"{zone}\"\n    storage: \"{here}\"\n    file: \"{zone}.zone\"\n    notify: secondary\n    \
             acl: [secondary, observer]\n    zonefile-sync: -1\n    zonefile-load: difference\n    semantic-checks: off"
        )
        .unwrap();
    }
    let path = primary.here().join("knot.conf");
    fs::write(&path, conf).unwrap();
    Launch::new("knot", primary.here(), "knotd").arg("-c").arg(path)
}

fn bind(primary: &Primary) -> Launch {
    let (here, port, key) = (primary.here().display(), primary.address.port(), primary.key);
    let mut conf = format!(
        "key \"{KEY_NAME}\" {{ algorithm {}; secret \"{}\"; }};\n\
         options {{ directory \"{here}\"; pid-file none; session-keyfile \"{here}/session.key\";\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no;\n\
         allow-transfer {{ {OBSERVER}; key \"{KEY_NAME}\"; }}; notify explicit; notify-delay 0; notify-rate 1000;\n\
         startup-notify-rate 1000; also-notify {{ 127.0.0.1 port {} key \"{KEY_NAME}\"; }}; ixfr-from-differences yes;\n\
         empty-zones-enable no; check-integrity no; }};\n\
         controls {{ }};\n",
        key.algorithm,
        key.secret,
        primary.secondary.port()
    );
    for zone in primary.zones {
        writeln!(conf, "zone \"{zone}\" {{ type primary; file \"{zone}.zone\"; }};").unwrap();
    }
    let path = primary.here().join("named.conf");
    fs::write(&path, conf).unwrap();
    Launch::new("bind", primary.here(), "named")
        .arg("-g")
        .args(["-n", "1", "-U", "1", "-c"])
        .arg(path)
}

fn powerdns(primary: &Primary) -> Launch {
    let here = primary.here();
    if powerdns::prepare(here, primary.address.port(), "primary=yes\n") {
        load_zones(primary);
        for zone in primary.zones {
            powerdns::util(here, &["set-kind", zone, "primary"]);
            powerdns::util(here, &["set-meta", zone, "ALSO-NOTIFY", &primary.secondary.to_string()]);
        }
    }
    for zone in primary.zones {
        powerdns::use_key(here, zone, primary.key, "primary");
        // The key of a zone's primary signs its NOTIFYs too.
        powerdns::use_key(here, zone, primary.key, "secondary");
    }
    powerdns::launch(here)
}

fn load_zones(primary: &Primary) {
    for zone in primary.zones {
        let file = primary.file(zone);
        powerdns::util(primary.here(), &["load-zone", zone, file.to_str().unwrap()]);
    }
}
