//! A machine in a directory: the accounts, units and files that Debian and the tutorial put there.

use crate::common::keys;
use crate::common::signpost::BINARY;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

pub(crate) const OPENDKIM: u32 = 104;
pub(crate) const OPENDKIM_GROUP: u32 = 107;
pub(crate) const POSTFIX: u32 = 108;

pub(crate) const ACCOUNTS: [(&str, &str); 2] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nopendkim:x:104:107::/run/opendkim:/usr/sbin/nologin\n\
         postfix:x:108:111::/var/spool/postfix:/usr/sbin/nologin\nsignpost:x:990:990::/:/usr/sbin/nologin\n\
         nobody:x:65534:65534::/:/usr/sbin/nologin\n",
    ),
    (
        "etc/group",
        "root:x:0:\nopendkim:x:107:\npostfix:x:111:\nsignpost:x:990:\nnogroup:x:65534:\n",
    ),
];

/// Debian 12's unit.
pub(crate) const UNIT: &str =
    "[Service]\nType=forking\nPIDFile=/run/opendkim/opendkim.pid\nExecStart=/usr/sbin/opendkim\n";

/// The tutorial's opendkim.conf.
pub(crate) const TUTORIAL: &str = "\
Syslog yes
SyslogSuccess yes
LogWhy yes
UMask 002
OversignHeaders From
KeyTable refile:/etc/opendkim/KeyTable
SigningTable refile:/etc/opendkim/SigningTable
ExternalIgnoreList /etc/opendkim/TrustedHosts
InternalHosts /etc/opendkim/TrustedHosts
SignatureAlgorithm rsa-sha256
AutoRestart Yes
DNSTimeout 5
UserID opendkim:opendkim
Socket inet:12345@localhost
Canonicalization relaxed/relaxed
";

pub(crate) const MAIN_CF: &str = "compatibility_level = 3.6\nmyhostname = mail.example.org\n";

pub(crate) const MASTER_CF: &str = "\
smtp       inet  n - y - - smtpd
submission inet  n - y - - smtpd
  -o syslog_name=postfix/submission
cleanup    unix  n - y - 0 cleanup
smtp       unix  - - y - - smtp
";

pub(crate) struct Machine {
    dir: TempDir,
}

/// One RSA key for all tests, and its record as `opendkim-genkey -h sha256` writes it.
fn key() -> &'static (String, String) {
    static KEY: OnceLock<(String, String)> = OnceLock::new();
    KEY.get_or_init(|| {
        let private = keys::rsa();
        let folder = tempfile::tempdir().unwrap();
        let public = keys::public_half(&private, folder.path());
        (private, record(&public))
    })
}

fn record(public: &str) -> String {
    let (first, second) = public.split_at(200);
    format!("mail._domainkey\tIN\tTXT\t( \"v=DKIM1; h=sha256; k=rsa; \"\n\t\"p={first}\"\n\t\"{second}\" )\n")
}

impl Machine {
    /// Debian with its accounts, OpenDKIM's unit and Postfix, nothing set up.
    pub(crate) fn bare() -> Self {
        let machine = Self {
            dir: tempfile::Builder::new().prefix("signpost-test-").tempdir().unwrap(),
        };
        machine.mode("", 0o755);
        for (path, text) in ACCOUNTS {
            machine.write(path, text);
        }
        machine.write("usr/lib/systemd/system/opendkim.service", UNIT);
        machine.write("etc/postfix/main.cf", MAIN_CF);
        machine.write("etc/postfix/master.cf", MASTER_CF);
        machine
    }

    /// One where all is well, with Signpost installed.
    pub(crate) fn good() -> Self {
        let machine = Self::bare();
        let conf = format!("{TUTORIAL}PidFile /run/opendkim/opendkim.pid\n");
        machine.write("etc/opendkim.conf", &conf);
        machine.tables();
        machine.add_key("etc/opendkim/example.org", "mail");
        let milters = "smtpd_milters = inet:localhost:12345\nnon_smtpd_milters = $smtpd_milters\n";
        machine.append("etc/postfix/main.cf", milters);
        machine.write("usr/lib/systemd/system/signpost.service", "[Service]\nUser=signpost\n");
        machine.write("etc/signpost/signpost.toml", "keys = \"/etc/opendkim\"\n");
        machine
    }

    pub(crate) fn tables(&self) {
        let row = "mail.example.org example.org:mail:/etc/opendkim/example.org/mail\n";
        self.write("etc/opendkim/KeyTable", row);
        self.write("etc/opendkim/SigningTable", "*@example.org mail.example.org\n");
        self.write("etc/opendkim/TrustedHosts", "127.0.0.1\nlocalhost\n");
    }

    /// A key that OpenDKIM may use and whose record all may read.
    pub(crate) fn add_key(&self, folder: &str, selector: &str) {
        let (private, txt) = key();
        let file = format!("{folder}/{selector}");
        self.write(&file, private);
        self.write(&format!("{file}.txt"), txt);
        self.mode(&file, 0o600);
        self.own(&file, OPENDKIM, OPENDKIM_GROUP);
        self.mode(folder, 0o711);
        self.own(folder, OPENDKIM, OPENDKIM_GROUP);
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        // Postfix waits for a file that was written just now to be left alone.
        let file = fs::File::open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    }

    pub(crate) fn append(&self, relative: &str, text: &str) {
        let old = self.read(relative);
        self.write(relative, &(old + text));
    }

    pub(crate) fn replace(&self, relative: &str, old: &str, new: &str) {
        let text = self.read(relative);
        assert!(text.contains(old), "{relative} has no {old}: {text}");
        self.write(relative, &text.replace(old, new));
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap()
    }

    pub(crate) fn mode(&self, relative: &str, mode: u32) {
        fs::set_permissions(self.path(relative), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn own(&self, relative: &str, uid: u32, gid: u32) {
        std::os::unix::fs::chown(self.path(relative), Some(uid), Some(gid)).unwrap();
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        Command::new(BINARY)
            .args(words)
            .arg("--root")
            .arg(self.dir.path())
            .current_dir(self.dir.path())
            .output()
            .unwrap()
    }

    /// `signpost doctor --json`.
    pub(crate) fn doctor(&self) -> Report {
        let output = self.run(&["doctor", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(report["exit"].as_i64(), output.status.code().map(i64::from));
        Report(report)
    }

    /// `signpost setup`, which has to end well.
    pub(crate) fn setup(&self, words: &[&str]) -> String {
        let output = self.run(&[&["setup"], words].concat());
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        said
    }

    /// Every file with its content, to compare.
    pub(crate) fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = vec![];
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => found.push((path.clone(), fs::read(&path).unwrap())),
                }
            }
        }
        found.sort();
        found
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }
}

/// What the doctor said, as JSON.
pub(crate) struct Report(pub(crate) Value);

impl Report {
    pub(crate) fn exit(&self) -> i64 {
        self.0["exit"].as_i64().unwrap()
    }

    fn findings(&self) -> &Vec<Value> {
        self.0["findings"].as_array().unwrap()
    }

    /// Codes of all that is no note.
    pub(crate) fn codes(&self) -> Vec<&str> {
        let serious = self.findings().iter().filter(|finding| finding["severity"] != "note");
        serious.map(|finding| finding["code"].as_str().unwrap()).collect()
    }

    pub(crate) fn notes(&self) -> Vec<&str> {
        let notes = self.findings().iter().filter(|finding| finding["severity"] == "note");
        notes.map(|finding| finding["code"].as_str().unwrap()).collect()
    }

    /// The one finding with this code.
    pub(crate) fn one(&self, code: &str) -> &Value {
        let mut found = self.findings().iter().filter(|finding| finding["code"] == code);
        let one = found.next().unwrap_or_else(|| panic!("no {code}: {:#}", self.0));
        assert!(found.next().is_none(), "several {code}: {:#}", self.0);
        one
    }
}
