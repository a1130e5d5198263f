//! The programs that sign mail: making keys for them, and switching them from one key to the next.
//!
//! Promises:
//!
//! - A key file is there whole, with its owner and mode, or not at all, and never takes the place of another ([`make`]).
//! - At every moment, a signer that reads its files finds each selector together with its own key, and a crash between
//!   any two writes of [`switch`] leaves it so. Doing it again is harmless: it finishes what was begun.
//! - Every byte of a table but the rows concerned stays, and so do its owner and mode. What somebody else writes
//!   meanwhile is read and kept; a table that says something else than is known is not touched.
//! - No private key is in an error, in the environment of a command or in a file that others may read, until
//!   [`reveal`] is asked to publish it.
//!
//! All of it blocks: writes are synced, and a command may take 30 seconds. When to do what is not decided here.
//!
//! | file | what it does |
//! |---|---|
//! | `make` | new keys |
//! | `discard` | old keys: removed, held, revealed |
//! | `opendkim`, `map` | what signers sign with, as text to text |
//! | `text` | lines, and rows within them |
//! | `file` | whole files, made and rewritten |
//! | `lock` | one driver at a time |
//! | `run` | commands and signals |
//! | `owner` | users and groups by name |

mod discard;
mod error;
mod file;
mod lock;
mod make;
mod map;
mod opendkim;
mod owner;
mod run;
mod text;

#[cfg(test)]
mod tests;

use crate::config::{Signer, SignerKind};
use crate::mail::dkim::NewKey;
use crate::name::Name;
use crate::watch;
use map::Syntax;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use discard::{all_held, discard, held, reveal};
pub use error::{Fault, SignerError};
pub use lock::lock;
pub use make::{key_file, make};
pub(crate) use opendkim::{Tables, written_path};

/// From one key of a domain to the next.
#[derive(Debug, Clone, Copy)]
pub struct Switch<'a> {
    /// The signing domain, lower case.
    pub domain: &'a Name,
    /// The selector to sign with from now on, lower case.
    pub selector: &'a str,
    /// The one that it takes the place of; `None` for a key that is signed with beside those there are, or the first.
    pub old_selector: Option<&'a str>,
    /// What kind of key it is.
    pub algorithm: NewKey,
    /// Its private half.
    pub key_file: &'a Path,
    /// The record that is published at the selector.
    pub record: &'a str,
}

/// Has the signer sign with another key, once the file has proved to be the key of the published record. If the signer
/// is switched already, it is only told once more. On [`Fault::Reload`] and [`Fault::Hook`] the files are switched, and
/// the signer goes on with the old key until it is told: do it again.
pub fn switch(signer: &Signer, switch: &Switch<'_>) -> Result<(), SignerError> {
    check_key(switch)?;
    match &signer.kind {
        SignerKind::OpenDkim {
            key_table,
            signing_table,
        } => {
            file::rewrite(key_table, |keys| {
                let signing = file::read(signing_table)?;
                Tables::read((key_table, keys), (signing_table, &signing))?.with_key(switch)
            })?;
            file::rewrite(signing_table, |signing| {
                let keys = file::read(key_table)?;
                Tables::read((key_table, &keys), (signing_table, signing))?.with_signing(switch)
            })?;
        }
        SignerKind::Rspamd { selector_map } => {
            file::rewrite(selector_map, |text| {
                map::switched(Syntax::Rspamd, selector_map, text, switch)
            })?;
        }
        SignerKind::Exim { selectors } => {
            file::rewrite(selectors, |text| map::switched(Syntax::Exim, selectors, text, switch))?;
        }
        SignerKind::Hook => {}
    }
    let mut environment = environment("switch", switch.domain, switch.selector);
    environment.extend(switch.old_selector.map(|old| ("SIGNPOST_OLD_SELECTOR", old.to_owned())));
    environment.push(("SIGNPOST_ALGORITHM", switch.algorithm.name().to_owned()));
    environment.push(("SIGNPOST_KEY_FILE", switch.key_file.to_string_lossy().into_owned()));
    tell(signer, true, &environment)
}

/// Fails with [`Fault::Disagrees`] if the domain is signed with a selector that is neither the new one nor one of those
/// `beside` it: a key that takes no other's place is not to come beside what somebody else has put there.
pub fn check_free(signer: &Signer, switch: &Switch<'_>, beside: &BTreeSet<String>) -> Result<(), SignerError> {
    let named = signing(signer)?
        .and_then(|mut all| all.remove(switch.domain))
        .unwrap_or_default();
    let mut others = named
        .into_iter()
        .filter(|named| named != switch.selector && !beside.contains(named));
    let Some(other) = others.next() else {
        return Ok(());
    };
    let told = SignerError::new(
        Fault::Disagrees,
        format!(
            "mail of {} is signed with selector {other}: somebody else changed it",
            bare(switch.domain)
        ),
        "put its key into the key directory, or take it out of the signer's table; that is seen at once",
    );
    Err(match named_files(signer).last() {
        Some(file) => told.at(file),
        None => told,
    })
}

/// Takes a key whose files are to go out of the signer's. Fails with [`Fault::Disagrees`] if it is signed with still.
pub fn retire(signer: &Signer, domain: &Name, selector: &str) -> Result<(), SignerError> {
    let mut changed = false;
    match &signer.kind {
        SignerKind::OpenDkim {
            key_table,
            signing_table,
        } => {
            changed = file::rewrite(key_table, |keys| {
                let signing = file::read(signing_table)?;
                Tables::read((key_table, keys), (signing_table, &signing))?.without_key(domain, selector)
            })?;
        }
        SignerKind::Rspamd { selector_map: file } => {
            map::check_retired(Syntax::Rspamd, file, &file::read(file)?, domain, selector)?;
        }
        SignerKind::Exim { selectors: file } => {
            map::check_retired(Syntax::Exim, file, &file::read(file)?, domain, selector)?;
        }
        SignerKind::Hook => {}
    }
    tell(signer, changed, &environment("retire", domain, selector))
}

/// The selectors that the signer is told to sign with, by domain; `None` if only its hook knows.
pub fn signing(signer: &Signer) -> Result<Option<BTreeMap<Name, BTreeSet<String>>>, SignerError> {
    Ok(Some(match &signer.kind {
        SignerKind::OpenDkim {
            key_table,
            signing_table,
        } => {
            let (keys, signing) = (file::read(key_table)?, file::read(signing_table)?);
            Tables::read((key_table, &keys), (signing_table, &signing))?.in_use()
        }
        SignerKind::Rspamd { selector_map } => map::in_use(Syntax::Rspamd, &file::read(selector_map)?),
        SignerKind::Exim { selectors } => map::in_use(Syntax::Exim, &file::read(selectors)?),
        SignerKind::Hook => return Ok(None),
    }))
}

/// The files that say what the signer signs with, to be watched; those that links lead to, as well.
pub fn files(signer: &Signer) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = named_files(signer).into_iter().map(Path::to_path_buf).collect();
    for target in named_files(signer).iter().filter_map(|file| file.canonicalize().ok()) {
        if !files.contains(&target) {
            files.push(target);
        }
    }
    files
}

/// Those files by the names that the configuration has; the one that names selectors is last.
fn named_files(signer: &Signer) -> Vec<&Path> {
    match &signer.kind {
        SignerKind::OpenDkim {
            key_table,
            signing_table,
        } => vec![key_table, signing_table],
        SignerKind::Rspamd { selector_map: file } | SignerKind::Exim { selectors: file } => vec![file],
        SignerKind::Hook => vec![],
    }
}

/// The name without the dot at its end, as tables and paths have it.
pub(crate) fn bare(domain: &Name) -> String {
    domain.to_string().trim_end_matches('.').to_owned()
}

/// The key must be there, readable, and the one whose record verifiers find.
fn check_key(switch: &Switch<'_>) -> Result<(), SignerError> {
    let file = switch.key_file;
    let content =
        watch::read_file(file, file::MAX_KEY_OCTETS).map_err(|error| SignerError::io(file, "read the key", error))?;
    let found = crate::keys::public_half(file, &content)
        .map_err(|finding| SignerError::new(Fault::Key, finding.what, finding.cure).at(file))?;
    if crate::mail::dkim_public_key(switch.record.as_bytes()).as_ref() == Some(&found) {
        return Ok(());
    }
    Err(SignerError::new(
        Fault::Key,
        format!(
            "the key is not the one that is published at selector {}: mail signed with it would fail",
            switch.selector
        ),
        "put the right key there, or make a new one",
    )
    .at(file))
}

fn environment(action: &str, domain: &Name, selector: &str) -> Vec<(&'static str, String)> {
    vec![
        ("SIGNPOST_ACTION", action.to_owned()),
        ("SIGNPOST_DOMAIN", bare(domain)),
        ("SIGNPOST_SELECTOR", selector.to_owned()),
    ]
}

/// Tells the signer that its files have changed, and the hook in any case.
fn tell(signer: &Signer, changed: bool, environment: &[(&str, String)]) -> Result<(), SignerError> {
    if let Some(reload) = signer.reload.as_ref().filter(|_| changed) {
        run::reload(reload)?;
    }
    match signer.hook.is_empty() {
        true => Ok(()),
        false => run::hook(&signer.hook, environment),
    }
}
