//! Catalog zones: a zone that lists zones, so that a fleet of servers knows what to serve (RFC 9432).
//!
//! Pure: [`records`] writes the list, [`members`] reads it. A member is a PTR record at a label of its own below `zones`
//! (§4.1); ours is made from the member's name, so that a zone has the same one in every catalog and at every start.

use crate::name::Name;
use crate::record::{Record, RecordType};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The version that we write and read (RFC 9432 §4.2.1).
const VERSION: &[u8] = b"2";
/// Nobody resolves a catalog's records, so how long they may be kept does not matter (§4.1).
const TTL: u32 = 0;
/// Octets of the hash that make a member's label.
const ID_OCTETS: usize = 12;

/// Why a zone is no catalog that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// §4.2.1: no version, or more than one.
    #[error("it has no version record; a catalog says \"2\" in a TXT record at version.{0}")]
    NoVersion(Name),
    /// Another version.
    #[error("it is of version \"{0}\", and only version \"2\" (RFC 9432) is known")]
    Version(String),
    /// §4.4: one label, several members; or one member at several labels.
    #[error("{0} is in it twice")]
    Twice(Name),
}

/// A zone in a catalog.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its apex, lower case.
    pub apex: Name,
    /// Its groups (§4.3.2): what they mean is agreed between producer and consumer.
    pub groups: BTreeSet<String>,
}

/// The records of the catalog `apex` but SOA and NS. Members whose names leave no room for the label are left out and
/// returned.
pub fn records(apex: &Name, members: impl IntoIterator<Item = Member>) -> (Vec<Record>, Vec<Name>) {
    let text = |owner: Name, text: &[u8]| Record::text(owner, RecordType::TXT, TTL, text);
    let mut records: Vec<Record> = apex
        .prefixed("version")
        .map(|owner| text(owner, VERSION))
        .into_iter()
        .collect();
    let mut left_out = vec![];
    for Member { apex: member, groups } in members {
        let Ok(owner) = apex.prefixed(&format!("{}.zones", id(&member))) else {
            left_out.push(member);
            continue;
        };
        if let Ok(at_group) = owner.prefixed("group") {
            records.extend(groups.iter().map(|group| text(at_group.clone(), group.as_bytes())));
        }
        records.push(Record {
            owner,
            rtype: RecordType::PTR,
            ttl: TTL,
            rdata: member.as_wire().into(),
        });
    }
    (records, left_out)
}

/// The label of a member (§4.1: unique in the catalog, of no meaning).
fn id(member: &Name) -> String {
    let hash = Sha256::digest(member.to_lowercase().as_wire());
    hash.iter()
        .take(ID_OCTETS)
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

/// The members of a catalog by its records. A broken catalog gives none: what was known of it before stays in force
/// (§5.1).
pub fn members(apex: &Name, records: &[Record]) -> Result<Vec<Member>, Broken> {
    let version = apex.prefixed("version").map_err(|_| Broken::NoVersion(apex.clone()))?;
    let versions: Vec<&Record> = records
        .iter()
        .filter(|record| record.rtype == RecordType::TXT && record.owner == version)
        .collect();
    match &versions[..] {
        [one] if one.joined_text() == VERSION => {}
        [one] => {
            return Err(Broken::Version(
                String::from_utf8_lossy(&one.joined_text()).into_owned(),
            ));
        }
        _ => return Err(Broken::NoVersion(apex.clone())),
    }
    let Ok(zones) = apex.prefixed("zones") else {
        return Ok(vec![]);
    };
    let mut at_label: BTreeMap<Name, Member> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for record in records.iter().filter(|record| record.rtype == RecordType::PTR) {
        if record.owner.parent().as_ref() != Some(&zones) {
            continue;
        }
        let Ok(member) = Name::from_wire(&record.rdata).map(|name| name.to_lowercase()) else {
            continue;
        };
        let new = Member {
            apex: member.clone(),
            groups: BTreeSet::new(),
        };
        if !seen.insert(member.clone()) || at_label.insert(record.owner.to_lowercase(), new).is_some() {
            return Err(Broken::Twice(member));
        }
    }
    let is_group = |owner: &Name| {
        owner
            .labels()
            .next()
            .is_some_and(|label| label.eq_ignore_ascii_case(b"group"))
    };
    for record in records
        .iter()
        .filter(|record| record.rtype == RecordType::TXT && is_group(&record.owner))
    {
        let member = record
            .owner
            .parent()
            .and_then(|label| at_label.get_mut(&label.to_lowercase()));
        if let Some(member) = member {
            member
                .groups
                .insert(String::from_utf8_lossy(&record.joined_text()).into_owned());
        }
    }
    Ok(at_label.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::name;
    use proptest::prelude::*;

    fn member(apex: &str, groups: &[&str]) -> Member {
        Member {
            apex: name(apex),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    #[test]
    fn looks_as_rfc_9432_shows_it() {
        let members = [member("example.org", &[]), member("example.net", &["fast"])];
        let (records, left_out) = records(&name("catalog.invalid"), members);
        let text: Vec<String> = records.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        version.catalog.invalid. 0 IN TXT "2"
        640cf2756b8440ae2a68b531.zones.catalog.invalid. 0 IN PTR example.org.
        group.5aaf3ac400ef27d36b68cca8.zones.catalog.invalid. 0 IN TXT "fast"
        5aaf3ac400ef27d36b68cca8.zones.catalog.invalid. 0 IN PTR example.net.
        "#);
        assert_eq!(left_out, []);
    }

    #[test]
    fn a_name_without_room_is_told() {
        let long = ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(40)].join(".");
        let (_, left_out) = records(&name(&long), [member("example.org", &[])]);
        assert_eq!(left_out, [name("example.org")]);
    }

    #[test]
    fn what_is_broken_is_refused_whole() {
        let apex = name("catalog.invalid");
        let (good, _) = records(&apex, [member("example.org", &[])]);
        let told = |records: &[Record]| members(&apex, records).unwrap_err().to_string();
        assert!(told(&good[1..]).contains("no version record"));
        let mut other = good.clone();
        other[0].rdata = b"\x013".as_slice().into();
        assert!(told(&other).contains("version \"3\""));
        let mut twice = good.clone();
        twice.push(Record {
            owner: name("other.zones.catalog.invalid"),
            ..good[1].clone()
        });
        assert!(told(&twice).contains("example.org. is in it twice"));
        let mut same_label = good.clone();
        same_label.push(Record {
            rdata: name("example.net").as_wire().into(),
            ..good[1].clone()
        });
        assert!(told(&same_label).contains("twice"));
        // What is elsewhere in the zone is for others (§4.4.2).
        let mut more = good.clone();
        more.push(Record {
            owner: name("deep.x.zones.catalog.invalid"),
            ..good[1].clone()
        });
        assert_eq!(members(&apex, &more).unwrap(), [member("example.org", &[])]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(zones in prop::collection::btree_map("[a-z]{1,8}\\.[a-z]{1,3}", prop::collection::btree_set("[a-z]{1,4}", 0..3), 0..30)) {
            let members: Vec<Member> = zones.iter().map(|(apex, groups)| Member { apex: name(apex), groups: groups.clone() }).collect();
            let apex = name("Catalog.example");
            let (records, _) = records(&apex, members.clone());
            let mut read = super::members(&apex, &records).unwrap();
            read.sort();
            let mut members = members;
            members.sort();
            prop_assert_eq!(read, members);
        }
    }
}
