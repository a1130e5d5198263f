//! Speaking to other servers of our own accord: telling secondaries of changes, fetching from primaries.
//!
//! All of it is on one small runtime of its own, so that a silent server delays nobody but itself. What is said and
//! understood is [`crate::transfer`]'s matter; here are sockets, patience and pace.
//!
//! | file | what lives there |
//! |---|---|
//! | `notifier` | who is to be told of which change |
//! | `told` | telling one server, until it answers or patience ends |
//! | `nameservers` | the addresses of a zone's name servers |
//! | `refresh` | one refresh of one of them |
//! | `refresher` | the zones this server is a secondary of, and their timers |
//! | `primary` | asking a primary for its serial and for the zone |
//! | `status` | how a zone stands with the other servers |
//! | `stored` | transferred zones on disk |
//! | `witness` | which name servers serve a key |

mod nameservers;
mod notifier;
mod primary;
mod refresh;
mod refresher;
mod status;
pub mod stored;
mod told;
mod witness;

pub use notifier::Notifier;
pub use refresh::Arrival;
pub use refresher::{Event, RefreshStatus, Refresher};
pub use status::{Known, SecondaryStatus, ZoneStatus, spoken};
pub use witness::{Sought, Witness};

use crate::publish::SharedZones;
use crate::server::give_way;
use crate::tls::SharedContext;
use crate::transfer::{Ledger, SharedPolicies};
use crate::tsig::SharedKeyring;
use nameservers::NameServers;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The port of DNS.
const DNS_PORT: u16 = 53;
/// The secondaries of so many zones are asked at a time.
const ASKED_AT_ONCE: usize = 64;

/// What all tasks share.
#[derive(Debug)]
struct Shared {
    zones: SharedZones,
    policies: SharedPolicies,
    keys: SharedKeyring,
    tls: SharedContext,
    /// The addresses we serve on: messages leave from there, since secondaries know us by them.
    listen: Vec<SocketAddr>,
    nameservers: NameServers,
    /// What was said to secondaries.
    ledger: Ledger,
}

/// The exchange with other servers while it runs; dropping it ends it.
#[derive(Debug)]
pub struct Exchange {
    notifier: Notifier,
    refresher: Refresher,
    shared: Arc<Shared>,
    runtime: Runtime,
}

impl Exchange {
    /// Starts it. `tell` hears of zones that this server is a secondary of; it must not wait.
    pub fn start(
        zones: SharedZones,
        policies: SharedPolicies,
        keys: SharedKeyring,
        tls: SharedContext,
        listen: &[SocketAddr],
        ledger: Ledger,
        tell: impl Fn(Event) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("exchange")
            .on_thread_start(give_way)
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            zones,
            policies,
            keys,
            tls,
            listen: listen.to_vec(),
            nameservers: NameServers::default(),
            ledger,
        });
        let notifier = Notifier::start(&runtime, Arc::clone(&shared));
        let refresher = Refresher::start(&runtime, Arc::clone(&shared), Arc::new(tell));
        Ok(Self {
            shared,
            notifier,
            refresher,
            runtime,
        })
    }

    /// To be told of changes.
    pub fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }

    /// To have zones fetched.
    pub fn refresher(&self) -> Refresher {
        self.refresher.clone()
    }

    /// Finds out how zones stand with the other servers, a few at a time, and hands over what came of it. Does not wait.
    pub fn status(&self, zones: Vec<Known>, tell: impl FnOnce(Vec<ZoneStatus>) + Send + 'static) {
        let (shared, refresher) = (Arc::clone(&self.shared), self.refresher.clone());
        self.runtime.spawn(async move {
            let mut told = Vec::with_capacity(zones.len());
            let mut zones = zones.into_iter().peekable();
            while zones.peek().is_some() {
                let mut asked = JoinSet::new();
                for known in zones.by_ref().take(ASKED_AT_ONCE) {
                    let (shared, refresher) = (Arc::clone(&shared), refresher.clone());
                    asked.spawn(async move {
                        let refresh = match known.primaries.is_empty() {
                            true => None,
                            false => refresher.status(&known.apex).await,
                        };
                        shared.status(known, refresh).await
                    });
                }
                told.extend(asked.join_all().await);
            }
            told.sort_by(|a, b| a.zone.cmp(&b.zone));
            tell(told);
        });
    }
}

impl Exchange {
    /// To have name servers asked for keys.
    pub fn inquirer(&self) -> Inquirer {
        Inquirer {
            shared: Arc::clone(&self.shared),
            runtime: self.runtime.handle().clone(),
            at_once: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
        }
    }
}

/// Has name servers asked for keys. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct Inquirer {
    shared: Arc<Shared>,
    runtime: Handle,
    at_once: Arc<Semaphore>,
}

impl Inquirer {
    /// Asks all name servers for a key and hands over what they say.
    pub fn ask(&self, sought: Sought, tell: impl FnOnce(Sought, Vec<Witness>) + Send + 'static) {
        let (shared, at_once) = (Arc::clone(&self.shared), Arc::clone(&self.at_once));
        self.runtime.spawn(async move {
            // It is never closed.
            let _permit = at_once.acquire_owned().await;
            let witnesses = shared.witnesses(sought.clone()).await;
            tell(sought, witnesses);
        });
    }
}

/// A socket to another server, from an address that we serve on.
async fn socket_to(shared: &Shared, to: SocketAddr) -> io::Result<UdpSocket> {
    // From the loopback address nobody else can be reached.
    let reaches = |from: &IpAddr| {
        from.is_ipv4() == to.is_ipv4() && !from.is_unspecified() && from.is_loopback() == to.ip().is_loopback()
    };
    let from = shared.listen.iter().map(SocketAddr::ip).find(reaches);
    let any = match to {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((from.unwrap_or(any), 0)).await?;
    socket.connect(to).await?;
    Ok(socket)
}

/// Seconds since 1970, for signatures.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A number that nobody guesses.
fn random() -> u16 {
    let mut octets = [0; 2];
    // The kernel has randomness from early in its start on; without it the port still has to be guessed.
    let _ = rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty());
    u16::from_be_bytes(octets)
}
