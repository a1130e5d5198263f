//! Transfers over a connection: begun by a request, then one message at a time as the secondary reads.

use super::super::throttle::Throttle;
use crate::message::Message;
use crate::name::Name;
use crate::transfer::{Content, Outgoing, Oversize, Refused};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A transfer that a connection is busy with.
pub(in crate::server) struct Sending {
    outgoing: Outgoing,
    peer: SocketAddr,
    began: Instant,
}

impl Sending {
    pub(in crate::server) fn new(outgoing: Outgoing, peer: SocketAddr) -> Self {
        Self {
            outgoing,
            peer,
            began: Instant::now(),
        }
    }

    /// Writes the next message; `None` when the transfer must break off.
    pub(in crate::server) fn write(&mut self, out: &mut [u8], now: u64) -> Option<usize> {
        self.outgoing
            .write(out, now)
            .map_err(|Oversize { rtype, octets }| {
                tracing::error!(
                    zone = %self.outgoing.zone().apex(),
                    to = %self.peer.ip(),
                    "the transfer breaks off: a record of type {rtype} has {octets} octets, more than a message takes; \
                     make it smaller, or no secondary can have the zone"
                );
            })
            .ok()
    }

    /// Is everything written?
    pub(in crate::server) fn is_done(&self) -> bool {
        self.outgoing.is_done()
    }

    /// Notes and says what was sent; that there was nothing to fetch is no event.
    pub(in crate::server) fn tell(&self, now: u64) {
        self.outgoing.has_left(self.peer.ip(), now);
        let kind = match self.outgoing.content() {
            Content::Serial => return,
            Content::Whole => "AXFR",
            Content::Change(_) => "IXFR",
        };
        let (records, octets) = self.outgoing.sent();
        tracing::info!(
            zone = %self.outgoing.zone().apex(),
            serial = self.outgoing.zone().serial(),
            to = %self.peer.ip(),
            kind,
            records,
            octets,
            ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "zone sent"
        );
    }
}

/// Says that a transfer is not given, and why; a few lines a minute at most, for anybody may ask.
pub(in crate::server) fn tell_refused(request: &[u8], peer: SocketAddr, refused: &Refused) {
    static THROTTLE: Throttle = Throttle::new(Duration::from_secs(1));
    if let Some(untold) = THROTTLE.admit(Instant::now()) {
        let question = Message::read(request).and_then(|message| message.question());
        let zone = question.ok().flatten().map_or_else(Name::root, |(name, ..)| name);
        tracing::info!(%zone, to = %peer.ip(), reason = %refused, untold, "transfer refused");
    }
}
