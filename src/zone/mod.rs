//! Zones, immutable once built, and the set of zones that is served.
//!
//! Stub of the interface; the lookup of RFC 1034 §4.3.2 follows.

use crate::finding::Finding;
use crate::name::Name;
use crate::record::Record;
use std::sync::Arc;

/// A finished zone. It never changes: a new version is a new `Zone`.
#[derive(Debug)]
pub struct Zone {
    apex: Name,
    serial: u32,
}

/// Why records make no zone.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ZoneError(pub Finding);

impl Zone {
    /// Builds a zone from its records, in any order. Findings tell of records that were left out
    /// or mended (out of zone, a CNAME beside other data, differing TTLs in an RRset).
    pub fn build(apex: &Name, _records: Vec<Record>) -> Result<(Self, Vec<Finding>), ZoneError> {
        Ok((
            Self {
                apex: apex.clone(),
                serial: 0,
            },
            vec![],
        ))
    }

    /// The apex, lower case.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The serial of the SOA.
    pub fn serial(&self) -> u32 {
        self.serial
    }
}

/// All zones served at one moment. Immutable; a change makes a new set that shares what stayed.
#[derive(Debug, Clone, Default)]
pub struct ZoneSet {}

impl ZoneSet {
    /// The set with these changes: a zone put in or replaced, or (`None`) taken out.
    #[must_use]
    pub fn with(&self, _changes: &[(Name, Option<Arc<Zone>>)]) -> Self {
        self.clone()
    }

    /// The zone with exactly this apex.
    pub fn get(&self, _apex: &Name) -> Option<&Arc<Zone>> {
        None
    }

    /// The zone that `name` belongs to: the one with the longest apex at or above it.
    pub fn closest_enclosing(&self, _name: &Name) -> Option<&Arc<Zone>> {
        None
    }

    /// How many zones.
    pub fn len(&self) -> usize {
        0
    }

    /// Is nothing served?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
