//! The life of a published DKIM key: live, retiring, revoked, gone.
//!
//! ```text
//!           signer names it       signer names another            retire            forget
//!   Live ──────────────────▶ Signing ──────────────▶ Retiring ──────▶ Revoked ─────────▶ forgotten
//!    ▲ ▲                        │ file gone              │               │
//!    │ │                        └───────────────────────▶│               │
//!    │ └──────────────── file gone / file back ──────────┴───────────────┘   by command: ──▶ Revoked, and it stays so
//!    └ file with another public key
//! ```
//!
//! Mail in flight was signed with a key that its signer has left or whose file is gone, so its record stays for
//! `retire`; then `p=` is empty, which tells verifiers that the key is withdrawn (RFC 6376 §3.6.1); after `forget`
//! there is nothing. A whole directory that vanishes, unmounted perhaps, is many files that vanish.
//! A key revoked by command stays revoked while the same public key is in its file, and its
//! fingerprint is remembered after the record is gone: a backup brought back must not revive it.
//! What the signer names is known where its tables can be read or Signpost switches it itself; where it is not, a key is
//! live as long as its file is there.
//!
//! Pure: stored states, the keys of the directory and the time in; the keys to show, the states to
//! store and the next deadline out. Doing it again at the same time changes nothing.
//!
//! **Clocks.** Time is seconds since 1970 by the wall clock, because it must survive a restart, and
//! wall clocks jump. A step is counted from the moment it was taken, never from when it fell due,
//! and at most one is taken at a time: a jump forward (or a year switched off) costs a key at most
//! the rest of the period it was in. After a jump backward no time has passed; a period that would
//! begin further in the future than it is long was noted under a wrong clock and begins again now,
//! so that no key lives longer than twice its period.

mod findings;

use crate::compose::{KeyStage, ZoneKey};
use crate::finding::Finding;
use crate::keys::{Algorithm, DkimKey};
use crate::mail::dkim_verifies_as_well;
use crate::name::{Name, NameError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a key stays in the stages after its signer has left it or its file is gone: `[mail.dkim.rotation]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// How long its record stays. Default 7 days: queues give up after 5 (RFC 5321 §4.5.4.1).
    pub retire: Duration,
    /// How long the empty `p=` stays after that. Default 30 days.
    pub forget: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            retire: 7 * DAY,
            forget: 30 * DAY,
        }
    }
}

/// Where in its life a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its file is there; that anything signs with it is not known.
    Live,
    /// Its signer signs with it.
    Signing,
    /// Its signer has left it, or its file is gone; its record stays.
    Retiring,
    /// Its `p=` is empty.
    Revoked {
        /// By command and not by age: only another public key ends it.
        by_command: bool,
    },
}

/// What is remembered of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// The signing domain, lower case.
    pub domain: Name,
    /// The selector, lower case.
    pub selector: String,
    /// The tag list as it is published in this stage.
    pub record: Arc<str>,
    /// Where in its life it is.
    pub stage: Stage,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// The file it came from.
    pub source: String,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// Which public key.
    pub fingerprint: Fingerprint,
    /// What Signpost does with it, and what was seen of it.
    pub course: Course,
}

/// What Signpost does with a key, and what was seen of it at the zone's name servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Course {
    /// Signpost made it, so its files are Signpost's to remove.
    pub made: bool,
    /// The signer is to be switched to it as soon as that is safe.
    pub next: bool,
    /// The signer is being switched to it: what the signer's tables say is not in force before that is done.
    pub switching: bool,
    /// Its signer has gone on to another key: that its file is still there means nothing.
    pub spent: bool,
    /// Since when every name server has been seen to serve it, in seconds since 1970.
    pub seen: Option<u64>,
    /// The TTL of what its name had before: so long resolvers may still have that, in seconds.
    pub old_ttl: u32,
}

impl Course {
    /// Is nothing done with the key, and was nothing seen of it?
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// Is there something to be done with the key?
    pub fn is_driven(&self) -> bool {
        self.made || self.next || self.switching
    }
}

/// What becomes of a domain's keys once its signer signs with this one, and with no other of its kind: the states that
/// change. None do if the key was revoked or lost while the signer was switched: it is not to come back by that.
pub fn switched(keys: &[KeyState], selector: &str, now: u64) -> Vec<KeyState> {
    let is_new = |key: &&KeyState| key.selector == selector && matches!(key.stage, Stage::Live | Stage::Signing);
    let Some(new) = keys.iter().find(is_new) else {
        return vec![];
    };
    let mut changed = vec![new.clone()];
    let signing = &mut changed[0];
    if signing.stage != Stage::Signing {
        (signing.stage, signing.since) = (Stage::Signing, now);
    }
    (signing.course.next, signing.course.switching, signing.course.spent) = (false, false, false);
    let others = keys
        .iter()
        .filter(|key| key.selector != selector && key.algorithm.is_kind_of(new.algorithm));
    changed.extend(
        others
            .filter(|key| key.stage == Stage::Signing || key.course.switching)
            .map(|old| {
                let mut old = old.clone();
                if old.stage == Stage::Signing {
                    (old.stage, old.since, old.course.spent) = (Stage::Retiring, now, true);
                }
                old.course.switching = false;
                old
            }),
    );
    changed
}

/// What is known of a signing domain besides its files.
#[derive(Clone, Copy)]
pub struct Sight<'s> {
    /// Is a signer configured to sign with the key of this selector and kind? `None` where nothing tells.
    pub signs: &'s dyn Fn(&str, Algorithm) -> Option<bool>,
    /// Has every name server served a key for as long as resolvers may remember what was before?
    pub is_safe: &'s dyn Fn(&KeyState) -> bool,
    /// Not every name server serves the keys that are signed with now: what they came after must not be withdrawn.
    pub hold: bool,
    /// The TTL of the TXT records that are served at a name.
    pub served_ttl: &'s dyn Fn(&Name) -> Option<u32>,
}

impl Sight<'_> {
    /// Nothing is known.
    pub const NONE: Sight<'static> = Sight {
        signs: &|_, _| None,
        is_safe: &|_| true,
        hold: false,
        served_ttl: &|_| None,
    };
}

/// SHA-256 of a public key as `p=` writes it.
pub type Fingerprint = [u8; 32];

impl KeyState {
    /// `selector._domainkey.domain` (RFC 6376 §3.6.2.1).
    pub fn owner(&self) -> Result<Name, NameError> {
        self.domain.prefixed(&format!("{}._domainkey", self.selector))
    }

    /// Is the signer to be switched to it, or is it being switched?
    pub fn is_on_its_way(&self) -> bool {
        match self.stage {
            Stage::Live => self.course.next || self.course.switching,
            Stage::Signing => self.course.switching,
            Stage::Retiring | Stage::Revoked { .. } => false,
        }
    }

    /// Was the signer being switched to it when its file vanished, or it was revoked?
    pub fn is_lost(&self) -> bool {
        self.course.switching && !self.is_on_its_way()
    }

    /// The same key revoked by command; `None` if it already is.
    pub(super) fn revoked_by_command(&self, now: u64) -> Option<Self> {
        match self.stage {
            Stage::Revoked { by_command: true } => None,
            Stage::Revoked { by_command: false } => Some(self.at(Stage::Revoked { by_command: true }, self.since)),
            Stage::Live | Stage::Signing | Stage::Retiring => Some(self.at(Stage::Revoked { by_command: true }, now)),
        }
    }

    fn live(key: &DkimKey, since: u64) -> Self {
        Self {
            course: Course::default(),
            domain: key.domain.to_lowercase(),
            selector: key.selector.clone(),
            record: key.record.clone(),
            stage: Stage::Live,
            since,
            source: key
                .sources
                .first()
                .map(|path| path.display().to_string())
                .unwrap_or_default(),
            algorithm: key.algorithm,
            fingerprint: fingerprint(&key.record),
        }
    }

    fn at(&self, stage: Stage, since: u64) -> Self {
        let record = match stage {
            Stage::Revoked { .. } => revoked_record(self.algorithm).into(),
            Stage::Live | Stage::Signing | Stage::Retiring => self.record.clone(),
        };
        let seen = self.course.seen.filter(|_| record == self.record);
        Self {
            record,
            stage,
            since,
            course: Course { seen, ..self.course },
            ..self.clone()
        }
    }
}

/// What a signing domain's keys come to at one moment.
#[derive(Debug, Default)]
pub struct Turn {
    /// The keys its zone is to show, in the order of their selectors.
    pub show: Vec<ZoneKey>,
    /// What must be stored before they are shown: by selector, `None` to forget.
    pub changes: Vec<(String, Option<KeyState>)>,
    /// When to look again, in seconds since 1970.
    pub deadline: Option<u64>,
    /// What the operator should know.
    pub findings: Vec<Finding>,
}

/// Moves the keys of `domain` on: `stored` is what is remembered of them, `files` what the key
/// directory holds now, `sight` what is known besides, `now` the time in seconds since 1970.
pub fn turn(
    domain: &Name,
    stored: &[KeyState],
    files: &[&DkimKey],
    sight: Sight<'_>,
    now: u64,
    periods: Periods,
) -> Turn {
    let mut keys: BTreeMap<&str, (Option<&KeyState>, Option<&DkimKey>)> = BTreeMap::new();
    let stored_keys = stored;
    for state in stored {
        keys.entry(&state.selector).or_default().0 = Some(state);
    }
    for file in files {
        keys.entry(&file.selector).or_default().1.get_or_insert(file);
    }
    let mut turn = Turn::default();
    for (selector, (stored, file)) in keys {
        let owner = match domain.prefixed(&format!("{selector}._domainkey")) {
            Ok(owner) => owner,
            Err(error) => {
                turn.findings.push(Finding::error(
                    "dkim-owner-name",
                    format!("the DKIM key {selector} of {domain} cannot be published: {error}"),
                    "give it another selector",
                ));
                continue;
            }
        };
        let times = Times {
            now,
            periods,
            hold: sight.hold,
            is_known: !stored_keys.is_empty(),
        };
        let step = step(stored, file, sight, times, &owner, &mut turn.findings);
        if let Some(state) = step.state.as_ref().filter(|_| step.shown) {
            turn.show.push(shown(owner, state));
        }
        turn.deadline = [turn.deadline, step.deadline].into_iter().flatten().min();
        if step.state.as_ref() != stored {
            turn.changes.push((selector.to_owned(), step.state));
        }
    }
    turn
}

/// Where one key stands after a turn.
struct Step {
    state: Option<KeyState>,
    shown: bool,
    deadline: Option<u64>,
}

/// What time does to a key.
#[derive(Clone, Copy)]
struct Times {
    now: u64,
    periods: Periods,
    hold: bool,
    /// Were keys of the domain published here before?
    is_known: bool,
}

/// Few records are kept for longer.
const LONG_TTL: u32 = 86_400;

impl Times {
    /// Is a key in this state served?
    fn shows(&self, key: &KeyState) -> bool {
        match key.stage {
            Stage::Revoked { .. } => self.now < key.since.saturating_add(self.periods.forget.as_secs()),
            _ => true,
        }
    }
}

fn step(
    stored: Option<&KeyState>,
    file: Option<&DkimKey>,
    sight: Sight<'_>,
    times: Times,
    owner: &Name,
    findings: &mut Vec<Finding>,
) -> Step {
    match (stored, file) {
        (stored, Some(file)) => {
            let (mut state, finding) = with_file(stored, file, sight, times.now, owner);
            findings.extend(finding);
            // At the first start it has been served by another, presumably for years.
            if stored.is_none() && times.is_known && state.stage == Stage::Signing {
                findings.push(findings::signs_unseen(owner));
            }
            if stored.is_none_or(|stored| stored.record != state.record) {
                state.course.seen = None;
                // A private key and the record beside it appear one after the other: who remembers the one without the
                // other verifies as well.
                if !stored.is_some_and(|stored| serves_as_well(stored, &state.record)) {
                    let was_served = stored.is_some_and(|stored| times.shows(stored));
                    // While zones are read nothing is served yet; what was before the start had some TTL.
                    let unknown = if was_served { LONG_TTL } else { 0 };
                    state.course.old_ttl = (sight.served_ttl)(owner).unwrap_or(unknown);
                }
            }
            match state.stage {
                Stage::Retiring | Stage::Revoked { by_command: false } => aged(state, times, true),
                _ => Step {
                    state: Some(state),
                    shown: true,
                    deadline: None,
                },
            }
        }
        (Some(stored), None) => {
            let state = match stored.stage {
                Stage::Live | Stage::Signing => {
                    findings.push(findings::vanished(owner, stored, times.periods));
                    stored.at(Stage::Retiring, times.now)
                }
                Stage::Retiring | Stage::Revoked { .. } => stored.clone(),
            };
            aged(state, times, false)
        }
        (None, None) => Step {
            state: None,
            shown: false,
            deadline: None,
        },
    }
}

/// Does what is served for a key so far verify what its new record does?
fn serves_as_well(stored: &KeyState, record: &str) -> bool {
    let is_revoked = matches!(stored.stage, Stage::Revoked { .. });
    !is_revoked && dkim_verifies_as_well(&stored.record, record)
}

/// The key directory has a key of this selector.
fn with_file(
    stored: Option<&KeyState>,
    file: &DkimKey,
    sight: Sight<'_>,
    now: u64,
    owner: &Name,
) -> (KeyState, Option<Finding>) {
    let named = (sight.signs)(&file.selector, file.algorithm);
    let fresh = || {
        let mut state = KeyState::live(file, now);
        if named == Some(true) {
            state.stage = Stage::Signing;
        }
        state
    };
    let Some(stored) = stored else {
        return (fresh(), None);
    };
    if stored.fingerprint != fingerprint(&file.record) {
        let replaced = !matches!(stored.stage, Stage::Revoked { .. });
        return (fresh(), replaced.then(|| findings::replaced(owner, file)));
    }
    // Its tags may have changed; it has been what it is all the time.
    let as_it_is = |stage, since, course| KeyState {
        stage,
        course,
        ..KeyState::live(file, since)
    };
    let Course { spent, .. } = stored.course;
    let course = stored.course;
    let unspent = Course {
        spent: false,
        next: false,
        ..course
    };
    match (stored.stage, named) {
        (Stage::Revoked { by_command: true }, _) => (stored.clone(), Some(findings::revoked_with_file(owner, file))),
        (Stage::Live, Some(true)) => (
            as_it_is(Stage::Signing, now, unspent),
            (!(sight.is_safe)(stored)).then(|| findings::signs_unseen(owner)),
        ),
        (Stage::Live, _) => (as_it_is(Stage::Live, stored.since, course), None),
        (Stage::Signing, Some(false)) => (
            as_it_is(Stage::Retiring, now, Course { spent: true, ..course }),
            Some(findings::left(owner)),
        ),
        (Stage::Signing, _) => (as_it_is(Stage::Signing, stored.since, course), None),
        (Stage::Retiring | Stage::Revoked { .. }, Some(true)) => (
            as_it_is(Stage::Signing, now, unspent),
            Some(findings::back(owner, "the signer names it again")),
        ),
        (Stage::Retiring | Stage::Revoked { .. }, _) if spent => (stored.clone(), None),
        (Stage::Retiring | Stage::Revoked { .. }, _) => (
            as_it_is(Stage::Live, now, course),
            Some(findings::back(owner, "the key's file is back")),
        ),
    }
}

/// What time does to a key on its way out.
fn aged(mut state: KeyState, times: Times, has_file: bool) -> Step {
    let Times { now, periods, hold, .. } = times;
    loop {
        let period = match state.stage {
            Stage::Revoked { .. } => periods.forget.as_secs(),
            _ => periods.retire.as_secs(),
        };
        if state.since > now.saturating_add(period) {
            state.since = now;
        }
        let end = state.since.saturating_add(period);
        let held = hold && state.course.spent && state.stage == Stage::Retiring;
        if now < end || held {
            return Step {
                state: Some(state),
                shown: true,
                deadline: (now < end).then_some(end),
            };
        }
        // Each stage begins now, so the loop goes on only through periods of no length.
        state = match state.stage {
            Stage::Revoked { by_command } => {
                // A file that is still there must not bring it back, nor a backup one that was revoked by command.
                let remembered = by_command || has_file;
                return Step {
                    state: remembered.then_some(state),
                    shown: false,
                    deadline: None,
                };
            }
            _ => state.at(Stage::Revoked { by_command: false }, now),
        };
    }
}

fn shown(owner: Name, state: &KeyState) -> ZoneKey {
    ZoneKey {
        owner,
        record: state.record.clone(),
        stage: match state.stage {
            Stage::Live | Stage::Signing => KeyStage::Live,
            Stage::Retiring => KeyStage::Retiring,
            Stage::Revoked { .. } => KeyStage::Revoked,
        },
        algorithm: Some(state.algorithm),
        source: state.source.clone(),
    }
}

/// `v=DKIM1` with the empty `p=` of RFC 6376 §3.6.1.
fn revoked_record(algorithm: Algorithm) -> String {
    let k = match algorithm {
        Algorithm::Rsa { .. } => "rsa",
        Algorithm::Ed25519 => "ed25519",
    };
    format!("v=DKIM1; k={k}; p=")
}

/// The fingerprint of the `p=` of a tag list; white space in it has no meaning (RFC 6376 §3.2).
fn fingerprint(record: &str) -> Fingerprint {
    let public = record
        .split(';')
        .filter_map(|tag| tag.split_once('='))
        .find_map(|(tag, value)| (tag.trim() == "p").then_some(value))
        .unwrap_or(record);
    let public: String = public.split_ascii_whitespace().collect();
    Sha256::digest(public.as_bytes()).into()
}

#[cfg(test)]
mod tests;
