//! From plan to action, and from what came of it to the stored states.

use super::hand::{Job, Report, Work};
use super::{Held, KeyName, SIGNER_TABLES};
use crate::config::{KeyType, Signer, SignerKind};
use crate::control::Reply;
use crate::daemon::engine::{Engine, now};
use crate::exchange::Sought;
use crate::finding::Finding;
use crate::mail::dkim::{NewKey, Rotation};
use crate::name::Name;
use crate::publish::{KeyState, Stage};
use crate::record::RecordType;
use crate::rotate::{self, Gate, Schedule, Step, Zone};
use crate::signer;
use crate::zone::LookupName;
use std::collections::BTreeSet;
use std::sync::Arc;

/// After a failure a domain rests for so long at first, and at most, in seconds.
const REST: (u64, u64) = (10, 3600);
/// Whoever changes one table changes the other next: so long after that a step is tried again, in seconds.
const SETTLE: u64 = 2;
/// A server that lacks the next key for so long is worth a line, in seconds.
const LATE: u64 = 30;

impl Engine {
    /// Follows the configuration of signers and their tables.
    pub(in crate::daemon) fn follow_signers(&mut self, tables_changed: bool) {
        let (files, refused) = self.keeper.follow(&self.sources.config);
        self.news.add(refused);
        if files.is_none() && !tables_changed {
            return;
        }
        if let Some(files) = files
            && let Err(error) = self.watcher.set_extra(SIGNER_TABLES, files)
        {
            let cure = "name the tables of [[signer]] by their whole paths";
            self.news.add([Finding::warning("watch-path", error.to_string(), cure)]);
        }
        let (changed, findings) = self.keeper.read_tables();
        self.news.add(findings);
        for domain in changed {
            self.keeper.try_again(&domain, now() + SETTLE);
            self.sources.touch_domain(domain);
        }
    }

    /// Takes the steps that are due, and notes what came of earlier ones. Says whether zones are to be published again.
    pub(in crate::daemon) fn rotate(&mut self) -> bool {
        let mut touched = BTreeSet::new();
        while let Ok(heard) = self.keeper.heard.try_recv() {
            touched.extend(self.hear(heard));
        }
        while let Ok(report) = self.keeper.reports.try_recv() {
            touched.insert(report.domain.clone());
            self.take(report);
        }
        let now = now();
        if self.keeper.mind_the_clock(now) {
            touched.extend(self.publisher.key_domains().cloned());
        }
        self.note_made(now);
        let mut plan: BTreeSet<Name> = std::mem::take(&mut self.keeper.touched);
        let is_due = |(domain, due): (&Name, &u64)| (*due <= now).then(|| domain.clone());
        plan.extend(self.keeper.due.iter().filter_map(is_due));
        self.keeper.due.retain(|_, due| *due > now);
        plan.extend(touched.iter().cloned());
        for domain in &plan {
            self.plan(domain, now);
        }
        for key in self.keeper.keys_to_ask(now) {
            let sought = self.sought(&key);
            self.keeper.ask(&key, sought);
        }
        self.answer_askers(now);
        let again = !touched.is_empty();
        touched.into_iter().for_each(|domain| self.sources.touch_domain(domain));
        again
    }

    /// Must what the keys of a domain came after not be withdrawn yet?
    pub(in crate::daemon) fn hold_of(&mut self, domain: &Name, retire: u64) -> bool {
        let now = now();
        let keys = self.publisher.keys(domain);
        let spent = keys
            .iter()
            .filter(|key| key.stage == Stage::Retiring && key.course.spent);
        let ends = spent.map(|key| key.since.saturating_add(retire));
        let Some(end) = ends.filter(|end| *end <= now).max() else {
            return false;
        };
        // What they came after is withdrawn once all name servers are seen to serve them, now that it would be.
        let mut hold = false;
        let successors: Vec<(KeyName, Arc<str>)> = keys
            .iter()
            .filter(|key| key.stage == Stage::Signing)
            .map(|key| ((domain.clone(), key.selector.clone()), Arc::clone(&key.record)))
            .collect();
        for (key, record) in successors {
            let last = self.keeper.watched.get(&key).and_then(|watch| watch.sighting(&record));
            if !last.is_some_and(|last| last.everywhere && last.at >= end && now.saturating_sub(last.at) <= LATE) {
                hold = true;
                self.keeper.keep_asking(&key, now, now);
            }
        }
        hold
    }

    /// The selectors of keys that it is too early to sign with; none if it is not known what is signed with.
    pub(in crate::daemon) fn unsafe_yet(&self, domain: &Name) -> BTreeSet<String> {
        if !self.keeper.reads_tables() {
            return BTreeSet::new();
        }
        let now = now();
        let safe_at = |key: &KeyState| Some(key.course.seen?.saturating_add(rotate::wait(key, self.zone_of(key))));
        let keys = self.publisher.keys(domain).iter();
        let early = keys.filter(|key| key.stage == Stage::Live && safe_at(key).is_none_or(|at| now < at));
        early.map(|key| key.selector.clone()).collect()
    }

    /// The TTL of the TXT records that are served at a name.
    pub(in crate::daemon) fn served_ttl(zones: &crate::publish::SharedZones, owner: &Name) -> Option<u32> {
        let lookup = LookupName::new(owner.as_wire())?;
        let zones = zones.load();
        let node = zones.closest_enclosing(&lookup)?.find(&lookup)?;
        node.rrset(RecordType::TXT)
            .and_then(|rrset| rrset.records().next())
            .map(|record| record.ttl())
    }

    pub(in crate::daemon) fn rotation_of(&self, domain: &Name) -> Rotation {
        let owner = domain.prefixed("_domainkey").unwrap_or_else(|_| domain.clone());
        match self.sources.zones.closest_enclosing(&owner) {
            Some(apex) => self.sources.key_policy(domain, apex).dkim.rotation.clone(),
            None => Rotation::default(),
        }
    }

    fn plan(&mut self, domain: &Name, now: u64) {
        if self.keeper.is_busy(domain) || self.keeper.awaits(domain) {
            return;
        }
        if let Some(held) = self.keeper.held.get(domain).filter(|held| held.until > now) {
            self.keeper.due.insert(domain.clone(), held.until);
            return;
        }
        let rotation = self.rotation_of(domain);
        let keys = self.publisher.keys(domain).to_vec();
        // Where it shows whether a signer is switched too early, that is to be known of every key.
        let watches = self.keeper.reads_tables();
        let is_asked_for =
            |key: &&KeyState| key.stage == Stage::Live && (key.course.next || watches && key.course.seen.is_none());
        for key in keys.iter().filter(is_asked_for) {
            let until = self.gate_of(key, now);
            let at = match until {
                Gate::Waits { until } => until,
                Gate::Open | Gate::Shut => now,
            };
            self.keeper
                .keep_asking(&(domain.clone(), key.selector.clone()), at, now);
        }
        let signers = &self.keeper.signers;
        let schedule = Schedule {
            every: rotation.every.filter(|_| !signers.is_empty()),
            algorithms: &rotation.algorithms,
            selector: &rotation.selector,
            has_signer: &|kind| signers.iter().any(|signer| signer.can_sign_with(kind)),
        };
        let files: BTreeSet<String> = self
            .sources
            .keys_of(domain)
            .iter()
            .map(|key| key.selector.clone())
            .collect();
        let gate_of = |key: &KeyState| self.gate_of(key, now);
        let plan = rotate::plan(&keys, &schedule, &|selector| files.contains(selector), &gate_of, now);
        if let Some(deadline) = plan.deadline {
            self.keeper.due.insert(domain.clone(), deadline);
        }
        match keys.iter().find(|key| key.is_lost()) {
            Some(lost) if !keys.iter().any(KeyState::is_on_its_way) => {
                let lost = no_file(domain, &lost.selector);
                self.hold(domain, lost);
            }
            _ if plan.steps.is_empty() => drop(self.keeper.held.remove(domain)),
            _ => {}
        }
        self.begin(domain, plan.steps, &keys, &rotation, now);
    }

    /// Begins with the first of the steps, and all keys that are to be made; the rest follows once that is done.
    fn begin(&mut self, domain: &Name, steps: Vec<Step>, keys: &[KeyState], rotation: &Rotation, now: u64) {
        let mut make = vec![];
        for step in steps {
            match step {
                Step::Make { selector, algorithm } => make.push((selector, algorithm)),
                Step::Choose { selector } => {
                    self.set_course(domain, &selector, |course| course.next = true);
                    self.keeper.touch(domain);
                    self.keeper.due.insert(domain.clone(), now);
                    return;
                }
                Step::Switch { selector, old } if make.is_empty() => {
                    // What the tables say is not believed before the signer is known to have read them.
                    if !self.set_course(domain, &selector, |course| course.switching = true) {
                        return;
                    }
                    let Some(work) = self.switch_to(domain, &selector, old, keys) else {
                        self.hold(domain, no_file(domain, &selector));
                        return;
                    };
                    return self.give(domain, work, None);
                }
                Step::Discard { selector } if make.is_empty() => {
                    let Some(key_file) = self.key_file(domain, &selector) else {
                        continue;
                    };
                    let hold = rotation.reveal.is_some();
                    let hold = hold.then(|| signer::held(&self.sources.config.state, domain, &selector));
                    let work = Work::Discard {
                        selector,
                        key_file,
                        hold,
                    };
                    return self.give(domain, work, None);
                }
                Step::Switch { .. } | Step::Discard { .. } => {}
            }
        }
        if !make.is_empty() {
            let work = Work::Make { keys: make, next: true };
            self.give(domain, work, None);
        }
    }

    fn switch_to(&self, domain: &Name, selector: &str, old: Option<String>, keys: &[KeyState]) -> Option<Work> {
        let key = keys.iter().find(|key| key.selector == selector)?;
        let kind = NewKey::of(key.algorithm);
        // What the signer signs with is not what it should if that was revoked, or lost in the middle of a switch.
        let stray = keys
            .iter()
            .filter(|other| kind.is_kind_of(other.algorithm) && other.selector != selector);
        let stray = stray.filter(|other| other.course.switching || matches!(other.stage, Stage::Revoked { .. }));
        let mut stray = stray.filter(|other| self.keeper.names(domain, &other.selector));
        let old = stray.next().map(|other| other.selector.clone()).or(old);
        let others = keys.iter().filter(|other| !kind.is_kind_of(other.algorithm));
        Some(Work::Switch {
            selector: selector.to_owned(),
            old,
            algorithm: kind,
            key_file: self.key_file(domain, selector)?,
            record: Arc::clone(&key.record),
            beside: others.map(|other| other.selector.clone()).collect(),
        })
    }

    fn key_file(&self, domain: &Name, selector: &str) -> Option<std::path::PathBuf> {
        let keys = self.sources.keys_of(domain);
        let key = keys.iter().find(|key| key.selector == selector)?;
        key.sources.first().cloned()
    }

    /// Hands a job over; the domain rests until it is done.
    pub(in crate::daemon) fn give(&mut self, domain: &Name, work: Work, pending: Option<crate::control::Pending>) {
        self.keeper.busy.insert(domain.clone());
        let mut signers = self.keeper.signers.clone();
        if signers.is_empty() {
            signers.push(nobody(&self.sources.config.keys));
        }
        self.keeper.hand.give(Job {
            domain: domain.clone(),
            work,
            pending,
            signers: signers.into(),
        });
    }

    /// What came of a job.
    fn take(&mut self, report: Report) {
        let Report {
            domain,
            work,
            pending,
            result,
        } = report;
        self.keeper.busy.remove(&domain);
        let files = match result {
            Ok(files) => files,
            Err(error) => {
                let finding = error.finding();
                match pending {
                    Some(pending) => pending.reply(Reply::failed(finding.to_string())),
                    None => self.hold(&domain, finding),
                }
                return;
            }
        };
        self.keeper.held.remove(&domain);
        match work {
            Work::Make { keys, next } => {
                let mut text = String::new();
                for ((selector, kind), file) in keys.into_iter().zip(&files) {
                    tracing::info!(%domain, selector, algorithm = kind.name(), file = %file.display(), "a DKIM key was made");
                    text += &format!("{selector} {} {}\n", kind.name(), file.display());
                    self.keeper.made.insert((domain.clone(), selector), next);
                }
                if let Some(pending) = pending {
                    pending.reply(Reply::done(text));
                }
            }
            Work::Switch { selector, old, .. } => {
                let stored = self.publisher.switched(&domain, &selector, now());
                self.news.add(stored.err());
                tracing::info!(%domain, selector, old, "the signer signs with this key now");
                // Meanwhile what the tables say was not looked at.
                self.follow_signers(true);
            }
            Work::Discard { selector, .. } => {
                tracing::info!(%domain, selector, "the files of a key that is no longer needed are removed");
            }
            Work::Reveal { selector, folder, .. } => {
                tracing::info!(%domain, selector, folder = %folder.display(), "the private half of a forgotten key is published");
            }
        }
    }

    /// A step failed: it is tried again, less and less often.
    fn hold(&mut self, domain: &Name, finding: Finding) {
        let now = now();
        let before = self.keeper.held.get(domain);
        let delay = before.map_or(REST.0, |held| (held.delay * 2).min(REST.1));
        if before.is_none_or(|held| held.finding != finding) {
            self.news.add([finding.clone()]);
        }
        let until = now + delay;
        self.keeper.due.insert(domain.clone(), until);
        self.keeper.held.insert(domain.clone(), Held { until, delay, finding });
    }

    /// Keys that were made and are seen in the key directory by now are noted as ours.
    fn note_made(&mut self, now: u64) {
        for (key, next) in self.keeper.made.clone() {
            let (domain, selector) = &key;
            if self.keeper.rests(domain, now) {
                continue;
            }
            let set = |course: &mut crate::publish::Course| {
                course.made = true;
                course.next = next;
            };
            if self.set_course(domain, selector, set) {
                self.keeper.made.remove(&key);
                self.keeper.touch(domain);
            }
        }
    }

    /// Notes something about a key; says whether that could be done.
    pub(in crate::daemon) fn set_course(
        &mut self,
        domain: &Name,
        selector: &str,
        set: impl FnOnce(&mut crate::publish::Course),
    ) -> bool {
        match self.publisher.set_course(domain, selector, now(), set) {
            Ok(known) => known,
            Err(finding) => {
                self.hold(domain, finding);
                false
            }
        }
    }

    /// What name servers said of a key: the domain to be looked at again, if that changes anything.
    fn hear(&mut self, heard: super::Heard) -> Option<Name> {
        let now = now();
        let asked = Arc::clone(&heard.0.record);
        let (key, everywhere) = self.keeper.hear(heard, now);
        let (domain, selector) = &key;
        let state = self
            .publisher
            .keys(domain)
            .iter()
            .find(|key| key.selector == *selector)?
            .clone();
        if state.record != asked {
            return None;
        }
        let seen = rotate::seen(state.course.seen, everywhere, now);
        if seen != state.course.seen {
            self.set_course(domain, selector, |course| course.seen = seen);
            if everywhere && state.course.next {
                tracing::info!(%domain, selector, "every name server serves this key");
            }
        }
        if let Some(watch) = self.keeper.watched.get(&key)
            && state.course.next
        {
            let late = watch
                .against
                .iter()
                .filter(|(_, since)| now.saturating_sub(**since) >= LATE);
            let finding = late.map(|(server, _)| late_server(&state, server)).collect();
            self.news.domain_waits(domain.clone(), finding);
        }
        Some(domain.clone())
    }

    pub(in crate::daemon) fn gate_of(&self, key: &KeyState, now: u64) -> Gate {
        let name = (key.domain.clone(), key.selector.clone());
        let last = self
            .keeper
            .watched
            .get(&name)
            .and_then(|watch| watch.sighting(&key.record));
        rotate::gate(key, self.zone_of(key), last, now)
    }

    /// How long resolvers may remember that the key was not there.
    pub(in crate::daemon) fn zone_of(&self, key: &KeyState) -> Zone {
        let negative_ttl = || {
            let owner = key.owner().ok()?;
            let lookup = LookupName::new(owner.as_wire())?;
            let zones = self.zones.load();
            let soa = zones.closest_enclosing(&lookup)?.soa();
            let minimum = soa.first_rdata().last_chunk::<4>()?;
            Some(soa.records().next()?.ttl().min(u32::from_be_bytes(*minimum)))
        };
        Zone {
            negative_ttl: negative_ttl().unwrap_or(0),
        }
    }

    /// What the name servers are to be asked for, if the key is served.
    fn sought(&self, (domain, selector): &KeyName) -> Option<Sought> {
        let state = self
            .publisher
            .keys(domain)
            .iter()
            .find(|key| key.selector == *selector)?;
        let owner = state.owner().ok()?;
        let apex = self.sources.zones.closest_enclosing(&owner)?.clone();
        Some(Sought {
            apex,
            domain: domain.clone(),
            selector: selector.clone(),
            owner,
            record: Arc::clone(&state.record),
        })
    }

    /// Private keys that were kept to be revealed, and whose selectors are forgotten.
    pub(in crate::daemon) fn reveal_forgotten(&mut self, domain: &Name, selector: &str) {
        let Some(folder) = self.rotation_of(domain).reveal else {
            return;
        };
        let held = signer::held(&self.sources.config.state, domain, selector);
        if held.exists() {
            let work = Work::Reveal {
                selector: selector.to_owned(),
                held,
                folder,
            };
            self.give(domain, work, None);
        }
    }
}

fn late_server(state: &KeyState, server: &str) -> Finding {
    Finding::warning(
        "dkim-key-held",
        format!(
            "{} is not signed with yet, for {server} does not serve it",
            state.selector
        ),
        "see `signpost key status`, and what keeps that server from following",
    )
}

fn no_file(domain: &Name, selector: &str) -> Finding {
    Finding::error(
        "dkim-key-no-file",
        format!(
            "the key {selector} of {domain} was to be signed with, and its private half is not in the key directory"
        ),
        "put it back, or make another with `signpost key rotate`",
    )
}

/// Makes keys where nothing is said of signers.
fn nobody(keys: &std::path::Path) -> Signer {
    Signer {
        kind: SignerKind::Hook,
        algorithms: vec![KeyType::Rsa, KeyType::Ed25519],
        keys: format!("{}/{{domain}}/{{selector}}.private", keys.display()),
        owner: None,
        mode: 0o600,
        reload: None,
        hook: vec![],
    }
}
