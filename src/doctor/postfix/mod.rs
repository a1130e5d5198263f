//! Does Postfix hand all mail to the signer, and how fast does it send (the tutorial's steps 3.9 and 5)?

pub(in crate::doctor) mod files;
pub(in crate::doctor) mod settings;
mod throttle;

use super::access::{self, Obstacle, Want};
use super::accounts::Accounts;
use super::machine::{Machine, Node};
use super::socket::Socket;
use crate::finding::{Finding, Place};
use rustix::fs::FileType;
use settings::{MAIN, MASTER, Settings};
use std::path::{Path, PathBuf};

/// What the signer's configuration says of its socket.
#[derive(Debug, Clone)]
pub(super) struct Listening {
    pub(super) socket: Socket,
    /// The signer's group, which whoever connects to a UNIX socket is to be in.
    pub(super) group: String,
    /// What the node of a UNIX socket will be.
    pub(super) node: Node,
}

/// By which parameter mail gets to milters, which program heeds it, and which mail that is.
const WAYS: [(&str, &str, &str); 2] = [
    ("smtpd_milters", "smtpd", "mail that comes by SMTP (from mail programs)"),
    (
        "non_smtpd_milters",
        "cleanup",
        "mail that comes by sendmail(1) (from web sites and cron)",
    ),
];

const ACCESS: &str = "postfix-socket-access";

/// Everything there is to say of Postfix.
pub(super) fn judge(machine: &Machine, accounts: &Accounts, listening: Option<&Listening>) -> Vec<Finding> {
    let Some(settings) = Settings::of(machine) else {
        let main = machine.here(Path::new(MAIN));
        let what = match machine.has(Path::new(MAIN)) {
            true => "main.cf cannot be read here: whether mail gets to the signer was not judged; run it as root",
            false => "Postfix has no main.cf here: whether mail gets to the signer was not judged",
        };
        return vec![Finding::note("postfix-missing", what).at(Place::file(main))];
    };
    let mut findings = vec![];
    for (parameter, program, mail) in WAYS {
        let milters = settings.get(parameter);
        let place = || settings.place(machine, parameter);
        findings.extend(twice(machine, &settings, parameter));
        if files::milters(&milters).is_empty() {
            let what = format!("`{parameter}` is empty, so that {mail} is not signed");
            let cure = "`signpost setup postfix` shows the line that is missing, and writes it with `--write`";
            findings.push(Finding::error("postfix-no-milter", what, cure).at(place()));
        } else if let Some(listening) = listening {
            let finding = reach(machine, accounts, &settings, listening, (&milters, program));
            // Both programs run as the same user: what keeps it from connecting is told once.
            let is_new =
                |new: &Finding| new.code != ACCESS || findings.iter().all(|told: &Finding| told.code != ACCESS);
            findings.extend(finding.filter(is_new).map(|finding| finding.at(place())));
        }
    }
    findings.extend(overridden(machine, &settings, listening));
    findings.extend(action(machine, &settings));
    findings.extend(protocol(machine, &settings));
    findings.extend(throttle::judge(machine, &settings));
    findings
}

/// The second line replaces the first: the milters of the first one are not asked any more.
fn twice(machine: &Machine, settings: &Settings, parameter: &str) -> Option<Finding> {
    let lines: Vec<u32> = settings.all(parameter).map(|set| *set.lines.start()).collect();
    let [first, .., _] = lines.as_slice() else {
        return None;
    };
    let what = format!("`{parameter}` is set again; line {first} counts no more, and the milters in it are not asked");
    let cure = "write all milters into one line, separated by commas";
    Some(Finding::warning("postfix-set-twice", what, cure).at(settings.place(machine, parameter)))
}

/// Does `program` reach the signer by one of `milters`?
fn reach(
    machine: &Machine,
    accounts: &Accounts,
    settings: &Settings,
    listening: &Listening,
    (milters, program): (&str, &str),
) -> Option<Finding> {
    let meant = real(machine, &listening.socket);
    if !leads(machine, settings, &listening.socket, milters, program) {
        return Some(elsewhere(&listening.socket, settings, (milters, program)));
    }
    let (Socket::Unix(path), Some(postfix)) = (&meant, accounts.user(&settings.get("mail_owner"))) else {
        return None;
    };
    let obstacle = match access::can(machine, &postfix, path, Want::Write) {
        Ok(()) => return None,
        // It is made when the signer starts: judged as it will be.
        Err(Obstacle::Missing(missing)) if missing == *path => {
            let passed = path
                .parent()
                .map_or(Ok(()), |parent| access::can_pass(machine, &postfix, parent));
            match passed {
                Err(obstacle) => obstacle,
                Ok(()) if access::permits(listening.node, &postfix, Want::Write) => return None,
                Ok(()) => Obstacle::Closed {
                    path: path.clone(),
                    node: listening.node,
                    want: Want::Write,
                },
            }
        }
        // A directory below /run is made at each start.
        Err(Obstacle::Missing(_)) if path.starts_with("/run") && !machine.is_this() => return None,
        Err(obstacle) => obstacle,
    };
    let what = format!(
        "Postfix's user `{}` cannot connect to OpenDKIM: {obstacle}",
        postfix.name
    );
    let cure = match &obstacle {
        Obstacle::Missing(_) => obstacle.cure(&listening.group),
        _ => format!(
            "`adduser {} {}`, `UMask 007` in opendkim.conf, and start both again",
            postfix.name, listening.group
        ),
    };
    Some(Finding::error(ACCESS, what, cure))
}

/// Does one of `milters`, as `program` sees it, lead to what listens at `socket`?
pub(super) fn leads(machine: &Machine, settings: &Settings, socket: &Socket, milters: &str, program: &str) -> bool {
    let chroot = settings.chroot(program);
    let meant = real(machine, socket);
    let seen = files::milters(milters).into_iter().filter_map(Socket::of_postfix);
    seen.map(|socket| seen_from(machine, settings, &socket, &chroot))
        .any(|socket| socket.reaches(&meant))
}

fn elsewhere(socket: &Socket, settings: &Settings, (milters, program): (&str, &str)) -> Finding {
    let chroot = settings.chroot(program);
    let what = format!("OpenDKIM listens at `{}`, and `{milters}` does not lead there", {
        socket.for_postfix(None)
    });
    match (socket, &chroot) {
        (Socket::Unix(path), Some(queue)) if !path.starts_with(queue) => {
            let what = format!("{what}: {program} has {} for its root", queue.display());
            let cure = format!(
                "let OpenDKIM listen within, `Socket local:{}/opendkim/opendkim.sock`, or by TCP, \
                 `Socket inet:12345@localhost`; `signpost setup opendkim` and `signpost setup postfix` show how",
                queue.display()
            );
            Finding::error("postfix-milter-elsewhere", what, cure)
        }
        _ => {
            let cure = format!("name `{}` in it", socket.for_postfix(chroot.as_deref()));
            Finding::error("postfix-milter-elsewhere", what, cure)
        }
    }
}

/// What a socket is to a program that may live in a chroot.
pub(super) fn seen_from(machine: &Machine, settings: &Settings, socket: &Socket, chroot: &Option<PathBuf>) -> Socket {
    let Socket::Unix(path) = socket else {
        return socket.clone();
    };
    let whole = match (chroot, path.strip_prefix("/")) {
        (Some(queue), Ok(below)) => queue.join(below),
        (None, Ok(_)) => path.clone(),
        (_, Err(_)) => settings.queue().join(path),
    };
    real(machine, &Socket::Unix(whole))
}

fn real(machine: &Machine, socket: &Socket) -> Socket {
    match socket {
        Socket::Unix(path) => Socket::Unix(machine.real(path).unwrap_or_else(|_| path.clone())),
        Socket::Inet { .. } => socket.clone(),
    }
}

/// Services for mail programs that go without the milter, by `-o smtpd_milters=` or `no_milters` in master.cf.
fn overridden(machine: &Machine, settings: &Settings, listening: Option<&Listening>) -> Vec<Finding> {
    const SUBMISSION: [&str; 5] = ["submission", "submissions", "smtps", "465", "587"];
    let services = settings.services.iter().filter(|service| {
        let name = service.name.rsplit(':').next().unwrap_or_default();
        service.command == "smtpd" && SUBMISSION.contains(&name)
    });
    let mut findings = vec![];
    for service in services {
        let set = |name: &str| service.overrides.iter().rev().find(|(known, _)| known == name);
        let place = Place::line(machine.here(Path::new(MASTER)), service.line);
        if let Some((_, options)) = set("receive_override_options")
            && options.split([',', ' ', '\t']).any(|option| option == "no_milters")
        {
            let what = format!(
                "the service `{}` asks no milter (`no_milters`): mail that comes by it is not signed",
                service.name
            );
            let cure = "take `no_milters` out of the `-o receive_override_options` of the service";
            findings.push(Finding::warning("postfix-milter-overridden", what, cure).at(place.clone()));
            continue;
        }
        let Some((_, raw)) = set("smtpd_milters") else {
            continue;
        };
        let value = files::expand(raw, &|name| Some(settings.get(name)));
        let leads = listening.is_none_or(|listening| leads(machine, settings, &listening.socket, &value, "smtpd"));
        if !leads || files::milters(&value).is_empty() {
            let what = format!(
                "the service `{}` has milters of its own, `{value}`: mail that comes by it is not signed",
                service.name
            );
            let cure = "remove the `-o smtpd_milters` of the service, or write `$smtpd_milters` into it";
            findings.push(Finding::warning("postfix-milter-overridden", what, cure).at(place));
        }
    }
    findings
}

/// What becomes of mail while the signer is down.
fn action(machine: &Machine, settings: &Settings) -> Option<Finding> {
    let action = settings.get("milter_default_action");
    let place = settings.place(machine, "milter_default_action");
    let finding = match action.as_str() {
        "tempfail" => return None,
        "accept" => Finding::note(
            "postfix-unsigned-when-down",
            "while OpenDKIM is down or stuck, mail leaves unsigned; with `milter_default_action = tempfail` it would wait",
        ),
        "quarantine" => Finding::note(
            "postfix-unsigned-when-down",
            "while OpenDKIM is down or stuck, mail is put on hold until somebody releases it",
        ),
        _ => Finding::warning(
            "postfix-default-action",
            format!("while OpenDKIM is down or stuck, mail is lost or refused: `milter_default_action = {action}`"),
            "write `tempfail`, so that it waits, or `accept`, so that it leaves unsigned",
        ),
    };
    Some(finding.at(place))
}

fn protocol(machine: &Machine, settings: &Settings) -> Option<Finding> {
    let version = settings.get("milter_protocol");
    let number = version
        .split_whitespace()
        .next()
        .and_then(|word| word.parse::<u32>().ok());
    if number == Some(6) {
        return None;
    }
    let what = format!("`milter_protocol = {version}` is not what today's OpenDKIM and Postfix speak");
    let cure = "remove the line, or write 6, which is the default";
    Some(Finding::warning("postfix-milter-protocol", what, cure).at(settings.place(machine, "milter_protocol")))
}

/// The node that a UNIX socket will be: made with every bit but those of the umask.
pub(super) fn socket_node(uid: u32, gid: u32, umask: u32) -> Node {
    Node {
        kind: FileType::Socket,
        mode: 0o777 & !umask,
        uid,
        gid,
    }
}
