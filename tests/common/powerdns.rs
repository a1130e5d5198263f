//! PowerDNS on a database of SQLite, for on zone files it takes no changes, only zones.

use super::daemon::Launch;
use super::transfers::{KEY_NAME, OBSERVER, TsigKey};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes its configuration and, if there is none yet, its database; `true` when there was none.
pub(crate) fn prepare(here: &Path, port: u16, more: &str) -> bool {
    let dir = here.display();
    let conf = format!(
        "launch=gsqlite3\ngsqlite3-database={dir}/pdns.sqlite3\nlocal-address=127.0.0.1\nlocal-port={port}\n\
         xfr-cycle-interval=1\nallow-axfr-ips={OBSERVER}\nsocket-dir={dir}\ncache-ttl=0\nquery-cache-ttl=0\n\
         negquery-cache-ttl=0\nzone-cache-refresh-interval=0\nreceiver-threads=1\ndistributor-threads=1\nloglevel=6\n\
         log-timestamp=no\nsecurity-poll-suffix=\nonly-notify=\n{more}"
    );
    fs::write(here.join("pdns.conf"), conf).unwrap();
    let database = here.join("pdns.sqlite3");
    if database.exists() {
        return false;
    }
    let schema = [
        "/usr/share/pdns-backend-sqlite3/schema",
        "/usr/share/doc/pdns-backend-sqlite3",
    ]
    .iter()
    .find_map(|folder| File::open(format!("{folder}/schema.sqlite3.sql")).ok())
    .expect("the schema that comes with pdns-backend-sqlite3");
    let made = Command::new("sqlite3").arg(database).stdin(schema).status().unwrap();
    assert!(made.success());
    true
}

/// Signs the transfers of a zone with this key, whose part this server is: `primary` or `secondary`.
pub(crate) fn use_key(here: &Path, zone: &str, key: TsigKey, part: &str) {
    util(here, &["import-tsig-key", KEY_NAME, key.algorithm, key.secret]);
    util(here, &["activate-tsig-key", zone, KEY_NAME, part]);
}

/// Runs `pdnsutil`.
pub(crate) fn util(here: &Path, args: &[&str]) {
    let output = Command::new("pdnsutil")
        .arg(format!("--config-dir={}", here.display()))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "pdnsutil {args:?}: {output:?}");
}

/// How it is started.
pub(crate) fn launch(here: &Path) -> Launch {
    Launch::new("pdns", here, "pdns_server").arg(format!("--config-dir={}", here.display()))
}
