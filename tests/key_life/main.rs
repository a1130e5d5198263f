//! The life of a key in the running server, with shortened times: driven by Signpost, by hand, and against all that can
//! go wrong. That no signature of a signer which obeys fails in ten years is shown in `src/rotate/simulation.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

#[path = "../common/mod.rs"]
mod common;

mod by_hand;
mod gate;
mod orders;
mod schedule;
mod support;
mod trouble;
