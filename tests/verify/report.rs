//! What is printed, what is asked of the operator, and what hostile messages do: nothing.

use crate::common::signpost::BINARY;
use crate::support::{Post, TEXT, fake, fed};
use serde_json::Value;
use std::fs;
use std::process::{Command, Stdio};

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
        (TEXT, &["--reply", "--mail-from", "alice@example.org"], "--client-ip"),
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
        "DKIM-Signature: v=1; nonsense\r\n".repeat(900) + TEXT,
        "Received: from\r\n".repeat(999) + TEXT,
        "\u{e9}:\r\n:\r\n \r\n\r\n".to_owned(),
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
        assert!(text.matches("DKIM check details").count() <= 20, "{number}: {text}");
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
