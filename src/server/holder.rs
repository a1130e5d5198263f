//! Who holds a port: a look into /proc for the operator who cannot bind.
//!
//! `/proc/net/{tcp,tcp6,udp,udp6}` (proc_net_tcp in the kernel's documentation) tells the inode of the socket,
//! `/proc/PID/fd` which process has it open. The latter is only readable for our own processes or with
//! CAP_SYS_PTRACE; without, the error says how to find out.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A process we may see.
    Process {
        /// Its name, as `ps -o comm` shows it.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// A process of another user, or one outside this container.
    Hidden {
        /// The command that shows it to root.
        command: &'static str,
    },
}

impl Holder {
    /// What to do about it when `key` names the address: a clause.
    pub(super) fn cure(&self, key: &str) -> String {
        match self {
            Self::Process { name, .. } if name.starts_with("systemd-resolve") => {
                format!(
                    "set DNSStubListener=no in /etc/systemd/resolved.conf, or name this machine's own addresses in {key}"
                )
            }
            Self::Process { name, pid: 1 } if name == "systemd" => {
                "a socket unit has it: start the service by systemd, or stop that socket unit".to_owned()
            }
            _ => format!("stop it or choose another address in {key}"),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { name, pid } => write!(f, "{name} (pid {pid})"),
            Self::Hidden { command } => write!(f, "a process of another user ({command} shows it)"),
        }
    }
}

/// Who holds the port of `address` so that it cannot be bound for `transport` (`UDP` or `TCP`).
pub(super) fn find(address: SocketAddr, transport: &str) -> Holder {
    let (tables, command) = match transport {
        "UDP" => (["/proc/net/udp", "/proc/net/udp6"], "sudo ss -lunp"),
        _ => (["/proc/net/tcp", "/proc/net/tcp6"], "sudo ss -ltnp"),
    };
    let inodes: Vec<u64> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| {
            table
                .lines()
                .skip(1)
                .filter_map(|line| conflict(line, address))
                .collect::<Vec<_>>()
        })
        .collect();
    process_with(&inodes).unwrap_or(Holder::Hidden { command })
}

/// The inode of the socket in this line of /proc/net, if it keeps others from `wanted`.
fn conflict(line: &str, wanted: SocketAddr) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let local = socket_address(fields.nth(1)?)?;
    let state = fields.nth(1)?;
    // A TCP socket that listens, or a UDP socket that is not connected.
    if !matches!(state, "0A" | "07") || local.port() != wanted.port() {
        return None;
    }
    // A wildcard socket of IPv6 may hold IPv4 too.
    let overlap = local.ip() == wanted.ip()
        || local.ip().is_unspecified() && (local.is_ipv6() || wanted.is_ipv4())
        || wanted.ip().is_unspecified() && (wanted.is_ipv4() == local.is_ipv4());
    if !overlap {
        return None;
    }
    fields.nth(5)?.parse().ok()
}

/// An address of /proc/net: 32-bit words in hexadecimal in the order of this machine, a colon, the port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (i, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(i * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The process that has one of these sockets open. Several have when it was passed on: the one to stop is then the
/// oldest, the server and not its workers; but before the systemd that opened the socket, the service it is for.
fn process_with(inodes: &[u64]) -> Option<Holder> {
    let sockets: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let holds = |pid: &u32| {
        fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|file| {
                fs::read_link(file.path())
                    .is_ok_and(|target| sockets.iter().any(|socket| target.as_os_str() == &**socket))
            })
    };
    fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(holds)
        .filter_map(|pid| {
            let (name, started) = name_and_start(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
            Some((name == "systemd", started, pid, name))
        })
        .min()
        .map(|(_, _, pid, name)| Holder::Process { name, pid })
}

/// The name of a process and when it started, in clock ticks since boot (proc_pid_stat(5), fields 2 and 22).
fn name_and_start(stat: &str) -> Option<(String, u64)> {
    // The name stands in parentheses and may hold some itself.
    let (front, rest) = stat.rsplit_once(')')?;
    let (_, name) = front.split_once('(')?;
    let started = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some((name.to_owned(), started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_addresses_of_proc_net() {
        let read = |text| socket_address(text).map(|address| address.to_string());
        assert_eq!(read("0100007F:0035").as_deref(), Some("127.0.0.1:53"));
        assert_eq!(
            read("00000000000000000000000001000000:14B4").as_deref(),
            Some("[::1]:5300")
        );
        assert_eq!(
            read("B80D0120000000000000000025000000:0035").as_deref(),
            Some("[2001:db8::25]:53")
        );
        for broken in ["", "0100007F", "01:0035", "0100007G:0035", "é00007F:0035"] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn sees_which_sockets_stand_in_the_way() {
        let line = |local, state| {
            format!("  1: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000   101        0 1234 2")
        };
        let at = |text: &str| text.parse().unwrap();
        let loopback = line("0100007F:0035", "07");
        assert_eq!(conflict(&loopback, at("127.0.0.1:53")), Some(1234));
        assert_eq!(conflict(&loopback, at("0.0.0.0:53")), Some(1234));
        assert_eq!(conflict(&loopback, at("127.0.0.1:54")), None);
        assert_eq!(conflict(&loopback, at("127.0.0.2:53")), None);
        assert_eq!(conflict(&loopback, at("[::]:53")), None);
        let any_ipv6 = line("00000000000000000000000000000000:0035", "0A");
        assert_eq!(conflict(&any_ipv6, at("192.0.2.1:53")), Some(1234));
        assert_eq!(
            conflict(&line("0100007F:0035", "01"), at("127.0.0.1:53")),
            None,
            "a connection"
        );
    }
    #[test]
    fn reads_name_and_start_of_a_process() {
        let stat = "71 (a) (b c) S 1 71 71 0 -1 4194560 900 0 0 0 1 2 0 0 20 0 3 0 4567 1000 200 18446744073709551615";
        assert_eq!(name_and_start(stat), Some(("a) (b c".to_owned(), 4567)));
        assert_eq!(name_and_start("71 (short) S 1"), None);
        assert_eq!(name_and_start(""), None);
    }

    /// A port handed down to a child, as a server does to its workers.
    #[test]
    fn names_the_server_and_not_its_workers() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut worker = std::process::Command::new("sleep")
            .arg("60")
            .stdin(std::os::fd::OwnedFd::from(socket.try_clone().unwrap()))
            .spawn()
            .unwrap();
        let found = find(socket.local_addr().unwrap(), "UDP");
        worker.kill().unwrap();
        worker.wait().unwrap();
        let pid = std::process::id();
        assert!(matches!(found, Holder::Process { pid: of, .. } if of == pid), "{found}");
    }
}
