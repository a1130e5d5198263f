use super::*;
use crate::finding::Severity;
use crate::record::RecordType;
use proptest::prelude::*;
use std::collections::HashMap;

/// Files in memory.
struct Files(HashMap<PathBuf, Vec<u8>>);

impl Open for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn files(files: &[(&str, &[u8])]) -> Files {
    let owned = files.iter().map(|(path, text)| (PathBuf::from(path), text.to_vec()));
    Files(owned.collect())
}

fn apex() -> Name {
    Name::from_text("example.org").unwrap()
}

const ZONE: &str = "zones/example.org.zone";

fn read_files(list: &[(&str, &[u8])]) -> Result<ZoneFile, Box<Unreadable>> {
    read(Path::new(ZONE), &apex(), &files(list))
}

/// What `text` makes behind an SOA at the apex, one record a line.
fn records(text: &str) -> String {
    let text = format!("$TTL 300\n@ SOA ns hostmaster 1 2 3 4 5\n{text}");
    match read_files(&[(ZONE, text.as_bytes())]) {
        Ok(zone) => zone.records[1..].iter().map(|record| format!("{record}\n")).collect(),
        Err(unreadable) => unreadable.to_string(),
    }
}

fn lines(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn reads_the_forms_of_rfc_1035_section_5() {
    let text = "a 60 IN A 192.0.2.1\n\tIN 70 A 192.0.2.2\n  A 192.0.2.3 ; comment (\n\n   \n; nothing\n\
                b.example.org. CLASS1 TYPE1 \\# 4 c0000204\n* TXT a\\;b \"c;d\" (\n \"e\" ; f)\n  g\n ) h\n\
                x\\.y MX (10\n\n mail)\n$ORIGIN sub\n@ A 192.0.2.5\nc A 192.0.2.6\n$origin .\nd.example.org A 192.0.2.7";
    let expected = [
        "a.example.org. 60 IN A 192.0.2.1",
        "a.example.org. 70 IN A 192.0.2.2",
        "a.example.org. 300 IN A 192.0.2.3",
        "b.example.org. 300 IN A 192.0.2.4",
        "*.example.org. 300 IN TXT \"a;b\" \"c;d\" \"e\" \"g\" \"h\"",
        "x\\.y.example.org. 300 IN MX 10 mail.example.org.",
        "sub.example.org. 300 IN A 192.0.2.5",
        "c.sub.example.org. 300 IN A 192.0.2.6",
        "d.example.org. 300 IN A 192.0.2.7",
    ];
    assert_eq!(records(text), lines(&expected));
    assert_eq!(records(&text.replace('\n', "\r\n")), lines(&expected));
}

#[test]
fn reads_the_tutorial_and_what_opendkim_genkey_writes() {
    let text = "mail._domainkey IN TXT \"v=DKIM1; k=rsa; p=MIGf; t=s\"; ----- DKIM key mail for example.org\n\
                @ IN SPF \"v=spf1 ip4:192.0.2.1 mx -all\"\n\
                _domainkey.example.org. IN TXT \"t=y; o=-;\"\n\
                s._domainkey\tIN\tTXT\t( \"v=DKIM1; h=rsa-sha256; k=rsa; s=email; \"\n\t  \"p=MIIC\"\n\t  \"IjAN\" )  ; ----- DKIM key s\n";
    let expected = [
        "mail._domainkey.example.org. 300 IN TXT \"v=DKIM1; k=rsa; p=MIGf; t=s\"",
        "example.org. 300 IN SPF \"v=spf1 ip4:192.0.2.1 mx -all\"",
        "_domainkey.example.org. 300 IN TXT \"t=y; o=-;\"",
        "s._domainkey.example.org. 300 IN TXT \"v=DKIM1; h=rsa-sha256; k=rsa; s=email; \" \"p=MIIC\" \"IjAN\"",
    ];
    assert_eq!(records(text), lines(&expected));
}

#[test]
fn finds_the_ttl_as_bind_does() {
    let ttls = |text: &str| -> Vec<u32> {
        let zone = read_files(&[(ZONE, text.as_bytes())]).unwrap();
        zone.records.iter().map(|record| record.ttl).collect()
    };
    let soa = "SOA ns hostmaster 1 2 3 4 1800";
    // An SOA without one gives its minimum, and that is the default from there.
    assert_eq!(
        ttls(&format!("@ {soa}\na A 192.0.2.1\nb 60 A 192.0.2.1\nc A 192.0.2.1")),
        [1800, 1800, 60, 1800]
    );
    // Without any default the TTL before counts (RFC 1035 §5.1).
    assert_eq!(
        ttls(&format!(
            "@ 1h30m {soa}\na A 192.0.2.1\nb 60 A 192.0.2.1\nc A 192.0.2.1"
        )),
        [5400, 5400, 60, 60]
    );
    // $TTL goes over both, from where it stands.
    assert_eq!(
        ttls(&format!(
            "@ 9 {soa}\n$TTL 1w2d\na A 192.0.2.1\nb 60 A 192.0.2.1\nc A 192.0.2.1"
        )),
        [9, 777_600, 60, 777_600]
    );
    let zone = read_files(&[(ZONE, format!("@ 2147483647 {soa}\na 2147483648 A 192.0.2.1").as_bytes())]).unwrap();
    assert_eq!([zone.records[0].ttl, zone.records[1].ttl], [2_147_483_647, 0]);
    assert_eq!(zone.findings[0].code, "zone-ttl-range");
    assert_eq!(zone.findings[0].place, Some(crate::finding::Place::line(ZONE, 2)));
}

#[test]
fn includes_files_relative_to_the_including_one_and_restores_origin_and_owner() {
    let main = b"$TTL 300\n@ SOA ns hostmaster 1 2 3 4 5\na A 192.0.2.1\n$INCLUDE keys/mail.txt\n  A 192.0.2.2\n\
        $INCLUDE \"keys/mail.txt\" sub ; with an origin\nb A 192.0.2.3\n";
    let key = b"  TXT inherited\n$INCLUDE deeper.txt\n$ORIGIN gone\nmail._domainkey TXT key";
    let deeper = b"$TTL 7\nd TXT d";
    let zone = read_files(&[
        (ZONE, main),
        ("zones/keys/mail.txt", key),
        ("zones/keys/deeper.txt", deeper),
    ])
    .unwrap();
    let shown: String = zone.records[1..].iter().map(|record| format!("{record}\n")).collect();
    let expected = [
        "a.example.org. 300 IN A 192.0.2.1",
        "a.example.org. 300 IN TXT \"inherited\"",
        "d.example.org. 7 IN TXT \"d\"",
        "mail._domainkey.gone.example.org. 7 IN TXT \"key\"",
        "a.example.org. 7 IN A 192.0.2.2",
        "a.example.org. 7 IN TXT \"inherited\"",
        "d.sub.example.org. 7 IN TXT \"d\"",
        "mail._domainkey.gone.sub.example.org. 7 IN TXT \"key\"",
        "b.example.org. 7 IN A 192.0.2.3",
    ];
    assert_eq!(shown, lines(&expected));
    assert_eq!(
        zone.files,
        [ZONE, "zones/keys/mail.txt", "zones/keys/deeper.txt"].map(PathBuf::from)
    );
    assert_eq!(zone.places[..6], [(0, 2), (0, 3), (1, 1), (2, 2), (1, 4), (0, 5)]);
}

#[test]
fn generates_records_as_bind_does() {
    let text = "$GENERATE 1-5/2 host$ 60 IN A 192.0.2.$\n$GENERATE 8-9 ${2,4,d}.${0,2,x}.${1,0,o} MX \"10 m${-8}\"\n\
                $GENERATE 18-18 ${0,7,n}.${0,2,X} TXT \"\\\"a $$ $\\\" b\"\n$GENERATE 1-1 a${10}b$ A 10.0.0.$";
    let expected = [
        "host1.example.org. 60 IN A 192.0.2.1",
        "host3.example.org. 60 IN A 192.0.2.3",
        "host5.example.org. 60 IN A 192.0.2.5",
        "0010.08.11.example.org. 300 IN MX 10 m0.example.org.",
        "0011.09.12.example.org. 300 IN MX 10 m1.example.org.",
        "2.1.0.0.12.example.org. 300 IN TXT \"a $ 18\" \"b\"",
        "a11b11.example.org. 300 IN A 10.0.0.1",
    ];
    assert_eq!(records(text), lines(&expected));
}

#[test]
fn leaves_out_records_outside_the_zone_and_tells_of_a_few() {
    let mut text = "$TTL 5\n@ SOA ns hostmaster 1 2 3 4 5\n".to_owned();
    for i in 0..100 {
        text += &format!("x{i}.example.net. A 192.0.2.1\n");
    }
    let zone = read_files(&[(ZONE, text.as_bytes())]).unwrap();
    assert_eq!(zone.records.len(), 1);
    assert_eq!(zone.findings.len(), 21);
    let first = "zones/example.org.zone:3: x0.example.net. is outside the zone example.org. and is left out; \
                 end names outside the origin with their zone's name, or move the record to its own zone";
    assert_eq!(zone.findings[0].to_string(), first);
    assert!(zone.findings[20].what.contains("80 more"));
    assert!(
        zone.findings
            .iter()
            .all(|finding| finding.severity == Severity::Warning)
    );
}

#[test]
fn notes_a_byte_order_mark_and_a_string_that_was_cut() {
    let text = format!(
        "\u{feff}@ 60 SOA ns hostmaster 1 2 3 4 5\nk SPF \"v=DKIM1; p={}\"",
        "A".repeat(400)
    );
    let zone = read_files(&[(ZONE, text.as_bytes())]).unwrap();
    let codes: Vec<_> = zone
        .findings
        .iter()
        .map(|finding| (finding.severity, finding.code))
        .collect();
    assert_eq!(
        codes,
        [
            (Severity::Note, "zone-byte-order-mark"),
            (Severity::Note, "zone-text-split")
        ]
    );
    assert_eq!(zone.records[1].joined_text().len(), 411);
    assert_eq!(zone.records[1].rtype, RecordType::SPF);
}

#[test]
fn keeps_one_of_two_equal_soa_records() {
    let text = b"@ 60 SOA ns hostmaster 1 2 3 4 5\nEXAMPLE.ORG. 60 SOA ns hostmaster 1 2 3 4 5\n";
    assert_eq!(read_files(&[(ZONE, text)]).unwrap().records.len(), 1);
}

/// Broken files: each a name and the bytes of the zone file.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let soa = "$TTL 300\n@ SOA ns hostmaster 1 2 3 4 5\n";
    let behind_soa = [
        ("bad address", "www\t IN A 192.0.2.256"),
        ("open quote", "a TXT \"v=spf1 -all\nb A 192.0.2.1"),
        ("open parenthesis", "a MX ( 10\n mail\nb A 192.0.2.1\n"),
        ("stray parenthesis", "a MX 10 mail )"),
        ("unknown type", "a IN AAA 2001:db8::1"),
        ("forgotten class and type", "a 192.0.2.1"),
        ("meta type", "a ANY \\# 0"),
        ("class CH", "a CH TXT x"),
        ("class by number", "a CLASS3 TXT x"),
        ("owner alone", "a"),
        ("RDATA missing", "a 60 IN MX 10"),
        ("too many words", "a A 192.0.2.1 192.0.2.2"),
        ("bad owner", "a..b A 192.0.2.1"),
        ("quoted owner", "\"a\" A 192.0.2.1"),
        ("bad TTL", "a 1h30 A 192.0.2.1"),
        ("unknown directive", "$FOO bar"),
        ("origin missing", "$ORIGIN ; nothing"),
        ("origin with more", "$ORIGIN a b"),
        ("bad $TTL", "$TTL soon"),
        ("include missing", "$INCLUDE"),
        ("include of nothing", "$INCLUDE nowhere.txt"),
        ("include with a control character", "$INCLUDE a\u{1b}[31m.txt"),
        ("include of itself", "$INCLUDE example.org.zone"),
        ("include of a key", "$INCLUDE mail"),
        ("error in an include", "$INCLUDE broken.txt"),
        ("generate without range", "$GENERATE a b A 192.0.2.1"),
        ("generate backwards", "$GENERATE 5-1 b$ A 192.0.2.$"),
        ("generate too much", "$GENERATE 0-65536 b$ A 192.0.2.1"),
        ("generate out of bounds", "$GENERATE 254-257 b$ A 192.0.2.$"),
        ("generate with a bad form", "$GENERATE 1-2 b${1,2,q} A 192.0.2.$"),
        ("generate with an open quote", "$GENERATE 1-2 b$ TXT \"\\\"a$\""),
        ("second SOA", "@ SOA ns hostmaster 2 2 3 4 5"),
        ("SOA below the apex", "sub SOA ns hostmaster 2 2 3 4 5"),
        ("control characters", "a\u{1b}[31m\u{202e} A \u{7}"),
    ];
    let mut cases: Vec<(&str, Vec<u8>)> = behind_soa
        .iter()
        .map(|(name, text)| (*name, format!("{soa}{text}").into_bytes()))
        .collect();
    let long = format!("{soa}x TXT {} \"{}\n", "a ".repeat(200), "b".repeat(200));
    let utf16: Vec<u8> = soa.encode_utf16().flat_map(u16::to_le_bytes).collect();
    cases.extend([
        ("long line", long.into_bytes()),
        ("latin-1", [soa.as_bytes(), b"caf\xe9 A x"].concat()),
        ("no TTL", b"a A 192.0.2.1".to_vec()),
        ("no owner", b"  A 192.0.2.1".to_vec()),
        ("empty", vec![]),
        ("comments only", b"; nothing\n".to_vec()),
        ("no SOA", b"$TTL 5\na A 192.0.2.1\n".to_vec()),
        (
            "another zone",
            b"$ORIGIN example.net.\n@ 60 SOA ns hostmaster 1 2 3 4 5\n".to_vec(),
        ),
        ("UTF-16", [&b"\xff\xfe"[..], &utf16].concat()),
        ("UTF-16 unmarked", utf16),
        ("raw", b"\0\0\0\x02\0\0\0\x01".to_vec()),
        ("NUL", [soa.as_bytes(), b"a TXT b\0c\n"].concat()),
        ("old Macintosh", soa.replace('\n', "\r").into_bytes()),
        (
            "private key",
            b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\n".to_vec(),
        ),
    ]);
    cases
}

#[test]
fn says_where_and_how_to_mend_it() {
    let mut report = String::new();
    for (name, text) in broken() {
        let error = read_files(&[
            (ZONE, &text),
            ("zones/mail", b"; comment\n-----BEGIN RSA PRIVATE KEY-----\nMIIC\n"),
            ("zones/broken.txt", b"ok A 192.0.2.1\n\n  TXT \"open\n"),
        ])
        .unwrap_err();
        assert!(error.files.contains(&PathBuf::from(ZONE)), "{name}");
        assert_eq!(error.finding.severity, Severity::Error);
        assert!(!error.finding.cure.is_empty(), "{name}");
        let shown = error.to_string();
        assert!(!shown.contains("MIIC"));
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{name}");
        report += &format!("## {name}: {}\n{shown}\n", error.finding.code);
    }
    insta::assert_snapshot!(report);
}

#[test]
fn refuses_circles_and_depth() {
    let mut list: Vec<(String, Vec<u8>)> = (0..12)
        .map(|i| (format!("zones/f{i}"), format!("$INCLUDE f{}\n", i + 1).into_bytes()))
        .collect();
    list.push(("zones/f12".into(), b"$INCLUDE f0\n".to_vec()));
    let list: Vec<(&str, &[u8])> = list
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_slice()))
        .collect();
    let deep = read(Path::new("zones/f0"), &apex(), &files(&list)).unwrap_err();
    assert_eq!(deep.finding.code, "zone-include");
    assert_eq!(deep.files.len(), 11);
    let circle = read(Path::new("zones/f10"), &apex(), &files(&list)).unwrap_err();
    assert!(circle.finding.what.contains("deep"), "{}", circle.finding);
    let pair = files(&[("a", b"$INCLUDE b"), ("b", b"\n$INCLUDE a")]);
    let circle = read(Path::new("a"), &apex(), &pair).unwrap_err();
    assert!(
        circle.to_string().starts_with("b:2:10: the file `a` includes itself"),
        "{circle}"
    );
}

#[test]
fn opens_regular_files_only_and_within_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zone");
    std::fs::write(&path, b"12345").unwrap();
    assert_eq!(DiskFiles { limit: 5 }.read(&path).unwrap(), b"12345");
    let error = DiskFiles { limit: 4 }.read(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    let fifo = folder.path().join("fifo");
    let status = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(status.success());
    for odd in [
        fifo.as_path(),
        folder.path(),
        Path::new("/dev/null"),
        Path::new("/dev/zero"),
    ] {
        let error = DiskFiles::default().read(odd).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}", odd.display());
    }
    let missing = DiskFiles::default().read(&folder.path().join("missing")).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}

fn any_record() -> impl Strategy<Value = Record> {
    let label = prop::collection::vec(any::<u8>(), 1..8);
    let owner = prop::collection::vec(label, 0..4).prop_map(|labels| {
        let child = |name: Name, label: &Vec<u8>| name.child(label);
        labels.iter().try_fold(apex(), child).unwrap()
    });
    let strings = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..256), 1..4).prop_map(|strings| {
        let mut rdata = Vec::new();
        for string in strings {
            rdata.push(string.len() as u8);
            rdata.extend(string);
        }
        rdata
    });
    let text = strings.prop_map(|rdata| (RecordType::TXT, rdata));
    let opaque = (65_000u16..65_100, prop::collection::vec(any::<u8>(), 0..40));
    let opaque = opaque.prop_map(|(number, rdata)| (RecordType(number), rdata));
    let mx = (any::<u16>(), owner.clone())
        .prop_map(|(preference, name)| (RecordType::MX, [&preference.to_be_bytes()[..], name.as_wire()].concat()));
    let wks =
        prop::collection::vec(1u8.., 1..9).prop_map(|bits| (RecordType::WKS, [&[192, 0, 2, 1, 6], &bits[..]].concat()));
    let rdata = prop_oneof![text, opaque, mx, wks];
    (owner, 0u32..=0x7fff_ffff, rdata).prop_map(|(owner, ttl, (rtype, rdata))| Record {
        owner,
        rtype,
        ttl,
        rdata: rdata.into_boxed_slice(),
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(mut records in prop::collection::vec(any_record(), 0..30)) {
        let soa = read_files(&[(ZONE, b"@ 60 SOA ns hostmaster 1 2 3 4 5")]).unwrap().records;
        records.splice(0..0, soa);
        let mut text = Vec::new();
        write(&records, &mut text).unwrap();
        let back = read_files(&[(ZONE, &text)]).unwrap();
        prop_assert!(back.findings.is_empty());
        prop_assert_eq!(back.records, records);
    }

    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(
        start in "(\\$TTL 1\n@ SOA a b 1 2 3 4 5\n)?",
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "([ \t\n\r\"();\\\\@$a-c0-9./{},-]|IN |TXT |A |\\$ORIGIN |\\$GENERATE 1-2 |\\$INCLUDE |\\\\# ){0,60}".prop_map(String::into_bytes),
        ],
    ) {
        let text = [start.as_bytes(), &text].concat();
        match read_files(&[(ZONE, &text)]) {
            Ok(zone) => {
                prop_assert_eq!(zone.records.len(), zone.places.len());
                for record in &zone.records {
                    prop_assert!(record.owner.is_at_or_below(&apex()));
                    prop_assert!(crate::record::text::check_wire(record.rtype, &record.rdata).is_ok());
                }
            }
            Err(error) => prop_assert!(!error.finding.what.is_empty()),
        }
    }
}
