//! The set of zones that is served.
//!
//! Immutable and shared: a change makes a new set in which everything that stayed is the old one's,
//! so a change among a million zones copies a few hundred pointers. Zones hang in a tree of two
//! levels of branches chosen by bits of the apex's hash, with short leaves; the fan-out is chosen
//! by the number of zones, and the tree is built anew when the number outgrows it.

use super::lookup_name::hash_name;
use super::{LookupName, Zone};
use crate::name::{Name, ancestor, same_octets};
use std::collections::HashMap;
use std::sync::Arc;

/// How many zones a leaf holds on average when the tree is built.
const PER_LEAF: usize = 8;
/// The most bits of the hash that one level consumes.
const MAX_BITS: u32 = 10;

/// All zones served at one moment.
#[derive(Clone)]
pub struct ZoneSet {
    branches: Arc<[Branch]>,
    /// Bits of the hash that choose a branch, and as many that choose a leaf in it.
    bits: u32,
    len: usize,
    /// The numbers of labels that apexes have, the greatest first: which suffixes of a name are worth a look.
    depths: Vec<u8>,
    /// Zones are missing that are still being read.
    loading: bool,
}

type Branch = Arc<[Leaf]>;
type Leaf = Arc<[Slot]>;

#[derive(Clone)]
struct Slot {
    hash: u64,
    zone: Arc<Zone>,
}

impl Default for ZoneSet {
    fn default() -> Self {
        Self::from_slots(Vec::new())
    }
}

impl ZoneSet {
    /// The set of a server that has just started: empty, and not to be taken for all there is.
    pub fn loading() -> Self {
        Self {
            loading: true,
            ..Self::default()
        }
    }

    /// Are zones still being read that are not in the set? Then a name outside of it may well be ours.
    pub fn is_loading(&self) -> bool {
        self.loading
    }

    /// The same set once everything has been read, its tree as wide as its number of zones asks for.
    #[must_use]
    pub fn loaded(&self) -> Self {
        Self::from_slots(self.slots().cloned().collect())
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.branches
            .iter()
            .flat_map(|branch| branch.iter())
            .flat_map(|leaf| leaf.iter())
    }

    /// The set with these changes: a zone put in or replaced, or (`None`) taken out.
    #[must_use]
    pub fn with(&self, changes: &[(Name, Option<Arc<Zone>>)]) -> Self {
        if self.len + changes.len() > self.capacity() {
            return self.rebuilt_with(changes);
        }
        let mut by_leaf: Vec<(u64, usize)> = changes
            .iter()
            .enumerate()
            .map(|(number, (apex, _))| (hash_of(apex), number))
            .collect();
        by_leaf.sort_by_key(|&(hash, number)| (self.leaf_of(hash), number));
        let mut next = self.clone();
        let mut branches = self.branches.to_vec();
        for in_leaf in by_leaf.chunk_by(|a, b| self.leaf_of(a.0) == self.leaf_of(b.0)) {
            let (branch, leaf) = self.leaf_of(in_leaf[0].0);
            let mut slots = branches[branch][leaf].to_vec();
            for &(hash, number) in in_leaf {
                let (apex, zone) = &changes[number];
                next.change_leaf(&mut slots, hash, apex, zone.as_ref());
            }
            Arc::make_mut(&mut branches[branch])[leaf] = slots.into();
        }
        next.branches = branches.into();
        next
    }

    fn change_leaf(&mut self, slots: &mut Vec<Slot>, hash: u64, apex: &Name, zone: Option<&Arc<Zone>>) {
        let before = slots.len();
        slots.retain(|slot| slot.zone.apex() != apex);
        self.len -= before - slots.len();
        if let Some(zone) = zone {
            slots.push(Slot {
                hash,
                zone: Arc::clone(zone),
            });
            self.len += 1;
            self.has_depth(apex.label_count());
        }
    }

    fn has_depth(&mut self, labels: usize) {
        // A name has at most 127 labels.
        let labels = labels as u8;
        if let Err(place) = self.depths.binary_search_by(|depth| labels.cmp(depth)) {
            self.depths.insert(place, labels);
        }
    }

    fn rebuilt_with(&self, changes: &[(Name, Option<Arc<Zone>>)]) -> Self {
        // Of two changes of one zone the later counts.
        let changed: HashMap<&Name, Option<&Arc<Zone>>> =
            changes.iter().map(|(apex, zone)| (apex, zone.as_ref())).collect();
        let kept = self.slots().filter(|slot| !changed.contains_key(slot.zone.apex()));
        let new = changed.values().flatten().map(|zone| Slot {
            hash: hash_of(zone.apex()),
            zone: Arc::clone(zone),
        });
        let slots = kept.cloned().chain(new);
        Self {
            loading: self.loading,
            ..Self::from_slots(slots.collect())
        }
    }

    fn from_slots(mut slots: Vec<Slot>) -> Self {
        let leaves = (slots.len() / PER_LEAF).next_power_of_two();
        let mut set = Self {
            branches: Arc::new([]),
            bits: leaves.trailing_zeros().div_ceil(2).min(MAX_BITS),
            len: slots.len(),
            depths: Vec::new(),
            loading: false,
        };
        for slot in &slots {
            set.has_depth(slot.zone.apex().label_count());
        }
        slots.sort_by_key(|slot| set.leaf_of(slot.hash));
        let mut slots = slots.into_iter().peekable();
        let fan_out = 1usize << set.bits;
        set.branches = (0..fan_out)
            .map(|branch| {
                (0..fan_out)
                    .map(|leaf| {
                        std::iter::from_fn(|| slots.next_if(|slot| set.leaf_of(slot.hash) == (branch, leaf))).collect()
                    })
                    .collect()
            })
            .collect();
        set
    }

    /// With more zones than this the leaves have grown too long.
    fn capacity(&self) -> usize {
        if self.bits == MAX_BITS {
            usize::MAX
        } else {
            (PER_LEAF * 4) << (2 * self.bits)
        }
    }

    fn leaf_of(&self, hash: u64) -> (usize, usize) {
        let mask = (1usize << self.bits) - 1;
        ((hash >> 48) as usize & mask, (hash >> 32) as usize & mask)
    }

    /// The zone with exactly this apex.
    pub fn get(&self, apex: &Name) -> Option<&Arc<Zone>> {
        let name = LookupName::new(apex.as_wire())?;
        self.find(name.as_wire())
    }

    /// The zone with the longest apex at or above `name` (RFC 1034 §4.3.2 step 2).
    #[inline]
    pub fn closest_enclosing(&self, name: &LookupName) -> Option<&Arc<Zone>> {
        self.closest_enclosing_suffix(name, name.label_count())
    }

    /// The zone with the longest apex at or above the last `labels` labels of `name`.
    #[inline(always)]
    pub fn closest_enclosing_suffix(&self, name: &LookupName, labels: usize) -> Option<&Arc<Zone>> {
        let mut left = labels.min(name.label_count());
        let mut suffix = name.suffix(left);
        for depth in self.depths.iter().map(|&depth| usize::from(depth)) {
            if let Some(above) = left.checked_sub(depth) {
                suffix = ancestor(suffix, above);
                left = depth;
                if let Some(zone) = self.find(suffix) {
                    return Some(zone);
                }
            }
        }
        None
    }

    /// The zone whose apex is `wire`, in lower case.
    #[inline(always)]
    fn find(&self, wire: &[u8]) -> Option<&Arc<Zone>> {
        let hash = hash_name(wire);
        let (branch, leaf) = self.leaf_of(hash);
        let slots = &self.branches[branch][leaf];
        slots
            .iter()
            .find(|slot| slot.hash == hash && same_octets(slot.zone.apex().as_wire(), wire))
            .map(|slot| &slot.zone)
    }

    /// Every zone, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.slots().map(|slot| &slot.zone)
    }

    /// How many zones.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is nothing served?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

fn hash_of(apex: &Name) -> u64 {
    LookupName::new(apex.as_wire()).map_or(0, |name| name.hash())
}

impl std::fmt::Debug for ZoneSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ZoneSet({} zones)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::zone_at;
    use super::*;
    use crate::testing::name;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn lookup(text: &str) -> LookupName {
        LookupName::new(name(text).as_wire()).unwrap()
    }

    #[test]
    fn the_longest_apex_wins() {
        let zones = ["example.org", "sub.example.org", "."];
        let set = ZoneSet::default().with(&zones.map(|apex| (name(apex), Some(zone_at(apex, 1)))));
        let apex_for = |asked: &str| {
            set.closest_enclosing(&lookup(asked))
                .map(|zone| zone.apex().to_string())
        };
        assert_eq!(apex_for("a.b.SUB.example.org").as_deref(), Some("sub.example.org."));
        assert_eq!(apex_for("sub.example.org").as_deref(), Some("sub.example.org."));
        assert_eq!(apex_for("a.example.org").as_deref(), Some("example.org."));
        assert_eq!(apex_for("org").as_deref(), Some("."));
        assert_eq!(apex_for(".").as_deref(), Some("."));
        let set = set.with(&[(name("."), None)]);
        assert!(set.closest_enclosing(&lookup("org")).is_none());
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn an_old_set_is_untouched_by_a_change() {
        let old = ZoneSet::default().with(&[(name("a.test"), Some(zone_at("a.test", 1)))]);
        let new = old.with(&[
            (name("a.test"), Some(zone_at("a.test", 2))),
            (name("b.test"), Some(zone_at("b.test", 1))),
        ]);
        assert_eq!(old.get(&name("A.test")).unwrap().serial(), 1);
        assert!(old.get(&name("b.test")).is_none());
        assert_eq!(new.get(&name("a.test")).unwrap().serial(), 2);
        assert_eq!((old.len(), new.len()), (1, 2));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0usize..600, any::<bool>(), 1u32..5), 0..900)) {
            let mut set = ZoneSet::default();
            let mut map = BTreeMap::new();
            for batch in steps.chunks(37) {
                let mut changes = Vec::new();
                for &(number, put, serial) in batch {
                    let apex = format!("z{number}.test");
                    changes.push((name(&apex), put.then(|| zone_at(&apex, serial))));
                    if put { map.insert(apex, serial); } else { map.remove(&apex); }
                }
                set = set.with(&changes);
            }
            prop_assert_eq!(set.len(), map.len());
            prop_assert_eq!(set.iter().count(), map.len());
            for number in 0..600 {
                let apex = format!("z{number}.test");
                prop_assert_eq!(set.get(&name(&apex)).map(|zone| zone.serial()), map.get(&apex).copied());
            }
        }
    }
}
