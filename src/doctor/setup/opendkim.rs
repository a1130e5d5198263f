//! What is missing in OpenDKIM's configuration and tables so that mail is signed.

use super::Plan;
use super::draft::Draft;
use crate::config::Config;
use crate::doctor::accounts::Accounts;
use crate::doctor::conf::{CONF, Conf, DataSet};
use crate::doctor::machine::Machine;
use crate::doctor::signer::Signer;
use crate::doctor::signpost::key_directory;
use crate::doctor::tables::bare;
use crate::doctor::units::Unit;
use crate::keys::{Algorithm, DkimKey, KeyDirectory, read_key_table, read_signing_table};
use crate::name::Name;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The port of the tutorial, and what Postfix finds from any chroot.
const PORT: &str = "12345";

const FOLDER: &str = "/etc/opendkim";

/// What a new opendkim.conf has besides what is decided by what is there.
const BASICS: [&str; 6] = [
    "Syslog yes",
    "SyslogSuccess yes",
    "LogWhy yes",
    "UMask 007",
    "Canonicalization relaxed/relaxed",
    "OversignHeaders From",
];

/// This machine, for mail that is signed and not verified.
const TRUSTED: [&str; 3] = ["127.0.0.1", "::1", "localhost"];

/// The plan for OpenDKIM. Rows are made for the domains of the key directory, Signpost's if it is configured, that
/// no row names yet.
pub fn opendkim(machine: &Machine, config: Option<&Config>) -> Plan {
    let accounts = Accounts::of(machine);
    let signer = Signer::of(machine, &accounts);
    let file = signer
        .as_ref()
        .map_or_else(|| PathBuf::from(CONF), |signer| signer.file.clone());
    let empty = Conf::default();
    let conf = signer.as_ref().map_or(&empty, |signer| &signer.conf);
    let mut draft = Draft::of(machine, &file);
    if draft.is_new() {
        BASICS.into_iter().for_each(|line| draft.add(line));
    }
    let mut set = |name: &str, value: &str| {
        let line = format!("{name} {value}");
        match conf.get(name).filter(|setting| setting.file == file) {
            Some(setting) => draft.replace(setting.line..=setting.line, line),
            None => draft.add(line),
        }
    };
    let unit = Unit::of(machine, "opendkim.service");
    if conf.value("Mode").is_some_and(|mode| !mode.contains('s')) {
        set("Mode", "sv");
    }
    if conf.get("UserID").is_none() && unit.as_ref().is_none_or(|unit| unit.value("User").is_none()) {
        set("UserID", "opendkim:opendkim");
    }
    let is_moved = signer.as_ref().and_then(|signer| signer.for_postfix(machine)).is_none();
    if is_moved {
        set("Socket", &format!("inet:{PORT}@localhost"));
    }
    if let Some(pid) = pid_file(machine, unit.as_ref(), conf) {
        set("PidFile", &pid);
    }
    let tables = tables(machine, conf, &mut set);
    let hosts = ["InternalHosts", "ExternalIgnoreList"].map(|option| match conf.data_set(option) {
        None => {
            let path = format!("{FOLDER}/TrustedHosts");
            set(option, &path);
            Some(PathBuf::from(path))
        }
        Some((_, DataSet::File { path, .. })) => Some(path),
        Some(_) => None,
    });
    let hosts: BTreeSet<PathBuf> = hosts.into_iter().flatten().collect();
    let mut drafts = vec![draft];
    drafts.extend(hosts.iter().map(|path| trusted(machine, path)));
    let mut advice = vec![];
    if let Some((key_table, signing_table)) = tables {
        let root = config.map_or_else(|| PathBuf::from(FOLDER), |config| machine.own(&config.keys));
        let directory = key_directory(machine, &root);
        let (keys, signing) = rows(machine, &directory, (&key_table, &signing_table), &mut advice);
        drafts.extend([keys, signing]);
    }
    if drafts.iter().any(Draft::is_changed) {
        advice.push("`systemctl restart opendkim` puts its files in force".to_owned());
    }
    if is_moved {
        advice.push("then `signpost setup postfix` shows how Postfix finds its socket".to_owned());
    }
    Plan::new(drafts, advice)
}

/// The file that systemd waits for, if OpenDKIM does not write it.
fn pid_file(machine: &Machine, unit: Option<&Unit>, conf: &Conf) -> Option<String> {
    let unit = unit.filter(|unit| unit.value("Type") == Some("forking") && unit.argument("-P").is_none())?;
    let expected = unit.value("PIDFile")?;
    let real = |path: &str| machine.real(Path::new(path)).ok();
    let is_set = conf.value("PidFile").is_some_and(|set| real(set) == real(expected));
    (!is_set).then(|| expected.to_owned())
}

/// KeyTable and SigningTable, set where they are missing; `None` where there is another way to name keys.
fn tables(machine: &Machine, conf: &Conf, set: &mut impl FnMut(&str, &str)) -> Option<(PathBuf, PathBuf)> {
    let single = ["Domain", "Selector", "KeyFile"]
        .iter()
        .all(|name| conf.get(name).is_some());
    let has_table = conf.get("KeyTable").is_some() || conf.get("SigningTable").is_some();
    if single && !has_table {
        return None;
    }
    let key_table = match conf.data_set("KeyTable") {
        None => {
            let path = format!("{FOLDER}/KeyTable");
            set("KeyTable", &path);
            Some(PathBuf::from(path))
        }
        Some((_, DataSet::File { path, .. })) => Some(path),
        Some(_) => None,
    };
    let signing_table = match conf.data_set("SigningTable") {
        None => {
            let path = format!("{FOLDER}/SigningTable");
            set("SigningTable", &format!("refile:{path}"));
            Some(PathBuf::from(path))
        }
        Some((_, DataSet::File { path, patterns })) => {
            let content = machine.read(&path).unwrap_or_default();
            let rows = read_signing_table(&path, &content).rows;
            if !patterns && (rows.is_empty() || rows.iter().any(|(_, row)| row.pattern.contains('*'))) {
                set("SigningTable", &format!("refile:{}", path.display()));
            }
            Some(path)
        }
        Some(_) => None,
    };
    key_table.zip(signing_table)
}

/// The hosts that are trusted, with this machine among them.
fn trusted(machine: &Machine, path: &Path) -> Draft {
    let mut draft = Draft::of(machine, path);
    let text = machine.text(path).unwrap_or_default();
    let has = |entry: &str| text.lines().any(|line| line.trim() == entry);
    if !has("127.0.0.1") && !has("localhost") {
        TRUSTED
            .into_iter()
            .filter(|entry| !has(entry))
            .for_each(|entry| draft.add(entry));
    }
    draft
}

/// A row in each table for every domain that has a key and no row.
fn rows(
    machine: &Machine,
    directory: &KeyDirectory,
    (key_table, signing_table): (&Path, &Path),
    advice: &mut Vec<String>,
) -> (Draft, Draft) {
    let mut keys = Draft::of(machine, key_table);
    let mut signing = Draft::of(machine, signing_table);
    let of = |draft: &Draft| draft.old.clone().unwrap_or_default();
    let named = read_key_table(key_table, &of(&keys)).rows;
    let signed = read_signing_table(signing_table, &of(&signing)).rows;
    if keys.is_new() {
        keys.add("# NAME DOMAIN:SELECTOR:/PATH/TO/PRIVATE/KEY");
    }
    if signing.is_new() {
        signing.add("# *@DOMAIN NAME, the name of a row of the KeyTable");
    }
    for domain in directory.domains() {
        let is_named = named
            .iter()
            .any(|(_, row)| row.domain.as_ref().is_none_or(|of| of == domain));
        if is_named || signed.iter().any(|(_, row)| row.domain.as_ref() == Some(domain)) {
            continue;
        }
        let Some((key, file)) = signing_key(machine, directory, domain) else {
            continue;
        };
        let (domain, selector) = (bare(domain), &key.selector);
        let name = format!("{selector}._domainkey.{domain}");
        keys.add(format!("{name} {domain}:{selector}:{}", file.display()));
        signing.add(format!("*@{domain} {name}"));
    }
    if named.is_empty() && directory.domains().is_empty() {
        advice.push(
            "there is no key yet: `opendkim-genkey -b 2048 -h sha256 -d DOMAIN -s SELECTOR -D FOLDER`, then this command again"
                .to_owned(),
        );
    }
    (keys, signing)
}

/// The private key to sign with: RSA before Ed25519, which many verifiers do not know, and of several the one
/// whose selector sorts last, which is the newest where selectors are dates.
fn signing_key<'d>(machine: &Machine, directory: &'d KeyDirectory, domain: &Name) -> Option<(&'d DkimKey, PathBuf)> {
    let keys = directory.keys_of(domain).into_iter().filter_map(|key| {
        let private = key.sources.iter().find(|file| is_private(machine, file))?;
        Some((key, private.clone()))
    });
    keys.max_by_key(|(key, _)| {
        let is_rsa = matches!(key.algorithm, Algorithm::Rsa { .. });
        (is_rsa, key.selector.clone())
    })
}

fn is_private(machine: &Machine, file: &Path) -> bool {
    const MARK: &[u8] = b"PRIVATE KEY-----";
    let content = machine.read(file);
    content.is_ok_and(|content| content.windows(MARK.len()).any(|window| window == MARK))
}
