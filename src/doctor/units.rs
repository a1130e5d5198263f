//! systemd units, as far as who runs what with which words.

use super::machine::Machine;
use crate::finding::Place;
use std::path::{Path, PathBuf};

/// Where units are, the first that is there wins (systemd.unit(5)).
const FOLDERS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// A unit with its drop-ins.
#[derive(Debug, Default)]
pub(super) struct Unit {
    settings: Vec<(String, String, Place)>,
}

impl Unit {
    /// `None` where no such unit is installed.
    pub(super) fn of(machine: &Machine, name: &str) -> Option<Self> {
        let file = FOLDERS
            .iter()
            .map(|folder| Path::new(folder).join(name))
            .find(|file| machine.has(file))?;
        let mut unit = Self::default();
        unit.add(machine, &file);
        for drop_in in drop_ins(machine, name) {
            unit.add(machine, &drop_in);
        }
        Some(unit)
    }

    fn add(&mut self, machine: &Machine, file: &Path) {
        let text = machine.text(file).unwrap_or_default();
        for (number, line) in (1..).zip(text.lines()) {
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            let (name, value) = (name.trim(), value.trim());
            if name.starts_with(['#', ';']) {
                continue;
            }
            if value.is_empty() {
                self.settings.retain(|(known, ..)| known != name);
            } else {
                let place = Place::line(machine.here(file), number);
                self.settings.push((name.to_owned(), value.to_owned(), place));
            }
        }
    }

    /// The last setting.
    pub(super) fn get(&self, name: &str) -> Option<(&str, &Place)> {
        let found = self.settings.iter().rev().find(|(known, ..)| known == name);
        found.map(|(_, value, place)| (value.as_str(), place))
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(|(value, _)| value)
    }

    /// All words of a setting that is a list.
    pub(super) fn words(&self, name: &str) -> Vec<&str> {
        let all = self.settings.iter().filter(|(known, ..)| known == name);
        all.flat_map(|(_, value, _)| value.split_whitespace()).collect()
    }

    /// What stands behind an option such as `-p` of the program that is started.
    pub(super) fn argument(&self, option: &str) -> Option<&str> {
        let words: Vec<&str> = self.value("ExecStart")?.split_whitespace().collect();
        let at = words.iter().position(|word| *word == option)?;
        words.get(at + 1).copied()
    }
}

/// By file name, whatever folder they are in; of one name the first counts.
fn drop_ins(machine: &Machine, name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = vec![];
    for folder in FOLDERS {
        let folder = Path::new(folder).join(format!("{name}.d"));
        for file in machine.files_in(&folder, ".conf") {
            if found.iter().all(|known| known.file_name() != file.file_name()) {
                found.push(file);
            }
        }
    }
    found.sort_by_key(|file| file.file_name().map(ToOwned::to_owned));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_ins_replace_and_add() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let unit = "[Service]\nExecStart=/usr/sbin/opendkim\nUser=a\nSupplementaryGroups=x y\n# User=no\n";
        write("usr/lib/systemd/system/o.service", unit);
        let over = "[Service]\nExecStart=\nExecStart=/usr/sbin/opendkim -p inet:1@localhost\nSupplementaryGroups=z\n";
        write("etc/systemd/system/o.service.d/b.conf", over);
        write("etc/systemd/system/o.service.d/a.conf", "[Service]\nUser=b\n");
        let unit = Unit::of(&Machine::at(root.path()), "o.service").unwrap();
        assert_eq!(unit.value("User"), Some("b"));
        assert_eq!(unit.words("SupplementaryGroups"), ["x", "y", "z"]);
        assert_eq!(unit.argument("-p"), Some("inet:1@localhost"));
        assert_eq!(unit.argument("-x"), None);
        assert!(Unit::of(&Machine::at(root.path()), "p.service").is_none());
    }
}
