//! The front: waiting for hints and timers, and handing out batches.

use crate::finding::Finding;
use crate::watch::kernel::Wd;
use crate::watch::probe::probe;
use crate::watch::tree::{DirId, Spot, What};
use crate::watch::view::View;
use crate::watch::{Batch, Change, Kind, Options, Root, RootId, WatchError};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify::ReadFlags;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A comparison of the unwatched may take this share of the time: one tenth.
const SCAN_SHARE: u32 = 10;

/// Knows the files below its roots and tells what changes.
///
/// Call [`Self::next`] from a thread of its own, again and again: the kernel queues only 16384 events
/// meanwhile (`fs.inotify.max_queued_events`); more cost a whole walk.
#[derive(Debug)]
pub struct Watcher {
    view: View,
    waker: Arc<OwnedFd>,
    roots: Vec<DirId>,
    extras: BTreeMap<RootId, DirId>,
    resting: Resting,
    scan_interval: Duration,
    next_scan: Option<Instant>,
    /// How long the comparison that is under way took so far.
    scan_took: Option<Duration>,
    /// Events were lost: everything must be compared, at this time.
    rescan_at: Option<Instant>,
    last_rescan: Option<(Instant, Duration)>,
}

/// Interrupts [`Watcher::next`] from another thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Makes the current or the next call of [`Watcher::next`] return at once.
    pub fn wake(&self) {
        // Fails only if the counter is full: then it is readable, which is all that is wanted.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl Watcher {
    /// Starts to watch, and lists what is there now: one `Present` or `Unreadable` per file.
    ///
    /// A limit that is reached or missing inotify is no error but a finding of the first batch.
    ///
    /// # Errors
    ///
    /// [`WatchError`]: a relative root without a current directory, two roots of one id, or no file
    /// descriptor for the [`Waker`].
    pub fn new(roots: Vec<Root>, options: &Options) -> Result<(Self, Batch), WatchError> {
        let waker = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| WatchError::Descriptor(errno.into()))?;
        let mut watcher = Self {
            view: View::new(options),
            waker: Arc::new(waker),
            roots: Vec::new(),
            extras: BTreeMap::new(),
            resting: Resting::new(options.quiet),
            scan_interval: options.scan_interval,
            next_scan: None,
            scan_took: None,
            rescan_at: None,
            last_rescan: None,
        };
        let mut ids = BTreeSet::new();
        for root in roots {
            if !ids.insert(root.id) {
                return Err(WatchError::Twice(root.id));
            }
            let path = absolute(&root.path)?;
            let anchor = watcher.view.tree.anchor(root.id, root.walk);
            watcher.roots.push(anchor);
            watcher.view.look(anchor, path.as_os_str(), true);
        }
        watcher.view.walk();
        watcher.plan_scan(Duration::ZERO);
        let batch = watcher.take_batch(false);
        Ok((watcher, batch))
    }

    /// A handle to interrupt [`Self::next`].
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.waker))
    }

    /// Waits until something changed, somebody woke us, or `timeout` is over (`None`: never).
    ///
    /// All that is ready comes in one batch; a batch is empty after a timeout or a wake.
    pub fn next(&mut self, timeout: Option<Duration>) -> Batch {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            self.take_hints();
            self.keep_time();
            let woken = self.take_wake();
            let over = end.is_some_and(|end| Instant::now() >= end);
            if woken || over || !self.view.changes.is_empty() || !self.view.findings.is_empty() {
                return self.take_batch(woken);
            }
            let next = [end, self.resting.next(), self.next_scan, self.rescan_at];
            let wait = next.into_iter().flatten().min();
            let wait = wait.map(|at| at.saturating_duration_since(Instant::now()));
            if self.view.kernel.wait(&self.waker, wait).is_err() {
                // poll(2) fails for want of memory only: try again, but not in a tight loop.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Compares everything with the file system (SIGHUP). The differences come with the next batch;
    /// with `force` all files are reported, changed or not.
    pub fn rescan(&mut self, force: bool) {
        let start = Instant::now();
        self.view.force = force;
        for anchor in self.roots.iter().chain(self.extras.values()) {
            let names: Vec<_> = names_of(&self.view, *anchor);
            for name in names {
                self.view.look(*anchor, &name, true);
            }
        }
        self.view.walk();
        self.view.force = false;
        self.rescan_at = None;
        self.last_rescan = Some((Instant::now(), start.elapsed()));
    }

    /// Follows exactly these single files for `source`, in place of those it followed before. They
    /// need not exist. Each new one is reported with the next batch: `Present`, `Unreadable` or `Gone`.
    ///
    /// # Errors
    ///
    /// [`WatchError::Relative`]: nothing was changed.
    pub fn set_extra(&mut self, source: RootId, paths: Vec<PathBuf>) -> Result<(), WatchError> {
        let wanted = paths
            .iter()
            .map(|path| absolute(path))
            .collect::<Result<BTreeSet<_>, _>>()?;
        if wanted.is_empty() && !self.extras.contains_key(&source) {
            return Ok(());
        }
        let view = &mut self.view;
        let anchor = *self
            .extras
            .entry(source)
            .or_insert_with(|| view.tree.anchor(source, false));
        for name in names_of(view, anchor) {
            if !wanted.contains(Path::new(&name)) {
                view.drop_name(anchor, &name);
            }
        }
        for path in wanted {
            let name = path.as_os_str();
            if view.tree.entry(anchor, name).is_some() {
                continue;
            }
            view.look(anchor, name, true);
            if let Some(What::Absent) = view.tree.entry(anchor, name).map(|entry| entry.what) {
                view.report(source, path, Kind::Gone);
            }
        }
        if view.tree.get(anchor).is_some_and(|dir| dir.entries.is_empty()) {
            view.tree.take(anchor);
            self.extras.remove(&source);
        }
        self.view.walk();
        self.plan_scan(Duration::ZERO);
        Ok(())
    }

    /// Reads the kernel's hints and acts on them.
    fn take_hints(&mut self) {
        let mut spots: BTreeMap<Spot, ReadFlags> = BTreeMap::new();
        let mut ended: Vec<Wd> = Vec::new();
        let mut lost = false;
        let view = &self.view;
        view.kernel.drain(|hint| {
            lost |= hint.flags.contains(ReadFlags::QUEUE_OVERFLOW);
            if hint.flags.contains(ReadFlags::IGNORED) {
                ended.push(hint.wd);
                return;
            }
            for spot in view.concerned(hint.wd, hint.name) {
                *spots.entry(spot).or_insert(ReadFlags::empty()) |= hint.flags;
            }
        });
        for wd in ended {
            for spot in self.view.watch_ended(wd) {
                // Whatever is at that path now, it must be watched anew.
                *spots.entry(spot).or_insert(ReadFlags::empty()) |= ReadFlags::DELETE_SELF;
            }
        }
        if spots.is_empty() && !lost {
            return;
        }
        for ((dir, name), flags) in spots {
            if self.must_rest(dir, &name, flags) {
                self.resting.rest((dir, name));
            } else {
                self.resting.act((dir, name.clone()));
                self.view.look(dir, &name, is_deep(flags));
                if flags.contains(ReadFlags::CREATE) {
                    self.view.look_at_twins(dir, &name);
                }
                if flags.contains(ReadFlags::ATTRIB | ReadFlags::ISDIR) {
                    self.view.look_at_access(dir, &name);
                }
            }
        }
        self.view.walk();
        if lost {
            self.events_lost();
        }
        self.plan_scan(Duration::ZERO);
    }

    /// Whether a hint tells of writing that goes on, whose end will be told or come with time.
    fn must_rest(&self, dir: DirId, name: &OsStr, flags: ReadFlags) -> bool {
        let writing = ReadFlags::CREATE | ReadFlags::MODIFY;
        if flags.intersects((writing | ReadFlags::ATTRIB).complement()) {
            return false;
        }
        if flags.contains(ReadFlags::CREATE) {
            // Who makes a link, a directory or a pipe will not close it.
            return probe(&self.view.tree.path(dir).join(name)).plain;
        }
        flags.contains(ReadFlags::MODIFY) || self.resting.contains(dir, name)
    }

    /// The queue was too short: one comparison of everything, and on with the hints.
    fn events_lost(&mut self) {
        self.view.tell(Finding::warning(
            "watch-overflow",
            "files changed faster than the kernel could tell us, so everything was compared once",
            "if it happens often, raise the queue: sysctl -w fs.inotify.max_queued_events=262144, then restart",
        ));
        let now = Instant::now();
        let rested = self
            .last_rescan
            .map_or(now, |(end, duration)| end + duration * SCAN_SHARE);
        self.rescan_at.get_or_insert(rested.max(now));
    }

    /// Does what is due by the clock.
    fn keep_time(&mut self) {
        let now = Instant::now();
        let due = self.resting.due(now);
        if !due.is_empty() {
            for (dir, name) in due {
                self.view.look(dir, &name, false);
            }
            self.view.walk();
        }
        if self.rescan_at.is_some_and(|at| at <= now) {
            self.rescan(false);
            self.plan_scan(Duration::ZERO);
        }
        self.scan(now);
        for spot in std::mem::take(&mut self.view.young) {
            self.resting.rest(spot);
        }
    }

    /// Compares some of the unwatched if it is time, and comes back at once for the rest.
    fn scan(&mut self, now: Instant) {
        if self.next_scan.is_none_or(|at| at > now) {
            return;
        }
        if self.scan_took.is_none() {
            self.view.begin_scan();
        }
        let more = self.view.scan_some();
        let took = self.scan_took.take().unwrap_or_default() + now.elapsed();
        if more {
            self.scan_took = Some(took);
        } else {
            self.next_scan = None;
            self.plan_scan(took);
        }
    }

    /// Sets the timer for the next comparison of the unwatched, if there is any.
    fn plan_scan(&mut self, last_took: Duration) {
        if self.next_scan.is_none() && self.view.has_unwatched() {
            self.next_scan = Some(Instant::now() + self.scan_interval.max(last_took * SCAN_SHARE));
        }
    }

    fn take_wake(&self) -> bool {
        let mut count = [0; 8];
        rustix::io::read(&*self.waker, &mut count).is_ok()
    }

    fn take_batch(&mut self, woken: bool) -> Batch {
        Batch {
            changes: last_of_each(std::mem::take(&mut self.view.changes)),
            findings: std::mem::take(&mut self.view.findings),
            woken,
        }
    }
}

/// Files that are being written: when they will have rested long enough.
#[derive(Debug)]
struct Resting {
    quiet: Duration,
    until: HashMap<Spot, Instant>,
    /// In the order of time, since all rest equally long; a time that is not in `until` is void.
    queue: VecDeque<(Instant, Spot)>,
}

impl Resting {
    fn new(quiet: Duration) -> Self {
        Self {
            quiet,
            until: HashMap::new(),
            queue: VecDeque::new(),
        }
    }

    fn contains(&self, dir: DirId, name: &OsStr) -> bool {
        !self.until.is_empty() && self.until.contains_key(&(dir, name.into()))
    }

    fn rest(&mut self, spot: Spot) {
        let until = Instant::now() + self.quiet;
        self.until.insert(spot.clone(), until);
        self.queue.push_back((until, spot));
    }

    fn act(&mut self, spot: Spot) {
        self.until.remove(&spot);
    }

    fn next(&self) -> Option<Instant> {
        self.queue.front().map(|(until, _)| *until)
    }

    fn due(&mut self, now: Instant) -> Vec<Spot> {
        let mut due = Vec::new();
        while self.next().is_some_and(|until| until <= now)
            && let Some((_, spot)) = self.queue.pop_front()
        {
            if self.until.get(&spot).is_some_and(|until| *until <= now) {
                self.until.remove(&spot);
                due.push(spot);
            }
        }
        due
    }
}

/// Whether a directory of this name may have been somewhere else while events for it were in the queue.
fn is_deep(flags: ReadFlags) -> bool {
    let moved = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
    flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF)
        || (flags.contains(ReadFlags::ISDIR) && flags.intersects(moved))
}

fn names_of(view: &View, anchor: DirId) -> Vec<Box<OsStr>> {
    let names = view.tree.get(anchor).map(|dir| dir.entries.keys().cloned());
    names.into_iter().flatten().collect()
}

fn absolute(path: &Path) -> Result<PathBuf, WatchError> {
    std::path::absolute(path).map_err(|source: io::Error| WatchError::Relative {
        path: path.to_path_buf(),
        source,
    })
}

/// Each path once, with what was found last, in the order of those last findings.
fn last_of_each(mut changes: Vec<Change>) -> Vec<Change> {
    let mut keep = vec![false; changes.len()];
    let mut seen = HashSet::with_capacity(changes.len());
    for (change, keep) in changes.iter().zip(&mut keep).rev() {
        *keep = seen.insert((change.root, change.path.as_os_str()));
    }
    drop(seen);
    let mut keep = keep.into_iter();
    changes.retain(|_| keep.next().unwrap_or(true));
    changes
}
