//! What became of each message: judge.py's verdicts, gathered and counted.

use crate::common::daemon::{Daemon, Launch};
use crate::common::{wait_at_most, wait_for};
use crate::land::{FORWARDER, Land};
use crate::traffic::Sent;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The judge at work. Its python is Debian's, where the modules are.
pub(crate) struct Judge {
    daemon: Daemon,
    kept: PathBuf,
}

/// One delivery and all that is wrong with it.
pub(crate) struct Verdict {
    pub(crate) number: u64,
    pub(crate) kind: String,
    pub(crate) forwarded: bool,
    pub(crate) selectors: Vec<String>,
    pub(crate) failures: Vec<String>,
}

impl Judge {
    pub(crate) fn start(land: &Land, dir: &Path, maildir: &Path) -> Self {
        let kept = dir.join("kept");
        fs::create_dir(&kept).unwrap();
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mail_rotation/judge.py");
        let daemon = Launch::under("judge", dir, &land.receiving.prefix(), "/usr/bin/python3")
            .arg(program)
            .arg(maildir)
            .arg(&kept)
            .start();
        Self { daemon, kept }
    }

    /// Where messages are kept once they are judged, each under its number.
    pub(crate) fn kept(&self) -> &Path {
        &self.kept
    }

    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let log = self.daemon.log();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        let read = |line| {
            let verdict = serde_json::from_str(line);
            Verdict::read(&verdict.unwrap_or_else(|_| panic!("judge.py has failed:\n{log}")))
        };
        whole.lines().map(read).collect()
    }

    /// Waits until a message has come that is signed with a key.
    pub(crate) fn wait_for_selector(&self, selector: &str) {
        wait_for(&format!("a message signed with {selector}"), || {
            let uses = |verdict: &Verdict| verdict.selectors.iter().any(|used| used == selector);
            self.verdicts().iter().any(uses).then_some(())
        });
    }

    /// Waits until all that was sent is there, and counts.
    pub(crate) fn tally(&self, sent: &Sent) -> Tally {
        let expected: BTreeSet<(u64, bool)> = (0..sent.messages)
            .map(|number| (number, false))
            .chain(sent.forwarded.iter().map(|number| (*number, true)))
            .collect();
        let mut missing = expected.clone();
        wait_at_most(Duration::from_secs(60), "the delivery of all mail", || {
            for verdict in self.verdicts() {
                missing.remove(&(verdict.number, verdict.forwarded));
            }
            missing.is_empty().then_some(())
        });
        let mut tally = Tally {
            refused: sent.refused,
            ..Tally::default()
        };
        let mut seen = BTreeSet::new();
        for verdict in self.verdicts() {
            // One that came while the receiver was shut down may come again: its acknowledgment was lost.
            seen.insert((verdict.number, verdict.forwarded));
            tally.count(&verdict);
        }
        assert_eq!(seen, expected, "nothing came that was not sent");
        tally
    }
}

impl Verdict {
    fn read(verdict: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut failures = vec![];
        if verdict["spf"] != "pass" {
            failures.push(format!("SPF {}", text(&verdict["spf"])));
        }
        let signatures = verdict["signatures"].as_array().unwrap();
        if signatures.is_empty() {
            failures.push("not signed".to_owned());
        }
        for signature in signatures.iter().filter(|signature| signature["failure"] != "") {
            failures.push(format!("DKIM by dkimpy: {}", text(&signature["failure"])));
        }
        let opendkim = verdict["opendkim"].as_array().unwrap();
        for result in opendkim.iter().filter(|result| **result != "pass") {
            failures.push(format!("DKIM by OpenDKIM: {}", text(result)));
        }
        if opendkim.len() < signatures.len() {
            failures.push("DKIM by OpenDKIM: a signature was not judged".to_owned());
        }
        if verdict["dmarc"] != "pass" {
            failures.push("DMARC".to_owned());
        }
        Self {
            number: verdict["number"].as_u64().unwrap(),
            kind: text(&verdict["kind"]),
            forwarded: verdict["client"] == FORWARDER,
            selectors: signatures
                .iter()
                .map(|signature| text(&signature["selector"]))
                .collect(),
            failures,
        }
    }
}

/// Deliveries and failures, counted.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) deliveries: usize,
    pub(crate) held: usize,
    pub(crate) forwarded: usize,
    /// Times that the sender's own server would not take a message at once.
    pub(crate) refused: usize,
    /// Deliveries with any failure at all.
    pub(crate) failed: usize,
    /// Deliveries with fewer than two signatures, as they leave when a second signer is away.
    pub(crate) single: usize,
    /// The failures by kind; a delivery may have several.
    pub(crate) kinds: BTreeMap<String, usize>,
    list: Vec<String>,
}

impl Tally {
    fn count(&mut self, verdict: &Verdict) {
        self.deliveries += 1;
        self.held += usize::from(verdict.kind == "held");
        self.forwarded += usize::from(verdict.forwarded);
        self.single += usize::from(verdict.selectors.len() < 2);
        if verdict.failures.is_empty() {
            return;
        }
        self.failed += 1;
        let kinds: BTreeSet<&String> = verdict.failures.iter().collect();
        for kind in kinds {
            *self.kinds.entry(kind.clone()).or_default() += 1;
        }
        let way = if verdict.forwarded { "forwarded" } else { &verdict.kind };
        self.list.push(format!(
            "{} ({way}, {}): {}",
            verdict.number,
            verdict.selectors.join(" "),
            verdict.failures.join("; ")
        ));
    }

    /// Every delivery that failed, a line each.
    pub(crate) fn list(&self) -> String {
        self.list.join("\n")
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} deliveries, {} of them held back, {} forwarded later: {} failed",
            self.deliveries, self.held, self.forwarded, self.failed
        )?;
        if self.refused > 0 {
            writeln!(
                f,
                "{:7}  refused by the sender's own server, and tried again",
                self.refused
            )?;
        }
        for (kind, count) in &self.kinds {
            writeln!(f, "{count:7}  {kind}")?;
        }
        Ok(())
    }
}
