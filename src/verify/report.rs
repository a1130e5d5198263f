//! The report: the "Summary of Results" that check-auth services have sent for twenty years, and the details. Pure.

use super::outcome::{Check, Method, Report};
use crate::config::printable;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

const RULE: &str = "==========================================================\n";
const THIN: &str = "----------------------------------------------------------\n";
/// Lines of mail end at 998 octets (RFC 5322 §2.1.1): what stands on one, and a record with its name.
const MAX_TEXT: usize = 900;
const MAX_NAME: usize = 255;
const MAX_RECORD: usize = 640;
/// So many records of a check are shown: more are of no use to who reads, and whoever sent the message can have a
/// thousand.
const MAX_RECORDS: usize = 4;

/// For people, on a terminal or in a mail: no octet of message or record reaches it raw.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write(&mut out, report, Detail::All);
    out
}

/// The same for somebody who may have nothing to do with the message: our words alone, without records, explanations
/// and names that whoever sent it could choose.
pub fn own_words(report: &Report) -> String {
    let mut out = String::new();
    let _ = write(&mut out, report, Detail::OwnWords);
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    All,
    OwnWords,
}

/// The same as one JSON object, on one line.
pub fn json(report: &Report) -> String {
    #[derive(Serialize)]
    struct Whole<'r> {
        pass: bool,
        summary: BTreeMap<&'static str, String>,
        #[serde(flatten)]
        report: &'r Report,
    }
    let summary = results(report)
        .map(|(method, result)| (method.title(), result))
        .collect();
    let whole = Whole {
        pass: report.all_pass(),
        summary,
        report,
    };
    let text = serde_json::to_string(&whole);
    // Maps with keys of text, and text: there is nothing to fail.
    text.unwrap_or_default() + "\n"
}

fn results(report: &Report) -> impl Iterator<Item = (Method, String)> {
    Method::ALL
        .into_iter()
        .filter_map(|method| Some((method, report.result(method)?.to_string())))
}

fn write(out: &mut String, report: &Report, detail: Detail) -> std::fmt::Result {
    heading(out, "Summary of Results");
    for (method, result) in results(report) {
        let label = format!("{} check:", method.title());
        let own = || report.checks.iter().filter(|check| check.check == method);
        let good = own().filter(|check| check.result.is_good()).count();
        let of_several = match own().count() {
            count if count > 1 => format!(" ({good} of {count} signatures)"),
            _ => String::new(),
        };
        writeln!(out, "{label:19} {result}{of_several}")?;
    }
    out.push('\n');
    heading(out, "Details");
    if detail == Detail::All {
        writeln!(out, "HELO hostname:  {}", plain(&report.session.helo))?;
    }
    writeln!(out, "Source IP:      {}", report.session.client_ip)?;
    writeln!(out, "mail-from:      <{}>", plain(&report.session.mail_from))?;
    for note in report.notes.iter().filter(|_| detail == Detail::All) {
        writeln!(out, "Note:           {}", plain(note))?;
    }
    for check in &report.checks {
        details(out, check, detail)?;
    }
    Ok(())
}

fn heading(out: &mut String, title: &str) {
    out.push_str(RULE);
    out.push_str(title);
    out.push('\n');
    out.push_str(RULE);
}

fn details(out: &mut String, check: &Check, detail: Detail) -> std::fmt::Result {
    write!(out, "\n{THIN}{} check details:\n{THIN}", check.check.title())?;
    writeln!(out, "Result:         {}", check.result)?;
    if !check.identity.is_empty() && detail == Detail::All {
        writeln!(out, "ID(s) verified: {}", plain(&check.identity))?;
    }
    let quote = check.quote.as_deref().filter(|_| detail == Detail::All);
    let reason = quote.map_or_else(|| check.reason.clone(), |quote| format!("{}: {quote}", check.reason));
    writeln!(out, "Reason:         {}", plain(&reason))?;
    if let Some(cure) = &check.cure {
        writeln!(out, "Cure:           {}", plain(cure))?;
    }
    if check.records.is_empty() || detail == Detail::OwnWords {
        return Ok(());
    }
    writeln!(out, "DNS record(s):")?;
    for seen in check.records.iter().take(MAX_RECORDS) {
        writeln!(
            out,
            "    {} TXT \"{}\"",
            within(&seen.name, MAX_NAME),
            within(&seen.text, MAX_RECORD)
        )?;
    }
    match check.records.len().saturating_sub(MAX_RECORDS) {
        0 => Ok(()),
        more => writeln!(out, "    … and {more} more"),
    }
}

/// Text of others made harmless: no control characters, no more than a line.
fn plain(text: &str) -> String {
    within(text, MAX_TEXT)
}

fn within(text: &str, most: usize) -> String {
    let mut out = printable(text);
    if out.len() > most {
        let end = (0..=most).rev().find(|end| out.is_char_boundary(*end));
        out.truncate(end.unwrap_or(0));
        out.push('…');
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::verify::outcome::{Advice, Seen, Session, Verdict};

    pub(in crate::verify) fn example() -> Report {
        let seen = vec![Seen {
            name: "example.org.".to_owned(),
            text: "v=spf1 mx ~all".to_owned(),
        }];
        let check = |method, verdict, identity: &str, advice| Check::new(method, verdict, identity, advice);
        Report {
            session: Session {
                client_ip: "192.0.2.99".parse().unwrap(),
                helo: "mail.example.org".to_owned(),
                mail_from: "alice@example.org".to_owned(),
            },
            is_proved: true,
            notes: vec!["the client address 192.0.2.99 is that of the topmost Received field".to_owned()],
            checks: vec![
                check(
                    Method::Spf,
                    Verdict::SoftFail,
                    "smtp.mailfrom=alice@example.org",
                    Advice::cure("the record does not list 192.0.2.99", "list it"),
                )
                .with_records(seen),
                check(Method::DomainKeys, Verdict::None, "", Advice::fine("not signed")),
                check(
                    Method::Dkim,
                    Verdict::Fail,
                    "header.d=example.org",
                    Advice::cure("changed", "sign last"),
                ),
                check(
                    Method::Dkim,
                    Verdict::Pass,
                    "header.d=example.org",
                    Advice::fine("verifies"),
                ),
                check(
                    Method::Iprev,
                    Verdict::Pass,
                    "policy.iprev=192.0.2.99",
                    Advice::fine("is itself"),
                ),
                check(
                    Method::SpamAssassin,
                    Verdict::Ham,
                    "",
                    Advice::fine("-0.1 of 5.0 points"),
                ),
            ],
        }
    }

    #[test]
    fn the_report_begins_with_the_summary() {
        insta::assert_snapshot!(text(&example()));
    }

    #[test]
    fn json_has_the_summary_and_each_check() {
        let value: serde_json::Value = serde_json::from_str(&json(&example())).unwrap();
        assert_eq!(value["pass"], false);
        assert_eq!(value["summary"]["DKIM"], "pass");
        assert_eq!(value["summary"]["SPF"], "softfail");
        assert_eq!(value["client_ip"], "192.0.2.99");
        assert_eq!(value["checks"][0]["check"], "spf");
        assert_eq!(value["checks"][0]["records"][0]["text"], "v=spf1 mx ~all");
        assert_eq!(value["checks"][2]["result"], "fail");
    }

    #[test]
    fn all_pass_means_each_signature_but_not_the_historic_one() {
        let mut report = example();
        report
            .checks
            .retain(|check| check.result.is_good() || check.check == Method::DomainKeys);
        assert!(report.all_pass());
        assert!(!example().all_pass());
    }

    #[test]
    fn of_many_records_a_few_are_shown() {
        let mut report = example();
        let seen = report.checks[0].records[0].clone();
        report.checks[0].records = vec![seen; 1000];
        let text = text(&report);
        assert_eq!(text.matches("TXT \"v=spf1").count(), 4);
        assert!(text.contains("    … and 996 more\n"), "{text}");
    }

    #[test]
    fn our_own_words_have_none_of_others() {
        let mut report = example();
        report.session.helo = "buy.example.net".to_owned();
        report.checks[0].quote = Some("buy at example.net".to_owned());
        assert!(text(&report).contains("does not list 192.0.2.99: buy at example.net"));
        let own = own_words(&report);
        for words in ["buy", "v=spf1", "Received"] {
            assert!(!own.contains(words), "{own}");
        }
        assert!(
            own.contains("SPF check:          softfail") && own.contains("Cure:           list it"),
            "{own}"
        );
    }

    #[test]
    fn text_of_others_is_harmless() {
        let mut report = example();
        report.session.helo = "a\x1b[31m\r\nBcc: x\u{202e}".to_owned();
        report.checks[0].records[0].text = "é".repeat(5000);
        report.checks[0].records[0].name = "\u{1f4ee}".repeat(5000);
        let text = text(&report);
        assert!(text.contains("HELO hostname:  a·[31m··Bcc: x·\n"), "{text}");
        assert!(text.lines().all(|line| line.len() < 998));
    }
}
