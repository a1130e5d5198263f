//! Asking the file system about one name.

use std::fs::{self, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// A directory's device and inode.
pub(super) type Identity = (u64, u64);

/// A digest of device, inode, size, mtime and ctime: equal stamps mean the same content.
///
/// 64 bits, keyed per process: a difference is overlooked once in 2^64. Bytes and not a number, so
/// that it costs no padding where millions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([u8; 8]);

/// What is known of a file by looking at it from outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub stamp: Stamp,
    /// The stamp was taken within the clock's tick of the last change: a further change may not show.
    pub fresh: bool,
    /// Time since the last write, zero if it lies in the future.
    pub age: Duration,
    pub size: u64,
    pub mode: u32,
}

/// What is at a path, links followed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    Absent,
    Unreadable(io::ErrorKind),
    File(Facts),
    /// Without its identity where only its parent was listed.
    Directory(Option<Identity>),
}

/// The answer about one name.
pub(super) struct Probe {
    pub seen: Seen,
    /// A symbolic link.
    pub link: bool,
    /// Not only its own directory tells of its changes: it is a link or has hard links.
    pub winding: bool,
    /// A regular file with one name: a writer may be at it who will close it.
    pub plain: bool,
    /// The device it is on, links followed.
    pub device: Option<u64>,
}

/// Looks at `path`.
pub(super) fn probe(path: &Path) -> Probe {
    let own = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) => {
            return Probe {
                seen: absent_or_unreadable(&error),
                link: false,
                winding: false,
                plain: false,
                device: None,
            };
        }
    };
    let link = own.is_symlink();
    let (seen, device) = if link {
        match fs::metadata(path) {
            Ok(target) => (seen(&target, Some(&own)), Some(target.dev())),
            Err(error) => (Seen::Unreadable(why_not(&error)), None),
        }
    } else {
        (seen(&own, None), Some(own.dev()))
    };
    Probe {
        seen,
        link,
        winding: link || is_hard_linked(&own),
        plain: own.is_file() && own.nlink() == 1,
        device,
    }
}

/// Why a link cannot be followed. Its name is there, so that it is not absent; all the ways to lead
/// nowhere are `NotFound`.
fn why_not(error: &io::Error) -> io::ErrorKind {
    match error.raw_os_error() {
        Some(libc::ENOTDIR | libc::ELOOP) => io::ErrorKind::NotFound,
        _ => error.kind(),
    }
}

/// A regular file with several names.
pub(super) fn is_hard_linked(meta: &Metadata) -> bool {
    meta.is_file() && meta.nlink() > 1
}

/// What `meta` says, found through the link `via`.
pub(super) fn seen(meta: &Metadata, via: Option<&Metadata>) -> Seen {
    if meta.is_dir() {
        Seen::Directory(Some(identity(meta)))
    } else {
        Seen::File(facts(meta, via))
    }
}

pub(super) fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}

pub(super) fn absent_or_unreadable(error: &io::Error) -> Seen {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Seen::Absent,
        kind => Seen::Unreadable(kind),
    }
}

fn facts(meta: &Metadata, via: Option<&Metadata>) -> Facts {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
    let digest = KEY.hash_one((identity(meta), meta.size(), times));
    Facts {
        stamp: Stamp(digest.to_ne_bytes()),
        fresh: is_fresh(meta) || via.is_some_and(is_fresh),
        age: meta
            .modified()
            .ok()
            .and_then(|time| time.elapsed().ok())
            .unwrap_or_default(),
        size: meta.size(),
        mode: meta.mode(),
    }
}

/// Whether a change right now could get the very ctime that `meta` has.
///
/// The kernel stamps with the time of its last tick, 10 ms apart at most; some file systems round
/// to whole seconds or two. A ctime further ahead than a tick is another machine's clock: no use waiting for it.
fn is_fresh(meta: &Metadata) -> bool {
    let whole_seconds = meta.ctime_nsec() == 0 && meta.mtime_nsec() == 0;
    let window = Duration::from_millis(if whole_seconds { 2_000 } else { 20 });
    let nanos = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| time.as_nanos().cast_signed());
    (now - nanos).unsigned_abs() < window.as_nanos()
}
