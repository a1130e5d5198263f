//! Getting the sockets: all of them, or none and a [`BindError`].
//!
//! Per address TCP comes first: a listening TCP socket shares its port with nobody, so a second server on the port
//! fails here before it could take a datagram from the first. Then the first UDP socket is bound without
//! SO_REUSEPORT, so that it fails too if anyone at all holds the port; only afterwards the option is set, which lets
//! the other workers' sockets join.
//!
//! RFC 9715 §3.1: answers are sent with IP_PMTUDISC_OMIT, that is without DF and without belief in a path MTU, and kept
//! small by the answering engine instead.

use super::batch::system::{raise_open_files, set_option};
use super::encrypted::Sockets;
use super::error::LISTEN;
use super::udp::UdpPort;
use super::{BindError, Encrypted, Inherited, Limits, Listen, RateLimit};
use crate::finding::Finding;
use libc::{IP_MTU_DISCOVER, IP_PKTINFO, IP_PMTUDISC_OMIT, IPPROTO_IP, IPPROTO_IPV6};
use libc::{IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT, IPV6_RECVPKTINFO};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Sockets that are bound and listen, but are not served yet. Queries that come in wait in the kernel.
#[derive(Debug)]
pub struct Server {
    pub(super) addresses: Vec<SocketAddr>,
    /// One per UDP worker.
    pub(super) udp: Vec<UdpPort>,
    pub(super) tcp: Vec<TcpListener>,
    pub(super) encrypted: Option<Sockets>,
    /// Where these are, each with its transport.
    pub(super) encrypted_addresses: Vec<(&'static str, SocketAddr)>,
    /// TCP threads.
    pub(super) workers: usize,
    pub(super) limits: Limits,
    pub(super) rate_limit: Option<RateLimit>,
    findings: Vec<Finding>,
}

impl Server {
    /// Binds every address of `listen`.
    pub fn bind(listen: &Listen) -> Result<Self, BindError> {
        if listen.addresses.is_empty() {
            return Err(BindError::Nothing);
        }
        let mut server = Self::empty(listen);
        let workers = udp_workers(listen.workers, listen.addresses.len());
        let mut left_out = None;
        for &address in &listen.addresses {
            match server.add(address, workers) {
                Ok(()) => {}
                Err(error) if error.is_missing_ipv6() => {
                    server.findings.push(without_ipv6(LISTEN, address));
                    left_out = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        match left_out {
            Some(error) if server.tcp.is_empty() => Err(error),
            _ => server.with_encrypted(listen),
        }
    }

    /// Serves sockets handed over by the service manager instead of those of `listen`. Sockets that are no use to a
    /// DNS server, and a difference to `listen`, are told as findings. With nothing usable it binds `listen`.
    pub fn adopt(listen: &Listen, inherited: Vec<Inherited>) -> Result<Self, BindError> {
        let mut server = Self::empty(listen);
        let workers = udp_workers(listen.workers, inherited.len().div_ceil(2));
        for socket in inherited {
            server.take(socket, workers)?;
        }
        if server.addresses.is_empty() {
            let findings = server.findings;
            server = Self::bind(listen)?;
            server.findings.splice(0..0, findings);
            return Ok(server);
        }
        server.compare(listen);
        server.with_encrypted(listen)
    }

    /// Binds the addresses of the encrypted transports, too.
    fn with_encrypted(mut self, listen: &Listen) -> Result<Self, BindError> {
        if let Some(Encrypted { dot, doq, doh, context }) = &listen.encrypted {
            self.encrypted = Some(Sockets {
                tls: self.bind_each(dot, ("[tls] dot", "TLS", "TCP"), listen_tcp, TcpListener::local_addr)?,
                quic: self.bind_each(doq, ("[tls] doq", "QUIC", "UDP"), bind_quic, UdpSocket::local_addr)?,
                https: self.bind_each(doh, ("[tls] doh", "HTTPS", "TCP"), listen_tcp, TcpListener::local_addr)?,
                context: context.clone(),
            });
        }
        Ok(self)
    }

    /// Sockets for all of these, for one transport over another.
    fn bind_each<S>(
        &mut self,
        addresses: &[SocketAddr],
        (key, name, below): (&'static str, &'static str, &'static str),
        bind: fn(SocketAddr) -> io::Result<S>,
        bound: fn(&S) -> io::Result<SocketAddr>,
    ) -> Result<Vec<S>, BindError> {
        let mut sockets = Vec::new();
        for &address in addresses {
            let socket = bind(address).and_then(|socket| Ok((bound(&socket)?, socket)));
            match socket.map_err(|error| BindError::new(key, address, below, error)) {
                Ok((bound, socket)) => {
                    self.encrypted_addresses.push((name, bound));
                    sockets.push(socket);
                }
                Err(error) if error.is_missing_ipv6() => self.findings.push(without_ipv6(key, address)),
                Err(error) => return Err(error),
            }
        }
        Ok(sockets)
    }

    /// What the operator should know: an address left out, a socket not used.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Where it listens, with the ports the kernel chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn empty(listen: &Listen) -> Self {
        let mut server = Self {
            addresses: Vec::new(),
            udp: Vec::new(),
            tcp: Vec::new(),
            encrypted: None,
            encrypted_addresses: Vec::new(),
            workers: listen.workers.max(1),
            limits: listen.limits,
            rate_limit: listen.rate_limit,
            findings: Vec::new(),
        };
        server.fit_open_files();
        server
    }

    /// Makes room for all connections among the open files, or fewer connections.
    fn fit_open_files(&mut self) {
        let wanted = self.limits.connections.saturating_add(OTHER_FILES);
        // Without an answer from the kernel nothing is changed; accepting copes with running out.
        let Ok(limit) = raise_open_files(wanted as u64) else {
            return;
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if limit < wanted {
            self.limits.connections = limit.saturating_sub(OTHER_FILES).max(16).min(self.limits.connections);
            self.findings.push(Finding::warning(
                "open-files-limited",
                format!(
                    "at most {limit} files may be open, enough for {} TCP connections",
                    self.limits.connections
                ),
                "raise the limit (LimitNOFILE= of the service, or ulimit -Hn) or lower the number of connections",
            ));
        }
    }

    /// Binds one address for both transports.
    fn add(&mut self, address: SocketAddr, workers: usize) -> Result<(), BindError> {
        let mut attempt = 0;
        let (tcp, first) = loop {
            let tcp = listen_tcp(address).map_err(|error| BindError::new(LISTEN, address, "TCP", error))?;
            let bound = tcp
                .local_addr()
                .map_err(|error| BindError::new(LISTEN, address, "TCP", error))?;
            attempt += 1;
            match bind_udp(bound, Sharing::Later) {
                Ok(udp) => break (tcp, udp),
                // The port the kernel chose for TCP is taken by UDP: let it choose again.
                Err(error) if address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && attempt < 64 => {}
                Err(error) => return Err(BindError::new(LISTEN, bound, "UDP", error)),
            }
        };
        let failed = |error| BindError::new(LISTEN, address, "UDP", error);
        let bound = tcp.local_addr().map_err(failed)?;
        let mut sockets = vec![first];
        for _ in 1..workers {
            sockets.push(bind_udp(bound, Sharing::Now).map_err(failed)?);
        }
        self.udp.extend(sockets.into_iter().map(|socket| UdpPort {
            socket: Arc::new(socket),
            wildcard: bound.ip().is_unspecified(),
            inherited: false,
        }));
        self.tcp.push(tcp);
        self.addresses.push(bound);
        Ok(())
    }

    /// Takes one inherited socket: a UDP socket is shared by `workers` threads.
    fn take(&mut self, inherited: Inherited, workers: usize) -> Result<(), BindError> {
        let useless = inherited.fault();
        let (name, socket) = inherited.into_parts();
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        let (Some(address), None) = (address, useless) else {
            let why = useless.unwrap_or("is not bound to an IP address");
            self.findings.push(Finding::warning(
                "activation-socket-unused",
                format!("the socket \"{name}\" handed over by the service manager {why}, it is not served"),
                "give the socket unit only ListenDatagram= and ListenStream= with IP addresses",
            ));
            return Ok(());
        };
        let failed = |error| BindError::new(LISTEN, address, "an inherited socket", error);
        if socket.r#type().map_err(failed)? == Type::DGRAM {
            prepare_udp(&socket, address).map_err(failed)?;
            let socket = Arc::new(UdpSocket::from(socket));
            let port = UdpPort {
                socket,
                wildcard: address.ip().is_unspecified(),
                inherited: true,
            };
            self.udp.extend(std::iter::repeat_n(port, workers));
        } else {
            socket.set_tcp_nodelay(true).map_err(failed)?;
            socket.set_nonblocking(true).map_err(failed)?;
            self.tcp.push(socket.into());
        }
        if !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
        Ok(())
    }

    /// Tells when inherited sockets are not what the configuration says.
    fn compare(&mut self, listen: &Listen) {
        let same = |a: &[SocketAddr], b: &[SocketAddr]| a.iter().all(|address| b.contains(address));
        if !same(&self.addresses, &listen.addresses) || !same(&listen.addresses, &self.addresses) {
            self.findings.push(Finding::warning(
                "activation-replaces-listen",
                format!(
                    "the service manager handed over {}, so listen = {} is not used",
                    list(&self.addresses),
                    list(&listen.addresses)
                ),
                "name the same addresses in listen and in the socket unit, or disable the socket unit",
            ));
        }
        if self.udp.is_empty() || self.tcp.is_empty() {
            let missing = if self.udp.is_empty() {
                "UDP (ListenDatagram=)"
            } else {
                "TCP (ListenStream=)"
            };
            self.findings.push(Finding::warning(
                "activation-transport-missing",
                format!("the service manager handed over no socket for {missing}; DNS needs both (RFC 7766 §5)"),
                "add it to the socket unit",
            ));
        }
    }
}

/// Files that are open beside connections: sockets, zone files, keys, the state store, watches.
const OTHER_FILES: usize = 256;

/// When other sockets may join a UDP socket's port.
#[derive(Clone, Copy, PartialEq)]
enum Sharing {
    /// Only after the bind: it fails when anyone else is there.
    Later,
    /// At once: it joins.
    Now,
}

/// UDP threads per address, so that many addresses do not mean very many threads.
fn udp_workers(workers: usize, addresses: usize) -> usize {
    if addresses <= 4 {
        workers.max(1)
    } else {
        (workers * 4 / addresses).max(1)
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier run may linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A socket for QUIC, which does what else it needs itself.
fn bind_quic(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    raise_buffers(&socket, SOCKET_BUFFER);
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if sharing == Sharing::Now {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    prepare_udp(&socket, address)?;
    Ok(socket.into())
}

/// The options of a UDP socket, ours or inherited.
fn prepare_udp(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(WAKE_UP))?;
    socket.set_write_timeout(Some(SEND_PATIENCE))?;
    raise_buffers(socket, SOCKET_BUFFER);
    let wildcard = address.ip().is_unspecified();
    // A dual-stack socket that was handed over sends IPv4 too. Old kernels do without.
    let _ = set_option(socket, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
    if address.is_ipv4() {
        if wildcard {
            set_option(socket, IPPROTO_IP, IP_PKTINFO, 1)?;
        }
    } else {
        let _ = set_option(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
        if wildcard {
            set_option(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)?;
        }
    }
    Ok(())
}

/// Makes the buffers `wanted` octets large, or as large as the system lets us: net.core.rmem_max and wmem_max cut it
/// down silently. Never makes one smaller, as asking for more can: a service manager is not bound by these limits, so a
/// socket that was handed over may have more than we could get.
fn raise_buffers(socket: &Socket, wanted: usize) {
    let Ok(fresh) = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)) else {
        return;
    };
    let raise = |get: fn(&Socket) -> io::Result<usize>, set: fn(&Socket, usize) -> io::Result<()>| {
        // What we would get shows on a socket of no importance.
        let _ = set(&fresh, wanted);
        if matches!((get(socket), get(&fresh)), (Ok(has), Ok(gets)) if has < gets) {
            let _ = set(socket, wanted);
        }
    };
    raise(Socket::recv_buffer_size, Socket::set_recv_buffer_size);
    raise(Socket::send_buffer_size, Socket::set_send_buffer_size);
}

/// Octets of datagrams that may wait while a worker is busy.
const SOCKET_BUFFER: usize = 4 << 20;

/// A worker that waits for datagrams looks up after this long to see whether it is to stop.
const WAKE_UP: Duration = Duration::from_secs(1);

/// How long a full send buffer may hold a worker up before it gives up the round.
const SEND_PATIENCE: Duration = Duration::from_millis(100);

/// Ends the waiting of a worker on a socket of our own.
pub(super) fn wake(port: &UdpPort) {
    if !port.inherited {
        // An unconnected socket answers ENOTCONN, but its readers wake up all the same.
        let _ = SockRef::from(&*port.socket).shutdown(std::net::Shutdown::Read);
    }
}

fn without_ipv6(key: &str, address: SocketAddr) -> Finding {
    Finding::warning(
        "listen-without-ipv6",
        format!("this machine has IPv6 switched off, so {address} is not served"),
        format!("take it out of {key}, or switch IPv6 on (sysctl net.ipv6.conf.all.disable_ipv6=0)"),
    )
}

fn list(addresses: &[SocketAddr]) -> String {
    let quoted: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_only_grow() {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        let sizes = || (socket.recv_buffer_size().unwrap(), socket.send_buffer_size().unwrap());
        socket.set_recv_buffer_size(40_000).unwrap();
        socket.set_send_buffer_size(40_000).unwrap();
        let handed_over = sizes();
        // What we would get is less, as under a small net.core.rmem_max: it stays as the service manager made it.
        raise_buffers(&socket, 20_000);
        assert_eq!(sizes(), handed_over);
        raise_buffers(&socket, 80_000);
        let raised = sizes();
        assert!(
            raised.0 > handed_over.0 && raised.1 > handed_over.1,
            "{handed_over:?} {raised:?}"
        );
    }
}
