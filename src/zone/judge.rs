//! What a zone will be blamed for although it can be served.
//!
//! NS and MX must name hosts with addresses and no aliases (RFC 2181 §10.3); a delegation to name
//! servers below itself needs their addresses (RFC 1034 §4.2.1); what a zone cut or a DNAME hides
//! is never answered (RFC 2181 §6, RFC 6672 §2.4); the SOA's times must let secondaries work
//! (RFC 1912 §2.2). Only targets within the zone are judged: nothing is asked on the network.

use super::{Found, LookupName, Node, Zone};
use crate::finding::Finding;
use crate::name::{WireName, is_at_or_below};
use crate::record::RecordType;

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// Everything about `zone` that an operator should mend.
pub fn judge(zone: &Zone) -> Vec<Finding> {
    let mut findings = judge_soa(zone);
    for node in zone.nodes() {
        if let Some(hidden) = judge_occlusion(zone, node) {
            findings.extend(hidden);
            continue;
        }
        for (rtype, target_at) in [(RecordType::NS, 0), (RecordType::MX, 2)] {
            for record in node.rrset(rtype).into_iter().flat_map(|rrset| rrset.records()) {
                let target = record.rdata.get(target_at..).unwrap_or_default();
                findings.extend(judge_target(zone, node, rtype, target));
            }
        }
    }
    findings
}

/// For a node that is hidden: what is wrong with that, if anything. Addresses below a cut are glue.
fn judge_occlusion(zone: &Zone, node: Node<'_>) -> Option<Option<Finding>> {
    let (cover, what) = match zone.lookup(&LookupName::new(node.name())?) {
        Found::Cut(cut) if cut.name() != node.name() => (cut, "zone cut"),
        Found::Dname(owner) => (owner, "DNAME"),
        _ => return None,
    };
    let is_glue = |rtype| what == "zone cut" && matches!(rtype, RecordType::A | RecordType::AAAA);
    Some(node.rrsets().find(|rrset| !is_glue(rrset.rtype)).map(|rrset| {
        Finding::warning(
            "zone-occluded",
            format!(
                "{} {} is hidden by the {what} at {} and never answered",
                WireName(node.name()),
                rrset.rtype,
                WireName(cover.name())
            ),
            "remove it, or move it to the zone that is in charge of that name",
        )
    }))
}

fn judge_target(zone: &Zone, node: Node<'_>, rtype: RecordType, target: &[u8]) -> Option<Finding> {
    // A null MX (RFC 7505) names the root, which is in no zone but the root's own.
    if target.len() <= 1 || !is_at_or_below(target, zone.apex().as_wire()) {
        return None;
    }
    let target_name = LookupName::new(target)?;
    let (owner, shown) = (WireName(node.name()), WireName(target));
    let has_address = |node: Node<'_>| node.rrset(RecordType::A).is_some() || node.rrset(RecordType::AAAA).is_some();
    match zone.lookup(&target_name) {
        Found::Name(found) | Found::Wildcard(found) if found.has_cname() => Some(Finding::warning(
            if rtype == RecordType::NS {
                "zone-ns-alias"
            } else {
                "zone-mx-alias"
            },
            format!("{rtype} of {owner} names {shown}, which is a CNAME (RFC 2181 §10.3)"),
            "name the host itself",
        )),
        Found::Name(found) | Found::Wildcard(found) if has_address(found) => None,
        Found::Cut(cut) => {
            let needs_glue = rtype == RecordType::NS && cut.name() == node.name();
            (needs_glue && !zone.find(&target_name).is_some_and(has_address)).then(|| {
                Finding::warning(
                    "zone-glue-missing",
                    format!("{owner} is delegated to {shown}, which is below it and has no address here"),
                    "add its A and AAAA records to this zone, or nobody finds it",
                )
            })
        }
        _ => Some(Finding::warning(
            if rtype == RecordType::NS {
                "zone-ns-nowhere"
            } else {
                "zone-mx-nowhere"
            },
            format!("{rtype} of {owner} names {shown}, which has no address"),
            "add its A and AAAA records, or correct the name",
        )),
    }
}

/// RFC 1912 §2.2 and what checkers of delegations want of the times.
fn judge_soa(zone: &Zone) -> Vec<Finding> {
    let Some(times) = zone.soa().first_rdata().last_chunk::<16>() else {
        return vec![];
    };
    let [refresh, retry, expire, minimum] =
        [0, 4, 8, 12].map(|at| u32::from_be_bytes([times[at], times[at + 1], times[at + 2], times[at + 3]]));
    let faults = [
        (
            retry >= refresh,
            format!("retry ({retry}) is not shorter than refresh ({refresh})"),
        ),
        (
            expire < refresh.saturating_add(retry),
            format!("expire ({expire}) is shorter than refresh and retry together"),
        ),
        (
            expire < 7 * DAY,
            format!("with expire {expire} secondaries give the zone up after less than a week without us"),
        ),
        (
            minimum > DAY,
            format!("with minimum {minimum} a name that did not exist is denied for more than a day"),
        ),
    ];
    faults
        .into_iter()
        .filter(|(at_fault, _)| *at_fault)
        .map(|(_, what)| {
            let cure = "use times such as 7200 3600 1209600 3600 (refresh retry expire minimum)";
            Finding::warning("zone-soa-times", format!("SOA of {}: {what}", zone.apex()), cure)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use crate::zonefile;
    use std::path::Path;

    fn codes(soa_times: &str, text: &str) -> Vec<&'static str> {
        let apex = Name::from_text("example.org").unwrap();
        let text = format!("$TTL 60\n@ SOA ns h 1 {soa_times}\n@ NS ns\nns A 192.0.2.1\n{text}");
        let file = zonefile::read(Path::new("test.zone"), &apex, &text).unwrap();
        judge(&Zone::build(&apex, &file.records, &[]).unwrap().0)
            .into_iter()
            .map(|finding| finding.code)
            .collect()
    }

    const GOOD: &str = "7200 3600 1209600 3600";

    #[test]
    fn a_sound_zone_is_not_blamed() {
        let sound = "@ MX 10 mail\n@ MX 20 mx.example.net.\nmail A 192.0.2.2\nsub NS ns.sub\nsub NS ns.example.net.\n\
                     ns.sub A 192.0.2.3\nnever MX 0 .\n*.wild A 192.0.2.4\nhost MX 5 a.wild\nmoved DNAME example.net.";
        assert!(codes(GOOD, sound).is_empty(), "{:?}", codes(GOOD, sound));
    }

    #[test]
    fn targets_without_address_or_with_an_alias_are_told() {
        assert_eq!(codes(GOOD, "@ MX 10 gone"), ["zone-mx-nowhere"]);
        assert_eq!(codes(GOOD, "@ MX 10 alias\nalias CNAME ns"), ["zone-mx-alias"]);
        assert_eq!(codes(GOOD, "@ NS gone"), ["zone-ns-nowhere"]);
        assert_eq!(codes(GOOD, "@ NS alias\nalias CNAME ns"), ["zone-ns-alias"]);
        assert_eq!(codes(GOOD, "sub NS ns.sub"), ["zone-glue-missing"]);
    }

    #[test]
    fn what_is_hidden_is_told() {
        assert_eq!(codes(GOOD, "sub NS ns\nwww.sub TXT x"), ["zone-occluded"]);
        assert_eq!(
            codes(GOOD, "moved DNAME example.net.\nwww.moved A 192.0.2.1"),
            ["zone-occluded"]
        );
    }

    #[test]
    fn times_that_do_not_fit_are_told() {
        assert_eq!(codes("3600 3600 1209600 3600", ""), ["zone-soa-times"]);
        assert_eq!(codes("7200 3600 86400 3600", ""), ["zone-soa-times"]);
        assert_eq!(codes("7200 3600 1209600 100000", ""), ["zone-soa-times"]);
    }
}
