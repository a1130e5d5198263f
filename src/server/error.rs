//! Why a socket could not be had, told as advice.

use super::holder::{self, Holder};
use std::io;
use std::net::SocketAddr;

/// A socket that could not be had. Its text names the address and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No address at all.
    #[error(
        "listen names no address, so nothing could be asked; write for example listen = [\"0.0.0.0:53\", \"[::]:53\"]"
    )]
    Nothing,
    /// The port is taken.
    #[error("cannot listen on {address}: {transport} port held by {holder}; {}", holder.cure())]
    InUse {
        /// The address asked for.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// Who has it, as far as we may see.
        holder: Holder,
    },
    /// The port is taken by ourselves.
    #[error("cannot listen on {address}: another address in listen covers it already; take one of the two out")]
    Twice {
        /// The address asked for.
        address: SocketAddr,
    },
    /// A low port without the right to it.
    #[error(
        "cannot listen on {address}: not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE: start it by \
         systemd (signpost.socket hands the port over), or allow it with setcap cap_net_bind_service=+ep on the \
         program, or choose a port from 1024 on in listen"
    )]
    NotPermitted {
        /// The address asked for.
        address: SocketAddr,
    },
    /// An address of another machine.
    #[error(
        "cannot listen on {address}: this machine has no such address; look for a typing error in listen (ip address \
         shows what there is), or set net.ipv4.ip_nonlocal_bind=1 (net.ipv6.ip_nonlocal_bind=1) if the address arrives later"
    )]
    NoSuchAddress {
        /// The address asked for.
        address: SocketAddr,
    },
    /// A kernel without IPv6.
    #[error("cannot listen on {address}: this machine has no IPv6; take the address out of listen")]
    NoIpv6 {
        /// The address asked for.
        address: SocketAddr,
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

impl BindError {
    pub(super) fn new(address: SocketAddr, transport: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EADDRINUSE) => match holder::find(address, transport) {
                Holder::Process { pid, .. } if pid == std::process::id() => Self::Twice { address },
                holder => Self::InUse {
                    address,
                    transport,
                    holder,
                },
            },
            Some(libc::EACCES | libc::EPERM) => Self::NotPermitted { address },
            Some(libc::EADDRNOTAVAIL) => Self::NoSuchAddress { address },
            Some(libc::EAFNOSUPPORT) if address.is_ipv6() => Self::NoIpv6 { address },
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
            Self::NoIpv6 { address } | Self::NoSuchAddress { address } => {
                address.is_ipv6() && (address.ip().is_unspecified() || address.ip().is_loopback())
            }
            _ => false,
        }
    }
}
