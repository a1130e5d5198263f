//! Who is responsible for a message, by its header: the purported responsible address (RFC 4407 §2).

use super::message::{Field, Message};
use super::outcome::Advice;
use mail_auth::AuthenticatedMessage;

/// The field that decides and the address in it; the advice if there is none.
pub(super) fn responsible(message: &Message) -> Result<(&'static str, String), Advice> {
    let (name, field) = decisive(message)?;
    match <[String; 1]>::try_from(mailboxes(&field.text())) {
        Ok([address]) if address.contains('@') => Ok((name, address)),
        Ok(_) | Err(_) => Err(Advice::cure(
            format!("nobody is responsible for the message: {name} is not one address (RFC 4407 §2)"),
            format!("write one address into {name}"),
        )),
    }
}

fn decisive(message: &Message) -> Result<(&'static str, Field<'_>), Advice> {
    let filled = |name: &'static str| message.named(name).filter(|field| !field.text().is_empty());
    if let Some(field) = resent_sender(message) {
        return Ok(("Resent-Sender", field));
    }
    if let Some(field) = filled("Resent-From").next() {
        return Ok(("Resent-From", field));
    }
    for name in ["Sender", "From"] {
        let mut fields = filled(name);
        match (fields.next(), fields.next()) {
            (Some(field), None) => return Ok((name, field)),
            (Some(_), Some(_)) => {
                return Err(Advice::cure(
                    format!("nobody is responsible for the message: it has several fields {name} (RFC 4407 §2)"),
                    format!("send with one {name} (RFC 5322 §3.6)"),
                ));
            }
            (None, _) => {}
        }
    }
    Err(Advice::cure(
        "nobody is responsible for the message: it has no From (RFC 4407 §2)",
        "send with a From (RFC 5322 §3.6)",
    ))
}

/// The first Resent-Sender, unless it belongs to an older resending than a Resent-From above it (RFC 4407 §2, step 1).
fn resent_sender(message: &Message) -> Option<Field<'_>> {
    let mut resent_from = false;
    let mut traced = false;
    for field in message.fields() {
        if field.is("Resent-Sender") && !field.text().is_empty() {
            return (!traced).then_some(field);
        }
        if field.is("Resent-From") && !field.text().is_empty() {
            resent_from = true;
        }
        traced |= resent_from && (field.is("Received") || field.is("Return-Path"));
    }
    None
}

/// The addresses of a field, as mail-auth reads those of From.
fn mailboxes(value: &str) -> Vec<String> {
    let field = format!("From: {value}\r\n\r\n");
    AuthenticatedMessage::parse(field.as_bytes()).map_or(vec![], |parsed| parsed.froms().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pra(header: &str) -> Result<(&'static str, String), String> {
        let message = Message::from_octets(header.as_bytes()).unwrap();
        responsible(&message).map_err(|advice| advice.reason)
    }

    #[test]
    fn the_latest_resender_then_the_sender_then_the_author() {
        for (header, field, address) in [
            ("From: A <a@x.org>\n", "From", "a@x.org"),
            ("From: a@x.org, b@x.org\nSender: s@x.org\n", "Sender", "s@x.org"),
            (
                "Sender: s@x.org\nResent-From: r@x.org\nFrom: a@x.org\n",
                "Resent-From",
                "r@x.org",
            ),
            (
                "Resent-From: r@x.org\nResent-Sender: q@x.org\nFrom: a@x.org\n",
                "Resent-Sender",
                "q@x.org",
            ),
            (
                "Resent-From: r@x.org\nReceived: from h\nResent-Sender: old@x.org\nFrom: a@x.org\n",
                "Resent-From",
                "r@x.org",
            ),
            ("Sender:\nFrom: a@x.org\n", "From", "a@x.org"),
        ] {
            assert_eq!(pra(header).unwrap(), (field, address.to_owned()), "{header}");
        }
    }

    #[test]
    fn an_ill_formed_header_has_nobody() {
        for (header, reason) in [
            ("To: a@x.org\n", "no From"),
            ("From: a@x.org\nFrom: b@x.org\n", "several fields From"),
            ("From: a@x.org, b@x.org\n", "From is not one address"),
            ("From: nobody\n", "From is not one address"),
        ] {
            assert!(pra(header).unwrap_err().contains(reason), "{header}");
        }
    }
}
