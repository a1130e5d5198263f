//! OpenDKIM tables.

use super::*;

#[test]
fn a_key_table_names_what_paths_do_not() {
    let (a, b) = (ed25519(1), ed25519(2));
    let inline = b.0.trim().replace('\n', "\\n");
    let base64 = a.0.lines().nth(1).unwrap();
    let table = format!(
        "# keys\n\nk1 example.org:mail:./k1\nk2\tExample.NET.:MAIL:../keys/sub/../k1 # shared\nk3 example.com:m:{inline}\nk4 one.test:m:{base64}\n"
    );
    let (keys, findings) = directory(&[("keys/KeyTable", &table), ("keys/k1", &a.0)]);
    assert_eq!(findings, vec![]);
    assert_eq!(
        owners(&keys),
        [
            "m example.com.",
            "mail example.net.",
            "mail example.org.",
            "m one.test."
        ]
    );
    assert_eq!(only_p(&keys, "example.net"), a.1);
    assert_eq!(only_p(&keys, "example.com"), b.1);
    assert_eq!(only_p(&keys, "one.test"), a.1);
    assert!(!format!("{keys:?}").contains(&base64[20..40]));
}

#[test]
fn percent_is_every_domain_that_the_signing_table_signs_for() {
    let (a, b) = (ed25519(1), ed25519(2));
    let (mut keys, findings) = directory(&[
        (
            "keys/key.table",
            "all %:mail:./shared\neach %:s2:./of/%.pem\nown example.org:s3:./shared\n",
        ),
        (
            "keys/signing.table",
            "*@example.org all\nexample.net all:i@example.net\nuser@example.com each\n*@one.test none\n*@*.test all\n",
        ),
        ("keys/shared", &a.0),
        ("keys/of/example.com.pem", &b.0),
    ]);
    assert_eq!(
        owners(&keys),
        [
            "s2 example.com.",
            "mail example.net.",
            "mail example.org.",
            "s3 example.org."
        ]
    );
    assert_eq!(codes(&findings), ["key-table-wildcard", "signing-table-unknown-key"]);
    assert_eq!(findings[1].place.as_ref().unwrap().line, Some(4));
    keys.update(
        Path::new("keys/signing.table"),
        Some(b"*@example.org all\n*@two.test each\n"),
    );
    let (changed, findings) = keys.resolve();
    assert_eq!(
        changed.into_iter().map(|domain| domain.to_string()).collect::<Vec<_>>(),
        ["example.com.", "example.net."]
    );
    assert_eq!(owners(&keys), ["mail example.org.", "s3 example.org."]);
    assert_eq!(codes(&findings), ["key-table-file-missing", "key-no-domain"]);
}

#[test]
fn bad_rows_are_named_by_line_and_leave_the_others_alone() {
    let (pem, _) = ed25519(1);
    let secret = &pem.lines().nth(1).unwrap()[..60];
    let table = format!(
        "good example.org:mail:./k\nlost example.org:s:./nowhere\nshort example.org:mail\nbad exa mple:mail:./k\nsel example.org:a b:./k\nnokey example.org:s:\nrel example.org:r:sub/k.pem\nkey example.org:s:{secret}\nplus {secret}AAAAAAAAAAAA:s:./k\nmend example.org:m._domainkey:./k\n"
    );
    let (keys, findings) = directory(&[("keys/KeyTable", &table), ("keys/k", &pem), ("keys/sub/k.pem", &pem)]);
    assert_eq!(owners(&keys), ["m example.org.", "mail example.org.", "r example.org."]);
    let lines: Vec<_> = findings
        .iter()
        .map(|finding| (finding.place.as_ref().unwrap().line.unwrap(), finding.code))
        .collect();
    assert_eq!(
        lines,
        [
            (2, "key-table-file-missing"),
            (3, "key-table-syntax"),
            (4, "key-table-syntax"),
            (5, "key-table-syntax"),
            (6, "key-table-syntax"),
            (7, "key-table-path"),
            (8, "key-damaged"),
            (9, "key-table-syntax"),
            (10, "key-table-selector"),
        ]
    );
    assert!(!format!("{findings:?}{keys:?}").contains(&secret[20..40]));
}

#[test]
fn a_table_keeps_its_good_rows_while_it_is_edited() {
    let (pem, _) = ed25519(1);
    let files = [
        ("keys/KeyTable", "a one.test:m:./k\nb two.test:m:./k\n"),
        ("keys/k", &pem),
    ];
    let (mut keys, _) = directory(&files);
    for (table, left) in [("", 2), ("\n", 2), ("a one.test:m:./k\nb two.te", 2), ("# none\n", 0)] {
        keys.update(Path::new("keys/KeyTable"), Some(table.as_bytes()));
        let (_, findings) = keys.resolve();
        assert_eq!(keys.domains().len(), left, "{table}: {findings:?}");
        assert_eq!(findings.len(), 1, "{table}: {findings:?}");
    }
}

#[test]
fn a_key_table_overrules_the_path_and_says_so() {
    let (pem, _) = ed25519(1);
    let files = [
        ("keys/example.org/default.private", pem.as_str()),
        ("keys/KeyTable", "k example.org:2026b:./example.org/default.private\n"),
    ];
    let (mut keys, findings) = directory(&files);
    assert_eq!(
        (owners(&keys), codes(&findings)),
        (vec!["2026b example.org.".to_owned()], vec!["key-table-overrules"])
    );
    keys.update(Path::new("keys/KeyTable"), None);
    let (changed, findings) = keys.resolve();
    assert_eq!((changed.len(), findings), (1, vec![]));
    assert_eq!(owners(&keys), ["default example.org."]);
}

#[test]
fn asks_for_files_outside_of_the_root_and_takes_them() {
    let (pem, p) = ed25519(1);
    let mut keys = KeyDirectory::new(Path::new("/etc/opendkim"));
    keys.update(
        Path::new("/etc/opendkim/KeyTable"),
        Some(b"k example.org:mail:/var/dkim/mail.private\n"),
    );
    assert_eq!(
        keys.wanted(),
        [Path::new("/var/dkim/mail.private"), Path::new("/var/dkim/mail.txt")]
    );
    assert_eq!(
        keys.resolve(),
        (Default::default(), vec![]),
        "not asked for yet, so not missing"
    );
    keys.update(Path::new("/var/dkim/mail.private"), None);
    let (_, findings) = keys.resolve();
    assert_eq!(codes(&findings), ["key-table-file-missing"]);
    keys.update(Path::new("/var/dkim/mail.private"), Some(pem.as_bytes()));
    keys.update(
        Path::new("/var/dkim/mail.txt"),
        Some(format!("v=DKIM1; k=ed25519; t=s; p={p}").as_bytes()),
    );
    let (_, findings) = keys.resolve();
    assert_eq!(findings, vec![]);
    assert_eq!(
        &*keys.keys_of(&name("example.org"))[0].record,
        format!("v=DKIM1; k=ed25519; t=s; p={p}")
    );
    keys.update(Path::new("/etc/opendkim/KeyTable"), Some(b"# nothing\n"));
    assert_eq!(keys.resolve().0.len(), 1);
    assert!(keys.wanted().is_empty() && keys.domains().is_empty());
}

#[test]
fn a_row_added_to_a_large_key_table_relinks_one_row() {
    let (pem, _) = ed25519(1);
    let mut table: String = (0..20_000).map(|i| format!("k{i} d{i}.example.org:m:./k\n")).collect();
    let (mut keys, _) = directory(&[("keys/KeyTable", &table), ("keys/k", &pem)]);
    table.insert_str(0, "first new.test:m:./k\n");
    keys.update(Path::new("keys/KeyTable"), Some(table.as_bytes()));
    assert_eq!(keys.resolve().0.into_iter().collect::<Vec<_>>(), [name("new.test")]);
    assert_eq!(keys.domains().len(), 20_001);
}
