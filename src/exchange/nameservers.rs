//! The addresses of a zone's name servers, for NOTIFY (RFC 1996 §2.3) and for asking whether they serve a key.
//!
//! What we serve ourselves is known; for other names the system's resolver is asked, and what it said is kept for a
//! while, good or bad, for a provider's domains share their name servers.

use super::{DNS_PORT, Shared};
use crate::name::Name;
use crate::record::RecordType;
use crate::zone::{LookupName, Zone, ZoneSet};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer of the system's resolver is kept.
const KEPT: Duration = Duration::from_secs(300);
/// How long the system's resolver may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the system's resolver said.
#[derive(Debug, Default)]
pub(super) struct NameServers {
    known: Mutex<HashMap<Name, (Instant, Vec<IpAddr>)>>,
}

impl NameServers {
    /// Where the name servers of a zone are, but for its primary, which the SOA names and which we are, and for
    /// addresses of this server.
    pub(super) async fn addresses(&self, shared: &Shared, zone: &Zone) -> Vec<SocketAddr> {
        let mut addresses = vec![];
        for name in secondaries(zone) {
            let ours = ours(&shared.zones.load(), &name);
            addresses.extend(match ours {
                Some(ours) => ours,
                None => self.resolve(&name).await,
            });
        }
        addresses.sort_unstable();
        addresses.dedup();
        let is_us = |address: &IpAddr| {
            let mut listen = shared.listen.iter().filter(|listen| listen.port() == DNS_PORT);
            listen.any(|listen| listen.ip() == *address || listen.ip().is_unspecified() && is_local(*address))
        };
        addresses.retain(|address| !is_us(address));
        addresses.into_iter().map(|ip| SocketAddr::new(ip, DNS_PORT)).collect()
    }

    /// All name servers of a zone with all their addresses, this server's among them.
    pub(super) async fn all(&self, shared: &Shared, zone: &Zone) -> Vec<(Name, Vec<IpAddr>)> {
        let mut servers = vec![];
        for name in names(zone) {
            let ours = ours(&shared.zones.load(), &name);
            let addresses = match ours {
                Some(ours) => ours,
                None => self.resolve(&name).await,
            };
            servers.push((name, addresses));
        }
        servers
    }

    async fn resolve(&self, name: &Name) -> Vec<IpAddr> {
        if let Some((when, addresses)) = self.lock().get(name)
            && when.elapsed() < KEPT
        {
            return addresses.clone();
        }
        let host = name.to_string();
        let lookup = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, DNS_PORT))).await;
        let addresses: Vec<IpAddr> = match lookup {
            Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
            Ok(Err(_)) | Err(_) => vec![],
        };
        if addresses.is_empty() {
            tracing::debug!(nameserver = %name, "it has no address, so it is neither told of changes nor asked for keys");
        }
        let mut known = self.lock();
        known.retain(|_, (when, _)| when.elapsed() < KEPT);
        known.insert(name.clone(), (Instant::now(), addresses.clone()));
        addresses
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Name, (Instant, Vec<IpAddr>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of the NS RRset but the SOA's MNAME (RFC 1996 §3.3).
fn secondaries(zone: &Zone) -> Vec<Name> {
    let primary = Name::from_wire(name_at_front(zone.soa().first_rdata())).ok();
    let names = names(zone);
    names.filter(|name| primary.as_ref() != Some(name)).collect()
}

fn names(zone: &Zone) -> impl Iterator<Item = Name> {
    let nameservers = zone.apex_node().rrset(RecordType::NS);
    nameservers
        .into_iter()
        .flat_map(|rrset| rrset.records())
        .filter_map(|record| Name::from_wire(record.rdata).ok())
        .map(|name| name.to_lowercase())
}

fn name_at_front(rdata: &[u8]) -> &[u8] {
    crate::name::wire_len(rdata)
        .and_then(|len| rdata.get(..len))
        .unwrap_or_default()
}

/// The addresses that our own zones have for a name, glue included; `None` when it is in none of them.
fn ours(zones: &ZoneSet, name: &Name) -> Option<Vec<IpAddr>> {
    let lookup = LookupName::new(name.as_wire())?;
    let node = zones.closest_enclosing(&lookup)?.find(&lookup)?;
    let v4 = node.rrset(RecordType::A).into_iter().flat_map(|rrset| rrset.records());
    let v4 = v4.filter_map(|record| Some(IpAddr::from(Ipv4Addr::from(*record.rdata.first_chunk::<4>()?))));
    let v6 = node
        .rrset(RecordType::AAAA)
        .into_iter()
        .flat_map(|rrset| rrset.records());
    let v6 = v6.filter_map(|record| Some(IpAddr::from(Ipv6Addr::from(*record.rdata.first_chunk::<16>()?))));
    let addresses: Vec<IpAddr> = v4.chain(v6).collect();
    (!addresses.is_empty()).then_some(addresses)
}

/// Is it an address of this machine? One can only be bound to then.
fn is_local(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}
