//! A good machine with one fault: it is found, and nothing else is.

use crate::machine::{Machine, OPENDKIM, OPENDKIM_GROUP, POSTFIX};

/// A test for each fault: its name, the code that is told, and what is done to the machine.
macro_rules! faults {
    ($($name:ident: $code:literal, $fault:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let machine = Machine::good();
                let fault: fn(&Machine) = $fault;
                fault(&machine);
                let report = machine.doctor();
                assert_eq!(report.codes(), [$code], "{:#}", report.0);
                let finding = report.one($code);
                assert!(!finding["cure"].as_str().unwrap().is_empty());
                assert!(finding["file"].is_string(), "{finding:#}");
            }
        )*
    };
}

const CONF: &str = "etc/opendkim.conf";
const KEY: &str = "etc/opendkim/example.org/mail";
const FOLDER: &str = "etc/opendkim/example.org";
const MAIN: &str = "etc/postfix/main.cf";

faults! {
    an_option_nobody_knows: "opendkim-option", |m| m.append(CONF, "Sokcet inet:1@localhost\n");
    an_option_without_a_value: "opendkim-option", |m| m.append(CONF, "Nameservers\n");
    an_included_file_that_is_not_there: "opendkim-include", |m| m.append(CONF, "Include /etc/more.conf\n");
    only_verifying: "opendkim-mode", |m| m.append(CONF, "Mode v\n");
    a_user_that_is_none: "opendkim-user", |m| m.replace(CONF, "UserID opendkim:opendkim", "UserID dkim");
    running_as_root: "opendkim-user", |m| {
        m.replace(CONF, "UserID opendkim:opendkim\n", "");
        m.own(KEY, 0, 0);
        m.own(FOLDER, 0, 0);
    };
    no_socket: "opendkim-socket", |m| m.replace(CONF, "Socket inet:12345@localhost\n", "");
    a_socket_that_is_none: "opendkim-socket", |m| m.replace(CONF, "inet:12345@localhost", "localhost:12345");
    a_socket_for_everybody: "opendkim-socket-open", |m| m.replace(CONF, "inet:12345@localhost", "inet:12345");
    a_socket_by_the_unit: "opendkim-socket-twice", |m| {
        let unit = "[Service]\nExecStart=\nExecStart=/usr/sbin/opendkim -p inet:12345@127.0.0.1\n";
        m.write("etc/systemd/system/opendkim.service.d/override.conf", unit);
    };
    a_socket_in_no_folder: "opendkim-socket-directory", |m| {
        m.replace(CONF, "inet:12345@localhost", "local:/var/spool/postfix/opendkim/s");
        m.replace(MAIN, "inet:localhost:12345", "unix:opendkim/s");
        // Postfix is asked about the same socket, so its user is taken out of the picture.
        m.replace("etc/passwd", "postfix:x:108", "postfox:x:108");
    };
    no_pid_file: "opendkim-pid-file", |m| m.replace(CONF, "PidFile /run/opendkim/opendkim.pid\n", "");
    another_pid_file: "opendkim-pid-file", |m| m.replace(CONF, "/run/opendkim/opendkim.pid", "/run/opendkim.pid");
    this_machine_is_not_internal: "opendkim-internal-hosts", |m| m.write("etc/opendkim/TrustedHosts", "192.0.2.1\n");
    this_machine_is_not_internal_in_a_list: "opendkim-internal-hosts", |m| {
        m.append(CONF, "InternalHosts 192.0.2.1, 192.0.2.2\n");
    };
    hosts_that_opendkim_cannot_read: "opendkim-unreadable", |m| {
        m.write("etc/opendkim/Ignored", "192.0.2.1\n");
        m.mode("etc/opendkim/Ignored", 0o600);
        m.append(CONF, "ExternalIgnoreList /etc/opendkim/Ignored\n");
    };
    a_key_table_that_opendkim_cannot_read: "opendkim-unreadable", |m| m.mode("etc/opendkim/KeyTable", 0o600);
    a_signing_table_that_is_not_there: "opendkim-unreadable", |m| {
        m.append(CONF, "SigningTable refile:/etc/opendkim/None\n");
    };
    a_key_table_alone: "opendkim-tables", |m| m.replace(CONF, "SigningTable refile:/etc/opendkim/SigningTable\n", "");
    no_key_at_all: "opendkim-tables", |m| {
        m.replace(CONF, "SigningTable refile:/etc/opendkim/SigningTable\n", "");
        m.replace(CONF, "KeyTable refile:/etc/opendkim/KeyTable\n", "");
    };
    a_row_that_is_none: "key-table-syntax", |m| m.append("etc/opendkim/KeyTable", "other example.net\n");
    a_row_that_nobody_uses: "opendkim-key-unused", |m| {
        m.append("etc/opendkim/KeyTable", "other example.org:mail:/etc/opendkim/example.org/mail\n");
    };
    a_name_that_no_row_has: "opendkim-key-unknown", |m| m.append("etc/opendkim/SigningTable", "*@example.net other\n");
    a_pattern_in_a_plain_file: "opendkim-pattern", |m| m.replace(CONF, "SigningTable refile:", "SigningTable file:");
    a_domain_without_a_pattern: "opendkim-pattern", |m| {
        m.write("etc/opendkim/SigningTable", "*@example.org mail.example.org\nexample.net mail.example.org\n");
    };
    a_key_that_is_not_there: "opendkim-key-unreadable", |m| {
        m.append("etc/opendkim/KeyTable", "two example.org:two:/etc/opendkim/example.org/two\n");
        m.append("etc/opendkim/SigningTable", "*@example.org two\n");
    };
    a_key_of_root: "opendkim-key-unreadable", |m| m.own(KEY, 0, 0);
    a_folder_of_root: "opendkim-key-unreadable", |m| {
        m.own(FOLDER, 0, 0);
        m.mode(FOLDER, 0o700);
        // Signpost is let in, to leave one fault.
        m.replace("etc/passwd", "signpost:x:990:990", "signpost:x:0:0");
    };
    a_key_for_everybody: "opendkim-key-unsafe", |m| m.mode(KEY, 0o644);
    a_key_for_a_group_of_others: "opendkim-key-unsafe", |m| {
        m.mode(KEY, 0o640);
        m.replace("etc/group", "opendkim:x:107:", "opendkim:x:107:signpost");
    };
    a_folder_that_everybody_writes: "opendkim-key-unsafe", |m| m.mode(FOLDER, 0o1777);
    a_folder_of_a_stranger: "opendkim-key-unsafe", |m| m.own(FOLDER, 65534, 65534);
    an_unsafe_key_that_is_let_pass: "opendkim-key-unsafe", |m| {
        m.mode(KEY, 0o644);
        m.append(CONF, "RequireSafeKeys no\n");
    };
    a_key_that_is_none: "key-garbage", |m| m.write(KEY, "not a key\n");
    a_record_of_another_key: "doctor-txt-differs", |m| {
        let mut text = m.read("etc/opendkim/example.org/mail.txt");
        let at = text.find("p=").unwrap() + 60;
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        text.replace_range(at..=at, other);
        m.write("etc/opendkim/example.org/mail.txt", &text);
    };
    a_key_that_is_not_published: "doctor-key-unpublished", |m| {
        m.write("etc/signpost/signpost.toml", "keys = \"keys\"\n");
        std::fs::create_dir(m.path("etc/signpost/keys")).unwrap();
    };
    another_key_is_published: "doctor-key-differs", |m| {
        m.write("etc/signpost/signpost.toml", "keys = \"keys\"\n");
        m.write("etc/signpost/keys/example.org/mail.private", &crate::common::keys::ed25519());
    };
    signpost_cannot_read_the_keys: "doctor-key-unreadable", |m| m.mode(FOLDER, 0o700);
    signpost_cannot_list_its_directory: "doctor-key-unreadable", |m| {
        m.write("etc/signpost/signpost.toml", "keys = \"keys\"\n");
        m.add_key("etc/signpost/keys/example.org", "mail");
        m.mode("etc/signpost/keys", 0o711);
    };
    keys_at_home: "doctor-key-unreadable", |m| {
        m.write("etc/signpost/signpost.toml", "keys = \"/home/keys\"\n");
        m.add_key("home/keys/example.org", "mail");
        m.append("usr/lib/systemd/system/signpost.service", "ProtectHome=yes\n");
    };
    mail_by_smtp_is_not_signed: "postfix-no-milter", |m| {
        m.replace(MAIN, "smtpd_milters = inet:localhost:12345\nnon_smtpd_milters = $smtpd_milters", "non_smtpd_milters = inet:localhost:12345");
    };
    mail_by_sendmail_is_not_signed: "postfix-no-milter", |m| {
        m.replace(MAIN, "non_smtpd_milters = $smtpd_milters\n", "");
    };
    another_port: "postfix-milter-elsewhere", |m| {
        m.replace(MAIN, "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters = inet:localhost:8891");
    };
    a_second_line_of_milters: "postfix-set-twice", |m| m.append(MAIN, "smtpd_milters = inet:localhost:12345\n");
    a_service_without_milters: "postfix-milter-overridden", |m| {
        m.replace("etc/postfix/master.cf", "-o syslog_name=postfix/submission", "-o smtpd_milters=");
    };
    a_service_that_asks_no_milter: "postfix-milter-overridden", |m| {
        m.replace(
            "etc/postfix/master.cf",
            "-o syslog_name=postfix/submission",
            "-o { receive_override_options = no_header_body_checks, no_milters }",
        );
    };
    mail_is_lost_while_the_signer_is_down: "postfix-default-action", |m| {
        m.append(MAIN, "milter_default_action = reject\n");
    };
    an_old_protocol: "postfix-milter-protocol", |m| m.append(MAIN, "milter_protocol = 2\n");
    a_limit_of_something_else: "postfix-extra-recipient-limit", |m| {
        m.append(MAIN, "default_extra_recipient_limit = 3\n");
    };
    mailboxes_are_throttled: "postfix-throttle-local", |m| m.append(MAIN, "default_destination_rate_delay = 5s\n");
    each_recipient_is_throttled: "postfix-throttle-recipient", |m| {
        m.append(MAIN, "smtp_destination_rate_delay = 5s\nsmtp_destination_recipient_limit = 1\n");
    };
    postfix_may_not_connect: "postfix-socket-access", |m| {
        within_the_chroot(m);
        m.replace(CONF, "UMask 002", "UMask 007");
    };
    postfix_may_not_pass: "postfix-socket-access", |m| {
        within_the_chroot(m);
        m.replace(CONF, "UMask 002", "UMask 000");
        m.mode("var/spool/postfix/opendkim", 0o750);
    };
}

/// OpenDKIM's socket within Postfix's chroot, as Debian advises. Mail by sendmail(1) gets there by the path from
/// outside, to leave one fault.
fn within_the_chroot(m: &Machine) {
    m.replace(CONF, "inet:12345@localhost", "local:/var/spool/postfix/opendkim/s");
    m.replace(
        MAIN,
        "smtpd_milters = inet:localhost:12345\nnon_smtpd_milters = $smtpd_milters",
        "smtpd_milters = unix:/opendkim/s\nnon_smtpd_milters = unix:opendkim/s",
    );
    std::fs::create_dir_all(m.path("var/spool/postfix/opendkim")).unwrap();
    m.own("var/spool/postfix/opendkim", OPENDKIM, OPENDKIM_GROUP);
}

#[test]
fn a_socket_in_the_chroot_is_well_for_who_is_in_the_group() {
    let machine = Machine::good();
    within_the_chroot(&machine);
    machine.replace(CONF, "UMask 002", "UMask 007");
    machine.mode("var/spool/postfix/opendkim", 0o750);
    machine.replace("etc/group", "opendkim:x:107:", "opendkim:x:107:postfix");
    let report = machine.doctor();
    // The key is for its owner alone, so the group may have members.
    assert!(report.codes().is_empty(), "{:#}", report.0);
}

#[test]
fn a_socket_that_is_there_is_judged_by_its_own_mode() {
    let machine = Machine::good();
    within_the_chroot(&machine);
    let socket = machine.path("var/spool/postfix/opendkim/s");
    let _listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    machine.mode("var/spool/postfix/opendkim/s", 0o777);
    assert!(machine.doctor().codes().is_empty());
    machine.mode("var/spool/postfix/opendkim/s", 0o770);
    assert!(machine.doctor().codes().contains(&"postfix-socket-access"));
    machine.own("var/spool/postfix/opendkim/s", POSTFIX, 0);
    assert!(machine.doctor().codes().is_empty());
}

#[test]
fn debians_socket_is_out_of_reach_for_debians_postfix() {
    let machine = Machine::good();
    machine.replace(CONF, "inet:12345@localhost", "local:/run/opendkim/opendkim.sock");
    machine.replace(
        "etc/postfix/main.cf",
        "inet:localhost:12345",
        "unix:/run/opendkim/opendkim.sock",
    );
    let report = machine.doctor();
    assert_eq!(report.codes(), ["postfix-milter-elsewhere"; 2], "{:#}", report.0);
    let told = report.0.to_string();
    assert!(told.contains("smtpd has /var/spool/postfix for its root"), "{told}");
}

#[test]
fn neither_program_is_there() {
    let machine = Machine::bare();
    std::fs::remove_dir_all(machine.path("etc/postfix")).unwrap();
    let report = machine.doctor();
    assert_eq!((report.codes(), report.exit()), (vec!["opendkim-missing"], 1));
    assert!(report.notes().contains(&"postfix-missing"));
}

/// Whoever signs by another program lacks nothing.
#[test]
fn another_program_signs() {
    let machine = Machine::bare();
    std::fs::remove_dir_all(machine.path("etc/postfix")).unwrap();
    machine.write("etc/rspamd/local.d/dkim_signing.conf", "enabled = true;\n");
    let report = machine.doctor();
    assert!(report.codes().is_empty() && report.exit() == 0, "{:#}", report.0);
    assert!(report.notes().contains(&"opendkim-missing"));
}

#[test]
fn one_domain_without_tables_is_well() {
    let machine = Machine::good();
    machine.replace(
        CONF,
        "KeyTable refile:/etc/opendkim/KeyTable\n",
        "Domain example.org\nSelector mail\n",
    );
    machine.replace(
        CONF,
        "SigningTable refile:/etc/opendkim/SigningTable\n",
        "KeyFile /etc/opendkim/example.org/mail\n",
    );
    assert!(machine.doctor().codes().is_empty());
    machine.mode(KEY, 0o644);
    assert_eq!(machine.doctor().codes(), ["opendkim-key-unsafe"]);
}

#[test]
fn a_table_for_any_domain_is_followed() {
    let machine = Machine::good();
    machine.write("etc/opendkim/KeyTable", "any %:mail:/etc/opendkim/%/mail\n");
    machine.write("etc/opendkim/SigningTable", "*@example.org any\n");
    let report = machine.doctor();
    assert!(report.codes().is_empty(), "{:#}", report.0);
    machine.mode(KEY, 0o644);
    assert_eq!(machine.doctor().codes(), ["opendkim-key-unsafe"]);
}

#[test]
fn a_key_named_by_the_senders_domain_is_in_use() {
    let machine = Machine::good();
    machine.write(
        "etc/opendkim/KeyTable",
        "example.org example.org:mail:/etc/opendkim/example.org/mail\n",
    );
    machine.write("etc/opendkim/SigningTable", "* %\n");
    let report = machine.doctor();
    assert!(report.codes().is_empty(), "{:#}", report.0);
}

#[test]
fn a_default_that_nobody_heeds_is_a_note() {
    let machine = Machine::good();
    let text = "RUNDIR=/run/opendkim\nSOCKET=local:$RUNDIR/opendkim.sock\n";
    machine.write("etc/default/opendkim", text);
    let report = machine.doctor();
    assert!(report.codes().is_empty() && report.notes().contains(&"opendkim-default-unused"));
    // Without a unit it is the init script that heeds it.
    std::fs::remove_file(machine.path("usr/lib/systemd/system/opendkim.service")).unwrap();
    assert!(machine.doctor().codes().contains(&"opendkim-socket-twice"));
}

#[test]
fn signpost_may_have_the_group_by_its_unit() {
    let machine = Machine::good();
    machine.mode(KEY, 0o640);
    machine.mode("etc/opendkim/example.org/mail.txt", 0o600);
    machine.mode(FOLDER, 0o750);
    assert_eq!(machine.doctor().codes(), ["doctor-key-unreadable"]);
    // opendkim-keys.conf: OpenDKIM does not count who has the group by a unit.
    let drop_in = "usr/lib/systemd/system/signpost.service.d/opendkim-keys.conf";
    machine.write(drop_in, "[Service]\nSupplementaryGroups=opendkim\n");
    let report = machine.doctor();
    assert!(report.codes().is_empty(), "{:#}", report.0);
}
