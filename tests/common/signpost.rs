//! The binary under test, in a directory of its own.
//!
//! [`House`] is the operator's directory (signpost.toml, zones/, keys/, state/); starting it gives
//! a running server that can be asked, signalled, killed and started again on the same state.

use super::daemon::{Daemon, Launch};
use super::wire::{Message, SOA, WireName, name};
use super::{client, free_port, wait_for};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The binary that cargo built for this test run.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_signpost");

/// An operator's directory and the server on it, if it runs.
pub(crate) struct House {
    // Before the directory: it is dropped first, and its log is still there to be shown.
    daemon: Option<Daemon>,
    dir: TempDir,
    pub(crate) address: SocketAddr,
}

impl House {
    /// An empty directory whose signpost.toml listens on a free port and adds `policy`.
    pub(crate) fn new(policy: &str) -> Self {
        Self::below(&std::env::temp_dir(), policy)
    }

    /// The same below a folder of one's choice.
    pub(crate) fn below(folder: &Path, policy: &str) -> Self {
        let mut unique = tempfile::Builder::new();
        let house = Self {
            dir: unique.prefix("signpost-test-").tempdir_in(folder).unwrap(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            daemon: None,
        };
        for folder in ["zones", "keys", "state"] {
            fs::create_dir(house.path(folder)).unwrap();
        }
        house.write_config(policy);
        house
    }

    /// Writes signpost.toml anew: where to listen and what to read, then `policy`.
    pub(crate) fn write_config(&self, policy: &str) {
        let config = format!(
            "listen = [\"{}\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n\n{policy}",
            self.address
        );
        self.replace("signpost.toml", &config);
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Writes a file in place, as `echo >` and some editors do.
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes a file beside it and renames it into place, as careful programs do.
    pub(crate) fn replace(&self, relative: &str, content: impl AsRef<[u8]>) {
        let beside = self.dir.path().join(".beside");
        fs::write(&beside, content).unwrap();
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::rename(beside, path).unwrap();
    }

    pub(crate) fn remove(&self, relative: &str) {
        fs::remove_file(self.path(relative)).unwrap();
    }

    /// Starts the server and waits until it serves `zones`.
    pub(crate) fn start(&mut self, zones: &[&str]) {
        self.start_program(&[], Path::new(BINARY), zones);
    }

    /// Starts a copy of the binary below another command, such as one that drops privileges, and
    /// waits until it serves `zones`.
    pub(crate) fn start_program(&mut self, prefix: &[String], program: &Path, zones: &[&str]) {
        let apexes: Vec<WireName> = zones.iter().map(|zone| name(zone)).collect();
        let address = self.address;
        self.launch(prefix, program).wait_until_serving(address, &apexes);
    }

    /// Starts the server and does not wait.
    pub(crate) fn launch(&mut self, prefix: &[String], program: &Path) -> &mut Daemon {
        let launch = Launch::under("signpost", self.dir.path(), prefix, program)
            .current_dir(self.dir.path())
            .env("RUST_BACKTRACE", "1");
        self.daemon.insert(launch.start())
    }

    pub(crate) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the server was started")
    }

    pub(crate) fn daemon_mut(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("the server was started")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.daemon_mut().kill();
        self.daemon = None;
    }

    /// An orderly end.
    pub(crate) fn stop(&mut self) {
        self.daemon().signal("TERM");
        assert_eq!(self.daemon_mut().wait_until_ended(), Some(0), "{}", self.log());
        self.daemon = None;
    }

    /// Asserts that the process is alive and no panic was written.
    pub(crate) fn assert_unharmed(&mut self) {
        assert!(self.daemon_mut().is_running(), "the server has ended:\n{}", self.log());
        let log = self.log();
        assert!(!log.contains("panicked at"), "{log}");
        let garbled = |c: char| c == char::REPLACEMENT_CHARACTER || (c.is_control() && c != '\n');
        assert!(!log.contains(garbled), "octets of a file stand raw in the log: {log:?}");
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("signpost.log")).unwrap_or_default()).into_owned()
    }

    /// Where the log ends now.
    pub(crate) fn log_mark(&self) -> usize {
        self.log().len()
    }

    /// Waits until a line behind `mark` contains `text`; returns everything said since.
    pub(crate) fn wait_for_log(&self, mark: usize, text: &str) -> String {
        wait_for(&format!("`{text}` in the log"), || {
            let log = self.log();
            let since = log.get(mark..).unwrap_or_default();
            since.contains(text).then(|| since.to_owned())
        })
    }

    /// Runs another command of the binary in the directory, such as `check`.
    pub(crate) fn command(&self, args: &[&str]) -> Output {
        Command::new(BINARY)
            .current_dir(self.dir.path())
            .args(args)
            .output()
            .unwrap()
    }

    /// Leaves the directory on disk, for a person to look at; returns where it is.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.daemon = None;
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    /// The answer to one question, over TCP when it does not fit a datagram.
    pub(crate) fn ask(&self, owner: &str, rtype: u16) -> Message {
        client::ask(self.address, name(owner), rtype).unwrap_or_else(|| panic!("no answer:\n{}", self.log()))
    }

    /// The texts at a name, each put together.
    pub(crate) fn texts(&self, owner: &str, rtype: u16) -> Vec<String> {
        self.ask(owner, rtype).texts(rtype)
    }

    pub(crate) fn serial(&self, zone: &str) -> u32 {
        self.ask(zone, SOA)
            .serial()
            .unwrap_or_else(|| panic!("no SOA of {zone}:\n{}", self.log()))
    }

    /// Asks until the answer satisfies `right`.
    pub(crate) fn wait_for_answer(
        &self,
        what: &str,
        owner: &str,
        rtype: u16,
        mut right: impl FnMut(&Message) -> bool,
    ) -> Message {
        wait_for(&format!("{what} at {owner}"), || {
            client::ask(self.address, name(owner), rtype).filter(&mut right)
        })
    }
}

/// Is `new` after `old` in serial number arithmetic (RFC 1982 §3.2)?
pub(crate) fn is_newer(new: u32, old: u32) -> bool {
    new != old && new.wrapping_sub(old) < 0x8000_0000
}
