//! Wildcards and mail: what a wildcard must not answer, and what it must go on answering.
//!
//! A verifier that asks for `_dmarc.example.org` must not get the answer of `*.example.org`. By
//! RFC 4592 §2.2 and §3.3.1 a wildcard never answers for a name that exists nor below one, so the
//! names of mail are made to exist without data: [`guard`] returns those that a wildcard of the
//! zone would otherwise answer for. `_domainkey` of the apex is among them always, since checkers
//! want NODATA there and take NXDOMAIN for "no DKIM" (RFC 8020).
//!
//! An empty name is no record: a secondary fed by zone transfer does not learn of it and lets the
//! wildcard answer. A note says so, and that a record written there, or a policy, travels.
//!
//! The other way round, a record composed at or below a name that only a wildcard answered for
//! (a key for `news.example.org` beside `*.example.org`) makes that name exist, and the wildcard
//! falls silent for it. Where that hides a host, its records are copied to the name.
//!
//! Names further down, such as `_dmarc.any.example.org`, are not enumerable and stay a wildcard's.

use super::draft::Draft;
use crate::finding::Finding;
use crate::mail::ZoneView;
use crate::name::Name;
use crate::record::Record;
use std::collections::BTreeSet;

/// The names of mail below a domain that no wildcard may answer for. `_report._dmarc` is below
/// `_dmarc`, as are all selectors below `_domainkey` and `_bimi`.
const MAIL_NAMES: [&str; 5] = ["_domainkey", "_dmarc", "_smtp._tls", "_mta-sts", "_bimi"];

/// Copies what wildcards would no longer answer into `draft`, and returns the names that must
/// exist without data, sorted.
pub(super) fn guard(draft: &mut Draft<'_>) -> Vec<Name> {
    keep_answering(draft);
    let records: Vec<Record> = draft.all().map(|(_, record)| record.clone()).collect();
    let finished = ZoneView::new(draft.sources.apex, &records);
    let mut empty = BTreeSet::new();
    let mut hidden_from = BTreeSet::new();
    for domain in mail_domains(draft) {
        for name in MAIL_NAMES.iter().filter_map(|prefix| domain.prefixed(prefix).ok()) {
            if finished.exists(&name) || finished.cut_at_or_above(&name).is_some() || finished.dname_above(&name).is_some() {
                continue;
            }
            let wildcard = finished.wildcard_for(&name);
            let is_domainkey = domain == *draft.sources.apex && name.label_count() == domain.label_count() + 1 && name.labels().next() == Some(b"_domainkey");
            if wildcard.is_some() || is_domainkey {
                hidden_from.extend(wildcard);
                empty.insert(name);
            }
        }
    }
    let notes = hidden_from.into_iter().map(|wildcard| {
        Finding::note(
            "wildcard-kept-out",
            format!("{wildcard} does not answer at _dmarc, _domainkey and their like; secondaries fed by zone transfer cannot know and let it, unless a record stands there"),
        )
    });
    draft.advise_on_policy(notes.collect::<Vec<_>>());
    empty.into_iter().collect()
}

/// The apex and every domain with a key of its own; a zone that is itself `_domainkey.…` has none.
fn mail_domains(draft: &Draft<'_>) -> BTreeSet<Name> {
    let apex = draft.sources.apex;
    let is_underscored = |name: &Name| name.labels().any(|label| label.starts_with(b"_"));
    let signing = draft.sources.keys.iter().filter_map(|key| signing_domain(&key.owner));
    signing
        .chain([apex.clone()])
        .filter(|domain| domain.is_at_or_below(apex) && !is_underscored(domain))
        .collect()
}

/// The domain behind `selector._domainkey.`.
fn signing_domain(owner: &Name) -> Option<Name> {
    let mut name = owner.clone();
    loop {
        let is_domainkey = name.labels().next()?.eq_ignore_ascii_case(b"_domainkey");
        name = name.parent()?;
        if is_domainkey {
            return Some(name);
        }
    }
}

/// Copies a wildcard's records to each host name that composed records made exist, and a wildcard
/// below it, so that it answers there as before. Names with an underscore are mail's own.
fn keep_answering(draft: &mut Draft<'_>) {
    let owners: BTreeSet<Name> = draft
        .all()
        .filter(|(at, _)| draft.is_ours(*at))
        .map(|(_, record)| record.owner.clone())
        .collect();
    let mut copies: Vec<Record> = vec![];
    let mut seen = BTreeSet::new();
    for owner in owners {
        let mut name = Some(owner);
        while let Some(host) = name {
            name = host.parent();
            if draft.view.exists(&host) || host == *draft.sources.apex {
                break;
            }
            let is_host = !host.labels().any(|label| label.starts_with(b"_"));
            let Some(wildcard) = draft.view.wildcard_for(&host).filter(|_| is_host && seen.insert(host.clone())) else {
                continue;
            };
            let targets = [Some(host.clone()), host.child(b"*").ok()];
            for target in targets.into_iter().flatten() {
                copies.extend(draft.view.at(&wildcard).map(|record| Record {
                    owner: target.clone(),
                    ..record.clone()
                }));
            }
        }
    }
    for copy in copies {
        let is_taken = draft.at(&copy.owner).any(|(at, record)| draft.is_ours(at) && record.rtype == copy.rtype);
        if !is_taken {
            draft.replace(&[], copy, "wildcard copy", "the wildcard, which a name below would silence");
        }
    }
}
