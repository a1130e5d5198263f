//! Sender-ID (RFC 4406, historic): off unless the policy asks.
//!
//! ```toml
//! [mail.sender_id]
//! record = "spf2.0/pra ip4:192.0.2.1 mx -all"   # or "auto": the apex SPF under spf2.0/pra
//! ttl = "1h"
//! ```

use super::kind::{Kind, Wanted};
use super::read::{self, Short};
use super::spf::syntax;
use crate::finding::Finding;
use crate::name::Name;
use serde::{Deserialize, Deserializer};

/// `[mail.sender_id]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SenderIdPolicy {
    /// The whole record, or `auto`; `None` or empty composes nothing.
    #[serde(deserialize_with = "record")]
    pub record: Option<String>,
    /// The TTL in seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub ttl: Option<u32>,
}

impl SenderIdPolicy {
    /// The record asked for at the apex; `spf` is the text of the apex SPF, for `auto`.
    pub fn wanted(&self, apex: &Name, spf: Option<&str>, findings: &mut Vec<Finding>) -> Option<Wanted> {
        let (text, from) = match self.record.as_deref()? {
            "" => return None,
            "auto" => match spf.and_then(|spf| spf.get("v=spf1".len()..)) {
                Some(terms) => (
                    format!("spf2.0/pra{terms}"),
                    "policy [mail.sender_id] auto, from the SPF",
                ),
                None => {
                    findings.push(Finding::warning(
                        "sender-id-no-spf",
                        format!("[mail.sender_id] auto is left out of {apex}: there is no SPF to take it from"),
                        "configure [mail.spf], or write the whole record",
                    ));
                    return None;
                }
            },
            record => (record.to_owned(), "policy [mail.sender_id] record"),
        };
        Some(Wanted::txt(Kind::SenderId, apex.clone(), &text, self.ttl, from))
    }
}

impl Short for SenderIdPolicy {
    fn from_short(text: &str) -> Result<Self, String> {
        Ok(Self {
            record: Some(check(text)?),
            ttl: None,
        })
    }
}

/// `spf2.0/scope[,scope]` and the terms of SPF (RFC 4406 §3.1).
fn check(text: &str) -> Result<String, String> {
    if matches!(text, "" | "auto") {
        return Ok(text.to_owned());
    }
    let (version, terms) = text.split_at(text.find(' ').unwrap_or(text.len()));
    let is_scope = |scope: &str| matches!(scope, "pra" | "mfrom");
    match version.strip_prefix("spf2.0/") {
        Some(scopes) if scopes.split(',').all(is_scope) => {}
        _ => return Err("a Sender-ID record begins with `spf2.0/pra` (or mfrom, or both with a comma)".into()),
    }
    syntax::parse_terms(terms).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

fn record<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    check(&String::deserialize(deserializer)?)
        .map(Some)
        .map_err(serde::de::Error::custom)
}
