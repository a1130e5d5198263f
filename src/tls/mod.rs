//! TLS: from certificates and keys in PEM to what both sides of a connection are made with.
//!
//! Promises: TLS 1.3 and nothing older, which QUIC (RFC 9001 §4.2) and transfers (RFC 9103 §7.2) demand anyway; a
//! certificate and a key that do not belong together are refused before anyone sees them; no octet of a key in any
//! error. The cryptography is rustls with ring.
//!
//! | file | what lives there |
//! |---|---|
//! | `credentials` | a certificate and its key, and authorities, read from PEM |
//! | `context` | what connections are made with, as a server and as a client |

mod context;
mod credentials;

pub use context::{Context, NoClient, SharedContext, is_for, is_name, server_name, shared};
pub use credentials::{Authorities, Credentials, CredentialsError};

use rustls::crypto::{CryptoProvider, ring};
use std::sync::{Arc, LazyLock};

/// The one provider of cryptography.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}
