//! Transaction signatures: messages that only who knows a secret can have written (RFC 8945).
//!
//! [`SignedQuery`] finds the TSIG record of a message, [`Keyring::verify`] judges it, and the [`Session`] that comes
//! of it signs the answer, be it one message or the many of a transfer (§5.3.1), or on the client's side checks them.
//! All is pure: time comes in as seconds since 1970.
//!
//! Refused: truncated signatures (§5.2.2.1; BADTRUNC), which nobody configures; and, unless a key names them, the
//! algorithms HMAC-MD5 and HMAC-SHA1 (§6), as no key means no algorithm.

mod algorithm;
mod key;
mod record;
mod session;
#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use key::{Key, KeyError, KeyText, Keyring, SharedKeyring};
pub use record::{SignedQuery, TsigError};
pub use session::{Refusal, Session, Unverified};

/// How many seconds the clocks of two servers may differ (RFC 8945 §10 recommends it).
pub const FUDGE: u16 = 300;
