//! Why a socket could not be had, told as advice.

use super::holder::{self, Holder};
use std::io;
use std::net::SocketAddr;

/// The key of the addresses of UDP and TCP.
pub(super) const LISTEN: &str = "listen";

/// A socket that could not be had. Its text names the address and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No address at all.
    #[error(
        "listen names no address, so nothing could be asked; write for example listen = [\"0.0.0.0:53\", \"[::]:53\"]"
    )]
    Nothing,
    /// The port is taken.
    #[error("cannot listen on {address}: {transport} port held by {holder}; {}", holder.cure(key))]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// The key of the configuration that names it.
        key: &'static str,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// Who has it, as far as we may see.
        holder: Holder,
    },
    /// The port is taken by ourselves.
    #[error("cannot listen on {address} of {key}: another address covers it already; take one of the two out")]
    Twice {
        /// The address asked for.
        address: SocketAddr,
        /// The key of the configuration that names it.
        key: &'static str,
    },
    /// A low port without the right to it.
    #[error(
        "cannot listen on {address}: not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE: start it by \
         systemd ({}), or allow it with setcap cap_net_bind_service=+ep on the program, or choose a port from 1024 on in \
         {key}",
        by_systemd(key)
    )]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
        /// The key of the configuration that names it.
        key: &'static str,
    },
    /// An address of another machine.
    #[error(
        "cannot listen on {address}: this machine has no such address; look for a typing error in {key} (ip address \
         shows what there is), or set net.ipv4.ip_nonlocal_bind=1 (net.ipv6.ip_nonlocal_bind=1) if the address arrives later"
    )]
    NoSuchAddress {
        /// The address asked for.
        address: SocketAddr,
        /// The key of the configuration that names it.
        key: &'static str,
    },
    /// A kernel without IPv6.
    #[error("cannot listen on {address}: this machine has no IPv6; take the address out of {key}")]
    NoIpv6 {
        /// The address asked for.
        address: SocketAddr,
        /// The key of the configuration that names it.
        key: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {address} by {transport}: {source}")]
    System {
        /// The address asked for.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// How the ports of this key are had by a service.
fn by_systemd(key: &str) -> &'static str {
    match key {
        LISTEN => "signpost.socket hands the port over",
        // A descriptor that is handed over does not say for which transport it is.
        _ => "bind-itself.conf lets it bind ports below 1024 itself",
    }
}

impl BindError {
    pub(super) fn new(key: &'static str, address: SocketAddr, transport: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EADDRINUSE) => match holder::find(address, transport) {
                Holder::Process { pid, .. } if pid == std::process::id() => Self::Twice { address, key },
                holder => Self::InUse {
                    address,
                    key,
                    transport,
                    holder,
                },
            },
            Some(libc::EACCES | libc::EPERM) => Self::NotPermitted { address, key },
            Some(libc::EADDRNOTAVAIL) => Self::NoSuchAddress { address, key },
            Some(libc::EAFNOSUPPORT) if address.is_ipv6() => Self::NoIpv6 { address, key },
            _ => Self::System {
                address,
                transport,
                source,
            },
        }
    }

    /// Was it `::` or `::1` on a machine whose IPv6 is switched off? Every machine that has IPv6 has these.
    pub(super) fn is_missing_ipv6(&self) -> bool {
        match self {
            Self::NoIpv6 { address, .. } | Self::NoSuchAddress { address, .. } => {
                address.is_ipv6() && (address.ip().is_unspecified() || address.ip().is_loopback())
            }
            _ => false,
        }
    }
}
