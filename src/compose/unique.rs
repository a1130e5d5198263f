//! Never two: what receivers refuse to choose between is decided here, whoever wrote it.
//!
//! Two `v=spf1` (RFC 7208 §4.5) or two `v=DMARC1` (RFC 9989) at a name, two keys at a selector
//! (RFC 6376 §3.6.2.2), two of the other version-tagged kinds: every receiver takes neither, so
//! serving both serves nobody. The first stays, the others go, with a warning.
//!
//! Type 99 (RFC 7208 §3.1) is read by nobody new and by some old verifiers first, so it equals the
//! TXT or does not exist: a differing one is made equal, one without TXT gets it, `type99 = false`
//! takes it out and `type99 = true` puts it in.

use super::draft::Draft;
use crate::finding::Finding;
use crate::mail::Kind;
use crate::name::Name;
use crate::record::{Record, RecordType};
use std::collections::{BTreeSet, HashMap};

/// Drops all but the first of each kind that the zone file has twice at a name. Comes before policy
/// and keys are put in, so that what they replace is one record.
pub(super) fn drop_seconds(draft: &mut Draft<'_, '_>) {
    let mut first: HashMap<(&Name, RecordType, Kind), usize> = HashMap::new();
    let mut seconds: Vec<(usize, usize, Kind)> = vec![];
    for (at, record) in draft.all() {
        let Some(kind) = Kind::of(record) else { continue };
        let kept = *first.entry((&record.owner, record.rtype, kind)).or_insert(at);
        if kept != at {
            seconds.push((at, kept, kind));
        }
    }
    for (at, kept, kind) in seconds {
        let (Some(record), Some(other)) = (draft.get(at).cloned(), draft.get(kept)) else {
            continue;
        };
        if record.rdata == other.rdata {
            // Equal data is one record however often it is written (RFC 2181 §5).
            draft.drop_twin(at);
            continue;
        }
        let what = kind.what();
        let finding = Finding::warning(
            "record-twice",
            format!(
                "{} has a second {what} record, which is left out: receivers that find two take neither",
                record.owner
            ),
            "merge the two into one in the zone file",
        );
        draft.advise(at, finding);
        draft.remove(at, what, "the zone file, of two the first");
    }
}

/// Makes the type 99 record of every name equal to its TXT. Comes after policy has been put in.
pub(super) fn pair_all_type99(draft: &mut Draft<'_, '_>) {
    let is_asked = draft.sources.policy.spf.type99 == Some(true);
    if !is_asked && !draft.all().any(|(_, record)| record.rtype == RecordType::SPF) {
        return;
    }
    let names: BTreeSet<Name> = draft
        .all()
        .filter(|(_, record)| Kind::of(record) == Some(Kind::Spf))
        .map(|(_, record)| record.owner.clone())
        .collect();
    for owner in names {
        pair_type99(draft, &owner);
    }
}

fn pair_type99(draft: &mut Draft<'_, '_>, owner: &Name) {
    if draft.at(owner).any(|(_, record)| record.rtype == RecordType::CNAME) {
        // Whatever stands beside a CNAME is not served (RFC 1034 §3.6.2).
        return;
    }
    let is = |rtype: RecordType| move |record: &Record| record.rtype == rtype && Kind::of(record) == Some(Kind::Spf);
    let find = |draft: &Draft<'_, '_>, wanted: &dyn Fn(&Record) -> bool| {
        draft
            .at(owner)
            .find(|(_, record)| wanted(record))
            .map(|(at, record)| (at, record.clone()))
    };
    let txt = find(draft, &is(RecordType::TXT));
    let old = find(draft, &is(RecordType::SPF));
    let asked = draft.sources.policy.spf.type99;
    let txt = match (txt, &old) {
        (Some(txt), _) => txt,
        (None, Some((at, old))) => match add_txt(draft, *at, old) {
            Some(txt) => txt,
            None => return,
        },
        (None, None) => return,
    };
    match (asked, old) {
        (Some(false), Some((at, _))) => {
            let note = Finding::note(
                "spf-type99-off",
                format!("the type 99 record of {owner} is not served: type99 = false"),
            );
            draft.advise(at, note);
            draft.remove(at, "SPF", "policy [mail.spf] type99 = false");
        }
        (Some(true), None) => {
            draft.replace(&[], twin(&txt.1), "SPF", "policy [mail.spf] type99, the TXT beside it");
        }
        (_, Some((at, old))) if old.rdata != txt.1.rdata || (draft.is_ours(txt.0) && old.ttl != txt.1.ttl) => {
            if !draft.is_ours(txt.0) {
                let finding = Finding::warning(
                    "spf-type99-differs",
                    format!(
                        "the type 99 record of {owner} differs from its TXT record and is served as the TXT: verifiers that read it first would fail mail"
                    ),
                    "make the two equal in the zone file, or set `type99` in [mail.spf]",
                );
                draft.advise(at, finding);
            }
            draft.replace(&[at], twin(&txt.1), "SPF", "the TXT beside it");
        }
        _ => {}
    }
}

/// The TXT that a lone type 99 record stands for.
fn add_txt(draft: &mut Draft<'_, '_>, at: usize, old: &Record) -> Option<(usize, Record)> {
    let finding = Finding::warning(
        "spf-type99-alone",
        format!(
            "{} has SPF as type 99 only, which receivers have not read since 2014 (RFC 7208 §3.1); a TXT record of the same text is served beside it",
            old.owner
        ),
        "write the TXT record into the zone file, or configure [mail.spf]",
    );
    draft.advise(at, finding);
    let of_rrset = draft.at(&old.owner).find(|(_, record)| record.rtype == RecordType::TXT);
    let txt = Record {
        rtype: RecordType::TXT,
        ttl: of_rrset.map_or(old.ttl, |(_, record)| record.ttl),
        ..old.clone()
    };
    draft.replace(&[], txt.clone(), "SPF", "the type 99 record beside it");
    draft
        .at(&old.owner)
        .find(|(_, record)| **record == txt)
        .map(|(at, _)| (at, txt.clone()))
}

fn twin(txt: &Record) -> Record {
    Record {
        rtype: RecordType::SPF,
        ..txt.clone()
    }
}
