//! The thread that makes keys, switches signers and removes files: what waits for disks and other programs.

use crate::config::Signer;
use crate::control::Pending;
use crate::mail::dkim::NewKey;
use crate::name::Name;
use crate::signer::{self, SignerError, Switch};
use crate::watch::Waker;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

/// A job of one domain.
pub(super) struct Job {
    pub(super) domain: Name,
    pub(super) work: Work,
    /// Who ordered it.
    pub(super) pending: Option<Pending>,
    pub(super) signers: Arc<[Signer]>,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(in crate::daemon) enum Work {
    /// Make keys, and sign with them as soon as that is safe, if they are `next`.
    Make { keys: Vec<(String, NewKey)>, next: bool },
    /// Sign with a key.
    Switch {
        selector: String,
        old: Option<String>,
        algorithm: NewKey,
        key_file: PathBuf,
        record: Arc<str>,
        /// The selectors of keys of other kinds, which are signed with beside it.
        beside: BTreeSet<String>,
    },
    /// Remove the files of a key, or move the private one to where it waits to be revealed.
    Discard {
        selector: String,
        key_file: PathBuf,
        hold: Option<PathBuf>,
    },
    /// Publish the private half of a forgotten key.
    Reveal {
        selector: String,
        held: PathBuf,
        folder: PathBuf,
    },
}

/// What came of a job.
pub(super) struct Report {
    pub(super) domain: Name,
    pub(super) work: Work,
    pub(super) pending: Option<Pending>,
    /// The files that were made, or why it could not be done. What was made before that stays.
    pub(super) result: Result<Vec<PathBuf>, SignerError>,
}

/// The way to the thread.
pub(super) struct Hand(mpsc::Sender<Job>);

impl Hand {
    pub(super) fn start(waker: Waker) -> std::io::Result<(Self, mpsc::Receiver<Report>)> {
        let (give, jobs) = mpsc::channel::<Job>();
        let (tell, reports) = mpsc::channel();
        std::thread::Builder::new().name("signers".into()).spawn(move || {
            for job in jobs {
                let result = perform(&job);
                let Job {
                    domain, work, pending, ..
                } = job;
                let report = Report {
                    domain,
                    work,
                    pending,
                    result,
                };
                if tell.send(report).is_err() {
                    return;
                }
                waker.wake();
            }
        })?;
        Ok((Self(give), reports))
    }

    pub(super) fn give(&self, job: Job) {
        // It ends with the process only.
        let _ = self.0.send(job);
    }
}

fn perform(job: &Job) -> Result<Vec<PathBuf>, SignerError> {
    let Job { domain, signers, .. } = job;
    match &job.work {
        Work::Make { keys, .. } => keys
            .iter()
            .filter_map(|(selector, kind)| {
                let able = signers.iter().find(|signer| signer.can_sign_with(*kind));
                // Where none can, the first says why not.
                Some(signer::make(able.or(signers.first())?, domain, selector, *kind))
            })
            .collect(),
        Work::Switch {
            selector,
            old,
            algorithm,
            key_file,
            record,
            beside,
        } => {
            let switch = Switch {
                domain,
                selector,
                old_selector: old.as_deref(),
                algorithm: *algorithm,
                key_file,
                record,
            };
            let mut able = signers.iter().filter(|signer| signer.can_sign_with(*algorithm));
            able.try_for_each(|signer| {
                if old.is_none() {
                    // Read anew: what is remembered of the tables may be older than what is written there now.
                    signer::check_free(signer, &switch, beside)?;
                }
                signer::switch(signer, &switch)
            })?;
            Ok(vec![])
        }
        Work::Discard {
            selector,
            key_file,
            hold,
        } => {
            signers
                .iter()
                .try_for_each(|signer| signer::retire(signer, domain, selector))?;
            signer::discard(key_file, hold.as_deref())?;
            Ok(vec![])
        }
        Work::Reveal { selector, held, folder } => {
            signer::reveal(held, folder, domain, selector).map(|path| vec![path])
        }
    }
}
