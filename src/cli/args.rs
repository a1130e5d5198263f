//! Commands and options. One definition feeds the parser, `--help` and the manual page.

use super::exit::Exit;
use crate::mail::{NoPeriod, Period};
use crate::name::{Name, NameError};
use crate::verify::message::address;
use crate::verify::resolver::server_address;
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Files an operator meets, for `--help` and the manual page.
pub(super) const FILES: [(&str, &str); 6] = [
    ("signpost.toml", "the server, and [mail] for every zone"),
    ("zones/NAME.zone", "a master file; that it is there is enough"),
    (
        "zones/NAME.toml",
        "its own [mail], [transfer]; or a zone without a file",
    ),
    ("keys/…", "DKIM keys, as opendkim-genkey or rspamd leave them"),
    ("/etc/signpost/", "where the installed service has the four above"),
    (
        "/var/lib/signpost/",
        "Signpost's own: serials, key states, fetched zones",
    ),
];

/// Commands worth trying first.
pub(super) const EXAMPLES: [(&str, &str); 9] = [
    ("signpost", "serve, and follow every change"),
    ("signpost check", "judge all files without serving them"),
    ("signpost doctor", "judge OpenDKIM, its keys and Postfix"),
    (
        "signpost zone print example.org",
        "the finished zone, mail records and all",
    ),
    ("signpost zone status", "which version each secondary serves"),
    ("signpost key list", "the published keys and their files"),
    (
        "signpost key rotate example.org",
        "a new key, signed with once it is safe",
    ),
    (
        "signpost key revoke example.org 2025a",
        "for a key that leaked: an empty p=",
    ),
    ("signpost verify mail.eml", "would a receiver believe this message?"),
];

/// An authoritative DNS server that composes a domain's mail records itself.
///
/// Signpost serves the master files in zones/ and adds what mail needs: SPF, DKIM, DMARC and their
/// kin, composed from policy, from the zone itself and from the DKIM key directory. A change of a
/// zone file, a key or a policy is served at once; no command and no restart is needed.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(
    name = "signpost",
    version,
    subcommand_value_name = "COMMAND",
    subcommand_help_heading = "Commands",
    disable_help_subcommand = true,
    after_help = short_lessons(),
    after_long_help = lessons()
)]
pub struct Args {
    /// The configuration file; else ./signpost.toml, else /etc/signpost/signpost.toml
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// What to do; nothing means `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Answer queries, and follow every change of zones, keys and policy; what `signpost` alone means
    Serve,

    /// Judge configuration, zones and keys without serving them
    ///
    /// Reads everything that `serve` would read and reports each finding with its place, the line, and
    /// a cure. Ends with 0 if all is well, 1 if there are warnings, 2 if something would not be served.
    Check {
        /// Report as JSON, one object with the list of findings
        #[arg(long)]
        json: bool,
    },

    /// Judge the mail machine around the name server: OpenDKIM, its keys, and Postfix
    ///
    /// Looks at opendkim.conf, KeyTable and SigningTable, owners and modes of keys, what is published for them, sockets,
    /// milters and throttling, and reports as `check` does, with the same exit codes. Changes nothing, and needs no
    /// signpost.toml.
    Doctor {
        /// Look at the machine whose root directory is DIR
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// Report as JSON, one object with the list of findings
        #[arg(long)]
        json: bool,
    },

    /// Show what is missing so that mail is signed, and write it if told to
    #[command(subcommand, subcommand_value_name = "PROGRAM", subcommand_help_heading = "Programs")]
    Setup(SetupCommand),

    /// Look at zones
    #[command(subcommand, subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands")]
    Zone(ZoneCommand),

    /// Look at DKIM keys, rotate and revoke them
    #[command(subcommand, subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands")]
    Key(KeyCommand),

    /// Make the running server read everything again, as SIGHUP does
    ///
    /// Changes are followed without it. Use it where they cannot be seen, as on some network file systems. The
    /// primaries of zones that are fetched are asked again, too.
    Reload,

    /// Show what the running server serves and since when
    Status,

    /// Judge a received message as its receivers do: SPF, DKIM, Sender-ID, DMARC, iprev
    ///
    /// Prints the Summary of Results that check-auth services send, and for each check the reason, the records it went
    /// by, and the cure if it did not pass. SpamAssassin judges, too, if spamc is there. What is not said of the delivery
    /// is taken from the header, and the report says so. No configuration is read. Ends with 0 if all pass, 1 if
    /// something does not, 2 if nothing could be examined. With --reply it is a pipe transport of Postfix, and ends with
    /// 0 once the report is sent, or none is due, and with 75 to be asked again.
    Verify(VerifyOptions),

    /// Write the manual pages into DIR, for packagers
    #[command(hide = true)]
    Man {
        /// The directory
        dir: PathBuf,
    },
}

/// The address of a client, as far as Postfix knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub Option<IpAddr>);

/// Which message, what is known of its delivery, and what becomes of the report.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct VerifyOptions {
    /// The message as it was received, header and all; without it, or with -, standard input
    #[arg(value_name = "MESSAGE")]
    pub message: Option<PathBuf>,
    /// The address that delivered the message
    #[arg(long, value_name = "ADDRESS", value_parser = client)]
    pub client_ip: Option<Client>,
    /// The name that it gave with HELO or EHLO
    #[arg(long, value_name = "NAME")]
    pub helo: Option<String>,
    /// The envelope sender; <> for none
    #[arg(long, value_name = "SENDER", allow_hyphen_values = true)]
    pub mail_from: Option<String>,
    /// Ask this DNS server, not those of /etc/resolv.conf
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = server_address)]
    pub dns: Option<SocketAddr>,
    /// Report as JSON, one object
    #[arg(long, conflicts_with = "reply")]
    pub json: bool,
    /// Send the report to the envelope sender, unless it is no person
    #[arg(long)]
    pub reply: bool,
    /// Who answers, with --reply: the From of the report
    #[arg(long, value_name = "ADDRESS", requires = "reply", value_parser = replier)]
    pub reply_from: Option<String>,
    /// What sends it
    #[arg(long, value_name = "FILE", default_value = "/usr/sbin/sendmail", requires = "reply")]
    pub sendmail: PathBuf,
}

/// Which program to set up.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum SetupCommand {
    /// opendkim.conf, TrustedHosts, KeyTable and SigningTable, with a row for every domain that has a key and none
    ///
    /// Shows, file by file, the lines that would go and come. What works is left as it is.
    Opendkim {
        /// Where, and whether.
        #[command(flatten)]
        change: Change,
    },

    /// The milters of main.cf, so that all mail gets to OpenDKIM
    ///
    /// Shows the lines that would go and come. What works is left as it is. Where OpenDKIM has no socket that Postfix
    /// could reach, it says what comes first, and ends with 2.
    Postfix {
        /// Where, and whether.
        #[command(flatten)]
        change: Change,
        /// Slow down mail to others, too: a pause between deliveries to a domain, few recipients each
        #[arg(long)]
        throttle: bool,
    },
}

/// Where a program is set up, and whether it is.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Change {
    /// Write what is shown, each file after a backup FILE.before-signpost-DATE
    #[arg(long)]
    pub write: bool,
    /// Look at the machine whose root directory is DIR
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// What to do with zones.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ZoneCommand {
    /// Print the finished zone NAME as a master file
    ///
    /// What is printed is what is served: the zone file's records and the composed ones, in canonical
    /// order, in a form that named-checkzone and nsd-checkzone load.
    #[command(visible_alias = "show")]
    Print {
        /// The zone, such as example.org
        #[arg(value_name = "NAME", value_parser = name)]
        name: Name,
    },

    /// List the zones with their serials
    List,

    /// Show how zones stand with other servers: what each secondary serves, and how fetching goes
    ///
    /// Each secondary is asked for its serial over the network: those that are told of changes, the name servers
    /// of the zone among them, and those that have fetched it. Of zones fetched from primaries the next refresh and
    /// the moment of expiry are shown. Ends with 0 if all serve what is served here, with 1 if one does not or a zone
    /// has no data here.
    Status {
        /// The zone, such as example.org; without it all zones that have secondaries or primaries
        #[arg(value_name = "NAME", value_parser = name)]
        name: Option<Name>,
        /// Report as JSON, a list of objects
        #[arg(long)]
        json: bool,
    },
}

/// What to do with keys.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum KeyCommand {
    /// List the DKIM keys that are published, and those on their way out
    List,

    /// Show how keys stand: their stage, which name servers serve them, what comes next and when
    ///
    /// The keys of DOMAIN are asked for at every name server of the zone and at the secondaries that are told of
    /// changes; without DOMAIN all keys are shown with what was heard last. Ends with 0 if all is well, with 1 if a
    /// name server does not serve a key that it should, or a step failed.
    Status {
        /// The signing domain (d=), such as example.org
        #[arg(value_name = "DOMAIN", value_parser = name)]
        domain: Option<Name>,
        /// Report as JSON, a list of objects
        #[arg(long)]
        json: bool,
    },

    /// Make a key and publish it; the signer is left as it is
    ///
    /// The private half is written where [[signer]] says, or below the key directory, with its record beside it. Sign
    /// with it once `signpost key wait` says that it is safe.
    New {
        /// The signing domain (d=), such as example.org
        #[arg(value_name = "DOMAIN", value_parser = name)]
        domain: Name,
        /// Its selector, for one key of the first kind; else selectors by the pattern in [mail.dkim.rotation]
        #[arg(long, value_name = "SELECTOR", value_parser = selector)]
        selector: Option<String>,
        /// rsa2048, rsa3072, rsa4096 or ed25519; else those of [mail.dkim.rotation]
        #[arg(long, value_name = "KIND")]
        algorithm: Option<String>,
    },

    /// Go on to a new key: make it, publish it, and switch the signer to it as soon as that is safe
    ///
    /// It is safe when every name server has been seen to serve the key for as long as resolvers may remember that it
    /// was not there. The old key stays published for mail in flight, then it is revoked and forgotten. Needs a
    /// [[signer]] in signpost.toml. With `every` in [mail.dkim.rotation] all this happens by itself.
    Rotate {
        /// The signing domain (d=), such as example.org
        #[arg(value_name = "DOMAIN", value_parser = name)]
        domain: Name,
        /// Go on to this key, which is published; or make one with this selector, of the first kind
        #[arg(long, value_name = "SELECTOR", value_parser = selector)]
        selector: Option<String>,
        /// rsa2048, rsa3072, rsa4096 or ed25519; else those of [mail.dkim.rotation]
        #[arg(long, value_name = "KIND")]
        algorithm: Option<String>,
    },

    /// Wait until a key may be signed with, or until its record may go; for scripts
    ///
    /// Prints what is waited for whenever that changes. Ends with 0 once it is safe, with 75 if it is not within the
    /// timeout, with 2 if it never will be: there is no such key, or it is revoked. For removal a key that is not there is
    /// one that nothing needs.
    Wait {
        /// The signing domain (d=), such as example.org
        #[arg(value_name = "DOMAIN", value_parser = name)]
        domain: Name,
        /// The selector (s=), such as 2026b
        #[arg(value_name = "SELECTOR", value_parser = selector)]
        selector: String,
        /// What it is to be safe for
        #[arg(long = "for", value_name = "PURPOSE", default_value = "signing")]
        purpose: Purpose,
        /// How long to wait at most, such as 90s, 10m or 2h
        #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = duration)]
        timeout: Duration,
    },

    /// Publish an empty p= for a key at once, so that no signature made with it verifies any more
    ///
    /// Without it a key whose file is gone stays published for a while, because mail in flight was signed
    /// with it. Revoking is for a key that leaked (RFC 6376 section 3.6.1). Remove its file too, or the
    /// signer will go on using it.
    Revoke {
        /// The signing domain (d=), such as example.org
        #[arg(value_name = "DOMAIN", value_parser = name)]
        domain: Name,

        /// The selector (s=), such as 2025a
        #[arg(value_name = "SELECTOR", value_parser = selector)]
        selector: String,
    },
}

/// What a key is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Purpose {
    /// Its signatures verify everywhere.
    Signing,
    /// Nothing needs its record any more.
    Removal,
}

impl Args {
    /// Takes the command line apart. Help, version and complaints are printed here; the error is then
    /// how to end.
    pub fn read(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, Exit> {
        Self::try_parse_from(words).map_err(|refusal| {
            // Nothing can be done about a terminal that takes no text.
            let _ = refusal.print();
            if refusal.use_stderr() { Exit::Usage } else { Exit::Fine }
        })
    }

    /// The command, `serve` if none is named.
    pub fn command(&self) -> Command {
        self.command.clone().unwrap_or(Command::Serve)
    }

    /// The definitions, for the manual page.
    pub(super) fn definitions() -> clap::Command {
        <Self as CommandFactory>::command()
    }
}

fn name(text: &str) -> Result<Name, NameError> {
    Name::from_text(text).map(|name| name.to_lowercase())
}

fn duration(text: &str) -> Result<Duration, NoPeriod> {
    text.parse::<Period>().map(|period| period.0)
}

/// A selector may have several labels (RFC 6376 §3.1), but is not a whole name.
fn selector(text: &str) -> Result<String, String> {
    if text.contains("_domainkey") || text.ends_with('.') {
        return Err("give the selector alone, the part in front of `._domainkey`".to_owned());
    }
    match Name::from_text(text) {
        Ok(_) => Ok(text.to_ascii_lowercase()),
        Err(error) => Err(error.to_string()),
    }
}

/// What Postfix has for its recipient may be anything around an @, and is left out if it is no plain address; to fail
/// for it would have Postfix return the message.
fn replier(text: &str) -> Result<String, String> {
    match text.contains('@') {
        true => Ok(text.to_owned()),
        false => Err("give an address, such as check-auth@example.org".to_owned()),
    }
}

/// Postfix says `unknown`, or nothing, of mail that came by no network.
fn client(text: &str) -> Result<Client, String> {
    match address(text) {
        Some(address) => Ok(Client(Some(address))),
        None if ["", "unknown"].contains(&text) => Ok(Client(None)),
        None => Err("give an address, such as 192.0.2.25 or 2001:db8::25".to_owned()),
    }
}

fn short_lessons() -> String {
    format!("Examples:\n{}", columns(&EXAMPLES))
}

fn lessons() -> String {
    let codes = Exit::ALL.map(|(exit, meaning)| (exit.code().to_string(), meaning));
    let codes: Vec<(&str, &str)> = codes.iter().map(|(code, meaning)| (code.as_str(), *meaning)).collect();
    format!(
        "Files, relative to the directory of signpost.toml:\n{}\n\nExamples:\n{}\n\nExit status:\n{}\n\n\
         The options of signpost.toml are in signpost.toml(5).",
        columns(&FILES),
        columns(&EXAMPLES),
        columns(&codes)
    )
}

/// Two columns, indented as clap indents its own.
fn columns(rows: &[(&str, &str)]) -> String {
    let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    rows.iter()
        .map(|(left, right)| format!("  {left:width$}  {right}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definitions_are_consistent() {
        Args::definitions().debug_assert();
    }

    #[test]
    fn no_command_means_serve() {
        assert_eq!(parsed("signpost").unwrap().command(), Command::Serve);
        let with_config = parsed("signpost --config a.toml").unwrap();
        assert_eq!(with_config.config, Some(PathBuf::from("a.toml")));
        assert_eq!(with_config.command(), Command::Serve);
    }

    #[test]
    fn takes_the_config_before_and_after_the_command() {
        for line in [
            "signpost -c a.toml check --json",
            "signpost check --json --config a.toml",
        ] {
            let args = parsed(line).unwrap();
            assert_eq!(args.config, Some(PathBuf::from("a.toml")));
            assert_eq!(args.command(), Command::Check { json: true });
        }
    }

    #[test]
    fn names_are_taken_in_any_case_and_with_or_without_the_final_dot() {
        for line in ["signpost zone print Example.ORG", "signpost zone show example.org."] {
            let Command::Zone(ZoneCommand::Print { name }) = parsed(line).unwrap().command() else {
                panic!("{line}");
            };
            assert_eq!(name.to_string(), "example.org.");
        }
    }

    #[test]
    fn refuses_a_selector_that_is_a_whole_name() {
        let revoke = |selector: &str| parsed(&format!("signpost key revoke example.org {selector}"));
        assert!(revoke("2025A.eu").is_ok());
        for wrong in ["mail._domainkey.example.org", "mail.", "a..b"] {
            assert!(revoke(wrong).is_err(), "{wrong}");
        }
        assert!(
            revoke("mail._domainkey")
                .unwrap_err()
                .to_string()
                .contains("the selector alone")
        );
    }

    #[test]
    fn verify_takes_what_postfix_has_to_say() {
        let line = "signpost verify --reply --client-ip unknown --helo h --mail-from= --dns [::1]:5300";
        let Command::Verify(options) = parsed(line).unwrap().command() else {
            panic!("{line}");
        };
        assert_eq!(options.client_ip, Some(Client(None)));
        assert_eq!((options.mail_from.as_deref(), options.message), (Some(""), None));
        assert_eq!(options.dns.unwrap().port(), 5300);
        for wrong in [
            "signpost verify --client-ip host.example.org",
            "signpost verify --json --reply",
            "signpost verify --sendmail /bin/true",
            "signpost verify --dns ns1",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_command_line_ends_with_64_and_help_with_0() {
        assert_eq!(Args::read(["signpost", "srve"]).unwrap_err(), Exit::Usage);
        assert_eq!(Args::read(["signpost", "zone"]).unwrap_err(), Exit::Usage);
        assert_eq!(Args::read(["signpost", "--version"]).unwrap_err(), Exit::Fine);
    }

    #[test]
    fn lessons_fit_a_terminal_of_80_columns() {
        for line in lessons().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn help_teaches() {
        let short = Args::definitions().term_width(100).render_help().to_string();
        let long = Args::definitions().term_width(100).render_long_help().to_string();
        insta::assert_snapshot!(format!("{short}\n=== --help\n\n{long}"));
    }
}
