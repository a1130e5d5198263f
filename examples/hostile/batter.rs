//! Mutants over the real socket, and a good query after every few of them.
//!
//! The kernel gives all datagrams of one socket to one worker, which answers in order. So the answer to the good query
//! shows that everything sent before it has been dealt with: exactly the queries among the mutants must have been
//! answered, each under its own id, and nothing is lost to a full buffer by the way.

use super::packets::{Dice, LONGEST, is_query, mutant, query, seeds, wire};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// What came of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) by_udp: u64,
    pub(crate) by_tcp: u64,
    pub(crate) answers: u64,
    /// Good queries; every one of them was answered well, or [`batter`] would have panicked.
    pub(crate) good: u64,
}

/// Mutants between two good queries: their answers fit into the smallest receive buffer of a client.
const WINDOW: usize = 32;
/// Datagrams for each message by TCP.
const UDP_SHARE: usize = 15;
/// A busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends `count` mutants to `server`, which serves `zone` and sends no more than `limit` octets by UDP. Panics at the
/// first reply that should not be, and at the first good query without its answer.
pub(crate) fn batter(server: SocketAddr, zone: &str, limit: usize, count: u64, seed: u64) -> Tally {
    let mut dice = Dice::new(seed);
    let seeds = seeds(zone);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut tally = Tally::default();
    let mut windows = 0;
    while tally.by_udp + tally.by_tcp < count {
        window(&socket, zone, limit, &mut dice, &seeds, &mut tally);
        windows += 1;
        if windows % UDP_SHARE == 0 {
            stream(server, &mut dice, &seeds, &mut tally);
        }
    }
    tally
}

fn window(socket: &UdpSocket, zone: &str, limit: usize, dice: &mut Dice, seeds: &[Vec<u8>], tally: &mut Tally) {
    let mut expected = Vec::with_capacity(WINDOW);
    for _ in 0..WINDOW {
        let packet = mutant(dice, seeds);
        socket.send(&packet).expect("the server is there");
        tally.by_udp += 1;
        if is_query(&packet) && packet.len() <= LONGEST {
            expected.push(packet);
        }
    }
    let good = query(dice.next() as u16, &wire(&format!("mail.{zone}")), 1, &[]);
    socket.send(&good).expect("the server is there");
    tally.good += 1;
    let mut buffer = [0; 65_535];
    for query in &expected {
        let len = socket.recv(&mut buffer).expect("an answer to every query");
        judge(query, &buffer[..len], limit);
        tally.answers += 1;
    }
    let len = socket.recv(&mut buffer).expect("an answer to the good query");
    judge(&good, &buffer[..len], limit);
    assert_eq!((buffer[3] & 0xf, buffer[7]), (0, 1), "the good query's answer");
}

/// A reply that this query may have.
fn judge(query: &[u8], reply: &[u8], limit: usize) {
    assert!(reply.len() >= 12 && reply.len() <= limit, "{} octets", reply.len());
    assert_eq!(
        reply[..2],
        query[..2],
        "answers come in order, under the query's own id: {query:02x?}"
    );
    assert!(reply[2] & 0x80 != 0, "a response: {reply:02x?}");
    assert_eq!(reply[2] & 0x79, query[2] & 0x79, "its opcode");
    assert!(reply[3] & 0x80 == 0 && reply[4] == 0 && reply[5] <= 1, "{reply:02x?}");
}

/// One connection: mutants in frames (RFC 1035 §4.2.2), at last one that lies about its length.
fn stream(server: SocketAddr, dice: &mut Dice, seeds: &[Vec<u8>], tally: &mut Tally) {
    let mut stream = TcpStream::connect(server).expect("a connection");
    for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
        set(&stream, Some(PATIENCE)).expect("a timeout");
    }
    let mut sent = Vec::new();
    let mut octets = Vec::new();
    for _ in 0..WINDOW {
        let packet = mutant(dice, seeds);
        octets.extend((packet.len() as u16).to_be_bytes());
        octets.extend(&packet);
        sent.push(packet);
        tally.by_tcp += 1;
    }
    let lie = dice.below(65_536) as u16;
    octets.extend(lie.to_be_bytes());
    octets.extend(dice.octets(usize::from(lie).min(40)));
    // In two pieces, so that frames are cut anywhere.
    let cut = dice.below(octets.len());
    for part in [&octets[..cut], &octets[cut..]] {
        stream.write_all(part).expect("the server reads");
    }
    stream.shutdown(std::net::Shutdown::Write).expect("an end");
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).expect("the server answers and closes");
    // The frame that lied may hold a query in its few octets.
    let mut queries = sent.iter().filter(|packet| is_query(packet));
    let mut rest = &replies[..];
    while let Some((&[high, low], after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (reply, next) = after.split_at_checked(len).expect("whole frames");
        match queries.next() {
            Some(query) => judge(query, reply, 65_535),
            None => assert!(lie <= 40 && next.is_empty(), "an answer to nothing: {reply:02x?}"),
        }
        tally.answers += 1;
        rest = next;
    }
    assert!(queries.next().is_none() && rest.is_empty(), "an answer to every query");
}

/// Resident octets of a process, from /proc.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Datagrams that the kernel dropped because the buffers of this port were full, from /proc.
pub(crate) fn dropped(server: SocketAddr) -> u64 {
    let IpAddr::V4(address) = server.ip() else { return 0 };
    let local = format!("{:08X}:{:04X}", u32::from(address).swap_bytes(), server.port());
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let drops = table.lines().filter(|line| line.contains(&local)).filter_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        (columns.next()? == local).then(|| line.split_whitespace().last()?.parse::<u64>().ok())?
    });
    drops.sum()
}
