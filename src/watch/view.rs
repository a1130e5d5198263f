//! What is known, compared with what is found: the heart of the watching.
//!
//! [`View::look`] settles one name, [`View::walk`] the directories that were found to need listing.
//! Both only ever compare the memory with the file system and report the difference; why somebody
//! asked (a hint, a timer, an operator) makes no difference to the outcome. No clock and no waiting here.

use crate::finding::Finding;
use crate::watch::kernel::{Kernel, Refused, Wd};
use crate::watch::probe::{Facts, Seen, probe};
use crate::watch::trail::{LinkId, Places};
use crate::watch::tree::{DirId, Entry, Spot, Tree, What};
use crate::watch::{Change, Kind, Options, RootId};
use rustix::fs::Access;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Links to directories within links to directories: more are taken for a maze. Our choice; without
/// it ten directories that link to each other would be visible at a million paths.
const MAX_NESTED_LINKS: u8 = 4;

/// So many directories and links are compared before the hints are looked at again: about 1 ms.
const SCAN_ROUND: usize = 16;

#[derive(Debug)]
pub(super) struct View {
    pub kernel: Kernel,
    pub tree: Tree,
    pub places: Places,
    /// Differences not handed out yet.
    pub changes: Vec<Change>,
    pub findings: Vec<Finding>,
    /// Codes of findings handed out: each is told once.
    told: BTreeSet<&'static str>,
    /// Directories to list, and whether all below them too.
    pub todo: BTreeMap<DirId, bool>,
    /// What no hint will tell of: to be compared from time to time.
    pub scanned_dirs: BTreeSet<DirId>,
    pub scanned_links: BTreeSet<LinkId>,
    /// What the comparison under way has not reached yet.
    scanning: Option<(Vec<DirId>, Vec<LinkId>)>,
    /// Files found young in a directory without a watch: somebody may be writing them.
    pub young: Vec<Spot>,
    /// Whether a device is a network file system.
    devices: HashMap<u64, bool>,
    /// Report all files, changed or not.
    pub force: bool,
    /// A watch was refused because the limit is reached.
    pub full: bool,
    pub quiet: Duration,
}

impl View {
    pub(super) fn new(options: &Options) -> Self {
        let (kernel, finding) = Kernel::new(options);
        let mut view = Self {
            kernel,
            tree: Tree::default(),
            places: Places::default(),
            changes: Vec::new(),
            findings: Vec::new(),
            told: BTreeSet::new(),
            todo: BTreeMap::new(),
            scanned_dirs: BTreeSet::new(),
            scanned_links: BTreeSet::new(),
            scanning: None,
            young: Vec::new(),
            devices: HashMap::new(),
            force: false,
            full: false,
            quiet: options.quiet,
        };
        finding.into_iter().for_each(|finding| view.tell(finding));
        view
    }

    /// Tells the operator, unless he was told before.
    pub(super) fn tell(&mut self, finding: Finding) {
        if self.told.insert(finding.code) {
            self.findings.push(finding);
        }
    }

    /// Compares one name with what is known of it. `deep`: if it is a directory, everything below
    /// it must be listed again, because it may have been elsewhere meanwhile.
    pub(super) fn look(&mut self, dir: DirId, name: &OsStr, deep: bool) {
        let Some(parent) = self.tree.get(dir) else {
            return;
        };
        let (anchored, walk, root) = (parent.parent.is_none(), parent.walk, parent.root);
        let base = self.tree.path(dir);
        let at = base.join(name);
        let known = self.tree.entry(dir, name).and_then(|entry| entry.link);
        let mut found = probe(&at);
        let mut link = None;
        if anchored || found.winding {
            link = Some(self.follow(&base, dir, name, known));
            // Only now that the whole way is watched does looking prove anything.
            found = probe(&at);
        } else if let Some(known) = known {
            self.unfollow(known);
        }
        if let (Some(link), Some(device)) = (link, found.device)
            && self.is_remote(device, &at)
        {
            self.scanned_links.insert(link);
        }
        let seen = match found.seen {
            Seen::Directory(_) if !walk => Seen::Unreadable(io::ErrorKind::IsADirectory),
            seen => seen,
        };
        if let Some(kind) = self.settle(dir, name, seen, link, found.link, deep) {
            self.report(root, at, kind);
        }
    }

    /// The mode or owner of a directory changed. That matters below it if it closed or opened it, but
    /// not if it was touched, as copying tools do to each directory.
    pub(super) fn look_at_access(&mut self, dir: DirId, name: &OsStr) {
        let Some(What::Dir(id)) = self.tree.entry(dir, name).map(|entry| entry.what) else {
            return;
        };
        let needed = Access::READ_OK | Access::EXEC_OK;
        let open = rustix::fs::access(self.tree.path(id), needed).is_ok();
        let all_known = self.tree.get(id).is_some_and(|dir| {
            let mut entries = dir.entries.values();
            dir.trouble.is_none() && !entries.any(|entry| matches!(entry.what, What::Unreadable(_)))
        });
        if !(open && all_known) {
            self.todo.insert(id, true);
        }
    }

    /// A name was created. If it is a hard link, then its twin, of which the kernel tells nothing, can
    /// from now on be written through it; most twins are neighbours.
    pub(super) fn look_at_twins(&mut self, dir: DirId, name: &OsStr) {
        let linked = matches!(
            self.tree.entry(dir, name),
            Some(Entry {
                what: What::File { .. },
                link: Some(_)
            })
        );
        if linked && self.tree.get(dir).is_some_and(|dir| dir.parent.is_some()) {
            self.todo.entry(dir).or_insert(false);
        }
    }

    fn follow(&mut self, base: &Path, dir: DirId, name: &OsStr, known: Option<LinkId>) -> LinkId {
        let followed = self.places.follow(&self.kernel, base, name, (dir, name.into()), known);
        match followed.refused {
            Some(Refused::Full | Refused::Blind) => self.scanned_links.insert(followed.link),
            Some(Refused::Missing) | None => self.scanned_links.remove(&followed.link),
        };
        self.full |= followed.refused == Some(Refused::Full);
        followed.link
    }

    fn unfollow(&mut self, link: LinkId) {
        self.scanned_links.remove(&link);
        self.places.unfollow(link);
    }

    /// Makes `seen` the known state of one name; what is to be reported about that very name.
    pub(super) fn settle(
        &mut self,
        dir: DirId,
        name: &OsStr,
        seen: Seen,
        link: Option<LinkId>,
        via_link: bool,
        deep: bool,
    ) -> Option<Kind> {
        let old = self.tree.entry(dir, name).map(|entry| entry.what);
        let (what, kind) = match seen {
            Seen::Absent => return self.settle_absent(dir, name, old, link),
            Seen::Unreadable(kind) => self.settle_unreadable(old, kind),
            Seen::File(facts) => self.settle_file(old, &facts),
            Seen::Directory(identity) => match old {
                Some(what @ What::Dir(id)) => {
                    let known = self.tree.get(id);
                    let other = known.is_none_or(|known| {
                        !known.listed || identity.is_some_and(|identity| identity != known.identity)
                    });
                    if deep || other {
                        self.todo.insert(id, true);
                    }
                    (what, None)
                }
                _ => (self.enter(dir, name, via_link)?, gone_if_reported(old)),
            },
        };
        let entries = &mut self.tree.get_mut(dir)?.entries;
        match entries.get_mut(name) {
            Some(entry) => *entry = Entry { what, link },
            None => {
                entries.insert(name.into(), Entry { what, link });
            }
        }
        kind
    }

    fn settle_absent(&mut self, dir: DirId, name: &OsStr, old: Option<What>, link: Option<LinkId>) -> Option<Kind> {
        if let Some(What::Dir(id)) = old {
            self.drop_below(id);
        }
        let parent = self.tree.get_mut(dir)?;
        if parent.parent.is_none() {
            // An anchor waits for its names.
            let what = What::Absent;
            parent.entries.insert(name.into(), Entry { what, link });
        } else if let Some(Entry { link: Some(link), .. }) = parent.entries.remove(name) {
            self.unfollow(link);
        }
        gone_if_reported(old)
    }

    fn settle_unreadable(&mut self, old: Option<What>, kind: io::ErrorKind) -> (What, Option<Kind>) {
        match old {
            // A link that leads nowhere now has nothing below; anything else may come back as it was.
            Some(What::Dir(id)) if kind != io::ErrorKind::NotFound => {
                self.darken(id, kind);
                return (What::Dir(id), None);
            }
            Some(What::Dir(id)) => self.drop_below(id),
            Some(What::Unreadable(old)) if old == kind && !self.force => return (What::Unreadable(kind), None),
            _ => {}
        }
        (What::Unreadable(kind), Some(Kind::Unreadable(kind)))
    }

    fn settle_file(&mut self, old: Option<What>, facts: &Facts) -> (What, Option<Kind>) {
        let what = What::File {
            stamp: facts.stamp,
            fresh: facts.fresh,
        };
        match old {
            Some(What::File { stamp, fresh: false }) if stamp == facts.stamp && !self.force => return (what, None),
            Some(What::Dir(id)) => self.drop_below(id),
            _ => {}
        }
        let (size, mode) = (facts.size, facts.mode);
        (what, Some(Kind::Present { size, mode }))
    }

    /// A directory at a name where there was none: to be listed.
    fn enter(&mut self, dir: DirId, name: &OsStr, via_link: bool) -> Option<What> {
        let parent = self.tree.get(dir)?;
        let links = parent.links + u8::from(via_link);
        if links > MAX_NESTED_LINKS {
            return Some(What::Circle);
        }
        let id = self.tree.child(parent.root, dir, name, links);
        self.todo.insert(id, true);
        Some(What::Dir(id))
    }

    /// Reports all below `id` as gone and forgets it; its entry is the caller's.
    pub(super) fn drop_below(&mut self, id: DirId) {
        let subtree = self.tree.subtree(id);
        let paths: Vec<PathBuf> = subtree.iter().map(|id| self.tree.path(*id)).collect();
        for (id, path) in subtree.into_iter().zip(paths) {
            self.todo.remove(&id);
            self.scanned_dirs.remove(&id);
            let Some(dir) = self.tree.take(id) else {
                continue;
            };
            if let Some(wd) = dir.wd {
                self.places.detach(wd, id);
            }
            for (name, entry) in &dir.entries {
                if let Some(link) = entry.link {
                    self.unfollow(link);
                }
                if let Some(kind) = gone_if_reported(Some(entry.what)) {
                    self.report(dir.root, path.join(&**name), kind);
                }
            }
            if dir.trouble.is_some() {
                self.report(dir.root, path, Kind::Gone);
            }
        }
    }

    /// A directory that is there but out of reach: so are its files, which are not gone for that.
    fn darken(&mut self, id: DirId, kind: io::ErrorKind) {
        for id in self.tree.subtree(id) {
            let path = self.tree.path(id);
            let Some(dir) = self.tree.get_mut(id) else {
                continue;
            };
            dir.listed = false;
            for (name, entry) in &mut dir.entries {
                if matches!(entry.what, What::File { .. }) {
                    entry.what = What::Unreadable(kind);
                    self.changes.push(Change {
                        root: dir.root,
                        path: path.join(&**name),
                        kind: Kind::Unreadable(kind),
                    });
                }
            }
        }
        self.trouble(id, kind);
    }

    /// Reports once that a directory cannot be listed.
    pub(super) fn trouble(&mut self, id: DirId, kind: io::ErrorKind) {
        let path = self.tree.path(id);
        let Some(dir) = self.tree.get_mut(id) else {
            return;
        };
        dir.listed = false;
        if dir.trouble.replace(kind) != Some(kind) {
            let root = dir.root;
            self.report(root, path, Kind::Unreadable(kind));
        }
    }

    pub(super) fn report(&mut self, root: RootId, path: PathBuf, kind: Kind) {
        self.changes.push(Change { root, path, kind });
    }

    /// Whether other machines can change files on this device without our kernel knowing.
    pub(super) fn is_remote(&mut self, device: u64, path: &Path) -> bool {
        if let Some(remote) = self.devices.get(&device) {
            return *remote;
        }
        let Ok(fs) = rustix::fs::statfs(path) else {
            return false;
        };
        // The low 32 bits: the field is signed on some machines. Numbers: statfs(2), linux/magic.h.
        let remote = matches!(
            fs.f_type.cast_unsigned() & 0xffff_ffff,
            0x6969              // NFS
            | 0xff53_4d42       // CIFS
            | 0xfe53_4d42       // SMB2
            | 0x517b            // SMB
            | 0x00c3_6400       // Ceph
            | 0x0102_1997       // 9P
            | 0x6573_5546       // FUSE: sshfs, GlusterFS, virtiofs
            | 0x0bd0_0bd0       // Lustre
            | 0x7461_636f       // OCFS2
            | 0x0116_1970       // GFS2
            | 0x5346_414f // AFS
        );
        self.devices.insert(device, remote);
        if remote {
            self.tell(Finding::note(
                "watch-remote",
                format!(
                    "{} is on a network file system: what other machines change there is seen within seconds, not at once",
                    path.display()
                ),
            ));
        }
        remote
    }

    /// The entries that a hint about `name` in a watched directory concerns.
    pub(super) fn concerned(&self, wd: Wd, name: &OsStr) -> Vec<Spot> {
        let Some(place) = self.places.get(wd) else {
            return Vec::new();
        };
        let in_tree = place.dirs.iter().filter_map(|id| {
            if name.is_empty() {
                self.spot_of(*id)
            } else {
                Some((*id, name.into()))
            }
        });
        let links = place.steps.get(name).into_iter().flatten();
        in_tree
            .chain(links.filter_map(|link| self.spot_of_link(*link)))
            .collect()
    }

    /// The kernel ended a watch: the entries that had it.
    pub(super) fn watch_ended(&mut self, wd: Wd) -> Vec<Spot> {
        self.kernel.forget(wd);
        let Some(place) = self.places.ended(wd) else {
            return Vec::new();
        };
        let mut spots = Vec::new();
        for id in place.dirs {
            if let Some(dir) = self.tree.get_mut(id).filter(|dir| dir.wd == Some(wd)) {
                dir.wd = None;
                spots.extend(self.spot_of(id));
            }
        }
        let links = place.steps.values().flatten();
        spots.extend(links.filter_map(|link| self.spot_of_link(*link)));
        spots
    }

    fn spot_of(&self, id: DirId) -> Option<Spot> {
        let dir = self.tree.get(id)?;
        Some((dir.parent?, dir.name.clone()))
    }

    fn spot_of_link(&self, link: LinkId) -> Option<Spot> {
        self.places.link(link).map(|link| link.spot.clone())
    }

    /// Stops to care about one name of an anchor.
    pub(super) fn drop_name(&mut self, anchor: DirId, name: &OsStr) {
        let entry = self.tree.get_mut(anchor).and_then(|dir| dir.entries.remove(name));
        if let Some(link) = entry.and_then(|entry| entry.link) {
            self.unfollow(link);
        }
    }

    /// Whether there is something that no hint will tell of.
    pub(super) fn has_unwatched(&self) -> bool {
        !self.scanned_dirs.is_empty() || !self.scanned_links.is_empty()
    }

    /// Begins to compare what no hint will tell of.
    pub(super) fn begin_scan(&mut self) {
        self.scanning = Some((
            self.scanned_dirs.iter().copied().collect(),
            self.scanned_links.iter().copied().collect(),
        ));
    }

    /// Compares a little of it, so that hints about the rest need not wait; whether more is left.
    pub(super) fn scan_some(&mut self) -> bool {
        let Some((mut dirs, mut links)) = self.scanning.take() else {
            return false;
        };
        for link in links.split_off(links.len().saturating_sub(SCAN_ROUND)) {
            if let Some((dir, name)) = self.spot_of_link(link) {
                self.look(dir, &name, false);
            }
        }
        for id in dirs.split_off(dirs.len().saturating_sub(SCAN_ROUND)) {
            self.todo.entry(id).or_insert(false);
        }
        self.walk();
        let more = !dirs.is_empty() || !links.is_empty();
        self.scanning = more.then_some((dirs, links));
        more
    }

    /// The work at hand is done: ends idle watches and tells of an exhausted limit.
    pub(super) fn finish(&mut self) {
        self.places.sweep(&self.kernel);
        self.tree.recycle();
        if !std::mem::take(&mut self.full) || self.told.contains("watch-limit") {
            return;
        }
        let (watched, scanned) = (self.places.len(), self.scanned_dirs.len() + self.scanned_links.len());
        let enough = (2 * (watched + scanned)).next_power_of_two().max(524_288);
        self.tell(Finding::warning(
            "watch-limit",
            format!(
                "the kernel lets us watch only {watched} directories, so {scanned} more are compared every few seconds \
                 instead"
            ),
            format!(
                "raise the limit: sysctl -w fs.inotify.max_user_watches={enough}, and the same line in \
                 /etc/sysctl.d/90-signpost.conf; it takes effect without a restart"
            ),
        ));
    }
}

/// `Gone`, if the name was reported to be there.
fn gone_if_reported(old: Option<What>) -> Option<Kind> {
    match old {
        Some(What::File { .. } | What::Unreadable(_)) => Some(Kind::Gone),
        Some(What::Absent | What::Dir(_) | What::Circle) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_an_equal_stamp_for_no_change_only_if_it_had_aged() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let Seen::File(facts) = probe(file.path()).seen else {
            panic!("a file is a file");
        };
        let mut view = View::new(&Options::default());
        let stamp = facts.stamp;
        let (_, kind) = view.settle_file(Some(What::File { stamp, fresh: false }), &facts);
        assert_eq!(kind, None);
        let (_, kind) = view.settle_file(Some(What::File { stamp, fresh: true }), &facts);
        assert!(matches!(kind, Some(Kind::Present { size: 0, .. })));
        assert!(facts.fresh, "it was made just now");
    }
}
