//! Resource records: types, and records with their data in wire form.
//!
//! A [`Record`] is of class IN and carries its RDATA as uncompressed wire bytes that fit its type.
//! The text forms of RDATA (RFC 1035 §5, RFC 3597 §5 and each type's own RFC) are in [`text`].

mod rrset;
pub mod text;
mod types;

use crate::name::Name;
use std::borrow::Cow;
use std::fmt;

pub use rrset::{RecordView, Rrset};
pub use types::{RecordType, UnknownType};

/// A resource record of class IN.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The name it stands at.
    pub owner: Name,
    /// Its type.
    pub rtype: RecordType,
    /// Time to live, in seconds, at most 2^31 - 1 (RFC 2181 §8).
    pub ttl: u32,
    /// The data in wire form, names uncompressed.
    pub rdata: Box<[u8]>,
}

impl Record {
    /// A TXT record (or one of the same form, such as SPF) of `text`, cut into character-strings
    /// of at most 255 octets (RFC 1035 §3.3.14). Empty text gives one empty string.
    pub fn text(owner: Name, rtype: RecordType, ttl: u32, text: &[u8]) -> Self {
        let mut rdata = Vec::with_capacity(text.len() + text.len() / 255 + 1);
        let mut rest = text;
        loop {
            let (string, after) = rest.split_at(rest.len().min(255));
            rdata.push(string.len() as u8);
            rdata.extend_from_slice(string);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        Self {
            owner,
            rtype,
            ttl,
            rdata: rdata.into_boxed_slice(),
        }
    }

    /// The character-strings of TXT-shaped data put together, as SPF, DKIM and DMARC read them
    /// (RFC 7208 §3.3, RFC 6376 §3.6.2.2). Stops at a string that is cut short.
    pub fn joined_text(&self) -> Cow<'_, [u8]> {
        if let Some((&len, string)) = self.rdata.split_first()
            && string.len() == usize::from(len)
        {
            return Cow::Borrowed(string);
        }
        let mut joined = Vec::with_capacity(self.rdata.len());
        let mut rest = &self.rdata[..];
        while let Some((&len, after)) = rest.split_first() {
            let Some(string) = after.get(..usize::from(len)) else {
                break;
            };
            joined.extend_from_slice(string);
            rest = &after[usize::from(len)..];
        }
        Cow::Owned(joined)
    }
}

impl fmt::Display for Record {
    /// One line of a master file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} IN {} {}",
            self.owner,
            self.ttl,
            self.rtype,
            text::Rdata(self.rtype, &self.rdata)
        )
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_255_octets_and_nothing_is_lost() {
        for len in [0usize, 1, 254, 255, 256, 510, 511, 900] {
            let text: Vec<u8> = (0..len).map(|i| b'a' + (i % 26) as u8).collect();
            let record = Record::text(Name::root(), RecordType::TXT, 60, &text);
            assert_eq!(record.joined_text(), text);
            assert_eq!(record.rdata.len(), len + len.div_ceil(255).max(1));
        }
    }
}
