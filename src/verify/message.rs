//! The message under examination: read within limits, its header fields taken apart (RFC 5322 §2.2).
//!
//! A message comes from anybody. Its size and that of its header are bounded before anything else looks at it, and what
//! is read here is never trusted to be well formed.

use super::error::VerifyError;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::Path;

/// Postfix takes 10 MB unless told otherwise (message_size_limit); hardly anybody says more than five times that.
pub const MAX_MESSAGE: u64 = 50 * 1024 * 1024;
/// More than relays, filters and signers leave behind. Postfix bounds each field (header_size_limit), not the header.
pub const MAX_HEADER: usize = 256 * 1024;
/// More fields than any chain of relays leaves behind.
pub const MAX_FIELDS: usize = 1000;

/// A message with CRLF at the end of its lines, as it was on the wire.
#[derive(Debug, Clone)]
pub struct Message {
    octets: Vec<u8>,
}

/// One header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'m> {
    name: &'m [u8],
    value: &'m [u8],
}

impl Message {
    /// Reads a file, or standard input.
    pub fn read(file: Option<&Path>) -> Result<Self, VerifyError> {
        let unreadable = |error: io::Error| VerifyError::Unreadable {
            source_name: file.map_or("standard input".to_owned(), |path| path.display().to_string()),
            error,
        };
        let mut octets = Vec::new();
        let most = MAX_MESSAGE + 1;
        match file {
            Some(path) => File::open(path).and_then(|file| file.take(most).read_to_end(&mut octets)),
            None => io::stdin().lock().take(most).read_to_end(&mut octets),
        }
        .map_err(unreadable)?;
        Self::from_octets(&octets)
    }

    /// Takes a message as files and pipes have it: with or without CR, perhaps behind the line `From ` of a mailbox.
    pub fn from_octets(octets: &[u8]) -> Result<Self, VerifyError> {
        if octets.len() as u64 > MAX_MESSAGE {
            return Err(VerifyError::TooLarge);
        }
        let octets = match octets.iter().position(|octet| *octet == b'\n') {
            Some(end) if octets.starts_with(b"From ") => octets.get(end + 1..).unwrap_or_default(),
            _ => octets,
        };
        let message = Self {
            octets: with_crlf(octets),
        };
        message.judge()?;
        Ok(message)
    }

    fn judge(&self) -> Result<(), VerifyError> {
        let header = self
            .octets
            .windows(4)
            .take(MAX_HEADER + 1)
            .position(|octets| octets == b"\r\n\r\n")
            .unwrap_or(self.octets.len());
        if header > MAX_HEADER {
            return Err(VerifyError::HeaderTooLarge);
        }
        match self.fields().take(MAX_FIELDS + 1).count() {
            0 => Err(VerifyError::NoHeader),
            count if count > MAX_FIELDS => Err(VerifyError::HeaderTooLarge),
            _ => Ok(()),
        }
    }

    /// The whole of it.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The header fields in their order; lines that are none are passed over.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let mut rest = self.octets.as_slice();
        std::iter::from_fn(move || {
            loop {
                let (line, behind) = logical_line(rest)?;
                rest = behind;
                if let Some(colon) = line.iter().position(|octet| *octet == b':') {
                    let (name, value) = line.split_at(colon);
                    return Some(Field {
                        name: name.trim_ascii(),
                        value: value.get(1..).unwrap_or_default(),
                    });
                }
            }
        })
    }

    /// The fields of this name.
    pub fn named<'m>(&'m self, name: &'m str) -> impl Iterator<Item = Field<'m>> {
        self.fields().filter(move |field| field.is(name))
    }

    /// Where the topmost Received field says the message came from, and the name that was said there.
    pub fn last_hop(&self) -> Option<(IpAddr, Option<String>)> {
        received_from(&self.named("Received").next()?.text())
    }
}

impl<'m> Field<'m> {
    /// Is it a field of this name?
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line, without the space around it.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.value);
        text.replace("\r\n", "").trim().to_owned()
    }
}

/// A line with its continuations, without the last CRLF, and what is behind; nothing at the end of the header.
fn logical_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.is_empty() || text.starts_with(b"\r\n") {
        return None;
    }
    let mut from = 0;
    loop {
        let found = text.get(from..)?.windows(2).position(|octets| octets == b"\r\n");
        let Some(end) = found.map(|position| from + position) else {
            return Some((text, &[]));
        };
        match text.get(end + 2) {
            Some(b' ' | b'\t') => from = end + 2,
            _ => return Some((text.get(..end)?, text.get(end + 2..)?)),
        }
    }
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 40);
    let mut last = 0;
    for octet in octets {
        if *octet == b'\n' && last != b'\r' {
            out.push(b'\r');
        }
        out.push(*octet);
        last = *octet;
    }
    out
}

/// `from NAME (… [ADDRESS]) by …` (RFC 5321 §4.4), as Postfix, Exim and Sendmail write it.
fn received_from(text: &str) -> Option<(IpAddr, Option<String>)> {
    let from = text.strip_prefix("from ")?;
    let from = from.split(" by ").next()?;
    let address = from
        .split('[')
        .skip(1)
        .filter_map(|piece| piece.split_once(']'))
        .find_map(|(inside, _)| address(inside))?;
    let name = from
        .split_whitespace()
        .next()
        .filter(|name| !name.starts_with(['[', '(']));
    Some((address, name.map(str::to_owned)))
}

/// An address as headers and Postfix write it, with or without the tag `IPv6:` (RFC 5321 §4.1.3).
pub fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let text = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => text.get(5..)?,
        _ => text,
    };
    let address: IpAddr = text.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::from_octets(text.as_bytes()).unwrap()
    }

    #[test]
    fn fields_are_unfolded_and_end_with_the_empty_line() {
        let read =
            message("From x@y Mon Nov 16\nFrom: a@example.org\nSubject: one\n two\n\tthree\nno field\n\nTo: body\n");
        let fields: Vec<String> = read.fields().map(|field| field.text()).collect();
        assert_eq!(fields, ["a@example.org", "one two\tthree"]);
        assert!(read.named("subject").next().is_some());
        assert!(read.octets().starts_with(b"From: a@example.org\r\nSubject"));
        assert_eq!(read.octets().iter().filter(|octet| **octet == b'\r').count(), 7);
    }

    #[test]
    fn the_last_hop_is_that_of_the_topmost_received_field() {
        for (text, expected) in [
            (
                "from mail.example.org (mail.example.org [192.0.2.25])\n\tby mx",
                Some(("192.0.2.25", Some("mail.example.org"))),
            ),
            (
                "from h (unknown [IPv6:2001:db8::1]) by mx",
                Some(("2001:db8::1", Some("h"))),
            ),
            ("from [192.0.2.1] (helo=h) by mx", Some(("192.0.2.1", None))),
            ("from h ([::ffff:192.0.2.9]) by mx", Some(("192.0.2.9", Some("h")))),
            ("by mx (Postfix, from userid 0) id 1", None),
            ("from h (unknown [garbage]) by mx [192.0.2.1]", None),
        ] {
            let read = message(&format!("Received: {text}\nReceived: from x ([203.0.113.1]) by y\n\n"));
            let found = read.last_hop();
            let found = found
                .as_ref()
                .map(|(address, name)| (address.to_string(), name.as_deref()));
            let found = found.as_ref().map(|(address, name)| (address.as_str(), *name));
            assert_eq!(found, expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(octets: Vec<u8>, text in "(From|Received|X)?[: \\[\\]\r\n\ta-z.@<>0-9]{0,80}") {
            for octets in [octets.as_slice(), text.as_bytes()] {
                if let Ok(read) = Message::from_octets(octets) {
                    let _ = read.last_hop();
                    let _ = crate::verify::pra::responsible(&read);
                    proptest::prop_assert!(read.fields().all(|field| !field.text().contains("\r\n")));
                    let _ = mail_auth::AuthenticatedMessage::parse(read.octets());
                }
            }
        }
    }

    #[test]
    fn hostile_sizes_are_refused() {
        let refused = |octets: Vec<u8>| Message::from_octets(&octets).unwrap_err().to_string();
        assert!(refused(vec![]).contains("no header"));
        assert!(refused(b"\n\nbody".to_vec()).contains("no header"));
        assert!(refused(vec![b'a'; MAX_MESSAGE as usize + 1]).contains("50 MiB"));
        assert!(refused(format!("A: {}\n\n", "b".repeat(MAX_HEADER)).into_bytes()).contains("header"));
        assert!(refused("A: b\n".repeat(MAX_FIELDS + 1).into_bytes()).contains("header"));
        assert!(Message::from_octets(format!("A: b\n\n{}", "b".repeat(MAX_HEADER)).as_bytes()).is_ok());
    }
}
