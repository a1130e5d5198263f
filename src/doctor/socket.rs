//! Where a milter listens and where Postfix looks for it: two spellings of one thing.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A milter that takes longer to accept than this would hold up all mail.
const PATIENCE: Duration = Duration::from_secs(2);

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Socket {
    /// TCP; no host means every address.
    Inet {
        host: Option<String>,
        port: String,
    },
    Unix(PathBuf),
}

impl Socket {
    /// As milters write it: `inet:port@host`, `inet6:port@host`, `local:/path`, `unix:/path`, `/path`.
    pub(super) fn of_milter(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return Some(Self::Unix(text.into()));
        }
        match text.split_once(':')? {
            ("local" | "unix", path) if path.starts_with('/') => Some(Self::Unix(path.into())),
            ("inet" | "inet6", rest) => {
                let (port, host) = rest
                    .split_once('@')
                    .map_or((rest, None), |(port, host)| (port, Some(host)));
                let host = host.map(bare).filter(|host| !host.is_empty());
                (!port.is_empty()).then(|| Self::Inet {
                    host: host.map(str::to_owned),
                    port: port.to_owned(),
                })
            }
            _ => None,
        }
    }

    /// As Postfix writes it (`smtpd_milters` in postconf(5)): `inet:host:port`, `unix:path`, the path relative to the queue
    /// directory, or absolute in what the client has for its root.
    pub(super) fn of_postfix(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("unix" | "local", path) if !path.is_empty() => Some(Self::Unix(path.into())),
            ("inet" | "inet6", rest) => {
                let (host, port) = rest.rsplit_once(':')?;
                Some(Self::Inet {
                    host: Some(bare(host).to_owned()).filter(|host| !host.is_empty()),
                    port: port.to_owned(),
                })
            }
            _ => None,
        }
    }

    /// As Postfix has to write it; `queue` is its root, if it runs in a chroot.
    pub(super) fn for_postfix(&self, queue: Option<&Path>) -> String {
        match self {
            Self::Inet { host, port } => {
                let host = host.as_deref().unwrap_or("localhost");
                match host.contains(':') {
                    true => format!("inet:[{host}]:{port}"),
                    false => format!("inet:{host}:{port}"),
                }
            }
            Self::Unix(path) => {
                let below = queue.and_then(|queue| path.strip_prefix(queue).ok());
                let shown = below.map_or_else(|| path.clone(), |below| Path::new("/").join(below));
                format!("unix:{}", shown.display())
            }
        }
    }

    /// Does who connects to `self` reach what listens on `listening`?
    pub(super) fn reaches(&self, listening: &Self) -> bool {
        match (self, listening) {
            (Self::Unix(a), Self::Unix(b)) => a == b,
            (Self::Inet { host, port }, Self::Inet { host: at, port: of }) => {
                port == of && (at.is_none() || host == at || (is_loopback(host) && is_loopback(at)))
            }
            _ => false,
        }
    }

    /// Can anybody in the network connect?
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Inet { host, .. } if host.as_deref().is_none_or(|host| ["0.0.0.0", "::"].contains(&host)))
    }

    /// Does anybody accept there? Asked on this machine. Who may not ask a UNIX socket is told nothing bad.
    pub(super) fn answers(&self) -> Result<(), String> {
        let (host, port) = match self {
            Self::Inet { host, port } => (host, port),
            Self::Unix(path) => {
                return match UnixStream::connect(path) {
                    Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error.to_string()),
                    _ => Ok(()),
                };
            }
        };
        let port: u16 = port.parse().map_err(|_| format!("`{port}` is no port number"))?;
        let host = host.as_deref().filter(|host| *host != "0.0.0.0").unwrap_or("localhost");
        let addresses = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
        let mut refusal = format!("{host} has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(_) => return Ok(()),
                Err(error) => refusal = format!("{address}: {error}"),
            }
        }
        Err(refusal)
    }
}

/// A host without the brackets of a literal address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn is_loopback(host: &Option<String>) -> bool {
    host.as_deref()
        .is_some_and(|host| host == "localhost" || host == "::1" || host.starts_with("127."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    #[test]
    fn both_spellings_mean_the_same() {
        for (milter, postfix) in [
            ("inet:12345@localhost", "inet:localhost:12345"),
            ("inet:12345@localhost", "inet:127.0.0.1:12345"),
            ("inet:12345@[127.0.0.1]", "inet:127.0.0.1:12345"),
            ("inet6:12345@[::1]", "inet:[::1]:12345"),
            ("inet:12345", "inet:192.0.2.1:12345"),
            ("local:/run/opendkim.sock", "unix:/run/opendkim.sock"),
            ("/run/opendkim.sock", "unix:/run/opendkim.sock"),
        ] {
            let (milter, postfix) = (Socket::of_milter(milter).unwrap(), Socket::of_postfix(postfix).unwrap());
            assert!(postfix.reaches(&milter), "{milter:?} {postfix:?}");
        }
        let milter = Socket::of_milter("inet:12345@localhost").unwrap();
        for other in [
            "inet:localhost:12346",
            "inet:192.0.2.1:12345",
            "unix:/run/opendkim.sock",
        ] {
            assert!(!Socket::of_postfix(other).unwrap().reaches(&milter), "{other}");
        }
        for wrong in ["12345", "inet:", "local:relative", ""] {
            assert_eq!(Socket::of_milter(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn writes_it_for_postfix() {
        let queue = Path::new("/var/spool/postfix");
        let written = |text: &str, queue| Socket::of_milter(text).unwrap().for_postfix(queue);
        assert_eq!(written("inet:12345@localhost", None), "inet:localhost:12345");
        assert_eq!(written("inet6:12345@[::1]", None), "inet:[::1]:12345");
        let inside = "local:/var/spool/postfix/opendkim/s";
        assert_eq!(written(inside, Some(queue)), "unix:/opendkim/s");
        assert_eq!(written(inside, None), "unix:/var/spool/postfix/opendkim/s");
    }

    #[test]
    fn tells_whether_somebody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = Socket::of_milter(&format!("inet:{port}@127.0.0.1")).unwrap();
        assert_eq!(socket.answers(), Ok(()));
        drop(listener);
        assert!(socket.answers().unwrap_err().contains("refused"));
        let folder = tempfile::tempdir().unwrap();
        let socket = Socket::Unix(folder.path().join("s"));
        assert!(socket.answers().unwrap_err().contains("No such file"));
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        assert_eq!(socket.answers(), Ok(()));
        drop(listener);
        // The node stays, and nobody listens.
        assert!(socket.answers().unwrap_err().contains("refused"));
        assert!(Socket::of_milter("inet:nine@localhost").unwrap().answers().is_err());
        assert!(Socket::of_milter("inet:9").unwrap().is_open() && !socket.is_open());
    }
}
