//! One selector of one domain: which of its sources wins, and what is published.
//!
//! A private key goes before a public one, and within each a key that a KeyTable names (the first
//! row) before one that its path names (the last file name in order: `2026b` after `2026a`). Among
//! public halves a record goes before a bare key. Every source that disagrees with the winner is
//! reported.

use super::mend;
use super::public::{Half, PublicKey};
use super::reading::Reading;
use super::text::KeyText;
use super::{Algorithm, DkimKey};
use crate::finding::{Finding, Place};
use crate::name::Name;
use std::cmp::Reverse;
use std::path::Path;

/// Where a source gets its name from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim<'a> {
    /// A row of a KeyTable: the table and the line.
    Row(&'a Path, u32),
    /// Its path.
    Path,
}

/// One source of a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) claim: Claim<'a>,
    pub(super) content: Content<'a>,
}

/// What it holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    Key(&'a PublicKey, Half),
    Text(&'a KeyText),
}

impl<'a> From<&'a Reading> for Content<'a> {
    fn from(reading: &'a Reading) -> Self {
        match reading {
            Reading::Key(key, half) => Self::Key(key, *half),
            Reading::Text(text) => Self::Text(text),
        }
    }
}

impl<'a> Source<'a> {
    fn key(&self) -> Option<&'a PublicKey> {
        match self.content {
            Content::Key(key, _) => Some(key),
            Content::Text(text) => text.key.as_ref(),
        }
    }

    fn text(&self) -> Option<&'a KeyText> {
        match self.content {
            Content::Key(..) => None,
            Content::Text(text) => Some(text),
        }
    }

    fn is_private(&self) -> bool {
        matches!(self.content, Content::Key(_, Half::Private))
    }

    /// The winner has the least.
    fn rank(&self) -> (u8, Claim<'a>, Reverse<&'a Path>) {
        let kind = match self.content {
            Content::Key(_, Half::Private) => 0,
            Content::Text(_) => 1,
            Content::Key(_, Half::Public) => 2,
        };
        (kind, self.claim, Reverse(self.file))
    }

    fn place(&self) -> Place {
        match self.claim {
            Claim::Row(table, line) if table == self.file => Place::line(table, line),
            _ => Place::file(self.file),
        }
    }
}

/// Decides what is published at `selector._domainkey.domain`.
pub(super) fn decide(domain: &Name, selector: &str, mut sources: Vec<Source<'_>>) -> (Option<DkimKey>, Vec<Finding>) {
    sources.sort_by_key(Source::rank);
    sources.dedup_by_key(|source| (source.file, source.is_private(), source.key()));
    let Some((winner, key)) = sources.iter().find_map(|source| Some((source, source.key()?))) else {
        return (None, sources.iter().map(|source| revoked_alone(source)).collect());
    };
    let mut findings: Vec<Finding> = sources
        .iter()
        .filter_map(|source| disagreement(domain, selector, winner, key, source))
        .collect();
    findings.extend(judge_length(key).map(|finding| finding.at(winner.place())));
    let texts = || sources.iter().filter_map(|source| Some((source, source.text()?)));
    let text = texts()
        .find(|(_, text)| text.key.as_ref() == Some(key))
        .or_else(|| texts().next());
    let mut files = vec![winner.file.to_path_buf()];
    files.extend(
        text.map(|(source, _)| source.file.to_path_buf())
            .filter(|file| *file != files[0]),
    );
    let key = DkimKey {
        domain: domain.clone(),
        selector: selector.to_owned(),
        record: mend::record(key, text.map(|(_, text)| &text.tags)).into(),
        algorithm: key.algorithm,
        sources: files,
    };
    if key.owner().is_err() {
        findings.push(name_too_long(winner));
        return (None, findings);
    }
    (Some(key), findings)
}

fn disagreement(
    domain: &Name,
    selector: &str,
    winner: &Source<'_>,
    key: &PublicKey,
    other: &Source<'_>,
) -> Option<Finding> {
    let (loser, won) = (other.file.display(), winner.file.display());
    let finding = match (other.key(), other.text()) {
        (Some(theirs), _) if theirs != key => {
            if winner.is_private() && !other.is_private() {
                Finding::warning(
                    "dkim-txt-differs",
                    format!(
                        "{loser} holds another key than the private key {won}; the private key's is published, since mail is signed with it"
                    ),
                    format!("if {won} is the right key, write its public half into {loser} or remove {loser}"),
                )
            } else {
                Finding::warning(
                    "dkim-two-keys",
                    format!(
                        "{won} and {loser} hold different keys for selector {selector} of {domain}; the one of {won} is published"
                    ),
                    "give each key a selector of its own, or remove the one that mail is not signed with",
                )
            }
        }
        (None, Some(_)) => Finding::warning(
            "dkim-txt-revoked",
            format!(
                "{loser} says that the key is revoked (an empty p=, RFC 6376 §3.6.1), but {won} is there and is published"
            ),
            format!("remove {won} to stop publishing the key"),
        ),
        (Some(_), Some(text)) => other_name(selector, other, text)?,
        _ => return None,
    };
    Some(finding.at(other.place()))
}

/// A record that calls itself by another selector than its file.
fn other_name(selector: &str, source: &Source<'_>, text: &KeyText) -> Option<Finding> {
    let said = text.selector.as_deref().filter(|said| *said != selector)?;
    (source.claim == Claim::Path).then(|| {
        Finding::warning(
            "dkim-txt-other-name",
            format!("says {said}._domainkey, but its name says selector {selector}, where it is published"),
            format!("rename the files to {said} if mail is signed with selector {said}"),
        )
    })
}

fn judge_length(key: &PublicKey) -> Option<Finding> {
    match key.algorithm {
        Algorithm::Rsa { bits: bits @ ..2048 } => Some(Finding::warning(
            "dkim-key-short",
            format!(
                "is an RSA key of {bits} bits; signers should use 2048 (RFC 8301 §3.2), and some receivers distrust fewer"
            ),
            "make a key of 2048 bits under a new selector, and sign with that one",
        )),
        Algorithm::Rsa { bits: bits @ 4097.. } => Some(Finding::warning(
            "dkim-key-long",
            format!("is an RSA key of {bits} bits; verifiers need to take 4096 at most (RFC 8301 §3.2)"),
            "make a key of 2048 or 4096 bits under a new selector, and sign with that one",
        )),
        Algorithm::Rsa { .. } | Algorithm::Ed25519 => None,
    }
}

fn revoked_alone(source: &Source<'_>) -> Finding {
    Finding::error(
        "dkim-txt-no-key",
        "holds a record with an empty p=, which revokes a key (RFC 6376 §3.6.1), and no key",
        "remove the file: a key that was published here is revoked in time by itself",
    )
    .at(source.place())
}

fn name_too_long(source: &Source<'_>) -> Finding {
    Finding::error(
        "dkim-name-too-long",
        "selector, `_domainkey` and domain make a name of more than 255 octets (RFC 1035 §2.3.4)",
        "use a shorter selector",
    )
    .at(source.place())
}
