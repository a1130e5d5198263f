//! `signpost verify` against a running Signpost: messages made and signed here, one for each outcome, and the report
//! that goes back by mail.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "../common/mod.rs"]
mod common;

mod by_mail;
mod judgement;
mod report;
mod support;
