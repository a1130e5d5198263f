//! Policies as operators write them, the records they ask for, and every lint.

use super::fixture::*;
use super::*;
use crate::finding::Severity;
use crate::record::Record;

fn policy(toml: &str) -> MailPolicy {
    toml::from_str(toml).unwrap()
}

fn refusal(toml: &str) -> String {
    toml::from_str::<MailPolicy>(toml).unwrap_err().to_string()
}

fn asked(toml: &str, records: &[Record]) -> Vec<String> {
    let apex = name("example.org");
    let (wanted, _) = wanted(&policy(toml), &ZoneView::new(&apex, records));
    wanted.iter().map(|w| show(&w.record(0))).collect()
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|f| f.code).collect()
}

fn spf_codes(text: &str, others: &[Record]) -> Vec<&'static str> {
    let apex = name("example.org");
    let mut records = others.to_vec();
    records.push(txt("example.org", text));
    let findings = spf::lint::lint(&ZoneView::new(&apex, &records), records.last().unwrap());
    codes(&findings)
}

#[test]
fn nothing_configured_asks_for_nothing() {
    assert_eq!(policy(""), MailPolicy::default());
    assert_eq!(asked("", &[mx("example.org", 10, "mail.example.org")]), [] as [&str; 0]);
    let rotation = MailPolicy::default().dkim.rotation;
    assert_eq!(
        (rotation.retire.as_secs(), rotation.forget.as_secs()),
        (7 * 86_400, 30 * 86_400)
    );
}

#[test]
fn every_documented_option_is_read() {
    let records = [
        mx("example.org", 10, "mail.example.org"),
        a("mail.example.org", "192.0.2.1"),
        a("www.example.org", "192.0.2.2"),
    ];
    let asked = asked(
        r#"
        never = ["www"]
        [spf]
        ip4 = ["192.0.2.1", "198.51.100.0/24"]
        ip6 = ["2001:db8::25"]
        a = true
        mx = ["example.net"]
        include = ["_spf.example.net"]
        exists = ["%{i}._spf.example.org"]
        all = "~"
        type99 = true
        ttl = "1h"
        [spf.hosts]
        mail = "v=spf1 ip4:192.0.2.1 a -all"
        "lists.example.org" = { mx = true, all = "?all", ttl = 60 }
        self = "auto"
        [dmarc]
        policy = "quarantine"
        subdomain_policy = "reject"
        nonexistent_policy = "reject"
        rua = ["mailto:dmarc@example.org", "dmarc@example.net"]
        ruf = ["mailto:dmarc@example.org"]
        adkim = "relaxed"
        aspf = "s"
        fo = "1:d"
        testing = true
        psd = "n"
        ttl = 300
        [tls_rpt]
        rua = ["mailto:tls@example.org", "https://example.org/tls"]
        [mta_sts]
        mode = "testing"
        mx = ["*.example.org"]
        max_age = "1w"
        id = "20260101"
        [bimi]
        selector = "brand"
        location = "https://example.org/logo.svg"
        authority = "https://example.org/vmc.pem"
        [dkim]
        ttl = "5m"
        domainkeys_policy = "t=y; o=-;"
        adsp = "discardable"
        rotation = { retire = "2s", forget = "90m" }
        [sender_id]
        record = "spf2.0/pra,mfrom mx -all"
        [caa]
        issue = ["letsencrypt.org", "ca.example.net; accounturi=https://ca.example.net/1"]
        issuewild = []
        issuemail = []
        iodef = ["mailto:ca@example.org"]
        [services]
        submissions = "mail"
        submission = "mail:2587"
        imaps = "imap.example.net"
        pop3s = false
        autoconfig = "mail"
        autodiscover = "mail"
        "#,
        &records,
    );
    insta::assert_snapshot!(asked.join("\n"));
}

#[test]
fn short_forms_mean_the_table_s_record() {
    assert_eq!(
        policy("spf = 'v=spf1 mx -all'").spf,
        policy("[spf]\nrecord = 'v=spf1 mx -all'").spf
    );
    assert_eq!(policy("spf = 'auto'").spf.record, Some(spf::SpfText::Auto));
    assert_eq!(policy("spf = ''").spf, Default::default());
    assert_eq!(
        policy("spf = { record = '', mx = true }").spf,
        policy("spf = { mx = true }").spf
    );
    assert_eq!(asked("dmarc = 'v=DMARC1; p=none'", &[]).len(), 1);
    assert_eq!(asked("dmarc = { record = '', policy = 'none' }", &[]).len(), 0);
    assert_eq!(
        asked("spf = 'v=spf1 mx -all'\nsender_id = 'auto'", &[])[1],
        "example.org. TXT \"spf2.0/pra mx -all\""
    );
    assert_eq!(
        asked("sender_id = 'auto'", &[txt("example.org", "v=spf1 a -all")]),
        ["example.org. TXT \"spf2.0/pra a -all\""]
    );
}

#[test]
fn parts_make_the_same_bytes_whatever_their_order_in_the_file() {
    for toml in [
        "[spf]\nmx = true\nip4 = ['192.0.2.1']",
        "[spf]\nip4 = ['192.0.2.1']\nmx = true\nall = '-all'",
    ] {
        assert_eq!(asked(toml, &[]), ["example.org. TXT \"v=spf1 ip4:192.0.2.1 mx -all\""]);
    }
    assert_eq!(
        asked("[spf]\nredirect = '_spf.example.net'", &[]),
        ["example.org. TXT \"v=spf1 redirect=_spf.example.net\""]
    );
    assert_eq!(
        asked("[dmarc]\nrua = ['dmarc@example.org']", &[]),
        ["_dmarc.example.org. TXT \"v=DMARC1; p=none; rua=mailto:dmarc@example.org\""]
    );
}

#[test]
fn mistakes_are_refused_at_their_line_with_advice() {
    let refusals: Vec<String> = [
        "spf = 'v=spf1 ipv4:192.0.2.1 -all'",
        "[spf]\ntype99 = true\nrecord = 'v=spf1 include -all'",
        "spf = 5",
        "[spf]\nip4 = ['2001:db8::1']",
        "[spf]\nrecord = 'v=spf1 -all'\nmx = true",
        "[spf]\nall = '-'\nredirect = 'example.net'",
        "[spf]\nall = 'never'",
        "[spf]\na = 'mail'",
        "[spf]\nincldue = ['example.net']",
        "[spf.hosts]\nmail = { type99 = true }",
        "[spf.hosts]\n'a..b' = 'auto'",
        "[dmarc]\npolicy = 'quarentine'",
        "[dmarc]\npct = 50",
        "[dmarc]\nri = 3600",
        "[dmarc]\nrf = 'afrf'",
        "[dmarc]\nrua = ['dmarc']",
        "[dmarc]\nfo = '2'",
        "dmarc = 'v=dmarc1; p=none'",
        "[tls_rpt]\nrua = ['mailto:a@example.org;b']",
        "[bimi]\nlocation = 'http://example.org/logo.svg'",
        "[bimi]\nselector = 'a..b'",
        "[dkim]\nadsp = 'some'",
        "[dkim]\ndomainkeys_policy = 'hello'",
        "[dkim.rotation]\nretire = 7",
        "[dkim]\nttl = '100y'",
        "[dkim]\nttl = -1",
        "sender_id = 'spf2.0/all -all'",
        "[caa]\nissue = ['']",
        "[services]\nimaps = true",
        "[services]\nimaps = 'mail:x'",
        "never = ['']",
        "dkmi = {}",
    ]
    .iter()
    .map(|toml| format!("{}\n", refusal(toml).trim_end()))
    .collect();
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn auto_gives_each_mx_host_a_helo_identity() {
    let records = [
        mx("example.org", 10, "mail.example.org"),
        mx("example.org", 20, "mx.example.net"),
        a("mail.example.org", "192.0.2.1"),
        aaaa("mail.example.org", "2001:db8::1"),
    ];
    assert_eq!(
        asked("spf = 'auto'", &records),
        [
            "example.org. TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 mx -all\"",
            "mail.example.org. TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all\"",
        ]
    );
    assert_eq!(
        asked("[spf]\nrecord = 'auto'\nhosts = { mail = '' }", &records).len(),
        1
    );
}

#[test]
fn a_zone_that_sends_nothing_says_so_everywhere() {
    let records = [a("www.example.org", "192.0.2.2"), a("*.example.org", "192.0.2.3")];
    let toml =
        "sends = false\nspf = 'auto'\n[dmarc]\npolicy = 'none'\nsubdomain_policy = 'none'\nrua = ['d@example.org']";
    insta::assert_snapshot!(asked(toml, &records).join("\n"));
    let toml = "sends = false\ndmarc = 'v=DMARC1; p=none; rua=mailto:d@example.net'";
    assert_eq!(
        report_destinations(&policy(toml), &name("example.org")),
        [name("example.net")]
    );
}

#[test]
fn never_wants_hosts_with_addresses() {
    let apex = name("example.org");
    let records = [a("*.example.org", "192.0.2.3"), cname("www.example.org", "example.net")];
    let toml = "never = ['www', 'ftp', 'ftp.example.net.']";
    let (asked, findings) = wanted(&policy(toml), &ZoneView::new(&apex, &records));
    assert!(asked.is_empty());
    assert_eq!(
        codes(&findings),
        ["never-no-address", "never-no-address", "policy-name-out-of-zone"]
    );
}

#[test]
fn the_historic_three_come_with_a_note() {
    let apex = name("example.org");
    let toml = "sender_id = 'spf2.0/pra -all'\n[dkim]\nadsp = 'unknown'\ndomainkeys_policy = 'o=~'";
    let (asked, findings) = wanted(&policy(toml), &ZoneView::new(&apex, &[]));
    assert_eq!(asked.len(), 3);
    assert!(
        findings
            .iter()
            .all(|f| f.code == "historic" && f.severity == Severity::Note)
    );
    let (asked, findings) = wanted(&policy("sender_id = 'auto'"), &ZoneView::new(&apex, &[]));
    assert!(asked.is_empty());
    assert_eq!(codes(&findings), ["sender-id-no-spf"]);
}

#[test]
fn reports_to_other_organizations_are_known() {
    let destinations = |toml: &str| {
        let all = report_destinations(&policy(toml), &name("example.org"));
        all.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        destinations("[dmarc]\nrua = ['a@Example.net', 'b@r.example.org']\nruf = ['c@example.com', 'd@example.net']"),
        ["example.com.", "example.net."]
    );
    assert_eq!(
        destinations("dmarc = 'v=DMARC1; p=none; rua=mailto:a@example.net!10m'"),
        ["example.net."]
    );
    assert_eq!(destinations(""), [] as [&str; 0]);
    assert_eq!(
        dmarc::authorization_owner(&name("example.org"), &name("example.net")),
        Some(name("example.org._report._dmarc.example.net"))
    );
}

#[test]
fn spf_lint_knows_each_ill() {
    assert_eq!(spf_codes("v=spf1 ip4:192.0.2.1 -all", &[]), [] as [&str; 0]);
    assert_eq!(spf_codes("v=spf1 ip4:192.0.2", &[]), ["spf-syntax"]);
    assert_eq!(spf_codes("v=spf1 ip4:192.0.2.1", &[]), ["spf-no-all"]);
    assert_eq!(spf_codes("v=spf1 +all", &[]), ["spf-all-pass"]);
    assert_eq!(spf_codes("v=spf1 -all ip4:192.0.2.1", &[]), ["spf-after-all"]);
    assert_eq!(spf_codes("v=spf1 -all redirect=example.net", &[]), ["spf-after-all"]);
    assert_eq!(spf_codes("v=spf1 ?all exp=why.example.org", &[]), [] as [&str; 0]);
    assert_eq!(spf_codes("v=spf1 ptr:example.net -all", &[]), ["spf-ptr"]);
    assert_eq!(
        spf_codes("v=spf1 a:x.example.org a:y.example.org mx:z.example.org -all", &[]),
        ["spf-void-lookups"]
    );
    assert_eq!(
        spf_codes("v=spf1 include:x.example.org -all", &[]),
        ["spf-include-missing"]
    );
    assert_eq!(spf_codes("v=spf1 include:example.org -all", &[]), ["spf-include-loop"]);
    let many = format!("v=spf1{} -all", " ip4:192.0.2.255".repeat(30));
    assert_eq!(spf_codes(&many, &[]), ["spf-long"]);
    let crowd: Vec<_> = (0..11)
        .map(|i| mx("example.org", i, &format!("m{i}.example.net")))
        .collect();
    assert_eq!(spf_codes("v=spf1 mx -all", &crowd), ["spf-mx-names"]);
}

#[test]
fn spf_lookups_are_counted_through_our_own_includes() {
    let others = [
        txt(
            "_spf.example.org",
            "v=spf1 include:a.example.net include:b.example.net ~all",
        ),
        txt(
            "_deep.example.org",
            "v=spf1 include:_spf.example.org exists:%{i}.example.net -all",
        ),
    ];
    let apex = name("example.org");
    let cost = spf::lint::cost(
        &ZoneView::new(&apex, &others),
        &apex,
        "v=spf1 include:_deep.example.org redirect=_spf.example.org",
    );
    assert_eq!((cost.lookups, cost.void), (8, 0));
    assert_eq!(cost.foreign.len(), 4);
    let foreign = |count: usize| {
        let terms: String = (0..count).map(|i| format!(" include:i{i}.example.net")).collect();
        format!("v=spf1{terms} -all")
    };
    assert_eq!(spf_codes(&foreign(11), &[]), ["spf-lookups"]);
    assert_eq!(spf_codes(&foreign(10), &[]), ["spf-lookups-near"]);
    assert_eq!(spf_codes(&foreign(5), &[]), [] as [&str; 0]);
    assert_eq!(spf_codes("v=spf1 -all include:a.example.net", &[]), ["spf-after-all"]);
}

#[test]
fn dmarc_lint_knows_each_ill() {
    let lint = |text: &str| codes(&dmarc::lint(&name("_dmarc.example.org"), text));
    assert_eq!(
        lint("v=DMARC1; p=reject; np=reject; adkim=s; t=y; psd=n; rua=mailto:a@example.org;"),
        [] as [&str; 0]
    );
    assert_eq!(lint("v=dmarc1; p=none"), ["dmarc-syntax"]);
    assert_eq!(lint("p=none; v=DMARC1"), ["dmarc-syntax"]);
    assert_eq!(lint("v=DMARC1; p=quarentine"), ["dmarc-syntax"]);
    assert_eq!(lint("v=DMARC1; p=none; t=yes"), ["dmarc-syntax"]);
    assert_eq!(
        lint("v=DMARC1; p=none; pct=50; rf=afrf; ri=3600"),
        ["dmarc-tag-gone"; 3]
    );
    assert_eq!(lint("v=DMARC1; p=none; ra=mailto:a@example.org"), ["dmarc-tag-unknown"]);
    assert_eq!(
        lint("v=DMARC1; p=none; rua=mailto:a@example.org!10m"),
        ["dmarc-size-limit"]
    );
    assert_eq!(lint("v=DMARC1; p=none; rua=a@example.org"), ["dmarc-report-address"]);
    assert_eq!(lint("v=DMARC1; rua=mailto:a@example.org"), ["dmarc-no-policy"]);
}

#[test]
fn dkim_lint_knows_each_ill() {
    let lint = |text: &str| codes(&dkim::lint(&name("s._domainkey.example.org"), text.as_bytes()));
    let ed25519 = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    assert_eq!(
        lint(&format!("v=DKIM1; k=ed25519; h=sha256; p={ed25519}")),
        [] as [&str; 0]
    );
    assert_eq!(lint("v=DKIM1; p="), [] as [&str; 0], "a revoked key is fine");
    assert_eq!(lint("v=DKIM1; h=rsa-sha256; p="), ["dkim-hash"]);
    assert_eq!(lint("v=DKIM1; h=sha1; p="), ["dkim-hash"]);
    assert_eq!(lint("k=rsa; v=DKIM1; p="), ["dkim-version"]);
    assert_eq!(lint("v=DKIM2; p="), ["dkim-version"]);
    assert_eq!(lint("v=DKIM1; k=rsa"), ["dkim-no-key"]);
    assert_eq!(lint("v=DKIM1; p=MII*"), ["dkim-key-unreadable"]);
    assert_eq!(lint("v=DKIM1; k=ed25519; p=AAAA"), ["dkim-key-unreadable"]);
    assert_eq!(lint("v=DKIM1; k=dsa; p=AAAA"), ["dkim-key-type"]);
    // The 1024-bit key that the tutorial prints.
    let tutorial = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC6YG5lJXmZxgz1eFprQfEV8oqUjYceMNPctuhi/Fo+oE+4oeDwMTDyPJcGCuJM\
                    p2XZxL2X3a8/Q9g3StekiHWqPehY7cyrnYZg6ttTCdbJYGAc/t0rVCKut/2baiGw9lcMq5sbUG9YywEEI/rN4Fu0PCU1A6BkqtNA\
                    epPhDwVRAQIDAQAB";
    let findings = dkim::lint(
        &name("mail._domainkey.example.org"),
        format!("v=DKIM1; k=rsa; p={tutorial}; t=s").as_bytes(),
    );
    assert_eq!(codes(&findings), ["dkim-key-short"]);
    assert!(findings[0].what.contains("1024 bits"), "{}", findings[0].what);
}

#[test]
fn every_finding_that_is_no_note_has_a_cure() {
    let apex = name("example.org");
    let records = [txt("example.org", "v=spf1 +all ptr a:x.example.org")];
    let zone = ZoneView::new(&apex, &records);
    let mut findings = spf::lint::lint(&zone, &records[0]);
    findings.extend(dmarc::lint(&apex, "v=dmarc1; p=x; pct=1; zz=1; rua=a!1"));
    findings.extend(dkim::lint(&apex, b"k=dsa; v=DKIM1; h=md5; p=AAAA"));
    assert!(findings.len() > 8);
    for finding in findings {
        assert!(!finding.cure.is_empty(), "{finding}");
        assert!(
            !finding.what.ends_with('.') && !finding.cure.ends_with('.'),
            "{finding}"
        );
    }
}

/// What a zone that holds a part of example.org is asked to have.
fn asked_in(apex: &str, toml: &str) -> (Vec<String>, Vec<&'static str>) {
    let (apex, records) = (name(apex), [soa(apex)]);
    let (wanted, findings) = wanted(&policy(toml), &ZoneView::new(&apex, &records));
    let shown = wanted.iter().map(|w| show(&w.record(0))).collect();
    (shown, codes(&findings))
}

#[test]
fn a_zone_is_part_of_the_domain_behind_its_underscores() {
    for (apex, domain) in [
        ("example.org", None),
        (".", None),
        ("_domainkey.example.org", Some("example.org")),
        ("sel._domainkey.mail.example.org", Some("mail.example.org")),
        ("_smtp._tls.example.org", Some("example.org")),
        ("example.net._report._dmarc.example.org", Some("example.org")),
        ("_dmarc", Some(".")),
    ] {
        assert_eq!(part_of(&name(apex)), domain.map(name), "{apex}");
    }
}

#[test]
fn a_part_of_a_domain_has_what_stands_there_and_nothing_else() {
    let all = r#"
        never = ["www"]
        spf = { record = "v=spf1 mx -all", hosts = { mail = "v=spf1 a -all" } }
        dmarc = "v=DMARC1; p=reject"
        sender_id = "auto"
        dkim = { adsp = "all", domainkeys_policy = "o=-" }
        tls_rpt = { rua = ["tls@example.org"] }
        mta_sts = { mode = "enforce", mx = ["mail.example.org"] }
        bimi = { location = "https://example.org/logo.svg" }
        caa = { issue = [] }
        services = { imaps = "mail", autoconfig = "mail" }
    "#;
    let mut shown = String::new();
    for apex in [
        "_domainkey.example.org",
        "_adsp._domainkey.example.org",
        "_dmarc.example.org",
        "_tls.example.org",
        "_smtp._tls.example.org",
        "_mta-sts.example.org",
        "_bimi.example.org",
        "_tcp.example.org",
        "_msdcs.example.org",
    ] {
        let (records, findings) = asked_in(apex, all);
        shown += &format!("{apex} {findings:?}\n{}\n\n", records.join("\n"));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_silent_domain_says_so_in_the_part_that_is_served() {
    let (records, _) = asked_in(
        "_dmarc.example.org",
        "sends = false\ndmarc = { rua = ['r@example.org'] }",
    );
    assert_eq!(
        records,
        [r#"_dmarc.example.org. TXT "v=DMARC1; p=reject; rua=mailto:r@example.org""#]
    );
    assert_eq!(asked_in("_domainkey.example.org", "sends = false").0, [] as [&str; 0]);
}

#[test]
fn an_mta_sts_policy_apart_from_its_domain_must_name_mx_or_id() {
    let (records, findings) = asked_in("_mta-sts.example.org", "mta_sts = { mode = 'enforce' }");
    assert_eq!((records.len(), findings), (0, vec!["mta-sts-no-mx"]));
    let (records, findings) = asked_in("_mta-sts.example.org", "mta_sts = { mode = 'enforce', id = '7' }");
    assert_eq!(records, [r#"_mta-sts.example.org. TXT "v=STSv1; id=7""#]);
    assert_eq!(findings, [] as [&str; 0]);
    let elsewhere = asked_in("_domainkey.example.org", "mta_sts = { mode = 'enforce' }");
    assert_eq!(elsewhere, (vec![], vec![]));
}
