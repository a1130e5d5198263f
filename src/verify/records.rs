//! Which of the TXT records at a name count, decided before the evaluation.
//!
//! mail-auth takes the first record at a name that it understands. The standards say more: two SPF records are an error
//! (RFC 7208 §4.5), two DMARC records are none (RFC 9989 §4.10.1), and Sender-ID has records of its own that precede
//! those of SPF (RFC 4406 §3.4). So the records are asked for here, chosen, and given to the evaluation in its cache;
//! the report shows them.

use super::outcome::{Advice, Seen};
use super::resolver::{Dns, Texts};
use crate::mail::is_spf;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::resolver::ToFqdn;
use mail_auth::dmarc::Dmarc;
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::spf::{Macro, Mechanism, Qualifier, Spf};
use mail_auth::{DnsError, Error, ResolverCache, Txt};
use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

/// RFC 7208 §4.6.4 allows ten terms that ask the DNS, besides the record itself.
const MAX_SPF_RECORDS: usize = 11;

/// Which records are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `v=spf1`.
    Spf,
    /// `spf2.0/pra`, or else `v=spf1` (RFC 4406 §3.4).
    Pra,
}

/// What is wrong with records, told more precisely than by the evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// So many at one name.
    Several { count: usize, name: String },
    /// One that is brought in is not there.
    Missing { name: String },
    /// It is no record of its kind.
    Broken { name: String, text: String },
    /// Nobody says what is there.
    Silent { name: String, said: String },
    /// Nothing could be there.
    NoName { name: String },
}

impl Fault {
    /// What to say of it.
    pub(super) fn advice(&self, cure: impl Into<String>) -> Advice {
        let (reason, quote) = match self {
            Self::Several { count, name } => (
                format!("there are {count} records at {name}, and there may be only one"),
                None,
            ),
            Self::Missing { name } => (
                format!("there is no SPF record at {name}, which the record brings in"),
                None,
            ),
            Self::Broken { name, text } => (
                format!("the record at {name} cannot be understood"),
                Some(text.as_str()),
            ),
            Self::Silent { name, said } => (format!("no answer for {name}"), Some(said.as_str())),
            Self::NoName { name } => ("a name is none that the DNS could have".to_owned(), Some(name.as_str())),
        };
        Advice::cure(reason, cure).quoting(quote)
    }
}

/// The records at some names, as far as they were asked for.
#[derive(Default)]
pub(super) struct Records {
    chosen: HashMap<Box<str>, Txt>,
    /// What was found, for the report.
    pub(super) seen: Vec<Seen>,
    /// What is wrong with them, if that can be told more precisely than by the evaluation.
    pub(super) fault: Option<Fault>,
    /// What the reader should know.
    pub(super) note: Option<String>,
}

impl Records {
    /// The SPF record of `domain` and those that it includes or redirects to.
    pub(super) async fn spf(dns: &Dns, domain: &str, scope: Scope) -> Self {
        let mut records = Self::default();
        // Each with how it is brought in.
        let mut names = VecDeque::from([(domain.to_fqdn().into_owned(), Way::Itself)]);
        while let Some((name, way)) = names.pop_front() {
            if records.chosen.len() >= MAX_SPF_RECORDS || records.chosen.contains_key(name.as_str()) {
                continue;
            }
            let found = records.choose(&name, dns.texts(&name).await, |text| spf_text(text, scope));
            let absent = matches!(
                found,
                Err(Error::Dns(DnsError::RecordNotFound(_) | DnsError::InvalidRecordType))
            );
            if absent && !records.chosen.is_empty() {
                // That of the domain itself may be missing; one that it includes may not (RFC 7208 §5.2).
                records.fault.get_or_insert(Fault::Missing { name: name.clone() });
            }
            let parsed = found.and_then(|text| {
                Spf::parse(&text).inspect_err(|_| {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    let name = name.clone();
                    records.fault.get_or_insert(Fault::Broken { name, text });
                })
            });
            let is_silent = matches!(parsed, Err(Error::Dns(DnsError::Resolver(_))));
            if let Ok(record) = &parsed {
                let others: Vec<_> = others(record).collect();
                if others.iter().any(|(_, other)| other.hides(way)) {
                    records.note = Some(format!(
                        "the record at {name} is brought in by an include that is not +, or has such a one, and another \
                         is within: if that matches, which qualifier counts is not told as RFC 7208 §5.2 has it"
                    ));
                }
                names.extend(others);
            }
            records.chosen.insert(name.into(), parsed.into());
            // The evaluation comes to no result without it, and each of the others may take as long.
            if is_silent {
                break;
            }
        }
        records
    }

    /// The DMARC records from `domain` up to the top (RFC 9989 §4.10).
    pub(super) async fn dmarc(dns: &Dns, domain: &str) -> Self {
        let mut records = Self::default();
        for (position, name) in walk(domain).into_iter().enumerate() {
            let texts = match dns.texts(&name).await {
                // A server that is asked before the domain is delegated to it has nothing to say of those above.
                Texts::Refused if dns.named && position > 0 => {
                    if records.seen.is_empty() {
                        records.note = Some(format!(
                            "the server of --dns refuses {name}: a DMARC record there, above its zones, is not seen"
                        ));
                    }
                    Texts::Absent(ResponseCode::NXDomain)
                }
                texts => texts,
            };
            let none = Err(Error::Dns(DnsError::InvalidRecordType));
            let parsed = match records.choose(&name, texts, |text| (Dmarc::parse(text) != none).then(|| text.to_vec()))
            {
                Ok(text) => Dmarc::parse(&text),
                // Several records are treated as none.
                Err(Error::ParseError) => none,
                Err(error) => Err(error),
            };
            let is_silent = matches!(parsed, Err(Error::Dns(DnsError::Resolver(_))));
            records.chosen.insert(name.into(), parsed.into());
            // The walk ends there.
            if is_silent {
                break;
            }
        }
        records
    }

    /// The one record that counts.
    fn choose(
        &mut self,
        name: &str,
        texts: Texts,
        counts: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Error> {
        let texts = match texts {
            Texts::Found(texts) => texts,
            Texts::Absent(code) => return Err(Error::Dns(DnsError::RecordNotFound(code))),
            Texts::Refused => return Err(self.silent(name, "the server refuses to answer")),
            Texts::Failed(said) => return Err(self.silent(name, &said)),
            Texts::Malformed => {
                self.fault.get_or_insert(Fault::NoName { name: name.to_owned() });
                return Err(Error::ParseError);
            }
        };
        let mut counting: Vec<(&Vec<u8>, Vec<u8>)> =
            texts.iter().filter_map(|text| Some((text, counts(text)?))).collect();
        // Sender-ID's own records precede.
        if counting.iter().any(|(text, _)| is_pra(text)) {
            counting.retain(|(text, _)| is_pra(text));
        }
        self.seen.extend(counting.iter().map(|(text, _)| Seen {
            name: name.to_owned(),
            text: String::from_utf8_lossy(text).into_owned(),
        }));
        match counting.len() {
            0 => Err(Error::Dns(DnsError::InvalidRecordType)),
            1 => Ok(counting.swap_remove(0).1),
            count => {
                let name = name.to_owned();
                self.fault = Some(Fault::Several { count, name });
                Err(Error::ParseError)
            }
        }
    }

    fn silent(&mut self, name: &str, said: &str) -> Error {
        let (name, said) = (name.to_owned(), said.to_owned());
        let error = Error::Dns(DnsError::Resolver(said.clone()));
        self.fault.get_or_insert(Fault::Silent { name, said });
        error
    }
}

impl ResolverCache<Box<str>, Txt> for Records {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.chosen.get(name).cloned()
    }

    fn remove<Q>(&self, _: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    // The resolver below has a cache of its own.
    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// How a record is brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is that of the domain, or in its place by `redirect=`.
    Itself,
    /// By `include:`; with a qualifier of `+`?
    Include { is_plus: bool },
}

impl Way {
    /// mail-auth takes the innermost include that matches for the result and applies none of the qualifiers around it,
    /// which makes no difference where all are `+`.
    fn hides(self, outer: Self) -> bool {
        let (Self::Include { is_plus: inner }, Self::Include { is_plus: outer }) = (self, outer) else {
            return false;
        };
        !inner || !outer
    }
}

/// The scopes of `spf2.0/…`, and what follows (RFC 4406 §3.1).
fn sender_id(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (version, rest) = text.split_at_checked(b"spf2.0/".len())?;
    let end = rest.iter().position(|octet| *octet == b' ').unwrap_or(rest.len());
    version.eq_ignore_ascii_case(b"spf2.0/").then(|| rest.split_at(end))
}

fn is_pra(text: &[u8]) -> bool {
    let scopes = sender_id(text).map(|(scopes, _)| scopes);
    scopes.is_some_and(|scopes| {
        scopes
            .split(|octet| *octet == b',')
            .any(|scope| scope.eq_ignore_ascii_case(b"pra"))
    })
}

/// The record in the form that the evaluation knows, if it counts. The terms of both versions are the same.
fn spf_text(text: &[u8], scope: Scope) -> Option<Vec<u8>> {
    if scope == Scope::Pra && is_pra(text) {
        let (_, terms) = sender_id(text)?;
        return Some([b"v=spf1", terms].concat());
    }
    is_spf(text).then(|| text.to_vec())
}

/// The names whose records a record brings in, as far as they have no macros in them, and how.
fn others(record: &Spf) -> impl Iterator<Item = (String, Way)> {
    let includes = record
        .directives
        .iter()
        .filter_map(|directive| match &directive.mechanism {
            Mechanism::Include { macro_string } => {
                let is_plus = directive.qualifier == Qualifier::Pass;
                Some((macro_string, Way::Include { is_plus }))
            }
            _ => None,
        });
    let redirect = record.redirect.iter().map(|name| (name, Way::Itself));
    includes.chain(redirect).filter_map(|(name, way)| match name {
        Macro::Literal(name) => Some((std::str::from_utf8(name).ok()?.to_fqdn().into_owned(), way)),
        _ => None,
    })
}

/// The names of the tree walk: the domain and those above, at most eight (RFC 9989 §4.10).
fn walk(domain: &str) -> Vec<String> {
    let labels: Vec<&str> = domain.trim_end_matches('.').split('.').collect();
    let above = labels.len().saturating_sub(1).min(7);
    std::iter::once(labels.len())
        .chain((1..=above).rev())
        .filter_map(|count| {
            Some(
                format!("_dmarc.{}", labels.get(labels.len() - count..)?.join("."))
                    .to_fqdn()
                    .into_owned(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(texts: &[&str], scope: Scope) -> (Result<Vec<u8>, Error>, Records) {
        let mut records = Records::default();
        let texts = Texts::Found(texts.iter().map(|text| text.as_bytes().to_vec()).collect());
        let found = records.choose("example.org.", texts, |text| spf_text(text, scope));
        (found, records)
    }

    #[test]
    fn sender_id_has_records_of_its_own_and_else_those_of_spf() {
        let both = ["v=spf1 -all", "other", "spf2.0/mfrom,pra ip4:192.0.2.1 -all"];
        assert_eq!(chosen(&both, Scope::Spf).0.unwrap(), b"v=spf1 -all");
        assert_eq!(chosen(&both, Scope::Pra).0.unwrap(), b"v=spf1 ip4:192.0.2.1 -all");
        assert_eq!(chosen(&both, Scope::Pra).1.seen[0].text, both[2]);
        for alone in [&["v=spf1 mx"][..], &["v=spf1 mx", "spf2.0/mfrom -all"]] {
            assert_eq!(chosen(alone, Scope::Pra).0.unwrap(), b"v=spf1 mx");
        }
        assert_eq!(chosen(&["V=SPF1"], Scope::Spf).0.unwrap(), b"V=SPF1");
        let nothing = chosen(&["v=spf10 -all", "spf2.0/mfrom -all"], Scope::Pra).0;
        assert_eq!(nothing.unwrap_err(), Error::Dns(DnsError::InvalidRecordType));
    }

    #[test]
    fn two_records_are_an_error_that_names_them() {
        let (found, records) = chosen(&["v=spf1 mx -all", "v=spf1 a -all"], Scope::Spf);
        assert_eq!(found.unwrap_err(), Error::ParseError);
        assert_eq!(
            records.fault.unwrap().advice("").reason,
            "there are 2 records at example.org., and there may be only one"
        );
        assert_eq!(records.seen.len(), 2);
    }

    #[test]
    fn the_walk_goes_up_to_the_top_in_eight_steps() {
        assert_eq!(
            walk("Mail.Example.org"),
            ["_dmarc.mail.example.org.", "_dmarc.example.org.", "_dmarc.org."]
        );
        assert_eq!(walk("org"), ["_dmarc.org."]);
        let deep = walk("a.b.c.d.e.f.g.h.i.example.org");
        assert_eq!(deep.len(), 8);
        assert_eq!(deep[0], "_dmarc.a.b.c.d.e.f.g.h.i.example.org.");
        assert_eq!(deep[1], "_dmarc.e.f.g.h.i.example.org.");
        assert_eq!(deep[7], "_dmarc.org.");
    }

    #[test]
    fn includes_and_redirects_are_followed() {
        let record = Spf::parse(b"v=spf1 include:_spf.example.net include:%{i}.x redirect=Other.example").unwrap();
        let named: Vec<String> = others(&record).map(|(name, _)| name).collect();
        assert_eq!(named, ["_spf.example.net.", "other.example."]);
    }
}
