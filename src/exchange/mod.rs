//! Speaking to other servers of our own accord: telling secondaries of changes.
//!
//! All of it is on one small runtime of its own, so that a silent server delays nobody but itself. What is said and
//! understood is [`crate::transfer`]'s matter; here are sockets, patience and pace.
//!
//! | file | what lives there |
//! |---|---|
//! | `notifier` | who is to be told of which change |
//! | `told` | telling one server, until it answers or patience ends |
//! | `nameservers` | the addresses of a zone's name servers |

mod nameservers;
mod notifier;
mod told;

pub use notifier::Notifier;

use crate::publish::SharedZones;
use crate::transfer::SharedPolicies;
use crate::tsig::SharedKeyring;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// What all tasks share.
#[derive(Debug)]
struct Shared {
    zones: SharedZones,
    policies: SharedPolicies,
    keys: SharedKeyring,
    /// The addresses we serve on: messages leave from there, since secondaries know us by them.
    listen: Vec<SocketAddr>,
}

/// The exchange with other servers while it runs; dropping it ends it.
#[derive(Debug)]
pub struct Exchange {
    notifier: Notifier,
    _runtime: Runtime,
}

impl Exchange {
    /// Starts it.
    pub fn start(
        zones: SharedZones,
        policies: SharedPolicies,
        keys: SharedKeyring,
        listen: &[SocketAddr],
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
            listen: listen.to_vec(),
        });
        let notifier = Notifier::start(&runtime, shared);
        Ok(Self {
            notifier,
            _runtime: runtime,
        })
    }

    /// To be told of changes.
    pub fn notifier(&self) -> Notifier {
        self.notifier.clone()
    }
}
