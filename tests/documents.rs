//! The documents say what the code does: every code of a finding is in docs/errors.md and none besides, every
//! source that docs/rfc.md names is there, every hoster's profile of docs/secondaries.md passes `signpost check`.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a finding's code can begin with.
const FAMILIES: [&str; 30] = [
    "activation",
    "catalog",
    "compose",
    "config",
    "cookie",
    "directory",
    "dkim",
    "dmarc",
    "doctor",
    "key",
    "listen",
    "mta-sts",
    "never",
    "open-files",
    "opendkim",
    "policy",
    "postfix",
    "record",
    "sender-id",
    "serial",
    "signer",
    "signing-table",
    "spf",
    "state",
    "tls",
    "tsig",
    "watch",
    "wildcard",
    "zone",
    "historic",
];

/// What looks like a code and is the name of a program.
const PROGRAMS: [&str; 1] = ["opendkim-genkey"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" && name != "snapshots" {
            sources(&path, found);
        } else if name.ends_with(".rs") && !["tests.rs", "testing.rs", "properties.rs", "fixture.rs"].contains(&&*name)
        {
            found.push(path);
        }
    }
}

/// The words in `open`…`close` that look like codes.
fn codes(text: &str, mark: char) -> BTreeSet<String> {
    text.split(mark)
        .skip(1)
        .step_by(2)
        .filter(|word| {
            word.bytes()
                .all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
        })
        .filter(|word| word.contains('-') && FAMILIES.iter().any(|family| word.starts_with(&format!("{family}-"))))
        .filter(|word| !PROGRAMS.contains(word))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_code_is_in_the_list_of_findings_and_none_besides() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut used = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            used.extend(codes(line, '"'));
        }
    }
    let listed = codes(&fs::read_to_string(root().join("docs/errors.md")).unwrap(), '`');
    assert!(used.len() > 100, "the scan finds codes: {used:?}");
    let missing: Vec<&String> = used.difference(&listed).collect();
    let stale: Vec<&String> = listed.difference(&used).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "missing: {missing:?}; stale: {stale:?}"
    );
}

#[test]
fn every_source_that_the_table_of_standards_names_is_there() {
    let text = fs::read_to_string(root().join("docs/rfc.md")).unwrap();
    let named: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.starts_with("src/"))
        .collect();
    assert!(named.len() > 20);
    for path in named {
        assert!(root().join(path).exists(), "docs/rfc.md names {path}");
    }
}

/// The files that the blocks of code in a section show: each begins with a comment that names it.
fn files_shown(section: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = vec![];
    for block in section.split("\n```").skip(1).step_by(2) {
        let (_, lines) = block.split_once('\n').unwrap();
        for line in lines.lines() {
            let named = line.strip_prefix("# ").or_else(|| line.strip_prefix("; "));
            match named.filter(|name| name.ends_with(".toml") || name.ends_with(".zone")) {
                Some(name) => files.push((name.to_owned(), String::new())),
                None => {
                    let (_, text) = files.last_mut().expect("a block names its file first");
                    *text += line;
                    *text += "\n";
                }
            }
        }
    }
    files
}

#[test]
fn every_profile_of_a_hoster_passes_the_check() {
    let text = fs::read_to_string(root().join("docs/secondaries.md")).unwrap();
    let (_, hosters) = text.split_once("\n## Hosters\n").unwrap();
    let mut seen = vec![];
    for section in hosters.split("\n### ").skip(1) {
        let hoster = section.lines().next().unwrap();
        let files = files_shown(section);
        if files.is_empty() {
            continue;
        }
        seen.push(hoster);
        let house = tempfile::Builder::new().prefix("signpost-test-").tempdir().unwrap();
        let mut config = "zones = \"zones\"\nkeys = \"keys\"\nstate = \"state\"\n".to_owned();
        for folder in ["zones", "keys", "state"] {
            fs::create_dir(house.path().join(folder)).unwrap();
        }
        for (name, text) in &files {
            match name.as_str() {
                "signpost.toml" => config += text,
                name => fs::write(house.path().join(name), text).unwrap(),
            }
        }
        fs::write(house.path().join("signpost.toml"), &config).unwrap();
        for file in config.lines().filter_map(|line| line.strip_prefix("secret_file = \"")) {
            let name = file.trim_end_matches(".key\"");
            let key = format!(
                "key \"{name}\" {{ algorithm hmac-sha256; secret \"{}=\"; }};\n",
                "A".repeat(43)
            );
            fs::write(house.path().join(format!("{name}.key")), key).unwrap();
        }
        let check = || {
            let output = Command::new(env!("CARGO_BIN_EXE_signpost"))
                .current_dir(house.path())
                .arg("check")
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8_lossy(&said).into_owned())
        };
        let (good, said) = check();
        assert!(good && !said.contains("warning"), "{hoster}: {said}");
        // What is shown is read: a word that is none is told.
        let policy = house.path().join("zones/example.org.toml");
        let text = fs::read_to_string(&policy).unwrap();
        fs::write(&policy, text.replace("allow", "alow")).unwrap();
        let (good, said) = check();
        assert!(!good && said.contains("alow"), "{hoster}: {said}");
    }
    assert_eq!(seen, ["OVH, Kimsufi", "Gandi", "Hetzner", "Scaleway Dedibox"]);
}
