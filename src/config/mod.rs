//! Configuration files: `signpost.toml` for the server, `zones/NAME.toml` for what is particular to
//! a zone.
//!
//! Reading is pure: text and path in, [`Config`] or [`ZoneConfig`] out; [`find`] adds the file system.
//! Promises: an unknown key is refused and the nearest known one named; every error has its file,
//! line and column, the line itself and a cure; an empty file is a good configuration; paths are
//! relative to the file they stand in. [`options`] and [`mail_options`] are the one list of all
//! options, with [`signer_options`]; the keys of `[mail]` are [`MailPolicy`]'s, those of a zone's `[zone]` are [`Apex`]'s.

mod apex;
mod catalog;
mod error;
mod excerpt;
pub mod find;
mod mail;
pub mod mail_options;
pub mod options;
mod read;
mod signer;
pub mod signer_options;
mod tls;
mod transfer;
mod values;

#[cfg(test)]
mod tests;

pub use apex::Apex;
pub use catalog::Catalog;
pub use error::{ConfigError, Fault};
pub use excerpt::{Excerpt, printable};
pub use mail::MailTable;
pub use signer::{KeyType, Reload, Signer, SignerKind};
pub use tls::{Pair, Tls};
pub use transfer::{TransferTable, TsigKey, TsigSecret};
pub use values::Identity;

use crate::mail::MailPolicy;
use apex::ApexTable;
use read::Kind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use signer::SignerEntry;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tls::TlsTable;
use transfer::{TransferFile, TsigEntry};
use values::{ChaosText, Directory, FilePath, Listen, Number, Span, Workers};

/// The server's configuration, defaults filled in. [`options::OPTIONS`] describes each field.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Where to listen, UDP and TCP alike. An IPv6 wildcard means IPv6 only.
    pub listen: Vec<SocketAddr>,
    /// The directory of the zone files.
    pub zones: PathBuf,
    /// The key directory.
    pub keys: PathBuf,
    /// Signpost's own directory.
    pub state: PathBuf,
    /// How many threads answer; `None` for one for each core.
    pub workers: Option<NonZeroU16>,
    /// CH TXT `version.bind`; refused when `None`.
    pub version: Option<String>,
    /// CH TXT `id.server`; refused when `None`.
    pub identity: Option<Identity>,
    /// The largest UDP response in octets.
    pub max_udp_payload: u16,
    /// The limits of TCP.
    pub tcp: Tcp,
    /// Server cookies.
    pub cookies: Cookies,
    /// The limit of UDP responses; `None` when there is none.
    pub rate_limit: Option<RateLimit>,
    /// The certificate and the encrypted transports.
    pub tls: Tls,
    /// The keys of signed messages, in the order of the file.
    pub tsig: Vec<TsigKey>,
    /// The `[transfer]` defaults of every zone.
    pub transfer: TransferTable,
    /// The programs that sign mail, in the order of the file.
    pub signers: Vec<Signer>,
    /// What is logged.
    pub log: Log,
    /// The `[mail]` defaults of every zone; see [`Config::policy_for`].
    pub mail: MailTable,
}

/// The limits of TCP (RFC 7766 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// Connections in all.
    pub connections: u32,
    /// Connections of one client address.
    pub per_client: u32,
    /// How long a connection may stay silent or take over one message.
    pub idle: Duration,
}

/// Server cookies (RFC 7873).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookies {
    /// Are they given and believed?
    pub enabled: bool,
    /// The file of the secrets; Signpost keeps one of its own when there is none.
    pub secret_file: Option<PathBuf>,
}

/// The limit of UDP responses to one prefix of client addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Responses per second for one thing asked.
    pub responses_per_second: u32,
    /// Responses per second whatever is asked, if that is limited.
    pub all_per_second: Option<u32>,
    /// Every how many-th of the responses held back is sent without records; 0 for none.
    pub slip: u32,
    /// Leading bits of an IPv4 address.
    pub ipv4_prefix: u8,
    /// Leading bits of an IPv6 address.
    pub ipv6_prefix: u8,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is told.
    pub level: LogLevel,
}

/// How much is told; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something is not served, or an older version of it is.
    Error,
    /// It is served, but it will hurt.
    Warn,
    /// What changed.
    Info,
    /// What was looked at.
    Debug,
    /// Every step.
    Trace,
}

/// The configuration of one zone: `zones/NAME.toml`. The default is that of a zone without the file.
#[derive(Debug, Clone)]
pub struct ZoneConfig {
    /// The file it was read from; empty for a zone without one.
    pub path: PathBuf,
    /// The zone's own `[transfer]`.
    pub transfer: TransferTable,
    /// `[zone]`: SOA and NS of a zone that has no zone file.
    pub apex: Option<Apex>,
    /// `[catalog]`: the zone is a list of zones.
    pub catalog: Option<Catalog>,
    /// The zone's own `[mail]`; see [`Config::policy_for`].
    pub mail: MailTable,
}

/// `signpost.toml` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct ServerFile {
    listen: Option<Listen>,
    zones: Option<Directory>,
    keys: Option<Directory>,
    state: Option<Directory>,
    workers: Option<Workers>,
    version: Option<ChaosText>,
    identity: Option<ChaosText>,
    max_udp_payload: Option<Number<{ options::UDP_PAYLOAD_MIN as u32 }, { options::UDP_PAYLOAD_MAX as u32 }>>,
    tcp: TcpTable,
    cookies: CookiesTable,
    rate_limit: RateLimitTable,
    tls: TlsTable,
    transfer: TransferFile,
    tsig: Vec<TsigEntry>,
    signer: Vec<SignerEntry>,
    log: LogTable,
    #[serde(rename = "mail")]
    _mail: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TcpTable {
    connections: Option<Number<1, { options::TCP_CONNECTIONS_MAX }>>,
    per_client: Option<Number<1, { options::TCP_CONNECTIONS_MAX }>>,
    idle: Option<Span>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct CookiesTable {
    enabled: Option<bool>,
    secret_file: Option<FilePath>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RateLimitTable {
    responses_per_second: Option<Number<1, { options::RATE_MAX }>>,
    all_per_second: Option<Number<1, { options::RATE_MAX }>>,
    slip: Option<Number<0, { options::RATE_SLIP_MAX }>>,
    ipv4_prefix: Option<Number<8, 32>>,
    ipv6_prefix: Option<Number<16, 64>>,
}

impl RateLimitTable {
    fn limit(self) -> Option<RateLimit> {
        let bits = |given: Option<u32>, default| given.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(default);
        Some(RateLimit {
            responses_per_second: self.responses_per_second?.0,
            all_per_second: self.all_per_second.map(|n| n.0),
            slip: self.slip.map_or(options::RATE_SLIP, |n| n.0),
            ipv4_prefix: bits(self.ipv4_prefix.map(|n| n.0), options::RATE_IPV4_PREFIX),
            ipv6_prefix: bits(self.ipv6_prefix.map(|n| n.0), options::RATE_IPV6_PREFIX),
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct LogTable {
    level: Option<LogLevel>,
}

/// `zones/NAME.toml` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ZoneFile {
    transfer: TransferFile,
    zone: Option<ApexTable>,
    catalog: Option<Catalog>,
    #[serde(rename = "mail")]
    _mail: Option<IgnoredAny>,
}

/// Reads the text of `signpost.toml`. `path` is where it came from: its directory is what relative
/// paths start at, and errors name it.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let document = read::document(path, text)?;
    let source = read::Source { path, text, start: 0 };
    let file: ServerFile = read::read(&document, Kind::Server, &[source])?;
    let mail = MailTable::take(path, text, Kind::Server, &document)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let directory = |given: Option<Directory>, default: &str| {
        let inner = given.map_or_else(|| PathBuf::from(default), |directory| directory.0);
        base.join(inner)
    };
    let keys = directory(file.keys, options::KEYS);
    let signers: Vec<Signer> = file.signer.into_iter().map(|entry| entry.below(base, &keys)).collect();
    if let Some(signer) = signers
        .iter()
        .find(|signer| !Path::new(&signer.keys).starts_with(&keys))
    {
        let what = format!(
            "the keys at {} would be outside of the key directory {}",
            signer.keys,
            keys.display()
        );
        let cure = "write `keys` of [[signer]] as a path that starts there: what is outside is not published";
        return Err(ConfigError {
            place: Some(source.place_of(&document, "signer")),
            ..ConfigError::of_file(Fault::BadValue, path, what, cure)
        });
    }
    let tcp = Tcp {
        connections: file.tcp.connections.map_or(options::TCP_CONNECTIONS, |n| n.0),
        per_client: file.tcp.per_client.map_or(options::TCP_PER_CLIENT, |n| n.0),
        idle: file
            .tcp
            .idle
            .map_or(Duration::from_secs(options::TCP_IDLE_SECS), |span| span.0),
    };
    Ok(Config {
        path: path.to_owned(),
        listen: file.listen.map_or_else(Listen::everywhere, |listen| listen.0),
        zones: directory(file.zones, options::ZONES),
        state: directory(file.state, options::STATE),
        workers: file.workers.map(|workers| workers.0),
        version: file.version.map(|text| text.0),
        identity: file.identity.map(|text| match text.0.as_str() {
            "hostname" => Identity::Hostname,
            _ => Identity::Text(text.0),
        }),
        max_udp_payload: file
            .max_udp_payload
            .and_then(|Number(octets)| u16::try_from(octets).ok())
            .unwrap_or(options::UDP_PAYLOAD),
        tcp,
        cookies: Cookies {
            enabled: file.cookies.enabled.unwrap_or(true),
            secret_file: file.cookies.secret_file.map(|file| base.join(file.0)),
        },
        rate_limit: file.rate_limit.limit(),
        tls: file.tls.below(base),
        transfer: file.transfer.into(),
        tsig: file.tsig.into_iter().map(|entry| entry.below(base)).collect(),
        signers,
        keys,
        log: Log {
            level: file.log.level.unwrap_or(LogLevel::Info),
        },
        mail,
    })
}

impl Config {
    /// The mail policy of a zone: the defaults of `signpost.toml` with the zone's own laid over them.
    pub fn policy_for(&self, zone: &ZoneConfig) -> Result<MailPolicy, ConfigError> {
        let policy = self.mail.with(&zone.mail)?;
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if let Some(reveal) = &policy.dkim.rotation.reveal
            && whole(reveal).starts_with(whole(&self.keys))
        {
            let path = if zone.mail.is_written() { &zone.path } else { &self.path };
            let what = format!(
                "`reveal` is within the key directory {}, where a key would be published anew",
                self.keys.display()
            );
            let cure = "name a directory elsewhere in [mail.dkim.rotation]";
            return Err(ConfigError::of_file(Fault::BadValue, path, what, cure));
        }
        Ok(policy)
    }

    /// The options that differ between two configurations and are obeyed only at the next start, in
    /// the order of [`options::OPTIONS`].
    pub fn restart_needed(old: &Self, new: &Self) -> Vec<&'static str> {
        let rate = |config: &Self, part: fn(&RateLimit) -> u32| config.rate_limit.as_ref().map(part);
        let rate_differs = |part: fn(&RateLimit) -> u32| rate(old, part) != rate(new, part);
        let differs = [
            ("listen", old.listen != new.listen),
            ("zones", old.zones != new.zones),
            ("keys", old.keys != new.keys),
            ("state", old.state != new.state),
            ("workers", old.workers != new.workers),
            ("version", old.version != new.version),
            ("identity", old.identity != new.identity),
            ("max_udp_payload", old.max_udp_payload != new.max_udp_payload),
            ("tcp.connections", old.tcp.connections != new.tcp.connections),
            ("tcp.per_client", old.tcp.per_client != new.tcp.per_client),
            ("tcp.idle", old.tcp.idle != new.tcp.idle),
            ("cookies.enabled", old.cookies.enabled != new.cookies.enabled),
            (
                "cookies.secret_file",
                old.cookies.secret_file != new.cookies.secret_file,
            ),
            (
                "rate_limit.responses_per_second",
                rate_differs(|limit| limit.responses_per_second),
            ),
            (
                "rate_limit.all_per_second",
                rate_differs(|limit| limit.all_per_second.unwrap_or(0)),
            ),
            ("rate_limit.slip", rate_differs(|limit| limit.slip)),
            ("rate_limit.ipv4_prefix", rate_differs(|limit| limit.ipv4_prefix.into())),
            ("rate_limit.ipv6_prefix", rate_differs(|limit| limit.ipv6_prefix.into())),
            ("tls.dot", old.tls.dot != new.tls.dot),
            ("tls.doq", old.tls.doq != new.tls.doq),
            ("tls.doh", old.tls.doh != new.tls.doh),
            ("log.level", old.log != new.log),
        ];
        differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(key, _)| key)
            .collect()
    }
}

impl ZoneConfig {
    /// Reads the text of `zones/NAME.toml`; `path` is where it came from.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = read::document(path, text)?;
        let source = read::Source { path, text, start: 0 };
        let file: ZoneFile = read::read(&document, Kind::Zone, &[source])?;
        let transfer = TransferTable::from(file.transfer);
        let mut apex = file.zone.map(|table| table.at(source.place_of(&document, "zone")));
        // One that is fetched has its SOA and NS from there.
        if file.catalog.is_some() && !transfer.has_primaries() {
            apex.get_or_insert_with(|| Apex::of_catalog(source.place_of(&document, "catalog")));
        }
        Ok(Self {
            path: path.to_owned(),
            transfer,
            apex,
            catalog: file.catalog,
            mail: MailTable::take(path, text, Kind::Zone, &document)?,
        })
    }
}

impl Default for ZoneConfig {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            transfer: TransferTable::default(),
            apex: None,
            catalog: None,
            mail: MailTable::absent(Path::new(""), Kind::Zone),
        }
    }
}
