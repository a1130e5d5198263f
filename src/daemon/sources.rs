//! Everything zones are made of, and making them: configuration, zone files, key directory.
//!
//! [`Sources::note`] takes what the watcher reports; [`Sources::settle`] says which zones must be
//! composed again; [`Sources::compose`] composes them, on all cores if there are many. Only what
//! changed is read: a key costs its file, its signing domain and its zone, whatever the total.

mod catalogs;
mod parts;

use catalogs::Catalogs;

use super::base::{Base, PackedBase};
use super::fileless;
use super::key_files::{KeyNews, read_key_file};
use super::zones::{Reading, ZoneFiles};
use crate::compose::{self, Composition, ReportAuthorization, ZoneKey};
use crate::config::{self, Config, ConfigError, ZoneConfig};
use crate::finding::{Finding, Place};
use crate::keys::{DkimKey, KeyDirectory};
use crate::mail::{self, MailPolicy};
use crate::name::Name;
use crate::record::Record;
use crate::watch::{self, Change, Kind, RootId, Watcher};
use crate::zonefile::DiskFiles;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// `signpost.toml` itself.
pub(super) const CONFIG: RootId = RootId(0);
/// The zone directory.
pub(super) const ZONES: RootId = RootId(1);
/// The key directory.
pub(super) const KEYS: RootId = RootId(2);
/// Files that zone files include, wherever they are.
pub(super) const INCLUDED: RootId = RootId(3);
/// Key files outside of the key directory that a KeyTable names.
pub(super) const KEYS_ELSEWHERE: RootId = RootId(4);

/// A zone file of more than this, a gibibyte, is refused before it is read.
const MAX_ZONE_FILE: u64 = (1 << 30) - 1;
/// With fewer zones than this, threads cost more than they bring.
const WORTH_THREADS: usize = 64;

/// The sources of all zones.
pub(super) struct Sources {
    pub(super) config: Config,
    /// The policy of a zone without one of its own.
    default_policy: MailPolicy,
    pub(super) zones: ZoneFiles,
    pub(super) keys: KeyDirectory,
    /// Every signing domain with a key, now or once.
    domains: BTreeSet<Name>,
    /// Where each zone sends DMARC reports that is not itself (RFC 9990).
    destinations: BTreeMap<Name, Vec<Name>>,
    /// The same the other way round: who sends reports to a receiver.
    reports: BTreeMap<Name, BTreeSet<Name>>,
    /// The zones that hold a part of a domain's names, such as `_domainkey.example.org`, by domain.
    parts: BTreeMap<Name, BTreeSet<Name>>,
    /// The zones that must be composed again, in any order and more than once.
    dirty: Vec<Name>,
    catalogs: Catalogs,
    /// The policy of zones into which nothing is composed.
    no_policy: MailPolicy,
    /// Zones that may have come or gone with the reading of their policy file.
    unsettled: BTreeSet<Name>,
    /// What is to be told and belongs to no zone.
    pub(super) findings: Vec<Finding>,
    /// Has `signpost.toml` changed?
    config_stale: bool,
    includes_changed: bool,
    /// Key files outside of the key directory that are followed.
    keys_elsewhere: Vec<PathBuf>,
}

/// What changed, settled.
pub(super) struct Settled {
    /// The zones to be composed again, those below others first.
    pub(super) compose: Vec<Name>,
    /// The zones whose file is gone.
    pub(super) removed: Vec<Name>,
    /// The policy files that belong to no zone.
    pub(super) idle: Vec<(Name, Finding)>,
}

/// A zone composed.
pub(super) struct Made<'a> {
    pub(super) apex: Name,
    /// `None` when there never was a good version.
    pub(super) composition: Option<Composition<'a>>,
    pub(super) soa: Option<Place>,
    /// From reading; those of composing are in the composition.
    pub(super) findings: Vec<Finding>,
}

/// Is the file a tool's by-product? Judged from the directory that is followed, which may itself lie below a hidden one.
fn is_litter(root: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(root).ok().or_else(|| path.file_name().map(Path::new));
    below.is_some_and(watch::is_litter)
}

impl Sources {
    pub(super) fn new(config: Config) -> Result<Self, ConfigError> {
        let findings = [("zones", &config.zones), ("keys", &config.keys)]
            .into_iter()
            .filter(|(_, directory)| !directory.is_dir())
            .map(|(option, directory)| missing(option, directory).at(Place::file(&config.path)))
            .collect();
        Ok(Self {
            // As the watcher writes paths: a KeyTable may name keys by absolute paths.
            keys: KeyDirectory::new(&std::path::absolute(&config.keys).unwrap_or_else(|_| config.keys.clone())),
            default_policy: config.policy_for(&ZoneConfig::default())?,
            config,
            zones: ZoneFiles::default(),
            domains: BTreeSet::new(),
            destinations: BTreeMap::new(),
            reports: BTreeMap::new(),
            parts: BTreeMap::new(),
            catalogs: Catalogs::default(),
            no_policy: MailPolicy::default(),
            dirty: Vec::new(),
            unsettled: BTreeSet::new(),
            findings,
            config_stale: false,
            includes_changed: false,
            keys_elsewhere: Vec::new(),
        })
    }

    /// Takes note of what the watcher reports. Key files are read here, zone files when composing.
    pub(super) fn note(&mut self, changes: Vec<Change>) {
        let mut keys = Vec::new();
        // As the watcher writes paths.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (zones_root, keys_root) = (absolute(&self.config.zones), absolute(&self.config.keys));
        for change in changes {
            match change.root {
                CONFIG => self.config_stale = true,
                ZONES => {
                    // What a zone includes counts, whatever its name.
                    self.dirty.extend(self.zones.note_include(&change.path));
                    if !is_litter(&zones_root, &change.path) {
                        self.note_zone(change.path, change.kind);
                    }
                }
                KEYS | KEYS_ELSEWHERE if is_litter(&keys_root, &change.path) => {}
                KEYS | KEYS_ELSEWHERE => keys.push(change),
                INCLUDED => self.dirty.extend(self.zones.note_include(&change.path)),
                _ => {}
            }
        }
        self.note_keys(keys);
    }

    fn note_keys(&mut self, changes: Vec<Change>) {
        // Tables first: what a file is taken for depends on whether one names it.
        let (tables, files): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| self.keys.is_table(&change.path));
        for table in tables {
            match read_key_file(&table) {
                KeyNews::Content(content) => self.keys.update(&table.path, Some(&content)),
                KeyNews::Gone => self.keys.update(&table.path, None),
                KeyNews::Unreadable(finding) => self.findings.push(finding),
            }
        }
        let this = &*self;
        let read = |change: &Change| match read_key_file(change) {
            KeyNews::Content(content) => Ok(Some(this.keys.read(&change.path, &content))),
            KeyNews::Gone => Ok(None),
            KeyNews::Unreadable(finding) => Err(finding),
        };
        let read: Vec<_> = if files.len() < WORTH_THREADS {
            files.iter().map(read).collect()
        } else {
            on_all_cores(files.iter().collect(), &read)
        };
        for (change, read) in files.into_iter().zip(read) {
            match read {
                Ok(Some(file)) => self.keys.take(file),
                Ok(None) => self.keys.update(&change.path, None),
                Err(finding) => self.findings.push(finding),
            }
        }
    }

    fn note_zone(&mut self, path: PathBuf, kind: Kind) {
        let is_policy = path.extension().is_some_and(|extension| extension == "toml");
        let (apex, findings) = self.zones.note(path, kind);
        self.findings.extend(findings);
        let Some(apex) = apex else { return };
        if is_policy || mail::part_of(&apex).is_some() {
            self.unsettled.insert(apex.clone());
        } else {
            self.touch_zone_above(&apex);
        }
        self.dirty.push(apex);
    }

    /// Files that a KeyTable names outside of the key directory are read and followed too.
    pub(super) fn follow_keys_elsewhere(&mut self, watcher: &mut Watcher) {
        self.resolve_keys();
        let wanted = self.keys.wanted();
        if wanted == self.keys_elsewhere {
            return;
        }
        match watcher.set_extra(KEYS_ELSEWHERE, wanted.clone()) {
            Ok(()) => self.keys_elsewhere = wanted,
            Err(error) => self.findings.push(Finding::error("watch-path", error.to_string(), "")),
        }
        let batch = watcher.next(Some(Duration::ZERO));
        self.findings.extend(batch.findings);
        self.note(batch.changes);
        self.resolve_keys();
    }

    fn resolve_keys(&mut self) {
        let (domains, findings) = self.keys.resolve();
        self.findings.extend(findings);
        domains.into_iter().for_each(|domain| self.touch_domain(domain));
    }

    /// Another version of a zone was fetched, or it expired.
    pub(super) fn note_fetched(&mut self, apex: &Name, expired: bool) {
        if let Some(source) = self.zones.get_mut(apex) {
            source.note_fetched(expired);
            self.dirty.push(apex.clone());
        }
    }

    /// Is the zone fetched, and is nothing to be composed into it?
    pub(super) fn is_as_it_came(&self, apex: &Name) -> bool {
        let source = self.zones.get(apex);
        source.is_some_and(|source| source.fetched().is_some() && source.is_left_alone())
    }

    /// Signing domains that are remembered although no file may be left.
    pub(super) fn remember_domains(&mut self, domains: impl Iterator<Item = Name>) {
        for domain in domains {
            self.touch_domain(domain);
        }
    }

    /// The zones of this signing domain must be composed again.
    pub(super) fn touch_domain(&mut self, domain: Name) {
        self.touch_zones_of(&domain);
        self.domains.insert(domain);
    }

    /// Everything is to be read and composed again.
    pub(super) fn all_stale(&mut self) {
        self.config_stale = true;
        self.dirty.extend(self.zones.all_stale());
    }

    /// Works out which zones the changes noted touch.
    pub(super) fn settle(&mut self) -> Settled {
        self.reload_config();
        let mut dirty = in_order(std::mem::take(&mut self.dirty));
        for apex in &dirty {
            if let Some(source) = self.zones.get_mut(apex) {
                self.findings.extend(source.refresh_policy(apex, &self.config));
            }
        }
        self.settle_parts();
        self.settle_catalogs(&dirty);
        for apex in &dirty {
            self.settle_reports(apex);
        }
        if !self.dirty.is_empty() {
            dirty.append(&mut self.dirty);
            dirty = in_order(dirty);
        }
        let (compose, removed): (_, Vec<Name>) = dirty.into_iter().partition(|apex| self.zones.is_zone(apex));
        let idle = removed.iter().filter_map(|apex| {
            let finding = self.zones.get(apex)?.judge(apex)?;
            Some((apex.clone(), finding))
        });
        Settled {
            idle: idle.collect(),
            compose,
            removed,
        }
    }

    fn reload_config(&mut self) {
        if !std::mem::take(&mut self.config_stale) {
            return;
        }
        let loaded =
            config::find::load(&self.config.path).and_then(|new| Ok((new.policy_for(&ZoneConfig::default())?, new)));
        match loaded {
            Ok((policy, mut new)) => {
                for option in Config::restart_needed(&self.config, &new) {
                    let what = format!("`{option}` has changed; that is obeyed at the next start");
                    let finding = Finding::warning("config-restart", what, "restart Signpost when it suits");
                    self.findings.push(finding.at(Place::file(&new.path)));
                }
                if new.keys != self.config.keys {
                    // New keys are to go where keys are looked for.
                    new.signers.clone_from(&self.config.signers);
                }
                let kept = (
                    self.config.zones.clone(),
                    self.config.keys.clone(),
                    self.config.state.clone(),
                );
                self.config = new;
                (self.config.zones, self.config.keys, self.config.state) = kept;
                self.default_policy = policy;
                self.dirty.extend(self.zones.apexes().cloned());
            }
            Err(error) => {
                self.findings.push(
                    error
                        .finding()
                        .and_then_cure("the last good configuration stays in force"),
                );
            }
        }
    }

    fn set_report_destinations(&mut self, sender: &Name, destinations: &[Name]) {
        let before = match destinations {
            [] => self.destinations.remove(sender),
            some => self.destinations.insert(sender.clone(), some.to_vec()),
        };
        let before = before.unwrap_or_default();
        for receiver in before.iter().filter(|receiver| !destinations.contains(receiver)) {
            if let Some(senders) = self.reports.get_mut(receiver) {
                senders.remove(sender);
            }
            self.touch_zones_of(receiver);
        }
        for receiver in destinations.iter().filter(|receiver| !before.contains(receiver)) {
            self.reports.entry(receiver.clone()).or_default().insert(sender.clone());
            self.touch_zones_of(receiver);
        }
    }

    fn domains_below<'s>(&'s self, apex: &'s Name) -> impl Iterator<Item = &'s Name> {
        self.domains
            .range(apex.clone()..)
            .take_while(move |domain| domain.is_at_or_below(apex))
    }

    /// The zone's policy, defaults where it has none of its own.
    pub(super) fn policy(&self, apex: &Name) -> &MailPolicy {
        match self.zones.get(apex) {
            Some(source) if source.is_left_alone() => &self.no_policy,
            Some(source) => source.policy().unwrap_or(&self.default_policy),
            None => &self.default_policy,
        }
    }

    /// A policy for all zones that says how often keys are made, where nothing says who signs with them.
    pub(super) fn without_signer(&self) -> Option<Finding> {
        let is_idle = self.config.signers.is_empty() && self.default_policy.dkim.rotation.every.is_some();
        is_idle.then(|| {
            Finding::warning(
                "signer-none",
                "`every` in [mail.dkim.rotation] has no effect, for no [[signer]] says which program signs",
                "write a [[signer]], see docs/signers.md, or take `every` out",
            )
            .at(Place::file(&self.config.path))
        })
    }

    /// The keys that the key directory holds of a signing domain.
    pub(super) fn keys_of(&self, domain: &Name) -> Vec<&DkimKey> {
        self.keys.keys_of(domain)
    }

    /// Reads and composes zones with the keys they are to show, and does with each what `then` says
    /// while it is at hand: its records are dropped before the next zone is read. `served` gives the
    /// records of the version that is served, for a file that no longer parses.
    pub(super) fn compose<R: Send>(
        &mut self,
        zones: Vec<(Name, Vec<ZoneKey>)>,
        served: &(dyn Fn(&Name) -> Option<Vec<Record>> + Sync),
        then: &(dyn Fn(Made<'_>) -> R + Sync),
    ) -> Vec<R> {
        let this = &*self;
        let make = |(apex, keys): (Name, Vec<ZoneKey>)| this.make(apex, &keys, served, then);
        let composed = if zones.len() < WORTH_THREADS {
            zones.into_iter().map(make).collect()
        } else {
            on_all_cores(zones, &make)
        };
        composed
            .into_iter()
            .map(|(apex, done, reading, base)| {
                self.includes_changed |= self.zones.settle(&apex, reading, base);
                done
            })
            .collect()
    }

    /// One zone: what `then` made of it, how reading went, and what to keep of its file.
    fn make<R>(
        &self,
        apex: Name,
        keys: &[ZoneKey],
        served: &(dyn Fn(&Name) -> Option<Vec<Record>> + Sync),
        then: &(dyn Fn(Made<'_>) -> R + Sync),
    ) -> (Name, R, Reading, Option<PackedBase>) {
        let open = DiskFiles { limit: MAX_ZONE_FILE };
        let mut reading = match self.zones.get(&apex) {
            Some(source) => source.read(&apex, &open, || served(&apex)),
            None => Reading::nothing(),
        };
        let mut base = reading.base.take();
        let source = self.zones.get(&apex);
        let without_file = source.and_then(|source| source.without_file());
        let mut findings = reading.findings.clone();
        findings.extend(source.and_then(|source| source.judge(&apex)));
        let is_catalog = without_file.is_some() && source.is_some_and(|source| source.is_catalog());
        if let Some(base) = base.as_mut().filter(|_| is_catalog) {
            let (records, told) = self.catalog_records(&apex);
            base.places.resize(
                base.places.len() + records.len(),
                base.places.first().copied().unwrap_or_default(),
            );
            base.records.extend(records);
            findings.extend(told);
        }
        let (policy_place, reports) = (self.policy_place(&apex), self.reports_to(&apex));
        let hosted = |name: &Name| self.zones.is_zone(name);
        let mut composition = base.as_ref().map(|base| {
            compose::compose(&compose::Sources {
                apex: &apex,
                records: &base.records,
                places: &base.places,
                files: &base.files,
                default_ttl: without_file.map_or(compose::DEFAULT_TTL, |zone| zone.ttl),
                policy: self.policy(&apex),
                policy_place: Some(&policy_place),
                keys,
                reports: &reports,
                hosted: &hosted,
            })
        });
        let is_composed = composition.as_ref().is_some_and(|made| !made.composed.is_empty());
        if let (Some(composition), Some(base)) = (&mut composition, &base) {
            findings.extend(self.not_delegated(&apex, &composition.records, reading.soa.as_ref()));
            if let Some(zone) = without_file {
                if composition.composed.is_empty() && !is_catalog {
                    findings.push(fileless::nothing_composed(zone, &apex));
                }
                composition.composed.splice(0..0, fileless::composed(zone, base));
            }
        }
        let done = then(Made {
            apex: apex.clone(),
            composition,
            soa: reading.soa.take(),
            findings,
        });
        let keep = is_composed && without_file.is_none();
        (apex, done, reading, base.filter(|_| keep).map(Base::pack))
    }

    /// What a zone is made from, for the report: its file, or the file of its `[zone]`.
    pub(super) fn source_of(&self, apex: &Name) -> Option<String> {
        let source = self.zones.get(apex)?;
        if let Some(fetched) = source.fetched() {
            return Some(fetched.from());
        }
        let origin = source.origin(apex)?;
        let path = origin.display();
        Some(match source.file(apex) {
            Some(_) => path.to_string(),
            None => format!("composed from {path}"),
        })
    }

    /// Where the zone's policy is written.
    fn policy_place(&self, apex: &Name) -> Place {
        let own = self.zones.get(apex).and_then(|source| source.policy_file());
        Place::file(own.unwrap_or(&self.config.path))
    }

    /// Who sends DMARC reports to receivers in this zone.
    fn reports_to(&self, apex: &Name) -> Vec<ReportAuthorization> {
        let of_part = mail::part_of(apex).and_then(|domain| self.reports.get_key_value(&domain));
        self.reports
            .range(apex.clone()..)
            .take_while(|(receiver, _)| receiver.is_at_or_below(apex))
            .filter(|(receiver, _)| self.zones.closest_enclosing(receiver) == Some(apex))
            .chain(of_part)
            .flat_map(|(receiver, senders)| {
                senders.iter().map(|sender| ReportAuthorization {
                    sender: sender.clone(),
                    receiver: receiver.clone(),
                })
            })
            .collect()
    }

    /// The included files to follow, if they are others than before.
    pub(super) fn changed_includes(&mut self) -> Option<Vec<PathBuf>> {
        std::mem::take(&mut self.includes_changed).then(|| self.zones.included())
    }

    /// What has been found since the last call that belongs to no zone.
    pub(super) fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }
}

/// Each apex once: those with most labels first, so that a zone below another comes before it, and within
/// those in the order of the state store's table, which takes many zones faster so.
fn in_order(mut apexes: Vec<Name>) -> Vec<Name> {
    let order = |apex: &Name| Reverse(apex.label_count());
    apexes.sort_unstable_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.as_wire().cmp(b.as_wire())));
    apexes.dedup();
    apexes
}

/// What `work` makes of each item, in their order. Items differ in the work they make, so each core takes
/// the next one from a common queue.
fn on_all_cores<T: Send, R: Send>(items: Vec<T>, work: &(impl Fn(T) -> R + Sync)) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(items.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let take_turns = || {
        std::iter::from_fn(next)
            .map(|(number, item)| (number, work(item)))
            .collect::<Vec<_>>()
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(take_turns)).collect();
        let mut done = take_turns();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|&(number, _)| number);
    done.into_iter().map(|(_, result)| result).collect()
}

fn missing(option: &str, directory: &Path) -> Finding {
    Finding::warning(
        "directory-missing",
        format!("`{option}` is {}, and there is no such directory", directory.display()),
        format!("create it, or correct `{option}`; it is taken as soon as it is there"),
    )
}
