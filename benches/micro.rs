//! What the parts cost, each alone: `cargo bench --bench micro`, or with a name to run only what has it in its own.
//!
//! For finding out where time goes while changing something. What a whole answer costs is held to numbers by
//! `tests/instructions.rs`; what it costs beside other servers `benches/cost.py` tells.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on should panic")]

use divan::{Bencher, black_box, counter::ItemsCount};
use signpost::answer::{Client, Settings, Transport, answer};
use signpost::compose::{KeyStage, Sources, ZoneKey, compose};
use signpost::mail::MailPolicy;
use signpost::name::Name;
use signpost::record::RecordType;
use signpost::zone::{LookupName, Zone, ZoneSet};
use signpost::zonefile::{self, ZoneFile};
use std::io;
use std::path::Path;
use std::sync::Arc;

fn main() {
    divan::main();
}

/// A mail domain as they come: some names, a key of 2048 bits, a delegation.
fn zone_text(keys: usize) -> String {
    let mut text = String::from(
        "$TTL 3600\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\n@ NS ns2\n@ MX 10 mail\n\
         ns1 A 192.0.2.53\nns2 A 192.0.2.54\nmail A 192.0.2.25\nmail AAAA 2001:db8::25\nwww A 192.0.2.80\n\
         @ TXT \"v=spf1 mx -all\"\n_dmarc TXT \"v=DMARC1; p=reject\"\n\
         sub NS ns1.sub\nsub NS ns2.sub\nns1.sub A 192.0.2.55\nns2.sub A 192.0.2.56\n",
    );
    for key in 0..keys {
        let (front, rest) = ("A".repeat(237), "B".repeat(155));
        text += &format!("s{key}._domainkey TXT \"v=DKIM1; k=rsa; p={front}\" \"{rest}\"\n");
    }
    text
}

fn read(apex: &Name, keys: usize) -> ZoneFile {
    zonefile::read(Path::new("bench.zone"), apex, &(zone_text(keys))).unwrap()
}

/// The zones `d0.test`, `d1.test` and so on.
fn zones(count: usize) -> ZoneSet {
    let changes: Vec<_> = (0..count)
        .map(|number| {
            let apex = Name::from_text(&format!("d{number}.test")).unwrap();
            let (zone, _) = Zone::build(&apex, &read(&apex, 1).records, &[]).unwrap();
            (apex, Some(Arc::new(zone)))
        })
        .collect();
    ZoneSet::default().with(&changes)
}

fn query(name: &str, qtype: RecordType) -> Vec<u8> {
    let mut octets = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    octets.extend_from_slice(Name::from_text(name).unwrap().as_wire());
    octets.extend_from_slice(&qtype.0.to_be_bytes());
    // Class IN, and an OPT that takes 1232 octets.
    octets.extend_from_slice(&[0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    octets
}

/// From the name as it was asked to the node, in a different zone each time.
#[divan::bench(args = [1, 100_000])]
fn look_up(bencher: Bencher<'_, '_>, count: usize) {
    let zones = zones(count);
    let names: Vec<Name> = (0..count.min(1000))
        .map(|number| Name::from_text(&format!("s0._domainkey.D{}.test", number * 97 % count)).unwrap())
        .collect();
    bencher.counter(ItemsCount::new(names.len())).bench_local(|| {
        for name in &names {
            let name = LookupName::new(black_box(name.as_wire())).unwrap();
            black_box(zones.closest_enclosing(&name).unwrap().lookup(&name));
        }
    });
}

#[divan::bench(args = [
    ("address", "mail.d0.test", RecordType::A),
    ("dkim", "s0._domainkey.d0.test", RecordType::TXT),
    ("mx", "d0.test", RecordType::MX),
    ("nxdomain", "nx.d0.test", RecordType::A),
    ("nodata", "www.d0.test", RecordType::AAAA),
    ("referral", "host.sub.d0.test", RecordType::A),
    ("refused", "example.org", RecordType::A),
])]
fn answer_to(bencher: Bencher<'_, '_>, (_, name, qtype): (&str, &str, RecordType)) {
    let (zones, settings, client) = (zones(1), Settings::default(), Client::anonymous(Transport::Udp));
    let octets = query(name, qtype);
    let mut out = vec![0; 1232];
    bencher.bench_local(|| answer(&zones, &settings, &client, black_box(&octets), &mut out));
}

/// A zone of so many keys, its records ready, to what is served.
#[divan::bench(args = [1, 1000])]
fn build(bencher: Bencher<'_, '_>, keys: usize) {
    let apex = Name::from_text("d0.test").unwrap();
    let file = read(&apex, keys);
    bencher
        .counter(ItemsCount::new(file.records.len()))
        .bench_local(|| Zone::build(&apex, &file.records, &[]));
}

/// Zone file, policy and keys to records.
#[divan::bench(args = [1, 1000])]
fn compose_zone(bencher: Bencher<'_, '_>, keys: usize) {
    let apex = Name::from_text("d0.test").unwrap();
    let file = read(&apex, 0);
    let policy: MailPolicy =
        toml::from_str("spf.record = \"v=spf1 mx -all\"\ndmarc.policy = \"reject\"\ncaa.issue = [\"ca.test\"]")
            .unwrap();
    let keys: Vec<ZoneKey> = (0..keys)
        .map(|number| ZoneKey {
            owner: apex.prefixed(&format!("k{number}._domainkey")).unwrap(),
            record: "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".into(),
            stage: KeyStage::Live,
            algorithm: None,
            source: format!("keys/k{number}"),
        })
        .collect();
    bencher.bench_local(|| compose(black_box(&Sources::new(&apex, &file.records, &policy, &keys))));
}

/// A master file of so many keys to records.
#[divan::bench(args = [1, 1000])]
fn read_file(bencher: Bencher<'_, '_>, keys: usize) {
    let apex = Name::from_text("d0.test").unwrap();
    let text = zone_text(keys);
    bencher
        .counter(ItemsCount::new(read(&apex, keys).records.len()))
        .bench_local(|| zonefile::read(Path::new("bench.zone"), &apex, black_box(&text)).is_ok());
}

/// Records to a master file.
#[divan::bench(args = [1, 1000])]
fn write_file(bencher: Bencher<'_, '_>, keys: usize) {
    let file = read(&Name::from_text("d0.test").unwrap(), keys);
    bencher
        .counter(ItemsCount::new(file.records.len()))
        .bench_local(|| zonefile::write(black_box(&file.records), &mut io::sink()).unwrap());
}
