//! Record types: the registry's numbers and mnemonics.
//!
//! Types without a mnemonic are written `TYPE` and their number (RFC 3597 §5).

use std::fmt;
use std::str::FromStr;

/// The number of a record type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

/// A word that names no record type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no record type; one without a mnemonic is written TYPE and its number (RFC 3597)")]
pub struct UnknownType(pub String);

macro_rules! record_types {
    ($($constant:ident $number:literal $mnemonic:literal $source:literal;)*) => {
        impl RecordType {
            $(#[doc = concat!("`", $mnemonic, "`, ", $source, ".")] pub const $constant: Self = Self($number);)*

            /// The registered mnemonic, if there is one.
            pub fn mnemonic(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($mnemonic),)*
                    _ => None,
                }
            }

            fn from_mnemonic(word: &str) -> Option<Self> {
                const ALL: &[(&str, u16)] = &[$(($mnemonic, $number)),*];
                ALL.iter().find(|(mnemonic, _)| mnemonic.eq_ignore_ascii_case(word)).map(|(_, number)| Self(*number))
            }
        }
    };
}

record_types! {
    A 1 "A" "RFC 1035";
    NS 2 "NS" "RFC 1035";
    MD 3 "MD" "RFC 1035";
    MF 4 "MF" "RFC 1035";
    CNAME 5 "CNAME" "RFC 1035";
    SOA 6 "SOA" "RFC 1035";
    MB 7 "MB" "RFC 1035";
    MG 8 "MG" "RFC 1035";
    MR 9 "MR" "RFC 1035";
    NULL 10 "NULL" "RFC 1035";
    WKS 11 "WKS" "RFC 1035";
    PTR 12 "PTR" "RFC 1035";
    HINFO 13 "HINFO" "RFC 1035";
    MINFO 14 "MINFO" "RFC 1035";
    MX 15 "MX" "RFC 1035";
    TXT 16 "TXT" "RFC 1035";
    RP 17 "RP" "RFC 1183";
    AFSDB 18 "AFSDB" "RFC 1183";
    X25 19 "X25" "RFC 1183";
    ISDN 20 "ISDN" "RFC 1183";
    RT 21 "RT" "RFC 1183";
    NSAP 22 "NSAP" "RFC 1706";
    NSAP_PTR 23 "NSAP-PTR" "RFC 1706";
    SIG 24 "SIG" "RFC 2535";
    KEY 25 "KEY" "RFC 2535";
    PX 26 "PX" "RFC 2163";
    GPOS 27 "GPOS" "RFC 1712";
    AAAA 28 "AAAA" "RFC 3596";
    LOC 29 "LOC" "RFC 1876";
    NXT 30 "NXT" "RFC 2535";
    EID 31 "EID" "IANA registry";
    NIMLOC 32 "NIMLOC" "IANA registry";
    SRV 33 "SRV" "RFC 2782";
    NAPTR 35 "NAPTR" "RFC 3403";
    KX 36 "KX" "RFC 2230";
    CERT 37 "CERT" "RFC 4398";
    A6 38 "A6" "RFC 6563";
    DNAME 39 "DNAME" "RFC 6672";
    SINK 40 "SINK" "IANA registry";
    OPT 41 "OPT" "RFC 6891";
    APL 42 "APL" "RFC 3123";
    DS 43 "DS" "RFC 4034";
    SSHFP 44 "SSHFP" "RFC 4255";
    IPSECKEY 45 "IPSECKEY" "RFC 4025";
    RRSIG 46 "RRSIG" "RFC 4034";
    NSEC 47 "NSEC" "RFC 4034";
    DNSKEY 48 "DNSKEY" "RFC 4034";
    DHCID 49 "DHCID" "RFC 4701";
    NSEC3 50 "NSEC3" "RFC 5155";
    NSEC3PARAM 51 "NSEC3PARAM" "RFC 5155";
    TLSA 52 "TLSA" "RFC 6698";
    SMIMEA 53 "SMIMEA" "RFC 8162";
    HIP 55 "HIP" "RFC 8005";
    NINFO 56 "NINFO" "IANA registry";
    RKEY 57 "RKEY" "IANA registry";
    TALINK 58 "TALINK" "IANA registry";
    CDS 59 "CDS" "RFC 7344";
    CDNSKEY 60 "CDNSKEY" "RFC 7344";
    OPENPGPKEY 61 "OPENPGPKEY" "RFC 7929";
    CSYNC 62 "CSYNC" "RFC 7477";
    ZONEMD 63 "ZONEMD" "RFC 8976";
    SVCB 64 "SVCB" "RFC 9460";
    HTTPS 65 "HTTPS" "RFC 9460";
    DSYNC 66 "DSYNC" "RFC 9859";
    SPF 99 "SPF" "RFC 7208";
    NID 104 "NID" "RFC 6742";
    L32 105 "L32" "RFC 6742";
    L64 106 "L64" "RFC 6742";
    LP 107 "LP" "RFC 6742";
    EUI48 108 "EUI48" "RFC 7043";
    EUI64 109 "EUI64" "RFC 7043";
    NXNAME 128 "NXNAME" "RFC 9824";
    TKEY 249 "TKEY" "RFC 2930";
    TSIG 250 "TSIG" "RFC 8945";
    IXFR 251 "IXFR" "RFC 1995";
    AXFR 252 "AXFR" "RFC 1035";
    MAILB 253 "MAILB" "RFC 1035";
    MAILA 254 "MAILA" "RFC 1035";
    ANY 255 "ANY" "RFC 8482";
    URI 256 "URI" "RFC 7553";
    CAA 257 "CAA" "RFC 8659";
    AVC 258 "AVC" "IANA registry";
    DOA 259 "DOA" "IANA registry";
    AMTRELAY 260 "AMTRELAY" "RFC 8777";
    RESINFO 261 "RESINFO" "RFC 9606";
    WALLET 262 "WALLET" "IANA registry";
    TA 32768 "TA" "IANA registry";
    DLV 32769 "DLV" "RFC 4431";
}

impl RecordType {
    /// Types that only make sense in a question or as a part of the protocol and can never be
    /// zone data: OPT, NXNAME and 249 to 255 (RFC 6895 §3.1, RFC 9824 §2).
    pub fn is_meta(self) -> bool {
        self == Self::OPT || self == Self::NXNAME || (249..=255).contains(&self.0)
    }

    /// Where names stand in the data that other servers may have compressed, as steps of octets to pass over and names
    /// that follow (RFC 3597 §4: the types of RFC 1035, and those of before 2003 that some compressed as well).
    pub fn names_in_rdata(self) -> Option<&'static [(usize, usize)]> {
        Some(match self {
            Self::NS
            | Self::CNAME
            | Self::PTR
            | Self::DNAME
            | Self::MB
            | Self::MD
            | Self::MF
            | Self::MG
            | Self::MR
            | Self::NXT => &[(0, 1)],
            Self::SOA | Self::MINFO | Self::RP => &[(0, 2)],
            Self::MX | Self::AFSDB | Self::RT | Self::KX => &[(2, 1)],
            Self::PX => &[(2, 2)],
            Self::SRV => &[(6, 1)],
            Self::SIG => &[(18, 1)],
            _ => return None,
        })
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(mnemonic) => f.write_str(mnemonic),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RecordType {
    type Err = UnknownType;

    fn from_str(word: &str) -> Result<Self, UnknownType> {
        if let Some(known) = Self::from_mnemonic(word) {
            return Ok(known);
        }
        let number = match word.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("TYPE") => word[4..].parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| UnknownType(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_round_trips_through_its_word() {
        for number in 0..=u16::MAX {
            assert_eq!(RecordType(number).to_string().parse(), Ok(RecordType(number)));
        }
        assert_eq!("txt".parse(), Ok(RecordType::TXT));
        assert_eq!("TYPE99".parse(), Ok(RecordType::SPF));
        assert!("TYPE65536".parse::<RecordType>().is_err());
        assert!("SPFF".parse::<RecordType>().is_err());
    }
}
