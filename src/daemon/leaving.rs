//! Zone files that have just vanished, held back for a moment before that counts.
//!
//! Many programs replace a file by deleting it and writing it anew: `git checkout`, `rsync
//! --delete-before`, some editors. In between there is no file, and a zone that is refused for those
//! milliseconds costs mail. So a file below the zone directory, or one that is included, is gone only
//! when it stays away for [`HOLD`]. Keys need no such care: theirs is a grace of days.

use super::sources::{INCLUDED, ZONES};
use crate::watch::{Change, Kind, RootId};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a file must be away to be gone.
const HOLD: Duration = Duration::from_secs(2);

/// A file by its name first, for a file that moves keeps that.
type Key = (OsString, RootId, PathBuf);

/// The files that are away and not yet gone.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    until: BTreeMap<Key, Instant>,
    /// In the order of time, since all are held equally long; a time that is not in `until` is void.
    queue: VecDeque<(Instant, Key)>,
}

impl Leaving {
    /// Holds back what vanished and returns what counts at once, in an order in which a file that
    /// moved has left its old place before it comes to the new one.
    pub(super) fn hold(&mut self, changes: Vec<Change>, now: Instant) -> Vec<Change> {
        let (vanished, mut rest): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|change| change.kind == Kind::Gone && matches!(change.root, ZONES | INCLUDED));
        for change in vanished {
            let key = key_of(&change);
            self.until.entry(key.clone()).or_insert_with(|| {
                self.queue.push_back((now + HOLD, key));
                now + HOLD
            });
        }
        if self.until.is_empty() {
            return rest;
        }
        let moved: Vec<Change> = rest.iter().flat_map(|change| self.came(change)).collect();
        rest.splice(0..0, moved);
        rest
    }

    /// A file is there: one of that path is not gone, and those of that name elsewhere are.
    fn came(&mut self, change: &Change) -> Vec<Change> {
        let (name, root, path) = key_of(change);
        let same_name: Vec<Key> = self
            .until
            .range((name.clone(), RootId(0), PathBuf::new())..)
            .map(|(key, _)| key.clone())
            .take_while(|key| key.0 == name && key.1 <= root)
            .filter(|key| key.1 == root)
            .collect();
        for key in &same_name {
            self.until.remove(key);
        }
        same_name.into_iter().filter(|key| key.2 != path).map(gone).collect()
    }

    /// When the next file is gone.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.front().map(|(until, _)| *until)
    }

    /// The files that stayed away.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Change> {
        let mut due = vec![];
        while self.next().is_some_and(|until| until <= now)
            && let Some((until, key)) = self.queue.pop_front()
        {
            if self.until.get(&key) == Some(&until) {
                self.until.remove(&key);
                due.push(gone(key));
            }
        }
        due
    }

    /// All that are away, without waiting: somebody asked for what is there now.
    pub(super) fn release(&mut self) -> Vec<Change> {
        self.queue.clear();
        std::mem::take(&mut self.until).into_keys().map(gone).collect()
    }
}

fn key_of(change: &Change) -> Key {
    let name = change.path.file_name().map(OsStr::to_owned).unwrap_or_default();
    (name, change.root, change.path.clone())
}

fn gone((_, root, path): Key) -> Change {
    Change {
        root,
        path,
        kind: Kind::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::sources::KEYS;

    fn change(root: RootId, path: &str, kind: Kind) -> Change {
        Change {
            root,
            path: path.into(),
            kind,
        }
    }

    fn away(path: &str) -> Change {
        change(ZONES, path, Kind::Gone)
    }

    fn there(path: &str) -> Change {
        change(ZONES, path, Kind::Present { size: 1, mode: 0o644 })
    }

    #[test]
    fn a_file_that_comes_back_was_never_gone() {
        let (mut leaving, now) = (Leaving::default(), Instant::now());
        assert_eq!(leaving.hold(vec![away("/z/a.zone")], now), []);
        assert_eq!(leaving.next(), Some(now + HOLD));
        assert_eq!(leaving.hold(vec![there("/z/a.zone")], now), [there("/z/a.zone")]);
        assert_eq!(leaving.due(now + 2 * HOLD), []);
        assert_eq!(leaving.next(), None);
    }

    #[test]
    fn a_file_that_stays_away_is_gone_once_and_counts_from_its_first_absence() {
        let (mut leaving, now) = (Leaving::default(), Instant::now());
        leaving.hold(vec![away("/z/a.zone")], now);
        leaving.hold(vec![away("/z/a.zone")], now + HOLD / 2);
        assert_eq!(leaving.due(now + HOLD / 2), []);
        assert_eq!(leaving.due(now + HOLD), [away("/z/a.zone")]);
        assert_eq!(leaving.due(now + 2 * HOLD), []);
    }

    #[test]
    fn one_that_left_twice_is_held_from_the_second_time() {
        let (mut leaving, now) = (Leaving::default(), Instant::now());
        leaving.hold(vec![away("/z/a.zone")], now);
        leaving.hold(vec![there("/z/a.zone")], now + HOLD / 4);
        leaving.hold(vec![away("/z/a.zone")], now + HOLD / 2);
        assert_eq!(leaving.due(now + HOLD), []);
        assert_eq!(leaving.due(now + HOLD + HOLD / 2), [away("/z/a.zone")]);
    }

    #[test]
    fn a_file_that_moves_leaves_before_it_comes() {
        let (mut leaving, now) = (Leaving::default(), Instant::now());
        let other = there("/z/b.zone");
        assert_eq!(
            leaving.hold(vec![there("/z/new/a.zone"), other.clone(), away("/z/old/a.zone")], now),
            [away("/z/old/a.zone"), there("/z/new/a.zone"), other],
        );
        assert_eq!(leaving.due(now + HOLD), []);
    }

    #[test]
    fn keys_are_not_held_and_all_is_released_when_asked() {
        let (mut leaving, now) = (Leaving::default(), Instant::now());
        let key = change(KEYS, "/k/a.zone", Kind::Gone);
        assert_eq!(leaving.hold(vec![away("/z/a.zone"), key.clone()], now), [key]);
        assert_eq!(leaving.release(), [away("/z/a.zone")]);
        assert_eq!(leaving.due(now + HOLD), []);
    }
}
