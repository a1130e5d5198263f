//! Lint: what is wrong with the finished mail records, whoever wrote them.
//!
//! Findings about a record of the zone file name its line; those about a composed record name the
//! policy. Leave to report that a foreign receiver must give is told of here too.

use super::draft::Draft;
use crate::finding::Finding;
use crate::mail::{Kind, ZoneView, dkim, dmarc, is_spf, spf};
use crate::name::Name;
use crate::record::RecordType;

/// Judges every mail record of the `finished` zone; `positions` are those that `draft` knows the
/// records by.
pub(super) fn judge(draft: &mut Draft<'_, '_>, finished: &ZoneView<'_>, positions: &[usize]) {
    for (record, &at) in finished.records().iter().zip(positions) {
        if record.rtype != RecordType::TXT {
            continue;
        }
        let text = record.joined_text();
        let findings = match Kind::of(record) {
            Some(Kind::Spf) => spf::lint::lint(finished, record),
            Some(Kind::Dmarc) => judge_dmarc(draft, &record.owner, &String::from_utf8_lossy(&text)),
            Some(Kind::DkimKey) if !draft.is_ours(at) => dkim::lint(&record.owner, &text),
            None => leading_blank(&record.owner, &text).into_iter().collect(),
            _ => continue,
        };
        for finding in findings {
            draft.advise(at, finding);
        }
    }
}

/// ` v=spf1` is no SPF record to any receiver (RFC 7208 §4.5).
fn leading_blank(owner: &Name, text: &[u8]) -> Option<Finding> {
    let trimmed = text.trim_ascii_start();
    (trimmed.len() < text.len() && is_spf(trimmed)).then(|| {
        Finding::warning(
            "spf-leading-blank",
            format!("the TXT record of {owner} has a blank before `v=spf1` and is no SPF record to any receiver"),
            "take the blank out",
        )
    })
}

fn judge_dmarc(draft: &Draft<'_, '_>, owner: &Name, text: &str) -> Vec<Finding> {
    // The bare version at _report._dmarc is a whole record there (RFC 9990).
    let is_authorization = owner.labels().any(|label| label.eq_ignore_ascii_case(b"_report"));
    if is_authorization {
        return vec![];
    }
    let mut findings = dmarc::lint(owner, text);
    let Some(domain) = owner
        .parent()
        .filter(|_| owner.labels().next().is_some_and(|l| l.eq_ignore_ascii_case(b"_dmarc")))
    else {
        findings.push(Finding::warning(
            "dmarc-misplaced",
            format!("the DMARC record of {owner} is not at a `_dmarc` name, where alone it is looked for"),
            format!("move it to _dmarc.{owner}"),
        ));
        return findings;
    };
    for receiver in dmarc::foreign_destinations(text, &domain) {
        let Some(leave) = dmarc::authorization_owner(&domain, &receiver) else {
            continue;
        };
        if !is_hosted(draft, &leave) {
            findings.push(Finding::note(
                "dmarc-foreign-receiver",
                format!("DMARC reports about {domain} go to {receiver}, whose owner must publish `{leave} TXT \"v=DMARC1\"` (RFC 9990)"),
            ));
        }
    }
    findings
}

fn is_hosted(draft: &Draft<'_, '_>, name: &Name) -> bool {
    let mut name = Some(name.clone());
    while let Some(current) = name {
        if (draft.sources.hosted)(&current) {
            return true;
        }
        name = current.parent();
    }
    false
}
