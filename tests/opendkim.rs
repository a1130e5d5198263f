//! The tutorial, to the letter, judged by OpenDKIM itself.
//!
//! In a network namespace with its own port 53, `opendkim-testkey` compares the
//! published key with the private one. With BIND serving the `mail.txt` that `opendkim-genkey`
//! wrote it fails, because `h=rsa-sha256` names a signature algorithm and no hash (RFC 6376
//! §3.6.1); with Signpost serving the same directory it says that the key is fine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod common;

use common::daemon::Daemon;
use common::netns::Namespace;
use common::peers::{self, ZoneOf};
use common::signpost::{BINARY, House};
use common::wait_for;
use common::wire::name;
use std::path::Path;
use std::process::Command;

const DOMAIN: &str = "skyminds.net";

const ZONE: &str = "\
$ORIGIN skyminds.net.
$TTL 1h
@     IN SOA ns hostmaster 2026111501 3h 1h 2w 1h
      IN NS  ns
      IN MX  10 mail
ns    IN A   192.0.2.1
mail  IN A   192.0.2.1
";

/// OpenDKIM resolves by itself, from the root down. The namespace has no root: this stands for the
/// registrar's delegation of the domain to the server in it.
const DELEGATION: &str = "\
server:
    do-not-query-localhost: no
stub-zone:
    name: skyminds.net
    stub-addr: 127.0.0.1
";

/// The commands of the tutorial in `dir`, as they stand there.
fn follow_the_tutorial(dir: &Path) {
    let script = "opendkim-genkey -r -h rsa-sha256 -d skyminds.net -s mail -b 4096\n\
                  mv -v mail.private mail\n\
                  chmod u=rw,go-rwx *\n";
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Waits until something answers for the domain inside the namespace.
fn wait_for_dns(namespace: &Namespace, server: &mut Daemon) {
    wait_for("an answer on port 53 of the namespace", || {
        assert!(server.is_running(), "the server has ended: {}", server.log());
        let output = namespace.output("dig", &["+short", "+tries=1", "+time=1", "@127.0.0.1", DOMAIN, "SOA"]);
        output.stdout.starts_with(b"ns.").then_some(())
    });
}

/// What `opendkim-testkey` says, and whether it is content.
fn testkey(namespace: &Namespace, house: &House, private_key: &Path) -> (bool, String) {
    house.write("delegation.conf", DELEGATION);
    // No trust anchor, as in the tutorial: Debian's own file names one and would have the DNSSEC chain.
    let delegation = house.path("delegation.conf");
    house.write(
        "opendkim.conf",
        format!("Syslog yes\nResolverConfiguration {}\n", delegation.display()),
    );
    let (conf, key) = (house.path("opendkim.conf"), private_key.to_str().unwrap());
    let arguments = [
        "-x",
        conf.to_str().unwrap(),
        "-d",
        DOMAIN,
        "-s",
        "mail",
        "-k",
        key,
        "-vvv",
    ];
    let output = namespace.output("opendkim-testkey", &arguments);
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn opendkim_accepts_the_key_from_signpost_and_refuses_the_pasted_one_from_bind() {
    let house = House::new("");
    std::fs::create_dir(house.path("keys/skyminds.net")).unwrap();
    follow_the_tutorial(&house.path("keys/skyminds.net"));
    let private_key = house.path("keys/skyminds.net/mail");
    let mail_txt = house.path("keys/skyminds.net/mail.txt");
    house.write("zones/skyminds.net.zone", ZONE);

    // As the tutorial ends: mail.txt pasted into BIND's zone, verbatim.
    let pasted = house.path("pasted.zone");
    std::fs::write(&pasted, format!("{ZONE}\n$INCLUDE {}\n", mail_txt.display())).unwrap();
    let namespace = Namespace::new();
    let zones = [ZoneOf {
        apex: name(DOMAIN),
        file: pasted,
    }];
    let bind_dir = house.path("bind");
    std::fs::create_dir(&bind_dir).unwrap();
    let mut bind = peers::bind_in(&namespace, &bind_dir, &zones);
    wait_for_dns(&namespace, &mut bind);
    let (content, said) = testkey(&namespace, &house, &private_key);
    assert!(!content, "{said}");
    assert!(said.contains("unknown hash 'rsa-sha256'"), "{said}");
    drop(bind);

    // The same directory, served by Signpost.
    house.replace(
        "signpost.toml",
        "listen = [\"127.0.0.1:53\"]\nzones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n",
    );
    let namespace = Namespace::new();
    let config = house.path("signpost.toml");
    let arguments = ["--config", config.to_str().unwrap()];
    let mut signpost = namespace.start("signpost", &house.path("state"), BINARY, arguments);
    wait_for_dns(&namespace, &mut signpost);
    let (content, said) = testkey(&namespace, &house, &private_key);
    assert!(content, "{said}");
    assert!(said.contains("key OK"), "{said}");
}
