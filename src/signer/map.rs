//! The maps of rspamd and Exim: for each domain, the selectors that it is signed with. The path of a key follows from
//! domain and selector, so one rename switches both.
//!
//! rspamd's `selector_map` has lines of `domain selector`. Exim's file for `lsearch` has lines of `domain: selector`, or
//! of several selectors with colons between them, as the option `dkim_selector` takes them.

use super::error::{Fault, SignerError};
use super::text::{Lines, fields};
use super::{Switch, bare};
use crate::name::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

/// How a map is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Rspamd,
    Exim,
}

/// The line of a domain.
struct Entry {
    line: u32,
    domain: String,
    /// Where in the line each selector is.
    selectors: Vec<Range<usize>>,
    /// Where the value ends.
    end: usize,
    /// Is it one that we can read to the end?
    is_plain: bool,
}

/// The selectors of each domain.
pub(super) fn in_use(syntax: Syntax, text: &[u8]) -> BTreeMap<Name, BTreeSet<String>> {
    let lines = Lines::of(text);
    let mut found: BTreeMap<Name, BTreeSet<String>> = BTreeMap::new();
    for entry in entries(syntax, &lines) {
        if let Ok(domain) = Name::from_text(&entry.domain) {
            let selectors = entry.selectors.iter().map(|range| word(&lines, entry.line, range));
            found.entry(domain.to_lowercase()).or_default().extend(selectors);
        }
    }
    found
}

/// The map with the new selector in the place of the old one.
pub(super) fn switched(syntax: Syntax, file: &Path, text: &[u8], switch: &Switch<'_>) -> Result<Vec<u8>, SignerError> {
    let mut lines = Lines::of(text);
    let domain = bare(switch.domain);
    let mut own = entries(syntax, &lines)
        .into_iter()
        .filter(|entry| entry.domain == domain);
    let disagrees =
        |line: u32, what: String, cure: String| Err(SignerError::new(Fault::Disagrees, what, cure).at_line(file, line));
    let known = row(syntax, &domain, switch.old_selector.unwrap_or(switch.selector));
    let old_selector = switch.old_selector.filter(|old| *old != switch.selector);
    let Some(entry) = own.next() else {
        if let Some(old) = old_selector {
            return disagrees(
                lines.len().max(1),
                format!("mail of {domain} is not signed with selector {old}: {domain} is not in the map"),
                format!("write `{known}`"),
            );
        }
        lines.insert_behind(lines.len(), row(syntax, &domain, switch.selector).as_bytes());
        return Ok(lines.into_text());
    };
    if own.next().is_some() {
        return disagrees(
            entry.line,
            format!("{domain} is in the map more than once"),
            format!("leave one line of it, `{known}`"),
        );
    }
    if !entry.is_plain {
        let what = format!("the line of {domain} goes on in the next one, or has a list separator of its own");
        let cure = format!("write `{}`", row(syntax, &domain, "SELECTOR"));
        return Err(SignerError::new(Fault::Table, what, cure).at_line(file, entry.line));
    }
    let find = |selector: &str| {
        entry
            .selectors
            .iter()
            .find(|range| word(&lines, entry.line, range) == selector)
            .cloned()
    };
    match (old_selector.map(find), find(switch.selector)) {
        (None | Some(None), Some(_)) => {}
        (Some(Some(old)), None) => lines.replace(entry.line, old, switch.selector),
        (None, None) if syntax == Syntax::Exim => {
            let separator = if entry.selectors.is_empty() { " " } else { " : " };
            lines.replace(
                entry.line,
                entry.end..entry.end,
                &format!("{separator}{}", switch.selector),
            );
        }
        (Some(Some(_)), Some(_)) => {
            let what = format!("{domain} is signed with both selectors already");
            // What else the line has, such as a key of another kind, stays.
            let cure = format!("take {} out of it", old_selector.unwrap_or_default());
            return disagrees(entry.line, what, cure);
        }
        (_, None) => {
            let found: Vec<String> = entry
                .selectors
                .iter()
                .map(|range| word(&lines, entry.line, range))
                .collect();
            let what = format!(
                "mail of {domain} is signed with `{}`: somebody else changed it",
                found.join(" : ")
            );
            return disagrees(
                entry.line,
                what,
                format!("have it name the selector again, as `{known}` does"),
            );
        }
    }
    Ok(lines.into_text())
}

/// Fails while the domain is still signed with the selector.
pub(super) fn check_retired(
    syntax: Syntax,
    file: &Path,
    text: &[u8],
    domain: &Name,
    selector: &str,
) -> Result<(), SignerError> {
    match in_use(syntax, text)
        .get(domain)
        .is_some_and(|selectors| selectors.contains(selector))
    {
        false => Ok(()),
        true => Err(SignerError::new(
            Fault::Disagrees,
            format!("mail of {} is still signed with selector {selector}", bare(domain)),
            "name another selector here; until then the old key stays",
        )
        .at(file)),
    }
}

fn row(syntax: Syntax, domain: &str, selector: &str) -> String {
    match syntax {
        Syntax::Rspamd => format!("{domain} {selector}"),
        Syntax::Exim => format!("{domain}: {selector}"),
    }
}

fn word(lines: &Lines, line: u32, range: &Range<usize>) -> String {
    let word = lines.line(line).get(range.clone()).unwrap_or_default();
    String::from_utf8_lossy(word).to_ascii_lowercase()
}

fn entries(syntax: Syntax, lines: &Lines) -> Vec<Entry> {
    let numbers = 1..=lines.len();
    match syntax {
        Syntax::Rspamd => numbers.filter_map(|line| rspamd(lines, line)).collect(),
        Syntax::Exim => numbers.filter_map(|line| exim(lines, line)).collect(),
    }
}

/// `domain selector`, each perhaps in quotes.
fn rspamd(lines: &Lines, number: u32) -> Option<Entry> {
    let line = lines.line(number);
    let (domain, selector) = fields(line)?;
    let (domain, selector) = (unquoted(line, domain), unquoted(line, selector));
    Some(Entry {
        line: number,
        domain: domain_of(line, domain),
        end: selector.end,
        is_plain: !line[selector.clone()].iter().any(u8::is_ascii_whitespace),
        selectors: if selector.is_empty() { vec![] } else { vec![selector] },
    })
}

/// `domain: selector : selector`; a line that begins with a blank goes on with the one before (Exim's specification,
/// "Single-key lookup types").
fn exim(lines: &Lines, number: u32) -> Option<Entry> {
    let line = lines.line(number);
    if line
        .first()
        .is_none_or(|octet| octet.is_ascii_whitespace() || *octet == b'#')
    {
        return None;
    }
    let quoted = line.first() == Some(&b'"');
    let key_end = match quoted {
        true => line[1..].iter().position(|&octet| octet == b'"')? + 2,
        false => line
            .iter()
            .position(|octet| octet.is_ascii_whitespace() || *octet == b':')
            .unwrap_or(line.len()),
    };
    let end = line.trim_ascii_end().len();
    let mut start = blanks(line, key_end..end);
    if line.get(start) == Some(&b':') {
        start = blanks(line, start + 1..end);
    }
    let start = start.min(end);
    let mut selectors = vec![];
    let mut at = start;
    for part in line[start..end].split(|&octet| octet == b':') {
        let from = blanks(line, at..at + part.len());
        if from < at + part.len() {
            selectors.push(from..from + line[from..at + part.len()].trim_ascii_end().len());
        }
        at += part.len() + 1;
    }
    let next = lines.line(number + 1);
    let goes_on = next.first().is_some_and(u8::is_ascii_whitespace) && !next.trim_ascii().is_empty();
    Some(Entry {
        line: number,
        domain: domain_of(line, unquoted(line, 0..key_end)),
        selectors,
        end,
        is_plain: !goes_on && line.get(start) != Some(&b'<'),
    })
}

/// The first octet of the range that is no blank, or its end.
fn blanks(line: &[u8], range: Range<usize>) -> usize {
    let text = line.get(range.clone()).unwrap_or_default();
    range.start + (text.len() - text.trim_ascii_start().len())
}

fn unquoted(line: &[u8], range: Range<usize>) -> Range<usize> {
    match line.get(range.clone()) {
        Some([b'"', .., b'"']) => range.start + 1..range.end - 1,
        _ => range,
    }
}

fn domain_of(line: &[u8], range: Range<usize>) -> String {
    String::from_utf8_lossy(&line[range])
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::dkim::NewKey;
    use crate::testing::name;
    use proptest::prelude::*;

    fn switch(syntax: Syntax, text: &str, old: Option<&str>) -> Result<String, String> {
        let change = Switch {
            domain: &name("example.org"),
            selector: "new",
            old_selector: old,
            algorithm: NewKey::Rsa2048,
            key_file: Path::new("/k"),
            record: "",
        };
        match switched(syntax, Path::new("map"), text.as_bytes(), &change) {
            Ok(new) if new == text.as_bytes() => Ok("unchanged".to_owned()),
            Ok(new) => Ok(String::from_utf8(new).unwrap()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn rspamds_line_of_the_domain_is_changed_and_nothing_else() {
        let text = "# ours\nexample.net  a\n\n\"Example.ORG\"\t \"old\"  # kept\r\nexample.com b";
        let expected = "# ours\nexample.net  a\n\n\"Example.ORG\"\t \"new\"  # kept\r\nexample.com b";
        assert_eq!(switch(Syntax::Rspamd, text, Some("old")).unwrap(), expected);
        assert_eq!(switch(Syntax::Rspamd, expected, Some("old")).unwrap(), "unchanged");
        assert_eq!(
            switch(Syntax::Rspamd, "a.test x", None).unwrap(),
            "a.test x\nexample.org new\n"
        );
        let told = switch(Syntax::Rspamd, "example.org other\n", Some("old")).unwrap_err();
        assert!(
            told.contains("map:1: mail of example.org is signed with `other`"),
            "{told}"
        );
        assert!(switch(Syntax::Rspamd, "example.org other\n", None).is_err());
        assert!(
            switch(Syntax::Rspamd, "", Some("old"))
                .unwrap_err()
                .contains("not in the map")
        );
        let twice = "example.org old\nexample.org old\n";
        assert!(
            switch(Syntax::Rspamd, twice, Some("old"))
                .unwrap_err()
                .contains("more than once")
        );
    }

    #[test]
    fn exims_list_gets_the_new_selector_in_the_place_of_the_old_one() {
        for (text, old, expected) in [
            ("example.org: old\n", Some("old"), "example.org: new\n"),
            ("example.org:old:ed\n", Some("old"), "example.org:new:ed\n"),
            (
                "\"example.org\"   ed : old \nx: old\n",
                Some("old"),
                "\"example.org\"   ed : new \nx: old\n",
            ),
            ("example.org: ed\n", None, "example.org: ed : new\n"),
            ("example.org:\n", None, "example.org: new\n"),
            ("example.org: older\n", None, "example.org: older : new\n"),
            ("example.org: new : ed\n", Some("old"), "unchanged"),
            ("", None, "example.org: new\n"),
        ] {
            assert_eq!(switch(Syntax::Exim, text, old).unwrap(), expected, "{text}");
        }
        for (text, words) in [
            ("example.org: old\n  : more\n", "goes on in the next one"),
            ("example.org: <; old ; ed\n", "a list separator of its own"),
            ("example.org: old : new\n", "with both"),
            ("example.org: third\n", "signed with `third`"),
            (" example.org: old\n#example.org: old\n", "not in the map"),
        ] {
            let told = switch(Syntax::Exim, text, Some("old")).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
        // Whoever does as the error says keeps the key of another kind, and the next try goes on.
        let told = switch(Syntax::Exim, "example.org: old : new : ed\n", Some("old")).unwrap_err();
        assert!(told.contains("take old out"), "{told}");
        let done = switch(Syntax::Exim, "example.org: new : ed\n", Some("old"));
        assert_eq!(done.unwrap(), "unchanged");
    }

    #[test]
    fn what_is_in_use_is_read_and_keeps_a_key_from_being_retired() {
        let found = in_use(Syntax::Exim, b"# x\nexample.org: A : b\nexample.net c\n");
        let of = |domain: &str| found[&name(domain)].iter().cloned().collect::<Vec<_>>();
        assert_eq!(
            (of("example.org"), of("example.net")),
            (vec!["a".into(), "b".into()], vec!["c".into()])
        );
        let check = |selector| {
            check_retired(
                Syntax::Rspamd,
                Path::new("m"),
                b"example.org a\n",
                &name("example.org"),
                selector,
            )
        };
        assert!(check("b").is_ok());
        assert_eq!(check("a").unwrap_err().fault, Fault::Disagrees);
    }

    proptest! {
        #[test]
        fn any_text_is_changed_in_one_line_or_left(text in "([ -~\\t]{0,20}\r?\n|\"?example.org\"?[: \t]{1,3}(old|ed : old|old:ed)?[ \t]{0,2}\n){0,6}") {
            for syntax in [Syntax::Rspamd, Syntax::Exim] {
                for old in [None, Some("old")] {
                    let Ok(new) = switch(syntax, &text, old) else { continue };
                    if new == "unchanged" {
                        continue;
                    }
                    let (before, after): (Vec<_>, Vec<_>) = (text.lines().collect(), new.lines().collect());
                    let differ = before.iter().zip(&after).filter(|(before, after)| before != after).count();
                    prop_assert!(after.len() - before.len() + differ == 1, "{text:?} became {new:?}");
                    let found = in_use(syntax, new.as_bytes());
                    prop_assert!(found[&name("example.org")].contains("new"), "{text:?} became {new:?}");
                    prop_assert_eq!(switch(syntax, &new, old).unwrap(), "unchanged");
                }
            }
        }
    }
}
