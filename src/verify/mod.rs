//! `signpost verify`: one received message, judged as its receivers judge it.
//!
//! [`message`] reads it, within limits; `resolver` asks the system's resolver or the server of `--dns`, `records` chooses
//! which records count, and `evaluate` has mail-auth judge: SPF (RFC 7208), DKIM (RFC 6376, RFC 8463), DMARC (RFC 9989),
//! iprev (RFC 8601 §3) and, of the historic ones, Sender-ID (RFC 4406) for its address (`pra`) and that there is a
//! DomainKeys signature. `reason` says why a check did not pass and what cures it. [`report`] renders what was found and
//! [`reply`] sends it to who sent the message; both are pure but for the last step. `spam` asks SpamAssassin.
//!
//! It promises: no message, and no answer from the DNS, brings it down; the DNS holds it up for [`DEADLINE`] at most, and
//! each check for a share of that, so that one slow domain does not keep the others from being told. `spamc` may take
//! 25 s more; how long sendmail takes over the report is between the operator and it.

pub mod error;
mod evaluate;
pub mod message;
pub mod outcome;
mod pra;
mod reason;
mod records;
pub mod reply;
pub mod report;
pub mod resolver;
mod spam;

pub use error::VerifyError;
pub use message::Message;
pub use outcome::{Report, Session};

use resolver::Dns;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long all checks together may wait for the DNS.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What the operator says of the delivery; what is missing is taken from the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The address that delivered it.
    pub client_ip: Option<IpAddr>,
    /// The name that it gave.
    pub helo: Option<String>,
    /// The envelope sender.
    pub mail_from: Option<String>,
}

/// Examines a message; `dns` is whom to ask instead of the system's resolver.
pub fn verify(message: &Arc<Message>, delivery: &Delivery, dns: Option<SocketAddr>) -> Result<Report, VerifyError> {
    let (session, mut notes) = delivery.complete(message)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| VerifyError::Resolver(error.to_string()))?;
    let (delivered, examined) = (session.clone(), Arc::clone(message));
    // A task of its own, for a panic over a hostile message ends there.
    let evaluation = async move {
        let dns = Dns::new(dns)?;
        tokio::time::timeout(DEADLINE, evaluate::evaluate(&dns, &examined, &delivered))
            .await
            .map_err(|_| VerifyError::TooSlow(DEADLINE.as_secs()))?
    };
    let evaluate::Evaluation {
        mut checks,
        notes: more,
        is_proved,
    } = runtime
        .block_on(async { tokio::spawn(evaluation).await })
        .map_err(|error| VerifyError::Broken(error.to_string()))??;
    notes.extend(more);
    match spam::judge(message) {
        spam::Judgement::Check(check) => checks.push(check),
        spam::Judgement::Note(note) => notes.push(note),
        spam::Judgement::Absent => {}
    }
    Ok(Report {
        session,
        is_proved,
        notes,
        checks,
    })
}

impl Delivery {
    /// The envelope sender, without `<` and `>`: the one that was said, else that of the header.
    fn sender(&self, message: &Message) -> Option<String> {
        let written = || Some(message.named("Return-Path").next()?.text());
        let sender = self.mail_from.clone().or_else(written)?;
        Some(bare(&sender))
    }

    /// Fills in what was not said.
    fn complete(&self, message: &Message) -> Result<(Session, Vec<String>), VerifyError> {
        let mut notes = Vec::new();
        let hop = message.last_hop();
        let client_ip = match (self.client_ip, &hop) {
            (Some(address), _) => address.to_canonical(),
            (None, Some((address, _))) => {
                notes.push(format!(
                    "the client address {address} is that of the topmost Received field"
                ));
                *address
            }
            (None, None) => return Err(VerifyError::NoClient),
        };
        // The name in the header was said by the client of the header, not by another.
        let said_there = hop
            .filter(|(address, _)| *address == client_ip)
            .and_then(|(_, name)| name);
        let said = self.helo.as_ref().filter(|name| !name.is_empty());
        let helo = match (said, said_there) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => {
                notes.push(format!("the HELO name {name} is that of the topmost Received field"));
                name
            }
            (None, None) => {
                notes.push("the HELO name is not known".to_owned());
                "unknown".to_owned()
            }
        };
        let mail_from = match self.sender(message) {
            Some(sender) if self.mail_from.is_some() => sender,
            Some(sender) => {
                notes.push(format!(
                    "the envelope sender <{sender}> is that of the field Return-Path"
                ));
                sender
            }
            None => {
                notes.push("no --mail-from and no Return-Path: the envelope sender is taken to be <>".to_owned());
                String::new()
            }
        };
        let session = Session {
            client_ip,
            helo: helo.trim_end_matches('.').to_owned(),
            mail_from,
        };
        Ok((session, notes))
    }
}

fn bare(sender: &str) -> String {
    let sender = sender.trim();
    let inside = sender.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inside.unwrap_or(sender).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_said_is_taken_from_the_message_and_told() {
        let text = "Return-Path: <a@example.org>\nReceived: from h.example.org (h [192.0.2.1]) by mx\nFrom: a@x\n\n";
        let message = Message::from_octets(text.as_bytes()).unwrap();
        let (session, notes) = Delivery::default().complete(&message).unwrap();
        assert_eq!(
            (
                session.client_ip.to_string().as_str(),
                session.helo.as_str(),
                session.mail_from.as_str()
            ),
            ("192.0.2.1", "h.example.org", "a@example.org")
        );
        assert_eq!(notes.len(), 3);
        let said = Delivery {
            client_ip: Some("::ffff:192.0.2.9".parse().unwrap()),
            helo: Some(String::new()),
            mail_from: Some("<>".to_owned()),
        };
        let (session, notes) = said.complete(&message).unwrap();
        assert_eq!(session.client_ip.to_string(), "192.0.2.9");
        assert_eq!((session.helo.as_str(), session.mail_from.as_str()), ("unknown", ""));
        assert_eq!(notes, ["the HELO name is not known"]);
        assert_eq!(session.domain(), "unknown");
    }

    #[test]
    fn without_any_address_nothing_is_guessed() {
        let message = Message::from_octets(b"From: a@example.org\n\n").unwrap();
        assert!(matches!(
            Delivery::default().complete(&message),
            Err(VerifyError::NoClient)
        ));
    }
}
