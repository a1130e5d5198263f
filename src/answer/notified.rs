//! NOTIFY of primaries (RFC 1996): who is none is refused, and what he says is passed on to whoever fetches zones.

use super::{Answered, Client, Settings};
use crate::message::{Message, Rcode, flags, write_error};
use crate::name::Name;
use crate::record::RecordType;
use crate::transfer::{Heard, Transfers, notify};
use crate::tsig::{Session, SignedQuery};
use crate::zone::ZoneSet;

/// Answers `bytes` if it is a NOTIFY; `Err` when it is none.
#[cold]
pub(super) fn answer(
    zones: &ZoneSet,
    settings: &Settings,
    client: &Client<'_>,
    bytes: &[u8],
    out: &mut [u8],
) -> Result<Option<Answered>, NoNotify> {
    let message = Message::read(bytes).map_err(|_| NoNotify)?;
    if message.opcode() != notify::OPCODE || message.is_response() {
        return Err(NoNotify);
    }
    let Some(transfers) = settings.transfers.as_deref() else {
        return Err(NoNotify);
    };
    // Without a question that can be read, the header alone is answered.
    let end = match message.question() {
        Ok(Some(_)) => message.question_end().unwrap_or(0),
        _ => 0,
    };
    let (plain, tsig) = match SignedQuery::find(bytes) {
        Ok(Some(signed)) => (signed.stripped(), Some(signed)),
        Ok(None) => (bytes.to_vec(), None),
        Err(_) => return Ok(reply(out, bytes, end, Rcode::FORMERR).map(Answered::unclassified)),
    };
    let now = u64::from((client.now)());
    let mut session = None;
    if let Some(signed) = &tsig {
        match transfers.keys.load().verify(signed, now) {
            Ok(good) => session = Some(good),
            Err(why) => {
                transfers.hear(Heard::Disbelieved {
                    from: (client.peer)().map(|peer| peer.ip()),
                    what: "a NOTIFY is not believed",
                    reason: &why,
                });
                let len = reply(out, &plain, end, Rcode::NOTAUTH);
                let len = len.and_then(|len| why.append_to(signed, out, len, now));
                return Ok(len.map(Answered::unclassified));
            }
        }
    }
    let rcode = heed(zones, transfers, client, &message, session.as_ref());
    let len = reply(out, &plain, end, rcode).and_then(|len| match &mut session {
        Some(session) => session.sign(out, len, now),
        None => Some(len),
    });
    Ok(len.map(Answered::unclassified))
}

/// It is another message.
pub(super) struct NoNotify;

/// Passes it on if a primary of ours says so, and says what to answer.
fn heed(
    zones: &ZoneSet,
    transfers: &Transfers,
    client: &Client<'_>,
    message: &Message<'_>,
    session: Option<&Session>,
) -> Rcode {
    // RFC 1996 §3.7: the question is the zone's SOA.
    let Ok(Some((apex, RecordType::SOA, 1))) = message.question() else {
        return Rcode::FORMERR;
    };
    let apex = apex.to_lowercase();
    let policies = transfers.policies.load();
    let policy = policies.of(&apex);
    let known = zones.get(&apex).is_some() || policies.own.contains_key(&apex);
    if !known || policy.primaries.is_empty() {
        return Rcode::NOTAUTH;
    }
    let key: Option<&Name> = session.map(|session| session.key().name());
    let Some(peer) = (client.peer)().map(|peer| peer.ip().to_canonical()) else {
        return Rcode::REFUSED;
    };
    // RFC 1996 §3.10: from those that the zone is fetched from, signed where that is.
    let mut primaries = policy.primaries.iter();
    if !primaries.any(|primary| primary.address.ip() == peer && (primary.key.is_none() || primary.key.as_ref() == key))
    {
        let reason = format!(
            "`[transfer] primaries` of {apex} does not name it{}",
            key.map_or("", |_| " with this key")
        );
        transfers.hear(Heard::Disbelieved {
            from: Some(peer),
            what: "NOTIFY of a server that is no primary of the zone",
            reason: &reason,
        });
        return Rcode::REFUSED;
    }
    transfers.hear(Heard::Notified { apex: &apex, by: peer });
    Rcode::NOERROR
}

/// The answer: header and question, authoritative (RFC 1996 §4.7 shows it so).
fn reply(out: &mut [u8], bytes: &[u8], end: usize, rcode: Rcode) -> Option<usize> {
    let len = write_error(out, bytes, end, rcode, None)?;
    if rcode == Rcode::NOERROR {
        out[2] |= (flags::AA >> 8) as u8;
    }
    Some(len)
}
