//! From what the watcher reports to what is served: note, settle, compose, publish.

use super::cookies::{COOKIE_SECRETS, Cookies};
use super::keeper::{Keeper, SIGNER_TABLES};
use super::leaving::Leaving;
use super::news::{Addresses, News};
use super::sources::{INCLUDED, Made, Settled, Sources};
use super::tls::{TLS_FILES, Tls};
use super::transfers::{TSIG_KEYS, TransferRules};
use super::zones::ZoneSource;
use crate::cli::Paint;
use crate::compose::ZoneKey;
use crate::exchange::{Arrival, Event, Notifier, Refresher};
use crate::finding::Finding;
use crate::name::Name;
use crate::publish::{Change, Fate, KeyState, Outcome, Periods, Prepared, Publisher, SharedZones, Sight, Stage};
use crate::record::Record;
use crate::transfer::Remote;
use crate::watch::{Batch, Watcher};
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The most zones that are composed and published at a time: what is in memory twice meanwhile.
const BATCH: usize = 32_768;
/// The first part of many: small, so that it is served soon. Each further part is twice as large.
const FIRST_BATCH: usize = 512;

/// Waits are longer by no more than this than the wall clock says, should it be set meanwhile.
const CLOCK_MAY_JUMP: Duration = Duration::from_secs(60);

/// How far publishing many zones has come, told after each part of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) done: usize,
    pub(super) of: usize,
}

/// What was fetched, as long as it is not both stored and published.
pub(super) struct Waiting {
    arrival: Arrival,
    stored: bool,
    published: bool,
}

/// The sources, the state, and the way from one to the other.
pub(super) struct Engine {
    pub(super) sources: Sources,
    pub(super) publisher: Publisher,
    pub(super) zones: SharedZones,
    pub(super) watcher: Watcher,
    pub(super) leaving: Leaving,
    pub(super) news: News,
    pub(super) cookies: Option<Cookies>,
    pub(super) rules: TransferRules,
    pub(super) tls: Tls,
    pub(super) notifier: Notifier,
    pub(super) refresher: Refresher,
    /// What became of zones that are fetched.
    pub(super) fetched: mpsc::Receiver<Event>,
    /// What was fetched and is not stored or not published yet.
    pub(super) arrivals: BTreeMap<Name, Waiting>,
    /// What drives keys through their lives.
    pub(super) keeper: Keeper,
    /// The zones that are fetched, and from whom.
    pub(super) followed: BTreeMap<Name, Vec<Remote>>,
}

impl Engine {
    /// Reads, composes and publishes everything that is there; the first zones are served long before
    /// the last are read. Says whether it came to its end or `go_on` said no.
    pub(super) fn load(&mut self, listed: Batch, go_on: &mut dyn FnMut(Progress) -> bool) -> bool {
        let remembered: Vec<Name> = self.publisher.key_domains().cloned().collect();
        self.note(listed);
        self.follow_signers(true);
        for (domain, selector) in crate::signer::all_held(&self.sources.config.state) {
            self.keeper.forgotten(&domain, &selector);
        }
        self.sources.remember_domains(remembered.into_iter());
        let loaded = self.publish_parts(go_on);
        if loaded {
            // Only now is a name of no zone known to be none of ours.
            self.zones.rcu(|zones| zones.loaded());
        }
        loaded
    }

    /// Waits for the next change, for what falls due, or to be woken.
    pub(super) fn wait(&mut self) {
        let key_due = self
            .publisher
            .deadline()
            .map(|deadline| Duration::from_secs(deadline.saturating_sub(now())));
        let file_gone = self
            .leaving
            .next()
            .map(|until| until.saturating_duration_since(Instant::now()));
        let certificate = self
            .tls
            .next()
            .map(|until| until.saturating_duration_since(Instant::now()));
        let keeper = self.keeper.next(now());
        let wait = key_due
            .into_iter()
            .chain(file_gone)
            .chain(certificate)
            .chain(keeper)
            .min();
        let batch = self.watcher.next(wait.map(|wait| wait.min(CLOCK_MAY_JUMP)));
        self.note(batch);
        while let Ok(event) = self.fetched.try_recv() {
            self.note_fetched(event);
        }
        let gone = self.leaving.due(Instant::now());
        self.sources.note(gone);
        let finding = self.tls.due(Instant::now());
        self.news.add(finding);
    }

    /// What is to be served as it came is served before it is on disk; what something is composed into, or a catalog, is
    /// read from there.
    fn note_fetched(&mut self, event: Event) {
        match event {
            Event::Arrived(apex, arrival) => {
                if self.sources.is_as_it_came(&apex) {
                    self.sources.note_fetched(&apex, false);
                }
                let (stored, published) = (false, false);
                let waiting = Waiting {
                    arrival,
                    stored,
                    published,
                };
                self.arrivals.insert(apex, waiting);
            }
            Event::Stored(apex) => match self.arrivals.get_mut(&apex) {
                Some(waiting) if !waiting.published && self.sources.is_as_it_came(&apex) => waiting.stored = true,
                waiting => {
                    if waiting.is_none() || !self.sources.is_as_it_came(&apex) {
                        self.sources.note_fetched(&apex, false);
                    }
                    self.arrivals.remove(&apex);
                }
            },
            Event::Expired(apex) => {
                self.sources.note_fetched(&apex, true);
                self.arrivals.remove(&apex);
            }
        }
    }

    fn note(&mut self, batch: Batch) {
        self.news.add(batch.findings);
        // What is there at the start has been read.
        if self.news.has_started() && batch.changes.iter().any(|change| change.root == COOKIE_SECRETS) {
            self.read_cookie_secrets();
        }
        if self.news.has_started() && batch.changes.iter().any(|change| change.root == TSIG_KEYS) {
            let findings = self.rules.read_keys();
            self.news.add(findings);
        }
        if self.news.has_started() && batch.changes.iter().any(|change| change.root == TLS_FILES) {
            self.tls.changed();
        }
        if self.news.has_started() && batch.changes.iter().any(|change| change.root == SIGNER_TABLES) {
            self.follow_signers(true);
        }
        let changes = self.leaving.hold(batch.changes, Instant::now());
        self.sources.note(changes);
    }

    fn read_cookie_secrets(&mut self) {
        let finding = self.cookies.as_ref().and_then(Cookies::read_again);
        self.news.add(finding);
    }

    /// Reads everything again, changed or not.
    pub(super) fn reload(&mut self) {
        self.watcher.rescan(true);
        let batch = self.watcher.next(Some(Duration::ZERO));
        if batch.woken {
            // Whoever woke us is still to be heard.
            self.watcher.waker().wake();
        }
        self.note(batch);
        let gone = self.leaving.release();
        self.sources.note(gone);
        self.sources.all_stale();
        self.keeper.try_all_again(now());
        self.publish();
        self.followed.keys().for_each(|apex| self.refresher.refresh(apex));
        tracing::info!(zones = self.zones.load().len(), "everything was read again");
    }

    /// Composes and publishes every zone that was touched by what was noted or by time.
    pub(super) fn publish(&mut self) {
        self.publish_parts(&mut |_| true);
    }

    fn publish_parts(&mut self, go_on: &mut dyn FnMut(Progress) -> bool) -> bool {
        for domain in self.publisher.due(now()) {
            self.sources.touch_domain(domain);
        }
        self.sources.follow_keys_elsewhere(&mut self.watcher);
        let Settled { compose, removed, idle } = self.sources.settle();
        self.follow_signers(false);
        self.refresh_rules(compose.iter().chain(&removed));
        self.follow_primaries(compose.iter().chain(&removed));
        self.news.add(self.sources.take_findings());
        let remove = |apex| self.publisher.prepare(Change::Remove { apex });
        let removed = removed.into_iter().map(remove).collect();
        self.publish_batch(removed);
        for (apex, finding) in idle {
            self.news.zone_refused(apex, vec![finding]);
        }
        let compose = self.publish_arrivals(compose);
        let (unavailable, compose): (Vec<Name>, Vec<Name>) = compose
            .into_iter()
            .partition(|apex| self.sources.zones.get(apex).is_some_and(ZoneSource::is_unavailable));
        let unavailable = unavailable
            .into_iter()
            .map(|apex| self.publisher.prepare(Change::Unavailable { apex }));
        let unavailable = unavailable.collect();
        self.publish_batch(unavailable);
        let of = compose.len();
        // Zones below others come first: no zone ever answers for a name of a zone that is not there yet.
        let mut rest = compose.into_iter().peekable();
        let (mut size, mut done) = (FIRST_BATCH, 0);
        while rest.peek().is_some() {
            let part: Vec<Name> = rest.by_ref().take(size).collect();
            done += part.len();
            let prepared = self.compose(part);
            self.publish_batch(prepared);
            if !go_on(Progress { done, of }) {
                return false;
            }
            size = (size * 2).min(BATCH);
        }
        if self.publisher.deadline().is_some_and(|deadline| deadline <= now()) {
            let outcome = self.publisher.retry(now());
            self.tell(outcome);
        }
        self.follow_includes();
        true
    }

    /// Publishes what was touched and says what became of the zone of `owner`.
    pub(super) fn publish_for(&mut self, owner: &Name) -> Option<Fate> {
        let apex = self.sources.zones.closest_enclosing(owner)?.clone();
        self.publish();
        Some(self.news.fate_of(&apex))
    }

    /// Before zones are published: who may fetch them, for the journal is kept by that.
    fn refresh_rules<'n>(&mut self, touched: impl Iterator<Item = &'n Name>) {
        let Sources {
            config,
            zones,
            findings,
            ..
        } = &mut self.sources;
        if self.rules.refresh(config, zones, touched, findings)
            && let Err(error) = self.watcher.set_extra(TSIG_KEYS, self.rules.files())
        {
            findings.push(Finding::warning("watch-path", error.to_string(), ""));
        }
        if let Some(found) = self.tls.follow(&config.tls) {
            findings.extend(found);
            if let Err(error) = self.watcher.set_extra(TLS_FILES, self.tls.files()) {
                findings.push(Finding::warning("watch-path", error.to_string(), ""));
            }
        }
    }

    /// Publishes what was fetched as it came, where nothing is to be composed into it; the rest is returned.
    fn publish_arrivals(&mut self, compose: Vec<Name>) -> Vec<Name> {
        let (mut ready, mut rest) = (vec![], vec![]);
        for apex in compose {
            match self.arrivals.get_mut(&apex) {
                Some(waiting) if self.sources.is_as_it_came(&apex) => {
                    waiting.published = true;
                    let Arrival { zone, findings } = waiting.arrival.clone();
                    if waiting.stored {
                        self.arrivals.remove(&apex);
                    }
                    ready.push(self.publisher.prepare(Change::Fetched { apex, zone, findings }));
                }
                _ => rest.push(apex),
            }
        }
        self.publish_batch(ready);
        rest
    }

    /// Has zones fetched that are to be, and others no more.
    fn follow_primaries<'n>(&mut self, touched: impl Iterator<Item = &'n Name>) {
        for apex in touched {
            let fetched = self.sources.zones.get(apex).and_then(|source| source.fetched());
            match fetched {
                Some(fetched) if self.followed.get(apex) != Some(&fetched.primaries) => {
                    self.refresher.follow(apex, &fetched.primaries, fetched.path.clone());
                    self.followed.insert(apex.clone(), fetched.primaries.clone());
                }
                Some(_) => {}
                None if self.followed.remove(apex).is_some() => {
                    self.refresher.forget(apex);
                    self.arrivals.remove(apex);
                }
                None => {}
            }
        }
    }

    fn follow_includes(&mut self) {
        if let Some(included) = self.sources.changed_includes()
            && let Err(error) = self.watcher.set_extra(INCLUDED, included)
        {
            let cure = "write the whole path in $INCLUDE";
            self.news.add([Finding::warning("watch-path", error.to_string(), cure)]);
        }
    }

    /// Composes zones and makes them ready to be published, all of one zone before the next.
    fn compose(&mut self, apexes: Vec<Name>) -> Vec<Prepared> {
        let mut zones = Vec::with_capacity(apexes.len());
        for apex in apexes {
            let keys = self.keys_to_show(&apex);
            zones.push((apex, keys));
        }
        let Self {
            sources,
            publisher,
            zones: served,
            ..
        } = self;
        let served =
            |apex: &Name| -> Option<Vec<Record>> { served.load().get(apex).map(|zone| zone.records().collect()) };
        let prepare = |made: Made<'_>| change_of(made).map(|change| publisher.prepare(change));
        let made = sources.compose(zones, &served, &prepare);
        let mut ready = Vec::with_capacity(made.len());
        for made in made {
            match made {
                Ok(prepared) => ready.push(prepared),
                Err((apex, findings)) => self.news.zone_refused(apex, findings),
            }
        }
        ready
    }

    /// The keys that a zone is to show, of all its signing domains, each moved on to where in its life it is now.
    fn keys_to_show(&mut self, apex: &Name) -> Vec<ZoneKey> {
        let mut keys = Vec::new();
        for domain in self.sources.domains_of(apex) {
            let rotation = &self.sources.key_policy(&domain, apex).dkim.rotation;
            let periods = Periods {
                retire: rotation.retire,
                forget: rotation.forget,
            };
            let drives = rotation.every.is_some();
            let hold = self.hold_of(&domain, periods.retire.as_secs());
            let unsafe_yet = self.unsafe_yet(&domain);
            let (zones, keeper) = (&self.zones, &self.keeper);
            // While a signer is being switched its tables say what is not in force yet.
            let is_switching = self.publisher.keys(&domain).iter().any(|key| key.course.switching);
            let sight = Sight {
                signs: &|selector, algorithm| keeper.signs(&domain, selector, algorithm).filter(|_| !is_switching),
                is_safe: &|key| !unsafe_yet.contains(&key.selector),
                hold,
                served_ttl: &|owner| Self::served_ttl(zones, owner),
            };
            let turn = self
                .publisher
                .turn_keys(&domain, &self.sources.keys_of(&domain), sight, now(), periods);
            for (selector, _) in turn.changes.iter().filter(|(_, state)| state.is_none()) {
                self.keeper.forgotten(&domain, selector);
            }
            let watches = self.keeper.reads_tables();
            let is_watched = |key: &KeyState| key.course.is_driven() || watches && key.stage == Stage::Live;
            if drives || self.publisher.keys(&domain).iter().any(is_watched) {
                self.keeper.touch(&domain);
            }
            let shown = turn.show.into_iter();
            keys.extend(shown.filter(|key| self.sources.is_home(apex, &domain, &key.owner)));
            self.news.domain(domain, turn.findings);
        }
        keys
    }

    fn publish_batch(&mut self, batch: Vec<Prepared>) {
        if !batch.is_empty() {
            let outcome = self.publisher.publish_prepared(batch, now());
            self.tell(outcome);
        }
    }

    fn tell(&mut self, outcome: Outcome) {
        self.news.add(outcome.unstored);
        for published in outcome.zones {
            if published.fate == Fate::Served {
                self.notifier.published(&published.apex, published.changed);
            }
            self.news.zone(published);
        }
    }

    /// What a person reads when everything has been loaded.
    pub(super) fn start_report(&mut self, listen: Addresses<'_>, paint: Paint) -> String {
        let Self {
            sources, news, zones, ..
        } = self;
        let source_of = |apex: &Name| sources.source_of(apex);
        news.start_report(&sources.config, listen, &zones.load(), source_of, paint)
    }
}

/// What to publish of a zone; of one that never had a good version, what is to be told.
fn change_of(made: Made<'_>) -> Result<Change<'_>, (Name, Vec<Finding>)> {
    let Made {
        apex,
        composition,
        soa,
        findings,
    } = made;
    match composition {
        None => Err((apex, findings)),
        Some(mut composition) => {
            composition.findings.splice(0..0, findings);
            Ok(Change::Serve { apex, composition, soa })
        }
    }
}

/// Seconds since 1970: the one place where the engine's time comes from.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
