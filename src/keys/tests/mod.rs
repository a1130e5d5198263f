//! Tests of the module as a whole, on keys small enough to stand here. What the real tools write is
//! tested in `tests/keys_real_tools.rs`.

mod tables;

use super::*;
use crate::finding::{Finding, Severity};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};

/// An Ed25519 key made of a seed octet: its PEM and its `p=`.
fn ed25519(seed: u8) -> (String, String) {
    let der = [&hex("302e020100300506032b657004220420")[..], &[seed; 32]].concat();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    );
    (pem, public::PublicKey::from_ed25519_seed(&[seed; 32]).unwrap().base64())
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

/// The `p=` of an RSA key whose modulus is 2048 bits of this octet; nobody has its private half.
fn rsa_p(octet: u8) -> String {
    let der = [
        &hex("30820122300d06092a864886f70d01010105000382010f003082010a0282010100")[..],
        &[octet | 0x81; 256],
        &hex("0203010001"),
    ];
    STANDARD.encode(der.concat())
}

/// A directory at `keys` with these files, resolved.
fn directory(files: &[(&str, &str)]) -> (KeyDirectory, Vec<Finding>) {
    let mut keys = KeyDirectory::new(Path::new("keys"));
    for (path, content) in files {
        keys.update(Path::new(path), Some(content.as_bytes()));
    }
    let (_, findings) = keys.resolve();
    (keys, findings)
}

/// Every key as `selector domain` in canonical order.
fn owners(keys: &KeyDirectory) -> Vec<String> {
    let all = keys.domains().into_iter().flat_map(|domain| keys.keys_of(domain));
    all.map(|key| format!("{} {}", key.selector, key.domain)).collect()
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

fn only_p(keys: &KeyDirectory, domain: &str) -> String {
    let keys = keys.keys_of(&name(domain));
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys[0].public_key_tag().to_owned()
}

#[test]
fn finds_domain_and_selector_in_every_layout() {
    let (pem, _) = ed25519(1);
    for (path, owner) in [
        ("keys/skyminds.net/mail", "mail skyminds.net."),
        ("keys/skyminds.net/2026b.private", "2026b skyminds.net."),
        ("keys/SkyMinds.Net/Mail.private", "mail skyminds.net."),
        ("keys/skyminds.net./mail.pem", "mail skyminds.net."),
        ("keys/skyminds.net/x.y.private", "x.y skyminds.net."),
        ("keys/skyminds.net/s1.2026", "s1.2026 skyminds.net."),
        ("keys/clients/a/skyminds.net/old/2026b.pem", "2026b skyminds.net."),
        ("keys/example.org/news.example.org/mail", "mail news.example.org."),
        ("keys/_domainkey.example.org/mail.key", "mail example.org."),
        ("keys/example.org/_domainkey/mail.key", "mail example.org."),
        ("keys/example.org/example.org.2026b.key", "2026b example.org."),
        ("keys/example.org/2026b.example.org.key", "2026b example.org."),
        ("keys/example.org/news.example.org.2026b.key", "2026b news.example.org."),
        ("keys/example.org/2026b._domainkey.private", "2026b example.org."),
        (
            "keys/example.org/2026b._domainkey.news.private",
            "2026b news.example.org.",
        ),
        ("keys/skyminds.net.2026b.key", "2026b skyminds.net."),
        ("keys/skyminds.net.2026b.private", "2026b skyminds.net."),
        ("keys/2026b._domainkey.skyminds.net.pem", "2026b skyminds.net."),
        ("keys/rsa-2048-mail-example.org.private.txt", "mail example.org."),
        (
            "keys/ed25519-mail-my-site.example.org.private.txt",
            "mail my-site.example.org.",
        ),
        ("keys/example.org_default.key", "default example.org."),
        ("keys/example.org/pub/a.pem", "a example.org."),
    ] {
        let (keys, findings) = directory(&[(path, &pem)]);
        assert_eq!(
            (owners(&keys), codes(&findings)),
            (vec![owner.to_owned()], vec![]),
            "{path}"
        );
    }
}

#[test]
fn the_root_itself_may_be_the_domains_folder() {
    let mut keys = KeyDirectory::new(Path::new("/etc/dkim/example.org"));
    keys.update(
        Path::new("/etc/dkim/example.org/mail.private"),
        Some(ed25519(1).0.as_bytes()),
    );
    let (changed, _) = keys.resolve();
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), vec![name("example.org")]);
}

#[test]
fn a_record_beside_the_key_names_what_the_path_leaves_open() {
    let (pem, p) = ed25519(1);
    let record =
        |owner: &str, comment: &str| format!("{owner} IN TXT ( \"v=DKIM1; k=ed25519; \" \"p={p}\" ) ; {comment}\n");
    for (stem, text, owner) in [
        (
            "mail",
            record("mail._domainkey", "----- DKIM key mail for example.org"),
            "mail example.org.",
        ),
        ("mail", record("mail._domainkey.example.org.", ""), "mail example.org."),
        ("mail.example.org", record("mail._domainkey", ""), "mail example.org."),
        ("example.org.a.b", record("a.b._domainkey", ""), "a.b example.org."),
        (
            "rsa-2048-my-sel-example.org",
            record("my-sel._domainkey", ""),
            "my-sel example.org.",
        ),
        (
            "example.org",
            record("mail._domainkey.example.org.", ""),
            "mail example.org.",
        ),
        (
            "example.org/example.org",
            record("mail._domainkey", ""),
            "mail example.org.",
        ),
    ] {
        let (key, txt) = (format!("keys/{stem}.private"), format!("keys/{stem}.txt"));
        let (keys, findings) = directory(&[(&key, &pem), (&txt, &text)]);
        assert_eq!(
            (owners(&keys), codes(&findings)),
            (vec![owner.to_owned()], vec![]),
            "{stem}"
        );
        let domain = owner.split(' ').nth(1).unwrap();
        let sources = &keys.keys_of(&name(domain))[0].sources;
        assert_eq!(sources, &[PathBuf::from(key), PathBuf::from(txt)]);
    }
}

#[test]
fn a_key_that_nothing_names_is_an_error_with_a_cure() {
    let (pem, _) = ed25519(1);
    for (path, code) in [
        ("keys/mail.private", "key-no-domain"),
        ("keys/m\u{fc}nchen.example/mail.private", "key-no-domain"),
        ("keys/example.org/my mail.private", "key-selector"),
        ("keys/example.org/-mail.private", "key-selector"),
    ] {
        let (keys, findings) = directory(&[(path, &pem)]);
        assert_eq!((owners(&keys), codes(&findings)), (vec![], vec![code]), "{path}");
        assert!(!findings[0].cure.is_empty());
    }
}

#[test]
fn foreign_files_are_passed_over_in_silence() {
    let (pem, _) = ed25519(1);
    let (keys, findings) = directory(&[
        (
            "keys/opendkim.conf",
            "Syslog yes\nKeyTable refile:/etc/opendkim/KeyTable\n",
        ),
        ("keys/TrustedHosts", "127.0.0.1\nlocalhost\n0.0.0.0/0\n"),
        ("keys/README", "keys live here"),
        ("keys/example.org/README.txt", "made with \"opendkim-genkey\""),
        ("keys/example.org/mail.private.bak", &pem),
        ("keys/example.org/mail.private~", &pem),
        ("keys/example.org/.mail.private.swp", &pem),
        ("keys/example.org/#mail#", &pem),
        ("keys/example.org/sedAbC12d", &pem),
        ("keys/example.org/mail.csr", "-----BEGIN CERTIFICATE REQUEST-----\n"),
        (
            "keys/Kexample.org.+013+12345.key",
            "example.org. IN DNSKEY 257 3 13 AAAA",
        ),
        ("keys/SigningTable.dpkg-old", "*@example.org x"),
        ("keys/hosts.allow", "\u{0}\u{1}\u{2}"),
    ]);
    assert_eq!((owners(&keys), findings), (vec![], vec![]));
}

#[test]
fn bad_content_gets_a_clear_error_and_no_byte_of_it_is_shown() {
    let (pem, _) = ed25519(1);
    let secret = pem.lines().nth(1).unwrap();
    let shell = |label: &str| format!("-----BEGIN {label}-----\n{secret}\n-----END {label}-----\n");
    for (content, code) in [
        (shell("ENCRYPTED PRIVATE KEY"), "key-encrypted"),
        (
            format!(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n{secret}\n-----END RSA PRIVATE KEY-----\n"
            ),
            "key-encrypted",
        ),
        (shell("CERTIFICATE"), "key-certificate"),
        (shell("CERTIFICATE REQUEST"), "key-certificate"),
        (shell("OPENSSH PRIVATE KEY"), "key-openssh"),
        (shell("EC PRIVATE KEY"), "key-algorithm"),
        (shell("X509 CRL"), "key-garbage"),
        (pem.replace("MC4CAQAw", "MC4CAQ!!"), "key-damaged"),
        (pem.replace(&secret[40..], ""), "key-damaged"),
        (pem.replace("END PRIVATE", "END RSA PRIVATE"), "key-damaged"),
        ("not a key at all".to_owned(), "key-garbage"),
        ("\u{0}\u{1}\u{fffd}binary".to_owned(), "key-garbage"),
        ("A".repeat(300_000), "key-garbage"),
    ] {
        for path in [
            "keys/example.org/mail",
            "keys/example.org/mail.private",
            "keys/example.org/mail.pem",
        ] {
            let (keys, findings) = directory(&[(path, &content)]);
            assert_eq!((owners(&keys), codes(&findings)), (vec![], vec![code]), "{path} {code}");
            assert_eq!(findings[0].severity, Severity::Error);
            assert!(!findings[0].cure.is_empty());
            assert!(!format!("{findings:?}{keys:?}").contains(&secret[20..40]));
        }
    }
}

#[test]
fn reads_pem_as_it_is_left_by_all_kinds_of_editors() {
    let (pem, p) = ed25519(1);
    let utf16: Vec<u8> = "\u{feff}"
        .encode_utf16()
        .chain(pem.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let der = STANDARD.decode(pem.lines().nth(1).unwrap()).unwrap();
    for content in [
        pem.clone().into_bytes(),
        pem.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{pem}").into_bytes(),
        utf16,
        format!("Key of 2026\n\n{pem}\nkeep it safe\n").into_bytes(),
        format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{pem}").into_bytes(),
        pem.replace("MC4C", "MC\n4C").into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        der.clone(),
        [&der[..], b"\n"].concat(),
        STANDARD.encode(&der).into_bytes(),
        STANDARD.encode([1; 32]).into_bytes(),
        STANDARD
            .encode([&[1; 32][..], &STANDARD.decode(&p).unwrap()].concat())
            .into_bytes(),
    ] {
        let mut keys = KeyDirectory::new(Path::new("keys"));
        keys.update(Path::new("keys/example.org/mail.private"), Some(&content));
        assert_eq!(keys.resolve().1, vec![]);
        assert_eq!(only_p(&keys, "example.org"), p, "{content:?}");
    }
}

#[test]
fn a_file_that_turns_bad_keeps_its_last_good_key() {
    let (pem, p) = ed25519(1);
    let path = Path::new("keys/example.org/mail");
    for (bad, code, severity) in [
        ("", "key-unfinished", Severity::Note),
        ("\n\n", "key-unfinished", Severity::Note),
        ("-----BEG", "key-unfinished", Severity::Note),
        (&pem[..60], "key-unfinished", Severity::Note),
        (&pem[..pem.len() - 8], "key-unfinished", Severity::Note),
        ("garbage", "key-garbage", Severity::Error),
        (
            "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----",
            "key-certificate",
            Severity::Error,
        ),
    ] {
        let (mut keys, _) = directory(&[("keys/example.org/mail", &pem)]);
        keys.update(path, Some(bad.as_bytes()));
        let (changed, findings) = keys.resolve();
        assert!(changed.is_empty(), "{bad}");
        assert_eq!(
            (findings[0].severity, codes(&findings)),
            (severity, vec![code]),
            "{bad}"
        );
        assert_eq!(only_p(&keys, "example.org"), p);
        keys.update(path, Some(ed25519(2).0.as_bytes()));
        let (changed, findings) = keys.resolve();
        assert_eq!((changed.len(), findings), (1, vec![]));
        assert_eq!(only_p(&keys, "example.org"), ed25519(2).1);
    }
}

#[test]
fn a_vanished_file_takes_its_key_with_it_and_a_record_is_enough_to_publish() {
    let (pem, p) = ed25519(1);
    let txt = format!("mail._domainkey IN TXT \"v=DKIM1; k=ed25519; t=s; p={p}\"");
    let (mut keys, _) = directory(&[("keys/example.org/mail", &pem), ("keys/example.org/mail.txt", &txt)]);
    keys.update(Path::new("keys/example.org/mail"), None);
    assert_eq!(keys.resolve().0.len(), 1, "the source is another one now");
    assert_eq!(
        &*keys.keys_of(&name("example.org"))[0].record,
        format!("v=DKIM1; k=ed25519; t=s; p={p}")
    );
    keys.update(Path::new("keys/example.org/mail.txt"), None);
    assert_eq!(keys.resolve().0.len(), 1);
    assert_eq!(owners(&keys), Vec::<String>::new());
    assert!(keys.domains().is_empty());
    assert_eq!(keys.resolve(), (Default::default(), vec![]));
}

#[test]
fn public_files_alone_are_published() {
    let (_, p) = ed25519(1);
    let spki = STANDARD.encode([&hex("302a300506032b6570032100")[..], &STANDARD.decode(&p).unwrap()].concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
    for (path, content) in [
        ("keys/example.org/2026b.pub", pem.clone()),
        ("keys/example.org/2026b.pem", pem),
        ("keys/example.org/2026b.pub", spki.clone()),
        ("keys/example.org/2026b.pub", format!("{p}\n")),
        ("keys/example.org/2026b.pub", format!("v=DKIM1; k=ed25519; p={p}")),
        ("keys/example.org/2026b.txt", format!("v=DKIM1; k=ed25519; p={p}")),
        ("keys/example.org.2026b.txt", format!("\"v=DKIM1; k=ed25519; p={p}\"")),
        ("keys/example.org_2026b.dns", format!("v=DKIM1; k=ed25519; p={p}")),
    ] {
        let (keys, findings) = directory(&[(path, &content)]);
        assert_eq!(
            (owners(&keys), codes(&findings)),
            (vec!["2026b example.org.".to_owned()], vec![]),
            "{path}"
        );
        assert_eq!(
            &*keys.keys_of(&name("example.org"))[0].record,
            format!("v=DKIM1; k=ed25519; p={p}")
        );
    }
    let (keys, findings) = directory(&[("keys/example.org/a.txt", &format!("v=DKIM1; p={spki}"))]);
    assert_eq!(codes(&findings), vec!["dkim-tag-k"]);
    assert_eq!(only_p(&keys, "example.org"), p);
}

#[test]
fn the_private_key_wins_over_a_record_that_disagrees() {
    let ((pem, p), (_, other)) = (ed25519(1), ed25519(2));
    let txt = format!("v=DKIM1; k=ed25519; t=s; n=note; p={other}");
    let (keys, findings) = directory(&[("keys/example.org/mail", &pem), ("keys/example.org/mail.txt", &txt)]);
    assert_eq!(
        &*keys.keys_of(&name("example.org"))[0].record,
        format!("v=DKIM1; k=ed25519; t=s; n=note; p={p}")
    );
    assert_eq!(codes(&findings), vec!["dkim-txt-differs"]);
    let (keys, findings) = directory(&[
        ("keys/example.org/mail", &pem),
        ("keys/example.org/mail.txt", "v=DKIM1; p="),
    ]);
    assert_eq!(
        (only_p(&keys, "example.org"), codes(&findings)),
        (p, vec!["dkim-txt-revoked"])
    );
    let (keys, findings) = directory(&[("keys/example.org/mail.txt", "v=DKIM1; p=")]);
    assert_eq!((owners(&keys), codes(&findings)), (vec![], vec!["dkim-txt-no-key"]));
}

#[test]
fn two_keys_for_one_selector_have_a_winner_that_does_not_depend_on_the_order() {
    let (a, b) = (ed25519(1), ed25519(2));
    let files = [
        ("keys/example.org/mail.pem", a.0.as_str()),
        ("keys/example.org.mail.key", b.0.as_str()),
    ];
    for files in [[files[0], files[1]], [files[1], files[0]]] {
        let (keys, findings) = directory(&files);
        assert_eq!(
            (only_p(&keys, "example.org"), codes(&findings)),
            (b.1.clone(), vec!["dkim-two-keys"])
        );
    }
    let table = "k example.org:mail:./example.org/mail.pem\n";
    let (keys, findings) = directory(&[files[0], files[1], ("keys/KeyTable", table)]);
    assert_eq!(
        (only_p(&keys, "example.org"), codes(&findings)),
        (a.1.clone(), vec!["dkim-two-keys"])
    );
    let same = [
        ("keys/example.org/mail", a.0.as_str()),
        ("keys/example.org/mail.private", a.0.as_str()),
    ];
    assert_eq!(directory(&same).1, vec![]);
}

#[test]
fn one_key_among_a_hundred_thousand_domains_costs_one_key() {
    let [a, b] = [2, 4].map(|octet| format!("v=DKIM1; k=rsa; p={}", rsa_p(octet)));
    let mut keys = KeyDirectory::new(Path::new("/keys"));
    let path = |i: u32| PathBuf::from(format!("/keys/d{i}.example.org/2026b.txt"));
    for i in 0..100_000 {
        keys.update(&path(i), Some(a.as_bytes()));
    }
    assert_eq!(keys.resolve().0.len(), 100_000);
    let mut fastest = Duration::MAX;
    for i in 500..520 {
        let start = Instant::now();
        keys.update(&path(i), Some(b.as_bytes()));
        let (changed, _) = keys.resolve();
        fastest = fastest.min(start.elapsed());
        assert_eq!(
            changed.into_iter().collect::<Vec<_>>(),
            [name(&format!("d{i}.example.org"))]
        );
    }
    assert!(fastest < Duration::from_millis(1), "{fastest:?}");
}

proptest! {
    #[test]
    fn no_content_makes_it_panic(content in prop::collection::vec(any::<u8>(), 0..400), cut in 0..200usize) {
        let (pem, _) = ed25519(1);
        let mixed = [&pem.as_bytes()[..cut.min(pem.len())], &content].concat();
        for path in ["mail", "mail.private", "mail.pem", "mail.txt", "mail.pub", "mail.key", "KeyTable", "SigningTable"] {
            let mut keys = KeyDirectory::new(Path::new("keys"));
            for content in [&content, &mixed] {
                keys.update(&Path::new("keys/example.org").join(path), Some(content));
                let (changed, _) = keys.resolve();
                prop_assert!(changed.len() <= keys.domains().len());
            }
        }
    }

    #[test]
    fn no_path_makes_it_panic(path in "[a-z._%/-]{0,40}") {
        let (pem, _) = ed25519(1);
        let mut keys = KeyDirectory::new(Path::new("keys"));
        keys.update(&Path::new("keys").join(&path), Some(pem.as_bytes()));
        keys.resolve();
        for domain in keys.domains() {
            prop_assert!(keys.keys_of(domain).iter().all(|key| key.owner().is_ok()));
        }
    }
}
