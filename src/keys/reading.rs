//! The content of one file, read by what its name promises.

use super::fault::Fault;
use super::layout::Kind;
use super::material::{self, MAX_KEY_FILE_OCTETS};
use super::public::{self, Half, PublicKey};
use super::text::{self, KeyText};
use crate::finding::Finding;
use zeroize::Zeroizing;

/// What a file holds, as far as it matters: public halves only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// A key, and which half of it stood in the file.
    Key(PublicKey, Half),
    /// A record.
    Text(KeyText),
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expectation<'a> {
    /// What its name promises.
    pub(super) kind: Kind,
    /// Its stem, to choose among several records.
    pub(super) stem: &'a str,
    /// It is named or placed like a key, so that other content deserves a word.
    pub(super) is_meant: bool,
}

/// Reads `content`. `None`: it is a foreign file, of no interest. Findings have no place yet.
pub(super) fn read(content: &[u8], expected: Expectation<'_>) -> Result<Option<(Reading, Vec<Finding>)>, Fault> {
    match classify_content(content, expected) {
        // A record that was good and is now a piece of a line: its `p=` is still to come.
        Ok(None) if expected.is_meant && expected.kind == Kind::Text && !content.ends_with(b"\n") => {
            Err(Fault::Unfinished)
        }
        Ok(None) if expected.is_meant => Err(Fault::Garbage("it is neither PEM nor DER nor a DKIM record")),
        Err(Fault::Garbage(_)) if !expected.is_meant => Ok(None),
        Err(_) if expected.kind == Kind::Ignored => Ok(None),
        other => other,
    }
}

fn classify_content(content: &[u8], expected: Expectation<'_>) -> Result<Option<(Reading, Vec<Finding>)>, Fault> {
    if content.len() > MAX_KEY_FILE_OCTETS {
        return Err(Fault::Garbage("it is larger than 256 KiB"));
    }
    let mut store = Zeroizing::new(vec![]);
    let content = material::plain(content, &mut store);
    if content.trim_ascii().is_empty() {
        return Err(Fault::Unfinished);
    }
    if material::looks_like_pem(content) {
        return Ok(Some(key(material::from_pem(content)?, expected.kind)));
    }
    if looks_like_der(content) {
        return Ok(Some(key(public::from_der(content)?, expected.kind)));
    }
    // Before the text, whose reader keeps copies: this may be a private key out of place.
    if let Some(found) = from_bare_base64(content, expected.kind)? {
        return Ok(Some(key(found, expected.kind)));
    }
    if !matches!(expected.kind, Kind::Text | Kind::Public) {
        return Ok(None);
    }
    let ssh = [&b"ssh-"[..], b"ecdsa-", b"sk-"];
    if ssh.iter().any(|prefix| content.starts_with(prefix)) {
        return Err(Fault::OpenSshPublic);
    }
    let read = text::read(content, expected.stem)?;
    Ok(read.map(|(text, findings)| (Reading::Text(text), findings)))
}

fn key((key, half): (PublicKey, Half), kind: Kind) -> (Reading, Vec<Finding>) {
    let mut findings = vec![];
    if half == Half::Public && kind == Kind::Private {
        findings.push(Finding::warning(
            "key-public-half",
            "holds only the public half of a key where the private key belongs; it is published, but nobody can sign with it",
            "put the private key back, or rename the file so that it ends in .pub",
        ));
    }
    (Reading::Key(key, half), findings)
}

/// A SEQUENCE with a long length, or a short one with octets in it that no text has.
fn looks_like_der(content: &[u8]) -> bool {
    match content {
        [0x30, 0x81..=0x83, ..] => true,
        [0x30, 0x00..=0x7f, rest @ ..] => rest.iter().any(|octet| !octet.is_ascii() || *octet < 0x07),
        _ => false,
    }
}

/// Base64 without PEM around it: DER of any key; in a private file rspamadm's Ed25519 (the seed, or
/// the seed and the public half behind it); in a public file the 32 octets of `p=`.
fn from_bare_base64(content: &[u8], kind: Kind) -> Result<Option<(PublicKey, Half)>, Fault> {
    let Some(octets) = material::decode_base64(&[content]) else {
        return Ok(None);
    };
    match (octets.len(), kind) {
        (32, Kind::Public) => Ok(Some((PublicKey::from_ed25519_octets(&octets)?, Half::Public))),
        (32 | 64, Kind::Private) => {
            let (seed, public) = octets.split_at(32);
            let key = PublicKey::from_ed25519_seed(seed)?;
            if !public.is_empty() && PublicKey::from_ed25519_octets(public)? != key {
                return Err(Fault::Damaged(
                    "the public half written in it does not belong to its private half",
                ));
            }
            Ok(Some((key, Half::Private)))
        }
        _ if looks_like_der(&octets) => public::from_der(&octets).map(Some),
        _ => Ok(None),
    }
}
