//! Queries over TLS, QUIC and HTTPS, transfers over TLS and QUIC: the same as over TCP, by certificates that may change
//! at any time, under the same limits. kdig and BIND are the judges.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod certificates;
mod limits;
mod support;
mod transfers;
