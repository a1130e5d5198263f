//! RRsets as zones store them and messages carry them.

use super::RecordType;

/// The records of one type at one name, borrowed from the zone that holds them.
#[derive(Debug, Clone, Copy)]
pub struct Rrset<'z> {
    /// Their type.
    pub rtype: RecordType,
    /// How many.
    pub count: u16,
    /// Each record from its type on: type, class, TTL, RDLENGTH, RDATA; the owner left off, names
    /// uncompressed.
    pub block: &'z [u8],
}

/// One record of an [`Rrset`].
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'z> {
    /// Type, class, TTL and RDLENGTH in wire form.
    pub fixed: &'z [u8; 10],
    /// The data.
    pub rdata: &'z [u8],
}

impl<'z> Rrset<'z> {
    /// The records, in canonical order of their data.
    pub fn records(self) -> impl Iterator<Item = RecordView<'z>> {
        let mut rest = self.block;
        std::iter::from_fn(move || {
            let (fixed, after) = rest.split_first_chunk::<10>()?;
            let (rdata, after) = after.split_at_checked(usize::from(u16::from_be_bytes([fixed[8], fixed[9]])))?;
            rest = after;
            Some(RecordView { fixed, rdata })
        })
    }

    /// The data of the first record; empty when there is none.
    pub fn first_rdata(self) -> &'z [u8] {
        self.records().next().map_or(&[], |record| record.rdata)
    }
}

impl RecordView<'_> {
    /// Time to live in seconds.
    pub fn ttl(&self) -> u32 {
        u32::from_be_bytes([self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]])
    }
}
