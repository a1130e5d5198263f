//! From plan to action, and from what came of it to the stored states.

use super::hand::{Job, Report, Work};
use super::{Held, KeyName, MADE, Made, SIGNER_TABLES};
use crate::config::{KeyType, Signer, SignerKind};
use crate::control::Reply;
use crate::daemon::engine::{Engine, now};
use crate::exchange::Sought;
use crate::finding::Finding;
use crate::mail::dkim::{NewKey, Rotation};
use crate::name::Name;
use crate::publish::{Course, KeyState, SharedZones, Stage};
use crate::record::RecordType;
use crate::rotate::{self, Gate, Schedule, Step};
use crate::signer;
use crate::zone::LookupName;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
        self.news.add(self.sources.without_signer());
        if let Some(files) = files
            && let Err(error) = self.watcher.set_extra(SIGNER_TABLES, files)
        {
            let cure = "name the tables of [[signer]] by their whole paths";
            self.news.add([Finding::warning("watch-path", error.to_string(), cure)]);
        }
        match self.keeper.read_tables() {
            Ok(changed) => {
                for domain in changed {
                    self.keeper.try_again(&domain, now() + SETTLE);
                    self.sources.touch_domain(domain);
                }
            }
            Err(finding) => self.news.add([finding]),
        }
    }

    /// Takes the steps that are due, and notes what came of earlier ones. Says whether zones are to be published again.
    pub(in crate::daemon) fn rotate(&mut self) -> bool {
        let mut touched = BTreeSet::new();
        let mut noted = false;
        while let Ok(heard) = self.keeper.heard.try_recv() {
            noted |= self.hear(heard, &mut touched);
        }
        if noted {
            let stored = self.publisher.store_now(now());
            self.news.add(stored.err());
        }
        while let Ok(report) = self.keeper.reports.try_recv() {
            touched.insert(report.domain.clone());
            self.take(report);
        }
        if std::mem::take(&mut self.keeper.tables_stale) {
            self.follow_signers(true);
        }
        let now = now();
        if self.keeper.mind_the_clock(now) {
            touched.extend(self.publisher.key_domains().cloned());
        }
        self.note_made(now);
        let mut plan: BTreeSet<Name> = std::mem::take(&mut self.keeper.touched);
        plan.extend(self.keeper.due.take_due(now));
        plan.extend(touched.iter().cloned());
        for domain in &plan {
            self.plan(domain, now);
        }
        self.reveal(now);
        for key in self.keeper.keys_to_ask(now) {
            let sought = self.sought(&key);
            self.keeper.ask(&key, sought);
        }
        self.answer_askers(now);
        let again = !touched.is_empty();
        touched.into_iter().for_each(|domain| self.sources.touch_domain(domain));
        again
    }

    /// Must what the keys of a domain came after not be withdrawn yet? Then those keys are asked for.
    pub(in crate::daemon) fn hold_of(&mut self, domain: &Name, retire: u64) -> bool {
        let now = now();
        let last_of = |key: &KeyState| self.keeper.sighting(key);
        let unseen = rotate::unseen_successors(self.publisher.keys(domain), retire, &last_of, now);
        let unseen: Vec<KeyName> = unseen
            .into_iter()
            .map(|key| (domain.clone(), key.selector.clone()))
            .collect();
        for key in &unseen {
            self.keeper.keep_asking(key, now, now);
        }
        !unseen.is_empty()
    }

    /// The selectors of keys that it is too early to sign with; none if it is not known what is signed with.
    pub(in crate::daemon) fn unsafe_yet(&self, domain: &Name) -> BTreeSet<String> {
        if !self.keeper.reads_tables() {
            return BTreeSet::new();
        }
        let now = now();
        let safe_at = |key: &KeyState| {
            Some(
                key.course
                    .seen?
                    .saturating_add(rotate::wait(key, self.negative_ttl_of(key))),
            )
        };
        let keys = self.publisher.keys(domain).iter();
        let early = keys.filter(|key| key.stage == Stage::Live && safe_at(key).is_none_or(|at| now < at));
        early.map(|key| key.selector.clone()).collect()
    }

    /// The TTL of the TXT records that are served at a name.
    pub(in crate::daemon) fn served_ttl(zones: &SharedZones, owner: &Name) -> Option<u32> {
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
        let keys = self.publisher.keys(domain).to_vec();
        self.tell_who_is_late(domain, &keys, now);
        if self.keeper.is_busy(domain) || self.keeper.awaits(domain) {
            return;
        }
        if let Some(held) = self.keeper.held.get(domain).filter(|held| held.until > now) {
            self.keeper.due.set(domain, held.until);
            return;
        }
        let rotation = self.rotation_of(domain);
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
        let schedule = Schedule {
            every: rotation.every,
            algorithms: &rotation.algorithms,
            selector: &rotation.selector,
            has_signer: &|kind| self.keeper.has_signer(kind),
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
            self.keeper.due.set(domain, deadline);
        }
        match keys.iter().find(|key| key.is_lost()) {
            Some(lost) if !keys.iter().any(KeyState::is_on_its_way) => {
                let lost = no_file(domain, lost);
                self.hold(domain, lost);
            }
            _ if plan.steps.is_empty() => drop(self.keeper.held.remove(domain)),
            _ => {}
        }
        self.begin(domain, plan.steps, &keys, &rotation);
    }

    /// Begins with the first of the steps, and all keys that are to be made; the rest follows once that is done.
    fn begin(&mut self, domain: &Name, steps: Vec<Step>, keys: &[KeyState], rotation: &Rotation) {
        let mut make = vec![];
        for step in steps {
            match step {
                Step::Make { selector, algorithm } => make.push((selector, algorithm)),
                Step::Choose { selector } => {
                    self.set_course(domain, &selector, |course| course.next = true);
                    return self.keeper.touch(domain);
                }
                Step::Switch { selector, old } if make.is_empty() => {
                    let Some(key) = keys.iter().find(|key| key.selector == selector) else {
                        continue;
                    };
                    let Some(work) = self.switch_to(key, old, keys) else {
                        return self.hold(domain, no_file(domain, key));
                    };
                    // What the tables say is not believed before the signer is known to have read them.
                    if self.set_course(domain, &selector, |course| course.switching = true) {
                        self.give(domain, work, None);
                    }
                    return;
                }
                Step::Discard { selector } if make.is_empty() => {
                    let Some((key_file, public)) = self.key_file(domain, &selector) else {
                        continue;
                    };
                    let hold = rotation.reveal.is_some();
                    let hold = hold.then(|| signer::held(&self.sources.config.state, domain, &selector));
                    let key = keys.iter().find(|key| key.selector == selector);
                    let work = Work::Discard {
                        algorithm: key.map(|key| NewKey::of(key.algorithm)),
                        selector,
                        key_file,
                        public,
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

    /// `None` if the private half is not there.
    fn switch_to(&self, key: &KeyState, old: Option<String>, keys: &[KeyState]) -> Option<Work> {
        let (domain, kind) = (&key.domain, NewKey::of(key.algorithm));
        // What the tables name is not what they should if that was revoked, or lost in the middle of a switch, or is on
        // its way out: it makes way.
        let of_kind = keys
            .iter()
            .filter(|other| kind.is_kind_of(other.algorithm) && other.selector != key.selector);
        let mut stray = of_kind
            .filter(|other| other.course.switching || !matches!(other.stage, Stage::Live | Stage::Signing))
            .filter(|other| self.keeper.names(domain, &other.selector));
        let old = stray.next().map(|other| other.selector.clone()).or(old);
        let others = keys.iter().filter(|other| !kind.is_kind_of(other.algorithm));
        Some(Work::Switch {
            selector: key.selector.clone(),
            old,
            algorithm: kind,
            key_file: self.key_file(domain, &key.selector)?.0,
            record: Arc::clone(&key.record),
            beside: others.map(|other| other.selector.clone()).collect(),
        })
    }

    /// Where a key is, and what `p=` of its record says.
    fn key_file(&self, domain: &Name, selector: &str) -> Option<(PathBuf, String)> {
        let keys = self.sources.keys_of(domain);
        let key = keys.iter().find(|key| key.selector == selector)?;
        Some((key.sources.first()?.clone(), key.public_key_tag().to_owned()))
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
            files,
            result,
        } = report;
        self.keeper.busy.remove(&domain);
        if let Work::Make { keys, next } = &work {
            let at = now();
            for ((selector, kind), file) in keys.iter().zip(&files) {
                tracing::info!(%domain, selector, algorithm = kind.name(), file = %file.display(), "a DKIM key was made");
                let made = Made { next: *next, at };
                self.keeper.made.insert((domain.clone(), selector.clone()), made);
            }
        }
        if let Err(error) = result {
            let finding = error.finding();
            return match (pending, work) {
                (Some(pending), _) => pending.reply(Reply::failed(finding.to_string())),
                // It is tried again in an hour, and holds up nothing.
                (None, Work::Reveal { .. }) => self.news.add([finding]),
                (None, _) => self.hold(&domain, finding),
            };
        }
        self.keeper.held.remove(&domain);
        match work {
            Work::Make { keys, .. } => {
                let made = keys.iter().zip(&files);
                let line = |((selector, kind), file): (&(String, NewKey), &PathBuf)| {
                    format!("{selector} {} {}\n", kind.name(), file.display())
                };
                if let Some(pending) = pending {
                    self.keeper.ordered.insert(domain, (pending, made.map(line).collect()));
                }
            }
            Work::Switch { selector, old, .. } => {
                let stored = self.publisher.switched(&domain, &selector, now());
                self.news.add(stored.err());
                tracing::info!(%domain, selector, old, "the signer signs with this key now");
                // Meanwhile what the tables say was not looked at.
                self.keeper.tables_stale = true;
            }
            Work::Discard { selector, .. } => {
                tracing::info!(%domain, selector, "the files of a key that is no longer needed are removed");
            }
            Work::Reveal { selector, folder, .. } => {
                self.keeper.to_reveal.remove(&(domain.clone(), selector.clone()));
                if !files.is_empty() {
                    tracing::info!(%domain, selector, folder = %folder.display(), "the private half of a forgotten key is published");
                }
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
        self.keeper.due.set(domain, until);
        self.keeper.held.insert(domain.clone(), Held { until, delay, finding });
    }

    /// Keys that were made and are seen in the key directory by now are noted as ours; then whoever ordered them hears.
    fn note_made(&mut self, now: u64) {
        for (key, Made { next, at }) in self.keeper.made.clone() {
            let (domain, selector) = &key;
            if self.keeper.rests(domain, now) {
                continue;
            }
            let set = |course: &mut Course| (course.made, course.next) = (true, next);
            if self.set_course(domain, selector, set) {
                self.keeper.made.remove(&key);
                self.keeper.touch(domain);
            } else if now.abs_diff(at) >= MADE {
                self.keeper.made.remove(&key);
                let finding = unseen_file(domain, selector);
                if let Some((pending, _)) = self.keeper.ordered.remove(domain) {
                    pending.reply(Reply::failed(finding.to_string()));
                }
                self.hold(domain, finding);
            }
        }
        let ready = self.keeper.ordered.keys().filter(|domain| !self.keeper.awaits(domain));
        for domain in ready.cloned().collect::<Vec<_>>() {
            if let Some((pending, text)) = self.keeper.ordered.remove(&domain) {
                pending.reply(Reply::done(text));
            }
        }
    }

    /// Notes something about a key; says whether that could be done.
    pub(in crate::daemon) fn set_course(
        &mut self,
        domain: &Name,
        selector: &str,
        set: impl FnOnce(&mut Course),
    ) -> bool {
        if !self.publisher.set_course(domain, selector, set) {
            return false;
        }
        match self.publisher.store_now(now()) {
            Ok(()) => true,
            Err(finding) => {
                self.hold(domain, finding);
                false
            }
        }
    }

    /// What name servers said of a key: its domain is to be planned for, and its zone `touched` if that decides over what
    /// is withdrawn. Says whether there is something to store.
    fn hear(&mut self, heard: super::Heard, touched: &mut BTreeSet<Name>) -> bool {
        let now = now();
        let asked = Arc::clone(&heard.0.record);
        let (key, everywhere) = self.keeper.hear(heard, now);
        let (domain, selector) = &key;
        let Some(state) = self.publisher.key(domain, selector) else {
            return false;
        };
        if state.record != asked {
            // It changed while the question was on its way, and the plan that followed left the asking to that question.
            self.keeper.touch(domain);
            return false;
        }
        let (before, is_next) = (state.course.seen, state.course.next);
        if everywhere && state.stage == Stage::Signing && self.publisher.keys(domain).iter().any(|key| key.course.spent)
        {
            touched.insert(domain.clone());
        }
        self.keeper.touch(domain);
        let seen = rotate::seen(before, everywhere, now);
        if seen != before {
            self.publisher.set_course(domain, selector, |course| course.seen = seen);
            if everywhere && is_next {
                tracing::info!(%domain, selector, "every name server serves this key");
            }
        }
        seen != before
    }

    /// Which name servers keep a domain's next keys waiting, and since when.
    fn tell_who_is_late(&mut self, domain: &Name, keys: &[KeyState], now: u64) {
        let mut findings = vec![];
        for key in keys.iter().filter(|key| key.course.next && key.stage == Stage::Live) {
            let watch = self.keeper.watched.get(&(domain.clone(), key.selector.clone()));
            let against = watch.into_iter().flat_map(|watch| &watch.against);
            let late = against.filter(|(_, since)| now.saturating_sub(**since) >= LATE);
            findings.extend(late.map(|(server, _)| late_server(key, server)));
        }
        self.news.domain_waits(domain.clone(), findings);
    }

    pub(in crate::daemon) fn gate_of(&self, key: &KeyState, now: u64) -> Gate {
        rotate::gate(key, self.negative_ttl_of(key), self.keeper.sighting(key), now)
    }

    /// How long resolvers may remember that the key was not there, in seconds.
    fn negative_ttl_of(&self, key: &KeyState) -> u32 {
        let negative_ttl = || {
            let owner = key.owner().ok()?;
            let lookup = LookupName::new(owner.as_wire())?;
            let zones = self.zones.load();
            let soa = zones.closest_enclosing(&lookup)?.soa();
            let minimum = soa.first_rdata().last_chunk::<4>()?;
            Some(soa.records().next()?.ttl().min(u32::from_be_bytes(*minimum)))
        };
        negative_ttl().unwrap_or(0)
    }

    /// What the name servers are to be asked for, if the key is served.
    fn sought(&self, (domain, selector): &KeyName) -> Option<Sought> {
        let state = self.publisher.key(domain, selector)?;
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

    /// Publishes private keys that were kept for it and whose selectors are forgotten. That holds up no rotation.
    fn reveal(&mut self, now: u64) {
        let due: Vec<KeyName> = self
            .keeper
            .to_reveal
            .iter()
            .filter(|((domain, _), from)| **from <= now && !self.keeper.is_busy(domain))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            let (domain, selector) = &key;
            // One that is remembered has not come to the end of its life.
            let folder = self.rotation_of(domain).reveal;
            let Some(folder) = folder.filter(|_| self.publisher.key(domain, selector).is_none()) else {
                self.keeper.to_reveal.remove(&key);
                continue;
            };
            // Until there is an answer nobody is to be woken for it.
            self.keeper.to_reveal.insert(key.clone(), now + REST.1);
            let work = Work::Reveal {
                held: signer::held(&self.sources.config.state, domain, selector),
                selector: selector.clone(),
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

fn no_file(domain: &Name, key: &KeyState) -> Finding {
    let selector = &key.selector;
    match key.stage {
        Stage::Revoked { .. } => Finding::error(
            "dkim-key-no-file",
            format!("the key {selector} of {domain} was revoked while the signer was being switched to it"),
            "have the signer go on to another with `signpost key rotate`",
        ),
        _ => Finding::error(
            "dkim-key-no-file",
            format!(
                "the key {selector} of {domain} was to be signed with, and its private half is not in the key directory"
            ),
            "put it back, or make another with `signpost key rotate`",
        ),
    }
}

fn unseen_file(domain: &Name, selector: &str) -> Finding {
    Finding::error(
        "dkim-key-no-file",
        format!("the key {selector} of {domain} was made, and is not seen in the key directory"),
        "see whether Signpost may read it there, and whether the domain's zone is one that keys are put into",
    )
}

/// Makes keys where nothing is said of signers.
fn nobody(keys: &Path) -> Signer {
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
