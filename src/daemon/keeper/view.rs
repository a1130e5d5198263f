//! How a key stands, for an operator: its stage, what the name servers say, what comes next and when.

use super::Keeper;
use crate::daemon::engine::Engine;
use crate::exchange::{Witness, spoken};
use crate::mail::dkim::{NewKey, Rotation};
use crate::name::Name;
use crate::publish::{KeyState, Stage};
use crate::rotate::Gate;
use serde::Serialize;
use std::fmt;

/// How one key stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::daemon) struct KeyView {
    /// The signing domain.
    domain: String,
    /// The selector.
    selector: String,
    /// Such as `rsa2048`.
    algorithm: String,
    /// `published`, `signing`, `retiring` or `revoked`.
    stage: &'static str,
    /// For how many seconds.
    stage_seconds: u64,
    /// Was it made by Signpost?
    made_here: bool,
    /// May be signed with it? `None` once it is on its way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    safe_to_sign: Option<bool>,
    /// May its record go?
    safe_to_remove: bool,
    /// What the name servers said when they were asked last.
    servers: Vec<ServerView>,
    /// What comes next.
    next: String,
    /// In how many seconds, if that is a matter of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_in_seconds: Option<u64>,
    /// Why the last step of its domain failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ServerView {
    #[serde(flatten)]
    witness: Witness,
    /// For how many seconds it has been a witness against.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem_seconds: Option<u64>,
}

impl Engine {
    pub(in crate::daemon) fn key_view(&self, key: &KeyState, trouble: Option<String>, now: u64) -> KeyView {
        let rotation = self.rotation_of(&key.domain);
        let gate = match key.stage {
            Stage::Live | Stage::Signing => Some(self.gate_of(key, now)),
            Stage::Retiring | Stage::Revoked { .. } => None,
        };
        let (next, at) = self.next_of(key, gate, &rotation, now);
        KeyView {
            domain: key.domain.to_string(),
            selector: key.selector.clone(),
            algorithm: match key.algorithm {
                crate::keys::Algorithm::Rsa { bits } => format!("rsa{bits}"),
                crate::keys::Algorithm::Ed25519 => "ed25519".into(),
            },
            stage: match key.stage {
                Stage::Live => "published",
                Stage::Signing => "signing",
                Stage::Retiring => "retiring",
                Stage::Revoked { .. } => "revoked",
            },
            stage_seconds: now.saturating_sub(key.since),
            made_here: key.course.made,
            safe_to_sign: gate.map(|gate| gate == Gate::Open),
            safe_to_remove: matches!(key.stage, Stage::Revoked { .. }),
            servers: self.keeper.servers_of(key, now),
            next,
            next_in_seconds: at.map(|at| at.saturating_sub(now)),
            trouble,
        }
    }

    /// What comes next for a key, in words, and when.
    fn next_of(&self, key: &KeyState, gate: Option<Gate>, rotation: &Rotation, now: u64) -> (String, Option<u64>) {
        let after = |period: std::time::Duration| Some(key.since.saturating_add(period.as_secs()));
        match (key.stage, gate) {
            _ if key.course.switching => ("the signer is being switched to it".into(), None),
            (Stage::Live, Some(gate)) => {
                let what = match key.course.next {
                    true => "the signer is switched to it",
                    false => "safe to sign with it",
                };
                match gate {
                    Gate::Open => (format!("{what} now"), Some(now)),
                    Gate::Waits { until } => (
                        format!("{what} once resolvers have forgotten what was before"),
                        Some(until),
                    ),
                    Gate::Shut if key.course.seen.is_some() => {
                        (format!("{what} once the name servers are asked again"), None)
                    }
                    Gate::Shut => (format!("{what} once every name server serves it"), None),
                }
            }
            (Stage::Signing, _) => match rotation
                .every
                .filter(|_| self.keeper.has_signer(NewKey::of(key.algorithm)))
            {
                Some(every) => ("its successor is made".into(), after(every)),
                None => ("nothing, until it is rotated".into(), None),
            },
            (Stage::Retiring, _) => {
                let end = after(rotation.retire).filter(|end| *end > now);
                match end {
                    Some(end) => ("it is revoked".into(), Some(end)),
                    None => (
                        "it is revoked once every name server serves the keys after it".into(),
                        None,
                    ),
                }
            }
            (Stage::Revoked { by_command: true }, _) => ("nothing: it was revoked by command".into(), None),
            (Stage::Revoked { .. }, _) if self.is_remembered_for_its_file(key, rotation, now) => {
                ("it is forgotten once its files are gone".into(), None)
            }
            (Stage::Revoked { .. }, _) => (
                "it is forgotten".into(),
                after(rotation.forget).filter(|end| *end > now),
            ),
            (Stage::Live, None) => (String::new(), None),
        }
    }

    fn is_remembered_for_its_file(&self, key: &KeyState, rotation: &Rotation, now: u64) -> bool {
        let keys = self.sources.keys_of(&key.domain);
        key.since.saturating_add(rotation.forget.as_secs()) <= now
            && keys.iter().any(|file| file.selector == key.selector)
    }

    /// The reasons why a domain's next step waits.
    pub(in crate::daemon) fn trouble_of(&self, domain: &Name) -> Option<String> {
        let held = self.keeper.held.get(domain)?;
        Some(held.finding.to_string())
    }
}

impl Keeper {
    fn servers_of(&self, key: &KeyState, now: u64) -> Vec<ServerView> {
        let Some(watch) = self.watched.get(&(key.domain.clone(), key.selector.clone())) else {
            return vec![];
        };
        let last = watch.last.as_ref().filter(|(sought, ..)| sought.record == key.record);
        let witnesses = last.into_iter().flat_map(|(.., witnesses)| witnesses);
        witnesses
            .map(|witness| ServerView {
                witness: witness.clone(),
                problem_seconds: watch
                    .against
                    .get(&witness.server)
                    .map(|since| now.saturating_sub(*since)),
            })
            .collect()
    }
}

impl KeyView {
    /// May be signed with it, or may its record go; else why not, in words.
    pub(in crate::daemon) fn judge(&self, for_removal: bool) -> Result<String, String> {
        let Self { selector, domain, .. } = self;
        let subject = format!("{selector}._domainkey.{domain}");
        match (for_removal, self.safe_to_sign) {
            (true, _) if self.safe_to_remove => Ok(format!("{subject} may go\n")),
            (true, _) => Err(match self.stage {
                "retiring" => format!(
                    "{subject} is still needed by mail in flight; next: {}",
                    self.next_line()
                ),
                "signing" => {
                    format!("{subject} is signed with; have the signer go on to another (`signpost key rotate`)")
                }
                _ => format!(
                    "{subject} is {}, and nothing tells that its signer has left it: switch the signer, and move the \
                     key's files away unless [[signer]] names the signer's tables",
                    self.stage
                ),
            }),
            (false, Some(true)) => Ok(format!("{subject} may be signed with: every name server serves it\n")),
            (false, Some(false)) => {
                let against: Vec<String> = self.all_against().collect();
                Err(match against.is_empty() {
                    true => format!("{subject}: {}", self.next_line()),
                    false => format!("{subject} is not served by {}", against.join("; nor by ")),
                })
            }
            (false, None) => Err(format!(
                "{subject} is {}: it is not to be signed with any more",
                self.stage
            )),
        }
    }

    /// The name servers that do not serve it, and why.
    pub(in crate::daemon) fn all_against(&self) -> impl Iterator<Item = String> {
        self.servers.iter().filter_map(ServerView::against)
    }

    /// It will never be what is waited for.
    pub(in crate::daemon) fn is_hopeless(&self, for_removal: bool) -> bool {
        !for_removal && self.safe_to_sign.is_none()
    }

    /// Does some name server not serve what it should?
    pub(in crate::daemon) fn is_amiss(&self) -> bool {
        self.servers.iter().any(|server| server.witness.problem.is_some())
    }

    fn next_line(&self) -> String {
        match self.next_in_seconds {
            Some(0) | None => self.next.clone(),
            Some(seconds) => format!("{} in {}", self.next, spoken(seconds)),
        }
    }
}

impl ServerView {
    fn against(&self) -> Option<String> {
        let problem = self.witness.problem.as_ref()?;
        let since = self
            .problem_seconds
            .map_or(String::new(), |seconds| format!(", for {}", spoken(seconds)));
        Some(format!("{}: {problem}{since}", self.witness.server))
    }
}

impl fmt::Display for KeyView {
    /// A few lines for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            selector,
            algorithm,
            stage,
            stage_seconds,
            ..
        } = self;
        writeln!(
            f,
            "  {selector}  {algorithm}, {stage} for {}; next: {}",
            spoken(*stage_seconds),
            self.next_line()
        )?;
        let serving = self.servers.iter().filter(|server| server.witness.problem.is_none());
        let serving: Vec<&str> = serving.map(|server| server.witness.server.as_str()).collect();
        if !serving.is_empty() {
            writeln!(f, "    served by {}", serving.join(", "))?;
        }
        for against in self.all_against() {
            writeln!(f, "    NOT served by {against}")?;
        }
        Ok(())
    }
}
