//! Sources to a zone's records: conflicts are decided here, once, and reported.
//!
//! Stub of the interface.

use crate::finding::Finding;
use crate::keys::Algorithm;
use crate::mail::MailPolicy;
use crate::name::Name;
use crate::record::{Record, RecordType};

/// A key as the zone is to show it: from the key directory, or in the last stages of its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneKey {
    /// `selector._domainkey.domain`.
    pub owner: Name,
    /// The tag list to publish; for a revoked key `v=DKIM1; p=` (RFC 6376 §3.6.1).
    pub record: String,
    /// Where in its life it is.
    pub stage: KeyStage,
    /// What kind of key, where known.
    pub algorithm: Option<Algorithm>,
    /// The file it comes from or came from, for the report.
    pub source: String,
}

/// Where in its life a published key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStage {
    /// Its file is there.
    Live,
    /// Its file is gone, mail in flight may still be signed with it.
    Retiring,
    /// Published with an empty `p=`.
    Revoked,
}

/// Everything a zone is made of. Borrowed: composing reads and never keeps.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The apex.
    pub apex: &'a Name,
    /// The master file's records, the SOA among them.
    pub records: &'a [Record],
    /// The policy in force for this zone, defaults and the zone's own already merged.
    pub policy: &'a MailPolicy,
    /// The keys of this zone's signing domains.
    pub keys: &'a [ZoneKey],
}

/// One thing that was composed, for the report at start: `DKIM mail._domainkey from keys/…/mail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// What it is, in the words of the trade: `SPF`, `DKIM`, `DMARC`, `MTA-STS`…
    pub what: &'static str,
    /// Where it stands.
    pub owner: Name,
    /// Of which type.
    pub rtype: RecordType,
    /// Where it comes from: `policy [mail.spf] record`, `keys/example.org/mail`, `MX and addresses`.
    pub from: String,
}

/// A zone's finished records but for the serial, which [`crate::publish`] sets.
#[derive(Debug)]
pub struct Composition {
    /// All records, the SOA with the file's own serial.
    pub records: Vec<Record>,
    /// What was composed; empty means the zone is its file and keeps the file's serial.
    pub composed: Vec<Composed>,
    /// Conflicts, lint and advice.
    pub findings: Vec<Finding>,
}

/// Composes one zone. Pure: the same sources give the same composition.
pub fn compose(sources: &Sources<'_>) -> Composition {
    Composition {
        records: sources.records.to_vec(),
        composed: vec![],
        findings: vec![],
    }
}
