//! `signpost setup`: what is missing in the configuration of OpenDKIM and Postfix, as a change of files.
//!
//! A [`Plan`] is made from what is there, and only told; [`Plan::write`] puts it in force, each file after a backup.
//! What works stays as it is, whatever the tutorials say; a second plan after the first was written is empty.

mod draft;
mod opendkim;
mod postfix;
mod write;

pub use draft::Draft;
pub use opendkim::opendkim;
pub use postfix::postfix;
pub use write::{WriteError, Written};

use super::machine::Machine;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// What is there is not known, so nothing can be said of what is missing.
    #[error("cannot read {}: {error}{}", path.display(), who_may(error))]
    Unreadable {
        /// The machine's name of the file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Postfix is not there.
    #[error("Postfix has no main.cf here; `apt-get install postfix`")]
    NoPostfix,
}

fn who_may(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run it as root",
        _ => "",
    }
}

/// What is to change.
#[derive(Debug, Default)]
pub struct Plan {
    drafts: Vec<Draft>,
    /// What remains to be done by hand.
    advice: Vec<String>,
    /// Is something missing that no change of these files would mend?
    declined: bool,
}

impl Plan {
    fn new(drafts: impl IntoIterator<Item = Draft>, advice: Vec<String>) -> Self {
        Self {
            drafts: drafts.into_iter().filter(Draft::is_changed).collect(),
            advice,
            declined: false,
        }
    }

    /// The same plan, of which the advice tells what it cannot do.
    fn declined(self) -> Self {
        Self { declined: true, ..self }
    }

    /// Is something else to be done first, which the advice tells?
    pub fn is_declined(&self) -> bool {
        self.declined
    }

    /// Is nothing to change?
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// Puts it in force, file by file as they are asked for.
    pub fn write(&self, machine: &Machine, now: SystemTime) -> impl Iterator<Item = Result<Written, WriteError>> {
        self.drafts.iter().map(move |draft| write::write(machine, draft, now))
    }

    /// What remains to be done by hand, a line each.
    pub fn advice(&self) -> &[String] {
        &self.advice
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for draft in &self.drafts {
            write!(f, "{draft}")?;
        }
        Ok(())
    }
}
