//! Where words go: answers to standard output, complaints and the log to standard error.

use super::exit::Exit;
use crate::config::{ConfigError, LogLevel};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::filter::LevelFilter;

/// Prints an answer. A reader that went away (`signpost zone print … | head`) is no error.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Says what went wrong, and ends so.
pub fn complain(error: &dyn Display, exit: Exit) -> Exit {
    let mut err = io::stderr().lock();
    let _gone = writeln!(err, "signpost: {error}");
    exit
}

/// Says what is wrong with the configuration, with the line that is.
pub fn refuse(error: &ConfigError) -> Exit {
    let excerpt = error.excerpt.as_ref().map(|excerpt| format!("\n{excerpt}"));
    complain(&format!("{error}{}", excerpt.unwrap_or_default()), Exit::Config)
}

/// Events go to standard error, one a line. A service's journal adds the time itself.
pub fn start_log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init()
    } else {
        log.init()
    }
}
