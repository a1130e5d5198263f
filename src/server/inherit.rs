//! Sockets handed over by a service manager: sd_listen_fds(3), from the environment alone, no library.
//!
//! `LISTEN_PID` names the process they are for, `LISTEN_FDS` how many there are from descriptor 3 on, `LISTEN_FDNAMES`
//! what they are called in the socket unit. The environment is read, never changed; the descriptors are taken once.

use super::batch::system::take_inherited;
use socket2::{Socket, Type};
use std::ffi::OsString;
use std::os::fd::OwnedFd;

/// A socket handed over.
#[derive(Debug)]
pub struct Inherited {
    name: String,
    socket: Socket,
}

impl Inherited {
    /// The sockets handed over to this process; none if there are none, or if they were taken before.
    pub fn take() -> Vec<Self> {
        let announced = announced(|name| std::env::var_os(name), std::process::id());
        let mut sockets = take_inherited(u16::try_from(announced.len()).unwrap_or(u16::MAX));
        if sockets.len() < announced.len() {
            tracing::warn!(
                "LISTEN_FDS announces {} sockets, {} are there",
                announced.len(),
                sockets.len()
            );
        }
        announced
            .into_iter()
            .zip(sockets.drain(..))
            .map(|(name, socket)| Self::new(name, socket))
            .collect()
    }

    /// A socket by hand.
    pub fn new(name: impl Into<String>, socket: impl Into<OwnedFd>) -> Self {
        Self {
            name: name.into(),
            socket: Socket::from(socket.into()),
        }
    }

    /// The name in the socket unit (`FileDescriptorName=`).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it cannot be served, a clause.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self.socket.r#type() {
            Err(_) => Some("is no socket"),
            Ok(Type::DGRAM) => None,
            Ok(Type::STREAM) if self.socket.is_listener().unwrap_or(false) => None,
            Ok(Type::STREAM) => Some("does not listen (Accept= must be no)"),
            Ok(_) => Some("is neither a datagram nor a stream socket"),
        }
    }

    /// Its name and the socket, closed on exec.
    pub(super) fn into_parts(self) -> (String, Socket) {
        // A program we might start has no use for it; failing to say so harms nothing.
        let _ = self.socket.set_cloexec(true);
        (self.name, self.socket)
    }
}

/// The names of the sockets that the environment announces for the process `pid`, in order.
fn announced(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Vec<String> {
    let text = |name| variable(name).and_then(|value| value.into_string().ok());
    if text("LISTEN_PID").and_then(|value| value.parse().ok()) != Some(pid) {
        return Vec::new();
    }
    let count: u16 = text("LISTEN_FDS").and_then(|value| value.parse().ok()).unwrap_or(0);
    let names = text("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').filter(|name| !name.is_empty()).map(str::to_owned);
    names
        .chain(std::iter::repeat("unknown".to_owned()))
        .take(count.into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &'static [(&str, &str)]) -> Vec<String> {
        let find = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| OsString::from(value))
        };
        announced(find, 812)
    }

    #[test]
    fn names_the_sockets_in_order() {
        let three = with(&[
            ("LISTEN_PID", "812"),
            ("LISTEN_FDS", "3"),
            ("LISTEN_FDNAMES", "dns:dns"),
        ]);
        assert_eq!(three, ["dns", "dns", "unknown"]);
    }

    #[test]
    fn leaves_sockets_of_another_process_alone() {
        assert!(with(&[("LISTEN_PID", "813"), ("LISTEN_FDS", "1")]).is_empty());
        assert!(with(&[("LISTEN_FDS", "1")]).is_empty());
        assert!(with(&[("LISTEN_PID", "812"), ("LISTEN_FDS", "-1")]).is_empty());
        assert!(with(&[("LISTEN_PID", "812"), ("LISTEN_FDS", "99999999")]).is_empty());
    }
}
