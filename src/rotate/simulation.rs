//! Ten years of rotation of a thousand domains, with a crash at every place where one can be.
//!
//! Each domain has three name servers that get what is published late, sometimes days late, and a signer that does what
//! it is told. The test knows when each server began and ceased to serve each key, and when the signer signed with it;
//! a key must be served everywhere, for as long as a resolver may have remembered that it was not, before the first
//! signature, and until the last message signed with it must have arrived.

use super::*;
use crate::keys::{Algorithm, DkimKey};
use crate::name::Name;
use crate::publish::Course;
use crate::publish::life::{self, Periods, Sight};
use std::collections::{BTreeMap, BTreeSet};

const DAY: u64 = 86_400;
const START: u64 = 1_790_000_000;
const YEARS: u64 = 10;
const NEGATIVE_TTL: u32 = 300;
/// How long mail may be on its way (RFC 5321 §4.5.4.1).
const IN_FLIGHT: u64 = 5 * DAY;
const PERIODS: Periods = Periods {
    retire: Duration::from_secs(7 * DAY),
    forget: Duration::from_secs(30 * DAY),
};

/// A small generator of our own, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// From when until when, `None` while it goes on.
type Span = (u64, Option<u64>);

#[derive(Default)]
struct Server {
    /// What it serves: selector and record.
    has: BTreeMap<String, String>,
    /// What it is to serve, and from when.
    coming: Option<(u64, BTreeMap<String, String>)>,
    /// When it served which key.
    served: BTreeMap<String, Vec<Span>>,
}

impl Server {
    fn catch_up(&mut self, now: u64) {
        let Some((at, _)) = &self.coming else { return };
        if *at > now {
            return;
        }
        let Some((at, new)) = self.coming.take() else { return };
        let is_key = |record: &str| !record.ends_with("p=");
        for (selector, record) in &self.has {
            let goes_on = new.get(selector).is_some_and(|new| new == record);
            if is_key(record)
                && !goes_on
                && let Some(span) = self.served.get_mut(selector).and_then(|spans| spans.last_mut())
            {
                span.1 = Some(at);
            }
        }
        for (selector, record) in &new {
            if is_key(record) && self.has.get(selector) != Some(record) {
                self.served.entry(selector.clone()).or_default().push((at, None));
            }
        }
        self.has = new;
    }
}

/// What survives a crash, and the world outside.
struct Domain {
    name: Name,
    dice: Dice,
    states: Vec<KeyState>,
    files: BTreeMap<String, DkimKey>,
    servers: [Server; 3],
    /// What the signer signs with, by kind (is it Ed25519?).
    signer: BTreeMap<bool, String>,
    signed: BTreeMap<String, Vec<Span>>,
    /// Can be read what the signer signs with?
    has_tables: bool,
    crashes: usize,
    /// Keys that were made and then not noted as ours: their files are for the operator to remove.
    orphans: usize,
}

/// What a crash costs.
#[derive(Default)]
struct Memory {
    last: BTreeMap<String, Sighting>,
    published: Option<BTreeMap<String, String>>,
}

impl Domain {
    fn new(number: u64) -> Self {
        Self {
            name: Name::from_text(&format!("d{number}.example")).unwrap(),
            dice: Dice(number.wrapping_mul(77) + 1),
            states: vec![],
            files: BTreeMap::new(),
            servers: Default::default(),
            signer: BTreeMap::new(),
            signed: BTreeMap::new(),
            has_tables: number.is_multiple_of(2),
            crashes: 0,
            orphans: 0,
        }
    }

    /// Is the process killed here?
    fn is_killed(&mut self) -> bool {
        let killed = self.dice.roll(4) == 0;
        if killed {
            self.crashes += 1;
        }
        killed
    }

    fn turn(&mut self, memory: &mut Memory, now: u64) -> Option<u64> {
        let named: BTreeSet<String> = self.signer.values().cloned().collect();
        let is_switching = self.states.iter().any(|key| key.course.switching);
        let last_of = |key: &KeyState| memory.last.get(&key.selector).copied();
        let retire = PERIODS.retire.as_secs();
        let hold = !unseen_successors(&self.states, retire, &last_of, now).is_empty();
        let served = self.servers[0].has.clone();
        let sight = Sight {
            signs: &|selector, _| (self.has_tables && !is_switching).then(|| named.contains(selector)),
            hold,
            is_safe: &|_| true,
            served_ttl: &|owner| {
                let selector = owner.to_string().split("._domainkey").next()?.to_owned();
                served.contains_key(&selector).then_some(3600)
            },
        };
        let files: Vec<&DkimKey> = self.files.values().collect();
        let turn = life::turn(&self.name, &self.states, &files, sight, now, PERIODS);
        if !turn.changes.is_empty() && self.is_killed() {
            // Nothing was stored and nothing published.
            *memory = Memory::default();
            return Some(now + 1);
        }
        for (selector, state) in turn.changes {
            self.states.retain(|key| key.selector != selector);
            self.states.extend(state);
            self.states.sort_by(|a, b| a.selector.cmp(&b.selector));
        }
        let show: BTreeMap<String, String> = turn
            .show
            .iter()
            .map(|key| {
                let owner = key.owner.to_string();
                let selector = owner.split("._domainkey").next().unwrap().to_owned();
                (selector, key.record.to_string())
            })
            .collect();
        if memory.published.as_ref() != Some(&show) {
            memory.published = Some(show.clone());
            for server in 0..3 {
                // Most have it in seconds, some in minutes, and now and then one is away for days.
                let lag = match (server, self.dice.roll(20)) {
                    (0, _) => 0,
                    (_, 0) => DAY + self.dice.roll(12 * DAY),
                    (_, 1..4) => self.dice.roll(3600),
                    _ => self.dice.roll(5),
                };
                let server = &mut self.servers[server];
                // A later transfer brings the newest version, never an older one.
                let at = (now + lag).max(server.coming.as_ref().map_or(0, |(at, _)| *at));
                server.coming = Some((at, show.clone()));
            }
        }
        turn.deadline
    }

    /// Asks all servers for all keys that matter.
    fn look(&mut self, memory: &mut Memory, now: u64) {
        for at in 0..self.states.len() {
            let key = self.states[at].clone();
            let retires = self
                .states
                .iter()
                .any(|key| key.stage == Stage::Retiring && key.course.spent);
            let matters = key.course.next || key.stage == Stage::Signing && retires;
            if !matters {
                continue;
            }
            let everywhere = self.servers.iter().all(|server| {
                server
                    .has
                    .get(&key.selector)
                    .is_some_and(|record| **record == *key.record)
            });
            memory
                .last
                .insert(key.selector.clone(), Sighting { at: now, everywhere });
            self.states[at].course.seen = seen(key.course.seen, everywhere, now);
        }
    }

    fn carry_out(&mut self, step: Step, memory: &mut Memory, now: u64) {
        let sink = match step {
            Step::Make { selector, algorithm } => {
                let key = DkimKey {
                    domain: self.name.clone(),
                    selector: selector.clone(),
                    record: format!("v=DKIM1; k=rsa; p=KEY{selector}").into(),
                    algorithm: match algorithm {
                        NewKey::Ed25519 => Algorithm::Ed25519,
                        _ => Algorithm::Rsa { bits: 2048 },
                    },
                    sources: vec![],
                };
                self.files.insert(selector.clone(), key);
                if self.is_killed() {
                    self.orphans += 1;
                    *memory = Memory::default();
                    return;
                }
                self.turn(memory, now);
                self.orphans += usize::from(!self.states.iter().any(|key| key.selector == selector));
                self.course(&selector, |course| (course.made, course.next) = (true, true));
                return;
            }
            Step::Choose { selector } => {
                self.course(&selector, |course| course.next = true);
                return;
            }
            Step::Discard { selector } => {
                self.files.remove(&selector);
                return;
            }
            Step::Switch { selector, .. } => selector,
        };
        self.course(&sink, |course| course.switching = true);
        if self.is_killed() {
            *memory = Memory::default();
            return;
        }
        let is_ed25519 = self
            .states
            .iter()
            .any(|key| key.selector == sink && key.algorithm == Algorithm::Ed25519);
        if self.signer.get(&is_ed25519) != Some(&sink) {
            if let Some(old) = self.signer.insert(is_ed25519, sink.clone()) {
                self.signed.get_mut(&old).unwrap().last_mut().unwrap().1 = Some(now);
            }
            self.signed.entry(sink.clone()).or_default().push((now, None));
        }
        if self.is_killed() {
            *memory = Memory::default();
            return;
        }
        for changed in life::switched(&self.states, &sink, now) {
            if let Some(key) = self.states.iter_mut().find(|key| key.selector == changed.selector) {
                *key = changed;
            }
        }
    }

    fn course(&mut self, selector: &str, set: impl FnOnce(&mut Course)) {
        if let Some(key) = self.states.iter_mut().find(|key| key.selector == selector) {
            set(&mut key.course);
        }
    }

    fn live(&mut self) {
        let pattern: SelectorPattern = "{year}{month}-{alg}".parse().unwrap();
        let schedule = Schedule {
            every: Some(Duration::from_secs(90 * DAY)),
            algorithms: &[NewKey::Rsa2048, NewKey::Ed25519],
            selector: &pattern,
            has_signer: &|_| true,
        };
        let mut memory = Memory::default();
        let (mut now, end) = (START, START + YEARS * 365 * DAY);
        while now < end {
            self.servers.iter_mut().for_each(|server| server.catch_up(now));
            self.look(&mut memory, now);
            let mut wake = self.turn(&mut memory, now).unwrap_or(end);
            self.servers.iter_mut().for_each(|server| server.catch_up(now));
            let files = &self.files;
            let gate_of = |key: &KeyState| gate(key, NEGATIVE_TTL, memory.last.get(&key.selector).copied(), now);
            let plan = plan(
                &self.states,
                &schedule,
                &|selector| files.contains_key(selector),
                &gate_of,
                now,
            );
            let stepped = !plan.steps.is_empty();
            for step in plan.steps {
                self.carry_out(step, &mut memory, now);
            }
            wake = wake.min(plan.deadline.unwrap_or(end));
            if stepped {
                wake = wake.min(now + 1);
            }
            for server in &self.servers {
                wake = wake.min(server.coming.as_ref().map_or(end, |(at, _)| *at));
            }
            now = wake.max(now + 1);
        }
    }

    /// When a message would not have verified.
    fn failures(&self) -> Vec<String> {
        let mut failures = vec![];
        for (selector, spans) in &self.signed {
            for (first, last) in spans {
                let until = last.map(|last| last + IN_FLIGHT);
                for (number, server) in self.servers.iter().enumerate() {
                    let spans = server.served.get(selector).into_iter().flatten();
                    let covered = spans.clone().any(|(from, to)| {
                        from + u64::from(NEGATIVE_TTL) <= *first
                            && to.is_none_or(|to| until.is_some_and(|until| to >= until))
                    });
                    if !covered {
                        failures.push(format!(
                            "{selector}.{}: signed {first} to {last:?}, server {number} served it {:?}",
                            self.name,
                            spans.collect::<Vec<_>>()
                        ));
                    }
                }
            }
        }
        failures
    }
}

#[test]
fn in_ten_years_of_a_thousand_domains_no_signature_fails_however_often_the_process_is_killed() {
    let mut crashes = 0;
    for number in 0..1000 {
        let mut domain = Domain::new(number);
        domain.live();
        assert_eq!(domain.failures(), Vec::<String>::new());
        let keys = domain.signed.len();
        assert!((60..=82).contains(&keys), "{}: {keys} keys in ten years", domain.name);
        let most = 8 + domain.orphans;
        let (states, files) = (domain.states.len(), domain.files.len());
        assert!(
            states <= most && files <= most,
            "{}: {states} keys, {files} files left",
            domain.name
        );
        crashes += domain.crashes;
    }
    assert!(crashes > 50_000, "{crashes}");
}

#[test]
fn a_signer_that_goes_on_at_once_is_caught_by_the_same_judgement() {
    let mut domain = Domain::new(2);
    domain.live();
    let selector = domain.signed.keys().next().unwrap().clone();
    domain.signed.get_mut(&selector).unwrap()[0].0 -= 400;
    assert!(domain.failures()[0].starts_with(&selector));
}
