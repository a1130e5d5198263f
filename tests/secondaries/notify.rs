//! NOTIFY as the secondaries hear it: to the name servers of the zone, once for many changes, ever less often to who is
//! silent.

use crate::common::netns::Namespace;
use crate::common::signpost::{BINARY, House};
use crate::common::transfers::{KEY_NAME, OBSERVER, SECRET, TsigKey, loopback};
use crate::common::wire::{self, to_text};
use crate::common::{free_port, wait_for};
use crate::keys;
use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

const ZONES: u32 = 40;

/// A secondary that hears and, if it wants to, answers.
struct Ear(UdpSocket);

impl Ear {
    /// NOTIFYs by zone until it was quiet for this long.
    fn listen(&self, quiet: Duration, answers: bool) -> BTreeMap<String, Vec<Instant>> {
        let mut heard: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
        self.0.set_read_timeout(Some(quiet)).unwrap();
        let mut message = [0; 4096];
        while let Ok((len, from)) = self.0.recv_from(&mut message) {
            let message = &mut message[..len];
            let notify = wire::Message::decode(message).unwrap();
            assert_eq!(notify.flags & 0x7800, 4 << 11, "NOTIFY");
            assert!(notify.serial().is_some(), "with the SOA");
            heard
                .entry(to_text(&notify.questions[0].0))
                .or_default()
                .push(Instant::now());
            if answers {
                message[2] |= 0x80;
                self.0.send_to(message, from).unwrap();
            }
        }
        heard
    }
}

fn zone(number: u32) -> String {
    format!("z{number}.test")
}

fn house_of_many(ear: &Ear) -> House {
    let mut house = House::new(&format!(
        "[mail]\n[transfer]\nallow = [\"127.0.0.1\"]\nnotify = [\"{}\"]\nnotify_nameservers = false\n",
        ear.0.local_addr().unwrap()
    ));
    for number in 0..ZONES {
        let text =
            "$TTL 300\n@ SOA ns1 hostmaster 1 86400 86400 1209600 300\n@ NS ns1\nns1 A 127.0.0.1\n@ MX 10 mail\n";
        house.write(&format!("zones/{}.zone", zone(number)), text);
    }
    let zones: Vec<String> = (0..ZONES).map(zone).collect();
    house.start(&zones.iter().map(String::as_str).collect::<Vec<_>>());
    house
}

#[test]
fn a_bulk_rotation_is_told_zone_by_zone_and_not_change_by_change() {
    let ear = Ear(UdpSocket::bind(loopback(free_port())).unwrap());
    let house = house_of_many(&ear);
    let started = ear.listen(Duration::from_secs(1), true);
    assert_eq!(started.len() as u32, ZONES, "the start tells of all");

    // Five rounds while nobody answers: each zone is told once, again at growing intervals, and the rest waits.
    let mut serials = vec![];
    for round in 0..5 {
        for number in 0..ZONES {
            let path = format!("keys/{}/sel.private", zone(number));
            house.replace(&path, keys::numbered(100 * round + number));
        }
        wait_for("the last zone's serial", || {
            let serial = house.serial(&zone(ZONES - 1));
            (!serials.contains(&serial)).then(|| serials.push(serial))
        });
    }
    let silent_for = Instant::now();
    let silent = ear.listen(Duration::from_secs(3), false);
    let count: usize = silent.values().map(Vec::len).sum();
    assert!(count >= 3 && count as u32 <= ZONES + 5, "{count}: {silent:?}");
    let after_two_seconds = silent
        .values()
        .flatten()
        .filter(|at| at.duration_since(silent_for) > Duration::from_secs(2));
    assert!(after_two_seconds.count() <= 4, "one at a time, ever less often");

    // It answers again: the rest comes at once, each zone once, and then it is quiet.
    let mark = Instant::now();
    let told = ear.listen(Duration::from_secs(6), true);
    assert_eq!(told.len() as u32, ZONES);
    assert!(told.values().all(|at| at.len() == 1), "{told:?}");
    assert!(mark.elapsed() < Duration::from_secs(40));
}

/// Two name servers in the NS set, on port 53: we are the first, BIND is the second.
#[test]
fn the_name_servers_of_the_zone_are_told() {
    const ZONE: &str = "example.org";
    let key = TsigKey {
        algorithm: "hmac-sha256",
        secret: SECRET,
    };
    let house = House::new("");
    house.replace(
        "signpost.toml",
        format!(
            "listen = [\"127.0.0.1:53\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n[mail]\n{}\
             [transfer]\nallow = [{{ address = \"127.0.0.2\", key = \"{KEY_NAME}\" }}, \"{OBSERVER}\"]\n",
            key.toml()
        ),
    );
    let text = "$TTL 300\n@ SOA ns1 hostmaster 1 86400 86400 1209600 300\n@ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\n\
                ns2 A 127.0.0.2\n@ MX 10 mail\n";
    house.write(&format!("zones/{ZONE}.zone"), text);
    house.write(&format!("keys/{ZONE}/sel.private"), keys::numbered(0));
    fs::create_dir(house.path("bind")).unwrap();
    let here = house.path("bind");
    let conf = format!(
        "key \"{KEY_NAME}\" {{ algorithm {}; secret \"{}\"; }};\n\
         options {{ directory \"{}\"; pid-file none; session-keyfile \"session.key\"; listen-on {{ 127.0.0.2; }};\n\
         listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; empty-zones-enable no;\n\
         transfer-source 127.0.0.2; }};\ncontrols {{ }};\n\
         zone \"{ZONE}\" {{ type secondary; file \"z.db\"; primaries {{ 127.0.0.1 key \"{KEY_NAME}\"; }}; }};\n",
        key.algorithm,
        key.secret,
        here.display()
    );
    let path = here.join("named.conf");
    fs::write(&path, conf).unwrap();
    let namespace = Namespace::new();
    // BIND listens on addresses that the interface has.
    namespace.output("ip", &["addr", "add", "127.0.0.2/8", "dev", "lo"]);
    let config = house.path("signpost.toml");
    let _signpost = namespace.start(
        "signpost",
        &house.path("state"),
        BINARY,
        ["--config", config.to_str().unwrap()],
    );
    let _bind = namespace.start("bind", &here, "named", ["-g", "-n", "1", "-c", path.to_str().unwrap()]);
    let soa = |server: &str| {
        let at = format!("@{server}");
        let output = namespace.output("dig", &[&at, "+short", "+tries=1", "+time=1", ZONE, "SOA"]);
        let said = String::from_utf8(output.stdout).unwrap();
        said.split(' ').nth(2).and_then(|serial| serial.parse::<u32>().ok())
    };
    let both = |what: &str, other_than: Option<u32>| {
        wait_for(what, || {
            let (ours, theirs) = (soa("127.0.0.1")?, soa("127.0.0.2")?);
            (ours == theirs && Some(ours) != other_than).then_some(ours)
        })
    };
    let mut serial = both("the first version", None);
    for number in 1..=3 {
        house.replace(&format!("keys/{ZONE}/sel.private"), keys::numbered(number));
        serial = both("the next version", Some(serial));
    }
}
