//! Driving the keys of all domains through their lives: what was seen at the name servers, what is due, what is in hand.
//!
//! What is to be done is decided by [`crate::rotate`] from stored states alone; what is kept here, sightings and
//! attempts that failed, is lost with the process and found again.
//!
//! | file | what lives there |
//! |---|---|
//! | `hand` | the thread that makes keys and switches signers |
//! | `steps` | from plan to action, and from what came of it to the stored states |
//! | `watch` | asking the name servers for keys, with patience |
//! | `view` | how a key stands, for an operator |

mod hand;
mod steps;
mod view;
mod watch;

pub(super) use view::KeyView;

use crate::config::Signer;
use crate::control::Pending;
use crate::exchange::{Inquirer, Sought, Witness};
use crate::finding::Finding;
use crate::name::Name;
use crate::signer;
use crate::watch::{RootId, Waker};
use hand::{Hand, Report};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use watch::Watch;

/// The tables of signers.
pub(super) const SIGNER_TABLES: RootId = RootId(8);

/// A key: its signing domain and its selector.
pub(super) type KeyName = (Name, String);

/// What a name server said.
type Heard = (Sought, Vec<Witness>);

/// Who asks for the state of keys and is answered when the name servers have been asked.
struct Asker {
    pending: Pending,
    keys: BTreeSet<KeyName>,
    until: u64,
}

/// A domain whose last step failed.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// When it is tried again, in seconds since 1970.
    pub(super) until: u64,
    delay: u64,
    /// Why.
    pub(super) finding: Finding,
}

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
    /// The domains to plan for.
    touched: BTreeSet<Name>,
    due: BTreeMap<Name, u64>,
    /// The domains with a step in hand.
    busy: BTreeSet<Name>,
    held: BTreeMap<Name, Held>,
    /// Keys that were made and have not been seen in the key directory yet, and whether they are next.
    made: BTreeMap<KeyName, bool>,
    askers: Vec<Asker>,
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
            touched: BTreeSet::new(),
            due: BTreeMap::new(),
            busy: BTreeSet::new(),
            held: BTreeMap::new(),
            made: BTreeMap::new(),
            askers: vec![],
        })
    }

    /// Takes over which signers there are; returns the files to watch if that changed.
    pub(super) fn follow(&mut self, signers: &[Signer]) -> Option<Vec<PathBuf>> {
        if self.signers == signers {
            return None;
        }
        self.signers = signers.to_vec();
        Some(signers.iter().flat_map(signer::files).collect())
    }

    /// Reads what the signers are configured to sign with. The domains for which that changed are returned, and what
    /// cannot be read.
    pub(super) fn read_tables(&mut self) -> (BTreeSet<Name>, Vec<Finding>) {
        let mut findings = vec![];
        let mut signing: Option<BTreeMap<Name, BTreeSet<String>>> = None;
        for one in &self.signers {
            match signer::signing(one) {
                Ok(Some(named)) => {
                    let all = signing.get_or_insert_default();
                    for (domain, selectors) in named {
                        all.entry(domain).or_default().extend(selectors);
                    }
                }
                Ok(None) => {}
                // Half of what is signed with looks as if the rest were not: nothing is known then.
                Err(error) => {
                    findings.push(error.finding());
                    signing = None;
                    break;
                }
            }
        }
        if !findings.is_empty() {
            return (BTreeSet::new(), findings);
        }
        let none = BTreeMap::new();
        let (old, new) = (self.signing.as_ref().unwrap_or(&none), signing.as_ref().unwrap_or(&none));
        let mut changed: BTreeSet<Name> = old.keys().chain(new.keys()).cloned().collect();
        changed.retain(|domain| old.get(domain) != new.get(domain));
        self.signing = signing;
        (changed, findings)
    }

    /// The selectors that a domain is signed with; `None` where nothing tells. A hook's selectors are nowhere, so with
    /// one among the signers nothing is known of what the tables do not name.
    pub(super) fn signing(&self, domain: &Name) -> Option<&BTreeSet<String>> {
        static NOTHING: BTreeSet<String> = BTreeSet::new();
        let all = self.signing.as_ref()?;
        let has_hook = self.signers.iter().any(|signer| signer::files(signer).is_empty());
        match all.get(domain) {
            Some(_) if has_hook => None,
            Some(selectors) => Some(selectors),
            None => Some(&NOTHING).filter(|_| !has_hook),
        }
    }

    /// The keys of a domain are to be looked at.
    pub(super) fn touch(&mut self, domain: &Name) {
        self.touched.insert(domain.clone());
    }

    /// When something is due here.
    pub(super) fn next(&self, now: u64) -> Option<Duration> {
        let asks = self.watched.values().filter_map(Watch::next);
        let askers = self.askers.iter().map(|asker| asker.until);
        let next = self.due.values().copied().chain(asks).chain(askers).min()?;
        Some(Duration::from_secs(next.saturating_sub(now)))
    }
}
