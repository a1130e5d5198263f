//! A secondary that throws away what it fetches, at next to no cost: it asks for a zone and reads until the SOA comes
//! again. For `benches/transfer.py`.
//!
//! ```text
//! sink ADDRESS ZONE
//! ```
//!
//! Says milliseconds, octets, messages and records. It looks at no record but the first and at the last octets of each
//! message: those of the SOA end with its five numbers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long the other side may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
/// Octets read at once; many more, and whoever asks on the same core would wait for their being copied.
const ROOM: usize = 1 << 17;
/// Octets of the numbers of a SOA (RFC 1035 §3.3.13).
const NUMBERS: usize = 20;
/// Octets of a message's length, and of its header.
const PREFIX: usize = 2;
const HEADER: usize = 12;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sink: {error}; usage: sink ADDRESS ZONE");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [address, zone] = words else {
        return Err("two words are needed".into());
    };
    let address: SocketAddr = address.parse()?;
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&request(zone))?;
    let mut room = vec![0; ROOM];
    let mut held = 0;
    let mut numbers: Option<Vec<u8>> = None;
    let (mut octets, mut messages, mut records) = (0, 0_u64, 0_u64);
    loop {
        let count = stream.read(room.get_mut(held..).unwrap_or_default())?;
        if count == 0 {
            return Err("the transfer broke off".into());
        }
        held += count;
        octets += count;
        let mut at = 0;
        while let Some(message) = next(&room[at..held]) {
            at += PREFIX + message.len();
            messages += 1;
            records += u64::from(word(message, 6).unwrap_or(0));
            let ends = match &numbers {
                Some(numbers) => message.ends_with(numbers),
                None => {
                    let soa = first_soa(message)?;
                    // A message of the SOA alone may be the first.
                    let ends = word(message, 6) > Some(1) && message.ends_with(&soa);
                    numbers = Some(soa);
                    ends
                }
            };
            if ends {
                let ms = began.elapsed().as_secs_f64() * 1000.0;
                println!("{ms:.1} {octets} {messages} {records}");
                return Ok(());
            }
        }
        room.copy_within(at..held, 0);
        held -= at;
    }
}

/// AXFR of the zone, with the octets of its length in front.
fn request(zone: &str) -> Vec<u8> {
    let mut message = vec![0x51, 0x4e, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in zone.trim_end_matches('.').split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 252, 0, 1]);
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

/// The first whole message.
fn next(held: &[u8]) -> Option<&[u8]> {
    held.get(PREFIX..PREFIX + usize::from(word(held, 0)?))
}

fn word(octets: &[u8], at: usize) -> Option<u16> {
    let word = octets.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*word))
}

/// The numbers of the SOA that a transfer begins with.
fn first_soa(message: &[u8]) -> io::Result<Vec<u8>> {
    let soa = || {
        let question = skip_name(message, HEADER)? + 4;
        let fixed = skip_name(message, question)?;
        let end = fixed + 10 + usize::from(word(message, fixed + 8)?);
        (word(message, fixed)? == 6).then(|| message.get(end - NUMBERS..end).map(<[u8]>::to_vec))?
    };
    soa().ok_or_else(|| io::Error::other("no SOA comes first: the transfer is refused"))
}

fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            len @ 1..64 => at += 1 + usize::from(len),
            _ => return Some(at + 2),
        }
    }
}
