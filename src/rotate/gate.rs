//! When it is safe to sign with a key, and when to withdraw the one before.

use crate::publish::{KeyState, Stage};

/// How the way to sign with a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Every name server serves it and what resolvers remember of before is past.
    Open,
    /// Every name server serves it; resolvers may remember otherwise until then, in seconds since 1970.
    Waits {
        /// The end of the wait.
        until: u64,
    },
    /// Some name server does not serve it, or has not been asked.
    Shut,
}

/// What came of asking the name servers last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Did every one of them serve the key?
    pub everywhere: bool,
}

/// So long a sighting counts for now, in seconds.
const FRESH: u64 = 30;

/// How the way to sign with `key` stands, by what was seen `last` and the time. For `negative_ttl` seconds a resolver may
/// remember that something is not in the zone: the lesser of the SOA's TTL and its minimum (RFC 2308 §5).
pub fn gate(key: &KeyState, negative_ttl: u32, last: Option<Sighting>, now: u64) -> Gate {
    let Some(seen) = key.course.seen else {
        return Gate::Shut;
    };
    let until = seen.saturating_add(wait(key, negative_ttl));
    // Seen under a clock that was ahead: who knows when it was.
    if seen > now {
        return Gate::Shut;
    }
    if now < until {
        return Gate::Waits { until };
    }
    match last {
        Some(last) if last.everywhere && last.at <= now && now - last.at <= FRESH && last.at >= until => Gate::Open,
        _ => Gate::Shut,
    }
}

/// The keys that every name server must be seen to serve before what they came after is withdrawn: those that are signed
/// with, where a key that its signer left has been kept for `retire` seconds. Empty if none has, or if all were seen since
/// then and lately.
pub fn unseen_successors<'k>(
    keys: &'k [KeyState],
    retire: u64,
    last_of: &dyn Fn(&KeyState) -> Option<Sighting>,
    now: u64,
) -> Vec<&'k KeyState> {
    let left = keys
        .iter()
        .filter(|key| key.stage == Stage::Retiring && key.course.spent);
    let ends = left.map(|key| key.since.saturating_add(retire));
    let Some(end) = ends.filter(|end| *end <= now).max() else {
        return vec![];
    };
    let is_unseen = |key: &&KeyState| {
        let last = last_of(key);
        !last.is_some_and(|last| last.everywhere && last.at >= end && now.saturating_sub(last.at) <= FRESH)
    };
    keys.iter()
        .filter(|key| key.stage == Stage::Signing)
        .filter(is_unseen)
        .collect()
}

/// Since when every name server has served a key, once they have been asked again.
pub fn seen(before: Option<u64>, everywhere: bool, now: u64) -> Option<u64> {
    // What was seen under a clock that was ahead is seen now, or the gate stayed shut until then.
    everywhere.then(|| before.filter(|before| *before <= now).unwrap_or(now))
}

/// For how many seconds a resolver may still have what was before.
pub fn wait(key: &KeyState, negative_ttl: u32) -> u64 {
    // A second more: caches count whole seconds, and so do we.
    u64::from(negative_ttl.max(key.course.old_ttl)) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Algorithm;
    use crate::name::Name;
    use crate::publish::Course;

    fn key(selector: &str, stage: Stage, since: u64) -> KeyState {
        KeyState {
            domain: Name::from_text("example.org").unwrap(),
            selector: selector.into(),
            record: "v=DKIM1; p=AAAA".into(),
            stage,
            since,
            source: String::new(),
            algorithm: Algorithm::Ed25519,
            fingerprint: [0; 32],
            course: Course {
                spent: stage == Stage::Retiring,
                ..Course::default()
            },
        }
    }

    #[test]
    fn the_gate_opens_after_the_longest_memory_and_one_more_look() {
        let mut new = key("new", Stage::Live, 100);
        let look = |at, everywhere| Some(Sighting { at, everywhere });
        assert_eq!(gate(&new, 300, look(100, true), 100), Gate::Shut, "not noted yet");
        new.course.seen = Some(100);
        assert_eq!(gate(&new, 300, look(100, true), 100), Gate::Waits { until: 401 });
        new.course.old_ttl = 3600;
        assert_eq!(gate(&new, 300, look(100, true), 100), Gate::Waits { until: 3701 });
        for (last, expected) in [
            (None, Gate::Shut),
            (look(3700, true), Gate::Shut),
            (look(3701, false), Gate::Shut),
            (look(3701, true), Gate::Open),
        ] {
            assert_eq!(gate(&new, 300, last, 3702), expected, "{last:?}");
        }
        assert_eq!(
            gate(&new, 300, look(3701, true), 3701 + FRESH + 1),
            Gate::Shut,
            "long ago"
        );
    }

    #[test]
    fn a_key_is_withdrawn_only_once_its_successors_are_seen_again() {
        let keys = [key("old", Stage::Retiring, 100), key("new", Stage::Signing, 100)];
        let unseen = |at: Option<u64>, now| -> usize {
            let last_of = |_: &KeyState| at.map(|at| Sighting { at, everywhere: true });
            unseen_successors(&keys, 50, &last_of, now).len()
        };
        assert_eq!(unseen(None, 149), 0, "its time is not over");
        assert_eq!(unseen(None, 150), 1);
        assert_eq!(unseen(Some(149), 151), 1, "seen before its time was over");
        assert_eq!(unseen(Some(150), 151), 0);
        assert_eq!(unseen(Some(150), 150 + FRESH + 1), 1, "long ago");
        let nothing_signs = &keys[..1];
        assert_eq!(unseen_successors(nothing_signs, 50, &|_| None, 150).len(), 0);
    }

    #[test]
    fn what_was_seen_under_a_clock_that_was_ahead_is_seen_now() {
        assert_eq!(seen(None, true, 100), Some(100));
        assert_eq!(seen(Some(90), true, 100), Some(90));
        assert_eq!(seen(Some(90), false, 100), None);
        assert_eq!(
            seen(Some(4000), true, 100),
            Some(100),
            "the wait begins again, and ends"
        );
    }
}
