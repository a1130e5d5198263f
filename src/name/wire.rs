//! Names as borrowed wire bytes, uncompressed: measured, compared, taken apart without allocating (RFC 1035 §3.1).
//!
//! Length octets are at most 63 and therefore never ASCII letters, so that whole names compare as bytes.

use super::{MAX_LABEL_LEN, MAX_NAME_LEN};
use std::cmp::Ordering;

/// The length of the uncompressed name at the front of `wire`, root label included; `None` when it
/// runs out, exceeds 255 octets or holds anything but plain labels.
pub fn wire_len(wire: &[u8]) -> Option<usize> {
    measure(wire).map(|(len, _)| len)
}

/// That length and how many labels, the root not counted.
#[inline]
pub fn measure(wire: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut labels) = (0, 0);
    loop {
        let len = usize::from(*wire.get(at)?);
        at += 1 + len;
        if len > MAX_LABEL_LEN || at > MAX_NAME_LEN {
            return None;
        }
        if len == 0 {
            return Some((at, labels));
        }
        labels += 1;
    }
}

/// The name without its leftmost label; `None` for the root or for nothing.
pub fn parent(wire: &[u8]) -> Option<&[u8]> {
    match wire.first() {
        None | Some(0) => None,
        Some(&len) => wire.get(1 + usize::from(len)..),
    }
}

/// The name without its `levels` leftmost labels, of which it has as many.
#[inline]
pub fn ancestor(wire: &[u8], levels: usize) -> &[u8] {
    let mut at = 0;
    for _ in 0..levels {
        at += wire.get(at).map_or(0, |&len| 1 + usize::from(len));
    }
    wire.get(at..).unwrap_or_default()
}

/// Are two names, or parts of names, the same octets? Eight at a time: they are short, and calling for help costs more.
#[inline]
pub fn same_octets(a: &[u8], b: &[u8]) -> bool {
    let (Some(a_last), Some(b_last)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else {
        return a == b;
    };
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    a.len() == b.len() && a_last == b_last && a_words.iter().zip(b_words).all(|(a, b)| a == b)
}

/// Is `wire` the name `ancestor` or below it? Both uncompressed, case ignored.
pub fn is_at_or_below(wire: &[u8], ancestor: &[u8]) -> bool {
    let Some(at) = wire.len().checked_sub(ancestor.len()) else {
        return false;
    };
    let mut start = 0;
    while start < at {
        start += 1 + usize::from(wire[start]);
    }
    start == at && wire[at..].eq_ignore_ascii_case(ancestor)
}

/// Canonical DNS name order (RFC 4034 §6.1): label by label from the right, case ignored.
pub fn canonical_cmp(a: &[u8], b: &[u8]) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (mut a_starts, mut b_starts) = ([0u8; 128], [0u8; 128]);
    let a_count = label_starts(a, &mut a_starts);
    let b_count = label_starts(b, &mut b_starts);
    for i in 1..=a_count.min(b_count) {
        let order = cmp_label(label_at(a, a_starts[a_count - i]), label_at(b, b_starts[b_count - i]));
        if order != Ordering::Equal {
            return order;
        }
    }
    a_count.cmp(&b_count)
}

fn label_starts(wire: &[u8], starts: &mut [u8; 128]) -> usize {
    let (mut at, mut count) = (0, 0);
    while let Some(&len) = wire.get(at) {
        if len == 0 || count == starts.len() {
            break;
        }
        starts[count] = at as u8;
        count += 1;
        at += 1 + usize::from(len);
    }
    count
}

fn label_at(wire: &[u8], start: u8) -> &[u8] {
    let start = usize::from(start);
    &wire[start + 1..start + 1 + usize::from(wire[start])]
}

fn cmp_label(a: &[u8], b: &[u8]) -> Ordering {
    a.iter()
        .map(u8::to_ascii_lowercase)
        .cmp(b.iter().map(u8::to_ascii_lowercase))
}
