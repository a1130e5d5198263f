//! Putting one message to several servers at once.

use crate::common::client;
use crate::common::wire::{Message, Query, SOA};
use crate::questions::Question;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// What a server did with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Message(Box<Message>),
    /// Nothing came before the answer to the next question did.
    Silence,
    /// Something came that is no DNS message.
    Garbage(String),
}

/// One server and the socket that talks to it.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    address: SocketAddr,
    socket: UdpSocket,
}

impl Line {
    pub(crate) fn new(name: &'static str, address: SocketAddr) -> Self {
        let socket = client::udp_socket(address);
        Self { name, address, socket }
    }
}

/// Sends `question` to every server, then reads every reply.
///
/// Behind a message that may well get silence goes a sentinel that always gets an answer: all
/// servers here answer one client in order, so silence is known without waiting for it.
pub(crate) fn ask_all(lines: &[Line], question: &Question, sentinel_zone: &[u8]) -> Vec<Reply> {
    if question.tcp {
        return lines
            .iter()
            .map(|line| reply(client::tcp_bytes(line.address, &question.wire).ok()))
            .collect();
    }
    let sentinel = question.query.is_none().then(|| {
        let mut query = Query::new(sentinel_zone.to_vec(), SOA);
        let id = question
            .wire
            .get(..2)
            .map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
        query.id = !id;
        query.encode()
    });
    for line in lines {
        line.socket.send(&question.wire).unwrap();
        if let Some(sentinel) = &sentinel {
            line.socket.send(sentinel).unwrap();
        }
    }
    lines
        .iter()
        .map(|line| match &sentinel {
            None => reply(client::receive(&line.socket, &question.wire).ok()),
            Some(sentinel) => reply(before_sentinel(&line.socket, sentinel)),
        })
        .collect()
}

/// The last datagram that came before the sentinel's answer.
fn before_sentinel(socket: &UdpSocket, sentinel: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = [0u8; 65_535];
    let mut before = None;
    loop {
        let len = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("no answer to a plain SOA query: {error}"));
        let datagram = &buffer[..len];
        if datagram.get(..2) == sentinel.get(..2) {
            return before;
        }
        before = Some(datagram.to_vec());
    }
}

fn reply(datagram: Option<Vec<u8>>) -> Reply {
    match datagram.map(|wire| Message::decode(&wire)) {
        None => Reply::Silence,
        Some(Ok(message)) => Reply::Message(Box::new(message)),
        Some(Err(error)) => Reply::Garbage(error),
    }
}

/// Answers that are still on their way from before are thrown away.
pub(crate) fn drain(lines: &[Line]) {
    let mut buffer = [0u8; 512];
    for line in lines {
        line.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        while line.socket.recv(&mut buffer).is_ok() {}
        line.socket.set_read_timeout(Some(client::TIMEOUT)).unwrap();
    }
}
