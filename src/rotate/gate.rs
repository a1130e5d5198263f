//! When it is safe to sign with a key.

use crate::publish::KeyState;

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

/// What a resolver may remember of a zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Zone {
    /// For so many seconds it may remember that something is not there: the lesser of the SOA's TTL and its minimum
    /// (RFC 2308 §5).
    pub negative_ttl: u32,
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

/// How the way to sign with `key` stands, by what was seen `last` and the time.
pub fn gate(key: &KeyState, zone: Zone, last: Option<Sighting>, now: u64) -> Gate {
    let Some(seen) = key.course.seen else {
        return Gate::Shut;
    };
    let until = seen.saturating_add(wait(key, zone));
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

/// Since when every name server has served a key, once they have been asked again.
pub fn seen(before: Option<u64>, everywhere: bool, now: u64) -> Option<u64> {
    // What was seen under a clock that was ahead is seen now, or the gate stayed shut until then.
    everywhere.then(|| before.filter(|before| *before <= now).unwrap_or(now))
}

/// For how many seconds a resolver may still have what was before.
pub fn wait(key: &KeyState, zone: Zone) -> u64 {
    // A second more: caches count whole seconds, and so do we.
    u64::from(zone.negative_ttl.max(key.course.old_ttl)) + 1
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
