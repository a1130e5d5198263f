//! A consumer as the server is one: reads what is reported and keeps the last state of each path.

use signpost::finding::Finding;
use signpost::watch::{Change, Kind, Options, Root, RootId, Watcher, read_file};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const ROOT: RootId = RootId(7);
const PATIENCE: Duration = Duration::from_secs(20);

/// What a consumer knows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Content(String),
    Unreadable(io::ErrorKind),
}

pub(crate) struct Consumer {
    pub watcher: Watcher,
    pub known: BTreeMap<PathBuf, State>,
    pub log: Vec<Change>,
    pub findings: Vec<Finding>,
}

impl Consumer {
    pub(crate) fn new(root: &Path) -> Self {
        Self::with(vec![Root::directory(ROOT, root)], &Options::default())
    }

    pub(crate) fn with(roots: Vec<Root>, options: &Options) -> Self {
        let (watcher, batch) = Watcher::new(roots, options).unwrap();
        let mut consumer = Self {
            watcher,
            known: BTreeMap::new(),
            log: Vec::new(),
            findings: batch.findings,
        };
        consumer.take(batch.changes);
        consumer
    }

    fn take(&mut self, changes: Vec<Change>) {
        for change in &changes {
            let state = match change.kind {
                Kind::Present { .. } => match read_file(&change.path, 1 << 20) {
                    Ok(content) => Some(State::Content(String::from_utf8_lossy(&content).into_owned())),
                    // Changed since: there must be another report.
                    Err(error) => Some(State::Unreadable(error.kind())),
                },
                Kind::Unreadable(kind) => Some(State::Unreadable(kind)),
                Kind::Gone => None,
            };
            match state {
                Some(state) => self.known.insert(change.path.clone(), state),
                None => self.known.remove(&change.path),
            };
        }
        self.log.extend(changes);
    }

    /// One batch, at most `timeout` later.
    pub(crate) fn step(&mut self, timeout: Duration) {
        let batch = self.watcher.next(Some(timeout));
        self.findings.extend(batch.findings);
        self.take(batch.changes);
    }

    /// Takes batches until `condition` holds.
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(
                Instant::now() < end,
                "{what}: known {:#?}, log {:#?}",
                self.known,
                self.log
            );
            self.step(Duration::from_millis(50));
        }
    }

    /// Takes batches until `path` has this content; how long that took.
    pub(crate) fn until_content(&mut self, path: &Path, content: &str) -> Duration {
        let start = Instant::now();
        let wanted = Some(State::Content(content.into()));
        self.until(&format!("{} is {content:?}", path.display()), |consumer| {
            consumer.known.get(path) == wanted.as_ref()
        });
        start.elapsed()
    }

    pub(crate) fn until_gone(&mut self, path: &Path) {
        self.until(&format!("{} is gone", path.display()), |consumer| {
            !consumer.known.contains_key(path)
        });
    }

    /// Takes batches until all that is known is what a walk finds.
    pub(crate) fn until_true(&mut self, root: &Path, context: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let truth = truth(root);
            if self.known == truth {
                return;
            }
            assert!(Instant::now() < end, "{context}: {}", difference(&self.known, &truth));
            self.step(Duration::from_millis(20));
        }
    }

    pub(crate) fn count_of(&self, path: &Path) -> usize {
        self.log.iter().filter(|change| change.path == path).count()
    }
}

fn difference(known: &BTreeMap<PathBuf, State>, truth: &BTreeMap<PathBuf, State>) -> String {
    let paths: std::collections::BTreeSet<_> = known.keys().chain(truth.keys()).collect();
    let differing = paths.into_iter().filter(|path| known.get(*path) != truth.get(*path));
    differing
        .map(|path| {
            format!(
                "\n{}: known {:?}, true {:?}",
                path.display(),
                known.get(path),
                truth.get(path)
            )
        })
        .collect()
}

/// What there is below `root`, found by the simplest possible walk.
pub(crate) fn truth(root: &Path) -> BTreeMap<PathBuf, State> {
    let mut found = BTreeMap::new();
    walk(root, &mut Vec::new(), 0, &mut found);
    found
}

fn walk(path: &Path, above: &mut Vec<(u64, u64)>, links: u32, found: &mut BTreeMap<PathBuf, State>) {
    let Ok(own) = fs::symlink_metadata(path) else {
        return;
    };
    // The root may be a link; that is not counted as one in the tree.
    let links = links + u32::from(own.is_symlink());
    match fs::metadata(path) {
        Err(_) => {
            found.insert(path.to_path_buf(), State::Unreadable(io::ErrorKind::NotFound));
        }
        Ok(meta) if meta.is_dir() => {
            let identity = (meta.dev(), meta.ino());
            if links > 4 || above.contains(&identity) {
                return;
            }
            above.push(identity);
            for entry in fs::read_dir(path).unwrap() {
                walk(&entry.unwrap().path(), above, links, found);
            }
            above.pop();
        }
        Ok(_) => {
            let content = fs::read_to_string(path).unwrap();
            found.insert(path.to_path_buf(), State::Content(content));
        }
    }
}

/// Runs a shell command as an operator would, and insists that it succeeds.
pub(crate) fn sh(directory: &Path, command: &str) {
    let status = Command::new("sh")
        .arg("-ec")
        .arg(command)
        .current_dir(directory)
        .status();
    assert!(status.unwrap().success(), "{command}");
}

/// Runs `work` in a thread that permissions apply to, also if the tests run as root.
pub(crate) fn as_ordinary_user(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            work();
        });
        if let Err(panic) = worker.join() {
            std::panic::resume_unwind(panic);
        }
    });
}
