//! Who may open what, computed from modes, owners and groups (path_resolution(7)), and what OpenDKIM
//! takes for a safe key.
//!
//! Nobody is impersonated: the same question can be asked for any user of any machine. ACLs and security
//! modules are not looked at. Root may do everything.

use super::accounts::{Account, Accounts};
use super::machine::{Machine, Node, steps};
use rustix::fs::FileType;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What somebody wants to do with a node. The value is the bit of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Read = 4,
    /// connect(2) to a UNIX socket asks for it.
    Write = 2,
    /// To pass through a directory.
    Search = 1,
}

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// There is nothing.
    Missing(PathBuf),
    /// This node lets them not.
    Closed { path: PathBuf, node: Node, want: Want },
    /// It cannot be told.
    Unknown(PathBuf, String),
}

/// What makes OpenDKIM refuse a key, and at which node of its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsafe {
    pub(super) path: PathBuf,
    pub(super) node: Node,
    pub(super) why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// Owned by somebody who is neither root nor OpenDKIM's user.
    Owner(String),
    /// Open to all.
    Others,
    /// Open to a group that somebody else is in.
    Group { group: String, member: String },
}

/// May `who` do this with `node`?
pub(super) fn permits(node: Node, who: &Account, want: Want) -> bool {
    let shift = match () {
        () if who.uid == 0 => return true,
        () if node.uid == who.uid => 6,
        () if who.groups.contains(&node.gid) => 3,
        () => 0,
    };
    node.mode >> shift & want as u32 != 0
}

/// May `who` do this with what is at `path`, every directory above it passed?
pub(super) fn can(machine: &Machine, who: &Account, path: &Path, want: Want) -> Result<(), Obstacle> {
    let real = real(machine, path)?;
    if let Some(parent) = real.parent() {
        can_pass(machine, who, parent)?;
    }
    let node = node(machine, &real)?;
    require(node, who, &real, want)
}

/// May `who` pass into the directory at `path`?
pub(super) fn can_pass(machine: &Machine, who: &Account, path: &Path) -> Result<(), Obstacle> {
    let real = real(machine, path)?;
    for step in steps(&real) {
        require(node(machine, step)?, who, step, Want::Search)?;
    }
    Ok(())
}

fn require(node: Node, who: &Account, path: &Path, want: Want) -> Result<(), Obstacle> {
    match permits(node, who, want) {
        true => Ok(()),
        false => Err(Obstacle::Closed {
            path: path.to_owned(),
            node,
            want,
        }),
    }
}

fn real(machine: &Machine, path: &Path) -> Result<PathBuf, Obstacle> {
    machine
        .real(path)
        .map_err(|error| Obstacle::Unknown(path.to_owned(), error.to_string()))
}

fn node(machine: &Machine, path: &Path) -> Result<Node, Obstacle> {
    machine.node(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Obstacle::Missing(path.to_owned()),
        _ => Obstacle::Unknown(path.to_owned(), error.to_string()),
    })
}

/// Would OpenDKIM, as `who`, refuse the key at `path` for its modes (RequireSafeKeys)? The rules are those
/// of its code, which looks at every directory from the root down, links resolved: writing to a directory, and
/// reading or writing the key, is for root and itself, and for a group only if nobody else is in it.
/// A sticky bit makes no difference to it.
pub(super) fn unsafe_key(machine: &Machine, accounts: &Accounts, who: &Account, path: &Path) -> Option<Unsafe> {
    const OWNER_WRITES: u32 = 0o200;
    let real = machine.real(path).ok()?;
    steps(&real).into_iter().find_map(|step| {
        let node = machine.node(step).ok()?;
        let foreign_owner = node.uid != 0 && node.uid != who.uid;
        let (owner_matters, others, group) = match node.kind {
            FileType::Directory => (node.mode & OWNER_WRITES != 0, 0o002, 0o020),
            _ => (true, 0o006, 0o060),
        };
        let why = if owner_matters && foreign_owner {
            Why::Owner(accounts.user_name(node.uid))
        } else if node.mode & others != 0 {
            Why::Others
        } else {
            let member = (node.mode & group != 0).then(|| accounts.other_member(node.gid, who))??;
            Why::Group {
                group: accounts.group_name(node.gid),
                member: member.to_owned(),
            }
        };
        Some(Unsafe {
            path: step.to_owned(),
            node,
            why,
        })
    })
}

impl Obstacle {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Missing(path) | Self::Closed { path, .. } | Self::Unknown(path, _) => path,
        }
    }

    /// What gets it out of the way for the group `group`.
    pub(super) fn cure(&self, group: &str) -> String {
        let at = self.path().display();
        match self {
            Self::Missing(_) => format!("make {at}, or correct the path"),
            Self::Unknown(..) => format!("look why {at} cannot be looked at"),
            Self::Closed { want, .. } => {
                let bit = match want {
                    Want::Read => 'r',
                    Want::Write => 'w',
                    Want::Search => 'x',
                };
                format!("`chgrp {group} {at}` and `chmod g+{bit} {at}`")
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "{} is not there", path.display()),
            Self::Unknown(path, why) => write!(f, "{} cannot be looked at: {why}", path.display()),
            Self::Closed { path, node, .. } => write!(
                f,
                "{} has mode {:04o}, uid {} and gid {}",
                path.display(),
                node.mode,
                node.uid,
                node.gid
            ),
        }
    }
}
