//! Why a check ended as it did, in words for the operator, and what cures it. Pure.

use super::outcome::{Advice, Seen};
use super::records::{Fault, Records};
use mail_auth::common::crypto::CryptoError;
use mail_auth::common::verify::VerifySignature;
use mail_auth::dkim::{DkimError, Signature};
use mail_auth::dmarc::Policy;
use mail_auth::{DmarcOutput, DmarcResult, DnsError, Error, IprevResult, SpfOutput, SpfResult};
use std::net::IpAddr;

const ASK_AGAIN: &str = "see that all name servers of the domain answer, and verify again";

/// Of SPF (RFC 7208 §2.6).
pub(super) fn spf(output: &SpfOutput, client: IpAddr, domain: &str, fault: Option<&Fault>, seen: &[Seen]) -> Advice {
    let add = format!(
        "if {client} is yours, list it in the record of {domain} ({}), or send through a server that is listed; else \
         the mail is not yours",
        mechanism(client)
    );
    match output.result() {
        SpfResult::Pass => Advice::fine(format!("the record of {domain} allows {client}")),
        SpfResult::Fail => {
            let by = if is_by_all(seen, '-') { " (-all)" } else { "" };
            let said = output.explanation();
            let says = said.map_or("", |_| ", and says");
            Advice::cure(format!("the record of {domain} forbids {client}{by}{says}"), add).quoting(said)
        }
        SpfResult::SoftFail if is_by_all(seen, '~') => Advice::cure(
            format!("the record of {domain} does not list {client} and ends in ~all"),
            add,
        ),
        SpfResult::SoftFail => Advice::cure(
            format!("the record of {domain} says that {client} is probably none of its hosts (~)"),
            add,
        ),
        SpfResult::Neutral => Advice::cure(
            format!("the record of {domain} says nothing of {client}: no mechanism matches, or only one with ?"),
            format!("{add}; and end the record in -all"),
        ),
        SpfResult::None => Advice::cure(
            format!("there is no SPF record at {domain}"),
            format!(
                "publish one TXT record at {domain}, such as \"v=spf1 mx -all\"; Signpost composes it from [mail.spf] \
                 of signpost.toml"
            ),
        ),
        SpfResult::PermError => match fault {
            Some(fault @ Fault::Several { .. }) => {
                fault.advice("keep one of them, with the mechanisms of all (RFC 7208 §4.5)")
            }
            Some(fault) => fault.advice(mend(domain)),
            None => Advice::cure(
                "the record takes more than is allowed: more than ten lookups, 20 s, or more than ten names of an MX \
                 (RFC 7208 §4.6.4); or a name with a macro, which it brings in, has no record",
                mend(domain),
            ),
        },
        SpfResult::TempError => silent(fault),
    }
}

fn mend(domain: &str) -> String {
    format!("mend the record of {domain}: `signpost check` judges it when it is in a zone here")
}

/// Of what nobody answered, or not in time.
pub(super) fn silent(fault: Option<&Fault>) -> Advice {
    match fault {
        Some(fault) => fault.advice(ASK_AGAIN),
        None => Advice::cure("a name server did not answer, or not in time", ASK_AGAIN),
    }
}

/// Is `all` the one mechanism of these records with this qualifier?
fn is_by_all(seen: &[Seen], qualifier: char) -> bool {
    let terms = seen.iter().flat_map(|seen| seen.text.split(' ').skip(1));
    let mut own = terms.filter_map(|term| term.strip_prefix(qualifier));
    own.all(|mechanism| mechanism.eq_ignore_ascii_case("all"))
}

/// Of Sender-ID, whose results are those of SPF for another address.
pub(super) fn sender_id(
    output: &SpfOutput,
    client: IpAddr,
    domain: &str,
    fault: Option<&Fault>,
    seen: &[Seen],
) -> Advice {
    let advice = spf(output, client, domain, fault, seen);
    match output.result() {
        SpfResult::None => Advice::cure(
            format!("there is neither a record spf2.0/pra nor one of SPF at {domain}, the domain of the header"),
            format!("publish SPF at {domain}: Sender-ID takes it where there is no record of its own (RFC 4406 §3.4)"),
        ),
        _ => advice,
    }
}

/// Of one signature (RFC 6376 §6.1).
pub(super) fn dkim(error: Option<&Error>, signature: Option<&Signature>) -> Advice {
    let key = signature.map_or_else(String::new, |signature| {
        shown(&format!("{}._domainkey.{}", signature.selector(), signature.domain())).to_owned()
    });
    let Some(error) = error else {
        return Advice::fine(format!("the signature verifies with the key at {key}"));
    };
    match error {
        Error::Dkim(error) => dkim_own(error, &key),
        Error::Dns(DnsError::RecordNotFound(code)) => Advice::cure(
            format!("there is no key at {key} ({code})"),
            "publish it before it signs; Signpost does as soon as the key is in its key directory: see `signpost key list`",
        ),
        Error::Dns(DnsError::InvalidRecordType) => Advice::cure(
            format!("the record at {key} is no key, or its p= cannot be read"),
            "let it begin with v=DKIM1 and have a p=; Signpost writes it from the key itself",
        ),
        Error::Dns(DnsError::Resolver(said)) => {
            Advice::cure(format!("no answer for {key}"), ASK_AGAIN).quoting(Some(said))
        }
        Error::Crypto(CryptoError::IncompatibleAlgorithms) => Advice::cure(
            format!("the key at {key} is of another algorithm than the signature"),
            "give each algorithm a selector of its own (RFC 8463 §3)",
        ),
        Error::Crypto(CryptoError::FailedVerification) => Advice::cure(
            format!("the signature does not match: a signed header field was changed, or the key at {key} is another"),
            "compare the private key of the signer with the record (`opendkim-testkey`, `signpost key list`); if they \
             agree, find what changes the header behind the signer, and sign last",
        ),
        Error::ParseError | Error::Base64 | Error::Crypto(_) if signature.is_some() => Advice::cure(
            format!("the key at {key} cannot be understood: {error}"),
            "write the record anew from the private key; Signpost does that by itself",
        ),
        error => Advice::cure(
            format!("the field DKIM-Signature cannot be understood: {error}"),
            "see that it passes whole: one field, v= a= d= s= h= bh= b= in it (RFC 6376 §3.5)",
        ),
    }
}

fn dkim_own(error: &DkimError, key: &str) -> Advice {
    match error {
        DkimError::FailedBodyHashMatch => Advice::cure(
            "the body is not the one that was signed (bh=): something changed it behind the signer",
            "find what does, often a footer, a virus scanner or a relay that wraps lines; sign behind it, with \
             c=relaxed/relaxed",
        ),
        DkimError::FailedAuidMatch => Advice::cure(
            "i= is not in the domain d=, or not the same although the key has t=s",
            "sign with i= in d=, or take t=s out of the key record",
        ),
        DkimError::RevokedPublicKey => Advice::cure(
            format!("the key at {key} is revoked: its p= is empty"),
            "sign with another selector; mail that was under way for longer than `retire` is late",
        ),
        DkimError::SignatureExpired => Advice::cure(
            "the signature has expired (x=)",
            "sign with a later x=, or none; see what held the message, and that the clock is right",
        ),
        DkimError::SignatureLength => Advice::cure(
            "the signature covers a part of the body only (l=), to which anybody can append",
            "sign without l= (RFC 6376 §8.2)",
        ),
        DkimError::UnsupportedKeyType => Advice::cure(
            format!("the key at {key} is of an unknown type (k=)"),
            "use k=rsa or k=ed25519",
        ),
        DkimError::UnsupportedAlgorithm => Advice::cure(
            "the signature is made by an algorithm that is unknown or broken (a=)",
            "sign by rsa-sha256 or ed25519-sha256 (RFC 8301, RFC 8463)",
        ),
        DkimError::UnsupportedVersion | DkimError::UnsupportedCanonicalization => Advice::cure(
            format!("the signature is not one of DKIM as it is known: {error}"),
            "sign with v=1 and c=relaxed/relaxed",
        ),
    }
}

/// Of a message without a signature.
pub(super) fn unsigned() -> Advice {
    Advice::cure(
        "the message is not signed",
        "see that the signer runs, that the MTA hands it the message (smtpd_milters, non_smtpd_milters), and that its \
         SigningTable has the domain of From",
    )
}

/// Of a message whose From has no domain.
pub(super) fn no_author() -> Advice {
    Advice::cure(
        "the message has no From with a domain",
        "send with one From (RFC 5322 §3.6)",
    )
}

/// Of a message by authors of several domains, to which no policy can apply (RFC 9989 §4.10).
pub(super) fn several_authors() -> Advice {
    Advice::cure(
        "From has authors of several domains, so that no policy applies",
        "write one address into From, the others into Reply-To; put who sent it into Sender",
    )
}

/// Of DMARC (RFC 9989 §4.10): `spf` and `dkim` are the domains that passed.
pub(super) fn dmarc(output: &DmarcOutput, author: &str, spf: Option<&str>, dkim: &[&str], records: &Records) -> Advice {
    let author = shown(author);
    let spf_said = spf.map_or("SPF did not pass".to_owned(), |domain| {
        format!("SPF passed for {domain}")
    });
    let dkim_said = match dkim {
        [] => "no DKIM signature passed".to_owned(),
        domains => format!("DKIM passed for {}", domains.join(", ")),
    };
    match output.result() {
        DmarcResult::Pass => {
            let by = match (output.spf_result(), output.dkim_result()) {
                (DmarcResult::Pass, DmarcResult::Pass) => "SPF and DKIM",
                (DmarcResult::Pass, _) => "SPF",
                _ => "DKIM",
            };
            Advice::fine(format!("{by} passed for a domain aligned with {author}"))
        }
        DmarcResult::Fail(_) => {
            let asks = match output.policy() {
                Policy::Reject => "reject",
                Policy::Quarantine => "quarantine",
                Policy::None | Policy::Unspecified => "none",
            };
            Advice::cure(
                format!("{spf_said}, {dkim_said}; none is aligned with {author}, whose policy is {asks}"),
                format!(
                    "sign with d={author}, or send from an envelope address in {author} that passes SPF; one of them \
                     is enough"
                ),
            )
        }
        DmarcResult::None => {
            let publish = format!(
                "publish one TXT record at _dmarc.{author}, such as \"v=DMARC1; p=none\"; Signpost composes it from \
                 [mail.dmarc]"
            );
            match (&records.fault, records.seen.first()) {
                (Some(fault), _) => {
                    let advice = fault.advice(publish);
                    let reason = format!("{}: they count as none", advice.reason);
                    Advice { reason, ..advice }
                }
                // RFC 9989 §4.10.1; with a rua= it would count as p=none.
                (None, Some(seen)) => Advice::cure(
                    format!("the record at {} has no p= that is known: it counts as none", seen.name),
                    "write p=none, p=quarantine or p=reject behind v=DMARC1; Signpost composes it from [mail.dmarc]",
                ),
                (None, None) => Advice::cure(format!("there is no DMARC record at _dmarc.{author} or above"), publish),
            }
        }
        DmarcResult::TempError(_) => silent(records.fault.as_ref()),
        DmarcResult::PermError(error) => Advice::cure(
            format!("the DMARC record of {author} cannot be understood: {error}"),
            "let it be \"v=DMARC1; p=…\" with known words (RFC 9989 §4.7); Signpost composes it from [mail.dmarc]",
        ),
    }
}

/// Of the name of an address (RFC 8601 §3).
pub(super) fn iprev(result: &IprevResult, client: IpAddr, names: &[&str]) -> Advice {
    // Who has the address gives it names, and may give it thousands.
    const MAX_NAMES: usize = 4;
    let listed = Vec::from_iter(names.iter().take(MAX_NAMES).map(|name| shown(name))).join(", ");
    let both_ways = format!(
        "have the hoster of {client} point its PTR at the name of the mail server, and give that name the address {client}"
    );
    match result {
        IprevResult::Pass => Advice::fine(format!("{client} is {listed}, and that name has the address {client}")),
        IprevResult::Fail(_) => Advice::cure(
            format!("{client} is {listed}, but that name has another address"),
            both_ways,
        ),
        IprevResult::PermError(_) if names.is_empty() => Advice::cure(format!("{client} has no name (PTR)"), both_ways),
        IprevResult::PermError(_) => {
            Advice::cure(format!("{client} is {listed}, but that name has no address"), both_ways)
        }
        IprevResult::TempError(error) => {
            Advice::cure(format!("no answer for the name of {client}"), ASK_AGAIN).quoting(Some(&error.to_string()))
        }
        IprevResult::None => Advice::fine("not checked"),
    }
}

/// A name of the message or of the DNS; what is none, such as a sentence, is not repeated.
pub(super) fn shown(name: &str) -> &str {
    const MAX_NAME: usize = 255;
    let is_name = name.chars().all(|c| c.is_alphanumeric() || "-._".contains(c));
    if is_name && name.len() <= MAX_NAME {
        name
    } else {
        "(no domain name)"
    }
}

fn mechanism(client: IpAddr) -> String {
    match client {
        IpAddr::V4(address) => format!("ip4:{address}"),
        IpAddr::V6(address) => format!("ip6:{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 25));

    #[test]
    fn every_result_of_spf_but_a_pass_has_a_cure() {
        use SpfResult::{Fail, Neutral, None, Pass, PermError, SoftFail, TempError};
        for result in [Pass, Fail, SoftFail, Neutral, None, PermError, TempError] {
            let output = SpfOutput::new("example.org".to_owned()).with_result(result);
            let advice = spf(&output, CLIENT, "example.org", Option::None, &[]);
            assert_eq!(advice.cure.is_none(), result == Pass, "{result:?}: {advice:?}");
            assert!(!advice.reason.is_empty());
        }
        let output = SpfOutput::new("example.org".to_owned()).with_result(Fail);
        let advice = spf(&output, CLIENT, "example.org", Option::None, &[]);
        assert!(advice.cure.unwrap().contains("ip4:192.0.2.25"));
    }

    #[test]
    fn what_forbids_is_told_if_it_is_all() {
        let told = |result, texts: &[&str]| {
            let seen = texts.iter().map(|text| Seen {
                name: "example.org.".to_owned(),
                text: (*text).to_owned(),
            });
            let output = SpfOutput::new("example.org".to_owned()).with_result(result);
            let advice = spf(&output, CLIENT, "example.org", None, &Vec::from_iter(seen));
            advice.reason
        };
        assert!(told(SpfResult::Fail, &["v=spf1 mx -all"]).ends_with("(-all)"));
        assert!(!told(SpfResult::Fail, &["v=spf1 -ip4:192.0.2.25 -all"]).contains("-all"));
        assert!(!told(SpfResult::Fail, &["v=spf1 redirect=a", "v=spf1 -a:b +all"]).contains("-all"));
        assert!(told(SpfResult::SoftFail, &["v=spf1 mx ~all"]).ends_with("~all"));
        assert!(!told(SpfResult::SoftFail, &["v=spf1 ~a mx -all"]).contains("all"));
    }

    #[test]
    fn a_sentence_is_no_name() {
        assert_eq!(shown("mail.bücher.example"), "mail.bücher.example");
        for sentence in ["buy now", "http://a.example", &"a".repeat(256)] {
            assert_eq!(shown(sentence), "(no domain name)");
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_told_apart_from_what_is_wrong_with_the_field() {
        let signature = Signature {
            d: "example.org".to_owned(),
            s: "sel".to_owned(),
            ..Default::default()
        };
        let of_key = dkim(Some(&Error::ParseError), Some(&signature));
        assert!(of_key.reason.contains("sel._domainkey.example.org"), "{of_key:?}");
        let of_field = dkim(Some(&Error::ParseError), None);
        assert!(of_field.reason.contains("field DKIM-Signature"), "{of_field:?}");
        let revoked = dkim(Some(&Error::Dkim(DkimError::RevokedPublicKey)), Some(&signature));
        assert!(revoked.reason.contains("revoked"), "{revoked:?}");
    }
}
