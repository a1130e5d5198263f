//! Which keys are safe: our computation beside OpenDKIM's own judgement, over owners, groups and modes of the key
//! and of the folder above it.

use crate::machine::{Machine, OPENDKIM};
use std::process::Command;

pub(crate) const MESSAGE: &str =
    "From: a@example.org\r\nTo: b@example.net\r\nSubject: x\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\nx\r\n";

/// What OpenDKIM does with a message, in the machine's /etc. It takes the sender for a stranger: no mode but `s` signs.
pub(crate) fn told(machine: &Machine, message: &str) -> String {
    machine.write("etc/message", message);
    machine.write("etc/signing.conf", &(machine.read("etc/opendkim.conf") + "Mode s\n"));
    let script = format!(
        "mount --make-rprivate / && mount --bind {}/etc /etc && \
         exec setpriv --reuid {OPENDKIM} --regid 107 --init-groups /usr/sbin/opendkim -x /etc/signing.conf -t /etc/message -vv",
        machine.root().display()
    );
    let output = Command::new("unshare")
        .args(["-m", "sh", "-ec", &script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("mlfi_eo"), "{said}");
    said
}

/// Does OpenDKIM sign with the key?
fn signs(machine: &Machine) -> bool {
    let said = told(machine, MESSAGE);
    let signed = said.contains("'DKIM-Signature'");
    assert_ne!(signed, said.contains("TEMPFAIL"), "{said}");
    signed
}

#[test]
fn opendkim_is_of_the_same_opinion() {
    let machine = Machine::good();
    machine.replace(
        "etc/group",
        "postfix:x:111:",
        "postfix:x:111:\nshared:x:200:opendkim\nmixed:x:201:opendkim,nobody",
    );
    let (key, folder) = ("etc/opendkim/example.org/mail", "etc/opendkim/example.org");
    // Owner and group of key and folder, with their modes.
    let cases = [
        ((104, 107, 0o600), (104, 107, 0o711)),
        ((104, 107, 0o660), (104, 107, 0o711)),
        ((104, 107, 0o644), (104, 107, 0o711)),
        ((104, 107, 0o602), (104, 107, 0o711)),
        ((0, 107, 0o640), (0, 0, 0o755)),
        ((0, 200, 0o640), (0, 0, 0o755)),
        ((0, 201, 0o640), (0, 0, 0o755)),
        ((104, 201, 0o600), (0, 0, 0o755)),
        ((104, 111, 0o640), (0, 0, 0o755)),
        ((65534, 107, 0o640), (0, 0, 0o755)),
        ((104, 107, 0o600), (0, 0, 0o775)),
        ((104, 107, 0o600), (0, 107, 0o775)),
        ((104, 107, 0o600), (0, 111, 0o775)),
        ((104, 107, 0o600), (0, 201, 0o775)),
        ((104, 107, 0o600), (65534, 0, 0o755)),
        ((104, 107, 0o600), (65534, 0, 0o555)),
        ((104, 107, 0o600), (0, 0, 0o1777)),
        ((104, 107, 0o000), (0, 0, 0o755)),
        ((0, 0, 0o600), (0, 0, 0o755)),
        ((104, 107, 0o600), (0, 0, 0o700)),
        ((104, 107, 0o600), (0, 107, 0o710)),
    ];
    for ((uid, gid, mode), (folder_uid, folder_gid, folder_mode)) in cases {
        machine.own(key, uid, gid);
        machine.mode(key, mode);
        machine.own(folder, folder_uid, folder_gid);
        machine.mode(folder, folder_mode);
        let report = machine.doctor();
        let ours = !report.codes().iter().any(|code| code.starts_with("opendkim-key-un"));
        let case = format!("key {uid}:{gid} {mode:o}, folder {folder_uid}:{folder_gid} {folder_mode:o}");
        assert_eq!(ours, signs(&machine), "{case}: {:#}", report.0);
    }
}
