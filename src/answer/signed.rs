//! Signed queries (RFC 8945): judged first, answered like any other, signed in turn.
//!
//! Few clients sign: secondaries ask for the SOA and for transfers so. This path allocates.

use super::{Answered, Client, Settings, Signed};
use crate::message::{HEADER_LEN, Query, Rcode, write_error};
use crate::transfer::Heard;
use crate::tsig::SignedQuery;
use crate::zone::ZoneSet;

/// Answers `query` if it is signed; `Err(())` when it is not.
#[cold]
pub(super) fn answer(
    zones: &ZoneSet,
    settings: &Settings,
    client: &Client<'_>,
    query: Query<'_>,
    out: &mut [u8],
) -> Result<Option<Answered>, NotSigned> {
    let payload = query.edns.map(|_| settings.max_udp_payload);
    let signed = match SignedQuery::find(query.bytes) {
        Ok(Some(signed)) => signed,
        Ok(None) => return Err(NotSigned),
        // RFC 8945 §5.2: a record that is not the last, or of another form.
        Err(_) => {
            let len = write_error(out, query.bytes, query.question_end, Rcode::FORMERR, payload);
            return Ok(len.map(Answered::unclassified));
        }
    };
    let now = u64::from((client.now)());
    let plain = signed.stripped();
    let keys = settings.transfers.as_ref().map(|transfers| transfers.keys.load_full());
    let keys = keys.unwrap_or_default();
    Ok(match keys.verify(&signed, now) {
        Ok(mut session) => {
            let client = Client {
                signed: Some(Signed {
                    key: session.key().name(),
                    reserve: session.reserve(),
                }),
                ..*client
            };
            // Again from the start, without the signature: one path for all queries, so that the common one is short.
            let answered = super::answer(zones, settings, &client, &plain, out);
            answered.and_then(|answered| {
                let len = session.sign(out, answered.len(), now)?;
                Some(answered.grown_to(len))
            })
        }
        Err(refusal) => {
            if let Some(transfers) = &settings.transfers {
                transfers.hear(Heard::Disbelieved {
                    from: (client.peer)().map(|peer| peer.ip()),
                    what: "a signed query is not believed",
                    reason: &refusal,
                });
            }
            let len = write_error(out, &plain, query.question_end.max(HEADER_LEN), Rcode::NOTAUTH, payload);
            len.and_then(|len| refusal.append_to(&signed, out, len, now))
                .map(Answered::unclassified)
        }
    })
}

/// There is no TSIG record.
pub(super) struct NotSigned;
