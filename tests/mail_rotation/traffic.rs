//! The mail: so many messages a second, most of them at once, some kept in the queue for a while, some sent on later.
//!
//! Of each ten messages two are put on hold in the sender's queue, signed already, and released later. Three others are
//! taken as they arrived and sent on as a mailing list does that changes nothing: from its own address, under its own
//! envelope. Of these DMARC depends on the signature alone.

use crate::land::{FORWARDER, Land, RECEIVING_MAIL};
use crate::postfix::{HELD, Postfix};
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How much, and how long what is kept back is kept back at most.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) every: Duration,
    pub(crate) hold: Duration,
}

/// So many messages are handed over in one session.
const SESSION: u64 = 7;

/// What was sent: messages 0, 1, … and which of them were sent on.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) messages: u64,
    /// How often the sender's own server would not take a message at once.
    pub(crate) refused: usize,
    pub(crate) forwarded: Vec<u64>,
}

/// Mail under way until it is told to end.
pub(crate) struct Traffic<'scope> {
    enough: Arc<AtomicBool>,
    thread: Option<ScopedJoinHandle<'scope, Sent>>,
}

/// A test that fails does not wait for mail.
impl Drop for Traffic<'_> {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

impl<'scope> Traffic<'scope> {
    /// `queue` is the configuration of the sender's Postfix, `kept` where arrived messages lie.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        land: &'env Land,
        plan: Plan,
        queue: PathBuf,
        kept: PathBuf,
    ) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&enough);
        let thread = scope.spawn(move || {
            land.sending.enter();
            Post {
                plan,
                queue,
                kept,
                sent: Sent::default(),
                on_hold: vec![],
                to_forward: vec![],
            }
            .work(&until)
        });
        Self {
            enough,
            thread: Some(thread),
        }
    }

    /// No new mail; returns when all that was kept back has left.
    pub(crate) fn finish(mut self) -> Sent {
        self.enough.store(true, Ordering::Relaxed);
        let thread = self.thread.take().unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// The thread's own.
struct Post {
    plan: Plan,
    queue: PathBuf,
    kept: PathBuf,
    sent: Sent,
    /// When to release which queue id.
    on_hold: Vec<(Instant, String)>,
    /// When to send on which message.
    to_forward: Vec<(Instant, u64)>,
}

impl Post {
    fn work(mut self, enough: &AtomicBool) -> Sent {
        let mut session = None;
        let mut next = Instant::now();
        loop {
            let more = !enough.load(Ordering::Relaxed);
            if more && next <= Instant::now() {
                // What OpenDKIM read before a reload holds for the sessions of before.
                if self.sent.messages.is_multiple_of(SESSION) {
                    session = None;
                }
                match self.send_one(session.get_or_insert_with(submission)) {
                    Ok(()) => self.sent.messages += 1,
                    Err(_) => {
                        self.sent.refused += 1;
                        session = None;
                    }
                }
                next += self.plan.every;
            }
            self.release_due();
            self.forward_due();
            if !more && self.on_hold.is_empty() && self.to_forward.is_empty() {
                return self.sent;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn send_one(&mut self, smtp: &mut Smtp) -> io::Result<()> {
        let number = self.sent.messages;
        let kind = match number % 10 {
            3 | 8 => "held",
            1 | 4 | 7 => "forwarded",
            _ => "direct",
        };
        let recipient = if kind == "held" { HELD } else { "inbox@example.net" };
        let message = format!(
            "From: Alice <alice@example.org>\r\nTo: <{recipient}>\r\nSubject: message {number}\r\n\
             Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{number}@example.org>\r\n\
             X-Number: {number}\r\nX-Kind: {kind}\r\n\r\nThe comment number {number}.\r\n"
        );
        let reply = smtp.send("alice@example.org", recipient, &message)?;
        // A quarter of the longest time, half of it, …
        let due = Instant::now() + self.plan.hold * (number as u32 % 4 + 1) / 4;
        match kind {
            "held" => {
                let (_, id) = reply.rsplit_once(" queued as ").unwrap();
                self.on_hold.push((due, id.trim().to_owned()));
            }
            "forwarded" => self.to_forward.push((due, number)),
            _ => {}
        }
        Ok(())
    }

    fn release_due(&mut self) {
        let now = Instant::now();
        let due: Vec<String> = self
            .on_hold
            .extract_if(.., |(at, _)| *at <= now)
            .map(|(_, id)| id)
            .collect();
        if !due.is_empty() {
            Postfix::release(&self.queue, &due);
        }
    }

    /// Sends on what is due and has arrived; a receiver that is not there is asked again.
    fn forward_due(&mut self) {
        let now = Instant::now();
        let due: Vec<(Instant, u64)> = self.to_forward.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, number) in due {
            match forward(&self.kept, number) {
                Ok(()) => self.sent.forwarded.push(number),
                Err(_) => self.to_forward.push((now + Duration::from_millis(500), number)),
            }
        }
    }
}

fn submission() -> Smtp {
    Smtp::connect([127, 0, 0, 1].into(), "127.0.0.1", "localhost").unwrap()
}

fn forward(kept: &Path, number: u64) -> io::Result<()> {
    let message = fs::read_to_string(kept.join(number.to_string()))?;
    let message = message.replace("\r\n", "\n").replace('\n', "\r\n");
    let mut smtp = Smtp::connect(FORWARDER.parse().unwrap(), RECEIVING_MAIL, "list.example.com")?;
    smtp.send("owner@list.example.com", "reader@example.net", &message)
        .map(|_| ())
}

/// As much of RFC 5321 as it takes to hand over a message.
struct Smtp(BufReader<Socket>);

impl Smtp {
    fn connect(from: IpAddr, server: &str, helo: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        let server = SocketAddr::new(server.parse().unwrap(), 25);
        socket.connect_timeout(&server.into(), Duration::from_secs(5))?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut smtp = Self(BufReader::new(socket));
        smtp.reply()?;
        smtp.command(&format!("EHLO {helo}"))?;
        Ok(smtp)
    }

    /// Hands over a message; returns the reply to it.
    fn send(&mut self, sender: &str, recipient: &str, message: &str) -> io::Result<String> {
        self.command(&format!("MAIL FROM:<{sender}>"))?;
        self.command(&format!("RCPT TO:<{recipient}>"))?;
        self.command("DATA")?;
        self.command(&format!("{message}."))
    }

    fn command(&mut self, command: &str) -> io::Result<String> {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    /// The last line of a reply, if it is a good one.
    fn reply(&mut self) -> io::Result<String> {
        let mut line = String::new();
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        if line.starts_with(['2', '3']) {
            Ok(line)
        } else {
            Err(io::Error::other(format!("the mail server says {line:?}")))
        }
    }
}
