//! Certificates that change under the running server.

use crate::common::wire::{Query, SOA, name};
use crate::support::{self, Authority, NS1, certificate, wait_for_certificate};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

const ZONE: &str = "@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.53\n";

#[test]
fn a_new_certificate_is_used_at_once_and_a_broken_one_never() {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, "");
    house.write("zones/example.org.zone", format!("$TTL 60\n{ZONE}"));
    house.start(&["example.org"]);
    let first = certificate(ports.dot, &authority);
    let query = Query::new(name("example.org"), SOA).encode();
    // One that is open goes on with what it began with.
    let runtime = support::runtime();
    let mut open = runtime.block_on(async {
        let mut open = support::connect(ports.dot, authority.client("dot", None))
            .await
            .unwrap();
        support::send(&mut open, &query).await.unwrap();
        support::receive(&mut open).await.unwrap();
        open
    });
    authority.issue(NS1, &house.path(""), "second");
    fs::rename(house.path("second.key"), house.path("ns1.key")).unwrap();
    fs::copy(house.path("second.pem"), house.path("ns1.pem")).unwrap();
    wait_for_certificate(ports.dot, &authority, &house.path("second.pem"));
    runtime.block_on(async {
        support::send(&mut open, &query).await.unwrap();
        support::receive(&mut open).await.unwrap();
    });
    let second = certificate(ports.dot, &authority);
    assert_ne!(first, second);
    // By QUIC as well.
    let by_quic = support::run(async {
        let endpoint = support::quic_client(authority.client("doq", None));
        let connection = endpoint.connect(ports.doq, NS1).unwrap().await.unwrap();
        let shown = connection.peer_identity().unwrap();
        shown
            .downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>()
            .unwrap()[0]
            .clone()
    });
    assert_eq!(by_quic, second);

    // A broken one, a key of another pair, no file: the second goes on, and it is said where and what to do.
    let good = fs::read(house.path("ns1.key")).unwrap();
    authority.issue(NS1, &house.path(""), "other");
    for (content, words) in [
        (
            &b"-----BEGIN PRIVATE KEY-----\nAAAA"[..],
            "the private key in it is damaged",
        ),
        (
            &fs::read(house.path("other.key")).unwrap(),
            "does not belong to the certificate",
        ),
    ] {
        let mark = house.log_mark();
        house.replace("ns1.key", content);
        let log = house.wait_for_log(mark, words);
        assert!(log.contains("ns1.key") && log.contains("stays in force"), "{log}");
        assert_eq!(certificate(ports.dot, &authority), second);
    }
    let mark = house.log_mark();
    house.remove("ns1.key");
    house.wait_for_log(mark, "a file of [tls] cannot be read");
    assert_eq!(certificate(ports.dot, &authority), second);
    let checked = house.command(&["check", "--config", "signpost.toml"]);
    assert!(
        String::from_utf8_lossy(&checked.stdout).contains("tls-file"),
        "{checked:?}"
    );
    house.replace("ns1.key", &good);
    authority.issue(NS1, &house.path(""), "ns1");
    wait_for_certificate(ports.dot, &authority, &house.path("ns1.pem"));
    // Nothing of a key is ever told: neither as it is written nor the number that it is.
    let log = house.log();
    let pem = String::from_utf8_lossy(&good);
    let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with("---")).collect();
    for line in &lines {
        assert!(!log.contains(&line[line.len() - 16..]), "{log}");
    }
    // RFC 5958 §2, RFC 5915 §3: of P-256 it stands behind 36 octets that are always the same.
    let der = BASE64_STANDARD.decode(lines.concat()).unwrap();
    let number = &der[36 + 4..36 + 12];
    let hex: String = number.iter().map(|octet| format!("{octet:02x}")).collect();
    let decimal = format!("{number:?}");
    assert!(!log.to_lowercase().contains(&hex) && !log.contains(decimal.trim_matches(['[', ']'])));
    house.assert_unharmed();
}

#[test]
fn without_a_good_certificate_all_else_is_served_until_there_is_one() {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, "");
    house.write("zones/example.org.zone", format!("$TTL 60\n{ZONE}"));
    fs::rename(house.path("ns1.pem"), house.path("later.pem")).unwrap();
    house.start(&["example.org"]);
    house.wait_for_log(0, "a file of [tls] cannot be read");
    let refused = support::run(support::connect(ports.dot, authority.client("dot", None)));
    assert!(refused.is_err());
    assert_eq!(house.serial("example.org"), 1);
    // As certbot does it: a link to the newest.
    symlink("later.pem", house.path("ns1.pem")).unwrap();
    house.wait_for_log(0, "the certificates were read");
    wait_for_certificate(ports.dot, &authority, &house.path("later.pem"));
    authority.issue(NS1, &house.path(""), "newest");
    fs::copy(house.path("newest.key"), house.path("ns1.key")).unwrap();
    fs::set_permissions(house.path("ns1.key"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("newest.pem", house.path("link")).unwrap();
    fs::rename(house.path("link"), house.path("ns1.pem")).unwrap();
    wait_for_certificate(ports.dot, &authority, &house.path("newest.pem"));
    house.assert_unharmed();
}

#[test]
fn another_file_is_used_as_soon_as_the_configuration_names_it() {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, "");
    house.write("zones/example.org.zone", format!("$TTL 60\n{ZONE}"));
    house.start(&["example.org"]);
    authority.issue(NS1, &house.path(""), "elsewhere");
    let config = fs::read_to_string(house.path("signpost.toml")).unwrap();
    let config = config
        .replace("ns1.pem", "elsewhere.pem")
        .replace("ns1.key", "elsewhere.key");
    house.replace("signpost.toml", config);
    wait_for_certificate(ports.dot, &authority, &house.path("elsewhere.pem"));
    // And it is followed there.
    authority.issue(NS1, &house.path(""), "elsewhere");
    wait_for_certificate(ports.dot, &authority, &house.path("elsewhere.pem"));
    house.assert_unharmed();
}

#[test]
fn tls_1_2_is_refused_although_the_library_could() {
    let authority = Authority::new();
    let (mut house, ports) = support::house(&authority, "");
    house.write("zones/example.org.zone", format!("$TTL 60\n{ZONE}"));
    house.start(&["example.org"]);
    let handshake = |version: &str| {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &ports.dot.to_string(), version])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).contains("BEGIN CERTIFICATE")
    };
    assert!(handshake("-tls1_3"));
    assert!(!handshake("-tls1_2"));
}
