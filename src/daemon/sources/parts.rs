//! Which zone a name belongs to, where a domain is in several: `_domainkey.example.org` and
//! `_dmarc.example.org` may be zones of their own, beside example.org or without it.
//!
//! The closest zone has a name (RFC 1034 §4.2.1): a key stands in the zone that is closest to
//! `selector._domainkey.example.org`, a policy in the one closest to its record.

use super::super::fileless;
use super::Sources;
use crate::finding::{Finding, Place};
use crate::mail::{self, MailPolicy, ZoneView};
use crate::name::Name;
use crate::record::Record;
use std::borrow::Cow;

impl Sources {
    /// A zone that comes or goes takes over or gives back the signing domains below it, and the
    /// names of the domain that it is a part of.
    pub(super) fn touch_zone_above(&mut self, apex: &Name) {
        if let Some(parent) = apex.parent()
            && let Some(above) = self.zones.closest_enclosing(&parent)
            && (mail::part_of(apex).is_some() || self.domains_below(apex).next().is_some())
        {
            self.dirty.push(above.clone());
        }
    }

    /// Once the policy files are read it is known which zones there are.
    pub(super) fn settle_parts(&mut self) {
        for apex in std::mem::take(&mut self.unsettled) {
            self.touch_zone_above(&apex);
            let Some(domain) = mail::part_of(&apex) else { continue };
            if self.zones.is_zone(&apex) {
                self.parts.entry(domain).or_default().insert(apex);
            } else if let Some(parts) = self.parts.get_mut(&domain) {
                parts.remove(&apex);
                if parts.is_empty() {
                    self.parts.remove(&domain);
                }
            }
        }
    }

    /// Keeps the book of who reports where. The zone that holds `_dmarc` of a domain decides, be it the
    /// domain's own or one that is a part of it.
    pub(super) fn settle_reports(&mut self, apex: &Name) {
        let sender = mail::part_of(apex).unwrap_or_else(|| apex.clone());
        let owner = sender.prefixed("_dmarc").ok();
        let home = owner.and_then(|owner| self.zones.closest_enclosing(&owner));
        let home = home.filter(|home| **home == sender || mail::part_of(home).as_ref() == Some(&sender));
        let destinations = home.map_or_else(Vec::new, |home| mail::report_destinations(self.policy(home), &sender));
        self.set_report_destinations(&sender, &destinations);
    }

    /// The zone that a domain belongs to, and those that are parts of it.
    pub(super) fn touch_zones_of(&mut self, domain: &Name) {
        self.dirty.extend(self.zones.closest_enclosing(domain).cloned());
        self.dirty.extend(self.parts.get(domain).into_iter().flatten().cloned());
    }

    /// The signing domains with keys in this zone: those whose `_domainkey` is in it, and, if it holds only a
    /// selector or two, the domain of those. [`Sources::is_home`] tells which keys.
    pub(in crate::daemon) fn domains_of(&self, apex: &Name) -> Vec<Name> {
        if self.zones.get(apex).is_some_and(|source| source.is_left_alone()) {
            return vec![];
        }
        let of_part = mail::part_of(apex).filter(|domain| {
            let is_below = |keys: Name| apex.is_at_or_below(&keys);
            self.domains.contains(domain) && domain.prefixed("_domainkey").is_ok_and(is_below)
        });
        self.domains_below(apex)
            .filter(|domain| self.home_of_keys(domain) == Some(apex))
            .cloned()
            .chain(of_part)
            .collect()
    }

    fn home_of_keys(&self, domain: &Name) -> Option<&Name> {
        let keys = domain.prefixed("_domainkey");
        self.zones.closest_enclosing(keys.as_ref().unwrap_or(domain))
    }

    /// Is this zone the closest one to `owner`, a key of `domain`?
    pub(in crate::daemon) fn is_home(&self, apex: &Name, domain: &Name, owner: &Name) -> bool {
        !self.parts.contains_key(domain) || self.zones.closest_enclosing(owner) == Some(apex)
    }

    /// The policy that decides over the life of a signing domain's keys: that of the zone of
    /// `_domainkey`, or else of `apex`, which shows some of them.
    pub(in crate::daemon) fn key_policy(&self, domain: &Name, apex: &Name) -> &MailPolicy {
        self.policy(self.home_of_keys(domain).unwrap_or(apex))
    }

    /// The parts of a domain that are zones of their own, and that the domain's own zone does not know of.
    pub(super) fn not_delegated(&self, apex: &Name, records: &[Cow<'_, Record>], soa: Option<&Place>) -> Vec<Finding> {
        let Some(parts) = self.parts.get(apex) else {
            return vec![];
        };
        let view = ZoneView::new(apex, records.iter().map(|record| &**record));
        let is_next = |part: &Name| {
            part.parent()
                .is_some_and(|above| self.zones.closest_enclosing(&above) == Some(apex))
        };
        let missing = parts
            .iter()
            .filter(|part| is_next(part) && view.cut_at_or_above(part).is_none());
        missing
            .map(|part| fileless::not_delegated(part, apex))
            .map(|finding| match soa {
                Some(soa) => finding.at(Place::file(&soa.file)),
                None => finding,
            })
            .collect()
    }
}
