//! The documents say what the code does: every code of a finding is in docs/errors.md and none besides, every
//! source that docs/rfc.md names is there.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a finding's code can begin with.
const FAMILIES: [&str; 24] = [
    "activation",
    "compose",
    "config",
    "cookie",
    "directory",
    "dkim",
    "dmarc",
    "key",
    "listen",
    "mta-sts",
    "never",
    "open-files",
    "policy",
    "record",
    "sender-id",
    "serial",
    "signing-table",
    "spf",
    "state",
    "tls",
    "watch",
    "wildcard",
    "zone",
    "historic",
];

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
