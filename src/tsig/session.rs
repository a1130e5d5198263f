//! What two servers that share a key say to each other: signing and checking, message by message.

use super::algorithm::{Hash, described};
use super::record::{Malformed, SignedQuery, TsigError, Written, good_len};
use super::{Algorithm, FUDGE, Key, Keyring};
use std::sync::Arc;

/// So many messages of a transfer may come without a signature in a row (RFC 8945 §5.3.1).
const MAX_UNSIGNED: u8 = 99;

/// Why a signed query is not believed. [`Refusal::append_to`] tells the client, [`std::fmt::Display`] the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// RFC 8945 §5.2.1: no such key, or of another algorithm.
    #[error("it is signed by key {key} with {algorithm}, and {why}")]
    BadKey {
        /// The name of the key.
        key: String,
        /// The algorithm.
        algorithm: String,
        /// What is wrong with them.
        why: String,
    },
    /// RFC 8945 §5.2.2.
    #[error("its signature by key {0} is wrong: the secrets differ, or the message was changed on its way")]
    BadSignature(String),
    /// RFC 8945 §5.2.2.1.
    #[error("its signature by key {0} is cut short")]
    BadTruncation(String),
    /// RFC 8945 §5.2.3.
    #[error("it was signed {} s {} by key {key}; the clocks of the two servers differ", .ahead.unsigned_abs(), if *.ahead < 0 { "ago" } else { "in the future" })]
    BadTime {
        /// The name of the key.
        key: String,
        /// Seconds by which the client's clock is ahead of ours.
        ahead: i64,
        /// Signs the answer.
        session: Box<Session>,
        /// When the client signed.
        time: u64,
    },
}

impl Refusal {
    /// What the TSIG record of the answer says.
    pub fn error(&self) -> TsigError {
        match self {
            Self::BadKey { .. } => TsigError::BADKEY,
            Self::BadSignature(_) => TsigError::BADSIG,
            Self::BadTruncation(_) => TsigError::BADTRUNC,
            Self::BadTime { .. } => TsigError::BADTIME,
        }
    }

    /// Appends the TSIG record of the answer to `query`: unsigned (RFC 8945 §5.3.2), but for a wrong time, where it is
    /// signed and tells ours.
    pub fn append_to(self, query: &SignedQuery<'_>, out: &mut [u8], len: usize, now: u64) -> Option<usize> {
        let error = self.error();
        match self {
            // RFC 8945 §5.2.3: the client's time, and ours as other data.
            Self::BadTime { mut session, time, .. } => {
                session.append(out, len, time, TsigError::BADTIME, &now.to_be_bytes()[2..])
            }
            _ => Written {
                key_name: query.key_name.as_wire(),
                algorithm: query.algorithm,
                time: query.time,
                fudge: query.fudge,
                mac: &[],
                original_id: query.original_id,
                error,
                other: &[],
            }
            .append(out, len),
        }
    }
}

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// RFC 8945 §5.3: what was asked signed must be answered signed.
    #[error("the answer is not signed, though the query was")]
    Unsigned,
    /// Too many in a row, or the last one, without.
    #[error("the end of the transfer is not signed")]
    EndUnsigned,
    /// By another key.
    #[error("the answer is signed by another key, {0}")]
    OtherKey(String),
    /// The other server refused our signature.
    #[error("the other server does not take our signature: {0}")]
    Refused(String),
    /// The signature does not fit.
    #[error("the signature of the answer is wrong: the secrets differ, or the message was changed on its way")]
    BadSignature,
    /// It is too old, or too new.
    #[error("the answer was signed {} s {}; the clocks of the two servers differ", .0.unsigned_abs(), if *.0 < 0 { "ago" } else { "in the future" })]
    BadTime(i64),
    /// The record is no TSIG record.
    #[error("the signature of the answer is malformed")]
    Malformed,
}

impl From<Malformed> for Unverified {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl Keyring {
    /// Judges a signed query (RFC 8945 §5.2), in the order that the RFC prescribes: key, signature, time.
    pub fn verify(&self, query: &SignedQuery<'_>, now: u64) -> Result<Session, Refusal> {
        let bad_key = |why: String| Refusal::BadKey {
            key: query.key_name.to_string(),
            algorithm: described(query.algorithm),
            why,
        };
        let key = self
            .get(&query.key_name)
            .ok_or_else(|| bad_key("no [[tsig]] has that name".to_owned()))?;
        if Algorithm::from_wire(query.algorithm) != Some(key.algorithm()) {
            return Err(bad_key(format!("ours of that name is of {}", key.algorithm())));
        }
        let name = || key.name().to_string();
        if query.mac.len() < key.algorithm().signature_len() {
            return Err(Refusal::BadTruncation(name()));
        }
        let mut session = Session::of(Arc::clone(key));
        let (header, rest) = query.unsigned();
        let good = session.hash(None, |hash| {
            hash.update(&header);
            hash.update(rest);
            variables(hash, key, query.time, query.fudge, query.error, query.other);
        });
        if !good.is_some_and(|hash| hash.is(query.mac)) {
            return Err(Refusal::BadSignature(name()));
        }
        session.prior = query.mac.to_vec();
        let ahead = (query.time.cast_signed()).wrapping_sub(now.cast_signed());
        if ahead.unsigned_abs() > u64::from(query.fudge) {
            return Err(Refusal::BadTime {
                key: name(),
                ahead,
                time: query.time,
                session: Box::new(session),
            });
        }
        Ok(session)
    }
}

/// One exchange under one key: knows what was signed last, which the next signature covers as well.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    key: Arc<Key>,
    /// The signature before.
    prior: Vec<u8>,
    /// Was an answer signed or checked already? Then it is a further message of a transfer.
    going_on: bool,
    /// Messages since the last signature, each as it was before signing, and how many.
    unsigned: Vec<u8>,
    unsigned_count: u8,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({:?})", self.key)
    }
}

impl Session {
    fn of(key: Arc<Key>) -> Self {
        Self {
            key,
            prior: vec![],
            going_on: false,
            unsigned: vec![],
            unsigned_count: 0,
        }
    }

    /// The key.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// Room that signing a message takes.
    pub fn reserve(&self) -> usize {
        good_len(self.key.name().as_wire(), self.key.algorithm())
    }

    /// Signs the query in `out[..len]` (RFC 8945 §5.1); returns the session that checks the answers and the new length.
    pub fn ask(key: Arc<Key>, out: &mut [u8], len: usize, now: u64) -> Option<(Self, usize)> {
        let mut session = Self::of(key);
        let len = session.append(out, len, now, TsigError::NONE, &[])?;
        session.going_on = false;
        Some((session, len))
    }

    /// Signs the answer in `out[..len]`, the first or a further one (RFC 8945 §5.3, §5.3.1); returns the new length.
    pub fn sign(&mut self, out: &mut [u8], len: usize, now: u64) -> Option<usize> {
        self.append(out, len, now, TsigError::NONE, &[])
    }

    fn append(&mut self, out: &mut [u8], len: usize, time: u64, error: TsigError, other: &[u8]) -> Option<usize> {
        let message = out.get(..len)?;
        let original_id = u16::from_be_bytes([*message.first()?, *message.get(1)?]);
        let going_on = self.going_on;
        let key = Arc::clone(&self.key);
        let hash = self.hash(Some(&self.prior), |hash| {
            hash.update(message);
            if going_on {
                timers(hash, time, FUDGE);
            } else {
                variables(hash, &key, time, FUDGE, error, other);
            }
        })?;
        let mac = hash.finish();
        let len = Written {
            key_name: key.name().as_wire(),
            algorithm: key.algorithm().wire(),
            time,
            fudge: FUDGE,
            mac: &mac,
            original_id,
            error,
            other,
        }
        .append(out, len)?;
        self.prior = mac;
        self.going_on = true;
        Some(len)
    }

    /// A hash begun with the secret and, if there is one, the signature before.
    fn hash(&self, prior: Option<&[u8]>, more: impl FnOnce(&mut Hash)) -> Option<Hash> {
        let mut hash = Hash::new(self.key.algorithm(), self.key.secret())?;
        if let Some(prior) = prior.filter(|prior| !prior.is_empty()) {
            hash.update(&(prior.len() as u16).to_be_bytes());
            hash.update(prior);
        }
        more(&mut hash);
        Some(hash)
    }

    /// Checks an answer, the first or a further one of a transfer. Of a transfer's further messages some may come
    /// unsigned; [`Session::end`] says whether its end was signed.
    pub fn check(&mut self, message: &[u8], now: u64) -> Result<(), Unverified> {
        let Some(answer) = SignedQuery::find(message)? else {
            if !self.going_on {
                return Err(Unverified::Unsigned);
            }
            self.unsigned_count += 1;
            if self.unsigned_count > MAX_UNSIGNED {
                return Err(Unverified::EndUnsigned);
            }
            self.unsigned.extend_from_slice(message);
            return Ok(());
        };
        if answer.key_name != *self.key.name() || Algorithm::from_wire(answer.algorithm) != Some(self.key.algorithm()) {
            return Err(Unverified::OtherKey(answer.key_name.to_string()));
        }
        if answer.mac.is_empty() {
            return Err(Unverified::Refused(refusal_text(answer.error, answer.other, now)));
        }
        let (header, rest) = answer.unsigned();
        let hash = self.hash(Some(&self.prior), |hash| {
            hash.update(&self.unsigned);
            hash.update(&header);
            hash.update(rest);
            if self.going_on {
                timers(hash, answer.time, answer.fudge);
            } else {
                variables(hash, &self.key, answer.time, answer.fudge, answer.error, answer.other);
            }
        });
        if !hash.is_some_and(|hash| hash.is(answer.mac)) {
            return Err(Unverified::BadSignature);
        }
        if answer.error != TsigError::NONE {
            return Err(Unverified::Refused(refusal_text(answer.error, answer.other, now)));
        }
        let ahead = answer.time.cast_signed().wrapping_sub(now.cast_signed());
        if ahead.unsigned_abs() > u64::from(answer.fudge) {
            return Err(Unverified::BadTime(ahead));
        }
        self.prior = answer.mac.to_vec();
        self.going_on = true;
        self.unsigned.clear();
        self.unsigned_count = 0;
        Ok(())
    }

    /// Was the last message signed?
    pub fn end(&self) -> Result<(), Unverified> {
        if self.unsigned_count == 0 {
            Ok(())
        } else {
            Err(Unverified::EndUnsigned)
        }
    }
}

/// What another server says of our signature.
fn refusal_text(error: TsigError, other: &[u8], now: u64) -> String {
    match error {
        TsigError::BADKEY => "BADKEY: it has no key of this name and algorithm".to_owned(),
        TsigError::BADSIG => "BADSIG: its secret of this key is another one".to_owned(),
        TsigError::BADTIME => match other.first_chunk::<6>() {
            Some(&[a, b, c, d, e, f]) => {
                let theirs = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
                let ahead = theirs.cast_signed().wrapping_sub(now.cast_signed());
                format!("BADTIME: its clock differs from ours by {ahead} s")
            }
            None => "BADTIME: the clocks of the two servers differ".to_owned(),
        },
        TsigError::BADTRUNC => "BADTRUNC: it wants a longer signature".to_owned(),
        TsigError(code) => format!("error {code}"),
    }
}

/// The TSIG variables (RFC 8945 §4.3.3).
fn variables(hash: &mut Hash, key: &Key, time: u64, fudge: u16, error: TsigError, other: &[u8]) {
    hash.update(key.name().as_wire());
    hash.update(&[0, 255, 0, 0, 0, 0]);
    hash.update(key.algorithm().wire());
    timers(hash, time, fudge);
    hash.update(&error.0.to_be_bytes());
    hash.update(&(other.len() as u16).to_be_bytes());
    hash.update(other);
}

/// The TSIG timers (RFC 8945 §5.3.1).
fn timers(hash: &mut Hash, time: u64, fudge: u16) {
    hash.update(&time.to_be_bytes()[2..]);
    hash.update(&fudge.to_be_bytes());
}
