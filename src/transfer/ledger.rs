//! What is remembered of other servers: what was last said to each secondary, the NOTIFY that it answered and the
//! transfer that it fetched; until when what a primary said is good.
//!
//! For `signpost zone status` and for secondaries (RFC 7314), so it lives in memory only, and remembers a few servers per
//! zone.

use crate::name::Name;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many servers are remembered per zone: anybody who may fetch a zone could fill the memory otherwise.
const SERVERS: usize = 16;

/// Something that was said about a version of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// The version.
    pub serial: u32,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// What one server was told and has fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dealings {
    /// Where it is.
    pub address: IpAddr,
    /// The NOTIFY that it answered last.
    pub notified: Option<Said>,
    /// What it fetched last.
    pub fetched: Option<Said>,
}

/// Shared by all who deal with other servers.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    dealings: HashMap<Name, Vec<Dealings>>,
    /// When zones that are fetched expire, in seconds since 1970.
    expiries: HashMap<Name, u64>,
}

impl Ledger {
    /// A server answered a NOTIFY.
    pub fn notified(&self, apex: &Name, address: IpAddr, said: Said) {
        self.with(apex, address, |dealings| dealings.notified = Some(said));
    }

    /// A server fetched a version.
    pub fn fetched(&self, apex: &Name, address: IpAddr, said: Said) {
        self.with(apex, address, |dealings| dealings.fetched = Some(said));
    }

    /// What is remembered of a zone's servers.
    pub fn of(&self, apex: &Name) -> Vec<Dealings> {
        self.pages().dealings.get(apex).cloned().unwrap_or_default()
    }

    /// A zone that is fetched expires then; `None`: it is fetched no more.
    pub fn expires(&self, apex: &Name, at: Option<u64>) {
        let expiries = &mut self.pages().expiries;
        match at {
            Some(at) => expiries.insert(apex.clone(), at),
            None => expiries.remove(apex),
        };
    }

    /// When a zone that is fetched expires.
    pub fn expiry(&self, apex: &Name) -> Option<u64> {
        self.pages().expiries.get(apex).copied()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, apex: &Name, address: IpAddr, note: impl FnOnce(&mut Dealings)) {
        let address = address.to_canonical();
        let mut pages = self.pages();
        let servers = pages.dealings.entry(apex.clone()).or_default();
        // The one heard of last is the last, and the first one goes when there are too many.
        let mut dealings = match servers.iter().position(|known| known.address == address) {
            Some(at) => servers.remove(at),
            None => Dealings {
                address,
                notified: None,
                fetched: None,
            },
        };
        note(&mut dealings);
        if servers.len() == SERVERS {
            servers.remove(0);
        }
        servers.push(dealings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_dealings_with_a_few_servers_are_remembered() {
        let ledger = Ledger::default();
        let apex = Name::from_text("example.org").unwrap();
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let said = |serial| Said { serial, at: 5 };
        ledger.notified(&apex, address(1), said(7));
        ledger.fetched(&apex, "::ffff:192.0.2.1".parse().unwrap(), said(8));
        let expected = Dealings {
            address: address(1),
            notified: Some(said(7)),
            fetched: Some(said(8)),
        };
        assert_eq!(ledger.of(&apex), [expected]);
        for last in 1..=40 {
            ledger.fetched(&apex, address(last), said(9));
        }
        let known: Vec<IpAddr> = ledger.of(&apex).iter().map(|dealings| dealings.address).collect();
        assert_eq!(known, (25..=40).map(address).collect::<Vec<_>>());
        assert_eq!(ledger.of(&Name::root()), []);
    }
}
