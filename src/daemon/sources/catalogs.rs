//! Catalogs (RFC 9432): lists of our zones for others, and lists of others that say what is fetched here.

use super::super::zones::Membership;
use super::Sources;
use crate::catalog::{self, Member};
use crate::exchange::stored;
use crate::finding::{Finding, Place};
use crate::name::Name;
use crate::record::Record;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of catalogs.
#[derive(Debug, Default)]
pub(super) struct Catalogs {
    /// Those that list our zones.
    produced: BTreeSet<Name>,
    /// The zones of ours that they may list, as long as there are any.
    listed: BTreeSet<Name>,
    /// Those that are fetched, and what they list.
    consumed: BTreeMap<Name, BTreeSet<Name>>,
}

impl Sources {
    /// Takes over what changed in catalogs and in the zones they list; touches more zones.
    pub(super) fn settle_catalogs(&mut self, dirty: &[Name]) {
        for apex in dirty {
            let source = self.zones.get(apex);
            let is_consumed = source.is_some_and(|source| source.is_catalog() && source.fetched().is_some());
            if is_consumed || self.catalogs.consumed.contains_key(apex) {
                self.consume(apex);
            }
        }
        self.settle_produced(dirty);
    }

    /// Reads a fetched catalog, has its members fetched and those that left it no more.
    fn consume(&mut self, apex: &Name) {
        let members = match self.members_of(apex) {
            Ok(members) => members,
            Err(finding) => return self.findings.push(*finding),
        };
        let before = match members.is_empty() {
            true => self.catalogs.consumed.remove(apex),
            false => self.catalogs.consumed.insert(apex.clone(), members.clone()),
        };
        let transfer = self
            .zones
            .get(apex)
            .and_then(|source| source.transfer())
            .cloned()
            .unwrap_or_default();
        let membership = Membership {
            catalog: apex.clone(),
            transfer,
        };
        for left in before.unwrap_or_default().difference(&members) {
            if self.zones.leave_catalog(left, apex) {
                self.refresh_member(left);
            }
        }
        for member in &members {
            match self.zones.join_catalog(member, &membership) {
                Ok(false) => continue,
                Ok(true) => {}
                Err(other) => {
                    let what = format!("{member} is in two catalogs, {other} and {apex}; the first one counts");
                    let finding = Finding::error("catalog-clash", what, "take it out of one of the two");
                    self.findings.push(finding);
                    continue;
                }
            }
            self.refresh_member(member);
        }
    }

    fn refresh_member(&mut self, member: &Name) {
        if let Some(source) = self.zones.get_mut(member) {
            self.findings.extend(source.refresh_policy(member, &self.config));
        }
        self.dirty.push(member.clone());
    }

    /// The members of a fetched catalog; those of before while it is broken or has not come (RFC 9432 §5.1).
    fn members_of(&self, apex: &Name) -> Result<BTreeSet<Name>, Box<Finding>> {
        let source = self.zones.get(apex).filter(|source| source.is_catalog());
        let Some(fetched) = source.and_then(|source| source.fetched()) else {
            return Ok(BTreeSet::new());
        };
        let known = || self.catalogs.consumed.get(apex).cloned().unwrap_or_default();
        if !fetched.path.exists() {
            return Ok(known());
        }
        let records = stored::read(&fetched.path, apex).map_err(Box::new)?;
        let members = catalog::members(apex, &records).map_err(|broken| {
            let what = format!("the catalog {apex} cannot be used: {broken}");
            let cure = "mend it at its primary; the zones known of it go on being fetched";
            Box::new(Finding::error("catalog-broken", what, cure).at(Place::file(&fetched.path)))
        })?;
        // A catalog in a catalog would have anybody who writes the one write our configuration.
        let is_catalog = |apex: &Name| self.zones.get(apex).is_some_and(|source| source.is_catalog());
        Ok(members
            .into_iter()
            .map(|member| member.apex)
            .filter(|member| !is_catalog(member))
            .collect())
    }

    /// Touches the catalogs of ours when a zone came or went.
    fn settle_produced(&mut self, dirty: &[Name]) {
        let mut changed = false;
        for apex in dirty {
            let source = self.zones.get(apex);
            let is_catalog = source.is_some_and(|source| source.is_catalog());
            if is_catalog && source.is_some_and(|source| source.fetched().is_none()) {
                let is_first = self.catalogs.produced.is_empty();
                if self.catalogs.produced.insert(apex.clone()) && is_first {
                    self.catalogs.listed = self.zones.apexes().cloned().collect();
                }
            } else if self.catalogs.produced.remove(apex) && self.catalogs.produced.is_empty() {
                self.catalogs.listed.clear();
            }
            if !self.catalogs.produced.is_empty() {
                changed |= match self.zones.is_zone(apex) {
                    true => self.catalogs.listed.insert(apex.clone()),
                    false => self.catalogs.listed.remove(apex),
                };
            }
        }
        if changed {
            self.dirty.extend(self.catalogs.produced.iter().cloned());
        }
    }

    /// The records of a catalog of ours beside SOA and NS, and what is to be told of it.
    pub(super) fn catalog_records(&self, apex: &Name) -> (Vec<Record>, Vec<Finding>) {
        let Some(table) = self.zones.get(apex).and_then(|source| source.catalog()) else {
            return (vec![], vec![]);
        };
        let is_listed = |zone: &&Name| self.zones.get(zone).is_some_and(|source| !source.is_catalog());
        let members: Vec<Member> = table.members(self.catalogs.listed.iter().filter(is_listed));
        let (records, left_out) = catalog::records(apex, members);
        let too_long = left_out.into_iter().map(|member| {
            let what = format!("{member} is not in the catalog {apex}: the name of the catalog leaves no room");
            Finding::error("catalog-name-too-long", what, "give the catalog a shorter name")
        });
        (records, too_long.collect())
    }
}
