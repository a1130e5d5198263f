//! The zone directory as Signpost knows it: which files make which zones, and the last good
//! reading of each.
//!
//! `NAME.zone` makes the zone `NAME` (`root.zone` the root), `NAME.toml` beside it is that zone's
//! own policy, or makes a zone by itself if it has `[zone]` and there is no zone file; the folder does
//! not matter. Of two files for one zone the first by path counts.
//! A file that does not parse leaves its last good reading in force. Records of a zone into which
//! nothing is composed are not kept: the served zone has them, and its file is read again when
//! needed.

use super::base::PackedBase;
use super::file_at::{Directories, FileAt};
use crate::config::{Config, ConfigError, TransferTable, ZoneConfig, find};
use crate::finding::{Finding, Place};
use crate::mail::MailPolicy;
use crate::name::Name;
use crate::transfer::Remote;
use crate::watch::Kind;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

mod kind;
mod reading;

pub(super) use reading::Reading;

/// Every zone there is a file for, and what was last read of it.
#[derive(Debug, Default)]
pub(super) struct ZoneFiles {
    zones: HashMap<Name, ZoneSource>,
    /// The zones that include a file, by its path.
    includes: HashMap<PathBuf, BTreeSet<Name>>,
    directories: Directories,
}

/// One zone's files. Small, for there may be a million: what few zones have is kept apart.
#[derive(Debug, Default)]
pub(super) struct ZoneSource {
    /// The zone file that counts: the first by path.
    file: Option<FileAt>,
    file_stale: bool,
    more: Option<Box<More>>,
}

/// What only some zones have.
#[derive(Debug, Default)]
struct More {
    /// Further zone files of this name, which do not count.
    ignored: BTreeSet<PathBuf>,
    /// The policy files of this name; the first counts.
    policies: BTreeSet<PathBuf>,
    /// The last good reading of the policy file; `None` without one.
    config: Option<Box<ZoneConfig>>,
    policy_stale: bool,
    /// The last good policy that came of it.
    policy: Option<Box<MailPolicy>>,
    /// The last good records, kept only if the served zone is more than they.
    base: Option<PackedBase>,
    /// Every file the last reading included.
    included: Vec<PathBuf>,
    /// What the last reading found.
    findings: Vec<Finding>,
    /// Where the zone is fetched from, if it is to be.
    fetched: Option<Fetched>,
    /// The catalog that lists the zone.
    member: Option<Box<Membership>>,
}

/// What a zone has from the catalog that lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Membership {
    /// The catalog.
    pub(super) catalog: Name,
    /// Its `[transfer]`, which is that of its members as well.
    pub(super) transfer: TransferTable,
}

/// A zone that is fetched from primaries, unless it has a file.
#[derive(Debug)]
pub(super) struct Fetched {
    /// From whom.
    pub(super) primaries: Vec<Remote>,
    /// Where it is kept.
    pub(super) path: PathBuf,
    /// No primary has confirmed it for too long.
    pub(super) expired: bool,
}

impl ZoneFiles {
    /// Takes note of a change below the zone directory; returns the zone it touches and findings
    /// about the file's name. Reads nothing.
    pub(super) fn note(&mut self, path: PathBuf, kind: Kind) -> (Option<Name>, Vec<Finding>) {
        let is_policy = match path.extension().and_then(|extension| extension.to_str()) {
            Some("zone") => false,
            Some("toml") => true,
            _ => return (None, vec![]),
        };
        let apex = match apex_of(&path) {
            Ok(apex) => apex,
            Err(finding) => return (None, if kind == Kind::Gone { vec![] } else { vec![finding] }),
        };
        let source = self.zones.entry(apex.clone()).or_default();
        let there = kind != Kind::Gone;
        if is_policy {
            source.note_policy(path, there);
        } else {
            source.note_file(&apex, path, there, &mut self.directories);
        }
        if source.is_nothing() {
            self.forget(&apex);
        }
        (Some(apex), vec![])
    }

    /// Takes note of a change of an included file; returns the zones that include it.
    pub(super) fn note_include(&mut self, path: &Path) -> Vec<Name> {
        let apexes: Vec<Name> = self.includes.get(path).into_iter().flatten().cloned().collect();
        for apex in &apexes {
            if let Some(source) = self.zones.get_mut(apex) {
                source.file_stale = true;
            }
        }
        apexes
    }

    fn forget(&mut self, apex: &Name) {
        if let Some(source) = self.zones.remove(apex) {
            self.unlink(apex, source.included());
        }
    }

    /// A catalog lists the zone. Says whether that, or what comes with it, is new; the error names the catalog that lists
    /// it already.
    pub(super) fn join_catalog(&mut self, apex: &Name, membership: &Membership) -> Result<bool, Name> {
        let source = self.zones.entry(apex.clone()).or_default();
        let member = &mut source.more_mut().member;
        match member {
            Some(known) if known.catalog != membership.catalog => return Err(known.catalog.clone()),
            Some(known) if **known == *membership => return Ok(false),
            _ => *member = Some(Box::new(membership.clone())),
        }
        Ok(true)
    }

    /// A catalog lists the zone no more. Says whether it did.
    pub(super) fn leave_catalog(&mut self, apex: &Name, catalog: &Name) -> bool {
        let Some(source) = self.zones.get_mut(apex) else {
            return false;
        };
        let Some(more) = source.more.as_mut() else { return false };
        if more.member.take_if(|member| member.catalog == *catalog).is_none() {
            return false;
        }
        // What it was fetched by goes with it; its own file may say otherwise when that is looked at next.
        more.fetched = None;
        source.tidy();
        if source.is_nothing() {
            self.forget(apex);
        }
        true
    }

    fn unlink(&mut self, apex: &Name, opened: &[PathBuf]) {
        for file in opened {
            if let Some(apexes) = self.includes.get_mut(file) {
                apexes.remove(apex);
                if apexes.is_empty() {
                    self.includes.remove(file);
                }
            }
        }
    }

    /// Everything is to be read again.
    pub(super) fn all_stale(&mut self) -> Vec<Name> {
        for source in self.zones.values_mut() {
            source.file_stale = true;
            if let Some(more) = &mut source.more {
                more.policy_stale = true;
            }
        }
        self.zones.keys().cloned().collect()
    }

    /// Is there a zone of this name, by a zone file or without one?
    pub(super) fn is_zone(&self, apex: &Name) -> bool {
        self.zones.get(apex).is_some_and(ZoneSource::is_zone)
    }

    /// The zone that `name` belongs to.
    pub(super) fn closest_enclosing(&self, name: &Name) -> Option<&Name> {
        let mut at = Some(name.clone());
        while let Some(candidate) = at {
            if let Some((apex, source)) = self.zones.get_key_value(&candidate)
                && source.is_zone()
            {
                return Some(apex);
            }
            at = candidate.parent();
        }
        None
    }

    pub(super) fn get(&self, apex: &Name) -> Option<&ZoneSource> {
        self.zones.get(apex)
    }

    pub(super) fn get_mut(&mut self, apex: &Name) -> Option<&mut ZoneSource> {
        self.zones.get_mut(apex)
    }

    /// The name of every zone.
    pub(super) fn apexes(&self) -> impl Iterator<Item = &Name> {
        self.zones
            .iter()
            .filter(|(_, source)| source.is_zone())
            .map(|(apex, _)| apex)
    }

    /// Every file that is included by some zone.
    pub(super) fn included(&self) -> Vec<PathBuf> {
        self.includes.keys().cloned().collect()
    }

    /// Takes a reading over as the zone's state. `keep` are the records to remember, if any.
    /// Tells whether the set of included files has changed.
    pub(super) fn settle(&mut self, apex: &Name, reading: Reading, keep: Option<PackedBase>) -> bool {
        let Some(source) = self.zones.get_mut(apex) else {
            return false;
        };
        source.file_stale = !reading.good;
        let findings = if reading.good { reading.findings } else { vec![] };
        if source.more.is_none() && keep.is_none() && findings.is_empty() && reading.included.is_empty() {
            return false;
        }
        let more = source.more_mut();
        more.base = keep;
        more.findings = findings;
        let before = std::mem::replace(&mut more.included, reading.included.clone());
        source.tidy();
        if before == reading.included {
            return false;
        }
        self.unlink(apex, &before);
        for file in reading.included {
            self.includes.entry(file).or_default().insert(apex.clone());
        }
        true
    }
}

impl ZoneSource {
    fn note_file(&mut self, apex: &Name, path: PathBuf, there: bool, directories: &mut Directories) {
        self.file_stale = true;
        let next = match (self.file(apex), there) {
            (None, true) => Some(path),
            (Some(file), true) if file == path => Some(file),
            (Some(file), true) => {
                let files = &mut self.more_mut().ignored;
                files.extend([file, path]);
                files.pop_first()
            }
            (Some(file), false) if file == path => self.more.as_mut().and_then(|more| more.ignored.pop_first()),
            (file, false) => {
                if let Some(more) = &mut self.more {
                    more.ignored.remove(&path);
                }
                file
            }
        };
        if let Some(before) = self.file.take() {
            directories.leave(before);
        }
        self.file = next.map(|path| directories.enter(path, apex));
        self.tidy();
    }

    fn note_policy(&mut self, path: PathBuf, there: bool) {
        let more = self.more_mut();
        more.policy_stale = true;
        if there {
            more.policies.insert(path);
        } else {
            more.policies.remove(&path);
        }
    }

    fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Gives back the memory of what the zone has no longer.
    fn tidy(&mut self) {
        let empty = self.more.as_ref().is_some_and(|more| {
            more.base.is_none()
                && more.policy.is_none()
                && !more.policy_stale
                && more.ignored.is_empty()
                && more.policies.is_empty()
                && more.included.is_empty()
                && more.findings.is_empty()
                && more.fetched.is_none()
                && more.member.is_none()
        });
        if empty {
            self.more = None;
        }
    }

    /// The zone file that counts.
    pub(super) fn file(&self, apex: &Name) -> Option<PathBuf> {
        Some(self.file.as_ref()?.path(apex))
    }

    /// The policy file that counts, if the zone has one.
    pub(super) fn policy_file(&self) -> Option<&PathBuf> {
        self.more.as_ref()?.policies.first()
    }

    /// The zone's own `[transfer]`, if it has one, or that of its catalog.
    pub(super) fn transfer(&self) -> Option<&TransferTable> {
        self.more.as_ref()?.transfer()
    }

    /// The zone's own policy, if it has one.
    pub(super) fn policy(&self) -> Option<&MailPolicy> {
        self.more.as_ref()?.policy.as_deref()
    }

    fn included(&self) -> &[PathBuf] {
        self.more.as_ref().map_or(&[], |more| &more.included)
    }

    /// Reads the policy file if it has changed, and makes the policy by the server's `defaults`; the last good
    /// one stays in force on error.
    pub(super) fn refresh_policy(&mut self, apex: &Name, defaults: &Config) -> Vec<Finding> {
        let Some(more) = &mut self.more else { return vec![] };
        let mut findings = vec![];
        let stale = std::mem::take(&mut more.policy_stale);
        let Some(path) = more.policies.first() else {
            (more.config, more.policy) = (None, None);
            more.follow_primaries(apex, defaults);
            self.tidy();
            return findings;
        };
        if stale {
            match find::load_zone(path) {
                Ok(config) => {
                    more.config = Some(Box::new(config));
                    findings.extend(duplicates(path, more.policies.iter().skip(1), "policy"));
                }
                Err(error) => {
                    let is_served = self.file.is_some() || more.config.is_some();
                    findings.push(policy_error(error, is_served));
                }
            }
        }
        let none = ZoneConfig::default();
        more.follow_primaries(apex, defaults);
        match defaults.policy_for(more.config.as_deref().unwrap_or(&none)) {
            Ok(policy) => more.policy = Some(Box::new(policy)),
            Err(error) => findings.push(error.finding()),
        }
        findings
    }
}

fn duplicates<'p>(
    counts: &Path,
    ignored: impl Iterator<Item = &'p PathBuf>,
    what: &str,
) -> impl Iterator<Item = Finding> {
    ignored.map(move |other| {
        Finding::error(
            "zone-twice",
            format!(
                "there is a second {what} file for this zone; {} counts, this one is ignored",
                counts.display()
            ),
            "remove one of the two",
        )
        .at(Place::file(other))
    })
}

fn policy_error(error: ConfigError, is_served: bool) -> Finding {
    error.finding().and_then_cure(match is_served {
        true => "the last good policy stays in force",
        false => "nothing is served of it until then",
    })
}

/// The zone that a file name stands for.
fn apex_of(path: &Path) -> Result<Name, Finding> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let name = match stem {
        Some("root") => return Ok(Name::root()),
        Some(stem) => Name::from_text(stem)
            .map(|name| name.to_lowercase())
            .map_err(|error| error.to_string()),
        None => Err("the file name is not UTF-8".to_owned()),
    };
    name.map_err(|error| {
        Finding::error(
            "zone-file-name",
            format!("the file name is no domain name: {error}"),
            "name it after the zone, such as example.org.zone, and root.zone for the root",
        )
        .at(Place::file(path))
    })
}
