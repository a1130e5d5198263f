//! The report that goes back by mail: through a program that only notes what it is given, and through Postfix.

use crate::common::netns::Namespace;
use crate::common::signpost::{BINARY, House};
use crate::common::{keys, wait_for};
use crate::support::{Post, TEXT, fake};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_report_goes_back_to_the_sender_and_to_nobody_else() {
    let post = Post::new();
    let dir = post.house.path("bin");
    fs::create_dir(&dir).unwrap();
    let sendmail = fake(&dir, "sendmail", "echo \"$@\" > arguments; cat > mail");
    let sendmail = sendmail.to_str().unwrap();
    let reply = |message: &str, sender: &str| {
        let from = format!("--mail-from={sender}");
        post.run(
            message,
            &[
                "--reply",
                "--sendmail",
                sendmail,
                "--reply-from",
                "check-auth@example.net",
                "--client-ip",
                "192.0.2.25",
                &from,
            ],
        )
    };
    // As Postfix's pipe hands it over: LF alone.
    let message = post.signed("rsa", TEXT).replace("\r\n", "\n");
    let output = reply(&message, "alice@example.org");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(fs::read_to_string(dir.join("arguments")).unwrap(), "-i -f <> -t\n");
    let mail = fs::read_to_string(dir.join("mail")).unwrap();
    let (header, body) = mail.split_once("\n\n").unwrap();
    for line in [
        "From: Authentication report <check-auth@example.net>",
        "To: <alice@example.org>",
        "Auto-Submitted: auto-replied",
        "In-Reply-To: <1@example.org>",
    ] {
        assert!(header.lines().any(|found| found == line), "{line} in {header}");
    }
    assert!(body.contains("DKIM check:         pass"), "{body}");
    fs::remove_file(dir.join("mail")).unwrap();
    // Its own answer, and what no person wrote, is answered by nothing.
    for (message, sender) in [
        (mail.as_str(), "check-auth@example.net"),
        (TEXT, ""),
        (TEXT, "<>"),
        (TEXT, "a@example.org, b@example.org"),
        (&format!("List-Id: <l.example.org>\n{TEXT}"), "a@example.org"),
    ] {
        let output = reply(message, sender);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("no report is sent"),
            "{output:?}"
        );
        assert!(!dir.join("mail").exists(), "{sender}");
    }
    // Who may be forged gets what is found, and nothing that others wrote.
    let output = post.run(
        TEXT,
        &[
            "--reply",
            "--sendmail",
            sendmail,
            "--client-ip",
            "192.0.2.99",
            "--mail-from",
            "a@says.example.org",
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let forged = fs::read_to_string(dir.join("mail")).unwrap();
    assert!(
        forged.contains("SPF check:          fail") && forged.contains("Cure:"),
        "{forged}"
    );
    assert!(
        !forged.contains("none of ours") && !forged.contains("v=spf1"),
        "{forged}"
    );
    fs::remove_file(dir.join("mail")).unwrap();
    // To fail would have Postfix return the message to whoever is named as its sender.
    for message in [&"A: b\n".repeat(1001), "", "no header\n"] {
        let output = reply(message, "alice@example.org");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("no report is sent: "), "{output:?}");
        assert!(!dir.join("mail").exists());
    }
    // What cannot be sent now is tried again (EX_TEMPFAIL).
    fake(&dir, "sendmail", "cat > /dev/null; exit 75");
    let output = reply(TEXT, "alice@example.org");
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cannot send the report"),
        "{output:?}"
    );
}

/// A DNS that is silent would be waited for.
#[test]
fn who_is_not_answered_is_known_before_the_dns_is_asked() {
    let post = Post::new();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let dns = silent.local_addr().unwrap().to_string();
    let words = [
        "--reply",
        "--dns",
        &dns,
        "--client-ip",
        "192.0.2.25",
        "--mail-from",
        "l-bounces+a=b@example.org",
    ];
    post.house.write("mail.eml", TEXT);
    let mut command = Command::new(BINARY);
    command.arg("verify").args(words).arg(post.house.path("mail.eml"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("no report is sent: the envelope sender is a program"),
        "{output:?}"
    );
    assert!(silent.recv(&mut [0; 512]).is_err(), "nothing was asked");
}

#[test]
fn without_a_resolver_postfix_is_to_ask_again() {
    let namespace = Namespace::new();
    fs::write(namespace.etc().join("resolv.conf"), "").unwrap();
    let house = House::new("");
    house.write("mail.eml", TEXT);
    let file = house.path("mail.eml");
    let verify = |more: &[&str]| {
        let line = ["verify", "--client-ip", "192.0.2.25", file.to_str().unwrap()];
        let output = namespace.output(BINARY, &[&line[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("cannot ask the DNS"), "{said}");
        output.status.code()
    };
    assert_eq!(verify(&[]), Some(2));
    assert_eq!(verify(&["--reply", "--mail-from", "a@example.org"]), Some(75));
}

/// The domain and its parent, so that the walk for DMARC ends in answers, and the client's name.
const ZONES: [(&str, &str); 3] = [
    (
        "org",
        "$TTL 300\n@ IN SOA ns.example.org. h.example.org. 1 7200 3600 1209600 300\n IN NS ns.example.org.\n",
    ),
    (
        "example.org",
        "$TTL 300\n@ IN SOA ns hostmaster 1 7200 3600 1209600 300\n IN NS ns\n IN MX 10 mail\n\
         @ IN TXT \"v=spf1 mx -all\"\n_dmarc IN TXT \"v=DMARC1; p=reject; adkim=s\"\nns IN A 192.0.2.53\n\
         mail IN A 192.0.2.25\n",
    ),
    (
        "2.0.192.in-addr.arpa",
        "$TTL 300\n@ IN SOA ns.example.org. h.example.org. 1 7200 3600 1209600 300\n IN NS ns.example.org.\n\
         25 IN PTR mail.example.org.\n",
    ),
];

/// Postfix with the service of docs/verify.md, mailboxes of example.org, and OpenDKIM to sign what comes in.
const MAIN_CF: &str = "\
compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
maillog_file = DIR/mail.log
maillog_file_prefixes = DIR
myhostname = mx.example.org
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:box/
virtual_mailbox_base = DIR
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
transport_maps = inline:{{check-auth@example.org = check-auth:},{probe@example.org = check-auth:}}
smtpd_milters = inet:127.0.0.1:8891
milter_default_action = tempfail
default_process_limit = 10
";

const MASTER_CF: &str = "\
smtp inet n - n - - smtpd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verify.md")).unwrap()
}

/// The line of docs/verify.md for main.cf besides `transport_maps`.
fn limit() -> String {
    let page = page();
    let mut lines = page.lines().map(str::trim);
    let line = lines.find(|line| line.starts_with("check-auth_destination_recipient_limit"));
    format!("{}\n", line.unwrap())
}

/// The lines of docs/verify.md for master.cf, with the program of this test.
fn service(binary: &Path) -> String {
    let page = page();
    let lines = page.lines().skip_while(|line| !line.starts_with("    check-auth unix"));
    let lines = lines.take_while(|line| !line.is_empty());
    let lines: String = lines
        .map(|line| format!("{}\n", line.strip_prefix("    ").unwrap()))
        .collect();
    lines.replace("/usr/bin/signpost", binary.to_str().unwrap())
}

/// What Postfix says, which is shown when a test fails.
struct MailLog(PathBuf);

impl MailLog {
    fn read(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_default()
    }
}

impl Drop for MailLog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what Postfix says ---\n{}\n---", self.read());
        }
    }
}

fn readable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn owned_by(user: &str, path: &Path) {
    let status = Command::new("chown").args(["-R", user]).arg(path).status().unwrap();
    assert!(status.success());
}

/// A message to check-auth@example.org comes back as a report, through the real programs: Postfix takes it by SMTP,
/// OpenDKIM signs it, the pipe hands it to Signpost, which asks the resolver of the system, and Postfix delivers.
#[test]
fn check_auth_answers_by_postfix_what_opendkim_signed() {
    let house = House::new("");
    readable(&house.path(""));
    house.write(
        "signpost.toml",
        "listen = [\"127.0.0.1:53\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n",
    );
    house.write("keys/example.org/tutorial.private", keys::rsa());
    for (zone, text) in ZONES {
        house.write(&format!("zones/{zone}.zone"), text);
    }
    let namespace = Namespace::new();
    let inside = |program: &str, args: &[&str]| {
        let output = namespace.output(program, args);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{program} {args:?}: {said}");
        said
    };
    let seen = |program: &str, args: &[&str]| {
        let output = namespace.output(program, args);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    inside("ip", &["address", "add", "192.0.2.25/32", "dev", "lo"]);
    let config = house.path("signpost.toml");
    let mut signpost = namespace.start(
        "signpost",
        &house.path("state"),
        BINARY,
        ["--config", config.to_str().unwrap()],
    );
    wait_for("an answer on port 53", || {
        assert!(signpost.is_running(), "{}", signpost.log());
        seen("dig", &["+short", "example.org", "MX"])
            .contains("mail")
            .then_some(())
    });

    house.write(
        "opendkim/KeyTable",
        format!(
            "key example.org:tutorial:{}\n",
            house.path("keys/example.org/tutorial.private").display()
        ),
    );
    house.write("opendkim/SigningTable", "*@example.org key\n");
    house.write("opendkim/TrustedHosts", "192.0.2.25\n");
    let dir = house.path("opendkim");
    let here = dir.display();
    let conf = format!(
        "Syslog yes\nKeyTable refile:{here}/KeyTable\nSigningTable refile:{here}/SigningTable\n\
         ExternalIgnoreList refile:{here}/TrustedHosts\nInternalHosts refile:{here}/TrustedHosts\nMode s\n\
         Canonicalization relaxed/relaxed\nSocket inet:8891@127.0.0.1\nRequireSafeKeys no\n"
    );
    house.write("opendkim/opendkim.conf", conf);
    let conf = dir.join("opendkim.conf");
    let mut opendkim = namespace.start("opendkim", &dir, "opendkim", ["-f", "-x", conf.to_str().unwrap()]);
    wait_for("OpenDKIM", || {
        assert!(opendkim.is_running(), "{}", opendkim.log());
        seen("ss", &["-ltn"]).contains("127.0.0.1:8891").then_some(())
    });

    let postfix = house.path("postfix");
    for folder in ["queue", "data", "box"] {
        fs::create_dir_all(postfix.join(folder)).unwrap();
    }
    owned_by("postfix", &postfix.join("data"));
    owned_by("nobody", &postfix.join("box"));
    let binary = postfix.join("signpost");
    fs::copy(BINARY, &binary).unwrap();
    let etc = namespace.etc().join("postfix");
    // The package's own list of files and permissions is there, too.
    let copied = Command::new("cp")
        .args(["-a", "/etc/postfix"])
        .arg(&etc)
        .status()
        .unwrap();
    assert!(copied.success());
    fs::write(
        etc.join("main.cf"),
        MAIN_CF.replace("DIR", postfix.to_str().unwrap()) + &limit(),
    )
    .unwrap();
    fs::write(etc.join("master.cf"), MASTER_CF.to_owned() + &service(&binary)).unwrap();
    let log = MailLog(postfix.join("mail.log"));
    let _postfix = namespace.start("postfix", &postfix, "postfix", ["start-fg"]);
    wait_for("Postfix", || {
        seen("ss", &["-ltn"]).contains("127.0.0.1:25 ").then_some(())
    });

    inside(
        "swaks",
        &[
            "--server",
            "127.0.0.1",
            "--local-interface",
            "192.0.2.25",
            "--helo",
            "mail.example.org",
            "--from",
            "alice@example.org",
            "--to",
            "check-auth@example.org,probe@example.org",
            "--header",
            "Subject: a test",
            "--body",
            "Hello",
        ],
    );
    // One from each of the two.
    let reports = wait_for("the reports", || {
        let files = fs::read_dir(postfix.join("box/new")).ok()?;
        let reports: Vec<String> = files
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect();
        (reports.len() == 2).then_some(reports)
    });
    let from = |who: &str| {
        let line = format!("From: Authentication report <{who}@example.org>\n");
        reports
            .iter()
            .find(|report| report.contains(&line))
            .unwrap_or_else(|| panic!("{line} in {reports:?}"))
    };
    let (report, _) = (from("check-auth"), from("probe"));
    for method in ["SPF", "DKIM", "Sender-ID", "DMARC", "iprev"] {
        let line = format!("{:19} pass", format!("{method} check:"));
        assert!(report.contains(&line), "{line} in {report}\n{}", log.read());
    }
    for line in [
        "Return-Path: <>",
        "From: Authentication report <check-auth@example.org>",
        "To: <alice@example.org>",
        "Auto-Submitted: auto-replied",
        "Source IP:      192.0.2.25",
        "HELO hostname:  mail.example.org",
    ] {
        assert!(report.lines().any(|found| found == line), "{line} in {report}");
    }
    assert!(report.contains("header.s=tutorial header.a=rsa-sha256"), "{report}");
    // The report itself, sent to the service as a loop would, is answered by nothing.
    house.write("postfix/report", report);
    let file = postfix.join("report");
    inside(
        "swaks",
        &[
            "--server",
            "127.0.0.1",
            "--from",
            "<>",
            "--to",
            "check-auth@example.org",
            "--data",
            &format!("@{}", file.display()),
        ],
    );
    wait_for("its delivery", || {
        (log.read().matches("delivered via check-auth service").count() == 3).then_some(())
    });
    assert!(
        log.read().contains("no report is sent: the envelope sender is <>"),
        "{}",
        log.read()
    );
    inside("postfix", &["stop"]);
}
