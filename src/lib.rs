//! Signpost: an authoritative DNS server that composes a domain's mail records itself.
//!
//! Data flows one way, and a module uses only modules of its own floor and below:
//!
//! ```text
//! zone files ─┐
//! keys ───────┼─▶ compose ─▶ Zone (immutable) ─▶ ZoneSet (swapped in) ─▶ answer ─▶ UDP · TCP · TLS/QUIC/HTTPS
//! policy ─────┤                    │             └─▶ transfer ─▶ secondaries
//! primaries ──┘                    └─▶ state store (serials, the life of keys, the journal)
//! ```
//!
//! | floor | modules |
//! |---|---|
//! | 1 the protocol | [`name`] [`record`] [`message`] [`tsig`] [`tls`], [`finding`], the shape of advice to the operator, and `throttle` |
//! | 2 the data | [`zonefile`] [`zone`] [`keys`] [`mail`] [`catalog`] |
//! | 3 the engine | [`compose`] [`publish`] [`rotate`] [`transfer`] [`answer`] |
//! | 4 the edges | [`config`] [`watch`] [`exchange`] [`server`] [`signer`] [`control`] [`verify`] [`doctor`] [`cli`] [`daemon`] |
//!
//! Floors 1 to 3 are pure but for [`publish`]'s state store: bytes, records and time come in as
//! arguments, so that everything can be tested, fuzzed and compared with other servers.
//! ARCHITECTURE.md tells the same in prose.

pub mod finding;
pub mod message;
pub mod name;
pub mod record;
pub mod tls;
pub mod tsig;

pub mod catalog;
pub mod keys;
pub mod mail;
pub mod zone;
pub mod zonefile;

pub mod answer;
pub mod compose;
pub mod publish;
pub mod rotate;
pub mod transfer;

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod doctor;
pub mod exchange;
pub mod server;
pub mod signer;
#[cfg(test)]
mod testing;
mod throttle;
pub mod verify;
pub mod watch;
