//! The command line: what can be asked, and how answers look.
//!
//! [`args`] defines commands and options, [`man`] makes the manual pages from the same definitions
//! and from the table of options, [`exit`] is the list of exit codes. [`report`] renders what a server
//! tells at its start and [`check`] what `signpost check` finds; both are pure: structs in, text out,
//! so that they are tested without a terminal. [`lines`] fetches the line that a finding is about, and
//! never one that could be a private key's. [`output`] is where words go. Nothing here reads a zone or opens a socket.

mod advice;
pub mod args;
pub mod check;
pub mod exit;
pub mod lines;
pub mod man;
pub mod output;
pub mod paint;
pub mod report;

pub use advice::word as severity_word;
pub use args::{Args, Command};
pub use exit::Exit;
pub use paint::Paint;
