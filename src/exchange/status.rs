//! How a zone stands with the other servers: what it is here, what each secondary serves, asked over the network.

use super::refresher::RefreshStatus;
use super::{Shared, primary};
use crate::name::Name;
use crate::publish::Serial;
use crate::transfer::{Remote, Said, serial_of};
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How one zone stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneStatus {
    /// The apex.
    pub zone: String,
    /// `primary`, or `secondary` if it is fetched.
    pub role: &'static str,
    /// The serial that is served; `None` when there is no data.
    pub serial: Option<u32>,
    /// From whom it is fetched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub primaries: Vec<String>,
    /// How fetching goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshStatus>,
    /// The servers that have it from here.
    pub secondaries: Vec<SecondaryStatus>,
}

/// How one server that has the zone from here stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecondaryStatus {
    /// Where it is.
    pub address: String,
    /// The serial that it serves.
    pub serial: Option<u32>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Does it serve what we serve?
    pub up_to_date: bool,
    /// The NOTIFY that it answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notified: Option<SaidStatus>,
    /// What it fetched last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<SaidStatus>,
}

/// A version, and how long ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SaidStatus {
    /// The version.
    pub serial: u32,
    /// Seconds since then.
    pub seconds_ago: u64,
}

/// What is known of a zone before anybody is asked.
#[derive(Debug)]
pub struct Known {
    /// The apex.
    pub apex: Name,
    /// From whom it is fetched, if it is.
    pub primaries: Vec<Remote>,
}

impl Shared {
    /// Asks the secondaries of a zone.
    pub(super) async fn status(self: &Arc<Self>, known: Known, refresh: Option<RefreshStatus>) -> ZoneStatus {
        let Known { apex, primaries } = known;
        let zone = self.zones.load().get(&apex).cloned();
        let serial = zone
            .as_ref()
            .filter(|zone| !zone.is_unavailable())
            .map(|zone| zone.serial());
        let mut asked = JoinSet::new();
        for remote in self.secondaries(&apex).await {
            let (shared, apex) = (Arc::clone(self), apex.clone());
            asked.spawn(async move { shared.ask_secondary(&apex, remote, serial).await });
        }
        let mut secondaries = asked.join_all().await;
        secondaries.sort_by(|a, b| a.address.cmp(&b.address));
        ZoneStatus {
            zone: apex.to_string(),
            role: if primaries.is_empty() { "primary" } else { "secondary" },
            serial,
            primaries: primaries.iter().map(ToString::to_string).collect(),
            refresh,
            secondaries,
        }
    }

    /// All that are told of the zone's changes, and all that have fetched it.
    async fn secondaries(&self, apex: &Name) -> Vec<Remote> {
        let mut remotes = self.notified_of(apex).await;
        for dealings in self.ledger.of(apex) {
            if !remotes.iter().any(|remote| remote.address.ip() == dealings.address) {
                let address = (dealings.address, super::DNS_PORT).into();
                remotes.push(Remote {
                    address,
                    key: None,
                    tls: None,
                });
            }
        }
        remotes
    }

    async fn ask_secondary(&self, apex: &Name, remote: Remote, ours: Option<u32>) -> SecondaryStatus {
        let answer = primary::soa_at_once(self, &remote, apex).await;
        let serial = answer.as_ref().ok().map(serial_of);
        let dealings = self.ledger.of(apex);
        let dealings = dealings
            .iter()
            .find(|known| IpAddr::eq(&known.address, &remote.address.ip().to_canonical()));
        let said = |said: Said| SaidStatus {
            serial: said.serial,
            seconds_ago: super::now().saturating_sub(said.at),
        };
        SecondaryStatus {
            address: remote.to_string(),
            serial,
            problem: answer.err().map(|error| error.to_string()),
            up_to_date: serial.is_some() && serial == ours,
            notified: dealings.and_then(|dealings| dealings.notified).map(said),
            fetched: dealings.and_then(|dealings| dealings.fetched).map(said),
        }
    }
}

impl fmt::Display for ZoneStatus {
    /// A few lines for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.zone, self.role)?;
        match self.serial {
            Some(serial) => write!(f, ", serial {serial}")?,
            None => write!(f, ", no data: answered with SERVFAIL")?,
        }
        writeln!(f)?;
        if let Some(refresh) = &self.refresh {
            write!(f, "  fetched from {}", self.primaries.join(", "))?;
            writeln!(f, "{refresh}")?;
        }
        for secondary in &self.secondaries {
            write!(f, "  {}  ", secondary.address)?;
            match (secondary.serial, &secondary.problem) {
                (Some(serial), _) if secondary.up_to_date => write!(f, "serial {serial}, up to date")?,
                (Some(serial), _) => match self.serial.map(|ours| Serial(ours).is_newer_than(Serial(serial))) {
                    Some(false) => write!(f, "serial {serial}, AHEAD of ours")?,
                    _ => write!(f, "serial {serial}, BEHIND")?,
                },
                (None, Some(problem)) => write!(f, "unknown: {problem}")?,
                (None, None) => write!(f, "unknown")?,
            }
            if let Some(said) = &secondary.notified {
                write!(f, "; told of {} {} ago", said.serial, spoken(said.seconds_ago))?;
            }
            if let Some(said) = &secondary.fetched {
                write!(f, "; fetched {} {} ago", said.serial, spoken(said.seconds_ago))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A span of time in one unit.
pub fn spoken(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_at_a_glance_who_lags() {
        let said = |serial, seconds_ago| Some(SaidStatus { serial, seconds_ago });
        let secondary = |address: &str, serial, problem: Option<&str>| SecondaryStatus {
            address: address.into(),
            serial,
            problem: problem.map(str::to_owned),
            up_to_date: serial == Some(8),
            notified: said(8, 30),
            fetched: said(7, 10_000),
        };
        let status = ZoneStatus {
            zone: "example.org.".into(),
            role: "secondary",
            serial: Some(8),
            primaries: vec!["203.0.113.1".into()],
            refresh: Some(RefreshStatus {
                confirmed_seconds_ago: Some(61),
                next_in_seconds: Some(3600),
                expires_in_seconds: Some(600_000),
                failures: 2,
                expired: false,
            }),
            secondaries: vec![
                secondary("192.0.2.1", Some(8), None),
                secondary("192.0.2.2", Some(7), None),
                secondary("192.0.2.3", Some(9), None),
                secondary("192.0.2.4", None, Some("it does not answer")),
            ],
        };
        insta::assert_snapshot!(status.to_string(), @r"
        example.org.  secondary, serial 8
          fetched from 203.0.113.1, confirmed 61 s ago, next in 60 min, expires in 6 days, 2 attempts failed since
          192.0.2.1  serial 8, up to date; told of 8 30 s ago; fetched 7 2 h ago
          192.0.2.2  serial 7, BEHIND; told of 8 30 s ago; fetched 7 2 h ago
          192.0.2.3  serial 9, AHEAD of ours; told of 8 30 s ago; fetched 7 2 h ago
          192.0.2.4  unknown: it does not answer; told of 8 30 s ago; fetched 7 2 h ago
        ");
    }
}
