//! `signpost check`: everything that serving would read, read once and judged, nothing served and
//! no state touched.
//!
//! Beside what serving tells, it judges the finished zones (see [`zone::judge`]), the modes of
//! private keys, and serials against those that were published.

use super::sources::{KEYS, Made, Sources};
use super::transfers::TransferRules;
use super::{StartError, roots};
use crate::compose::{KeyStage, ZoneKey};
use crate::config::Config;
use crate::finding::{Finding, Place};
use crate::name::Name;
use crate::publish::{Store, StoreError, Stored, ZoneStates, judge_serial};
use crate::watch::{self, Change, Kind, Watcher};
use crate::zone::{self, Zone};

/// No private key in text is larger.
const MAX_PEM: u64 = 64 << 10;

/// What `check` found.
#[derive(Debug)]
pub struct Checked {
    /// Every finding.
    pub findings: Vec<Finding>,
    /// How many zones were judged.
    pub zones: usize,
    /// How many keys were found.
    pub keys: usize,
}

/// Judges everything below this configuration.
pub fn check(config: Config) -> Result<Checked, StartError> {
    let (mut watcher, listed) = Watcher::new(
        roots(&config),
        &watch::Options {
            inotify: false,
            ..watch::Options::default()
        },
    )?;
    let (stored, unread) = published(&config);
    let cookies = super::cookies::judge(&config);
    let tls = super::tls::judge(&config.tls);
    let (mut rules, tsig) = TransferRules::new(&config);
    let mut sources = Sources::new(config)?;
    let exposed: Vec<Finding> = listed.changes.iter().filter_map(exposed_key).collect();
    sources.note(listed.changes);
    sources.follow_keys_elsewhere(&mut watcher);
    let settled = sources.settle();
    let mut findings = sources.take_findings();
    rules.refresh(&sources.config, &sources.zones, settled.compose.iter(), &mut findings);
    findings.extend(sources.without_signer());
    findings.extend(tsig);
    findings.extend(settled.idle.into_iter().map(|(_, finding)| finding));
    findings.extend(unread);
    findings.extend(cookies);
    findings.extend(tls);
    findings.extend(exposed);
    let zones: Vec<(Name, Vec<ZoneKey>)> = settled
        .compose
        .into_iter()
        .map(|apex| (apex.clone(), live_keys(&sources, &apex)))
        .collect();
    let (zone_count, key_count) = (zones.len(), zones.iter().map(|(_, keys)| keys.len()).sum());
    let judged = sources.compose(zones, &|_| None, &|made| judge(made, &stored.zones));
    findings.extend(judged.into_iter().flatten());
    findings.extend(sources.take_findings());
    Ok(Checked {
        findings,
        zones: zone_count,
        keys: key_count,
    })
}

/// Everything that is to be told of a zone.
fn judge(made: Made<'_>, stored: &ZoneStates) -> Vec<Finding> {
    let mut findings = made.findings;
    let Some(composition) = made.composition else {
        return findings;
    };
    findings.extend(composition.findings);
    let composed = !composition.composed.is_empty();
    match Zone::build(&made.apex, &composition.records, &composition.empty_names) {
        Ok((zone, more)) => {
            findings.extend(more);
            let at_file = |finding: Finding| match (&finding.place, &made.soa) {
                (None, Some(soa)) => finding.at(Place::file(&soa.file)),
                _ => finding,
            };
            findings.extend(zone::judge(&zone).into_iter().map(at_file));
            findings.extend(judge_serial(&zone, composed, made.soa.as_ref(), stored));
        }
        Err(error) => findings.push(error.0),
    }
    findings
}

/// What was published so far. While a server runs, or was killed and has not run since, that cannot
/// be read; what went wrong is told, and serials are not judged.
fn published(config: &Config) -> (Stored, Option<Finding>) {
    match Store::peek(&config.state) {
        Ok(stored) => (stored.unwrap_or_default(), None),
        Err(error @ StoreError::Unfinished { .. }) => {
            let what = format!("{error}; serials were not compared with the published ones");
            (Stored::default(), Some(Finding::note("state-unfinished", what)))
        }
        Err(StoreError::Locked { .. }) => {
            let what =
                "Signpost is running on this state directory, so serials were not compared with the published ones";
            (Stored::default(), Some(Finding::note("state-in-use", what)))
        }
        Err(error) => (Stored::default(), Some(error.finding())),
    }
}

/// A private key that every user of the machine can read. OpenDKIM refuses it (RequireSafeKeys).
fn exposed_key(change: &Change) -> Option<Finding> {
    const READABLE_BY_OTHERS: u32 = 0o004;
    const MARK: &[u8] = b"PRIVATE KEY-----";
    let Kind::Present { mode, .. } = change.kind else {
        return None;
    };
    if change.root != KEYS || mode & READABLE_BY_OTHERS == 0 {
        return None;
    }
    let content = watch::read_file(&change.path, MAX_PEM).ok()?;
    content.windows(MARK.len()).any(|window| window == MARK).then(|| {
        Finding::warning(
            "key-world-readable",
            "every user of this machine can read this private key, and OpenDKIM refuses it (RequireSafeKeys)",
            "chmod o-r the file, and change the key if others had access",
        )
        .at(Place::file(&change.path))
    })
}

/// The keys of the key directory as they would be shown if they had no past.
fn live_keys(sources: &Sources, apex: &Name) -> Vec<ZoneKey> {
    let mut keys = Vec::new();
    for domain in sources.domains_of(apex) {
        for key in sources.keys_of(&domain) {
            if let Ok(owner) = key.owner()
                && sources.is_home(apex, &domain, &owner)
            {
                keys.push(ZoneKey {
                    owner,
                    record: key.record.clone(),
                    stage: KeyStage::Live,
                    algorithm: Some(key.algorithm),
                    source: key
                        .sources
                        .first()
                        .map(|path| path.display().to_string())
                        .unwrap_or_default(),
                });
            }
        }
    }
    keys
}
