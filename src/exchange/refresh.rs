//! One refresh of one zone: its primaries are asked in turn, what is newer is fetched, judged and stored (RFC 1034 §4.3.5,
//! RFC 1995, RFC 7314).
//!
//! When and why is [`super::refresher`]'s matter; how it ended is told to it as [`Ended`].

use super::primary::{self, Failure};
use super::refresher::{Event, Tell};
use super::{Shared, stored};
use crate::catalog;
use crate::finding::Finding;
use crate::name::Name;
use crate::publish::Serial;
use crate::record::Record;
use crate::transfer::{Arrived, Remote, apply, serial_of};
use crate::zone::Zone;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many zones at a time are refreshed from one primary.
const AT_ONCE: usize = 32;
/// The least of a SOA's timers that is heeded.
pub(super) const LEAST_TIMER: Duration = Duration::from_secs(1);

/// A version of a zone as it came, ready to be served if nothing is to be composed into it; it is not stored yet.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The zone.
    pub zone: Arc<Zone>,
    /// What the operator should know of it.
    pub findings: Vec<Finding>,
}

/// What each primary was last said to give nothing for.
pub(super) type Troubles = Arc<Mutex<HashMap<SocketAddr, String>>>;

/// How a refresh, or reading what is stored, ended.
#[derive(Debug)]
pub(super) enum Ended {
    Loaded(Option<(Record, Option<SystemTime>)>),
    Confirmed(Remote, SystemTime),
    Stored(Remote, Record, SystemTime),
    Failed,
}

/// Whose turn it is with each primary.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<SocketAddr, Arc<Semaphore>>>);

impl Turns {
    /// Waits for a turn; it lasts as long as what is returned.
    async fn take(&self, primary: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let of_primary = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(primary).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
        };
        // It fails when the semaphore is closed, which nobody does.
        of_primary.acquire_owned().await.ok()
    }
}

/// A timer of the SOA: refresh, retry, expire (RFC 1035 §3.3.13).
pub(super) fn timer(soa: &Record, number: usize) -> Option<Duration> {
    let numbers = soa.rdata.last_chunk::<16>()?;
    let timer = numbers.get(4 * number..)?.first_chunk()?;
    Some(Duration::from_secs(u32::from_be_bytes(*timer).into()).max(LEAST_TIMER))
}

/// When the zone's primary confirmed it, seen from the seconds that the server we ask may serve it yet: now, if it does
/// not say or is the primary itself (RFC 7314 §4). No later than now, whatever it says.
fn confirmed_at(soa: &Record, expire: Option<u32>, now: SystemTime) -> SystemTime {
    let Some((left, whole)) = expire.zip(timer(soa, 2)) else {
        return now;
    };
    let ago = whole.saturating_sub(Duration::from_secs(left.into()));
    now.checked_sub(ago).unwrap_or(now)
}

/// One refresh of one zone.
pub(super) struct Refresh {
    pub(super) shared: Arc<Shared>,
    pub(super) apex: Name,
    pub(super) path: PathBuf,
    pub(super) turns: Arc<Turns>,
    /// The SOA of the stored version.
    pub(super) ours: Option<Record>,
    /// When that was confirmed.
    pub(super) confirmed: Option<SystemTime>,
    pub(super) troubles: Troubles,
    pub(super) tell: Tell,
}

impl Refresh {
    /// Asks the primaries in turn until one is good.
    pub(super) async fn run(&self, primaries: &[Remote]) -> Ended {
        for remote in primaries {
            let _turn = self.turns.take(remote.address).await;
            match self.ask(remote).await {
                Ok(Answer::Newer(soa, at)) => {
                    self.tell_success(remote);
                    return Ended::Stored(remote.clone(), soa, at);
                }
                Ok(Answer::Same(at)) => match self.confirm(at).await {
                    Ok(()) => {
                        self.tell_success(remote);
                        return Ended::Confirmed(remote.clone(), at);
                    }
                    Err(error) => tracing::warn!(zone = %self.apex, %error, "the state directory cannot be written"),
                },
                Err(reason) => self.tell_failure(remote, &reason),
            }
        }
        Ended::Failed
    }

    fn tell_failure(&self, remote: &Remote, reason: &Refused) {
        let (zone, text) = (&self.apex, reason.to_string());
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.get(&remote.address) == Some(&text) {
            tracing::debug!(%zone, primary = %remote, %reason, "the zone still cannot be fetched");
            return;
        }
        tracing::warn!(%zone, primary = %remote, %reason, "the zone cannot be fetched; it is tried again and again");
        troubles.insert(remote.address, text);
    }

    fn tell_success(&self, remote: &Remote) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.remove(&remote.address).is_some() {
            tracing::info!(zone = %self.apex, primary = %remote, "the primary gives the zone again");
        }
    }

    async fn confirm(&self, at: SystemTime) -> std::io::Result<()> {
        let path = self.path.clone();
        on_a_thread(move || stored::confirm(&path, at)).await
    }

    /// What we have is the newest: it was confirmed now or, if that is later, when it was (RFC 7314 §4).
    fn same(&self, ours: &Record, expire: Option<u32>) -> Answer {
        let at = confirmed_at(ours, expire, SystemTime::now());
        Answer::Same(self.confirmed.map_or(at, |before| before.max(at)))
    }

    /// Fetches and stores what the primary has that is newer.
    async fn ask(&self, remote: &Remote) -> Result<Answer, Refused> {
        let began = std::time::Instant::now();
        if let Some(soa) = &self.ours {
            let said = primary::soa(&self.shared, remote, &self.apex).await?;
            let (theirs, ours) = (serial_of(&said.soa), serial_of(soa));
            if theirs == ours {
                return Ok(self.same(soa, said.expire));
            }
            if !Serial(theirs).is_newer_than(Serial(ours)) {
                return Err(Refused::Backwards { theirs, ours });
            }
        }
        let (arrived, mut expire) = match (
            primary::fetch(&self.shared, remote, &self.apex, self.ours.as_ref()).await,
            &self.ours,
        ) {
            // Many a primary cannot tell changes, and some tell them wrong: then the whole zone is asked for.
            (Err(reason @ (Failure::Fault(_) | Failure::Closed)), Some(_)) => {
                self.tell_unusable(remote, &reason);
                self.whole(remote).await?
            }
            (arrived, _) => arrived?,
        };
        let (kind, records) = match (arrived, &self.ours) {
            (Arrived::Nothing(serial), Some(ours)) if serial_of(ours) == serial => return Ok(self.same(ours, expire)),
            (Arrived::Nothing(_), _) => ("AXFR", self.whole_records(remote, &mut expire).await?),
            (Arrived::Whole(records), _) => ("AXFR", records),
            (Arrived::Changes(steps), _) => {
                let (path, apex) = (self.path.clone(), self.apex.clone());
                let applied = on_a_thread(move || {
                    let records = stored::read(&path, &apex).ok()?;
                    apply(records, &steps)
                });
                match applied.await {
                    Some(records) => ("IXFR", records),
                    None => {
                        self.tell_unusable(remote, &"the changes it tells do not fit our version");
                        ("AXFR", self.whole_records(remote, &mut expire).await?)
                    }
                }
            }
        };
        let count = records.len();
        let (soa, at) = self.store(records, expire).await?;
        tracing::info!(
            zone = %self.apex,
            serial = serial_of(&soa),
            primary = %remote,
            kind,
            records = count,
            ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "zone fetched"
        );
        Ok(Answer::Newer(soa, at))
    }

    fn tell_unusable(&self, remote: &Remote, reason: &dyn fmt::Display) {
        tracing::info!(zone = %self.apex, primary = %remote, %reason, "IXFR failed; the whole zone is asked for");
    }

    async fn whole(&self, remote: &Remote) -> Result<(Arrived, Option<u32>), Refused> {
        Ok(primary::fetch(&self.shared, remote, &self.apex, None).await?)
    }

    async fn whole_records(&self, remote: &Remote, expire: &mut Option<u32>) -> Result<Vec<Record>, Refused> {
        let (arrived, seconds) = self.whole(remote).await?;
        *expire = seconds;
        match arrived {
            Arrived::Whole(records) => Ok(records),
            Arrived::Nothing(_) | Arrived::Changes(_) => Err(Refused::Disordered),
        }
    }

    /// Tells of the records if they make a zone, and stores them; returns its SOA and when it was confirmed.
    async fn store(&self, records: Vec<Record>, expire: Option<u32>) -> Result<(Record, SystemTime), Refused> {
        let (apex, path, tell) = (self.apex.clone(), self.path.clone(), Arc::clone(&self.tell));
        on_a_thread(move || {
            let soa = records.first().cloned().ok_or(Refused::Disordered)?;
            let (zone, findings) = Zone::build(&apex, &records, &[]).map_err(|error| Refused::NoZone(error.0.what))?;
            if zone.is_catalog() {
                // RFC 9432 §5.1: a broken one changes nothing.
                let records: Vec<Record> = zone.records().collect();
                catalog::members(&apex, &records).map_err(Refused::Catalog)?;
            } else {
                // Queries need not wait for the disk: what a crash takes is fetched again.
                let zone = Arc::new(zone);
                tell(Event::Arrived(apex.clone(), Arrival { zone, findings }));
            }
            let at = confirmed_at(&soa, expire, SystemTime::now());
            stored::write(&path, &records, at)?;
            tell(Event::Stored(apex));
            Ok((soa, at))
        })
        .await
    }
}

/// What a primary's answer came to, and when the zone's primary confirmed that.
enum Answer {
    /// What we have is the newest.
    Same(SystemTime),
    /// Another version is stored, with this SOA.
    Newer(Record, SystemTime),
}

/// Why a primary's answer changes nothing.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Failure(#[from] Failure),
    #[error(
        "its serial {theirs} is behind ours, {ours}; the zone stays as it is until it expires, or raise the serial there"
    )]
    Backwards { theirs: u32, ours: u32 },
    #[error("what it sends is no zone: {0}")]
    NoZone(String),
    #[error("what it sends is no catalog that can be used: {0}")]
    Catalog(catalog::Broken),
    #[error("it sends something else than the zone")]
    Disordered,
    #[error(
        "the zone cannot be stored: {0}, so a restart would bring back the version of before; is the disk full, or the \
         state directory not writable?"
    )]
    Store(#[from] std::io::Error),
}

/// Work that takes long or waits for the disk.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordType;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_secondary_tells_how_long_ago_its_primary_confirmed() {
        let soa = Record {
            owner: Name::root(),
            rtype: RecordType::SOA,
            ttl: 0,
            rdata: [
                &[0, 0][..],
                [7u32, 60, 60, 1000, 60].map(u32::to_be_bytes).as_flattened(),
            ]
            .concat()
            .into(),
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let ago = |expire| now.duration_since(confirmed_at(&soa, expire, now)).unwrap().as_secs();
        assert_eq!(ago(None), 0, "it does not say");
        assert_eq!(ago(Some(1000)), 0, "it is the primary");
        assert_eq!(ago(Some(400)), 600);
        assert_eq!(ago(Some(0)), 1000, "it has just expired there");
        assert_eq!(ago(Some(u32::MAX)), 0, "RFC 7314 §4: the SOA counts when it says less");
    }
}
