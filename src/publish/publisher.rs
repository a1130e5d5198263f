//! The publisher: from compositions to the zones that are served.
//!
//! A batch goes through four steps. *Prepare*, which changes nothing and so is done on all cores: build
//! the zone, hash what it holds, decide its serial. *Store*: one commit for all of it. *Swap*: one new
//! [`ZoneSet`]. *Tell*: an [`Outcome`].
//!
//! What is promised: nothing is served whose serial or key states are not stored. So kill -9 at any
//! moment loses nothing that anyone has seen; between the commit and the swap it loses nothing
//! either, since the same content gets the same serial after the restart. While the store cannot
//! be written (a full disk), the zones that would need it wait, their last good version stays
//! served, and [`Publisher::retry`] tries again; zones whose state is as it was, all of them after
//! a plain restart, are served without a commit. A zone that cannot be built keeps its last good
//! version. A zone that is taken out keeps its state: it may come back.

use super::SharedZones;
use super::content::hash;
use super::life::{Course, KeyState, Periods, Sight, Turn};
use super::lives::{self, Lives};
use super::rules::{Offer, ZoneState};
use super::serial::Serial;
use super::store::{ApexDigest, Entry, Journal, Store, StoreError, Writes, ZoneStates, zone_key};
use crate::compose::{Composed, Composition};
use crate::finding::{Finding, Place};
use crate::keys::DkimKey;
use crate::name::Name;
use crate::record::Record;
use crate::transfer::{Delta, SharedPolicies};
use crate::zone::Zone;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// How long to wait before the next attempt to store what could not be stored.
pub const RETRY_SECS: u64 = 10;

/// One zone's part of a batch.
#[derive(Debug)]
pub enum Change<'a> {
    /// A new version of a zone, or a new zone.
    Serve {
        /// The apex.
        apex: Name,
        /// Its records and what was composed.
        composition: Composition<'a>,
        /// Where the SOA is written, for the findings about serials.
        soa: Option<Place>,
    },
    /// A version of a zone that is served as it came from another server.
    Fetched {
        /// The apex.
        apex: Name,
        /// The zone.
        zone: Arc<Zone>,
        /// What the operator should know of it.
        findings: Vec<Finding>,
    },
    /// The zone is to be served and there is no data of it: a secondary's that was not fetched yet or that expired.
    Unavailable {
        /// The apex.
        apex: Name,
    },
    /// The zone is no longer to be served.
    Remove {
        /// The apex.
        apex: Name,
    },
}

/// What became of one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is served in this version.
    Served,
    /// It is answered with SERVFAIL.
    Unavailable,
    /// It is served no longer.
    Removed,
    /// It is built, but its state could not be stored: its last version stays served until then.
    Waiting,
    /// It makes no zone: its last good version stays served.
    Refused,
}

/// What was done with one zone.
#[derive(Debug)]
pub struct Published {
    /// The apex.
    pub apex: Name,
    /// What became of it.
    pub fate: Fate,
    /// The serial it was published with before, be it before a restart; `None` if never.
    pub old: Option<Serial>,
    /// The serial it has now, or will have if it waits; `None` if it was removed or refused.
    pub new: Option<Serial>,
    /// Is there anything for secondaries to fetch: another serial or another content?
    pub changed: bool,
    /// What was composed.
    pub composed: Vec<Composed>,
    /// What the operator should know of it: composing, building, serials.
    pub findings: Vec<Finding>,
}

/// What was done with a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Every zone of the batch and every zone that waited before it, in the order of their apexes in
    /// wire form and lower case, which is the store's. Where the waiting version of a zone is served
    /// although the batch's is refused, both are listed.
    pub zones: Vec<Published>,
    /// Why the store could not be written, if it could not: then zones wait, and changes of keys
    /// are not stored.
    pub unstored: Option<Finding>,
}

/// Owns the state and the served zones.
#[derive(Debug)]
pub struct Publisher {
    store: Store,
    zones: SharedZones,
    states: ZoneStates,
    lives: Lives,
    /// Zones whose state could not be stored yet, each once.
    waiting: Vec<Prepared>,
    retry_at: Option<u64>,
    /// Who may fetch zones: of those that nobody may, no journal is kept.
    policies: SharedPolicies,
}

/// Of a small zone so many octets of differences are kept; of others as many as the zone has.
const JOURNAL_OCTETS: usize = 64 << 10;

impl Publisher {
    /// Opens the state directory and serves into `zones`.
    pub fn open(state_dir: &Path, zones: SharedZones) -> Result<Self, StoreError> {
        let (store, stored) = Store::open(state_dir)?;
        Ok(Self {
            store,
            zones,
            states: stored.zones,
            lives: Lives::new(stored.keys),
            waiting: vec![],
            retry_at: None,
            policies: SharedPolicies::default(),
        })
    }

    /// Keeps a journal of the zones that somebody may fetch by these policies.
    #[must_use]
    pub fn with_policies(mut self, policies: SharedPolicies) -> Self {
        self.policies = policies;
        self
    }

    /// A reader of the journal.
    pub fn journal(&self) -> Journal {
        self.store.journal()
    }

    /// Moves the keys of one signing domain on and returns those its zone is to show. `files` is
    /// what the key directory holds of the domain. What changes is stored by the next
    /// [`Publisher::publish`], which therefore must follow, be it with an empty batch.
    pub fn turn_keys(
        &mut self,
        domain: &Name,
        files: &[&DkimKey],
        sight: Sight<'_>,
        now: u64,
        periods: Periods,
    ) -> Turn {
        self.lives.turn(domain, files, sight, now, periods)
    }

    /// Notes what is done with a key or was seen of it; says whether there is such a key. It is stored by the next
    /// [`Publisher::store_now`] or publication.
    pub fn set_course(&mut self, domain: &Name, selector: &str, set: impl FnOnce(&mut Course)) -> bool {
        self.lives.set_course(domain, selector, set)
    }

    /// Notes that the signer has been switched to a key, and stores it at once: what it signed with before retires.
    pub fn switched(&mut self, domain: &Name, selector: &str, now: u64) -> Result<(), Finding> {
        self.lives.switched(domain, selector, now);
        self.store_now(now)
    }

    /// Stores what was noted of keys.
    pub fn store_now(&mut self, now: u64) -> Result<(), Finding> {
        self.commit().map_err(|error| {
            self.retry_at = Some(now.saturating_add(RETRY_SECS));
            error.finding()
        })
    }

    /// Revokes a key at once, whether its file is there or not. When it returns, that is stored; it
    /// is seen once the domain's keys are turned and its zone is published. On error the key is
    /// unknown, or the store cannot be written and revoking waits for that like everything else.
    pub fn revoke(&mut self, domain: &Name, selector: &str, now: u64) -> Result<(), Finding> {
        let selector = selector.to_ascii_lowercase();
        self.lives
            .revoke(domain, &selector, now)
            .ok_or_else(|| lives::unknown(domain, &selector, self.lives.keys(domain)))?;
        self.store_now(now)
    }

    /// Publishes a batch. Of two changes of one zone the later counts.
    pub fn publish(&mut self, batch: Vec<Change<'_>>, now: u64) -> Outcome {
        let batch: BTreeMap<Name, Change<'_>> = batch
            .into_iter()
            .map(|change| (change.apex().clone(), change))
            .collect();
        let prepared = batch.into_values().map(|change| self.prepare(change)).collect();
        self.publish_prepared(prepared, now)
    }

    /// Makes a change ready to be published; changes nothing, so that many are prepared at once.
    pub fn prepare(&self, change: Change<'_>) -> Prepared {
        prepare(change, &self.states)
    }

    /// Publishes a batch that was prepared after the last one was published, each zone in it once: at
    /// most one commit and one swap.
    pub fn publish_prepared(&mut self, batch: Vec<Prepared>, now: u64) -> Outcome {
        let mut outcome = Outcome::default();
        let (refused, ready): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|prepared| prepared.published.fate == Fate::Refused);
        outcome
            .zones
            .extend(refused.into_iter().map(|refused| refused.published));
        self.supersede(&ready);
        self.waiting.extend(ready);
        self.settle(&mut outcome, now);
        outcome
            .zones
            .sort_by(|a, b| in_lower_case(&a.apex).cmp(in_lower_case(&b.apex)));
        outcome
    }

    /// Drops the waiting versions of zones that come in a newer one.
    fn supersede(&mut self, newer: &[Prepared]) {
        if !self.waiting.is_empty() {
            let newer: BTreeSet<&Name> = newer.iter().map(|prepared| &prepared.published.apex).collect();
            self.waiting.retain(|old| !newer.contains(&old.published.apex));
        }
    }

    /// Tries again to store and serve what waits.
    pub fn retry(&mut self, now: u64) -> Outcome {
        self.publish(vec![], now)
    }

    /// When to come back, in seconds since 1970: a key falls due ([`Publisher::due`]) or something
    /// waits to be stored ([`Publisher::retry`]).
    pub fn deadline(&self) -> Option<u64> {
        [self.lives.deadline(), self.retry_at].into_iter().flatten().min()
    }

    /// The signing domains with a key that is due for its next stage, each told once: turn their
    /// keys, compose their zones, publish.
    pub fn due(&mut self, now: u64) -> Vec<Name> {
        self.lives.take_due(now)
    }

    /// Every signing domain with a key that is remembered. At start their keys are to be turned
    /// like those of the key directory, for files may have vanished meanwhile.
    pub fn key_domains(&self) -> impl Iterator<Item = &Name> {
        self.lives.domains()
    }

    /// What is remembered of the keys of a signing domain, by selector.
    pub fn keys(&self, domain: &Name) -> &[KeyState] {
        self.lives.keys(domain)
    }

    /// What is remembered of one key.
    pub fn key(&self, domain: &Name, selector: &str) -> Option<&KeyState> {
        self.lives.key(domain, selector)
    }

    /// What is remembered of a zone, served now or once.
    pub fn state(&self, apex: &Name) -> Option<&ZoneState> {
        self.states.get(&ApexDigest::of(apex))
    }

    /// Stores and serves `self.waiting`, as far as possible.
    fn settle(&mut self, outcome: &mut Outcome, now: u64) {
        let stored = self.commit();
        let mut swap = Vec::with_capacity(self.waiting.len());
        for mut prepared in std::mem::take(&mut self.waiting) {
            let unstored = prepared.state.filter(|_| stored.is_err());
            if unstored.is_some() {
                outcome.zones.push(prepared.published.waiting());
                self.waiting.push(prepared);
                continue;
            }
            let apex = &prepared.published.apex;
            if let Some(state) = prepared.state {
                self.states.insert(ApexDigest::of(apex), state);
            }
            if prepared.zone.is_none() {
                prepared.published.changed = self.zones.load().get(apex).is_some();
            }
            swap.push((apex.clone(), prepared.zone));
            outcome.zones.push(prepared.published);
        }
        if !swap.is_empty() {
            self.zones.store(Arc::new(self.zones.load().with(&swap)));
        }
        self.retry_at = stored.is_err().then(|| now.saturating_add(RETRY_SECS));
        outcome.unstored = stored.err().map(|error| error.finding());
    }

    /// One commit for everything that waits; none when there is nothing to store.
    fn commit(&mut self) -> Result<(), StoreError> {
        let mut writes = Writes::default();
        for prepared in &self.waiting {
            let apex = &prepared.published.apex;
            writes.zones.extend(prepared.state.map(|state| (zone_key(apex), state)));
        }
        let deltas = self.deltas();
        writes.journal.extend(deltas.iter().map(|(zone, delta, keep)| Entry {
            zone: zone.clone(),
            delta,
            keep: *keep,
        }));
        self.lives.add_to(&mut writes);
        if writes.zones.is_empty() && writes.keys.is_empty() {
            return Ok(());
        }
        // In the order of the table a big batch is written much faster.
        writes.zones.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.store.commit(&writes)?;
        self.lives.saved();
        Ok(())
    }

    /// What changes, with what waits, in zones that somebody may fetch, and how much of it to keep.
    fn deltas(&self) -> Vec<(Box<[u8]>, Delta, usize)> {
        let (served, policies) = (self.zones.load(), self.policies.load());
        let delta = |prepared: &Prepared| {
            let (apex, new) = (&prepared.published.apex, prepared.zone.as_ref()?);
            if prepared.state.is_none() || !policies.of(apex).allows_anybody() {
                return None;
            }
            let old = served.get(apex).filter(|old| !old.is_unavailable())?;
            let delta = Delta::between(old, new);
            Some((zone_key(apex), delta, new.octets().max(JOURNAL_OCTETS)))
        };
        self.waiting.iter().filter_map(delta).collect()
    }
}

fn in_lower_case(apex: &Name) -> impl Iterator<Item = u8> {
    apex.as_wire().iter().map(u8::to_ascii_lowercase)
}

impl Change<'_> {
    fn apex(&self) -> &Name {
        match self {
            Self::Serve { apex, .. }
            | Self::Fetched { apex, .. }
            | Self::Unavailable { apex }
            | Self::Remove { apex } => apex,
        }
    }
}

/// A change that is ready: the zone is built, its serial decided.
#[derive(Debug)]
pub struct Prepared {
    /// `None`: to be taken out, or refused.
    zone: Option<Arc<Zone>>,
    /// The state to store first; `None` when it is stored already.
    state: Option<ZoneState>,
    published: Published,
}

impl Published {
    /// The same, told of a zone that waits; composing and findings are told once it is served.
    fn waiting(&self) -> Self {
        Self {
            apex: self.apex.clone(),
            fate: Fate::Waiting,
            composed: vec![],
            findings: vec![],
            ..*self
        }
    }
}

/// What publishing `zone` would tell about its serial, judged by what is stored; nothing is done.
pub fn judge_serial(zone: &Zone, composed: bool, soa: Option<&Place>, stored: &ZoneStates) -> Vec<Finding> {
    let apex = zone.apex();
    let file = Serial(zone.serial());
    let offer = Offer {
        apex,
        soa,
        file,
        composed,
        hash: hash(zone),
    };
    offer.decide(stored.get(&ApexDigest::of(apex))).1
}

fn prepare(change: Change<'_>, states: &ZoneStates) -> Prepared {
    let (apex, composition, soa) = match change {
        Change::Serve { apex, composition, soa } => (apex, composition, soa),
        Change::Fetched { apex, zone, findings } => return fetched(apex, zone, findings, states),
        Change::Unavailable { apex } => return unavailable(apex, states),
        Change::Remove { apex } => return removal(apex, states),
    };
    let before = states.get(&ApexDigest::of(&apex));
    let Composition {
        records,
        empty_names,
        composed,
        mut findings,
    } = composition;
    let zone = match Zone::build(&apex, &records, &empty_names) {
        Ok((zone, told)) => {
            findings.extend(told);
            zone
        }
        Err(error) => {
            findings.push(error.0);
            return Prepared {
                zone: None,
                state: None,
                published: Published {
                    apex,
                    fate: Fate::Refused,
                    old: before.map(|state| state.published),
                    new: None,
                    changed: false,
                    composed: vec![],
                    findings,
                },
            };
        }
    };
    let offer = Offer {
        apex: &apex,
        soa: soa.as_ref(),
        file: Serial(zone.serial()),
        composed: !composed.is_empty(),
        hash: hash(&zone),
    };
    let (state, told) = offer.decide(before);
    findings.extend(told);
    Prepared {
        zone: Some(Arc::new(zone.with_serial(state.published.0))),
        ..served(apex, before, state, composed, findings)
    }
}

/// The zone is built, its state decided.
fn served(
    apex: Name,
    before: Option<&ZoneState>,
    state: ZoneState,
    composed: Vec<Composed>,
    findings: Vec<Finding>,
) -> Prepared {
    Prepared {
        zone: None,
        state: (before != Some(&state)).then_some(state),
        published: Published {
            fate: Fate::Served,
            old: before.map(|state| state.published),
            new: Some(state.published),
            changed: before.is_none_or(|before| (before.published, before.hash) != (state.published, state.hash)),
            composed,
            findings,
            apex,
        },
    }
}

/// A zone that is served as it came keeps its serial, unless one of ours went before.
fn fetched(apex: Name, zone: Arc<Zone>, mut findings: Vec<Finding>, states: &ZoneStates) -> Prepared {
    let before = states.get(&ApexDigest::of(&apex));
    let offer = Offer {
        apex: &apex,
        soa: None,
        file: Serial(zone.serial()),
        composed: false,
        hash: hash(&zone),
    };
    let (state, told) = offer.decide(before);
    findings.extend(told);
    let zone = match state.published.0 {
        serial if serial == zone.serial() => Ok(zone),
        serial => {
            let records: Vec<Record> = zone.records().collect();
            Zone::build(&apex, &records, &[]).map(|(zone, _)| Arc::new(zone.with_serial(serial)))
        }
    };
    // It was a zone once and is one again.
    let zone = zone.map_err(|error| findings.push(error.0)).ok();
    Prepared {
        zone,
        ..served(apex, before, state, vec![], findings)
    }
}

/// The state stays as it is: when the zone comes, its serial goes on from there.
fn unavailable(apex: Name, states: &ZoneStates) -> Prepared {
    let zone = Zone::unavailable(&apex);
    let (zone, fate, findings) = match zone {
        Ok(zone) => (Some(Arc::new(zone)), Fate::Unavailable, vec![]),
        Err(error) => (None, Fate::Refused, vec![error.0]),
    };
    Prepared {
        zone,
        published: Published {
            fate,
            changed: false,
            findings,
            ..removal(apex, states).published
        },
        state: None,
    }
}

fn removal(apex: Name, states: &ZoneStates) -> Prepared {
    Prepared {
        zone: None,
        state: None,
        published: Published {
            fate: Fate::Removed,
            old: states.get(&ApexDigest::of(&apex)).map(|state| state.published),
            new: None,
            changed: true,
            composed: vec![],
            findings: vec![],
            apex,
        },
    }
}

#[cfg(test)]
mod tests;
