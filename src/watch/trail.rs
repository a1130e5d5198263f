//! The way to a file: which directories decide where a root, a single file or a link leads.
//!
//! A *trail* is the list of all (directory, name) steps the kernel takes when it resolves a path,
//! symbolic links included. Each of these directories is watched; a hint about such a name makes the
//! entry at the trail's end be looked at again. A missing step ends the trail: its directory is
//! watched for the name to appear. Invariant: a directory is watched before its name is looked up,
//! so that nothing changes unseen in between.

use crate::watch::kernel::{Interest, Kernel, Refused, Wd};
use crate::watch::probe::is_hard_linked;
use crate::watch::tree::{DirId, Spot};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};

/// As the kernel's own limit (path_resolution(7)).
const MAX_JUMPS: u32 = 40;

/// An entry whose changes come over a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LinkId(NonZeroU32);

/// One step: a name in the directory that a watch is on; an empty name is the watched inode itself.
pub(super) type Step = (Wd, Box<OsStr>);

/// What one watch serves.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The directories of the tree it is on: several if links lead to one from several paths.
    pub dirs: Vec<DirId>,
    /// Names in it that trails pass through.
    pub steps: BTreeMap<Box<OsStr>, BTreeSet<LinkId>>,
}

impl Place {
    pub(super) fn is_idle(&self) -> bool {
        self.dirs.is_empty() && self.steps.is_empty()
    }
}

#[derive(Debug)]
pub(super) struct Link {
    /// The entry to look at.
    pub spot: Spot,
    pub steps: Vec<Step>,
}

/// All watches and who needs them.
#[derive(Debug, Default)]
pub(super) struct Places {
    by_wd: HashMap<Wd, Place>,
    links: HashMap<LinkId, Link>,
    last_link: u32,
    /// Watches that nobody may need any more. They are ended only when the work at hand is done: a
    /// directory that moved is given up at its old path before it is found at its new one.
    idle: Vec<Wd>,
}

/// What [`Places::follow`] found.
pub(super) struct Followed {
    pub link: LinkId,
    /// The first refusal on the way, if a step could not be watched.
    pub refused: Option<Refused>,
}

impl Places {
    pub(super) fn get(&self, wd: Wd) -> Option<&Place> {
        self.by_wd.get(&wd)
    }

    pub(super) fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.get(&id)
    }

    /// How many watches there are.
    pub(super) fn len(&self) -> usize {
        self.by_wd.len()
    }

    pub(super) fn attach(&mut self, wd: Wd, dir: DirId) {
        let place = self.by_wd.entry(wd).or_default();
        if !place.dirs.contains(&dir) {
            place.dirs.push(dir);
        }
    }

    /// Notes a watch that was added for something that is gone already.
    pub(super) fn abandon(&mut self, wd: Wd) {
        if self.by_wd.entry(wd).or_default().is_idle() {
            self.idle.push(wd);
        }
    }

    pub(super) fn detach(&mut self, wd: Wd, dir: DirId) {
        if let Some(place) = self.by_wd.get_mut(&wd) {
            place.dirs.retain(|other| *other != dir);
            if place.is_idle() {
                self.idle.push(wd);
            }
        }
    }

    /// Watches the whole way to `name` in the directory `base`, for the entry `spot`.
    pub(super) fn follow(
        &mut self,
        kernel: &Kernel,
        base: &Path,
        name: &OsStr,
        spot: Spot,
        known: Option<LinkId>,
    ) -> Followed {
        let (steps, refused) = blaze(kernel, base, name);
        let link = known.unwrap_or_else(|| self.next_link());
        for (wd, name) in &steps {
            let place = self.by_wd.entry(*wd).or_default();
            place.steps.entry(name.clone()).or_default().insert(link);
        }
        let old = self.links.insert(link, Link { spot, steps });
        for step in old.into_iter().flat_map(|old| old.steps) {
            self.leave(link, &step);
        }
        Followed { link, refused }
    }

    fn next_link(&mut self) -> LinkId {
        loop {
            self.last_link = self.last_link.wrapping_add(1);
            if let Some(number) = NonZeroU32::new(self.last_link)
                && !self.links.contains_key(&LinkId(number))
            {
                return LinkId(number);
            }
        }
    }

    /// Forgets a trail.
    pub(super) fn unfollow(&mut self, link: LinkId) {
        for step in self.links.remove(&link).into_iter().flat_map(|old| old.steps) {
            self.leave(link, &step);
        }
    }

    /// Forgets one step of a link's trail, unless its present trail has it.
    fn leave(&mut self, link: LinkId, step: &Step) {
        if self.links.get(&link).is_some_and(|link| link.steps.contains(step)) {
            return;
        }
        let Some(place) = self.by_wd.get_mut(&step.0) else {
            return;
        };
        if let Some(links) = place.steps.get_mut(&step.1) {
            links.remove(&link);
            if links.is_empty() {
                place.steps.remove(&step.1);
            }
        }
        if place.is_idle() {
            self.idle.push(step.0);
        }
    }

    /// The kernel ended a watch: what served by it.
    pub(super) fn ended(&mut self, wd: Wd) -> Option<Place> {
        self.by_wd.remove(&wd)
    }

    /// Ends the watches that nobody needs.
    pub(super) fn sweep(&mut self, kernel: &Kernel) {
        for wd in std::mem::take(&mut self.idle) {
            if self.by_wd.get(&wd).is_some_and(Place::is_idle) {
                self.by_wd.remove(&wd);
                kernel.remove(wd);
            }
        }
    }
}

/// Walks from `base` over `name` (a single name, or an absolute path if `base` is empty), watching each step.
fn blaze(kernel: &Kernel, base: &Path, name: &OsStr) -> (Vec<Step>, Option<Refused>) {
    let mut at = base.to_path_buf();
    let mut left: Vec<OsString> = Vec::new();
    push_reversed(&mut at, &mut left, Path::new(name));
    let mut steps: Vec<Step> = Vec::new();
    let mut refused = None;
    let mut jumps = 0;
    while let Some(name) = left.pop() {
        if name == ".." {
            // Kept as it is: the kernel finds the physical parent, which the text of `at` may not tell.
            at.push(name);
            continue;
        }
        let interest = if left.is_empty() {
            Interest::Content
        } else {
            Interest::Names
        };
        match kernel.add(&at, interest) {
            Ok(wd) => steps.push((wd, name.clone().into_boxed_os_str())),
            Err(reason) => refused = refused.or(Some(reason)),
        }
        let here = at.join(&name);
        let Ok(meta) = fs::symlink_metadata(&here) else {
            break;
        };
        if meta.is_symlink() {
            jumps += 1;
            match fs::read_link(&here) {
                Ok(target) if jumps <= MAX_JUMPS => push_reversed(&mut at, &mut left, &target),
                _ => break,
            }
        } else if left.is_empty() && is_hard_linked(&meta) {
            match kernel.add(&here, Interest::File) {
                Ok(wd) => steps.push((wd, Box::default())),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        } else {
            at = here;
        }
    }
    (steps, refused)
}

/// Puts the components of `path` on top of the names still to walk, and goes to the root if it is absolute.
fn push_reversed(at: &mut PathBuf, left: &mut Vec<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => left.push(name.to_os_string()),
            Component::ParentDir => left.push("..".into()),
            Component::RootDir => *at = PathBuf::from("/"),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
}
