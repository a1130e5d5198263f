//! The time of day, read once for many queries, and only if one of them needs it.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time of one round.
#[derive(Debug, Default)]
pub(super) struct Clock(Cell<Option<u32>>);

impl Clock {
    /// Seconds since 1970, modulo 2³²: the same each time.
    pub(super) fn seconds(&self) -> u32 {
        self.0.get().unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            // Modulo is meant: RFC 9018 compares by RFC 1982.
            let seconds = since.as_secs() as u32;
            self.0.set(Some(seconds));
            seconds
        })
    }
}
