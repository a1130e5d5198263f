//! What a file's path says: its role, the files it belongs with, and its domain and selector.
//!
//! Files of one folder with the same *stem* (the name without the suffixes below) are one group:
//! a private key, its public record, its public half. The stem and the folders say for whom:
//!
//! 1. `SELECTOR._domainkey[.DOMAIN]` says both, wherever it stands.
//! 2. Below a folder that is a domain name (the nearest one counts, at any depth; the key root
//!    itself counts last) the stem is the selector, dots and all; the folder's name is taken off
//!    its front (`example.org.2026b`, `example.org_2026b`) or its end (`2026b.example.org`). A
//!    name that ends in the folder's (`news.example.org.2026b`) is a sub-domain with its selector.
//! 3. Elsewhere: docker-mailserver's `rsa-2048-SELECTOR-DOMAIN` and `ed25519-SELECTOR-DOMAIN` (the
//!    selector ends at the first dash), maddy's `DOMAIN_SELECTOR`, and rspamd's `DOMAIN.SELECTOR`,
//!    where the selector is what stands behind the last dot. A selector named by the record beside
//!    the key goes before these rules: that is how `mail.example.org` with `mail._domainkey` in its
//!    `.txt`, or a selector with a dash or a dot, is understood.
//! 4. A record that names its domain gives it to a stem that has none.
//!
//! A domain name here has two labels or more, of letters, digits, `-` and `_`, the last not a number.

use crate::name::Name;
use std::path::{Path, PathBuf};

/// What a file's name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An OpenDKIM KeyTable.
    KeyTable,
    /// An OpenDKIM SigningTable.
    SigningTable,
    /// A private key: `.private`, `.key`, `.priv`.
    Private,
    /// A key of either half: `.pem`, `.der`.
    Either,
    /// A public half: `.pub`, `.public`.
    Public,
    /// A record: `.txt`, `.dns`.
    Text,
    /// Nothing; only the content can tell. The tutorial's `mail` is one.
    Plain,
    /// Backups, editors' scratch files, other programs' files: never read.
    Ignored,
}

/// Suffixes, the longer before the shorter that it ends in. The `.txt` pairs are docker-mailserver's.
const SUFFIXES: [(&str, Kind); 22] = [
    (".private.txt", Kind::Private),
    (".public.dns.txt", Kind::Text),
    (".public.txt", Kind::Text),
    (".private.pem", Kind::Private),
    (".private.key", Kind::Private),
    (".private.der", Kind::Private),
    (".public.pem", Kind::Public),
    (".public.key", Kind::Public),
    (".public.der", Kind::Public),
    (".pub.pem", Kind::Public),
    (".pub.key", Kind::Public),
    (".key.pub", Kind::Public),
    (".pem.pub", Kind::Public),
    (".private", Kind::Private),
    (".priv", Kind::Private),
    (".key", Kind::Private),
    (".pem", Kind::Either),
    (".der", Kind::Either),
    (".public", Kind::Public),
    (".pub", Kind::Public),
    (".txt", Kind::Text),
    (".dns", Kind::Text),
];

/// Suffixes of files that are never keys.
const FOREIGN: [&str; 27] = [
    ".bak",
    ".backup",
    ".old",
    ".orig",
    ".save",
    ".rej",
    ".swp",
    ".swo",
    ".tmp",
    ".temp",
    ".part",
    ".new",
    ".dpkg-old",
    ".dpkg-new",
    ".dpkg-dist",
    ".dpkg-tmp",
    ".ucf-dist",
    ".rpmsave",
    ".rpmnew",
    ".conf",
    ".md",
    ".crt",
    ".cer",
    ".csr",
    ".sh",
    ".log",
    ".zone",
];

/// Names of files that live in `/etc/opendkim` and the like, lower case, letters only.
const FOREIGN_NAMES: [&str; 8] = [
    "trustedhosts",
    "internalhosts",
    "externalignorelist",
    "ignorehosts",
    "readme",
    "license",
    "makefile",
    "changelog",
];

/// The role of a file by its name, and its stem.
pub(super) fn classify(path: &Path) -> (Kind, String) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return (Kind::Ignored, String::new());
    };
    let lower = name.to_ascii_lowercase();
    let scratch = lower.starts_with(['.', '#']) || lower.ends_with('~') || is_scratch(name);
    if scratch || FOREIGN.iter().any(|suffix| lower.ends_with(suffix)) {
        return (Kind::Ignored, lower);
    }
    let letters: String = lower.chars().filter(char::is_ascii_alphabetic).collect();
    match letters.as_str() {
        "keytable" => return (Kind::KeyTable, lower),
        "signingtable" => return (Kind::SigningTable, lower),
        name if FOREIGN_NAMES.contains(&name) => return (Kind::Ignored, lower),
        _ => {}
    }
    for (suffix, kind) in SUFFIXES {
        if let Some(stem) = lower.strip_suffix(suffix).filter(|stem| !stem.is_empty()) {
            return (kind, stem.to_owned());
        }
    }
    (Kind::Plain, lower)
}

/// `sed -i`'s `sedAbCdEf`, and the DNSSEC keys of BIND (`Kexample.org.+013+12345.key`).
fn is_scratch(name: &str) -> bool {
    let sed = name.strip_prefix("sed").is_some_and(|rest| {
        rest.len() == 6
            && rest.bytes().all(|octet| octet.is_ascii_alphanumeric())
            && rest.bytes().any(|octet| octet.is_ascii_uppercase())
    });
    sed || (name.starts_with('K') && name.contains(".+"))
}

/// The group of a file with this stem.
pub(super) fn group(path: &Path, stem: &str) -> PathBuf {
    path.with_file_name(stem)
}

/// What a record beside the key says of its name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hint<'a> {
    pub(super) selector: Option<&'a str>,
    pub(super) domain: Option<&'a Name>,
}

/// Why a group has no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unnamed {
    #[error("no folder and no file name says which domain this key signs for")]
    NoDomain,
    #[error("`{0}` is no selector: it takes letters, digits, dashes and dots (RFC 6376 §3.1)")]
    BadSelector(String),
}

/// Domain and selector of the group at `group`, a path below `root`.
pub(super) fn identify(root: &Path, group: &Path, hint: Hint<'_>) -> Result<(Name, String), Unnamed> {
    let stem = group.file_name().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = enclosing_domain(root, group);
    let (domain, text) = match (stem.split_once("._domainkey"), folder) {
        (Some((selector, rest)), folder) => (beside_domainkey(rest, folder, hint), selector),
        (None, Some(folder)) => within_folder(folder, stem, hint),
        (None, None) => flat(stem, hint),
    };
    let domain = domain.ok_or(Unnamed::NoDomain)?;
    let selector = selector(text).ok_or_else(|| Unnamed::BadSelector(text.to_owned()))?;
    Ok((domain, selector))
}

/// The domain of `SELECTOR._domainkey` with `rest` behind it: whole, or relative to the folder's.
fn beside_domainkey(rest: &str, folder: Option<&str>, hint: Hint<'_>) -> Option<Name> {
    match (rest.strip_prefix('.'), folder) {
        (Some(domain), Some(folder)) => domain_name(domain).or_else(|| domain_name(&format!("{domain}.{folder}"))),
        (Some(domain), None) => domain_name(domain),
        (None, _) if !rest.is_empty() => None,
        (None, Some(folder)) => domain_name(folder),
        (None, None) => hint.domain.cloned(),
    }
}

/// The nearest folder that is a domain name; `_domainkey.example.org` is one too.
pub(super) fn enclosing_domain<'a>(root: &'a Path, group: &'a Path) -> Option<&'a str> {
    let below = group.parent()?.strip_prefix(root).unwrap_or(Path::new(""));
    let inner = below.iter().rev();
    inner
        .chain(root.file_name())
        .filter_map(|folder| folder.to_str())
        .map(|folder| folder.strip_prefix("_domainkey.").unwrap_or(folder))
        .find(|folder| domain_name(folder).is_some())
}

fn within_folder<'a>(folder: &str, stem: &'a str, hint: Hint<'a>) -> (Option<Name>, &'a str) {
    let folder = folder.trim_end_matches('.').to_ascii_lowercase();
    let domain = domain_name(&folder);
    if stem == folder {
        return (domain, hint.selector.unwrap_or(stem));
    }
    let front = stem
        .strip_prefix(&folder)
        .and_then(|rest| rest.strip_prefix(['.', '_']));
    let end = stem.strip_suffix(&folder).and_then(|rest| rest.strip_suffix('.'));
    if let Some(selector) = front.or(end).filter(|selector| !selector.is_empty()) {
        return (domain, selector);
    }
    let infix = format!(".{folder}.");
    if let Some((sub, selector)) = stem.split_once(&infix).filter(|(sub, _)| !sub.is_empty()) {
        return (domain_name(&format!("{sub}.{folder}")), selector);
    }
    let mailserver = mailserver_stem(stem).and_then(|rest| rest.strip_suffix(&folder)?.strip_suffix('-'));
    (domain, mailserver.unwrap_or(stem))
}

fn flat<'a>(stem: &'a str, hint: Hint<'a>) -> (Option<Name>, &'a str) {
    if let Some(rest) = mailserver_stem(stem) {
        let hinted = hint
            .selector
            .and_then(|selector| Some((selector, rest.strip_prefix(selector)?.strip_prefix('-')?)));
        let (selector, domain) = hinted.or_else(|| rest.split_once('-')).unwrap_or((rest, ""));
        return (domain_name(domain), selector);
    }
    if let Some(selector) = hint.selector {
        let front = stem.strip_suffix(selector).and_then(|rest| rest.strip_suffix('.'));
        let behind = stem.strip_prefix(selector).and_then(|rest| rest.strip_prefix('.'));
        let told = front.and_then(domain_name).or_else(|| behind.and_then(domain_name));
        if told.is_some() {
            return (told, selector);
        }
    }
    if let Some(domain) = hint.domain {
        let is_domain = domain_name(stem).as_ref() == Some(domain);
        return (
            Some(domain.clone()),
            hint.selector.filter(|_| is_domain).unwrap_or(stem),
        );
    }
    let split = |separator: char| {
        let (domain, selector) = stem.rsplit_once(separator)?;
        Some((Some(domain_name(domain)?), selector))
    };
    split('_').or_else(|| split('.')).unwrap_or((None, stem))
}

/// The stem behind docker-mailserver's `rsa-2048-` or `ed25519-`.
fn mailserver_stem(stem: &str) -> Option<&str> {
    if let Some(rest) = stem.strip_prefix("ed25519-") {
        return Some(rest);
    }
    let (bits, rest) = stem.strip_prefix("rsa-")?.split_once('-')?;
    bits.bytes().all(|octet| octet.is_ascii_digit()).then_some(rest)
}

/// A domain name of two labels or more as folders and files are named, lower case.
pub(crate) fn domain_name(text: &str) -> Option<Name> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let last = text.rsplit_once('.')?.1;
    let plausible = last.len() >= 2 && !last.bytes().all(|octet| octet.is_ascii_digit());
    plausible.then(|| host_name(text))?
}

/// A name of one label or more, of letters, digits, dashes and underscores, lower case.
pub(super) fn host_name(text: &str) -> Option<Name> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if !text.split('.').all(is_label) {
        return None;
    }
    Some(Name::from_text(text).ok()?.to_lowercase())
}

/// A selector in lower case (RFC 6376 §3.1: sub-domains joined by dots; an underscore is let pass,
/// as DNS and verifiers do).
pub(crate) fn selector(text: &str) -> Option<String> {
    (text.len() <= 200 && text.split('.').all(is_label)).then(|| text.to_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    let legal = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(legal) && !label.starts_with('-') && !label.ends_with('-')
}
