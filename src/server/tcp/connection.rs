//! The life of one connection, by TCP or by TLS over it.
//!
//! Messages come with a two-octet length in front (RFC 1035 §4.2.2) and are answered in order, as many as arrived, and
//! their answers leave in one write (RFC 7766 §8 asks for at least one message whole). Reading pauses while a client
//! does not read its answers, so that nobody can make us hold more than one [`Scratch`] of output.
//!
//! The large buffers belong to the thread, not to the connection: an idle connection holds none, one with half a
//! message or unread answers holds just these.

use super::super::clock::Clock;
use super::super::{Handler, guard};
use super::Shared;
use super::stream::Stream;
use super::table::{Admitted, Order, Phase};
use super::transfer::{Sending, tell_refused};
use crate::answer::Client;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncWriteExt, ReadBuf};

/// Octets of the length in front of a message.
pub(in crate::server) const PREFIX: usize = 2;

/// The longest message with its length.
pub(in crate::server) const FRAME: usize = PREFIX + 65_535;

/// The buffers of one thread.
struct Scratch {
    input: Box<[u8]>,
    output: Box<[u8]>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; FRAME].into_boxed_slice(),
        // Any answer fits while half of it is free.
        output: vec![0; 2 * FRAME].into_boxed_slice(),
    });
}

pub(in crate::server) struct Connection<H: Handler, S> {
    stream: S,
    peer: SocketAddr,
    /// The certificate that the client showed.
    certificate: Option<Arc<[u8]>>,
    shared: Arc<Shared<H>>,
    admitted: Admitted,
    /// What arrived and is not answered: the start of a message, or messages that wait for `unsent` to leave.
    held: Vec<u8>,
    /// Answers that did not fit into the socket, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    /// A zone on its way; messages that come meanwhile wait in `held`.
    sending: Option<Box<Sending>>,
    /// It runs where transfers do.
    gives_way: bool,
}

/// How a conversation went on.
#[derive(PartialEq)]
enum Outcome {
    /// The client has left, or will send no more.
    Ended,
    /// A transfer has begun that takes more than one message.
    Transfers,
}

/// How a read went on.
#[derive(PartialEq)]
enum Step {
    /// Octets came in.
    More,
    /// The client will send no more.
    End,
}

impl<H: Handler, S: Stream + 'static> Connection<H, S> {
    pub(in crate::server) fn new(stream: S, peer: SocketAddr, shared: Arc<Shared<H>>, admitted: Admitted) -> Self {
        Self {
            certificate: stream.certificate().map(Arc::from),
            stream,
            peer,
            shared,
            admitted,
            held: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            sending: None,
            gives_way: false,
        }
    }

    /// Serves until the client leaves or an order says so; from the first long transfer on where others have the right
    /// of way.
    pub(in crate::server) async fn serve(mut self) {
        if self.serve_here().await == Outcome::Transfers {
            self.go_on_elsewhere();
        }
    }

    /// Apart from [`Self::serve`], so that the task of a connection without a transfer is no larger for it.
    fn go_on_elsewhere(mut self) {
        self.gives_way = true;
        let transfers = self.shared.transfers.clone();
        transfers.spawn(async move { self.serve_here().await });
    }

    /// The same on this runtime, until it is to go on on that of transfers.
    async fn serve_here(&mut self) -> Outcome {
        let seat = self.admitted.seat.clone();
        let order = tokio::select! {
            biased;
            outcome = self.converse() => match outcome {
                Ok(Outcome::Transfers) => return Outcome::Transfers,
                // How it ended does not matter: a client that went away is no event.
                Ok(Outcome::Ended) | Err(_) => {
                    self.stream.say_goodbye();
                    return Outcome::Ended;
                }
            },
            order = seat.ordered() => order,
        };
        match order {
            Order::Finish => {
                self.finish().await;
                self.stream.say_goodbye();
            }
            Order::Close => self.stream.say_goodbye(),
            Order::Reset => self.stream.forget_unsent(),
        }
        Outcome::Ended
    }

    /// Reads, answers and writes. All state is in `self`, so it may be dropped at any await.
    async fn converse(&mut self) -> io::Result<Outcome> {
        loop {
            self.flush().await?;
            if self.sending.is_some() {
                SCRATCH.with_borrow_mut(|scratch| self.send_on(scratch))?;
                if self.sending.is_some() && !self.gives_way {
                    return Ok(Outcome::Transfers);
                }
                // A fast reader never makes us wait: the others of this thread have their turn.
                tokio::task::yield_now().await;
                // So have the workers of UDP on this core, if they have no higher priority: they would wait for the end
                // of our time slice.
                std::thread::yield_now();
            } else if next_message(&self.held).is_some() {
                SCRATCH.with_borrow_mut(|scratch| self.answer_held(scratch))?;
            } else if self.step().await? == Step::End {
                return Ok(Outcome::Ended);
            }
        }
    }

    /// The last of it: what has arrived is answered, what is answered is sent.
    async fn finish(&mut self) {
        while self.flush().await.is_ok() {
            let going_on = SCRATCH.with_borrow_mut(|scratch| {
                if next_message(&self.held).is_some() {
                    return self.answer_held(scratch).is_ok();
                }
                let held = self.held.len();
                match scratch.input.get_mut(held..).map(|room| self.stream.try_read(room)) {
                    Some(Ok(count)) if count > 0 => self.answer_input(scratch, count).is_ok(),
                    _ => false,
                }
            });
            if !going_on {
                return;
            }
        }
    }

    /// Waits for octets and answers what they complete.
    async fn step(&mut self) -> io::Result<Step> {
        std::future::poll_fn(|context| SCRATCH.with_borrow_mut(|scratch| self.poll_step(context, scratch))).await
    }

    fn poll_step(&mut self, context: &mut Context<'_>, scratch: &mut Scratch) -> Poll<io::Result<Step>> {
        // An incomplete message is shorter than a frame, so there is room.
        let mut room = ReadBuf::new(scratch.input.get_mut(self.held.len()..).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
        let count = room.filled().len();
        if count == 0 {
            return Poll::Ready(Ok(Step::End));
        }
        Poll::Ready(self.answer_input(scratch, count).map(|()| Step::More))
    }

    /// Writes one more message of the transfer under way.
    fn send_on(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        let Some(mut sending) = self.sending.take() else {
            return Ok(());
        };
        let (prefix, room) = scratch.output[..FRAME].split_at_mut(PREFIX);
        let now = u64::from(Clock::default().seconds());
        // RFC 5936 §2.2: what cannot be sent on is broken off, not made to look whole.
        let len = sending.write(room, now).ok_or(io::ErrorKind::InvalidData)?;
        prefix.copy_from_slice(&(len as u16).to_be_bytes());
        // Each message has the time of its own to be read.
        self.note_phase(Phase::Writing);
        self.write(&scratch.output[..PREFIX + len])?;
        if sending.is_done() {
            sending.tell(now);
            self.note(&self.held, 0, true);
        } else {
            self.sending = Some(sending);
        }
        Ok(())
    }

    /// Answers messages that waited.
    fn answer_held(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        self.answer_input(scratch, 0)
    }

    /// Answers the messages in what is held and the `fresh` octets that were read to the place behind it, and writes
    /// the answers. Keeps what remains.
    fn answer_input(&mut self, scratch: &mut Scratch, fresh: usize) -> io::Result<()> {
        let Scratch { input, output } = scratch;
        let held = self.held.len();
        let input = input.get_mut(..held + fresh).unwrap_or_default();
        if let Some(start) = input.get_mut(..held) {
            start.copy_from_slice(&self.held);
        }
        let mut rest = &*input;
        let mut used = 0;
        let (mut queries, mut answers) = (0, 0);
        let shared = self.shared.clone();
        let view = shared.handler.view();
        let clock = Clock::default();
        let (peer, certificate) = (self.peer, self.certificate.clone());
        let client = Client {
            transport: S::TRANSPORT,
            peer: &move || Some(peer),
            now: &|| clock.seconds(),
            certificate: certificate.as_deref(),
            signed: None,
        };
        while let Some(message) = next_message(rest) {
            if output.len() - used < FRAME {
                self.write(&output[..used])?;
                used = 0;
                if !self.unsent.is_empty() {
                    break;
                }
            }
            rest = &rest[PREFIX + message.len()..];
            queries += 1;
            match shared.handler.begin_transfer(&view, &client, message) {
                None => {}
                Some(Err(refused)) => tell_refused(message, peer, &refused),
                Some(Ok(outgoing)) => {
                    answers += 1;
                    self.sending = Some(Box::new(Sending::new(outgoing, peer)));
                    break;
                }
            }
            let (prefix, room) = output[used..used + FRAME].split_at_mut(PREFIX);
            if let Some(answered) = guard::answer(&*shared.handler, &view, &client, message, room) {
                prefix.copy_from_slice(&(answered.len() as u16).to_be_bytes());
                used += PREFIX + answered.len();
                answers += 1;
            }
        }
        drop(view);
        if queries > 0 {
            shared.counters.tcp.queries.fetch_add(queries, Relaxed);
            shared.counters.tcp.answers.fetch_add(answers, Relaxed);
        }
        self.write(&output[..used])?;
        self.note(rest, held, queries > 0);
        self.held.clear();
        self.held.extend_from_slice(rest);
        Ok(())
    }

    /// Tells the table what the connection waits for now.
    fn note(&self, rest: &[u8], held_before: usize, progress: bool) {
        if !self.unsent.is_empty() || self.stream.is_behind() {
            self.note_phase(Phase::Writing);
        } else if rest.is_empty() {
            self.note_phase(Phase::Idle);
        } else if progress || held_before == 0 {
            // Its first octet has just come; further octets do not move the deadline.
            self.note_phase(Phase::Reading);
        }
    }

    fn note_phase(&self, phase: Phase) {
        self.shared.table.note(&self.admitted.seat, phase);
    }

    /// Writes what the socket takes and keeps the rest as unsent.
    fn write(&mut self, answers: &[u8]) -> io::Result<()> {
        let mut answers = answers;
        // What waits already goes first.
        while self.unsent.is_empty() && !answers.is_empty() {
            match self.stream.try_write(answers) {
                Ok(count) => answers = answers.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.unsent.extend_from_slice(answers);
        Ok(())
    }

    /// Waits until all unsent answers are with the kernel.
    async fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() && !self.stream.is_behind() {
            return Ok(());
        }
        while let Some(rest) = self.unsent.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.sent += count,
            }
        }
        self.stream.flush().await?;
        // Give the memory back: most clients read.
        self.unsent = Vec::new();
        self.sent = 0;
        self.note(&self.held, 0, true);
        Ok(())
    }
}

/// The first whole message, without its length.
fn next_message(input: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = input.split_first_chunk::<PREFIX>()?;
    rest.get(..usize::from(u16::from_be_bytes(*prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_whole_messages_only() {
        assert_eq!(next_message(b""), None);
        assert_eq!(next_message(b"\0"), None);
        assert_eq!(next_message(b"\0\x02a"), None);
        assert_eq!(next_message(b"\0\x02ab"), Some(&b"ab"[..]));
        assert_eq!(next_message(b"\0\x01ab"), Some(&b"a"[..]));
        assert_eq!(next_message(b"\0\0\0"), Some(&b""[..]));
    }
}
