//! What Signpost publishes for the keys that OpenDKIM signs with, and whether it can read them.
//!
//! With a signpost.toml the key directory is read as the server reads it. Without one, each key is held against
//! the `.txt` beside it, which is what people paste. What the server shows of keys that are gone is its state's
//! affair, and not looked at.

use super::access::{self, Want};
use super::accounts::{Account, Accounts};
use super::machine::Machine;
use super::tables::SigningKey;
use super::units::Unit;
use crate::finding::{Finding, Place};
use crate::keys::{KeyDirectory, public_key_in, record_beside};
use crate::signer::bare;
use rustix::fs::FileType;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The user that Signpost's unit names.
pub(super) const USER: &str = "signpost";

/// No key directory is deeper.
const MAX_DEPTH: usize = 16;

/// The key directory as the server would read it.
pub(super) fn key_directory(machine: &Machine, root: &Path) -> KeyDirectory {
    let mut directory = KeyDirectory::new(root);
    let mut files = vec![];
    collect(machine, root, MAX_DEPTH, &mut files);
    // What tables say of others makes them the ones to begin with.
    files.sort_by_key(|file| !directory.is_table(file));
    for file in &files {
        if let Ok(content) = machine.read(file) {
            directory.update(file, Some(&content));
        }
    }
    for file in directory.wanted() {
        let content = machine.read(&file).ok();
        directory.update(&file, content.as_ref().map(|content| content.as_slice()));
    }
    directory.resolve();
    directory
}

fn collect(machine: &Machine, folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    for path in machine.entries(folder) {
        match machine.node(&path).map(|node| node.kind) {
            Ok(FileType::Directory) if depth > 0 => collect(machine, &path, depth - 1, files),
            Ok(FileType::RegularFile) => files.push(path),
            _ => {}
        }
    }
}

/// Holds each key against what is published for it. `directory` is Signpost's, if it is configured.
pub(super) fn compare(machine: &Machine, keys: &[SigningKey], directory: Option<&KeyDirectory>) -> Vec<Finding> {
    let mut findings = vec![];
    for key in keys {
        let private = match (&key.file, &key.inline) {
            (_, Some(inline)) => Some(inline.clone()),
            (Some(file), _) => half(machine, file, &mut findings),
            _ => None,
        };
        let Some(private) = private else {
            continue;
        };
        let txt = key.file.as_deref().map(record_beside);
        // The server judges the text itself, in `signpost check`.
        let written = txt.as_deref().and_then(|txt| half(machine, txt, &mut findings));
        if let (Some(txt), Some(written)) = (&txt, &written)
            && *written != private
        {
            findings.push(other_text(machine, txt, directory.is_some()));
        }
        if let (Some(directory), Some(domain)) = (directory, &key.domain) {
            let published = directory
                .keys_of(domain)
                .into_iter()
                .find(|published| published.selector == key.selector);
            let owner = format!("{}._domainkey.{}", key.selector, bare(domain));
            match published.map(|published| (published.public_key_tag() == private, published)) {
                Some((true, _)) => {}
                Some((false, other)) => findings.push(differs(&owner, &other.sources, &key.place)),
                None => findings.push(unpublished(&owner, &key.place)),
            }
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// `p=` of a file that is there; what is wrong with it is told.
fn half(machine: &Machine, file: &Path, findings: &mut Vec<Finding>) -> Option<String> {
    let content = match machine.read(file) {
        Ok(content) => content,
        Err(error) => {
            if error.kind() == io::ErrorKind::PermissionDenied {
                let what = "this command may not read this file, so it was not judged; run it as root";
                let finding = Finding::note("doctor-not-read", what);
                findings.push(finding.at(Place::file(machine.here(file))));
            }
            return None;
        }
    };
    match public_key_in(&machine.here(file), &content) {
        Ok((half, more)) => {
            findings.extend(more);
            half
        }
        Err(finding) => {
            findings.push(finding);
            None
        }
    }
}

fn other_text(machine: &Machine, txt: &Path, followed: bool) -> Finding {
    let what = "the public key in it does not belong to the private key beside it";
    let cure = "make it anew from the private key, `openssl rsa -in KEY -pubout`, or remove it";
    let finding = match followed {
        true => Finding::warning(
            "doctor-txt-differs",
            format!("{what}; Signpost publishes the key's own"),
            cure,
        ),
        false => Finding::error(
            "doctor-txt-differs",
            format!("{what}: who verifies with it refuses all mail"),
            cure,
        ),
    };
    finding.at(Place::file(machine.here(txt)))
}

fn differs(owner: &str, sources: &[PathBuf], place: &Place) -> Finding {
    let from = sources
        .first()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    let what = format!("Signpost publishes another key at {owner}, from {from}: no signature of this one verifies");
    let cure = "name in this row the file that is published, or give the key a selector of its own";
    Finding::error("doctor-key-differs", what, cure).at(place.clone())
}

fn unpublished(owner: &str, place: &Place) -> Finding {
    let what = format!("Signpost publishes nothing at {owner}: signatures made with this key do not verify");
    let cure = "put the key below `keys` of signpost.toml, or make `keys` the directory it is in; \
                `signpost check` tells what keeps it from being published";
    Finding::error("doctor-key-unpublished", what, cure).at(place.clone())
}

/// Can Signpost's user read each key, or the `.txt` beside it? `keys` is its key directory.
pub(super) fn reading(machine: &Machine, accounts: &Accounts, found: &[SigningKey], keys: &Path) -> Vec<Finding> {
    let unit = Unit::of(machine, "signpost.service");
    let name = unit.as_ref().and_then(|unit| unit.value("User")).unwrap_or(USER);
    let Some(mut user) = accounts.user(name) else {
        let what = format!("there is no user `{name}`, as which the service runs: what it can read was not judged");
        return vec![Finding::note("doctor-no-user", what)];
    };
    let groups = unit.iter().flat_map(|unit| unit.words("SupplementaryGroups"));
    user.groups.extend(groups.filter_map(|group| accounts.group(group)));
    let mut findings: Vec<Finding> = hidden(unit.as_ref(), keys).into_iter().collect();
    if let Err(obstacle) = access::can(machine, &user, keys, Want::Read) {
        let what = format!("Signpost, as `{name}`, cannot list its key directory: {obstacle}");
        let finding = Finding::error("doctor-key-unreadable", what, obstacle.cure(&group(accounts, &user)));
        findings.push(finding.at(Place::file(machine.here(keys))));
    }
    let files: BTreeSet<&PathBuf> = found.iter().filter_map(|key| key.file.as_ref()).collect();
    for file in files.into_iter().filter(|file| machine.has(file)) {
        let txt = record_beside(file);
        let Err(obstacle) = access::can(machine, &user, file, Want::Read) else {
            continue;
        };
        if access::can(machine, &user, &txt, Want::Read).is_ok() {
            continue;
        }
        let what = format!(
            "Signpost, as `{name}`, can read neither this key nor {}: {obstacle}",
            txt.display()
        );
        let folder = file.parent().unwrap_or(file).display().to_string();
        let cure = format!(
            "the .txt is enough: `chmod o+x {folder}` and `chmod o+r {}`; or let it read the key by \
             `SupplementaryGroups=opendkim` of its unit (systemd/opendkim-keys.conf)",
            txt.display()
        );
        findings.push(Finding::error("doctor-key-unreadable", what, cure).at(Place::file(machine.here(file))));
    }
    findings
}

/// `ProtectHome=yes` of the unit hides what is at home.
fn hidden(unit: Option<&Unit>, keys: &Path) -> Option<Finding> {
    let (value, place) = unit?.get("ProtectHome")?;
    let at_home = ["/home", "/root", "/run/user"]
        .iter()
        .any(|home| keys.starts_with(home));
    if !at_home || !["yes", "true", "on", "1", "tmpfs"].contains(&value) {
        return None;
    }
    let what = format!(
        "`ProtectHome={value}` hides the key directory {} from Signpost",
        keys.display()
    );
    let cure = "keep the keys in /etc/opendkim, or write `ProtectHome=read-only` into a drop-in of the unit";
    Some(Finding::error("doctor-key-unreadable", what, cure).at(place.clone()))
}

/// A group to name in a cure: one that the user is in.
fn group(accounts: &Accounts, user: &Account) -> String {
    let first = user.groups.first().copied().unwrap_or_default();
    accounts.group_name(first)
}
