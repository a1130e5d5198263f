//! The answering engine: a pure function from query bytes to response bytes.
//!
//! Stub of the interface.

use crate::zone::ZoneSet;

/// How a query came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A datagram: the response is limited by EDNS and by policy, and truncated when it does not fit.
    Udp,
    /// A stream: 65 535 octets.
    Tcp,
}

/// What the operator chose about answering; made once at start, shared by all workers.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The text of CH TXT `version.bind` and `version.server`; refused when absent.
    pub version: Option<String>,
    /// The text of CH TXT `id.server` and `hostname.bind`; refused when absent.
    pub identity: Option<String>,
    /// The largest UDP response in octets, whatever the client offers (RFC 9715: 1232).
    pub max_udp_payload: u16,
}

/// Answers one query into `out` (at least 65 535 octets for TCP, `max_udp_payload` for UDP).
/// Returns the length of the response, or `None` when silence is the answer: what came in is no
/// query at all or is itself a response. No I/O, no clock, no lock, no allocation.
pub fn answer(
    _zones: &ZoneSet,
    _settings: &Settings,
    _transport: Transport,
    _query: &[u8],
    _out: &mut [u8],
) -> Option<usize> {
    None
}
