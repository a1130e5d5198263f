//! `[zone]` of `zones/NAME.toml`: SOA and NS of a zone that has no zone file.
//!
//! ```toml
//! [zone]
//! nameservers = ["ns1.example.org", "ns2.example.net"]   # as the NS records at the hoster name them
//! hostmaster  = "hostmaster@example.org"                 # the default: hostmaster of the domain
//! ttl = "1h"
//! refresh = "4h"
//! retry = "1h"
//! expire = "14d"
//! minimum = "5m"
//! serial = 1
//! ```
//!
//! For `_domainkey.example.org`, whose parent stays with a hoster, that is all there is to write: the
//! other records come from keys and policy.

use super::options;
use super::values::{Number, Text};
use crate::finding::Place;
use crate::mail;
use crate::name::Name;
use crate::record::{Record, RecordType};
use serde::de::{Deserialize, Deserializer, Error};
use std::net::IpAddr;

/// What stands at the apex of a zone without a zone file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apex {
    /// Where the table is written.
    pub place: Place,
    /// The name servers, at least one; the first is the SOA's MNAME (RFC 1035 §3.3.13).
    pub nameservers: Vec<Name>,
    /// The RNAME of the SOA; `None` is the hostmaster of the domain.
    pub hostmaster: Option<Name>,
    /// The TTL of SOA and NS, and of records for which policy sets none.
    pub ttl: u32,
    /// How often secondaries ask.
    pub refresh: u32,
    /// How soon they ask again after a failure.
    pub retry: u32,
    /// How long they serve the zone without hearing from us.
    pub expire: u32,
    /// How long a resolver believes that something is not there (RFC 2308 §4).
    pub minimum: u32,
    /// The serial that is counted on from as the content changes.
    pub serial: u32,
}

/// The table as it is written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApexTable {
    nameservers: Nameservers,
    hostmaster: Option<Mailbox>,
    #[serde(default, deserialize_with = "mail::seconds")]
    ttl: Option<u32>,
    #[serde(default, deserialize_with = "mail::seconds")]
    refresh: Option<u32>,
    #[serde(default, deserialize_with = "mail::seconds")]
    retry: Option<u32>,
    #[serde(default, deserialize_with = "mail::seconds")]
    expire: Option<u32>,
    #[serde(default, deserialize_with = "mail::seconds")]
    minimum: Option<u32>,
    serial: Option<Number<1, { u32::MAX }>>,
}

impl ApexTable {
    pub(super) fn at(self, place: Place) -> Apex {
        Apex {
            place,
            nameservers: self.nameservers.0,
            hostmaster: self.hostmaster.map(|mailbox| mailbox.0),
            ttl: self.ttl.unwrap_or(options::ZONE_TTL),
            refresh: self.refresh.unwrap_or(options::ZONE_REFRESH),
            retry: self.retry.unwrap_or(options::ZONE_RETRY),
            expire: self.expire.unwrap_or(options::ZONE_EXPIRE),
            minimum: self.minimum.unwrap_or(options::ZONE_MINIMUM),
            serial: self.serial.map_or(options::ZONE_SERIAL, |number| number.0),
        }
    }
}

impl Apex {
    /// Of a catalog, which nobody resolves: its name server is `invalid.` (RFC 9432 §4.1).
    pub(super) fn of_catalog(place: Place) -> Self {
        let invalid = Name::root().child(b"invalid").unwrap_or_else(|_| Name::root());
        Self {
            place,
            nameservers: vec![invalid.clone()],
            hostmaster: Some(invalid),
            ttl: options::ZONE_TTL,
            refresh: options::ZONE_REFRESH,
            retry: options::ZONE_RETRY,
            expire: options::ZONE_EXPIRE,
            minimum: options::ZONE_MINIMUM,
            serial: options::ZONE_SERIAL,
        }
    }

    /// The SOA and the NS of the zone `apex`.
    pub fn records(&self, apex: &Name) -> Vec<Record> {
        let record = |rtype, rdata: &[u8]| Record {
            owner: apex.clone(),
            rtype,
            ttl: self.ttl,
            rdata: rdata.into(),
        };
        let soa = record(RecordType::SOA, &self.soa(apex));
        let ns = self.nameservers.iter();
        std::iter::once(soa)
            .chain(ns.map(|host| record(RecordType::NS, host.as_wire())))
            .collect()
    }

    /// The RDATA of the SOA (RFC 1035 §3.3.13).
    fn soa(&self, apex: &Name) -> Vec<u8> {
        let hostmaster = self.hostmaster.clone().unwrap_or_else(|| default_hostmaster(apex));
        let mut rdata = Vec::new();
        for name in self.nameservers.first().into_iter().chain([&hostmaster]) {
            rdata.extend_from_slice(name.as_wire());
        }
        for number in [self.serial, self.refresh, self.retry, self.expire, self.minimum] {
            rdata.extend_from_slice(&number.to_be_bytes());
        }
        rdata
    }
}

/// Mail goes to the domain, never to a name such as `_domainkey.example.org`. A domain whose name
/// leaves no room for the word is told as its own.
fn default_hostmaster(apex: &Name) -> Name {
    let domain = mail::part_of(apex).unwrap_or_else(|| apex.clone());
    domain.child(b"hostmaster").unwrap_or(domain)
}

/// At least one host, none twice.
struct Nameservers(Vec<Name>);

impl<'de> Deserialize<'de> for Nameservers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hosts: Vec<Name> = Vec::<Host>::deserialize(deserializer)?
            .into_iter()
            .map(|host| host.0)
            .collect();
        if hosts.is_empty() {
            return Err(D::Error::custom(
                "the list is empty, and a zone needs a name server; name the hosts that serve it, as the NS records \
                 of the zone above do",
            ));
        }
        for (at, host) in hosts.iter().enumerate() {
            if hosts[..at].contains(host) {
                return Err(D::Error::custom(format!(
                    "\"{host}\" is listed twice; keep one of the two"
                )));
            }
        }
        Ok(Self(hosts))
    }
}

/// The whole name of a host.
struct Host(Name);

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("the name of a host", host)).map(Self)
    }
}

fn host(text: &str) -> Result<Name, String> {
    if text.parse::<IpAddr>().is_ok() {
        return Err(format!(
            "\"{text}\" is an address, and NS records name hosts; write the host's name, such as \"ns1.example.org\""
        ));
    }
    let name = Name::from_text(text).map_err(|error| format!("\"{text}\" is no name: {error}"))?;
    if name.label_count() < 2 {
        return Err(format!(
            "\"{text}\" is not a whole name; write one such as \"ns1.example.org\""
        ));
    }
    Ok(name)
}

/// A mail address as the RNAME of a SOA.
struct Mailbox(Name);

impl<'de> Deserialize<'de> for Mailbox {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a mail address", mailbox)).map(Self)
    }
}

/// The part before the `@` is one label, whatever dots are in it (RFC 1035 §8).
fn mailbox(text: &str) -> Result<Name, String> {
    let refuse = || format!("\"{text}\" is no mail address; write one such as \"hostmaster@example.org\"");
    let (local, domain) = text.rsplit_once('@').ok_or_else(refuse)?;
    let is_plain = !local.is_empty() && local.bytes().all(|octet| octet.is_ascii_graphic());
    let domain = Name::from_text(domain)
        .ok()
        .filter(|domain| is_plain && !domain.is_root());
    domain
        .and_then(|domain| domain.child(local.as_bytes()).ok())
        .ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, ZoneConfig};
    use super::*;
    use crate::zonefile;
    use std::path::Path;

    fn read(text: &str) -> Result<Apex, ConfigError> {
        let config = ZoneConfig::parse(text, Path::new("zones/_domainkey.example.org.toml"))?;
        Ok(config.apex.expect("there is a [zone]"))
    }

    fn written(text: &str, zone: &str) -> String {
        let mut out = vec![];
        zonefile::write(&read(text).unwrap().records(&Name::from_text(zone).unwrap()), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_list_of_name_servers_is_enough() {
        let text = "# part of a domain\n\n[zone]\nnameservers = [\"ns1.example.org\", \"ns2.example.net.\"]\n";
        assert_eq!(read(text).unwrap().place.line, Some(3));
        insta::assert_snapshot!(written(text, "_domainkey.example.org"));
    }

    #[test]
    fn everything_can_be_set() {
        let text = "[zone]\nnameservers = [\"ns1.example.org\"]\nhostmaster = \"dns.admin@example.net\"\nttl = \"2h\"\n\
                    refresh = 20000\nretry = \"2h\"\nexpire = \"30d\"\nminimum = \"10m\"\nserial = 4000000000\n";
        insta::assert_snapshot!(written(text, "_dmarc.example.org"));
    }

    #[test]
    fn the_hostmaster_is_that_of_the_mail_domain() {
        for (zone, rname) in [
            ("example.org", "hostmaster.example.org."),
            ("_smtp._tls.example.org", "hostmaster.example.org."),
            ("example.net._report._dmarc.example.org", "hostmaster.example.org."),
        ] {
            assert_eq!(default_hostmaster(&Name::from_text(zone).unwrap()).to_string(), rname);
        }
    }
}
