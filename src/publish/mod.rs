//! From compositions to the zones that are served: serials, the life of keys, the state store and
//! the swap.
//!
//! [`Publisher`] is the whole of it for a caller: turn the keys of a signing domain, compose, then
//! publish a batch of zones. Behind it are pure parts, [`serial`] (RFC 1982), the rules of which
//! serial a zone gets ([`ZoneState`]) and [`life`] (RFC 6376 §3.6.1), and one that does I/O,
//! [`store`]. Time is always an argument, in seconds since 1970.
//!
//! What is promised: a zone into which nothing is composed keeps its file's serial; once something
//! is, the serial moves exactly when the content does and never backwards, through restarts and
//! kill -9; a key whose file vanishes keeps its record for a grace period; nothing is served that
//! is not stored; a broken version never takes a zone down. What is refused: a second Signpost on
//! the same state directory, and a damaged state in place of which serials would start again.

mod content;
pub mod life;
mod lives;
mod publisher;
mod rules;
pub mod serial;
pub mod store;

pub use content::ContentHash;
pub use life::{Course, KeyState, Periods, Sight, Stage, Turn};
pub use publisher::{Change, Fate, Outcome, Prepared, Published, Publisher, RETRY_SECS, judge_serial};
pub use rules::ZoneState;
pub use serial::Serial;
pub use store::{Journal, Store, StoreError, Stored, ZoneStates};

use crate::zone::ZoneSet;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// The served zones, shared with every worker: loaded once per batch of queries, swapped whole.
pub type SharedZones = Arc<ArcSwap<ZoneSet>>;

#[cfg(test)]
mod testing;
