//! `signpost verify` against a running Signpost: messages made and signed here, one for each outcome, and the report
//! that goes back by mail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::keys;
use common::peers::{self, ZoneOf};
use common::signpost::{BINARY, House};
use common::wire::name;
use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const ZONE: &str = "\
$TTL 300
@        IN SOA ns hostmaster 1 7200 3600 1209600 300
         IN NS  ns
         IN MX  10 mail
         IN TXT \"v=spf1 mx -all\"
ns       IN A   192.0.2.1
mail     IN A   192.0.2.25
         IN TXT \"v=spf1 a -all\"
www      IN A   192.0.2.80
_dmarc   IN TXT \"v=DMARC1; p=reject\"
soft     IN TXT \"v=spf1 mx:example.org ~all\"
neutral  IN TXT \"v=spf1 ?all\"
bare     IN A   192.0.2.25
broken   IN TXT \"v=spf1 ip4:192.0.2 -all\"
endless  IN TXT \"v=spf1 include:endless.example.org -all\"
chain    IN TXT \"v=spf1 include:example.org -all\"
pra      IN TXT \"v=spf1 mx:example.org -all\"
         IN TXT \"spf2.0/pra ip4:203.0.113.1 -all\"
revoked._domainkey IN TXT \"v=DKIM1; k=rsa; p=\"
nokey._domainkey   IN TXT \"hello\"
";

/// Another domain, aligned with nothing of the first.
const OTHER: &str = "\
$TTL 300
@        IN SOA ns.example.org. hostmaster.example.org. 1 7200 3600 1209600 300
         IN NS  ns.example.org.
_dmarc   IN TXT \"v=DMARC1; p=quarantine\"
";

const REVERSE: &str = "\
$TTL 300
@   IN SOA ns.example.org. hostmaster.example.org. 1 7200 3600 1209600 300
    IN NS  ns.example.org.
25  IN PTR mail.example.org.
26  IN PTR mail.example.org.
28  IN PTR nowhere.example.org.
";

const TEXT: &str = "From: Alice <alice@example.org>\r\nTo: check-auth@example.net\r\nSubject: a test\r\n\
                    Date: Mon, 16 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello,\r\n\r\nAlice\r\n";

/// A Signpost with those zones and two keys, and what signs with them.
struct Post {
    house: House,
    rsa: String,
    ed25519: String,
}

/// What was found, as JSON, with the exit code.
struct Found {
    code: Option<i32>,
    report: Value,
}

impl Post {
    fn new() -> Self {
        let mut house = House::new("");
        let (rsa, ed25519) = (keys::rsa(), keys::ed25519());
        house.write("zones/example.org.zone", ZONE);
        house.write("zones/other.test.zone", OTHER);
        house.write("zones/2.0.192.in-addr.arpa.zone", REVERSE);
        house.write("keys/example.org/rsa.private", &rsa);
        house.write("keys/example.org/ed.private", &ed25519);
        house.start(&["example.org", "other.test", "2.0.192.in-addr.arpa"]);
        Self { house, rsa, ed25519 }
    }

    /// The message with a signature by RSA on top.
    fn signed(&self, selector: &str, text: &str) -> String {
        let key = PrivateKeyDer::from_pem_slice(self.rsa.as_bytes()).unwrap();
        let signer = DkimSigner::from_key(RsaKey::<Sha256>::from_key_der(key).unwrap());
        let signer = signer
            .domain("example.org")
            .selector(selector)
            .headers(["From", "To", "Subject"]);
        signer.sign(text.as_bytes()).unwrap().to_header() + text
    }

    /// The message with a signature by Ed25519 on top.
    fn signed_ed25519(&self, text: &str) -> String {
        let key = PrivateKeyDer::from_pem_slice(self.ed25519.as_bytes()).unwrap();
        let key = Ed25519Key::from_pkcs8_maybe_unchecked_der(key.secret_der()).unwrap();
        let signer = DkimSigner::from_key(key)
            .domain("example.org")
            .selector("ed")
            .headers(["From", "Subject"]);
        signer.sign(text.as_bytes()).unwrap().to_header() + text
    }

    fn run(&self, message: &str, more: &[&str]) -> Output {
        let dns = self.house.address.to_string();
        let mut command = Command::new(BINARY);
        command.arg("verify").args(["--dns", &dns]).args(more);
        fed(command, message.as_bytes())
    }

    /// Verifies what 192.0.2.25 brings from `sender`, unless `more` says otherwise.
    fn verify(&self, message: &str, client: &str, sender: &str) -> Found {
        let delivery = [
            "--client-ip",
            client,
            "--helo",
            "mail.example.org",
            "--mail-from",
            sender,
            "--json",
        ];
        let output = self.run(message, &delivery);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.stderr.is_empty(), "{said}");
        Found {
            code: output.status.code(),
            report: serde_json::from_slice(&output.stdout).unwrap(),
        }
    }
}

impl Found {
    fn summary(&self, method: &str) -> &str {
        self.report["summary"][method].as_str().unwrap_or("absent")
    }

    /// Asserts the result of the checks of `method`, that the worst has this reason, and a cure.
    fn assert(&self, method: &str, result: &str, reason: &str) {
        let checks = self.report["checks"].as_array().unwrap();
        let matching = checks.iter().any(|check| {
            check["check"] == method
                && check["result"] == result
                && check["reason"].as_str().unwrap().contains(reason)
                && (check["cure"].is_string() || result == "pass" || method == "domainkeys")
        });
        assert!(matching, "no {method} {result} `{reason}` in {:#}", self.report);
        assert_eq!(
            self.code,
            Some(i32::from(self.report["pass"] == false)),
            "{:#}",
            self.report
        );
    }
}

fn fed(mut command: Command, message: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(message);
    child.wait_with_output().unwrap()
}

/// A program that only notes what it is given.
fn fake(dir: &Path, name: &str, script: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\ncd {}\n{script}\n", dir.display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_message_that_is_in_order_passes_everything() {
    let post = Post::new();
    let message = post.signed_ed25519(&post.signed("rsa", TEXT));
    let found = post.verify(&message, "192.0.2.25", "alice@example.org");
    for method in ["SPF", "DKIM", "Sender-ID", "DMARC", "iprev"] {
        assert_eq!(found.summary(method), "pass", "{:#}", found.report);
    }
    assert_eq!(found.summary("DomainKeys"), "none");
    assert_eq!(found.code, Some(0));
    found.assert("dkim", "pass", "rsa._domainkey.example.org");
    found.assert("dkim", "pass", "ed._domainkey.example.org");
    // As a mailbox has it: LF alone, behind a line From.
    let mailbox = format!("From alice Mon Nov 16 12:00:00 2026\n{}", message.replace("\r\n", "\n"));
    assert_eq!(post.verify(&mailbox, "192.0.2.25", "alice@example.org").code, Some(0));
}

#[test]
fn the_report_is_the_summary_of_results_with_the_details() {
    let post = Post::new();
    let delivery = [
        "--client-ip",
        "192.0.2.25",
        "--helo",
        "mail.example.org",
        "--mail-from",
        "<alice@example.org>",
    ];
    post.house.write("mail.eml", post.signed("rsa", TEXT));
    let file = post.house.path("mail.eml");
    let more = [&delivery[..], &[file.to_str().unwrap()]].concat();
    let output = post.run("", &more);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"p=[A-Za-z0-9+/=]{40,}", "p=KEY");
    // The limit of a line may cut the key.
    settings.add_filter(r"KEY…", "KEY");
    settings.bind(|| insta::assert_snapshot!(text));
}

#[test]
fn each_result_of_spf() {
    let post = Post::new();
    let (mail, stranger) = ("192.0.2.25", "192.0.2.99");
    for (client, sender, result, reason) in [
        (mail, "a@example.org", "pass", "allows 192.0.2.25"),
        (mail, "a@chain.example.org", "pass", "allows"),
        (mail, "", "pass", "mail.example.org allows"),
        (stranger, "a@example.org", "fail", "forbids 192.0.2.99"),
        (stranger, "a@soft.example.org", "softfail", "~all"),
        (stranger, "a@neutral.example.org", "neutral", "says nothing"),
        (mail, "a@bare.example.org", "none", "no SPF record at bare.example.org"),
        (mail, "a@missing.example.org", "none", "no SPF record"),
        (
            mail,
            "a@broken.example.org",
            "permerror",
            "cannot be understood: v=spf1 ip4:192.0.2 -all",
        ),
        (mail, "a@endless.example.org", "permerror", "more than ten lookups"),
        // Signpost has no part in that zone, and nobody else is asked.
        (mail, "a@elsewhere.test", "temperror", "refuses"),
    ] {
        let found = post.verify(TEXT, client, sender);
        found.assert("spf", result, reason);
    }
}

#[test]
fn each_result_of_dkim() {
    let post = Post::new();
    let verify = |message: &str| post.verify(message, "192.0.2.25", "alice@example.org");
    verify(TEXT).assert("dkim", "none", "not signed");
    let signed = post.signed("rsa", TEXT);
    verify(&signed.replace("Hello", "Hullo")).assert("dkim", "fail", "body");
    verify(&signed.replace("a test", "a text")).assert("dkim", "fail", "header field was changed");
    // Space at the ends of lines is no change (c=relaxed).
    verify(&signed.replace("Hello,", "Hello,  ")).assert("dkim", "pass", "");
    verify(&post.signed("missing", TEXT)).assert("dkim", "permerror", "no key at missing._domainkey.example.org");
    verify(&post.signed("revoked", TEXT)).assert("dkim", "permerror", "revoked");
    verify(&post.signed("nokey", TEXT)).assert("dkim", "permerror", "is no key");
    verify(&post.signed("ed", TEXT)).assert("dkim", "fail", "another algorithm");
    verify(&signed.replace("a=rsa-sha256", "a=rsa-sha1")).assert("dkim", "neutral", "broken (a=)");
    let elsewhere = signed.replace("d=example.org", "d=elsewhere.test");
    verify(&elsewhere).assert("dkim", "temperror", "rsa._domainkey.elsewhere.test");
    let garbled = format!("DKIM-Signature: v=1; d=example.org\r\n{TEXT}");
    verify(&garbled).assert("dkim", "neutral", "cannot be understood");
    // One good signature is enough for the summary and for DMARC; the other is told all the same.
    let both = post.signed("missing", &signed);
    let found = verify(&both);
    assert_eq!((found.summary("DKIM"), found.code), ("pass", Some(1)));
    found.assert("dkim", "permerror", "no key at missing");
    // DomainKeys is only seen, ADSP not even that.
    let historic = format!("DomainKey-Signature: a=rsa-sha1; d=example.org; b=eA==\r\n{signed}");
    let found = verify(&historic);
    found.assert("domainkeys", "neutral", "historic");
    assert_eq!(found.code, Some(0));
}

#[test]
fn dmarc_wants_a_domain_aligned_with_the_author() {
    let post = Post::new();
    let verify = |message: &str, sender| post.verify(message, "192.0.2.25", sender);
    // SPF alone, DKIM alone.
    verify(TEXT, "alice@example.org").assert("dmarc", "pass", "SPF passed");
    verify(&post.signed("rsa", TEXT), "a@elsewhere.test").assert("dmarc", "pass", "DKIM passed");
    let other = TEXT.replace("alice@example.org", "bob@other.test");
    let found = verify(&post.signed("rsa", &other), "alice@example.org");
    assert_eq!((found.summary("SPF"), found.summary("DKIM")), ("pass", "pass"));
    found.assert(
        "dmarc",
        "fail",
        "SPF passed for example.org, DKIM passed for example.org; none is aligned with other.test",
    );
    found.assert("dmarc", "fail", "policy is quarantine");
    // The policy of the organization holds for the names below it.
    let below = TEXT.replace("alice@example.org", "bob@deep.other.test");
    verify(&below, "alice@example.org").assert("dmarc", "fail", "quarantine");
    let reverse = TEXT.replace("alice@example.org", "bob@2.0.192.in-addr.arpa");
    verify(&reverse, "alice@example.org").assert("dmarc", "none", "no DMARC record");
    // A server that is asked before the domain is delegated to it sees no higher than its zones, and that is told.
    let notes = |found: Found| found.report["notes"].to_string();
    assert!(notes(verify(&reverse, "alice@example.org")).contains("refuses _dmarc."));
    assert_eq!(notes(verify(TEXT, "alice@example.org")), "[]");
}

/// Signpost leaves one of two records out; BIND does not.
#[test]
fn of_two_records_none_counts() {
    let post = Post::new();
    let file = post.house.path("two.test.zone");
    let text = "$TTL 300\n@ IN SOA ns h 1 7200 3600 1209600 300\n IN NS ns\n IN MX 10 mail\nns IN A 192.0.2.1\n\
                mail IN A 192.0.2.25\n@ IN TXT \"v=spf1 mx -all\"\n IN TXT \"v=spf1 a -all\"\n\
                _dmarc IN TXT \"v=DMARC1; p=reject\"\n IN TXT \"v=DMARC1; p=none\"\n";
    fs::write(&file, text).unwrap();
    let apex = name("two.test");
    let bind = peers::bind(&post.house.path("state"), &[ZoneOf { apex, file }]);
    let mut command = Command::new(BINARY);
    let dns = bind.address.to_string();
    command.args([
        "verify",
        "--json",
        "--dns",
        &dns,
        "--client-ip",
        "192.0.2.25",
        "--mail-from",
        "a@two.test",
    ]);
    let output = fed(command, TEXT.replace("alice@example.org", "a@two.test").as_bytes());
    let found = Found {
        code: output.status.code(),
        report: serde_json::from_slice(&output.stdout).unwrap(),
    };
    found.assert("spf", "permerror", "2 records at two.test");
    found.assert("sender-id", "permerror", "2 records at two.test");
    found.assert("dmarc", "none", "2 records at _dmarc.two.test");
}

#[test]
fn sender_id_is_about_the_header() {
    let post = Post::new();
    let verify = |text: &str, client| post.verify(text, client, "a@elsewhere.test");
    // SPF's record serves, for the domain of the header and not that of the envelope (RFC 4406 §3.4).
    verify(TEXT, "192.0.2.25").assert("sender-id", "pass", "example.org allows");
    verify(TEXT, "192.0.2.99").assert("sender-id", "fail", "forbids");
    let resent = format!("Resent-From: r@soft.example.org\r\n{TEXT}");
    verify(&resent, "192.0.2.99").assert("sender-id", "softfail", "soft.example.org");
    // A record of its own precedes it.
    let own = TEXT.replace("alice@example.org", "alice@pra.example.org");
    verify(&own, "192.0.2.25").assert("sender-id", "fail", "pra.example.org forbids");
    verify(&own, "203.0.113.1").assert("sender-id", "pass", "");
    let unpublished = TEXT.replace("alice@example.org", "alice@bare.example.org");
    verify(&unpublished, "192.0.2.25").assert("sender-id", "none", "neither");
    verify(&format!("From: b@example.org\r\n{TEXT}"), "192.0.2.25").assert("sender-id", "permerror", "several");
}

#[test]
fn iprev_wants_the_name_to_lead_back() {
    let post = Post::new();
    for (client, result, reason) in [
        ("192.0.2.25", "pass", "mail.example.org"),
        ("192.0.2.26", "fail", "another address"),
        ("192.0.2.27", "permerror", "has no name"),
        ("192.0.2.28", "permerror", "no address"),
        ("203.0.113.5", "temperror", "no answer"),
    ] {
        post.verify(TEXT, client, "a@example.org")
            .assert("iprev", result, reason);
    }
}

#[test]
fn a_server_that_is_silent_is_a_temporary_error_and_holds_nobody_up() {
    let post = Post::new();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let dns = silent.local_addr().unwrap().to_string();
    let mut command = Command::new(BINARY);
    command.args([
        "verify",
        "--json",
        "--dns",
        &dns,
        "--client-ip",
        "192.0.2.25",
        "--mail-from",
        "a@example.org",
    ]);
    let begin = Instant::now();
    let output = fed(command, post.signed("rsa", TEXT).as_bytes());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for method in ["SPF", "DKIM", "Sender-ID", "DMARC", "iprev"] {
        assert_eq!(report["summary"][method], "temperror", "{report:#}");
    }
    assert_eq!(output.status.code(), Some(1));
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn what_was_not_said_is_taken_from_the_header_and_else_refused() {
    let post = Post::new();
    let received =
        "Return-Path: <alice@example.org>\r\nReceived: from mail.example.org (mail [192.0.2.25])\r\n\tby mx\r\n";
    let output = post.run(&format!("{received}{TEXT}"), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("Note:           the client address 192.0.2.25 is that of the topmost Received"),
        "{text}"
    );
    assert!(text.contains("SPF check:          pass"), "{text}");
    for (message, more, complaint) in [
        (TEXT, &[][..], "--client-ip"),
        (TEXT, &["--client-ip", "unknown"], "--client-ip"),
        ("", &["--client-ip", "192.0.2.25"], "no message"),
        (
            "",
            &["/nonexistent/mail.eml"],
            "cannot read the message from /nonexistent/mail.eml",
        ),
    ] {
        let output = post.run(message, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(complaint) && output.stdout.is_empty(), "{said}");
    }
}

#[test]
fn no_configuration_is_read() {
    let post = Post::new();
    post.house.write("signpost.toml", "this is no configuration");
    let output = Command::new(BINARY)
        .current_dir(post.house.path(""))
        .args([
            "verify",
            "--dns",
            &post.house.address.to_string(),
            "--client-ip",
            "192.0.2.25",
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("this is no message"),
        "{output:?}"
    );
}

#[test]
fn hostile_messages_are_examined_or_refused_and_never_bring_it_down() {
    let post = Post::new();
    let many = post
        .signed("missing", TEXT)
        .split("\r\nFrom:")
        .next()
        .unwrap()
        .to_owned()
        + "\r\n";
    let messages = [
        many.repeat(50) + TEXT,
        format!(
            "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=rsa; h={}; bh=; b=\r\n{TEXT}",
            "a:".repeat(50_000)
        ),
        format!("From: {}\r\n\r\n", "<".repeat(100_000)),
        format!("From: {}@{}\r\n\r\n", "a".repeat(5000), "b.".repeat(5000)),
        "From: a@\u{0}.\u{1b}[31m\r\nDKIM-Signature:\r\nDKIM-Signature: =;=;\r\n\r\n".to_owned(),
        "Received: from\r\n".repeat(999) + TEXT,
        "a: b\r\n".repeat(5000),
        format!("{TEXT}{}", "\u{fffd}\n\r".repeat(100_000)),
    ];
    for (number, message) in messages.iter().enumerate() {
        let delivery = [
            "--client-ip",
            "2001:db8::1",
            "--helo",
            "\u{1b}]0;x",
            "--mail-from",
            "\"@\"@@..example.org",
        ];
        let output = post.run(message, &delivery);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{number}: {said}");
        assert!(!said.contains("panicked"), "{number}: {said}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{0}'), "{number}: {text}");
    }
}

#[test]
fn spamassassin_judges_if_it_is_there() {
    let post = Post::new();
    let dir = post.house.path("bin");
    fs::create_dir(&dir).unwrap();
    for (script, result) in [
        ("cat > seen; echo 1.5/5.0", "ham"),
        ("cat > seen; echo 7.5/5.0; exit 1", "spam"),
        ("cat > seen; echo 0/0", "absent"),
        ("exit 74", "absent"),
    ] {
        fake(&dir, "spamc", script);
        let mut command = Command::new(BINARY);
        command.env("PATH", format!("{}:/usr/bin:/bin", dir.display())).args([
            "verify",
            "--json",
            "--dns",
            &post.house.address.to_string(),
            "--client-ip",
            "192.0.2.25",
        ]);
        let output = fed(command, TEXT.as_bytes());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            report["summary"]["SpamAssassin"].as_str().unwrap_or("absent"),
            result,
            "{report:#}"
        );
    }
    assert_eq!(fs::read_to_string(dir.join("seen")).unwrap(), TEXT);
}

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
    // What cannot be sent now is tried again (EX_TEMPFAIL).
    fake(&dir, "sendmail", "cat > /dev/null; exit 75");
    let output = reply(TEXT, "alice@example.org");
    assert_eq!(output.status.code(), Some(75), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cannot send the report"),
        "{output:?}"
    );
}
