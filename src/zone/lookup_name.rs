//! A name made ready to be looked up: lowered, with its labels found and its hash.
//!
//! One walk over a query name and one pass that lowers it serve all of its lookups: the zone with the longest
//! matching apex, the node itself, and on a miss the closest encloser (RFC 4592 §3.3.1). The suffixes of a name are
//! hashed when they are asked for: of a name that exists, the apex of its zone and the name itself. Lives on the
//! stack; nothing is allocated.

use crate::name::{MAX_NAME_LEN, ancestor, measure};

/// Octets that are lowered at once.
const CHUNK: usize = 16;
/// Room for the longest name, in whole chunks.
const PADDED: usize = (MAX_NAME_LEN + 1).next_multiple_of(CHUNK);

/// A lowered name with its hash.
#[derive(Clone)]
pub struct LookupName {
    /// What is behind `len` means nothing.
    lower: [u8; PADDED],
    len: usize,
    labels: usize,
    hash: u64,
}

impl LookupName {
    /// Makes the name that `wire` begins with, uncompressed and in any case, ready. `None` when there is none.
    pub fn new(wire: &[u8]) -> Option<Self> {
        let (len, labels) = measure(wire)?;
        let mut name = Self::empty();
        name.read(wire, len, labels);
        Some(name)
    }

    /// Room for a name, to be read into.
    #[inline]
    pub fn empty() -> Self {
        Self {
            lower: [0; PADDED],
            len: 0,
            labels: 0,
            hash: 0,
        }
    }

    /// Makes the name that `wire` begins with ready in this, where it is to stay, for it is large to be moved.
    /// `len` and `labels` are what [`measure`] told of it. Faster when `wire` goes on behind the name.
    #[inline(always)]
    pub fn read(&mut self, wire: &[u8], len: usize, labels: usize) {
        self.len = len.min(MAX_NAME_LEN);
        self.labels = labels;
        self.lower_from(wire);
        self.hash = hash_name(self.as_wire());
    }

    /// Lowers in chunks, whatever stands in the message behind the name; the last chunk of a short message overlaps.
    #[inline(always)]
    fn lower_from(&mut self, wire: &[u8]) {
        let Some(last) = wire.len().checked_sub(CHUNK) else {
            self.lower[..wire.len()].copy_from_slice(wire);
            self.lower[..wire.len()].make_ascii_lowercase();
            return;
        };
        for at in (0..self.len).step_by(CHUNK) {
            let from = at.min(last);
            if let (Some(place), Some(chunk)) = (
                self.lower[from..].first_chunk_mut::<CHUNK>(),
                wire[from..].first_chunk::<CHUNK>(),
            ) {
                *place = chunk.map(|octet| octet.to_ascii_lowercase());
            }
        }
    }

    /// The lowered wire form.
    #[inline]
    pub fn as_wire(&self) -> &[u8] {
        &self.lower[..self.len]
    }

    /// How many labels, the root not counted.
    #[inline]
    pub fn label_count(&self) -> usize {
        self.labels
    }

    /// The suffix of the last `labels` labels; the whole name when there are not that many.
    #[inline]
    pub fn suffix(&self, labels: usize) -> &[u8] {
        ancestor(self.as_wire(), self.labels.saturating_sub(labels))
    }

    /// The hash of the whole name.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// The hash of a lowered wire name: sixteen octets at a time, the last sixteen once more for what is left.
#[inline]
pub(super) fn hash_name(lower: &[u8]) -> u64 {
    let seed = 0x243f_6a88_85a3_08d3 ^ lower.len() as u64;
    let Some(last) = lower.last_chunk::<16>() else {
        return hash_short(seed, lower);
    };
    let mut hash = seed;
    let (chunks, _) = lower[..lower.len() - 1].as_chunks::<16>();
    for chunk in chunks {
        hash = mix(hash, u128::from_le_bytes(*chunk));
    }
    mix(hash, u128::from_le_bytes(*last))
}

/// The same for fewer than sixteen octets: the first and the last of them, which may overlap.
#[inline]
fn hash_short(seed: u64, lower: &[u8]) -> u64 {
    let word = match (lower.first_chunk::<8>(), lower.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << 64
        }
        _ => lower.iter().fold(0, |word, &octet| word << 8 | u128::from(octet)),
    };
    mix(seed, word)
}

/// Multiplies to 128 bits and folds: each bit of the input moves the whole result.
#[inline]
fn mix(hash: u64, word: u128) -> u64 {
    let (low, high) = (word as u64, (word >> 64) as u64);
    let product = u128::from(hash ^ low) * u128::from(0x9e37_79b9_7f4a_7c15 ^ high);
    (product as u64) ^ ((product >> 64) as u64) ^ hash.rotate_left(23)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use proptest::prelude::*;

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
            assert_eq!(hash_name(name.suffix(labels)), ready(suffix).hash());
        }
        assert_eq!(name.suffix(4), name.as_wire());
    }

    proptest! {
        #[test]
        fn reads_the_name_and_nothing_of_what_follows(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..12),
            behind in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut wire: Vec<u8> = labels.iter().flat_map(|label| [&[label.len() as u8][..], label].concat()).collect();
            wire.push(0);
            let alone = LookupName::new(&wire).unwrap();
            prop_assert_eq!(alone.as_wire(), &wire.to_ascii_lowercase()[..]);
            prop_assert_eq!(alone.label_count(), labels.len());
            let followed = LookupName::new(&[&wire[..], &behind].concat()).unwrap();
            prop_assert_eq!((followed.as_wire(), followed.hash()), (alone.as_wire(), alone.hash()));
        }
    }

    #[test]
    fn label_borders_matter_to_the_hash() {
        let hashes: std::collections::HashSet<u64> = ["ab.c", "a.bc", "abc", "a.b.c", "cab", "c.ab"]
            .iter()
            .map(|text| ready(text).hash())
            .collect();
        assert_eq!(hashes.len(), 6);
    }

    #[test]
    fn many_names_hash_apart() {
        let hashes: std::collections::HashSet<u32> = (0..20_000)
            .map(|i| (ready(&format!("host{i}.example.org")).hash() >> 32) as u32)
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
