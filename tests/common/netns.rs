//! A network namespace: its own loopback, its own port 53, its own `/etc/resolv.conf`.

use super::daemon::{Daemon, Launch};
use rustix::thread::LinkNameSpaceType;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A namespace of this test. Dropping it deletes it and its resolv.conf.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// A new namespace with the loopback up and 127.0.0.1 as its only resolver. Needs root.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self {
            name: format!("signpost-test-{}-{number}", std::process::id()),
        };
        run(Command::new("ip").args(["netns", "add", &namespace.name]));
        run(Command::new("ip").args(["-n", &namespace.name, "link", "set", "lo", "up"]));
        fs::create_dir_all(namespace.etc()).unwrap();
        namespace.resolve_by("127.0.0.1");
        namespace
    }

    /// Names the resolver of whatever is started inside from now on.
    pub(crate) fn resolve_by(&self, resolver: &str) {
        // `ip netns exec` mounts this file over /etc/resolv.conf.
        fs::write(
            self.etc().join("resolv.conf"),
            format!("nameserver {resolver}\noptions timeout:2 attempts:2\n"),
        )
        .unwrap();
    }

    /// Runs `ip` for the inside, such as `address add`; it must succeed.
    pub(crate) fn ip(&self, args: &[&str]) {
        run(Command::new("ip").args(["-n", &self.name]).args(args));
    }

    /// A cable to another namespace, by the name of the interface at each end.
    pub(crate) fn connect(&self, end: &str, other: &Self, other_end: &str) {
        self.ip(&[
            "link",
            "add",
            end,
            "type",
            "veth",
            "peer",
            "name",
            other_end,
            "netns",
            &other.name,
        ]);
        self.ip(&["link", "set", end, "up"]);
        other.ip(&["link", "set", other_end, "up"]);
    }

    /// Moves the calling thread, and what it starts, to this network: its sockets are those of the inside.
    pub(crate) fn enter(&self) {
        let network = fs::File::open(Path::new("/run/netns").join(&self.name)).unwrap();
        rustix::thread::move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// The command that runs another inside, in its own place.
    pub(crate) fn prefix(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).to_vec()
    }

    /// Runs a command inside and returns what it said.
    pub(crate) fn output(&self, program: &str, args: &[&str]) -> Output {
        Command::new("ip")
            .args(["netns", "exec", &self.name, program])
            .args(args)
            .output()
            .unwrap()
    }

    /// Starts a server inside, its log in `dir`.
    pub(crate) fn start(
        &self,
        name: &'static str,
        dir: &Path,
        program: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Daemon {
        Launch::under(name, dir, &self.prefix(), program)
            .args(args)
            .current_dir(dir)
            .start()
    }

    /// What is in this folder lies over `/etc` inside.
    pub(crate) fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = fs::remove_dir_all(self.etc());
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} failed (network namespaces need root): {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
