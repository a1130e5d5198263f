//! OpenDKIM as the tutorial sets it up: one that signs by RSA, one that signs by Ed25519 since an OpenDKIM has one
//! algorithm, and one that verifies.

use crate::common::daemon::{Daemon, Launch};
use crate::common::netns::Namespace;
use crate::common::wait_for;
use crate::land::{DOMAIN, RESOLVER};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the verifier listens, on the loopback of its network.
pub(crate) const VERIFIER_PORT: u16 = 12345;

/// What a domain's keys are for, in the order of [`ALGORITHMS`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Algorithm {
    Rsa,
    Ed25519,
}

pub(crate) const ALGORITHMS: [Algorithm; 2] = [Algorithm::Rsa, Algorithm::Ed25519];

impl Algorithm {
    /// As OpenDKIM names it, and RFC 6376 and RFC 8463 do.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Rsa => 12345,
            Self::Ed25519 => 12346,
        }
    }
}

/// An OpenDKIM that signs with one key for all of the domain.
pub(crate) struct Signer {
    algorithm: Algorithm,
    dir: PathBuf,
    daemon: Daemon,
}

impl Signer {
    /// Starts it; it signs with the private key in the file.
    pub(crate) fn start(namespace: &Namespace, dir: &Path, algorithm: Algorithm, selector: &str, key: &Path) -> Self {
        let port = algorithm.port();
        fs::create_dir_all(dir).unwrap();
        let (here, name) = (dir.display(), algorithm.name());
        let conf = format!(
            "Syslog no\nLogWhy yes\nUMask 002\nOversignHeaders From\n\
             KeyTable refile:{here}/KeyTable\nSigningTable refile:{here}/SigningTable\n\
             ExternalIgnoreList {here}/TrustedHosts\nInternalHosts {here}/TrustedHosts\n\
             SignatureAlgorithm {name}\nAutoRestart Yes\nDNSTimeout 5\nUserID opendkim:opendkim\n\
             Socket inet:{port}@localhost\nCanonicalization relaxed/relaxed\nPidFile {here}/opendkim.pid\n"
        );
        fs::write(dir.join("opendkim.conf"), conf).unwrap();
        fs::write(dir.join("TrustedHosts"), format!("127.0.0.1\nlocalhost\n{DOMAIN}\n")).unwrap();
        write_tables(dir, selector, key);
        let daemon = launch(namespace, dir, port);
        Self {
            algorithm,
            dir: dir.to_owned(),
            daemon,
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn port(&self) -> u16 {
        self.algorithm.port()
    }

    /// Both tables name another key, each replaced whole; then a reload.
    pub(crate) fn switch(&self, selector: &str, key: &Path) {
        write_tables(&self.dir, selector, key);
        self.daemon.signal("USR1");
    }
}

fn write_tables(dir: &Path, selector: &str, key: &Path) {
    let key_table = format!("{selector}.{DOMAIN} {DOMAIN}:{selector}:{}\n", key.display());
    for (table, text) in [
        ("KeyTable", key_table),
        ("SigningTable", format!("*@{DOMAIN} {selector}.{DOMAIN}\n")),
    ] {
        fs::write(dir.join("table.new"), text).unwrap();
        fs::rename(dir.join("table.new"), dir.join(table)).unwrap();
    }
}

/// The one of the receiving side. It says what it found in Authentication-Results and lets everything pass.
pub(crate) fn verifier(namespace: &Namespace, dir: &Path) -> Daemon {
    fs::create_dir_all(dir).unwrap();
    // It resolves by itself, from the root down, unless it is told whom to ask. (A ResolverConfiguration is read anew
    // for each message, by threads that disturb each other, and it crashes.)
    let conf = format!(
        "Syslog no\nMode v\nAuthservID mail.example.net\nAlwaysAddARHeader yes\nOn-Default accept\nDNSTimeout 5\n\
         UserID opendkim:opendkim\nSocket inet:{VERIFIER_PORT}@localhost\nNameservers {RESOLVER}\n"
    );
    fs::write(dir.join("opendkim.conf"), conf).unwrap();
    launch(namespace, dir, VERIFIER_PORT)
}

fn launch(namespace: &Namespace, dir: &Path, port: u16) -> Daemon {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let mut daemon = Launch::under("opendkim", dir, &namespace.prefix(), "opendkim")
        .args(["-f", "-x"])
        .arg(dir.join("opendkim.conf"))
        .start();
    let filter = format!("sport = :{port}");
    wait_for("OpenDKIM to listen", || {
        assert!(daemon.is_running(), "OpenDKIM has ended: {}", daemon.log());
        let sockets = namespace.output("ss", &["-Hltn", &filter]);
        (!sockets.stdout.is_empty()).then_some(())
    });
    daemon
}

/// A folder for the domain's keys, which is the signer's.
pub(crate) fn key_folder(below: &Path) -> PathBuf {
    let folder = below.join(DOMAIN);
    fs::create_dir(&folder).unwrap();
    run(Command::new("chown").arg("opendkim:opendkim").arg(&folder));
    folder
}

/// Makes a key pair as people do: opendkim-genkey for RSA, openssl for Ed25519, which opendkim-genkey cannot.
/// The private key is renamed into its place when it is the signer's and the signer's alone.
pub(crate) fn new_key(dir: &Path, selector: &str, algorithm: Algorithm) -> PathBuf {
    let beside = dir.parent().unwrap().with_extension("new");
    fs::create_dir_all(&beside).unwrap();
    let made = beside.join(format!("{selector}.private"));
    if algorithm == Algorithm::Ed25519 {
        run(Command::new("openssl")
            .args(["genpkey", "-algorithm", "ed25519", "-out"])
            .arg(&made));
    } else {
        run(Command::new("opendkim-genkey")
            .args(["-b", "2048", "-d", DOMAIN, "-s", selector, "-D"])
            .arg(&beside));
    }
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600)).unwrap();
    run(Command::new("chown").arg("opendkim:opendkim").arg(&made));
    let key = dir.join(format!("{selector}.private"));
    for kind in ["txt", "private"] {
        let file = beside.join(format!("{selector}.{kind}"));
        if file.exists() {
            fs::rename(file, key.with_extension(kind)).unwrap();
        }
    }
    key
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}
