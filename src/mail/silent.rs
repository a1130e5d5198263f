//! Names that never send mail: `v=spf1 -all`, a null MX and, for a whole zone, DMARC `p=reject`.
//!
//! ```toml
//! [mail]
//! never = ["www", "ftp"]              # hosts of a zone that does send
//! sends = false                       # the whole zone
//! ```
//!
//! `sends = false` wins over [mail.spf] and over the policy of [mail.dmarc] (whose report
//! addresses stay), since those may be inherited. A host gets records only where it has an address
//! of its own: a wildcard's answers are not to be hidden. The null MX (RFC 7505) gives way to an MX
//! in the zone file: what never sends may still receive.

use super::MailPolicy;
use super::kind::{Kind, Wanted};
use super::spf::not_in_zone;
use super::view::ZoneView;
use crate::finding::Finding;
use crate::name::Name;
use crate::record::RecordType;
use std::collections::BTreeSet;

/// Nobody may send.
const NOBODY: &str = "v=spf1 -all";
/// Where the records of a silent zone come from.
const FROM_ZONE: &str = "policy [mail] sends = false";

/// The records of a zone that sends nothing.
pub(super) fn of_zone(policy: &MailPolicy, zone: &ZoneView<'_>) -> Vec<Wanted> {
    let apex = zone.apex();
    let mut wanted = of_name(policy, apex, FROM_ZONE);
    wanted.extend(dmarc(policy, apex));
    let hosts: BTreeSet<&Name> = zone
        .records()
        .iter()
        .filter(|record| matches!(record.rtype, RecordType::A | RecordType::AAAA))
        .map(|record| &record.owner)
        .filter(|&owner| owner != apex && is_host(owner) && zone.cut_at_or_above(owner).is_none())
        .collect();
    for host in hosts {
        wanted.extend(of_name(policy, host, FROM_ZONE));
    }
    wanted
}

/// The DMARC record of a domain that sends nothing.
pub(super) fn dmarc(policy: &MailPolicy, domain: &Name) -> Option<Wanted> {
    let owner = domain.prefixed("_dmarc").ok()?;
    let text = policy.dmarc.silent_text();
    Some(Wanted::txt(Kind::Dmarc, owner, &text, policy.dmarc.ttl, FROM_ZONE))
}

/// Neither a wildcard nor a name with an underscore, which is no host (RFC 8552).
fn is_host(owner: &Name) -> bool {
    !owner.is_wildcard() && !owner.labels().any(|label| label.starts_with(b"_"))
}

/// The records of the hosts under `never`.
pub(super) fn of_hosts(policy: &MailPolicy, zone: &ZoneView<'_>, findings: &mut Vec<Finding>) -> Vec<Wanted> {
    let mut wanted = vec![];
    for host in &policy.never {
        let owner = match host.owner(zone.apex()) {
            Ok(owner) if owner.is_at_or_below(zone.apex()) => owner,
            _ => {
                findings.push(not_in_zone("[mail] never", host, zone.apex()));
                continue;
            }
        };
        if !zone.has(&owner, RecordType::A) && !zone.has(&owner, RecordType::AAAA) {
            findings.push(Finding::warning(
                "never-no-address",
                format!("[mail] never names {owner}, which has no A or AAAA record in the zone file"),
                "give it an address or take it off the list",
            ));
            continue;
        }
        wanted.extend(of_name(policy, &owner, "policy [mail] never"));
    }
    wanted
}

fn of_name(policy: &MailPolicy, owner: &Name, from: &str) -> Vec<Wanted> {
    vec![
        Wanted::txt(Kind::Spf, owner.clone(), NOBODY, policy.spf.ttl, from),
        Wanted {
            kind: Kind::NullMx,
            owner: owner.clone(),
            rtype: RecordType::MX,
            // Preference 0, exchange `.` (RFC 7505 §3).
            rdata: Box::new([0, 0, 0]),
            ttl: policy.spf.ttl,
            from: from.to_owned(),
            yields: true,
        },
    ]
}
