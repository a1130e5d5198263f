//! One question, one answer, over UDP or TCP.

use super::wire::{Message, Query, RD, TC, WireName};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// How long an answer over loopback may take before it counts as silence.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

/// A UDP socket connected to `server`.
pub(crate) fn udp_socket(server: SocketAddr) -> UdpSocket {
    let socket = match server {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)),
    }
    .unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

/// Sends a datagram and returns the first one that comes back under the same message id.
pub(crate) fn udp_bytes(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = udp_socket(server);
    socket.send(query)?;
    receive(&socket, query)
}

/// The next datagram with the message id of `query`.
pub(crate) fn receive(socket: &UdpSocket, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut buffer = [0u8; 65_535];
    loop {
        let len = socket.recv(&mut buffer)?;
        if buffer[..len].get(..2) == query.get(..2) {
            return Ok(buffer[..len].to_vec());
        }
    }
}

/// Sends one message over a connection of its own (RFC 1035 §4.2.2) and returns the response.
pub(crate) fn tcp_bytes(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut framed = (query.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(query);
    stream.write_all(&framed)?;
    let mut len = [0u8; 2];
    stream.read_exact(&mut len)?;
    let mut response = vec![0u8; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut response)?;
    Ok(response)
}

/// Asks over UDP; `None` for silence or an unreachable port.
pub(crate) fn udp(server: SocketAddr, query: &Query) -> Option<Message> {
    let response = udp_bytes(server, &query.encode()).ok()?;
    Some(Message::decode(&response).unwrap_or_else(|error| panic!("{server} sent a malformed response: {error}")))
}

/// Asks over TCP; `None` for silence or an unreachable port.
pub(crate) fn tcp(server: SocketAddr, query: &Query) -> Option<Message> {
    let response = tcp_bytes(server, &query.encode()).ok()?;
    Some(Message::decode(&response).unwrap_or_else(|error| panic!("{server} sent a malformed response: {error}")))
}

/// Asks over UDP and, when the answer is truncated, over TCP, as a resolver does (RFC 7766 §5).
pub(crate) fn ask(server: SocketAddr, qname: WireName, qtype: u16) -> Option<Message> {
    ask_as_is(server, &Query::new(qname, qtype))
}

/// The same with the RD bit, for a resolver.
pub(crate) fn resolve(resolver: SocketAddr, qname: WireName, qtype: u16) -> Option<Message> {
    let mut query = Query::new(qname, qtype);
    query.flags |= RD;
    ask_as_is(resolver, &query)
}

fn ask_as_is(server: SocketAddr, query: &Query) -> Option<Message> {
    match udp(server, query)? {
        message if message.has(TC) => tcp(server, query),
        message => Some(message),
    }
}
