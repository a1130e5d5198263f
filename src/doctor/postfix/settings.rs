//! What Postfix is told, by postconf(1) where it is installed, else by main.cf itself.

use super::files::{self, Parameter, Service};
use crate::doctor::machine::Machine;
use crate::finding::Place;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(in crate::doctor) const MAIN: &str = "/etc/postfix/main.cf";
pub(in crate::doctor) const MASTER: &str = "/etc/postfix/master.cf";

/// What is looked at, with Postfix's own defaults (postconf -d).
const DEFAULTS: [(&str, &str); 21] = [
    ("smtpd_milters", ""),
    ("non_smtpd_milters", ""),
    ("milter_default_action", "tempfail"),
    ("milter_protocol", "6"),
    ("queue_directory", "/var/spool/postfix"),
    ("mail_owner", "postfix"),
    ("compatibility_level", "0"),
    ("default_destination_concurrency_limit", "20"),
    ("default_destination_rate_delay", "0s"),
    ("default_destination_recipient_limit", "50"),
    ("default_extra_recipient_limit", "1000"),
    (
        "smtp_destination_concurrency_limit",
        "$default_destination_concurrency_limit",
    ),
    ("smtp_destination_rate_delay", "$default_destination_rate_delay"),
    (
        "smtp_destination_recipient_limit",
        "$default_destination_recipient_limit",
    ),
    ("smtp_extra_recipient_limit", "$default_extra_recipient_limit"),
    ("local_destination_rate_delay", "$default_destination_rate_delay"),
    ("lmtp_destination_rate_delay", "$default_destination_rate_delay"),
    ("relay_destination_rate_delay", "$default_destination_rate_delay"),
    ("virtual_destination_rate_delay", "$default_destination_rate_delay"),
    ("myhostname", "localhost"),
    ("mydomain", "localdomain"),
];

/// Postfix's configuration.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Settings {
    parameters: Vec<Parameter>,
    pub(super) services: Vec<Service>,
    /// What postconf says; empty where it could not be asked.
    evaluated: BTreeMap<String, String>,
}

impl Settings {
    /// `None` where there is no main.cf.
    pub(in crate::doctor) fn of(machine: &Machine) -> Option<Self> {
        let mut settings = Self::without_postconf(machine)?;
        settings.evaluated = postconf(&machine.here(Path::new(MAIN)));
        Some(settings)
    }

    fn without_postconf(machine: &Machine) -> Option<Self> {
        Some(Self {
            parameters: files::parameters(&machine.text(Path::new(MAIN))?),
            services: files::services(&machine.text(Path::new(MASTER)).unwrap_or_default()),
            evaluated: BTreeMap::new(),
        })
    }

    /// The value in force, references expanded.
    pub(in crate::doctor) fn get(&self, name: &str) -> String {
        match self.evaluated.get(name) {
            Some(value) => value.clone(),
            None => files::expand(&self.raw(name).unwrap_or_default(), &|name| self.raw(name)),
        }
    }

    fn raw(&self, name: &str) -> Option<String> {
        let default = || {
            let row = DEFAULTS.iter().find(|(known, _)| *known == name);
            row.map(|(_, value)| (*value).to_owned())
        };
        self.set(name).map(|parameter| parameter.value.clone()).or_else(default)
    }

    /// As main.cf sets it, if it does; the last of two counts.
    pub(in crate::doctor) fn set(&self, name: &str) -> Option<&Parameter> {
        self.all(name).last()
    }

    /// All settings of one parameter.
    pub(in crate::doctor) fn all<'s, 'n>(&'s self, name: &'n str) -> impl Iterator<Item = &'s Parameter> + use<'s, 'n> {
        self.parameters.iter().filter(move |parameter| parameter.name == name)
    }

    /// Where a parameter is set, or the file where it should be.
    pub(super) fn place(&self, machine: &Machine, name: &str) -> Place {
        let main = machine.here(Path::new(MAIN));
        match self.set(name) {
            Some(parameter) => Place::line(main, *parameter.lines.start()),
            None => Place::file(main),
        }
    }

    /// The first service that runs `command`, if it runs in a chroot. A `-` in the column means yes only
    /// to Postfix before compatibility level 1 (master(5)).
    pub(in crate::doctor) fn chroot(&self, command: &str) -> Option<PathBuf> {
        let service = self.services.iter().find(|service| service.command == command)?;
        let old = self.get("compatibility_level").starts_with('0');
        let chrooted = service.chroot == "y" || (service.chroot == "-" && old);
        chrooted.then(|| self.queue())
    }

    /// Postfix's working directory, and its root in a chroot.
    pub(in crate::doctor) fn queue(&self) -> PathBuf {
        self.get("queue_directory").into()
    }
}

/// What postconf says of the parameters above; nothing if it is not there or fails.
fn postconf(main: &Path) -> BTreeMap<String, String> {
    let Some(directory) = main.parent() else {
        return BTreeMap::new();
    };
    let programs = ["postconf", "/usr/sbin/postconf"];
    let ask = |program: &&str| {
        let mut command = Command::new(program);
        command.arg("-c").arg(directory).arg("-x");
        let output = command.args(DEFAULTS.map(|(name, _)| name)).output().ok()?;
        output.status.success().then_some(output.stdout)
    };
    let said = programs.iter().find_map(ask).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let pairs = said.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postconf_and_the_file_itself_say_the_same() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/postfix")).unwrap();
        let main = "compatibility_level = 3.6\nmilter = inet:localhost:1\nsmtpd_milters = ${milter}\n  unix:/b\n\
                    non_smtpd_milters = $smtpd_milters\ndefault_destination_rate_delay = 5s\n";
        std::fs::write(root.path().join("etc/postfix/main.cf"), main).unwrap();
        let master = "smtp inet n - y - - smtpd\ncleanup unix n - - - 0 cleanup\n";
        std::fs::write(root.path().join("etc/postfix/master.cf"), master).unwrap();
        let machine = Machine::at(root.path());
        let asked = Settings::of(&machine).unwrap();
        let read = Settings::without_postconf(&machine).unwrap();
        assert!(read.evaluated.is_empty());
        // Without postconf the two would be the same by themselves.
        let has_postconf = ["/usr/sbin/postconf", "/usr/bin/postconf"].map(|program| Path::new(program).exists());
        assert_eq!(asked.evaluated.is_empty(), !has_postconf.contains(&true));
        for (name, _) in DEFAULTS.iter().filter(|(name, _)| !name.starts_with("my")) {
            assert_eq!(asked.get(name), read.get(name), "{name}");
        }
        assert_eq!(read.get("non_smtpd_milters"), "inet:localhost:1 unix:/b");
        assert_eq!(read.get("local_destination_rate_delay"), "5s");
        assert_eq!(read.chroot("smtpd").as_deref(), Some(Path::new("/var/spool/postfix")));
        assert_eq!(read.chroot("cleanup"), None);
        assert!(Settings::of(&Machine::at("/nonexistent")).is_none());
    }
}
