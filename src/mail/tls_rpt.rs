//! SMTP TLS reporting (RFC 8460): where senders report that TLS to our MX failed.
//!
//! ```toml
//! [mail.tls_rpt]
//! rua = ["mailto:tls@example.org"]    # or an https: URI; a bare address will do
//! ttl = "1h"
//! ```

use super::kind::{Kind, Wanted};
use super::read::{self, ReportUri, join_uris};
use crate::name::Name;
use serde::Deserialize;

/// `[mail.tls_rpt]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsRptPolicy {
    /// Where reports go; empty composes nothing.
    pub rua: Vec<ReportUri>,
    /// The TTL in seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub ttl: Option<u32>,
}

impl TlsRptPolicy {
    /// The record asked for, at `_smtp._tls` (RFC 8460 §3).
    pub fn wanted(&self, apex: &Name) -> Option<Wanted> {
        if self.rua.is_empty() {
            return None;
        }
        let text = format!("v=TLSRPTv1; rua={}", join_uris(&self.rua));
        let owner = apex.prefixed("_smtp._tls").ok()?;
        Some(Wanted::txt(
            Kind::TlsRpt,
            owner,
            &text,
            self.ttl,
            "policy [mail.tls_rpt]",
        ))
    }
}
