//! Master files against the tools of BIND, NSD and Knot: what they read, we read the same; what we
//! write, they read the same. Needs `named-compilezone`, `nsd-checkzone` and `kzonecheck` (Debian:
//! bind9-utils, nsd, knot-dnssecutils) and fails without them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use signpost::name::Name;
use signpost::record::{Record, RecordType, text};
use signpost::zonefile::{self, DiskFiles};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

const ZONE: &str = "example.org";

fn apex() -> Name {
    Name::from_text(ZONE).unwrap()
}

/// Runs a tool in `folder`; a tool that is not there fails the test.
fn run(folder: &Path, tool: &str, arguments: &[&str]) -> Output {
    // NSD and Knot install into sbin, which a user's PATH may lack.
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap_or_else(|error| panic!("{tool} does not run ({error}): install bind9-utils, nsd and knot-dnssecutils"))
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Our reading of a file, sorted so that sets of records can be compared.
fn ours(path: &Path) -> Vec<Record> {
    let zone = zonefile::read(path, &apex(), &DiskFiles::default()).unwrap_or_else(|error| panic!("{error}"));
    sorted(zone.records)
}

fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    let key = |record: &Record| (record.owner.to_lowercase(), record.rtype, record.rdata.clone());
    records.sort_by_cached_key(key);
    records.dedup();
    records
}

/// What BIND makes of the file `zone` in `folder`, read by us from its dump.
fn binds(folder: &Path) -> Vec<Record> {
    let arguments = [
        "-q", "-i", "none", "-k", "ignore", "-S", "ignore", "-f", "text", "-F", "text", "-s", "full",
    ];
    let output = run(
        folder,
        "named-compilezone",
        &[&arguments[..], &["-o", "bind.out", ZONE, "zone"]].concat(),
    );
    let told = run(
        folder,
        "named-compilezone",
        &["-i", "none", "-k", "ignore", "-o", "-", ZONE, "zone"],
    );
    assert!(
        output.status.success(),
        "named-compilezone refuses the zone:\n{}",
        said(&told)
    );
    ours(&folder.join("bind.out"))
}

fn assert_same(ours: &[Record], theirs: &[Record], peer: &str) {
    let missing: Vec<_> = theirs.iter().filter(|record| !ours.contains(record)).collect();
    let extra: Vec<_> = ours.iter().filter(|record| !theirs.contains(record)).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "only {peer} has {missing:#?}\nonly we have {extra:#?}"
    );
}

const HEAD: &str = "$TTL 1h\n@ 2h IN SOA ns Host\\.master 2026010100 1h 15m 1w 30m\n@ NS ns\nns A 192.0.2.53\n\
                    ns AAAA 2001:db8::53\nhost A 192.0.2.1\nmail A 192.0.2.2\n";

/// The types that have a text form, but for those that a primary zone of BIND's refuses and for the
/// SOA, which is there already.
fn types() -> Vec<RecordType> {
    let refused = [RecordType::SOA, RecordType::MD, RecordType::MF];
    (0..=u16::MAX)
        .map(RecordType)
        .filter(|rtype| text::example(*rtype).is_some() && !refused.contains(rtype))
        .collect()
}

/// A zone with every type, each by its mnemonic and by number, and with every directive.
fn rich_zone() -> String {
    let mut zone = HEAD.to_owned();
    for rtype in types() {
        let example = text::example(rtype).unwrap();
        writeln!(
            zone,
            "t{} 5m {rtype} {example}\nn{} IN 60 TYPE{} {example}",
            rtype.0, rtype.0, rtype.0
        )
        .unwrap();
    }
    zone += &[
        "$ORIGIN Sub.example.org.",
        "@\tA 192.0.2.1 ; comment ( with \" odd things",
        "\t60 IN AAAA 2001:db8::2",
        "\tIN 60s MX (10 ; preference",
        "\tmail) ",
        "*.x\\.y\\032z\\000 TXT ( \"a;b\" c\\;d \"e\\\"f\\\\\" \"\\233\\010\" \"\"",
        ") ; end",
        "\\@ CNAME \\$GENERATE",
        "$TTL 1d2H3m4s",
        "$INCLUDE keys/mail.txt",
        "after TXT \"its owner and origin are back\"",
        "$INCLUDE keys/mail.txt other.example.org. ; with an origin",
        "\tTXT \"the owner is that before the include\"",
        "$GENERATE 1-9/4 g$.${0,3,d} 60 A 192.0.2.$",
        "$GENERATE 10-12 ${-3,2,x}.${0,5,n}.h CNAME ${1,0,X}.$$.target",
        "$GENERATE 0-1 m$ MX \"10 mail$\"",
        "$GENERATE 0-1 gt${5,0,o}$ IN 90 TXT \"\\\"one string $\\\" two\"",
        "$ORIGIN 2.0.192.in-addr.arpa.example.org.",
        "$GENERATE 1-2 $ PTR host$.example.org.",
        "out.example.net. A 192.0.2.99",
        "$ORIGIN example.org.",
        "ttl 2147483647 A 192.0.2.1",
        "ttl0 2147483648 A 192.0.2.1",
        "unknown TYPE65280 \\# 5 01 0203 0405",
        "empty TYPE65281 \\# 0",
        "apl APL",
        "opaque CLASS1 MX \\# 8 000a 046d61696c 00",
        "case CNAME MiXeD.Example.NET.",
        "svcb SVCB 16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\" mandatory=ipv4hint,alpn ipv4hint=192.0.2.1,192.0.2.2 key667=\"hello\\210qoo\" ech=\"AEX+DQ==\"",
        "https HTTPS 0 host",
        "caa CAA 128 tbs \"Unknown; \\\"quoted\\\"\"",
        "loc LOC 42 21 54 N 71 06 18 W -24m 30m",
        "sig RRSIG TXT 13 2 3600 20370101000000 20260101000000 1 @ AQID",
        "nsec NSEC @ TXT A TYPE65534 NSEC",
        "wks WKS 192.0.2.1 udp domain 69",
        "end 60 TXT \"no line feed behind it\"",
    ]
    .join("\n");
    zone
}

const MAIL_TXT: &str = "mail._domainkey\tIN\tTXT\t( \"v=DKIM1; h=rsa-sha256; k=rsa; s=email; \"\n\t  \"p=MIICIjANBgkq\"\n\
                        \t  \"hkiG9w0BAQEFAAOCAg8A\" )  ; ----- DKIM key mail for example.org\n$ORIGIN nowhere\nx A 192.0.2.7\n";

fn folder_with(zone: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("keys")).unwrap();
    std::fs::write(folder.path().join("keys/mail.txt"), MAIL_TXT).unwrap();
    std::fs::write(folder.path().join("zone"), zone).unwrap();
    folder
}

#[test]
fn reads_every_type_and_directive_as_bind_does() {
    let folder = folder_with(&rich_zone());
    let ours = ours(&folder.path().join("zone"));
    assert!(ours.len() > 190, "{} records", ours.len());
    assert_same(&ours, &binds(folder.path()), "BIND");
}

#[test]
fn reads_the_tutorial_as_bind_does() {
    let zone = format!(
        "{HEAD};SPF\n{ZONE}. IN TXT \"v=spf1 ip4:192.0.2.1 mx -all\"\n{ZONE}. IN SPF \"v=spf1 ip4:192.0.2.1 mx -all\"\n\
         mail.{ZONE}. IN TXT \"v=spf1 ip4:192.0.2.1 a -all\"\nmail.{ZONE}. IN SPF \"v=spf1 ip4:192.0.2.1 a -all\"\n;DKIM\n\
         _domainkey.{ZONE}. IN TXT \"t=y; o=-;\"\nold._domainkey.{ZONE}. IN TXT \"v=DKIM1; k=rsa; p=MIGf; t=s\"; ----- DKIM key\n\
         _adsp._domainkey.{ZONE}. IN TXT \"dkim=unknown\"\n$INCLUDE keys/mail.txt\n"
    );
    let folder = folder_with(&zone.replace('\n', "\r\n"));
    assert_same(&ours(&folder.path().join("zone")), &binds(folder.path()), "BIND");
}

#[test]
fn takes_ttls_from_where_bind_takes_them() {
    let soa = "SOA ns hostmaster 1 2 3 4 1800\n";
    let records = "@ NS ns\nns A 192.0.2.1\nb 60 A 192.0.2.1\nc A 192.0.2.1\n$TTL 7\nd A 192.0.2.1\ne 9 A 192.0.2.1\nf A 192.0.2.1\n";
    for head in [
        format!("@ {soa}"),
        format!("@ 5 IN {soa}"),
        format!("@ IN 1D {soa}"),
        format!("$TTL 3\n@ {soa}"),
    ] {
        let folder = folder_with(&format!("{head}{records}"));
        assert_same(&ours(&folder.path().join("zone")), &binds(folder.path()), "BIND");
    }
}

/// Every record of the rich zone, written by us.
fn written() -> (tempfile::TempDir, Vec<Record>) {
    let folder = folder_with(&rich_zone());
    let records = ours(&folder.path().join("zone"));
    let mut text = Vec::new();
    zonefile::write(&records, &mut text).unwrap();
    std::fs::write(folder.path().join("zone"), text).unwrap();
    (folder, records)
}

/// The same record with the names in its RDATA in lower case.
fn lowered(mut record: Record) -> Record {
    let names: Vec<_> = text::names_in(record.rtype, &record.rdata)
        .map(|(range, _)| range)
        .collect();
    for range in names {
        record.rdata[range].make_ascii_lowercase();
    }
    record
}

#[test]
fn bind_reads_back_what_we_write() {
    let (folder, records) = written();
    assert_same(&records, &ours(&folder.path().join("zone")), "our own file");
    assert_same(&records, &binds(folder.path()), "BIND");
}

/// Both write text that the other reads, and between them stand only octets in hexadecimal: a wire
/// form that we had wrong both in reading and in writing would show here.
#[test]
fn bind_agrees_on_the_octets_of_every_type() {
    let folder = folder_with(&rich_zone());
    let records = ours(&folder.path().join("zone"));
    let mut opaque = String::new();
    for Record {
        owner,
        rtype,
        ttl,
        rdata,
    } in &records
    {
        writeln!(opaque, "{owner} {ttl} TYPE{} {}", rtype.0, text::Opaque(rdata)).unwrap();
    }
    std::fs::write(folder.path().join("zone"), opaque).unwrap();
    assert_same(&records, &binds(folder.path()), "BIND");
}

#[test]
fn nsd_reads_back_what_we_write() {
    let (folder, records) = written();
    let output = run(folder.path(), "nsd-checkzone", &["-p", ZONE, "zone"]);
    assert!(
        output.status.success(),
        "nsd-checkzone refuses the zone:\n{}",
        said(&output)
    );
    let print = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = print.lines().filter(|line| !line.starts_with("zone ")).collect();
    std::fs::write(folder.path().join("nsd.out"), lines.join("\n")).unwrap();
    // NSD keeps names in lower case.
    let records = sorted(records.into_iter().map(lowered).collect());
    assert_same(&records, &ours(&folder.path().join("nsd.out")), "NSD");
}

#[test]
fn knot_accepts_what_we_write() {
    let (folder, _) = written();
    let output = run(folder.path(), "kzonecheck", &["-v", "-d", "off", "-o", ZONE, "zone"]);
    assert!(
        output.status.success(),
        "kzonecheck refuses the zone:\n{}",
        said(&output)
    );
}

#[test]
fn refuses_what_bind_refuses() {
    let cases = [
        "a A 192.0.2.256",
        "a A \"192.0.2.1\"",
        "a TXT",
        "a TXT \"open",
        "a MX ( 10 mail",
        "a MX 10 mail )",
        "a HINFO one",
        "a 1h30 A 192.0.2.1",
        "a CH TXT x",
        "a ANY \\# 0",
        "a A \\# 3 010203",
        "a DS 1 8 2 aabb",
        "a NSEC b",
        "a CAA 0 is-sue x",
        "a SSHFP 1 1 aabb",
        "a..b A 192.0.2.1",
        "$FOO bar",
        "$TTL soon",
        "$INCLUDE nowhere.txt",
        "$GENERATE 5-1 a$ A 192.0.2.$",
        "$GENERATE 1-300 a$ A 192.0.2.$",
        "@ SOA ns hostmaster 9 2 3 4 5",
        "sub SOA ns hostmaster 9 2 3 4 5",
        "a HTTPS 1 . port=1 port=2",
        "a HTTPS 1 . mandatory=port",
        "a LOC 91 N 0 E 0",
        "a TYPE65280 text",
    ];
    for case in cases {
        let folder = folder_with(&format!("{HEAD}{case}\n"));
        let arguments = ["-q", "-i", "none", "-k", "ignore", "-o", "out", ZONE, "zone"];
        let bind = run(folder.path(), "named-compilezone", &arguments);
        assert!(!bind.status.success(), "BIND takes `{case}`");
        let ours = zonefile::read(&folder.path().join("zone"), &apex(), &DiskFiles::default());
        assert!(ours.is_err(), "we take `{case}`");
    }
}
