//! What `signpost check` says: each finding with its place, the line and the cure, for people or as JSON.

use super::advice::{fill, ink, severities, tally, word};
use super::exit::Exit;
use super::paint::{Ink, Paint};
use crate::config::{Excerpt, printable};
use crate::finding::{Finding, Place, Severity};
use serde::Serialize;

/// The findings in the order of files and lines, those without a place first. Both renderings take
/// them as they come; sorted, they read well and [`super::lines::Lines`] reads each file once.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| (&a.place, b.severity, a.code).cmp(&(&b.place, a.severity, b.code)));
}

/// For people:
///
/// ```text
/// zones/example.org.zone:12:1: warning: two SPF records at example.org [spf-twice]
///   12 | @ TXT "v=spf1 -all"
///      | ^
///   cure: keep one of the two
/// ```
///
/// `line_of` gives the line at a place, if it can be shown; `scope` says what was judged, such as
/// `2 zones and 3 keys`.
pub fn text(
    findings: &[Finding],
    scope: &str,
    mut line_of: impl FnMut(&Place) -> Option<String>,
    paint: Paint,
) -> String {
    let mut text = String::new();
    for finding in findings {
        text += &one(finding, &mut line_of, paint);
        text.push('\n');
    }
    let (errors, warnings) = severities(findings);
    let tally = tally(errors, warnings);
    let verdict = match Exit::of_findings(findings) {
        Exit::Fine => paint.paint(Ink::Cure, "all is well"),
        Exit::Warnings => paint.paint(Ink::Warning, &tally),
        _ => paint.paint(Ink::Error, &tally),
    };
    text + &format!("{scope}: {verdict}\n")
}

fn one(finding: &Finding, line_of: &mut impl FnMut(&Place) -> Option<String>, paint: Paint) -> String {
    let place = finding
        .place
        .as_ref()
        .map(|place| format!("{}: ", printable(&place.to_string())));
    let mut text = format!(
        "{}{}: {} {}\n",
        place.unwrap_or_default(),
        paint.paint(ink(finding.severity), word(finding.severity)),
        printable(&finding.what),
        paint.paint(Ink::Faint, &format!("[{}]", finding.code)),
    );
    if let Some(excerpt) = finding.place.as_ref().and_then(|place| excerpt(place, line_of)) {
        text += &format!("{excerpt}\n");
    }
    if !finding.cure.is_empty() {
        let label = paint.paint(Ink::Cure, "cure:");
        text += &format!("  {label} {}\n", fill(&printable(&finding.cure), 92, 8));
    }
    text
}

fn excerpt(place: &Place, line_of: &mut impl FnMut(&Place) -> Option<String>) -> Option<Excerpt> {
    Some(Excerpt::new(place.line?, &line_of(place)?, place.column, 1))
}

#[derive(Serialize)]
struct JsonReport<'a> {
    /// Raised when a field changes its meaning or goes.
    format: u32,
    scope: &'a str,
    errors: usize,
    warnings: usize,
    notes: usize,
    exit: u8,
    findings: Vec<JsonFinding<'a>>,
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    severity: &'static str,
    code: &'a str,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    text: Option<String>,
    what: &'a str,
    cure: &'a str,
}

/// For programs: one JSON object and a newline. `text` is the line at the place, if it can be shown.
pub fn json(findings: &[Finding], scope: &str, mut line_of: impl FnMut(&Place) -> Option<String>) -> String {
    let number = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let report = JsonReport {
        format: 1,
        scope,
        errors: number(Severity::Error),
        warnings: number(Severity::Warning),
        notes: number(Severity::Note),
        exit: Exit::of_findings(findings).code(),
        findings: findings
            .iter()
            .map(|finding| JsonFinding {
                severity: word(finding.severity),
                code: finding.code,
                file: finding.place.as_ref().map(|place| place.file.display().to_string()),
                line: finding.place.as_ref().and_then(|place| place.line),
                column: finding.place.as_ref().and_then(|place| place.column),
                text: finding.place.as_ref().and_then(&mut line_of),
                what: &finding.what,
                cure: &finding.cure,
            })
            .collect(),
    };
    // Strings and numbers always serialise; were it otherwise, the message would be the report.
    serde_json::to_string_pretty(&report).unwrap_or_else(|error| error.to_string()) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let mut findings = vec![
            Finding::warning("spf-twice", "two SPF records at example.org", "keep one of the two").at(Place {
                column: Some(7),
                ..Place::line("zones/example.org.zone", 12)
            }),
            Finding::error("zone-no-soa", "the zone has no SOA record", "write one at its apex")
                .at(Place::file("zones/example.net.zone")),
            Finding::note("dkim-static-same", "a TXT record repeats what the key directory says")
                .at(Place::line("zones/example.org.zone", 3)),
            Finding::warning(
                "state-missing",
                "the state directory is not there yet",
                "it is made at the first start",
            ),
        ];
        sort(&mut findings);
        findings
    }

    fn line_of(place: &Place) -> Option<String> {
        (place.line == Some(12)).then(|| "@  IN  TXT \"v=spf1 -all\"".to_owned())
    }

    #[test]
    fn people_see_place_line_and_cure() {
        insta::assert_snapshot!(text(&findings(), "2 zones and 3 keys", line_of, Paint::PLAIN));
    }

    #[test]
    fn programs_get_json() {
        let json = json(&findings(), "2 zones and 3 keys", line_of);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&value["errors"], &value["exit"]), (&1.into(), &2.into()));
        insta::assert_snapshot!(json);
    }

    #[test]
    fn nothing_found_is_said() {
        assert_eq!(text(&[], "1 zone", |_| None, Paint::PLAIN), "1 zone: all is well\n");
    }

    #[test]
    fn the_worst_of_a_place_comes_first() {
        let place = Place::line("zones/example.org.zone", 1);
        let mut findings = [
            Finding::note("a", "note").at(place.clone()),
            Finding::error("b", "error", "cure").at(place.clone()),
            Finding::warning("c", "warning", "cure").at(place),
        ];
        sort(&mut findings);
        assert_eq!(findings.map(|finding| finding.what), ["error", "warning", "note"]);
    }
}
