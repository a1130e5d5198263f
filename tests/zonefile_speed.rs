//! How fast master files are read, beside `nsd-checkzone` on the same file:
//! `cargo test --release --test zonefile_speed -- --ignored --nocapture`.

use signpost::name::Name;
use signpost::zonefile::{self, DiskFiles};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const RECORDS: usize = 1_000_000;

/// A zone of a mail hoster: hosts, their addresses and policies, and a DKIM key in ten records.
fn write_zone(path: &Path) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    let key = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA".repeat(5);
    writeln!(
        out,
        "$TTL 1h\n@ IN SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.1"
    )?;
    for i in 0..(RECORDS - 3) / 10 + 1 {
        let octet = i % 254 + 1;
        writeln!(
            out,
            "host-{i}\t\tIN\tA\t192.0.2.{octet}\n\t\tIN\tAAAA\t2001:db8::{:x}:{:x}",
            i >> 16,
            i & 0xffff
        )?;
        writeln!(
            out,
            "\t\tIN\tMX\t10 mail-{i}.example.org.\n\t\tIN\tTXT\t\"v=spf1 ip4:192.0.2.{octet} mx -all\""
        )?;
        writeln!(
            out,
            "mail-{i}.example.org. 300 IN A 198.51.100.{octet}\n_dmarc.host-{i} TXT \"v=DMARC1; p=reject\" ; policy"
        )?;
        writeln!(
            out,
            "www.host-{i} CNAME host-{i}\n_imaps._tcp.host-{i} 86400 IN SRV 0 1 993 mail-{i}"
        )?;
        writeln!(
            out,
            "s{i}._domainkey IN TXT ( \"v=DKIM1; h=sha256; k=rsa; \"\n\t\"p={key}\"\n\t\"IDAQAB\" ) ; key"
        )?;
        writeln!(out, "host-{i} CAA 0 issue \"ca.example.net\"")?;
    }
    out.flush()
}

#[test]
#[ignore = "a measurement, for release builds"]
fn a_million_records_are_read_in_two_seconds_and_no_slower_than_by_nsd() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.org.zone");
    write_zone(&path).unwrap();
    let apex = Name::from_text("example.org").unwrap();
    let (mut best, mut nsd) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        let start = Instant::now();
        let zone = zonefile::read(&path, &apex, &DiskFiles::default()).unwrap();
        best = best.min(start.elapsed());
        assert!(zone.records.len() >= RECORDS);
        drop(zone);
        let start = Instant::now();
        let checked = Command::new("/usr/sbin/nsd-checkzone")
            .arg("example.org")
            .arg(&path)
            .output()
            .unwrap();
        nsd = nsd.min(start.elapsed());
        assert!(checked.status.success());
    }
    let octets = std::fs::metadata(&path).unwrap().len();
    let rate = RECORDS as f64 / best.as_secs_f64();
    println!("{octets} octets: {best:?}, {rate:.0} records/s; nsd-checkzone {nsd:?}");
    assert!(best <= Duration::from_secs(2) && best <= nsd);
}
