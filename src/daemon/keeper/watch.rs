//! Asking the name servers for keys, with patience: soon while there is hope, seldom while a server is down.

use super::{Heard, Keeper, KeyName};
use crate::exchange::{Sought, Witness};
use crate::rotate::Sighting;
use std::collections::BTreeMap;

/// The longest time between two questions for a key, in seconds.
const SELDOM: u64 = 60;
/// A key that nobody wants any more is asked for no longer, in seconds.
pub(super) const WANTED: u64 = 120;

/// What is known of one key at the name servers.
#[derive(Debug, Default)]
pub(super) struct Watch {
    delay: u64,
    asking: bool,
    pub(super) wanted_until: u64,
    /// The record that was last asked for, and what came of it.
    pub(super) last: Option<(Sought, u64, Vec<Witness>)>,
    /// Since when each server has been a witness against.
    pub(super) against: BTreeMap<String, u64>,
}

impl Watch {
    /// Has an answer come to a question that was asked then or later?
    pub(super) fn was_heard_since(&self, asked: u64) -> bool {
        !self.asking && self.last.as_ref().is_some_and(|(_, at, _)| *at >= asked)
    }

    fn is_wanted(&mut self, at: u64, now: u64) {
        self.wanted_until = self.wanted_until.max(at + WANTED).max(now + WANTED);
    }

    /// When it is asked for if it matters at `at`: not before its turn.
    fn turn(&self, at: u64, now: u64) -> u64 {
        let turn = self.last.as_ref().map_or(0, |(_, heard, _)| heard + self.delay);
        // A clock that was set back must not stop it.
        at.max(turn.min(now + SELDOM))
    }

    /// What was seen of this record.
    pub(super) fn sighting(&self, record: &str) -> Option<Sighting> {
        let (sought, at, witnesses) = self.last.as_ref()?;
        (*sought.record == *record).then_some(Sighting {
            at: *at,
            everywhere: all_serve(witnesses),
        })
    }
}

fn all_serve(witnesses: &[Witness]) -> bool {
    !witnesses.is_empty() && witnesses.iter().all(|witness| witness.problem.is_none())
}

impl Keeper {
    /// The key is to be asked for, for a while: at `at`, or when its turn comes if that is sooner.
    pub(in crate::daemon) fn want(&mut self, key: &KeyName, at: u64, now: u64) {
        let watch = self.watched.entry(key.clone()).or_default();
        watch.is_wanted(at, now);
        if !watch.asking && self.asks.at(key).is_none_or(|next| next > at) {
            self.asks.set(key, at);
        }
    }

    /// The same without haste, for what is planned at every answer: one that was asked for waits for its turn.
    pub(super) fn keep_asking(&mut self, key: &KeyName, at: u64, now: u64) {
        let watch = self.watched.entry(key.clone()).or_default();
        watch.is_wanted(at, now);
        if !watch.asking && self.asks.at(key).is_none() {
            self.asks.set(key, watch.turn(at, now));
        }
    }

    /// The keys to ask for now.
    pub(super) fn keys_to_ask(&mut self, now: u64) -> Vec<KeyName> {
        if now.abs_diff(self.swept) >= WANTED {
            self.swept = now;
            let asks = &self.asks;
            self.watched
                .retain(|key, watch| watch.asking || watch.wanted_until > now || asks.at(key).is_some());
        }
        self.asks.take_due(now)
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
        watch.asking = true;
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
        let everywhere = all_serve(&witnesses);
        let mut against = BTreeMap::new();
        for witness in witnesses.iter().filter(|witness| witness.problem.is_some()) {
            let since = watch.against.get(&witness.server).copied().unwrap_or(now);
            against.insert(witness.server.clone(), since);
        }
        watch.against = against;
        let before = watch.last.as_ref().map(|(last, ..)| &last.record);
        watch.delay = match everywhere || before != Some(&sought.record) {
            true => 1,
            false => (watch.delay * 2).clamp(1, SELDOM),
        };
        watch.asking = false;
        // Once all have it, it is asked for again when that matters.
        if !everywhere && watch.wanted_until > now {
            self.asks.set(&key, now + watch.delay);
        }
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
        assert_eq!(watch.turn(100, 100), 100, "never asked for");
        (watch.delay, watch.last) = (16, Some((sought, 100, vec![])));
        assert_eq!(watch.turn(100, 100), 116, "just answered");
        assert_eq!(watch.turn(3700, 100), 3700, "when it matters");
        assert_eq!(watch.turn(20, 20), 20 + SELDOM, "the clock was set back");
    }
}
