//! What holds of any content of a key file; shared by the fuzz target and the test that replays its corpus.

use signpost::finding::{Finding, Severity};
use signpost::keys::KeyDirectory;
use signpost::keys::tags::TagList;
use signpost::name::Name;
use std::path::{Path, PathBuf};

/// A record that is good whatever comes after it.
const GOOD: &[u8] = b"v=DKIM1; k=ed25519; p=iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";

/// Reads `octets` under every role a file can have; panics if a promise of `keys` is broken.
pub(crate) fn exercise(octets: &[u8]) {
    let Ok(domain) = Name::from_text("example.org") else {
        return;
    };
    for file in ["mail", "mail.private", "mail.pem", "mail.pub", "mail.txt"] {
        let path = PathBuf::from("keys/example.org").join(file);
        let mut keys = KeyDirectory::new(Path::new("keys"));
        keys.update(&path, Some(octets));
        let (changed, findings) = keys.resolve();
        judge(&findings, if file == "mail.private" { octets } else { b"" });
        assert_eq!(changed.is_empty(), keys.domains().is_empty());
        for key in keys.keys_of(&domain) {
            round_trip(&key.record, key.public_key_tag(), &domain);
        }
    }
    // Whatever comes after a good reading, there is a key, unless it says itself that it is revoked.
    let path = Path::new("keys/example.org/mail.pub");
    let mut keys = KeyDirectory::new(Path::new("keys"));
    keys.update(path, Some(GOOD));
    keys.resolve();
    keys.update(path, Some(octets));
    let (_, findings) = keys.resolve();
    let revoked = findings.iter().any(|finding| finding.code == "dkim-txt-no-key");
    assert_eq!(keys.domains().is_empty(), revoked, "{findings:?}");
}

/// What is published reads back as itself, with the same `p=`.
fn round_trip(record: &str, p: &str, domain: &Name) {
    let (tags, faults) = TagList::parse(record.as_bytes());
    assert_eq!((tags.to_string(), faults), (record.to_owned(), vec![]));
    assert!(record.starts_with("v=DKIM1; ") && record.ends_with(p) && tags.get("p") == Some(p));
    let mut keys = KeyDirectory::new(Path::new("keys"));
    keys.update(Path::new("keys/example.org/mail.txt"), Some(record.as_bytes()));
    keys.resolve();
    let back: Vec<String> = keys.keys_of(domain).iter().map(|key| key.record.to_string()).collect();
    assert_eq!(back, [record]);
}

/// Advice has a cure and a place, and shows no long word of `secret`.
fn judge(findings: &[Finding], secret: &[u8]) {
    for finding in findings {
        assert_eq!(
            finding.severity == Severity::Note,
            finding.cure.is_empty(),
            "{finding:?}"
        );
        assert!(finding.place.is_some() && !finding.what.is_empty(), "{finding:?}");
        let shown = finding.to_string();
        for word in secret.split(u8::is_ascii_whitespace).filter(|word| word.len() >= 32) {
            assert!(!shown.contains(&*String::from_utf8_lossy(word)), "{shown}");
        }
    }
}
