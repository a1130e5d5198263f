//! `[tls]`: the certificate, and where the encrypted transports are listened for.

use super::values::{FilePath, Text};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The port of DNS over TLS (RFC 7858 §3.1) and over QUIC (RFC 9250 §4.1.1).
pub(super) const DOT_PORT: u16 = 853;
/// The port of HTTPS.
const HTTPS_PORT: u16 = 443;

/// `[tls]`, paths completed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The files of the certificate with its chain and of its key.
    pub pair: Option<Pair>,
    /// Where to listen for DNS over TLS.
    pub dot: Vec<SocketAddr>,
    /// Where to listen for DNS over QUIC.
    pub doq: Vec<SocketAddr>,
    /// Where to listen for DNS over HTTPS.
    pub doh: Vec<SocketAddr>,
    /// The file of the authorities whose certificates are believed of clients.
    pub client_ca: Option<PathBuf>,
    /// The file of the authorities whose certificates are believed of primaries.
    pub ca: Option<PathBuf>,
}

/// Two files that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate and its chain, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

impl Tls {
    /// The files to be watched.
    pub fn files(&self) -> Vec<PathBuf> {
        let pair = self.pair.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        pair.chain(&self.client_ca).chain(&self.ca).cloned().collect()
    }

    /// Is anything listened for?
    pub fn listens(&self) -> bool {
        !(self.dot.is_empty() && self.doq.is_empty() && self.doh.is_empty())
    }
}

/// `[tls]` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TlsParts {
    certificate: Option<FilePath>,
    key: Option<FilePath>,
    dot: Addresses<DOT_PORT>,
    doq: Addresses<DOT_PORT>,
    doh: Addresses<HTTPS_PORT>,
    client_ca: Option<FilePath>,
    ca: Option<FilePath>,
}

/// `[tls]`, judged.
#[derive(Deserialize, Default)]
#[serde(try_from = "TlsParts")]
pub(super) struct TlsTable(Tls);

impl TlsTable {
    /// With the paths completed by that of the directory of the configuration.
    pub(super) fn below(self, base: &Path) -> Tls {
        let Self(tls) = self;
        Tls {
            pair: tls.pair.map(|pair| Pair {
                certificate: base.join(pair.certificate),
                key: base.join(pair.key),
            }),
            client_ca: tls.client_ca.map(|file| base.join(file)),
            ca: tls.ca.map(|file| base.join(file)),
            ..tls
        }
    }
}

impl TryFrom<TlsParts> for TlsTable {
    type Error = String;

    fn try_from(parts: TlsParts) -> Result<Self, String> {
        let pair = match (parts.certificate, parts.key) {
            (Some(certificate), Some(key)) => Some(Pair {
                certificate: certificate.0,
                key: key.0,
            }),
            (None, None) => None,
            (Some(_), None) => return Err("the certificate has no key; add `key`, the file of its private key".into()),
            (None, Some(_)) => {
                return Err("the key has no certificate; add `certificate`, the file of its chain".into());
            }
        };
        let tls = Tls {
            pair,
            dot: parts.dot.0,
            doq: parts.doq.0,
            doh: parts.doh.0,
            client_ca: parts.client_ca.map(|file| file.0),
            ca: parts.ca.map(|file| file.0),
        };
        if tls.listens() && tls.pair.is_none() {
            return Err("there are addresses to listen on and no certificate; add `certificate` and `key`".into());
        }
        Ok(Self(tls))
    }
}

/// Addresses to listen on, with this port where none is written.
#[derive(Default)]
struct Addresses<const PORT: u16>(Vec<SocketAddr>);

/// One of them.
struct Address<const PORT: u16>(SocketAddr);

impl<'de, const PORT: u16> Deserialize<'de> for Addresses<PORT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<Address<PORT>>::deserialize(deserializer)?;
        let list: Vec<SocketAddr> = list.into_iter().map(|Address(address)| address).collect();
        for (at, address) in list.iter().enumerate() {
            if address.port() != 0 && list[..at].contains(address) {
                return Err(D::Error::custom(format!(
                    "\"{address}\" is listed twice; keep one of the two"
                )));
            }
        }
        Ok(Self(list))
    }
}

impl<'de, const PORT: u16> Deserialize<'de> for Address<PORT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = Text(r#"an address such as "192.0.2.1""#, address::<PORT>);
        deserializer.deserialize_str(visitor).map(Self)
    }
}

fn address<const PORT: u16>(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    text.trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, PORT))
        .map_err(|_| {
            format!(
                "\"{text}\" is no address; write one such as \"192.0.2.1\" or \"[2001:db8::1]:{PORT}\", \
                 \"0.0.0.0\" and \"::\" for every address"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Tls, String> {
        let table: Result<TlsTable, _> = toml::from_str(text);
        table
            .map(|table| table.below(Path::new("/etc/signpost")))
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn ports_are_those_of_the_protocols() {
        let tls = read(
            "certificate = \"a.pem\"\nkey = \"/k/a.key\"\ndot = [\"192.0.2.1\", \"[::]:8853\"]\n\
             doq = [\"::\"]\ndoh = [\"[::1]\"]\nca = \"ca.pem\"\nclient_ca = \"hoster.pem\"\n",
        )
        .unwrap();
        let text = |list: &[SocketAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(&tls.dot), ["192.0.2.1:853", "[::]:8853"]);
        assert_eq!(text(&tls.doq), ["[::]:853"]);
        assert_eq!(text(&tls.doh), ["[::1]:443"]);
        let files = [
            "/etc/signpost/a.pem",
            "/k/a.key",
            "/etc/signpost/hoster.pem",
            "/etc/signpost/ca.pem",
        ];
        assert_eq!(tls.files(), files.map(PathBuf::from));
        assert_eq!(read("").unwrap(), Tls::default());
        // For primaries alone.
        assert!(!read("ca = \"ca.pem\"").unwrap().listens());
    }

    #[test]
    fn slips_are_told_with_their_cure() {
        for (text, words) in [
            ("certificate = \"a\"", "the certificate has no key; add `key`"),
            ("key = \"a\"", "the key has no certificate; add `certificate`"),
            ("dot = [\"::\"]", "no certificate; add `certificate` and `key`"),
            (
                "dot = [\"ns1.example.org\"]",
                "\"ns1.example.org\" is no address; write",
            ),
            ("doh = [\"::\", \"[::]:443\"]", "\"[::]:443\" is listed twice"),
            ("dott = []", "unknown field `dott`"),
        ] {
            let told = read(text).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
    }
}
