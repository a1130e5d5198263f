//! Each rule of composing, the tutorial's zone as a whole, and what holds for any file and policy.

use super::*;
use crate::finding::Severity;
use crate::mail::fixture::*;

pub(super) fn policy(toml: &str) -> MailPolicy {
    toml::from_str(toml).unwrap()
}

pub(super) fn key(owner: &str, record: &str) -> ZoneKey {
    ZoneKey {
        owner: name(owner),
        record: record.into(),
        stage: KeyStage::Live,
        algorithm: None,
        source: format!("keys/{owner}"),
    }
}

/// Composes `example.org` from a SOA and `records`.
fn compose_org(records: &[Record], toml: &str, keys: &[ZoneKey]) -> Composition<'static> {
    let apex = name("example.org");
    let records = [&[soa("example.org")], records].concat();
    compose(&Sources::new(&apex, &records, &policy(toml), keys)).into_owned()
}

fn codes(composition: &Composition<'_>) -> Vec<&'static str> {
    composition.findings.iter().map(|f| f.code).collect()
}

/// What stands at a name, as text.
fn at(composition: &Composition<'_>, owner: &str) -> Vec<String> {
    let owner = name(owner);
    let there = composition.records.iter().filter(|r| r.owner == owner);
    there.map(|r| show(r).split_once(' ').unwrap().1.to_owned()).collect()
}

fn empty_names(composition: &Composition<'_>) -> Vec<String> {
    composition.empty_names.iter().map(ToString::to_string).collect()
}

const P_A: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const P_B: &str = "v=DKIM1; k=ed25519; p=AAAAAAKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

#[test]
fn without_policy_and_keys_a_zone_is_its_file() {
    let records = [
        txt("example.org", "v=spf1 mx -all"),
        type99("example.org", "v=spf1 mx -all"),
        txt("example.org", "site-verification"),
        mx("example.org", 10, "mail.example.org"),
        txt("_dmarc.example.org", "v=DMARC1; p=none"),
        txt("s._domainkey.example.org", P_A),
        a("*.example.org", "192.0.2.1"),
    ];
    let composition = compose_org(&records, "", &[]);
    assert!(composition.records[1..].iter().map(AsRef::as_ref).eq(&records));
    assert_eq!(composition.composed, []);
    assert_eq!(composition.findings, []);
    assert_eq!(composition.empty_names, []);
}

#[test]
fn the_tutorial_s_zone_is_composed_whole() {
    let apex = name("skyminds.net");
    let records = [
        soa("skyminds.net"),
        ns("skyminds.net", "ns.skyminds.net"),
        ns("skyminds.net", "ns.kimsufi.com"),
        mx("skyminds.net", 10, "mail.skyminds.net"),
        a("skyminds.net", "192.0.2.1"),
        aaaa("skyminds.net", "2001:db8::1"),
        a("ns.skyminds.net", "192.0.2.1"),
        a("mail.skyminds.net", "192.0.2.1"),
        a("www.skyminds.net", "192.0.2.1"),
        a("mta-sts.skyminds.net", "192.0.2.1"),
    ];
    let policy = policy(
        r#"
        never = ["www"]
        [spf]
        record = "v=spf1 ip4:192.0.2.1 mx -all"
        type99 = true
        hosts = { mail = "v=spf1 ip4:192.0.2.1 a -all" }
        [dmarc]
        policy = "quarantine"
        rua = ["mailto:dmarc@skyminds.net", "mailto:reports@example.net"]
        [dkim]
        domainkeys_policy = "t=y; o=-;"
        adsp = "unknown"
        [sender_id]
        record = "spf2.0/pra ip4:192.0.2.1 mx -all"
        [tls_rpt]
        rua = ["mailto:tls@skyminds.net"]
        [mta_sts]
        mode = "enforce"
        [bimi]
        location = "https://skyminds.net/logo.svg"
        [caa]
        issue = ["letsencrypt.org"]
        [services]
        submissions = "mail"
        imaps = "mail"
        pop3s = false
        autoconfig = "mail"
        "#,
    );
    let keys = [key("mail._domainkey.skyminds.net", P_A)];
    let composition = compose(&Sources::new(&apex, &records, &policy, &keys));
    let mut report = String::new();
    for record in &composition.records[records.len()..] {
        report += &format!("{}\n", show(record));
    }
    for made in &composition.composed {
        report += &format!("{} {} {} from {}\n", made.what, made.owner, made.rtype, made.from);
    }
    for finding in &composition.findings {
        report += &format!("{:?} {}: {finding}\n", finding.severity, finding.code);
    }
    insta::assert_snapshot!(report);
    for owner in ["skyminds.net", "mail.skyminds.net"] {
        let spf: Vec<_> = composition
            .records
            .iter()
            .filter(|r| r.owner == name(owner) && mail::is_spf(&r.joined_text()))
            .collect();
        let [txt, old] = &spf[..] else {
            panic!("{owner} has {spf:?}")
        };
        assert_eq!((txt.rtype, old.rtype), (RecordType::TXT, RecordType::SPF));
        assert_eq!((&txt.rdata, txt.ttl), (&old.rdata, old.ttl));
    }
}

#[test]
fn a_key_replaces_the_static_record_of_its_selector() {
    let same = P_A.replace("; p=", "; t=s; p=");
    let composition = compose_org(
        &[txt("s._domainkey.example.org", &same)],
        "",
        &[key("s._domainkey.example.org", P_A)],
    );
    assert_eq!(at(&composition, "s._domainkey.example.org"), [format!("TXT {P_A:?}")]);
    assert_eq!(codes(&composition), [] as [&str; 0], "the same key is silent");
    assert_eq!(composition.composed.len(), 1);

    let records = [
        txt("s._domainkey.example.org", P_B),
        txt("s._domainkey.example.org", "chatter"),
    ];
    let composition = compose_org(&records, "", &[key("s._domainkey.example.org", P_A)]);
    assert_eq!(at(&composition, "s._domainkey.example.org"), [format!("TXT {P_A:?}")]);
    assert_eq!(codes(&composition), ["dkim-static-shadowed"]);
}

#[test]
fn a_key_that_the_file_has_already_composes_nothing() {
    let composition = compose_org(
        &[txt("s._domainkey.example.org", P_A)],
        "",
        &[key("s._domainkey.example.org", P_A)],
    );
    assert_eq!(composition.composed, []);
}

#[test]
fn a_cname_at_a_selector_stays() {
    let composition = compose_org(
        &[cname("s._domainkey.example.org", "s.example.net")],
        "",
        &[key("s._domainkey.example.org", P_A)],
    );
    assert_eq!(at(&composition, "s._domainkey.example.org").len(), 1);
    assert_eq!(composition.composed, []);
    assert_eq!(codes(&composition), ["compose-beside-cname"]);
}

#[test]
fn nothing_is_put_where_it_would_not_be_seen() {
    let records = [
        ns("child.example.org", "ns.example.net"),
        dname("moved.example.org", "example.net"),
        ns("_domainkey.example.org", "ns.example.net"),
    ];
    let keys = [
        key("s._domainkey.child.example.org", P_A),
        key("s._domainkey.moved.example.org", P_A),
        key("s._domainkey.example.org", P_A),
        key("s._domainkey.example.net", P_A),
    ];
    let composition = compose_org(&records, "", &keys);
    assert_eq!(composition.composed, []);
    assert_eq!(
        codes(&composition),
        [
            "compose-below-cut",
            "compose-below-dname",
            "compose-below-cut",
            "compose-out-of-zone"
        ]
    );
    assert_eq!(composition.empty_names, [], "a delegated _domainkey is the child's");
}

#[test]
fn the_stage_of_a_key_is_told() {
    let mut keys = [
        key("a._domainkey.example.org", P_A),
        key("b._domainkey.example.org", "v=DKIM1; p="),
    ];
    keys[0].stage = KeyStage::Retiring;
    keys[1].stage = KeyStage::Revoked;
    let composition = compose_org(&[], "", &keys);
    let from: Vec<_> = composition.composed.iter().map(|c| c.from.as_str()).collect();
    assert_eq!(
        from,
        [
            "keys/a._domainkey.example.org, retiring",
            "keys/b._domainkey.example.org, revoked"
        ]
    );
    assert_eq!(at(&composition, "b._domainkey.example.org"), ["TXT \"v=DKIM1; p=\""]);
}

#[test]
fn two_keys_of_one_selector_give_one_record() {
    let keys = [
        key("s._domainkey.example.org", P_A),
        key("s._domainkey.example.org", P_B),
    ];
    let composition = compose_org(&[], "", &keys);
    assert_eq!(at(&composition, "s._domainkey.example.org"), [format!("TXT {P_A:?}")]);
    assert_eq!(codes(&composition), ["compose-twice"]);
}

#[test]
fn policy_replaces_its_own_kind_and_leaves_other_text_alone() {
    let records = [
        txt("example.org", "site-verification"),
        txt("example.org", "v=spf1 a -all"),
        txt("example.org", "spf2.0/pra a -all"),
        txt("_dmarc.example.org", "v=DMARC1; p=none"),
    ];
    let toml = "spf = 'v=spf1 ip4:192.0.2.1 -all'\ndmarc = 'v=DMARC1; p=reject'";
    let composition = compose_org(&records, toml, &[]);
    assert_eq!(
        at(&composition, "example.org")[1..],
        [
            "TXT \"site-verification\"",
            "TXT \"v=spf1 ip4:192.0.2.1 -all\"",
            "TXT \"spf2.0/pra a -all\""
        ]
    );
    assert_eq!(at(&composition, "_dmarc.example.org"), ["TXT \"v=DMARC1; p=reject\""]);
    assert_eq!(codes(&composition), ["policy-over-file"; 2]);
}

#[test]
fn gap_fillers_give_way_to_the_file() {
    let records = [
        mx("example.org", 10, "mail.example.org"),
        a("mail.example.org", "192.0.2.1"),
        txt("mail.example.org", "v=spf1 a -all"),
        a("www.example.org", "192.0.2.2"),
        mx("www.example.org", 10, "mail.example.org"),
        record("_imaps._tcp.example.org", RecordType::SRV, *b"\0\0\0\0\x03\xe1\0"),
        record("example.org", RecordType::CAA, *b"\0\x05issueca.example.net"),
        a("autoconfig.example.org", "192.0.2.3"),
    ];
    let toml = "spf = 'auto'\nnever = ['www']\ncaa = { issue = ['letsencrypt.org'], iodef = ['mailto:ca@example.org'] }\n\
                services = { imaps = 'mail', submissions = 'mail', autoconfig = 'mail' }";
    let composition = compose_org(&records, toml, &[]);
    assert_eq!(
        at(&composition, "mail.example.org"),
        ["A \\xc0\\x00\\x02\\x01", "TXT \"v=spf1 a -all\""]
    );
    let what: Vec<_> = composition
        .composed
        .iter()
        .map(|c| format!("{} {}", c.what, c.owner))
        .collect();
    assert_eq!(
        what,
        [
            "SPF example.org.",
            "SPF www.example.org.",
            "CAA example.org.",
            "SRV _submissions._tcp.example.org."
        ]
    );
    assert_eq!(codes(&composition), [] as [&str; 0]);
}

#[test]
fn a_ttl_is_the_policy_s_else_the_replaced_one_s_else_an_hour() {
    let ttl = |records: &[Record], toml: &str| {
        let composition = compose_org(records, toml, &[]);
        let spf = composition.records.iter().find(|r| mail::is_spf(&r.joined_text()));
        spf.unwrap().ttl
    };
    let timed = |text: &str, ttl: u32| Record {
        ttl,
        ..txt("example.org", text)
    };
    assert_eq!(ttl(&[], "spf = 'v=spf1 -all'"), DEFAULT_TTL);
    assert_eq!(ttl(&[timed("v=spf1 mx -all", 60)], "spf = 'v=spf1 -all'"), 60);
    assert_eq!(
        ttl(
            &[timed("v=spf1 mx -all", 60)],
            "spf = { record = 'v=spf1 -all', ttl = 300 }"
        ),
        300
    );
    assert_eq!(
        ttl(
            &[timed("site-verification", 60)],
            "spf = { record = 'v=spf1 -all', ttl = 300 }"
        ),
        60,
        "one RRset has one TTL"
    );
}

#[test]
fn of_two_in_the_file_the_first_stays() {
    let records = [
        txt("example.org", "v=spf1 mx -all"),
        txt("example.org", "v=spf1 a -all"),
        txt("_dmarc.example.org", "v=DMARC1; p=none"),
        txt("_dmarc.example.org", "v=DMARC1; p=none"),
        txt("_dmarc.example.org", "v=DMARC1; p=reject"),
        txt("s._domainkey.example.org", P_A),
        txt("s._domainkey.example.org", P_B),
    ];
    let composition = compose_org(&records, "", &[]);
    assert_eq!(at(&composition, "example.org")[1..], ["TXT \"v=spf1 mx -all\""]);
    assert_eq!(at(&composition, "_dmarc.example.org"), ["TXT \"v=DMARC1; p=none\""]);
    assert_eq!(at(&composition, "s._domainkey.example.org"), [format!("TXT {P_A:?}")]);
    let twice = codes(&composition).iter().filter(|c| **c == "record-twice").count();
    assert_eq!(twice, 3);
    assert_eq!(composition.composed.len(), 3, "the zone departs from its file");
}

#[test]
fn type_99_equals_the_txt_or_is_absent() {
    let spf_at = |composition: &Composition<'_>| at(composition, "example.org")[1..].to_vec();
    let txt_mx = txt("example.org", "v=spf1 mx -all");
    let old_a = type99("example.org", "v=spf1 a -all");

    let composition = compose_org(&[txt_mx.clone(), old_a.clone()], "", &[]);
    assert_eq!(
        spf_at(&composition),
        ["TXT \"v=spf1 mx -all\"", "SPF \"v=spf1 mx -all\""]
    );
    assert!(codes(&composition).contains(&"spf-type99-differs"));

    let composition = compose_org(std::slice::from_ref(&old_a), "", &[]);
    assert_eq!(spf_at(&composition), ["SPF \"v=spf1 a -all\"", "TXT \"v=spf1 a -all\""]);
    assert!(codes(&composition).contains(&"spf-type99-alone"));

    let composition = compose_org(std::slice::from_ref(&txt_mx), "spf = { type99 = true }", &[]);
    assert_eq!(
        spf_at(&composition),
        ["TXT \"v=spf1 mx -all\"", "SPF \"v=spf1 mx -all\""]
    );

    let composition = compose_org(&[txt_mx.clone(), old_a.clone()], "spf = { type99 = false }", &[]);
    assert_eq!(spf_at(&composition), ["TXT \"v=spf1 mx -all\""]);

    let composition = compose_org(&[txt_mx, old_a], "spf = 'v=spf1 -all'", &[]);
    assert_eq!(spf_at(&composition), ["TXT \"v=spf1 -all\"", "SPF \"v=spf1 -all\""]);
    assert!(!codes(&composition).contains(&"spf-type99-differs"));
}

#[test]
fn wildcards_are_kept_out_of_the_names_of_mail() {
    let records = [
        txt("*.example.org", "anything"),
        txt("_dmarc.example.org", "v=DMARC1; p=none"),
    ];
    let composition = compose_org(&records, "", &[key("s._domainkey.example.org", P_A)]);
    assert_eq!(
        empty_names(&composition),
        ["_bimi.example.org.", "_mta-sts.example.org.", "_smtp._tls.example.org."]
    );
    assert_eq!(codes(&composition), ["wildcard-kept-out"]);

    let composition = compose_org(&[], "dmarc = 'v=DMARC1; p=none'", &[]);
    assert_eq!(empty_names(&composition), ["_domainkey.example.org."]);
    assert_eq!(codes(&composition), [] as [&str; 0]);

    let written = [txt("*.example.org", "anything"), txt("*._domainkey.example.org", P_A)];
    let composition = compose_org(&written, "dmarc = 'v=DMARC1; p=none'", &[]);
    assert!(!empty_names(&composition).contains(&"_domainkey.example.org.".into()));
}

#[test]
fn a_zone_that_is_itself_a_domainkey_gets_no_names_of_its_own() {
    let apex = name("_domainkey.example.org");
    let records = [soa("_domainkey.example.org")];
    let keys = [key("s._domainkey.example.org", P_A)];
    let policy = policy("");
    let composition = compose(&Sources::new(&apex, &records, &policy, &keys));
    assert_eq!(composition.records.len(), 2);
    assert_eq!(composition.empty_names, []);
}

#[test]
fn a_key_below_a_wildcard_does_not_silence_it() {
    let records = [a("*.example.org", "192.0.2.1"), txt("*.example.org", "anything")];
    let composition = compose_org(&records, "", &[key("s._domainkey.news.example.org", P_A)]);
    for owner in ["news.example.org", "*.news.example.org"] {
        assert_eq!(
            at(&composition, owner),
            ["A \\xc0\\x00\\x02\\x01", "TXT \"anything\""],
            "{owner}"
        );
    }
    assert!(empty_names(&composition).contains(&"_dmarc.news.example.org.".into()));
    let copies = composition.composed.iter().filter(|c| c.what == "wildcard copy");
    assert_eq!(copies.count(), 4);
}

#[test]
fn a_host_that_only_a_wildcard_answers_for_gets_no_spf() {
    let toml = "[spf.hosts]\nmail = 'v=spf1 a -all'";
    let composition = compose_org(&[a("*.example.org", "192.0.2.1")], toml, &[]);
    assert_eq!(composition.composed, []);
    assert_eq!(codes(&composition), ["compose-hides-wildcard"]);
}

#[test]
fn receivers_served_here_let_reports_come() {
    let apex = name("example.net");
    let records = [soa("example.net")];
    let reports = [ReportAuthorization {
        sender: name("example.org"),
        receiver: name("reports.example.net"),
    }];
    let none = policy("");
    let mut sources = Sources::new(&apex, &records, &none, &[]);
    sources.reports = &reports;
    let composition = compose(&sources);
    assert_eq!(
        at(&composition, "example.org._report._dmarc.reports.example.net"),
        ["TXT \"v=DMARC1\""]
    );
    assert_eq!(codes(&composition), [] as [&str; 0]);

    let everybody = [
        soa("example.net"),
        txt("*._report._dmarc.reports.example.net", "v=DMARC1"),
    ];
    sources.records = &everybody;
    assert_eq!(compose(&sources).composed, [], "a wildcard gives leave already");
}

#[test]
fn foreign_receivers_are_told_of_unless_served_here() {
    let apex = name("example.org");
    let records = [soa("example.org")];
    let toml = policy("dmarc = 'v=DMARC1; p=none; rua=mailto:d@reports.example.net'");
    let mut sources = Sources::new(&apex, &records, &toml, &[]);
    let alone = compose(&sources);
    assert_eq!(codes(&alone), ["dmarc-foreign-receiver"]);
    let what = &alone.findings[0].what;
    assert!(
        what.contains("example.org._report._dmarc.reports.example.net. TXT"),
        "{what}"
    );
    let hosted = |apex: &Name| *apex == name("example.net");
    sources.hosted = &hosted;
    assert_eq!(codes(&compose(&sources)), [] as [&str; 0]);
}

#[test]
fn findings_name_the_line_of_the_file_or_the_policy() {
    let apex = name("example.org");
    let records = [
        soa("example.org"),
        txt("example.org", " v=spf1 -all"),
        txt("_dmarc.example.org", "v=DMARC1; p=none; pct=5"),
    ];
    let files = [PathBuf::from("zones/example.org.zone")];
    let of_policy = Place::file("zones/example.org.toml");
    let policy = policy("spf = 'v=spf1 +all'");
    let mut sources = Sources::new(&apex, &records, &policy, &[]);
    sources.places = &[(0, 1), (0, 7), (0, 9)];
    sources.files = &files;
    sources.policy_place = Some(&of_policy);
    let composition = compose(&sources);
    let places: Vec<_> = composition
        .findings
        .iter()
        .map(|f| format!("{} {}", f.code, f.place.as_ref().unwrap()))
        .collect();
    assert_eq!(
        places,
        [
            "spf-leading-blank zones/example.org.zone:7",
            "dmarc-tag-gone zones/example.org.zone:9",
            "spf-all-pass zones/example.org.toml"
        ]
    );
    assert!(composition.findings.iter().all(|f| f.severity == Severity::Warning));
}

#[test]
fn a_static_key_with_a_broken_hash_is_warned_of_and_mended_by_its_key() {
    let broken = P_A.replace("k=", "h=rsa-sha256; k=");
    let records = [txt("s._domainkey.example.org", &broken)];
    assert_eq!(codes(&compose_org(&records, "", &[])), ["dkim-hash"]);
    let mended = compose_org(&records, "", &[key("s._domainkey.example.org", P_A)]);
    assert_eq!(codes(&mended), [] as [&str; 0]);
}

#[test]
fn a_misplaced_dmarc_record_is_told_of() {
    let composition = compose_org(&[txt("example.org", "v=DMARC1; p=none")], "", &[]);
    assert_eq!(codes(&composition), ["dmarc-misplaced"]);
}

#[test]
fn what_a_closer_zone_holds_is_left_to_it() {
    let apex = name("example.org");
    let records = [soa("example.org"), ns("_dmarc.example.org", "ns1.example.net")];
    let policy = policy("spf = 'v=spf1 -all'\ndmarc = 'v=DMARC1; p=none'\n[tls_rpt]\nrua = ['t@example.org']");
    let closer = [name("_dmarc.example.org"), name("_tls.example.org")];
    let reports = [ReportAuthorization {
        sender: name("example.net"),
        receiver: apex.clone(),
    }];
    let composition = compose(&Sources {
        hosted: &|name| closer.contains(name),
        reports: &reports,
        ..Sources::new(&apex, &records, &policy, &[])
    })
    .into_owned();
    assert_eq!(composition.records.len(), 3, "{composition:?}");
    assert_eq!(at(&composition, "example.org")[1..], [r#"TXT "v=spf1 -all""#]);
    assert_eq!(
        codes(&composition),
        ["compose-in-closer-zone", "compose-in-closer-zone"]
    );
}

#[test]
fn a_part_of_a_domain_has_its_keys_and_lets_reports_come() {
    let policy = policy("spf = 'v=spf1 -all'\ndmarc = 'v=DMARC1; p=none; rua=mailto:d@reports.example.net'");
    let made = |apex: &str, keys: &[ZoneKey], reports: &[ReportAuthorization]| {
        let (apex, records) = (name(apex), [soa(apex)]);
        compose(&Sources {
            reports,
            default_ttl: 60,
            ..Sources::new(&apex, &records, &policy, keys)
        })
        .into_owned()
    };
    let keys = made("_domainkey.example.org", &[key("s._domainkey.example.org", P_A)], &[]);
    assert_eq!(at(&keys, "s._domainkey.example.org"), [format!("TXT {P_A:?}")]);
    assert_eq!((keys.records.len(), keys.records[1].ttl), (2, 60));
    assert_eq!((keys.findings, keys.empty_names), (vec![], vec![]));
    let leave = [ReportAuthorization {
        sender: name("example.com"),
        receiver: name("example.org"),
    }];
    let dmarc = made("_dmarc.example.org", &[], &leave);
    assert_eq!(
        at(&dmarc, "example.com._report._dmarc.example.org"),
        [r#"TXT "v=DMARC1""#]
    );
    assert_eq!(at(&dmarc, "_dmarc.example.org").len(), 2);
    assert_eq!(codes(&dmarc), ["dmarc-foreign-receiver"]);
}
