//! A domain whose mail OpenDKIM signs, as far as its tables tell; a secondary that serves what the test says; an observer
//! that compares what the tables name with what is served, all the time.

use crate::common::signpost::House;
use crate::common::wire::{NXDOMAIN, Query, REFUSED, TXT, name};
use crate::common::{client, free_port, keys, wait_at_most, wait_for};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const DOMAIN: &str = "example.org";
/// For so many seconds resolvers remember that a name is not there.
pub(crate) const NEGATIVE_TTL: u64 = 2;

/// An OpenDKIM that signs with Ed25519, for such keys are made at once.
pub(crate) const SIGNER: &str = "\
[[signer]]
kind = \"opendkim\"
algorithms = [\"ed25519\"]
key_table = \"KeyTable\"
signing_table = \"SigningTable\"
";

/// `[mail.dkim.rotation]` with these lines and short times.
pub(crate) fn rotation(more: &str) -> String {
    format!(
        "[mail.dkim]\nttl = \"2s\"\n[mail.dkim.rotation]\nalgorithms = [\"ed25519\"]\nretire = \"3s\"\nforget = \"2s\"\n{more}\n"
    )
}

/// The zone with these name servers besides this one: label and address.
pub(crate) fn zone(others: &[(&str, Ipv4Addr)]) -> String {
    let mut text = format!(
        "$TTL {NEGATIVE_TTL}\n@ IN SOA ns hostmaster 100 7200 3600 1209600 {NEGATIVE_TTL}\n IN NS ns\n IN MX 10 ns\nns IN A 127.0.0.1\n"
    );
    for (label, address) in others {
        text += &format!("@ IN NS {label}\n{label} IN A {address}\n");
    }
    text
}

/// The domain, signed with the key `first`, and nothing running yet.
pub(crate) fn signed_domain(policy: &str) -> House {
    let house = House::new(policy);
    house.write("zones/example.org.zone", zone(&[]));
    house.write("keys/example.org/first.private", keys::ed25519());
    sign_with(&house, "first");
    house
}

/// Writes both tables as an operator would.
pub(crate) fn sign_with(house: &House, selector: &str) {
    let key = house.path(format!("keys/example.org/{selector}.private"));
    let row = format!(
        "# the keys\n{selector}._domainkey.example.org example.org:{selector}:{}\n",
        key.display()
    );
    house.replace("KeyTable", row);
    house.replace(
        "SigningTable",
        format!("# whose mail\n*@example.org {selector}._domainkey.example.org\n"),
    );
}

/// What the tables in this directory say is signed with: selector and key file.
pub(crate) fn signs_with(directory: &Path) -> Option<(String, PathBuf)> {
    let rows = |file: &str| fs::read_to_string(directory.join(file));
    let (signing, keys) = (rows("SigningTable").ok()?, rows("KeyTable").ok()?);
    let row = signing.lines().find_map(|line| line.strip_prefix("*@example.org "))?;
    let key = keys.lines().find_map(|line| line.strip_prefix(row.trim()))?;
    let mut parts = key.trim().splitn(3, ':').skip(1);
    Some((parts.next()?.to_owned(), parts.next()?.into()))
}

pub(crate) fn selector(house: &House) -> String {
    signs_with(&house.path("")).expect("the tables name a key").0
}

/// Waits until the tables name a key that is none of `old`; its selector.
pub(crate) fn wait_for_switch(house: &House, old: &[&str]) -> String {
    wait_for_switch_at_most(Duration::from_secs(30), house, old)
}

pub(crate) fn wait_for_switch_at_most(patience: Duration, house: &House, old: &[&str]) -> String {
    wait_at_most(patience, "the switch", || {
        let (selector, _) = signs_with(&house.path(""))?;
        (!old.contains(&selector.as_str())).then_some(selector)
    })
}

/// The selectors of the key files that there are.
pub(crate) fn files(house: &House) -> Vec<String> {
    let entries = fs::read_dir(house.path("keys/example.org")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names
        .filter(|name| !name.starts_with('.'))
        .filter_map(|name| name.strip_suffix(".private").map(str::to_owned))
        .collect();
    files.sort();
    files
}

pub(crate) fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Runs `signpost key …` and returns its exit code and what it says.
pub(crate) fn key(house: &House, args: &[&str]) -> (i32, String) {
    let output = house.command(&[&["key"], args].concat());
    (output.status.code().unwrap_or(-1), said(&output))
}

/// The `p=` of an Ed25519 key: the bare 32 octets (RFC 8463 §4), which are behind 12 others in what openssl writes.
pub(crate) fn public_half(pem: &str, scratch: &Path) -> String {
    keys::public_half(pem, scratch)[16..].to_owned()
}

/// The stages of all keys by their selectors, as `key status --json` has them.
pub(crate) fn stages(house: &House) -> BTreeMap<String, String> {
    let views = status(house);
    let text = |view: &serde_json::Value, field: &str| view[field].as_str().unwrap().to_owned();
    let views = views.as_array().unwrap().iter();
    views
        .map(|view| (text(view, "selector"), text(view, "stage")))
        .collect()
}

pub(crate) fn status(house: &House) -> serde_json::Value {
    let output = house.command(&["key", "status", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

pub(crate) fn wait_for_stage(house: &House, selector: &str, stage: &str) {
    wait_for(&format!("{selector} to be {stage}"), || {
        let stages = stages(house);
        let found = stages.get(selector).map_or("forgotten", String::as_str);
        (found == stage).then_some(())
    });
}

pub(crate) fn texts(server: SocketAddr, selector: &str) -> Option<Vec<String>> {
    let owner = name(&format!("{selector}._domainkey.{DOMAIN}"));
    Some(client::ask(server, owner, TXT)?.texts(TXT))
}

/// What the secondary does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It has an old version: no key but the first.
    Lags,
    Refuses,
    Silent,
    /// It answers with what the primary has.
    Follows,
    /// It answers with what the primary has, once its mood is another.
    Holds,
}

/// A secondary on 127.0.0.2 that does what it is told.
pub(crate) struct Secondary {
    pub(crate) address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    holding: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Nobody is ever answered over TCP.
    _tcp: TcpListener,
}

impl Secondary {
    pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

    pub(crate) fn start(primary: SocketAddr, mood: Mood) -> Self {
        let socket = UdpSocket::bind((Self::ADDRESS, free_port())).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap();
        let tcp = TcpListener::bind(address).unwrap();
        let (mood, end) = (Arc::new(Mutex::new(mood)), Arc::new(AtomicBool::new(false)));
        let holding = Arc::new(AtomicBool::new(false));
        let (shared, holds, ended) = (Arc::clone(&mood), Arc::clone(&holding), Arc::clone(&end));
        let is_held = move || *shared.lock().unwrap() == Mood::Holds && !ended.load(Ordering::Relaxed);
        let (shared, ended) = (Arc::clone(&mood), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !ended.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let mood = *shared.lock().unwrap();
                if let Some(answer) = answer(primary, mood, &buffer[..len]) {
                    while is_held() {
                        holds.store(true, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    holds.store(false, Ordering::Relaxed);
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        Self {
            address,
            mood,
            holding,
            end,
            thread: Some(thread),
            _tcp: tcp,
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Waits until an answer is held.
    pub(crate) fn wait_until_holding(&self) {
        wait_for("a question to the secondary", || {
            self.holding.load(Ordering::Relaxed).then_some(())
        });
    }
}

impl Drop for Secondary {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// QR and AA with the response code, behind the question as it came.
fn answer(primary: SocketAddr, mood: Mood, query: &[u8]) -> Option<Vec<u8>> {
    // A NOTIFY (RFC 1996) is left alone.
    if query.len() < 12 || query[2] & 0x78 != 0 {
        return None;
    }
    let is_first = query[12..].starts_with(b"\x05first");
    let rcode = match mood {
        Mood::Silent => return None,
        Mood::Refuses => REFUSED,
        Mood::Lags if !is_first => NXDOMAIN,
        Mood::Lags | Mood::Follows | Mood::Holds => return client::udp_bytes(primary, query).ok(),
    };
    let question = query[12..].iter().position(|octet| *octet == 0)? + 12 + 5;
    let mut answer = query[..question].to_vec();
    answer[2] = query[2] | 0x84;
    answer[3] = rcode as u8;
    answer[6..12].fill(0);
    Some(answer)
}

/// The domain with such a secondary.
pub(crate) fn with_secondary(policy: &str, mood: Mood) -> (House, Secondary) {
    let mut house = signed_domain("");
    let secondary = Secondary::start(house.address, mood);
    house.write_config(&format!("[transfer]\nnotify = [\"{}\"]\n{policy}", secondary.address));
    house.write("zones/example.org.zone", zone(&[("ns2", Secondary::ADDRESS)]));
    house.start(&[DOMAIN]);
    (house, secondary)
}

/// Compares all the time what the tables name with what is served.
pub(crate) struct Observer {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Observed>,
}

#[derive(Default)]
pub(crate) struct Observed {
    pub(crate) looks: u32,
    /// The selectors that were signed with, in their order.
    pub(crate) selectors: Vec<String>,
    /// Moments at which a signature would not have verified.
    pub(crate) failures: Vec<String>,
}

impl Observer {
    pub(crate) fn start(house: &House) -> Self {
        let (directory, server) = (house.path(""), house.address);
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let scratch = tempfile::tempdir().unwrap();
            let mut observed = Observed::default();
            let mut public: BTreeMap<String, String> = BTreeMap::new();
            loop {
                // Once more after the end: what was waited for is seen here, too.
                let is_last = ended.load(Ordering::Relaxed);
                observed.look(&directory, server, scratch.path(), &mut public);
                if is_last {
                    return observed;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { end, thread }
    }

    pub(crate) fn end(self) -> Observed {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Observed {
    fn look(&mut self, directory: &Path, server: SocketAddr, scratch: &Path, public: &mut BTreeMap<String, String>) {
        let Some((selector, file)) = signs_with(directory) else {
            // The SigningTable was read before a switch and the KeyTable after the old row went.
            return;
        };
        if self.selectors.last() != Some(&selector) {
            self.selectors.push(selector.clone());
        }
        if !public.contains_key(&selector) {
            match fs::read_to_string(&file) {
                Ok(pem) => drop(public.insert(selector.clone(), public_half(&pem, scratch))),
                Err(error) => self.failures.push(format!("{}: {error}", file.display())),
            }
        }
        let owner = name(&format!("{selector}._domainkey.{DOMAIN}"));
        let Ok(answer) = client::udp_bytes(server, &Query::new(owner, TXT).encode()) else {
            // It was killed, and is not there again.
            return;
        };
        let answer = crate::common::wire::Message::decode(&answer).unwrap();
        if answer.rcode == crate::common::wire::SERVFAIL {
            // It has not read the zone yet.
            return;
        }
        self.looks += 1;
        let texts = answer.texts(TXT);
        let right = public
            .get(&selector)
            .is_some_and(|key| texts.len() == 1 && texts[0].ends_with(&format!(" p={key}")));
        if !right {
            self.failures
                .push(format!("{selector} is signed with, and {texts:?} is served"));
        }
    }
}
