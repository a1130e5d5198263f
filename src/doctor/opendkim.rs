//! OpenDKIM's options: does it start, does it sign, whose mail, and where does it listen (the tutorial's steps 3.1,
//! 3.2, 3.7 and 3.10)?

use super::access::{self, Want};
use super::conf::{CONF, Conf, DataSet};
use super::machine::Machine;
use super::signer::{self, Signer};
use super::socket::Socket;
use super::tables::SigningKey;
use super::units::Unit;
use crate::config::Config;
use crate::finding::{Finding, Place};
use crate::signer::bare;
use std::path::Path;

/// What rspamd has of its own for signing (its module dkim_signing).
const RSPAMD: &str = "/etc/rspamd/local.d/dkim_signing.conf";

/// What to say where OpenDKIM is not installed. Another program may sign: who has Signpost switch one has said so.
pub(super) fn missing(machine: &Machine, config: Option<&Config>) -> Finding {
    let others = config.is_some_and(|config| !config.signers.is_empty()) || machine.has(Path::new(RSPAMD));
    if others {
        let what = "OpenDKIM has no configuration here; another program signs, which was not looked at";
        return Finding::note("opendkim-missing", what).at(Place::file(machine.here(Path::new(CONF))));
    }
    let what = "OpenDKIM has no configuration here, so nothing signs mail with its keys";
    let cure = "`apt-get install opendkim opendkim-tools`, then `signpost setup opendkim --write`";
    Finding::warning("opendkim-missing", what, cure).at(Place::file(machine.here(Path::new(CONF))))
}

/// Everything there is to say of the options; the tables and keys are judged elsewhere.
pub(super) fn judge(machine: &Machine, signer: &Signer, keys: &[SigningKey]) -> Vec<Finding> {
    let mut findings = signer.conf.findings.clone();
    findings.extend(mode(machine, signer));
    findings.extend(user(signer));
    findings.extend(socket(machine, signer));
    findings.extend(pid_file(machine, signer));
    for option in ["InternalHosts", "ExternalIgnoreList"] {
        findings.extend(hosts(machine, signer, option, keys));
    }
    findings
}

fn mode(machine: &Machine, signer: &Signer) -> Option<Finding> {
    let mode = signer.conf.get("Mode").filter(|mode| !mode.value.contains('s'))?;
    let what = format!("`Mode {}` only verifies: no mail is signed", mode.value);
    let cure = "write `Mode sv`, or remove the line";
    Some(Finding::error("opendkim-mode", what, cure).at(mode.place(machine)))
}

fn user(signer: &Signer) -> Option<Finding> {
    let name = &signer.user_name;
    let finding = match &signer.user {
        None => Finding::error(
            "opendkim-user",
            format!("OpenDKIM is to run as `{name}`, and there is no such user"),
            "`UserID opendkim:opendkim`; the package makes that user",
        ),
        Some(user) if user.uid == 0 => Finding::warning(
            "opendkim-user",
            "OpenDKIM runs as root: it speaks with the network and needs no such power",
            "write `UserID opendkim:opendkim`, and give it its keys: `chown -R opendkim: /etc/opendkim`",
        ),
        Some(_) => return None,
    };
    Some(finding.at(signer.user_place.clone()))
}

fn socket(machine: &Machine, signer: &Signer) -> Vec<Finding> {
    let Some((written, place)) = &signer.socket else {
        let what = "nothing says where OpenDKIM listens, and it does not start without";
        let cure = "write `Socket inet:12345@localhost`";
        let place = Place::file(machine.here(&signer.file));
        return vec![Finding::error("opendkim-socket", what, cure).at(place)];
    };
    let Some(socket) = Socket::of_milter(written) else {
        let what = format!("`{written}` is no socket of a milter");
        let cure = "write `inet:12345@localhost` or `local:/run/opendkim/opendkim.sock`";
        return vec![Finding::error("opendkim-socket", what, cure).at(place.clone())];
    };
    let mut findings = vec![];
    if socket.is_open() {
        let what = format!("`{written}` listens on every address: anybody can have mail signed in your name");
        let cure = "write the host behind the port, `@localhost`";
        findings.push(Finding::warning("opendkim-socket-open", what, cure));
    }
    findings.extend(alive(machine, signer, &socket));
    if let Some(set) = signer.conf.value("Socket").filter(|set| *set != written) {
        let what =
            format!("OpenDKIM is started with `-p {written}`, which counts, and not `{set}` of its configuration");
        let cure = "let one of the two say it: remove `-p` here, or make them the same";
        findings.push(Finding::warning("opendkim-socket-twice", what, cure));
    }
    let mut findings: Vec<Finding> = findings.into_iter().map(|finding| finding.at(place.clone())).collect();
    let unused = signer::default_socket(machine).filter(|_| signer.unit.is_some());
    if let Some((default, place)) = unused.filter(|(default, _)| default != written) {
        let what = format!("systemd does not heed this file: OpenDKIM listens at `{written}`, not at `{default}`");
        findings.push(Finding::note("opendkim-default-unused", what).at(place));
    }
    findings
}

/// Does OpenDKIM listen? Told of this machine only, others may be asleep.
fn alive(machine: &Machine, signer: &Signer, socket: &Socket) -> Option<Finding> {
    let cure = "`systemctl status opendkim` and `journalctl -u opendkim` tell why";
    match socket {
        Socket::Unix(path) if !machine.has(path) => absent(machine, signer, path, cure),
        _ if machine.is_this() => {
            let why = socket.answers().err()?;
            let what = format!("OpenDKIM does not answer there: {why}");
            Some(Finding::error("opendkim-not-running", what, cure))
        }
        _ => None,
    }
}

/// A UNIX socket that is not there: could OpenDKIM make it?
fn absent(machine: &Machine, signer: &Signer, path: &Path, cure: &str) -> Option<Finding> {
    if let (Some(user), Some(folder)) = (&signer.user, path.parent())
        && let Err(obstacle) = access::can(machine, user, folder, Want::Write)
    {
        // A directory below /run is made at each start.
        if folder.starts_with("/run") && !machine.is_this() {
            return None;
        }
        let what = format!("OpenDKIM cannot make its socket there: {obstacle}");
        let cure = format!(
            "`mkdir -p {0}`, `chown {1}:{2} {0}` and `chmod 750 {0}`",
            folder.display(),
            signer.user_name,
            signer.group
        );
        return Some(Finding::error("opendkim-socket-directory", what, cure));
    }
    let what = "there is no socket: OpenDKIM does not run";
    machine
        .is_this()
        .then(|| Finding::error("opendkim-not-running", what, cure))
}

/// A unit of `Type=forking` with `PIDFile=` is ended by systemd if the file does not appear.
fn pid_file(machine: &Machine, signer: &Signer) -> Option<Finding> {
    let unit = signer.unit.as_ref()?;
    let (expected, set) = missing_pid_file(machine, unit, &signer.conf)?;
    let what = match set {
        Some(set) => format!("OpenDKIM writes its pid to {set}, and systemd waits for {expected}"),
        None => format!("OpenDKIM writes no pid, and systemd waits for {expected}"),
    };
    let what = format!("{what}: after a while it ends the service and starts it again");
    let cure = format!("write `PidFile {expected}`");
    let place = match signer.conf.get("PidFile") {
        Some(setting) => setting.place(machine),
        None => Place::file(machine.here(&signer.file)),
    };
    Some(Finding::error("opendkim-pid-file", what, cure).at(place))
}

/// The file that systemd waits for and OpenDKIM does not write, and the one that it writes.
pub(super) fn missing_pid_file<'a>(
    machine: &Machine,
    unit: &'a Unit,
    conf: &'a Conf,
) -> Option<(&'a str, Option<&'a str>)> {
    let expected = unit
        .value("PIDFile")
        .filter(|_| unit.value("Type") == Some("forking"))?;
    let set = unit.argument("-P").or_else(|| conf.value("PidFile"));
    let real = |path: &str| machine.real(Path::new(path)).ok();
    let is_same = set.is_some_and(|set| real(set) == real(expected));
    (!is_same).then_some((expected, set))
}

/// Hosts whose mail is signed, or who may send as the domain unsigned.
fn hosts(machine: &Machine, signer: &Signer, option: &str, keys: &[SigningKey]) -> Vec<Finding> {
    let Some((setting, set)) = signer.conf.data_set(option) else {
        return vec![];
    };
    let set_at = setting.place(machine);
    let entries: Vec<(String, Place)> = match set {
        DataSet::List(entries) => entries.into_iter().map(|entry| (entry, set_at.clone())).collect(),
        DataSet::Other(_) => return vec![],
        DataSet::File { path, .. } => {
            let path = signer.absolute(&path);
            if let Some(finding) = unreadable(machine, signer, &path, option) {
                return vec![finding.at(set_at)];
            }
            lines(machine, &path)
        }
    };
    if option != "InternalHosts" {
        return vec![];
    }
    let foreign = entries.iter().filter(|(entry, _)| is_foreign(entry, keys));
    let mut findings: Vec<Finding> = foreign
        .map(|(entry, place)| {
            let what = format!("mail that comes from {entry} is signed as yours; remove the host if you do not run it");
            Finding::note("opendkim-host-trusted", what).at(place.clone())
        })
        .collect();
    if !entries.iter().any(|(entry, _)| is_here(entry)) {
        let what = "neither `127.0.0.1` nor `localhost` is among the internal hosts: mail of this machine is verified, \
                    not signed";
        let cure = "add lines `127.0.0.1`, `::1` and `localhost`";
        findings.push(Finding::error("opendkim-internal-hosts", what, cure).at(set_at));
    }
    findings
}

/// Does this entry stand for this machine?
pub(super) fn is_here(entry: &str) -> bool {
    ["localhost", "0.0.0.0/0", "::/0", "::1"].contains(&entry) || entry.starts_with("127.")
}

/// The entries of a file of hosts, and where they stand.
pub(super) fn lines(machine: &Machine, path: &Path) -> Vec<(String, Place)> {
    let text = machine.text(path).unwrap_or_default();
    let here = machine.here(path);
    let entries = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    (1..)
        .zip(entries)
        .filter(|(_, entry)| !entry.is_empty())
        .map(|(line, entry)| (entry.to_owned(), Place::line(&here, line)))
        .collect()
}

/// Is it the name of a host, and of none in a domain that is signed for?
fn is_foreign(entry: &str, keys: &[SigningKey]) -> bool {
    let name = entry.trim_start_matches(['!', '.']).to_ascii_lowercase();
    let is_name = name.contains('.') && name.contains(|c: char| c.is_ascii_lowercase()) && !name.contains([':', '/']);
    let mut domains = keys.iter().filter_map(|key| key.domain.as_ref()).map(bare);
    is_name && !domains.any(|domain| name == domain || name.ends_with(&format!(".{domain}")))
}

/// A file that OpenDKIM's user has to read.
pub(super) fn unreadable(machine: &Machine, signer: &Signer, path: &Path, what_for: &str) -> Option<Finding> {
    let user = signer.user.as_ref()?;
    let obstacle = access::can(machine, user, path, Want::Read).err()?;
    let what = format!("OpenDKIM, as `{}`, cannot read its {what_for}: {obstacle}", user.name);
    Some(Finding::error(
        "opendkim-unreadable",
        what,
        obstacle.cure(&signer.group),
    ))
}
