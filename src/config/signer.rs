//! `[[signer]]`: the programs that sign mail, and how each of them is told of a new key.
//!
//! ```toml
//! [[signer]]
//! kind = "opendkim"
//! key_table = "/etc/opendkim/KeyTable"
//! signing_table = "/etc/opendkim/SigningTable"
//! owner = "opendkim:opendkim"
//! reload = ["systemctl", "reload", "opendkim"]
//! ```

mod values;

#[cfg(test)]
mod tests;

use super::values::FilePath;
use crate::mail::dkim::NewKey;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use values::{Command, KeyPattern, Mode, Owner, Table};

/// One signer, defaults filled in and paths completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Which program, with the files that say what it signs with.
    pub kind: SignerKind,
    /// The kinds of keys that it can sign with.
    pub algorithms: Vec<KeyType>,
    /// Where its keys go: a path with `{domain}` and `{selector}` in it.
    pub keys: String,
    /// Whose the keys are, as `user` or `user:group`.
    pub owner: Option<String>,
    /// The mode of private keys.
    pub mode: u32,
    /// What has it read its files again.
    pub reload: Option<Reload>,
    /// A command that is run at each switch; empty for none.
    pub hook: Vec<String>,
}

/// The program, and the files that say what it signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerKind {
    /// OpenDKIM with a KeyTable and a SigningTable.
    OpenDkim {
        /// The KeyTable.
        key_table: PathBuf,
        /// The SigningTable.
        signing_table: PathBuf,
    },
    /// rspamd's `dkim_signing` with a `selector_map`.
    Rspamd {
        /// Lines of `domain selector`.
        selector_map: PathBuf,
    },
    /// Exim, whose `dkim_selector` is looked up in a file.
    Exim {
        /// Lines of `domain: selector`, for `lsearch`.
        selectors: PathBuf,
    },
    /// Any other, told by its hook alone.
    Hook,
}

/// The kinds of keys that signers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// RSA (RFC 6376).
    Rsa,
    /// Ed25519 (RFC 8463).
    Ed25519,
}

impl From<NewKey> for KeyType {
    fn from(key: NewKey) -> Self {
        match key {
            NewKey::Rsa2048 | NewKey::Rsa3072 | NewKey::Rsa4096 => Self::Rsa,
            NewKey::Ed25519 => Self::Ed25519,
        }
    }
}

/// How a signer is told to read its files again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// By a command.
    Command(Vec<String>),
    /// By SIGUSR1, sent to the process whose number is in this file.
    PidFile(PathBuf),
}

impl Signer {
    /// The name of its kind, as it is written.
    pub fn name(&self) -> &'static str {
        match self.kind {
            SignerKind::OpenDkim { .. } => "opendkim",
            SignerKind::Rspamd { .. } => "rspamd",
            SignerKind::Exim { .. } => "exim",
            SignerKind::Hook => "hook",
        }
    }

    /// Can it sign with such a key?
    pub fn can_sign_with(&self, key: NewKey) -> bool {
        self.algorithms.contains(&key.into())
    }
}

/// The kinds, as they are written.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    OpenDkim,
    Rspamd,
    Exim,
    Hook,
}

/// One `[[signer]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerParts {
    kind: Kind,
    algorithms: Option<Vec<KeyType>>,
    key_table: Option<Table>,
    signing_table: Option<Table>,
    selector_map: Option<FilePath>,
    selectors: Option<FilePath>,
    keys: Option<KeyPattern>,
    owner: Option<Owner>,
    mode: Option<Mode>,
    reload: Option<Command>,
    pid_file: Option<FilePath>,
    hook: Option<Command>,
}

/// One `[[signer]]`, judged.
#[derive(Deserialize)]
#[serde(try_from = "SignerParts")]
pub(super) struct SignerEntry(Signer);

impl SignerEntry {
    /// With the paths completed by that of the directory of the configuration, those of keys by the key directory.
    pub(super) fn below(self, base: &Path, keys: &Path) -> Signer {
        let Self(mut signer) = self;
        let complete = |path: &mut PathBuf| *path = base.join(&*path);
        match &mut signer.kind {
            SignerKind::OpenDkim {
                key_table,
                signing_table,
            } => {
                complete(key_table);
                complete(signing_table);
            }
            SignerKind::Rspamd { selector_map: map } | SignerKind::Exim { selectors: map } => complete(map),
            SignerKind::Hook => {}
        }
        if let Some(Reload::PidFile(file)) = &mut signer.reload {
            complete(file);
        }
        signer.keys = keys.join(signer.keys).to_string_lossy().into_owned();
        signer
    }
}

impl TryFrom<SignerParts> for SignerEntry {
    type Error = String;

    fn try_from(parts: SignerParts) -> Result<Self, String> {
        use Kind::{Exim, Hook, OpenDkim, Rspamd};
        for (key, given, kind, name) in [
            ("key_table", parts.key_table.is_some(), OpenDkim, "opendkim"),
            ("signing_table", parts.signing_table.is_some(), OpenDkim, "opendkim"),
            ("pid_file", parts.pid_file.is_some(), OpenDkim, "opendkim"),
            ("selector_map", parts.selector_map.is_some(), Rspamd, "rspamd"),
            ("selectors", parts.selectors.is_some(), Exim, "exim"),
        ] {
            if given && parts.kind != kind {
                return Err(format!(
                    "`{key}` is for kind = \"{name}\" only; remove it, or change the kind"
                ));
            }
        }
        let kind = match parts.kind {
            OpenDkim => SignerKind::OpenDkim {
                key_table: needed(parts.key_table, "key_table", "KeyTable")?.0,
                signing_table: needed(parts.signing_table, "signing_table", "SigningTable")?.0,
            },
            Rspamd => SignerKind::Rspamd {
                selector_map: needed(parts.selector_map, "selector_map", "map of domains and selectors")?.0,
            },
            Exim => SignerKind::Exim {
                selectors: needed(parts.selectors, "selectors", "file that dkim_selector is looked up in")?.0,
            },
            Hook => SignerKind::Hook,
        };
        let hook = parts.hook.map(|command| command.0).unwrap_or_default();
        if parts.kind == Hook && hook.is_empty() {
            return Err("a signer of kind = \"hook\" has no other way; add `hook`, the command to run".to_owned());
        }
        let reload = match (parts.reload, parts.pid_file) {
            (Some(_), Some(_)) => {
                return Err("`reload` and `pid_file` are two ways to the same end; keep one of them".to_owned());
            }
            (Some(command), None) => Some(Reload::Command(command.0)),
            (None, Some(file)) => Some(Reload::PidFile(file.0)),
            (None, None) => None,
        };
        let algorithms = parts.algorithms.unwrap_or_else(|| match parts.kind {
            OpenDkim | Rspamd => vec![KeyType::Rsa],
            Exim | Hook => vec![KeyType::Rsa, KeyType::Ed25519],
        });
        match algorithms.as_slice() {
            [] => return Err("`algorithms` is empty; name \"rsa\" or \"ed25519\", or leave it out".to_owned()),
            [_, _, ..] if parts.kind == Rspamd => {
                return Err("rspamd's map has one selector for each domain; keep one of the algorithms".to_owned());
            }
            // With rsa-sha256, a key of the other kind has it refuse all mail for the moment, and the other way round.
            [_, _, ..] if parts.kind == OpenDkim => {
                return Err(
                    "OpenDKIM has one SignatureAlgorithm for all of its keys; keep one of the algorithms, or run a second \
                     OpenDKIM with a [[signer]] of its own"
                        .to_owned(),
                );
            }
            _ => {}
        }
        let default = if parts.kind == Rspamd {
            "{domain}.{selector}.key"
        } else {
            "{domain}/{selector}.private"
        };
        Ok(Self(Signer {
            kind,
            algorithms,
            keys: parts.keys.map_or_else(|| default.to_owned(), |keys| keys.0),
            owner: parts.owner.map(|owner| owner.0),
            mode: parts.mode.map_or(0o600, |mode| mode.0),
            reload,
            hook,
        }))
    }
}

fn needed<T>(given: Option<T>, key: &str, what: &str) -> Result<T, String> {
    given.ok_or_else(|| format!("`{key}` is missing; add the path of the {what}"))
}
