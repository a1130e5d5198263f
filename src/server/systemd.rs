//! Messages to a service manager: sd_notify(3) by a datagram, no library.
//!
//! `NOTIFY_SOCKET` names the socket, `WATCHDOG_USEC` and `WATCHDOG_PID` say whether a sign of life is wanted. Without
//! them every call does nothing, so callers need not ask. A message that cannot be sent is not an error of the
//! service: it is dropped.

use super::batch::system::monotonic_usec;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The way to the service manager, or to nowhere.
#[derive(Debug, Clone, Default)]
pub struct Notifier {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

/// Sends a sign of life regularly, as long as there is one. Ends when dropped.
#[derive(Debug)]
pub struct Watchdog {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Notifier {
    /// As the environment of this process says.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name), std::process::id())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let socket = variable("NOTIFY_SOCKET").and_then(|path| {
            let address = match path.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok()?,
                [b'/', ..] => SocketAddr::from_pathname(&path).ok()?,
                // vsock: of a virtual machine's own manager, not for services.
                _ => return None,
            };
            let socket = UnixDatagram::unbound().ok()?;
            // A manager that does not read must not stop the service.
            socket.set_nonblocking(true).ok()?;
            Some(Arc::new((socket, address)))
        });
        let number = |name| variable(name).and_then(|value| value.to_str()?.parse::<u64>().ok());
        let for_us = variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(pid.into());
        let watchdog = number("WATCHDOG_USEC")
            .filter(|&usec| usec > 0 && for_us)
            .map(Duration::from_micros);
        Self { socket, watchdog }
    }

    /// Everything is served; `status` is what `systemctl status` shows.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// Getting ready goes on: `status` says how far it is, and the manager waits `extend` longer for it.
    pub fn progress(&self, status: &str, extend: Duration) {
        let usec = extend.as_micros();
        self.send(&format!("EXTEND_TIMEOUT_USEC={usec}\nSTATUS={}", one_line(status)));
    }

    /// A reload has begun; [`Self::ready`] ends it (Type=notify-reload).
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()));
    }

    /// The service is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// A line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", one_line(status)));
    }

    /// Starts to send `WATCHDOG=1` twice per watchdog period, each time `alive` says yes. `None` when no sign of life
    /// is wanted.
    pub fn watch(&self, mut alive: impl FnMut() -> bool + Send + 'static) -> std::io::Result<Option<Watchdog>> {
        let (Some(period), Some(_)) = (self.watchdog, &self.socket) else {
            return Ok(None);
        };
        let (stop, stopped) = channel();
        let notifier = self.clone();
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while stopped.recv_timeout(period / 2) == Err(RecvTimeoutError::Timeout) {
                if alive() {
                    notifier.send("WATCHDOG=1");
                } else {
                    tracing::error!("a worker makes no progress, so the watchdog gets no sign of life");
                }
            }
        })?;
        Ok(Some(Watchdog {
            stop: Some(stop),
            thread: Some(thread),
        }))
    }

    fn send(&self, message: &str) {
        if let Some((socket, address)) = self.socket.as_deref() {
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A newline would begin another assignment.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    const PID: u32 = 812;

    fn notifier(path: &std::path::Path, more: &'static [(&str, &str)]) -> Notifier {
        let find = |name: &str| match name {
            "NOTIFY_SOCKET" => Some(path.as_os_str().to_owned()),
            _ => more.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()),
        };
        Notifier::from_variables(find, PID)
    }

    fn message(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).expect("a message within 5 s");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn sends_its_messages_to_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = notifier(&path, &[]);
        notifier.ready("serving 2 zones\nREADY=0");
        assert_eq!(message(&manager), "READY=1\nSTATUS=serving 2 zones READY=0");
        notifier.status("3 zones");
        assert_eq!(message(&manager), "STATUS=3 zones");
        let before = monotonic_usec();
        notifier.reloading();
        let reloading = message(&manager);
        let usec: u64 = reloading
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap()
            .parse()
            .unwrap();
        assert!((before..=monotonic_usec()).contains(&usec));
        notifier.stopping();
        assert_eq!(message(&manager), "STOPPING=1");
    }

    #[test]
    fn sends_its_messages_to_an_abstract_name() {
        let name = format!("signpost-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let path = OsString::from_vec([b"@", name.as_bytes()].concat());
        notifier(path.as_ref(), &[]).stopping();
        assert_eq!(message(&manager), "STOPPING=1");
    }

    #[test]
    fn does_nothing_without_a_manager() {
        let notifier = Notifier::from_variables(|_| None, PID);
        notifier.ready("");
        assert!(notifier.watch(|| true).unwrap().is_none());
        assert!(notifier.socket.is_none());
    }

    #[test]
    fn watchdog_is_fed_only_while_alive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = notifier(&path, &[("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "812")]);
        let alive = Arc::new(AtomicBool::new(true));
        let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let check = {
            let (alive, asked) = (alive.clone(), asked.clone());
            move || {
                asked.fetch_add(1, Relaxed);
                alive.load(Relaxed)
            }
        };
        let watchdog = notifier.watch(check).unwrap().expect("a watchdog is wanted");
        assert_eq!(message(&manager), "WATCHDOG=1");
        alive.store(false, Relaxed);
        let seen = asked.load(Relaxed);
        while asked.load(Relaxed) < seen + 3 {
            std::thread::yield_now();
        }
        drop(watchdog);
        manager.set_nonblocking(true).unwrap();
        let mut fed = 0;
        while manager.recv(&mut [0; 64]).is_ok() {
            fed += 1;
        }
        assert!(fed <= seen, "{fed} signs of life, {seen} checks before it died");
    }

    #[test]
    fn watchdog_of_another_process_is_not_ours() {
        let other = notifier(
            "/nowhere".as_ref(),
            &[("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "813")],
        );
        assert_eq!(other.watchdog, None);
    }
}
