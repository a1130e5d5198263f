//! KeyTable, SigningTable and the keys they name: can OpenDKIM read them, will it use them, do they fit together
//! (the tutorial's steps 3.3, 3.5, 3.6 and 3.8)?

use super::access::{self, Obstacle, Unsafe, Why};
use super::accounts::Accounts;
use super::conf::DataSet;
use super::machine::Machine;
use super::opendkim::unreadable;
use super::signer::Signer;
use crate::finding::{Finding, Place, Severity};
use crate::keys::{KeyAt, SigningRow, Table, read_key_table, read_signing_table};
use crate::name::Name;
use crate::signer::bare;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A key that OpenDKIM is to sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SigningKey {
    /// The signing domain; `None` if the sender's domain decides and is any.
    pub(super) domain: Option<Name>,
    pub(super) selector: String,
    /// The private key, by the machine's name; `None` if it is written into the table.
    pub(super) file: Option<PathBuf>,
    /// `p=` of a key that is written into the table.
    pub(super) inline: Option<String>,
    /// Where it is named.
    pub(super) place: Place,
}

/// The name of a key that stands for that of the sender's domain, behind a pattern that many senders fit
/// (opendkim.conf(5), `SigningTable`).
const ANY: &str = "%";

/// The keys, and what there is to say of tables and keys.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) keys: Vec<SigningKey>,
    pub(super) findings: Vec<Finding>,
}

/// Reads and judges all tables, and each key once.
pub(super) fn judge(machine: &Machine, accounts: &Accounts, signer: &Signer) -> Judged {
    let mut judged = Judged::default();
    match (signer.conf.get("KeyTable"), signer.conf.get("SigningTable")) {
        (None, None) => single(machine, signer, &mut judged),
        (Some(set), None) | (None, Some(set)) => {
            let (has, lacks) = match set.name.as_str() {
                "KeyTable" => ("KeyTable", "SigningTable"),
                _ => ("SigningTable", "KeyTable"),
            };
            let what = format!("there is a {has} and no {lacks}: OpenDKIM does not start");
            let cure = "`signpost setup opendkim` shows what is missing";
            let finding = Finding::error("opendkim-tables", what, cure);
            judged.findings.push(finding.at(set.place(machine)));
        }
        (Some(_), Some(_)) => tables(machine, signer, &mut judged),
    }
    let mut seen = BTreeSet::new();
    for key in &judged.keys {
        if let Some(file) = &key.file
            && seen.insert(file)
        {
            judged
                .findings
                .extend(key_file(machine, accounts, signer, file, &key.place));
        }
    }
    judged
}

/// One domain and one key, without tables.
fn single(machine: &Machine, signer: &Signer, judged: &mut Judged) {
    let conf = &signer.conf;
    let (Some(domains), Some(selector), Some(file)) =
        (conf.value("Domain"), conf.value("Selector"), conf.get("KeyFile"))
    else {
        let what = "neither KeyTable and SigningTable nor Domain, Selector and KeyFile are set: nothing is signed";
        let cure = "`signpost setup opendkim` shows the lines that are missing, and writes them with `--write`";
        let finding = Finding::error("opendkim-tables", what, cure);
        return judged
            .findings
            .push(finding.at(Place::file(machine.here(&signer.file))));
    };
    let domains = domains.split(',').map(str::trim);
    judged.keys.extend(domains.map(|domain| SigningKey {
        domain: Name::from_text(domain).ok().map(|name| name.to_lowercase()),
        selector: selector.to_ascii_lowercase(),
        file: Some(signer.absolute(Path::new(&file.value))),
        inline: None,
        place: file.place(machine),
    }));
}

fn tables(machine: &Machine, signer: &Signer, judged: &mut Judged) {
    let signing = signing_table(machine, signer, judged);
    let Some((path, place)) = table_file(machine, signer, "KeyTable", judged) else {
        return;
    };
    let Ok(content) = machine.read(&path) else {
        return;
    };
    let here = machine.here(&path);
    let table = read_key_table(&here, &content);
    judged.findings.extend(table.findings);
    if table.rows.is_empty() {
        let what = "the KeyTable names no key: nothing is signed";
        let cure = "make one, `opendkim-genkey -b 2048 -h sha256 -d example.org -s 2026a`, and a row for it; \
                    `signpost setup opendkim` makes rows for the keys of the key directory";
        judged
            .findings
            .push(Finding::error("opendkim-tables", what, cure).at(place));
    }
    let senders = senders(signing.as_ref());
    let mut names = BTreeSet::new();
    for (line, row) in table.rows {
        let place = Place::line(&here, line);
        names.insert(row.name.clone());
        let senders = senders.get(row.name.as_str()).or(senders.get(ANY));
        if signing.is_some() && senders.is_none() {
            let what = format!("no row of the SigningTable uses this key, `{}`", row.name);
            let cure = "add `*@example.org NAME` with the domain and this name, or remove the row";
            let finding = Finding::warning("opendkim-key-unused", what, cure);
            judged.findings.push(finding.at(place.clone()));
        }
        // `%` is the domain of the sender (opendkim.conf(5)).
        let domains: Vec<Option<Name>> = match row.domain {
            Some(domain) => vec![Some(domain)],
            None => senders.into_iter().flatten().cloned().collect(),
        };
        for domain in domains {
            let (file, inline) = match &row.key {
                KeyAt::Inline(key) => (None, Some(key.base64())),
                KeyAt::File(written) if written.contains('%') => match &domain {
                    Some(domain) => (Some(written.replace('%', bare(domain).as_str())), None),
                    None => continue,
                },
                KeyAt::File(written) => (Some(written.clone()), None),
            };
            judged.keys.push(SigningKey {
                domain,
                selector: row.selector.clone(),
                file: file.map(|file| signer.absolute(Path::new(&file))),
                inline,
                place: place.clone(),
            });
        }
    }
    let Some((path, signing)) = &signing else {
        return;
    };
    for (line, row) in &signing.rows {
        if row.key_name != ANY && !names.contains(row.key_name.as_str()) {
            let what = format!("the KeyTable has no key `{}`: OpenDKIM defers this mail", row.key_name);
            let cure = "write the first word of a KeyTable row behind the pattern";
            let finding = Finding::error("opendkim-key-unknown", what, cure);
            judged.findings.push(finding.at(Place::line(machine.here(path), *line)));
        }
    }
}

/// The domains that use each key by its name.
fn senders(signing: Option<&(PathBuf, Table<SigningRow>)>) -> BTreeMap<&str, Vec<Option<Name>>> {
    let mut senders: BTreeMap<&str, Vec<Option<Name>>> = BTreeMap::new();
    for (_, row) in signing.iter().flat_map(|(_, table)| &table.rows) {
        senders.entry(&row.key_name).or_default().push(row.domain.clone());
    }
    senders
}

fn signing_table(machine: &Machine, signer: &Signer, judged: &mut Judged) -> Option<(PathBuf, Table<SigningRow>)> {
    let (path, _) = table_file(machine, signer, "SigningTable", judged)?;
    let content = machine.read(&path).ok()?;
    let mut table = read_signing_table(&machine.here(&path), &content);
    judged.findings.append(&mut table.findings);
    let here = machine.here(&path);
    let (setting, set) = signer.conf.data_set("SigningTable")?;
    let DataSet::File { patterns: false, .. } = set else {
        let idle = table.rows.iter().filter(|(_, row)| !fits_refile(&row.pattern));
        judged.findings.extend(idle.map(|(line, row)| {
            let pattern = &row.pattern;
            let what = format!("`{pattern}` stands for no sender in a table of `refile:`: this mail is not signed");
            let cure = format!("write `*@{}`", pattern.trim_start_matches('.'));
            Finding::error("opendkim-pattern", what, cure).at(Place::line(&here, *line))
        }));
        return Some((path, table));
    };
    if let Some((line, row)) = table.rows.iter().find(|(_, row)| needs_refile(&row.pattern)) {
        let what = format!(
            "`{}` is a pattern, and without `refile:` OpenDKIM takes it to the letter: this mail is not signed",
            row.pattern
        );
        let at = setting.place(machine);
        let cure = format!("write `SigningTable refile:{}` in {at}", path.display());
        let finding = Finding::error("opendkim-pattern", what, cure);
        judged.findings.push(finding.at(Place::line(here, *line)));
    }
    Some((path, table))
}

/// Only `refile:` has wildcards. Any other table has an address, a host, `.domain`, `user@*` and `*`, to the letter
/// (opendkim.conf(5), `SigningTable`).
pub(super) fn needs_refile(pattern: &str) -> bool {
    pattern != "*" && pattern.strip_suffix("@*").unwrap_or(pattern).contains('*')
}

/// What `refile:` holds a pattern against is a whole address.
pub(super) fn fits_refile(pattern: &str) -> bool {
    pattern.contains(['*', '@'])
}

/// The file of a table, if it is one and OpenDKIM can read it; what is amiss is told.
fn table_file(machine: &Machine, signer: &Signer, option: &str, judged: &mut Judged) -> Option<(PathBuf, Place)> {
    let Some((path, place)) = signer.file_of(machine, option) else {
        if let Some((setting, _)) = signer.conf.data_set(option) {
            let what = format!("the {option} is `{}`, which is not looked into", setting.value);
            let finding = Finding::note("opendkim-tables-elsewhere", what);
            judged.findings.push(finding.at(setting.place(machine)));
        }
        return None;
    };
    if let Some(finding) = unreadable(machine, signer, &path, option) {
        judged.findings.push(finding.at(place.clone()));
    }
    machine.has(&path).then_some((path, place))
}

/// Can OpenDKIM read this key, and will it?
pub(super) fn key_file(
    machine: &Machine,
    accounts: &Accounts,
    signer: &Signer,
    file: &Path,
    named: &Place,
) -> Vec<Finding> {
    let Some(user) = &signer.user else {
        return vec![];
    };
    if let Err(obstacle) = access::can(machine, user, file, access::Want::Read) {
        let what = format!("OpenDKIM, as `{}`, cannot read the key: {obstacle}", user.name);
        let cure = match &obstacle {
            Obstacle::Missing(_) => "make the key, or correct the path".to_owned(),
            _ if obstacle.path() == file => format!("`chown {}:{} {}`", user.name, signer.group, file.display()),
            _ => obstacle.cure(&signer.group),
        };
        return vec![Finding::error("opendkim-key-unreadable", what, cure).at(named.clone())];
    }
    let found = access::unsafe_key(machine, accounts, user, file);
    found
        .map(|found| unsafe_key(machine, signer, file, &found))
        .into_iter()
        .collect()
}

fn unsafe_key(machine: &Machine, signer: &Signer, file: &Path, found: &Unsafe) -> Finding {
    let Unsafe { path, node, why } = found;
    let at = path.display();
    let is_key = machine.real(file).is_ok_and(|real| real == *path);
    let bits = if is_key { "rw" } else { "w" };
    let (why, cure) = match why {
        Why::Owner(owner) => {
            let new = if is_key { signer.user_name.as_str() } else { "root" };
            (format!("belongs to `{owner}`"), format!("`chown {new} {at}`"))
        }
        Why::Others => (
            format!("is open to all, mode {:04o}", node.mode),
            format!("`chmod o-{bits} {at}`"),
        ),
        Why::Group { group, member } => {
            let why = format!(
                "is open to the group `{group}`, which `{member}` is in, mode {:04o}",
                node.mode
            );
            let cure = match member == super::signpost::USER {
                true => format!(
                    "`gpasswd -d {member} {group}`, and give Signpost the group by `SupplementaryGroups={group}` of its \
                     unit, which OpenDKIM does not count; or `chmod g-{bits} {at}`, and let Signpost read the .txt"
                ),
                false => format!("`chmod g-{bits} {at}`"),
            };
            (why, cure)
        }
    };
    let (severity, consequence) = match signer.conf.flag("RequireSafeKeys", true) {
        true => (
            Severity::Error,
            "OpenDKIM refuses the key, and mail is deferred (RequireSafeKeys)",
        ),
        false => (Severity::Warning, "others can take or replace the key"),
    };
    let finding = Finding::error("opendkim-key-unsafe", format!("{at} {why}: {consequence}"), cure);
    Finding { severity, ..finding }.at(Place::file(machine.here(file)))
}
