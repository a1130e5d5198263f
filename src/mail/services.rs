//! How mail programs find a domain's servers: SRV (RFC 6186, RFC 8314 §5.1) and autoconfig names.
//!
//! ```toml
//! [mail.services]
//! submissions = "mail"                # a host, one label being relative to the apex; port 465
//! imaps = "mail.example.org:993"      # a port of one's own
//! pop3s = false                       # not offered: SRV with the target `.` (RFC 6186 §3.4)
//! submission = "mail"                 # and imap, pop3, sieve
//! autoconfig = "mail"                 # CNAME at autoconfig (Thunderbird and others)
//! autodiscover = "mail"               # SRV at _autodiscover._tcp, port 443 (Outlook)
//! ttl = "1h"
//! ```
//!
//! Each gives way to what the zone file has at its name.

use super::kind::{Kind, Wanted};
use super::read::{self, PolicyName};
use crate::finding::Finding;
use crate::name::Name;
use crate::record::RecordType;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// `[mail.services]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServicesPolicy {
    /// Message submission over TLS, port 465.
    pub submissions: Option<Offer>,
    /// Message submission, port 587.
    pub submission: Option<Offer>,
    /// IMAP over TLS, port 993.
    pub imaps: Option<Offer>,
    /// IMAP, port 143.
    pub imap: Option<Offer>,
    /// POP3 over TLS, port 995.
    pub pop3s: Option<Offer>,
    /// POP3, port 110.
    pub pop3: Option<Offer>,
    /// ManageSieve, port 4190 (RFC 5804 §1.8).
    pub sieve: Option<Offer>,
    /// The host behind the name `autoconfig`.
    pub autoconfig: Option<PolicyName>,
    /// The host that autodiscover clients ask, port 443.
    pub autodiscover: Option<Offer>,
    /// The TTL in seconds.
    #[serde(deserialize_with = "read::seconds")]
    pub ttl: Option<u32>,
}

/// A service: where it is, or that it is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// Not offered.
    No,
    /// At this host, and this port if not the usual one.
    At(PolicyName, Option<u16>),
}

impl ServicesPolicy {
    /// The records asked for.
    pub fn wanted(&self, apex: &Name, findings: &mut Vec<Finding>) -> Vec<Wanted> {
        let services = [
            ("submissions", &self.submissions, 465),
            ("submission", &self.submission, 587),
            ("imaps", &self.imaps, 993),
            ("imap", &self.imap, 143),
            ("pop3s", &self.pop3s, 995),
            ("pop3", &self.pop3, 110),
            ("sieve", &self.sieve, 4190),
            ("autodiscover", &self.autodiscover, 443),
        ];
        let mut wanted = vec![];
        for (service, offer, port) in services {
            let Some(offer) = offer else { continue };
            let made = apex.prefixed(&format!("_{service}._tcp")).and_then(|owner| {
                let rdata = offer.rdata(apex, port)?;
                Ok(self.record(Kind::Service, owner, RecordType::SRV, rdata, service))
            });
            match made {
                Ok(record) => wanted.push(record),
                Err(error) => findings.push(bad_target(service, &error)),
            }
        }
        if let Some(host) = &self.autoconfig {
            let made = apex
                .prefixed("autoconfig")
                .and_then(|owner| Ok((owner, host.target(apex)?)));
            match made {
                Ok((owner, target)) => {
                    let rdata = target.as_wire().into();
                    wanted.push(self.record(Kind::Autoconfig, owner, RecordType::CNAME, rdata, "autoconfig"));
                }
                Err(error) => findings.push(bad_target("autoconfig", &error)),
            }
        }
        wanted
    }

    fn record(&self, kind: Kind, owner: Name, rtype: RecordType, rdata: Box<[u8]>, service: &str) -> Wanted {
        Wanted {
            kind,
            owner,
            rtype,
            rdata,
            ttl: self.ttl,
            from: format!("policy [mail.services] {service}"),
            yields: true,
        }
    }
}

fn bad_target(service: &str, error: &crate::name::NameError) -> Finding {
    Finding::error(
        "policy-service-host",
        format!("[mail.services] {service} is left out: {error}"),
        "name a host such as \"mail\" or \"mail.example.org\"",
    )
}

impl Offer {
    /// Priority, weight, port, target (RFC 2782); `.` and port 0 for what is not offered.
    fn rdata(&self, apex: &Name, usual_port: u16) -> Result<Box<[u8]>, crate::name::NameError> {
        let (weight, port, target) = match self {
            Self::No => (0u16, 0, Name::root()),
            Self::At(host, port) => (1, port.unwrap_or(usual_port), host.target(apex)?),
        };
        let mut rdata = vec![0, 0];
        rdata.extend_from_slice(&weight.to_be_bytes());
        rdata.extend_from_slice(&port.to_be_bytes());
        rdata.extend_from_slice(target.as_wire());
        Ok(rdata.into_boxed_slice())
    }
}

impl<'de> Deserialize<'de> for Offer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HostOrFalse;

        impl Visitor<'_> for HostOrFalse {
            type Value = Offer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a host such as \"mail\" or \"mail:993\", or false for a service not offered")
            }

            fn visit_bool<E: Error>(self, offered: bool) -> Result<Offer, E> {
                match offered {
                    false => Ok(Offer::No),
                    true => Err(E::custom("say where the service is, as in \"mail\"")),
                }
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Offer, E> {
                let (host, port) = match text.split_once(':') {
                    Some((host, port)) => {
                        let port = port
                            .parse()
                            .map_err(|_| E::custom(format_args!("`{port}` is no port")))?;
                        (host, Some(port))
                    }
                    None => (text, None),
                };
                Ok(Offer::At(host.parse().map_err(E::custom)?, port))
            }
        }

        deserializer.deserialize_any(HostOrFalse)
    }
}
