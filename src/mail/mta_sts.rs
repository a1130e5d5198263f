//! MTA-STS (RFC 8461): the policy that senders fetch over HTTPS and the record that announces it.
//!
//! ```toml
//! [mail.mta_sts]
//! mode = "enforce"                    # or "testing", "none"; nothing is composed without it
//! mx = ["mail.example.org"]           # default: the zone's MX; "*.example.net" stands for one label
//! max_age = "1w"                      # how long senders remember it, at most a year; the default
//! id = "20260101"                     # default: from the policy's own text, below
//! ttl = "1h"
//! ```
//!
//! The id is the front of a SHA-256 over the exact policy text: it changes when, and only when,
//! the policy does. Serve the text of [`policy_text`] at
//! `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`, and a new one before its id is published.

use super::kind::{Kind, Wanted};
use super::read;
use super::view::ZoneView;
use crate::finding::Finding;
use crate::name::Name;
use crate::record::RecordType;
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// `[mail.mta_sts]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MtaStsPolicy {
    /// How strict senders should be; `None` composes nothing.
    pub mode: Option<Mode>,
    /// MX host patterns; `None` takes the zone's MX.
    #[serde(deserialize_with = "patterns")]
    pub mx: Option<Vec<String>>,
    /// How long senders keep the policy, in seconds; `None` is [`DEFAULT_MAX_AGE`].
    #[serde(deserialize_with = "max_age")]
    pub max_age: Option<u32>,
    /// The id instead of the hash: 1 to 32 letters and digits (RFC 8461 §3.1).
    #[serde(deserialize_with = "policy_id")]
    pub id: Option<String>,
    /// The TTL in seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub ttl: Option<u32>,
}

/// How strict senders should be (RFC 8461 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Do not deliver where it fails.
    Enforce,
    /// Deliver and report.
    Testing,
    /// The policy is being withdrawn (RFC 8461 §8.3).
    None,
}

/// A week: long enough to outlast an attack, short enough to mend a mistake (RFC 8461 §3.2, §10.2).
pub const DEFAULT_MAX_AGE: u32 = 604_800;
/// The most that max_age may be, a year (RFC 8461 §3.2).
pub const LONGEST_MAX_AGE: u32 = 31_557_600;

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

/// The policy file of the zone, lines ending in CRLF (RFC 8461 §3.2); `None` when no mode is set
/// or when there is no MX that it could name.
pub fn policy_text(policy: &MtaStsPolicy, zone: &ZoneView<'_>) -> Option<String> {
    let mode = policy.mode?;
    let patterns = policy.mx.clone().unwrap_or_else(|| zone_mx(zone));
    if patterns.is_empty() && mode != Mode::None {
        return None;
    }
    let mut text = format!("version: STSv1\r\nmode: {}\r\n", mode.as_str());
    for pattern in patterns {
        let _ = write!(text, "mx: {pattern}\r\n");
    }
    let _ = write!(text, "max_age: {}\r\n", policy.max_age.unwrap_or(DEFAULT_MAX_AGE));
    Some(text)
}

/// The id of a policy text: the first 32 hexadecimal digits of its SHA-256.
pub fn policy_id_of(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .take(16)
        .fold(String::with_capacity(32), |mut id, octet| {
            let _ = write!(id, "{octet:02x}");
            id
        })
}

impl MtaStsPolicy {
    /// The record asked for, at `_mta-sts` of `domain` (RFC 8461 §3.1). Where `zone` does not hold
    /// the domain itself, its MX is not known.
    pub fn wanted(&self, domain: &Name, zone: &ZoneView<'_>, findings: &mut Vec<Finding>) -> Option<Wanted> {
        let mode = self.mode?;
        let owner = domain.prefixed("_mta-sts").ok()?;
        if !owner.is_at_or_below(zone.apex()) {
            return None;
        }
        let has_mx_elsewhere = domain != zone.apex();
        let (id, from) = match (&self.id, policy_text(self, zone)) {
            (Some(id), Some(_)) => (id.clone(), "policy [mail.mta_sts], its own id"),
            (Some(id), None) if has_mx_elsewhere => (id.clone(), "policy [mail.mta_sts], its own id"),
            (None, Some(policy)) => (policy_id_of(&policy), "policy [mail.mta_sts], id from its text"),
            (_, None) => {
                findings.push(Finding::warning(
                    "mta-sts-no-mx",
                    format!(
                        "[mail.mta_sts] is left out of {}: there is no MX for it to name",
                        zone.apex()
                    ),
                    match has_mx_elsewhere {
                        true => "write `mx` into [mail.mta_sts], or the `id` of a policy that is served elsewhere",
                        false => "write an MX into the zone file, or `mx` into [mail.mta_sts]",
                    },
                ));
                return None;
            }
        };
        self.lint(mode, domain, zone, findings);
        let text = format!("v=STSv1; id={id}");
        Some(Wanted::txt(Kind::MtaSts, owner, &text, self.ttl, from))
    }

    fn lint(&self, mode: Mode, domain: &Name, zone: &ZoneView<'_>, findings: &mut Vec<Finding>) {
        if let Ok(host) = domain.prefixed("mta-sts")
            && !zone.has(&host, RecordType::CNAME)
            && zone.addresses(&host).is_some_and(|found| found.is_empty())
        {
            findings.push(Finding::warning(
                "mta-sts-no-host",
                format!("{host} has no address: no sender can fetch the MTA-STS policy of {domain}"),
                "give it an A or AAAA record and serve the policy there over HTTPS",
            ));
        }
        let Some(patterns) = self.mx.as_ref().filter(|_| mode != Mode::None) else {
            return;
        };
        for host in zone_mx(zone) {
            if !patterns.iter().any(|pattern| pattern_matches(pattern, &host)) {
                findings.push(Finding::warning(
                    "mta-sts-mx",
                    format!("the MX {host} of {domain} is not in [mail.mta_sts] mx: senders will not deliver to it"),
                    "add it to `mx`, or drop `mx` to follow the zone's MX",
                ));
            }
        }
    }
}

/// The zone's MX hosts without their final dot, best first.
fn zone_mx(zone: &ZoneView<'_>) -> Vec<String> {
    let mut hosts: Vec<String> = vec![];
    for (_, host) in zone.mx(zone.apex()).iter().filter(|(_, host)| !host.is_root()) {
        let host = without_dot(host);
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

fn without_dot(name: &Name) -> String {
    name.to_lowercase().to_string().trim_end_matches('.').to_owned()
}

/// `*.` stands for exactly one label (RFC 8461 §4.1).
fn pattern_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(suffix) => host
            .split_once('.')
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(suffix)),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

fn patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let read = |pattern: String| {
        let bare = pattern.strip_prefix("*.").unwrap_or(&pattern);
        match Name::from_text(bare) {
            Ok(name) if !bare.contains('*') && name.label_count() > 1 => Ok(pattern.trim_end_matches('.').to_owned()),
            _ => Err(serde::de::Error::custom(format_args!(
                "`{pattern}` is no MX host; write `mail.example.org` or `*.example.org` (RFC 8461 §3.2)"
            ))),
        }
    };
    Vec::<String>::deserialize(deserializer)?
        .into_iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn max_age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match read::seconds(deserializer)? {
        Some(seconds) if seconds > LONGEST_MAX_AGE => Err(serde::de::Error::custom(format_args!(
            "max_age is {seconds} seconds; {LONGEST_MAX_AGE}, a year, is the most (RFC 8461 §3.2)"
        ))),
        seconds => Ok(seconds),
    }
}

fn policy_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let id = String::deserialize(deserializer)?;
    match (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        true => Ok(Some(id)),
        false => Err(serde::de::Error::custom(
            "an MTA-STS id is 1 to 32 letters and digits (RFC 8461 §3.1)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::fixture::*;

    fn policy(toml: &str) -> MtaStsPolicy {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn the_policy_names_the_zone_s_mx_and_its_id_follows_the_text() {
        let apex = name("example.org");
        let records = [
            mx("example.org", 20, "mx2.example.net"),
            mx("example.org", 10, "Mail.example.org"),
            a("mta-sts.example.org", "192.0.2.1"),
        ];
        let zone = ZoneView::new(&apex, &records);
        let enforce = policy("mode = 'enforce'");
        let text = policy_text(&enforce, &zone).unwrap();
        insta::assert_snapshot!(text.replace("\r\n", "\n"));
        assert!(text.ends_with("max_age: 604800\r\n"));
        let id = policy_id_of(&text);
        assert_eq!(id.len(), 32);
        assert_ne!(
            id,
            policy_id_of(&policy_text(&policy("mode = 'testing'"), &zone).unwrap())
        );
        let mut findings = vec![];
        let wanted = enforce.wanted(&apex, &zone, &mut findings).unwrap();
        assert_eq!(&wanted.rdata[1..], format!("v=STSv1; id={id}").as_bytes());
        assert_eq!(findings, []);
    }

    #[test]
    fn warns_of_a_missing_host_and_of_an_mx_left_out() {
        let apex = name("example.org");
        let records = [
            mx("example.org", 10, "mail.example.org"),
            mx("example.org", 20, "mx.example.net"),
        ];
        let zone = ZoneView::new(&apex, &records);
        let mut findings = vec![];
        policy("mode = 'enforce'\nmx = ['*.example.org']\nid = 'x1'").wanted(&apex, &zone, &mut findings);
        let codes: Vec<_> = findings.iter().map(|f| f.code).collect();
        assert_eq!(codes, ["mta-sts-no-host", "mta-sts-mx"]);
    }

    #[test]
    fn without_an_mx_nothing_is_published() {
        let apex = name("example.org");
        let mut findings = vec![];
        let wanted = policy("mode = 'enforce'").wanted(&apex, &ZoneView::new(&apex, &[]), &mut findings);
        assert!(wanted.is_none());
        assert_eq!(findings[0].code, "mta-sts-no-mx");
    }

    #[test]
    fn refuses_values_no_sender_would_take() {
        for (toml, word) in [
            ("id = 'a-b'", "letters and digits"),
            ("max_age = '2y'", "no span"),
            ("max_age = 31557601", "a year"),
            ("mx = ['*.*.example.org']", "no MX host"),
            ("mode = 'strict'", "enforce"),
        ] {
            let error = toml::from_str::<MtaStsPolicy>(toml).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
