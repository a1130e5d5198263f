//! The watcher on a real file system: what operators and their tools do to files, and what is reported.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod degraded;
mod links;
mod scenarios;
mod soak;
mod speed;
mod support;
