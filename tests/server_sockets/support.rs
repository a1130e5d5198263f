//! A handler that echoes, and clients to ask it.

use signpost::answer::{Answered, Client, Transport};
use signpost::server::{Handler, Limits, Listen, Running, Server, Totals};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Answers with the query and QR set. Some queries are special: see [`Echo::answer`].
pub(crate) struct Echo;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

impl Handler for Echo {
    type View = ();

    fn view(&self) {}

    fn max_udp_payload(&self) -> u16 {
        1232
    }

    fn answer(&self, (): &(), client: &Client<'_>, query: &[u8], out: &mut [u8]) -> Option<Answered> {
        let transport = client.transport;
        assert!(out.len() >= if transport == Transport::Tcp { 65_535 } else { 1232 });
        match query.get(12..) {
            None => return None,
            Some(b"panic") => panic!("the handler was told to"),
            Some(b"silence") => return None,
            Some(b"huge") if transport == Transport::Tcp => {
                out[..65_535].fill(7);
                return Some(Answered::unclassified(65_535));
            }
            _ => {}
        }
        out.get_mut(..query.len())?.copy_from_slice(query);
        *out.get_mut(2)? |= 0x80;
        Some(Answered::unclassified(query.len()))
    }
}

/// A query with this id and text behind the header.
pub(crate) fn query(id: u16, text: &str) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    query.extend_from_slice(text.as_bytes());
    query
}

/// What [`Echo`] answers to it.
pub(crate) fn echoed(id: u16, text: &str) -> Vec<u8> {
    let mut answer = query(id, text);
    answer[2] |= 0x80;
    answer
}

/// A message with its length in front.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

pub(crate) fn start(addresses: &[&str], limits: Limits) -> Running {
    let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let listen = Listen {
        workers: 2,
        limits,
        ..Listen::on(addresses)
    };
    Server::bind(&listen).unwrap().serve(Echo).unwrap()
}

pub(crate) fn udp_client(server: SocketAddr) -> UdpSocket {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // Connected: an answer from any other address does not get through.
    socket.connect(server).unwrap();
    socket
}

pub(crate) fn ask_udp(client: &UdpSocket, query: &[u8]) -> std::io::Result<Vec<u8>> {
    client.send(query)?;
    let mut buffer = [0; 2048];
    let length = client.recv(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

pub(crate) fn tcp_client(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut prefix = [0; 2];
    stream.read_exact(&mut prefix)?;
    let mut message = vec![0; u16::from_be_bytes(prefix).into()];
    stream.read_exact(&mut message)?;
    Ok(message)
}

pub(crate) fn ask_tcp(stream: &mut TcpStream, query: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(&framed(query))?;
    read_message(stream)
}

/// Waits until the server has closed the connection; returns how long that took.
pub(crate) fn until_closed(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return start.elapsed(),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("still open after {PATIENCE:?}"),
            Err(_) => return start.elapsed(),
        }
    }
}

/// Waits until the counters are as `reached` wants them.
pub(crate) fn until(server: &Running, reached: impl Fn(&Totals) -> bool) -> Totals {
    let start = Instant::now();
    loop {
        let totals = server.totals();
        if reached(&totals) {
            return totals;
        }
        assert!(start.elapsed() < PATIENCE, "not reached: {totals:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
