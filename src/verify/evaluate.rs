//! The checks, each by mail-auth against the DNS, each with the records it went by.

use super::error::VerifyError;
use super::message::Message;
use super::outcome::{Advice, Check, Method, Seen, Session, Verdict};
use super::pra::responsible;
use super::reason;
use super::records::{Records, Scope};
use super::resolver::{Dns, Texts};
use crate::mail::dkim_public_key;
use mail_auth::common::crypto::Algorithm;
use mail_auth::common::headers::Header;
use mail_auth::common::resolver::ToFqdn;
use mail_auth::common::to_a_label;
use mail_auth::common::verify::VerifySignature;
use mail_auth::dkim::{DkimError, Signature};
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DkimResult, DmarcResult, Error, IprevResult, Parameters, SpfOutput, SpfResult,
};
use std::time::Duration;
use tokio::time::timeout;

/// Each signature costs a query and a verification; a message with more of them is up to something (RFC 6376 §8.4).
const MAX_SIGNATURES: usize = 10;

/// How long one check may wait for the DNS. Two of them come one behind the other.
const SHARE: Duration = Duration::from_secs(20);

/// The name of this host in explanations (RFC 7208 §7.3); what stands there if it is not known.
const HERE: &str = "unknown";

/// What came of all checks.
pub(super) struct Evaluation {
    pub(super) checks: Vec<Check>,
    /// What the reader should know besides.
    pub(super) notes: Vec<String>,
    /// Is the envelope sender shown to be who sent it?
    pub(super) is_proved: bool,
}

/// Runs all checks, each with its own share of time: a domain that is slow has errors in its report, and the report is
/// made.
pub(super) async fn evaluate(dns: &Dns, message: &Message, session: &Session) -> Result<Evaluation, VerifyError> {
    let mut parsed = AuthenticatedMessage::parse(message.octets()).ok_or(VerifyError::NoHeader)?;
    let mut notes = Vec::from_iter(bound_signatures(&mut parsed));
    refuse_sha1(&mut parsed);
    let late = |method| Check::new(method, Verdict::TempError, "", reason::silent(None));
    let (spf, sender_id, verified, iprev) = tokio::join!(
        timeout(SHARE, spf(dns, session)),
        timeout(SHARE, sender_id(dns, message, session)),
        timeout(SHARE, dns.authenticator.verify_dkim(&parsed)),
        timeout(SHARE, iprev(dns, session)),
    );
    let (spf, spf_output, note) = spf.unwrap_or_else(|_| {
        let output = SpfOutput::new(session.domain().to_owned()).with_result(SpfResult::TempError);
        (late(Method::Spf), output, None)
    });
    notes.extend(note);
    let signatures = verified.as_deref().unwrap_or_default();
    let (dkim, dmarc) = tokio::join!(
        timeout(SHARE, dkim(dns, &parsed, signatures)),
        timeout(SHARE, dmarc(dns, &parsed, session, signatures, &spf_output)),
    );
    let (mut dmarc, note) = dmarc.unwrap_or_else(|_| (late(Method::Dmarc), None));
    notes.extend(note);
    // A signature that was not verified in time might have made it pass.
    if verified.is_err() && dmarc.result == Verdict::Fail {
        dmarc = late(Method::Dmarc);
    }
    let mut checks = vec![spf, domain_keys(message)];
    match verified.is_ok() {
        true => checks.extend(dkim.unwrap_or_else(|_| vec![late(Method::Dkim)])),
        false => checks.push(late(Method::Dkim)),
    }
    checks.extend([
        sender_id.unwrap_or_else(|_| late(Method::SenderId)),
        dmarc,
        iprev.unwrap_or_else(|_| late(Method::Iprev)),
    ]);
    Ok(Evaluation {
        checks,
        notes,
        is_proved: is_proved(session, &spf_output, signatures),
    })
}

/// Is the envelope sender shown to be who sent it: by SPF, or a signature of its domain or one above?
fn is_proved(session: &Session, spf: &SpfOutput, dkim: &[DkimOutput<'_>]) -> bool {
    let domain = session.domain().to_ascii_lowercase();
    let is_above = |signer: &str| {
        let rest = domain.strip_suffix(&signer.to_ascii_lowercase());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let mut passed = dkim.iter().filter(|output| *output.result() == DkimResult::Pass);
    spf.result() == SpfResult::Pass
        || passed.any(|output| output.signature().is_some_and(|signature| is_above(&signature.d)))
}

/// Leaves the first signatures of those that can be read and of those that cannot.
fn bound_signatures(message: &mut AuthenticatedMessage<'_>) -> Option<String> {
    message
        .errors
        .retain(|header| header.name.eq_ignore_ascii_case(b"DKIM-Signature"));
    let before = message.dkim_headers.len() + message.errors.len();
    message.dkim_headers.truncate(MAX_SIGNATURES);
    message.errors.truncate(MAX_SIGNATURES);
    let after = message.dkim_headers.len() + message.errors.len();
    (after < before).then(|| format!("the message has {before} signatures; {after} of them are examined"))
}

/// Signatures with SHA-1 count no more, whatever they say (RFC 8301 §3.1). mail-auth still verifies them.
fn refuse_sha1(message: &mut AuthenticatedMessage<'_>) {
    let refused = message
        .dkim_headers
        .extract_if(.., |header| header.header.a == Algorithm::RsaSha1);
    let unsupported = || Error::Dkim(DkimError::UnsupportedAlgorithm);
    message
        .errors
        .extend(refused.map(|header| Header::new(header.name, header.value, unsupported())));
}

async fn spf(dns: &Dns, session: &Session) -> (Check, SpfOutput, Option<String>) {
    let records = Records::spf(dns, session.domain(), Scope::Spf).await;
    let parameters = SpfParameters::verify_mail_from(session.client_ip, &session.helo, HERE, &session.mail_from);
    let output = dns
        .authenticator
        .check_host(Parameters::new(parameters).with_txt_cache(&records))
        .await;
    let identity = match session.mail_from.as_str() {
        "" => format!("smtp.helo={}", session.helo),
        sender => format!("smtp.mailfrom={sender}"),
    };
    let advice = reason::spf(
        &output,
        session.client_ip,
        reason::shown(session.domain()),
        records.fault.as_ref(),
        &records.seen,
    );
    let check = Check::new(Method::Spf, verdict(output.result()), identity, advice).with_records(records.seen);
    (check, output, records.note)
}

/// RFC 4406 §4: `check_host` of the purported responsible address.
async fn sender_id(dns: &Dns, message: &Message, session: &Session) -> Check {
    let (field, address) = match responsible(message) {
        Ok(found) => found,
        Err(advice) => return Check::new(Method::SenderId, Verdict::PermError, "", advice),
    };
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    let records = Records::spf(dns, domain, Scope::Pra).await;
    let parameters = SpfParameters::new(session.client_ip, domain, &session.helo, HERE, &address);
    let output = dns
        .authenticator
        .check_host(Parameters::new(parameters).with_txt_cache(&records))
        .await;
    let advice = reason::sender_id(
        &output,
        session.client_ip,
        reason::shown(domain),
        records.fault.as_ref(),
        &records.seen,
    );
    let identity = format!("header.{}={address}", field.to_ascii_lowercase());
    Check::new(Method::SenderId, verdict(output.result()), identity, advice).with_records(records.seen)
}

/// RFC 4870 was replaced by DKIM. That a message carries its signature is all that can honestly be said of it.
fn domain_keys(message: &Message) -> Check {
    match message.named("DomainKey-Signature").next() {
        Some(_) => Check::new(
            Method::DomainKeys,
            Verdict::Neutral,
            "",
            Advice::fine(
                "there is a signature of DomainKeys (RFC 4870), which is historic: it is not verified, here or elsewhere",
            ),
        ),
        None => Check::new(
            Method::DomainKeys,
            Verdict::None,
            "",
            Advice::fine("not signed, and need not be: DomainKeys (RFC 4870) is historic, DKIM has replaced it"),
        ),
    }
}

async fn dkim(dns: &Dns, message: &AuthenticatedMessage<'_>, outputs: &[DkimOutput<'_>]) -> Vec<Check> {
    let mut checks = Vec::new();
    for output in outputs {
        let error = match output.result() {
            DkimResult::Neutral(error)
            | DkimResult::Fail(error)
            | DkimResult::PermError(error)
            | DkimResult::TempError(error) => Some(error),
            DkimResult::Pass | DkimResult::None => None,
        };
        let verdict = match output.result() {
            DkimResult::Pass => Verdict::Pass,
            // A body that was changed is a failed verification (RFC 8601 §2.7.1), as every other verifier has it.
            DkimResult::Neutral(Error::Dkim(DkimError::FailedBodyHashMatch)) | DkimResult::Fail(_) => Verdict::Fail,
            DkimResult::Neutral(_) => Verdict::Neutral,
            DkimResult::PermError(_) => Verdict::PermError,
            DkimResult::TempError(_) => Verdict::TempError,
            DkimResult::None => Verdict::None,
        };
        let advice = reason::dkim(error, output.signature());
        let (identity, records) = match output.signature() {
            Some(signature) => (identity(signature), key_records(dns, &signature.domain_key()).await),
            None => (String::new(), vec![]),
        };
        checks.push(Check::new(Method::Dkim, verdict, identity, advice).with_records(records));
    }
    // What mail-auth reports are the signatures that it can read, and those with words it does not know.
    let unread = message
        .errors
        .iter()
        .filter(|header| !matches!(header.header, Error::Dkim(_)));
    checks.extend(unread.map(|header| {
        let advice = reason::dkim(Some(&header.header), None);
        Check::new(Method::Dkim, Verdict::Neutral, "", advice)
    }));
    if checks.is_empty() {
        checks.push(Check::new(Method::Dkim, Verdict::None, "", reason::unsigned()));
    }
    checks
}

fn identity(signature: &Signature) -> String {
    let algorithm = match signature.a {
        Algorithm::RsaSha1 => "rsa-sha1",
        Algorithm::RsaSha256 => "rsa-sha256",
        Algorithm::Ed25519Sha256 => "ed25519-sha256",
        #[allow(unreachable_patterns, reason = "versions of mail-auth know different algorithms")]
        _ => "other",
    };
    format!("header.d={} header.s={} header.a={algorithm}", signature.d, signature.s)
}

async fn key_records(dns: &Dns, name: &str) -> Vec<Seen> {
    let name = name.to_fqdn();
    let Texts::Found(texts) = dns.texts(&name).await else {
        return vec![];
    };
    let seen = |text: Vec<u8>| Seen {
        name: name.to_string(),
        text: String::from_utf8_lossy(&text).into_owned(),
    };
    // What is no key was put there for other readers.
    let keys = texts.into_iter().filter(|text| dkim_public_key(text).is_some());
    keys.map(seen).collect()
}

async fn dmarc(
    dns: &Dns,
    message: &AuthenticatedMessage<'_>,
    session: &Session,
    dkim: &[DkimOutput<'_>],
    spf: &SpfOutput,
) -> (Check, Option<String>) {
    let author = message.from().rsplit_once('@').map_or("", |(_, domain)| domain);
    if author.is_empty() {
        let advice = reason::no_author();
        return (Check::new(Method::Dmarc, Verdict::None, "", advice), None);
    }
    let domains = message.froms().iter().filter_map(|from| from.rsplit_once('@'));
    if domains
        .into_iter()
        .any(|(_, domain)| to_a_label(domain) != to_a_label(author))
    {
        let advice = reason::several_authors();
        return (Check::new(Method::Dmarc, Verdict::None, "", advice), None);
    }
    let records = Records::dmarc(dns, &to_a_label(author)).await;
    let parameters = DmarcParameters::new(message, dkim, session.domain(), spf);
    let output = dns
        .authenticator
        .verify_dmarc(Parameters::new(parameters).with_txt_cache(&records))
        .await;
    let verdict = match output.result() {
        DmarcResult::Pass => Verdict::Pass,
        DmarcResult::Fail(_) => Verdict::Fail,
        DmarcResult::TempError(_) => Verdict::TempError,
        DmarcResult::PermError(_) => Verdict::PermError,
        DmarcResult::None => Verdict::None,
    };
    let signed: Vec<&str> = dkim
        .iter()
        .filter(|output| *output.result() == DkimResult::Pass)
        .filter_map(|output| Some(output.signature()?.d.as_str()))
        .collect();
    let spf_domain = (spf.result() == SpfResult::Pass).then_some(session.domain());
    let advice = reason::dmarc(&output, author, spf_domain, &signed, &records);
    let check = Check::new(Method::Dmarc, verdict, format!("header.from={author}"), advice);
    (check.with_records(records.seen), records.note)
}

async fn iprev(dns: &Dns, session: &Session) -> Check {
    let output = dns.authenticator.verify_iprev(session.client_ip).await;
    let verdict = match output.result() {
        IprevResult::Pass => Verdict::Pass,
        IprevResult::Fail(_) => Verdict::Fail,
        IprevResult::TempError(_) => Verdict::TempError,
        IprevResult::PermError(_) => Verdict::PermError,
        IprevResult::None => Verdict::None,
    };
    let names: Vec<&str> = output
        .ptr
        .iter()
        .flat_map(|names| names.iter())
        .map(|name| name.trim_end_matches('.'))
        .collect();
    let advice = reason::iprev(output.result(), session.client_ip, &names);
    Check::new(
        Method::Iprev,
        verdict,
        format!("policy.iprev={}", session.client_ip),
        advice,
    )
}

fn verdict(result: SpfResult) -> Verdict {
    match result {
        SpfResult::Pass => Verdict::Pass,
        SpfResult::Fail => Verdict::Fail,
        SpfResult::SoftFail => Verdict::SoftFail,
        SpfResult::Neutral => Verdict::Neutral,
        SpfResult::TempError => Verdict::TempError,
        SpfResult::PermError => Verdict::PermError,
        SpfResult::None => Verdict::None,
    }
}
