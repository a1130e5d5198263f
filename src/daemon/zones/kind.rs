//! What makes a zone: a zone file, `[zone]` of its policy file, primaries of its own or those of a catalog; and what that
//! means for what is composed into it.

use super::super::fileless;
use super::{Fetched, More, ZoneSource};
use crate::config::{Apex, Catalog, Config, TransferTable};
use crate::exchange::stored;
use crate::finding::Finding;
use crate::name::Name;
use std::path::PathBuf;

impl Fetched {
    /// For reports.
    pub(in crate::daemon) fn from(&self) -> String {
        let primaries: Vec<String> = self.primaries.iter().map(ToString::to_string).collect();
        format!("fetched from {}", primaries.join(", "))
    }
}

impl ZoneSource {
    pub(super) fn is_zone(&self) -> bool {
        self.file.is_some() || self.without_file().is_some() || self.fetched().is_some()
    }

    /// What the zone is fetched from, if it has neither a zone file nor `[zone]`.
    pub(in crate::daemon) fn fetched(&self) -> Option<&Fetched> {
        let makes_itself = self.file.is_some() || self.table().is_some();
        self.more.as_ref()?.fetched.as_ref().filter(|_| !makes_itself)
    }

    /// The `[catalog]` of the policy file.
    pub(in crate::daemon) fn catalog(&self) -> Option<&Catalog> {
        self.more.as_ref()?.config.as_ref()?.catalog.as_ref()
    }

    /// Is it a list of zones?
    pub(in crate::daemon) fn is_catalog(&self) -> bool {
        self.catalog().is_some()
    }

    /// Is nothing to be composed into it? A catalog is none of anybody's domains, and a fetched zone is a faithful copy
    /// unless its own file has a `[mail]`.
    pub(in crate::daemon) fn is_left_alone(&self) -> bool {
        let config = self.more.as_ref().and_then(|more| more.config.as_ref());
        let has_mail = config.is_some_and(|config| config.mail.is_written());
        self.is_catalog() || self.fetched().is_some() && !has_mail
    }

    /// Has it neither a file nor a catalog?
    pub(super) fn is_nothing(&self) -> bool {
        let is_member = self.more.as_ref().is_some_and(|more| more.member.is_some());
        self.file.is_none() && self.policy_file().is_none() && !is_member
    }

    /// Is there no data to serve of a zone that is fetched?
    pub(in crate::daemon) fn is_unavailable(&self) -> bool {
        self.fetched()
            .is_some_and(|fetched| fetched.expired || !fetched.path.exists())
    }

    /// Another version of the zone was fetched, or it expired.
    pub(in crate::daemon) fn note_fetched(&mut self, expired: bool) {
        self.file_stale = true;
        if let Some(fetched) = self.more.as_mut().and_then(|more| more.fetched.as_mut()) {
            fetched.expired = expired;
        }
    }

    /// The `[zone]` of the policy file, used or not.
    pub(super) fn table(&self) -> Option<&Apex> {
        self.more.as_ref()?.config.as_ref()?.apex.as_ref()
    }

    /// What makes the zone when there is no zone file.
    pub(in crate::daemon) fn without_file(&self) -> Option<&Apex> {
        self.table().filter(|_| self.file.is_none())
    }

    /// The file that makes the zone.
    pub(in crate::daemon) fn origin(&self, apex: &Name) -> Option<PathBuf> {
        let of_table = || Some(self.without_file()?.place.file.clone());
        self.file(apex)
            .or_else(of_table)
            .or_else(|| Some(self.fetched()?.path.clone()))
    }

    /// What is amiss with the two kinds of files as they are together.
    pub(in crate::daemon) fn judge(&self, apex: &Name) -> Option<Finding> {
        match (self.file(apex), self.table()) {
            (Some(file), Some(zone)) => Some(fileless::unused(zone, &file)),
            (None, None) if self.fetched().is_some() => None,
            (None, None) => {
                let more = self.more.as_ref()?;
                // One that never could be read has been told of.
                more.config.as_ref()?;
                Some(fileless::policy_without_zone(more.policies.first()?, apex))
            }
            _ => None,
        }
    }
}

impl More {
    /// What its own file says of transfers, or, when that says nothing, its catalog.
    pub(super) fn transfer(&self) -> Option<&TransferTable> {
        let of_catalog = || self.member.as_ref().map(|member| &member.transfer);
        let own = self.config.as_ref().map(|config| &config.transfer);
        own.filter(|table| !table.is_silent()).or_else(of_catalog)
    }

    /// Takes over from whom the zone is to be fetched.
    pub(super) fn follow_primaries(&mut self, apex: &Name, defaults: &Config) {
        let primaries = self
            .transfer()
            .map_or_else(Vec::new, |own| defaults.transfer.with(own).primaries);
        let path = stored::path(&defaults.state, apex);
        let expired = match &self.fetched {
            Some(fetched) => fetched.expired,
            None => !primaries.is_empty() && stored::is_expired(&path),
        };
        self.fetched = (!primaries.is_empty()).then_some(Fetched {
            primaries,
            path,
            expired,
        });
    }
}
