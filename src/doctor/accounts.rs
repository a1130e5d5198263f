//! Users and groups, from the machine's passwd(5) and group(5).
//!
//! Read from the files, not from this system's databases, since the machine may be another one.

use super::machine::Machine;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The users and groups of a machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    /// By name: uid and primary gid.
    users: BTreeMap<String, (u32, u32)>,
    /// By name: gid and the names of its members.
    groups: BTreeMap<String, (u32, Vec<String>)>,
}

/// Somebody who opens files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) groups: BTreeSet<u32>,
}

impl Accounts {
    pub(super) fn of(machine: &Machine) -> Self {
        let rows = |file: &str| machine.text(Path::new(file)).unwrap_or_default();
        let mut accounts = Self::default();
        for row in rows("/etc/passwd").lines() {
            let fields: Vec<&str> = row.split(':').collect();
            if let [name, _, uid, gid, ..] = fields[..]
                && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
            {
                accounts.users.entry(name.to_owned()).or_insert((uid, gid));
            }
        }
        for row in rows("/etc/group").lines() {
            let fields: Vec<&str> = row.split(':').collect();
            if let [name, _, gid, members, ..] = fields[..]
                && let Ok(gid) = gid.parse()
            {
                let members = members.split(',').map(str::trim).filter(|name| !name.is_empty());
                let entry = (gid, members.map(str::to_owned).collect());
                accounts.groups.entry(name.to_owned()).or_insert(entry);
            }
        }
        accounts
    }

    /// The user of this name, or number, with all groups that login would give.
    pub(super) fn user(&self, name: &str) -> Option<Account> {
        let by_number = || {
            let wanted: u32 = name.parse().ok()?;
            self.users.iter().find(|(_, (uid, _))| *uid == wanted)
        };
        let (name, &(uid, gid)) = self.users.get_key_value(name).or_else(by_number)?;
        let listed = self
            .groups
            .values()
            .filter(|(_, members)| members.contains(name))
            .map(|(gid, _)| *gid);
        Some(Account {
            name: name.clone(),
            uid,
            groups: listed.chain([gid]).collect(),
        })
    }

    /// The gid of a group's name or number.
    pub(super) fn group(&self, name: &str) -> Option<u32> {
        let by_name = self.groups.get(name).map(|(gid, _)| *gid);
        by_name.or_else(|| name.parse().ok())
    }

    pub(super) fn user_name(&self, uid: u32) -> String {
        let found = self.users.iter().find(|(_, (of, _))| *of == uid);
        found.map_or_else(|| format!("uid {uid}"), |(name, _)| name.clone())
    }

    pub(super) fn group_name(&self, gid: u32) -> String {
        let found = self.groups.iter().find(|(_, (of, _))| *of == gid);
        found.map_or_else(|| format!("gid {gid}"), |(name, _)| name.clone())
    }

    /// Somebody other than root and `user` who has the group `gid`.
    pub(super) fn other_member(&self, gid: u32, user: &Account) -> Option<&str> {
        let is_other = |name: &str, uid: u32| uid != 0 && uid != user.uid && name != "root" && name != user.name;
        let primary = self
            .users
            .iter()
            .find(|(name, (uid, of))| *of == gid && is_other(name, *uid))
            .map(|(name, _)| name.as_str());
        primary.or_else(|| {
            let members = self.groups.values().filter(|(of, _)| *of == gid);
            members
                .flat_map(|(_, members)| members)
                .map(String::as_str)
                .find(|name| *name != "root" && *name != user.name)
        })
    }
}
