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

use super::values::{FilePath, Text};
use crate::mail::dkim::NewKey;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::path::{Path, PathBuf};

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

/// The path of a table of OpenDKIM, with or without the type that opendkim.conf has before it.
struct Table(PathBuf);

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let FilePath(path) = FilePath::deserialize(deserializer)?;
        let text = path.to_string_lossy();
        match text.split_once(':') {
            Some(("file" | "refile", file)) => Ok(Self(file.into())),
            Some((kind, _)) if !kind.contains('/') => Err(D::Error::custom(format!(
                "a data set of type {kind} cannot be rewritten; use a text file (refile:), or kind = \"hook\""
            ))),
            _ => Ok(Self(path)),
        }
    }
}

/// Where keys go.
struct KeyPattern(String);

impl<'de> Deserialize<'de> for KeyPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wants = "a path with {domain} and {selector} in it";
        deserializer.deserialize_str(Text(wants, |text| {
            let file = text.rsplit_once('/').map_or(text, |(_, file)| file);
            if !text.contains("{domain}") || !file.contains("{selector}") {
                return Err(format!(
                    "\"{text}\" would put several keys into one file; write {{domain}} into it, and {{selector}} into the \
                     name of the file"
                ));
            }
            // All of these mean something in a KeyTable.
            if text.contains(|c: char| c.is_whitespace() || c.is_control() || "#%".contains(c)) {
                return Err(format!("\"{text}\" has a blank, # or % in it, which KeyTables cannot have; use another path"));
            }
            Ok(Self(text.to_owned()))
        }))
    }
}

/// `user`, `user:group` or `:group`.
struct Owner(String);

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a user, or a user and a group, as a string", |text| {
            let (user, group) = text.split_once(':').unwrap_or((text, ""));
            let plain = |name: &str| !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':');
            match (user.is_empty() && group.is_empty()) || !plain(user) || !plain(group) {
                true => Err(format!(
                    "\"{text}\" names nobody; write \"user:group\", such as \"opendkim:opendkim\""
                )),
                false => Ok(Self(text.to_owned())),
            }
        }))
    }
}

/// The mode of a file in octal; nothing for others, nothing to execute.
struct Mode(u32);

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a mode in octal, as a string", |text| {
            match u32::from_str_radix(text, 8) {
                Ok(mode) if mode & !0o660 == 0 && mode & 0o600 == 0o600 => Ok(Self(mode)),
                _ => Err(format!(
                    "\"{text}\" is no mode for a private key; write \"0600\", or \"0640\" if its group has to read it"
                )),
            }
        }))
    }
}

/// A program, with its arguments.
struct Command(Vec<String>);

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        match words.first() {
            None => Err(D::Error::custom(
                "the command is empty; name a program, or leave the key out",
            )),
            Some(program) if program.is_empty() || words.iter().any(|word| word.contains('\0')) => {
                Err(D::Error::custom(
                    "the command has no program, or a NUL character; write [\"/path/to/program\", \"argument\"]",
                ))
            }
            Some(_) => Ok(Self(words)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Signer, String> {
        let entry: Result<SignerEntry, _> = toml::from_str(text);
        entry
            .map(|entry| entry.below(Path::new("/etc/signpost"), Path::new("/etc/dkimkeys")))
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn each_kind_has_its_files_and_defaults() {
        let opendkim =
            read("kind = 'opendkim'\nkey_table = 'KeyTable'\nsigning_table = 'refile:/t/SigningTable'").unwrap();
        let tables = SignerKind::OpenDkim {
            key_table: "/etc/signpost/KeyTable".into(),
            signing_table: "/t/SigningTable".into(),
        };
        assert_eq!((&opendkim.kind, opendkim.mode), (&tables, 0o600));
        assert_eq!(opendkim.keys, "/etc/dkimkeys/{domain}/{selector}.private");
        assert!(opendkim.can_sign_with(NewKey::Rsa4096) && !opendkim.can_sign_with(NewKey::Ed25519));
        let rspamd = read("kind = 'rspamd'\nselector_map = 'map'").unwrap();
        assert_eq!(rspamd.keys, "/etc/dkimkeys/{domain}.{selector}.key");
        let exim = read("kind = 'exim'\nselectors = 'map'\nkeys = '/k/{domain}.{selector}.pem'").unwrap();
        assert_eq!(exim.keys, "/k/{domain}.{selector}.pem");
        assert!(exim.can_sign_with(NewKey::Ed25519));
        let hook = read("kind = 'hook'\nhook = ['/bin/true', 'x']\nowner = ':mail'\nmode = '640'").unwrap();
        assert_eq!((hook.name(), hook.hook.len(), hook.mode), ("hook", 2, 0o640));
    }

    #[test]
    fn slips_are_told_with_their_cure() {
        let tables = "kind = 'opendkim'\nkey_table = 'k'\nsigning_table = 's'\n";
        for (text, words) in [
            ("", "missing field `kind`"),
            ("kind = 'sendmail'", "unknown variant `sendmail`"),
            ("kind = 'opendkim'", "`key_table` is missing; add the path"),
            (
                "kind = 'rspamd'\nselector_map = 'x'\nkey_table = 'k'",
                "`key_table` is for kind = \"opendkim\" only; remove",
            ),
            (
                "kind = 'exim'\nselectors = 's'\npid_file = 'p'",
                "`pid_file` is for kind",
            ),
            ("kind = 'hook'", "add `hook`"),
            (
                &format!("{tables}reload = ['x']\npid_file = 'p'"),
                "two ways to the same end; keep one",
            ),
            (&format!("{tables}reload = []"), "the command is empty; name a program"),
            (
                &format!("{tables}keys = 'keys/{{domain}}.private'"),
                "several keys into one file; write {domain}",
            ),
            (&format!("{tables}keys = '{{domain}} {{selector}}'"), "has a blank"),
            (
                &format!("{tables}mode = '0644'"),
                "is no mode for a private key; write \"0600\"",
            ),
            (&format!("{tables}mode = '0060'"), "is no mode"),
            (&format!("{tables}owner = ':'"), "names nobody; write"),
            (&format!("{tables}algorithms = []"), "`algorithms` is empty"),
            (
                &format!("{tables}algorithms = ['rsa', 'ed25519']"),
                "one SignatureAlgorithm for all of its keys; keep one",
            ),
            (
                "kind = 'opendkim'\nkey_table = 'db:/k'\nsigning_table = 's'",
                "type db cannot be rewritten; use a text file",
            ),
            (
                "kind = 'rspamd'\nselector_map = 'm'\nalgorithms = ['rsa', 'ed25519']",
                "one selector for each domain; keep one",
            ),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
    }
}
