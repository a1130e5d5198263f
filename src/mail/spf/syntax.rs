//! The grammar of an SPF record (RFC 7208 §4.6, §5, §6, §7.1, §12): text to terms.
//!
//! Takes what the ABNF takes. Anything else is a permerror at every receiver, so each error says
//! which term it is and what would be right. What a valid record does is [`super::lint`]'s matter.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An SPF record taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfRecord<'a> {
    /// The terms behind `v=spf1`, in their order.
    pub terms: Vec<Term<'a>>,
}

/// One directive or modifier; domains are as written, macros unexpanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term<'a> {
    /// `all` with its qualifier, `+`, `-`, `~` or `?`.
    All(char),
    /// `include:domain`.
    Include(&'a str),
    /// `a` with its domain, if one is written.
    A(Option<&'a str>),
    /// `mx` with its domain, if one is written.
    Mx(Option<&'a str>),
    /// `ptr` with its domain, if one is written.
    Ptr(Option<&'a str>),
    /// `ip4:network`.
    Ip4,
    /// `ip6:network`.
    Ip6,
    /// `exists:domain`.
    Exists(&'a str),
    /// `redirect=domain`.
    Redirect(&'a str),
    /// `exp=domain`.
    Exp(&'a str),
    /// Another modifier, which receivers ignore (RFC 7208 §6).
    OtherModifier,
}

/// Why text is no SPF record. The first string of each is the term at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpfError {
    /// It does not begin with `v=spf1` and a blank.
    #[error("an SPF record begins with `v=spf1` and a blank")]
    Version,
    /// An octet outside of printable ASCII.
    #[error("{0:?} is not printable ASCII; SPF knows nothing else (RFC 7208 §12)")]
    NotAscii(char),
    /// A mechanism that does not exist.
    #[error("`{0}` is no SPF mechanism (RFC 7208 §5); did you mean `{1}`?")]
    Unknown(String, &'static str),
    /// A mechanism or modifier without its domain.
    #[error("`{0}` needs a domain, as in `{0}:example.org`")]
    NoDomain(String),
    /// An argument where none belongs.
    #[error("`{0}` takes no argument")]
    Argument(String),
    /// A qualifier before a modifier, or two of them.
    #[error("`{0}`: a qualifier stands once, before a mechanism")]
    Qualifier(String),
    /// A domain that is none.
    #[error("`{0}`: {1}")]
    Domain(String, &'static str),
    /// A malformed macro.
    #[error("`{0}`: a macro is written `%{{d}}`, `%%`, `%_` or `%-`, with the letters s l o d i p h v (RFC 7208 §7)")]
    Macro(String),
    /// No IPv4 network.
    #[error("`{0}`: ip4 takes an IPv4 address with an optional prefix of 0 to 32, as in `ip4:192.0.2.0/24`")]
    Ip4(String),
    /// No IPv6 network.
    #[error("`{0}`: ip6 takes an IPv6 address with an optional prefix of 0 to 128, as in `ip6:2001:db8::/32`")]
    Ip6(String),
    /// An address of the other family.
    #[error("`{0}`: the address is of the other family; write `{1}:`")]
    OtherFamily(String, &'static str),
    /// A prefix length out of range.
    #[error("`{0}`: prefix lengths are written `/24` for IPv4, `//64` for IPv6, or `/24//64`")]
    Prefix(String),
    /// A modifier that may stand only once.
    #[error("`{0}` may stand only once (RFC 7208 §6)")]
    Twice(&'static str),
}

/// Takes a record apart.
pub fn parse(text: &str) -> Result<SpfRecord<'_>, SpfError> {
    if !super::super::kind::is_spf(text.as_bytes()) {
        return Err(SpfError::Version);
    }
    Ok(SpfRecord {
        terms: parse_terms(&text["v=spf1".len()..])?,
    })
}

/// Takes apart what stands behind the version; Sender-ID shares it (RFC 4406 §3.1).
pub(in crate::mail) fn parse_terms(text: &str) -> Result<Vec<Term<'_>>, SpfError> {
    if let Some(odd) = text.chars().find(|c| *c != ' ' && !c.is_ascii_graphic()) {
        return Err(SpfError::NotAscii(odd));
    }
    let terms: Vec<_> = text
        .split(' ')
        .filter(|t| !t.is_empty())
        .map(term)
        .collect::<Result<_, _>>()?;
    let count = |wanted: fn(&Term<'_>) -> bool| terms.iter().filter(|t| wanted(t)).count();
    if count(|t| matches!(t, Term::Redirect(_))) > 1 {
        return Err(SpfError::Twice("redirect="));
    }
    if count(|t| matches!(t, Term::Exp(_))) > 1 {
        return Err(SpfError::Twice("exp="));
    }
    Ok(terms)
}

fn term(text: &str) -> Result<Term<'_>, SpfError> {
    let bare = text.strip_prefix(['+', '-', '~', '?']).unwrap_or(text);
    let qualifier = match bare.len() == text.len() {
        true => '+',
        false => text.chars().next().unwrap_or('+'),
    };
    let name_len = bare
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
        .count();
    let (name, rest) = bare.split_at(name_len);
    if let Some(value) = rest.strip_prefix('=') {
        if bare.len() != text.len() {
            return Err(SpfError::Qualifier(text.into()));
        }
        return modifier(text, name, value);
    }
    if name.is_empty() {
        return Err(SpfError::Qualifier(text.into()));
    }
    mechanism(text, qualifier, name, rest)
}

fn modifier<'a>(text: &str, name: &str, value: &'a str) -> Result<Term<'a>, SpfError> {
    match name.to_ascii_lowercase().as_str() {
        "redirect" => Ok(Term::Redirect(domain(text, value)?)),
        "exp" => Ok(Term::Exp(domain(text, value)?)),
        other if other.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            macro_string(text, value)?;
            Ok(Term::OtherModifier)
        }
        _ => Err(SpfError::Qualifier(text.into())),
    }
}

const MECHANISMS: [&str; 8] = ["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"];

fn mechanism<'a>(text: &str, qualifier: char, name: &str, rest: &'a str) -> Result<Term<'a>, SpfError> {
    let lower = name.to_ascii_lowercase();
    let argument = rest.strip_prefix(':');
    match lower.as_str() {
        "all" if rest.is_empty() => Ok(Term::All(qualifier)),
        "all" => Err(SpfError::Argument(text.into())),
        "include" | "exists" => {
            let target = domain(text, argument.ok_or_else(|| SpfError::NoDomain(name.into()))?)?;
            Ok(match lower.as_str() {
                "include" => Term::Include(target),
                _ => Term::Exists(target),
            })
        }
        "a" => Ok(Term::A(optional_domain(text, rest)?)),
        "mx" => Ok(Term::Mx(optional_domain(text, rest)?)),
        "ptr" => match (argument, rest.is_empty()) {
            (Some(target), _) => Ok(Term::Ptr(Some(domain(text, target)?))),
            (None, true) => Ok(Term::Ptr(None)),
            (None, false) => Err(SpfError::Argument(text.into())),
        },
        "ip4" => ip4(text, argument.unwrap_or_default()).map(|()| Term::Ip4),
        "ip6" => ip6(text, argument.unwrap_or_default()).map(|()| Term::Ip6),
        _ => Err(SpfError::Unknown(text.into(), nearest(&lower))),
    }
}

fn nearest(word: &str) -> &'static str {
    match word {
        "ipv4" | "ip" => return "ip4",
        "ipv6" => return "ip6",
        _ => {}
    }
    let distance = |known: &&str| strsim::damerau_levenshtein(known, word);
    MECHANISMS.iter().copied().min_by_key(distance).unwrap_or("include")
}

/// `[":" domain-spec] [dual-cidr-length]`.
fn optional_domain<'a>(text: &str, rest: &'a str) -> Result<Option<&'a str>, SpfError> {
    // A slash inside a macro's braces is a delimiter (RFC 7208 §7.1), not a prefix length.
    let after_macros = rest.rfind('}').map_or(0, |at| at + 1);
    let cidr_at = rest[after_macros..]
        .find('/')
        .map_or(rest.len(), |at| after_macros + at);
    let (name, cidr) = rest.split_at(cidr_at);
    dual_cidr(cidr).ok_or_else(|| SpfError::Prefix(text.into()))?;
    match (name.strip_prefix(':'), name.is_empty()) {
        (Some(name), _) => domain(text, name).map(Some),
        (None, true) => Ok(None),
        (None, false) => Err(SpfError::Unknown(text.into(), "a")),
    }
}

fn dual_cidr(cidr: &str) -> Option<()> {
    if cidr.is_empty() {
        return Some(());
    }
    let (v4, v6) = match cidr.split_once("//") {
        Some((v4, v6)) => (v4, Some(v6)),
        None => (cidr, None),
    };
    if !v4.is_empty() {
        prefix(v4.strip_prefix('/')?, 32)?;
    }
    v6.map_or(Some(()), |v6| prefix(v6, 128))
}

fn prefix(digits: &str, most: u8) -> Option<()> {
    let canonical = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
    (canonical && digits.parse::<u8>().ok()? <= most).then_some(())
}

fn ip4(text: &str, network: &str) -> Result<(), SpfError> {
    let (address, length) = split_network(network);
    if address.parse::<Ipv6Addr>().is_ok() {
        return Err(SpfError::OtherFamily(text.into(), "ip6"));
    }
    match (
        address.parse::<Ipv4Addr>(),
        length.is_none_or(|l| prefix(l, 32).is_some()),
    ) {
        (Ok(_), true) => Ok(()),
        _ => Err(SpfError::Ip4(text.into())),
    }
}

fn ip6(text: &str, network: &str) -> Result<(), SpfError> {
    let (address, length) = split_network(network);
    if address.parse::<Ipv4Addr>().is_ok() {
        return Err(SpfError::OtherFamily(text.into(), "ip4"));
    }
    match (
        address.parse::<Ipv6Addr>(),
        length.is_none_or(|l| prefix(l, 128).is_some()),
    ) {
        (Ok(_), true) => Ok(()),
        _ => Err(SpfError::Ip6(text.into())),
    }
}

fn split_network(network: &str) -> (&str, Option<&str>) {
    network
        .split_once('/')
        .map_or((network, None), |(address, length)| (address, Some(length)))
}

/// `domain-spec = macro-string domain-end` (RFC 7208 §7.1).
fn domain<'a>(text: &str, spec: &'a str) -> Result<&'a str, SpfError> {
    let fault = |why| SpfError::Domain(text.into(), why);
    if spec.is_empty() {
        let name_end = text.find([':', '=']).unwrap_or(text.len());
        return Err(SpfError::NoDomain(text[..name_end].into()));
    }
    macro_string(text, spec)?;
    if spec.ends_with('}') {
        return Ok(spec);
    }
    let (_, top) = spec
        .strip_suffix('.')
        .unwrap_or(spec)
        .rsplit_once('.')
        .ok_or_else(|| fault("write the whole domain, at least two labels as in `mail.example.org`"))?;
    let is_label = top.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && top.bytes().any(|b| b.is_ascii_alphabetic())
        && !top.starts_with('-')
        && !top.ends_with('-');
    match is_label {
        true if spec.contains("..") => Err(fault("the domain has an empty label")),
        true if spec.len() > 253 => Err(fault("the domain is longer than 253 octets")),
        true => Ok(spec),
        false => Err(fault(
            "the last label is no top-level domain (an address belongs in ip4: or ip6:)",
        )),
    }
}

fn macro_string(text: &str, mut rest: &str) -> Result<(), SpfError> {
    while let Some(at) = rest.find('%') {
        let behind = &rest[at + 1..];
        rest = match behind.bytes().next() {
            Some(b'%' | b'_' | b'-') => &behind[1..],
            Some(b'{') => {
                let end = behind.find('}').ok_or_else(|| SpfError::Macro(text.into()))?;
                is_macro(&behind[1..end])
                    .then(|| &behind[end + 1..])
                    .ok_or_else(|| SpfError::Macro(text.into()))?
            }
            _ => return Err(SpfError::Macro(text.into())),
        };
    }
    Ok(())
}

/// `macro-letter transformers *delimiter`; c, r and t belong in explanations only.
fn is_macro(inside: &str) -> bool {
    let Some(rest) = inside.strip_prefix(|c: char| "slodiphvSLODIPHV".contains(c)) else {
        return false;
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && rest[..digits].parse::<u8>().map_or(true, |keep| keep == 0) {
        return false;
    }
    let rest = rest[digits..].strip_prefix(['r', 'R']).unwrap_or(&rest[digits..]);
    rest.bytes().all(|b| b".-+,/_=".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_grammar_takes() {
        for text in [
            "v=spf1",
            "v=spf1 ",
            "v=spf1  mx   -all",
            "v=spf1 ip4:192.0.2.1 mx -all",
            "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all",
            "v=spf1 a/24 a:mail.example.org/24//64 a//64 mx:example.org//64 ~all",
            "V=SPF1 A MX -ALL",
            "v=spf1 ptr ptr:example.org exists:%{ir}.%{v}._spf.%{d2} redirect=_spf.example.org",
            "v=spf1 include:%{i}._ip.%{h}._ehlo.%{d}._spf.example.net ~all",
            "v=spf1 exists:%{l1r+-}.%%.%_.%-.example.org a:%{d/}/24 -all exp=why.example.org",
            "v=spf1 include:_spf.example.org. foo=bar%{d} -all",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
        assert_eq!(
            parse("v=spf1 a:%{d/}/24 ~all").unwrap().terms,
            [Term::A(Some("%{d/}")), Term::All('~')]
        );
    }

    #[test]
    fn every_fault_is_named_with_its_term_and_its_cure() {
        let errors: Vec<String> = [
            "v=spf2 -all",
            "v=spf1 mx\u{a0}-all",
            "v=spf1 ipv4:192.0.2.1",
            "v=spf1 inlcude:example.org",
            "v=spf1 include",
            "v=spf1 include:",
            "v=spf1 all:example.org",
            "v=spf1 --all",
            "v=spf1 -redirect=example.org",
            "v=spf1 a:localhost",
            "v=spf1 a:192.0.2.1",
            "v=spf1 a:a..example.org",
            "v=spf1 exists:%{x}.example.org",
            "v=spf1 exists:%{d0}.example.org",
            "v=spf1 exists:%d.example.org",
            "v=spf1 exists:%{d.example.org",
            "v=spf1 ip4:192.0.2.1/33",
            "v=spf1 ip4:192.0.2",
            "v=spf1 ip4",
            "v=spf1 ip4:2001:db8::1",
            "v=spf1 ip6:192.0.2.1",
            "v=spf1 ip6:2001:db8::/129",
            "v=spf1 a/33",
            "v=spf1 mx//129",
            "v=spf1 mx/024",
            "v=spf1 redirect=a.example redirect=b.example",
            "v=spf1 exp=a.example exp=b.example",
            "v=spf1 ptr/24",
        ]
        .iter()
        .map(|text| match parse(text) {
            Ok(record) => format!("{text}\n    taken as {record:?}"),
            Err(error) => format!("{text}\n    {error}"),
        })
        .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(v=spf1 )?[ -~é]{0,60}") {
            if let Ok(record) = parse(&text) {
                proptest::prop_assert!(record.terms.len() <= text.len());
            }
        }
    }
}
