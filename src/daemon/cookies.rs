//! The secrets of server cookies: from the operator's file, or one of this server's own.
//!
//! The operator's file is followed: what is written there is obeyed at once, and a broken edit leaves the last good
//! secrets in force. Without a file, a secret is made once and kept in the state directory, so that clients' cookies
//! stay good over a restart.

use super::StartError;
use crate::answer::{Secrets, SharedSecrets};
use crate::config::Config;
use crate::finding::{Finding, Place};
use crate::watch::{self, Root, RootId};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The operator's file of secrets.
pub(super) const COOKIE_SECRETS: RootId = RootId(5);

/// The name of our own in the state directory.
const OWN: &str = "cookie.secret";
/// A file of secrets is no longer.
const MAX_LEN: u64 = 64 << 10;

/// The secrets in force, and where they come from.
pub(super) struct Cookies {
    file: Option<PathBuf>,
    secrets: SharedSecrets,
}

impl Cookies {
    /// The secrets to begin with; `None` when cookies are switched off. A file that cannot be used is told, and a
    /// secret of our own serves in its place.
    pub(super) fn start(config: &Config) -> Result<(Option<Self>, Vec<Finding>), StartError> {
        if !config.cookies.enabled {
            return Ok((None, Vec::new()));
        }
        let mut findings = Vec::new();
        let given = match &config.cookies.secret_file {
            None => None,
            Some(file) => read(file).map_err(|finding| findings.push(finding)).ok(),
        };
        let secrets = match given {
            Some(secrets) => secrets,
            None => own(&config.state.join(OWN), &mut findings)?,
        };
        let cookies = Self {
            file: config.cookies.secret_file.clone(),
            secrets: secrets.shared(),
        };
        Ok((Some(cookies), findings))
    }

    /// The secrets in force, now and later.
    pub(super) fn secrets(&self) -> SharedSecrets {
        Arc::clone(&self.secrets)
    }

    /// Reads the operator's file again; what is wrong with it is returned, and nothing changes then.
    pub(super) fn read_again(&self) -> Option<Finding> {
        match read(self.file.as_ref()?) {
            Ok(secrets) => {
                self.secrets.store(Arc::new(secrets));
                tracing::info!("the cookie secrets were read");
                None
            }
            Err(finding) => Some(finding),
        }
    }
}

/// What to watch for it.
pub(super) fn root(config: &Config) -> Option<Root> {
    let file = config.cookies.secret_file.as_ref().filter(|_| config.cookies.enabled)?;
    Some(Root::file(COOKIE_SECRETS, file))
}

/// What is wrong with the operator's file, for `check`.
pub(super) fn judge(config: &Config) -> Option<Finding> {
    read(config.cookies.secret_file.as_ref().filter(|_| config.cookies.enabled)?).err()
}

fn read(file: &Path) -> Result<Secrets, Finding> {
    let finding = |what: String, cure: &str| Finding::error("cookie-secrets", what, cure).at(Place::file(file));
    let octets = watch::read_file(file, MAX_LEN).map_err(|error| {
        finding(
            format!("the cookie secrets cannot be read: {error}"),
            "make the file readable for Signpost; the secrets known so far stay in force",
        )
    })?;
    // What is not UTF-8 is no hexadecimal digit either.
    let text = std::str::from_utf8(&octets).unwrap_or("?");
    Secrets::parse(text).map_err(|error| {
        finding(
            format!("these are no cookie secrets: {error}"),
            "write one secret a line, as `openssl rand -hex 16` makes them; the secrets known so far stay in force",
        )
    })
}

/// The secret in our own file; made if there is none that is good.
fn own(file: &Path, findings: &mut Vec<Finding>) -> Result<Secrets, StartError> {
    if let Ok(octets) = watch::read_file(file, MAX_LEN)
        && let Some(secrets) = std::str::from_utf8(&octets)
            .ok()
            .and_then(|text| Secrets::parse(text).ok())
    {
        return Ok(secrets);
    }
    let mut secret = Zeroizing::new([0; 16]);
    rustix::rand::getrandom(&mut *secret, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| StartError::System(error.into()))?;
    if let Err(error) = keep(file, &secret) {
        let what = format!("the secret of cookies cannot be kept: {error}; each restart makes a new one");
        let cure = "make the state directory writable for Signpost";
        findings.push(Finding::warning("cookie-secret-unkept", what, cure).at(Place::file(file)));
    }
    Ok(Secrets::one(*secret))
}

fn keep(file: &Path, secret: &[u8; 16]) -> io::Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(33));
    for octet in secret {
        text.extend([octet >> 4, octet & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
    }
    text.push('\n');
    let beside = file.with_extension("new");
    // An old one may have another mode.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?
        .write_all(text.as_bytes())?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn config(dir: &Path, more: &str) -> Config {
        crate::config::parse(&format!("state = \".\"\n{more}"), &dir.join("signpost.toml")).unwrap()
    }

    #[test]
    fn makes_a_secret_once_and_keeps_it_private() {
        let dir = tempfile::tempdir().unwrap();
        let (cookies, findings) = Cookies::start(&config(dir.path(), "")).unwrap();
        assert!(cookies.is_some() && findings.is_empty(), "{findings:?}");
        let file = dir.path().join(OWN);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!((text.len(), fs::metadata(&file).unwrap().mode() & 0o777), (33, 0o600));
        Cookies::start(&config(dir.path(), "")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "it is used again");
        fs::write(&file, "broken").unwrap();
        Cookies::start(&config(dir.path(), "")).unwrap();
        let mended = fs::read_to_string(&file).unwrap();
        assert!(mended.len() == 33 && mended != text, "a new one is made");
        let (none, _) = Cookies::start(&config(dir.path(), "[cookies]\nenabled = false\n")).unwrap();
        assert!(none.is_none());
    }

    #[test]
    fn a_broken_file_is_told_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), "[cookies]\nsecret_file = \"secrets\"\n");
        let file = dir.path().join("secrets");
        let (cookies, findings) = Cookies::start(&config).unwrap();
        assert_eq!(
            findings.iter().map(|finding| finding.code).collect::<Vec<_>>(),
            ["cookie-secrets"]
        );
        let cookies = cookies.unwrap();
        let before = cookies.secrets().load_full();
        fs::write(&file, "00112233445566778899aabbccddeeff0\n").unwrap();
        let finding = cookies.read_again().unwrap();
        assert!(!finding.to_string().contains("0011"), "no secret is shown: {finding}");
        assert!(Arc::ptr_eq(&before, &cookies.secrets().load_full()));
        fs::write(&file, "00112233445566778899aabbccddeeff\n").unwrap();
        assert_eq!(cookies.read_again(), None);
        assert!(!Arc::ptr_eq(&before, &cookies.secrets().load_full()));
        assert_eq!(judge(&config), None);
    }
}
