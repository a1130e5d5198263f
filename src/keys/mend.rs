//! The tags of an operator's record, mended where they would break verifiers, and the record that
//! is published (RFC 6376 §3.6.1, RFC 8301).
//!
//! Every change is told as a warning that says what and why. `k=` and `p=` always follow the key
//! itself; `t=`, `s=`, `n=`, `h=` and unknown tags are the operator's.

use super::public::PublicKey;
use super::tags::{TagFault, TagList};
use crate::finding::Finding;

const CURE: &str = "correct the .txt file, or leave it: the record is published mended";

/// Mends `tags` in place and says what was done and what is odd; findings have no place yet.
pub(super) fn mend(tags: &mut TagList, faults: &[TagFault]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = faults.iter().map(fault_finding).collect();
    findings.extend(mend_version(tags));
    if tags.remove("g").is_some() {
        findings.push(mended(
            "dkim-tag-g",
            "g= was taken out of DKIM (RFC 6376 appendix C) and old verifiers refuse keys by it; it is left out",
        ));
    }
    findings.extend(mend_hashes(tags));
    findings.extend(judge_flags(tags));
    findings.extend(judge_services(tags));
    findings
}

/// The tag list to publish for `key` with the operator's tags, `v=` first and `p=` last.
pub(super) fn record(key: &PublicKey, tags: Option<&TagList>) -> String {
    let mut list = TagList::default();
    list.set("v", "DKIM1".to_owned());
    let operators = |name: &str| tags.and_then(|tags| tags.get(name)).filter(|value| !value.is_empty());
    for name in ["h", "k", "t", "s", "n"] {
        let value = if name == "k" {
            Some(key.key_type())
        } else {
            operators(name)
        };
        if let Some(value) = value {
            list.set(name, value.to_owned());
        }
    }
    for (name, value) in tags.iter().flat_map(|tags| tags.iter()) {
        if list.get(name).is_none() && !matches!(name, "p" | "h" | "t" | "s" | "n") {
            list.set(name, value.to_owned());
        }
    }
    list.set("p", key.base64());
    list.to_string()
}

/// RFC 6376 §3.6.1: `v=` SHOULD be there, MUST be the first tag and MUST be `DKIM1`.
fn mend_version(tags: &mut TagList) -> Option<Finding> {
    let first = tags.iter().next().map(|(name, _)| name == "v");
    let what = match (tags.get("v"), first) {
        (Some("DKIM1"), Some(true)) => return None,
        (Some("DKIM1"), _) => "v=DKIM1 must be the first tag (RFC 6376 §3.6.1); it was put first".to_owned(),
        (Some(other), _) => format!("v={other} is no version of DKIM (RFC 6376 §3.6.1); v=DKIM1 was put first"),
        (None, _) => {
            "v=DKIM1 is missing; verifiers and checkers ask for it first (RFC 6376 §3.6.1); it was put first".to_owned()
        }
    };
    Some(mended("dkim-tag-v", what))
}

/// `h=` lists hashes, not signature algorithms (RFC 6376 §3.6.1), and sha1 is dead (RFC 8301 §3.1).
fn mend_hashes(tags: &mut TagList) -> Vec<Finding> {
    let Some(old) = tags.get("h").map(str::to_owned) else {
        return vec![];
    };
    let (mut findings, mut kept) = (vec![], vec![]);
    let mut keep = |hash: &str| {
        if !kept.iter().any(|known| known == hash) {
            kept.push(hash.to_owned());
        }
    };
    for token in old.split(':').filter(|token| !token.is_empty()) {
        match token.to_ascii_lowercase().as_str() {
            hash @ ("sha1" | "sha256") => keep(hash),
            // The tutorials' `opendkim-genkey -h rsa-sha256`.
            algorithm @ ("rsa-sha1" | "rsa-sha256" | "ed25519-sha256") => {
                let hash = algorithm.rsplit('-').next().unwrap_or(algorithm);
                findings.push(mended(
                    "dkim-tag-h",
                    format!(
                        "h={token} is a signature algorithm, and h= lists hashes (RFC 6376 §3.6.1): \
                         verifiers refuse the key; h={hash} is published"
                    ),
                ));
                keep(hash);
            }
            _ => findings.push(mended(
                "dkim-tag-h",
                format!("h={token} is no hash that DKIM knows (RFC 6376 §3.6.1); it is left out"),
            )),
        }
    }
    if kept.iter().any(|hash| hash == "sha1") {
        kept.retain(|hash| hash != "sha1");
        findings.push(mended(
            "dkim-tag-h",
            "sha1 must not be used to sign or verify any more (RFC 8301 §3.1); it is left out of h=",
        ));
    }
    if kept.is_empty() {
        kept.push("sha256".to_owned());
        findings.push(mended("dkim-tag-h", "h= names no usable hash; h=sha256 is published"));
    }
    tags.set("h", kept.join(":"));
    findings
}

fn judge_flags(tags: &TagList) -> Option<Finding> {
    let testing = tags.get("t")?.split(':').any(|flag| flag == "y");
    testing.then(|| {
        Finding::warning(
            "dkim-test-mode",
            "t=y says that the domain only tests DKIM: verifiers treat its mail as if it were not signed (RFC 6376 §3.6.1)",
            "take the y out of t= in the .txt file once the signatures verify",
        )
    })
}

fn judge_services(tags: &TagList) -> Option<Finding> {
    let services = tags.get("s").filter(|services| !services.is_empty())?;
    let for_mail = services
        .split(':')
        .any(|service| service == "*" || service.eq_ignore_ascii_case("email"));
    (!for_mail).then(|| {
        Finding::warning(
            "dkim-tag-s",
            format!("s={services} keeps the key from being used for e-mail (RFC 6376 §3.6.1)"),
            "write s=email or leave s= out",
        )
    })
}

fn fault_finding(fault: &TagFault) -> Finding {
    let code = match fault {
        TagFault::Duplicate(_) => "dkim-tag-duplicate",
        TagFault::NoTag(_) | TagFault::BadValue(_) | TagFault::NoteSemicolon => "dkim-tag-syntax",
    };
    mended(code, fault.to_string())
}

fn mended(code: &'static str, what: impl Into<String>) -> Finding {
    Finding::warning(code, what, CURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mend_text(text: &str) -> (String, Vec<&'static str>) {
        let (mut tags, faults) = TagList::parse(text.as_bytes());
        let findings = mend(&mut tags, &faults);
        let key = PublicKey::from_ed25519_seed(&[7; 32]).unwrap();
        let record = record(&key, Some(&tags));
        let (tags, p) = record.rsplit_once("; p=").unwrap();
        assert_eq!(p, key.base64());
        (tags.to_owned(), findings.iter().map(|finding| finding.code).collect())
    }

    #[test]
    fn mends_what_breaks_verifiers_and_says_so() {
        for (text, record, codes) in [
            (
                "v=DKIM1; h=sha256; k=ed25519; p=A",
                "v=DKIM1; h=sha256; k=ed25519",
                &[][..],
            ),
            (
                "v=DKIM1; h=rsa-sha256; p=A",
                "v=DKIM1; h=sha256; k=ed25519",
                &["dkim-tag-h"],
            ),
            (
                "v=DKIM1; h=RSA-SHA256:sha256; p=A",
                "v=DKIM1; h=sha256; k=ed25519",
                &["dkim-tag-h"],
            ),
            (
                "v=DKIM1; h=sha1:sha256; p=A",
                "v=DKIM1; h=sha256; k=ed25519",
                &["dkim-tag-h"],
            ),
            (
                "v=DKIM1; h=sha1; p=A",
                "v=DKIM1; h=sha256; k=ed25519",
                &["dkim-tag-h", "dkim-tag-h"],
            ),
            (
                "v=DKIM1; h=md5; p=A",
                "v=DKIM1; h=sha256; k=ed25519",
                &["dkim-tag-h", "dkim-tag-h"],
            ),
            ("k=rsa; p=A", "v=DKIM1; k=ed25519", &["dkim-tag-v"]),
            ("p=A; v=DKIM1", "v=DKIM1; k=ed25519", &["dkim-tag-v"]),
            ("v=dkim1; p=A", "v=DKIM1; k=ed25519", &["dkim-tag-v"]),
            ("v=DKIM1; g=*; p=A", "v=DKIM1; k=ed25519", &["dkim-tag-g"]),
            ("v=DKIM1; t=y:s; p=A", "v=DKIM1; k=ed25519; t=y:s", &["dkim-test-mode"]),
            (
                "v=DKIM1; s=tlsrpt; p=A",
                "v=DKIM1; k=ed25519; s=tlsrpt",
                &["dkim-tag-s"],
            ),
            ("v=DKIM1; s=email; t=s; p=A", "v=DKIM1; k=ed25519; t=s; s=email", &[]),
            (
                "v=DKIM1; x=1; n=hi; p=A; p=B",
                "v=DKIM1; k=ed25519; n=hi; x=1",
                &["dkim-tag-duplicate"],
            ),
        ] {
            assert_eq!(mend_text(text), (record.to_owned(), codes.to_vec()), "{text}");
        }
    }
}
