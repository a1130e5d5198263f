//! A machine as its files show it: this one, or another whose root is a directory here.
//!
//! Every path that goes in and comes out is the machine's own, such as `/etc/opendkim.conf`; symbolic
//! links are followed within its root, as the machine itself would. Only [`Machine::here`] makes a path
//! of this system of it, for messages and for what opens a file.

use crate::config::find;
use crate::watch;
use rustix::fs::{FileType, Mode};
use std::io;
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// No file that is looked at is larger.
const MAX_OCTETS: u64 = 16 << 20;
/// As many symbolic links the kernel follows.
const MAX_LINKS: usize = 40;

/// A machine, by its root.
#[derive(Debug, Clone)]
pub struct Machine {
    root: PathBuf,
}

/// What stat(2) says of a node, as far as access goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: FileType,
    /// The permission bits, no type.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Machine {
    /// The machine whose root is `root`; `/` is this one.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            root: root.canonicalize().unwrap_or(root),
        }
    }

    /// Is it the machine that this runs on? Of another nothing can be asked but its files.
    pub fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Signpost's configuration of another machine; on this one it is looked for.
    pub fn installed_config(&self) -> Option<PathBuf> {
        (!self.is_this()).then(|| self.here(Path::new(find::CANDIDATES[1])))
    }

    /// Where `path` of the machine is found from here.
    pub fn here(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("/") {
            Ok(below) if !self.is_this() => self.root.join(below),
            _ => path.to_owned(),
        }
    }

    /// The machine's own name of a path that is below its root.
    pub(super) fn own(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(below) => Path::new("/").join(below),
            Err(_) => path.to_owned(),
        }
    }

    /// `path` without symbolic links, `.` and `..`. What is not there ends as it is written.
    pub(super) fn real(&self, path: &Path) -> io::Result<PathBuf> {
        let mut links = 0;
        self.real_from(PathBuf::from("/"), path, &mut links)
    }

    fn real_from(&self, mut real: PathBuf, path: &Path, links: &mut usize) -> io::Result<PathBuf> {
        for part in path.components() {
            match part {
                Component::RootDir | Component::Prefix(_) => real = PathBuf::from("/"),
                Component::CurDir => {}
                Component::ParentDir => _ = real.pop(),
                Component::Normal(name) => {
                    let next = real.join(name);
                    match std::fs::read_link(self.here(&next)) {
                        Ok(target) => {
                            *links += 1;
                            if *links > MAX_LINKS {
                                return Err(io::ErrorKind::InvalidInput.into());
                            }
                            real = self.real_from(real, &target, links)?;
                        }
                        Err(_) => real = next,
                    }
                }
            }
        }
        Ok(real)
    }

    /// The content of a file.
    pub(super) fn read(&self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        watch::read_file(&self.here(&self.real(path)?), MAX_OCTETS)
    }

    /// The content of a text file, whatever its encoding; `None` if it cannot be read.
    pub(super) fn text(&self, path: &Path) -> Option<String> {
        let content = self.read(path).ok()?;
        Some(String::from_utf8_lossy(&content).into_owned())
    }

    /// Is there anything at `path`?
    pub(super) fn has(&self, path: &Path) -> bool {
        self.node(path).is_ok()
    }

    /// What is at `path`, links followed.
    pub(super) fn node(&self, path: &Path) -> io::Result<Node> {
        let stat = rustix::fs::lstat(self.here(&self.real(path)?))?;
        Ok(Node {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: Mode::from_raw_mode(stat.st_mode).bits() & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
        })
    }

    /// The files right below a directory whose names end in `suffix`, by name; none if there is no directory.
    pub(super) fn files_in(&self, directory: &Path, suffix: &str) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self
            .entries(directory)
            .into_iter()
            .filter(|path| path.to_string_lossy().ends_with(suffix))
            .collect();
        files.sort();
        files
    }

    /// Everything right below a directory.
    pub(super) fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        let Ok(real) = self.real(directory) else {
            return vec![];
        };
        let entries = std::fs::read_dir(self.here(&real)).into_iter().flatten().flatten();
        entries.map(|entry| directory.join(entry.file_name())).collect()
    }
}

/// `path` and all above it, the root first.
pub(super) fn steps(path: &Path) -> Vec<&Path> {
    let mut steps: Vec<&Path> = path.ancestors().collect();
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_within_the_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/real")).unwrap();
        std::fs::write(root.path().join("etc/real/file"), "content").unwrap();
        symlink("/etc/real", root.path().join("etc/absolute")).unwrap();
        symlink("../../../../etc/real", root.path().join("etc/upwards")).unwrap();
        symlink("around", root.path().join("etc/around")).unwrap();
        let machine = Machine::at(root.path());
        for path in ["/etc/absolute/file", "/etc/upwards/file", "/etc/./real/../real/file"] {
            let path = Path::new(path);
            assert_eq!(machine.real(path).unwrap(), Path::new("/etc/real/file"));
            assert_eq!(machine.text(path).as_deref(), Some("content"));
        }
        assert!(machine.real(Path::new("/etc/around/file")).is_err());
        assert_eq!(machine.own(&machine.here(Path::new("/etc/x"))), Path::new("/etc/x"));
        assert!(!machine.is_this() && Machine::at("/").is_this());
    }

    #[test]
    fn steps_lead_down_from_the_root() {
        let steps: Vec<_> = steps(Path::new("/a/b")).into_iter().map(Path::to_path_buf).collect();
        assert_eq!(steps, ["/", "/a", "/a/b"].map(PathBuf::from));
    }
}
