//! What is missing in Postfix's main.cf so that all mail gets to the signer.

use super::draft::Draft;
use super::{Plan, SetupError};
use crate::doctor::accounts::Accounts;
use crate::doctor::machine::Machine;
use crate::doctor::postfix::settings::{MAIN, Settings};
use crate::doctor::postfix::{files, leads, seen_from};
use crate::doctor::signer::Signer;
use crate::doctor::socket::Socket;
use std::path::Path;

/// The plan for Postfix; `throttle` also slows down what is sent to others.
pub fn postfix(machine: &Machine, throttle: bool) -> Result<Plan, SetupError> {
    let mut main = Draft::of(machine, Path::new(MAIN))?;
    let settings = Settings::of(machine).ok_or(SetupError::NoPostfix)?;
    let signer = Signer::of(machine, &Accounts::of(machine));
    let socket = signer.as_ref().and_then(|signer| signer.for_postfix(machine));
    let mut advice = vec![];
    match signer.as_ref().zip(socket.as_ref()) {
        Some((signer, socket)) => {
            let former = signer.former_sockets(machine);
            let milters = Milters {
                machine,
                settings: &settings,
                socket,
                former: &former,
            };
            advice.extend(milters.plan(&mut main));
        }
        // A milter that does not answer holds up all mail.
        None => advice.push(
            "Postfix gets no milter: OpenDKIM has no socket here that Postfix could reach; first `signpost setup opendkim \
             --write` and `systemctl restart opendkim`, then this command again"
                .to_owned(),
        ),
    }
    if throttle {
        slow_down(&mut main, &settings);
    }
    if main.is_changed() {
        advice.push("`postfix reload` puts main.cf in force".to_owned());
    }
    let plan = Plan::new([main], advice);
    Ok(match socket {
        Some(_) => plan,
        None => plan.declined(),
    })
}

/// How OpenDKIM gets among the milters.
struct Milters<'a> {
    machine: &'a Machine,
    settings: &'a Settings,
    /// Where it listens, within Postfix's reach.
    socket: &'a Socket,
    /// Where it used to.
    former: &'a [Socket],
}

impl Milters<'_> {
    /// Edits main.cf; returns what remains to be done by hand.
    fn plan(&self, main: &mut Draft) -> Option<String> {
        let settings = self.settings;
        let smtpd = settings.get("smtpd_milters");
        let leads = |list: &str, program| leads(self.machine, settings, self.socket, list, program);
        let others = self.amend(main, "smtpd_milters", "smtpd", leads(&smtpd, "smtpd"));
        let raw = settings.set("non_smtpd_milters").map_or("", |set| set.value.as_str());
        let follows = raw.contains("$smtpd_milters") || raw.contains("${smtpd_milters}");
        let own = settings.get("non_smtpd_milters");
        if files::milters(&own).is_empty() && !follows {
            set(main, settings, "non_smtpd_milters", "$smtpd_milters");
        } else {
            self.amend(main, "non_smtpd_milters", "cleanup", follows || leads(&own, "cleanup"));
        }
        if settings.get("milter_protocol") != "6" {
            set(main, settings, "milter_protocol", "6");
        }
        let action = settings.get("milter_default_action");
        if !["tempfail", "accept", "quarantine"].contains(&action.as_str()) {
            set(main, settings, "milter_default_action", "tempfail");
        }
        let others = others?;
        Some(format!(
            "`smtpd_milters` keeps what it had, `{others}`: take out what is not there any more, or mail waits for it"
        ))
    }

    /// Puts OpenDKIM into a list unless it `leads` there already, in the place of where it used to listen: nobody does
    /// there, and each message would wait for it. Returns the milters that stay, if the list changed.
    fn amend(&self, main: &mut Draft, parameter: &str, program: &str, leads: bool) -> Option<String> {
        let raw = self.settings.set(parameter).map_or("", |set| set.value.as_str());
        let milter = self.socket.for_postfix(self.settings.chroot(program).as_deref());
        let mut is_missing = !leads;
        let mut is_changed = is_missing;
        let (mut list, mut others) = (vec![], vec![]);
        for entry in files::entries(raw) {
            match files::milters(entry)
                .first()
                .filter(|named| self.is_former(named, program))
            {
                None => {
                    list.push(entry.to_owned());
                    others.push(entry);
                }
                Some(former) => {
                    is_changed = true;
                    if std::mem::take(&mut is_missing) {
                        list.push(entry.replacen(former, &milter, 1));
                    }
                }
            }
        }
        if is_missing {
            list.push(milter);
        }
        if is_changed {
            set(main, self.settings, parameter, &list.join(", "));
        }
        (is_changed && !others.is_empty()).then(|| others.join(", "))
    }

    fn is_former(&self, named: &str, program: &str) -> bool {
        let Some(written) = Socket::of_postfix(named) else {
            return false;
        };
        let seen = seen_from(self.machine, self.settings, &written, &self.settings.chroot(program));
        let is = |socket: &Socket| self.former.iter().any(|former| socket.reaches(former));
        !leads(self.machine, self.settings, self.socket, named, program) && (is(&written) || is(&seen))
    }
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
