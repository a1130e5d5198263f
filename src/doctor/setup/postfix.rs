//! What is missing in Postfix's main.cf so that all mail gets to the signer.

use super::Plan;
use super::draft::Draft;
use crate::doctor::accounts::Accounts;
use crate::doctor::machine::Machine;
use crate::doctor::postfix::settings::{MAIN, Settings};
use crate::doctor::postfix::{files, leads};
use crate::doctor::signer::Signer;
use crate::doctor::socket::Socket;
use std::path::Path;

/// The plan for Postfix; `throttle` also slows down what is sent to others. `None` where there is no main.cf.
pub fn postfix(machine: &Machine, throttle: bool) -> Option<Plan> {
    let settings = Settings::of(machine)?;
    let accounts = Accounts::of(machine);
    let written = Signer::of(machine, &accounts).and_then(|signer| signer.socket);
    let socket = written
        .and_then(|(written, _)| Socket::of_milter(&written))
        .unwrap_or(Socket::Inet {
            host: Some("localhost".to_owned()),
            port: super::opendkim::PORT.to_owned(),
        });
    let mut main = Draft::of(machine, Path::new(MAIN));
    let mut advice = vec![];
    let smtpd = settings.get("smtpd_milters");
    let smtpd_leads = leads(machine, &settings, &socket, &smtpd, "smtpd");
    if !smtpd_leads {
        let milter = socket.for_postfix(settings.chroot("smtpd").as_deref());
        let raw = settings.set("smtpd_milters").map_or("", |set| set.value.as_str());
        if !files::milters(&smtpd).is_empty() {
            advice.push(format!(
                "`smtpd_milters` keeps what it had, `{smtpd}`: take out what is not there any more, or mail waits for it"
            ));
        }
        set(&mut main, &settings, "smtpd_milters", &joined(raw, &milter));
    }
    let raw = settings.set("non_smtpd_milters").map_or("", |set| set.value.as_str());
    let follows = raw.contains("$smtpd_milters") || raw.contains("${smtpd_milters}");
    let own = settings.get("non_smtpd_milters");
    if files::milters(&own).is_empty() && !follows {
        set(&mut main, &settings, "non_smtpd_milters", "$smtpd_milters");
    } else if !follows && !leads(machine, &settings, &socket, &own, "cleanup") {
        let milter = socket.for_postfix(settings.chroot("cleanup").as_deref());
        set(&mut main, &settings, "non_smtpd_milters", &joined(raw, &milter));
    }
    if settings.get("milter_protocol") != "6" {
        set(&mut main, &settings, "milter_protocol", "6");
    }
    let action = settings.get("milter_default_action");
    if !["tempfail", "accept", "quarantine"].contains(&action.as_str()) {
        set(&mut main, &settings, "milter_default_action", "tempfail");
    }
    if throttle {
        slow_down(&mut main, &settings);
    }
    if main.is_changed() {
        advice.push("`postfix reload` puts main.cf in force".to_owned());
    }
    Some(Plan::new([main], advice))
}

/// What the tutorial's step 5 is after, for mail to others only and by the parameters that do it.
fn slow_down(main: &mut Draft, settings: &Settings) {
    let delay = settings.set("default_destination_rate_delay");
    let portion = settings.set("default_extra_recipient_limit");
    let wanted = [
        ("smtp_destination_rate_delay", delay, "5s"),
        ("smtp_destination_recipient_limit", portion, "3"),
    ];
    for (parameter, meant, default) in wanted {
        if settings.set(parameter).is_none() {
            let value = meant.map_or(default, |meant| meant.value.as_str());
            main.add(format!("{parameter} = {value}"));
        }
    }
    for misleading in ["default_destination_rate_delay", "default_extra_recipient_limit"] {
        settings.all(misleading).for_each(|set| main.remove(set.lines.clone()));
    }
}

fn set(main: &mut Draft, settings: &Settings, name: &str, value: &str) {
    let line = format!("{name} = {value}");
    match settings.set(name) {
        Some(set) => main.replace(set.lines.clone(), line),
        None => main.add(line),
    }
}

fn joined(list: &str, milter: &str) -> String {
    match list.trim() {
        "" => milter.to_owned(),
        list => format!("{list}, {milter}"),
    }
}
