//! What the operator is told: the report at start, and one log line per event afterwards.
//!
//! A finding is told when it turns up and again only after it had gone: a zone that is composed a
//! hundred times a day does not warn a hundred times of its short key.

use crate::cli::Paint;
use crate::cli::report::{self, StartReport, ZonesTold};
use crate::config::Config;
use crate::finding::{Finding, Severity};
use crate::name::Name;
use crate::publish::{Fate, Published, Serial};
use crate::zone::ZoneSet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Where is answered: by UDP and TCP, and encrypted.
pub(super) type Addresses<'a> = (&'a [SocketAddr], &'a [(&'static str, SocketAddr)]);

/// Collects until the start is reported, logs from then on.
#[derive(Debug, Default)]
pub(super) struct News {
    started: bool,
    start: ZonesTold,
    general: Vec<Finding>,
    /// The findings of each zone and signing domain that are in force and told.
    told: BTreeMap<(Kind, Name), BTreeSet<Finding>>,
    /// The zones whose last version is not served yet.
    unserved: BTreeMap<Name, Fate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Zone,
    SigningDomain,
    /// What a signing domain's next key waits for.
    NextKey,
}

impl News {
    /// Has the start been reported?
    pub(super) fn has_started(&self) -> bool {
        self.started
    }

    /// Findings that belong to no zone.
    pub(super) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            if self.started {
                log(None, &finding);
            } else {
                self.general.push(finding);
            }
        }
    }

    /// What became of a zone.
    pub(super) fn zone(&mut self, published: Published) {
        let Published {
            apex,
            fate,
            old,
            new,
            changed,
            composed,
            findings,
        } = published;
        let before = match fate {
            Fate::Served | Fate::Unavailable | Fate::Removed => self.unserved.remove(&apex),
            Fate::Waiting | Fate::Refused => self.unserved.insert(apex.clone(), fate),
        };
        if fate == Fate::Removed && !changed {
            // It never was served: nothing to tell.
        } else if self.started {
            // A zone that waits is tried again and again; once is enough to say so.
            if fate != Fate::Waiting || before != Some(fate) {
                tell(&apex, fate, old, new, changed);
            }
        } else {
            self.start.add(&apex, composed, &findings);
        }
        self.replace(Kind::Zone, apex, findings);
    }

    /// What became of the last version of a zone.
    pub(super) fn fate_of(&self, apex: &Name) -> Fate {
        self.unserved.get(apex).copied().unwrap_or(Fate::Served)
    }

    /// A zone whose file never was good.
    pub(super) fn zone_refused(&mut self, apex: Name, findings: Vec<Finding>) {
        if !self.started {
            self.start.add(&apex, vec![], &findings);
        }
        self.replace(Kind::Zone, apex, findings);
    }

    /// What was found about the keys of a signing domain.
    pub(super) fn domain(&mut self, domain: Name, findings: Vec<Finding>) {
        if !self.started {
            self.general.extend(findings.iter().cloned());
        }
        self.replace(Kind::SigningDomain, domain, findings);
    }

    /// What a signing domain's next key waits for.
    pub(super) fn domain_waits(&mut self, domain: Name, findings: Vec<Finding>) {
        self.replace(Kind::NextKey, domain, findings);
    }

    /// These findings are in force now; those that were not before are logged.
    fn replace(&mut self, kind: Kind, name: Name, findings: Vec<Finding>) {
        let key = (kind, name);
        let before = self.told.remove(&key).unwrap_or_default();
        let now: BTreeSet<Finding> = findings.into_iter().collect();
        if self.started {
            now.difference(&before).for_each(|finding| log(Some(&key.1), finding));
        }
        if !now.is_empty() {
            self.told.insert(key, now);
        }
    }

    /// The report of the start, once; from now on everything is logged as it happens.
    pub(super) fn start_report(
        &mut self,
        config: &Config,
        (listen, encrypted): Addresses<'_>,
        zones: &ZoneSet,
        source_of: impl Fn(&Name) -> Option<String>,
        paint: Paint,
    ) -> String {
        self.started = true;
        let mut told = std::mem::take(&mut self.start);
        for report in told.shown_mut() {
            report.source = source_of(&report.name);
            if let Some(zone) = zones.get(&report.name).filter(|zone| !zone.is_unavailable()) {
                report.serial = Some(zone.serial());
                report.records = zone.record_count();
            }
        }
        let findings = std::mem::take(&mut self.general);
        let version = env!("CARGO_PKG_VERSION");
        report::start(
            &StartReport {
                version,
                config: &config.path,
                listen,
                encrypted,
                zones: &told,
                served: zones.len(),
                records: zones.iter().map(|zone| zone.record_count()).sum(),
                findings: &findings,
            },
            paint,
        )
    }

    /// Every finding that is in force, by zone or signing domain.
    pub(super) fn in_force(&self) -> impl Iterator<Item = (&Name, &Finding)> {
        self.told
            .iter()
            .flat_map(|((_, name), findings)| findings.iter().map(move |finding| (name, finding)))
    }
}

fn tell(apex: &Name, fate: Fate, old: Option<Serial>, new: Option<Serial>, changed: bool) {
    let old = old.map(|serial| serial.0);
    let new = new.map(|serial| serial.0);
    match fate {
        Fate::Served if changed => tracing::info!(zone = %apex, old, serial = new, "zone published"),
        Fate::Served => tracing::debug!(zone = %apex, serial = new, "zone unchanged"),
        // Why is told by whoever waits for it.
        Fate::Unavailable => tracing::debug!(zone = %apex, "zone answered with SERVFAIL"),
        Fate::Removed => tracing::info!(zone = %apex, "zone removed"),
        Fate::Waiting => tracing::warn!(zone = %apex, serial = new, "zone waits for the state to be stored"),
        Fate::Refused => tracing::error!(zone = %apex, "zone not taken; its last good version stays served"),
    }
}

fn log(about: Option<&Name>, finding: &Finding) {
    let code = finding.code;
    let about = about.map(tracing::field::display);
    match finding.severity {
        Severity::Error => tracing::error!(about, code, "{finding}"),
        Severity::Warning => tracing::warn!(about, code, "{finding}"),
        Severity::Note => tracing::info!(about, code, "{finding}"),
    }
}
