//! What is due when, each thing once: the next is at hand however many there are.

use std::collections::{BTreeMap, BTreeSet};

/// Times, in seconds since 1970, by what is due then.
#[derive(Debug)]
pub(super) struct Agenda<K> {
    times: BTreeMap<K, u64>,
    order: BTreeSet<(u64, K)>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self {
            times: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<K: Clone + Ord> Agenda<K> {
    /// When this is due.
    pub(super) fn at(&self, key: &K) -> Option<u64> {
        self.times.get(key).copied()
    }

    /// It is due at `at`, whenever it was before.
    pub(super) fn set(&mut self, key: &K, at: u64) {
        if let Some(before) = self.times.insert(key.clone(), at) {
            self.order.remove(&(before, key.clone()));
        }
        self.order.insert((at, key.clone()));
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes what is due by `now`.
    pub(super) fn take_due(&mut self, now: u64) -> Vec<K> {
        let mut due = vec![];
        while self.next().is_some_and(|at| at <= now) {
            if let Some((_, key)) = self.order.pop_first() {
                self.times.remove(&key);
                due.push(key);
            }
        }
        due
    }

    /// All of it is due at `at`.
    pub(super) fn set_all(&mut self, at: u64) {
        self.times.values_mut().for_each(|time| *time = at);
        self.order = self.times.keys().map(|key| (at, key.clone())).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::Agenda;

    #[test]
    fn each_is_due_once_and_in_its_turn() {
        let mut agenda = Agenda::default();
        for (key, at) in [("a", 5), ("b", 3), ("a", 9), ("c", 4)] {
            agenda.set(&key, at);
        }
        assert_eq!((agenda.next(), agenda.at(&"a")), (Some(3), Some(9)));
        assert_eq!(agenda.take_due(4), ["b", "c"]);
        assert_eq!(agenda.take_due(8), [""; 0]);
        agenda.set(&"d", 20);
        agenda.set_all(1);
        assert_eq!(agenda.take_due(1), ["a", "d"]);
        assert_eq!(agenda.next(), None);
    }
}
