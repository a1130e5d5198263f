//! Tag lists, `name=value; name=value` (RFC 6376 §3.2), which DKIM, DMARC and their kin share.

use std::str;

/// The tags of a list in their order, names and values without the blanks around them. Parts
/// without `=` are given an empty name, so that a lint can point at them.
pub(super) fn tags(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').filter(|part| !part.trim().is_empty()).map(|part| {
        part.split_once('=')
            .map_or(("", part.trim()), |(name, value)| (name.trim(), value.trim()))
    })
}

/// The value of the first tag called `name`; names are case-sensitive (RFC 6376 §3.2).
pub(super) fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    tags(text).find(|(n, _)| *n == name).map(|(_, value)| value)
}

/// The `p=` of a DKIM key record, blanks inside taken out (folding is allowed in base64,
/// RFC 6376 §2.10), for comparing two records of one selector.
pub fn dkim_public_key(record: &[u8]) -> Option<String> {
    let value = tag(str::from_utf8(record).ok()?, "p")?;
    let mut key = String::with_capacity(value.len());
    key.extend(value.split_ascii_whitespace());
    Some(key)
}

/// Does what verifies by the DKIM key record `new` verify by `old`, too? It does if `old` has the same key and asks for
/// nothing else (RFC 6376 §3.6.1): a tag more in `new`, such as `h=sha256`, only rules out what is not done.
pub fn dkim_verifies_as_well(old: &str, new: &str) -> bool {
    let mut asked = tags(old).filter(|(name, _)| !["v", "n"].contains(name));
    tag(old, "p").is_some_and(|key| !key.is_empty()) && asked.all(|(name, value)| tag(new, name) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_asks_for_less_of_the_same_key_verifies_as_well() {
        let made = "v=DKIM1; h=sha256; k=rsa; p=AB";
        assert!(dkim_verifies_as_well("v=DKIM1; k=rsa; p=AB", made));
        assert!(dkim_verifies_as_well(made, made));
        for old in [
            "v=DKIM1; k=rsa; p=CD",
            "v=DKIM1; k=ed25519; p=AB",
            "v=DKIM1; h=sha1; k=rsa; p=AB",
            "v=DKIM1; k=rsa; t=s; p=AB",
            "v=DKIM1; p=",
            "v=spf1 -all",
        ] {
            assert!(!dkim_verifies_as_well(old, made), "{old}");
        }
        assert!(!dkim_verifies_as_well("v=DKIM1; p=", "v=DKIM1; p="), "revoked");
    }

    #[test]
    fn takes_a_list_apart_with_blanks_and_an_open_end() {
        let list: Vec<_> = tags(" v=DKIM1 ;k = rsa; p=AB CD;; stray; ").collect();
        assert_eq!(list, [("v", "DKIM1"), ("k", "rsa"), ("p", "AB CD"), ("", "stray")]);
        assert_eq!(dkim_public_key(b"v=DKIM1; p=AB CD"), Some("ABCD".into()));
        assert_eq!(dkim_public_key(b"v=DKIM1; k=rsa"), None);
        assert_eq!(dkim_public_key(b"\xff"), None);
    }
}
