//! What the checks come to: results in the words of RFC 8601 §2.7, with the reason and the cure.

use serde::Serialize;
use std::fmt;
use std::net::IpAddr;

/// What is checked, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Method {
    /// RFC 7208, of the envelope sender.
    #[serde(rename = "spf")]
    Spf,
    /// RFC 4870, historic.
    #[serde(rename = "domainkeys")]
    DomainKeys,
    /// RFC 6376 and RFC 8463.
    #[serde(rename = "dkim")]
    Dkim,
    /// RFC 4406, historic.
    #[serde(rename = "sender-id")]
    SenderId,
    /// RFC 9989.
    #[serde(rename = "dmarc")]
    Dmarc,
    /// RFC 8601 §3.
    #[serde(rename = "iprev")]
    Iprev,
    /// The judgement of `spamc`.
    #[serde(rename = "spamassassin")]
    SpamAssassin,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Spf,
        Self::DomainKeys,
        Self::Dkim,
        Self::SenderId,
        Self::Dmarc,
        Self::Iprev,
        Self::SpamAssassin,
    ];

    /// As the report has it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Spf => "SPF",
            Self::DomainKeys => "DomainKeys",
            Self::Dkim => "DKIM",
            Self::SenderId => "Sender-ID",
            Self::Dmarc => "DMARC",
            Self::Iprev => "iprev",
            Self::SpamAssassin => "SpamAssassin",
        }
    }

    /// DomainKeys was replaced by DKIM in 2007: nobody evaluates it, so it neither passes nor fails a message.
    pub fn counts(self) -> bool {
        self != Self::DomainKeys
    }
}

/// A result, the best first: with several signatures the best one is the result of DKIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is well.
    Pass,
    /// SpamAssassin's word for it.
    Ham,
    /// A name server did not answer: perhaps next time.
    TempError,
    /// Nothing is claimed.
    Neutral,
    /// The claim is weak.
    SoftFail,
    /// The claim is false.
    Fail,
    /// What is published cannot be understood.
    PermError,
    /// Nothing is published, nothing is signed.
    None,
    /// SpamAssassin's word for the contrary.
    Spam,
}

impl Verdict {
    /// Nothing to cure?
    pub fn is_good(self) -> bool {
        matches!(self, Self::Pass | Self::Ham)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Ham => "ham",
            Self::TempError => "temperror",
            Self::Neutral => "neutral",
            Self::SoftFail => "softfail",
            Self::Fail => "fail",
            Self::PermError => "permerror",
            Self::None => "none",
            Self::Spam => "spam",
        })
    }
}

/// Why a check ended as it did, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The reason, a clause.
    pub reason: String,
    /// The words of others that belong to it, behind a colon.
    pub quote: Option<String>,
    /// What to do; nothing for what is well.
    pub cure: Option<String>,
}

impl Advice {
    /// Of what is well, or needs nothing.
    pub fn fine(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            quote: None,
            cure: None,
        }
    }

    /// Of what is not.
    pub fn cure(reason: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            quote: None,
            cure: Some(cure.into()),
        }
    }

    /// With what others say.
    pub fn quoting(self, quote: Option<&str>) -> Self {
        Self {
            quote: quote.map(str::to_owned),
            ..self
        }
    }
}

/// A TXT record that a check went by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its owner.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// One check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub check: Method,
    /// What came of it.
    pub result: Verdict,
    /// The identity that was checked, as `smtp.mailfrom=…` (RFC 8601 §2.3).
    pub identity: String,
    /// Why.
    pub reason: String,
    /// The words of others that belong to it: of a domain in its explanation, or in a record that is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// What to do; nothing if it passed.
    pub cure: Option<String>,
    /// The records it went by.
    pub records: Vec<Seen>,
}

impl Check {
    /// A check without records.
    pub fn new(check: Method, result: Verdict, identity: impl Into<String>, advice: Advice) -> Self {
        Self {
            check,
            result,
            identity: identity.into(),
            reason: advice.reason,
            quote: advice.quote,
            cure: advice.cure,
            records: vec![],
        }
    }

    /// With the records it went by.
    pub fn with_records(self, records: Vec<Seen>) -> Self {
        Self { records, ..self }
    }
}

/// Who delivered the message, and what was said in the envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Session {
    /// The address that delivered it.
    pub client_ip: IpAddr,
    /// The name that it gave.
    pub helo: String,
    /// The envelope sender, empty for `<>`.
    pub mail_from: String,
}

impl Session {
    /// What SPF is about: the sender's domain, the name that was given for `<>` (RFC 7208 §2.4).
    pub fn domain(&self) -> &str {
        self.mail_from.rsplit_once('@').map_or(&self.helo, |(_, domain)| domain)
    }
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The delivery.
    #[serde(flatten)]
    pub session: Session,
    /// Is the envelope sender shown to be who sent it, by SPF or a signature of its domain?
    #[serde(skip)]
    pub is_proved: bool,
    /// What the reader should know about the examination itself.
    pub notes: Vec<String>,
    /// The checks, in the order of [`Method::ALL`].
    pub checks: Vec<Check>,
}

impl Report {
    /// Did everything that counts pass, each signature included?
    pub fn all_pass(&self) -> bool {
        let counted = || self.checks.iter().filter(|check| check.check.counts());
        counted().all(|check| check.result.is_good())
    }

    /// The result of a method: the best of its checks.
    pub fn result(&self, method: Method) -> Option<Verdict> {
        let own = self.checks.iter().filter(|check| check.check == method);
        own.map(|check| check.result).min()
    }
}
