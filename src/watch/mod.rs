//! Watching files: what changed below a few roots, at once, cheaply and without losing anything.
//!
//! The kernel's events (inotify(7)) are only *hints* that something happened to a name in a
//! directory. Truth is what stat(2) says of that name afterwards, compared with what was known.
//! So an event that comes twice, late, or merged with others does no harm, and one that was lost
//! costs a walk and no change. The promises:
//!
//! - **Whole.** After the first [`Batch`], which lists everything, each difference between what was
//!   reported and what is on disk is reported. A change may be reported twice, never not at all:
//!   a timestamp that is younger than the clock's tick proves nothing and counts as a change.
//! - **At once.** A rename, a closed file, a removal, a new mode or owner acts when it happens. A
//!   file that is written and kept open acts after [`Options::quiet`] without a further write.
//! - **Never a foreign file.** A directory is walked through symbolic links, but not in circles.
//!   Links are followed to where they lead: each directory on the way is watched, so that a target
//!   rewritten in place, or a link swapped half-way (`..data` of Kubernetes), is seen.
//! - **Cheap.** One hint costs one stat, whatever the size of the directory. About 100 bytes per file
//!   and 500 per directory are kept: names and a digest of each stamp, no whole paths.
//! - **Degrades in steps.** Directories that cannot be watched (limit reached, no inotify, a network
//!   file system where other machines write) are compared every [`Options::scan_interval`], or every
//!   ten times the comparison's own duration if that is more. One warning tells so, with its cure.
//!
//! What it refuses: to read contents (the consumer does, with [`read_file`]), to judge names (see
//! [`is_litter`]), and two things that inotify is silent about and only [`Watcher::rescan`] sees: a
//! file system mounted over a watched directory, and a write through a hard link that was made in
//! another directory after we had looked.
//!
//! | file | what lives there |
//! |---|---|
//! | `watcher` | the front: waiting, timers, scanning, batches |
//! | `view` | what is known, compared with what is found |
//! | `walk` | listing directories, with all cores if there are many |
//! | `trail` | where symbolic links, roots and single files lead, and who cares about which name |
//! | `tree` | the memory: directories, names and stamps |
//! | `probe` | asking the file system about one name |
//! | `kernel` | inotify and poll |

mod kernel;
mod litter;
mod probe;
mod read;
mod trail;
mod tree;
mod view;
mod walk;
mod watcher;

pub use litter::is_litter;
pub use read::{read_file, read_no_link};
pub use watcher::{Waker, Watcher};

use crate::finding::Finding;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The caller's own number for a root or for a set of extra files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootId(pub u32);

/// A directory tree or a single file to watch. It need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Comes back in every [`Change`].
    pub id: RootId,
    /// Absolute, or relative to the current directory.
    pub path: PathBuf,
    /// Whether a directory at `path` is walked; if not, a directory there is an unreadable file.
    pub walk: bool,
}

impl Root {
    /// Everything below `path`.
    pub fn directory(id: RootId, path: impl Into<PathBuf>) -> Self {
        Self {
            id,
            path: path.into(),
            walk: true,
        }
    }

    /// The one file at `path`.
    pub fn file(id: RootId, path: impl Into<PathBuf>) -> Self {
        Self {
            id,
            path: path.into(),
            walk: false,
        }
    }
}

/// How to watch; the default is right for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long a file that is kept open must rest after a write before it counts. Default 250 ms.
    pub quiet: Duration,
    /// The shortest time between two comparisons of what cannot be watched. Default 2 s.
    pub scan_interval: Duration,
    /// Watch at most this many directories and compare the rest. Default: as many as the kernel lets us.
    pub max_watches: Option<usize>,
    /// Whether to use inotify at all. Default true.
    pub inotify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(250),
            scan_interval: Duration::from_secs(2),
            max_watches: None,
            inotify: true,
        }
    }
}

/// One path that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose file it is.
    pub root: RootId,
    /// The path as the root's owner would write it: the root's absolute path and the way down from
    /// there, links not resolved.
    pub path: PathBuf,
    /// What is there now.
    pub kind: Kind,
}

/// What is at a path now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something that is no directory, new or not as it was: read it. Usually a regular file;
    /// [`read_file`] refuses the others.
    Present {
        /// Bytes.
        size: u64,
        /// The mode of stat(2), of the target if it is a link.
        mode: u32,
    },
    /// Nothing, or nothing any more.
    Gone,
    /// There is something, but it cannot be known: its last good content should stay in use.
    /// `NotFound` is a link that leads nowhere, or in a circle. The path may be a directory that cannot be listed;
    /// when it can again, `Gone` is reported for the directory's own path.
    Unreadable(io::ErrorKind),
}

/// What [`Watcher::next`] found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The changes, each path once.
    pub changes: Vec<Change>,
    /// What the operator should know about the watching itself; each code at most once per watcher.
    pub findings: Vec<Finding>,
    /// Whether a [`Waker`] ended the wait.
    pub woken: bool,
}

/// Why watching cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A relative path, and no current directory to resolve it in.
    #[error("{path} cannot be made absolute ({source}); write the whole path, from /", path = path.display())]
    Relative {
        /// The path as given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The same id for two roots.
    #[error("two roots have the id {0:?}")]
    Twice(RootId),
    /// No file descriptor left.
    #[error("cannot create an event descriptor ({0}); raise the limit of open files (ulimit -n)")]
    Descriptor(#[source] io::Error),
}
