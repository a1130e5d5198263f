//! Mail policy to records: SPF, DKIM, DMARC and their kin, as pure functions.
//!
//! Stub of the interface.

/// The `[mail]` table of `signpost.toml` or of `zones/NAME.toml`.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailPolicy {}
