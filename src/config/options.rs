//! Every option of `signpost.toml` outside of `[mail]`, in one table.
//!
//! The manual page signpost.toml(5), what an error says a key wants, and the list of options whose
//! change needs a restart all come from here. Tests hold the table against the real reader: each
//! example is read, each default is the one in force, and no key is missing.

use super::mail_options::MAIL_OPTIONS;
use super::signer_options::SIGNER_OPTIONS;

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionRow {
    /// The key, with its table in front: `tcp.idle`.
    pub key: &'static str,
    /// What it wants, after the verb: `a list of "address:port" strings`.
    pub wants: &'static str,
    /// What is in force without it, as an operator would write it or in words.
    pub default: &'static str,
    /// When a change is obeyed.
    pub change: Change,
    /// A right line, without the table.
    pub example: &'static str,
    /// What it is for, in whole sentences, with its reason where the default has one.
    pub text: &'static str,
}

/// An option that is obeyed as soon as the file is written, in one line.
pub(super) const fn at_once(
    key: &'static str,
    wants: &'static str,
    default: &'static str,
    example: &'static str,
    text: &'static str,
) -> OptionRow {
    OptionRow {
        key,
        wants,
        default,
        change: Change::AtOnce,
        example,
        text,
    }
}

/// When a changed option is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// As soon as the file is written.
    AtOnce,
    /// At the next start; until then the old value stays in force and a warning says so.
    Restart,
}

/// The default of `listen`: the DNS port on every address of both families.
pub const LISTEN: [&str; 2] = ["0.0.0.0:53", "[::]:53"];
/// The default of `zones`.
pub const ZONES: &str = "zones";
/// The default of `keys`.
pub const KEYS: &str = "keys";
/// The default of `state`, which the service unit's `StateDirectory=` makes.
pub const STATE: &str = "/var/lib/signpost";
/// The most threads that may be asked for.
pub const WORKERS_MAX: u16 = 1024;
/// The default of `max_udp_payload` (RFC 9715 §3.1: 1232 avoids fragments on nearly every path).
pub const UDP_PAYLOAD: u16 = 1232;
/// The least `max_udp_payload`: every client takes 512 octets (RFC 1035 §4.2.1).
pub const UDP_PAYLOAD_MIN: u16 = 512;
/// The greatest `max_udp_payload` (RFC 6891 §6.2.5 calls 4096 the most to start with).
pub const UDP_PAYLOAD_MAX: u16 = 4096;
/// The default of `tcp.connections`: well below the 1024 descriptors a shell gives a process.
pub const TCP_CONNECTIONS: u32 = 500;
/// The greatest `tcp.connections`.
pub const TCP_CONNECTIONS_MAX: u32 = 100_000;
/// The default of `tcp.per_client`: a resolver needs few (RFC 7766 §6.2.2).
pub const TCP_PER_CLIENT: u32 = 50;
/// The default of `tcp.idle`, in seconds: "in the order of a few seconds" (RFC 7766 §6.2.3).
pub const TCP_IDLE_SECS: u64 = 10;
/// The greatest `tcp.idle`, in seconds.
pub const TCP_IDLE_MAX_SECS: u64 = 3600;
/// The greatest rate of responses.
pub const RATE_MAX: u32 = 1_000_000;
/// The default of `rate_limit.slip`: that of BIND and NSD.
pub const RATE_SLIP: u32 = 2;
/// The greatest `rate_limit.slip`.
pub const RATE_SLIP_MAX: u32 = 10;
/// The default of `rate_limit.ipv4_prefix`.
pub const RATE_IPV4_PREFIX: u8 = 24;
/// The default of `rate_limit.ipv6_prefix`: what a site has, as BIND counts.
pub const RATE_IPV6_PREFIX: u8 = 56;

/// The default of `zone.ttl`, that of composed records: an hour.
pub const ZONE_TTL: u32 = crate::compose::DEFAULT_TTL;
/// The default of `zone.refresh`: the least that checkers of delegations want.
pub const ZONE_REFRESH: u32 = 4 * 3600;
/// The default of `zone.retry`: shorter than refresh (RFC 1912 §2.2).
pub const ZONE_RETRY: u32 = 3600;
/// The default of `zone.expire`: two weeks without us (RFC 1912 §2.2).
pub const ZONE_EXPIRE: u32 = 14 * 86_400;
/// The default of `zone.minimum`: short, for a new selector is often asked for before it is there.
pub const ZONE_MINIMUM: u32 = 300;
/// The default of `zone.serial`.
pub const ZONE_SERIAL: u32 = 1;

/// The options of `[catalog]`, which stands in NAME.toml only.
pub const CATALOG_OPTIONS: &[OptionRow] = &[
    OptionRow {
        key: "catalog.only",
        wants: "a list of zones",
        default: "all zones that are served here, but for catalogs",
        change: Change::AtOnce,
        example: r#"only = ["example.org", "example.net"]"#,
        text: "The zones that are listed. One that is not served here is not listed until it is.",
    },
    OptionRow {
        key: "catalog.groups",
        wants: "a table of groups and their zones",
        default: "none",
        change: Change::AtOnce,
        example: r#"groups = { fast = ["example.org"] }"#,
        text: "Groups (RFC 9432) that zones are put into; what a group means is agreed with those who fetch the catalog.",
    },
];

/// The options of `[zone]` in `zones/NAME.toml`, for a zone without a zone file.
pub const ZONE_OPTIONS: &[OptionRow] = &[
    OptionRow {
        key: "zone.nameservers",
        wants: "a list of host names",
        default: "none: they must be named",
        change: Change::AtOnce,
        example: r#"nameservers = ["ns1.example.org", "ns2.example.net"]"#,
        text: "The NS records of the zone: the same hosts that the zone above delegates it to. The first is the \
               primary of the SOA.",
    },
    OptionRow {
        key: "zone.hostmaster",
        wants: "a mail address, as a string",
        default: "hostmaster of the domain: hostmaster@example.org for _domainkey.example.org",
        change: Change::AtOnce,
        example: r#"hostmaster = "hostmaster@example.org""#,
        text: "Whom to write to about the zone, in its SOA.",
    },
    OptionRow {
        key: "zone.ttl",
        wants: DURATION,
        default: r#""1h""#,
        change: Change::AtOnce,
        example: r#"ttl = "1h""#,
        text: "The TTL of SOA and NS, and of every record for which [mail] sets none.",
    },
    OptionRow {
        key: "zone.refresh",
        wants: DURATION,
        default: r#""4h""#,
        change: Change::AtOnce,
        example: r#"refresh = "4h""#,
        text: "How often secondaries ask for a newer version.",
    },
    OptionRow {
        key: "zone.retry",
        wants: DURATION,
        default: r#""1h""#,
        change: Change::AtOnce,
        example: r#"retry = "1h""#,
        text: "How soon they ask again when that failed; shorter than refresh.",
    },
    OptionRow {
        key: "zone.expire",
        wants: DURATION,
        default: r#""14d""#,
        change: Change::AtOnce,
        example: r#"expire = "14d""#,
        text: "How long they go on without hearing from this server; a week at least.",
    },
    OptionRow {
        key: "zone.minimum",
        wants: DURATION,
        default: r#""5m""#,
        change: Change::AtOnce,
        example: r#"minimum = "5m""#,
        text: "How long resolvers believe that a name is not there (RFC 2308). A new selector that was asked for too \
               early is seen after that.",
    },
    OptionRow {
        key: "zone.serial",
        wants: "a number from 1 to 4294967295",
        default: "1",
        change: Change::AtOnce,
        example: "serial = 1",
        text: "Where the serial begins; it moves by itself with the content. If the state directory was lost, set it \
               above what secondaries hold.",
    },
];

const DURATION: &str = "a duration, as a string or in seconds";

/// All options of `signpost.toml`, in the order in which a person meets them.
pub const OPTIONS: &[OptionRow] = &[
    OptionRow {
        key: "listen",
        wants: r#"a list of "address:port" strings"#,
        default: r#"["0.0.0.0:53", "[::]:53"]"#,
        change: Change::Restart,
        example: r#"listen = ["192.0.2.1:53", "[2001:db8::1]:53"]"#,
        text: "The addresses that are answered on, over UDP and TCP alike. IPv6 addresses stand in \
               brackets. Sockets handed over by systemd (signpost.socket) take the place of this list.",
    },
    OptionRow {
        key: "zones",
        wants: "the path of a directory, as a string",
        default: r#""zones""#,
        change: Change::Restart,
        example: r#"zones = "zones""#,
        text: "Where the zone files are. NAME.zone is the master file of the zone NAME, and its presence is \
               the configuration; NAME.toml beside it holds what is particular to that zone. Without a master \
               file, NAME.toml can make a zone of its own, see ZONES WITHOUT A FILE and CATALOGS, or have one fetched, see \
               transfer.primaries. Sub-folders are fine; \
               root.zone is the root.",
    },
    OptionRow {
        key: "keys",
        wants: "the path of a directory, as a string",
        default: r#""keys""#,
        change: Change::Restart,
        example: r#"keys = "/etc/opendkim/keys""#,
        text: "Where the DKIM keys are, in any layout that OpenDKIM, rspamd or this manual knows. Private keys \
               are read, reduced to their public half and forgotten.",
    },
    OptionRow {
        key: "state",
        wants: "the path of a directory, as a string",
        default: r#""/var/lib/signpost""#,
        change: Change::Restart,
        example: r#"state = "/var/lib/signpost""#,
        text: "Signpost's own directory: published serials, the life of keys, what changed in zones that somebody may \
               fetch, zones that are fetched (transferred/NAME.zone), the control socket. It must be writable and must \
               survive a restart, or serials may go backwards.",
    },
    OptionRow {
        key: "workers",
        wants: "a number of threads from 1 to 1024",
        default: "one for each processor core",
        change: Change::Restart,
        example: "workers = 4",
        text: "How many threads answer queries.",
    },
    OptionRow {
        key: "version",
        wants: "a text of at most 255 octets, as a string",
        default: "none: the question is refused",
        change: Change::Restart,
        example: r#"version = "Signpost""#,
        text: "The answer to CH TXT version.bind and version.server.",
    },
    OptionRow {
        key: "identity",
        wants: r#"a text of at most 255 octets, as a string, or "hostname""#,
        default: "none: the question is refused",
        change: Change::Restart,
        example: r#"identity = "hostname""#,
        text: "The answer to CH TXT id.server and hostname.bind (RFC 4892) and to NSID (RFC 5001); \"hostname\" is \
               the name of this machine.",
    },
    OptionRow {
        key: "max_udp_payload",
        wants: "a number of octets from 512 to 4096",
        default: "1232",
        change: Change::Restart,
        example: "max_udp_payload = 1232",
        text: "The largest response sent over UDP, whatever the client offers; what does not fit is asked \
               again over TCP. The default avoids fragments on nearly every path (RFC 9715).",
    },
    OptionRow {
        key: "tcp.connections",
        wants: "a number of connections from 1 to 100000",
        default: "500",
        change: Change::Restart,
        example: "connections = 500",
        text: "How many TCP connections may be open at a time, over all clients.",
    },
    OptionRow {
        key: "tcp.per_client",
        wants: "a number of connections from 1 to 100000",
        default: "50",
        change: Change::Restart,
        example: "per_client = 50",
        text: "How many of them one client address may have.",
    },
    OptionRow {
        key: "tcp.idle",
        wants: r#"a duration from "1s" to "1h", as a string"#,
        default: r#""10s""#,
        change: Change::Restart,
        example: r#"idle = "10s""#,
        text: "How long a connection may stay silent, or take over one message, before it is closed (RFC 7766).",
    },
    OptionRow {
        key: "cookies.enabled",
        wants: "true or false",
        default: "true",
        change: Change::Restart,
        example: "enabled = false",
        text: "Whether clients that speak DNS cookies (RFC 7873) get them. A client that shows a good one is where it \
               says it is, and its responses are not limited. Nobody is refused for a wrong one.",
    },
    OptionRow {
        key: "cookies.secret_file",
        wants: "the path of a file, as a string",
        default: "none: a secret of this server's own, kept in the state directory",
        change: Change::Restart,
        example: r#"secret_file = "/etc/signpost/cookie-secrets""#,
        text: "The secrets of the cookies (RFC 9018), to be shared by all servers behind one address: 32 hexadecimal \
               digits a line, as \"openssl rand -hex 16\" writes them. The first makes cookies, further ones are \
               still believed. To replace it, append the new one on all servers, move it to the top on all, and \
               after an hour remove the old one. A changed file is obeyed at once; NSD and Unbound read the same \
               file, BIND and Knot the same secrets.",
    },
    OptionRow {
        key: "rate_limit.responses_per_second",
        wants: "a number of responses from 1 to 1000000",
        default: "none: rates are not limited",
        change: Change::Restart,
        example: "responses_per_second = 200",
        text: "How many UDP responses a second go to one prefix of client addresses for the same name and type, for \
               names that do not exist in the same zone, or with an error. More are not answered, so that forged \
               queries cannot turn this server against somebody else. Clients with a good cookie and clients by TCP \
               are never limited. 200 is what NSD has by default; a resolver for very many users may ask more.",
    },
    OptionRow {
        key: "rate_limit.all_per_second",
        wants: "a number of responses from 1 to 1000000",
        default: "none",
        change: Change::Restart,
        example: "all_per_second = 2000",
        text: "How many UDP responses a second go to one prefix in all, if responses_per_second is set.",
    },
    OptionRow {
        key: "rate_limit.slip",
        wants: "a number from 0 to 10",
        default: "2",
        change: Change::Restart,
        example: "slip = 2",
        text: "Of the responses that are held back, every so many-th is sent without records: it tells an honest \
               client to come back over TCP, or with a cookie. 1 is all of them, 0 none.",
    },
    OptionRow {
        key: "rate_limit.ipv4_prefix",
        wants: "a number of bits from 8 to 32",
        default: "24",
        change: Change::Restart,
        example: "ipv4_prefix = 24",
        text: "How many leading bits of IPv4 addresses count as one client.",
    },
    OptionRow {
        key: "rate_limit.ipv6_prefix",
        wants: "a number of bits from 16 to 64",
        default: "56",
        change: Change::Restart,
        example: "ipv6_prefix = 56",
        text: "How many leading bits of IPv6 addresses count as one client.",
    },
    OptionRow {
        key: "transfer.allow",
        wants: "a list of addresses",
        default: "nobody",
        change: Change::AtOnce,
        example: r#"allow = ["192.0.2.53", { address = "2001:db8::/32", key = "hoster" }]"#,
        text: "Who may fetch zones by AXFR and IXFR: an address or a prefix, a key of [[tsig]], or both together. With \
               tls = true it must come encrypted as well (RFC 9103), with tls = \"NAME\" from one whose certificate, \
               signed by an authority of tls.client_ca, is for that name. The \
               [transfer] of NAME.toml counts for that zone in place of this one, key by key.",
    },
    OptionRow {
        key: "transfer.notify",
        wants: "a list of addresses",
        default: "nobody",
        change: Change::AtOnce,
        example: r#"notify = ["192.0.2.53", { address = "198.51.100.7:5353", key = "hoster" }]"#,
        text: "Who is told of changes by NOTIFY, beside the name servers of the zone. Port 53 unless one is written; \
               with a key the message is signed.",
    },
    OptionRow {
        key: "transfer.notify_nameservers",
        wants: "true or false",
        default: "true, for zones that somebody may fetch",
        change: Change::AtOnce,
        example: "notify_nameservers = false",
        text: "Whether the name servers of the zone's NS records, but for this one, are told of changes as well.",
    },
    OptionRow {
        key: "transfer.primaries",
        wants: "a list of addresses",
        default: "none: the zone is made here",
        change: Change::AtOnce,
        example: r#"primaries = [{ address = "203.0.113.1", key = "hoster" }]"#,
        text: "The servers that the zone is fetched from, which makes this one a secondary; to be written into \
               NAME.toml, with no NAME.zone beside it and no [zone] in it. Without a [mail] in it the zone is served as it \
               comes. Beside [catalog] they are those of the zones that it lists, too. They are asked in this order. Their NOTIFY is heeded. One with \
               tls = \"NAME\" is asked over TLS (RFC 9103), on port 853 unless one is written, must show a certificate \
               for that name, and is never asked without.",
    },
    OptionRow {
        key: "tsig",
        wants: "a list of keys",
        default: "none",
        change: Change::AtOnce,
        example: r#"tsig = [{ name = "hoster", algorithm = "hmac-sha256", secret_file = "hoster.key" }]"#,
        text: "Keys that messages between servers are signed with (RFC 8945), better written as [[tsig]] tables of \
               their own: name, algorithm (hmac-sha256 if none is said) and the secret in base64, as secret or, \
               better, in a secret_file. The file of a BIND key statement, as tsig-keygen prints it, and what \
               keymgr -t prints are read as they are. A changed file is obeyed at once.",
    },
    OptionRow {
        key: "signer",
        wants: "a list of signers",
        default: "none: keys are made and signers switched by somebody else",
        change: Change::AtOnce,
        example: r#"signer = [{ kind = "exim", selectors = "/etc/exim4/dkim_selectors" }]"#,
        text: "The programs that sign mail, for which Signpost makes keys and which it switches to them; written as \
               [[signer]] tables of their own, see below.",
    },
    OptionRow {
        key: "tls.certificate",
        wants: "the path of a file, as a string",
        default: "none: the encrypted transports are off",
        change: Change::AtOnce,
        example: r#"certificate = "/etc/letsencrypt/live/ns1.example.org/fullchain.pem""#,
        text: "The certificate of this server with its chain, in PEM. A changed file is obeyed at once: new connections \
               get the new certificate, and a broken one leaves the old in force. It is also shown to primaries that \
               ask for one.",
    },
    OptionRow {
        key: "tls.key",
        wants: "the path of a file, as a string",
        default: "none",
        change: Change::AtOnce,
        example: r#"key = "/etc/letsencrypt/live/ns1.example.org/privkey.pem""#,
        text: "The private key of the certificate, in PEM. Signpost must be able to read it.",
    },
    OptionRow {
        key: "tls.dot",
        wants: "a list of addresses",
        default: "none",
        change: Change::Restart,
        example: r#"dot = ["0.0.0.0", "::"]"#,
        text: "Where queries and transfers are answered over TLS (RFC 7858, RFC 9103). Port 853 unless one is written. \
               The limits of [tcp] hold for all encrypted connections, too, and count them together.",
    },
    OptionRow {
        key: "tls.doq",
        wants: "a list of addresses",
        default: "none",
        change: Change::Restart,
        example: r#"doq = ["0.0.0.0", "::"]"#,
        text: "Where queries and transfers are answered over QUIC (RFC 9250). Port 853 unless one is written.",
    },
    OptionRow {
        key: "tls.doh",
        wants: "a list of addresses",
        default: "none",
        change: Change::Restart,
        example: r#"doh = ["0.0.0.0", "::"]"#,
        text: "Where queries are answered over HTTPS (RFC 8484), by HTTP/2 at /dns-query. Port 443 unless one is \
               written. There are no transfers over HTTPS.",
    },
    OptionRow {
        key: "tls.client_ca",
        wants: "the path of a file, as a string",
        default: "none: clients are asked for no certificate",
        change: Change::AtOnce,
        example: r#"client_ca = "hoster-ca.pem""#,
        text: "Certificates of the authorities, in PEM, that those of secondaries are signed by. Clients over TLS and \
               QUIC may show one then; transfer.allow says by tls = \"NAME\" who must.",
    },
    OptionRow {
        key: "tls.ca",
        wants: "the path of a file, as a string",
        default: "none: the authorities that this machine trusts",
        change: Change::AtOnce,
        example: r#"ca = "hoster-ca.pem""#,
        text: "Certificates of the authorities, in PEM, that those of primaries are signed by.",
    },
    OptionRow {
        key: "log.level",
        wants: r#"one of "error", "warn", "info", "debug", "trace""#,
        default: r#""info""#,
        change: Change::Restart,
        example: r#"level = "debug""#,
        text: "How much is told. Each level includes those before it.",
    },
];

/// The row of `key`, written with its table: `tcp.idle`.
pub fn row(key: &str) -> Option<&'static OptionRow> {
    let mut all = OPTIONS
        .iter()
        .chain(MAIL_OPTIONS)
        .chain(ZONE_OPTIONS)
        .chain(SIGNER_OPTIONS)
        .chain(CATALOG_OPTIONS);
    all.find(|row| row.key == key)
}

/// The words of the top of the file: keys without a table, and tables.
pub(super) fn is_top_level(word: &str) -> bool {
    word == "mail"
        || OPTIONS
            .iter()
            .any(|row| row.key.split('.').next().is_some_and(|first| first == word))
}
