//! Zones on their way to other servers and from them: AXFR (RFC 5936), IXFR (RFC 1995), NOTIFY (RFC 1996).
//!
//! Here is what can be decided without a socket: who may have a zone ([`policy`]), what changed between two of its
//! versions ([`Delta`]), the messages that tell it ([`Outgoing`], [`notify`]), and what is to be believed of those of
//! others ([`Incoming`]). Sockets and time are the edges' matter.

mod delta;
mod incoming;
mod ledger;
pub mod notify;
mod outgoing;
mod policy;
mod request;

pub use delta::{Delta, WireRecord};
pub use incoming::{Arrived, Fault, Incoming, Limits, Step, apply, serial_of};
pub use ledger::{Dealings, Ledger, Said};
pub use outgoing::{Content, Outgoing, Oversize};
pub use policy::{AddressPrefix, Allowed, Channel, Policies, Remote, Requester, SharedPolicies, TransferPolicy};
pub use request::{Heard, Inbox, Refused, Transfers, is_request};
