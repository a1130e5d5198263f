//! What a [`Connection`](super::connection::Connection) needs of the stream below it: TCP, or TLS over it.

use crate::answer::Transport;
use socket2::SockRef;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub(in crate::server) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// What it is to the engine.
    const TRANSPORT: Transport;

    /// Reads what is there; [`io::ErrorKind::WouldBlock`] when nothing is.
    fn try_read(&mut self, room: &mut [u8]) -> io::Result<usize>;

    /// Writes what goes out at once; [`io::ErrorKind::WouldBlock`] when nothing does.
    fn try_write(&mut self, octets: &[u8]) -> io::Result<usize>;

    /// Is something written that is not with the kernel?
    fn is_behind(&self) -> bool;

    /// The certificate that the client showed, if one was asked for.
    fn certificate(&self) -> Option<Vec<u8>>;

    /// Says that the end is meant, if that can be said without waiting.
    fn say_goodbye(&mut self);

    /// Lets the kernel forget what the client did not read, or it would go on keeping it.
    fn forget_unsent(&self);
}

impl Stream for TcpStream {
    const TRANSPORT: Transport = Transport::Tcp;

    fn try_read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        Self::try_read(self, room)
    }

    fn try_write(&mut self, octets: &[u8]) -> io::Result<usize> {
        Self::try_write(self, octets)
    }

    fn is_behind(&self) -> bool {
        false
    }

    fn certificate(&self) -> Option<Vec<u8>> {
        None
    }

    fn say_goodbye(&mut self) {}

    fn forget_unsent(&self) {
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Stream for TlsStream<TcpStream> {
    const TRANSPORT: Transport = Transport::Tls;

    fn try_read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(room);
        at_once(Pin::new(self).poll_read(&mut nobody(), &mut room))?;
        Ok(room.filled().len())
    }

    fn try_write(&mut self, octets: &[u8]) -> io::Result<usize> {
        at_once(Pin::new(self).poll_write(&mut nobody(), octets))
    }

    fn is_behind(&self) -> bool {
        self.get_ref().1.wants_write()
    }

    fn certificate(&self) -> Option<Vec<u8>> {
        let (_, session) = self.get_ref();
        session
            .peer_certificates()?
            .first()
            .map(|certificate| certificate.to_vec())
    }

    /// RFC 7858 §3.4, RFC 8446 §6.1: or the client could not tell our end from one that somebody else made.
    fn say_goodbye(&mut self) {
        let _ = Pin::new(self).poll_shutdown(&mut nobody());
    }

    fn forget_unsent(&self) {
        self.get_ref().0.forget_unsent();
    }
}

/// Whoever polls so is not woken.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn at_once<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
