//! The two mail servers: Postfix, each from a folder of its own.
//!
//! Postfix's own programs are given the folder by `-c`, and its master is kept in the foreground. The sender's milter
//! settings are those of the tutorial; its queue is tried again after a second instead of five minutes.

use crate::common::daemon::{Daemon, Launch};
use crate::common::netns::Namespace;
use crate::common::wait_for;
use crate::land::{RECEIVING_MAIL, SENDING_MAIL};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Mail to this address stays in the sender's queue until it is released.
pub(crate) const HELD: &str = "held@example.net";

const MASTER_CF: &str = "\
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
";

/// A mail server that runs, or not at the moment.
pub(crate) struct Postfix {
    name: &'static str,
    dir: PathBuf,
    prefix: Vec<String>,
    daemon: Option<Daemon>,
}

impl Postfix {
    /// The one that sends: takes mail on the loopback, has each message signed by the milters, in their order.
    pub(crate) fn sending(namespace: &Namespace, dir: &Path, milters: &[u16]) -> Self {
        let milters: Vec<String> = milters.iter().map(|port| format!("inet:localhost:{port}")).collect();
        let main_cf = format!(
            "myhostname = mail.example.org\nmydestination =\ninet_interfaces = 127.0.0.1\nsmtp_bind_address = {SENDING_MAIL}\n\
             smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ {HELD} = HOLD }} }}, permit_mynetworks, reject\n\
             milter_default_action = accept\nmilter_protocol = 6\nsmtpd_milters = {}\nnon_smtpd_milters = $smtpd_milters\n\
             queue_run_delay = 1s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 2s\n\
             smtp_tls_security_level = none\nsmtp_connect_timeout = 2s\n",
            milters.join(" ")
        );
        Self::new("sending-postfix", namespace, dir, &main_cf, "127.0.0.1:25")
    }

    /// The one that receives: has each message verified and puts it into the maildir `inbox` of its folder.
    pub(crate) fn receiving(namespace: &Namespace, dir: &Path, milter: u16) -> Self {
        let main_cf = format!(
            "myhostname = mail.example.net\nmydestination =\ninet_interfaces = {RECEIVING_MAIL}\nmynetworks = 127.0.0.0/8\n\
             smtpd_relay_restrictions = permit_auth_destination, reject\n\
             virtual_mailbox_domains = example.net\nvirtual_mailbox_maps = static:inbox/\n\
             virtual_mailbox_base = {}\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n\
             smtpd_milters = inet:localhost:{milter}\nmilter_default_action = tempfail\nmilter_protocol = 6\n\
             smtpd_client_connection_count_limit = 0\n",
            dir.display()
        );
        let service = format!("{RECEIVING_MAIL}:25");
        Self::new("receiving-postfix", namespace, dir, &main_cf, &service)
    }

    fn new(name: &'static str, namespace: &Namespace, dir: &Path, main_cf: &str, service: &str) -> Self {
        for folder in ["etc", "queue", "data", "inbox"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        // Its programs give up root and go on reading here.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
        chown(dir.join("inbox"), Some(65534), Some(65534)).unwrap();
        run(Command::new("chown").arg("postfix").arg(dir.join("data")));
        let here = dir.display();
        let own = format!(
            "compatibility_level = 3.6\nqueue_directory = {here}/queue\ndata_directory = {here}/data\n\
             maillog_file = {here}/log\nmaillog_file_prefixes = /\nalias_maps =\nalias_database =\n\
             inet_protocols = ipv4\nsmtputf8_enable = no\nsmtpd_tls_security_level = none\n"
        );
        fs::write(dir.join("etc/main.cf"), own + main_cf).unwrap();
        fs::write(
            dir.join("etc/master.cf"),
            format!("{service} inet n - n - - smtpd\n{MASTER_CF}"),
        )
        .unwrap();
        let mut postfix = Self {
            name,
            dir: dir.to_owned(),
            prefix: namespace.prefix(),
            daemon: None,
        };
        // Makes what is missing below queue_directory.
        let etc = postfix.etc();
        let output = namespace.output("postfix", &["-c", etc.to_str().unwrap(), "check"]);
        assert!(output.status.success(), "{}", postfix.log());
        postfix.start();
        postfix
    }

    pub(crate) fn start(&mut self) {
        let mark = self.log().len();
        let master = "/usr/lib/postfix/sbin/master";
        let launch = Launch::under(self.name, &self.dir, &self.prefix, master)
            .arg("-s")
            .arg("-c")
            .arg(self.etc());
        let daemon = self.daemon.insert(launch.start());
        let log = self.dir.join("log");
        wait_for("Postfix to start", || {
            assert!(daemon.is_running(), "Postfix has ended: {}", daemon.log());
            let log = fs::read_to_string(&log).unwrap_or_default();
            log[mark..].contains("daemon started").then_some(())
        });
    }

    pub(crate) fn stop(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.signal("TERM");
        daemon.wait_until_ended();
    }

    /// Lets messages go that are on hold, by their queue ids.
    pub(crate) fn release(etc: &Path, ids: &[String]) {
        let mut postsuper = Command::new("postsuper")
            .arg("-c")
            .arg(etc)
            .args(["-H", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = postsuper.stdin.take().unwrap();
        stdin.write_all((ids.join("\n") + "\n").as_bytes()).unwrap();
        drop(stdin);
        assert!(postsuper.wait().unwrap().success(), "postsuper releases {ids:?}");
    }

    pub(crate) fn etc(&self) -> PathBuf {
        self.dir.join("etc")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}
