//! `[transfer]` and `[[tsig]]`: who may have zones, who is told of changes, from whom zones come, and the keys.

use super::tls::DOT_PORT;
use super::values::FilePath;
use crate::name::Name;
use crate::transfer::{AddressPrefix, Allowed, Channel, Remote, TransferPolicy};
use crate::tsig::{Algorithm, Key, KeyError};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The port of DNS.
const DNS_PORT: u16 = 53;

/// `[transfer]` of one file: what it says, and nothing where it is silent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferTable {
    allow: Option<Vec<Allowed>>,
    notify: Option<Vec<Remote>>,
    notify_nameservers: Option<bool>,
    primaries: Option<Vec<Remote>>,
}

impl TransferTable {
    /// Does the file say nothing of transfers?
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// Does the file say from whom zones come?
    pub fn has_primaries(&self) -> bool {
        self.primaries.as_ref().is_some_and(|primaries| !primaries.is_empty())
    }

    /// What is in force for a zone: this of `signpost.toml`, and what the zone's own file says in place of it.
    pub fn with(&self, zone: &Self) -> TransferPolicy {
        let default = TransferPolicy::default();
        let pick = |own: &Option<Vec<Remote>>, all: &Option<Vec<Remote>>| own.as_ref().or(all.as_ref()).cloned();
        TransferPolicy {
            allow: zone.allow.as_ref().or(self.allow.as_ref()).cloned().unwrap_or_default(),
            notify: pick(&zone.notify, &self.notify).unwrap_or_default(),
            notify_nameservers: zone
                .notify_nameservers
                .or(self.notify_nameservers)
                .unwrap_or(default.notify_nameservers),
            primaries: pick(&zone.primaries, &self.primaries).unwrap_or_default(),
        }
    }

    /// Does an entry of `allow` demand a certificate of the client?
    pub fn wants_certificates(&self) -> bool {
        let mut allowed = self.allow.iter().flatten();
        allowed.any(|allowed| matches!(allowed.channel, Channel::Certified(_)))
    }

    /// Every key that is named.
    pub fn keys(&self) -> impl Iterator<Item = &Name> {
        let allowed = self.allow.iter().flatten().filter_map(|allowed| allowed.key.as_ref());
        let remotes = self.notify.iter().chain(&self.primaries).flatten();
        allowed.chain(remotes.filter_map(|remote| remote.key.as_ref()))
    }
}

/// One `[[tsig]]`: where a key comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct TsigKey {
    /// Its name.
    pub name: Name,
    /// Where its secret is.
    pub secret: TsigSecret,
}

/// Where a secret is.
#[derive(Clone, PartialEq, Eq)]
pub enum TsigSecret {
    /// In the configuration.
    Here(Key),
    /// In a file, which may say the algorithm as well.
    File(PathBuf, Option<Algorithm>),
}

impl TsigKey {
    /// The key, from the text of its file if it is in one.
    pub fn key(&self, text: impl FnOnce(&Path) -> Result<Zeroizing<String>, String>) -> Result<Key, String> {
        match &self.secret {
            TsigSecret::Here(key) => Ok(key.clone()),
            TsigSecret::File(path, algorithm) => {
                let text = text(path)?;
                Key::from_file(&self.name, *algorithm, &text).map_err(|error| error.to_string())
            }
        }
    }

    /// The file of the secret.
    pub fn file(&self) -> Option<&Path> {
        match &self.secret {
            TsigSecret::Here(_) => None,
            TsigSecret::File(path, _) => Some(path),
        }
    }
}

impl fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TsigKey({} {:?})", self.name, self.file())
    }
}

/// `[transfer]` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TransferFile {
    allow: Option<Vec<AllowEntry>>,
    notify: Option<Vec<RemoteEntry>>,
    notify_nameservers: Option<bool>,
    primaries: Option<Vec<PrimaryEntry>>,
}

impl From<TransferFile> for TransferTable {
    fn from(file: TransferFile) -> Self {
        Self {
            allow: file.allow.map(|list| list.into_iter().map(|entry| entry.0).collect()),
            notify: file.notify.map(|list| list.into_iter().map(|entry| entry.0).collect()),
            notify_nameservers: file.notify_nameservers,
            primaries: file
                .primaries
                .map(|list| list.into_iter().map(|entry| entry.0).collect()),
        }
    }
}

struct AllowEntry(Allowed);

struct RemoteEntry(Remote);

struct PrimaryEntry(Remote);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowParts {
    address: Option<String>,
    key: Option<String>,
    tls: Option<ChannelEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrimaryParts {
    address: String,
    key: Option<String>,
    tls: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoteParts {
    address: String,
    key: Option<String>,
}

impl TryFrom<&str> for AllowEntry {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        Ok(Self(Allowed {
            from: Some(prefix(text)?),
            key: None,
            channel: Channel::Any,
        }))
    }
}

impl TryFrom<AllowParts> for AllowEntry {
    type Error = String;

    fn try_from(parts: AllowParts) -> Result<Self, String> {
        let channel = parts.tls.map_or(Channel::Any, |entry| entry.0);
        let named = parts.address.is_some() || parts.key.is_some() || matches!(channel, Channel::Certified(_));
        if !named {
            return Err("an entry without address and key would allow everybody; name at least one of the two".into());
        }
        Ok(Self(Allowed {
            from: parts.address.as_deref().map(prefix).transpose()?,
            key: parts.key.as_deref().map(key_name).transpose()?,
            channel,
        }))
    }
}

impl TryFrom<&str> for RemoteEntry {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        Ok(Self(Remote {
            address: remote_address(text, DNS_PORT)?,
            key: None,
            tls: None,
        }))
    }
}

impl TryFrom<&str> for PrimaryEntry {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        RemoteEntry::try_from(text).map(|entry| Self(entry.0))
    }
}

impl TryFrom<PrimaryParts> for PrimaryEntry {
    type Error = String;

    fn try_from(parts: PrimaryParts) -> Result<Self, String> {
        let tls = parts.tls.as_deref().map(certificate_name).transpose()?;
        let port = if tls.is_some() { DOT_PORT } else { DNS_PORT };
        Ok(Self(Remote {
            address: remote_address(&parts.address, port)?,
            key: parts.key.as_deref().map(key_name).transpose()?,
            tls,
        }))
    }
}

impl TryFrom<RemoteParts> for RemoteEntry {
    type Error = String;

    fn try_from(parts: RemoteParts) -> Result<Self, String> {
        Ok(Self(Remote {
            address: remote_address(&parts.address, DNS_PORT)?,
            key: parts.key.as_deref().map(key_name).transpose()?,
            tls: None,
        }))
    }
}

/// Reads an entry that is a text or a table.
struct TextOrTable<E, T>(&'static str, PhantomData<(E, T)>);

impl<'de, E, T> Visitor<'de> for TextOrTable<E, T>
where
    E: for<'t> TryFrom<&'t str, Error = String> + TryFrom<T, Error = String>,
    T: Deserialize<'de>,
{
    type Value = E;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<F: Error>(self, text: &str) -> Result<E, F> {
        E::try_from(text).map_err(F::custom)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<E, M::Error> {
        let table = T::deserialize(MapAccessDeserializer::new(map))?;
        E::try_from(table).map_err(M::Error::custom)
    }
}

impl<'de> Deserialize<'de> for AllowEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable::<Self, AllowParts>(
            r#"an address such as "192.0.2.53" or { address = "2001:db8::/32", key = "hoster" }"#,
            PhantomData,
        ))
    }
}

impl<'de> Deserialize<'de> for RemoteEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable::<Self, RemoteParts>(
            r#"an address such as "192.0.2.53" or { address = "198.51.100.7:5353", key = "hoster" }"#,
            PhantomData,
        ))
    }
}

impl<'de> Deserialize<'de> for PrimaryEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable::<Self, PrimaryParts>(
            r#"an address such as "192.0.2.53" or { address = "203.0.113.1", tls = "dns.example.net" }"#,
            PhantomData,
        ))
    }
}

/// `tls` of an entry of `allow`: `true`, or the name that a certificate must be for.
struct ChannelEntry(Channel);

impl Visitor<'_> for ChannelEntry {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"true, or the name in a certificate such as "ns2.example.net""#)
    }

    fn visit_bool<E: Error>(self, encrypted: bool) -> Result<Self, E> {
        Ok(Self(if encrypted { Channel::Encrypted } else { Channel::Any }))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self, E> {
        let name = certificate_name(name).map_err(E::custom)?;
        Ok(Self(Channel::Certified(name)))
    }
}

impl<'de> Deserialize<'de> for ChannelEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self(Channel::Any))
    }
}

/// One `[[tsig]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TsigParts {
    name: String,
    algorithm: Option<String>,
    secret: Option<String>,
    secret_file: Option<FilePath>,
}

/// One `[[tsig]]`, judged.
#[derive(Deserialize)]
#[serde(try_from = "TsigParts")]
pub(super) struct TsigEntry(TsigKey);

impl TsigEntry {
    /// With the file's path completed by that of the directory of the configuration.
    pub(super) fn below(self, base: &Path) -> TsigKey {
        let TsigKey { name, secret } = self.0;
        let secret = match secret {
            TsigSecret::File(path, algorithm) => TsigSecret::File(base.join(path), algorithm),
            here => here,
        };
        TsigKey { name, secret }
    }
}

impl TryFrom<TsigParts> for TsigEntry {
    type Error = String;

    fn try_from(parts: TsigParts) -> Result<Self, String> {
        let name = key_name(&parts.name)?;
        let algorithm = parts.algorithm.as_deref().map(algorithm).transpose()?;
        let secret = match (parts.secret, parts.secret_file) {
            (Some(text), None) => {
                let key = Key::new(&name, algorithm.unwrap_or(Algorithm::Sha256), &text);
                TsigSecret::Here(key.map_err(|error: KeyError| error.to_string())?)
            }
            (None, Some(file)) => TsigSecret::File(file.0, algorithm),
            (None, None) => return Err(format!("the key {name} has no secret; add `secret_file` or `secret`")),
            (Some(_), Some(_)) => {
                return Err(format!(
                    "the key {name} has `secret` and `secret_file`; keep one of the two"
                ));
            }
        };
        Ok(Self(TsigKey { name, secret }))
    }
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let known = || Algorithm::ALL.map(|algorithm| format!("\"{algorithm}\"")).join(", ");
    Algorithm::from_text(text)
        .ok_or_else(|| format!("\"{text}\" is no algorithm of TSIG; the known ones are {}", known()))
}

fn key_name(text: &str) -> Result<Name, String> {
    Name::from_text(text)
        .map(|name| name.to_lowercase())
        .map_err(|error| format!("\"{text}\" is no name of a key: {error}; write it as the other server does"))
}

/// A name as it stands in certificates.
fn certificate_name(text: &str) -> Result<Box<str>, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if !crate::tls::is_name(name) {
        return Err(format!(
            "\"{text}\" is no name that a certificate could be for; write the host name of the other server"
        ));
    }
    Ok(name.into())
}

/// An address, or an address and how many of its leading bits count.
fn prefix(text: &str) -> Result<AddressPrefix, String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let no_address = || format!("\"{text}\" is no address; write one such as \"192.0.2.53\" or \"2001:db8::/32\"");
    let Ok(address) = address.parse::<IpAddr>() else {
        if address.parse::<SocketAddr>().is_ok() {
            return Err(format!(
                "\"{text}\" has a port, and requests come from any; leave it out"
            ));
        }
        return Err(no_address());
    };
    match bits.map(str::parse) {
        None => Ok(address.into()),
        Some(Ok(bits)) => AddressPrefix::new(address, bits).ok_or_else(|| {
            format!(
                "{address} has no {bits} bits; use at most {}",
                if address.is_ipv4() { 32 } else { 128 }
            )
        }),
        Some(Err(_)) => Err(no_address()),
    }
}

/// The address of another server, with this port if it names none.
fn remote_address(text: &str, port: u16) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    text.trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, port))
        .map_err(|_| format!("\"{text}\" is no address; write one such as \"192.0.2.53\" or \"[2001:db8::53]:5353\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<TransferTable, String> {
        let file: Result<TransferFile, _> = toml::from_str(text);
        file.map(TransferTable::from)
            .map_err(|error| error.message().to_owned())
    }

    fn tsig(text: &str) -> Result<TsigKey, String> {
        let entry: Result<TsigEntry, _> = toml::from_str(text);
        let key = entry.map(|entry| entry.below(Path::new("/etc/signpost")));
        key.map_err(|error| error.message().to_owned())
    }

    #[test]
    fn the_forms_of_the_manual_are_read() {
        let read = table(
            r#"
            allow     = ["192.0.2.53", { address = "2001:db8::/32", key = "Hoster" }, { key = "other" }]
            notify    = ["192.0.2.53", { address = "198.51.100.7:5353", key = "hoster" }, "[2001:db8::1]"]
            primaries = [{ address = "203.0.113.1", key = "hoster" }]
            "#,
        );
        let policy = TransferTable::default().with(&read.unwrap());
        let allow: Vec<String> = policy
            .allow
            .iter()
            .map(|a| format!("{:?} {:?}", a.from.map(|f| f.to_string()), a.key))
            .collect();
        insta::assert_snapshot!(allow.join("\n"), @r#"
        Some("192.0.2.53") None
        Some("2001:db8::/32") Some(hoster.)
        None Some(other.)
        "#);
        let notify: Vec<String> = policy.notify.iter().map(|r| format!("{r} {:?}", r.key)).collect();
        insta::assert_snapshot!(notify.join("\n"), @"
        192.0.2.53 None
        198.51.100.7:5353 Some(hoster.)
        2001:db8::1 None
        ");
        assert!(policy.notify_nameservers);
        assert_eq!(policy.primaries[0].address.port(), 53);
    }

    #[test]
    fn tls_is_demanded_and_offered_by_name() {
        let policy = table(
            "allow = [{ address = \"192.0.2.1\", tls = true }, { tls = \"ns2.example.net\" }]\n\
             primaries = [{ address = \"203.0.113.1\", tls = \"dns.example.net.\" }, \"203.0.113.2\"]\n",
        )
        .unwrap()
        .with(&TransferTable::default());
        let channels: Vec<&Channel> = policy.allow.iter().map(|allowed| &allowed.channel).collect();
        assert_eq!(
            channels,
            [&Channel::Encrypted, &Channel::Certified("ns2.example.net".into())]
        );
        assert_eq!(policy.primaries[0].address.port(), 853);
        assert_eq!(policy.primaries[0].tls.as_deref(), Some("dns.example.net"));
        assert_eq!(policy.primaries[0].to_string(), "203.0.113.1 (TLS)");
        assert_eq!(
            (policy.primaries[1].address.port(), &policy.primaries[1].tls),
            (53, &None)
        );
    }

    #[test]
    fn a_zone_has_its_own_where_it_says_so() {
        let all = table("allow = [\"192.0.2.1\"]\nnotify = [\"192.0.2.2\"]\nnotify_nameservers = false\n").unwrap();
        let own = table("allow = []\n").unwrap();
        let policy = all.with(&own);
        assert!(policy.allow.is_empty() && policy.notify.len() == 1 && !policy.notify_nameservers);
        assert!(TransferTable::default().is_silent() && !own.is_silent());
    }

    #[test]
    fn slips_are_told_with_their_cure() {
        for (text, words) in [
            (
                "allow = [\"192.0.2.256\"]",
                "\"192.0.2.256\" is no address; write one such as",
            ),
            (
                "allow = [\"192.0.2.1:53\"]",
                "has a port, and requests come from any; leave it out",
            ),
            ("allow = [\"192.0.2.0/40\"]", "192.0.2.0 has no 40 bits; use at most 32"),
            ("allow = [{}]", "would allow everybody; name at least one"),
            ("allow = [{ tls = true }]", "would allow everybody; name at least one"),
            ("allow = [{ tls = 7 }]", "expected true, or the name in a certificate"),
            (
                "primaries = [{ address = \"192.0.2.1\", tls = \"a b\" }]",
                "is no name that a certificate could be for",
            ),
            (
                "notify = [{ address = \"192.0.2.1\", tls = \"a\" }]",
                "unknown field `tls`",
            ),
            ("allow = [{ adress = \"192.0.2.1\" }]", "unknown field `adress`"),
            ("allow = [7]", "expected an address such as"),
            ("notify = [\"ns.example.org\"]", "is no address"),
            ("notify = [{ key = \"hoster\" }]", "missing field `address`"),
            (
                "notify = [{ address = \"192.0.2.1\", key = \"a..b\" }]",
                "is no name of a key",
            ),
        ] {
            let told = table(text).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
    }

    #[test]
    fn keys_are_here_or_in_a_file() {
        let key = tsig("name = \"hoster\"\nsecret_file = \"hoster.key\"\n").unwrap();
        assert_eq!(key.file(), Some(Path::new("/etc/signpost/hoster.key")));
        let text = |path: &Path| {
            let secret = path.display();
            let text = format!("key hoster {{ algorithm hmac-sha512; secret \"{secret}?\"; }};");
            Ok(Zeroizing::new(text))
        };
        assert!(key.key(text).unwrap_err().contains("no base64"), "no secret is a path");
        let here = tsig("name = \"hoster\"\nalgorithm = \"HMAC-SHA512\"\nsecret = \"c2VjcmV0\"\n").unwrap();
        let key = here.key(|_| unreachable!()).unwrap();
        assert_eq!(key.algorithm(), Algorithm::Sha512);
        assert!(!format!("{here:?}").contains("c2VjcmV0"));
        for (text, words) in [
            ("name = \"hoster\"", "has no secret; add `secret_file`"),
            (
                "name = \"hoster\"\nsecret = \"YQ==\"\nsecret_file = \"a\"",
                "keep one of the two",
            ),
            ("name = \"hoster\"\nsecret = \"???\"", "no base64"),
            (
                "name = \"hoster\"\nalgorithm = \"sha9\"\nsecret = \"YQ==\"",
                "\"sha9\" is no algorithm",
            ),
            ("secret = \"YQ==\"", "missing field `name`"),
        ] {
            let told = tsig(text).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
    }
}
