//! What holds of any KeyTable and SigningTable; shared by the fuzz target and the test that replays its corpus.
//!
//! A line `---` splits the input into the KeyTable and the SigningTable.

use signpost::finding::Severity;
use signpost::keys::KeyDirectory;
use std::path::Path;

/// A key for rows to name.
const KEY: &[u8] = b"v=DKIM1; k=ed25519; p=iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";

/// Reads `octets` as the two tables; panics if a promise of `keys` is broken.
pub(crate) fn exercise(octets: &[u8]) {
    let at = octets.windows(5).position(|five| five == b"\n---\n");
    let (table, signing) = match at {
        Some(at) => (&octets[..at + 1], &octets[at + 5..]),
        None => (octets, &b""[..]),
    };
    let files = [
        ("keys/KeyTable", table),
        ("keys/SigningTable", signing),
        ("keys/example.org/k.pub", KEY),
    ];
    let there = load(&files);
    let back = load(&[files[2], files[1], files[0]]);
    assert_eq!(all(&there), all(&back), "the order of files does not matter");
    let mut keys = there;
    for path in keys.wanted() {
        assert!(!path.starts_with("keys"), "{}", path.display());
        keys.update(&path, None);
    }
    keys.resolve();
    let (changed, findings) = keys.resolve();
    assert!(changed.is_empty() && findings.is_empty(), "nothing is left to resolve");
    for (path, _) in &files[..2] {
        keys.update(Path::new(path), None);
    }
    let (_, findings) = keys.resolve();
    assert!(findings.is_empty(), "{findings:?}");
    assert!(keys.wanted().is_empty());
    assert_eq!(all(&keys).len(), 1, "the key that its path names is left: {keys:?}");
}

fn load(files: &[(&str, &[u8])]) -> KeyDirectory {
    let mut keys = KeyDirectory::new(Path::new("keys"));
    for (path, content) in files {
        keys.update(Path::new(path), Some(content));
    }
    let (_, findings) = keys.resolve();
    for finding in findings {
        assert_eq!(
            finding.severity == Severity::Note,
            finding.cure.is_empty(),
            "{finding:?}"
        );
        assert!(finding.place.is_some(), "{finding:?}");
    }
    keys
}

fn all(keys: &KeyDirectory) -> Vec<String> {
    let domains = keys.domains().into_iter();
    domains
        .flat_map(|domain| keys.keys_of(domain))
        .map(|key| format!("{key:?}"))
        .collect()
}
