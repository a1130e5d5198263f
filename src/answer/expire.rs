//! EDNS EXPIRE (RFC 7314): how long a secondary may serve a zone that it has from here.

use super::{Client, Settings};
use crate::message::Query;
use crate::record::RecordType;
use crate::zone::Zone;

/// Seconds for the zone that answered: what the SOA says of a zone of our own, what is left of one that is fetched
/// itself (RFC 7314 §4). Of SOA and transfer queries about the zone itself only (§3).
#[cold]
pub(super) fn told(settings: &Settings, client: &Client<'_>, query: Query<'_>, zone: &Zone) -> Option<u32> {
    let is_asked = matches!(query.qtype, RecordType::SOA | RecordType::AXFR | RecordType::IXFR);
    // Who is answered by a zone asks at or below its apex, so the length tells which.
    if !is_asked || query.qname.len() != zone.apex().as_wire().len() {
        return None;
    }
    let now = u64::from((client.now)());
    Some(match &settings.transfers {
        Some(transfers) => transfers.expiry(zone, now),
        None => zone.expire(),
    })
}
