//! `signpost setup`: what it writes, the doctor, OpenDKIM and Postfix themselves are content with.

use crate::machine::{Machine, OPENDKIM, OPENDKIM_GROUP};
use crate::safe_keys::{MESSAGE, told};
use crate::tutorial;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

/// What OpenDKIM says of the machine's configuration, its /etc in the place of this system's.
fn opendkim_accepts(machine: &Machine) {
    let script = format!(
        "mount --make-rprivate / && mount --bind {}/etc /etc && exec /usr/sbin/opendkim -n -x /etc/opendkim.conf",
        machine.root().display()
    );
    let output = Command::new("unshare")
        .args(["-m", "sh", "-ec", &script])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{output:?}\n{}",
        machine.read("etc/opendkim.conf")
    );
}

fn postfix_accepts(machine: &Machine) -> String {
    let output = Command::new("/usr/sbin/postconf")
        .arg("-c")
        .arg(machine.path("etc/postfix"))
        .arg("-n")
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn backups(machine: &Machine) -> Vec<PathBuf> {
    let paths = machine.contents().into_iter().map(|(path, _)| path);
    paths
        .filter(|path| path.to_string_lossy().contains(".before-signpost-"))
        .collect()
}

/// A bare machine with a key that `opendkim-genkey` and the operator left.
fn with_a_key() -> Machine {
    let machine = Machine::bare();
    machine.add_key("etc/opendkim/example.org", "mail");
    machine
}

#[test]
fn a_bare_machine_is_set_up() {
    let machine = with_a_key();
    let shown = machine.setup(&["opendkim"]);
    assert!(
        shown.contains("/etc/opendkim.conf (new)") && shown.contains("nothing was written"),
        "{shown}"
    );
    assert!(shown.contains("+ *@example.org mail._domainkey.example.org"), "{shown}");
    assert!(!machine.path("etc/opendkim.conf").exists());
    machine.setup(&["opendkim", "--write"]);
    machine.setup(&["postfix", "--write"]);
    let report = machine.doctor();
    assert!(report.codes().is_empty(), "{:#}", report.0);
    opendkim_accepts(&machine);
    let set = postfix_accepts(&machine);
    assert!(set.contains("smtpd_milters = inet:localhost:12345"), "{set}");
    assert!(set.contains("non_smtpd_milters = $smtpd_milters"), "{set}");

    let before = machine.contents();
    for words in [&["opendkim", "--write"], &["postfix", "--write"]] {
        assert!(machine.setup(words).starts_with("nothing is missing\n"));
    }
    assert_eq!(machine.contents(), before, "the second time nothing changes");
}

#[test]
fn without_a_key_the_way_to_one_is_told() {
    let machine = Machine::bare();
    let said = machine.setup(&["opendkim", "--write"]);
    assert!(said.contains("opendkim-genkey"), "{said}");
    machine.setup(&["postfix", "--write"]);
    opendkim_accepts(&machine);
    assert_eq!(machine.doctor().codes(), ["opendkim-tables"]);
    machine.add_key("etc/opendkim/example.org", "mail");
    machine.setup(&["opendkim", "--write"]);
    assert!(machine.doctor().codes().is_empty());
}

#[test]
fn debians_own_configuration_is_mended_and_its_comments_stay() {
    let machine = with_a_key();
    let original = "# This is a basic configuration.\n\nSyslog\t\t\tyes\nUserID\t\t\topendkim\nUMask\t\t\t007\n\
                    Mode v # for now\nSocket\t\t\tlocal:/run/opendkim/opendkim.sock\n#Socket inet:8891\n\
                    PidFile\t\t\t/run/opendkim/opendkim.pid\n";
    machine.write("etc/opendkim.conf", original);
    machine.mode("etc/opendkim.conf", 0o640);
    machine.own("etc/opendkim.conf", 0, OPENDKIM_GROUP);
    let shown = machine.setup(&["opendkim", "--write"]);
    for line in [
        "    6 - Mode v # for now",
        "    6 + Mode sv",
        "    7 + Socket inet:12345@localhost",
        "      + KeyTable /etc/opendkim/KeyTable",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let written = machine.read("etc/opendkim.conf");
    assert!(written.starts_with("# This is a basic configuration.\n\nSyslog\t\t\tyes\nUserID\t\t\topendkim\n"));
    assert!(written.contains("#Socket inet:8891\nPidFile"), "{written}");
    machine.setup(&["postfix", "--write"]);
    assert!(machine.doctor().codes().is_empty());
    opendkim_accepts(&machine);

    let backups = backups(&machine);
    let of_conf: Vec<_> = backups
        .iter()
        .filter(|path| path.starts_with(machine.path("etc")))
        .collect();
    let conf = of_conf
        .iter()
        .find(|path| path.to_string_lossy().contains("opendkim.conf.before"));
    let conf = conf.expect("there is a backup");
    assert_eq!(fs::read_to_string(conf).unwrap(), original);
    for path in [&machine.path("etc/opendkim.conf"), *conf] {
        let metadata = fs::metadata(path).unwrap();
        let kept = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        assert_eq!(kept, (0o640, 0, OPENDKIM_GROUP), "{}", path.display());
    }
}

#[test]
fn other_milters_stay() {
    let machine = with_a_key();
    let milters =
        "smtpd_milters =\n  inet:localhost:11332,\n  unix:/clamav/milter\nnon_smtpd_milters = inet:localhost:11332\n";
    machine.append("etc/postfix/main.cf", milters);
    let original = machine.read("etc/postfix/main.cf");
    machine.setup(&["opendkim", "--write"]);
    let said = machine.setup(&["postfix", "--write"]);
    assert!(said.contains("keeps what it had"), "{said}");
    let set = postfix_accepts(&machine);
    let expected = "\nsmtpd_milters = inet:localhost:11332, unix:/clamav/milter, inet:localhost:12345\n";
    assert!(set.contains(expected), "{set}");
    assert!(
        set.contains("non_smtpd_milters = inet:localhost:11332, inet:localhost:12345\n"),
        "{set}"
    );
    assert!(machine.doctor().codes().is_empty());
    let backup = backups(&machine);
    assert_eq!(fs::read_to_string(&backup[0]).unwrap(), original);
}

/// A milter that nobody answers for holds up all mail.
#[test]
fn a_signer_that_postfix_cannot_reach_is_no_milter() {
    let machine = with_a_key();
    let declined = |machine: &Machine| {
        let before = machine.contents();
        for _ in 0..2 {
            let output = machine.run(&["setup", "postfix", "--write"]);
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("first `signpost setup opendkim --write`"), "{said}");
            assert!(!said.contains("nothing is missing"), "{said}");
        }
        assert_eq!(machine.contents(), before);
    };
    declined(&machine);
    machine.write("etc/opendkim.conf", "Socket local:/run/opendkim/opendkim.sock\n");
    declined(&machine);
    let said = machine.run(&["setup", "postfix", "--throttle"]).stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("+ smtp_destination_rate_delay = 5s"), "{said}");
}

#[test]
fn where_the_signer_used_to_listen_is_no_milter_any_more() {
    let machine = with_a_key();
    machine.write("etc/opendkim.conf", "Socket local:/run/opendkim/first.sock\n");
    machine.append(
        "etc/postfix/main.cf",
        "smtpd_milters = inet:localhost:11332, { unix:/run/opendkim/opendkim.sock, connect_timeout=1s },\n\
         \tunix:/run/opendkim/first.sock\nnon_smtpd_milters = unix:/run/opendkim/first.sock, $smtpd_milters\n",
    );
    let said = machine.setup(&["opendkim", "--write"]);
    assert!(said.contains("signpost setup postfix"), "{said}");
    machine.setup(&["postfix", "--write"]);
    let set = postfix_accepts(&machine);
    let list = "smtpd_milters = inet:localhost:11332, { inet:localhost:12345, connect_timeout=1s }\n";
    assert!(set.contains(&format!("\n{list}")), "{set}");
    assert!(set.contains("non_smtpd_milters = $smtpd_milters\n"), "{set}");
    let again = machine.setup(&["postfix", "--write"]);
    assert!(again.starts_with("nothing is missing"), "{again}");
}

/// Does OpenDKIM itself sign mail of this domain, and with which key?
fn signer_of(machine: &Machine, domain: &str) -> Option<String> {
    let said = told(machine, &MESSAGE.replace("a@example.org", &format!("a@{domain}")));
    let (_, signature) = said.split_once("'DKIM-Signature'")?;
    let (_, signed) = signature.split_once("d=")?;
    Some(signed.split(';').next()?.to_owned())
}

#[test]
fn each_kind_of_table_gets_rows_that_sign() {
    for (kind, old, new) in [
        ("file:", "example.org mail.example.org\n", "example.net"),
        ("file:", "a@example.org mail.example.org\n", "example.net"),
        ("refile:", "a@example.org mail.example.org\n", "*@example.net"),
        ("refile:", "*@example.org mail.example.org\n", "*@example.net"),
        ("file:", "*@example.org mail.example.org\n", "*@example.net"),
    ] {
        let machine = Machine::good();
        machine.add_key("etc/opendkim/example.net", "mail");
        machine.replace(
            "etc/opendkim.conf",
            "SigningTable refile:",
            &format!("SigningTable {kind}"),
        );
        machine.write("etc/opendkim/SigningTable", old);
        machine.setup(&["opendkim", "--write"]);
        let row = format!("{new} mail._domainkey.example.net\n");
        assert_eq!(
            machine.read("etc/opendkim/SigningTable"),
            format!("{old}{row}"),
            "{kind}{old}"
        );
        for domain in ["example.org", "example.net"] {
            assert_eq!(signer_of(&machine, domain).as_deref(), Some(domain), "{kind}{old}");
        }
        assert!(machine.doctor().codes().is_empty(), "{kind}{old}");
    }
}

/// With `refile:` the first row would sign no more.
#[test]
fn a_table_of_both_kinds_is_left_as_it_is() {
    let machine = Machine::good();
    machine.add_key("etc/opendkim/example.net", "mail");
    machine.replace("etc/opendkim.conf", "SigningTable refile:", "SigningTable file:");
    let old = "example.org mail.example.org\n*@example.com mail.example.org\n";
    machine.write("etc/opendkim/SigningTable", old);
    let said = machine.setup(&["opendkim", "--write"]);
    assert!(
        said.contains("/etc/opendkim/SigningTable:1: `example.org` works without"),
        "{said}"
    );
    assert!(machine.read("etc/opendkim.conf").contains("SigningTable file:"));
    for domain in ["example.org", "example.net"] {
        assert_eq!(signer_of(&machine, domain).as_deref(), Some(domain));
    }
}

#[test]
fn rows_stand_before_the_one_for_all() {
    let machine = Machine::good();
    machine.add_key("etc/opendkim/example.net", "mail");
    machine.append("etc/opendkim/SigningTable", "# all others\n* mail.example.org\n");
    let shown = machine.setup(&["opendkim", "--write"]);
    assert!(
        shown.contains("    3 + *@example.net mail._domainkey.example.net"),
        "{shown}"
    );
    for (sender, domain) in [("example.net", "example.net"), ("example.com", "example.org")] {
        assert_eq!(signer_of(&machine, sender).as_deref(), Some(domain));
    }
}

/// OpenDKIM would defer all mail of the domain.
#[test]
fn a_key_that_opendkim_cannot_use_gets_no_row() {
    let machine = Machine::good();
    let cases = [
        ("example.net", "cannot read the key", "chown opendkim:opendkim"),
        ("example.com", "RequireSafeKeys", "chmod o-rw"),
        (
            "100%/example.info",
            "cannot be written into a KeyTable",
            "without blanks",
        ),
    ];
    for (folder, _, _) in cases {
        machine.add_key(&format!("etc/opendkim/{folder}"), "mail");
    }
    machine.own("etc/opendkim/example.net/mail", 0, 0);
    machine.mode("etc/opendkim/example.com/mail", 0o644);
    let before = machine.contents();
    let said = machine.setup(&["opendkim", "--write"]);
    for (_, what, cure) in cases {
        assert!(
            said.lines().any(|line| line.contains(what) && line.contains(cure)),
            "{said}"
        );
    }
    assert_eq!(machine.contents(), before);
    machine.own("etc/opendkim/example.net/mail", OPENDKIM, OPENDKIM_GROUP);
    machine.setup(&["opendkim", "--write"]);
    assert_eq!(signer_of(&machine, "example.net").as_deref(), Some("example.net"));
}

#[test]
fn a_socket_that_the_unit_names_is_told() {
    let machine = with_a_key();
    let unit = "[Service]\nExecStart=\nExecStart=/usr/sbin/opendkim -p local:/run/opendkim/opendkim.sock\n";
    machine.write("etc/systemd/system/opendkim.service.d/override.conf", unit);
    machine.setup(&["opendkim", "--write"]);
    let before = machine.contents();
    let said = machine.setup(&["opendkim", "--write"]);
    assert!(
        said.contains("override.conf:3, which counts: write `inet:12345@localhost` there"),
        "{said}"
    );
    assert_eq!(machine.contents(), before, "nothing to change, and so no backup");
}

#[test]
fn relative_paths_begin_where_opendkim_begins_them() {
    let machine = Machine::good();
    machine.add_key("etc/opendkim/example.net", "mail");
    let conf = machine.read("etc/opendkim.conf").replace("/etc/opendkim/", "./");
    machine.write("etc/opendkim.conf", &(conf + "BaseDirectory /etc/opendkim\n"));
    machine.setup(&["opendkim", "--write"]);
    assert!(machine.read("etc/opendkim/KeyTable").contains("example.net:mail:"));
    assert!(!machine.path("KeyTable").exists() && machine.doctor().codes().is_empty());
}

#[test]
fn a_domain_with_a_row_gets_no_second_one() {
    let machine = Machine::good();
    machine.add_key("etc/opendkim/example.org", "newer");
    machine.add_key("etc/opendkim/example.net", "mail");
    machine.setup(&["opendkim", "--write"]);
    let table = machine.read("etc/opendkim/KeyTable");
    assert!(!table.contains("newer"), "{table}");
    let row = "mail._domainkey.example.net example.net:mail:/etc/opendkim/example.net/mail\n";
    assert!(table.ends_with(row), "{table}");
    assert!(machine.doctor().codes().is_empty());
    opendkim_accepts(&machine);
}

#[test]
fn the_tutorial_is_mended() {
    let machine = tutorial();
    machine.setup(&["opendkim", "--write"]);
    // Set twice, as people do: both go.
    machine.append("etc/postfix/main.cf", "default_destination_rate_delay = 5s\n");
    machine.setup(&["postfix", "--throttle", "--write"]);
    let again = machine.setup(&["postfix", "--throttle"]);
    assert!(again.starts_with("nothing is missing"), "{again}");
    opendkim_accepts(&machine);
    let set = postfix_accepts(&machine);
    assert!(set.contains("smtp_destination_rate_delay = 5s"), "{set}");
    assert!(set.contains("smtp_destination_recipient_limit = 3"), "{set}");
    assert!(!set.contains("default_extra_recipient_limit") && !set.contains("default_destination_rate_delay"));
    // What opendkim-genkey was told is in the .txt; Signpost would publish it mended.
    assert_eq!(machine.doctor().codes(), ["dkim-tag-h"]);
}

#[test]
fn a_link_stays_a_link() {
    let machine = with_a_key();
    machine.write("srv/main.cf", &machine.read("etc/postfix/main.cf"));
    fs::remove_file(machine.path("etc/postfix/main.cf")).unwrap();
    std::os::unix::fs::symlink("/srv/main.cf", machine.path("etc/postfix/main.cf")).unwrap();
    machine.setup(&["opendkim", "--write"]);
    machine.setup(&["postfix", "--write"]);
    assert!(machine.path("etc/postfix/main.cf").is_symlink());
    assert!(machine.read("srv/main.cf").contains("smtpd_milters"));
}

#[test]
fn without_postfix_it_says_so() {
    let machine = Machine::bare();
    fs::remove_dir_all(machine.path("etc/postfix")).unwrap();
    let output = machine.run(&["setup", "postfix"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("apt-get install postfix"));
}

/// A file that may not be read is neither new nor missing.
#[test]
fn who_may_not_read_is_told_to_be_root() {
    let machine = with_a_key();
    machine.setup(&["opendkim", "--write"]);
    machine.mode("etc/postfix/main.cf", 0o600);
    machine.mode("etc/opendkim.conf", 0o600);
    let program = machine.path("signpost");
    fs::copy(crate::common::signpost::BINARY, &program).unwrap();
    let as_nobody = |words: &[&str]| {
        let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let mut command = Command::new("setpriv");
        command
            .args(nobody)
            .arg(&program)
            .args(words)
            .arg("--root")
            .arg(machine.root());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), said)
    };
    for (program, file) in [("postfix", "/etc/postfix/main.cf"), ("opendkim", "/etc/opendkim.conf")] {
        let (code, said) = as_nobody(&["setup", program]);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains(&format!("cannot read {file}")) && said.contains("as root"),
            "{said}"
        );
        assert!(!said.contains("(new)") && !said.contains("apt-get"), "{said}");
    }
    let (_, said) = as_nobody(&["doctor"]);
    assert!(said.contains("main.cf cannot be read here"), "{said}");
}

#[test]
fn a_broken_configuration_of_signpost_is_shown_where_it_is() {
    let machine = with_a_key();
    machine.write("etc/signpost/signpost.toml", "keys = \n");
    let output = machine.run(&["setup", "opendkim"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("signpost.toml:1:") && said.contains("1 | keys ="),
        "{said}"
    );
}

/// The first file was written before the second failed.
#[test]
fn what_was_written_is_to_be_put_in_force_although_another_failed() {
    let machine = with_a_key();
    // A name so long that none can be made of it for the file beside it.
    let hosts = "h".repeat(250);
    machine.write(
        "etc/opendkim.conf",
        &format!("Mode v\nInternalHosts /etc/opendkim/{hosts}\n"),
    );
    let output = machine.run(&["setup", "opendkim", "--write"]);
    let (said, complaint) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(2), "{said}{complaint}");
    assert!(
        said.contains("wrote /etc/opendkim.conf") && said.contains("systemctl restart opendkim"),
        "{said}{complaint}"
    );
}

#[test]
fn what_cannot_be_written_is_told_and_left() {
    let machine = with_a_key();
    machine.setup(&["opendkim", "--write"]);
    machine.own("etc/postfix/main.cf", OPENDKIM, 0);
    // The file system is read-only.
    let script = format!(
        "mount --make-rprivate / && mount --bind {0}/etc {0}/etc && mount -o remount,bind,ro {0}/etc && exec {1} setup postfix --write --root {0}",
        machine.root().display(),
        crate::common::signpost::BINARY
    );
    let before = machine.contents();
    let output = Command::new("unshare")
        .args(["-m", "sh", "-ec", &script])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cannot write /etc/postfix/main.cf"),
        "{output:?}"
    );
    assert_eq!(machine.contents(), before);
}
