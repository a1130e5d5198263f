//! A server process of a test: its output kept, waited for, ended by its pid.
//!
//! Every command runs under `setpriv --pdeathsig`, so that nothing stays behind when the test
//! process itself is killed. The signal is tied to the thread that started the server: a test
//! starts its own servers and does not share them with other tests.

use super::client;
use super::wire::{AA, NOERROR, Query, SOA, WireName, to_text};
use super::{PATIENCE, wait_for};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server. Dropping it ends it.
pub(crate) struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// What to run, before it runs.
pub(crate) struct Launch {
    name: &'static str,
    command: Command,
    log: PathBuf,
}

impl Launch {
    /// `program`, its output going to `NAME.log` in `dir`.
    pub(crate) fn new(name: &'static str, dir: &Path, program: impl AsRef<OsStr>) -> Self {
        Self::under(name, dir, &[], program)
    }

    /// `program` below another command that executes it in its place, such as `ip netns exec`.
    pub(crate) fn under(name: &'static str, dir: &Path, prefix: &[String], program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).args(prefix).arg(program);
        Self {
            name,
            command,
            log: dir.join(format!("{name}.log")),
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Starts it. The log is appended to, so that a restarted server's story is one file.
    pub(crate) fn start(mut self) -> Daemon {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.name));
        Daemon {
            name: self.name,
            child,
            log: self.log,
        }
    }
}

impl Daemon {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it answers with authority for each of `zones`.
    pub(crate) fn wait_until_serving(&mut self, server: SocketAddr, zones: &[WireName]) {
        for zone in zones {
            let query = Query::new(zone.clone(), SOA).encode();
            let begin = Instant::now();
            loop {
                if !self.is_running() {
                    panic!("{} ended before it served {}", self.name, to_text(zone));
                }
                if answers_with_authority(server, &query) {
                    break;
                }
                if begin.elapsed() > PATIENCE {
                    panic!("{} does not serve {} after {PATIENCE:?}", self.name, to_text(zone));
                }
            }
        }
    }

    /// Sends a signal by name: `HUP`, `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args(["-s", signal, &self.pid().to_string()])
            .status();
        assert!(status.is_ok_and(|status| status.success()), "kill -s {signal} failed");
    }

    /// Waits until it has ended; returns its exit code, `None` when a signal ended it.
    pub(crate) fn wait_until_ended(&mut self) -> Option<i32> {
        let name = self.name;
        wait_for(&format!("the end of {name}"), || self.child.try_wait().ok().flatten()).code()
    }

    /// `kill -9`, and the end of it seen.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.wait_until_ended();
    }
}

fn answers_with_authority(server: SocketAddr, query: &[u8]) -> bool {
    let socket = client::udp_socket(server);
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let response = socket.send(query).and_then(|_| client::receive(&socket, query));
    match response {
        Ok(response) => super::wire::Message::decode(&response)
            .is_ok_and(|message| message.rcode == NOERROR && message.has(AA) && !message.answer.is_empty()),
        Err(_) => {
            std::thread::sleep(Duration::from_millis(5));
            false
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
            eprintln!("--- the last of {}'s log ---\n{}\n---", self.name, tail.join("\n"));
        }
        if !self.is_running() {
            return;
        }
        let _ = Command::new("kill").arg(self.pid().to_string()).status();
        let begin = Instant::now();
        while self.is_running() {
            if begin.elapsed() > Duration::from_secs(5) {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
