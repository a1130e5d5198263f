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
    use super::seen;

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
