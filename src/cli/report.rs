//! What the server tells at its start: where it answers, each zone with its serial, what was composed
//! into it and from where, and each warning with its cure.
//!
//! Pure. Up to [`MANY`] zones each has its paragraph; with more there is a summary, and only zones with
//! warnings or errors are shown.

use super::advice::{LINE, count, fill, labelled, severities, tally};
use super::paint::{Ink, Paint};
use crate::compose::Composed;
use crate::config::printable;
use crate::finding::{Finding, Severity};
use crate::name::Name;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// The most zones that are shown one by one.
pub const MANY: usize = 20;

/// What a starting server has to tell.
#[derive(Debug, Clone)]
pub struct StartReport<'a> {
    /// Signpost's version.
    pub version: &'a str,
    /// The configuration file.
    pub config: &'a Path,
    /// The addresses that are answered on.
    pub listen: &'a [SocketAddr],
    /// The addresses that encrypted queries are answered on, each with its transport.
    pub encrypted: &'a [(&'static str, SocketAddr)],
    /// The zones.
    pub zones: &'a ZonesTold,
    /// How many zones are served.
    pub served: usize,
    /// How many records they have in all.
    pub records: usize,
    /// What was found outside of any zone: in the configuration, in the key directory.
    pub findings: &'a [Finding],
}

/// One zone.
#[derive(Debug, Clone)]
pub struct ZoneReport {
    /// The apex.
    pub name: Name,
    /// The serial it is served with; `None` if it is not served.
    pub serial: Option<u32>,
    /// How many records it has.
    pub records: usize,
    /// What it comes from: its file, mostly.
    pub source: Option<String>,
    /// What was composed into it.
    pub composed: Vec<Composed>,
    /// What the operator should know.
    pub findings: Vec<Finding>,
}

/// The zones of a start as far as they are told: each of a few, sums and the worst of many. Of a million
/// zones it remembers some dozens.
#[derive(Debug, Default)]
pub struct ZonesTold {
    shown: BTreeMap<Name, ZoneReport>,
    /// Were there more than [`MANY`]? Then `shown` are only those to worry about.
    crowded: bool,
    composed: BTreeMap<&'static str, usize>,
    worrying: usize,
    errors: usize,
    warnings: usize,
}

impl ZonesTold {
    /// Adds what is known of a zone. Of what is told in parts, the parts add up.
    pub fn add(&mut self, name: &Name, composed: Vec<Composed>, findings: &[Finding]) {
        for record in &composed {
            *self.composed.entry(record.what).or_default() += 1;
        }
        let (errors, warnings) = severities(findings);
        self.errors += errors;
        self.warnings += warnings;
        self.worrying += usize::from(worries(findings));
        if self.crowded && !self.is_to_be_kept(findings) {
            return;
        }
        let report = self.shown.entry(name.clone()).or_insert_with(|| ZoneReport::new(name));
        report.composed.extend(composed);
        report.findings.extend(findings.iter().cloned());
        if !self.crowded && self.shown.len() > MANY {
            self.crowded = true;
            self.shown.retain(|_, zone| worries(&zone.findings));
        }
    }

    /// At most [`MANY`] are shown, those with errors first: no more of each kind are needed.
    fn is_to_be_kept(&self, findings: &[Finding]) -> bool {
        let worst = worst(findings);
        let alike = self.shown.values().filter(|zone| worst_of(zone) == worst).count();
        worst > Some(Severity::Note) && alike < MANY
    }

    /// Those that are told one by one, for what is known of them only at the end.
    pub fn shown_mut(&mut self) -> impl Iterator<Item = &mut ZoneReport> {
        self.shown.values_mut()
    }
}

impl ZoneReport {
    /// Of this zone nothing is known yet.
    fn new(name: &Name) -> Self {
        Self {
            name: name.clone(),
            serial: None,
            records: 0,
            source: None,
            composed: vec![],
            findings: vec![],
        }
    }
}

fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}

fn worst_of(zone: &ZoneReport) -> Option<Severity> {
    worst(&zone.findings)
}

/// The whole report, with a final newline.
pub fn start(report: &StartReport<'_>, paint: Paint) -> String {
    let mut text = banner(report, paint);
    if report.zones.crowded {
        text += &summary(report.zones, paint);
    } else {
        for zone in report.zones.shown.values() {
            text += "\n";
            text += &paragraph(zone, paint);
        }
    }
    if !report.findings.is_empty() {
        text += "\n";
        text.extend(report.findings.iter().map(|finding| labelled(finding, paint)));
    }
    text += "\n";
    text + &closing(report, paint)
}

/// One zone as in the report, for a zone that is added or changes while the server runs.
pub fn paragraph(zone: &ZoneReport, paint: Paint) -> String {
    let mut text = heading(zone, paint);
    text += &composed(zone, paint);
    text.extend(zone.findings.iter().map(|finding| labelled(finding, paint)));
    text
}

fn banner(report: &StartReport<'_>, paint: Paint) -> String {
    let name = format!("Signpost {}", report.version);
    let addresses: Vec<String> = report.listen.iter().map(SocketAddr::to_string).collect();
    let encrypted = report.encrypted.iter();
    let encrypted: String = encrypted
        .map(|(transport, address)| format!(", {address} ({transport})"))
        .collect();
    let line = fill(
        &format!("answers on {} (UDP and TCP){encrypted}", and(&addresses)),
        LINE - name.chars().count() - 1,
        2,
    );
    let config = printable(&report.config.display().to_string());
    format!(
        "{} {line}\n{}\n",
        paint.paint(Ink::Name, &name),
        paint.paint(Ink::Faint, &format!("configured by {config}"))
    )
}

fn heading(zone: &ZoneReport, paint: Paint) -> String {
    let state = match zone.serial {
        Some(serial) => format!("serial {serial}, {}", count(zone.records, "record")),
        None => paint.paint(Ink::Error, "not served"),
    };
    let source = zone
        .source
        .as_ref()
        .map(|source| paint.paint(Ink::Faint, &format!(", {}", printable(source))));
    let name = paint.paint(Ink::Name, &short(&zone.name));
    format!("{name}  {state}{}\n", source.unwrap_or_default())
}

/// Rows of kind, owner, types and origin. Records of the same kind, owner and origin share a row:
/// SPF as TXT and as type 99.
fn composed(zone: &ZoneReport, paint: Paint) -> String {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for record in &zone.composed {
        let owner = relative(&record.owner, &zone.name);
        let from = printable(&record.from);
        let rtype = record.rtype.to_string();
        match rows.last_mut() {
            Some([kind, at, types, origin]) if kind == record.what && *at == owner && *origin == from => {
                *types += &format!(" {rtype}");
            }
            _ => rows.push([record.what.to_owned(), owner, rtype, from]),
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (kinds, owners, types) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [kind, owner, rtype, from] in &rows {
        let kind = paint.paint(Ink::Kind, &format!("{kind:kinds$}"));
        let from = paint.paint(Ink::Faint, from);
        let _ = writeln!(text, "  {kind}  {owner:owners$}  {rtype:types$}  {from}");
    }
    text
}

fn summary(zones: &ZonesTold, paint: Paint) -> String {
    let kinds: Vec<String> = zones
        .composed
        .iter()
        .map(|(kind, number)| format!("{number} {kind}"))
        .collect();
    let mut text = match kinds.is_empty() {
        true => String::new(),
        false => format!("\nComposed: {}\n", fill(&kinds.join(", "), LINE - 10, 10)),
    };
    let mut worrying: Vec<&ZoneReport> = zones.shown.values().collect();
    // What is not served comes before what will merely hurt.
    worrying.sort_by_key(|zone| std::cmp::Reverse(worst_of(zone)));
    for zone in worrying.iter().take(MANY) {
        text += "\n";
        text += &heading(zone, paint);
        let told = zone.findings.iter().filter(|finding| finding.severity > Severity::Note);
        text.extend(told.map(|finding| labelled(finding, paint)));
    }
    if let Some(more) = zones.worrying.checked_sub(MANY).filter(|more| *more > 0) {
        let _ = writeln!(
            text,
            "\n… and {} with warnings; `signpost check` shows them all",
            count(more, "more zone")
        );
    }
    text
}

fn closing(report: &StartReport<'_>, paint: Paint) -> String {
    let zones = report.zones;
    let composed: usize = zones.composed.values().sum();
    let mut text = if zones.shown.is_empty() && !zones.crowded {
        "No zones yet: put a master file NAME.zone into the zones directory.\n".to_owned()
    } else {
        format!(
            "Serving {} with {}, {composed} of them composed.",
            count(report.served, "zone"),
            count(report.records, "record")
        )
    };
    let (errors, warnings) = severities(report.findings);
    let (errors, warnings) = (errors + zones.errors, warnings + zones.warnings);
    let tally = tally(errors, warnings);
    if !tally.is_empty() {
        let ink = if errors > 0 { Ink::Error } else { Ink::Warning };
        let gap = if text.ends_with('\n') { "" } else { " " };
        text += &format!("{gap}{}.", paint.paint(ink, &tally));
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text + &paint.paint(Ink::Faint, "A changed zone file, key or policy is served at once.") + "\n"
}

fn worries(findings: &[Finding]) -> bool {
    worst(findings) > Some(Severity::Note)
}

/// A name as people write it, without the final dot.
fn short(name: &Name) -> String {
    let text = name.to_string();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(bare) => bare.to_owned(),
    }
}

/// An owner as the zone's master file would write it.
fn relative(owner: &Name, apex: &Name) -> String {
    if owner == apex {
        return "@".to_owned();
    }
    let below = owner.with_suffix_replaced(apex, &Name::root());
    match below {
        Some(Ok(name)) => short(&name),
        _ => owner.to_string(),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn and(words: &[String]) -> String {
    match words {
        [] => "no address".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Place;
    use crate::record::RecordType;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap()
    }

    fn record(what: &'static str, owner: &str, rtype: &str, from: &str) -> Composed {
        Composed {
            what,
            owner: name(owner),
            rtype: rtype.parse::<RecordType>().unwrap(),
            from: from.to_owned(),
        }
    }

    fn demo() -> ZoneReport {
        ZoneReport {
            name: name("skyminds.net"),
            serial: Some(2026112401),
            records: 24,
            source: Some("zones/skyminds.net.zone".into()),
            composed: vec![
                record("SPF", "skyminds.net", "TXT", "policy [mail.spf] record"),
                record("SPF", "skyminds.net", "SPF", "policy [mail.spf] record"),
                record("SPF", "mail.skyminds.net", "TXT", "policy [mail.spf.hosts] mail"),
                record("DKIM", "mail._domainkey.skyminds.net", "TXT", "keys/skyminds.net/mail"),
                record("DMARC", "_dmarc.skyminds.net", "TXT", "policy [mail.dmarc]"),
            ],
            findings: vec![
                Finding::warning(
                    "dkim-hash-mended",
                    "`h=rsa-sha256` is a signature algorithm, not a hash: OpenDKIM refuses a record that has it \
                     with \"unknown hash\", so `h=sha256` is published",
                    "nothing breaks; generate the next key with `opendkim-genkey -h sha256`",
                )
                .at(Place::line("keys/skyminds.net/mail.txt", 1)),
            ],
        }
    }

    fn many(number: usize, worrying: usize) -> Vec<ZoneReport> {
        (0..number)
            .map(|at| {
                let mut zone = demo();
                zone.name = name(&format!("zone{at}.example.org"));
                if at >= worrying {
                    zone.findings = vec![Finding::note("note", "all is well")];
                }
                zone
            })
            .collect()
    }

    fn report(zones: &[ZoneReport], findings: &[Finding], paint: Paint) -> String {
        let listen = ["127.0.0.1:5300".parse().unwrap(), "[::1]:5300".parse().unwrap()];
        let mut told = ZonesTold::default();
        for zone in zones {
            told.add(&zone.name, zone.composed.clone(), &zone.findings);
        }
        for shown in told.shown_mut() {
            let zone = zones.iter().find(|zone| zone.name == shown.name).unwrap();
            (shown.serial, shown.records, shown.source) = (zone.serial, zone.records, zone.source.clone());
        }
        let served = zones.iter().filter(|zone| zone.serial.is_some());
        let report = StartReport {
            version: "0.1.0",
            config: Path::new("signpost.toml"),
            listen: &listen,
            encrypted: &[],
            zones: &told,
            served: served.clone().count(),
            records: served.map(|zone| zone.records).sum(),
            findings,
        };
        start(&report, paint)
    }

    #[test]
    fn tells_each_zone_and_each_warning() {
        let plain = ZoneReport {
            name: name("example.org"),
            serial: Some(7),
            records: 1,
            source: Some("zones/example.org.zone".into()),
            composed: vec![],
            findings: vec![],
        };
        let broken = ZoneReport {
            name: name("example.net"),
            serial: None,
            records: 0,
            source: Some("zones/example.net.zone".into()),
            composed: vec![],
            findings: vec![
                Finding::error("zone-syntax", "`TXTT` is no record type", "did you mean TXT?").at(Place {
                    column: Some(6),
                    ..Place::line("zones/example.net.zone", 9)
                }),
            ],
        };
        let lost = Finding::warning(
            "key-without-zone",
            "a key for example.com, which is not served here",
            "add zones/example.com.zone, or remove the key",
        )
        .at(Place::file("keys/example.com/mail"));
        insta::assert_snapshot!(report(&[demo(), plain, broken], &[lost], Paint::PLAIN));
    }

    #[test]
    fn paints_for_a_terminal_without_changing_a_word() {
        let painted = report(&[demo()], &[], Paint::COLOURED);
        let stripped = painted
            .split("\x1b[")
            .enumerate()
            .fold(String::new(), |text, (at, part)| {
                text + if at == 0 { part } else { part.split_once('m').unwrap().1 }
            });
        assert_eq!(stripped, report(&[demo()], &[], Paint::PLAIN));
        assert_ne!(painted, stripped);
    }

    #[test]
    fn many_zones_are_summed_up_and_only_the_worrying_shown() {
        insta::assert_snapshot!(report(&many(1200, 2), &[], Paint::PLAIN));
        let crowd = report(&many(1200, 33), &[], Paint::PLAIN);
        assert!(crowd.contains("… and 13 more zones with warnings"), "{crowd}");
        assert!(crowd.lines().count() < 150);
    }

    #[test]
    fn twenty_zones_are_still_shown_one_by_one() {
        assert!(report(&many(MANY, 0), &[], Paint::PLAIN).contains("zone19.example.org  serial"));
        assert!(!report(&many(MANY + 1, 0), &[], Paint::PLAIN).contains("zone19.example.org"));
    }

    #[test]
    fn an_empty_server_says_how_to_begin() {
        insta::assert_snapshot!(report(&[], &[], Paint::PLAIN));
    }

    #[test]
    fn the_root_zone_keeps_its_dot() {
        assert_eq!(short(&Name::root()), ".");
        assert_eq!(relative(&name("example.org"), &Name::root()), "example.org");
        assert_eq!(relative(&Name::root(), &Name::root()), "@");
        assert_eq!(relative(&name("example.net"), &name("example.org")), "example.net.");
    }
}
