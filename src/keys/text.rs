//! The public record beside a private key: what opendkim-genkey, rspamadm and people leave behind.
//!
//! Reads a master file entry (`mail._domainkey IN TXT ( "…" "…" ) ; ----- DKIM key mail for
//! example.org`), quoted strings alone, and a bare value (`v=DKIM1; k=rsa; p=…`). This is no master
//! file reader: it needs no origin, and takes what a person may have pasted.

use super::fault::Fault;
use super::layout;
use super::material::decode_base64;
use super::mend::mend;
use super::public::{self, Half, PublicKey};
use super::tags::TagList;
use crate::finding::Finding;
use crate::name::{Name, unescape};

/// What a `.txt` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyText {
    /// The selector of its owner name, or of genkey's comment.
    pub(super) selector: Option<String>,
    /// The domain of its owner name, or of genkey's comment.
    pub(super) domain: Option<Name>,
    /// Its tags, mended.
    pub(super) tags: TagList,
    /// The key in `p=`; `None` when it is empty (revoked) or unreadable.
    pub(super) key: Option<PublicKey>,
}

/// Reads a record for the file name stem `stem`, which chooses among several. `None`: no DKIM record
/// in there. Findings have no place yet.
pub(super) fn read(text: &[u8], stem: &str) -> Result<Option<(KeyText, Vec<Finding>)>, Fault> {
    let entries = if is_bare(text) {
        vec![bare_entry(text)]
    } else {
        quoted_entries(text)?
    };
    let mut keys: Vec<_> = entries
        .iter()
        .map(|entry| (entry, TagList::parse(&entry.value)))
        .filter(|(_, (tags, _))| tags.get("p").is_some())
        .collect();
    if keys.is_empty() {
        let begun = entries
            .iter()
            .any(|entry| entry.value.trim_ascii_start().starts_with(b"v=DKIM1"));
        return if begun { Err(Fault::Unfinished) } else { Ok(None) };
    }
    let named = |entry: &Entry| entry.owner().is_some_and(|(selector, _)| selector == stem);
    let chosen = keys.iter().position(|(entry, _)| named(entry)).unwrap_or(0);
    let several = keys.len() > 1;
    let (entry, (mut tags, faults)) = keys.swap_remove(chosen);
    let mut findings = mend(&mut tags, &faults);
    if several {
        findings.push(Finding::warning(
            "dkim-txt-several",
            "holds several DKIM records, of which one is taken",
            "keep one record per file, the file named by its selector",
        ));
    }
    let (key, finding) = published_key(&tags)?;
    findings.extend(finding);
    let (selector, domain) = entry.owner().unzip();
    let said = entry.genkey_comment();
    let text = KeyText {
        selector: selector.or(said.as_ref().map(|(selector, _)| selector.clone())),
        domain: domain.flatten().or(said.and_then(|(_, domain)| domain)),
        tags,
        key,
    };
    Ok(Some((text, findings)))
}

/// The key in `p=`, mended where it is written in another form than it is published in.
fn published_key(tags: &TagList) -> Result<(Option<PublicKey>, Option<Finding>), Fault> {
    let p = tags.get("p").unwrap_or_default();
    if p.is_empty() {
        return Ok((None, None));
    }
    let cure = "correct the .txt file, or leave it: the record is published mended";
    let Some(octets) = decode_base64(&[p.as_bytes()]) else {
        return Err(Fault::Damaged("the value of p= is no base64"));
    };
    let key_type = tags.get("k").unwrap_or("rsa");
    let (key, bare) = if octets.len() == 32 {
        (PublicKey::from_ed25519_octets(&octets)?, true)
    } else {
        match public::from_der(&octets)? {
            (key, Half::Public) => (key, false),
            (_, Half::Private) => return Err(Fault::Damaged("p= holds a private key, which is no secret any more")),
        }
    };
    let finding = if key.key_type() != key_type {
        let what = format!(
            "k={key_type}, but p= is a key of type {} (RFC 6376 §3.6.1)",
            key.key_type()
        );
        Some(Finding::warning("dkim-tag-k", what, cure))
    } else if key.key_type() == "ed25519" && !bare {
        let what = "p= of an Ed25519 key is its 32 octets alone, without the ASN.1 around them (RFC 8463 §4.2)";
        Some(Finding::warning("dkim-tag-p", what, cure))
    } else {
        None
    };
    Ok((Some(key), finding))
}

/// One entry: the words outside of quotes, the strings put together, the comment.
#[derive(Debug, Default)]
struct Entry {
    words: Vec<u8>,
    value: Vec<u8>,
    comment: Vec<u8>,
}

impl Entry {
    /// Selector and domain of the owner name `mail._domainkey[.example.org]`.
    fn owner(&self) -> Option<(String, Option<Name>)> {
        let owner = self
            .words
            .split(u8::is_ascii_whitespace)
            .find(|word| !word.is_empty())?;
        let owner = std::str::from_utf8(owner).ok()?.to_ascii_lowercase();
        let (selector, rest) = owner.split_once("._domainkey")?;
        let domain = rest.strip_prefix('.').and_then(layout::domain_name);
        Some((selector.to_owned(), domain))
    }

    /// Selector and domain of `----- DKIM key mail for example.org`.
    fn genkey_comment(&self) -> Option<(String, Option<Name>)> {
        let comment = std::str::from_utf8(&self.comment).ok()?;
        let (_, said) = comment.split_once("DKIM key ")?;
        let (selector, domain) = said.split_once(" for ")?;
        let domain = domain.split_whitespace().next()?;
        Some((selector.trim().to_ascii_lowercase(), layout::domain_name(domain)))
    }
}

/// No quote, or quotes only inside of a value: the first `=` comes before them and before comments.
fn is_bare(text: &[u8]) -> bool {
    let mut before_tag = text.split(|&octet| octet == b'=').next().unwrap_or_default().iter();
    !text.contains(&b'"') || !before_tag.any(|octet| b"\";".contains(octet))
}

/// The value after ` TXT `, or all of it. Zone files write `\;` for the semicolon.
fn bare_entry(text: &[u8]) -> Entry {
    let head_len = text.iter().position(|&octet| octet == b'=').unwrap_or(text.len());
    let head = text[..head_len].to_ascii_uppercase();
    let txt = head
        .windows(5)
        .position(|word| &word[1..4] == b"TXT" && word[0].is_ascii_whitespace() && word[4].is_ascii_whitespace());
    let (words, value) = text.split_at(txt.map_or(0, |at| at + 4));
    let semicolons = || value.iter().enumerate().filter(|&(_, &octet)| octet == b';');
    let escaped = semicolons().all(|(at, _)| at > 0 && value[at - 1] == b'\\') && semicolons().next().is_some();
    let value: Vec<u8> = value
        .iter()
        .copied()
        .filter(|&octet| !escaped || octet != b'\\')
        .collect();
    let comments_off: Vec<&[u8]> = value
        .split(|&octet| octet == b'\n')
        .filter(|line| !line.trim_ascii_start().starts_with(b";"))
        .collect();
    Entry {
        words: words.to_vec(),
        value: comments_off.join(&b'\n'),
        comment: vec![],
    }
}

/// Splits text with quoted strings into entries: parentheses hold lines together, `;` outside of
/// quotes starts a comment (RFC 1035 §5.1); lines of strings alone belong to the entry before.
fn quoted_entries(text: &[u8]) -> Result<Vec<Entry>, Fault> {
    let mut entries: Vec<Entry> = vec![];
    let mut entry = Entry::default();
    let (mut depth, mut at) = (0usize, 0);
    while let Some(&octet) = text.get(at) {
        at += 1;
        match octet {
            b'"' => at += read_string(&text[at..], &mut entry.value)?,
            b';' => {
                let len = text[at..]
                    .iter()
                    .position(|&octet| octet == b'\n')
                    .unwrap_or(text.len() - at);
                entry.comment.extend_from_slice(&text[at..at + len]);
                at += len;
            }
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'\n' if depth == 0 => finish(&mut entries, std::mem::take(&mut entry)),
            other => entry.words.push(other),
        }
    }
    if depth > 0 {
        return Err(Fault::Unfinished);
    }
    finish(&mut entries, entry);
    Ok(entries)
}

fn finish(entries: &mut Vec<Entry>, entry: Entry) {
    match entries.last_mut() {
        Some(last) if entry.words.trim_ascii().is_empty() => {
            last.value.extend_from_slice(&entry.value);
            last.comment.extend_from_slice(&entry.comment);
        }
        _ => entries.push(entry),
    }
}

/// Reads to the closing quote; returns how many octets, the quote included.
fn read_string(text: &[u8], value: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        at += 1;
        match octet {
            b'"' => return Ok(at),
            b'\\' => match unescape(&text[at..]) {
                Some((octet, used)) => {
                    value.push(octet);
                    at += used;
                }
                None => value.push(octet),
            },
            b'\r' | b'\n' => {}
            other => value.push(other),
        }
    }
    Err(Fault::Unfinished)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn read_ok(text: &str) -> (String, Option<String>, Option<String>) {
        let (text, findings) = read(text.as_bytes(), "mail").unwrap().unwrap();
        assert_eq!(findings, vec![]);
        assert_eq!(text.key.unwrap().base64(), P);
        (
            text.tags.to_string(),
            text.selector,
            text.domain.map(|domain| domain.to_string()),
        )
    }

    #[test]
    fn reads_every_form_a_record_is_left_in() {
        let tags = format!("v=DKIM1; k=ed25519; p={P}");
        let mail = || Some("mail".to_owned());
        let org = || Some("example.org.".to_owned());
        for (text, selector, domain) in [
            (format!("v=DKIM1; k=ed25519; p={P}"), None, None),
            (format!("v=DKIM1\\; k=ed25519\\; p={P}\r\n"), None, None),
            (format!("\"v=DKIM1; k=ed25519; \" \"p={P}\""), None, None),
            (format!("; a=b\n\"v=DKIM1; k=ed25519; p={P}\""), None, None),
            (format!("\"v=DKIM1; k=ed25519; \"\n\"p={P}\"\n"), None, None),
            (
                format!("mail._domainkey IN TXT v=DKIM1; k=ed25519; p={P}"),
                mail(),
                None,
            ),
            (
                format!("mail._domainkey.example.org.\t3600 IN TXT \"v=DKIM1; k=ed25519; p={P}\""),
                mail(),
                org(),
            ),
            (
                format!(
                    "; kept\nmail._domainkey\tIN\tTXT\t( \"v=DKIM1; k=ed25519; \"\n\t \"p={P}\" )  ; ----- DKIM key mail for example.org\n"
                ),
                mail(),
                org(),
            ),
            (
                format!("_domainkey IN TXT \"t=y; o=-\"\nmail._domainkey IN TXT \"v=DKIM1; k=ed25519; p={P}\"; x\n"),
                mail(),
                None,
            ),
        ] {
            assert_eq!(read_ok(&text), (tags.clone(), selector, domain), "{text}");
        }
    }

    #[test]
    fn a_bare_value_may_have_quotes_and_backslashes_in_its_note() {
        let value = format!("v=DKIM1; k=ed25519; n=\"a\\b\"; p={P}");
        assert_eq!(read_ok(&value), (value, None, None));
    }

    #[test]
    fn waits_for_the_rest_of_a_record() {
        for text in [
            "mail._domainkey IN TXT ( \"v=DKIM1; k=rsa; \"",
            "\"v=DKIM1; k=rsa; p=MIG",
            "v=DKIM1; k=rsa",
        ] {
            assert_eq!(read(text.as_bytes(), "mail"), Err(Fault::Unfinished), "{text}");
        }
    }

    #[test]
    fn passes_over_what_is_no_record() {
        for text in ["Please do not touch", "", "say \"hello\" to them", "v=spf1 -all"] {
            assert_eq!(read(text.as_bytes(), "mail"), Ok(None), "{text}");
        }
    }

    #[test]
    fn takes_the_record_that_the_file_is_named_by() {
        let text =
            format!("a._domainkey IN TXT \"k=ed25519; p=\"\nmail._domainkey IN TXT \"v=DKIM1; k=ed25519; p={P}\"\n");
        let (text, findings) = read(text.as_bytes(), "mail").unwrap().unwrap();
        assert_eq!(text.key.unwrap().base64(), P);
        assert_eq!(findings[0].code, "dkim-txt-several");
    }
}
