//! What holds for any zone file, policy and keys.

use super::tests::{key, policy};
use super::*;
use crate::mail::fixture::*;
use proptest::prelude::*;
use proptest::sample::select;
use std::borrow::Cow;
use std::collections::HashMap;

const OWNERS: [&str; 14] = [
    "example.org",
    "mail.example.org",
    "www.example.org",
    "*.example.org",
    "news.example.org",
    "x.news.example.org",
    "*.news.example.org",
    "_dmarc.example.org",
    "_domainkey.example.org",
    "s._domainkey.example.org",
    "s._domainkey.news.example.org",
    "_adsp._domainkey.example.org",
    "_smtp._tls.example.org",
    "autoconfig.example.org",
];

const TEXTS: [&str; 14] = [
    "v=spf1 mx -all",
    "v=spf1 a -all",
    "V=SPF1 +all",
    " v=spf1 -all",
    "spf2.0/pra mx -all",
    "v=DMARC1; p=none",
    "v=DMARC1; p=reject; rua=mailto:a@example.net",
    "v=dmarc1",
    "v=DKIM1; p=",
    "k=rsa; p=AAAA",
    "t=y; o=-",
    "dkim=all",
    "v=TLSRPTv1; rua=mailto:a@example.org",
    "site-verification",
];

const POLICIES: [&str; 16] = [
    "spf = 'auto'",
    "spf = 'v=spf1 mx -all'",
    "spf = { record = 'v=spf1 ip4:192.0.2.1 -all', type99 = true, ttl = 60 }",
    "spf = { type99 = true }",
    "spf = { type99 = false }",
    "spf = { record = 'auto', hosts = { mail = 'v=spf1 a -all', news = 'auto', autoconfig = 'auto' } }",
    "sends = false",
    "never = ['www', 'mail', 'news']",
    "dmarc = 'v=DMARC1; p=reject'",
    "dmarc = { policy = 'none', rua = ['a@example.net'], ttl = 60 }",
    "sender_id = 'auto'",
    "dkim = { adsp = 'unknown', domainkeys_policy = 't=y; o=-;', ttl = 300 }",
    "mta_sts = { mode = 'enforce' }",
    "tls_rpt = { rua = ['a@example.org'] }\nbimi = { location = '' }",
    "caa = { issue = [], iodef = ['mailto:a@example.org'] }",
    "services = { imaps = 'mail', pop3 = false, autoconfig = 'mail', autodiscover = 'mail' }",
];

fn any_record() -> impl Strategy<Value = Record> {
    let owner = select(&OWNERS[..]);
    let ttl = select(&[60u32, 3600][..]);
    let data = prop_oneof![
        5 => (owner.clone(), select(&TEXTS[..])).prop_map(|(owner, text)| txt(owner, text)),
        2 => (owner.clone(), select(&TEXTS[..3])).prop_map(|(owner, text)| type99(owner, text)),
        2 => owner.clone().prop_map(|owner| a(owner, "192.0.2.1")),
        1 => select(&OWNERS[..3]).prop_map(|owner| mx(owner, 10, "mail.example.org")),
        1 => select(&OWNERS[1..]).prop_map(|owner| cname(owner, "mail.example.org")),
        1 => select(&["news.example.org", "_domainkey.example.org"][..]).prop_map(|owner| ns(owner, "ns.example.net")),
        1 => Just(dname("news.example.org", "example.net")),
    ];
    (data, ttl).prop_map(|(record, ttl)| Record { ttl, ..record })
}

/// One table of each kind at most, so that the TOML stays valid.
fn any_policy() -> impl Strategy<Value = MailPolicy> {
    prop::collection::vec(select(&POLICIES[..]), 0..6).prop_map(|lines| {
        let mut by_key: HashMap<&str, &str> = HashMap::new();
        for line in lines {
            by_key.insert(line.split(' ').next().unwrap(), line);
        }
        policy(&by_key.values().copied().collect::<Vec<_>>().join("\n"))
    })
}

fn any_keys() -> impl Strategy<Value = Vec<ZoneKey>> {
    let owner = select(
        &[
            "s._domainkey.example.org",
            "t._domainkey.example.org",
            "s._domainkey.news.example.org",
            "s._domainkey.a.b.example.org",
        ][..],
    );
    let text = select(&["v=DKIM1; p=AAAA", "v=DKIM1; p=BBBB", "v=DKIM1; p="][..]);
    prop::collection::vec((owner, text).prop_map(|(owner, text)| key(owner, text)), 0..3)
}

fn any_reports() -> impl Strategy<Value = Vec<ReportAuthorization>> {
    let report = select(&["example.net", "example.com"][..]).prop_map(|sender| ReportAuthorization {
        sender: name(sender),
        receiver: name("example.org"),
    });
    prop::collection::vec(report, 0..2)
}

proptest! {
    #[test]
    fn composing_is_deterministic_idempotent_and_never_makes_two(
        records in prop::collection::vec(any_record(), 0..12),
        policy in any_policy(),
        keys in any_keys(),
        reports in any_reports(),
    ) {
        let apex = name("example.org");
        let records = [vec![soa("example.org")], records].concat();
        let mut sources = Sources::new(&apex, &records, &policy, &keys);
        sources.reports = &reports;
        let once = compose(&sources);

        let again = compose(&sources);
        prop_assert_eq!(&once.records, &again.records);
        prop_assert_eq!(&once.composed, &again.composed);
        prop_assert_eq!(&once.findings, &again.findings);
        prop_assert_eq!(&once.empty_names, &again.empty_names);

        let output: Vec<Record> = once.records.iter().cloned().map(Cow::into_owned).collect();
        let composed_output = compose(&Sources { records: &output, ..sources });
        prop_assert_eq!(&composed_output.records, &once.records);
        prop_assert_eq!(&composed_output.empty_names, &once.empty_names);
        prop_assert_eq!(&composed_output.composed, &vec![]);

        let mut seen: HashMap<(Name, RecordType, Kind), &Record> = HashMap::new();
        for record in &output {
            if let Some(kind) = Kind::of(record) {
                let other = seen.insert((record.owner.clone(), record.rtype, kind), record);
                prop_assert!(other.is_none(), "two of {:?} at {}", kind, record.owner);
            }
        }
        let has_cname = |owner: &Name| once.records.iter().any(|r| r.owner == *owner && r.rtype == RecordType::CNAME);
        for ((owner, rtype, kind), old) in seen.iter().filter(|((owner, rtype, _), _)| *rtype == RecordType::SPF && !has_cname(owner)) {
            let txt = seen.get(&(owner.clone(), RecordType::TXT, *kind));
            prop_assert_eq!(txt.map(|txt| &txt.rdata), Some(&old.rdata), "{} {}", owner, rtype);
        }
        if once.composed.is_empty() {
            let mut distinct: Vec<&Record> = vec![];
            for record in &records {
                if !distinct.iter().any(|d| d.owner == record.owner && d.rtype == record.rtype && d.rdata == record.rdata) {
                    distinct.push(record);
                }
            }
            prop_assert!(distinct.iter().all(|record| output.contains(record)));
            prop_assert!(output.iter().all(|record| records.contains(record)));
        }
        // Copies of a wildcard are as right or wrong as the wildcard.
        let is_copied = |owner: &Name| once.composed.iter().any(|c| c.what == "wildcard copy" && c.owner == *owner);
        for composed in once.composed.iter().filter(|c| !is_copied(&c.owner)) {
            let types = |records: &[Record]| -> Vec<RecordType> {
                records.iter().filter(|r| r.owner == composed.owner).map(|r| r.rtype).collect()
            };
            let (before, after) = (types(&records), types(&output));
            let cname = RecordType::CNAME;
            prop_assert!(before.contains(&cname) || !after.contains(&cname) || after.len() == 1, "{}", composed.owner);
        }
    }
}
