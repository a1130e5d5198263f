//! Telling one server of changes, until it answers or patience ends (RFC 1996 §3.6).
//!
//! At most [`WINDOW`] messages are under way at a time. When a round of them has no answer at all, the server is taken
//! for away: one message at a time asks whether it is back, at growing intervals, and the rest waits.

use super::{Shared, now, random, socket_to};
use crate::message::Rcode;
use crate::name::Name;
use crate::transfer::{Remote, Said, notify};
use crate::tsig::Session;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

/// So many messages to one server are under way at a time.
const WINDOW: usize = 64;
/// How long the first round waits for answers; each silent round doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest interval.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After so many silent rounds, some eight minutes, the server is left to its own refresh timer.
const ROUNDS: u32 = 13;
/// A message with its signature is no longer.
const MAX_LEN: usize = 4096;

/// The queue to one server.
#[derive(Debug)]
pub(super) struct Told(UnboundedSender<Name>);

impl Told {
    pub(super) fn start(shared: &Arc<Shared>, remote: Remote) -> Self {
        let (queue, news) = unbounded_channel();
        let teller = Teller {
            shared: Arc::clone(shared),
            remote,
            waiting: VecDeque::new(),
            known: BTreeSet::new(),
            silent_rounds: 0,
            next_id: random(),
        };
        tokio::spawn(teller.run(news));
        Self(queue)
    }

    pub(super) fn tell(&self, apex: Name) {
        // The task ends with the runtime only.
        let _ = self.0.send(apex);
    }
}

struct Teller {
    shared: Arc<Shared>,
    remote: Remote,
    waiting: VecDeque<Name>,
    /// Those in `waiting`.
    known: BTreeSet<Name>,
    silent_rounds: u32,
    next_id: u16,
}

/// A message that is under way.
struct Sent {
    apex: Name,
    serial: u32,
    session: Option<Session>,
}

impl Teller {
    async fn run(mut self, mut news: UnboundedReceiver<Name>) {
        while let Some(apex) = news.recv().await {
            self.add(apex);
            while !self.waiting.is_empty() {
                while let Ok(apex) = news.try_recv() {
                    self.add(apex);
                }
                if let Err(error) = self.round().await {
                    tracing::warn!(to = %self.remote, %error, "NOTIFY cannot be sent");
                    self.silent_rounds += 1;
                    tokio::time::sleep(self.wait()).await;
                }
                if self.silent_rounds >= ROUNDS {
                    tracing::warn!(
                        to = %self.remote,
                        zones = self.waiting.len(),
                        "the server does not answer NOTIFY; it will find the changes by its own refresh timer. \
                         Is its address right, and does it take NOTIFY from here?"
                    );
                    self.waiting.clear();
                    self.known.clear();
                    self.silent_rounds = 0;
                }
            }
        }
    }

    fn add(&mut self, apex: Name) {
        if self.known.insert(apex.clone()) {
            self.waiting.push_back(apex);
        }
    }

    fn wait(&self) -> Duration {
        FIRST_WAIT
            .saturating_mul(1 << self.silent_rounds.min(10))
            .min(LONGEST_WAIT)
    }

    /// Sends some, and takes answers until all have answered or the time is over. What is not answered waits again.
    async fn round(&mut self) -> io::Result<()> {
        let socket = socket_to(&self.shared, self.remote.address).await?;
        let window = if self.silent_rounds == 0 { WINDOW } else { 1 };
        let mut under_way: HashMap<u16, Sent> = HashMap::new();
        while under_way.len() < window
            && let Some(apex) = self.waiting.pop_front()
        {
            self.known.remove(&apex);
            let Some((id, message, sent)) = self.message(apex) else {
                continue;
            };
            // A refused datagram is a silent one.
            let _ = socket.send(&message).await;
            under_way.insert(id, sent);
        }
        let until = Instant::now() + self.wait();
        let mut answered = under_way.is_empty();
        let mut answer = vec![0; MAX_LEN];
        while !under_way.is_empty() {
            let len = match timeout_at(until, socket.recv(&mut answer)).await {
                Ok(Ok(len)) => len,
                // ICMP says that nobody is there; that may be so for a moment only.
                Ok(Err(_)) => {
                    tokio::time::sleep_until(until).await;
                    break;
                }
                Err(_) => break,
            };
            answered |= self.take_answer(&answer[..len], &mut under_way);
        }
        self.silent_rounds = if answered { 0 } else { self.silent_rounds + 1 };
        for Sent { apex, .. } in under_way.into_values() {
            self.add(apex);
        }
        Ok(())
    }

    /// The message about a zone that is served; signed if it is to be, and not sent if it cannot be.
    fn message(&mut self, apex: Name) -> Option<(u16, Vec<u8>, Sent)> {
        let zone = self.shared.zones.load().get(&apex).cloned();
        let zone = zone.filter(|zone| !zone.is_unavailable())?;
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let mut message = notify::message(id, &zone);
        let mut sent = Sent {
            apex,
            serial: zone.serial(),
            session: None,
        };
        let Some(key) = &self.remote.key else {
            return Some((id, message, sent));
        };
        let Some(key) = self.shared.keys.load().get(key).cloned() else {
            tracing::warn!(to = %self.remote, key = %key, "NOTIFY is not sent: there is no such key");
            return None;
        };
        let len = message.len();
        message.resize(MAX_LEN, 0);
        let (session, len) = Session::ask(key, &mut message, len, now())?;
        message.truncate(len);
        sent.session = Some(session);
        Some((id, message, sent))
    }

    /// Is it an answer to one of ours?
    fn take_answer(&self, answer: &[u8], under_way: &mut HashMap<u16, Sent>) -> bool {
        let Some((id, apex, rcode)) = notify::answer(answer) else {
            return false;
        };
        let Some(sent) = under_way.get_mut(&id).filter(|sent| sent.apex == apex) else {
            return false;
        };
        if let Some(session) = &mut sent.session
            && let Err(error) = session.check(answer, now())
        {
            tracing::warn!(zone = %apex, to = %self.remote, %error, "the answer to NOTIFY is not believed");
            return false;
        }
        let serial = sent.serial;
        under_way.remove(&id);
        if rcode == Rcode::NOERROR {
            let said = Said { serial, at: now() };
            self.shared.ledger.notified(&apex, self.remote.address.ip(), said);
        }
        match rcode {
            Rcode::NOERROR => tracing::debug!(zone = %apex, to = %self.remote, "told of the change"),
            Rcode(code) => tracing::warn!(
                zone = %apex,
                to = %self.remote,
                rcode = code,
                "the server does not take our NOTIFY; is the zone set up there, with this server as its primary?"
            ),
        }
        true
    }
}
