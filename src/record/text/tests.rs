use super::schema::ALL;
use super::*;
use proptest::prelude::*;

/// Splits as a master file does, without comments and parentheses.
fn words(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut rest) = (Vec::new(), text.as_bytes());
    while let Some(at) = rest.iter().position(|octet| *octet != b' ') {
        rest = &rest[at..];
        let quoted = rest[0] == b'"';
        rest = &rest[usize::from(quoted)..];
        let mut end = 0;
        while end < rest.len() && rest[end] != b'"' && (quoted || rest[end] != b' ') {
            end += if rest[end] == b'\\' { 2 } else { 1 };
        }
        end = end.min(rest.len());
        tokens.push(Token {
            text: &rest[..end],
            quoted,
        });
        rest = &rest[(end + usize::from(quoted)).min(rest.len())..];
    }
    tokens
}

fn origin() -> Name {
    Name::from_text("example.org").unwrap()
}

fn read(rtype: RecordType, text: &str) -> Result<Box<[u8]>, RdataError> {
    from_text(rtype, &words(text), &origin())
}

/// What a record of this type and text is written as.
fn canonical(rtype: RecordType, text: &str) -> String {
    match read(rtype, text) {
        Ok(rdata) => Rdata(rtype, &rdata).to_string(),
        Err(error) => format!("word {}: {error}", error.token),
    }
}

#[test]
fn reads_its_own_examples_and_writes_them_canonically() {
    let mut lines = String::new();
    for rtype in ALL {
        let text = canonical(*rtype, example(*rtype).unwrap());
        assert_eq!(canonical(*rtype, &text), text, "{rtype}");
        lines += &format!("{rtype} {text}\n");
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn reads_the_same_octets_behind_a_hash_for_every_type() {
    for rtype in ALL {
        let rdata = read(*rtype, example(*rtype).unwrap()).unwrap();
        let opaque = Opaque(&rdata).to_string();
        assert_eq!(read(*rtype, &opaque).unwrap(), rdata, "{rtype}");
    }
    let unknown = RecordType(65_280);
    assert_eq!(canonical(unknown, "\\# 3 0A 0b0C"), "\\# 3 0a0b0c");
    assert_eq!(canonical(unknown, "\\# 0"), "\\# 0");
}

#[test]
fn accepts_the_spellings_of_bind() {
    use RecordType as T;
    let cases = [
        (T::SOA, "ns hostmaster 1 1h 15m 1W 1h30M", "1 3600 900 604800 5400"),
        (T::DNSKEY, "257 3 ED25519 AQ ID", "257 3 15 AQID"),
        (
            T::DS,
            "1 RSASHA256 SHA-1 00112233445566778899 aabbccddeeff00112233",
            "1 8 1 0011",
        ),
        (T::CERT, "1 2 3 AQID", "1 2 3 AQID"),
        (T::TXT, "a b\\032c \"d;\\\"e\"", "\"a\" \"b c\" \"d;\\\"e\""),
        (T::WKS, "192.0.2.1 udp domain 5", "192.0.2.1 17 5 53"),
        (
            T::LOC,
            "52 22 23 N 4 53 32 E -2.00m 0.00m 10000m 10m",
            "52 22 23.000 N 4 53 32.000 E -2.00m 0m 10000m 10m",
        ),
        (T::LOC, "42 N 71 W 24", "42 0 0.000 N 71 0 0.000 W 24.00m 1m 10000m 10m"),
        (T::NSEC, "b TXT A TYPE65534 A", "b.example.org. A TXT TYPE65534"),
        (
            T::NSEC3,
            "1 1 12 AABBccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr",
            "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr",
        ),
        (T::IPSECKEY, "10 0 2 . AQID", "10 0 2 . AQID"),
        (T::IPSECKEY, "10 3 0 gw", "10 3 0 gw.example.org."),
        (T::AMTRELAY, "10 1 0 .", "10 1 0 ."),
        (T::HTTPS, "0 www", "0 www.example.org."),
        (
            T::SVCB,
            "1 . key65000=a alpn=\"f\\\\\\\\oo\\\\,bar,h2\" mandatory=port,alpn port=53",
            "1 . mandatory=alpn,port alpn=\"f\\\\\\\\oo\\\\,bar,h2\" port=53 key65000=\"a\"",
        ),
        (
            T::SVCB,
            "1 . no-default-alpn alpn=h2 dohpath=/q{?dns}",
            "alpn=\"h2\" no-default-alpn key7=\"/q{?dns}\"",
        ),
        (T::A6, "0 2001:db8::1", "0 2001:db8::1"),
        (T::A6, "128 pre", "128 pre.example.org."),
        (
            T::RRSIG,
            "TXT 13 2 1h 4294967295 1 7 @ AQID",
            "21060207062815 19700101000001 7 example.org.",
        ),
        (T::DOA, "0 0 2 \"\" -", "0 0 2 \"\" -"),
        (T::APL, "!1:192.0.2.1/32 2:::/0", "!1:192.0.2.1/32 2:::/0"),
        (T::CAA, "128 tbs \"a\\\"b\"", "128 tbs \"a\\\"b\""),
    ];
    for (rtype, text, expected) in cases {
        let shown = canonical(rtype, text);
        assert!(shown.contains(expected), "{rtype} {text}\n gives {shown}");
        assert_eq!(canonical(rtype, &shown), shown);
    }
}

#[test]
fn says_what_was_expected() {
    use RecordType as T;
    let long = format!("\"{}\" x", "a".repeat(256));
    let cases = [
        (T::A, "1.2.3"),
        (T::A, "\"192.0.2.1\""),
        (T::A, ""),
        (T::A, "192.0.2.1 192.0.2.2"),
        (T::AAAA, "192.0.2.1"),
        (T::MX, "mail"),
        (T::MX, "10"),
        (T::MX, "10 mail..example"),
        (T::MX, "65536 mail"),
        (T::SOA, "ns hostmaster 1 1h30 2 3 4"),
        (T::TXT, ""),
        (T::TXT, "a\\"),
        (T::HINFO, &long),
        (T::CAA, "0 is-sue ca"),
        (T::DS, "1 8 2 aabb"),
        (T::TLSA, "3 1 1 abc"),
        (T::DNSKEY, "257 3 13 a?="),
        (T::DNSKEY, "257 3 NOSUCH AQID"),
        (T::RRSIG, "A 13 2 3600 20300231000000 1 1 @ AQID"),
        (T::NSEC, "b"),
        (T::NSEC, "b NOSUCH"),
        (T::HTTPS, "1 . alpn"),
        (T::HTTPS, "1 . port=x"),
        (T::HTTPS, "1 . port=1 port=2"),
        (T::HTTPS, "1 . mandatory=port"),
        (T::HTTPS, "1 . nosuch=1"),
        (T::LOC, "91 N 0 E 0"),
        (T::APL, "1:192.0.2.0/33"),
        (T::EUI48, "00-00-5e-00-53"),
        (T::NID, "10 2001:db8::1"),
        (T::IPSECKEY, "10 4 2 . AQID"),
        (T::A, "\\# 5 0102030405"),
        (T::A, "\\# 4 010203"),
        (T::A, "\\# 4 0102030"),
        (T::A, "\\#"),
        (T::NULL, "a"),
        (RecordType(65_280), "a\u{1b}[31m"),
        (T::A, "a\u{1b}[31m\u{202e}é"),
    ];
    let report: Vec<String> = cases
        .iter()
        .map(|(rtype, text)| {
            let clipped: String = text.chars().take(40).collect();
            format!("{rtype} {}\n  {}", clipped.escape_debug(), canonical(*rtype, text))
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn cuts_an_unsplit_dkim_key_and_loses_nothing() {
    let key: String = (0..400).map(|i| char::from(b'a' + (i % 26) as u8)).collect();
    let text = format!("\"v=DKIM1; k=rsa; p={key}\" \"tail\"");
    for rtype in [RecordType::TXT, RecordType::SPF] {
        let rdata = read(rtype, &text).unwrap();
        let record = crate::record::Record {
            owner: origin(),
            rtype,
            ttl: 1,
            rdata,
        };
        assert_eq!(record.joined_text(), format!("v=DKIM1; k=rsa; p={key}tail").as_bytes());
        assert_eq!(check_wire(rtype, &record.rdata), Ok(()));
    }
}

#[test]
fn finds_names_and_knows_which_may_be_compressed() {
    let find = |rtype: RecordType, text: &str| -> Vec<(String, bool)> {
        let rdata = read(rtype, text).unwrap();
        names_in(rtype, &rdata)
            .map(|(range, compressible)| (Name::from_wire(&rdata[range]).unwrap().to_string(), compressible))
            .collect()
    };
    let name = |text: &str, compressible| (format!("{text}.example.org."), compressible);
    assert_eq!(find(RecordType::MX, "10 a"), [name("a", true)]);
    assert_eq!(
        find(RecordType::SOA, "a b 1 2 3 4 5"),
        [name("a", true), name("b", true)]
    );
    assert_eq!(find(RecordType::SRV, "1 2 3 a"), [name("a", false)]);
    assert_eq!(find(RecordType::RP, "a b"), [name("a", false), name("b", false)]);
    assert_eq!(find(RecordType::NAPTR, "1 2 a b c d"), [name("d", false)]);
    assert_eq!(find(RecordType::HTTPS, "1 a alpn=h2"), [name("a", false)]);
    assert_eq!(find(RecordType::IPSECKEY, "1 3 2 gw AQID"), [name("gw", false)]);
    assert_eq!(
        find(RecordType::HIP, "2 ab AQID a b"),
        [name("a", false), name("b", false)]
    );
    assert_eq!(find(RecordType::TXT, "a"), []);
    assert_eq!(find(RecordType(65_280), "\\# 3 016100"), []);
}

#[test]
fn refuses_wire_form_that_does_not_fit_exactly() {
    for rtype in ALL {
        let rdata = read(*rtype, example(*rtype).unwrap()).unwrap();
        assert_eq!(check_wire(*rtype, &rdata), Ok(()));
        let mut cut = 0;
        for len in 0..rdata.len() {
            cut += usize::from(check_wire(*rtype, &rdata[..len]).is_err());
        }
        assert!(cut > 0, "{rtype} takes every truncation");
    }
    let compressed = [0, 10, 0xc0, 0x0c];
    assert!(check_wire(RecordType::MX, &compressed).is_err());
    assert_eq!(Rdata(RecordType::MX, &compressed).to_string(), "\\# 4 000ac00c");
    assert!(check_wire(RecordType::A, &[1, 2, 3, 4, 5]).is_err());
    assert!(check_wire(RecordType(65_280), &vec![0; 65_536]).is_err());
}

/// RDATA of the shape of `rtype` drawn from `entropy`; some of it does not fit.
fn drawn(rtype: RecordType, entropy: &[u8]) -> Vec<u8> {
    let mut octets = entropy.iter().copied().chain(std::iter::repeat(0));
    let mut next = move |most: u8| octets.next().unwrap_or(0) % most.max(1);
    let mut rdata = Vec::new();
    let Some(schema) = schema(rtype) else {
        return entropy.to_vec();
    };
    for field in schema.fields {
        let len = match wire::resolve(*field, &rdata) {
            Field::Name | Field::Names => {
                for _ in 0..next(4) {
                    let len = 1 + next(9);
                    rdata.push(len);
                    rdata.extend((0..len).map(|_| next(255)));
                }
                rdata.push(0);
                continue;
            }
            Field::U8 | Field::Algorithm | Field::DigestType | Field::Scheme => 1,
            Field::Relay => {
                rdata.push(next(4) | next(2) << 7);
                continue;
            }
            Field::U16 | Field::Type | Field::CertType => 2,
            Field::U32 | Field::Period | Field::Time | Field::Ipv4 => 4,
            Field::Locator => 8,
            Field::Ipv6 => 16,
            Field::Eui(len) => len,
            Field::String | Field::Strings | Field::OneOrTwoStrings | Field::Salt | Field::Hash => {
                let len = next(40);
                rdata.push(len);
                rdata.extend((0..len).map(|_| next(255)));
                continue;
            }
            Field::Tag => {
                rdata.extend_from_slice(b"\x03ab0");
                continue;
            }
            Field::Bitmap | Field::MaybeBitmap => {
                for window in 0..next(3) {
                    let len = 1 + next(32);
                    rdata.extend([window * 7, len]);
                    rdata.extend((1..len).map(|_| next(255)));
                    rdata.push(1 + next(255));
                }
                continue;
            }
            Field::SvcParams => {
                for key in 0..next(12) {
                    let len = [2, 4, 16][usize::from(next(3))];
                    rdata.extend([0, key, 0, len]);
                    rdata.extend((0..len).map(|_| next(4)));
                }
                continue;
            }
            Field::Prefixes => {
                for _ in 0..next(4) {
                    let len = next(5);
                    rdata.extend([0, 1 + next(2), next(33), len | next(2) << 7]);
                    rdata.extend((0..len).map(|_| 1 + next(255)));
                }
                continue;
            }
            Field::Location => {
                rdata.extend([0, 0x12, next(10) << 4 | next(10), 0x13]);
                rdata.extend([
                    0x80,
                    next(255),
                    next(255),
                    next(255),
                    0x7f,
                    next(255),
                    next(255),
                    next(255),
                ]);
                4
            }
            Field::HostIdentity => {
                let (hit, key) = (1 + next(20), 1 + next(20));
                rdata.extend([hit, 2, 0, key]);
                usize::from(hit) + usize::from(key)
            }
            Field::A6Suffix => {
                let prefix = next(129);
                rdata.push(prefix);
                let len = (128 - usize::from(prefix)).div_ceil(8);
                rdata.extend((0..len).map(|_| 0));
                0
            }
            Field::NxtBitmap => {
                rdata.extend([next(128), 1]);
                0
            }
            Field::Digest { .. } | Field::Hex | Field::Base64 | Field::MaybeBase64 | Field::DashBase64 => {
                [20, 32, 48][usize::from(next(3))]
            }
            Field::Text | Field::Nsap | Field::Services => usize::from(next(30)),
            Field::Nothing | Field::Absent | Field::Gateway { .. } | Field::A6Prefix => 0,
        };
        rdata.extend((0..len).map(|_| next(255)));
    }
    rdata
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn wire_form_survives_its_text_form(
        rtype in prop::sample::select(ALL.to_vec()),
        entropy in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let rdata = drawn(rtype, &entropy);
        let text = Rdata(rtype, &rdata).to_string();
        match check_wire(rtype, &rdata) {
            // Trailing zero octets of a WKS bitmap say nothing and are not kept.
            Ok(()) if rtype == RecordType::WKS => {
                let back = read(rtype, &text).unwrap();
                prop_assert!(rdata.starts_with(&back) && rdata[back.len()..].iter().all(|octet| *octet == 0));
            }
            Ok(()) => {
                let back = read(rtype, &text);
                prop_assert_eq!(back.as_deref(), Ok(&rdata[..]), "{} {}", rtype, text);
            }
            Err(_) => prop_assert!(text.starts_with("\\# ")),
        }
    }

    #[test]
    fn anything_at_all_is_checked_and_shown_without_a_panic(
        number in prop_oneof![0u16..300, any::<u16>()],
        rdata in prop::collection::vec(any::<u8>(), 0..80),
        text in "[ -~]{0,60}",
    ) {
        let rtype = RecordType(number);
        let shown = Rdata(rtype, &rdata).to_string();
        prop_assert!(shown.is_ascii());
        for (range, _) in names_in(rtype, &rdata) {
            prop_assert!(Name::from_wire(&rdata[range]).is_ok());
        }
        if let Ok(rdata) = read(rtype, &text) {
            prop_assert_eq!(check_wire(rtype, &rdata), Ok(()));
        }
    }
}
