//! SIGTERM and SIGINT stop the server, SIGHUP makes it read everything again.

use crate::server::give_way;
use crate::watch::Waker;
use std::io;
use std::sync::mpsc;
use tokio::signal::unix::{SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Finish and end.
    Stop,
    /// Read everything again.
    Reload,
}

/// Listens on a thread of its own; each signal goes into the channel and wakes the main loop.
pub(super) fn listen(waker: Waker) -> io::Result<mpsc::Receiver<Signal>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt, mut hangup) = {
        let _context = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        )
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        give_way();
        runtime.block_on(async {
            loop {
                let asked = tokio::select! {
                    _ = terminate.recv() => Signal::Stop,
                    _ = interrupt.recv() => Signal::Stop,
                    _ = hangup.recv() => Signal::Reload,
                };
                if sender.send(asked).is_err() {
                    return;
                }
                waker.wake();
            }
        });
    })?;
    Ok(receiver)
}
