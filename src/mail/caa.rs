//! CAA (RFC 8659) at the apex, for certificate authorities; where the zone file does not say so.
//!
//! ```toml
//! [mail.caa]
//! issue = ["letsencrypt.org"]         # who may issue; [] means nobody
//! issuewild = []                      # wildcard certificates; default: as issue
//! issuemail = []                      # S/MIME certificates (RFC 9495)
//! iodef = ["mailto:ca@example.org"]   # where to report violations
//! ttl = "1h"
//! ```
//!
//! Each property gives way to the zone file's CAA records of the same property.

use super::kind::{Kind, Wanted};
use super::read;
use crate::name::Name;
use crate::record::RecordType;
use serde::{Deserialize, Deserializer};

/// `[mail.caa]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaaPolicy {
    /// `issue`; an empty list forbids.
    #[serde(deserialize_with = "values")]
    pub issue: Option<Vec<String>>,
    /// `issuewild`; an empty list forbids.
    #[serde(deserialize_with = "values")]
    pub issuewild: Option<Vec<String>>,
    /// `issuemail`; an empty list forbids.
    #[serde(deserialize_with = "values")]
    pub issuemail: Option<Vec<String>>,
    /// `iodef`.
    #[serde(deserialize_with = "values")]
    pub iodef: Option<Vec<String>>,
    /// The TTL in seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub ttl: Option<u32>,
}

impl CaaPolicy {
    /// The records asked for.
    pub fn wanted(&self, apex: &Name) -> Vec<Wanted> {
        let forbidding = [(";").to_owned()];
        let properties = [
            ("issue", &self.issue),
            ("issuewild", &self.issuewild),
            ("issuemail", &self.issuemail),
            ("iodef", &self.iodef),
        ];
        let mut wanted = vec![];
        for (tag, values) in properties {
            let values = match values.as_deref() {
                None => continue,
                Some([]) if tag == "iodef" => continue,
                Some([]) => &forbidding[..],
                Some(values) => values,
            };
            wanted.extend(values.iter().map(|value| Wanted {
                kind: Kind::Caa(tag),
                owner: apex.clone(),
                rtype: RecordType::CAA,
                rdata: rdata(tag, value),
                ttl: self.ttl,
                from: format!("policy [mail.caa] {tag}"),
                yields: true,
            }));
        }
        wanted
    }
}

/// Flags, tag and value (RFC 8659 §4.1); the flags are 0: not critical.
fn rdata(tag: &str, value: &str) -> Box<[u8]> {
    let mut rdata = vec![0, tag.len() as u8];
    rdata.extend_from_slice(tag.as_bytes());
    rdata.extend_from_slice(value.as_bytes());
    rdata.into_boxed_slice()
}

fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let values = Vec::<String>::deserialize(deserializer)?;
    match values
        .iter()
        .find(|value| value.is_empty() || !value.bytes().all(|b| (0x20..0x7f).contains(&b)))
    {
        None => Ok(Some(values)),
        Some(value) => Err(serde::de::Error::custom(format_args!(
            "`{value}` is no CAA value; write a CA's domain such as \"letsencrypt.org\" (RFC 8659 §4)"
        ))),
    }
}
