//! opendkim.conf(5): one option a line, `#` begins a comment, the last of two counts, `Include` reads another file.

use super::machine::Machine;
use crate::finding::{Finding, Place};
use std::path::{Path, PathBuf};

/// Where OpenDKIM looks for its configuration.
pub(super) const CONF: &str = "/etc/opendkim.conf";

/// Files may include files, so deep and no deeper (opendkim.conf(5), `Include`).
const MAX_DEPTH: usize = 5;

/// Every option that Debian's OpenDKIM starts with.
const KNOWN: &str = "AllowSHA1Only AlwaysAddARHeader ATPSDomains ATPSHashAlgorithm AuthservID AuthservIDWithJobID AutoRestart \
    AutoRestartCount AutoRestartRate Background BaseDirectory BodyLengthDB BogusKey Canonicalization \
    CaptureUnknownErrors ChangeRootDirectory ClockDrift Diagnostics DiagnosticDirectory DisableCryptoInit DNSConnect \
    DNSTimeout Domain DomainKeysCompat DontSignMailTo EnableCoredumps ExemptDomains ExternalIgnoreList \
    FinalPolicyScript FixCRLF IgnoreMalformedMail Include InternalHosts \
    KeepAuthResults KeepTemporaryFiles KeyFile KeyTable LDAPAuthMechanism LDAPAuthName LDAPAuthRealm LDAPAuthUser \
    LDAPBindPassword LDAPBindUser LDAPDisableCache LDAPKeepaliveIdle LDAPKeepaliveInterval LDAPKeepaliveProbes \
    LDAPTimeout LDAPUseTLS LogResults LogWhy MTA MTACommand MacroList MaximumHeaders MaximumSignaturesToVerify \
    MaximumSignedBytes MilterDebug Minimum MinimumKeyBits Mode MultipleSignatures MustBeSigned Nameservers NoHeaderB \
    OmitHeaders On-BadSignature On-DNSError On-Default On-InternalError On-KeyNotFound On-NoSignature On-Security \
    On-SignatureError OversignHeaders PeerList PidFile Quarantine QueryCache RedirectFailuresTo RemoveARAll \
    RemoveARFrom RemoveOldSignatures ReplaceHeaders ReplaceRules ReportAddress ReportBccAddress RequestReports \
    RequireSafeKeys RequiredHeaders ResolverConfiguration ResolverTracing ScreenPolicyScript \
    SelectCanonicalizationHeader Selector SendReports SenderHeaders SenderMacro SetupPolicyScript SignHeaders \
    SignatureAlgorithm SignatureTTL SigningTable Socket SoftStart SoftwareHeader Statistics StatisticsName \
    StatisticsPrefix StrictHeaders StrictTestMode SubDomains Syslog SyslogFacility SyslogName \
    SyslogSuccess TemporaryDirectory TestDNSData TestPublicKeys TrustAnchorFile TrustSignaturesFrom UMask \
    UnprotectedKey UserID VBR-Certifiers VBR-PurgeFields VBR-TrustedCertifiers \
    VBR-TrustedCertifiersOnly VBR-Type WeakSyntaxChecks";

/// Options of opendkim.conf(5) that are not in Debian's build: it starts with none of them.
const NOT_BUILT: &str = "AnonymousStatistics BogusPolicy IdentityHeader IdentityHeaderRemove POPDBFile ResignAll \
    ResignMailTo SMTPURI StatisticsPolicyScript UnboundConfigFile UnprotectedPolicy";

/// An option as it is set, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
    /// The machine's name of the file.
    pub(super) file: PathBuf,
    pub(super) line: u32,
}

/// All that is set.
#[derive(Debug, Default)]
pub(super) struct Conf {
    settings: Vec<Setting>,
    /// What OpenDKIM would not even start with.
    pub(super) findings: Vec<Finding>,
}

/// The value of an option that names a data set (opendkim(8), "DATA SETS").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DataSet {
    /// A text file; are its keys patterns (`refile:`)?
    File { path: PathBuf, patterns: bool },
    /// Written in place.
    List(Vec<String>),
    /// A database of this kind, which is not looked into.
    Other(String),
}

impl Conf {
    /// What `file` of the machine and those it includes set.
    pub(super) fn read(machine: &Machine, file: &Path) -> Self {
        Self::of_text(machine, file, &machine.text(file).unwrap_or_default())
    }

    /// What `file` would set with this text.
    pub(super) fn of_text(machine: &Machine, file: &Path, text: &str) -> Self {
        let mut conf = Self::default();
        conf.add(machine, file, text, 0);
        conf
    }

    fn add(&mut self, machine: &Machine, file: &Path, text: &str, depth: usize) {
        for (number, line) in (1..).zip(text.lines()) {
            let Some((name, value)) = option(line) else {
                continue;
            };
            let place = || Place::line(machine.here(file), number);
            if value.is_empty() {
                let what = format!("`{name}` has no value, and OpenDKIM does not start with it");
                let cure = "write its value behind it, or remove the line";
                self.findings
                    .push(Finding::error("opendkim-option", what, cure).at(place()));
            } else if name.eq_ignore_ascii_case("Include") {
                let path = Path::new(value);
                match machine.text(path) {
                    Some(text) if depth < MAX_DEPTH => self.add(machine, path, &text, depth + 1),
                    there => {
                        let what = match there {
                            Some(_) => format!("the included files include each other more than {MAX_DEPTH} deep"),
                            None => format!("the included file {value} cannot be read, and OpenDKIM does not start"),
                        };
                        let cure = "name a file that is there, or remove the line";
                        self.findings
                            .push(Finding::error("opendkim-include", what, cure).at(place()));
                    }
                }
            } else if let Some(known) = find_in(KNOWN, name) {
                self.settings.push(Setting {
                    name: known.to_owned(),
                    value: value.to_owned(),
                    file: file.to_owned(),
                    line: number,
                });
            } else {
                let (what, cure) = match find_in(NOT_BUILT, name) {
                    Some(_) => (
                        format!("`{name}` is not in Debian's build of OpenDKIM, which does not start with it"),
                        "remove the line, unless this OpenDKIM is built with it".to_owned(),
                    ),
                    None => (
                        format!("OpenDKIM knows no option `{name}` and does not start with it"),
                        format!("did you mean {}? Else remove the line", nearest(name)),
                    ),
                };
                self.findings
                    .push(Finding::error("opendkim-option", what, cure).at(place()));
            }
        }
    }

    /// The last setting of an option, which is the one that counts.
    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().rev().find(|setting| setting.name == name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(|setting| setting.value.as_str())
    }

    /// A boolean, as OpenDKIM reads it: by its first letter.
    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.value(name).map_or(default, |value| {
            value.starts_with(['y', 'Y', 't', 'T', '1', 'o']) && !value.eq_ignore_ascii_case("off")
        })
    }

    pub(super) fn data_set(&self, name: &str) -> Option<(&Setting, DataSet)> {
        let setting = self.get(name)?;
        Some((setting, DataSet::read(&setting.value)))
    }
}

impl Setting {
    pub(super) fn place(&self, machine: &Machine) -> Place {
        Place::line(machine.here(&self.file), self.line)
    }
}

impl DataSet {
    fn read(value: &str) -> Self {
        let file = |path: &str, patterns| Self::File {
            path: path.trim().into(),
            patterns,
        };
        match value.split_once(':') {
            _ if value.starts_with(['/', '.']) => file(value, false),
            Some(("file", path)) => file(path, false),
            Some(("refile", path)) => file(path, true),
            Some(("csl", list)) => Self::list(list),
            Some((kind, _)) if ["db", "dsn", "ldap", "lua", "erlang", "memcache", "socket", "mdb"].contains(&kind) => {
                Self::Other(kind.to_owned())
            }
            _ => Self::list(value),
        }
    }

    fn list(text: &str) -> Self {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Self::List(entries.map(str::to_owned).collect())
    }
}

/// The name and value of a line; `None` if it is blank or a comment.
pub(super) fn option(line: &str) -> Option<(&str, &str)> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (!name.is_empty()).then(|| (name, value.trim()))
}

fn find_in(list: &'static str, name: &str) -> Option<&'static str> {
    list.split_whitespace().find(|known| known.eq_ignore_ascii_case(name))
}

fn nearest(name: &str) -> &'static str {
    let lower = name.to_ascii_lowercase();
    let distance = |known: &&str| strsim::damerau_levenshtein(&known.to_ascii_lowercase(), &lower);
    KNOWN.split_whitespace().min_by_key(distance).unwrap_or("Socket")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Conf {
        Conf::of_text(&Machine::at("/nonexistent"), Path::new(CONF), text)
    }

    #[test]
    fn the_last_of_two_counts_and_comments_do_not() {
        let conf = read("Socket inet:1@localhost\n# Socket x\n\nsocket\tinet:2@localhost # two\nMode sv\n");
        let socket = conf.get("Socket").unwrap();
        assert_eq!((socket.value.as_str(), socket.line), ("inet:2@localhost", 4));
        assert_eq!(conf.value("Mode"), Some("sv"));
        assert!(conf.findings.is_empty());
    }

    #[test]
    fn what_opendkim_does_not_know_is_told_with_the_nearest() {
        let conf = read("Sokcet inet:1\nKeyTable\nInclude /etc/more.conf\n");
        let codes: Vec<_> = conf.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["opendkim-option", "opendkim-option", "opendkim-include"]);
        assert!(conf.findings[0].cure.contains("Socket"));
    }

    /// OpenDKIM itself, asked about each name.
    #[test]
    fn debians_opendkim_knows_what_is_known_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("opendkim.conf");
        let is_known = |name: &str| {
            std::fs::write(&file, format!("{name} 1\n")).unwrap();
            let mut opendkim = std::process::Command::new("/usr/sbin/opendkim");
            let output = opendkim.arg("-n").arg("-x").arg(&file).output().unwrap();
            !String::from_utf8_lossy(&output.stderr).contains("unrecognized parameter")
        };
        for name in KNOWN.split_whitespace() {
            assert!(is_known(name), "{name}");
        }
        for name in NOT_BUILT.split_whitespace().chain(["Sokcet"]) {
            assert!(!is_known(name), "{name}");
            let conf = read(&format!("{name} 1\n"));
            assert_eq!(conf.findings[0].what.contains("Debian's build"), name != "Sokcet");
        }
    }

    #[test]
    fn knows_the_kinds_of_data_sets() {
        let file = |path: &str, patterns| DataSet::File {
            path: path.into(),
            patterns,
        };
        assert_eq!(DataSet::read("/a"), file("/a", false));
        assert_eq!(DataSet::read("file:/a"), file("/a", false));
        assert_eq!(DataSet::read("refile:/a"), file("/a", true));
        assert_eq!(DataSet::read("127.0.0.1, ::1"), DataSet::list("127.0.0.1,::1"));
        assert_eq!(DataSet::read("csl:a"), DataSet::list("a"));
        assert_eq!(DataSet::read("db:/a.db"), DataSet::Other("db".into()));
    }

    #[test]
    fn reads_booleans() {
        assert!(!read("RequireSafeKeys no\n").flag("RequireSafeKeys", true));
        assert!(read("RequireSafeKeys True\n").flag("RequireSafeKeys", false));
        assert!(!read("RequireSafeKeys off\n").flag("RequireSafeKeys", true));
        assert!(read("").flag("RequireSafeKeys", true));
    }
}
