//! Commands and options. One definition feeds the parser, `--help` and the manual page.

use super::exit::Exit;
use crate::name::{Name, NameError};
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// Files an operator meets, for `--help` and the manual page.
pub(super) const FILES: [(&str, &str); 6] = [
    ("signpost.toml", "the server, and [mail] for every zone"),
    ("zones/NAME.zone", "a master file; that it is there is enough"),
    (
        "zones/NAME.toml",
        "its own [mail]; or, with [zone], a zone without a file",
    ),
    ("keys/…", "DKIM keys, as opendkim-genkey or rspamd leave them"),
    ("/etc/signpost/", "where the installed service has the four above"),
    ("/var/lib/signpost/", "Signpost's own: serials, the life of keys"),
];

/// Commands worth trying first.
pub(super) const EXAMPLES: [(&str, &str); 6] = [
    ("signpost", "serve, and follow every change"),
    ("signpost check", "judge all files without serving them"),
    ("signpost doctor", "judge OpenDKIM, its keys and Postfix"),
    (
        "signpost zone print example.org",
        "the finished zone, mail records and all",
    ),
    ("signpost key list", "the published keys and their files"),
    (
        "signpost key revoke example.org 2025a",
        "for a key that leaked: an empty p=",
    ),
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

    /// Look at DKIM keys, and revoke them
    #[command(subcommand, subcommand_value_name = "COMMAND", subcommand_help_heading = "Commands")]
    Key(KeyCommand),

    /// Make the running server read everything again, as SIGHUP does
    ///
    /// Changes are followed without it. Use it where they cannot be seen, as on some network file systems. The
    /// primaries of zones that are fetched are asked again, too.
    Reload,

    /// Show what the running server serves and since when
    Status,

    /// Write the manual pages into DIR, for packagers
    #[command(hide = true)]
    Man {
        /// The directory
        dir: PathBuf,
    },
}

/// Which program to set up.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum SetupCommand {
    /// opendkim.conf, TrustedHosts, KeyTable and SigningTable, with a row for every domain that has a key and none
    ///
    /// Shows, file by file, the lines that would go and come. What works is left as it is.
    Opendkim {
        /// Write the files, each after a backup FILE.before-signpost-DATE
        #[arg(long)]
        write: bool,
        /// Look at the machine whose root directory is DIR
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },

    /// The milters of main.cf, so that all mail gets to OpenDKIM
    ///
    /// Shows the lines that would go and come. What works is left as it is.
    Postfix {
        /// Write the file, after a backup FILE.before-signpost-DATE
        #[arg(long)]
        write: bool,
        /// Look at the machine whose root directory is DIR
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// Slow down mail to others, too: a pause between deliveries to a domain, few recipients each
        #[arg(long)]
        throttle: bool,
    },
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
    /// the moment of expiry are shown. Ends with 0 if all serve what is served here, else with 1.
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
