//! Who is to be told of which change.
//!
//! A change of a zone is one name in a queue; who is told is found out when it is its turn, and each server has a queue
//! of its own ([`super::told`]) in which a zone stands once, however often it changed. So a thousand rotations at once
//! are a thousand messages, and ten of one zone while its secondary is silent are one.

use super::Shared;
use super::told::Told;
use crate::name::Name;
use crate::transfer::Remote;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// So many zones at a time wait for the addresses of their name servers.
const RESOLVING: usize = 64;

/// Takes note of changes, to tell the secondaries. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// Of zones that changed.
    changed: UnboundedSender<Name>,
    /// Of zones that are served as they were, after a start.
    started: UnboundedSender<Name>,
}

impl Notifier {
    pub(super) fn start(runtime: &Runtime, shared: Arc<Shared>) -> Self {
        let (changed, urgent) = unbounded_channel();
        let (started, later) = unbounded_channel();
        runtime.spawn(dispatch(shared, urgent, later));
        Self { changed, started }
    }

    /// A version of a zone is served: a changed one, or that of before, at a start. Then secondaries are told as well,
    /// for they may have missed what was told before, but after all others.
    pub fn published(&self, apex: &Name, changed: bool) {
        let queue = if changed { &self.changed } else { &self.started };
        // It fails when the exchange has ended, and then nobody is to be told.
        let _ = queue.send(apex.clone());
    }
}

async fn dispatch(shared: Arc<Shared>, mut urgent: UnboundedReceiver<Name>, mut later: UnboundedReceiver<Name>) {
    let resolving = Arc::new(Semaphore::new(RESOLVING));
    let mut servers: HashMap<Remote, Told> = HashMap::new();
    let (found, mut resolved) = unbounded_channel::<(Name, Vec<Remote>)>();
    loop {
        let apex = tokio::select! {
            biased;
            Some((apex, remotes)) = resolved.recv() => {
                for remote in remotes {
                    let told = servers.entry(remote).or_insert_with_key(|remote| Told::start(&shared, remote.clone()));
                    told.tell(apex.clone());
                }
                continue;
            }
            Some(apex) = urgent.recv() => apex,
            Some(apex) = later.recv() => apex,
            else => return,
        };
        if !shared.tells(&apex) {
            continue;
        }
        let Ok(permit) = Arc::clone(&resolving).acquire_owned().await else {
            return;
        };
        let (shared, found) = (Arc::clone(&shared), found.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let remotes = shared.notified_of(&apex).await;
            let _ = found.send((apex, remotes));
        });
    }
}

impl Shared {
    /// Is anybody told of changes of this zone?
    fn tells(&self, apex: &Name) -> bool {
        let policies = self.policies.load();
        let policy = policies.of(apex);
        !policy.notify.is_empty() || policy.notify_nameservers && policy.allows_anybody()
    }

    /// Who is told of changes of this zone: those of the list, and its name servers (RFC 1996 §2.3) if anybody may
    /// fetch it.
    pub(super) async fn notified_of(&self, apex: &Name) -> Vec<Remote> {
        let policy = Arc::clone(self.policies.load().of(apex));
        let mut remotes = policy.notify.clone();
        let zone = self.zones.load().get(apex).cloned();
        if let Some(zone) = zone.filter(|zone| !zone.is_unavailable())
            && policy.notify_nameservers
            && policy.allows_anybody()
        {
            for address in self.nameservers.addresses(self, &zone).await {
                if !remotes.iter().any(|remote| remote.address == address) {
                    remotes.push(Remote {
                        address,
                        key: None,
                        tls: None,
                    });
                }
            }
        }
        remotes
    }
}
