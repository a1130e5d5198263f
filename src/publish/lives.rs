//! The lives of all keys: what is remembered in memory, what is not stored yet, what falls due when.

use super::life::{self, Course, KeyState, Periods, Sight, Turn};
use super::store::Writes;
use crate::finding::Finding;
use crate::keys::DkimKey;
use crate::name::Name;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Every key that is remembered, by signing domain.
#[derive(Debug, Default)]
pub(super) struct Lives {
    domains: HashMap<Name, Domain>,
    /// The deadlines of `domains`, soonest first.
    due: BTreeSet<(u64, Name)>,
    /// Changes that no commit has taken yet, by signing domain and selector.
    unsaved: BTreeMap<(Name, String), Option<KeyState>>,
}

#[derive(Debug, Default)]
struct Domain {
    /// In the order of the selectors.
    keys: Vec<KeyState>,
    deadline: Option<u64>,
}

impl Lives {
    pub(super) fn new(stored: Vec<KeyState>) -> Self {
        let mut lives = Self::default();
        for key in stored {
            let keys = &mut lives.domains.entry(key.domain.clone()).or_default().keys;
            keys.reserve_exact(1);
            keys.push(key);
        }
        lives
    }

    /// Moves the keys of `domain` on, see [`life::turn`]; its changes are remembered at once and
    /// wait to be saved.
    pub(super) fn turn(
        &mut self,
        domain: &Name,
        files: &[&DkimKey],
        sight: Sight<'_>,
        now: u64,
        periods: Periods,
    ) -> Turn {
        let turn = life::turn(domain, self.keys(domain), files, sight, now, periods);
        for (selector, state) in &turn.changes {
            self.change(domain, selector, state.clone());
        }
        self.set_deadline(domain, turn.deadline);
        turn
    }

    /// Revokes one key; `None` when it is not known.
    pub(super) fn revoke(&mut self, domain: &Name, selector: &str, now: u64) -> Option<()> {
        let key = self.key(domain, selector)?;
        if let Some(revoked) = key.revoked_by_command(now) {
            self.change(domain, selector, Some(revoked));
        }
        Some(())
    }

    /// Changes what is done with a key or was seen of it; says whether there is such a key.
    pub(super) fn set_course(&mut self, domain: &Name, selector: &str, set: impl FnOnce(&mut Course)) -> bool {
        let Some(key) = self.key(domain, selector) else {
            return false;
        };
        let mut changed = key.clone();
        set(&mut changed.course);
        if changed != *key {
            self.change(domain, selector, Some(changed));
        }
        true
    }

    /// The signer signs with this key from now on, see [`life::switched`].
    pub(super) fn switched(&mut self, domain: &Name, selector: &str, now: u64) {
        for state in life::switched(self.keys(domain), selector, now) {
            let selector = state.selector.clone();
            self.change(domain, &selector, Some(state));
        }
    }

    /// What is remembered of one key.
    pub(super) fn key(&self, domain: &Name, selector: &str) -> Option<&KeyState> {
        self.keys(domain).iter().find(|key| key.selector == selector)
    }

    pub(super) fn keys(&self, domain: &Name) -> &[KeyState] {
        self.domains.get(domain).map_or(&[], |domain| &domain.keys)
    }

    pub(super) fn domains(&self) -> impl Iterator<Item = &Name> {
        self.domains.keys()
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the signing domains whose deadline has come. A turn sets the next one, so a domain
    /// whose keys no zone shows any more wakes nobody twice.
    pub(super) fn take_due(&mut self, now: u64) -> Vec<Name> {
        let mut taken = vec![];
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            let Some((_, domain)) = self.due.pop_first() else {
                break;
            };
            if let Some(entry) = self.domains.get_mut(&domain) {
                entry.deadline = None;
            }
            taken.push(domain);
        }
        taken
    }

    /// Adds what is unsaved to a commit.
    pub(super) fn add_to<'a>(&'a self, writes: &mut Writes<'a>) {
        writes.keys.extend(
            self.unsaved
                .iter()
                .map(|((domain, selector), state)| (domain, selector.as_str(), state.as_ref())),
        );
    }

    /// The commit was made.
    pub(super) fn saved(&mut self) {
        self.unsaved.clear();
    }

    fn change(&mut self, domain: &Name, selector: &str, state: Option<KeyState>) {
        let keys = &mut self.domains.entry(domain.to_lowercase()).or_default().keys;
        let at = keys.binary_search_by(|key| key.selector.as_str().cmp(selector));
        match (at, state.clone()) {
            (Ok(at), Some(state)) => keys[at] = state,
            (Ok(at), None) => drop(keys.remove(at)),
            (Err(at), Some(state)) => {
                // Most of a hundred thousand domains have one key, or two while it is replaced.
                keys.reserve_exact(1);
                keys.insert(at, state);
            }
            (Err(_), None) => {}
        }
        if keys.is_empty() {
            self.set_deadline(domain, None);
            self.domains.remove(domain);
        }
        self.unsaved.insert((domain.to_lowercase(), selector.to_owned()), state);
    }

    fn set_deadline(&mut self, domain: &Name, deadline: Option<u64>) {
        let Some(entry) = self.domains.get_mut(domain) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut entry.deadline, deadline) {
            self.due.remove(&(before, domain.clone()));
        }
        if let Some(deadline) = deadline {
            self.due.insert((deadline, domain.to_lowercase()));
        }
    }
}

/// A key that is to be revoked and is not known.
pub(super) fn unknown(domain: &Name, selector: &str, keys: &[KeyState]) -> Finding {
    let known: Vec<&str> = keys.iter().map(|key| key.selector.as_str()).collect();
    let cure = if known.is_empty() {
        "check the spelling: no key of this domain was ever published here".to_owned()
    } else {
        format!("its selectors are: {}", known.join(", "))
    };
    Finding::error(
        "dkim-key-unknown",
        format!("{domain} has no DKIM key with the selector {selector}"),
        cure,
    )
}
