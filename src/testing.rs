//! What the tests of many modules need: names, records, the smallest zone.

use crate::name::Name;
use crate::record::{Record, RecordType};
use crate::zone::Zone;
use std::sync::Arc;

pub(crate) fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

pub(crate) fn record(owner: &str, rtype: RecordType, rdata: impl AsRef<[u8]>) -> Record {
    Record {
        owner: name(owner),
        rtype,
        ttl: 3600,
        rdata: rdata.as_ref().into(),
    }
}

/// A SOA with this serial and small timers.
pub(crate) fn soa(apex: &str, serial: u32) -> Record {
    let numbers = [serial, 1, 1, 1, 1].map(u32::to_be_bytes);
    record(apex, RecordType::SOA, [&[0, 0][..], numbers.as_flattened()].concat())
}

pub(crate) fn ns(owner: &str, target: &str) -> Record {
    record(owner, RecordType::NS, name(target).as_wire())
}

/// A zone of SOA and NS.
pub(crate) fn zone(apex: &str, serial: u32) -> Arc<Zone> {
    let records = [soa(apex, serial), ns(apex, "ns.example.net")];
    Arc::new(Zone::build(&name(apex), &records, &[]).unwrap().0)
}
