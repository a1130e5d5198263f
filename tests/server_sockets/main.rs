//! The server over real sockets, with a handler that echoes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test that cannot go on ends the test"
)]

mod bind;
mod limits;
mod support;
mod tcp;
mod udp;
