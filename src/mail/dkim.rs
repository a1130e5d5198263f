//! DKIM policy and lint: the keys themselves come from the key directory.
//!
//! ```toml
//! [mail.dkim]
//! ttl = "1h"                          # of key records; default: the zone file's own, else 1h
//! domainkeys_policy = "t=y; o=-;"     # historic (RFC 4870 §3.6): a TXT at _domainkey
//! adsp = "unknown"                    # historic (RFC 5617): "unknown" "all" "discardable"
//! ```
//!
//! `[mail.dkim.rotation]` is [`Rotation`]'s.

use super::kind::{Kind, Wanted};
use super::read;
pub use super::rotation::{NewKey, Rotation, SelectorPattern};
use super::tags::{dkim_public_key, tag, tags};
use crate::finding::Finding;
use crate::name::Name;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::Decode;
use serde::{Deserialize, Deserializer};

/// `[mail.dkim]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DkimPolicy {
    /// The TTL of key records in seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub ttl: Option<u32>,
    /// The life of keys.
    #[serde(deserialize_with = "super::rotation::checked")]
    pub rotation: Rotation,
    /// The DomainKeys policy, published at `_domainkey`; historic.
    #[serde(deserialize_with = "domainkeys_policy")]
    pub domainkeys_policy: Option<String>,
    /// The ADSP, published at `_adsp._domainkey`; historic.
    pub adsp: Option<Adsp>,
}

/// What the domain says of its signing (RFC 5617 §4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adsp {
    /// Some mail is signed.
    Unknown,
    /// All mail is signed.
    All,
    /// All mail is signed; discard what is not.
    Discardable,
}

impl DkimPolicy {
    /// The historic records asked for.
    pub fn wanted(&self, apex: &Name) -> Vec<Wanted> {
        let mut wanted = vec![];
        if let (Some(text), Ok(owner)) = (&self.domainkeys_policy, apex.prefixed("_domainkey")) {
            let from = "policy [mail.dkim] domainkeys_policy";
            wanted.push(Wanted::txt(Kind::DomainKeysPolicy, owner, text, self.ttl, from));
        }
        if let (Some(adsp), Ok(owner)) = (self.adsp, apex.prefixed("_adsp._domainkey")) {
            let text = match adsp {
                Adsp::Unknown => "dkim=unknown",
                Adsp::All => "dkim=all",
                Adsp::Discardable => "dkim=discardable",
            };
            wanted.push(Wanted::txt(
                Kind::Adsp,
                owner,
                text,
                self.ttl,
                "policy [mail.dkim] adsp",
            ));
        }
        wanted
    }
}

fn domainkeys_policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let known = |(name, _): (&str, &str)| matches!(name, "t" | "o" | "r" | "n");
    match text.is_ascii() && tags(&text).all(known) && tags(&text).any(|(name, _)| name != "n") {
        true => Ok(Some(text)),
        false => Err(serde::de::Error::custom(
            "a DomainKeys policy is a list of the tags t, o, r and n, as in \"t=y; o=-;\" (RFC 4870 §3.6)",
        )),
    }
}

/// Findings about a key record that stands in a zone file (RFC 6376 §3.6.1, RFC 8301, RFC 8463).
pub fn lint(owner: &Name, text: &[u8]) -> Vec<Finding> {
    let mut findings = vec![];
    let mut warn = |code: &'static str, what: String, cure: &str| {
        findings.push(Finding::warning(code, format!("the DKIM key at {owner} {what}"), cure));
    };
    let Ok(text) = std::str::from_utf8(text) else {
        warn(
            "dkim-syntax",
            "is not text".into(),
            "put the key's file into the key directory",
        );
        return findings;
    };
    match tags(text).position(|(name, _)| name == "v") {
        Some(at) if at > 0 => warn(
            "dkim-version",
            "has `v=` behind another tag: verifiers discard it (RFC 6376 §3.6.1)".into(),
            "write `v=DKIM1;` first, or put the key's file into the key directory",
        ),
        Some(_) if tag(text, "v") != Some("DKIM1") => warn(
            "dkim-version",
            "is not of version DKIM1: verifiers discard it".into(),
            "write `v=DKIM1;` first",
        ),
        _ => {}
    }
    if let Some(hashes) = tag(text, "h") {
        let known = |hash: &str| matches!(hash.trim(), "sha256" | "sha1");
        if !hashes.split(':').all(known) {
            warn(
                "dkim-hash",
                format!("has `h={hashes}`, which is no hash: verifiers fail with \"unknown hash\" (RFC 6376 §3.6.1)"),
                "write `h=sha256`, or put the key's file into the key directory, which mends it",
            );
        } else if !hashes.split(':').any(|hash| hash.trim() == "sha256") {
            warn(
                "dkim-hash",
                format!("allows only `h={hashes}`, which nobody verifies any more (RFC 8301 §3.1)"),
                "write `h=sha256`",
            );
        }
    }
    let Some(key) = dkim_public_key(text.as_bytes()) else {
        warn(
            "dkim-no-key",
            "has no `p=`: verifiers discard it".into(),
            "write the public key behind `p=`",
        );
        return findings;
    };
    if !key.is_empty()
        && let Some((code, what, cure)) = key_fault(tag(text, "k").unwrap_or("rsa"), &key)
    {
        warn(code, what, cure);
    }
    findings
}

/// What is wrong with a key of type `k`, if anything is.
fn key_fault(k: &str, base64: &str) -> Option<(&'static str, String, &'static str)> {
    let unreadable = || {
        (
            "dkim-key-unreadable",
            format!("has a `p=` that is no {k} key"),
            "copy it again whole, or put the key's file into the key directory",
        )
    };
    let Ok(bytes) = STANDARD.decode(base64) else {
        return Some(unreadable());
    };
    match k {
        "ed25519" => (bytes.len() != 32).then(unreadable),
        "rsa" => match rsa_bits(&bytes) {
            None => Some(unreadable()),
            Some(bits @ 0..1024) => Some((
                "dkim-key-short",
                format!("has {bits} bits: verifiers must not accept fewer than 1024 (RFC 8301 §3.2)"),
                "make a new key of 2048 bits",
            )),
            Some(bits @ 1024..2048) => Some((
                "dkim-key-short",
                format!("has {bits} bits, 2048 are advised (RFC 8301 §3.2)"),
                "make a new key of 2048 bits under a new selector",
            )),
            Some(_) => None,
        },
        other => Some((
            "dkim-key-type",
            format!("is of the unknown type `k={other}`"),
            "use rsa or ed25519 (RFC 8463)",
        )),
    }
}

/// The bits of the modulus, from a SubjectPublicKeyInfo or a bare RSAPublicKey: both are found
/// (RFC 6376 §3.6.1 and its erratum 3017).
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let key = match spki::SubjectPublicKeyInfoRef::from_der(der) {
        Ok(info) => info.subject_public_key.raw_bytes(),
        Err(_) => der,
    };
    let key = pkcs1::RsaPublicKeyRef::from_der(key).ok()?;
    let modulus = key.modulus.as_bytes();
    let top = modulus.first()?;
    Some(modulus.len() * 8 - top.leading_zeros() as usize)
}
