//! Bad input gets a clear error and nothing is lost: what stands in the log names the file, the
//! line where there is one, and the matter; the server lives; the last good version answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::signpost::{BINARY, House};
use common::wire::{NOERROR, SOA, TXT};
use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

const ZONE: &str = "zones/example.org.zone";
const POLICY: &str = "zones/example.org.toml";
const KEY: &str = "keys/example.org/sel.private";

const GOOD: &str = "\
$ORIGIN example.org.
$TTL 300
@    IN SOA ns hostmaster 100 3600 600 86400 300
     IN NS  ns
     IN MX  10 ns
ns   IN A   192.0.2.1
www  IN TXT \"good\"
";

/// One broken file and the words that must be said about it.
struct Case {
    what: &'static str,
    path: &'static str,
    content: Vec<u8>,
    said: &'static [&'static str],
}

fn case(what: &'static str, path: &'static str, content: impl Into<Vec<u8>>, said: &'static [&'static str]) -> Case {
    Case {
        what,
        path,
        content: content.into(),
        said,
    }
}

fn openssl(arguments: &str) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}");
    output.stdout
}

/// Serves one good zone with a policy and a key.
fn good_house() -> House {
    let mut house = House::new("");
    house.write(ZONE, GOOD);
    house.write(POLICY, "[mail.spf]\nrecord = \"v=spf1 mx -all\"\n");
    house.write(KEY, openssl("genpkey -algorithm ED25519"));
    house.start(&["example.org"]);
    assert_good(&mut house, "at the start");
    house
}

/// The last good version of everything is served.
fn assert_good(house: &mut House, when: &str) {
    house.assert_unharmed();
    assert_eq!(house.texts("www.example.org", TXT), ["good"], "{when}");
    assert_eq!(house.texts("example.org", TXT), ["v=spf1 mx -all"], "{when}");
    assert_eq!(house.texts("sel._domainkey.example.org", TXT).len(), 1, "{when}");
}

fn assert_said(house: &House, mark: usize, case: &Case) {
    let words = case.said;
    let first = words[0];
    let said = house.wait_for_log(mark, first);
    for word in words {
        assert!(said.contains(word), "{}: `{word}` is not in\n{said}", case.what);
    }
}

#[test]
fn broken_zone_files_are_told_by_file_and_line() {
    let mut house = good_house();
    let latin1 = GOOD
        .replace("good", "caf\u{e9}")
        .chars()
        .map(|c| c as u8)
        .collect::<Vec<u8>>();
    let utf16: Vec<u8> = [0xfeff]
        .into_iter()
        .chain(GOOD.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let cases = [
        case("empty", ZONE, "", &["example.org.zone", "empty"]),
        case(
            "only blanks and comments",
            ZONE,
            "; nothing\n\n  \n",
            &["example.org.zone", "SOA"],
        ),
        case("cut in a list", ZONE, &GOOD[..70], &["example.org.zone:3"]),
        case(
            "cut in a string",
            ZONE,
            &GOOD[..GOOD.len() - 3],
            &["example.org.zone:7"],
        ),
        case(
            "binary",
            ZONE,
            [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 600]].concat(),
            &["example.org.zone"],
        ),
        case("UTF-16", ZONE, utf16, &["example.org.zone", "UTF-16"]),
        case(
            "a bad address",
            ZONE,
            GOOD.replace("192.0.2.1", "192.0.2.256"),
            &["example.org.zone:6", "192.0.2.256"],
        ),
        case(
            "a typing error",
            ZONE,
            GOOD.replace("IN MX", "IN MXX"),
            &["example.org.zone:5", "MXX"],
        ),
        case(
            "no SOA",
            ZONE,
            GOOD.replace(
                "@    IN SOA ns hostmaster 100 3600 600 86400 300\n     IN NS",
                "@ IN NS",
            ),
            &["example.org.zone", "SOA"],
        ),
        case(
            "an unknown directive",
            ZONE,
            GOOD.replace("$TTL", "$TLT"),
            &["example.org.zone:2", "$TLT"],
        ),
        case(
            "an include of itself",
            ZONE,
            format!("{GOOD}$INCLUDE example.org.zone\n"),
            &["example.org.zone:8"],
        ),
        case(
            "an include of nothing",
            ZONE,
            format!("{GOOD}$INCLUDE missing.inc\n"),
            &["example.org.zone:8", "missing.inc"],
        ),
        case(
            "an open parenthesis",
            ZONE,
            format!("{GOOD}x IN TXT ( \"a\"\n"),
            &["example.org.zone:8"],
        ),
        case(
            "a second SOA",
            ZONE,
            format!("{GOOD}@ IN SOA ns other 1 1 1 1 1\n"),
            &["example.org.zone", "SOA"],
        ),
        case(
            "a label too long",
            ZONE,
            format!("{GOOD}{} IN A 192.0.2.1\n", "l".repeat(64)),
            &["example.org.zone:8"],
        ),
    ];
    for (number, case) in cases.into_iter().enumerate() {
        let mark = house.log_mark();
        house.replace(case.path, &case.content);
        assert_said(&house, mark, &case);
        assert_good(&mut house, case.what);
        // Seen to be mended, so that the next fault is not taken for the same one, told already.
        let number = number.to_string();
        house.replace(case.path, format!("{GOOD}mended IN TXT {number}\n"));
        house.wait_for_answer("the mended file", "mended.example.org", TXT, |message| {
            message.texts(TXT) == [&*number]
        });
    }
    // Another encoding of eight bits is no error: the bytes are the text, as in BIND.
    house.replace(ZONE, latin1);
    house.wait_for_answer("the Latin-1 text", "www.example.org", TXT, |message| {
        message.answers(TXT) == [b"\x04caf\xe9".as_slice()]
    });
}

#[test]
fn a_zone_file_of_a_gibibyte_and_one_that_is_no_file_do_no_harm() {
    let mut house = good_house();
    let mark = house.log_mark();
    let beside = house.path("huge");
    File::create(&beside).unwrap().set_len(1 << 30).unwrap();
    fs::rename(beside, house.path(ZONE)).unwrap();
    house.wait_for_log(mark, "example.org.zone");
    assert_good(&mut house, "a gibibyte of zeros");
    // Where the file was, there is a pipe that nobody writes to.
    let mark = house.log_mark();
    assert!(
        Command::new("mkfifo")
            .arg(house.path("fifo"))
            .status()
            .unwrap()
            .success()
    );
    fs::rename(house.path("fifo"), house.path(ZONE)).unwrap();
    house.wait_for_log(mark, "example.org.zone");
    assert_good(&mut house, "a pipe");
    house.replace(ZONE, GOOD.replace("300\n     IN NS", "301\n     IN NS"));
    assert_good(&mut house, "after the pipe");
}

#[test]
fn broken_policies_are_told_with_the_nearest_known_word() {
    let mut house = good_house();
    let cases = [
        case(
            "an unknown key",
            POLICY,
            "[mail.spf]\nrecrod = \"v=spf1 -all\"\n",
            &["example.org.toml:2", "recrod", "record"],
        ),
        case(
            "an unknown table",
            POLICY,
            "[mail.dmarcc]\npolicy = \"none\"\n",
            &["example.org.toml:1", "dmarcc", "dmarc"],
        ),
        case(
            "a wrong type",
            POLICY,
            "[mail.spf]\nrecord = 7\n",
            &["example.org.toml:2"],
        ),
        case(
            "a wrong word",
            POLICY,
            "[mail.dmarc]\npolicy = \"rejekt\"\n",
            &["example.org.toml:2", "rejekt", "reject"],
        ),
        case(
            "no TOML",
            POLICY,
            "[mail.spf\nrecord = \"v=spf1 -all\"\n",
            &["example.org.toml:1"],
        ),
        case("binary", POLICY, [0, 159, 146, 150], &["example.org.toml"]),
        case(
            "SPF that is none",
            POLICY,
            "[mail.spf]\nrecord = \"v=spf2 -all\"\n",
            &["example.org.toml:2", "v=spf1"],
        ),
        case(
            "an unknown key of the server",
            "signpost.toml",
            "lisen = [\"127.0.0.1:53\"]\n",
            &["signpost.toml:1", "lisen", "listen"],
        ),
    ];
    let config = fs::read(house.path("signpost.toml")).unwrap();
    for case in cases {
        let good = fs::read(house.path(case.path)).unwrap();
        let mark = house.log_mark();
        house.replace(case.path, &case.content);
        assert_said(&house, mark, &case);
        assert_good(&mut house, case.what);
        house.replace(case.path, good);
    }
    assert_eq!(fs::read(house.path("signpost.toml")).unwrap(), config);
}

#[test]
fn broken_keys_are_told_and_the_published_one_stays() {
    let mut house = good_house();
    let public = house.texts("sel._domainkey.example.org", TXT);
    let encrypted = openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -aes256 -pass pass:secret");
    let certificate = openssl("req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=example.org -days 3650");
    let cases = [
        case("garbage", KEY, "this is no key\n", &["sel.private"]),
        case("binary", KEY, [0x30, 0x82, 0xff, 0xff, 1, 2, 3], &["sel.private"]),
        case("an encrypted key", KEY, encrypted, &["sel.private", "encrypted"]),
        case("a certificate", KEY, certificate, &["sel.private", "certificate"]),
        case(
            "a short key",
            KEY,
            openssl("genrsa 512"),
            &["sel.private", "512", "1024"],
        ),
        case(
            "another algorithm",
            KEY,
            openssl("ecparam -name prime256v1 -genkey -noout"),
            &["sel.private"],
        ),
    ];
    for case in cases {
        let good = fs::read(house.path(KEY)).unwrap();
        let mark = house.log_mark();
        house.replace(case.path, &case.content);
        assert_said(&house, mark, &case);
        assert_good(&mut house, case.what);
        assert_eq!(house.texts("sel._domainkey.example.org", TXT), public, "{}", case.what);
        house.replace(case.path, good);
    }
    // Half a key may be one that is being written: no error, and no change.
    let good = fs::read_to_string(house.path(KEY)).unwrap();
    house.replace(KEY, &good[..good.len() / 2]);
    assert_good(&mut house, "half a key");
    assert_eq!(house.texts("sel._domainkey.example.org", TXT), public);
    // No private key was ever said.
    for secret in good.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!house.log().contains(secret), "a private key stands in the log");
    }
}

#[test]
fn two_files_for_one_zone_are_told_and_one_is_served() {
    let mut house = good_house();
    let mark = house.log_mark();
    house.write("zones/second/example.org.zone", GOOD.replace("good", "second"));
    let said = house.wait_for_log(mark, "second/example.org.zone");
    assert!(
        said.contains("zones/example.org.zone") || said.contains("twice"),
        "{said}"
    );
    assert_good(&mut house, "two files");
    house.remove("zones/second/example.org.zone");
    assert_good(&mut house, "one file again");
}

#[test]
fn what_editors_leave_behind_is_no_zone_and_no_key() {
    let mut house = good_house();
    let serial = house.serial("example.org");
    let bad = GOOD.replace("good", "bad");
    for leftover in [
        "example.org.zone~",
        ".example.org.zone.swp",
        "#example.org.zone#",
        "example.org.zone.bak",
        "4913",
    ] {
        house.write(&format!("zones/{leftover}"), &bad);
    }
    for leftover in ["README", "sel.private~", ".sel.private.swp", "notes.md"] {
        house.write(&format!("keys/example.org/{leftover}"), "nothing that is a key");
    }
    // A change behind them is seen, so they were seen as well.
    house.write("zones/example.net.zone", GOOD.replace("example.org", "example.net"));
    house.wait_for_answer("the other zone", "example.net", SOA, |message| message.rcode == NOERROR);
    assert_good(&mut house, "with leftovers about");
    assert_eq!(house.serial("example.org"), serial);
}

/// Runs the server in the foreground on a directory where it must not start; returns what it says.
fn refusal(house: &House, prefix: &[&str], program: &str) -> String {
    let mut command = Command::new("timeout");
    command.arg("20").args(prefix).arg(program).current_dir(house.path(""));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let code = output.status.code();
    assert!(
        !output.status.success() && code != Some(124) && code != Some(101),
        "{code:?}: {said}"
    );
    said
}

#[test]
fn a_start_that_cannot_be_says_why() {
    let house = House::new("");
    house.write(ZONE, GOOD);
    for (config, words) in [
        (
            "lisen = [\"127.0.0.1:5300\"]\n",
            &["signpost.toml:1", "lisen", "listen"][..],
        ),
        ("listen = 5300\n", &["signpost.toml:1", "listen"]),
        ("listen = [\"127.0.0.1\"]\n", &["signpost.toml:1", "port"]),
        ("listen = [\n", &["signpost.toml"]),
        // Documentation addresses are on no machine.
        (
            "listen = [\"192.0.2.1:5300\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n",
            &["192.0.2.1:5300"],
        ),
        (
            "listen = [\"127.0.0.1:5300\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"zones/example.org.zone\"\n",
            &["zones/example.org.zone"],
        ),
    ] {
        house.replace("signpost.toml", config);
        let said = refusal(&house, &[], BINARY);
        for word in words {
            assert!(said.contains(word), "{config}: `{word}` is not in\n{said}");
        }
    }
    house.remove("signpost.toml");
    let said = refusal(&house, &[], BINARY);
    assert!(said.contains("signpost.toml"), "{said}");
}

#[test]
fn a_zones_directory_that_is_not_there_is_told_and_taken_when_it_comes() {
    let mut house = House::new("");
    let config = fs::read_to_string(house.path("signpost.toml")).unwrap();
    house.replace("signpost.toml", config.replace("\"zones\"", "\"nowhere\""));
    house.launch(&[], Path::new(BINARY));
    house.wait_for_log(0, "nowhere");
    house.write("nowhere/example.org.zone", GOOD);
    house.wait_for_answer("the zone", "example.org", SOA, |message| message.rcode == NOERROR);
    house.assert_unharmed();
}

#[test]
fn a_port_that_is_taken_says_by_whom() {
    let house = House::new("");
    house.write(ZONE, GOOD);
    let holder = UdpSocket::bind(house.address).unwrap();
    let said = refusal(&house, &[], BINARY);
    assert!(said.contains(&house.address.to_string()), "{said}");
    assert!(
        said.contains(&std::process::id().to_string()),
        "who holds the port is not said:\n{said}"
    );
    drop(holder);
    let holder = TcpListener::bind(house.address).unwrap();
    let said = refusal(&house, &[], BINARY);
    assert!(said.contains(&house.address.to_string()), "{said}");
    assert!(
        said.contains(&std::process::id().to_string()),
        "who holds the port is not said:\n{said}"
    );
    drop(holder);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_at_start() {
    let house = House::new("");
    house.write(ZONE, GOOD);
    fs::set_permissions(house.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = house.path("signpost-of-nobody");
    fs::copy(BINARY, &binary).unwrap();
    // Owned by root, and the server runs as nobody.
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let said = refusal(&house, &nobody, binary.to_str().unwrap());
    assert!(said.contains("state"), "{said}");
    chown(house.path("state"), Some(65_534), Some(65_534)).unwrap();
}

/// A file system of a few megabytes, mounted over a directory until it is dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(directory: &'a Path) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(directory);
        assert!(mount.status().unwrap().success(), "mounting a tmpfs needs root");
        Self(directory)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_state_directory_is_told_and_answers_go_on() {
    let mut house = House::new("");
    let state = house.path("state");
    let _disk = SmallDisk::mount(&state);
    house.write(ZONE, GOOD);
    house.write(POLICY, "[mail.spf]\nrecord = \"v=spf1 mx -all\"\n");
    house.write(KEY, openssl("genpkey -algorithm ED25519"));
    house.start(&["example.org"]);
    assert_good(&mut house, "at the start");
    // Filled to the last octet.
    let mut filler = File::create(state.join("filler")).unwrap();
    let _ = std::io::copy(&mut std::io::repeat(7), &mut filler);
    drop(filler);
    let mark = house.log_mark();
    for number in 0..20 {
        house.replace(
            &format!("zones/zone{number}.example.zone"),
            GOOD.replace("example.org", &format!("zone{number}.example")),
        );
        house.replace(
            &format!("zones/zone{number}.example.toml"),
            "[mail.spf]\nrecord = \"v=spf1 -all\"\n",
        );
    }
    house.wait_for_log(mark, "state");
    assert_good(&mut house, "with a full disk");
    fs::remove_file(state.join("filler")).unwrap();
    house.replace("zones/example.net.zone", GOOD.replace("example.org", "example.net"));
    house.wait_for_answer("a zone after the disk has room again", "example.net", SOA, |m| {
        m.rcode == NOERROR
    });
    let serial = house.serial("example.org");
    house.kill();
    house.start(&["example.org"]);
    assert_eq!(house.serial("example.org"), serial);
}
