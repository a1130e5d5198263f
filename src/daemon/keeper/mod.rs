//! Driving the keys of all domains through their lives: what was seen at the name servers, what is due, what is in hand.
//!
//! What is to be done is decided by [`crate::rotate`] from stored states alone; what is kept here, sightings and
//! attempts that failed, is lost with the process and found again.
//!
//! | file | what lives there |
//! |---|---|
//! | `agenda` | what is due when |
//! | `hand` | the thread that makes keys and switches signers |
//! | `steps` | from plan to action, and from what came of it to the stored states |
//! | `watch` | asking the name servers for keys, with patience |
//! | `view` | how a key stands, for an operator |

mod agenda;
mod hand;
mod steps;
mod view;
mod watch;

pub(super) use hand::Work;
pub(super) use view::KeyView;

use crate::config::{Config, Signer, SignerKind};
use crate::control::Pending;
use crate::exchange::{Inquirer, Sought, Witness};
use crate::finding::Finding;
use crate::keys::Algorithm;
use crate::mail::dkim::NewKey;
use crate::name::Name;
use crate::publish::KeyState;
use crate::rotate::Sighting;
use crate::signer::{self, SignerError};
use crate::watch::{RootId, Waker};
use agenda::Agenda;
use hand::{Hand, Report};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use watch::{WANTED, Watch};

/// The tables of signers.
pub(super) const SIGNER_TABLES: RootId = RootId(8);

/// A key: its signing domain and its selector.
pub(super) type KeyName = (Name, String);

/// What a name server said.
type Heard = (Sought, Vec<Witness>);

/// Who asks for the state of keys and is answered when the name servers have been asked.
pub(super) struct Asker {
    pub(super) pending: Pending,
    pub(super) domain: Name,
    pub(super) json: bool,
    /// Those that no answer has come for.
    keys: BTreeSet<KeyName>,
    asked: u64,
    until: u64,
}

/// So long an operator waits for the name servers, in seconds.
const PATIENCE: u64 = 10;

/// A clock that is set back by more than that many seconds is more than a correction.
const SET_BACK: u64 = 60;

/// A domain whose last step failed.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// When it is tried again, in seconds since 1970.
    pub(super) until: u64,
    delay: u64,
    /// Why.
    pub(super) finding: Finding,
}

/// A key that was made.
#[derive(Debug, Clone, Copy)]
struct Made {
    /// Is the signer to go on to it?
    next: bool,
    /// When it was made, in seconds since 1970.
    at: u64,
}

/// So long after it was made a key is to be seen in the key directory, in seconds.
const MADE: u64 = 60;

/// See the module.
pub(super) struct Keeper {
    inquirer: Inquirer,
    heard: mpsc::Receiver<Heard>,
    hear: mpsc::Sender<Heard>,
    waker: Waker,
    hand: Hand,
    reports: mpsc::Receiver<Report>,
    /// The keys that the name servers are asked for.
    watched: BTreeMap<KeyName, Watch>,
    /// What the signers are configured to sign with, if their tables tell.
    signing: Option<BTreeMap<Name, BTreeSet<String>>>,
    signers: Vec<Signer>,
    /// The signers as they are configured.
    configured: Vec<Signer>,
    /// No other Signpost drives them while this is open.
    lock: Option<File>,
    /// The domains to plan for.
    touched: BTreeSet<Name>,
    due: Agenda<Name>,
    /// When each of the watched keys is asked for next.
    asks: Agenda<KeyName>,
    /// When those that nobody wants any more were last forgotten, in seconds since 1970.
    swept: u64,
    /// The domains with a step in hand.
    busy: BTreeSet<Name>,
    held: BTreeMap<Name, Held>,
    /// Keys that were made and have not been seen in the key directory yet.
    made: BTreeMap<KeyName, Made>,
    /// Who ordered them, by domain, and what there is to say.
    ordered: BTreeMap<Name, (Pending, String)>,
    /// Forgotten keys whose private halves are to be published, and from when on, in seconds since 1970.
    to_reveal: BTreeMap<KeyName, u64>,
    /// The tables of signers have changed since they were read.
    tables_stale: bool,
    askers: Vec<Asker>,
    /// The time when it was last looked at, in seconds since 1970.
    clock: u64,
}

impl Keeper {
    pub(super) fn start(inquirer: Inquirer, waker: Waker) -> std::io::Result<Self> {
        let (hear, heard) = mpsc::channel();
        let (hand, reports) = Hand::start(waker.clone())?;
        Ok(Self {
            inquirer,
            heard,
            hear,
            waker,
            hand,
            reports,
            watched: BTreeMap::new(),
            signing: None,
            signers: vec![],
            configured: vec![],
            lock: None,
            touched: BTreeSet::new(),
            due: Agenda::default(),
            asks: Agenda::default(),
            swept: 0,
            busy: BTreeSet::new(),
            held: BTreeMap::new(),
            made: BTreeMap::new(),
            ordered: BTreeMap::new(),
            to_reveal: BTreeMap::new(),
            tables_stale: false,
            askers: vec![],
            clock: 0,
        })
    }

    /// Takes the signers for this process, if any are configured.
    pub(super) fn take(&mut self, config: &Config) -> Result<(), SignerError> {
        match config.signers.is_empty() {
            true => self.lock = None,
            false if self.lock.is_none() => self.lock = signer::lock(&config.keys)?,
            false => {}
        }
        Ok(())
    }

    /// Takes over which signers there are; returns the files to watch if that changed. None are there while they cannot
    /// be taken.
    pub(super) fn follow(&mut self, config: &Config) -> (Option<Vec<PathBuf>>, Option<Finding>) {
        if self.configured == config.signers {
            return (None, None);
        }
        self.configured.clone_from(&config.signers);
        let refused = self.take(config).err();
        self.signers = match refused {
            None => config.signers.clone(),
            Some(_) => vec![],
        };
        let files = self.signers.iter().flat_map(signer::files).collect();
        (Some(files), refused.map(|refused| refused.finding()))
    }

    /// Reads what the signers are configured to sign with. The domains for which that changed are returned. If a table
    /// cannot be read, what was read last stays.
    pub(super) fn read_tables(&mut self) -> Result<Vec<Name>, Finding> {
        let mut signing: Option<BTreeMap<Name, BTreeSet<String>>> = None;
        for one in &self.signers {
            let named = signer::signing(one).map_err(|error| error.finding())?;
            let Some(named) = named else {
                continue;
            };
            let all = signing.get_or_insert_default();
            for (domain, selectors) in named {
                all.entry(domain).or_default().extend(selectors);
            }
        }
        let none = BTreeMap::new();
        let (old, new) = (
            self.signing.as_ref().unwrap_or(&none),
            signing.as_ref().unwrap_or(&none),
        );
        if new.is_empty() && !old.is_empty() && !self.signers.is_empty() {
            let what = "the tables of [[signer]] name no key any more; what they named last is taken to be signed with";
            let cure = "if nothing is to be signed, take [[signer]] out of signpost.toml";
            return Err(Finding::warning("signer-table", what, cure));
        }
        let differs = |domain: &&Name| old.get(*domain) != new.get(*domain);
        let changed = old.keys().filter(differs).cloned();
        let added = new.keys().filter(|domain| !old.contains_key(*domain)).cloned();
        let changed = changed.chain(added).collect();
        self.signing = signing;
        Ok(changed)
    }

    /// Does a signer's table name this key?
    fn names(&self, domain: &Name, selector: &str) -> bool {
        let all = self.signing.as_ref().and_then(|all| all.get(domain));
        all.is_some_and(|selectors| selectors.contains(selector))
    }

    /// Is a signer configured to sign with this key? A hook tells nothing of what it signs with.
    pub(super) fn signs(&self, domain: &Name, selector: &str, algorithm: Algorithm) -> Option<bool> {
        self.signing.as_ref()?;
        if self.names(domain, selector) {
            return Some(true);
        }
        let kind = NewKey::of(algorithm);
        let hooks = self.signers.iter().filter(|signer| signer.kind == SignerKind::Hook);
        let is_told = !hooks.into_iter().any(|hook| hook.can_sign_with(kind));
        is_told.then_some(false)
    }

    /// Is it known what the signers sign with?
    pub(super) fn reads_tables(&self) -> bool {
        self.signing.is_some()
    }

    /// A step that failed is tried again at `at`: what was in its way may be gone.
    pub(super) fn try_again(&mut self, domain: &Name, at: u64) {
        if let Some(held) = self.held.get_mut(domain) {
            held.until = at;
            self.due.set(domain, at);
        }
    }

    /// All that failed, and whoever is to be asked, at once.
    pub(super) fn try_all_again(&mut self, now: u64) {
        self.held.values_mut().for_each(|held| held.until = now);
        self.due.set_all(now);
        self.asks.set_all(now);
        for watch in self.watched.values_mut() {
            watch.wanted_until = watch.wanted_until.min(now + WANTED);
        }
        // Whoever had the signers may have gone.
        if self.lock.is_none() {
            self.configured.clear();
        }
    }

    /// Notes the time. If the clock was set back, what is due in a future that is further away now is looked at; says
    /// whether it was by so much that it matters to the lives of keys.
    fn mind_the_clock(&mut self, now: u64) -> bool {
        let back = std::mem::replace(&mut self.clock, now).saturating_sub(now);
        if back > 0 {
            self.try_all_again(now);
        }
        back > SET_BACK
    }

    /// Does the domain rest after a failure?
    fn rests(&self, domain: &Name, now: u64) -> bool {
        self.held.get(domain).is_some_and(|held| held.until > now)
    }

    /// The keys of a domain are to be looked at.
    pub(super) fn touch(&mut self, domain: &Name) {
        self.touched.insert(domain.clone());
    }

    /// Was a key of the domain made that has not been seen in the key directory yet?
    pub(super) fn awaits(&self, domain: &Name) -> bool {
        let mut from = self.made.range((domain.clone(), String::new())..);
        from.next().is_some_and(|((made, _), _)| made == domain)
    }

    /// The private half of a forgotten key is to be published, if it was kept for that.
    pub(super) fn forgotten(&mut self, domain: &Name, selector: &str) {
        self.to_reveal.insert((domain.clone(), selector.to_owned()), 0);
    }

    /// Is there a signer for keys of this kind?
    pub(super) fn has_signer(&self, kind: NewKey) -> bool {
        self.signers.iter().any(|signer| signer.can_sign_with(kind))
    }

    /// What was seen of a key last.
    fn sighting(&self, key: &KeyState) -> Option<Sighting> {
        let name = (key.domain.clone(), key.selector.clone());
        self.watched.get(&name)?.sighting(&key.record)
    }

    pub(super) fn is_busy(&self, domain: &Name) -> bool {
        self.busy.contains(domain)
    }

    pub(super) fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// Has the name servers asked for keys of a domain, for somebody who waits.
    pub(super) fn ask_for(&mut self, pending: Pending, json: bool, domain: Name, keys: BTreeSet<KeyName>, now: u64) {
        for key in &keys {
            self.want(key, now, now);
        }
        self.askers.push(Asker {
            pending,
            domain,
            json,
            keys,
            asked: now,
            until: now + PATIENCE,
        });
    }

    /// Those who have waited long enough.
    pub(super) fn take_answered(&mut self, now: u64) -> Vec<Asker> {
        let watched = &self.watched;
        let is_answered = |asker: &mut Asker| {
            let asked = asker.asked;
            asker
                .keys
                .retain(|key| watched.get(key).is_some_and(|watch| !watch.was_heard_since(asked)));
            asker.keys.is_empty() || asker.until <= now
        };
        self.askers.extract_if(.., is_answered).collect()
    }

    /// When something is due here.
    pub(super) fn next(&self, now: u64) -> Option<Duration> {
        if !self.touched.is_empty() {
            return Some(Duration::ZERO);
        }
        let askers = self.askers.iter().map(|asker| asker.until).min();
        let made = self.made.values().map(|made| made.at + MADE).min();
        let reveal = self.to_reveal.values().copied().min();
        let next = [self.due.next(), self.asks.next(), askers, made, reveal];
        let next = next.into_iter().flatten().min()?;
        Some(Duration::from_secs(next.saturating_sub(now)))
    }
}
