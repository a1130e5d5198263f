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
//! | `refresher` | the zones this server is a secondary of, and their timers |
//! | `primary` | asking a primary for its serial and for the zone |
//! | `stored` | transferred zones on disk |

mod nameservers;
mod notifier;
mod primary;
mod refresher;
pub mod stored;
mod told;

pub use notifier::Notifier;
pub use refresher::{Event, Refresher};

use crate::publish::SharedZones;
use crate::tls::SharedContext;
use crate::transfer::SharedPolicies;
use crate::tsig::SharedKeyring;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, Runtime};

/// What all tasks share.
#[derive(Debug)]
struct Shared {
    zones: SharedZones,
    policies: SharedPolicies,
    keys: SharedKeyring,
    tls: SharedContext,
    /// The addresses we serve on: messages leave from there, since secondaries know us by them.
    listen: Vec<SocketAddr>,
}

/// The exchange with other servers while it runs; dropping it ends it.
#[derive(Debug)]
pub struct Exchange {
    notifier: Notifier,
    refresher: Refresher,
    _runtime: Runtime,
}

impl Exchange {
    /// Starts it. `tell` hears of zones that this server is a secondary of; it must not wait.
    pub fn start(
        zones: SharedZones,
        policies: SharedPolicies,
        keys: SharedKeyring,
        tls: SharedContext,
        listen: &[SocketAddr],
        tell: impl Fn(Event) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("exchange")
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            zones,
            policies,
            keys,
            tls,
            listen: listen.to_vec(),
        });
        let notifier = Notifier::start(&runtime, Arc::clone(&shared));
        let refresher = Refresher::start(&runtime, shared, Arc::new(tell));
        Ok(Self {
            notifier,
            refresher,
            _runtime: runtime,
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
