//! The kinds of record that mail policy makes, and how one is told from another.
//!
//! Many of them share one RRset: an apex TXT may hold SPF, Sender-ID and a dozen site
//! verifications. A policy replaces only what is of its own kind.

use crate::name::Name;
use crate::record::{Record, RecordType};

/// What a composed record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v=spf1` (RFC 7208).
    Spf,
    /// `spf2.0/…` (RFC 4406).
    SenderId,
    /// `v=DMARC1` (RFC 9989).
    Dmarc,
    /// `v=DMARC1` at `_report._dmarc`: leave to send reports here (RFC 9990).
    DmarcReport,
    /// A key at `selector._domainkey` (RFC 6376 §3.6).
    DkimKey,
    /// The DomainKeys policy at `_domainkey` (RFC 4870 §3.6).
    DomainKeysPolicy,
    /// `dkim=…` at `_adsp._domainkey` (RFC 5617 §4).
    Adsp,
    /// `v=TLSRPTv1` (RFC 8460).
    TlsRpt,
    /// `v=STSv1` (RFC 8461).
    MtaSts,
    /// `v=BIMI1`.
    Bimi,
    /// CAA (RFC 8659): the property tag.
    Caa(&'static str),
    /// A null MX (RFC 7505).
    NullMx,
    /// SRV of RFC 6186 and RFC 8314.
    Service,
    /// The CNAME of an autoconfig host.
    Autoconfig,
}

/// One record that policy asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub owner: Name,
    /// Of which type.
    pub rtype: RecordType,
    /// Its data in wire form.
    pub rdata: Box<[u8]>,
    /// The TTL that policy sets, if it does.
    pub ttl: Option<u32>,
    /// Where it comes from, for the report: `policy [mail.spf] record`.
    pub from: String,
    /// Does it give way to a record of its kind in the zone file? Records that were asked for by
    /// name do not; those that fill gaps (a null MX, SRV, an MX host's HELO) do.
    pub yields: bool,
}

impl Wanted {
    /// A TXT record of `text` that wins over the zone file's own.
    pub fn txt(kind: Kind, owner: Name, text: &str, ttl: Option<u32>, from: impl Into<String>) -> Self {
        let record = Record::text(owner, RecordType::TXT, 0, text.as_bytes());
        Self {
            kind,
            owner: record.owner,
            rtype: RecordType::TXT,
            rdata: record.rdata,
            ttl,
            from: from.into(),
            yields: false,
        }
    }

    /// The record with this TTL.
    pub fn record(&self, ttl: u32) -> Record {
        Record {
            owner: self.owner.clone(),
            rtype: self.rtype,
            ttl,
            rdata: self.rdata.clone(),
        }
    }

    /// The same, giving way to the zone file's own.
    #[must_use]
    pub fn yielding(mut self) -> Self {
        self.yields = true;
        self
    }
}

impl Kind {
    /// Its name in the words of the trade.
    pub fn what(self) -> &'static str {
        match self {
            Self::Spf => "SPF",
            Self::SenderId => "Sender-ID",
            Self::Dmarc => "DMARC",
            Self::DmarcReport => "DMARC report authorization",
            Self::DkimKey => "DKIM",
            Self::DomainKeysPolicy => "DomainKeys policy",
            Self::Adsp => "ADSP",
            Self::TlsRpt => "TLS-RPT",
            Self::MtaSts => "MTA-STS",
            Self::Bimi => "BIMI",
            Self::Caa(_) => "CAA",
            Self::NullMx => "null MX",
            Self::Service => "SRV",
            Self::Autoconfig => "autoconfig",
        }
    }

    /// May there be only one at a name? For all the TXT kinds a receiver that finds two takes
    /// neither (RFC 7208 §4.5, RFC 9989, RFC 8460 §3, RFC 8461 §3.1, RFC 6376 §3.6.2.2).
    pub fn is_single(self) -> bool {
        !matches!(self, Self::Caa(_) | Self::Service)
    }

    /// Is `record`, which stands at the owner of a record of this kind, of this kind too?
    pub fn matches(self, record: &Record) -> bool {
        match self {
            Self::Caa(tag) => record.rtype == RecordType::CAA && caa_tag(&record.rdata) == Some(tag.as_bytes()),
            Self::NullMx => record.rtype == RecordType::MX,
            Self::Service => record.rtype == RecordType::SRV,
            // Nothing may stand beside a CNAME (RFC 1034 §3.6.2): any data is in its place.
            Self::Autoconfig => true,
            // A selector has one TXT record or undefined results (RFC 6376 §3.6.2.2); type 99 there
            // would ask for a second.
            Self::DkimKey => matches!(record.rtype, RecordType::TXT | RecordType::SPF),
            Self::DmarcReport => Self::of(record) == Some(Self::Dmarc),
            _ => record.rtype == RecordType::TXT && Self::of(record) == Some(self),
        }
    }

    /// What a TXT record (or one of type 99) is by its version tag and, where there is none, by
    /// its owner; `None` for text of another trade and for other types.
    pub fn of(record: &Record) -> Option<Self> {
        if !matches!(record.rtype, RecordType::TXT | RecordType::SPF) {
            return None;
        }
        let text = record.joined_text();
        if is_spf(&text) {
            return Some(Self::Spf);
        }
        if record.rtype == RecordType::SPF {
            return None;
        }
        const VERSIONS: [(&[u8], Kind); 5] = [
            (b"spf2.0/", Kind::SenderId),
            (b"v=DMARC1", Kind::Dmarc),
            (b"v=TLSRPTv1", Kind::TlsRpt),
            (b"v=STSv1", Kind::MtaSts),
            (b"v=BIMI1", Kind::Bimi),
        ];
        if let Some((_, kind)) = VERSIONS.iter().find(|(version, _)| starts_with(&text, version)) {
            return Some(*kind);
        }
        let mut labels = record.owner.labels();
        let is_domainkey = |label: &[u8]| label.eq_ignore_ascii_case(b"_domainkey");
        let first = labels.next()?;
        if is_domainkey(first) {
            return has_tag(&text, &["o", "t", "r"]).then_some(Self::DomainKeysPolicy);
        }
        if first.eq_ignore_ascii_case(b"_adsp") && labels.clone().next().is_some_and(is_domainkey) {
            return has_tag(&text, &["dkim"]).then_some(Self::Adsp);
        }
        (labels.any(is_domainkey) && (has_tag(&text, &["p"]) || starts_with(&text, b"v=DKIM1")))
            .then_some(Self::DkimKey)
    }
}

/// Is this text an SPF record (RFC 7208 §4.5): `v=spf1` and then a blank or nothing?
pub fn is_spf(text: &[u8]) -> bool {
    starts_with(text, b"v=spf1") && matches!(text.get(6), None | Some(b' '))
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn has_tag(text: &[u8], names: &[&str]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| super::tags::tags(text).any(|(name, _)| names.contains(&name)))
}

fn caa_tag(rdata: &[u8]) -> Option<&[u8]> {
    let len = usize::from(*rdata.get(1)?);
    rdata.get(2..2 + len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::fixture::*;

    #[test]
    fn tells_records_by_version_and_owner() {
        for (owner, text, kind) in [
            ("example.org", "v=spf1 -all", Some(Kind::Spf)),
            ("example.org", "v=spf1", Some(Kind::Spf)),
            ("example.org", "V=SPF1 -all", Some(Kind::Spf)),
            ("example.org", "v=spf10 -all", None),
            ("example.org", " v=spf1 -all", None),
            ("example.org", "site-verification=1", None),
            ("example.org", "spf2.0/pra -all", Some(Kind::SenderId)),
            ("_dmarc.example.org", "v=DMARC1; p=none", Some(Kind::Dmarc)),
            (
                "_smtp._tls.example.org",
                "v=TLSRPTv1; rua=mailto:a@b",
                Some(Kind::TlsRpt),
            ),
            ("_mta-sts.example.org", "v=STSv1; id=1", Some(Kind::MtaSts)),
            ("default._bimi.example.org", "v=BIMI1; l=", Some(Kind::Bimi)),
            ("_domainkey.example.org", "t=y; o=-;", Some(Kind::DomainKeysPolicy)),
            ("_domainkey.example.org", "hello", None),
            ("_adsp._domainkey.example.org", "dkim=all", Some(Kind::Adsp)),
            ("s._domainkey.example.org", "k=rsa; p=AB", Some(Kind::DkimKey)),
            ("s._domainkey.example.org", "note", None),
            ("s.example.org", "k=rsa; p=AB", None),
        ] {
            assert_eq!(Kind::of(&txt(owner, text)), kind, "{owner} {text}");
        }
    }
}
