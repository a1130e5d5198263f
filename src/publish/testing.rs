//! Zones for the tests of this module.

use super::Change;
use crate::compose::{Composed, Composition};
use crate::record::{Record, RecordType};
pub(super) use crate::testing::name;
use crate::testing::record;
use std::borrow::Cow;

pub(super) fn a(owner: &str, last: u8) -> Record {
    record(owner, RecordType::A, [192, 0, 2, last])
}

pub(super) fn mx(owner: &str, target: &str) -> Record {
    let mut rdata = vec![0, 10];
    rdata.extend_from_slice(name(target).as_wire());
    record(owner, RecordType::MX, &rdata)
}

/// SOA and NS.
pub(super) fn records(apex: &str, serial: u32) -> Vec<Record> {
    let mut soa = name("ns.example.net").as_wire().to_vec();
    soa.extend_from_slice(name("hostmaster.example.net").as_wire());
    for value in [serial, 7200, 3600, 1_209_600, 300] {
        soa.extend_from_slice(&value.to_be_bytes());
    }
    vec![
        record(apex, RecordType::SOA, &soa),
        record(apex, RecordType::NS, name("ns.example.net").as_wire()),
    ]
}

/// A version of a zone: `content` is the last octet of an address in it, and with `composed`
/// something is said to be composed.
pub(super) fn serve(apex: &str, serial: u32, content: u8, composed: bool) -> Change<'static> {
    let mut records = records(apex, serial);
    records.push(a(apex, content));
    let composed = composed.then(|| Composed {
        what: "SPF",
        owner: name(apex),
        rtype: RecordType::TXT,
        from: "policy [mail.spf] record".into(),
    });
    Change::Serve {
        apex: name(apex),
        composition: Composition {
            empty_names: vec![],
            records: records.into_iter().map(Cow::Owned).collect(),
            composed: composed.into_iter().collect(),
            findings: vec![],
        },
        soa: None,
    }
}

pub(super) fn remove(apex: &str) -> Change<'static> {
    Change::Remove { apex: name(apex) }
}

/// A zone of nothing but SOA and NS.
pub(super) fn zone(apex: &str, serial: u32) -> crate::zone::Zone {
    crate::zone::Zone::build(&name(apex), &records(apex, serial), &[])
        .unwrap()
        .0
}
