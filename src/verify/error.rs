//! Why a message could not be examined, or no answer be sent.

use std::io;
use thiserror::Error;

/// What keeps `signpost verify` from its work.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The file or the pipe.
    #[error("cannot read the message from {source_name}: {error}")]
    Unreadable {
        /// Which.
        source_name: String,
        /// Why.
        error: io::Error,
    },
    /// More octets than are looked at.
    #[error("the message is larger than 50 MiB, which is the most that is examined")]
    TooLarge,
    /// A header out of all proportion.
    #[error("the header is larger than 256 KiB or has more than 1000 fields; no mail has, so it is not examined")]
    HeaderTooLarge,
    /// Nothing that could be a message.
    #[error(
        "this is no message: it has no header field; give a file with the header and the body as they were received"
    )]
    NoHeader,
    /// SPF, Sender-ID and iprev are about an address.
    #[error(
        "whose mail is this? Say with --client-ip which address delivered it (192.0.2.25); the message has no Received \
         field that would tell"
    )]
    NoClient,
    /// The system's configuration.
    #[error("cannot ask the DNS: {0}; say with --dns whom to ask")]
    Resolver(String),
    /// A check did not end.
    #[error("the DNS took more than {0} s over this message; ask again later, or another server with --dns")]
    TooSlow(u64),
    /// A bug, here or in a crate; the message is at fault only in that it met it.
    #[error("the examination broke down on this message; please report it: {0}")]
    Broken(String),
    /// The answer.
    #[error("cannot send the report with {program}: {reason}; say with --sendmail where sendmail is")]
    Sendmail {
        /// The program.
        program: String,
        /// What it said.
        reason: String,
    },
}

impl VerifyError {
    /// Is it for what the message is, which whoever sent it can choose?
    pub fn is_of_message(&self) -> bool {
        matches!(
            self,
            Self::TooLarge | Self::HeaderTooLarge | Self::NoHeader | Self::Broken(_)
        )
    }

    /// May it go better with the same message later?
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Resolver(_) | Self::TooSlow(_) | Self::Sendmail { .. })
    }
}
