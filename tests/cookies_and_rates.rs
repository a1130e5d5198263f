//! DNS cookies (RFC 7873, RFC 9018) beside BIND and Knot under one secret, and the limit of rates, which good cookies
//! are exempt from, all on the running binary.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

mod common;

use common::daemon::{Daemon, Launch};
use common::signpost::House;
use common::wire::{Edns, Message, NOERROR, Query, TC, TXT, name};
use common::{PATIENCE, client, free_port, wait_for};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const ZONE: &str = "$TTL 3600\n@ SOA ns1 h 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\nmail TXT \"v=spf1 a -all\"\n";
const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const OTHER: &str = "445536bcd2513298075a5d379663c962";
const COOKIE: u16 = 10;
const BADCOOKIE: u16 = 23;
/// A client's own cookie.
const MINE: &[u8] = b"abcdefgh";

fn house(config: &str, files: &[(&str, &str)]) -> House {
    let mut house = House::new(config);
    house.write("zones/example.test.zone", ZONE);
    for (file, content) in files {
        house.write(file, content);
    }
    house.start(&["example.test"]);
    house
}

fn query(cookie: Option<&[u8]>) -> Query {
    let mut query = Query::new(name("mail.example.test"), TXT);
    let mut edns = Edns::of_size(1232);
    edns.options = cookie.map(|cookie| (COOKIE, cookie.to_vec())).into_iter().collect();
    query.edns = Some(edns);
    query
}

/// The COOKIE option of a response.
fn cookie_in(message: &Message) -> Option<Vec<u8>> {
    let mut rest = &message.opt.as_ref()?.options[..];
    while let Some((&[c0, c1, l0, l1], after)) = rest.split_first_chunk::<4>() {
        let (data, next) = after.split_at(usize::from(u16::from_be_bytes([l0, l1])));
        if u16::from_be_bytes([c0, c1]) == COOKIE {
            return Some(data.to_vec());
        }
        rest = next;
    }
    None
}

fn ask(server: SocketAddr, cookie: Option<&[u8]>) -> Message {
    wait_for("an answer", || client::udp(server, &query(cookie)))
}

/// The cookie that a server gives to [`MINE`].
fn cookie_of(server: SocketAddr) -> Vec<u8> {
    let cookie = cookie_in(&ask(server, Some(MINE))).unwrap();
    assert_eq!((cookie.len(), &cookie[..8]), (24, MINE));
    cookie
}

/// Does our server take the cookie for good? A young one that its current secret made is given back as it is; a new
/// one differs at least by its time unless it was made in the same second, so an old one is shown.
fn accepted(house: &House, cookie: &[u8]) -> bool {
    cookie_in(&ask(house.address, Some(cookie))).unwrap() == cookie
}

/// A peer that answers BADCOOKIE to every wrong cookie.
fn peer(server: &'static str, dir: &Path) -> (Daemon, SocketAddr) {
    let (port, here) = (free_port(), dir.display());
    fs::write(dir.join("zone"), ZONE).unwrap();
    let (file, conf, program, args) = match server {
        "bind" => (
            "named.conf",
            format!(
                "options {{ directory \"{here}\"; pid-file none; session-keyfile \"{here}/session.key\"; \
                 listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; notify no; \
                 cookie-algorithm siphash24; cookie-secret \"{SECRET}\"; answer-cookie yes; \
                 require-server-cookie yes; }};\ncontrols {{ }};\n\
                 zone \"example.test\" {{ type primary; file \"{here}/zone\"; }};\n"
            ),
            "named",
            &["-g", "-n", "1", "-c"][..],
        ),
        _ => (
            "knot.conf",
            format!(
                "server:\n    rundir: \"{here}\"\n    pidfile: \"{here}/knot.pid\"\n    listen: 127.0.0.1@{port}\n\
                 control:\n    listen: \"{here}/knot.sock\"\ndatabase:\n    storage: \"{here}/knot-db\"\n\
                 log:\n  - target: stderr\n    any: info\n\
                 mod-cookies:\n  - id: all\n    secret: 0x{SECRET}\n    badcookie-slip: 1\n\
                 template:\n  - id: default\n    global-module: mod-cookies/all\n    zonefile-sync: -1\n    \
                 journal-content: none\n    zonefile-load: whole\n\
                 zone:\n  - domain: example.test\n    file: \"{here}/zone\"\n"
            ),
            "knotd",
            &["-c"][..],
        ),
    };
    let path = dir.join(file);
    fs::write(&path, conf).unwrap();
    let mut daemon = Launch::new(server, dir, program).args(args).arg(path).start();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    daemon.wait_until_serving(address, &[name("example.test")]);
    (daemon, address)
}

#[test]
fn cookies_of_bind_and_knot_are_ours_and_ours_theirs() {
    let secret = [("secrets", SECRET)];
    let house = house("[cookies]\nsecret_file = \"secrets\"\n", &secret);
    for server in ["bind", "knot"] {
        let dir = tempfile::tempdir().unwrap();
        let (_daemon, address) = peer(server, dir.path());
        let (theirs, ours) = (cookie_of(address), cookie_of(house.address));
        assert!(accepted(&house, &theirs), "we take {server}'s cookie");
        let there = ask(address, Some(&ours));
        assert_eq!((there.rcode, there.answer.len()), (NOERROR, 1), "{server} takes ours");
        let mut wrong = ours.clone();
        wrong[23] ^= 1;
        assert_eq!(ask(address, Some(&wrong)).rcode, BADCOOKIE, "{server} does look at it");
        assert!(!accepted(&house, &wrong), "and so do we");
        let here = ask(house.address, Some(&wrong));
        assert_eq!(
            (here.rcode, here.answer.len()),
            (NOERROR, 1),
            "but nobody is refused for it"
        );
    }
}

#[test]
fn follows_the_file_of_secrets_and_rolls_over() {
    let mut house = house("[cookies]\nsecret_file = \"secrets\"\n", &[("secrets", SECRET)]);
    let old = cookie_of(house.address);
    // Both, the new one first: the old cookie is good, but is replaced by one of the new secret.
    house.replace("secrets", format!("# new\n{OTHER}\n{SECRET}\n"));
    let new = wait_for("the new secret in force", || {
        let new = cookie_in(&ask(house.address, Some(&old))).unwrap();
        (new != old).then_some(new)
    });
    assert!(accepted(&house, &new));
    // A broken edit changes nothing and is told.
    let mark = house.log_mark();
    house.replace("secrets", "not a secret\n");
    house.wait_for_log(mark, "line 1 is no secret");
    assert!(accepted(&house, &new));
    assert!(!house.log().contains(OTHER) && !house.log().contains(SECRET));
    // The old one alone, by SIGHUP too.
    let mark = house.log_mark();
    house.replace("secrets", format!("{SECRET}\n"));
    house.daemon().signal("HUP");
    house.wait_for_log(mark, "everything was read again");
    wait_for("the old secret alone", || {
        let given = cookie_in(&ask(house.address, Some(&new))).unwrap();
        (given != new).then_some(())
    });
    assert!(accepted(&house, &old));
    house.assert_unharmed();
}

#[test]
fn keeps_a_secret_of_its_own_over_a_restart() {
    let mut house = house("", &[]);
    let file = house.path("state/cookie.secret");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let cookie = cookie_of(house.address);
    house.stop();
    house.start(&["example.test"]);
    assert!(accepted(&house, &cookie));
    house.stop();
    house.write_config("[cookies]\nenabled = false\n");
    house.start(&["example.test"]);
    assert_eq!(cookie_in(&ask(house.address, Some(MINE))), None, "switched off");
}

/// What came to `count` queries sent at once: whole answers, those with TC, BADCOOKIE, silence. Every now and then a
/// query with the `good` cookie, which is always answered, shows that all before it were read: no buffer runs over.
fn flood(server: SocketAddr, cookie: Option<&[u8]>, good: &[u8], count: u16) -> [u16; 4] {
    const LAST: u16 = u16::MAX;
    let socket = client::udp_socket(server);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = [0; 4];
    let mut buffer = [0; 2048];
    for id in 0..count {
        let query_of = |id, cookie| Query { id, ..query(cookie) }.encode();
        socket.send(&query_of(id, cookie)).unwrap();
        if id % 32 != 31 && id + 1 != count {
            continue;
        }
        socket.send(&query_of(LAST, Some(good))).unwrap();
        loop {
            let len = socket.recv(&mut buffer).unwrap();
            let message = Message::decode(&buffer[..len]).unwrap();
            let kind = match (message.rcode, message.has(TC)) {
                (BADCOOKIE, _) => 2,
                (_, true) => 1,
                _ => 0,
            };
            assert_eq!(message.answer.len(), usize::from(kind == 0), "{message:?}");
            if message.id == LAST {
                assert_eq!(kind, 0, "a good cookie is not limited");
                break;
            }
            got[kind] += 1;
        }
    }
    got[3] = count - got[..3].iter().sum::<u16>();
    got
}

/// What `signpost status` says was held back by the limit of rates, and how much of that was sent without records.
fn held_back(house: &House) -> [u64; 2] {
    let status = String::from_utf8(house.command(&["status"]).stdout).unwrap();
    let line = status
        .lines()
        .find(|line| line.contains("held back by the limit of rates"));
    let mut numbers = line.unwrap_or_default().split(' ').filter_map(|word| word.parse().ok());
    [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
}

#[test]
fn limits_rates_but_not_those_who_are_known() {
    // So slow that little fills again while a busy machine takes its time.
    let house = house("workers = 1\n[rate_limit]\nresponses_per_second = 2\n", &[]);
    let good = cookie_of(house.address);
    // Its start may have been asked for more often than that.
    let before = held_back(&house);
    let [whole, truncated, bad, silent] = flood(house.address, None, &good, 640);
    assert!((1..160).contains(&whole), "{whole} of 640 were answered");
    assert_eq!(bad, 0);
    assert!(
        truncated.abs_diff(silent) <= 1 + whole,
        "every second slips: {truncated} and {silent}"
    );
    let after = held_back(&house);
    assert_eq!(
        [after[0] - before[0], after[1] - before[1]],
        [truncated + silent, truncated].map(u64::from)
    );
    let told = house.wait_for_log(0, "responses to 127.0.0.0/24 are being limited");
    assert!(told.matches("are being limited").count() <= 2, "not each time: {told}");
    // Who takes cookies is told to come back with one.
    let [whole, truncated, bad, silent] = flood(house.address, Some(MINE), &good, 640);
    assert!(whole < 160 && truncated == 0, "{whole} {truncated}");
    assert!(bad.abs_diff(silent) <= 1 + whole, "{bad} and {silent}");
    assert_eq!(flood(house.address, Some(&good), &good, 640), [640, 0, 0, 0]);
    for _ in 0..20 {
        assert_eq!(client::tcp(house.address, &query(None)).unwrap().answer.len(), 1, "TCP");
    }
}
