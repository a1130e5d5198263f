//! Mail policy to records: SPF, DKIM, DMARC and their kin, as pure functions.
//!
//! [`MailPolicy`] is the `[mail]` table of `signpost.toml` (defaults for every zone) and of
//! `zones/NAME.toml`. The two are merged as TOML tables, key by key, before they are read here, so
//! every key is optional; a string short form replaces a table and the other way round. Values are
//! checked while they are read: a mistake is an error at its line, and the last good policy stays.
//! Nothing configured means nothing composed.
//!
//! | table | record | specified in |
//! |---|---|---|
//! | `spf`, `[mail.spf]` | TXT and type 99 at the apex and at hosts | RFC 7208; [`spf`] |
//! | `dmarc`, `[mail.dmarc]` | `_dmarc`, and `_report._dmarc` at receivers | RFC 9989 to 9991; [`dmarc`] |
//! | `[mail.dkim]` | the life of keys; historic `_domainkey`, `_adsp._domainkey` | RFC 6376; [`dkim`] |
//! | `[mail.tls_rpt]` | `_smtp._tls` | RFC 8460; [`tls_rpt`] |
//! | `[mail.mta_sts]` | `_mta-sts` | RFC 8461; [`mta_sts`] |
//! | `[mail.bimi]` | `default._bimi` | draft; [`bimi`] |
//! | `sender_id`, `[mail.sender_id]` | TXT at the apex, historic | RFC 4406; [`sender_id`] |
//! | `[mail.caa]` | CAA at the apex | RFC 8659; [`caa`] |
//! | `[mail.services]` | SRV, `autoconfig` | RFC 6186, RFC 8314; [`services`] |
//! | `never`, `sends` | null MX, `v=spf1 -all`, `p=reject` | RFC 7505; below |
//!
//! A zone may hold only a part of a domain's names, as `_domainkey.example.org` does where the rest stays
//! at a hoster: [`part_of`] tells, and then the policy is that of the domain and what it asks for
//! elsewhere is left out.
//!
//! What a policy asks for is a list of [`Wanted`]; [`crate::compose`] decides how it meets the zone
//! file. The lints judge the finished records, whoever wrote them.

pub mod bimi;
pub mod caa;
pub mod dkim;
pub mod dmarc;
pub mod mta_sts;
pub mod sender_id;
pub mod services;
pub mod spf;
pub mod tls_rpt;

mod kind;
mod read;
mod rotation;
mod silent;
mod tags;
mod view;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use crate::finding::Finding;
use crate::name::Name;
use serde::Deserialize;

pub use kind::{Kind, Wanted, is_spf};
pub(crate) use read::seconds;
pub use read::{NoPeriod, NoReportUri, Period, PolicyName, ReportUri};
pub(crate) use rotation::date;
pub use tags::{dkim_public_key, dkim_verifies_as_well};
pub use view::{Known, ZoneView};

/// The `[mail]` table of `signpost.toml` or of `zones/NAME.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailPolicy {
    /// SPF: a record, `"auto"`, or `[mail.spf]`.
    #[serde(deserialize_with = "read::text_or_table")]
    pub spf: spf::SpfPolicy,
    /// DMARC: a record or `[mail.dmarc]`.
    #[serde(deserialize_with = "read::text_or_table")]
    pub dmarc: dmarc::DmarcPolicy,
    /// `[mail.dkim]`.
    pub dkim: dkim::DkimPolicy,
    /// `[mail.tls_rpt]`.
    pub tls_rpt: tls_rpt::TlsRptPolicy,
    /// `[mail.mta_sts]`.
    pub mta_sts: mta_sts::MtaStsPolicy,
    /// `[mail.bimi]`.
    pub bimi: bimi::BimiPolicy,
    /// Sender-ID: a record, `"auto"`, or `[mail.sender_id]`; historic.
    #[serde(deserialize_with = "read::text_or_table")]
    pub sender_id: sender_id::SenderIdPolicy,
    /// `[mail.caa]`.
    pub caa: caa::CaaPolicy,
    /// `[mail.services]`.
    pub services: services::ServicesPolicy,
    /// Hosts that never send mail, relative to the apex.
    pub never: Vec<PolicyName>,
    /// `false`: no name of the zone ever sends mail. Unset is `true`.
    pub sends: Option<bool>,
}

/// Everything `policy` asks for in `zone`, most telling first, and advice on what it cannot give.
/// Of two records of one kind at one name the first counts.
pub fn wanted(policy: &MailPolicy, zone: &ZoneView<'_>) -> (Vec<Wanted>, Vec<Finding>) {
    let apex = zone.apex();
    if let Some(domain) = part_of(apex) {
        return wanted_in_part(policy, zone, &domain);
    }
    let mut findings = vec![];
    let mut wanted = match policy.sends {
        Some(false) => silent::of_zone(policy, zone),
        _ => {
            let mut wanted = silent::of_hosts(policy, zone, &mut findings);
            wanted.extend(policy.spf.wanted(zone, &mut findings));
            // A stable sort: the apex first, and `never` still before [mail.spf.hosts].
            wanted.sort_by_key(|w| w.owner != *apex);
            wanted.extend(policy.dmarc.wanted(apex));
            wanted
        }
    };
    let spf = apex_spf(&wanted, zone);
    wanted.extend(policy.sender_id.wanted(apex, spf.as_deref(), &mut findings));
    wanted.extend(policy.dkim.wanted(apex));
    wanted.extend(policy.tls_rpt.wanted(apex));
    wanted.extend(policy.mta_sts.wanted(apex, zone, &mut findings));
    wanted.extend(policy.bimi.wanted(apex));
    wanted.extend(policy.caa.wanted(apex));
    wanted.extend(policy.services.wanted(apex, &mut findings));
    findings.extend(historic_note(&wanted, apex));
    (wanted, findings)
}

/// The mail domain of which a zone with this apex holds only a part: `example.org` for
/// `_domainkey.example.org`. `None` for a zone that may be a mail domain itself: no host, and so no
/// mail domain, has an underscore in its name (RFC 8552 §1.1, RFC 5321 §2.3.5).
pub fn part_of(apex: &Name) -> Option<Name> {
    let labels = apex.labels().enumerate();
    let (at, _) = labels.filter(|(_, label)| label.starts_with(b"_")).last()?;
    std::iter::successors(Some(apex.clone()), Name::parent).nth(at + 1)
}

/// What `domain` asks for in a zone that holds only a part of its names. SPF, null MX and CAA stand
/// at names of hosts, which are never in such a zone.
fn wanted_in_part(policy: &MailPolicy, zone: &ZoneView<'_>, domain: &Name) -> (Vec<Wanted>, Vec<Finding>) {
    let mut findings = vec![];
    let mut wanted = vec![];
    wanted.extend(match policy.sends {
        Some(false) => silent::dmarc(policy, domain),
        _ => policy.dmarc.wanted(domain),
    });
    wanted.extend(policy.dkim.wanted(domain));
    wanted.extend(policy.tls_rpt.wanted(domain));
    wanted.extend(policy.mta_sts.wanted(domain, zone, &mut findings));
    wanted.extend(policy.bimi.wanted(domain));
    wanted.extend(policy.services.wanted(domain, &mut findings));
    wanted.retain(|wanted| wanted.owner.is_at_or_below(zone.apex()));
    findings.extend(historic_note(&wanted, zone.apex()));
    (wanted, findings)
}

/// One note on the records that are published for old receivers only.
fn historic_note(wanted: &[Wanted], apex: &Name) -> Option<Finding> {
    let is_historic = |kind: Kind| matches!(kind, Kind::SenderId | Kind::DomainKeysPolicy | Kind::Adsp);
    let historic: Vec<_> = wanted
        .iter()
        .filter(|w| is_historic(w.kind))
        .map(|w| w.kind.what())
        .collect();
    (!historic.is_empty()).then(|| {
        let what = historic.join(", ");
        Finding::note(
            "historic",
            format!(
                "{apex} publishes historic records, as its policy asks: {what}; receivers of today read none of them"
            ),
        )
    })
}

/// The text of the SPF that the apex will have: the policy's, else the zone file's.
fn apex_spf(wanted: &[Wanted], zone: &ZoneView<'_>) -> Option<String> {
    let of_policy = wanted
        .iter()
        .find(|w| w.kind == Kind::Spf && w.owner == *zone.apex())
        .map(|w| w.record(0));
    // A lone type 99 record gets its TXT by compose.
    let of_file = || {
        let spf = || zone.at(zone.apex()).filter(|r| Kind::of(r) == Some(Kind::Spf));
        spf().find(|r| Kind::Spf.matches(r)).or_else(|| spf().next()).cloned()
    };
    let record = of_policy.or_else(of_file)?;
    String::from_utf8(record.joined_text().into_owned()).ok()
}

/// The foreign domains to which the policy of `domain` sends DMARC reports, sorted. Where such a
/// domain's zone is served here too, it is composed as a [`dmarc::authorization_owner`] there.
pub fn report_destinations(policy: &MailPolicy, domain: &Name) -> Vec<Name> {
    let record = match policy.sends {
        Some(false) => Some(policy.dmarc.silent_text()),
        _ => policy.dmarc.text(),
    };
    record.map_or_else(Vec::new, |record| dmarc::foreign_destinations(&record, domain))
}
