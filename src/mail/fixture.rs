//! Records for tests, built from wire form.

use crate::name::Name;
use crate::record::{Record, RecordType};
pub(crate) use crate::testing::{name, ns, record};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) fn txt(owner: &str, text: &str) -> Record {
    Record::text(name(owner), RecordType::TXT, 3600, text.as_bytes())
}

pub(crate) fn type99(owner: &str, text: &str) -> Record {
    Record::text(name(owner), RecordType::SPF, 3600, text.as_bytes())
}

pub(crate) fn a(owner: &str, address: &str) -> Record {
    record(owner, RecordType::A, address.parse::<Ipv4Addr>().unwrap().octets())
}

pub(crate) fn aaaa(owner: &str, address: &str) -> Record {
    record(owner, RecordType::AAAA, address.parse::<Ipv6Addr>().unwrap().octets())
}

pub(crate) fn cname(owner: &str, target: &str) -> Record {
    record(owner, RecordType::CNAME, name(target).as_wire())
}

pub(crate) fn dname(owner: &str, target: &str) -> Record {
    record(owner, RecordType::DNAME, name(target).as_wire())
}

pub(crate) fn mx(owner: &str, preference: u16, host: &str) -> Record {
    let host = if host == "." { Name::root() } else { name(host) };
    let mut rdata = preference.to_be_bytes().to_vec();
    rdata.extend_from_slice(host.as_wire());
    record(owner, RecordType::MX, rdata)
}

pub(crate) fn soa(owner: &str) -> Record {
    let mut rdata = name("ns.example.net").as_wire().to_vec();
    rdata.extend_from_slice(name("hostmaster.example.net").as_wire());
    for number in [1u32, 7200, 3600, 1_209_600, 3600] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    record(owner, RecordType::SOA, rdata)
}

/// A record for snapshots: TXT as its joined text, other data in hexadecimal and as ASCII.
pub(crate) fn show(record: &Record) -> String {
    let data = match record.rtype {
        RecordType::TXT | RecordType::SPF => format!("{:?}", String::from_utf8_lossy(&record.joined_text())),
        _ => record.rdata.escape_ascii().to_string(),
    };
    format!("{} {} {data}", record.owner, record.rtype)
}
