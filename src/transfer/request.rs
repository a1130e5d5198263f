//! What another server asks for: AXFR (RFC 5936) and IXFR (RFC 1995), and whether it may have it.

use super::delta::Delta;
use super::ledger::Ledger;
use super::outgoing::{Content, Outgoing};
use super::policy::{Requester, SharedPolicies};
use crate::message::{HEADER_LEN, Message, Part, Query, flags, skip_name};
use crate::name::Name;
use crate::publish::{Journal, Serial};
use crate::record::RecordType;
use crate::tsig::{Session, SharedKeyring, SignedQuery};
use crate::zone::{LookupName, Zone, ZoneSet};
use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

/// Answers requests for transfers. Shared by all who serve.
#[derive(Clone)]
pub struct Transfers {
    /// Who may have what.
    pub policies: SharedPolicies,
    /// The keys that requests may be signed with.
    pub keys: SharedKeyring,
    /// What changed between the versions of zones.
    pub journal: Option<Journal>,
    /// What was sent to whom.
    pub ledger: Ledger,
    /// Hears what cannot be answered alone; must not wait.
    pub inbox: Option<Inbox>,
}

/// Hears what comes of the messages of other servers.
pub type Inbox = Arc<dyn Fn(Heard<'_>) + Send + Sync>;

/// What came of a message of another server besides the answer.
#[derive(Clone, Copy)]
pub enum Heard<'h> {
    /// A primary of the zone says that it has changed.
    Notified {
        /// The zone.
        apex: &'h Name,
        /// Where the primary is.
        by: IpAddr,
    },
    /// A message that is not believed. Its sender's log may be out of the operator's reach.
    Disbelieved {
        /// Where it came from.
        from: Option<IpAddr>,
        /// What it is.
        what: &'static str,
        /// Why not.
        reason: &'h dyn std::fmt::Display,
    },
    /// What changed in the zone cannot be read; the whole zone is sent instead.
    Unreadable {
        /// The zone.
        apex: &'h Name,
        /// Why not.
        reason: &'h dyn std::fmt::Display,
    },
}

impl std::fmt::Debug for Transfers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfers").finish_non_exhaustive()
    }
}

/// Why a transfer is not given. What the client is told of it is the answering engine's matter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The request is malformed.
    #[error("the request is malformed")]
    Malformed,
    /// No zone of that name is served here.
    #[error("there is no such zone here")]
    NoZone,
    /// The signature is wrong.
    #[error("{0}")]
    Signature(String),
    /// The policy does not allow it.
    #[error("`[transfer] allow` does not name {address}{}{}", key_text(.key.as_ref()), channel_text(*.encrypted))]
    Policy {
        /// Who asked.
        address: IpAddr,
        /// By which key it was signed.
        key: Option<Name>,
        /// Did it come encrypted?
        encrypted: bool,
    },
}

fn key_text(key: Option<&Name>) -> String {
    key.map_or_else(|| " without a key".to_owned(), |key| format!(" with the key {key}"))
}

fn channel_text(encrypted: bool) -> &'static str {
    if encrypted { " over TLS" } else { "" }
}

/// Is the message a request for a transfer? Looks at no more than it must.
pub fn is_request(message: &[u8]) -> bool {
    let word = |at: usize| {
        message
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map(|word| u16::from_be_bytes(*word))
    };
    let query = word(2).is_some_and(|bits| bits & (flags::QR | flags::OPCODE) == 0) && word(4) == Some(1);
    let rtype = || word(skip_name(message, HEADER_LEN)?);
    query && rtype().is_some_and(|rtype| [RecordType::AXFR.0, RecordType::IXFR.0].contains(&rtype))
}

impl Transfers {
    /// Passes on what another server said.
    pub fn hear(&self, heard: Heard<'_>) {
        if let Some(inbox) = &self.inbox {
            inbox(heard);
        }
    }

    /// May this one have the zone?
    pub fn allows(&self, zone: &Zone, requester: &Requester<'_>) -> bool {
        self.policies.load().of(zone.apex()).allows(requester)
    }

    /// Begins the transfer that is asked for in `message`, which came by a stream from `requester`, whose key is looked
    /// up here. `payload` is what we offer in EDNS.
    pub fn begin(
        &self,
        zones: &ZoneSet,
        message: &[u8],
        requester: Requester<'_>,
        now: u64,
        payload: u16,
    ) -> Result<Outgoing, Refused> {
        let query = Query::parse_rarely(message).map_err(|_| Refused::Malformed)?;
        let zone = zone_named(zones, &query).ok_or(Refused::NoZone)?;
        let session = self.verify(message, now)?;
        let key = session.as_ref().map(|session| session.key().name());
        if !self.allows(zone, &Requester { key, ..requester }) {
            return Err(Refused::Policy {
                address: requester.address,
                key: key.cloned(),
                encrypted: requester.encrypted,
            });
        }
        let content = match query.qtype {
            RecordType::IXFR => self.since(zone, serial_in(message).ok_or(Refused::Malformed)?),
            _ => Content::Whole,
        };
        let asks_expiry = query.edns.is_some_and(|edns| edns.options().expire);
        Ok(Outgoing::new(Arc::clone(zone), content, message, query.question_end)
            .with_edns(query.edns.map(|_| payload))
            .telling_expiry(asks_expiry.then(|| self.expiry(zone, now)))
            .noted_in(self.ledger.clone())
            .signed(session))
    }

    /// How long a secondary may serve the zone, in seconds (RFC 7314 §4): what is left of one that is fetched itself.
    pub fn expiry(&self, zone: &Zone, now: u64) -> u32 {
        let left = |at: u64| u32::try_from(at.saturating_sub(now)).unwrap_or(u32::MAX);
        let left = self.ledger.expiry(zone.apex()).map_or(u32::MAX, left);
        left.min(zone.expire())
    }

    fn verify(&self, message: &[u8], now: u64) -> Result<Option<Session>, Refused> {
        let signed = SignedQuery::find(message).map_err(|_| Refused::Malformed)?;
        let Some(signed) = signed else { return Ok(None) };
        let session = self.keys.load().verify(&signed, now);
        session
            .map(Some)
            .map_err(|refusal| Refused::Signature(refusal.to_string()))
    }

    /// What a secondary with this serial is to get: nothing, the difference if it is known and smaller than the zone
    /// (RFC 1995 §4), or all of it.
    fn since(&self, zone: &Zone, serial: u32) -> Content {
        let ours = Serial(zone.serial());
        // RFC 1995 §2: one that is newer than ours gets our serial too.
        if matches!(Serial(serial).compare(ours), Some(Ordering::Equal | Ordering::Greater)) {
            return Content::Serial;
        }
        let deltas = self
            .journal
            .as_ref()
            .map(|journal| journal.between(zone.apex(), serial, zone.serial()));
        let deltas = match deltas {
            Some(Ok(Some(deltas))) => deltas,
            Some(Err(error)) => {
                let (apex, reason) = (zone.apex(), &error);
                self.hear(Heard::Unreadable { apex, reason });
                return Content::Whole;
            }
            Some(Ok(None)) | None => return Content::Whole,
        };
        match Delta::condensed(&deltas) {
            Some(delta) if delta.len() < zone.octets() => Content::Change(delta),
            _ => Content::Whole,
        }
    }
}

fn zone_named<'z>(zones: &'z ZoneSet, query: &Query<'_>) -> Option<&'z Arc<Zone>> {
    let name = LookupName::new(query.qname)?;
    let zone = zones.closest_enclosing(&name)?;
    let is_it = query.qclass == 1 && !zone.is_unavailable() && zone.apex().as_wire() == name.as_wire();
    is_it.then_some(zone)
}

/// The serial that the secondary has: that of the SOA in the authority section (RFC 1995 §3).
fn serial_in(message: &[u8]) -> Option<u32> {
    let message = Message::read(message).ok()?;
    let soa = message
        .records()
        .map_while(Result::ok)
        .find(|record| record.part == Part::Authority && record.rtype == RecordType::SOA)?;
    let rdata = soa.rdata().ok()?;
    let numbers = rdata.last_chunk::<20>()?;
    Some(u32::from_be_bytes(*numbers.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{name, zone};
    use crate::transfer::{Allowed, Channel, Policies, TransferPolicy};
    use arc_swap::ArcSwap;
    use std::sync::Mutex;

    fn request(apex: &str, rtype: u8, serial: Option<u32>) -> Vec<u8> {
        let mut query = vec![0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, u8::from(serial.is_some()), 0, 0];
        query.extend(name(apex).as_wire());
        query.extend([0, rtype, 0, 1]);
        if let Some(serial) = serial {
            query.extend(b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x16\0\0");
            query.extend([serial, 1, 1, 1, 1].map(u32::to_be_bytes).concat());
        }
        query
    }

    fn transfers(allow: &str) -> Transfers {
        let policy = TransferPolicy {
            allow: vec![Allowed {
                from: Some(allow.parse::<IpAddr>().unwrap().into()),
                key: None,
                channel: Channel::Any,
            }],
            ..TransferPolicy::default()
        };
        Transfers {
            policies: Arc::new(ArcSwap::from_pointee(Policies {
                default: Arc::new(policy),
                ..Policies::default()
            })),
            keys: SharedKeyring::default(),
            journal: None,
            ledger: Ledger::default(),
            inbox: None,
        }
    }

    fn begin(transfers: &Transfers, message: &[u8]) -> Result<String, Refused> {
        let zones = ZoneSet::default().with(&[(name("example.org"), Some(zone("example.org", 7)))]);
        let requester = Requester {
            address: "192.0.2.53".parse().unwrap(),
            key: None,
            encrypted: false,
            certificate: None,
        };
        let outgoing = transfers.begin(&zones, message, requester, 0, 1232)?;
        Ok(format!("{:?}", outgoing.content()))
    }

    #[test]
    fn requests_are_known_by_their_type() {
        for (rtype, is) in [(251, true), (252, true), (6, false), (255, false)] {
            let mut message = request("example.org", rtype, None);
            assert_eq!(is_request(&message), is, "{rtype}");
            message[2] = 0x80;
            assert!(!is_request(&message), "a response");
        }
        assert!(!is_request(b""));
        assert!(!is_request(&request("example.org", 252, None)[..20]));
    }

    #[test]
    fn who_is_allowed_gets_what_he_lacks() {
        let ours = "192.0.2.53";
        for (rtype, serial, content) in [
            (252, None, Ok("Whole")),
            (251, Some(7), Ok("Serial")),
            (251, Some(8), Ok("Serial")),
            // There is no journal.
            (251, Some(6), Ok("Whole")),
            (251, None, Err(Refused::Malformed)),
        ] {
            let told = begin(&transfers(ours), &request("EXAMPLE.org", rtype, serial));
            assert_eq!(told.as_deref().map_err(Clone::clone), content, "{rtype} {serial:?}");
        }
        assert_eq!(
            begin(&transfers(ours), &request("www.example.org", 252, None)),
            Err(Refused::NoZone)
        );
        let refused = begin(&transfers("192.0.2.54"), &request("example.org", 252, None)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`[transfer] allow` does not name 192.0.2.53 without a key"
        );
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_told_of_and_the_whole_zone_goes() {
        let heard = Arc::new(Mutex::new(vec![]));
        let told = Arc::clone(&heard);
        let transfers = Transfers {
            journal: Some(Journal::damaged(&name("example.org"))),
            inbox: Some(Arc::new(move |heard| {
                if let Heard::Unreadable { apex, reason } = heard {
                    told.lock().unwrap().push(format!("{apex} {reason}"));
                }
            })),
            ..transfers("192.0.2.53")
        };
        let content = begin(&transfers, &request("example.org", 251, Some(6)));
        assert_eq!(content.as_deref(), Ok("Whole"));
        let heard = heard.lock().unwrap();
        assert!(
            heard[0].starts_with("example.org. ") && heard[0].contains("is damaged"),
            "{heard:?}"
        );
    }
}
