//! BIMI (draft-brand-indicators-for-message-identification): the logo beside a message.
//!
//! ```toml
//! [mail.bimi]
//! location = "https://example.org/logo.svg"   # l=; nothing is composed without it; "" declines
//! authority = "https://example.org/vmc.pem"   # a=: the mark certificate
//! selector = "default"                        # the default
//! ttl = "1h"
//! ```

use super::kind::{Kind, Wanted};
use super::read;
use crate::name::Name;
use serde::{Deserialize, Deserializer};

/// `[mail.bimi]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BimiPolicy {
    /// The selector, one label or more; `None` is `default`.
    #[serde(deserialize_with = "selector")]
    pub selector: Option<String>,
    /// The logo; empty declines to take part.
    #[serde(deserialize_with = "https")]
    pub location: Option<String>,
    /// The certificate.
    #[serde(deserialize_with = "https")]
    pub authority: Option<String>,
    /// The TTL in seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub ttl: Option<u32>,
}

impl BimiPolicy {
    /// The record asked for, at `SELECTOR._bimi`.
    pub fn wanted(&self, apex: &Name) -> Option<Wanted> {
        let location = self.location.as_ref()?;
        let selector = self.selector.as_deref().unwrap_or("default");
        let mut text = format!("v=BIMI1; l={location};");
        if let Some(authority) = &self.authority {
            text.push_str(&format!(" a={authority};"));
        }
        let owner = apex.prefixed(&format!("{selector}._bimi")).ok()?;
        Some(Wanted::txt(Kind::Bimi, owner, &text, self.ttl, "policy [mail.bimi]"))
    }
}

fn selector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match Name::from_text(&text) {
        Ok(_) if !text.ends_with('.') => Ok(Some(text)),
        _ => Err(serde::de::Error::custom(format_args!(
            "`{text}` is no selector; write a label such as \"default\""
        ))),
    }
}

fn https<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_uri = text.starts_with("https://") && text.bytes().all(|b| b.is_ascii_graphic() && b != b';');
    match text.is_empty() || is_uri {
        true => Ok(Some(text)),
        false => Err(serde::de::Error::custom(format_args!(
            "`{text}` is no https:// address without blanks and `;`"
        ))),
    }
}
