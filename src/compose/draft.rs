//! A zone being composed: the file's records, and what policy and keys put in and over them.
//!
//! Invariant: the slots `0..file.len()` hold what became of the file's record at that position
//! (kept, replaced in place, or gone), so the order of the file survives; additions follow.

use super::{Composed, Sources};
use crate::finding::{Finding, Place};
use crate::mail::{Kind, Wanted, ZoneView, dkim_public_key};
use crate::name::Name;
use crate::record::{Record, RecordType};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The records so far and what is to be told of them.
pub(super) struct Draft<'s, 'a> {
    /// What everything is made from.
    pub(super) sources: &'s Sources<'a>,
    /// The zone file's own records.
    pub(super) view: &'s ZoneView<'a>,
    slots: Vec<Option<Cow<'a, Record>>>,
    added_at: HashMap<Name, Vec<usize>>,
    done: HashSet<(Name, Kind)>,
    /// Positions of records that policy or keys wrote.
    ours: HashSet<usize>,
    has_mail: bool,
    composed: Vec<Composed>,
    findings: Vec<Finding>,
}

impl<'s, 'a> Draft<'s, 'a> {
    /// The file's records, of which the last `copies` are made from its wildcards.
    pub(super) fn new(sources: &'s Sources<'a>, view: &'s ZoneView<'a>, copies: usize) -> Self {
        let (_, copied) = sources.records.split_at(sources.records.len() - copies);
        let composed = copied.iter().map(|record| Composed {
            what: "wildcard copy",
            owner: record.owner.clone(),
            rtype: record.rtype,
            from: "the wildcard that a key below this name would silence".to_owned(),
        });
        Self {
            sources,
            view,
            slots: sources
                .records
                .iter()
                .map(|record| Some(Cow::Borrowed(record)))
                .collect(),
            added_at: HashMap::new(),
            done: HashSet::new(),
            ours: HashSet::new(),
            has_mail: false,
            composed: composed.collect(),
            findings: vec![],
        }
    }

    /// Puts one wanted record where it belongs, by the rules of the module's first page.
    pub(super) fn put(&mut self, wanted: &Wanted) {
        // A selector's TXT record is unique (RFC 6376 §3.6.2.2): no policy text beside a key.
        let is_beside_key =
            wanted.rtype == RecordType::TXT && self.done.contains(&(wanted.owner.clone(), Kind::DkimKey));
        let is_second = wanted.kind.is_single() && !self.done.insert((wanted.owner.clone(), wanted.kind));
        if is_second || is_beside_key {
            self.tell_of_second(wanted);
            return;
        }
        if let Some(closer) = self.closer_zone(&wanted.owner) {
            let (what, owner, from) = (wanted.kind.what(), &wanted.owner, &wanted.from);
            let note = Finding::note(
                "compose-in-closer-zone",
                format!(
                    "the {what} record of {owner} ({from}) is left to the zone {closer}, which is served here too and has its own policy"
                ),
            );
            self.advise_on_policy((!wanted.yields).then_some(note));
            return;
        }
        if let Some(finding) = self.obstacle(wanted) {
            // What only fills a gap has none to fill here.
            self.advise_on_policy((!wanted.yields).then_some(finding));
            return;
        }
        let file_len = self.sources.records.len();
        let same: Vec<usize> = self
            .at(&wanted.owner)
            .filter(|&(at, record)| wanted.kind.matches(record) && (wanted.kind.is_single() || at < file_len))
            .map(|(at, _)| at)
            .collect();
        self.has_mail = true;
        if wanted.yields && !same.is_empty() {
            return;
        }
        let record = wanted.record(self.ttl_for(wanted, &same));
        self.tell_of_replaced(wanted, &same);
        self.replace(&same, record, wanted.kind.what(), &wanted.from);
    }

    /// Puts `record` in the place of those at `same`, or behind all others, and reports it unless
    /// it is what stands there already.
    pub(super) fn replace(&mut self, same: &[usize], record: Record, what: &'static str, from: &str) {
        let is_unchanged = matches!(same, [at] if self.get(*at) == Some(&record));
        if !is_unchanged {
            self.composed.push(Composed {
                what,
                owner: record.owner.clone(),
                rtype: record.rtype,
                from: from.to_owned(),
            });
        }
        let at = match same.split_first() {
            Some((&first, others)) => {
                others.iter().for_each(|&at| self.slots[at] = None);
                self.slots[first] = Some(Cow::Owned(record));
                first
            }
            None => {
                let at = self.slots.len();
                self.added_at.entry(record.owner.clone()).or_default().push(at);
                self.slots.push(Some(Cow::Owned(record)));
                at
            }
        };
        self.ours.insert(at);
    }

    /// Takes the record at `at` out and reports that the zone departs from its file.
    pub(super) fn remove(&mut self, at: usize, what: &'static str, from: &str) {
        if let Some(record) = self.slots.get_mut(at).and_then(Option::take) {
            self.composed.push(Composed {
                what,
                owner: record.owner.clone(),
                rtype: record.rtype,
                from: from.to_owned(),
            });
        }
    }

    /// Takes the record at `at` out without a word: another one is its equal.
    pub(super) fn drop_twin(&mut self, at: usize) {
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = None;
        }
    }

    /// The records at `owner` as they are now, with their positions.
    pub(super) fn at<'d>(&'d self, owner: &Name) -> impl Iterator<Item = (usize, &'d Record)> + use<'d, 's, 'a> {
        let added = self.added_at.get(owner).map_or(&[][..], Vec::as_slice);
        // A replaced record keeps its owner, so the file's index still holds.
        let positions = self.view.positions(owner).iter().chain(added);
        positions.filter_map(|&at| Some((at, self.get(at)?)))
    }

    /// The record at a position, if it is still there.
    pub(super) fn get(&self, at: usize) -> Option<&Record> {
        self.slots.get(at)?.as_deref()
    }

    /// All records as they are now, with their positions.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Record)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| Some((at, slot.as_deref()?)))
    }

    /// Does the zone publish anything that policy or keys ask for, its file's own version included?
    pub(super) fn has_mail(&self) -> bool {
        self.has_mail
    }

    /// Did policy or a key write the record at `at`?
    pub(super) fn is_ours(&self, at: usize) -> bool {
        self.ours.contains(&at)
    }

    /// Records a finding about the record at `at`: at its line of the zone file, or in the policy.
    pub(super) fn advise(&mut self, at: usize, finding: Finding) {
        let place = match self.is_ours(at) {
            true => self.sources.policy_place.cloned(),
            false => self.place(at),
        };
        self.findings.push(at_place(finding, place));
    }

    /// Records findings about the policy.
    pub(super) fn advise_on_policy(&mut self, findings: impl IntoIterator<Item = Finding>) {
        let place = self.sources.policy_place;
        self.findings
            .extend(findings.into_iter().map(|finding| at_place(finding, place.cloned())));
    }

    /// The finished records, and which position each of them had until now.
    pub(super) fn take_records(&mut self) -> (Vec<Cow<'a, Record>>, Vec<usize>) {
        let slots = std::mem::take(&mut self.slots);
        let positions = (0..slots.len()).filter(|&at| slots[at].is_some()).collect();
        (slots.into_iter().flatten().collect(), positions)
    }

    /// What was composed, and the findings, each once.
    pub(super) fn into_report(self) -> (Vec<Composed>, Vec<Finding>) {
        let mut seen = HashSet::new();
        let findings = self.findings.into_iter();
        (
            self.composed,
            findings.filter(|finding| seen.insert(finding.clone())).collect(),
        )
    }

    fn place(&self, at: usize) -> Option<Place> {
        let (file, line) = *self.sources.places.get(at)?;
        Some(Place::line(self.sources.files.get(usize::from(file))?, line))
    }

    /// The zone below this one, served here too, that `owner` belongs to.
    fn closer_zone(&self, owner: &Name) -> Option<Name> {
        let apex = self.sources.apex;
        let below = |name: &Name| name != apex && name.is_at_or_below(apex);
        std::iter::successors(Some(owner.clone()), Name::parent)
            .take_while(below)
            .find(|name| (self.sources.hosted)(name))
    }

    /// Why a record cannot stand where it is wanted, if it cannot.
    fn obstacle(&self, wanted: &Wanted) -> Option<Finding> {
        let (what, owner, from) = (wanted.kind.what(), &wanted.owner, &wanted.from);
        let apex = self.sources.apex;
        if !owner.is_at_or_below(apex) {
            return Some(Finding::warning(
                "compose-out-of-zone",
                format!("the {what} record of {owner} ({from}) is not published: the name is not in {apex}"),
                "serve the zone that it belongs to",
            ));
        }
        if let Some(cut) = self.view.cut_at_or_above(owner) {
            return Some(Finding::warning(
                "compose-below-cut",
                format!("the {what} record of {owner} ({from}) is not published: {cut} is delegated away"),
                format!("publish it in the zone {cut}, or take the NS records of {cut} out of {apex}"),
            ));
        }
        if let Some(dname) = self.view.dname_above(owner) {
            return Some(Finding::warning(
                "compose-below-dname",
                format!("the {what} record of {owner} ({from}) is not published: the DNAME at {dname} hides it"),
                "publish it below the target of the DNAME",
            ));
        }
        let is_host = !owner.labels().any(|label| label.starts_with(b"_"));
        if let Some(wildcard) = self.view.wildcard_for(owner).filter(|_| is_host && !wanted.yields) {
            return Some(Finding::warning(
                "compose-hides-wildcard",
                format!(
                    "the {what} record of {owner} ({from}) is not published: {wildcard} would no longer answer for that host"
                ),
                format!("write the records of {owner} into the zone file"),
            ));
        }
        let has_cname = self.at(owner).any(|(_, record)| record.rtype == RecordType::CNAME);
        (has_cname && wanted.rtype != RecordType::CNAME).then(|| {
            Finding::warning(
                "compose-beside-cname",
                format!("the {what} record of {owner} ({from}) is not published: a CNAME allows nothing beside it (RFC 1034 §3.6.2)"),
                "take the CNAME out of the zone file to publish it, or the record out of keys or policy to keep the CNAME",
            )
        })
    }

    /// One RRset has one TTL (RFC 2181 §5.2): that of its other records comes first, and the
    /// lowest where the file has them differ.
    fn ttl_for(&self, wanted: &Wanted, same: &[usize]) -> u32 {
        let others = self.at(&wanted.owner).filter(|(at, _)| !same.contains(at));
        let of_rrset = others
            .filter(|(_, record)| record.rtype == wanted.rtype)
            .map(|(_, record)| record.ttl)
            .min();
        let of_replaced = same.first().and_then(|&at| self.get(at)).map(|record| record.ttl);
        of_rrset
            .or(wanted.ttl)
            .or(of_replaced)
            .unwrap_or(self.sources.default_ttl)
    }

    fn tell_of_second(&mut self, wanted: &Wanted) {
        let is_equal = self
            .at(&wanted.owner)
            .any(|(_, record)| record.rtype == wanted.rtype && record.rdata == wanted.rdata);
        if is_equal || wanted.yields {
            return;
        }
        let (what, owner, from) = (wanted.kind.what(), &wanted.owner, &wanted.from);
        self.advise_on_policy([Finding::warning(
            "compose-twice",
            format!(
                "the {what} record of {owner} ({from}) is not published: there is one of its kind, or a key, already"
            ),
            "take one of the two out",
        )]);
    }

    fn tell_of_replaced(&mut self, wanted: &Wanted, same: &[usize]) {
        let (what, owner, from) = (wanted.kind.what(), &wanted.owner, &wanted.from);
        let ours = dkim_public_key(&wanted.record(0).joined_text());
        for &at in same {
            let Some(record) = self.slots[at].as_deref().filter(|record| record.rdata != wanted.rdata) else {
                continue;
            };
            let finding = match wanted.kind {
                Kind::DkimKey if ours.is_some() && dkim_public_key(&record.joined_text()) == ours => continue,
                Kind::DkimKey => Finding::warning(
                    "dkim-static-shadowed",
                    format!(
                        "the TXT record of {owner} is not served: the key directory has another key for this selector ({from})"
                    ),
                    "take the record out of the zone file, or give the key in the directory a new selector",
                ),
                _ => Finding::note(
                    "policy-over-file",
                    format!("the zone file's {what} record of {owner} is not served: it is composed ({from})"),
                ),
            };
            let finding = at_place(finding, self.place(at));
            self.findings.push(finding);
        }
    }
}

fn at_place(finding: Finding, place: Option<Place>) -> Finding {
    match place {
        Some(place) if finding.place.is_none() => finding.at(place),
        _ => finding,
    }
}
