//! Listing directories: the watch first, then the names, so that nothing comes in between unseen.
//!
//! Listing is pure but for the watch and knows nothing of the memory, so that many directories are
//! listed on all cores at once; the results are settled one by one, in order.

use crate::watch::Kind;
use crate::watch::kernel::{Interest, Kernel, Refused, Wd};
use crate::watch::probe::{self, Identity, Seen, probe};
use crate::watch::tree::{DirId, Entry, What};
use crate::watch::view::View;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

/// So many directories are listed before they are settled: bounds the memory in between.
const ROUND: usize = 4096;
/// Fewer directories than this are not worth a thread.
const WORTH_A_THREAD: usize = 128;

struct Job {
    id: DirId,
    deep: bool,
    path: PathBuf,
}

struct Listing {
    wd: Result<Wd, Refused>,
    identity: Option<Identity>,
    names: io::Result<Vec<Item>>,
}

struct Item {
    name: OsString,
    /// `None`: a link or hard-linked, to be looked at on its own.
    seen: Option<Seen>,
}

impl View {
    /// Lists all directories that need it, and those found in them.
    pub(super) fn walk(&mut self) {
        while !self.todo.is_empty() {
            let mut jobs = Vec::with_capacity(ROUND.min(self.todo.len()));
            while jobs.len() < ROUND
                && let Some((id, deep)) = self.todo.pop_first()
            {
                let path = self.tree.path(id);
                jobs.push(Job { id, deep, path });
            }
            let listings = list_all(&self.kernel, &jobs);
            for (job, listing) in jobs.iter().zip(listings) {
                self.settle_listing(job, listing);
            }
        }
        self.finish();
    }

    fn settle_listing(&mut self, job: &Job, listing: Listing) {
        if self.tree.get(job.id).is_none() {
            if let Ok(wd) = listing.wd {
                self.places.abandon(wd);
            }
            return;
        }
        if let Some(identity) = listing.identity
            && self.tree.is_above(job.id, identity)
        {
            self.close_circle(job.id);
            if let Ok(wd) = listing.wd {
                self.places.abandon(wd);
            }
            return;
        }
        self.attach(job, &listing);
        match listing.names {
            Ok(items) => self.settle_names(job, items),
            Err(error) => self.settle_failure(job, error.kind()),
        }
    }

    /// The directory leads back to one above it: its name stays, nothing below it.
    fn close_circle(&mut self, id: DirId) {
        let Some(dir) = self.tree.get(id) else {
            return;
        };
        let (parent, name) = (dir.parent, dir.name.clone());
        self.drop_below(id);
        if let Some(entry) = parent
            .and_then(|parent| self.tree.get_mut(parent))
            .and_then(|parent| parent.entries.get_mut(&name))
        {
            entry.what = What::Circle;
        }
    }

    fn attach(&mut self, job: &Job, listing: &Listing) {
        let remote = listing
            .identity
            .is_some_and(|(device, _)| self.is_remote(device, &job.path));
        let Some(dir) = self.tree.get_mut(job.id) else {
            return;
        };
        let old = std::mem::replace(&mut dir.wd, listing.wd.ok());
        dir.identity = listing.identity.unwrap_or_default();
        if let Some(old) = old.filter(|old| Some(*old) != dir.wd) {
            self.places.detach(old, job.id);
        }
        match listing.wd {
            Ok(wd) => {
                self.places.attach(wd, job.id);
                self.scanned_dirs.remove(&job.id);
            }
            Err(refused) => {
                self.scanned_dirs.insert(job.id);
                self.full |= refused == Refused::Full;
            }
        }
        if remote {
            self.scanned_dirs.insert(job.id);
        }
    }

    fn settle_names(&mut self, job: &Job, items: Vec<Item>) {
        let Some(dir) = self.tree.get_mut(job.id) else {
            return;
        };
        let root = dir.root;
        // Where we must scan, nobody tells when a writer is done.
        let may_be_half = dir.listed && self.scanned_dirs.contains(&job.id);
        dir.listed = true;
        if dir.trouble.take().is_some() {
            self.report(root, job.path.clone(), Kind::Gone);
        }
        self.settle_missing(job, &items);
        if let Some(dir) = self.tree.get_mut(job.id) {
            dir.entries.reserve(items.len().saturating_sub(dir.entries.len()));
        }
        for item in items {
            match item.seen {
                Some(Seen::File(facts)) if may_be_half && facts.age < self.quiet => {
                    self.young.push((job.id, item.name.into_boxed_os_str()));
                }
                Some(seen) if !self.is_winding(job.id, &item.name) => {
                    if let Some(kind) = self.settle(job.id, &item.name, seen, None, false, job.deep) {
                        self.report(root, exact_join(&job.path, &item.name), kind);
                    }
                }
                _ => self.look(job.id, &item.name, job.deep),
            }
        }
    }

    fn is_winding(&self, id: DirId, name: &OsStr) -> bool {
        matches!(self.tree.entry(id, name), Some(Entry { link: Some(_), .. }))
    }

    /// Known names that are not in the listing. They are looked at, not believed gone: a name that
    /// is renamed while its directory is read may be missed by readdir(3).
    fn settle_missing(&mut self, job: &Job, items: &[Item]) {
        let Some(dir) = self.tree.get(job.id).filter(|dir| !dir.entries.is_empty()) else {
            return;
        };
        let listed: HashSet<&OsStr> = items.iter().map(|item| item.name.as_os_str()).collect();
        let missing = dir.entries.keys().filter(|name| !listed.contains(name.as_ref()));
        for name in missing.cloned().collect::<Vec<_>>() {
            self.look(job.id, &name, job.deep);
        }
    }

    /// It cannot be listed. Its known names may still be reachable (a directory without the right to
    /// read but with the right to search).
    fn settle_failure(&mut self, job: &Job, kind: io::ErrorKind) {
        let Some(dir) = self.tree.get(job.id) else {
            return;
        };
        let (parent, name) = (dir.parent, dir.name.clone());
        if !matches!(probe(&job.path).seen, Seen::Directory(_))
            && let Some(parent) = parent
        {
            self.look(parent, &name, false);
            return;
        }
        let known: Vec<_> = dir.entries.keys().cloned().collect();
        self.trouble(job.id, kind);
        for name in known {
            self.look(job.id, &name, job.deep);
        }
    }
}

/// As [`Path::join`], with no room to spare: of a million paths each would keep as much again.
fn exact_join(directory: &Path, name: &OsStr) -> PathBuf {
    let mut path = PathBuf::with_capacity(directory.as_os_str().len() + 1 + name.len());
    path.push(directory);
    path.push(name);
    path
}

fn list_all(kernel: &Kernel, jobs: &[Job]) -> Vec<Listing> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(jobs.len() / WORTH_A_THREAD).max(1);
    if threads == 1 {
        return jobs.iter().map(|job| list(kernel, &job.path)).collect();
    }
    thread::scope(|scope| {
        let workers: Vec<_> = jobs
            .chunks(jobs.len().div_ceil(threads))
            .map(|part| {
                let work = move || part.iter().map(|job| list(kernel, &job.path)).collect::<Vec<_>>();
                (part, thread::Builder::new().spawn_scoped(scope, work))
            })
            .collect();
        let mut listings = Vec::with_capacity(jobs.len());
        for (part, worker) in workers {
            match worker.map(|worker| worker.join()) {
                Ok(Ok(done)) => listings.extend(done),
                // No thread to be had: here and now then.
                _ => listings.extend(part.iter().map(|job| list(kernel, &job.path))),
            }
        }
        listings
    })
}

fn list(kernel: &Kernel, path: &Path) -> Listing {
    let wd = kernel.add(path, Interest::Content);
    let identity = fs::metadata(path).ok().map(|meta| probe::identity(&meta));
    Listing {
        wd,
        identity,
        names: names(path),
    }
}

fn names(path: &Path) -> io::Result<Vec<Item>> {
    let mut items = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if let Some(seen) = seen(&entry) {
            let name = entry.file_name();
            items.push(Item { name, seen });
        }
    }
    Ok(items)
}

/// What the entry is; `None` if it is gone again, for which there will be a hint or another scan.
fn seen(entry: &DirEntry) -> Option<Option<Seen>> {
    let kind = entry.file_type().ok()?;
    if kind.is_dir() {
        return Some(Some(Seen::Directory(None)));
    }
    if kind.is_symlink() {
        return Some(None);
    }
    match entry.metadata() {
        Ok(meta) if probe::is_hard_linked(&meta) => Some(None),
        Ok(meta) => Some(Some(probe::seen(&meta, None))),
        Err(error) => match probe::absent_or_unreadable(&error) {
            Seen::Absent => None,
            seen => Some(Some(seen)),
        },
    }
}
