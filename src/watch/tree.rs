//! The memory: directories as they were last seen, with the names in them and their stamps.
//!
//! A directory is kept once per path by which it is visible. Above the roots stand *anchors*:
//! nameless directories, one for each root or set of extra files, whose names are whole absolute
//! paths. So roots, extra files and links in a tree are entries like all others.
//!
//! Invariant: `What::Dir(id)` in the entry `(d, n)` exactly if `id` is alive with parent `d` and name `n`.

use crate::watch::RootId;
use crate::watch::kernel::Wd;
use crate::watch::probe::{Identity, Stamp};
use crate::watch::trail::LinkId;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::io;
use std::path::PathBuf;

/// A directory's number in the [`Tree`]; reused after [`Tree::recycle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DirId(u32);

/// One name in one directory, as far as work to do is concerned.
pub(super) type Spot = (DirId, Box<OsStr>);

// Without per-map random keys: 100 000 small maps, filled by the operator.
pub(super) type Entries = HashMap<Box<OsStr>, Entry, BuildHasherDefault<DefaultHasher>>;

#[derive(Debug)]
pub(super) struct Dir {
    pub root: RootId,
    /// `None`: an anchor.
    pub parent: Option<DirId>,
    /// Its name in the parent, which for a child of an anchor is a path.
    pub name: Box<OsStr>,
    /// The watch on it, if there is one.
    pub wd: Option<Wd>,
    pub identity: Identity,
    /// Symbolic links on the way from the root down to here.
    pub links: u8,
    /// Whether directories below are entered; false for the anchor of single files.
    pub walk: bool,
    /// Whether `entries` is a whole listing.
    pub listed: bool,
    /// Why it cannot be listed, once that was reported.
    pub trouble: Option<io::ErrorKind>,
    pub entries: Entries,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub what: What,
    /// Present where changes may come from elsewhere than the directory itself.
    pub link: Option<LinkId>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// Nothing; only an anchor keeps such a name.
    Absent,
    File {
        stamp: Stamp,
        /// See [`crate::watch::probe::Facts::fresh`].
        fresh: bool,
    },
    Dir(DirId),
    Unreadable(io::ErrorKind),
    /// A link back to a directory on the way to it, or the last of too many nested links: not walked.
    Circle,
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    dirs: Vec<Option<Dir>>,
    free: Vec<DirId>,
    /// Freed while work was under way that may still name them.
    freed: Vec<DirId>,
}

impl Tree {
    pub(super) fn anchor(&mut self, root: RootId, walk: bool) -> DirId {
        self.insert(Dir {
            root,
            walk,
            parent: None,
            name: Box::default(),
            wd: None,
            identity: (0, 0),
            links: 0,
            listed: true,
            trouble: None,
            entries: Entries::default(),
        })
    }

    /// A new directory, not listed yet; the caller enters it in its parent.
    pub(super) fn child(&mut self, root: RootId, parent: DirId, name: &OsStr, links: u8) -> DirId {
        self.insert(Dir {
            root,
            walk: true,
            parent: Some(parent),
            name: name.into(),
            wd: None,
            identity: (0, 0),
            links,
            listed: false,
            trouble: None,
            entries: Entries::default(),
        })
    }

    fn insert(&mut self, dir: Dir) -> DirId {
        if let Some(id) = self.free.pop()
            && let Some(slot) = self.dirs.get_mut(id.0 as usize)
        {
            *slot = Some(dir);
            return id;
        }
        self.dirs.push(Some(dir));
        // A path takes at least a kernel inode each: memory ends long before the numbers do.
        DirId(u32::try_from(self.dirs.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn take(&mut self, id: DirId) -> Option<Dir> {
        let dir = self.dirs.get_mut(id.0 as usize)?.take()?;
        self.freed.push(id);
        Some(dir)
    }

    /// The work is done: nobody remembers a freed number any more.
    pub(super) fn recycle(&mut self) {
        self.free.append(&mut self.freed);
    }

    pub(super) fn get(&self, id: DirId) -> Option<&Dir> {
        self.dirs.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: DirId) -> Option<&mut Dir> {
        self.dirs.get_mut(id.0 as usize)?.as_mut()
    }

    pub(super) fn entry(&self, id: DirId, name: &OsStr) -> Option<Entry> {
        self.get(id)?.entries.get(name).copied()
    }

    /// The absolute path of a directory; empty for an anchor.
    pub(super) fn path(&self, id: DirId) -> PathBuf {
        let mut names = Vec::new();
        let mut next = Some(id);
        while let Some(dir) = next.and_then(|id| self.get(id)) {
            names.push(&dir.name);
            next = dir.parent;
        }
        let mut path = PathBuf::new();
        for name in names.into_iter().rev().filter(|name| !name.is_empty()) {
            path.push(name.as_ref());
        }
        path
    }

    /// Whether a directory above `id` is the very directory `identity`.
    pub(super) fn is_above(&self, id: DirId, identity: Identity) -> bool {
        let mut next = self.get(id).and_then(|dir| dir.parent);
        while let Some(dir) = next.and_then(|id| self.get(id)) {
            if dir.parent.is_some() && dir.identity == identity {
                return true;
            }
            next = dir.parent;
        }
        false
    }

    /// `id` and all directories below it.
    pub(super) fn subtree(&self, id: DirId) -> Vec<DirId> {
        let mut found = vec![id];
        let mut at = 0;
        while let Some(dir) = found.get(at).copied().map(|id| self.get(id)) {
            let below = dir.into_iter().flat_map(|dir| dir.entries.values());
            found.extend(below.filter_map(|entry| match entry.what {
                What::Dir(id) => Some(id),
                _ => None,
            }));
            at += 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_file_in_few_bytes() {
        // With the hash table's control byte, its load of a half to seven eighths, and 32 bytes for
        // a short name, that is about 80 to 110 bytes per file.
        assert_eq!(size_of::<Entry>(), 16);
        assert_eq!(size_of::<(Box<OsStr>, Entry)>(), 32);
    }
}
