use super::*;
use crate::config::{Config, KeyType, Reload, Signer};
use crate::finding::Place;
use crate::keys::KeyDirectory;
use crate::testing::name;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use tempfile::TempDir;

/// A directory with a configuration, a key directory and whatever a signer has.
struct House {
    dir: TempDir,
    config: Config,
}

const TABLES: &str = "kind = \"opendkim\"\nkey_table = \"KeyTable\"\nsigning_table = \"SigningTable\"\n";

impl House {
    fn new(signer: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("signpost-test-").tempdir().unwrap();
        let text = format!("[[signer]]\n{signer}");
        let config = crate::config::parse(&text, &dir.path().join("signpost.toml")).unwrap();
        fs::create_dir(&config.keys).unwrap();
        Self { dir, config }
    }

    fn signer(&self) -> &Signer {
        &self.config.signers[0]
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// A key, with the record that Signpost publishes for it.
    fn make(&self, selector: &str, algorithm: NewKey) -> (PathBuf, String) {
        let file = make(self.signer(), &name("example.org"), selector, algorithm).unwrap();
        let record = self.published(selector).unwrap();
        (file, record)
    }

    fn published(&self, selector: &str) -> Option<String> {
        let mut keys = KeyDirectory::new(&self.config.keys);
        let mut files = vec![];
        list(&self.config.keys, &mut files);
        for file in &files {
            keys.update(file, Some(&fs::read(file).unwrap()));
        }
        let (_, findings) = keys.resolve();
        assert_eq!(findings, []);
        let domain = name("example.org");
        let found = keys.keys_of(&domain);
        let key = found.into_iter().find(|key| key.selector == selector)?;
        Some(key.record.to_string())
    }

    fn switch(&self, selector: &str, old_selector: Option<&str>, key: &(PathBuf, String)) -> Result<(), SignerError> {
        let change = Switch {
            domain: &name("example.org"),
            selector,
            old_selector,
            algorithm: NewKey::Rsa2048,
            key_file: &key.0,
            record: &key.1,
        };
        switch(self.signer(), &change)
    }

    /// Every file below, hidden ones too.
    fn files(&self) -> Vec<String> {
        let mut files = vec![];
        list(self.dir.path(), &mut files);
        let files = files.iter().map(|file| {
            file.strip_prefix(self.dir.path())
                .unwrap()
                .to_string_lossy()
                .into_owned()
        });
        let mut files: Vec<String> = files.collect();
        files.sort();
        files
    }
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => list(&path, files),
            false => files.push(path),
        }
    }
}

fn mode(file: impl AsRef<Path>) -> u32 {
    file.as_ref().metadata().unwrap().mode() & 0o7777
}

#[test]
fn each_signer_gets_keys_where_and_as_it_reads_them() {
    let both = [NewKey::Rsa2048, NewKey::Ed25519];
    let opendkim_ed = format!("{TABLES}algorithms = [\"ed25519\"]");
    for (signer, algorithms, stem, suffix) in [
        (TABLES, &both[..1], "keys/example.org/2026a", ".private"),
        (opendkim_ed.as_str(), &both[1..], "keys/example.org/2026a", ".private"),
        (
            "kind = \"exim\"\nselectors = \"s\"\nmode = \"0640\"",
            &both,
            "keys/example.org/2026a",
            ".private",
        ),
        (
            "kind = \"exim\"\nselectors = \"s\"\nkeys = \"{selector}.{domain}.private.pem\"",
            &both,
            "keys/2026a.example.org",
            ".private.pem",
        ),
        (
            "kind = \"rspamd\"\nselector_map = \"s\"",
            &both[..1],
            "keys/example.org.2026a",
            ".key",
        ),
        (
            "kind = \"rspamd\"\nselector_map = \"s\"\nalgorithms = [\"ed25519\"]",
            &both[1..],
            "keys/example.org.2026a",
            ".key",
        ),
    ] {
        for algorithm in algorithms {
            let house = House::new(signer);
            let (file, record) = house.make("2026a", *algorithm);
            assert_eq!(file, house.path(&format!("{stem}{suffix}")));
            let kind = if *algorithm == NewKey::Ed25519 {
                "ed25519"
            } else {
                "rsa"
            };
            assert!(
                record.starts_with(&format!("v=DKIM1; h=sha256; k={kind}; p=")),
                "{record}"
            );
            assert_eq!(
                (mode(&file), mode(house.path(&format!("{stem}.txt")))),
                (house.signer().mode, 0o644)
            );
            // Nothing else, hidden or not.
            assert_eq!(house.files(), [format!("{stem}{suffix}"), format!("{stem}.txt")]);
            if suffix == ".private" {
                let openssl = Command::new("openssl")
                    .args(["pkey", "-noout", "-text", "-in"])
                    .arg(&file)
                    .output()
                    .unwrap();
                assert!(openssl.status.success(), "{openssl:?}");
            }
            let refused = make(house.signer(), &name("example.org"), "2026a", *algorithm).unwrap_err();
            assert_eq!(refused.fault, Fault::Exists);
            assert_eq!(house.published("2026a"), Some(record));
        }
    }
}

#[test]
fn a_key_that_cannot_be_made_whole_is_not_made() {
    let house = House::new(TABLES);
    let refused = |selector: &str| make(house.signer(), &name("example.org"), selector, NewKey::Rsa2048).unwrap_err();
    for selector in ["../../x", "2026-", "-a", "", "a..b", "a b"] {
        let told = refused(selector).what;
        assert!(
            told.contains("cannot be part of the path of a key"),
            "{selector}: {told}"
        );
    }
    let told = make(house.signer(), &name("localhost"), "a", NewKey::Rsa2048).unwrap_err();
    assert!(told.to_string().contains("take a domain of two labels"), "{told}");
    let plain = House::new(&format!("{TABLES}keys = \"{{domain}}/{{selector}}\""));
    let told = make(plain.signer(), &name("example.org"), "a.old", NewKey::Rsa2048).unwrap_err();
    assert!(told.to_string().contains("take another selector"), "{told}");
    let told = make(house.signer(), &name("example.org"), "a", NewKey::Ed25519).unwrap_err();
    assert!(
        told.to_string().contains("opendkim does not sign with keys of ed25519"),
        "{told}"
    );
    // The record's name is taken.
    fs::create_dir(house.path("keys/example.org")).unwrap();
    house.write("keys/example.org/a.txt", "mine");
    assert_eq!(refused("a").fault, Fault::Exists);
    assert_eq!(house.files(), ["keys/example.org/a.txt"]);
    // A crash left its hidden file.
    house.write("keys/example.org/.b.private.signpost-new", "half");
    house.make("b", NewKey::Rsa2048);
    assert_eq!(house.files().len(), 3, "{:?}", house.files());
    // No directory where one is needed.
    fs::remove_dir_all(house.path("keys")).unwrap();
    house.write("keys", "a file");
    assert_eq!(refused("c").fault, Fault::Missing);
    let house = House::new(&format!("{TABLES}owner = \"nobody-of-that-name\""));
    let told = make(house.signer(), &name("example.org"), "a", NewKey::Rsa2048).unwrap_err();
    assert_eq!((told.fault, house.files()), (Fault::Owner, vec![]));
}

#[test]
fn a_switch_writes_both_tables_and_is_done_again_without_harm() {
    let mut house = House::new(TABLES);
    let reloads = house.path("reloads").display().to_string();
    let command = ["/bin/sh", "-c", "echo x >> $0", &reloads].map(str::to_owned);
    house.config.signers[0].reload = Some(Reload::Command(command.to_vec()));
    // The tables are links, as under a version control of /etc, and have a mode of their own.
    house.write("KeyTable.real", "# ours\n");
    std::os::unix::fs::symlink("KeyTable.real", house.path("KeyTable")).unwrap();
    house.write("SigningTable", "");
    fs::set_permissions(house.path("KeyTable.real"), fs::Permissions::from_mode(0o604)).unwrap();
    let old = house.make("a", NewKey::Rsa2048);
    house.switch("a", None, &old).unwrap();
    let new = house.make("b", NewKey::Rsa2048);
    house.switch("b", Some("a"), &new).unwrap();
    let selectors = signing(house.signer()).unwrap().unwrap();
    assert_eq!(selectors[&name("example.org")], BTreeSet::from(["b".to_owned()]));
    assert_eq!(house.read("SigningTable"), "*@example.org b._domainkey.example.org\n");
    let path = |selector| {
        house
            .path(&format!("keys/example.org/{selector}.private"))
            .display()
            .to_string()
    };
    let row = |selector| {
        format!(
            "{selector}._domainkey.example.org example.org:{selector}:{}\n",
            path(selector)
        )
    };
    assert_eq!(house.read("KeyTable"), format!("# ours\n{}{}", row("a"), row("b")));
    assert!(house.path("KeyTable").is_symlink());
    assert_eq!(mode(house.path("KeyTable.real")), 0o604);
    assert_eq!(
        files(house.signer())[2],
        house.path("KeyTable.real").canonicalize().unwrap()
    );
    // Again: nothing but a reload.
    let stamp = |file: &str| house.path(file).metadata().unwrap().ino();
    let stamps = (stamp("KeyTable"), stamp("SigningTable"));
    house.switch("b", Some("a"), &new).unwrap();
    assert_eq!(stamps, (stamp("KeyTable"), stamp("SigningTable")));
    retire(house.signer(), &name("example.org"), "a").unwrap();
    assert_eq!(house.read("KeyTable"), format!("# ours\n{}", row("b")));
    assert_eq!(house.read("reloads"), "x\n".repeat(4));
    let told = retire(house.signer(), &name("example.org"), "b").unwrap_err();
    assert_eq!(told.fault, Fault::Disagrees);
}

#[test]
fn nothing_is_switched_to_a_key_that_verifiers_do_not_have() {
    let house = House::new(TABLES);
    house.write("KeyTable", "");
    house.write("SigningTable", "");
    let (file, record) = house.make("a", NewKey::Rsa2048);
    let (_, other) = house.make("b", NewKey::Rsa2048);
    let told = house.switch("a", None, &(file.clone(), other)).unwrap_err();
    assert!(told.to_string().contains("mail signed with it would fail"), "{told}");
    let told = house
        .switch("a", None, &(file.clone(), "v=DKIM1; p=".to_owned()))
        .unwrap_err();
    assert_eq!(told.fault, Fault::Key);
    fs::write(&file, &fs::read(&file).unwrap()[..500]).unwrap();
    let told = house.switch("a", None, &(file.clone(), record.clone())).unwrap_err();
    assert_eq!(told.fault, Fault::Key);
    fs::remove_file(&file).unwrap();
    assert_eq!(
        house.switch("a", None, &(file, record)).unwrap_err().fault,
        Fault::Missing
    );
    assert_eq!(
        (house.read("KeyTable"), house.read("SigningTable")),
        (String::new(), String::new())
    );
}

#[test]
fn a_reload_that_fails_is_told_and_done_by_the_next_try() {
    let mut house = House::new(TABLES);
    house.write("KeyTable", "");
    house.write("SigningTable", "");
    let key = house.make("a", NewKey::Rsa2048);
    let reload = |script: &str| Some(Reload::Command(["/bin/sh", "-c", script].map(str::to_owned).to_vec()));
    house.config.signers[0].reload = reload("echo 'Unit opendkim.service not found.' >&2; exit 5");
    let told = house.switch("a", None, &key).unwrap_err();
    assert_eq!(told.fault, Fault::Reload);
    assert!(
        told.to_string()
            .contains("exit status: 5: Unit opendkim.service not found."),
        "{told}"
    );
    // Selector and key agree, whoever reads the tables now.
    assert!(house.read("SigningTable").contains("a._domainkey.example.org"));
    house.config.signers[0].reload = reload("true");
    house.switch("a", None, &key).unwrap();
}

#[test]
fn a_hook_is_told_what_happens_in_its_environment() {
    let mut house = House::new("kind = \"hook\"\nhook = [\"x\"]");
    let script = "env | grep ^SIGNPOST_ | sort > \"$0\"";
    house.config.signers[0].hook = ["/bin/sh", "-c", script, house.path("told").to_str().unwrap()]
        .map(str::to_owned)
        .to_vec();
    let key = house.make("b", NewKey::Rsa2048);
    house.switch("b", Some("a"), &key).unwrap();
    let expected = format!(
        "SIGNPOST_ACTION=switch\nSIGNPOST_ALGORITHM=rsa2048\nSIGNPOST_DOMAIN=example.org\nSIGNPOST_KEY_FILE={}\n\
         SIGNPOST_OLD_SELECTOR=a\nSIGNPOST_SELECTOR=b\n",
        key.0.display()
    );
    assert_eq!(house.read("told"), expected);
    retire(house.signer(), &name("example.org"), "a").unwrap();
    assert_eq!(
        house.read("told"),
        "SIGNPOST_ACTION=retire\nSIGNPOST_DOMAIN=example.org\nSIGNPOST_SELECTOR=a\n"
    );
    assert_eq!(signing(house.signer()).unwrap(), None);
    assert_eq!(house.signer().algorithms, [KeyType::Rsa, KeyType::Ed25519]);
    house.config.signers[0].hook = vec!["/bin/false".to_owned()];
    assert_eq!(house.switch("b", Some("a"), &key).unwrap_err().fault, Fault::Hook);
}

#[test]
fn exims_map_is_switched_by_one_rename() {
    let house = House::new("kind = \"exim\"\nselectors = \"map\"");
    house.write("map", "# selectors\nexample.org: a : ed\n");
    let key = house.make("b", NewKey::Rsa2048);
    house.switch("b", Some("a"), &key).unwrap();
    assert_eq!(house.read("map"), "# selectors\nexample.org: b : ed\n");
    let selectors = signing(house.signer()).unwrap().unwrap();
    assert_eq!(
        selectors[&name("example.org")],
        BTreeSet::from(["b".to_owned(), "ed".to_owned()])
    );
    retire(house.signer(), &name("example.org"), "a").unwrap();
    assert_eq!(
        retire(house.signer(), &name("example.org"), "ed").unwrap_err().fault,
        Fault::Disagrees
    );
}

#[test]
fn what_is_written_by_hand_meanwhile_is_not_lost() {
    let house = House::new(TABLES);
    let table = house.path("KeyTable");
    let append = |text: &[u8]| Ok([text, b"ours\n"].concat());
    // In place, and by rename, between our reading and our writing.
    for by_rename in [false, true] {
        house.write("KeyTable", "first\n");
        let mut tries = 0;
        let written = file::rewrite(&table, |text| {
            tries += 1;
            if tries == 1 && by_rename {
                house.write("beside", "first\nby hand\n");
                fs::rename(house.path("beside"), &table).unwrap();
            } else if tries == 1 {
                house.write("KeyTable", "first\nby hand\n");
            }
            append(text)
        });
        assert_eq!((written, tries), (Ok(true), 2));
        assert_eq!(house.read("KeyTable"), "first\nby hand\nours\n");
    }
    // One that never stops.
    let mut tries = 0;
    let told = file::rewrite(&table, |text| {
        tries += 1;
        house.write("KeyTable", &format!("{tries}\n"));
        append(text)
    });
    assert_eq!((told.unwrap_err().fault, tries), (Fault::Busy, 5));
    assert_eq!(
        (house.read("KeyTable"), house.files()),
        ("5\n".to_owned(), vec!["KeyTable".to_owned()])
    );
}

#[test]
fn an_old_key_is_removed_or_held_until_it_is_revealed() {
    let house = House::new(TABLES);
    let domain = name("example.org");
    let (file, record) = house.make("a", NewKey::Rsa2048);
    let public = crate::mail::dkim_public_key(record.as_bytes()).unwrap();
    let private = fs::read(&file).unwrap();
    discard(&file, "", None).unwrap();
    assert_eq!(house.files(), [] as [&str; 0]);
    discard(&file, "", None).unwrap();
    // Held.
    fs::create_dir_all(house.path("keys/example.org")).unwrap();
    fs::write(&file, &private).unwrap();
    let hold = held(&house.path("state"), &domain, "a");
    discard(&file, &public, Some(&hold)).unwrap();
    assert_eq!(house.files(), ["state/retired/example.org/a.private"]);
    assert_eq!((mode(&hold), mode(hold.parent().unwrap())), (0o600, 0o700));
    // A crash had left it in both places; another key is not overwritten.
    fs::write(&file, &private).unwrap();
    discard(&file, &public, Some(&hold)).unwrap();
    let (other, record) = house.make("a", NewKey::Rsa2048);
    let other_public = crate::mail::dkim_public_key(record.as_bytes()).unwrap();
    let told = discard(&other, &other_public, Some(&hold)).unwrap_err();
    assert_eq!((told.fault, other.exists()), (Fault::Exists, true));
    fs::remove_dir_all(house.path("keys/example.org")).unwrap();
    // Revealed, once and for all.
    let reveal = || reveal(&hold, &house.path("public"), &domain, "a").unwrap();
    let public = reveal().unwrap();
    assert_eq!(public, house.path("public/a._domainkey.example.org.pem"));
    assert_eq!((mode(&public), fs::read(&public).unwrap()), (0o644, private.clone()));
    assert!(!hold.exists());
    assert_eq!(reveal(), None);
    // A crash had left it in both places.
    fs::write(&hold, &private).unwrap();
    assert_eq!((reveal(), hold.exists()), (Some(public.clone()), false));
    // A selector that came again.
    for again in ["-2", "-3", "-3"] {
        fs::write(&hold, format!("key {again}")).unwrap();
        let expected = house.path(&format!("public/a._domainkey.example.org{again}.pem"));
        assert_eq!((reveal(), hold.exists()), (Some(expected.clone()), false));
        assert_eq!(fs::read_to_string(&expected).unwrap(), format!("key {again}"));
    }
    assert_eq!(fs::read(&public).unwrap(), private);
}

#[test]
fn nothing_is_held_but_the_key_that_is_meant() {
    let house = House::new(TABLES);
    let (file, record) = house.make("a", NewKey::Rsa2048);
    let public = crate::mail::dkim_public_key(record.as_bytes()).unwrap();
    let key = fs::read(&file).unwrap();
    let (other, _) = house.make("b", NewKey::Rsa2048);
    let hold = held(&house.path("state"), &name("example.org"), "a");
    // What the owner of the key directory may have put in its place: a way to what is not his, another key, a pipe.
    house.write("secret", "root:$6$x:1::::::\n");
    fs::write(house.path("moved"), &key).unwrap();
    let link = |to: &str| std::os::unix::fs::symlink(house.path(to), &file).unwrap();
    let pipe = || rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let put: [&dyn Fn(); 5] = [
        &|| link("secret"),
        &|| link("moved"),
        &|| fs::write(&file, fs::read(&other).unwrap()).unwrap(),
        &|| fs::write(&file, "no key").unwrap(),
        &pipe,
    ];
    for put in put {
        let _ = fs::remove_file(&file);
        put();
        discard(&file, &public, Some(&hold)).unwrap();
        assert!(file.symlink_metadata().is_err() && !hold.exists());
    }
    assert!(house.path("secret").exists() && house.path("moved").exists());
    fs::write(&file, &key).unwrap();
    discard(&file, &public, Some(&hold)).unwrap();
    assert_eq!(fs::read(&hold).unwrap(), key);
}

#[test]
fn a_key_that_somebody_put_there_is_told_at_the_table_that_names_it() {
    let house = House::new(TABLES);
    for table in ["KeyTable", "SigningTable"] {
        std::os::unix::fs::symlink(house.path(&format!("real-{table}")), house.path(table)).unwrap();
    }
    house.write("real-KeyTable", "theirs example.org:theirs:/k\n");
    house.write("real-SigningTable", "*@example.org theirs\n");
    let change = Switch {
        domain: &name("example.org"),
        selector: "ours",
        old_selector: None,
        algorithm: NewKey::Rsa2048,
        key_file: Path::new("/k"),
        record: "",
    };
    let told = check_free(house.signer(), &change, &BTreeSet::new()).unwrap_err();
    assert_eq!(told.fault, Fault::Disagrees);
    assert_eq!(told.place, Some(Place::file(house.path("SigningTable"))));
    let beside = BTreeSet::from(["theirs".to_owned()]);
    assert_eq!(check_free(house.signer(), &change, &beside), Ok(()));
    let watched = ["KeyTable", "SigningTable", "real-KeyTable", "real-SigningTable"];
    let real = house.dir.path().canonicalize().unwrap();
    assert_eq!(
        files(house.signer())[2..],
        [real.join(watched[2]), real.join(watched[3])]
    );
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let mut house = House::new(TABLES);
    house.write("KeyTable", "");
    house.write("SigningTable", "");
    let key = house.make("a", NewKey::Rsa2048);
    let pipe = |path: &Path| {
        let _ = fs::remove_file(path);
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    };
    house.config.signers[0].reload = Some(Reload::PidFile(house.path("pid")));
    pipe(&house.path("pid"));
    assert_eq!(house.switch("a", None, &key).unwrap_err().fault, Fault::Reload);
    for table in ["SigningTable", "KeyTable"] {
        pipe(&house.path(table));
        let told = house.switch("a", None, &key).unwrap_err();
        assert!(told.to_string().contains("is this the right file?"), "{told}");
        assert!(signing(house.signer()).is_err());
    }
    pipe(&key.0);
    let told = house.switch("a", None, &key).unwrap_err();
    assert!(told.to_string().contains("not a regular file"), "{told}");
}

#[test]
fn every_fault_has_a_code_of_its_own() {
    let codes: BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.code()).collect();
    assert_eq!(codes.len(), Fault::ALL.len());
}
