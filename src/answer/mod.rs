//! The answering engine: a pure function from query bytes to response bytes.
//!
//! [`answer`] takes the served zones, the query and what the transport allows, and writes the
//! response into the caller's buffer: no I/O, no clock, no lock, no allocation. The stages are
//! those of RFC 1034 §4.3.2, after the checks that a public name server makes first:
//!
//! 1. read the query (RFC 9619, RFC 6891): silence for what is no query, FORMERR, NOTIMP, BADVERS;
//! 2. class: CH for the server's own identity ([`chaos`]), IN for zones, REFUSED for the rest;
//! 3. types that are no data: transfers are refused here, the others are not implemented;
//! 4. the zone with the longest apex, its parent for DS (RFC 4035 §3.1.4.1); REFUSED without one;
//! 5. the zone's answer ([`authoritative`]).
//!
//! Responses are minimal: no NS in the authority section of an answer and no additional records
//! but the addresses a referral cannot do without. When a datagram is too small, TC is set and the
//! client comes back over TCP; no RRset is ever sent in part (RFC 2181 §9).

mod authoritative;
mod chaos;
#[cfg(test)]
mod tests;

use crate::message::{
    EXTENDED_ERROR_LEN, Edns, ExtendedError, Malformed, OPT_LEN, Query, Rcode, Response, write_error,
};
use crate::record::RecordType;
use crate::zone::{LookupName, Zone, ZoneSet};

/// How a query came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A datagram: the response is limited by EDNS and by policy, and truncated when it does not fit.
    Udp,
    /// A stream: 65 535 octets.
    Tcp,
}

/// What the operator chose about answering; made once at start, shared by all workers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The text of CH TXT `version.bind` and `version.server`; refused when absent.
    pub version: Option<String>,
    /// The text of CH TXT `id.server` and `hostname.bind`; refused when absent.
    pub identity: Option<String>,
    /// The largest UDP response in octets, whatever the client offers (RFC 9715: 1232).
    pub max_udp_payload: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: None,
            identity: None,
            max_udp_payload: 1232,
        }
    }
}

/// The largest response to a client without EDNS over UDP (RFC 1035 §2.3.4).
const PLAIN_UDP_PAYLOAD: u16 = 512;
const CLASS_IN: u16 = 1;
const CLASS_CH: u16 = 3;

/// How a response ends, once its records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    rcode: Rcode,
    error: Option<ExtendedError>,
}

impl Outcome {
    fn code(rcode: Rcode) -> Self {
        Self { rcode, error: None }
    }

    fn refused(error: ExtendedError) -> Self {
        Self {
            rcode: Rcode::REFUSED,
            error: Some(error),
        }
    }
}

/// Answers one query into `out` (at least 65 535 octets for TCP, `max_udp_payload` for UDP).
/// Returns the length of the response, or `None` when silence is the answer: what came in is no
/// query at all or is itself a response. No I/O, no clock, no lock, no allocation.
pub fn answer(
    zones: &ZoneSet,
    settings: &Settings,
    transport: Transport,
    bytes: &[u8],
    out: &mut [u8],
) -> Option<usize> {
    let query = match Query::parse(bytes) {
        Ok(query) => query,
        Err(Malformed::Silence) => return None,
        Err(Malformed::Header(rcode)) => return write_error(out, bytes, 0, rcode),
        Err(Malformed::Question(rcode, end)) => return write_error(out, bytes, end, rcode),
    };
    let limit = response_limit(settings, transport, query.edns);
    // Room for the error option is not kept: a response with one has no records.
    let reserve = if query.edns.is_some() { OPT_LEN } else { 0 };
    if out.len() < query.question_end + OPT_LEN + EXTENDED_ERROR_LEN {
        return None;
    }
    let mut response = Response::new(out, &query, limit, reserve);
    let outcome = match query.edns {
        // RFC 6891 §6.1.3: the version we know is told, the question is not looked at.
        Some(edns) if edns.version > 0 => Outcome::code(Rcode::BADVERS),
        _ => dispatch(zones, settings, &query, &mut response),
    };
    Some(match query.edns {
        Some(edns) => response.finish_with_edns(outcome.rcode, settings.max_udp_payload, edns.dnssec_ok, outcome.error),
        None => response.finish(outcome.rcode),
    })
}

/// The largest response that this client takes (RFC 6891 §6.2.5) and that policy allows (RFC 9715).
fn response_limit(settings: &Settings, transport: Transport, edns: Option<Edns>) -> usize {
    usize::from(match (transport, edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, None) => PLAIN_UDP_PAYLOAD,
        (Transport::Udp, Some(edns)) => edns.payload.min(settings.max_udp_payload).max(PLAIN_UDP_PAYLOAD),
    })
}

fn dispatch(zones: &ZoneSet, settings: &Settings, query: &Query<'_>, response: &mut Response<'_>) -> Outcome {
    match query.qclass {
        CLASS_IN => {}
        CLASS_CH => return chaos::answer(settings, query, response),
        _ => return Outcome::refused(ExtendedError::NOT_AUTHORITATIVE),
    }
    match query.qtype {
        RecordType::AXFR | RecordType::IXFR => return refuse_transfer(zones, query),
        // RFC 6895 §3.1: OPT, TKEY and TSIG are no questions; MAILA and MAILB are obsolete (RFC 1035 §3.2.3).
        RecordType::OPT | RecordType::TKEY | RecordType::TSIG => return Outcome::code(Rcode::FORMERR),
        RecordType::MAILA | RecordType::MAILB => return Outcome::code(Rcode::NOTIMP),
        _ => {}
    }
    let Some(name) = LookupName::new(query.qname) else {
        return Outcome::code(Rcode::FORMERR);
    };
    match zone_for(zones, &name, query.qtype) {
        Some(zone) => authoritative::answer(zone, query.qtype, name, response),
        None => not_ours(zones),
    }
}

/// What is no zone of ours is refused; as long as zones are being read it may become one, and the
/// client is sent to another name server (RFC 8914 §4.15) instead of away.
fn not_ours(zones: &ZoneSet) -> Outcome {
    if zones.is_loading() {
        return Outcome {
            rcode: Rcode::SERVFAIL,
            error: Some(ExtendedError::NOT_READY),
        };
    }
    Outcome::refused(ExtendedError::NOT_AUTHORITATIVE)
}

/// Transfers are refused to everybody; of what is no zone, they cannot be had (RFC 5936 §2.2.1).
fn refuse_transfer(zones: &ZoneSet, query: &Query<'_>) -> Outcome {
    let zone = LookupName::new(query.qname).and_then(|name| {
        let zone = zones.closest_enclosing(&name)?;
        (zone.apex().as_wire() == name.as_wire()).then_some(())
    });
    match zone {
        Some(()) => Outcome::refused(ExtendedError::PROHIBITED),
        None if zones.is_loading() => not_ours(zones),
        None => Outcome {
            rcode: Rcode::NOTAUTH,
            error: Some(ExtendedError::NOT_AUTHORITATIVE),
        },
    }
}

/// The zone that answers for `name`. DS stands on the parent's side of a cut (RFC 4035 §3.1.4.1):
/// it is asked there when we serve the parent too.
fn zone_for<'z>(zones: &'z ZoneSet, name: &LookupName, qtype: RecordType) -> Option<&'z Zone> {
    let zone = zones.closest_enclosing(name)?;
    let labels = name.label_count();
    if qtype == RecordType::DS && labels > 0 && zone.apex().as_wire() == name.as_wire() {
        return zones
            .closest_enclosing_suffix(name, labels - 1)
            .or(Some(zone))
            .map(|zone| &**zone);
    }
    Some(zone)
}
