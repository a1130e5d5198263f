//! The zones that this server is a secondary of: when each is asked for, what is done with what arrives, when it
//! expires (RFC 1034 §4.3.5, RFC 1996, RFC 7314).
//!
//! One task knows all of them and the time; each refresh is a task of its own, a limited number at a time with each
//! primary, so that one that is silent holds up its own zones only. What arrives is stored first ([`super::stored`])
//! and then told as an [`Event`]; whoever serves reads it from there.

use super::primary::{self, Failure};
use super::status::spoken;
use super::{Shared, stored};
use crate::catalog;
use crate::finding::Finding;
use crate::name::Name;
use crate::publish::Serial;
use crate::record::Record;
use crate::transfer::{Arrived, Remote, apply, serial_of};
use crate::zone::Zone;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

/// So many zones at a time are refreshed from one primary.
const AT_ONCE: usize = 32;
/// A zone that is told of again and again is asked for no more often.
const LEAST_GAP: Duration = Duration::from_millis(200);
/// The least of a SOA's timers that is heeded.
const LEAST_TIMER: Duration = Duration::from_secs(1);
/// A zone that was never fetched is tried again after this, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// The longest of these.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// What became of a zone that this server is a secondary of.
#[derive(Debug)]
pub enum Event {
    /// Another version of it is stored, and is this.
    Arrived(Name, Arrival),
    /// No primary has confirmed it for as long as its SOA allows.
    Expired(Name),
}

/// A version of a zone as it came, ready to be served if nothing is to be composed into it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The zone.
    pub zone: Arc<Zone>,
    /// What the operator should know of it.
    pub findings: Vec<Finding>,
}

impl Arrival {
    fn soa(&self) -> Option<Record> {
        self.zone.records().next()
    }
}

/// Where events go.
pub(super) type Tell = Arc<dyn Fn(Event) + Send + Sync>;

/// Keeps secondary zones fresh. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct Refresher {
    orders: UnboundedSender<Order>,
    notified: Arc<Notified>,
}

/// The zones that a primary has just told of.
#[derive(Debug, Default)]
struct Notified {
    zones: Mutex<BTreeMap<Name, IpAddr>>,
    more: Notify,
}

#[derive(Debug)]
enum Order {
    Follow(Name, Vec<Remote>, PathBuf),
    Forget(Name),
    Now(Name),
    Tell(Name, oneshot::Sender<RefreshStatus>),
}

/// One zone.
#[derive(Debug)]
struct Secondary {
    /// The one that answered last is the first.
    primaries: Vec<Remote>,
    path: PathBuf,
    /// Of the version that is stored.
    soa: Option<Record>,
    /// When the zone's primary last said that this is the newest: to us, or to the secondary that we have it from.
    confirmed: Option<SystemTime>,
    due: Instant,
    /// When the last refresh began.
    begun: Option<Instant>,
    /// A refresh is under way; `again` when there was reason for another meanwhile.
    busy: bool,
    again: bool,
    failures: u32,
    expired: bool,
    /// What is told of each primary that gives nothing: once is enough, until it is something else.
    troubles: Troubles,
}

/// What each primary was last said to give nothing for.
type Troubles = Arc<Mutex<HashMap<SocketAddr, String>>>;

/// How fetching a zone goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefreshStatus {
    /// Seconds since a primary said that what we have is the newest.
    pub confirmed_seconds_ago: Option<u64>,
    /// Seconds until a primary is asked again; `None` when one is being asked.
    pub next_in_seconds: Option<u64>,
    /// Seconds until the zone expires, if no primary confirms it.
    pub expires_in_seconds: Option<u64>,
    /// Attempts that failed since a good one.
    pub failures: u32,
    /// Has it expired?
    pub expired: bool,
}

impl fmt::Display for RefreshStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.confirmed_seconds_ago {
            Some(ago) => write!(f, ", confirmed {} ago", spoken(ago))?,
            None => write!(f, ", not yet")?,
        }
        match self.next_in_seconds {
            Some(seconds) => write!(f, ", next in {}", spoken(seconds))?,
            None => write!(f, ", being asked now")?,
        }
        match self.expires_in_seconds {
            _ if self.expired => write!(f, ", EXPIRED")?,
            Some(seconds) => write!(f, ", expires in {}", spoken(seconds))?,
            None => {}
        }
        if self.failures > 0 {
            write!(f, ", {} attempts failed since", self.failures)?;
        }
        Ok(())
    }
}

/// How a refresh, or reading what is stored, ended.
#[derive(Debug)]
enum Ended {
    Loaded(Option<(Record, Option<SystemTime>)>),
    Confirmed(Remote, SystemTime),
    Stored(Remote, Arrival, SystemTime),
    Failed,
}

impl Refresher {
    pub(super) fn start(runtime: &Runtime, shared: Arc<Shared>, tell: Tell) -> Self {
        let (orders, receiver) = unbounded_channel();
        let notified = Arc::new(Notified::default());
        let (done, ended) = unbounded_channel();
        let manager = Manager {
            shared,
            tell,
            zones: HashMap::new(),
            timers: BTreeSet::new(),
            done,
            turns: Arc::default(),
        };
        runtime.spawn(manager.run(receiver, ended, Arc::clone(&notified)));
        Self { orders, notified }
    }

    /// Fetches the zone from these primaries from now on, and keeps it in this file.
    pub fn follow(&self, apex: &Name, primaries: &[Remote], path: PathBuf) {
        self.order(Order::Follow(apex.clone(), primaries.to_vec(), path));
    }

    /// It is fetched no more, and what is stored of it goes.
    pub fn forget(&self, apex: &Name) {
        self.order(Order::Forget(apex.clone()));
    }

    /// Asks for a newer version at once.
    pub fn refresh(&self, apex: &Name) {
        self.order(Order::Now(apex.clone()));
    }

    /// How fetching a zone goes; `None` for one that is not fetched.
    pub(super) async fn status(&self, apex: &Name) -> Option<RefreshStatus> {
        let (reply, status) = oneshot::channel();
        self.order(Order::Tell(apex.clone(), reply));
        status.await.ok()
    }

    /// A primary at this address says that the zone has changed. That he is one has been seen to.
    pub fn notified(&self, apex: &Name, by: IpAddr) {
        let mut zones = self.notified.zones.lock().unwrap_or_else(PoisonError::into_inner);
        zones.insert(apex.clone(), by);
        drop(zones);
        self.notified.more.notify_one();
    }

    fn order(&self, order: Order) {
        // It fails when the exchange has ended, and then nothing is fetched any more.
        let _ = self.orders.send(order);
    }
}

struct Manager {
    shared: Arc<Shared>,
    tell: Tell,
    zones: HashMap<Name, Secondary>,
    /// When each zone that is not busy is due.
    timers: BTreeSet<(Instant, Name)>,
    done: UnboundedSender<(Name, Ended)>,
    turns: Arc<Turns>,
}

impl Manager {
    async fn run(
        mut self,
        mut orders: UnboundedReceiver<Order>,
        mut ended: UnboundedReceiver<(Name, Ended)>,
        notified: Arc<Notified>,
    ) {
        loop {
            let next = self.timers.first().map(|(due, _)| *due);
            let due = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return,
                },
                Some((apex, how)) = ended.recv() => self.end(apex, how),
                () = notified.more.notified() => {
                    let zones = std::mem::take(&mut *notified.zones.lock().unwrap_or_else(PoisonError::into_inner));
                    for (apex, by) in zones {
                        self.prefer(&apex, by);
                        self.hasten(&apex);
                    }
                }
                () = due => self.time_passed(),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Follow(apex, primaries, path) => {
                if let Some(zone) = self.zones.get_mut(&apex) {
                    zone.primaries = primaries;
                    return self.hasten(&apex);
                }
                let zone = Secondary {
                    primaries,
                    path: path.clone(),
                    soa: None,
                    confirmed: None,
                    due: Instant::now(),
                    begun: None,
                    busy: true,
                    again: true,
                    failures: 0,
                    expired: false,
                    troubles: Troubles::default(),
                };
                self.zones.insert(apex.clone(), zone);
                let done = self.done.clone();
                tokio::task::spawn_blocking(move || {
                    let records = stored::read(&path, &apex).ok();
                    let soa = records.and_then(|records| records.into_iter().next());
                    let loaded = soa.map(|soa| (soa, stored::confirmed(&path)));
                    let _ = done.send((apex, Ended::Loaded(loaded)));
                });
            }
            Order::Forget(apex) => {
                if let Some(zone) = self.zones.remove(&apex) {
                    self.shared.ledger.expires(&apex, None);
                    self.timers.remove(&(zone.due, apex));
                    stored::forget(&zone.path);
                }
            }
            Order::Now(apex) => self.hasten(&apex),
            Order::Tell(apex, reply) => {
                if let Some(zone) = self.zones.get(&apex) {
                    // Who asked may have gone.
                    let _ = reply.send(zone.status());
                }
            }
        }
    }

    /// The primary at this address is asked first.
    fn prefer(&mut self, apex: &Name, by: IpAddr) {
        if let Some(zone) = self.zones.get_mut(apex) {
            zone.primaries.sort_by_key(|remote| remote.address.ip() != by);
        }
    }

    /// Refreshes a zone at once, or once more when it is being refreshed; but not within [`LEAST_GAP`] of the last time,
    /// for a NOTIFY may be forged.
    fn hasten(&mut self, apex: &Name) {
        let now = Instant::now();
        let Some(zone) = self.zones.get_mut(apex) else { return };
        let earliest = zone.begun.map_or(now, |begun| begun + LEAST_GAP);
        if zone.busy {
            zone.again = true;
        } else if earliest <= now {
            self.begin(apex);
        } else if earliest < zone.due {
            self.timers.remove(&(zone.due, apex.clone()));
            zone.due = earliest;
            self.timers.insert((earliest, apex.clone()));
        }
    }

    fn time_passed(&mut self) {
        let now = Instant::now();
        while let Some((due, _)) = self.timers.first()
            && *due <= now
            && let Some((_, apex)) = self.timers.pop_first()
        {
            self.expire(&apex);
            self.begin(&apex);
        }
    }

    /// Has the zone been without a primary's word for too long (RFC 1035 §3.3.13)?
    fn expire(&mut self, apex: &Name) {
        let Some(zone) = self.zones.get_mut(apex) else { return };
        let expires = zone.expires();
        if zone.expired || expires.is_none_or(|at| at > SystemTime::now()) {
            return;
        }
        zone.expired = true;
        tracing::error!(
            zone = %apex,
            "the zone has expired: no primary has confirmed it for as long as its SOA allows, so it is answered with \
             SERVFAIL until one does"
        );
        (self.tell)(Event::Expired(apex.clone()));
    }

    fn begin(&mut self, apex: &Name) {
        let Some(zone) = self.zones.get_mut(apex) else { return };
        self.timers.remove(&(zone.due, apex.clone()));
        (zone.busy, zone.again) = (true, false);
        zone.begun = Some(Instant::now());
        let task = Refresh {
            shared: Arc::clone(&self.shared),
            apex: apex.clone(),
            path: zone.path.clone(),
            turns: Arc::clone(&self.turns),
            // One that expired is taken whatever its serial is now.
            ours: zone.soa.clone().filter(|_| !zone.expired),
            confirmed: zone.confirmed,
            troubles: Arc::clone(&zone.troubles),
        };
        let (primaries, done) = (zone.primaries.clone(), self.done.clone());
        tokio::spawn(async move {
            let ended = task.run(&primaries).await;
            let _ = done.send((task.apex, ended));
        });
    }

    fn end(&mut self, apex: Name, how: Ended) {
        let Some(zone) = self.zones.get_mut(&apex) else { return };
        zone.busy = false;
        let succeeded = !matches!(how, Ended::Failed);
        match how {
            Ended::Loaded(Some((soa, confirmed))) => (zone.soa, zone.confirmed) = (Some(soa), confirmed),
            Ended::Loaded(None) => {}
            Ended::Confirmed(by, at) => zone.good(by, at),
            Ended::Stored(by, arrival, at) => {
                zone.soa = arrival.soa();
                zone.good(by, at);
                (self.tell)(Event::Arrived(apex.clone(), arrival));
            }
            Ended::Failed => zone.failures += 1,
        }
        let since_1970 = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.shared.ledger.expires(&apex, zone.expires().map(since_1970));
        let wait = match zone.again {
            true => LEAST_GAP,
            false => zone.wait(succeeded),
        };
        zone.due = Instant::now() + wait;
        self.timers.insert((zone.due, apex.clone()));
        self.expire(&apex);
    }
}

impl Secondary {
    fn status(&self) -> RefreshStatus {
        let now = SystemTime::now();
        RefreshStatus {
            confirmed_seconds_ago: self
                .confirmed
                .map(|at| now.duration_since(at).unwrap_or_default().as_secs()),
            next_in_seconds: (!self.busy).then(|| self.due.saturating_duration_since(Instant::now()).as_secs()),
            expires_in_seconds: self
                .expires()
                .map(|at| at.duration_since(now).unwrap_or_default().as_secs()),
            failures: self.failures,
            expired: self.expired,
        }
    }

    fn good(&mut self, by: Remote, at: SystemTime) {
        self.confirmed = Some(at);
        self.failures = 0;
        self.expired = false;
        self.primaries.sort_by_key(|remote| *remote != by);
    }

    /// When it expires.
    fn expires(&self) -> Option<SystemTime> {
        self.confirmed?.checked_add(self.timer(2)?)
    }

    fn timer(&self, number: usize) -> Option<Duration> {
        timer(self.soa.as_ref()?, number)
    }

    /// How long to the next refresh; not beyond the moment at which the zone expires.
    fn wait(&self, succeeded: bool) -> Duration {
        let timer = match succeeded {
            true => self.timer(0),
            false => self.timer(1),
        };
        let unknown = FIRST_RETRY
            .saturating_mul(1 << self.failures.saturating_sub(1).min(10))
            .min(LONGEST_RETRY);
        let wait = timer.unwrap_or(unknown);
        match self.expires() {
            Some(at) if !self.expired => {
                let left = at.duration_since(SystemTime::now()).unwrap_or_default();
                wait.min(left.max(LEAST_TIMER))
            }
            _ => wait,
        }
    }
}

/// Whose turn it is with each primary.
#[derive(Debug, Default)]
struct Turns(Mutex<HashMap<SocketAddr, Arc<Semaphore>>>);

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
fn timer(soa: &Record, number: usize) -> Option<Duration> {
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
struct Refresh {
    shared: Arc<Shared>,
    apex: Name,
    path: PathBuf,
    turns: Arc<Turns>,
    /// The SOA of the stored version.
    ours: Option<Record>,
    /// When that was confirmed.
    confirmed: Option<SystemTime>,
    troubles: Troubles,
}

impl Refresh {
    /// Asks the primaries in turn until one is good.
    async fn run(&self, primaries: &[Remote]) -> Ended {
        for remote in primaries {
            let _turn = self.turns.take(remote.address).await;
            match self.ask(remote).await {
                Ok(Answer::Newer(arrival, at)) => {
                    self.tell_success(remote);
                    return Ended::Stored(remote.clone(), arrival, at);
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
        let (arrival, at) = self.store(records, expire).await?;
        tracing::info!(
            zone = %self.apex,
            serial = arrival.zone.serial(),
            primary = %remote,
            kind,
            records = count,
            ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "zone fetched"
        );
        Ok(Answer::Newer(arrival, at))
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

    /// Stores the records if they make a zone; returns that and when it was confirmed.
    async fn store(&self, records: Vec<Record>, expire: Option<u32>) -> Result<(Arrival, SystemTime), Refused> {
        let (apex, path) = (self.apex.clone(), self.path.clone());
        on_a_thread(move || {
            let (zone, findings) = Zone::build(&apex, &records, &[]).map_err(|error| Refused::NoZone(error.0.what))?;
            let records: Vec<Record> = zone.records().collect();
            if zone.is_catalog() {
                // RFC 9432 §5.1: a broken one changes nothing.
                catalog::members(&apex, &records).map_err(Refused::Catalog)?;
            }
            let at = records.first().map(|soa| confirmed_at(soa, expire, SystemTime::now()));
            let at = at.ok_or(Refused::Disordered)?;
            stored::write(&path, &records, at)?;
            let zone = Arc::new(zone);
            Ok((Arrival { zone, findings }, at))
        })
        .await
    }
}

/// What a primary's answer came to, and when the zone's primary confirmed that.
enum Answer {
    /// What we have is the newest.
    Same(SystemTime),
    /// Another version is stored.
    Newer(Arrival, SystemTime),
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
    #[error("the zone cannot be stored: {0}; is the disk full, or the state directory not writable?")]
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
