//! Keys: a name, an algorithm and a secret, and the files in which they come.

use super::Algorithm;
use crate::name::Name;
use arc_swap::ArcSwap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A secret that two servers share. It is never shown, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    name: Name,
    algorithm: Algorithm,
    secret: Zeroizing<Vec<u8>>,
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not base64, or of no octets.
    #[error("the secret is no base64; it looks like \"K2tzZ…=\", as tsig-keygen prints it")]
    Secret,
    /// The file has no key of that name.
    #[error("there is no key named `{wanted}` in it, but {found}")]
    NotThere {
        /// The name that was looked for.
        wanted: String,
        /// What there is instead.
        found: String,
    },
    /// The file says another algorithm than the configuration.
    #[error("the file says {file} and the configuration {configured}; correct one of the two")]
    Disagree {
        /// Of the file.
        file: Algorithm,
        /// Of the configuration.
        configured: Algorithm,
    },
    /// The file names an algorithm that there is not.
    #[error("`{0}` is no algorithm of TSIG; use hmac-sha256")]
    Algorithm(String),
    /// A key without a secret.
    #[error("the key `{0}` has no secret in it")]
    Incomplete(String),
    /// Nothing that is a key.
    #[error("it holds no key; write the secret in base64, or what tsig-keygen or keymgr -t prints")]
    Empty,
}

impl Key {
    /// A key; the name in any case.
    pub fn new(name: &Name, algorithm: Algorithm, secret: &str) -> Result<Self, KeyError> {
        let secret = Zeroizing::new(BASE64_STANDARD.decode(secret.trim()).map_err(|_| KeyError::Secret)?);
        if secret.is_empty() {
            return Err(KeyError::Secret);
        }
        Ok(Self {
            name: name.to_lowercase(),
            algorithm,
            secret,
        })
    }

    /// Its name, lower case.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// The key `name` from the text of a file: BIND's `key "name" { … };`, what `keymgr -t` prints, or nothing but the
    /// secret, which needs an algorithm from elsewhere; that is HMAC-SHA256 if none is `configured`.
    pub fn from_file(name: &Name, configured: Option<Algorithm>, text: &str) -> Result<Self, KeyError> {
        let keys = KeyText::read(text);
        if let [bare] = &keys[..]
            && bare.name.is_none()
        {
            let algorithm = configured.unwrap_or(Algorithm::Sha256);
            return Self::new(name, algorithm, bare.secret.as_deref().ok_or(KeyError::Empty)?);
        }
        let is_it = |key: &&KeyText| {
            let named = key.name.as_deref().and_then(|text| Name::from_text(text).ok());
            named.as_ref() == Some(name)
        };
        let Some(key) = keys.iter().find(is_it) else {
            let names: Vec<_> = keys.iter().filter_map(|key| key.name.as_deref()).collect();
            return Err(match &names[..] {
                [] => KeyError::Empty,
                names => KeyError::NotThere {
                    wanted: name.to_string(),
                    found: names.join(", "),
                },
            });
        };
        let written = match &key.algorithm {
            Some(text) => Some(Algorithm::from_text(text).ok_or_else(|| KeyError::Algorithm(text.clone()))?),
            None => None,
        };
        if let (Some(file), Some(configured)) = (written, configured)
            && file != configured
        {
            return Err(KeyError::Disagree { file, configured });
        }
        let secret = key
            .secret
            .as_deref()
            .ok_or_else(|| KeyError::Incomplete(name.to_string()))?;
        Self::new(name, written.or(configured).unwrap_or(Algorithm::Sha256), secret)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.name, self.algorithm)
    }
}

/// A key as a file writes it. The secret is wiped when dropped.
#[derive(Default)]
pub struct KeyText {
    name: Option<String>,
    algorithm: Option<String>,
    secret: Option<Zeroizing<String>>,
}

impl KeyText {
    /// The keys of a file, by the words before their parts.
    fn read(text: &str) -> Vec<Self> {
        let mut keys: Vec<Self> = vec![];
        let mut words = Words { rest: text, last: "" };
        while let Some(word) = words.next() {
            match word {
                // `- id: name` of YAML, and `key "name" {` of BIND; the word alone of YAML begins the list.
                "-" | "key:" => {}
                "key" | "id:" => keys.push(Self {
                    name: words.next().map(str::to_owned),
                    ..Self::default()
                }),
                "algorithm" | "algorithm:" => {
                    let value = words.next().map(str::to_owned);
                    if let Some(key) = keys.last_mut() {
                        key.algorithm = value;
                    }
                }
                "secret" | "secret:" => {
                    let value = words.next().map(|secret| Zeroizing::new(secret.to_owned()));
                    if let Some(key) = keys.last_mut() {
                        key.secret = value;
                    }
                }
                bare if keys.is_empty() => {
                    return vec![Self {
                        secret: Some(Zeroizing::new(bare.to_owned())),
                        ..Self::default()
                    }];
                }
                _ => {}
            }
        }
        keys
    }
}

/// Words of a key file: what stands in quotes, or up to a blank or punctuation; comments are passed over.
struct Words<'t> {
    rest: &'t str,
    last: &'t str,
}

impl<'t> Iterator for Words<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let punctuation = |c: char| c.is_whitespace() || "{};".contains(c);
        loop {
            self.rest = self.rest.trim_start_matches(punctuation);
            // Base64 may begin with two slashes.
            let may_be_secret = self.last.starts_with("secret");
            if self.rest.starts_with('#') || (self.rest.starts_with("//") && !may_be_secret) {
                self.rest = self.rest.split_once('\n').map_or("", |(_, after)| after);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.split_once("*/").map_or("", |(_, after)| after);
            } else {
                break;
            }
        }
        let (word, rest) = match self.rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => self
                .rest
                .split_at(self.rest.find(punctuation).unwrap_or(self.rest.len())),
        };
        (self.rest, self.last) = (rest, word);
        (!word.is_empty()).then_some(word)
    }
}

/// Keys by name.
#[derive(Debug, Clone, Default)]
pub struct Keyring(HashMap<Name, Arc<Key>>);

/// The keys in force.
pub type SharedKeyring = Arc<ArcSwap<Keyring>>;

impl Keyring {
    /// The key of this name.
    pub fn get(&self, name: &Name) -> Option<&Arc<Key>> {
        self.0.get(name)
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Key> for Keyring {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.name.clone(), Arc::new(key))).collect())
    }
}
