//! The certificate of the encrypted transports, and whose certificates are believed.
//!
//! The files are followed: what is there is used for new connections at once, and a broken edit leaves the last good
//! context in force. When there never was a good one, no encrypted connection is made and all else goes on.

use crate::config;
use crate::finding::{Finding, Place};
use crate::tls::{Authorities, Context, Credentials, CredentialsError, SharedContext, shared};
use crate::watch::{self, RootId};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch::Sender;
use zeroize::Zeroizing;

/// The files of certificates and of the key.
pub(super) const TLS_FILES: RootId = RootId(7);

/// A file of certificates is no longer: the authorities of a whole system have a quarter of it.
const MAX_LEN: u64 = 1 << 20;

/// What is in force, and what it was made of.
pub(super) struct Tls {
    wanted: config::Tls,
    sender: Sender<Arc<Context>>,
    context: SharedContext,
    /// Of the files that the context is from.
    digest: Option<Digest>,
    /// What is there now is no good, and is read again then: certificate and key are seldom replaced in one moment.
    doubtful: Option<Instant>,
    /// What is wrong, as it was told: it is not told twice.
    told: Option<Finding>,
}

type Digest = [u8; 32];

/// So long a broken pair may be one that is just being replaced.
const DOUBT: Duration = Duration::from_secs(1);

impl Tls {
    /// With what the configuration says; what is wrong with its files is returned.
    pub(super) fn new(wanted: &config::Tls) -> (Self, Option<Finding>) {
        let (sender, context) = shared(Context::default());
        let mut tls = Self {
            wanted: wanted.clone(),
            sender,
            context,
            digest: None,
            doubtful: None,
            told: None,
        };
        let finding = tls.news();
        (tls, finding)
    }

    /// The context in force, now and later.
    pub(super) fn context(&self) -> SharedContext {
        self.context.clone()
    }

    /// The files to be watched.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.wanted.files()
    }

    /// Takes over what the configuration says now; `None` when it says what it said. What is wrong with its files is
    /// returned.
    pub(super) fn follow(&mut self, wanted: &config::Tls) -> Option<Vec<Finding>> {
        if self.wanted == *wanted {
            return None;
        }
        self.wanted = wanted.clone();
        self.digest = None;
        Some(self.news().into_iter().collect())
    }

    /// A file has changed. What is wrong with it is told later, if it stays so.
    pub(super) fn changed(&mut self) {
        self.doubtful = self.read_again().map(|_| Instant::now() + DOUBT);
    }

    /// When [`Self::due`] has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.doubtful
    }

    /// Looks again at what was no good, if it is time; what is wrong is returned.
    pub(super) fn due(&mut self, now: Instant) -> Option<Finding> {
        self.doubtful.take_if(|at| *at <= now)?;
        self.news()
    }

    /// Reads the files; what is wrong with one is returned if it is news.
    fn news(&mut self) -> Option<Finding> {
        let finding = self.read_again();
        let before = std::mem::replace(&mut self.told, finding.clone());
        finding.filter(|finding| before.as_ref() != Some(finding))
    }

    /// Reads the files; what is wrong with one is returned, and nothing changes then.
    fn read_again(&mut self) -> Option<Finding> {
        let (context, digest) = match read(&self.wanted) {
            Ok(read) => read,
            Err(finding) => return Some(*finding),
        };
        self.told = None;
        if self.digest.replace(digest) != Some(digest) {
            if self.wanted != config::Tls::default() {
                tracing::info!("the certificates were read");
            }
            self.sender.send_replace(Arc::new(context));
        }
        None
    }
}

/// What is wrong with the files, for `check`.
pub(super) fn judge(wanted: &config::Tls) -> Option<Finding> {
    read(wanted).err().map(|finding| *finding)
}

/// Findings are large beside what is mostly returned.
type Fault = Box<Finding>;

fn read(wanted: &config::Tls) -> Result<(Context, Digest), Fault> {
    let mut digest = Sha256::new();
    let credentials = wanted
        .pair
        .as_ref()
        .map(|pair| credentials(pair, &mut digest))
        .transpose()?;
    let mut authorities = |file: &Option<PathBuf>| {
        let file = file.as_deref();
        file.map(|file| authorities(file, &mut digest)).transpose()
    };
    let (clients, primaries) = (authorities(&wanted.client_ca)?, authorities(&wanted.ca)?);
    let context = Context::new(credentials, clients, primaries).map_err(|error| {
        let cure = "make the certificate with another program, or report this as a bug";
        Box::new(Finding::error(
            "tls-certificate",
            format!("TLS cannot use it: {error}"),
            cure,
        ))
    })?;
    Ok((context, digest.finalize().into()))
}

fn credentials(pair: &config::Pair, digest: &mut Sha256) -> Result<Credentials, Fault> {
    let (chain, key) = (file(&pair.certificate, digest)?, file(&pair.key, digest)?);
    Credentials::from_pem(&chain, &key).map_err(|error| match error {
        CredentialsError::NoCertificate | CredentialsError::BadCertificate => useless(
            &pair.certificate,
            error,
            "put the certificate and its chain there, in PEM",
        ),
        CredentialsError::NoKey | CredentialsError::BadKey => useless(
            &pair.key,
            error,
            "put the key of the certificate there, in PEM and without a passphrase",
        ),
        CredentialsError::NotAPair => useless(
            &pair.key,
            error,
            "put the key there that the certificate was asked for with",
        ),
    })
}

fn authorities(path: &Path, digest: &mut Sha256) -> Result<Authorities, Fault> {
    let text = file(path, digest)?;
    Authorities::from_pem(&text)
        .map_err(|error| useless(path, error, "put the authorities' certificates there, in PEM"))
}

fn file(path: &Path, digest: &mut Sha256) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let octets = watch::read_file(path, MAX_LEN).map_err(|error| {
        let what = format!("a file of [tls] cannot be read: {error}");
        let cure = "make it readable for Signpost; the certificate that was known stays in force";
        Box::new(Finding::error("tls-file", what, cure).at(Place::file(path)))
    })?;
    digest.update((octets.len() as u64).to_be_bytes());
    digest.update(&octets);
    Ok(octets)
}

fn useless(path: &Path, error: CredentialsError, cure: &str) -> Fault {
    let what = format!("the certificate cannot be used: {error}");
    let cure = format!("{cure}; the one that was known stays in force");
    Box::new(Finding::error("tls-certificate", what, cure).at(Place::file(path)))
}
