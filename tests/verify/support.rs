//! A Signpost with zones to verify by, and messages signed for them by mail-auth.

use crate::common::keys;
use crate::common::signpost::{BINARY, House};
use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{DkimSigner, Done};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
hollow   IN TXT \"v=spf1 include:bare.example.org -all\"
chain    IN TXT \"v=spf1 include:example.org -all\"
forbids  IN TXT \"v=spf1 -ip4:192.0.2.25 +all\"
perhaps  IN TXT \"v=spf1 ~ip4:192.0.2.25 -all\"
says     IN TXT \"v=spf1 -all exp=why.example.org\"
why      IN TXT \"%{i} is none of ours\"
crowd    IN TXT \"v=spf1 mx -all\"
crowd    IN MX 10 m1
crowd    IN MX 10 m2
crowd    IN MX 10 m3
crowd    IN MX 10 m4
crowd    IN MX 10 m5
crowd    IN MX 10 m6
crowd    IN MX 10 m7
crowd    IN MX 10 m8
crowd    IN MX 10 m9
crowd    IN MX 10 m10
crowd    IN MX 10 m11
nested   IN TXT \"v=spf1 ?include:chain.example.org -all\"
_dmarc.typo    IN TXT \"v=DMARC1; p=rejct\"
_dmarc.hollow  IN TXT \"v=DMARC1; adkim=s\"
_dmarc.strict  IN TXT \"v=DMARC1; p=reject; adkim=s; aspf=s\"
pra      IN TXT \"v=spf1 mx:example.org -all\"
         IN TXT \"spf2.0/pra ip4:203.0.113.1 -all\"
revoked._domainkey IN TXT \"v=DKIM1; k=rsa; p=\"
garbage._domainkey IN TXT \"v=DKIM1; k=rsa; p=!!!!\"
dsa._domainkey     IN TXT \"v=DKIM1; k=dsa; p=AAAA\"
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

pub(super) const TEXT: &str = "From: Alice <alice@example.org>\r\nTo: check-auth@example.net\r\nSubject: a test\r\n\
                    Date: Mon, 16 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello,\r\n\r\nAlice\r\n";

/// A Signpost with those zones and two keys, and what signs with them.
pub(super) struct Post {
    pub(super) house: House,
    rsa: String,
    ed25519: String,
}

/// What was found, as JSON, with the exit code.
pub(super) struct Found {
    pub(super) code: Option<i32>,
    pub(super) report: Value,
}

impl Post {
    pub(super) fn new() -> Self {
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
    pub(super) fn signed(&self, selector: &str, text: &str) -> String {
        self.signer(selector).sign(text.as_bytes()).unwrap().to_header() + text
    }

    /// What signs by RSA, for tests that sign otherwise.
    pub(super) fn signer(&self, selector: &str) -> DkimSigner<RsaKey<Sha256>, Done> {
        let key = PrivateKeyDer::from_pem_slice(self.rsa.as_bytes()).unwrap();
        let signer = DkimSigner::from_key(RsaKey::<Sha256>::from_key_der(key).unwrap());
        signer
            .domain("example.org")
            .selector(selector)
            .headers(["From", "To", "Subject"])
    }

    /// The message with a signature by Ed25519 on top.
    pub(super) fn signed_ed25519(&self, text: &str) -> String {
        let key = PrivateKeyDer::from_pem_slice(self.ed25519.as_bytes()).unwrap();
        let key = Ed25519Key::from_pkcs8_maybe_unchecked_der(key.secret_der()).unwrap();
        let signer = DkimSigner::from_key(key)
            .domain("example.org")
            .selector("ed")
            .headers(["From", "Subject"]);
        signer.sign(text.as_bytes()).unwrap().to_header() + text
    }

    pub(super) fn run(&self, message: &str, more: &[&str]) -> Output {
        let dns = self.house.address.to_string();
        let mut command = Command::new(BINARY);
        // Whether spamc is installed here is none of most tests' business.
        command.env("PATH", "/nonexistent");
        command.arg("verify").args(["--dns", &dns]).args(more);
        fed(command, message.as_bytes())
    }

    /// Verifies what 192.0.2.25 brings from `sender`, unless `more` says otherwise.
    pub(super) fn verify(&self, message: &str, client: &str, sender: &str) -> Found {
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
    pub(super) fn summary(&self, method: &str) -> &str {
        self.report["summary"][method].as_str().unwrap_or("absent")
    }

    /// Asserts that one of the checks of `method` has this result, this reason and, unless it passed, a cure.
    pub(super) fn assert(&self, method: &str, result: &str, reason: &str) {
        let checks = self.report["checks"].as_array().unwrap();
        let matching = checks.iter().any(|check| {
            check["check"] == method
                && check["result"] == result
                && told(check).contains(reason)
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

/// The reason with what it quotes, as the report for people has it.
fn told(check: &Value) -> String {
    let own = check["reason"].as_str().unwrap();
    check["quote"]
        .as_str()
        .map_or(own.to_owned(), |quote| format!("{own}: {quote}"))
}

pub(super) fn fed(mut command: Command, message: &[u8]) -> Output {
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
pub(super) fn fake(dir: &Path, name: &str, script: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(
        &path,
        format!(
            "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/bin\ncd {}\n{script}\n",
            dir.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}
