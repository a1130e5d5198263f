//! Zones fetched whole, to be compared, and the key that both sides of a transfer sign with.

use super::client::TIMEOUT;
use super::wire::{Message, NOERROR, Query, Rr, SOA, name};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

pub(crate) const IXFR: u16 = 251;
pub(crate) const AXFR: u16 = 252;

/// The tests fetch zones from this address, which servers let have them without a key.
pub(crate) const OBSERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// A TSIG key as every server's configuration needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TsigKey {
    pub(crate) algorithm: &'static str,
    pub(crate) secret: &'static str,
}

/// Its name everywhere.
pub(crate) const KEY_NAME: &str = "transfer.key.test";
/// Octets enough for every algorithm.
pub(crate) const SECRET: &str = "c2lnbnBvc3QgdGVzdHMgYW5kIHRoZWlyIHBlZXJzIHNoYXJlIGFsbCBvZiB0aGlzIQ==";
pub(crate) const OTHER_SECRET: &str = "bm90IHRoYXQgb25lLCBidXQgYXMgbG9uZyBhcyB0aGUgb3RoZXIgb25lIG9yIHNvLg==";

impl TsigKey {
    /// The `[[tsig]]` of signpost.toml.
    pub(crate) fn toml(&self) -> String {
        format!(
            "[[tsig]]\nname = \"{KEY_NAME}\"\nalgorithm = \"{}\"\nsecret = \"{}\"\n",
            self.algorithm, self.secret
        )
    }

    /// The same with another secret.
    pub(crate) fn forged(self) -> Self {
        Self {
            secret: OTHER_SECRET,
            ..self
        }
    }
}

/// A connection from an address of ours.
pub(crate) fn connect_from(from: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&server.into(), TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(socket.into())
}

/// Sends a message with its length before it.
pub(crate) fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let framed = [&(message.len() as u16).to_be_bytes()[..], message].concat();
    stream.write_all(&framed)
}

/// The next message.
pub(crate) fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// All records of a zone by AXFR from [`OBSERVER`], its SOA once; `None` when it is not given.
pub(crate) fn axfr(server: SocketAddr, zone: &str) -> Option<BTreeSet<Rr>> {
    let mut stream = connect_from(OBSERVER, server).ok()?;
    send(&mut stream, &Query::new(name(zone), AXFR).encode()).ok()?;
    let mut records: Vec<Rr> = vec![];
    loop {
        let message = Message::decode(&receive(&mut stream).ok()?).unwrap();
        if message.rcode != NOERROR {
            return None;
        }
        records.extend(message.answer);
        if records.iter().filter(|record| record.rtype == SOA).count() == 2 {
            assert_eq!(records.first(), records.last(), "the SOA first and last");
            return Some(records.into_iter().collect());
        }
    }
}

/// The serial of a zone's SOA, if the server has it and answers with authority.
pub(crate) fn serial(server: SocketAddr, zone: &str) -> Option<u32> {
    super::client::udp(server, &Query::new(name(zone), SOA))
        .filter(|message| message.rcode == NOERROR && message.has(super::wire::AA))?
        .serial()
}

/// A free address on the loopback.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
