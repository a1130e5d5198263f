//! `[catalog]` of `zones/NAME.toml`: the zone is a list of zones, for the servers of a fleet (RFC 9432).
//!
//! ```toml
//! [catalog]
//! only   = ["example.org", "example.net"]     # these zones; all that are served here if it is left out
//! groups = { fast = ["example.org"] }         # what the servers are to do with them, agreed with their operators
//! ```
//!
//! With `[transfer] primaries` the list is fetched, and its zones are fetched from the same primaries.

use crate::catalog::Member;
use crate::name::Name;
use serde::de::{Deserialize, Deserializer, Error};
use std::collections::{BTreeMap, BTreeSet};

/// What a catalog lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Catalog {
    only: Option<Vec<ZoneName>>,
    groups: BTreeMap<String, Vec<ZoneName>>,
}

impl Catalog {
    /// Those of `zones` that it lists, with their groups.
    pub fn members<'n>(&self, zones: impl Iterator<Item = &'n Name>) -> Vec<Member> {
        let only: Option<BTreeSet<&Name>> = self.only.as_ref().map(|only| only.iter().map(|zone| &zone.0).collect());
        let mut groups: BTreeMap<&Name, BTreeSet<String>> = BTreeMap::new();
        for (group, zones) in &self.groups {
            for zone in zones {
                groups.entry(&zone.0).or_default().insert(group.clone());
            }
        }
        zones
            .filter(|zone| only.as_ref().is_none_or(|only| only.contains(zone)))
            .map(|zone| Member {
                apex: zone.clone(),
                groups: groups.get(zone).cloned().unwrap_or_default(),
            })
            .collect()
    }
}

/// The name of a zone, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ZoneName(Name);

impl<'de> Deserialize<'de> for ZoneName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Name::from_text(&text)
            .map(|name| Self(name.to_lowercase()))
            .map_err(|error| {
                D::Error::custom(format!(
                    "\"{text}\" is no zone: {error}; write its name, such as \"example.org\""
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Vec<String> {
        let catalog: Catalog = toml::from_str(text).unwrap();
        let zones = ["example.org", "example.net"].map(|zone| Name::from_text(zone).unwrap());
        let members = catalog.members(zones.iter());
        members
            .into_iter()
            .map(|member| format!("{} {:?}", member.apex, member.groups))
            .collect()
    }

    #[test]
    fn lists_all_or_some_and_knows_their_groups() {
        assert_eq!(members(""), ["example.org. {}", "example.net. {}"]);
        assert_eq!(
            members("only = [\"Example.NET\", \"example.com\"]"),
            ["example.net. {}"]
        );
        assert_eq!(
            members("groups = { fast = [\"example.org\"], b = [\"example.org\"] }"),
            ["example.org. {\"b\", \"fast\"}", "example.net. {}"]
        );
        let error = toml::from_str::<Catalog>("only = [\"a..b\"]").unwrap_err();
        assert!(error.message().contains("\"a..b\" is no zone"), "{error}");
    }
}
