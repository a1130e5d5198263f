//! A primary that says what a test wants: SOA by UDP, transfers by TCP, and NOTIFY of its own accord.

use crate::common::free_port;
use crate::common::transfers::{loopback, receive, send};
use crate::common::wire::{self, IN, SOA, name};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is done with a connection once its question is read.
pub(crate) type Script = Arc<dyn Fn(&[u8], &mut TcpStream) + Send + Sync>;

/// A fake primary; its threads end with the test process.
pub(crate) struct FakePrimary {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    serial: AtomicU32,
    script: Mutex<Script>,
    questions: AtomicUsize,
    connections: AtomicUsize,
}

impl FakePrimary {
    /// One that tells this serial and gives the version of that serial.
    pub(crate) fn new(serial: u32) -> Self {
        let address = loopback(free_port());
        let shared = Arc::new(Shared {
            serial: AtomicU32::new(serial),
            script: Mutex::new(good(serial)),
            questions: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let (udp, tcp) = (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap());
        let here = Arc::clone(&shared);
        thread::spawn(move || {
            let mut question = [0; 4096];
            while let Ok((len, from)) = udp.recv_from(&mut question) {
                here.questions.fetch_add(1, Relaxed);
                let question = &question[..len];
                let apex = apex_of(question);
                let answer = answer(question, &[soa(&apex, here.serial.load(Relaxed))]);
                let _ = udp.send_to(&answer, from);
            }
        });
        let here = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let Ok(mut stream) = stream else { continue };
                here.connections.fetch_add(1, Relaxed);
                let script = Arc::clone(&here.script.lock().unwrap());
                thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                    if let Ok(question) = receive(&mut stream) {
                        script(&question, &mut stream);
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// From now on this serial is told, and connections go so.
    pub(crate) fn play(&self, serial: u32, script: Script) {
        *self.shared.script.lock().unwrap() = script;
        self.shared.serial.store(serial, Relaxed);
    }

    /// Questions by UDP and connections by TCP so far.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (
            self.shared.questions.load(Relaxed),
            self.shared.connections.load(Relaxed),
        )
    }
}

/// Gives the version of this serial as it should.
pub(crate) fn good(serial: u32) -> Script {
    Arc::new(move |question, stream| {
        let _ = send(stream, &answer(question, &version(&apex_of(question), serial)));
    })
}

/// Answers with these messages, each made of the question; whatever comes of it.
pub(crate) fn says(messages: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Script {
    Arc::new(move |question, stream| {
        for message in messages(question) {
            let _ = send(stream, &message);
        }
        // It stays open: what is wrong is what was said.
        let _ = receive(stream);
    })
}

/// The name that is asked for.
pub(crate) fn apex_of(question: &[u8]) -> Vec<u8> {
    let mut end = 12;
    while question[end] != 0 {
        end += 1 + usize::from(question[end]);
    }
    question[12..=end].to_vec()
}

/// A record in uncompressed wire form.
pub(crate) fn record(owner: &[u8], rtype: u16, class: u16, rdata: &[u8]) -> Vec<u8> {
    let mut record = owner.to_vec();
    for word in [rtype, class, 0, 300, rdata.len() as u16] {
        record.extend(word.to_be_bytes());
    }
    record.extend(rdata);
    record
}

/// The SOA of a version; its timers are a second, so that a failure is soon tried again, and it expires late.
pub(crate) fn soa(apex: &[u8], serial: u32) -> Vec<u8> {
    let numbers = [serial, 1, 1, 86_400, 1].map(u32::to_be_bytes);
    record(apex, SOA, IN, &[&[0, 0], numbers.as_flattened()].concat())
}

/// An address record of the zone.
pub(crate) fn a(apex: &[u8], label: &str, last: u8) -> Vec<u8> {
    record(&wire::child(label.as_bytes(), apex), wire::A, IN, &[192, 0, 2, last])
}

/// All of a version, its SOA first and last.
pub(crate) fn version(apex: &[u8], serial: u32) -> Vec<Vec<u8>> {
    vec![
        soa(apex, serial),
        record(apex, wire::NS, IN, &name("ns.example")),
        a(apex, "version", serial as u8),
        soa(apex, serial),
    ]
}

/// An answer with authority.
pub(crate) fn answer(question: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let apex = apex_of(question);
    let mut message = question[..12 + apex.len() + 4].to_vec();
    message[2..12].copy_from_slice(&[0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    message.extend(records.concat());
    message
}

/// A NOTIFY of this serial.
pub(crate) fn notify(apex: &[u8], serial: u32) -> Vec<u8> {
    let mut message = vec![0x4e, 0x4f, 0x24, 0, 0, 1, 0, 1, 0, 0, 0, 0];
    message.extend(apex);
    message.extend([0, 6, 0, 1]);
    message.extend(soa(apex, serial));
    message
}

/// Sends a message by UDP from an address; the code of the answer.
pub(crate) fn rcode_from(from: Ipv4Addr, to: SocketAddr, message: &[u8]) -> Option<u8> {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    socket.send(message).unwrap();
    let mut answer = [0; 4096];
    let len = socket.recv(&mut answer).ok()?;
    assert_eq!(answer[..2], message[..2]);
    (len >= 12).then_some(answer[3] & 15)
}
