//! A message for each outcome of each check.

use crate::common::peers::{self, ZoneOf};
use crate::common::signpost::BINARY;
use crate::common::wait_for;
use crate::common::wire::name;
use crate::support::{Found, Post, TEXT, fed};
use mail_auth::common::crypto::{RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{DkimSigner, Done};
use serde_json::Value;
use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

/// `signpost verify` with that server asked, of a message from the domain's own host.
fn verify_by(dns: &str, sender: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args([
        "verify",
        "--json",
        "--dns",
        dns,
        "--client-ip",
        "192.0.2.25",
        "--mail-from",
        sender,
    ]);
    command
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
        (
            mail,
            "a@hollow.example.org",
            "permerror",
            "no SPF record at bare.example.org., which",
        ),
        (mail, "a@endless.example.org", "permerror", "more than ten lookups"),
        (mail, "a@crowd.example.org", "permerror", "more than ten names of an MX"),
        (mail, "a@forbids.example.org", "fail", "forbids 192.0.2.25"),
        (
            mail,
            "a@perhaps.example.org",
            "softfail",
            "probably none of its hosts (~)",
        ),
        (
            stranger,
            "a@says.example.org",
            "fail",
            "(-all), and says: 192.0.2.99 is none of ours",
        ),
        // Signpost has no part in that zone, and nobody else is asked.
        (mail, "a@elsewhere.test", "temperror", "refuses"),
    ] {
        let found = post.verify(TEXT, client, sender);
        found.assert("spf", result, reason);
    }
    // RFC 7208 §5.2 has it neutral.
    let nested = post.verify(TEXT, mail, "a@nested.example.org").report["notes"].to_string();
    assert!(
        nested.contains("the record at chain.example.org. is brought in by an include that is not +"),
        "{nested}"
    );
}

/// Answers each question for a name below `slow.test` the second time, late, with a record that brings in the next;
/// there is nothing else.
fn slow_server() -> UdpSocket {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = server.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut seen = std::collections::BTreeSet::new();
        let mut buffer = [0; 512];
        while let Ok((len, client)) = socket.recv_from(&mut buffer) {
            let query = &buffer[..len];
            let end = 12 + query[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
            let question = query[12..end].to_vec();
            let labels = String::from_utf8_lossy(&question).to_ascii_lowercase();
            let number = labels
                .strip_prefix("\u{2}s")
                .and_then(|rest| rest.split_once("\u{4}slow"));
            let number: Option<u8> = number.and_then(|(number, _)| number.parse().ok());
            let header = |code: u8, answers: u8| [&query[..2], &[0x84, code, 0, 1, 0, answers, 0, 0, 0, 0]].concat();
            let Some(number) = number else {
                let _gone = socket.send_to(&[header(3, 0), question].concat(), client);
                continue;
            };
            if seen.insert(number) {
                continue;
            }
            let text = format!("v=spf1 include:s{}.slow.test -all", number + 1);
            let len = text.len() as u8;
            let record = [
                &[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 9, 0, len + 1, len][..],
                text.as_bytes(),
            ]
            .concat();
            let reply = [header(0, 1), question, record].concat();
            let socket = socket.try_clone().unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(1500));
                let _gone = socket.send_to(&reply, client);
            });
        }
    });
    server
}

#[test]
fn a_slow_domain_loses_its_own_check_alone() {
    let server = slow_server();
    let dns = server.local_addr().unwrap().to_string();
    let begin = Instant::now();
    let output = fed(verify_by(&dns, "a@s1.slow.test"), TEXT.as_bytes());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["summary"]["SPF"], "temperror", "{report:#}");
    for (method, result) in [
        ("DKIM", "none"),
        ("Sender-ID", "none"),
        ("DMARC", "none"),
        ("iprev", "permerror"),
    ] {
        assert_eq!(report["summary"][method], result, "{report:#}");
    }
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
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
    verify(&post.signed("garbage", TEXT)).assert("dkim", "permerror", "or its p= cannot be read");
    verify(&post.signed("dsa", TEXT)).assert("dkim", "permerror", "unknown type (k=)");
    verify(&signed.replace("c=relaxed/relaxed", "c=odd/odd")).assert("dkim", "neutral", "not one of DKIM");
    let sign = |signer: DkimSigner<RsaKey<Sha256>, Done>| signer.sign(TEXT.as_bytes()).unwrap().to_header() + TEXT;
    let short = sign(post.signer("rsa").expiration(1));
    let expired = wait_for("the signature to expire", || {
        let found = verify(&short);
        (found.summary("DKIM") != "pass").then_some(found)
    });
    expired.assert("dkim", "neutral", "expired (x=)");
    let elsewhere = post.signer("rsa").agent_user_identifier("a@elsewhere.test");
    verify(&sign(elsewhere)).assert("dkim", "fail", "i= is not in the domain d=");
    verify(&sign(post.signer("rsa").body_length(true))).assert("dkim", "neutral", "(l=)");
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
    let by = |author: &str| TEXT.replace("alice@example.org", author);
    verify(&by("a@strict.example.org"), "alice@example.org").assert("dmarc", "fail", "none is aligned with strict");
    verify(&by("a@typo.example.org"), "alice@example.org").assert("dmarc", "permerror", "cannot be understood");
    verify(&by("a@hollow.example.org"), "alice@example.org").assert("dmarc", "none", "hollow.example.org. has no p=");
    let authors = TEXT.replace("<alice@example.org>", "<alice@example.org>, <bob@other.test>");
    verify(&authors, "alice@example.org").assert("dmarc", "none", "several domains");
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
    let dns = bind.address.to_string();
    let command = verify_by(&dns, "a@two.test");
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
    let command = verify_by(&dns, "a@example.org");
    let begin = Instant::now();
    let output = fed(command, post.signed("rsa", TEXT).as_bytes());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for method in ["SPF", "DKIM", "Sender-ID", "DMARC", "iprev"] {
        assert_eq!(report["summary"][method], "temperror", "{report:#}");
    }
    assert_eq!(output.status.code(), Some(1));
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}
