//! OpenDKIM's KeyTable and SigningTable (opendkim.conf(5), opendkim(8) "DATA SETS").
//!
//! A KeyTable row is `name domain:selector:key`. The domain may be `%`, the domain of the sender,
//! and so may be any part of a path: both are resolved by the SigningTable rows that refer to the
//! name. The key is a path, a PEM or base64 DER; a PEM's line breaks may be left out or written
//! `\n`. `#` starts a comment anywhere. Rows that cannot be read are reported with their line and
//! leave the others alone. Bytes of inline keys are reduced to their public half here and never
//! copied into a message.

use super::fault::Fault;
use super::layout;
use super::material;
use super::public::{self, PublicKey};
use crate::finding::{Finding, Place};
use crate::name::Name;
use std::path::Path;

/// After so many bad rows a table is taken for no table at all.
const MAX_REPORTED: usize = 20;

/// A row of a KeyTable, without its line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct KeyRow {
    /// The name that SigningTable rows refer to.
    pub(crate) name: String,
    /// The signing domain; `None` for `%`.
    pub(crate) domain: Option<Name>,
    /// The selector, lower case.
    pub(crate) selector: String,
    /// Where the key is.
    pub(crate) key: KeyAt,
}

/// The third field of a KeyTable row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum KeyAt {
    /// A path as it is written, `%` in place.
    File(String),
    /// Written into the table; the public half of it.
    Inline(PublicKey),
}

/// A table: its rows with their lines, and what is wrong with the others.
#[derive(Debug)]
pub(crate) struct Table<Row> {
    pub(crate) rows: Vec<(u32, Row)>,
    pub(crate) findings: Vec<Finding>,
    /// Names and lines of rows that cannot be read, so that their last good reading can stay.
    pub(crate) broken: Vec<(u32, String)>,
}

impl<Row> Default for Table<Row> {
    fn default() -> Self {
        Self {
            rows: vec![],
            findings: vec![],
            broken: vec![],
        }
    }
}

/// A row of a SigningTable: whose mail is signed, by which key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SigningRow {
    /// The pattern as it is written.
    pub(crate) pattern: Box<str>,
    /// The domain that the pattern stands for; `None` where a wildcard stands for many.
    pub(crate) domain: Option<Name>,
    /// The name of the KeyTable row.
    pub(crate) key_name: String,
}

/// Reads a KeyTable.
pub(crate) fn read_key_table(file: &Path, content: &[u8]) -> Table<KeyRow> {
    let mut table = Table::default();
    for (line, name, value) in rows(content) {
        match key_row(file, name, value) {
            Ok((row, finding)) => {
                table
                    .findings
                    .extend(finding.map(|finding| finding.at(Place::line(file, line))));
                table.rows.push((line, row));
            }
            Err(finding) => {
                // A line of one word may be a line of a PEM: it is not copied.
                if !value.is_empty() {
                    table.broken.push((line, text(name)));
                }
                table.findings.push(finding.at(Place::line(file, line)));
            }
        }
    }
    cap(&mut table.findings, file);
    table
}

/// Reads a SigningTable.
pub(crate) fn read_signing_table(file: &Path, content: &[u8]) -> Table<SigningRow> {
    let mut table = Table::default();
    for (line, pattern, value) in rows(content) {
        // The second field is the signer (`i=`), of no interest here.
        let key_name = value
            .split(|&octet| octet == b':')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if key_name.is_empty() {
            let what = "this row of the SigningTable has no key name behind its pattern";
            let cure = "write `*@example.org name`, the name being the first word of a KeyTable row";
            let finding = Finding::warning("signing-table-syntax", what, cure);
            table.findings.push(finding.at(Place::line(file, line)));
            continue;
        }
        let domain = pattern_domain(&text(pattern));
        let key_name = match &domain {
            // A `%` is the domain of the sender.
            Some(domain) => text(key_name).replace('%', domain.to_string().trim_end_matches('.')),
            None => text(key_name),
        };
        let pattern = text(pattern).into_boxed_str();
        let row = SigningRow {
            pattern,
            domain,
            key_name,
        };
        table.rows.push((line, row));
    }
    cap(&mut table.findings, file);
    table
}

/// Lines split into first word and rest, comments and blank lines gone, counted from 1.
fn rows(content: &[u8]) -> impl Iterator<Item = (u32, &[u8], &[u8])> {
    let lines = content.split(|&octet| octet == b'\n').zip(1u32..);
    lines.filter_map(|(line, number)| {
        let line = line
            .split(|&octet| octet == b'#')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        let line = without_dataset_type(line);
        let first_len = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (first, rest) = line.split_at(first_len);
        (!first.is_empty()).then(|| (number, first, rest.trim_ascii()))
    })
}

/// `refile:` and `file:` belong before a table's path in opendkim.conf; they are let pass wherever
/// people copied them to.
fn without_dataset_type(text: &[u8]) -> &[u8] {
    let rest = text.strip_prefix(b"refile:").or(text.strip_prefix(b"file:"));
    rest.unwrap_or(text)
}

fn key_row(file: &Path, name: &[u8], value: &[u8]) -> Result<(KeyRow, Option<Finding>), Finding> {
    let mut fields = without_dataset_type(value)
        .splitn(3, |&octet| octet == b':')
        .map(<[u8]>::trim_ascii);
    let (Some(domain), Some(selector), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(syntax(
            "a row of a KeyTable is `name domain:selector:key`, and this one is not".to_owned(),
        ));
    };
    let domain = match text(domain) {
        percent if percent == "%" => None,
        domain => {
            Some(layout::host_name(&domain).ok_or_else(|| syntax(format!("`{}` is no domain name", show(&domain))))?)
        }
    };
    let written = text(selector);
    let lower = written.to_ascii_lowercase();
    let (bare, mended) = match lower.split_once("._domainkey") {
        Some((bare, _)) => (bare, Some(selector_mended(&written, bare))),
        None => (lower.as_str(), None),
    };
    let selector = layout::selector(bare).ok_or_else(|| syntax(format!("`{}` is no selector", show(&written))))?;
    let (key, odd) = key_at(file, without_dataset_type(key))?;
    let row = KeyRow {
        name: text(name),
        domain,
        selector,
        key,
    };
    Ok((row, mended.or(odd)))
}

/// opendkim takes `/`, `./` and `../` for a path, and all else for a key.
fn key_at(file: &Path, key: &[u8]) -> Result<(KeyAt, Option<Finding>), Finding> {
    if key.is_empty() {
        return Err(syntax("the key, or the path to it, is missing".to_owned()));
    }
    if key.starts_with(b"/") || key.starts_with(b"./") || key.starts_with(b"../") {
        return Ok((KeyAt::File(text(key)), None));
    }
    let inline = if material::looks_like_pem(key) {
        material::from_pem(key)
    } else {
        match material::decode_base64(&[key]).filter(|der| der.first() == Some(&0x30)) {
            Some(der) => public::from_der(&der),
            // A short word with a dot or a slash and no key in it: a path without its `./`.
            None if key.len() < 256 && key.iter().any(|octet| b"./".contains(octet)) => {
                let finding = Finding::warning(
                    "key-table-path",
                    "OpenDKIM takes a key that begins with neither `/` nor `./` nor `../` for the key itself",
                    "write the path with `/` or `./` in front",
                );
                return Ok((KeyAt::File(text(key)), Some(finding)));
            }
            None => Err(Fault::Garbage("it is neither a path nor PEM nor base64 of DER")),
        }
    };
    match inline {
        Ok((key, _)) => Ok((KeyAt::Inline(key), None)),
        Err(Fault::Unfinished) => {
            Err(Fault::Damaged("the key written into the row is cut short").advise(file, Place::file(file)))
        }
        Err(fault) => Err(fault.advise(file, Place::file(file))),
    }
}

/// The one domain that a pattern stands for: `*@example.org`, `user@example.org`, `example.org`.
fn pattern_domain(pattern: &str) -> Option<Name> {
    let domain = pattern.rsplit_once('@').map_or(pattern, |(_, domain)| domain);
    layout::host_name(domain)
}

fn selector_mended(written: &str, bare: &str) -> Finding {
    Finding::warning(
        "key-table-selector",
        format!(
            "the selector is written `{}`, so that OpenDKIM signs with a selector whose record would be at `{bare}._domainkey._domainkey`",
            show(written)
        ),
        format!("write the selector alone: `{}`", show(bare)),
    )
}

fn syntax(what: String) -> Finding {
    Finding::error(
        "key-table-syntax",
        what,
        "write `name domain:selector:/path/to/key`, one row a line",
    )
}

fn cap(findings: &mut Vec<Finding>, file: &Path) {
    let more = findings.len().saturating_sub(MAX_REPORTED);
    if more > 0 {
        findings.truncate(MAX_REPORTED);
        let what = format!("{more} more rows of this table have something the matter with them");
        let cure = "see to the rows above first; is this a table of OpenDKIM at all?";
        findings.push(Finding::warning("key-table-syntax", what, cure).at(Place::file(file)));
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A field for a message: never the third, and never a long one, which may be a key out of place.
fn show(field: &str) -> String {
    match field.len() {
        0..=63 => field.escape_debug().to_string(),
        len => format!("a field of {len} characters"),
    }
}
