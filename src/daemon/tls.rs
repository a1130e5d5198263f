//! The certificate of the encrypted transports, and whose certificates are believed.
//!
//! The files are followed: what is there is used for new connections at once, and a broken edit leaves the last good
//! context in force. When there never was a good one, the encrypted transports are silent and all else goes on.

use crate::config;
use crate::finding::{Finding, Place};
use crate::tls::{Authorities, Context, Credentials, CredentialsError, SharedContext, shared};
use crate::watch::{self, RootId};
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
}

impl Tls {
    /// With what the configuration says; what is wrong with its files is returned.
    pub(super) fn new(wanted: &config::Tls) -> (Self, Option<Finding>) {
        let (sender, context) = shared(Context::default());
        let tls = Self {
            wanted: wanted.clone(),
            sender,
            context,
        };
        let finding = tls.read_again();
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
        Some(self.read_again().into_iter().collect())
    }

    /// Reads the files; what is wrong with one is returned, and nothing changes then.
    pub(super) fn read_again(&self) -> Option<Finding> {
        match read(&self.wanted) {
            Ok(context) => {
                if self.wanted != config::Tls::default() {
                    tracing::info!("the certificates were read");
                }
                self.sender.send_replace(Arc::new(context));
                None
            }
            Err(finding) => Some(*finding),
        }
    }
}

/// What is wrong with the files, for `check`.
pub(super) fn judge(wanted: &config::Tls) -> Option<Finding> {
    read(wanted).err().map(|finding| *finding)
}

/// Findings are large beside what is mostly returned.
type Fault = Box<Finding>;

fn read(wanted: &config::Tls) -> Result<Context, Fault> {
    let authorities = |file: &Option<PathBuf>| file.as_deref().map(authorities).transpose();
    let credentials = wanted.pair.as_ref().map(credentials).transpose()?;
    Context::new(credentials, authorities(&wanted.client_ca)?, authorities(&wanted.ca)?).map_err(|error| {
        let cure = "make the certificate with another program, or report this as a bug";
        Box::new(Finding::error(
            "tls-certificate",
            format!("TLS cannot use it: {error}"),
            cure,
        ))
    })
}

fn credentials(pair: &config::Pair) -> Result<Credentials, Fault> {
    let (chain, key) = (file(&pair.certificate)?, file(&pair.key)?);
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
            "put the key there that the certificate was asked for with; if both are just being replaced, this mends \
             itself",
        ),
    })
}

fn authorities(path: &Path) -> Result<Authorities, Fault> {
    let text = file(path)?;
    Authorities::from_pem(&text)
        .map_err(|error| useless(path, error, "put the authorities' certificates there, in PEM"))
}

fn file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    watch::read_file(path, MAX_LEN).map_err(|error| {
        let what = format!("a file of [tls] cannot be read: {error}");
        let cure = "make it readable for Signpost; the certificate that was known stays in force";
        Box::new(Finding::error("tls-file", what, cure).at(Place::file(path)))
    })
}

fn useless(path: &Path, error: CredentialsError, cure: &str) -> Fault {
    let what = format!("the certificate cannot be used: {error}");
    let cure = format!("{cure}; the one that was known stays in force");
    Box::new(Finding::error("tls-certificate", what, cure).at(Place::file(path)))
}
