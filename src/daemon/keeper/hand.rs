//! The thread that makes keys, switches signers and removes files: what waits for disks and other programs.

use crate::config::Signer;
use crate::control::Pending;
use crate::mail::dkim::NewKey;
use crate::name::Name;
use crate::server::give_way;
use crate::signer::{self, SignerError, Switch};
use crate::watch::Waker;
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};

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
        algorithm: Option<NewKey>,
        key_file: PathBuf,
        /// What `p=` of its record says.
        public: String,
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
    /// The files that were made, those before a failure too.
    pub(super) files: Vec<PathBuf>,
    pub(super) result: Result<(), SignerError>,
}

/// The way to the thread. What somebody waits for and what a signer waits for goes first: making keys for many domains
/// takes hours.
pub(super) struct Hand(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    jobs: Mutex<[VecDeque<Job>; 2]>,
    more: Condvar,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, [VecDeque<Job>; 2]> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Job {
        let mut jobs = self.lock();
        loop {
            if let Some(job) = jobs.iter_mut().find_map(VecDeque::pop_front) {
                return job;
            }
            jobs = self.more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Hand {
    pub(super) fn start(waker: Waker) -> std::io::Result<(Self, mpsc::Receiver<Report>)> {
        let waiting = Arc::new(Waiting::default());
        let jobs = Arc::clone(&waiting);
        let (tell, reports) = mpsc::channel();
        std::thread::Builder::new().name("signers".into()).spawn(move || {
            // Whatever it runs does so, too.
            give_way();
            loop {
                let job = jobs.next();
                let mut files = vec![];
                let result = perform(&job, &mut files);
                let Job {
                    domain, work, pending, ..
                } = job;
                let report = Report {
                    domain,
                    work,
                    pending,
                    files,
                    result,
                };
                if tell.send(report).is_err() {
                    return;
                }
                waker.wake();
            }
        })?;
        Ok((Self(waiting), reports))
    }

    pub(super) fn give(&self, job: Job) {
        let can_wait = matches!(job.work, Work::Make { .. }) && job.pending.is_none();
        self.0.lock()[usize::from(can_wait)].push_back(job);
        self.0.more.notify_one();
    }
}

fn perform(job: &Job, files: &mut Vec<PathBuf>) -> Result<(), SignerError> {
    let Job { domain, signers, .. } = job;
    match &job.work {
        Work::Make { keys, .. } => {
            for (selector, kind) in keys {
                let able = signers.iter().find(|signer| signer.can_sign_with(*kind));
                // Where none can, the first says why not.
                if let Some(signer) = able.or(signers.first()) {
                    files.push(signer::make(signer, domain, selector, *kind)?);
                }
            }
            Ok(())
        }
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
            })
        }
        Work::Discard {
            selector,
            algorithm,
            key_file,
            public,
            hold,
        } => {
            let had_it = |signer: &&Signer| algorithm.is_none_or(|kind| signer.can_sign_with(kind));
            let mut signers = signers.iter().filter(had_it);
            signers.try_for_each(|signer| signer::retire(signer, domain, selector))?;
            signer::discard(key_file, public, hold.as_deref())
        }
        Work::Reveal { selector, held, folder } => {
            files.extend(signer::reveal(held, folder, domain, selector)?);
            Ok(())
        }
    }
}
