use super::*;

fn read(text: &str) -> Result<Signer, String> {
    let entry: Result<SignerEntry, _> = toml::from_str(text);
    entry
        .map(|entry| entry.below(Path::new("/etc/signpost"), Path::new("/etc/dkimkeys")))
        .map_err(|error| error.message().to_owned())
}

#[test]
fn each_kind_has_its_files_and_defaults() {
    let opendkim = read("kind = 'opendkim'\nkey_table = 'KeyTable'\nsigning_table = 'refile:/t/SigningTable'").unwrap();
    let tables = SignerKind::OpenDkim {
        key_table: "/etc/signpost/KeyTable".into(),
        signing_table: "/t/SigningTable".into(),
    };
    assert_eq!((&opendkim.kind, opendkim.mode), (&tables, 0o600));
    assert_eq!(opendkim.keys, "/etc/dkimkeys/{domain}/{selector}.private");
    assert!(opendkim.can_sign_with(NewKey::Rsa4096) && !opendkim.can_sign_with(NewKey::Ed25519));
    let rspamd = read("kind = 'rspamd'\nselector_map = 'map'").unwrap();
    assert_eq!(rspamd.keys, "/etc/dkimkeys/{domain}.{selector}.key");
    let exim = read("kind = 'exim'\nselectors = 'map'\nkeys = '/k/{domain}.{selector}.pem'").unwrap();
    assert_eq!(exim.keys, "/k/{domain}.{selector}.pem");
    assert!(exim.can_sign_with(NewKey::Ed25519));
    let hook = read("kind = 'hook'\nhook = ['/bin/true', 'x']\nowner = ':mail'\nmode = '640'").unwrap();
    assert_eq!((hook.name(), hook.hook.len(), hook.mode), ("hook", 2, 0o640));
}

#[test]
fn slips_are_told_with_their_cure() {
    let tables = "kind = 'opendkim'\nkey_table = 'k'\nsigning_table = 's'\n";
    for (text, words) in [
        ("", "missing field `kind`"),
        ("kind = 'sendmail'", "unknown variant `sendmail`"),
        ("kind = 'opendkim'", "`key_table` is missing; add the path"),
        (
            "kind = 'rspamd'\nselector_map = 'x'\nkey_table = 'k'",
            "`key_table` is for kind = \"opendkim\" only; remove",
        ),
        (
            "kind = 'exim'\nselectors = 's'\npid_file = 'p'",
            "`pid_file` is for kind",
        ),
        ("kind = 'hook'", "add `hook`"),
        (
            &format!("{tables}reload = ['x']\npid_file = 'p'"),
            "two ways to the same end; keep one",
        ),
        (&format!("{tables}reload = []"), "the command is empty; name a program"),
        (
            &format!("{tables}keys = 'keys/{{domain}}.private'"),
            "several keys into one file; write {domain}",
        ),
        (&format!("{tables}keys = '{{domain}} {{selector}}'"), "has a blank"),
        (
            &format!("{tables}keys = '../{{domain}}/{{selector}}.private'"),
            "has .. in it; write where",
        ),
        (
            &format!("{tables}keys = '{{domain}}/{{selector}}.txt'"),
            "such a name as \"{selector}.txt\"; write {selector}.private",
        ),
        (&format!("{tables}keys = '{{selector}}.{{domain}}.bak'"), "such a name"),
        (&format!("{tables}keys = '{{domain}}/{{selector}}.pub'"), "such a name"),
        (
            &format!("{tables}mode = '0644'"),
            "is no mode for a private key; write \"0600\"",
        ),
        (&format!("{tables}mode = '0060'"), "is no mode"),
        (&format!("{tables}owner = ':'"), "names nobody; write"),
        (&format!("{tables}algorithms = []"), "`algorithms` is empty"),
        (
            &format!("{tables}algorithms = ['rsa', 'ed25519']"),
            "one SignatureAlgorithm for all of its keys; keep one",
        ),
        (
            "kind = 'opendkim'\nkey_table = 'db:/k'\nsigning_table = 's'",
            "type db cannot be rewritten; use a text file",
        ),
        (
            "kind = 'rspamd'\nselector_map = 'm'\nalgorithms = ['rsa', 'ed25519']",
            "one selector for each domain; keep one",
        ),
    ] {
        let told = read(text).unwrap_err();
        assert!(told.contains(words), "{text}: {told}");
    }
}
