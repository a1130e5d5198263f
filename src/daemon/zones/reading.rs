//! Reading a zone's records from whatever makes it, with the last good version to fall back on.

use super::super::base::Base;
use super::super::fileless;
use super::{ZoneSource, duplicates};
use crate::finding::{Finding, Place};
use crate::name::Name;
use crate::record::Record;
use crate::zonefile::{self, Open};
use std::path::{Component, Path, PathBuf};

/// What reading a zone's files gave.
pub(in crate::daemon) struct Reading {
    /// The records to serve; `None` when there never was a good version.
    pub(in crate::daemon) base: Option<Base>,
    /// Where the SOA stands.
    pub(in crate::daemon) soa: Option<Place>,
    /// The files that were included.
    pub(super) included: Vec<PathBuf>,
    /// What the operator should know.
    pub(in crate::daemon) findings: Vec<Finding>,
    pub(super) good: bool,
}

impl Reading {
    /// Of a zone that has no files.
    pub(in crate::daemon) fn nothing() -> Self {
        Self {
            base: None,
            soa: None,
            included: vec![],
            findings: vec![],
            good: true,
        }
    }
}

impl ZoneSource {
    /// The records of the zone file. Read anew if it has changed or if its records were not kept;
    /// a file that does not parse gives the records last kept, or else `served`, those of the zone
    /// that is served.
    pub(in crate::daemon) fn read(
        &self,
        apex: &Name,
        open: &dyn Open,
        served: impl FnOnce() -> Option<Vec<Record>>,
    ) -> Reading {
        let of_table = |zone| fileless::base(zone, apex);
        let fetched = || {
            let fetched = self.fetched().filter(|_| !self.is_unavailable());
            fetched.map(|fetched| fetched.path.clone())
        };
        let Some(path) = &self.file(apex).or_else(fetched) else {
            return self.without_file().map_or_else(Reading::nothing, |zone| Reading {
                soa: Some(zone.place.clone()),
                base: Some(of_table(zone)),
                ..Reading::nothing()
            });
        };
        let kept = || {
            self.more
                .as_ref()
                .and_then(|more| Some((more, more.base.as_ref()?.unpack())))
        };
        if !self.file_stale
            && let Some((more, base)) = kept()
        {
            return Reading {
                soa: base.soa(),
                base: Some(base),
                included: more.included.clone(),
                findings: more.findings.clone(),
                good: true,
            };
        }
        match zonefile::read(path, apex, open) {
            Ok(file) => {
                let included = included(&file.files);
                let base = Base {
                    records: file.records,
                    places: file.places,
                    files: file.files,
                };
                let mut findings = file.findings;
                let ignored = self.more.iter().flat_map(|more| &more.ignored);
                findings.extend(duplicates(path, ignored, "zone"));
                Reading {
                    soa: base.soa(),
                    base: Some(base),
                    included,
                    findings,
                    good: true,
                }
            }
            Err(unreadable) => {
                let unplaced = |records| Base {
                    records,
                    places: vec![],
                    files: vec![],
                };
                let base = kept().map(|(_, base)| base).or_else(|| self.table().map(of_table));
                let base = base.or_else(|| served().map(unplaced));
                let rest = if base.is_some() {
                    "the last good version stays served"
                } else {
                    "the zone is not served until then"
                };
                let finding = unreadable.finding.and_then_cure(rest);
                let included = included(&unreadable.files);
                Reading {
                    base,
                    soa: Some(Place::file(path)),
                    included,
                    findings: vec![finding],
                    good: false,
                }
            }
        }
    }
}

/// All files but the zone file itself.
fn included(files: &[PathBuf]) -> Vec<PathBuf> {
    files.iter().skip(1).map(|path| normal(path)).collect()
}

/// The same path without `.` and `..`, as the watcher writes it.
fn normal(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut out = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}
