//! Zones without a zone file: SOA and NS from `[zone]` of their policy file, all else from keys and policy.
//!
//! `zones/_domainkey.example.org.toml` makes such a zone, for a domain whose other names stay with a
//! hoster. Everything in it is composed, so its serial moves with its content.

use super::base::Base;
use crate::compose::Composed;
use crate::config::Apex;
use crate::finding::{Finding, Place};
use crate::name::Name;
use std::path::Path;

/// The records that such a zone has by itself, each at the line of `[zone]`.
pub(super) fn base(zone: &Apex, apex: &Name) -> Base {
    let records = zone.records(apex);
    Base {
        places: vec![(0, zone.place.line.unwrap_or_default()); records.len()],
        records,
        files: vec![zone.place.file.clone()],
    }
}

/// The same records for the report.
pub(super) fn composed<'b>(zone: &'b Apex, base: &'b Base) -> impl Iterator<Item = Composed> + use<'b> {
    // Of a catalog's members there may be many, and all are of the same origin.
    let mut records: Vec<_> = base.records.iter().take(zone.nameservers.len() + 2).collect();
    records.dedup_by_key(|record| record.rtype);
    let from = format!("{} [zone]", zone.place.file.display());
    records.into_iter().map(move |record| Composed {
        what: record.rtype.mnemonic().unwrap_or_default(),
        owner: record.owner.clone(),
        rtype: record.rtype,
        from: from.clone(),
    })
}

/// Nothing but SOA and NS is in the zone: perhaps that is not meant.
pub(super) fn nothing_composed(zone: &Apex, apex: &Name) -> Finding {
    let what = format!("{apex} has no records but SOA and NS: no key and no policy asks for one at or below that name");
    Finding::note("zone-nothing-composed", what).at(zone.place.clone())
}

/// A zone file has taken over.
pub(super) fn unused(zone: &Apex, file: &Path) -> Finding {
    Finding::warning(
        "zone-table-unused",
        format!("[zone] is not used: SOA and NS are those of {}", file.display()),
        "take [zone] out, or remove the zone file to have the zone made from [zone]",
    )
    .at(zone.place.clone())
}

/// A policy file that belongs to nothing.
pub(super) fn policy_without_zone(path: &Path, apex: &Name) -> Finding {
    let stem = path.with_extension("zone");
    let stem = stem.file_name().unwrap_or_default().to_string_lossy();
    Finding::warning(
        "policy-without-zone",
        format!(
            "there is no zone {apex} for this file: no {stem} is beside it, and it has no [zone], no [catalog] and no \
             primaries"
        ),
        format!(
            "add {stem}, or write [zone] with `nameservers = [\"ns1.example.org\", …]` here for a zone without a file, \
             [transfer] with `primaries = [\"203.0.113.1\"]` for one that is fetched, or [catalog] for a list of zones"
        ),
    )
    .at(Place::file(path))
}

/// The zone above, served here too, does not lead to this one: whoever has that zone from a secondary
/// denies every name of this one.
pub(super) fn not_delegated(part: &Name, above: &Name) -> Finding {
    let what = format!(
        "{part} is a zone of its own here, and {above} has no NS records for it: a secondary of {above} denies its names"
    );
    Finding::warning(
        "zone-not-delegated",
        what,
        format!("write the NS records of {part} into {above}, too"),
    )
}
