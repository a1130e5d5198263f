//! `signpost doctor` and `signpost setup` on machines that are directories: the tutorial's, good ones, and good
//! ones with one fault. Needs root, for the owners of files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

#[path = "../common/mod.rs"]
mod common;

mod faults;
mod machine;
mod safe_keys;
mod setup;

use machine::{MAIN_CF, Machine, OPENDKIM, OPENDKIM_GROUP, Report, TUTORIAL};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

fn shell(script: &str, folder: &Path) {
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The key that the tutorial's command makes, made once: 4096 bits take their time.
fn genkey() -> &'static (String, String) {
    static KEY: OnceLock<(String, String)> = OnceLock::new();
    KEY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let script = "opendkim-genkey -r -h rsa-sha256 -d skyminds.net -s mail -b 4096\nmv mail.private mail\n";
        shell(script, folder.path());
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        (read("mail"), read("mail.txt"))
    })
}

/// The tutorial's steps 3 and 5, to the letter.
fn tutorial() -> Machine {
    let machine = Machine::bare();
    machine.write("etc/opendkim.conf", TUTORIAL);
    machine.write("etc/default/opendkim", "SOCKET=\"inet:12345@localhost\"\n");
    let (private, txt) = genkey();
    let folder = "etc/opendkim/skyminds.net";
    machine.write(&format!("{folder}/mail"), private);
    machine.write(&format!("{folder}/mail.txt"), txt);
    let script = format!(
        "chown -R {OPENDKIM}:{OPENDKIM_GROUP} ..\nchmod go-rwx ../*\n\
         chown {OPENDKIM}:{OPENDKIM_GROUP} *\nchmod u=rw,go-rwx *\n"
    );
    shell(&script, &machine.path(folder));
    let tables = [
        (
            "KeyTable",
            "skyminds.net skyminds.net:mail:/etc/opendkim/skyminds.net/mail\n",
        ),
        ("SigningTable", "*@skyminds.net skyminds.net\n"),
        ("TrustedHosts", "127.0.0.1\nlocalhost\nns.kimsufi.com\nskyminds.net\n"),
    ];
    for (name, text) in tables {
        let path = format!("etc/opendkim/{name}");
        machine.write(&path, text);
        machine.own(&path, OPENDKIM, OPENDKIM_GROUP);
    }
    machine.append(
        "etc/postfix/main.cf",
        "milter_default_action = accept\nmilter_protocol = 6\nsmtpd_milters = inet:localhost:12345\n\
         non_smtpd_milters = $smtpd_milters\ndefault_destination_concurrency_limit = 2\n\
         default_destination_rate_delay = 5s\ndefault_extra_recipient_limit = 3\n",
    );
    machine
}

#[test]
fn the_tutorial_to_the_letter() {
    let machine = tutorial();
    machine.write("etc/signpost/signpost.toml", "keys = \"/etc/opendkim\"\n");
    let report = machine.doctor();
    // The order is that of files and lines.
    assert_eq!(
        report.codes(),
        [
            "doctor-key-unreadable",
            "dkim-tag-h",
            "opendkim-pid-file",
            "postfix-throttle-local",
            "postfix-extra-recipient-limit",
        ],
        "{:#}",
        report.0
    );
    assert_eq!(
        report.notes(),
        [
            "opendkim-host-trusted",
            "postfix-unsigned-when-down",
            "postfix-throttle"
        ]
    );
    // The hoster's name server.
    assert_eq!(report.one("opendkim-host-trusted")["text"], "ns.kimsufi.com");
    assert_eq!(report.exit(), 2);
    let unreadable = report.one("doctor-key-unreadable");
    assert!(unreadable["cure"].as_str().unwrap().contains("chmod o+r"));
    let throttle = report.one("postfix-throttle");
    assert!(throttle["what"].as_str().unwrap().contains("720 an hour"));
    let extra = report.one("postfix-extra-recipient-limit");
    assert_eq!(extra["text"], "default_extra_recipient_limit = 3");
    assert_eq!(extra["line"], MAIN_CF.lines().count() + 7);
}

#[test]
fn a_good_machine_is_well() {
    let machine = Machine::good();
    let report = machine.doctor();
    assert!(report.codes().is_empty(), "{:#}", report.0);
    assert_eq!((report.exit(), report.notes()), (0, vec!["postfix-throttle"]));
    let output = machine.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.ends_with("OpenDKIM with 1 key, and Postfix: all is well\n"),
        "{said}"
    );
}

#[test]
fn without_a_configuration_of_signpost_the_rest_is_judged() {
    let machine = Machine::good();
    std::fs::remove_file(machine.path("etc/signpost/signpost.toml")).unwrap();
    let report = machine.doctor();
    assert!(report.codes().is_empty(), "{:#}", report.0);
    assert_eq!(report.notes(), ["doctor-no-config", "postfix-throttle"]);
    machine.replace("etc/opendkim/example.org/mail.txt", "\"p=MIIB", "\"p=MIIC");
    machine.mode("etc/opendkim/example.org/mail", 0o604);
    assert!(machine.doctor().codes().contains(&"opendkim-key-unsafe"));
}

#[test]
fn a_broken_configuration_of_signpost_is_a_finding_among_others() {
    let machine = Machine::good();
    machine.write("etc/signpost/signpost.toml", "keys = \n");
    assert_eq!(machine.doctor().codes(), ["config-syntax"]);
}

#[test]
fn nothing_is_changed_by_looking() {
    let machine = tutorial();
    let before = machine.contents();
    machine.doctor();
    machine.setup(&["opendkim"]);
    machine.setup(&["postfix", "--throttle"]);
    assert_eq!(machine.contents(), before);
}

#[test]
fn no_octet_of_a_private_key_is_shown() {
    let machine = Machine::good();
    machine.mode("etc/opendkim/example.org/mail", 0o666);
    let key = machine.read("etc/opendkim/example.org/mail");
    let inline: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    machine.append(
        "etc/opendkim/KeyTable",
        &format!("inline example.org:inline:{inline}\n"),
    );
    for words in [&["doctor"][..], &["doctor", "--json"], &["setup", "opendkim"]] {
        let output = machine.run(words);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(words[0] == "setup" || said.contains("opendkim-key-unused"), "{said}");
        for line in key.lines().filter(|line| line.len() > 40) {
            assert!(!said.contains(&line[..40]), "{said}");
        }
    }
}

#[test]
fn who_may_not_read_a_key_is_told_to_be_root() {
    let machine = Machine::good();
    let program = machine.path("signpost");
    std::fs::copy(common::signpost::BINARY, &program).unwrap();
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let output = Command::new("setpriv")
        .args(nobody)
        .arg(program)
        .args(["doctor", "--root"])
        .arg(machine.root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("[doctor-not-read]"), "{said}");
}

#[test]
fn the_root_may_be_a_relative_path() {
    let machine = Machine::good();
    machine.write("etc/signpost/signpost.toml", "keys = \"keys\"\n");
    machine.add_key("etc/signpost/keys/example.org", "mail");
    let folder = machine.root().parent().unwrap();
    let output = Command::new(common::signpost::BINARY)
        .current_dir(folder)
        .args(["doctor", "--root"])
        .arg(machine.root().file_name().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// The machine's /etc in the place of this system's, a network of its own, and OpenDKIM itself.
#[test]
fn on_the_machine_itself_the_socket_is_asked() {
    let machine = Machine::good();
    machine.write("etc/hosts", "127.0.0.1 localhost\n");
    // The network stays up until the doctor has been there twice; OpenDKIM is ended by its pid.
    let script = format!(
        "mount --make-rprivate /; mount --bind {}/etc /etc; mount -t tmpfs none /run\n\
         install -d -o {OPENDKIM} -g {OPENDKIM_GROUP} /run/opendkim; ip link set lo up; cd /\n\
         {program} doctor --json > /etc/before || true\n\
         /usr/sbin/opendkim -f -x /etc/opendkim.conf & pid=$!\n\
         for try in $(seq 300); do (: > /dev/tcp/127.0.0.1/12345) 2> /dev/null && break; sleep 0.1; done\n\
         {program} doctor --json > /etc/after || true\n\
         kill $pid; wait $pid || true",
        machine.root().display(),
        program = common::signpost::BINARY,
    );
    let output = Command::new("unshare")
        .args(["-mn", "bash", "-ec", &script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = |name: &str| Report(serde_json::from_str(&machine.read(name)).unwrap());
    let (before, after) = (report("etc/before"), report("etc/after"));
    assert_eq!(before.codes(), ["opendkim-not-running"], "{:#}", before.0);
    assert!(after.codes().is_empty(), "{:#}", after.0);
}
