//! A certificate and its key, and authorities, read from PEM.

use super::provider;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// Why a PEM file is of no use. Says nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// No certificate.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// Something between BEGIN and END that is none.
    #[error("a certificate in it is damaged")]
    BadCertificate,
    /// No key.
    #[error("there is no private key in it")]
    NoKey,
    /// One that is damaged, encrypted or of a kind that TLS has not.
    #[error("the private key in it is damaged, or of a kind that TLS cannot use")]
    BadKey,
    /// Both are good, and of different pairs.
    #[error("the private key does not belong to the certificate")]
    NotAPair,
}

/// A certificate with its chain, and the key.
#[derive(Debug, Clone)]
pub struct Credentials(pub(super) Arc<CertifiedKey>);

/// The authorities whose certificates are trusted.
#[derive(Debug, Clone)]
pub struct Authorities(pub(super) Arc<RootCertStore>);

impl Credentials {
    /// Of a chain, the server's own certificate first, and a key as PKCS#8, PKCS#1 or SEC1, both in PEM.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CredentialsError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => CredentialsError::NoKey,
            _ => CredentialsError::BadKey,
        })?;
        let pair = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CredentialsError::NotAPair,
            rustls::Error::InvalidCertificate(_) => CredentialsError::BadCertificate,
            _ => CredentialsError::BadKey,
        })?;
        Ok(Self(Arc::new(pair)))
    }
}

impl Authorities {
    /// The certificates of a PEM file.
    pub fn from_pem(text: &[u8]) -> Result<Self, CredentialsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(text)? {
            roots.add(certificate).map_err(|_| CredentialsError::BadCertificate)?;
        }
        Ok(Self(Arc::new(roots)))
    }

    /// Those that this machine trusts. Some damaged ones among them do no harm.
    pub(super) fn of_the_system() -> Option<Self> {
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        (added > 0).then(|| Self(Arc::new(roots)))
    }
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let certificates = certificates.map_err(|_| CredentialsError::BadCertificate)?;
    match certificates.is_empty() {
        true => Err(CredentialsError::NoCertificate),
        false => Ok(certificates),
    }
}
