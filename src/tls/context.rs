//! What connections are made with, as a server and as a client.
//!
//! A [`Context`] never changes: when files change a new one takes its place, new connections use it, and those that
//! there are go on.

use super::{Authorities, Credentials, provider};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// DNS over TLS and transfers over TLS (RFC 7858 §3.1, RFC 9103 §7.1).
const DOT: &[u8] = b"dot";
/// DNS over QUIC (RFC 9250 §4.1).
const DOQ: &[u8] = b"doq";
/// HTTP/2 (RFC 9113 §3.2).
const H2: &[u8] = b"h2";

/// What is in force, and word of it when that changes.
pub type SharedContext = watch::Receiver<Arc<Context>>;

/// What connections are made with.
#[derive(Debug, Default)]
pub struct Context {
    server: Option<ServerSide>,
    credentials: Option<Credentials>,
    /// For primaries; those of the system when there are none.
    authorities: Option<Authorities>,
    /// Made when first it is needed: most servers have no primary that speaks TLS.
    client: OnceLock<Arc<ClientConfig>>,
}

struct ServerSide {
    tls: Arc<ServerConfig>,
    https: Arc<ServerConfig>,
    quic: Arc<QuicServerConfig>,
}

impl std::fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerSide")
    }
}

/// No connection can be made as a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoClient {
    /// Nobody is trusted.
    #[error("this machine trusts no authority; install ca-certificates, or name the primary's authority in `[tls] ca`")]
    NoAuthorities,
    /// TLS says no.
    #[error("{0}")]
    Tls(String),
}

/// With this in force, and the way to change that.
pub fn shared(context: Context) -> (watch::Sender<Arc<Context>>, SharedContext) {
    watch::channel(Arc::new(context))
}

impl Context {
    /// With what this server shows of itself, if anything; whose certificates it believes of clients: without, none is
    /// asked for; and whose of primaries: without, those that the system trusts.
    pub fn new(
        credentials: Option<Credentials>,
        clients: Option<Authorities>,
        primaries: Option<Authorities>,
    ) -> Result<Self, rustls::Error> {
        let server = credentials
            .as_ref()
            .map(|credentials| ServerSide::new(credentials, clients));
        Ok(Self {
            server: server.transpose()?,
            credentials,
            authorities: primaries,
            client: OnceLock::new(),
        })
    }

    /// For a connection of DNS over TLS; `None` as long as there is no certificate.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        Some(Arc::clone(&self.server.as_ref()?.tls))
    }

    /// For a connection of DNS over HTTPS.
    pub fn https(&self) -> Option<Arc<ServerConfig>> {
        Some(Arc::clone(&self.server.as_ref()?.https))
    }

    /// For connections of DNS over QUIC.
    pub fn quic(&self) -> Option<Arc<QuicServerConfig>> {
        Some(Arc::clone(&self.server.as_ref()?.quic))
    }

    /// For a connection to a primary.
    pub fn client(&self) -> Result<Arc<ClientConfig>, NoClient> {
        if let Some(made) = self.client.get() {
            return Ok(Arc::clone(made));
        }
        // What failed is tried again: authorities may be installed at any time.
        let made = self.new_client()?;
        Ok(Arc::clone(self.client.get_or_init(|| made)))
    }

    fn new_client(&self) -> Result<Arc<ClientConfig>, NoClient> {
        let authorities = self.authorities.clone().or_else(Authorities::of_the_system);
        let Authorities(roots) = authorities.ok_or(NoClient::NoAuthorities)?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| NoClient::Tls(error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match &self.credentials {
            // Shown to primaries that ask for it (RFC 9103 §9.3.3).
            Some(Credentials(pair)) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(pair))))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![DOT.to_vec()];
        Ok(Arc::new(config))
    }
}

impl ServerSide {
    fn new(credentials: &Credentials, clients: Option<Authorities>) -> Result<Self, rustls::Error> {
        let asks = clients.is_some();
        let verifier = match clients {
            // Who shows none is a client all the same; what needs one is a matter of `[transfer] allow`.
            Some(Authorities(roots)) => WebPkiClientVerifier::builder_with_provider(roots, provider())
                .allow_unauthenticated()
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let config = |protocol: &[u8], verifier, resumes: bool| -> Result<ServerConfig, rustls::Error> {
            let Credentials(pair) = credentials;
            let mut config = ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .with_client_cert_verifier(verifier)
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(pair))));
            config.alpn_protocols = vec![protocol.to_vec()];
            if !resumes {
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
            }
            Ok(config)
        };
        // RFC 8446 §4.6.1: a client's certificate is not looked at again when it resumes, and may have run out.
        let quic = config(DOQ, Arc::clone(&verifier), !asks)?;
        Ok(Self {
            tls: Arc::new(config(DOT, verifier, !asks)?),
            // A browser would ask its user for a certificate.
            https: Arc::new(config(H2, WebPkiClientVerifier::no_client_auth(), true)?),
            quic: Arc::new(
                QuicServerConfig::try_from(quic).map_err(|error| rustls::Error::General(error.to_string()))?,
            ),
        })
    }
}

/// Is this certificate, which an authority has signed, for that name? RFC 9103 §9.3.3 leaves to us how a client's is
/// known: by the names in it, as a server's.
pub fn is_for(certificate: &[u8], name: &str) -> bool {
    let certificate = CertificateDer::from(certificate);
    let (Ok(parsed), Some(name)) = (ParsedCertificate::try_from(&certificate), server_name(name)) else {
        return false;
    };
    verify_server_name(&parsed, &name).is_ok()
}

/// A name that a certificate can be for, as TLS takes it.
pub fn server_name(name: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).ok()
}

/// Can a certificate be for this name?
pub fn is_name(name: &str) -> bool {
    server_name(name).is_some()
}
