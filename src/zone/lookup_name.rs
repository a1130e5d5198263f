//! A name made ready to be looked up: lowered, with the hash of every suffix.
//!
//! One pass over a query name serves all of its lookups: the zone with the longest matching apex,
//! the node itself, and on a miss each ancestor up to the closest encloser (RFC 4592 §3.3.1). The
//! hash of a suffix is built from the root leftwards, so that the hash of a name and those of its
//! ancestors come out of one walk. Lives on the stack; nothing is allocated.

use crate::name::{MAX_LABEL_LEN, MAX_NAME_LEN};

/// The most labels a name can have, the root not counted: 127 labels of one octet.
const MAX_LABELS: usize = 127;
/// Room for eight octets to be read at any label start.
const PADDED: usize = MAX_NAME_LEN + 9;

/// A lowered name with its suffix hashes.
#[derive(Clone)]
pub struct LookupName {
    lower: [u8; PADDED],
    len: usize,
    count: usize,
    starts: [u8; MAX_LABELS + 1],
    hashes: [u64; MAX_LABELS + 1],
}

impl LookupName {
    /// Makes `wire`, an uncompressed name in any case, ready. `None` when it is no such name.
    pub fn new(wire: &[u8]) -> Option<Self> {
        let mut name = Self::empty();
        name.read(wire).then_some(name)
    }

    /// Room for a name, to be read into.
    pub fn empty() -> Self {
        Self {
            lower: [0; PADDED],
            len: 0,
            count: 0,
            starts: [0; MAX_LABELS + 1],
            hashes: [0; MAX_LABELS + 1],
        }
    }

    /// Makes `wire` ready in this, which must be empty: where the name is to stay, for it is large to be moved.
    /// False when it is no name.
    pub fn read(&mut self, wire: &[u8]) -> bool {
        let Some(len) = self.find_labels(wire) else {
            return false;
        };
        self.len = len;
        self.lower[..len].copy_from_slice(&wire[..len]);
        self.lower[..len].make_ascii_lowercase();
        self.hash_suffixes();
        true
    }

    /// Where each label starts; returns the length of the name, as [`crate::name::wire_len`] does.
    fn find_labels(&mut self, wire: &[u8]) -> Option<usize> {
        let (mut at, mut count) = (0, 0);
        loop {
            let len = *wire.get(at)?;
            *self.starts.get_mut(count)? = at as u8;
            at += 1 + usize::from(len);
            if usize::from(len) > MAX_LABEL_LEN || at > MAX_NAME_LEN {
                return None;
            }
            if len == 0 {
                self.count = count;
                return Some(at);
            }
            count += 1;
        }
    }

    fn hash_suffixes(&mut self) {
        let mut hash = ROOT_HASH;
        self.hashes[0] = hash;
        for label in 1..=self.count {
            let start = usize::from(self.starts[self.count - label]);
            hash = hash_label(hash, &self.lower[start..]);
            self.hashes[label] = hash;
        }
    }

    /// The lowered wire form.
    pub fn as_wire(&self) -> &[u8] {
        &self.lower[..self.len]
    }

    /// How many labels, the root not counted.
    pub fn label_count(&self) -> usize {
        self.count
    }

    /// The suffix of the last `labels` labels; the whole name when there are not that many.
    pub fn suffix(&self, labels: usize) -> &[u8] {
        let start = self.starts[self.count.saturating_sub(labels)];
        &self.lower[usize::from(start)..self.len]
    }

    /// The hash of that suffix.
    pub fn suffix_hash(&self, labels: usize) -> u64 {
        self.hashes[labels.min(self.count)]
    }
}

/// The hash of a lowered wire name, as [`LookupName`] computes it for a suffix.
pub(super) fn hash_name(lower: &[u8]) -> u64 {
    LookupName::new(lower).map_or(ROOT_HASH, |name| name.suffix_hash(name.label_count()))
}

const ROOT_HASH: u64 = 0x243f_6a88_85a3_08d3;

/// Extends the hash of a name by the label in front of it: its length octet and its octets, eight
/// at a time. `from` starts at the length octet and has at least eight octets behind the label.
fn hash_label(mut hash: u64, from: &[u8]) -> u64 {
    let mut left = 1 + usize::from(from[0]);
    let mut at = 0;
    while left > 0 {
        let Some(word) = from
            .get(at..at + 8)
            .and_then(|octets| octets.try_into().ok())
            .map(u64::from_le_bytes)
        else {
            break;
        };
        let taken = left.min(8);
        hash = mix(hash, word & (u64::MAX >> (64 - 8 * taken)));
        at += taken;
        left -= taken;
    }
    hash
}

/// Multiplies to 128 bits and folds: each bit of the input moves the whole result.
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    (product as u64) ^ ((product >> 64) as u64) ^ hash.rotate_left(23)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn ready(text: &str) -> LookupName {
        LookupName::new(Name::from_text(text).unwrap().as_wire()).unwrap()
    }

    #[test]
    fn suffixes_hash_like_the_names_they_are() {
        let name = ready("Mail._domainKEY.example.org");
        assert_eq!(name.label_count(), 4);
        for (labels, suffix) in [(0, "."), (1, "org"), (2, "example.org"), (3, "_domainkey.example.org")] {
            let wire = Name::from_text(suffix).unwrap();
            assert_eq!(name.suffix(labels), wire.as_wire());
            assert_eq!(name.suffix_hash(labels), hash_name(wire.as_wire()));
        }
        assert_eq!(name.suffix(4), name.as_wire());
    }

    #[test]
    fn label_borders_matter_to_the_hash() {
        let hashes: std::collections::HashSet<u64> = ["ab.c", "a.bc", "abc", "a.b.c", "cab", "c.ab"]
            .iter()
            .map(|text| ready(text).suffix_hash(99))
            .collect();
        assert_eq!(hashes.len(), 6);
    }

    #[test]
    fn many_names_hash_apart() {
        let hashes: std::collections::HashSet<u32> = (0..20_000)
            .map(|i| (ready(&format!("host{i}.example.org")).suffix_hash(9) >> 32) as u32)
            .collect();
        assert!(hashes.len() > 19_990, "{}", hashes.len());
    }

    #[test]
    fn takes_the_longest_names() {
        let most_labels: Vec<u8> = [1, b'A'].repeat(127).into_iter().chain([0]).collect();
        let name = LookupName::new(&most_labels).unwrap();
        assert_eq!((name.label_count(), name.as_wire().len()), (127, 255));
        let long_labels: Vec<u8> = [[63].as_slice(), &[b'x'; 63]]
            .concat()
            .repeat(3)
            .into_iter()
            .chain([61])
            .chain([b'y'; 61])
            .chain([0])
            .collect();
        assert_eq!(LookupName::new(&long_labels).unwrap().suffix(4), long_labels);
        assert!(LookupName::new(&[3, b'a']).is_none());
        assert!(LookupName::new(&[0xc0, 12]).is_none());
    }
}
