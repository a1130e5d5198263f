//! Every option of `[[signer]]`, in the same form as [`super::options`] and to the same ends.

use super::options::{OptionRow, at_once as row};

/// All of them.
#[rustfmt::skip]
pub const SIGNER_OPTIONS: &[OptionRow] = &[
    row("signer.kind", r#""opendkim", "rspamd", "exim" or "hook""#, "none: it must be written", r#"kind = "opendkim""#,
        "Which program signs. A hook is a command of your own that tells any other."),
    row("signer.key_table", "the path of a file, as a string", "none: it must be written",
        r#"key_table = "/etc/opendkim/KeyTable""#,
        "The KeyTable of opendkim: a text file. A row whose name has the selector in it gets a new row beside it, any \
         other is changed in its place. The old row goes with the files of a key that Signpost made, once it has been \
         revoked."),
    row("signer.signing_table", "the path of a file, as a string", "none: it must be written",
        r#"signing_table = "/etc/opendkim/SigningTable""#,
        "The SigningTable of opendkim. A domain that is not in it yet is added as *@DOMAIN, or as DOMAIN where no row has \
         a *."),
    row("signer.selector_map", "the path of a file, as a string", "none: it must be written",
        r#"selector_map = "/etc/rspamd/dkim_selectors.map""#,
        "The selector_map of rspamd's dkim_signing, lines of `domain selector`; path there is to be the keys of here, \
         with $domain and $selector. rspamd reads a changed map by itself, within a few minutes."),
    row("signer.selectors", "the path of a file, as a string", "none: it must be written",
        r#"selectors = "/etc/exim4/dkim_selectors""#,
        "The file of exim's dkim_domain = ${lookup{${lc:${domain:$h_from:}}}lsearch,ret=key{FILE}} and dkim_selector = \
         ${lookup{$dkim_domain}lsearch{FILE}}, lines of `domain: selector`, or of several selectors with colons between \
         them. Exim reads it for each message."),
    row("signer.algorithms", "a list of key types", r#"["rsa"] for opendkim and rspamd, ["rsa", "ed25519"] for exim and hook"#,
        r#"algorithms = ["rsa"]"#,
        "What it signs with. OpenDKIM has one SignatureAlgorithm for all of its keys, and rspamd's map one selector for \
         each domain, so those have room for one of the two."),
    row("signer.keys", "a path with {domain} and {selector} in it",
        r#""{domain}/{selector}.private", for rspamd "{domain}.{selector}.key""#,
        r#"keys = "{domain}/{selector}.private""#,
        "Where new keys go. A relative path starts at the key directory; any other must lead below it, for what is not \
         there is not published. The record as opendkim-genkey writes it is put beside the key, as .txt."),
    row("signer.owner", "a user, or a user and a group, as a string", "whoever Signpost runs as",
        r#"owner = "opendkim:opendkim""#,
        "Whose the keys are. Signpost needs CAP_CHOWN to give them away, and must be able to read them afterwards."),
    row("signer.mode", "a mode in octal, as a string", r#""0600""#, r#"mode = "0600""#,
        "The mode of private keys, from the first moment."),
    row("signer.reload", "a list of strings: a program and its arguments", "none",
        r#"reload = ["systemctl", "reload", "opendkim"]"#,
        "A command that has the signer read its files again. It has 30 seconds; if it fails, that is told, the files stay \
         as they are and it is run again later."),
    row("signer.pid_file", "the path of a file, as a string", "none", r#"pid_file = "/run/opendkim/opendkim.pid""#,
        "For opendkim in place of reload: the process whose number is in this file gets SIGUSR1."),
    row("signer.hook", "a list of strings: a program and its arguments", "none", r#"hook = ["/usr/local/sbin/dkim-switched"]"#,
        "A command that is run after each switch, and before the files of a key that Signpost made go, once it has been \
         revoked. It has 30 seconds, and may be run again for the same key. If it fails, it is run again later, and the \
         files stay until then."),
];

/// What a hook finds in its environment.
pub const HOOK_ENVIRONMENT: &[(&str, &str)] = &[
    (
        "SIGNPOST_ACTION",
        "switch: sign with the key from now on; retire: the key has been revoked, and its files go.",
    ),
    ("SIGNPOST_DOMAIN", "The signing domain, such as example.org."),
    ("SIGNPOST_SELECTOR", "The selector of the key."),
    (
        "SIGNPOST_OLD_SELECTOR",
        "The selector that it takes the place of; not set if there is none.",
    ),
    (
        "SIGNPOST_ALGORITHM",
        "rsa2048, rsa3072, rsa4096 or ed25519; not set to retire.",
    ),
    ("SIGNPOST_KEY_FILE", "The path of the private key; not set to retire."),
];
