//! SPF (RFC 7208): policy to record text, and what is wrong with a record.
//!
//! ```toml
//! [mail]
//! spf = "auto"                        # for short: the same as [mail.spf] record = "auto"
//!
//! [mail.spf]
//! record = "v=spf1 ip4:192.0.2.1 mx -all"    # the whole record; or "auto"; or, in parts:
//! ip4 = ["192.0.2.1", "198.51.100.0/24"]     # addresses and networks
//! ip6 = ["2001:db8::25"]
//! a = true                                   # or a list of hosts
//! mx = true                                  # or a list of domains
//! include = ["_spf.example.net"]
//! exists = ["%{i}._spf.example.org"]
//! all = "-"                                  # "-" "~" "?" "+"; "-" unless there is a redirect
//! redirect = "_spf.example.org"              # instead of all
//! type99 = true                              # the SPF RR type beside TXT, byte-equal
//! ttl = "1h"
//! [mail.spf.hosts]                           # HELO identities (§2.3), names relative to the apex
//! mail = "v=spf1 ip4:192.0.2.1 a -all"       # or "auto", or parts
//! ```
//!
//! `record` and parts exclude each other; `record = ""` means none and undoes an inherited one.
//! A value that is no SPF is refused while it is read. Parts are written in the order shown above,
//! the same policy always giving the same bytes.

pub mod auto;
pub mod lint;
pub mod syntax;

use super::kind::{Kind, Wanted};
use super::read::{self, PolicyName, Short};
use super::view::ZoneView;
use crate::finding::Finding;
use crate::name::Name;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// `[mail.spf]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SpfTable")]
pub struct SpfPolicy {
    /// The apex record; `None` composes nothing there.
    pub record: Option<SpfText>,
    /// `type99`: `true` puts a twin of type 99 beside every SPF TXT of the zone, `false` leaves
    /// the zone file's own out; unset, the zone file decides and its own are kept equal to the TXT.
    pub type99: Option<bool>,
    /// `[mail.spf.hosts]`: records of other names.
    pub hosts: BTreeMap<PolicyName, HostSpf>,
    /// The TTL in seconds.
    pub ttl: Option<u32>,
}

/// A record of `[mail.spf.hosts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSpf {
    /// The record; `None` (written `""`) composes nothing there.
    pub record: Option<SpfText>,
    /// Its own TTL in seconds.
    pub ttl: Option<u32>,
}

/// What an SPF record is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpfText {
    /// From the zone's own MX and addresses.
    Auto,
    /// As the policy writes it: a whole record, valid.
    Whole(String),
    /// Put together from parts, valid.
    Parts(String),
}

impl SpfPolicy {
    /// The records asked for, apex first, then the MX hosts of `auto`, then the named hosts.
    pub fn wanted(&self, zone: &ZoneView<'_>, findings: &mut Vec<Finding>) -> Vec<Wanted> {
        let mut wanted = vec![];
        if let Some(record) = &self.record {
            let (text, from) = record.text(zone, zone.apex(), "[mail.spf]");
            wanted.push(Wanted::txt(Kind::Spf, zone.apex().clone(), &text, self.ttl, from));
        }
        for (host, spf) in &self.hosts {
            let owner = match host.owner(zone.apex()) {
                Ok(owner) if owner.is_at_or_below(zone.apex()) => owner,
                _ => {
                    findings.push(not_in_zone("[mail.spf.hosts]", host, zone.apex()));
                    continue;
                }
            };
            let Some(record) = &spf.record else { continue };
            let (text, from) = record.text(zone, &owner, "[mail.spf.hosts]");
            wanted.push(Wanted::txt(Kind::Spf, owner, &text, spf.ttl.or(self.ttl), from));
        }
        if self.record == Some(SpfText::Auto) {
            wanted.extend(self.helo_of_mx_hosts(zone));
        }
        wanted
    }

    /// The HELO identity of each MX host in the zone (RFC 7208 §2.3, §10.1.3), for gaps only: a
    /// host named under `hosts`, even with `""`, or with an SPF of its own in the zone file keeps it.
    fn helo_of_mx_hosts(&self, zone: &ZoneView<'_>) -> Vec<Wanted> {
        let is_named = |host: &Name| self.hosts.keys().any(|h| h.owner(zone.apex()).as_ref() == Ok(host));
        auto::mx_hosts_in(zone)
            .into_iter()
            .filter(|host| !is_named(host))
            .map(|host| {
                let text = auto::of_host(zone, &host);
                let from = "policy [mail.spf] auto, addresses of an MX host";
                Wanted::txt(Kind::Spf, host, &text, self.ttl, from).yielding()
            })
            .collect()
    }
}

impl SpfText {
    /// The text of the record at `owner`, and where it comes from.
    fn text(&self, zone: &ZoneView<'_>, owner: &Name, table: &str) -> (String, String) {
        match self {
            Self::Auto if owner == zone.apex() => (
                auto::of_apex(zone),
                format!("policy {table} auto, MX and addresses of the zone"),
            ),
            Self::Auto => (
                auto::of_host(zone, owner),
                format!("policy {table} auto, addresses of the host"),
            ),
            Self::Whole(text) => (text.clone(), format!("policy {table} record")),
            Self::Parts(text) => (text.clone(), format!("policy {table} parts")),
        }
    }
}

/// A policy that names something outside of the zone.
pub(super) fn not_in_zone(table: &str, name: &PolicyName, apex: &Name) -> Finding {
    Finding::error(
        "policy-name-out-of-zone",
        format!("{table} names `{name}`, which is not in {apex}"),
        "write names relative to the apex, or put it into the policy of its own zone",
    )
}

impl Short for SpfPolicy {
    fn from_short(text: &str) -> Result<Self, String> {
        SpfTable {
            record: Some(text.to_owned()),
            ..SpfTable::default()
        }
        .try_into()
    }
}

impl Short for HostSpf {
    fn from_short(text: &str) -> Result<Self, String> {
        SpfPolicy::from_short(text).map(|spf| Self {
            record: spf.record,
            ttl: None,
        })
    }
}

impl<'de> Deserialize<'de> for HostSpf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spf: SpfPolicy = read::text_or_table(deserializer)?;
        if !spf.hosts.is_empty() || spf.type99.is_some() {
            return Err(serde::de::Error::custom(
                "`hosts` and `type99` belong in [mail.spf] itself",
            ));
        }
        Ok(Self {
            record: spf.record,
            ttl: spf.ttl,
        })
    }
}

/// `[mail.spf]` as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SpfTable {
    #[serde(deserialize_with = "record")]
    record: Option<String>,
    ip4: Vec<String>,
    ip6: Vec<String>,
    a: Switch,
    mx: Switch,
    include: Vec<String>,
    exists: Vec<String>,
    redirect: Option<String>,
    all: Option<String>,
    type99: Option<bool>,
    hosts: BTreeMap<PolicyName, HostSpf>,
    #[serde(deserialize_with = "read::seconds")]
    ttl: Option<u32>,
}

/// Refuses a faulty record at its own line; [`SpfPolicy::try_from`] sees only the table.
fn record<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if !matches!(text.as_str(), "" | "auto") {
        syntax::parse(&text).map_err(serde::de::Error::custom)?;
    }
    Ok(Some(text))
}

/// `true`, `false` or a list of domains.
#[derive(Default)]
struct Switch {
    bare: bool,
    domains: Vec<String>,
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BoolOrList;

        impl<'de> serde::de::Visitor<'de> for BoolOrList {
            type Value = Switch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a list of domains")
            }

            fn visit_bool<E>(self, bare: bool) -> Result<Switch, E> {
                Ok(Switch { bare, domains: vec![] })
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Switch, A::Error> {
                let mut domains = vec![];
                while let Some(domain) = seq.next_element()? {
                    domains.push(domain);
                }
                Ok(Switch { bare: false, domains })
            }
        }

        deserializer.deserialize_any(BoolOrList)
    }
}

impl TryFrom<SpfTable> for SpfPolicy {
    type Error = String;

    fn try_from(table: SpfTable) -> Result<Self, String> {
        let parts = table.parts()?;
        let record = match (table.record.as_deref(), parts) {
            (Some(record), Some(_)) if !record.is_empty() => {
                return Err("`record` and its parts (ip4, mx, all …) exclude each other; \
                            `record = \"\"` undoes an inherited record"
                    .into());
            }
            (_, Some(parts)) => Some(SpfText::Parts(parts)),
            (None | Some(""), None) => None,
            (Some("auto"), None) => Some(SpfText::Auto),
            (Some(record), None) => Some(SpfText::Whole(record.to_owned())),
        };
        if let Some(SpfText::Whole(text) | SpfText::Parts(text)) = &record {
            syntax::parse(text).map_err(|error| error.to_string())?;
        }
        Ok(Self {
            record,
            type99: table.type99,
            hosts: table.hosts,
            ttl: table.ttl,
        })
    }
}

impl SpfTable {
    /// The parts as one record, not yet checked; `None` when none is given.
    fn parts(&self) -> Result<Option<String>, String> {
        let with = |name: &'static str, values: &[String]| -> Vec<String> {
            values.iter().map(|value| format!("{name}:{value}")).collect()
        };
        let switch = |name: &'static str, switch: &Switch| match switch.bare {
            true => vec![name.to_owned()],
            false => with(name, &switch.domains),
        };
        let mut terms = vec!["v=spf1".to_owned()];
        terms.extend(with("ip4", &self.ip4));
        terms.extend(with("ip6", &self.ip6));
        terms.extend(switch("a", &self.a));
        terms.extend(switch("mx", &self.mx));
        terms.extend(with("include", &self.include));
        terms.extend(with("exists", &self.exists));
        match (self.all.as_deref(), &self.redirect) {
            (None, None) if terms.len() == 1 => return Ok(None),
            (None, None) => terms.push("-all".into()),
            (None, Some(domain)) => terms.push(format!("redirect={domain}")),
            (Some(_), Some(_)) => {
                return Err("`all` and `redirect` exclude each other: a redirect is ignored \
                            when there is an all (RFC 7208 §6.1)"
                    .into());
            }
            (Some(all), None) => terms.push(all_term(all)?),
        }
        Ok(Some(terms.join(" ")))
    }
}

/// `all` from its qualifier, written `-` or `-all`.
fn all_term(written: &str) -> Result<String, String> {
    match written.strip_suffix("all").unwrap_or(written) {
        qualifier @ ("-" | "~" | "?" | "+") => Ok(format!("{qualifier}all")),
        _ => Err(format!("`all` is \"-\", \"~\", \"?\" or \"+\", not \"{written}\"")),
    }
}
