//! Where names stand in a response, so that later ones can point there (RFC 1035 §4.1.4).
//!
//! Remembered are the places of the first few names and of all names above them. Places are found by length first and
//! then by comparing, without regard to case, with what stands in the message.

use super::HEADER_LEN;

/// The last offset that a compression pointer can name.
const MAX_POINTER: usize = 0x3fff;
/// How many places are remembered; later names are only found by these.
const PLACES: usize = 24;

/// The names that stand in a message so far.
pub(super) struct Names {
    places: [Place; PLACES],
    count: usize,
}

#[derive(Clone, Copy)]
struct Place {
    offset: u16,
    /// The length of the name in uncompressed wire form.
    len: u16,
}

impl Names {
    /// No names.
    pub(super) const NONE: Self = Self {
        places: [Place { offset: 0, len: 0 }; PLACES],
        count: 0,
    };

    /// How many are remembered.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Forgets all but the first `count`.
    pub(super) fn forget_from(&mut self, count: usize) {
        self.count = count;
    }

    /// Remembers the name in the question, which is followed by its type and class up to `question_end`.
    pub(super) fn remember_question(&mut self, message: &[u8], question_end: usize) {
        if let Some(name) = message.get(HEADER_LEN..question_end.saturating_sub(4)) {
            self.remember(name, name.len().saturating_sub(1), HEADER_LEN);
        }
    }

    /// Remembers those names at or above `wire` that begin before `end` in it; it stands at `start`.
    pub(super) fn remember(&mut self, wire: &[u8], end: usize, start: usize) {
        let mut at = 0;
        while at < end && start + at <= MAX_POINTER {
            let Some(place) = self.places.get_mut(self.count) else {
                return;
            };
            *place = Place {
                offset: (start + at) as u16,
                len: (wire.len() - at) as u16,
            };
            self.count += 1;
            at += 1 + usize::from(wire[at]);
        }
    }

    /// Where `name` stands.
    #[inline(always)]
    pub(super) fn find(&self, message: &[u8], name: &[u8]) -> Option<u16> {
        let known = self.places.get(..self.count).unwrap_or_default();
        known
            .iter()
            .find(|place| usize::from(place.len) == name.len() && stands_at(message, usize::from(place.offset), name))
            .map(|place| place.offset)
    }
}

/// Does `name` stand at `offset`?
#[inline(always)]
fn stands_at(message: &[u8], offset: usize, name: &[u8]) -> bool {
    // Most often it does, whole and in the same case. A name is not the front of another: it ends in a zero.
    message.get(offset..offset + name.len()) == Some(name) || leads_to(message, offset, name)
}

/// The same label by label, over pointers, which are our own and lead back.
#[inline(never)]
fn leads_to(message: &[u8], mut offset: usize, name: &[u8]) -> bool {
    let mut at = 0;
    while let (Some(&len), Some(&asked)) = (message.get(offset), name.get(at)) {
        if len >= 0xc0 {
            let low = message.get(offset + 1).copied().unwrap_or(0);
            offset = usize::from(len & 0x3f) << 8 | usize::from(low);
            continue;
        }
        if len == 0 || asked == 0 {
            return len == asked;
        }
        let end = 1 + usize::from(len);
        let (Some(here), Some(there)) = (message.get(offset..offset + end), name.get(at..at + end)) else {
            return false;
        };
        if !here.eq_ignore_ascii_case(there) {
            return false;
        }
        offset += end;
        at += end;
    }
    false
}
