//! Exit codes: part of the interface, listed in `--help` and in the manual page.

use crate::finding::{Finding, Severity};
use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// All is well.
    Fine = 0,
    /// `check` or `doctor` found something that will hurt, and nothing worse; a secondary lags, or a zone has no data; a
    /// message did not pass `verify`.
    Warnings = 1,
    /// `check` found something that would not be served, `doctor` what keeps mail from being signed; any other command could not do what it was asked.
    Errors = 2,
    /// The command line makes no sense (`EX_USAGE` of sysexits.h).
    Usage = 64,
    /// No running server answers on the control socket (`EX_UNAVAILABLE`).
    NotRunning = 69,
    /// Not now (`EX_TEMPFAIL`): what was waited for did not come in time, or a report could not be made or sent; then
    /// Postfix keeps the message and tries again.
    TryAgain = 75,
    /// The server cannot start with this configuration (`EX_CONFIG`); starting it again will not help.
    Config = 78,
}

impl Exit {
    /// Every code and what it means.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Fine, "all is well"),
        (
            Self::Warnings,
            "`check`/`doctor` warn; secondaries lag, a zone has no data; `verify` fails",
        ),
        (Self::Errors, "they found what fails now; or a command failed"),
        (Self::Usage, "the command line is wrong"),
        (Self::NotRunning, "no running server answers"),
        (
            Self::TryAgain,
            "`key wait` waited in vain, or `verify --reply` could not answer now",
        ),
        (
            Self::Config,
            "`serve` cannot use the configuration; a restart will not help",
        ),
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What `check` makes of its findings: the worst decides, notes do not count.
    pub fn of_findings<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        match findings.into_iter().map(|finding| finding.severity).max() {
            Some(Severity::Error) => Self::Errors,
            Some(Severity::Warning) => Self::Warnings,
            Some(Severity::Note) | None => Self::Fine,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let note = Finding::note("a", "b");
        let warning = Finding::warning("a", "b", "c");
        let error = Finding::error("a", "b", "c");
        assert_eq!(Exit::of_findings([]), Exit::Fine);
        assert_eq!(Exit::of_findings([&note]), Exit::Fine);
        assert_eq!(Exit::of_findings([&warning, &note]), Exit::Warnings);
        assert_eq!(Exit::of_findings([&note, &error, &warning]), Exit::Errors);
    }

    #[test]
    fn every_code_is_its_own() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes, [0, 1, 2, 64, 69, 75, 78]);
    }
}
