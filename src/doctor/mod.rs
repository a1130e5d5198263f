//! `signpost doctor`: the mail machine around the name server, from its files.
//!
//! It looks at what a person sets up by hand when mail is to be signed: OpenDKIM's options, tables and keys with
//! owners and modes, what Signpost publishes for them and can read of them, the milters of Postfix and how fast
//! it sends. It changes nothing; [`setup`] proposes what is missing, and writes it when it is told to.
//!
//! | file | what it is |
//! |---|---|
//! | [`machine`], `accounts`, `access` | a root directory; its users; who may open what, and which keys are safe |
//! | `conf`, `units`, `socket` | opendkim.conf, systemd units, sockets in the spellings of both programs |
//! | `signer`, `opendkim`, `tables` | OpenDKIM: what it is told, its options, its tables and keys |
//! | `signpost` | what is published for the keys, and whether Signpost can read them |
//! | `postfix` | main.cf and master.cf, milters, throttling |
//! | [`setup`] | what is missing, as a change of files |

mod access;
mod accounts;
mod conf;
pub mod machine;
mod opendkim;
mod postfix;
pub mod setup;
mod signer;
mod signpost;
mod socket;
mod tables;
mod units;

use crate::config::Config;
use crate::finding::Finding;
use accounts::Accounts;
use machine::Machine;
use postfix::settings::MAIN;
use signer::Signer;
use std::path::Path;
use tables::Judged;

/// What the doctor found.
#[derive(Debug)]
pub struct Examined {
    /// Every finding.
    pub findings: Vec<Finding>,
    /// What was looked at, in words.
    pub scope: String,
}

/// Looks at everything. Without a configuration of Signpost the rest is judged.
pub fn examine(machine: &Machine, config: Option<&Config>) -> Examined {
    let accounts = Accounts::of(machine);
    let signer = Signer::of(machine, &accounts);
    let mut findings = vec![];
    let mut keys = vec![];
    match &signer {
        None => findings.push(opendkim::missing(machine, config)),
        Some(signer) => {
            let judged: Judged = tables::judge(machine, &accounts, signer);
            findings.extend(opendkim::judge(machine, signer, &judged.keys));
            findings.extend(judged.findings);
            keys = judged.keys;
        }
    }
    match config {
        None => {
            let what = "there is no configuration of Signpost: keys were held against the .txt files beside them";
            findings.push(Finding::note("doctor-no-config", what));
            findings.extend(signpost::compare(machine, &keys, None));
        }
        Some(config) => {
            let root = machine.own(&config.keys);
            let directory = signpost::key_directory(machine, &root);
            findings.extend(signpost::compare(machine, &keys, Some(&directory)));
            findings.extend(signpost::reading(machine, &accounts, &keys, &root));
        }
    }
    let listening = signer.as_ref().and_then(|signer| signer.listening(&accounts));
    findings.extend(postfix::judge(machine, &accounts, listening.as_ref()));
    findings.sort();
    findings.dedup();
    let has_postfix = machine.has(Path::new(MAIN));
    let scope = match (&signer, keys.len(), has_postfix) {
        (None, _, false) => "neither OpenDKIM nor Postfix is here".to_owned(),
        (None, _, true) => "Postfix".to_owned(),
        (Some(_), 1, true) => "OpenDKIM with 1 key, and Postfix".to_owned(),
        (Some(_), number, true) => format!("OpenDKIM with {number} keys, and Postfix"),
        (Some(_), 1, false) => "OpenDKIM with 1 key".to_owned(),
        (Some(_), number, false) => format!("OpenDKIM with {number} keys"),
    };
    Examined { findings, scope }
}
