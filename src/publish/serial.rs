//! Serial numbers of zones and their arithmetic (RFC 1982).
//!
//! A serial counts modulo 2^32, so "newer" is a direction on a circle: of two serials the newer is
//! the one that is reached from the other by adding at most 2^31 - 1. At a distance of exactly
//! 2^31 RFC 1982 §3.2 leaves the answer undefined; here neither is newer then, so that nothing is
//! ever decided by it. Zero is a serial like any other (§2).

use std::cmp::Ordering;
use std::fmt;

/// The serial of a zone (RFC 1035 §3.3.13). Not `Ord`: the order of RFC 1982 is not total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Serial(pub u32);

impl Serial {
    /// Which is newer (`Greater`: `self`); `None` at the undefined distance of 2^31 (RFC 1982 §3.2).
    pub fn compare(self, other: Self) -> Option<Ordering> {
        const HALF: u32 = 1 << 31;
        match self.0.wrapping_sub(other.0) {
            0 => Some(Ordering::Equal),
            HALF => None,
            ahead if ahead < HALF => Some(Ordering::Greater),
            _ => Some(Ordering::Less),
        }
    }

    /// Is this serial newer, so that a secondary holding `other` would fetch it? At the undefined
    /// distance it is not.
    pub fn is_newer_than(self, other: Self) -> bool {
        self.compare(other) == Some(Ordering::Greater)
    }

    /// The serial after this one (RFC 1982 §3.1).
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn compares_as_rfc_1982_section_5_2_shows() {
        // The 8-bit examples of RFC 1982 §5.2, moved to 32 bits.
        let at = |n: u8| Serial(u32::from(n) << 24);
        for (newer, older) in [
            (1, 0),
            (44, 0),
            (100, 0),
            (100, 44),
            (200, 100),
            (255, 200),
            (0, 255),
            (100, 255),
        ] {
            assert!(at(newer).is_newer_than(at(older)), "{newer} {older}");
            assert!(!at(older).is_newer_than(at(newer)), "{older} {newer}");
        }
        assert!(Serial(0).is_newer_than(Serial(u32::MAX)));
    }

    #[test]
    fn neither_is_newer_at_the_undefined_distance() {
        for serial in [0, 1, 1 << 31, u32::MAX, 2026111901] {
            let (a, b) = (Serial(serial), Serial(serial.wrapping_add(1 << 31)));
            assert_eq!(a.compare(b), None);
            assert!(!a.is_newer_than(b) && !b.is_newer_than(a));
        }
    }

    proptest! {
        #[test]
        fn the_next_is_always_newer(serial: u32) {
            prop_assert!(Serial(serial).next().is_newer_than(Serial(serial)));
        }

        #[test]
        fn comparing_the_other_way_round_gives_the_opposite(a: u32, b: u32) {
            prop_assert_eq!(Serial(a).compare(Serial(b)), Serial(b).compare(Serial(a)).map(Ordering::reverse));
        }
    }
}
