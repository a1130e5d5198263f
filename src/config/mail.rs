//! The `[mail]` tables of the two files, and how they become one policy.
//!
//! Tables are merged key by key and the zone's own wins; lists and texts are replaced whole, and a
//! text such as `spf = "auto"` takes the place of a table and the other way round. Positions survive
//! the merge, so an error of the whole is still reported at the file and line that caused it.

use super::error::{ConfigError, Fault};
use super::read::{self, Kind, Source};
use crate::mail::MailPolicy;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Positions of a zone's own file start here, above any position of `signpost.toml`.
const ZONE_START: usize = 2 * read::MAX_LEN;

/// The `[mail]` table of one file. Keeps the file's text, from which it is merged with another:
/// parsed TOML borrows from its text.
#[derive(Debug, Clone)]
pub struct MailTable {
    path: PathBuf,
    text: Arc<str>,
    kind: Kind,
    /// Has the file a `[mail]` at all?
    written: bool,
    /// The policy this table makes on its own. An error means that a key is missing, which the
    /// other file may have.
    alone: Result<MailPolicy, ConfigError>,
}

/// A document with nothing but `[mail]`.
#[derive(Deserialize)]
struct MailOnly {
    #[serde(default)]
    mail: MailPolicy,
}

impl MailTable {
    /// Does the file have a `[mail]`?
    pub fn is_written(&self) -> bool {
        self.written
    }

    /// No table at all.
    pub(super) fn absent(path: &Path, kind: Kind) -> Self {
        Self {
            path: path.to_owned(),
            text: "".into(),
            kind,
            written: false,
            alone: Ok(MailPolicy::default()),
        }
    }

    /// The `[mail]` of `document`, which was parsed from `text`. Any fault but a missing key is
    /// reported here, also one that the other file would hide.
    pub(super) fn take(
        path: &Path,
        text: &str,
        kind: Kind,
        document: &Spanned<DeTable<'_>>,
    ) -> Result<Self, ConfigError> {
        let source = Source { path, text, start: 0 };
        let alone = read::read::<MailOnly>(&only_mail(document.clone()), kind, &[source]);
        match alone {
            Err(error) if error.fault != Fault::MissingKey => Err(error),
            alone => Ok(Self {
                path: path.to_owned(),
                text: text.into(),
                kind,
                written: document.get_ref().contains_key("mail"),
                alone: alone.map(|document| document.mail),
            }),
        }
    }

    /// The policy of these defaults with `own` laid over them.
    pub(super) fn with(&self, own: &Self) -> Result<MailPolicy, ConfigError> {
        if !own.written {
            return self.alone.clone();
        }
        if !self.written {
            return own.alone.clone();
        }
        let defaults = self.source(0);
        let own = own.source(ZONE_START);
        let merged = merge(defaults, own)?;
        read::read::<MailOnly>(&merged, self.kind, &[defaults, own]).map(|document| document.mail)
    }

    fn source(&self, start: usize) -> Source<'_> {
        Source {
            path: &self.path,
            text: &self.text,
            start,
        }
    }
}

/// The `[mail]` of `own` laid over that of `defaults`, each with the positions of its source.
fn merge<'t>(defaults: Source<'t>, own: Source<'t>) -> Result<Spanned<DeTable<'t>>, ConfigError> {
    let mut merged = only_mail(read::document(defaults.path, defaults.text)?);
    let mut over = only_mail(read::document(own.path, own.text)?);
    shift_table(over.get_mut(), own.start);
    lay_over(merged.get_mut(), over.into_inner());
    Ok(merged)
}

/// The document without anything but the key `mail`.
fn only_mail(mut document: Spanned<DeTable<'_>>) -> Spanned<DeTable<'_>> {
    let mail = document.get_mut().remove_entry("mail");
    document.get_mut().clear();
    document.get_mut().extend(mail);
    document
}

/// Deep merge: tables key by key, anything else replaced whole.
fn lay_over<'t>(base: &mut DeTable<'t>, own: DeTable<'t>) {
    for (key, mut value) in own {
        // Taken out, not overwritten: the map would keep the key's old position.
        let below = base.remove(key.get_ref().as_ref()).map(Spanned::into_inner);
        if let (Some(DeValue::Table(mut table)), DeValue::Table(own)) = (below, value.get_mut()) {
            lay_over(&mut table, std::mem::take(own));
            *own = table;
        }
        base.insert(key, value);
    }
}

/// Moves every position in `table` by `by`.
fn shift_table(table: &mut DeTable<'_>, by: usize) {
    *table = std::mem::take(table)
        .into_iter()
        .map(|(key, mut value)| {
            shift_value(&mut value, by);
            (moved(key, by), value)
        })
        .collect();
}

fn shift_value(value: &mut Spanned<DeValue<'_>>, by: usize) {
    match value.get_mut() {
        DeValue::Table(table) => shift_table(table, by),
        DeValue::Array(array) => array.iter_mut().for_each(|element| shift_value(element, by)),
        _ => {}
    }
    let span = value.span();
    let inner = std::mem::replace(value.get_mut(), DeValue::Boolean(false));
    *value = moved(Spanned::new(span, inner), by);
}

fn moved<T>(value: Spanned<T>, by: usize) -> Spanned<T> {
    let span = value.span();
    Spanned::new(span.start + by..span.end + by, value.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A policy with every shape that a real one has: tables in tables, lists, a text or a table.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        mail: SampleMail,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SampleMail {
        spf: Option<toml::Value>,
        dmarc: Option<SampleDmarc>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SampleDmarc {
        policy: String,
        #[serde(default)]
        rua: Vec<String>,
        #[serde(default)]
        hosts: BTreeMap<String, u32>,
    }

    fn merged(defaults: &str, own: &str) -> Result<Sample, ConfigError> {
        let defaults = Source {
            path: Path::new("signpost.toml"),
            text: defaults,
            start: 0,
        };
        let own = Source {
            path: Path::new("zones/example.org.toml"),
            text: own,
            start: ZONE_START,
        };
        read::read(&merge(defaults, own)?, Kind::Server, &[defaults, own])
    }

    #[test]
    fn merges_tables_key_by_key_and_lets_the_zone_win() {
        let both = merged(
            "listen = []\n[mail.dmarc]\npolicy = 'none'\nrua = ['mailto:a@example.org', 'mailto:b@example.org']\n\
             [mail.dmarc.hosts]\nmail = 1\nwww = 2\n",
            "[mail.dmarc]\nrua = ['mailto:c@example.org']\nhosts.mail = 3\n",
        )
        .unwrap();
        let dmarc = both.mail.dmarc.unwrap();
        assert_eq!(dmarc.policy, "none");
        assert_eq!(dmarc.rua, ["mailto:c@example.org"], "lists are replaced, not joined");
        assert_eq!(dmarc.hosts, BTreeMap::from([("mail".into(), 3), ("www".into(), 2)]));
    }

    #[test]
    fn lets_a_text_replace_a_table_and_a_table_a_text() {
        let text = merged("[mail.spf]\nmx = true\n", "mail.spf = 'auto'\n").unwrap();
        assert_eq!(text.mail.spf.unwrap().as_str(), Some("auto"));
        let table = merged("mail.spf = 'auto'\n", "[mail.spf]\nmx = true\n").unwrap();
        assert!(table.mail.spf.unwrap().is_table());
    }

    #[test]
    fn lets_one_file_complete_the_other() {
        let both = merged("[mail.dmarc]\nrua = []\n", "[mail.dmarc]\npolicy = 'reject'\n").unwrap();
        assert_eq!(both.mail.dmarc.unwrap().policy, "reject");
    }

    #[test]
    fn blames_the_file_and_line_that_is_at_fault() {
        let good = "# defaults\n\n[mail.dmarc]\npolicy = 'none'\n";
        let in_zone = merged(good, "[mail.dmarc]\nhosts = { mail = 'x' }\n").unwrap_err();
        assert_eq!(in_zone.place.unwrap().to_string(), "zones/example.org.toml:2:18");
        let in_list = merged(good, "[mail.dmarc]\nrua = [\n  'mailto:a@example.org',\n  7,\n]\n").unwrap_err();
        assert_eq!(in_list.place.unwrap().to_string(), "zones/example.org.toml:4:3");
        let in_defaults = merged("[mail.dmarc]\npolicy = 5\n", "[mail.dmarc]\nrua = []\n").unwrap_err();
        assert_eq!(in_defaults.place.unwrap().to_string(), "signpost.toml:2:10");
        let same_unknown = merged("[mail.dmarc]\npolcy = 5\n", "\n\n[mail.dmarc]\npolcy = 5\n").unwrap_err();
        assert_eq!(same_unknown.place.unwrap().to_string(), "zones/example.org.toml:4:1");
        let missing = merged("[mail.dmarc]\nrua = []\n", "[mail.dmarc]\nhosts = {}\n").unwrap_err();
        assert_eq!(missing.fault, Fault::MissingKey);
        assert_eq!(missing.what, "`policy` is missing in [mail.dmarc]");
        assert_eq!(missing.place.unwrap().to_string(), "zones/example.org.toml:1:1");
    }
}
