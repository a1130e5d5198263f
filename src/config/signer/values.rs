//! The values of `[[signer]]` that need more than their TOML type.

use crate::config::values::{FilePath, Text};
use crate::keys::is_key_name;
use serde::de::{Deserialize, Deserializer, Error};
use std::path::{Path, PathBuf};

/// The path of a table of OpenDKIM, with or without the type that opendkim.conf has before it.
pub(super) struct Table(pub(super) PathBuf);

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
pub(super) struct KeyPattern(pub(super) String);

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
            if text.split('/').any(|part| part == "..") {
                return Err(format!("\"{text}\" has .. in it; write where that leads to"));
            }
            if !is_key_name(Path::new(&file.replace("{domain}", "example.org").replace("{selector}", "2026a"))) {
                return Err(format!(
                    "no private key is looked for in a file of such a name as \"{file}\"; write {{selector}}.private, .key \
                     or .pem"
                ));
            }
            Ok(Self(text.to_owned()))
        }))
    }
}

/// `user`, `user:group` or `:group`.
pub(super) struct Owner(pub(super) String);

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
pub(super) struct Mode(pub(super) u32);

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
pub(super) struct Command(pub(super) Vec<String>);

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
