//! inotify(7) and poll(2): adding watches, reading hints, waiting.
//!
//! Owns nothing but the descriptor. A watch is added with IN_MASK_ADD always, so that one directory
//! can serve as part of a tree and as a step on a link's way without one use narrowing the other.

use crate::finding::Finding;
use crate::watch::Options;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A watch descriptor. The kernel counts upwards and does not reuse one within 2^31 watches.
pub(super) type Wd = i32;

/// At most this many bytes of events are read before they are acted upon.
const DRAIN_LIMIT: usize = 4 << 20;

/// What to watch at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    /// A directory in which names come, go and change.
    Content,
    /// A directory on the way to somewhere: only names that come, go or change their mode.
    Names,
    /// A file that has further names elsewhere (hard links), written through any of them.
    File,
}

/// Why a watch was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The limit of watches is reached.
    Full,
    /// No inotify, no right to read the directory, no memory: it must be scanned.
    Blind,
    /// There is no such directory (any more).
    Missing,
}

/// One event as the kernel tells it.
pub(super) struct Hint<'a> {
    pub wd: Wd,
    pub flags: ReadFlags,
    /// The name in the directory; empty for the watched inode itself.
    pub name: &'a OsStr,
}

#[derive(Debug)]
pub(super) struct Kernel {
    inotify: Option<OwnedFd>,
    limit: Option<Mutex<Limit>>,
}

/// A limit of our own on top of the kernel's.
#[derive(Debug)]
struct Limit {
    max: usize,
    live: HashSet<Wd>,
}

impl Kernel {
    /// Opens inotify; without it everything is refused as [`Refused::Blind`] and a finding says why.
    pub(super) fn new(options: &Options) -> (Self, Option<Finding>) {
        let limit = options.max_watches.map(|max| {
            Mutex::new(Limit {
                max,
                live: HashSet::new(),
            })
        });
        if !options.inotify {
            return (Self { inotify: None, limit }, None);
        }
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(fd) => (
                Self {
                    inotify: Some(fd),
                    limit,
                },
                None,
            ),
            Err(errno) => (Self { inotify: None, limit }, Some(unavailable(errno))),
        }
    }

    /// Watches what is at `path` now. The same inode gives the same descriptor.
    pub(super) fn add(&self, path: &Path, interest: Interest) -> Result<Wd, Refused> {
        let Some(fd) = &self.inotify else {
            return Err(Refused::Blind);
        };
        match inotify::add_watch(fd, path, mask(interest)) {
            Ok(wd) if self.within_limit(wd) => Ok(wd),
            Ok(wd) => {
                let _ = inotify::remove_watch(fd, wd);
                Err(Refused::Full)
            }
            Err(Errno::NOSPC) => Err(Refused::Full),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(Refused::Missing),
            Err(_) => Err(Refused::Blind),
        }
    }

    /// Ends a watch; one that the kernel ended itself is no error.
    pub(super) fn remove(&self, wd: Wd) {
        if let Some(fd) = &self.inotify {
            let _ = inotify::remove_watch(fd, wd);
        }
        self.forget(wd);
    }

    /// Notes that the kernel ended a watch.
    pub(super) fn forget(&self, wd: Wd) {
        if let Some(limit) = &self.limit {
            limit.lock().unwrap_or_else(PoisonError::into_inner).live.remove(&wd);
        }
    }

    fn within_limit(&self, wd: Wd) -> bool {
        let Some(limit) = &self.limit else {
            return true;
        };
        let mut limit = limit.lock().unwrap_or_else(PoisonError::into_inner);
        if limit.live.contains(&wd) {
            return true;
        }
        limit.live.len() < limit.max && limit.live.insert(wd)
    }

    /// Hands all events that are ready to `sink`, without waiting.
    pub(super) fn drain(&self, mut sink: impl FnMut(Hint<'_>)) {
        let Some(fd) = &self.inotify else {
            return;
        };
        let mut buffer = [MaybeUninit::uninit(); 64 << 10];
        let mut reader = Reader::new(fd, &mut buffer);
        let mut bytes = 0;
        while bytes < DRAIN_LIMIT || !reader.is_buffer_empty() {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map_or(&[][..], |name| name.to_bytes());
                    bytes += 16 + name.len();
                    sink(Hint {
                        wd: event.wd(),
                        flags: event.events(),
                        name: OsStr::from_bytes(name),
                    });
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Waits for an event, for `waker` to become readable, or for the end of `timeout`.
    pub(super) fn wait(&self, waker: &OwnedFd, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.and_then(|duration| Timespec::try_from(duration).ok());
        let mut fds = [
            PollFd::new(waker, PollFlags::IN),
            // Without inotify the waker stands in twice: poll(2) minds nothing.
            PollFd::new(self.inotify.as_ref().unwrap_or(waker), PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn mask(interest: Interest) -> WatchFlags {
    let names = WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ATTRIB
        | WatchFlags::ONLYDIR
        | WatchFlags::MASK_ADD;
    let writes = WatchFlags::CLOSE_WRITE | WatchFlags::MODIFY;
    match interest {
        Interest::Names => names,
        Interest::Content => {
            // EXCL_UNLINK: what happens to a file after its name is gone is nobody's concern here.
            names | writes | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::EXCL_UNLINK
        }
        Interest::File => writes | WatchFlags::ATTRIB | WatchFlags::MASK_ADD,
    }
}

fn unavailable(errno: Errno) -> Finding {
    let cure = match errno {
        // EMFILE is the limit of instances per user as well as of descriptors per process (inotify_init(2)).
        Errno::MFILE => {
            "raise it: sysctl -w fs.inotify.max_user_instances=1024, and the limit of open files (LimitNOFILE=)"
        }
        Errno::NOSYS => "use a kernel with inotify, or live with scanning",
        _ => "see inotify_init(2), then restart",
    };
    Finding::warning(
        "watch-unavailable",
        format!("inotify is not available ({errno}), so files are compared every few seconds instead"),
        cure,
    )
}
