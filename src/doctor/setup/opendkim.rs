//! What is missing in OpenDKIM's configuration and tables so that mail is signed.

use super::draft::Draft;
use super::{Plan, SetupError};
use crate::config::Config;
use crate::doctor::accounts::Accounts;
use crate::doctor::conf::{CONF, Conf, DataSet};
use crate::doctor::machine::Machine;
use crate::doctor::opendkim::{is_here, lines, missing_pid_file};
use crate::doctor::signer::Signer;
use crate::doctor::signpost::key_directory;
use crate::doctor::tables::{fits_refile, key_file, needs_refile};
use crate::doctor::units::Unit;
use crate::finding::{Place, Severity};
use crate::keys::{Algorithm, DkimKey, KeyDirectory, read_key_table, read_signing_table};
use crate::name::Name;
use crate::signer::bare;
use crate::signer::{Tables, written_path};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The port of the tutorial, and what Postfix finds from any chroot.
const PORT: &str = "12345";

const FOLDER: &str = "/etc/opendkim";

const UNIT: &str = "opendkim.service";

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
pub fn opendkim(machine: &Machine, config: Option<&Config>) -> Result<Plan, SetupError> {
    let accounts = Accounts::of(machine);
    let signer = Signer::of(machine, &accounts);
    let file = signer
        .as_ref()
        .map_or_else(|| PathBuf::from(CONF), |signer| signer.file.clone());
    let mut advice = vec![];
    let draft = options(machine, signer.as_ref(), &file, &mut advice)?;
    // From here on it is OpenDKIM as it will be.
    let conf = Conf::of_text(machine, &file, &String::from_utf8_lossy(&draft.content()));
    let unit = Unit::of(machine, UNIT);
    let planned = Signer::told(machine, &accounts, (file, conf), unit);
    let hosts = ["InternalHosts", "ExternalIgnoreList"].map(|option| planned.file_of(machine, option));
    let hosts: BTreeSet<PathBuf> = hosts.into_iter().flatten().map(|(path, _)| path).collect();
    let mut drafts = vec![draft];
    for path in &hosts {
        drafts.push(trusted(machine, path)?);
    }
    let tables = ["KeyTable", "SigningTable"].map(|option| planned.file_of(machine, option));
    if let [Some((keys, _)), Some((signing, _))] = &tables {
        let root = config.map_or_else(|| PathBuf::from(FOLDER), |config| machine.own(&config.keys));
        let mut rows = Rows {
            machine,
            accounts: &accounts,
            planned: &planned,
            keys: Draft::of(machine, keys)?,
            signing: Draft::of(machine, signing)?,
        };
        advice.extend(rows.add(&key_directory(machine, &root)));
        drafts.extend([rows.keys, rows.signing]);
    }
    if drafts.iter().any(Draft::is_changed) {
        advice.push("`systemctl restart opendkim` puts its files in force".to_owned());
    }
    if signer.and_then(|signer| signer.for_postfix(machine)).is_none() {
        advice.push("then `signpost setup postfix` shows how Postfix finds its socket".to_owned());
    }
    Ok(Plan::new(drafts, advice))
}

/// opendkim.conf with the options that are missing, or keep mail from being signed.
fn options(
    machine: &Machine,
    signer: Option<&Signer>,
    file: &Path,
    advice: &mut Vec<String>,
) -> Result<Draft, SetupError> {
    let empty = Conf::default();
    let conf = signer.map_or(&empty, |signer| &signer.conf);
    let mut draft = Draft::of(machine, file)?;
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
    let unit = Unit::of(machine, UNIT);
    if conf.value("Mode").is_some_and(|mode| !mode.contains('s')) {
        set("Mode", "sv");
    }
    if conf.get("UserID").is_none() && unit.as_ref().is_none_or(|unit| unit.value("User").is_none()) {
        set("UserID", "opendkim:opendkim");
    }
    if signer.and_then(|signer| signer.for_postfix(machine)).is_none() {
        let own = conf.get("Socket").map(|setting| setting.place(machine));
        match signer.and_then(|signer| signer.socket.as_ref()) {
            Some((written, place)) if own.as_ref() != Some(place) => advice.push(format!(
                "OpenDKIM is told to listen at `{written}`, where Postfix cannot reach it, by {place}, which counts: write \
                 `inet:{PORT}@localhost` there"
            )),
            _ => set("Socket", &format!("inet:{PORT}@localhost")),
        }
    }
    if let Some(unit) = unit.as_ref().filter(|unit| unit.argument("-P").is_none())
        && let Some((pid_file, _)) = missing_pid_file(machine, unit, conf)
    {
        set("PidFile", pid_file);
    }
    let single = ["Domain", "Selector", "KeyFile"]
        .iter()
        .all(|name| conf.get(name).is_some());
    if !single || conf.get("KeyTable").is_some() || conf.get("SigningTable").is_some() {
        if conf.get("KeyTable").is_none() {
            set("KeyTable", &format!("{FOLDER}/KeyTable"));
        }
        match signer.zip(conf.data_set("SigningTable")) {
            None => set("SigningTable", &format!("refile:{FOLDER}/SigningTable")),
            Some((signer, (_, DataSet::File { path, patterns: false }))) => {
                match rewritable(machine, &signer.absolute(&path)) {
                    Ok(true) => set("SigningTable", &format!("refile:{}", path.display())),
                    Ok(false) => {}
                    Err(told) => advice.push(told),
                }
            }
            Some(_) => {}
        }
    }
    for option in ["InternalHosts", "ExternalIgnoreList"] {
        if conf.get(option).is_none() {
            set(option, &format!("{FOLDER}/TrustedHosts"));
        }
    }
    Ok(draft)
}

/// Is a plain table to be read by `refile:` from now on? Fails with what is in the way.
fn rewritable(machine: &Machine, path: &Path) -> Result<bool, String> {
    let content = machine.read(path).unwrap_or_default();
    let rows = read_signing_table(path, &content).rows;
    let Some((_, pattern)) = rows.iter().find(|(_, row)| needs_refile(&row.pattern)) else {
        return Ok(rows.is_empty());
    };
    match rows.iter().find(|(_, row)| !fits_refile(&row.pattern)) {
        None => Ok(true),
        Some((line, plain)) => Err(format!(
            "{}:{line}: `{}` works without `refile:` alone, `{}` only with it: write `*@{}`, then this command again",
            path.display(),
            plain.pattern,
            pattern.pattern,
            plain.pattern.trim_start_matches('.')
        )),
    }
}

/// The hosts that are trusted, with this machine among them.
fn trusted(machine: &Machine, path: &Path) -> Result<Draft, SetupError> {
    let mut draft = Draft::of(machine, path)?;
    if !lines(machine, path).iter().any(|(entry, _)| is_here(entry)) {
        TRUSTED.into_iter().for_each(|entry| draft.add(entry));
    }
    Ok(draft)
}

/// Both tables, as they get a row for every domain that has a key and none.
struct Rows<'a> {
    machine: &'a Machine,
    accounts: &'a Accounts,
    /// OpenDKIM as it will be.
    planned: &'a Signer,
    keys: Draft,
    signing: Draft,
}

impl Rows<'_> {
    /// Adds the rows; returns what keeps a domain from having one.
    fn add(&mut self, directory: &KeyDirectory) -> Vec<String> {
        let mut advice = vec![];
        let (keys, signing) = (self.keys.path.clone(), self.signing.path.clone());
        let of = |draft: &Draft| draft.old.clone().unwrap_or_default();
        let (old_keys, old_signing) = (of(&self.keys), of(&self.signing));
        let tables = match Tables::read((&keys, &old_keys), (&signing, &old_signing)) {
            Ok(tables) => tables,
            Err(error) => return vec![error.to_string()],
        };
        let named = read_key_table(&keys, &old_keys).rows;
        let signed = read_signing_table(&signing, &old_signing).rows;
        if self.keys.is_new() {
            self.keys.add("# NAME DOMAIN:SELECTOR:/PATH/TO/PRIVATE/KEY");
        }
        if self.signing.is_new() {
            self.signing.add("# *@DOMAIN NAME, the name of a row of the KeyTable");
        }
        for domain in directory.domains() {
            let is_named = named
                .iter()
                .any(|(_, row)| row.domain.as_ref().is_none_or(|of| of == domain));
            if is_named || signed.iter().any(|(_, row)| row.domain.as_ref() == Some(domain)) {
                continue;
            }
            let Some((key, file)) = signing_key(self.machine, directory, domain) else {
                continue;
            };
            let name = format!("{}._domainkey.{}", key.selector, bare(domain));
            if named.iter().any(|(_, row)| row.name == name) {
                advice.push(format!(
                    "the KeyTable has a row `{name}` for another domain: give it another name"
                ));
                continue;
            }
            match self.key_row(domain, &key.selector, &file) {
                Ok(row) => self.keys.add(format!("{name} {row}")),
                Err(told) => {
                    advice.extend(told);
                    continue;
                }
            }
            let row = format!("{} {name}", self.pattern(domain));
            self.signing
                .insert_behind(tables.place_in_signing(domain, u32::MAX), row);
        }
        if named.is_empty() && directory.domains().is_empty() {
            advice.push(
                "there is no key yet: `opendkim-genkey -b 2048 -h sha256 -d DOMAIN -s SELECTOR -D FOLDER`, then this command again"
                    .to_owned(),
            );
        }
        advice
    }

    /// What the KeyTable says of a key, or why OpenDKIM cannot use it: it would defer all mail of the domain.
    fn key_row(&self, domain: &Name, selector: &str, file: &Path) -> Result<String, Vec<String>> {
        let path = written_path(file).map_err(|error| vec![error.to_string()])?;
        let place = Place::file(self.machine.here(file));
        let mut found = key_file(self.machine, self.accounts, self.planned, file, &place);
        found.retain(|finding| finding.severity == Severity::Error);
        match found.is_empty() {
            true => Ok(format!("{}:{selector}:{path}", bare(domain))),
            false => Err(found
                .iter()
                .map(|finding| {
                    format!(
                        "no row for {}: {}; {}, then this command again",
                        bare(domain),
                        finding.what,
                        finding.cure
                    )
                })
                .collect()),
        }
    }

    /// How the SigningTable says "everybody in this domain".
    fn pattern(&self, domain: &Name) -> String {
        match self.planned.conf.data_set("SigningTable") {
            Some((_, DataSet::File { patterns: false, .. })) => bare(domain),
            _ => format!("*@{}", bare(domain)),
        }
    }
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
