//! Asking the name servers for keys, with patience: soon while there is hope, seldom while a server is down.

use super::{Heard, Keeper, KeyName};
use crate::exchange::{Sought, Witness};
use crate::rotate::Sighting;
use std::collections::BTreeMap;

/// The longest time between two questions for a key, in seconds.
const SELDOM: u64 = 60;
/// A key that nobody wants any more is asked for no longer, in seconds.
const WANTED: u64 = 120;

/// What is known of one key at the name servers.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When it is to be asked for next, in seconds since 1970; `None`: while it is, or when it is wanted again.
    next: Option<u64>,
    delay: u64,
    asking: bool,
    wanted_until: u64,
    /// The record that was last asked for, and what came of it.
    pub(super) last: Option<(Sought, u64, Vec<Witness>)>,
    /// Since when each server has been a witness against.
    pub(super) against: BTreeMap<String, u64>,
}

impl Watch {
    pub(super) fn next(&self) -> Option<u64> {
        self.next.filter(|_| !self.asking)
    }

    /// If it waits to be asked for, it is at `at`.
    pub(super) fn ask_at(&mut self, at: u64) {
        if self.next.is_some() {
            self.next = Some(at);
            self.wanted_until = at + WANTED;
        }
    }

    /// Has an answer come to a question that was asked then or later?
    pub(super) fn was_heard_since(&self, asked: u64) -> bool {
        !self.asking && self.last.as_ref().is_some_and(|(_, at, _)| *at >= asked)
    }

    fn keep_asking(&mut self, at: u64, now: u64) {
        self.wanted_until = self.wanted_until.max(at + WANTED).max(now + WANTED);
        if self.next.is_none() && !self.asking {
            let turn = self.last.as_ref().map_or(0, |(_, heard, _)| heard + self.delay);
            // A clock that was set back must not stop it.
            self.next = Some(at.max(turn.min(now + SELDOM)));
        }
    }

    /// What was seen of this record.
    pub(super) fn sighting(&self, record: &str) -> Option<Sighting> {
        let (sought, at, witnesses) = self.last.as_ref()?;
        let everywhere = !witnesses.is_empty() && witnesses.iter().all(|witness| witness.problem.is_none());
        (*sought.record == *record).then_some(Sighting { at: *at, everywhere })
    }
}

impl Keeper {
    /// The key is to be asked for, for a while: at `at`, or when its turn comes if that is sooner.
    pub(in crate::daemon) fn want(&mut self, key: &KeyName, at: u64, now: u64) {
        let watch = self.watched.entry(key.clone()).or_default();
        watch.wanted_until = watch.wanted_until.max(at + WANTED).max(now + WANTED);
        if watch.next.is_none_or(|next| next > at) && !watch.asking {
            watch.next = Some(at);
        }
    }

    /// The same without haste, for what is planned at every answer: one that was asked for waits for its turn.
    pub(super) fn keep_asking(&mut self, key: &KeyName, at: u64, now: u64) {
        self.watched.entry(key.clone()).or_default().keep_asking(at, now);
    }

    /// The keys to ask for now.
    pub(super) fn keys_to_ask(&mut self, now: u64) -> Vec<KeyName> {
        self.watched
            .retain(|_, watch| watch.asking || watch.wanted_until > now || watch.next.is_some_and(|next| next > now));
        let due = self
            .watched
            .iter()
            .filter(|(_, watch)| watch.next().is_some_and(|next| next <= now));
        due.map(|(key, _)| key.clone()).collect()
    }

    /// Asks for a key; one that is not served from here any more (`None`) is forgotten.
    pub(super) fn ask(&mut self, key: &KeyName, sought: Option<Sought>) {
        let Some(sought) = sought else {
            self.watched.remove(key);
            return;
        };
        let Some(watch) = self.watched.get_mut(key) else {
            return;
        };
        (watch.asking, watch.next) = (true, None);
        let (hear, waker) = (self.hear.clone(), self.waker.clone());
        self.inquirer.ask(sought, move |sought, witnesses| {
            // It fails at the end only, when nobody is left to hear it.
            let _ = hear.send((sought, witnesses));
            waker.wake();
        });
    }

    /// Takes note of what name servers said; the key it is about is returned, and whether all serve it.
    pub(super) fn hear(&mut self, (sought, witnesses): Heard, now: u64) -> (KeyName, bool) {
        let key = (sought.domain.clone(), sought.selector.clone());
        let watch = self.watched.entry(key.clone()).or_default();
        let everywhere = !witnesses.is_empty() && witnesses.iter().all(|witness| witness.problem.is_none());
        let against = witnesses.iter().filter(|witness| witness.problem.is_some());
        watch.against = against
            .map(|witness| {
                (
                    witness.server.clone(),
                    *watch.against.get(&witness.server).unwrap_or(&now),
                )
            })
            .collect();
        let is_other = watch
            .last
            .as_ref()
            .is_none_or(|(last, ..)| last.record != sought.record);
        watch.delay = match everywhere || is_other {
            true => 1,
            false => (watch.delay * 2).clamp(1, SELDOM),
        };
        watch.asking = false;
        // Once all have it, it is asked for again when that matters.
        watch.next = (!everywhere && watch.wanted_until > now).then_some(now + watch.delay);
        watch.last = Some((sought, now, witnesses));
        (key, everywhere)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    /// Before, a plan that follows an answer brought the next question forward to now: hundreds a second.
    #[test]
    fn what_was_answered_is_not_asked_again_at_once() {
        let org = Name::from_text("example.org").unwrap();
        let sought = Sought {
            apex: org.clone(),
            domain: org.clone(),
            selector: "mail".into(),
            owner: org,
            record: "v=DKIM1; p=".into(),
        };
        let mut watch = Watch::default();
        watch.keep_asking(100, 100);
        assert_eq!(watch.next(), Some(100), "never asked for");
        watch.next = Some(116);
        watch.keep_asking(100, 100);
        assert_eq!(watch.next(), Some(116), "its turn");
        (watch.next, watch.delay, watch.last) = (None, 1, Some((sought, 100, vec![])));
        watch.keep_asking(100, 100);
        assert_eq!(watch.next(), Some(101), "just answered");
        watch.next = None;
        watch.keep_asking(3700, 100);
        assert_eq!(watch.next(), Some(3700), "when it matters");
        watch.next = None;
        watch.keep_asking(20, 20);
        assert_eq!(watch.next(), Some(20 + SELDOM), "the clock was set back");
    }
}
