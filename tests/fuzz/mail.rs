//! What must hold of any message that is verified: it is refused or read, nothing of it reaches a terminal raw, and
//! the answer by mail has no header field but its own.

use signpost::verify::outcome::{Advice, Check, Method, Report, Session, Verdict};
use signpost::verify::{Message, reply, report};
use std::net::{IpAddr, Ipv4Addr};

/// The header of an answer.
const FIELDS: [&str; 9] = [
    "From",
    "To",
    "Subject",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

pub(crate) fn exercise(octets: &[u8]) {
    let Ok(message) = Message::from_octets(octets) else {
        return;
    };
    let (client_ip, helo) = message.last_hop().unwrap_or((IpAddr::V4(Ipv4Addr::LOCALHOST), None));
    let sender = message.named("Return-Path").next().map(|field| field.text());
    // Everything that comes from the message, as if each check had repeated it.
    let check = |text: String| {
        Check::new(
            Method::Dkim,
            Verdict::Fail,
            text.clone(),
            Advice::cure(text.clone(), text),
        )
    };
    let found = Report {
        session: Session {
            client_ip,
            helo: helo.unwrap_or_default(),
            mail_from: sender.unwrap_or_default(),
        },
        is_proved: true,
        notes: message.named("Subject").map(|field| field.text()).collect(),
        checks: message.fields().map(|field| check(field.text())).collect(),
    };
    let text = report::text(&found);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(text.lines().all(|line| line.len() < 998), "{text:?}");
    let Ok(mail) = reply::compose(&message, &found, Some("check-auth@example.net")) else {
        return;
    };
    let header = mail.split("\n\n").next().unwrap_or_default();
    for line in header.lines() {
        let name = line.split(':').next().unwrap_or_default();
        assert!(
            FIELDS.contains(&name) && line.is_ascii() && line.len() < 998,
            "{line:?}"
        );
    }
    assert_eq!(header.matches("\nTo: ").count(), 1, "{header:?}");
}
