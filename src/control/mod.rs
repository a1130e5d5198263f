//! The control socket: how `signpost key revoke` and its kin reach the running server.
//!
//! A Unix socket `control.sock` in the state directory, mode 0600: who may write the state may
//! give orders. A client sends one [`Request`] as a line of JSON and gets one [`Reply`] as a line
//! of JSON. The threads here only carry messages, one for each client; the server's main loop, which owns all
//! state, executes them one after the other.
//!
//! Limits: a request of at most 64 KiB, read within two seconds.

mod wait;

pub use wait::{GivenUp, wait};

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::server::give_way;
use serde::{Deserialize, Serialize};

/// The socket's name in the state directory.
pub const SOCKET_NAME: &str = "control.sock";
const MAX_REQUEST: u64 = 64 * 1024;
/// So many clients are answered at a time.
const MAX_CLIENTS: usize = 16;
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a command may take in the server before the client gives up.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);

/// An order to the running server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command", deny_unknown_fields)]
pub enum Request {
    /// What is served, in a few lines.
    Status,
    /// Every zone with its serial.
    ZoneList,
    /// How zones stand with other servers, asked over the network.
    ZoneStatus {
        /// The apex; all zones that others have or that come from others when there is none.
        zone: Option<String>,
        /// As JSON.
        json: bool,
    },
    /// One finished zone as a master file.
    ZonePrint {
        /// The apex.
        zone: String,
    },
    /// Every key and where in its life it is.
    KeyList,
    /// How keys stand at the name servers, and what comes next.
    KeyStatus {
        /// The signing domain; all when there is none.
        domain: Option<String>,
        /// As JSON.
        json: bool,
    },
    /// May this key be signed with, or may it go?
    KeyGate {
        /// The signing domain.
        domain: String,
        /// The selector.
        selector: String,
        /// May it go?
        removal: bool,
    },
    /// Make a key, or one of each kind.
    KeyNew {
        /// The signing domain.
        domain: String,
        /// The selector, if not by the policy's pattern.
        selector: Option<String>,
        /// The kind, if not by the policy.
        algorithm: Option<String>,
        /// Is the signer to be switched to it?
        next: bool,
    },
    /// Publish an empty `p=` for this key from now on (RFC 6376 §3.6.1).
    KeyRevoke {
        /// The signing domain.
        domain: String,
        /// The selector.
        selector: String,
    },
    /// Read every file again.
    Reload,
}

/// What came of it: text for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Was it done?
    pub ok: bool,
    /// It was done, and what came of it is not as it should be.
    #[serde(default)]
    pub amiss: bool,
    /// It was not done, and may be if it is asked for again: the server is stopping, or was busy for too long.
    #[serde(default)]
    pub later: bool,
    /// The result, or why not.
    pub text: String,
}

/// Why the server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens there.
    #[error("no server answers at {}; start it with `signpost serve`, or name its configuration with --config", .0.display())]
    NotRunning(PathBuf),
    /// The socket is not ours to use.
    #[error("not allowed to use {}; run this as root or as the user that Signpost runs as", .0.display())]
    NotAllowed(PathBuf),
    /// The conversation failed.
    #[error("talking to the server at {} failed: {error}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
}

/// A request on its way, with the place where the reply is awaited.
pub struct Pending {
    /// What is asked.
    pub request: Request,
    reply: mpsc::Sender<Reply>,
}

impl Pending {
    /// Sends the reply; a client that went away does not matter.
    pub fn reply(self, reply: Reply) {
        let _gone = self.reply.send(reply);
    }
}

impl Reply {
    /// It was done.
    pub fn done(text: impl Into<String>) -> Self {
        Self {
            ok: true,
            amiss: false,
            later: false,
            text: text.into(),
        }
    }

    /// Not now.
    fn later(text: &str) -> Self {
        Self {
            later: true,
            ..Self::failed(text)
        }
    }

    /// It was not done.
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            ok: false,
            amiss: false,
            later: false,
            text: text.into(),
        }
    }
}

/// Listens in `state`; requests come out of the channel, and `wake` is called after each.
pub fn listen(state: &Path, wake: impl Fn() + Send + Sync + 'static) -> Result<mpsc::Receiver<Pending>, ControlError> {
    let path = state.join(SOCKET_NAME);
    let failed = |error| ControlError::Io {
        path: path.clone(),
        error,
    };
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            give_way();
            let wake = Arc::new(wake);
            let clients = Arc::new(());
            for stream in listener.incoming().flatten() {
                // Each has its thread, for one that waits for name servers must not keep waiting who revokes a key.
                let (sender, wake, client) = (sender.clone(), Arc::clone(&wake), Arc::clone(&clients));
                let answer = move || {
                    let _client = client;
                    if let Err(error) = serve(&stream, &sender, &*wake) {
                        tracing::debug!(%error, "a control client went away");
                    }
                };
                // Too many, or no thread to be had: it is told by the end of its connection, or waits for its turn.
                if Arc::strong_count(&clients) > MAX_CLIENTS {
                    answer();
                } else if let Err(error) = std::thread::Builder::new().name("control client".into()).spawn(answer) {
                    tracing::warn!(%error, "a control client could not be answered");
                }
            }
        })
        .map_err(failed)?;
    Ok(receiver)
}

fn serve(stream: &UnixStream, sender: &mpsc::Sender<Pending>, wake: &impl Fn()) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REQUEST)).read_line(&mut line)?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => {
            let (reply, awaited) = mpsc::channel();
            match sender.send(Pending { request, reply }) {
                Ok(()) => {
                    wake();
                    awaited
                        .recv_timeout(REPLY_TIMEOUT)
                        .unwrap_or_else(|_| Reply::later("the server did not get to it"))
                }
                Err(_) => Reply::later("the server is stopping"),
            }
        }
        Err(error) => Reply::failed(format!(
            "this server does not know the request ({error}); are both of one version?"
        )),
    };
    write_line(stream, &reply)
}

/// Asks the server whose state directory is `state`.
pub fn ask(state: &Path, request: &Request) -> Result<Reply, ControlError> {
    let path = state.join(SOCKET_NAME);
    let stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NotRunning(path.clone()),
        io::ErrorKind::PermissionDenied => ControlError::NotAllowed(path.clone()),
        _ => ControlError::Io {
            path: path.clone(),
            error,
        },
    })?;
    let conversation = || -> io::Result<Reply> {
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        write_line(&stream, request)?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    };
    conversation().map_err(|error| ControlError::Io {
        path: path.clone(),
        error,
    })
}

fn write_line(mut stream: &UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_a_request_and_its_reply() {
        let state = tempfile::tempdir().unwrap();
        let (woken, wakes) = mpsc::channel();
        let requests = listen(state.path(), move || woken.send(()).unwrap()).unwrap();
        let server = std::thread::spawn(move || {
            wakes.recv().unwrap();
            let pending = requests.recv().unwrap();
            let text = format!("{:?}", pending.request);
            pending.reply(Reply::done(text));
        });
        let reply = ask(
            state.path(),
            &Request::ZonePrint {
                zone: "example.org".into(),
            },
        )
        .unwrap();
        assert_eq!(reply, Reply::done("ZonePrint { zone: \"example.org\" }"));
        server.join().unwrap();
        let mode = fs::metadata(state.path().join(SOCKET_NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn tells_when_nobody_is_there() {
        let state = tempfile::tempdir().unwrap();
        let error = ask(state.path(), &Request::Status).unwrap_err();
        assert!(error.to_string().starts_with("no server answers at "), "{error}");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let state = tempfile::tempdir().unwrap();
        let _requests = listen(state.path(), || {}).unwrap();
        let stream = UnixStream::connect(state.path().join(SOCKET_NAME)).unwrap();
        write_line(&stream, &"dance").unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        assert!(!serde_json::from_str::<Reply>(&line).unwrap().ok);
    }
}
