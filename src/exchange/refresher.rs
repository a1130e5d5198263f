//! The zones that this server is a secondary of: when each is asked for, what is done with what arrives, when it
//! expires (RFC 1034 §4.3.5, RFC 1996, RFC 7314).
//!
//! One task knows all of them and the time; each refresh is a task of its own, a limited number at a time with each
//! primary, so that one that is silent holds up its own zones only. What arrives is told as an [`Event`], so that it can
//! be served, then stored ([`super::stored`]) and told of again: whoever composes something into it reads it from there.

use super::refresh::{Arrival, Ended, LEAST_TIMER, Refresh, Troubles, Turns, timer};
use super::status::spoken;
use super::{Shared, stored};
use crate::name::Name;
use crate::record::Record;
use crate::transfer::Remote;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// A zone that is told of again and again is asked for no more often.
const LEAST_GAP: Duration = Duration::from_millis(200);
/// A zone that was never fetched is tried again after this, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// The longest of these.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// What became of a zone that this server is a secondary of.
#[derive(Debug)]
pub enum Event {
    /// Another version of it, no catalog, has come; [`Event::Stored`] follows, unless the disk is full.
    Arrived(Name, Arrival),
    /// Another version of it is stored.
    Stored(Name),
    /// No primary has confirmed it for as long as its SOA allows.
    Expired(Name),
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
    done: UnboundedSender<(Name, PathBuf, Ended)>,
    turns: Arc<Turns>,
}

impl Manager {
    async fn run(
        mut self,
        mut orders: UnboundedReceiver<Order>,
        mut ended: UnboundedReceiver<(Name, PathBuf, Ended)>,
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
                Some((apex, path, how)) = ended.recv() => self.end(apex, &path, how),
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
                    let _ = done.send((apex, path, Ended::Loaded(loaded)));
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
            tell: Arc::clone(&self.tell),
        };
        let (primaries, done) = (zone.primaries.clone(), self.done.clone());
        tokio::spawn(async move {
            let ended = task.run(&primaries).await;
            let _ = done.send((task.apex, task.path, ended));
        });
    }

    fn end(&mut self, apex: Name, path: &Path, how: Ended) {
        let Some(zone) = self.zones.get_mut(&apex) else {
            // It was forgotten while it was fetched: what came since goes as well.
            stored::forget(path);
            return;
        };
        zone.busy = false;
        let succeeded = !matches!(how, Ended::Failed);
        match how {
            Ended::Loaded(Some((soa, confirmed))) => (zone.soa, zone.confirmed) = (Some(soa), confirmed),
            Ended::Loaded(None) => {}
            Ended::Confirmed(by, at) => zone.good(by, at),
            Ended::Stored(by, soa, at) => {
                zone.soa = Some(soa);
                zone.good(by, at);
            }
            Ended::Failed => zone.failures += 1,
        }
        let since_1970 = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.shared.ledger.expires(&apex, zone.expires().map(since_1970));
        let wait = match (zone.again, zone.begun) {
            // Nobody has been asked yet.
            (_, None) => Duration::ZERO,
            (true, _) => LEAST_GAP,
            (false, _) => zone.wait(succeeded),
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
