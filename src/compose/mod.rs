//! Sources to a zone's records: conflicts are decided here, once, and reported.
//!
//! [`compose`] is pure: the same zone file, policy and keys give the same records, and composing
//! its own output again changes nothing. Without policy and keys a zone is its file, record for
//! record (but for the last rule). The rules:
//!
//! - **Keys win at their selectors.** The key directory's record replaces whatever TXT stands at
//!   `selector._domainkey`; silently if it is the same key, with a warning otherwise. A CNAME there
//!   (a hosted sender) stays, and the key is not published.
//! - **Policy wins over the zone file**, kind by kind: a `v=spf1` of the policy replaces the file's
//!   `v=spf1` and leaves its other TXT alone. What merely fills gaps (null MX, SRV, CAA, the HELO
//!   of `spf = "auto"`) gives way to the file.
//! - **Nothing is put where it would not be seen**: below a zone cut (RFC 2181 §6) or a DNAME
//!   (RFC 6672 §2.4), or beside a CNAME (RFC 1034 §3.6.2); a warning instead.
//! - **The closest zone has it**: where a zone below this one is served too and holds the name, the
//!   record is that zone's.
//! - **A TTL** is the policy's, else that of the record replaced, else [`DEFAULT_TTL`]; but an RRset
//!   has one TTL (RFC 2181 §5.2), and foreign records of it keep theirs.
//! - **A wildcard** never answers at `_dmarc`, below `_domainkey` and their like in a zone with
//!   composed mail records: see [`wildcard`].
//! - **Never two** `v=spf1`, `v=DMARC1` or keys at a name, whoever wrote them, and type 99 equals
//!   the TXT (RFC 7208 §3.1, field lesson): see [`unique`].
//!
//! Stages: [`unique`] takes out what the file has twice, [`draft`] puts wanted records in, [`unique`]
//! evens out type 99, [`wildcard`] guards, [`lint`] judges.

mod draft;
mod lint;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod unique;
mod wildcard;

use crate::finding::{Finding, Place};
use crate::keys::Algorithm;
use crate::mail::{self, Kind, MailPolicy, Wanted, ZoneView, dmarc};
use crate::name::Name;
use crate::record::{Record, RecordType};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

/// The TTL of composed records where neither policy nor zone file sets one, in seconds: an hour,
/// so that a mistake is soon mended and a resolver still seldom asks.
pub const DEFAULT_TTL: u32 = 3600;

/// A key as the zone is to show it: from the key directory, or in the last stages of its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneKey {
    /// `selector._domainkey.domain`.
    pub owner: Name,
    /// The tag list to publish; for a revoked key `v=DKIM1; p=` (RFC 6376 §3.6.1).
    pub record: Arc<str>,
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
    /// Its signer has left it or its file is gone; mail in flight may still be signed with it.
    Retiring,
    /// Published with an empty `p=`.
    Revoked,
}

/// Everything a zone is made of. Borrowed: composing reads and never keeps.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The apex.
    pub apex: &'a Name,
    /// The master file's records, the SOA among them.
    pub records: &'a [Record],
    /// Where each record stands, as [`crate::zonefile::ZoneFile`] has it: file by index, and line.
    /// May be empty.
    pub places: &'a [(u16, u32)],
    /// The files that `places` counts in.
    pub files: &'a [PathBuf],
    /// The TTL where neither policy nor zone file sets one: [`DEFAULT_TTL`], or the zone's own.
    pub default_ttl: u32,
    /// The policy in force for this zone, defaults and the zone's own already merged.
    pub policy: &'a MailPolicy,
    /// The file that a finding about the policy should name.
    pub policy_place: Option<&'a Place>,
    /// The keys of this zone's signing domains.
    pub keys: &'a [ZoneKey],
    /// Who sends DMARC reports into this zone from other zones served here. The engine fills it by
    /// asking each zone's policy for [`mail::report_destinations`].
    pub reports: &'a [ReportAuthorization],
    /// Is this the apex of a zone served here? Reports to any other zone need its owner's leave.
    pub hosted: &'a (dyn Fn(&Name) -> bool + Sync),
}

impl<'a> Sources<'a> {
    /// Sources without places, without reports from other zones and with no other zone served.
    pub fn new(apex: &'a Name, records: &'a [Record], policy: &'a MailPolicy, keys: &'a [ZoneKey]) -> Self {
        Self {
            apex,
            records,
            places: &[],
            files: &[],
            default_ttl: DEFAULT_TTL,
            policy,
            policy_place: None,
            keys,
            reports: &[],
            hosted: &|_| false,
        }
    }
}

/// A domain served here whose DMARC reports go to a receiver in another zone served here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportAuthorization {
    /// The domain that the reports are about.
    pub sender: Name,
    /// The domain of the address they go to, at or below this zone's apex.
    pub receiver: Name,
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
pub struct Composition<'a> {
    /// All records, the SOA with the file's own serial; those of the file are borrowed.
    pub records: Vec<Cow<'a, Record>>,
    /// Names that must exist without data (RFC 4592 §2.2.2), sorted: they keep wildcards out and
    /// let `_domainkey` answer NODATA. A secondary fed by transfer does not learn of them.
    pub empty_names: Vec<Name>,
    /// What was composed; empty means the records are those of the file, and it keeps its serial.
    /// A record that the file has already, byte for byte, is not composed.
    pub composed: Vec<Composed>,
    /// Conflicts, lint and advice.
    pub findings: Vec<Finding>,
}

impl Composition<'_> {
    /// The same with records of its own.
    fn into_owned(self) -> Composition<'static> {
        let records = self.records.into_iter();
        Composition {
            records: records.map(|record| Cow::Owned(record.into_owned())).collect(),
            ..self
        }
    }
}

/// Composes one zone. Pure: the same sources give the same composition.
pub fn compose<'a>(sources: &Sources<'a>) -> Composition<'a> {
    let of_file = ZoneView::new(sources.apex, sources.records);
    let copies = wildcard::copies(sources, &of_file);
    if copies.is_empty() {
        return compose_over(sources, &of_file, 0);
    }
    let records = [sources.records, &copies].concat();
    let sources = Sources {
        records: &records,
        ..*sources
    };
    let view = ZoneView::new(sources.apex, &records);
    compose_over(&sources, &view, copies.len()).into_owned()
}

/// Composes over the records of `view`, of which the last `copies` are not the file's.
fn compose_over<'a>(sources: &Sources<'a>, view: &ZoneView<'a>, copies: usize) -> Composition<'a> {
    let mut draft = draft::Draft::new(sources, view, copies);
    let (asked, advice) = mail::wanted(sources.policy, view);
    draft.advise_on_policy(advice);
    let keys: Vec<_> = sources.keys.iter().map(|key| key.wanted(sources.policy)).collect();
    let reports = report_authorizations(sources, view);
    unique::drop_seconds(&mut draft);
    for wanted in keys.iter().chain(&asked).chain(&reports) {
        draft.put(wanted);
    }
    unique::pair_all_type99(&mut draft);
    let (records, positions) = draft.take_records();
    let finished = ZoneView::new(sources.apex, records.iter().map(Cow::as_ref));
    let empty_names = match draft.has_mail() {
        true => wildcard::guard(&mut draft, &finished),
        false => vec![],
    };
    lint::judge(&mut draft, &finished, &positions);
    let (composed, findings) = draft.into_report();
    Composition {
        records,
        empty_names,
        composed,
        findings,
    }
}

impl ZoneKey {
    fn wanted(&self, policy: &MailPolicy) -> Wanted {
        let from = match self.stage {
            KeyStage::Live => self.source.clone(),
            KeyStage::Retiring => format!("{}, retiring", self.source),
            KeyStage::Revoked => format!("{}, revoked", self.source),
        };
        Wanted::txt(Kind::DkimKey, self.owner.clone(), &self.record, policy.dkim.ttl, from)
    }

    /// The signing domain: what is behind `selector._domainkey`.
    fn domain(&self) -> Option<Name> {
        let mut name = self.owner.clone();
        loop {
            let is_domainkey = name.labels().next()?.eq_ignore_ascii_case(b"_domainkey");
            name = name.parent()?;
            if is_domainkey {
                return Some(name);
            }
        }
    }
}

/// Leave to send DMARC reports here, for senders served here too (RFC 9990). A wildcard that the
/// zone file has there already gives everybody leave, and a name below it would take it from some.
fn report_authorizations(sources: &Sources<'_>, view: &ZoneView<'_>) -> Vec<Wanted> {
    let mut senders: Vec<&ReportAuthorization> = sources.reports.iter().collect();
    senders.sort();
    senders.dedup();
    senders
        .into_iter()
        .filter_map(|report| {
            let owner = dmarc::authorization_owner(&report.sender, &report.receiver)?;
            let below = report.receiver.prefixed("_report._dmarc").ok()?;
            let is_covered = view.wildcard_for(&owner).is_some_and(|wildcard| {
                wildcard.is_at_or_below(&below) && view.at(&wildcard).any(|r| Kind::DmarcReport.matches(r))
            });
            if is_covered || !owner.is_at_or_below(sources.apex) {
                return None;
            }
            let from = format!("rua or ruf of {}, served here", report.sender);
            Some(Wanted::txt(Kind::DmarcReport, owner, "v=DMARC1", None, from).yielding())
        })
        .collect()
}
