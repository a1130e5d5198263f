//! The answering engine: a pure function from query bytes to response bytes.
//!
//! [`answer`] takes the served zones, the query and what the transport allows, and writes the
//! response into the caller's buffer: no I/O, no clock, no lock, no allocation. The stages are
//! those of RFC 1034 §4.3.2, after the checks that a public name server makes first:
//!
//! 1. read the query (RFC 9619, RFC 6891): silence for what is no query, FORMERR, NOTIMP, BADVERS;
//! 2. class: CH for the server's own identity ([`chaos`]), IN for zones, REFUSED for the rest;
//! 3. types that are no data: transfers that were not begun by TCP are refused here, the others are not implemented;
//!    a signed query ([`signed`]) is judged before, and its response signed;
//! 4. the zone with the longest apex, its parent for DS (RFC 4035 §3.1.4.1); REFUSED without one;
//! 5. the zone's answer ([`authoritative`]);
//! 6. what the client asked for by EDNS options: its cookie first of all ([`cookie`]).
//!
//! Responses are minimal: no NS in the authority section of an answer and no additional records
//! but the addresses a referral cannot do without. When a datagram is too small, TC is set and the
//! client comes back over TCP; no RRset is ever sent in part (RFC 2181 §9).

mod authoritative;
mod chaos;
mod client;
mod cookie;
mod expire;
mod notified;
mod signed;
#[cfg(test)]
mod tests;

use crate::message::{
    EXTENDED_ERROR_LEN, Edns, ExtendedError, Malformed, OPT_LEN, Owner, Padding, Query, Rcode, ReplyOptions, Response,
    Section, ZoneVersion, flags, write_error,
};
use crate::record::RecordType;
use crate::transfer::Transfers;
use crate::zone::{LookupName, Zone, ZoneSet};

use std::sync::Arc;

pub use client::{Answered, Client, Kind, Signed, Subject, Transport};
pub use cookie::{Secrets, SecretsError, SharedSecrets, Standing};

/// What the operator chose about answering; made once at start, shared by all workers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The text of CH TXT `version.bind` and `version.server`; refused when absent.
    pub version: Option<String>,
    /// The text of CH TXT `id.server` and `hostname.bind`, refused when absent, and of NSID.
    pub identity: Option<String>,
    /// The largest UDP response in octets, whatever the client offers (RFC 9715: 1232).
    pub max_udp_payload: u16,
    /// How long a TCP connection may idle, in units of 100 ms, for clients that ask (RFC 7828).
    pub keepalive: Option<u16>,
    /// The secrets of server cookies; cookies are ignored when absent.
    pub cookies: Option<SharedSecrets>,
    /// Who may fetch zones, and the keys of signed queries; nobody and none when absent.
    pub transfers: Option<Arc<Transfers>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: None,
            identity: None,
            max_udp_payload: 1232,
            keepalive: None,
            cookies: None,
            transfers: None,
        }
    }
}

/// The largest response to a client without EDNS over UDP (RFC 1035 §2.3.4).
const PLAIN_UDP_PAYLOAD: u16 = 512;
const CLASS_IN: u16 = 1;
const CLASS_CH: u16 = 3;

/// How a response ends, once its records are written.
#[derive(Debug, Clone, Copy)]
struct Outcome<'z> {
    rcode: Rcode,
    error: Option<ExtendedError>,
    /// The zone that answered.
    zone: Option<&'z Zone>,
    /// Tells name and type, or nothing (0) when the zone made the answer up.
    thing: u64,
}

impl<'z> Outcome<'z> {
    fn code(rcode: Rcode) -> Self {
        Self {
            rcode,
            error: None,
            zone: None,
            thing: 0,
        }
    }

    fn refused(error: ExtendedError) -> Self {
        Self {
            error: Some(error),
            ..Self::code(Rcode::REFUSED)
        }
    }

    /// What a zone answers.
    fn of_zone(zone: &'z Zone, rcode: Rcode, thing: u64) -> Self {
        Self {
            rcode,
            error: None,
            zone: Some(zone),
            thing,
        }
    }
}

/// Answers one query into `out` (at least 65 535 octets for TCP, `max_udp_payload` for UDP).
/// Returns what was written, or `None` when silence is the answer: what came in is no
/// query at all or is itself a response. No I/O, no lock, no allocation.
pub fn answer(
    zones: &ZoneSet,
    settings: &Settings,
    client: &Client<'_>,
    bytes: &[u8],
    out: &mut [u8],
) -> Option<Answered> {
    let query = match Query::parse(bytes) {
        Ok(query) => query,
        Err(malformed) => {
            return notified::answer(zones, settings, client, bytes, out)
                .unwrap_or_else(|_| refuse_malformed(malformed, settings, bytes, out));
        }
    };
    if query.has_more
        && let Ok(answered) = signed::answer(zones, settings, client, query, out)
    {
        return answered;
    }
    let signature = client.signed.map_or(0, |signed| signed.reserve);
    let limit = response_limit(settings, client.transport, query.edns) - signature;
    // Room for the error option is not kept: a response with one has no records.
    let mut reserve = 0;
    let mut told = None;
    if let Some(edns) = &query.edns {
        reserve = OPT_LEN;
        if !edns.rdata.is_empty() {
            let asked = told.insert(Told::what_was_asked(settings, client, edns));
            reserve += asked.options.reserve();
        }
    }
    if out.len() < query.question_end + OPT_LEN + EXTENDED_ERROR_LEN {
        return None;
    }
    let mut response = Response::new(out, &query, limit, reserve);
    let outcome = match query.edns {
        // RFC 6891 §6.1.3: the version we know is told, the question is not looked at.
        Some(edns) if edns.version > 0 => Outcome::code(Rcode::BADVERS),
        // RFC 7873 §5.4: the cookie is all that was asked for.
        _ if query.qname.is_empty() => Outcome::code(Rcode::NOERROR),
        _ => dispatch(zones, settings, client, &query, &mut response),
    };
    let opt = response.written();
    let standing = told.as_ref().map_or(Standing::Unknown, |told| told.standing);
    let (rcode, payload) = (outcome.rcode, settings.max_udp_payload);
    let len = match query.edns {
        None => response.finish(rcode),
        Some(edns) if told.is_none() && outcome.error.is_none() => {
            response.finish_with_edns(rcode, payload, edns.dnssec_ok)
        }
        Some(edns) => {
            let mut options = told.unwrap_or_default().completed(&outcome);
            options.expire = options
                .expire
                .and_then(|_| expire::told(settings, client, query, outcome.zone?));
            response.finish_with_options(rcode, payload, edns.dnssec_ok, &options)
        }
    };
    let mut answered = Answered::new(len, query.question_end, opt);
    answered.standing = standing;
    answered.zone = outcome.zone.map_or(0, Zone::apex_hash);
    answered.thing = outcome.thing;
    Some(answered)
}

#[cold]
fn refuse_malformed(malformed: Malformed, settings: &Settings, bytes: &[u8], out: &mut [u8]) -> Option<Answered> {
    match malformed {
        Malformed::Silence => None,
        Malformed::Header(rcode) => write_error(out, bytes, 0, rcode, None).map(Answered::unclassified),
        Malformed::Question(rcode, end, edns) => {
            let payload = edns.then_some(settings.max_udp_payload);
            write_error(out, bytes, end, rcode, payload).map(|len| Answered::new(len, end, end))
        }
    }
}

/// What is told by options.
#[derive(Default)]
struct Told<'s> {
    standing: Standing,
    options: ReplyOptions<'s>,
}

impl<'s> Told<'s> {
    /// Before the answer is known: placeholders keep the room of the zone's version and of its time to expire.
    #[cold]
    fn what_was_asked(settings: &'s Settings, client: &Client<'_>, edns: &Edns<'_>) -> Self {
        let asked = edns.options();
        let mut told = Self::default();
        if let (Some(cookie), Some(secrets)) = (&asked.cookie, &settings.cookies)
            && let Some(peer) = (client.peer)()
        {
            let (standing, data) = secrets.load().reply(cookie, peer.ip(), (client.now)());
            told.standing = standing;
            told.options.cookie = Some(data);
        }
        if asked.nsid {
            told.options.nsid = settings.identity.as_deref().map(str::as_bytes);
        }
        if asked.zone_version {
            told.options.zone_version = Some(ZoneVersion { labels: 0, serial: 0 });
        }
        told.options.expire = asked.expire.then_some(0);
        // RFC 7828 §3.2.1: over UDP it is ignored.
        if asked.keepalive && client.transport.has_keepalive() {
            told.options.keepalive = settings.keepalive;
        }
        // RFC 7830 §4: padded is what was asked so, and nothing that anybody can read anyway. The signature counts too.
        if asked.padding && client.transport.is_encrypted() {
            told.options.padding = Some(Padding {
                behind: client.signed.map_or(0, |signed| signed.reserve),
            });
        }
        told
    }

    /// Once the answer is known.
    #[cold]
    fn completed(mut self, outcome: &Outcome<'_>) -> ReplyOptions<'s> {
        self.options.error = outcome.error;
        // RFC 9660 §3.2: of a zone that answered only.
        self.options.zone_version = self.options.zone_version.and_then(|_| {
            let zone = outcome.zone?;
            Some(ZoneVersion {
                labels: u8::try_from(zone.apex().label_count()).ok()?,
                serial: zone.serial(),
            })
        });
        self.options
    }
}

/// The largest response that this client takes (RFC 6891 §6.2.5) and that policy allows (RFC 9715).
fn response_limit(settings: &Settings, transport: Transport, edns: Option<Edns<'_>>) -> usize {
    usize::from(match (transport, edns) {
        (Transport::Udp, None) => PLAIN_UDP_PAYLOAD,
        (Transport::Udp, Some(edns)) => edns.payload.min(settings.max_udp_payload).max(PLAIN_UDP_PAYLOAD),
        (Transport::Tcp | Transport::Tls | Transport::Quic | Transport::Https, _) => u16::MAX,
    })
}

fn dispatch<'z>(
    zones: &'z ZoneSet,
    settings: &Settings,
    client: &Client<'_>,
    query: &Query<'_>,
    response: &mut Response<'_>,
) -> Outcome<'z> {
    match query.qclass {
        CLASS_IN => {}
        CLASS_CH => return chaos::answer(settings, *query, response),
        _ => return Outcome::refused(ExtendedError::NOT_AUTHORITATIVE),
    }
    match query.qtype {
        RecordType::AXFR | RecordType::IXFR => return transfer(zones, settings, client, *query, response),
        // RFC 6895 §3.1: OPT, TKEY and TSIG are no questions; MAILA and MAILB are obsolete (RFC 1035 §3.2.3).
        RecordType::OPT | RecordType::TKEY | RecordType::TSIG => return Outcome::code(Rcode::FORMERR),
        RecordType::MAILA | RecordType::MAILB => return Outcome::code(Rcode::NOTIMP),
        _ => {}
    }
    let mut name = LookupName::empty();
    name.read(query.from_qname(), query.qname.len(), query.labels);
    match zone_for(zones, &name, query.qtype) {
        Some(zone) if zone.is_special() && !may_see(zone, settings, client) => special(zone),
        Some(zone) => authoritative::answer(zone, query.qtype, &mut name, response),
        None => not_ours(zones),
    }
}

/// What everybody else gets of a zone that not everybody is answered from. A catalog tells who a provider's customers
/// are, so only those see it who may fetch it (RFC 9432 §6).
#[cold]
fn special(zone: &Zone) -> Outcome<'static> {
    match zone.is_unavailable() {
        true => unavailable(),
        false => Outcome::refused(ExtendedError::PROHIBITED),
    }
}

#[cold]
fn may_see(zone: &Zone, settings: &Settings, client: &Client<'_>) -> bool {
    let transfers = settings.transfers.as_ref().zip((client.peer)());
    !zone.is_unavailable()
        && transfers.is_some_and(|(transfers, peer)| transfers.allows(zone, &client.requester(peer.ip())))
}

/// What a zone answers that this server has no data of (RFC 1034 §4.3.5: a secondary whose zone expired).
#[cold]
fn unavailable() -> Outcome<'static> {
    Outcome {
        error: Some(ExtendedError::INVALID_DATA),
        ..Outcome::code(Rcode::SERVFAIL)
    }
}

/// What is no zone of ours is refused; as long as zones are being read it may become one, and the
/// client is sent to another name server (RFC 8914 §4.15) instead of away.
fn not_ours(zones: &ZoneSet) -> Outcome<'static> {
    if zones.is_loading() {
        return Outcome {
            error: Some(ExtendedError::NOT_READY),
            ..Outcome::code(Rcode::SERVFAIL)
        };
    }
    Outcome::refused(ExtendedError::NOT_AUTHORITATIVE)
}

/// A transfer that was not begun: who may not have the zone is refused, and what is no zone cannot be had
/// (RFC 5936 §2.2.1). Over UDP who may have it gets the SOA, which tells him to come by TCP if he needs more
/// (RFC 1995 §2).
#[cold]
fn transfer<'z>(
    zones: &'z ZoneSet,
    settings: &Settings,
    client: &Client<'_>,
    query: Query<'_>,
    response: &mut Response<'_>,
) -> Outcome<'z> {
    let zone = LookupName::new(query.qname).and_then(|name| {
        let zone = zones.closest_enclosing(&name)?;
        (zone.apex().as_wire() == name.as_wire()).then_some(zone)
    });
    let Some(zone) = zone else {
        return match zones.is_loading() {
            true => not_ours(zones),
            false => Outcome {
                error: Some(ExtendedError::NOT_AUTHORITATIVE),
                ..Outcome::code(Rcode::NOTAUTH)
            },
        };
    };
    if zone.is_unavailable() {
        return unavailable();
    }
    let may = settings.transfers.as_ref().zip((client.peer)());
    let may = may.is_some_and(|(transfers, peer)| transfers.allows(zone, &client.requester(peer.ip())));
    if !may || query.qtype != RecordType::IXFR || client.transport != Transport::Udp {
        return Outcome::refused(ExtendedError::PROHIBITED);
    }
    response.set_flags(flags::AA);
    match response.put_rrset(Section::Answer, Owner::Question, zone.soa()) {
        Ok(()) => Outcome::of_zone(zone, Rcode::NOERROR, 0),
        Err(_) => Outcome::code(Rcode::SERVFAIL),
    }
}

/// The zone that answers for `name`. DS stands on the parent's side of a cut (RFC 4035 §3.1.4.1):
/// it is asked there when we serve the parent too.
fn zone_for<'z>(zones: &'z ZoneSet, name: &LookupName, qtype: RecordType) -> Option<&'z Zone> {
    let zone = zones.closest_enclosing(name)?;
    if qtype == RecordType::DS {
        return Some(zone_for_ds(zones, name, zone));
    }
    Some(zone)
}

#[cold]
fn zone_for_ds<'z>(zones: &'z ZoneSet, name: &LookupName, zone: &'z Zone) -> &'z Zone {
    if zone.apex().as_wire() != name.as_wire() {
        return zone;
    }
    match name.label_count().checked_sub(1) {
        Some(labels) => zones.closest_enclosing_suffix(name, labels).map_or(zone, AsRef::as_ref),
        None => zone,
    }
}
