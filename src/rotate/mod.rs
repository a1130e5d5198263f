//! Which step the rotation of a domain's DKIM keys takes next.
//!
//! One life for every key (see [`crate::publish::life`]): it is published, then signed with, then it retires while
//! mail that was signed with it is on its way, then it is revoked, then forgotten. Here is decided when Signpost itself
//! takes a step: makes the next key, has the signer go on to it, removes the files of one that nobody needs any more.
//!
//! What is promised: the signer is switched to a key only when every name server of the zone has been seen to serve it
//! for as long as a resolver may remember that it was not there (RFC 2308 §5), or what was there before, and is seen
//! to serve it still ([`Gate`]). One key of a kind at a time is on its way in. Nothing is remembered here: the steps
//! follow from the stored states of the keys, so that a step which a crash cut short is taken again.
//!
//! Pure: states, policy, what was seen, and the time in; steps, and when to look again, out.
//!
//! | file | what lives there |
//! |---|---|
//! | `gate` | when it is safe to sign with a key, and to withdraw the one before |

mod gate;

pub use gate::{Gate, Sighting, gate, seen, unseen_successors, wait};

use crate::mail::dkim::{NewKey, SelectorPattern};
use crate::publish::{KeyState, Stage};
use std::time::Duration;

/// How the keys of a domain are rotated: `[mail.dkim.rotation]`.
#[derive(Clone)]
pub struct Schedule<'p> {
    /// So often a new key is made; `None`: only when somebody orders it.
    pub every: Option<Duration>,
    /// The kinds of key to have.
    pub algorithms: &'p [NewKey],
    /// What new selectors look like.
    pub selector: &'p SelectorPattern,
    /// Is there a signer that can be switched to keys of this kind?
    pub has_signer: &'p dyn Fn(NewKey) -> bool,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a key.
    Make {
        /// Its selector.
        selector: String,
        /// Its kind.
        algorithm: NewKey,
    },
    /// This key is the next to sign with: note it.
    Choose {
        /// Its selector.
        selector: String,
    },
    /// Have the signer sign with this key.
    Switch {
        /// Its selector.
        selector: String,
        /// The selector that it takes the place of.
        old: Option<String>,
    },
    /// Remove the files of a key that is revoked and was made here.
    Discard {
        /// Its selector.
        selector: String,
    },
}

/// The steps of one domain, and when to look again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is to be done now; doing it changes the states.
    pub steps: Vec<Step>,
    /// When something falls due by time, in seconds since 1970.
    pub deadline: Option<u64>,
}

/// What is to be done about the keys of a domain. `has_file` tells of which selectors the files are there, `gate_of`
/// how the way to a key stands, `now` is in seconds since 1970.
pub fn plan(
    states: &[KeyState],
    schedule: &Schedule<'_>,
    has_file: &dyn Fn(&str) -> bool,
    gate_of: &dyn Fn(&KeyState) -> Gate,
    now: u64,
) -> Plan {
    let mut plan = Plan::default();
    for kind in kinds(states, schedule) {
        if (schedule.has_signer)(kind) {
            of_kind(&mut plan, states, schedule, gate_of, kind, now);
        }
    }
    for key in states {
        let is_over = matches!(key.stage, Stage::Revoked { .. });
        if is_over && key.course.made && key.course.spent && has_file(&key.selector) {
            let selector = key.selector.clone();
            plan.steps.push(Step::Discard { selector });
        }
    }
    plan
}

/// The kinds of key that are to be or that somebody chose one of.
fn kinds(states: &[KeyState], schedule: &Schedule<'_>) -> Vec<NewKey> {
    let mut kinds: Vec<NewKey> = match schedule.every {
        Some(_) => schedule.algorithms.to_vec(),
        None => vec![],
    };
    for key in states.iter().filter(|key| key.course.next || key.course.switching) {
        if !kinds.iter().any(|kind| kind.is_kind_of(key.algorithm)) {
            kinds.push(NewKey::of(key.algorithm));
        }
    }
    kinds
}

fn of_kind(
    plan: &mut Plan,
    states: &[KeyState],
    schedule: &Schedule<'_>,
    gate_of: &dyn Fn(&KeyState) -> Gate,
    kind: NewKey,
    now: u64,
) {
    let of_kind = || states.iter().filter(|key| kind.is_kind_of(key.algorithm));
    let signing = of_kind()
        .filter(|key| key.stage == Stage::Signing)
        .max_by_key(|key| key.since);
    // One that was begun is brought to its end, for the signer may be between the two; unless the key is lost by now.
    let chosen = of_kind()
        .filter(|key| key.is_on_its_way())
        .max_by_key(|key| (key.course.switching, key.since));
    if let Some(chosen) = chosen {
        let gate = gate_of(chosen);
        if chosen.course.switching || gate == Gate::Open {
            plan.steps.push(Step::Switch {
                selector: chosen.selector.clone(),
                old: signing
                    .map(|key| key.selector.clone())
                    .filter(|old| *old != chosen.selector),
            });
        } else if let Gate::Waits { until } = gate {
            plan.wake_at(until);
        }
        return;
    }
    let Some(every) = schedule.every else {
        return;
    };
    let due = signing.map_or(now, |key| key.since.saturating_add(every.as_secs()));
    // A clock that was set back must not stop the rotation for years.
    let is_ahead = signing.is_some_and(|key| key.since > now.saturating_add(every.as_secs()));
    if now < due && !is_ahead {
        plan.wake_at(due);
        return;
    }
    // Somebody, or we before a crash, put one there already.
    let ready = of_kind()
        .filter(|key| key.stage == Stage::Live && signing.is_none_or(|signing| key.since >= signing.since))
        .max_by_key(|key| key.since);
    plan.steps.push(match ready {
        Some(key) => Step::Choose {
            selector: key.selector.clone(),
        },
        None => Step::Make {
            selector: schedule.selector.unused(now, kind, &|selector| {
                states.iter().any(|key| key.selector == selector) || is_planned(plan, selector)
            }),
            algorithm: kind,
        },
    });
}

fn is_planned(plan: &Plan, name: &str) -> bool {
    let made = |step: &Step| matches!(step, Step::Make { selector, .. } if selector == name);
    plan.steps.iter().any(made)
}

impl Plan {
    fn wake_at(&mut self, at: u64) {
        self.deadline = Some(self.deadline.map_or(at, |before| before.min(at)));
    }
}

#[cfg(test)]
mod simulation;
