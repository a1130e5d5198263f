//! What a zone finds, and what makes no zone.

use super::*;
use crate::testing::{name, record};
use std::sync::Arc;

fn target(owner: &str, rtype: RecordType, target: &str) -> Record {
    record(owner, rtype, name(target).as_wire())
}

fn soa(apex: &str, serial: u32) -> Record {
    let mut rdata = name("ns.example.").as_wire().to_vec();
    rdata.extend_from_slice(name("hostmaster.example.").as_wire());
    for value in [serial, 7200, 3600, 1_209_600, 300] {
        rdata.extend_from_slice(&value.to_be_bytes());
    }
    record(apex, RecordType::SOA, &rdata)
}

fn apex_records(apex: &str) -> Vec<Record> {
    vec![soa(apex, 1), target(apex, RecordType::NS, "ns.example.")]
}

/// A zone of nothing but SOA and NS.
pub(super) fn zone_at(apex: &str, serial: u32) -> Arc<Zone> {
    let records = vec![soa(apex, serial), target(apex, RecordType::NS, "ns.example.")];
    Arc::new(Zone::build(&name(apex), &records, &[]).unwrap().0)
}

fn example(more: Vec<Record>) -> Zone {
    let mut records = apex_records("example.org");
    records.extend(more);
    Zone::build(&name("example.org"), &records, &[]).unwrap().0
}

fn found(zone: &Zone, asked: &str) -> String {
    let lookup = LookupName::new(name(asked).as_wire()).unwrap();
    format!("{:?}", zone.lookup(&lookup))
}

#[test]
fn finds_names_empty_non_terminals_and_nothing() {
    let zone = example(vec![record("a.b.c.example.org", RecordType::A, [192, 0, 2, 1])]);
    assert_eq!(found(&zone, "A.b.C.example.org"), "Name(a.b.c.example.org.)");
    assert_eq!(found(&zone, "b.c.example.org"), "Name(b.c.example.org.)");
    assert_eq!(found(&zone, "c.example.org"), "Name(c.example.org.)");
    assert_eq!(found(&zone, "example.org"), "Name(example.org.)");
    assert_eq!(found(&zone, "d.example.org"), "Nothing");
    assert_eq!(found(&zone, "x.a.b.c.example.org"), "Nothing");
    assert_eq!(zone.nodes().count(), 4);
}

#[test]
fn wildcards_cover_as_in_rfc_4592_section_2_2_1() {
    let zone = example(vec![
        record("*.example.org", RecordType::TXT, b"\x01w"),
        record("sub.*.example.org", RecordType::TXT, b"\x01s"),
        record("host1.example.org", RecordType::A, [192, 0, 2, 1]),
        record("_ssh._tcp.host1.example.org", RecordType::TXT, b"\x01t"),
    ]);
    for (asked, expected) in [
        ("host3.example.org", "Wildcard(*.example.org.)"),
        ("foo.bar.example.org", "Wildcard(*.example.org.)"),
        ("host1.example.org", "Name(host1.example.org.)"),
        ("sub.*.example.org", "Name(sub.*.example.org.)"),
        ("_telnet._tcp.host1.example.org", "Nothing"),
        ("ghost.*.example.org", "Nothing"),
        ("*.example.org", "Name(*.example.org.)"),
    ] {
        assert_eq!(found(&zone, asked), expected, "{asked}");
    }
}

#[test]
fn cuts_and_dnames_hide_what_is_below() {
    let zone = example(vec![
        target("sub.example.org", RecordType::NS, "ns.sub.example.org"),
        record("ns.sub.example.org", RecordType::A, [192, 0, 2, 1]),
        target("deeper.sub.example.org", RecordType::NS, "ns.sub.example.org"),
        target("moved.example.org", RecordType::DNAME, "example.net"),
        record("old.moved.example.org", RecordType::A, [192, 0, 2, 1]),
    ]);
    for (asked, expected) in [
        ("sub.example.org", "Cut(sub.example.org.)"),
        ("ns.sub.example.org", "Cut(sub.example.org.)"),
        ("x.deeper.sub.example.org", "Cut(sub.example.org.)"),
        ("moved.example.org", "Name(moved.example.org.)"),
        ("old.moved.example.org", "Dname(moved.example.org.)"),
        ("x.old.moved.example.org", "Dname(moved.example.org.)"),
        ("new.moved.example.org", "Dname(moved.example.org.)"),
    ] {
        assert_eq!(found(&zone, asked), expected, "{asked}");
    }
}

#[test]
fn empty_names_exist_and_stop_the_wildcard() {
    let mut records = apex_records("example.org");
    records.push(record("*.example.org", RecordType::TXT, b"\x01w"));
    let (zone, _) = Zone::build(&name("example.org"), &records, &[name("_domainkey.example.org")]).unwrap();
    assert_eq!(found(&zone, "_domainkey.example.org"), "Name(_domainkey.example.org.)");
    assert_eq!(found(&zone, "x._domainkey.example.org"), "Nothing");
    assert_eq!(zone.record_count(), 3);
}

#[test]
fn refuses_what_is_no_zone() {
    let build = |records: Vec<Record>| Zone::build(&name("example.org"), &records, &[]).unwrap_err().0.code;
    let with = |more: Vec<Record>| apex_records("example.org").into_iter().chain(more).collect::<Vec<_>>();
    assert_eq!(build(vec![]), "zone-no-soa");
    assert_eq!(
        build(vec![target("example.org", RecordType::NS, "ns.test")]),
        "zone-no-soa"
    );
    assert_eq!(build(vec![soa("example.org", 1)]), "zone-no-ns");
    assert_eq!(build(with(vec![soa("example.org", 2)])), "zone-two-soas");
    assert_eq!(build(with(vec![soa("a.example.org", 2)])), "zone-soa-below-apex");
    let cname = |to| target("a.example.org", RecordType::CNAME, to);
    assert_eq!(build(with(vec![cname("b.test"), cname("c.test")])), "zone-two-cnames");
    let beside = record("a.example.org", RecordType::A, [192, 0, 2, 1]);
    assert_eq!(build(with(vec![cname("b.test"), beside])), "zone-cname-and-other");
}

#[test]
fn mends_with_findings() {
    let mut records = apex_records("example.org");
    records.push(record("a.example.net", RecordType::A, [192, 0, 2, 1]));
    records.push(record("a.example.org", RecordType::A, [192, 0, 2, 1]));
    records.push(record("A.example.org", RecordType::A, [192, 0, 2, 1]));
    records.push(Record {
        ttl: 60,
        ..record("a.example.org", RecordType::A, [192, 0, 2, 2])
    });
    let (zone, findings) = Zone::build(&name("example.org"), &records, &[]).unwrap();
    assert_eq!(
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        ["zone-out-of-zone", "zone-ttl-differs"]
    );
    let ttls: Vec<u32> = zone
        .records()
        .filter(|record| record.rtype == RecordType::A)
        .map(|record| record.ttl)
        .collect();
    assert_eq!(ttls, [60, 60]);
}

#[test]
fn lists_its_records_with_the_soa_first() {
    let zone = example(vec![record("example.org", RecordType::A, [192, 0, 2, 1])]);
    let types: Vec<String> = zone.records().map(|record| record.rtype.to_string()).collect();
    assert_eq!(types, ["SOA", "A", "NS"]);
    assert_eq!(zone.serial(), 1);
}

#[test]
fn another_serial_changes_the_soa_and_nothing_beside_it() {
    let others = vec![record("example.org", RecordType::A, [192, 0, 2, 1])];
    let zone = example(others.clone()).with_serial(u32::MAX);
    assert_eq!(zone.serial(), u32::MAX);
    let mut expected = vec![soa("example.org", u32::MAX)];
    expected.extend(others);
    expected.push(target("example.org", RecordType::NS, "ns.example."));
    assert_eq!(zone.records().collect::<Vec<_>>(), expected);
}
