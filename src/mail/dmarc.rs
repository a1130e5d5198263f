//! DMARC (RFC 9989, which obsoletes RFC 7489): policy to record, lint, and leave to report
//! (RFC 9990 for aggregate, RFC 9991 for failure reports).
//!
//! ```toml
//! [mail.dmarc]
//! policy = "quarantine"               # p:  "none" "quarantine" "reject"; "none" if only rua is set
//! subdomain_policy = "reject"         # sp: for sub-domains that exist
//! nonexistent_policy = "reject"       # np: for sub-domains that do not
//! rua = ["mailto:dmarc@example.org"]  # where aggregate reports go; a bare address will do
//! ruf = ["mailto:dmarc@example.org"]  # where failure reports go
//! adkim = "relaxed"                   # or "strict"
//! aspf = "relaxed"
//! fo = "1"                            # when to send failure reports: 0 1 d s, joined by `:`
//! testing = false                     # t=y: receivers act one step milder
//! psd = "u"                           # y: this is a public suffix, n: an organizational domain
//! ttl = "1h"
//! # or whole:
//! record = "v=DMARC1; p=quarantine; rua=mailto:dmarc@example.org"
//! ```
//!
//! `dmarc = "v=DMARC1; …"` is short for `record`; `record` wins over the parts, so that one zone
//! can depart from parts in `signpost.toml`; `record = ""` composes nothing. `pct`, `rf` and `ri`
//! are gone with RFC 9989 and refused with the advice what to write instead.

use super::kind::{Kind, Wanted};
use super::read::{self, ReportUri, Short, join_uris, mail_domain};
use super::tags::{tag, tags};
use crate::finding::Finding;
use crate::name::Name;
use serde::{Deserialize, Deserializer};

/// `[mail.dmarc]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DmarcPolicy {
    /// The whole record instead of parts; empty composes nothing.
    #[serde(deserialize_with = "whole_record")]
    pub record: Option<String>,
    /// `p=`.
    pub policy: Option<Disposition>,
    /// `sp=`.
    pub subdomain_policy: Option<Disposition>,
    /// `np=`.
    pub nonexistent_policy: Option<Disposition>,
    /// `rua=`.
    pub rua: Vec<ReportUri>,
    /// `ruf=`.
    pub ruf: Vec<ReportUri>,
    /// `adkim=`.
    pub adkim: Option<Alignment>,
    /// `aspf=`.
    pub aspf: Option<Alignment>,
    /// `fo=`.
    #[serde(deserialize_with = "failure_options")]
    pub fo: Option<String>,
    /// `t=y`.
    pub testing: Option<bool>,
    /// `psd=`.
    pub psd: Option<PublicSuffix>,
    /// The TTL in seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub ttl: Option<u32>,
    /// Gone with RFC 9989.
    #[serde(deserialize_with = "gone_pct")]
    pct: (),
    /// Gone with RFC 9989.
    #[serde(deserialize_with = "gone_rf")]
    rf: (),
    /// Gone with RFC 9989.
    #[serde(deserialize_with = "gone_ri")]
    ri: (),
}

/// What a receiver is asked to do with mail that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Nothing.
    None,
    /// Treat it with suspicion.
    Quarantine,
    /// Refuse it.
    Reject,
}

/// How closely identifiers must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alignment {
    /// The same organizational domain is enough.
    #[serde(alias = "r")]
    Relaxed,
    /// The same domain.
    #[serde(alias = "s")]
    Strict,
}

/// Is this a public suffix domain?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublicSuffix {
    /// It is.
    Y,
    /// It is not, and it is an organizational domain.
    N,
    /// Unsaid, the default.
    U,
}

impl Disposition {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

impl DmarcPolicy {
    /// The record's text; `None` when nothing is configured.
    pub fn text(&self) -> Option<String> {
        match self.record.as_deref() {
            Some("") => None,
            Some(record) => Some(record.to_owned()),
            None => self.text_of_parts(),
        }
    }

    /// The record of a domain that sends no mail: `p=reject`, the report addresses kept.
    pub fn silent_text(&self) -> String {
        let configured = self.text().unwrap_or_default();
        let mut text = "v=DMARC1; p=reject".to_owned();
        for name in ["rua", "ruf"] {
            if let Some(uris) = tag(&configured, name) {
                text.push_str(&format!("; {name}={uris}"));
            }
        }
        text
    }

    /// In the order v, p, sp, np and then the rest: older readers want `p` second (RFC 7489 §6.4).
    fn text_of_parts(&self) -> Option<String> {
        let policy = match self.policy {
            Some(policy) => policy,
            // Without p a record with rua counts as p=none; we write it out.
            None if !self.rua.is_empty() => Disposition::None,
            None => return None,
        };
        let alignment = |a: Alignment| match a {
            Alignment::Relaxed => "r".to_owned(),
            Alignment::Strict => "s".to_owned(),
        };
        let disposition = |d: Disposition| d.as_str().to_owned();
        let uris = |uris: &[ReportUri]| (!uris.is_empty()).then(|| join_uris(uris));
        let tags = [
            ("p", Some(disposition(policy))),
            ("sp", self.subdomain_policy.map(disposition)),
            ("np", self.nonexistent_policy.map(disposition)),
            ("adkim", self.adkim.map(alignment)),
            ("aspf", self.aspf.map(alignment)),
            ("psd", self.psd.map(|psd| format!("{psd:?}").to_lowercase())),
            ("t", self.testing.filter(|&t| t).map(|_| "y".to_owned())),
            ("fo", self.fo.clone()),
            ("rua", uris(&self.rua)),
            ("ruf", uris(&self.ruf)),
        ];
        let mut text = "v=DMARC1".to_owned();
        for (name, value) in tags {
            if let Some(value) = value {
                text.push_str(&format!("; {name}={value}"));
            }
        }
        Some(text)
    }

    /// The record asked for.
    pub fn wanted(&self, apex: &Name) -> Option<Wanted> {
        let part = if self.record.is_some() { "record" } else { "parts" };
        let owner = apex.prefixed("_dmarc").ok()?;
        let from = format!("policy [mail.dmarc] {part}");
        Some(Wanted::txt(Kind::Dmarc, owner, &self.text()?, self.ttl, from))
    }
}

/// The domains outside of `domain`'s own that `record` sends reports to, sorted: each must publish
/// `domain._report._dmarc` to let them come (RFC 9990 and RFC 9991, RFC 7489 §7.1). Domains above
/// and below are of the same organization.
pub fn foreign_destinations(record: &str, domain: &Name) -> Vec<Name> {
    let mut foreign: Vec<Name> = ["rua", "ruf"]
        .iter()
        .filter_map(|name| tag(record, name))
        .flat_map(|uris| uris.split(','))
        .filter_map(|uri| mail_domain(uri.trim()))
        .map(|host| host.to_lowercase())
        .filter(|host| !host.is_at_or_below(domain) && !domain.is_at_or_below(host))
        .collect();
    foreign.sort();
    foreign.dedup();
    foreign
}

/// The name at which `receiver` lets reports about `domain` come.
pub fn authorization_owner(domain: &Name, receiver: &Name) -> Option<Name> {
    let below = receiver.prefixed("_report._dmarc").ok()?;
    domain.with_suffix_replaced(&Name::root(), &below)?.ok()
}

/// Findings about the DMARC record `text` at `owner`.
pub fn lint(owner: &Name, text: &str) -> Vec<Finding> {
    let mut findings = vec![];
    let mut warn = |code: &'static str, what: String, cure: &str| {
        findings.push(Finding::warning(
            code,
            format!("the DMARC record of {owner} {what}"),
            cure,
        ));
    };
    if tags(text).next() != Some(("v", "DMARC1")) {
        warn(
            "dmarc-syntax",
            "does not begin with `v=DMARC1`, written exactly so, and is ignored".into(),
            "write `v=DMARC1;` first",
        );
    }
    for (name, value) in tags(text) {
        match (name.to_ascii_lowercase().as_str(), value) {
            ("v" | "rua" | "ruf" | "fo", _) => {}
            ("p" | "sp" | "np", "none" | "quarantine" | "reject") => {}
            ("adkim" | "aspf", "r" | "s") | ("t", "y" | "n") | ("psd", "y" | "n" | "u") => {}
            ("p" | "sp" | "np", _) => warn(
                "dmarc-syntax",
                format!("has `{name}={value}`, which is no policy"),
                "write none, quarantine or reject",
            ),
            ("adkim" | "aspf" | "t" | "psd", _) => warn(
                "dmarc-syntax",
                format!("has `{name}={value}`, which is ignored"),
                "adkim and aspf are r or s, t is y or n, psd is y, n or u",
            ),
            ("pct", _) => warn(
                "dmarc-tag-gone",
                "has `pct`, which RFC 9989 took out".into(),
                "drop it; to test a policy write `t=y`",
            ),
            ("rf" | "ri", _) => warn(
                "dmarc-tag-gone",
                format!("has `{name}`, which RFC 9989 took out"),
                "drop it; receivers send daily reports in the one known format",
            ),
            _ => warn(
                "dmarc-tag-unknown",
                format!("has `{name}`, which no receiver knows"),
                "look for a typing mistake or drop it",
            ),
        }
    }
    let uris = || {
        ["rua", "ruf"]
            .iter()
            .filter_map(|name| tag(text, name))
            .flat_map(|v| v.split(','))
    };
    if uris().any(|uri| uri.contains('!')) {
        warn(
            "dmarc-size-limit",
            "limits the size of reports with `!`, which RFC 9989 has receivers ignore".into(),
            "drop the `!` and what follows it",
        );
    }
    for uri in uris().map(str::trim).filter(|uri| mail_domain(uri).is_none()) {
        warn(
            "dmarc-report-address",
            format!("sends reports to `{uri}`, which is no mail address"),
            "write `mailto:` and an address",
        );
    }
    if tag(text, "p").is_none() {
        warn(
            "dmarc-no-policy",
            "has no `p`: older receivers ignore it, newer take it for p=none".into(),
            "write the policy you mean behind `v=DMARC1;`",
        );
    }
    findings
}

impl Short for DmarcPolicy {
    fn from_short(text: &str) -> Result<Self, String> {
        Ok(Self {
            record: Some(check_record(text)?),
            ..Self::default()
        })
    }
}

fn check_record(text: &str) -> Result<String, String> {
    let is_graphic = text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if text.is_empty() || (is_graphic && tags(text).next() == Some(("v", "DMARC1"))) {
        return Ok(text.to_owned());
    }
    Err("a DMARC record is printable ASCII and begins with `v=DMARC1;`".to_owned())
}

fn whole_record<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    check_record(&text).map(Some).map_err(serde::de::Error::custom)
}

fn failure_options<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.split(':').all(|option| matches!(option, "0" | "1" | "d" | "s")) {
        true => Ok(Some(text)),
        false => Err(serde::de::Error::custom(
            "`fo` is 0, 1, d or s, or several joined by colons, as in \"1:d:s\"",
        )),
    }
}

fn gone_pct<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(serde::de::Error::custom(
        "`pct` is gone with RFC 9989; to test a policy write `testing = true`",
    ))
}

fn gone_rf<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(serde::de::Error::custom(
        "`rf` is gone with RFC 9989; there is one report format, drop the line",
    ))
}

fn gone_ri<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(serde::de::Error::custom(
        "`ri` is gone with RFC 9989; receivers report daily, drop the line",
    ))
}
