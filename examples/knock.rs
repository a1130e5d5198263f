//! A load generator that asks one question per TCP connection, which dnsperf cannot do: it knocks, asks, listens and
//! leaves. For `benches/cost.py`.
//!
//! ```text
//! knock ADDRESS QUERIES SECONDS CLIENTS
//! ```
//!
//! `QUERIES` is a file in dnsperf's form, a name and a type a line. Says what dnsperf would.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one client saw.
#[derive(Default)]
struct Seen {
    answers: u64,
    lost: u64,
    waits: Duration,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("knock: {error}; usage: knock ADDRESS QUERIES SECONDS CLIENTS");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [address, queries, seconds, clients] = words else {
        return Err("four words are needed".into());
    };
    let address: SocketAddr = address.parse()?;
    let lasting = Duration::from_secs(seconds.parse()?);
    let clients: usize = clients.parse()?;
    let frames: Vec<Vec<u8>> = std::fs::read_to_string(queries)?.lines().filter_map(frame).collect();
    if frames.is_empty() {
        return Err("no query in the file".into());
    }
    let start = Instant::now();
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let (frames, end) = (&frames, start + lasting);
        let clients: Vec<_> = (0..clients)
            .map(|n| scope.spawn(move || client(address, frames.iter().cycle().skip(n * 997), end)))
            .collect();
        clients.into_iter().filter_map(|client| client.join().ok()).collect()
    });
    let took = start.elapsed().as_secs_f64();
    let answers: u64 = seen.iter().map(|one| one.answers).sum();
    let lost: u64 = seen.iter().map(|one| one.lost).sum();
    let waits: f64 = seen.iter().map(|one| one.waits.as_secs_f64()).sum();
    println!("Queries completed: {answers}");
    println!("Queries lost: {lost}");
    println!("Queries per second: {:.1}", answers as f64 / took);
    println!("Average Latency (s): {:.6}", waits / answers.max(1) as f64);
    Ok(())
}

/// Asks the frames, each over a connection of its own, until `end`.
fn client<'a>(address: SocketAddr, frames: impl Iterator<Item = &'a Vec<u8>>, end: Instant) -> Seen {
    let mut seen = Seen::default();
    for frame in frames {
        let begun = Instant::now();
        if begun >= end {
            break;
        }
        match ask(address, frame) {
            Ok(()) => {
                seen.answers += 1;
                seen.waits += begun.elapsed();
            }
            Err(_) => seen.lost += 1,
        }
    }
    seen
}

fn ask(address: SocketAddr, frame: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(frame)?;
    let mut buffer = [0; 4096];
    let mut got = 0;
    loop {
        match stream.read(buffer.get_mut(got..).unwrap_or_default())? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => got += count,
        }
        if let Some((prefix, rest)) = buffer[..got].split_first_chunk::<2>()
            && rest.len() >= usize::from(u16::from_be_bytes(*prefix))
        {
            return Ok(());
        }
    }
}

/// A query with EDNS (RFC 6891) and its length in front.
fn frame(line: &str) -> Option<Vec<u8>> {
    let (name, qtype) = line.split_once(' ')?;
    let qtype: u16 = match qtype {
        "A" => 1,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        _ => return None,
    };
    let mut message = b"\0\x07\0\0\0\x01\0\0\0\0\0\x01".to_vec();
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).ok()?);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(b"\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0");
    Some([&u16::try_from(message.len()).ok()?.to_be_bytes(), &*message].concat())
}
