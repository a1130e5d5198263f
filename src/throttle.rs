//! Says when something that may happen a million times a second is worth a line in the log.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lets one event through per period and counts the others.
#[derive(Debug)]
pub(crate) struct Throttle {
    period: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl Throttle {
    pub(crate) const fn new(period: Duration) -> Self {
        Self {
            period,
            state: Mutex::new(State {
                last: None,
                held_back: 0,
            }),
        }
    }

    /// Something happened at `now`. `Some(n)`: tell it, and that it happened `n` times untold since the last time.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < self.period)
        {
            state.held_back += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_one_through_per_period_and_counts_the_rest() {
        let throttle = Throttle::new(Duration::from_secs(60));
        let start = Instant::now();
        assert_eq!(throttle.admit(start), Some(0));
        assert_eq!(throttle.admit(start + Duration::from_secs(1)), None);
        assert_eq!(throttle.admit(start + Duration::from_secs(59)), None);
        assert_eq!(throttle.admit(start + Duration::from_secs(60)), Some(2));
        assert_eq!(throttle.admit(start + Duration::from_secs(121)), Some(0));
    }
}
