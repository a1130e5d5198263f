//! Which serial a zone is published with.
//!
//! A zone into which nothing was ever composed is the operator's: it keeps its file's serial, right
//! or wrong, and what is wrong with it is told. Once something is composed the zone is ours: its
//! serial moves exactly when the content does, never backwards, and follows the file's serial
//! whenever that is newer. When composing stops the zone stays ours until the file's serial has
//! caught up, because secondaries hold ours. Newer is what RFC 1982 calls newer.
//!
//! Pure: what was published and what is to be published in, the next state out.

use super::content::ContentHash;
use super::serial::Serial;
use crate::finding::{Finding, Place};
use crate::name::Name;

/// What is remembered of a published zone. About 44 bytes, for there may be a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneState {
    /// The serial it was last published with.
    pub published: Serial,
    /// The serial its file had then.
    pub file: Serial,
    /// Has anything been composed into it since its serial was last the file's?
    pub composed: bool,
    /// Its content then.
    pub hash: ContentHash,
}

/// A version of a zone that is to be published.
pub(super) struct Offer<'a> {
    pub(super) apex: &'a Name,
    /// Where the SOA is written, for the findings.
    pub(super) soa: Option<&'a Place>,
    pub(super) file: Serial,
    pub(super) composed: bool,
    pub(super) hash: ContentHash,
}

impl Offer<'_> {
    /// The state that publishing this version leads to from `before` (`None`: never seen), its
    /// serial in `published`, and what the operator should know about serials.
    pub(super) fn decide(&self, before: Option<&ZoneState>) -> (ZoneState, Vec<Finding>) {
        match before {
            None => (self.state(self.file, self.composed), vec![]),
            Some(before) if !self.composed && !before.composed => self.as_the_file_says(before),
            Some(before) => self.as_we_count(before),
        }
    }

    /// Nothing composed, then or now: the file's serial, to the byte.
    fn as_the_file_says(&self, before: &ZoneState) -> (ZoneState, Vec<Finding>) {
        let mut findings = vec![];
        if self.file != before.published && !self.file.is_newer_than(before.published) {
            findings.push(self.warning(
                "serial-backwards",
                format!(
                    "{}: the SOA serial went back from {} to {}, so secondaries keep the old version",
                    self.apex, before.published, self.file
                ),
                format!("set it to at least {}", before.published.next()),
            ));
        } else if self.file == before.published && self.hash != before.hash {
            findings.push(self.warning(
                "serial-not-raised",
                format!(
                    "{}: the zone changed but its SOA serial is still {}, so secondaries will not notice",
                    self.apex, self.file
                ),
                format!("raise it to at least {}", self.file.next()),
            ));
        }
        (self.state(self.file, false), findings)
    }

    /// Something is composed, or was and secondaries may still hold a serial of ours.
    fn as_we_count(&self, before: &ZoneState) -> (ZoneState, Vec<Finding>) {
        let published = if self.file.is_newer_than(before.published) {
            self.file
        } else if self.hash != before.hash {
            before.published.next()
        } else {
            before.published
        };
        let caught_up = self.file == published;
        let mut findings = vec![];
        if !self.composed && !caught_up {
            findings.push(self.warning(
                "serial-behind",
                format!(
                    "{}: nothing is composed any more, but secondaries hold serial {published} and the file says {}",
                    self.apex, self.file
                ),
                format!("set the SOA serial in {} to at least {published}", self.file_name()),
            ));
        } else if self.file != before.file && !caught_up {
            findings.push(self.note(
                "serial-kept",
                format!(
                    "{}: the file's SOA serial {} is not newer than the published one, which is {published} now",
                    self.apex, self.file
                ),
            ));
        }
        (self.state(published, self.composed || !caught_up), findings)
    }

    fn state(&self, published: Serial, composed: bool) -> ZoneState {
        ZoneState {
            published,
            file: self.file,
            composed,
            hash: self.hash,
        }
    }

    fn file_name(&self) -> String {
        self.soa
            .map_or_else(|| "the zone file".into(), |place| place.file.display().to_string())
    }

    fn warning(&self, code: &'static str, what: String, cure: String) -> Finding {
        self.placed(Finding::warning(code, what, cure))
    }

    fn note(&self, code: &'static str, what: String) -> Finding {
        self.placed(Finding::note(code, what))
    }

    fn placed(&self, finding: Finding) -> Finding {
        match self.soa {
            Some(place) => finding.at(place.clone()),
            None => finding,
        }
    }
}

#[cfg(test)]
mod tests;
