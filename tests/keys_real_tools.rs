//! Key directories as the real tools leave them: opendkim-genkey, openssl and rspamd's naming.
//!
//! Every file is made at test time in a directory of its own, and every `p=` is compared with what
//! openssl says the public half is. A tool that is not installed fails the test.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its files has failed")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use signpost::finding::{Finding, Severity};
use signpost::keys::tags::TagList;
use signpost::keys::{Algorithm, DkimKey, KeyDirectory};
use signpost::name::Name;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A key directory on disk.
struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn folder(&self, below: &str) -> PathBuf {
        let folder = self.path(below);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn write(&self, below: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(below), content).unwrap();
    }

    /// `opendkim-genkey` in the folder `below`.
    fn genkey(&self, below: &str, arguments: &[&str]) {
        run(Command::new(genkey_program())
            .args(arguments)
            .current_dir(self.folder(below)));
    }

    /// `openssl`, below the root.
    fn openssl(&self, arguments: &str) -> Vec<u8> {
        run(Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.0.path()))
    }

    /// What openssl takes for the public half of a key: the base64 of its SubjectPublicKeyInfo, and
    /// for Ed25519 of the octets alone.
    fn public_half(&self, below: &str) -> String {
        let der = self.openssl(&format!("pkey -in {below} -pubout -outform DER"));
        STANDARD.encode(if der.len() == 44 { &der[12..] } else { &der[..] })
    }

    /// Feeds every file to a [`KeyDirectory`] and resolves.
    fn load(&self) -> (KeyDirectory, Vec<Finding>) {
        let mut keys = KeyDirectory::new(self.0.path());
        for file in files(self.0.path()) {
            keys.update(&file, Some(&fs::read(&file).unwrap()));
        }
        let (_, findings) = keys.resolve();
        (keys, findings)
    }
}

/// Debian puts it into /usr/sbin, which is not on everybody's path.
fn genkey_program() -> &'static str {
    ["/usr/sbin/opendkim-genkey", "/usr/bin/opendkim-genkey"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("opendkim-genkey")
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

fn key<'a>(keys: &'a KeyDirectory, selector: &str, domain: &str) -> &'a DkimKey {
    let found = keys
        .keys_of(&name(domain))
        .into_iter()
        .find(|key| key.selector == selector);
    found.unwrap_or_else(|| panic!("no {selector} of {domain} in {keys:?}"))
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

/// The strings of a genkey `.txt`, put together.
fn strings_of(txt: &str) -> String {
    txt.split('"').skip(1).step_by(2).collect()
}

#[test]
fn the_tutorials_directory_is_published_mended() {
    let dir = Keys::new();
    dir.genkey(
        "skyminds.net",
        &[
            "-r",
            "-h",
            "rsa-sha256",
            "-d",
            "skyminds.net",
            "-s",
            "mail",
            "-b",
            "4096",
        ],
    );
    fs::rename(dir.path("skyminds.net/mail.private"), dir.path("skyminds.net/mail")).unwrap();
    dir.write(
        "KeyTable",
        format!(
            "skyminds.net skyminds.net:mail:{}\n",
            dir.path("skyminds.net/mail").display()
        ),
    );
    dir.write("SigningTable", "*@skyminds.net skyminds.net\n");
    dir.write("TrustedHosts", "127.0.0.1\nlocalhost\nns.kimsufi.com\nskyminds.net\n");
    let (keys, findings) = dir.load();
    let key = key(&keys, "mail", "skyminds.net");
    let written = strings_of(&fs::read_to_string(dir.path("skyminds.net/mail.txt")).unwrap());
    let p = written.split_once("p=").unwrap().1;
    assert_eq!(*key.record, format!("v=DKIM1; h=sha256; k=rsa; s=email; p={p}"));
    assert_eq!(key.public_key_tag(), dir.public_half("skyminds.net/mail"));
    assert_eq!(key.algorithm, Algorithm::Rsa { bits: 4096 });
    assert_eq!(key.owner().unwrap(), name("mail._domainkey.skyminds.net"));
    assert_eq!(
        key.sources,
        [dir.path("skyminds.net/mail"), dir.path("skyminds.net/mail.txt")]
    );
    assert_eq!(codes(&findings), ["dkim-tag-h"]);
    assert_eq!(findings[0].severity, Severity::Warning);
    assert!(findings[0].what.contains("RFC 6376 §3.6.1"), "{}", findings[0].what);
}

#[test]
fn every_option_of_genkey_gives_the_record_that_it_printed() {
    let dir = Keys::new();
    for (domain, selector, arguments, found) in [
        ("a.test", "default", &["-s", "default"][..], &[][..]),
        ("b.test", "s1024", &["-s", "s1024", "-b", "1024"], &["dkim-key-short"]),
        ("c.test", "s4096", &["-s", "s4096", "-b", "4096"], &[]),
        ("d.test", "mail", &["-s", "mail", "-t"], &["dkim-test-mode"]),
        ("e.test", "mail", &["-s", "mail", "-t", "-S", "-r"], &["dkim-test-mode"]),
        ("f.test", "mail", &["-s", "mail", "-n", "for the shop"], &[]),
        ("g.test", "mail", &["-s", "mail", "-a"], &[]),
        ("h.test", "mail", &["-s", "mail", "--nosubdomains"], &[]),
        ("i.test", "mail", &["-s", "mail", "-h", "sha256"], &[]),
        ("sub.i.test", "x.y", &["-s", "x.y", "-S"], &[]),
    ] {
        dir.genkey(domain, &[&["-d", domain], arguments].concat());
        let (keys, findings) = dir.load();
        let key = key(&keys, selector, domain);
        let txt = fs::read_to_string(dir.path(&format!("{domain}/{selector}.txt"))).unwrap();
        let (written, faults) = TagList::parse(strings_of(&txt.replace("\\\"", "'")).as_bytes());
        let (published, _) = TagList::parse(key.record.replace('"', "'").as_bytes());
        assert_eq!(faults, vec![]);
        for (tag, value) in written.iter() {
            assert_eq!(published.get(tag), Some(value), "{tag}= of {domain}");
        }
        assert_eq!(published.iter().count(), written.iter().count(), "{domain}");
        assert_eq!(
            key.public_key_tag(),
            dir.public_half(&format!("{domain}/{selector}.private"))
        );
        assert_eq!(codes(&findings), found, "{domain}: {findings:?}");
        fs::remove_dir_all(dir.path(domain)).unwrap();
    }
}

#[test]
fn a_note_with_a_semicolon_and_hashes_of_old_are_mended() {
    let dir = Keys::new();
    dir.genkey("a.test", &["-d", "a.test", "-s", "mail", "-n", "web; shop"]);
    dir.genkey("b.test", &["-d", "b.test", "-s", "mail", "-h", "sha1:sha256"]);
    dir.genkey("c.test", &["-d", "c.test", "-s", "mail", "-h", "rsa-sha1:rsa-sha256"]);
    let (keys, findings) = dir.load();
    assert!(key(&keys, "mail", "a.test").record.contains("; n=\"web=3B shop\"; p="));
    assert!(
        key(&keys, "mail", "b.test")
            .record
            .starts_with("v=DKIM1; h=sha256; k=rsa; p=")
    );
    assert!(
        key(&keys, "mail", "c.test")
            .record
            .starts_with("v=DKIM1; h=sha256; k=rsa; p=")
    );
    assert_eq!(
        codes(&findings),
        [
            "dkim-tag-syntax",
            "dkim-tag-h",
            "dkim-tag-h",
            "dkim-tag-h",
            "dkim-tag-h"
        ]
    );
}

#[test]
fn openssl_keys_of_every_form_give_the_public_half_that_openssl_gives() {
    let dir = Keys::new();
    dir.folder("a.test");
    for (file, command) in [
        ("pkcs1", "genrsa -traditional -out a.test/pkcs1 2048"),
        (
            "pkcs8.pem",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out a.test/pkcs8.pem",
        ),
        (
            "exp3.key",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3 -out a.test/exp3.key",
        ),
        (
            "odd.key",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2049 -out a.test/odd.key",
        ),
        ("ed.private", "genpkey -algorithm ED25519 -out a.test/ed.private"),
        (
            "edder.der",
            "genpkey -algorithm ED25519 -outform DER -out a.test/edder.der",
        ),
        (
            "pkcs8der.der",
            "pkcs8 -topk8 -nocrypt -in a.test/pkcs8.pem -outform DER -out a.test/pkcs8der.der",
        ),
        (
            "pkcs1der.key",
            "rsa -traditional -in a.test/pkcs1 -outform DER -out a.test/pkcs1der.key",
        ),
        ("spki.pub", "pkey -in a.test/pkcs8.pem -pubout -out a.test/spki.pub"),
        (
            "rsapub.pub",
            "rsa -in a.test/pkcs1 -RSAPublicKey_out -out a.test/rsapub.pub",
        ),
        ("edpub.pub", "pkey -in a.test/ed.private -pubout -out a.test/edpub.pub"),
        ("text.pem", "pkey -in a.test/pkcs8.pem -text -out a.test/text.pem"),
    ] {
        dir.openssl(command);
        let (keys, findings) = dir.load();
        let selector = file.split('.').next().unwrap();
        let expected = match file {
            "spki.pub" | "text.pem" => dir.public_half("a.test/pkcs8.pem"),
            "rsapub.pub" => dir.public_half("a.test/pkcs1"),
            "edpub.pub" => dir.public_half("a.test/ed.private"),
            _ => dir.public_half(&format!("a.test/{file}")),
        };
        let key = key(&keys, selector, "a.test");
        assert_eq!(key.public_key_tag(), expected, "{file}");
        let kind = if expected.len() == 44 { "ed25519" } else { "rsa" };
        assert_eq!(*key.record, format!("v=DKIM1; k={kind}; p={expected}"));
        assert_eq!(findings, vec![], "{file}");
    }
}

#[test]
fn what_openssl_makes_that_is_no_dkim_key_is_named_with_its_cure() {
    for (commands, code) in [
        (
            &["genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -aes256 -pass pass:x -out a.test/mail"][..],
            "key-encrypted",
        ),
        (
            &["genrsa -traditional -aes128 -passout pass:x -out a.test/mail 2048"],
            "key-encrypted",
        ),
        (
            &[
                "genpkey -algorithm ED25519 -out k",
                "pkcs8 -topk8 -in k -passout pass:x -outform DER -out a.test/mail",
            ],
            "key-encrypted",
        ),
        (&["ecparam -name prime256v1 -genkey -out a.test/mail"], "key-algorithm"),
        (
            &["genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out a.test/mail"],
            "key-algorithm",
        ),
        (
            &["genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -outform DER -out a.test/mail"],
            "key-algorithm",
        ),
        (&["genpkey -algorithm X25519 -out a.test/mail"], "key-algorithm"),
        (&["genpkey -algorithm ED448 -out a.test/mail"], "key-algorithm"),
        (
            &["genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out a.test/mail"],
            "key-algorithm",
        ),
        (
            &["req -x509 -newkey rsa:2048 -nodes -subj /CN=a.test -keyout k -out a.test/mail"],
            "key-certificate",
        ),
        (
            &["req -x509 -newkey rsa:2048 -nodes -subj /CN=a.test -keyout k -outform DER -out a.test/mail"],
            "key-certificate",
        ),
        (
            &["req -newkey rsa:2048 -nodes -subj /CN=a.test -keyout k -out a.test/mail"],
            "key-certificate",
        ),
        (
            &["genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:512 -out a.test/mail"],
            "dkim-key-too-short",
        ),
        (&["genrsa -traditional -out a.test/mail 1016"], "dkim-key-too-short"),
        (&["rand -out a.test/mail 1700"], "key-garbage"),
        (&["rand -base64 -out a.test/mail 1700"], "key-garbage"),
    ] {
        let dir = Keys::new();
        dir.folder("a.test");
        for command in commands {
            dir.openssl(command);
        }
        _ = fs::remove_file(dir.path("k"));
        let (keys, findings) = dir.load();
        assert!(keys.domains().is_empty(), "{commands:?}");
        assert_eq!(codes(&findings), [code], "{commands:?}: {findings:?}");
        assert_eq!(findings[0].severity, Severity::Error);
        assert_eq!(findings[0].place.as_ref().unwrap().file, dir.path("a.test/mail"));
        assert!(!findings[0].cure.is_empty());
    }
}

#[test]
fn the_cure_for_an_encrypted_key_works_as_written() {
    let dir = Keys::new();
    dir.folder("a.test");
    dir.openssl("genpkey -algorithm ED25519 -aes256 -pass pass:x -out a.test/mail");
    let (_, findings) = dir.load();
    let command = findings[0].cure.split('`').nth(1).unwrap();
    let command = command.replace("openssl pkey", "openssl pkey -passin pass:x");
    run(Command::new("sh").args(["-c", &command]));
    let (keys, findings) = dir.load();
    assert_eq!(findings, vec![]);
    assert_eq!(
        key(&keys, "mail", "a.test").public_key_tag(),
        dir.public_half("a.test/mail")
    );
}

#[test]
fn a_public_key_in_place_of_the_private_one_is_published_with_a_warning() {
    let dir = Keys::new();
    dir.folder("a.test");
    dir.openssl("genpkey -algorithm ED25519 -out k");
    dir.openssl("pkey -in k -pubout -out a.test/mail.private");
    let p = dir.public_half("k");
    fs::remove_file(dir.path("k")).unwrap();
    let (keys, findings) = dir.load();
    assert_eq!(key(&keys, "mail", "a.test").public_key_tag(), p);
    assert_eq!(codes(&findings), ["key-public-half"]);
}

#[test]
fn a_key_that_was_damaged_on_the_way_is_not_published() {
    let dir = Keys::new();
    dir.folder("a.test");
    dir.openssl("genrsa -traditional -out a.test/mail 2048");
    let mut pem = fs::read(dir.path("a.test/mail")).unwrap();
    // A letter within the modulus.
    pem[100] = if pem[100] == b'A' { b'B' } else { b'A' };
    dir.write("a.test/mail", &pem);
    let (keys, findings) = dir.load();
    assert!(keys.domains().is_empty());
    assert_eq!(codes(&findings), ["key-damaged"]);
}

#[test]
fn a_key_cut_at_any_octet_is_waited_for() {
    let dir = Keys::new();
    dir.genkey("a.test", &["-d", "a.test", "-s", "mail", "-b", "2048"]);
    let (mut keys, _) = dir.load();
    let whole = key(&keys, "mail", "a.test").clone();
    for file in ["a.test/mail.private", "a.test/mail.txt"] {
        let path = dir.path(file);
        let content = fs::read(&path).unwrap();
        let end = content
            .iter()
            .rposition(|octet| b"-)".contains(octet) && content.ends_with(b"\n"))
            .unwrap();
        let last = if file.ends_with("txt") {
            content.iter().rposition(|&octet| octet == b')').unwrap()
        } else {
            end
        };
        for len in 0..last {
            keys.update(&path, Some(&content[..len]));
            let (changed, findings) = keys.resolve();
            assert!(changed.is_empty(), "{file} cut at {len}: {findings:?}");
            assert!(
                findings.iter().all(|finding| finding.severity < Severity::Error),
                "{len}: {findings:?}"
            );
        }
        keys.update(&path, Some(&content));
        assert_eq!(keys.resolve(), (Default::default(), vec![]));
    }
    assert_eq!(*key(&keys, "mail", "a.test"), whole);
}

/// `rspamadm dkim_keygen -d DOMAIN -s SELECTOR -k DOMAIN.SELECTOR.key`: the key by openssl, the
/// record in its format.
fn rspamd_record(selector: &str, key_type: &str, p: &str) -> String {
    let pieces: Vec<String> = p
        .as_bytes()
        .chunks(253)
        .map(|piece| String::from_utf8_lossy(piece).into_owned())
        .collect();
    match pieces.as_slice() {
        [one] => format!("{selector}._domainkey IN TXT ( \"v=DKIM1; k={key_type};\" \n\t\"p={one}\" ) ;\n"),
        many => format!(
            "{selector}._domainkey IN TXT ( \"v=DKIM1; k={key_type}; \"\n\t\"p={}\"\n) ; \n",
            many.join("\"\n\t\"")
        ),
    }
}

#[test]
fn rspamds_names_and_forms_are_understood() {
    let dir = Keys::new();
    dir.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out skyminds.net.2026b.key");
    let p = dir.public_half("skyminds.net.2026b.key");
    dir.write("skyminds.net.2026b.txt", rspamd_record("2026b", "rsa", &p));
    // docker-mailserver's names around rspamd's files.
    dir.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa-2048-mail-example.org.private.txt");
    let mail = dir.public_half("rsa-2048-mail-example.org.private.txt");
    dir.write(
        "rsa-2048-mail-example.org.public.txt",
        rspamd_record("mail", "rsa", &mail),
    );
    dir.write(
        "rsa-2048-mail-example.org.public.dns.txt",
        format!("v=DKIM1; k=rsa; p={mail}\n"),
    );
    // Ed25519 as rspamadm writes it: base64 of the seed and the public half.
    dir.openssl("genpkey -algorithm ED25519 -outform DER -out ed.bin");
    let seed = fs::read(dir.path("ed.bin")).unwrap()[16..].to_vec();
    let ed = dir.public_half("ed.bin");
    fs::remove_file(dir.path("ed.bin")).unwrap();
    dir.write(
        "example.net.ed.key",
        STANDARD.encode([&seed[..], &STANDARD.decode(&ed).unwrap()].concat()),
    );
    dir.write("example.net.seed.key", STANDARD.encode(&seed));
    let (keys, findings) = dir.load();
    assert_eq!(findings, vec![]);
    assert_eq!(
        *key(&keys, "2026b", "skyminds.net").record,
        format!("v=DKIM1; k=rsa; p={p}")
    );
    assert_eq!(
        *key(&keys, "mail", "example.org").record,
        format!("v=DKIM1; k=rsa; p={mail}")
    );
    assert_eq!(
        *key(&keys, "ed", "example.net").record,
        format!("v=DKIM1; k=ed25519; p={ed}")
    );
    assert_eq!(key(&keys, "seed", "example.net").public_key_tag(), ed);
}

#[test]
fn opendkim_tables_name_keys_by_every_kind_of_path() {
    let dir = Keys::new();
    for (folder, selector) in [
        ("keys/one.test", "mail"),
        ("keys/two.test", "mail"),
        ("shared", "default"),
    ] {
        dir.genkey(folder, &["-d", "ignored.test", "-s", selector]);
    }
    dir.folder("other");
    dir.openssl("genpkey -algorithm ED25519 -out other/k1.pem");
    let pem = fs::read_to_string(dir.path("other/k1.pem")).unwrap();
    dir.openssl("genrsa -traditional -out inline.tmp 2048");
    let der = dir.openssl("rsa -in inline.tmp -traditional -outform DER");
    let inline = dir.public_half("inline.tmp");
    let table = format!(
        "# OpenDKIM\nabs one.test:a:{}\nrel one.test:b:./other/k1.pem\nup one.test:c:../{}/other/k1.pem\nall %:mail:./keys/%/mail.private\nshared %:default:./shared/default.private\npem one.test:d:{}\nflat one.test:e:{}\nder one.test:f:{}\ngone one.test:g:./nowhere\n",
        dir.path("other/k1.pem").display(),
        dir.0.path().file_name().unwrap().to_string_lossy(),
        pem.trim().replace('\n', "\\n"),
        pem.replace('\n', ""),
        STANDARD.encode(der),
    );
    dir.write("KeyTable", table);
    dir.write(
        "SigningTable",
        "*@one.test all\n*@two.test all\n*@one.test shared\n*@three.test shared\n",
    );
    let (keys, findings) = dir.load();
    let ed = dir.public_half("other/k1.pem");
    let one: Vec<_> = keys
        .keys_of(&name("one.test"))
        .iter()
        .map(|key| (key.selector.clone(), key.public_key_tag().to_owned()))
        .collect();
    let expected = [
        ("a", &ed),
        ("b", &ed),
        ("c", &ed),
        ("d", &ed),
        ("default", &dir.public_half("shared/default.private")),
        ("e", &ed),
        ("f", &inline),
        ("mail", &dir.public_half("keys/one.test/mail.private")),
    ];
    assert_eq!(one, expected.map(|(selector, p)| (selector.to_owned(), p.clone())));
    assert_eq!(
        key(&keys, "mail", "two.test").public_key_tag(),
        dir.public_half("keys/two.test/mail.private")
    );
    assert_eq!(
        key(&keys, "default", "three.test").record.split("; ").nth(1),
        Some("h=sha256"),
        "from the .txt beside it"
    );
    assert_eq!(codes(&findings), ["key-table-file-missing"]);
    assert_eq!(findings[0].place.as_ref().unwrap().line, Some(10));
    assert!(!format!("{keys:?}").contains("PRIVATE"));
}

#[test]
fn a_record_that_belongs_to_another_key_is_overruled_loudly() {
    let dir = Keys::new();
    dir.genkey("a.test", &["-d", "a.test", "-s", "mail", "-S"]);
    dir.openssl("genrsa -out a.test/mail.private 2048");
    let (keys, findings) = dir.load();
    let key = key(&keys, "mail", "a.test");
    assert_eq!(
        *key.record,
        format!(
            "v=DKIM1; h=sha256; k=rsa; t=s; p={}",
            dir.public_half("a.test/mail.private")
        )
    );
    assert_eq!(codes(&findings), ["dkim-txt-differs"]);
    fs::remove_file(dir.path("a.test/mail.private")).unwrap();
    let (keys, findings) = dir.load();
    assert_eq!(findings, vec![], "the record alone is enough");
    assert_eq!(keys.domains().len(), 1);
}
