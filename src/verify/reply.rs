//! The answer by mail: whom to send the report to, and when not to (RFC 3834 §2).
//!
//! A responder that can be made to write to third parties, or to another responder for ever, does harm. So the answer
//! goes to the envelope sender only, with an envelope sender of its own that nobody can answer (`<>`), and not at all to
//! what was not written by a person.

use super::error::VerifyError;
use super::message::Message;
use super::outcome::Report;
use super::{Delivery, report};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// RFC 5321 §4.5.3.1.3.
const MAX_ADDRESS: usize = 254;
/// The longest identifier that is repeated.
const MAX_ID: usize = 200;

/// Where the report comes from, and what takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The address in From.
    pub from: Option<String>,
    /// The program.
    pub sendmail: PathBuf,
}

/// Examines the message in `file`, or in standard input, and sends the report; returns what became of it. Whom it is
/// for is decided before anybody is asked, and a message that cannot be examined has no report: to fail would have
/// Postfix return it, whole, to a sender that may be forged.
pub fn answer(
    file: Option<&Path>,
    delivery: &Delivery,
    dns: Option<SocketAddr>,
    way: &Way,
) -> Result<String, VerifyError> {
    let none = |why: String| Ok(format!("no report is sent: {why}"));
    let examined = Message::read(file).map(Arc::new).and_then(|message| {
        let sender = delivery.sender(&message).unwrap_or_default();
        Ok(match recipient(&message, &sender) {
            Err(why) => Err(why),
            Ok(_) => {
                let report = super::verify(&message, delivery, dns)?;
                compose(&message, &report, way.from.as_deref()).map(|mail| (mail, sender))
            }
        })
    });
    match examined {
        Ok(Ok((mail, sender))) => {
            send(&mail, &way.sendmail)?;
            Ok(format!("the report is sent to {sender}"))
        }
        Ok(Err(why)) => none(why),
        Err(error) if error.is_of_message() => none(error.to_string()),
        Err(error) => Err(error),
    }
}

/// The mail to send, or why none is.
pub fn compose(message: &Message, report: &Report, from: Option<&str>) -> Result<String, String> {
    let recipient = recipient(message, &report.session.mail_from)?;
    let mut mail = String::new();
    if let Some(from) = from.filter(|from| is_address(from)) {
        mail += &format!("From: Authentication report <{from}>\n");
    }
    mail += &format!(
        "To: <{recipient}>\nSubject: Authentication report: {}\n",
        verdict(report)
    );
    let ids = message.named("Message-ID").map(|field| field.text());
    if let Some(id) = { ids }.next().filter(|id| is_id(id)) {
        mail += &format!("In-Reply-To: {id}\nReferences: {id}\n");
    }
    mail += "Auto-Submitted: auto-replied\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
             Content-Transfer-Encoding: 8bit\n\n";
    if report.is_proved {
        mail += "This is what a receiver finds in the message that you sent.\n\n";
        return Ok(mail + &report::text(report));
    }
    // It may go to somebody who has nothing to do with it: nobody is to have text of his own sent to others.
    mail += "This is what a receiver finds in a message with your address as its sender. Neither SPF nor a signature of\n\
             your domain shows that it is from you, so it is told without what others could have put into it.\n\n";
    Ok(mail + &report::own_words(report))
}

/// Hands the mail to `sendmail`, with the null envelope sender.
fn send(mail: &str, sendmail: &Path) -> Result<(), VerifyError> {
    let failed = |reason: String| VerifyError::Sendmail {
        program: sendmail.display().to_string(),
        reason,
    };
    let mut child = Command::new(sendmail)
        .args(["-i", "-f", "<>", "-t"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(mail.as_bytes()));
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    match written {
        _ if !status.success() => Err(failed(format!("it ended with {status}"))),
        Some(Err(error)) => Err(failed(error.to_string())),
        _ => Ok(()),
    }
}

fn verdict(report: &Report) -> &'static str {
    if report.all_pass() {
        "all pass"
    } else {
        "something did not pass"
    }
}

fn recipient<'r>(message: &Message, sender: &'r str) -> Result<&'r str, String> {
    if sender.is_empty() {
        return Err("the envelope sender is <>".to_owned());
    }
    if !is_address(sender) {
        return Err("the envelope sender is no plain address".to_owned());
    }
    // What is behind a plus is whom the mail was for: `l-bounces+alice=example.org@…`.
    let local = sender.split(['@', '+']).next().unwrap_or_default().to_ascii_lowercase();
    let is_program = [
        "mailer-daemon",
        "postmaster",
        "listserv",
        "majordomo",
        "noreply",
        "no-reply",
    ]
    .contains(&&*local)
        || ["owner-", "bounce"].iter().any(|begin| local.starts_with(begin))
        || ["-request", "-owner", "-bounces", "-bounce"]
            .iter()
            .any(|end| local.ends_with(end));
    if is_program {
        return Err("the envelope sender is a program or a list".to_owned());
    }
    for field in message.named("Auto-Submitted") {
        let text = field.text();
        let keyword = text.split([';', ' ', '(']).next().unwrap_or_default();
        if !keyword.eq_ignore_ascii_case("no") {
            return Err("the message was submitted by a program (Auto-Submitted)".to_owned());
        }
    }
    let bulk = |text: String| {
        ["bulk", "junk", "list"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
    };
    if message.named("Precedence").any(|field| bulk(field.text())) {
        return Err("the message is bulk mail (Precedence)".to_owned());
    }
    let list = [
        "List-Id",
        "List-Help",
        "List-Post",
        "List-Unsubscribe",
        "List-Subscribe",
        "List-Owner",
        "List-Archive",
    ];
    if message.fields().any(|field| list.iter().any(|name| field.is(name))) {
        return Err("the message came by a list (RFC 2369)".to_owned());
    }
    Ok(sender)
}

/// One address that can stand in a header and be nothing else there.
fn is_address(text: &str) -> bool {
    let sound = |part: &str, more: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    text.len() <= MAX_ADDRESS
        && text.split_once('@').is_some_and(|(local, domain)| {
            sound(local, ".!#$%&'*+-/=?^_`{|}~") && sound(domain, ".-") && !local.starts_with('-')
        })
}

fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID && text.starts_with('<') && text.ends_with('>') && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::report::tests::example;

    fn answer(header: &str, sender: &str) -> Result<String, String> {
        let message = Message::from_octets(format!("{header}From: a@example.org\n\n").as_bytes()).unwrap();
        let mut report = example();
        report.session.mail_from = sender.to_owned();
        compose(&message, &report, Some("check-auth@example.net"))
    }

    #[test]
    fn the_answer_is_an_automatic_reply_to_the_envelope_sender() {
        let mail = answer("Message-ID: <1@example.org>\n", "alice@example.org").unwrap();
        let (header, body) = mail.split_once("\n\n").unwrap();
        for line in [
            "From: Authentication report <check-auth@example.net>",
            "To: <alice@example.org>",
            "Subject: Authentication report: something did not pass",
            "In-Reply-To: <1@example.org>",
            "Auto-Submitted: auto-replied",
        ] {
            assert!(header.lines().any(|found| found == line), "{line} in {header}");
        }
        assert!(body.contains("Summary of Results"));
    }

    #[test]
    fn a_sender_that_may_be_forged_gets_no_text_of_others() {
        let message = Message::from_octets(b"From: a@example.org\n\n").unwrap();
        let mut report = example();
        report.session.helo = "buy.example.net".to_owned();
        report.checks[0].quote = Some("buy at example.net".to_owned());
        assert!(compose(&message, &report, None).unwrap().contains("buy"));
        report.is_proved = false;
        let mail = compose(&message, &report, None).unwrap();
        assert!(!mail.contains("buy") && !mail.contains("v=spf1"), "{mail}");
        assert!(mail.contains("Summary of Results") && mail.contains("Cure:"), "{mail}");
    }

    #[test]
    fn nobody_is_answered_who_did_not_write() {
        for (header, sender, why) in [
            ("", "", "<>"),
            ("Auto-Submitted: auto-generated\n", "a@example.org", "program"),
            ("Auto-Submitted: auto-replied; x=y\n", "a@example.org", "program"),
            ("Precedence: Bulk\n", "a@example.org", "bulk"),
            ("List-Id: <l.example.org>\n", "a@example.org", "list"),
            ("list-unsubscribe: <mailto:x@y>\n", "a@example.org", "list"),
            ("", "MAILER-DAEMON@example.org", "program"),
            ("", "owner-l@example.org", "list"),
            ("", "l-bounces@example.org", "list"),
            ("", "l-bounces+alice=example.net@example.org", "list"),
            ("", "bounce-17@example.org", "list"),
            ("", "Bounces+17@example.org", "list"),
        ] {
            let refused = answer(header, sender).unwrap_err();
            assert!(refused.contains(why), "{header}{sender}: {refused}");
        }
        assert!(answer("Auto-Submitted: no\nPrecedence: first-class\n", "a@example.org").is_ok());
    }

    #[test]
    fn no_header_can_be_smuggled_in() {
        for sender in [
            "a@example.org\nBcc: b@example.net",
            "a@example.org, b@example.net",
            "\"a b\"@example.org",
            "a@b@c",
            "a@example.org>",
            "-oX@example.org",
            "@example.org",
            "a@",
            "no-at",
            "é@example.org",
        ] {
            assert!(answer("", sender).is_err(), "{sender:?}");
        }
        let mail = answer("Message-ID: <1 @x>\n\tBcc: b@example.net\n", "a@example.org").unwrap();
        assert!(!mail.contains("Bcc") && !mail.contains("In-Reply-To"), "{mail}");
    }
}
