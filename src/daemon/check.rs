//! `signpost check`: everything that serving would read, read once and judged, nothing served and
//! no state touched.

use super::sources::Sources;
use super::{StartError, roots};
use crate::compose::{KeyStage, ZoneKey};
use crate::config::Config;
use crate::finding::Finding;
use crate::name::Name;
use crate::watch::{self, Watcher};
use crate::zone::Zone;

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
    let mut sources = Sources::new(config)?;
    sources.note(&listed.changes);
    sources.follow_keys_elsewhere(&mut watcher);
    let settled = sources.settle();
    let mut findings = sources.take_findings();
    let zones: Vec<(Name, Vec<ZoneKey>)> = settled
        .compose
        .into_iter()
        .map(|apex| (apex.clone(), live_keys(&sources, &apex)))
        .collect();
    let (zone_count, key_count) = (zones.len(), zones.iter().map(|(_, keys)| keys.len()).sum());
    for made in sources.compose(zones, &|_| None) {
        findings.extend(made.findings);
        let Some(composition) = made.composition else { continue };
        findings.extend(composition.findings);
        match Zone::build(&made.apex, composition.records, &composition.empty_names) {
            Ok((_, more)) => findings.extend(more),
            Err(error) => findings.push(error.0),
        }
    }
    findings.extend(sources.take_findings());
    Ok(Checked {
        findings,
        zones: zone_count,
        keys: key_count,
    })
}

/// The keys of the key directory as they would be shown if they had no past.
fn live_keys(sources: &Sources, apex: &Name) -> Vec<ZoneKey> {
    let mut keys = Vec::new();
    for domain in sources.domains_of(apex) {
        for key in sources.keys_of(&domain) {
            if let Ok(owner) = key.owner() {
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
