//! Sockets: UDP in batches, TCP with limits, both feeding [`crate::answer`].
//!
//! Stub of the interface.

use crate::zone::ZoneSet;
use arc_swap::ArcSwap;
use std::sync::Arc;

/// The served zones, shared with every worker: loaded once per batch, swapped whole.
pub type SharedZones = Arc<ArcSwap<ZoneSet>>;
