//! Wildcards and mail: what a wildcard must not answer, and what it must go on answering.
//!
//! A verifier that asks for `_dmarc.example.org` must not get the answer of `*.example.org`. By
//! RFC 4592 §2.2 and §3.3.1 a wildcard never answers for a name that exists nor below one, so the
//! names of mail are made to exist without data: [`guard`] returns those that a wildcard of the
//! zone would otherwise answer for. `_domainkey` of the apex is among them always, since checkers
//! want NODATA there and take NXDOMAIN for "no DKIM" (RFC 8020).
//!
//! An empty name is no record: a secondary fed by zone transfer does not learn of it and lets the
//! wildcard answer. A note says so; a record written there, or composed by policy, travels.
//!
//! The other way round, a key for `news.example.org` beside `*.example.org` makes that name exist,
//! and the wildcard falls silent for it: a host would vanish. [`copies`] gives the name the
//! wildcard's records, and a wildcard below it, so that both answer as before.
//!
//! Names further down, such as `_dmarc.any.example.org`, are not enumerable and stay a wildcard's.

use super::draft::Draft;
use super::{Sources, ZoneKey};
use crate::finding::Finding;
use crate::mail::ZoneView;
use crate::name::Name;
use crate::record::{Record, RecordType};
use std::collections::BTreeSet;

/// The names of mail below a domain that no wildcard may answer for. `_report._dmarc` is below
/// `_dmarc`, as are all selectors below `_domainkey` and `_bimi`.
const MAIL_NAMES: [&str; 5] = [DOMAINKEY, "_dmarc", "_smtp._tls", "_mta-sts", "_bimi"];
const DOMAINKEY: &str = "_domainkey";

/// The names that must exist without data in the `finished` zone, sorted.
pub(super) fn guard(draft: &mut Draft<'_, '_>, finished: &ZoneView<'_>) -> Vec<Name> {
    let (mut empty, mut kept_out) = (BTreeSet::new(), BTreeSet::new());
    for domain in mail_domains(draft.sources) {
        for prefix in MAIL_NAMES {
            let Ok(name) = domain.prefixed(prefix) else { continue };
            if is_hidden(finished, &name) || finished.exists(&name) {
                continue;
            }
            let wildcard = finished.wildcard_for(&name);
            if wildcard.is_some() || (prefix == DOMAINKEY && domain == *draft.sources.apex) {
                kept_out.extend(wildcard);
                empty.insert(name);
            }
        }
    }
    for wildcard in kept_out {
        draft.advise_on_policy([Finding::note(
            "wildcard-kept-out",
            format!(
                "{wildcard} does not answer at _dmarc, _domainkey and their like; a secondary fed by zone transfer \
                 cannot know and lets it, unless a record stands there"
            ),
        )]);
    }
    empty.into_iter().collect()
}

/// What wildcards of the zone answer for the host names that its keys make exist.
pub(super) fn copies(sources: &Sources<'_>, zone: &ZoneView<'_>) -> Vec<Record> {
    let hosts: BTreeSet<Name> = sources
        .keys
        .iter()
        .filter(|key| key.owner.is_at_or_below(sources.apex) && !is_hidden(zone, &key.owner))
        .filter_map(ZoneKey::domain)
        .flat_map(|domain| std::iter::successors(Some(domain), Name::parent))
        .filter(|host| host.is_at_or_below(sources.apex) && !is_underscored(host))
        .collect();
    let mut copies = vec![];
    for host in hosts {
        let Some(wildcard) = zone.wildcard_for(&host) else {
            continue;
        };
        let targets = [Some(host.clone()), host.child(b"*").ok()];
        for owner in targets.into_iter().flatten() {
            let of_wildcard = zone.at(&wildcard).filter(|record| may_be_synthesized(record.rtype));
            copies.extend(of_wildcard.map(|record| Record {
                owner: owner.clone(),
                ..record.clone()
            }));
        }
    }
    copies
}

/// NS and DNAME at a wildcard have no sensible meaning (RFC 4592 §4.2, §4.4).
fn may_be_synthesized(rtype: RecordType) -> bool {
    !matches!(rtype, RecordType::NS | RecordType::DNAME)
}

/// The apex and every domain with a key of its own; a zone that is itself `_domainkey.…` has none.
fn mail_domains(sources: &Sources<'_>) -> BTreeSet<Name> {
    let signing = sources.keys.iter().filter_map(ZoneKey::domain);
    signing
        .chain([sources.apex.clone()])
        .filter(|domain| domain.is_at_or_below(sources.apex) && !is_underscored(domain))
        .collect()
}

fn is_hidden(zone: &ZoneView<'_>, name: &Name) -> bool {
    zone.cut_at_or_above(name).is_some() || zone.dname_above(name).is_some()
}

fn is_underscored(name: &Name) -> bool {
    name.labels().any(|label| label.starts_with(b"_"))
}
