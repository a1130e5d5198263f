//! The shape of RDATA: one table of fields for every type that has a text form.
//!
//! Reading text, writing it, checking wire form and finding names all walk this table; a type is
//! taught here and nowhere else. Types without a row are opaque: RFC 3597 `\#` is their only text.

use crate::record::RecordType;

/// One field of RDATA, as master files write it and as it stands in wire form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// A domain name, uncompressed.
    Name,
    /// Domain names to the end, none or more.
    Names,
    /// A number of one octet.
    U8,
    /// A number of two octets.
    U16,
    /// A number of four octets.
    U32,
    /// Seconds in four octets; text may use units (`1h30m`).
    Period,
    /// A moment in four octets, `YYYYMMDDHHmmSS` (RFC 4034 §3.2).
    Time,
    /// A record type in two octets.
    Type,
    /// A DNSSEC algorithm in one octet.
    Algorithm,
    /// A DS digest type in one octet.
    DigestType,
    /// A certificate type in two octets (RFC 4398 §2.1).
    CertType,
    /// A DSYNC scheme in one octet (RFC 9859 §2.1).
    Scheme,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// This many octets in hexadecimal, joined by hyphens (RFC 7043).
    Eui(usize),
    /// Eight octets as four groups of hexadecimal, joined by colons (RFC 6742 §2.1).
    Locator,
    /// A character-string.
    String,
    /// Character-strings to the end, one or more.
    Strings,
    /// One or two character-strings to the end (RFC 1183 §3.2).
    OneOrTwoStrings,
    /// Text to the end with no length in front of it (RFC 7553 §4.4, RFC 8659 §4.1).
    Text,
    /// A CAA property tag with its length (RFC 8659 §4.1).
    Tag,
    /// Hexadecimal to the end, one octet or more.
    Hex,
    /// Hexadecimal to the end, of the length that the octet at `kind_at` asks for, if it is known.
    Digest {
        kind_at: usize,
        lengths: &'static [(u8, usize)],
    },
    /// Base64 to the end, one octet or more.
    Base64,
    /// Base64 to the end or nothing.
    MaybeBase64,
    /// Base64 to the end, `-` for nothing.
    DashBase64,
    /// An NSEC3 salt with its length, `-` for none (RFC 5155 §3.3).
    Salt,
    /// A hashed owner name with its length, in base32hex (RFC 5155 §3.3).
    Hash,
    /// A type bitmap to the end with one type or more (RFC 4034 §4.1.2).
    Bitmap,
    /// A type bitmap to the end, perhaps empty (RFC 5155 §3.2.1).
    MaybeBitmap,
    /// The bitmap of NXT, types below 128 (RFC 2535 §5.2).
    NxtBitmap,
    /// Service parameters to the end (RFC 9460 §2).
    SvcParams,
    /// Address prefixes to the end (RFC 3123).
    Prefixes,
    /// A place on earth (RFC 1876).
    Location,
    /// `0x` and hexadecimal with dots to the end (RFC 1706).
    Nsap,
    /// A protocol and the ports it serves (RFC 1035 §3.4.2).
    Services,
    /// A gateway whose form the second octet tells, after masking (RFC 4025 §2.5, RFC 8777 §4.2).
    Gateway { mask: u8 },
    /// The D bit and the gateway type of AMTRELAY in one octet, two words (RFC 8777 §4.3.1).
    Relay,
    /// What stands for a gateway that is none: a lone dot in text, nothing in wire form.
    Nothing,
    /// What stands for the prefix name of A6 when there is none: nothing at all.
    Absent,
    /// Algorithm, HIT and public key of HIP with their lengths (RFC 8005 §5).
    HostIdentity,
    /// Prefix length and address suffix of A6 (RFC 2874 §3.1).
    A6Suffix,
    /// Prefix name of A6: there if the prefix length is not 0.
    A6Prefix,
}

/// What a type's RDATA is made of.
pub(super) struct Schema {
    /// The fields in the order they have both in text and in wire form.
    pub(super) fields: &'static [Field],
    /// RDATA in text as advice to the operator.
    pub(super) example: &'static str,
}

macro_rules! schemas {
    ($($($rtype:ident)|+: [$($field:expr),*] $example:literal;)*) => {
        /// The row of `rtype`; `None` for a type that is opaque here.
        pub(super) fn schema(rtype: RecordType) -> Option<&'static Schema> {
            use Field::*;
            match rtype {
                $($(RecordType::$rtype)|+ => {
                    const ROW: &Schema = &Schema { fields: &[$($field),*], example: $example };
                    Some(ROW)
                })*
                _ => None,
            }
        }

        /// Every type that has a row.
        #[cfg(test)]
        pub(super) const ALL: &[RecordType] = &[$($(RecordType::$rtype),+),*];
    };
}

schemas! {
    A: [Ipv4] "192.0.2.1";
    AAAA: [Ipv6] "2001:db8::1";
    NS | MD | MF | MB | MG | MR | CNAME | PTR | DNAME | NSAP_PTR: [Name] "host.example.org.";
    SOA: [Name, Name, U32, Period, Period, Period, Period] "ns.example.org. hostmaster.example.org. 1 3600 900 604800 300";
    MX: [U16, Name] "10 mail.example.org.";
    KX | AFSDB | RT | LP: [U16, Name] "10 host.example.org.";
    TXT | SPF | AVC | RESINFO | WALLET | NINFO: [Strings] "\"v=spf1 mx -all\"";
    SRV: [U16, U16, U16, Name] "0 5 587 mail.example.org.";
    NAPTR: [U16, U16, String, String, String, Name] "10 20 \"s\" \"SIP+D2U\" \"\" _sip._udp.example.org.";
    CAA: [U8, Tag, Text] "0 issue \"ca.example.net\"";
    URI: [U16, U16, Text] "10 1 \"https://www.example.org/\"";
    HINFO: [String, String] "\"AMD64\" \"LINUX\"";
    MINFO | RP | TALINK: [Name, Name] "one.example.org. two.example.org.";
    WKS: [Ipv4, Services] "192.0.2.1 tcp 25 53";
    X25: [String] "311061700956";
    ISDN: [OneOrTwoStrings] "\"150862028003217\" \"004\"";
    NSAP: [Nsap] "0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00";
    PX: [U16, Name, Name] "10 one.example.org. two.example.org.";
    GPOS: [String, String, String] "-32.6882 116.8652 10.0";
    LOC: [Location] "51 30 12.748 N 0 7 39.612 W 0.00m 1m 10000m 10m";
    EID | NIMLOC: [Hex] "e32c6f78163a9348";
    CERT: [CertType, U16, Algorithm, Base64] "PKIX 1 RSASHA256 MTIzNDU2Nzg5MA==";
    A6: [A6Suffix, A6Prefix] "64 ::1 prefix.example.org.";
    SINK: [U8, U8, U8, Base64] "4 1 1 MTIzNA==";
    APL: [Prefixes] "1:192.0.2.0/24 !1:192.0.2.64/28 2:2001:db8::/32";
    DS | CDS | DLV | TA: [U16, Algorithm, DigestType, Digest { kind_at: 3, lengths: DS_DIGESTS }]
        "60485 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a";
    SSHFP: [U8, U8, Digest { kind_at: 1, lengths: SSHFP_DIGESTS }]
        "4 2 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971";
    ZONEMD: [U32, U8, U8, Digest { kind_at: 5, lengths: ZONEMD_DIGESTS }]
        "2018031500 1 1 febe3d4ce2ec2ffa4ba99d46cd69d6d29711e55217057bee7eb1a7b641a47ba7fed2dd5b97ae499fafa4f22c6bd647de";
    TLSA | SMIMEA: [U8, U8, U8, Hex] "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971";
    IPSECKEY: [U8, U8, U8, Gateway { mask: 0xff }, MaybeBase64] "10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==";
    AMTRELAY: [U8, Relay, Gateway { mask: 0x7f }] "10 0 1 203.0.113.15";
    SIG | RRSIG: [Type, Algorithm, U8, Period, Time, Time, U16, Name, Base64]
        "A 13 2 3600 20300101000000 20200101000000 2642 example.org. MTIzNDU2Nzg5MA==";
    RKEY: [U16, U8, Algorithm, Base64] "0 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edb";
    KEY: [U16, U8, Algorithm, MaybeBase64] "256 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edb";
    DNSKEY | CDNSKEY: [U16, U8, Algorithm, Base64] "257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edb";
    NSEC: [Name, Bitmap] "host.example.org. A MX RRSIG NSEC TYPE1234";
    NXT: [Name, NxtBitmap] "host.example.org. A MX SIG NXT";
    NSEC3: [U8, U8, U16, Salt, Hash, MaybeBitmap] "1 0 0 - 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG";
    NSEC3PARAM: [U8, U8, U16, Salt] "1 0 0 -";
    CSYNC: [U32, U16, MaybeBitmap] "66 3 A NS AAAA";
    DHCID | OPENPGPKEY: [Base64] "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=";
    HIP: [HostIdentity, Names] "2 200100107b1a74df365639cc39f1d578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cI rvs.example.org.";
    SVCB | HTTPS: [U16, Name, SvcParams] "1 . alpn=\"h2,h3\" port=8443 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1";
    DSYNC: [Type, Scheme, U16, Name] "CDS NOTIFY 5359 notify.example.org.";
    NID | L64: [U16, Locator] "10 2001:0db8:1140:1000";
    L32: [U16, Ipv4] "10 192.0.2.1";
    EUI48: [Eui(6)] "00-00-5e-00-53-2a";
    EUI64: [Eui(8)] "00-00-5e-ef-10-00-00-2a";
    DOA: [U32, U32, U8, String, DashBase64] "1234567890 1234567890 1 \"image/gif\" R0lGODlhKAAZ";
}

/// RFC 4034 §5.1.4, RFC 4509, RFC 5933, RFC 6605.
const DS_DIGESTS: &[(u8, usize)] = &[(1, 20), (2, 32), (3, 32), (4, 48)];
/// RFC 4255 §3.1.2, RFC 6594.
const SSHFP_DIGESTS: &[(u8, usize)] = &[(1, 20), (2, 32)];
/// RFC 8976 §2.2.3.
const ZONEMD_DIGESTS: &[(u8, usize)] = &[(1, 48), (2, 64)];

/// May a server compress the names in this type's RDATA? Only in the types that every resolver has
/// known from the start (RFC 3597 §4).
pub(super) fn is_compressible(rtype: RecordType) -> bool {
    use RecordType as T;
    matches!(
        rtype,
        T::NS | T::MD | T::MF | T::CNAME | T::SOA | T::MB | T::MG | T::MR | T::PTR | T::MINFO | T::MX
    )
}

/// Do BIND 9.18, NSD 4.6 and Knot 3.2 all know the mnemonic of this type? A file that any of them
/// may read writes the others as `TYPE` and number with `\#` (RFC 3597 §5).
pub(super) fn is_known_everywhere(rtype: RecordType) -> bool {
    use RecordType as T;
    let known_to_some = matches!(
        rtype,
        T::MD
            | T::MF
            | T::MB
            | T::MG
            | T::MR
            | T::WKS
            | T::X25
            | T::ISDN
            | T::NSAP
            | T::NSAP_PTR
            | T::PX
            | T::GPOS
            | T::SIG
            | T::NXT
            | T::A6
            | T::EID
            | T::NIMLOC
            | T::SINK
            | T::NINFO
            | T::RKEY
            | T::TALINK
            | T::HIP
            | T::AVC
            | T::DOA
            | T::AMTRELAY
            | T::RESINFO
            | T::WALLET
            | T::DSYNC
            | T::TA
            | T::DLV
    );
    !known_to_some && schema(rtype).is_some()
}

impl Field {
    /// What belongs here, to stand after "expected".
    pub(super) fn expects(self) -> &'static str {
        match self {
            Self::Name | Self::Names | Self::A6Prefix => "a domain name",
            Self::U8 => "a number from 0 to 255",
            Self::U16 => "a number from 0 to 65535",
            Self::U32 => "a number from 0 to 4294967295",
            Self::Period => "seconds such as 3600, or a time with units such as 1h30m",
            Self::Time => "a time such as 20300101000000 (YYYYMMDDHHmmSS, UTC)",
            Self::Type => "a record type",
            Self::Algorithm => "a DNSSEC algorithm such as 13 or ECDSAP256SHA256",
            Self::DigestType => "a digest type such as 2 or SHA-256",
            Self::CertType => "a certificate type such as 1 or PKIX",
            Self::Scheme => "a scheme such as 1 or NOTIFY",
            Self::Ipv4 => "an IPv4 address such as 192.0.2.1",
            Self::Ipv6 => "an IPv6 address such as 2001:db8::1",
            Self::Eui(6) => "six octets such as 00-00-5e-00-53-2a",
            Self::Eui(_) => "eight octets such as 00-00-5e-ef-10-00-00-2a",
            Self::Locator => "four groups of hexadecimal such as 2001:0db8:1140:1000",
            Self::String | Self::Strings | Self::OneOrTwoStrings => "a string of at most 255 octets",
            Self::Text => "a string",
            Self::Tag => "a property tag of letters and digits such as issue",
            Self::Hex => "octets in hexadecimal",
            Self::Digest { .. } => "a digest in hexadecimal of the length that its type has",
            Self::Base64 | Self::MaybeBase64 => "octets in base64",
            Self::DashBase64 => "octets in base64, or - for none",
            Self::Salt => "a salt of at most 255 octets in hexadecimal, or - for none",
            Self::Hash => "a hash in base32hex",
            Self::Bitmap => "one record type or more",
            Self::MaybeBitmap => "record types",
            Self::NxtBitmap => "record types below 128",
            Self::SvcParams => "service parameters such as alpn=\"h2,h3\"",
            Self::Prefixes => "address prefixes such as 1:192.0.2.0/24 or !2:2001:db8::/32",
            Self::Location => "a place such as 51 30 12.748 N 0 7 39.612 W 0.00m",
            Self::Nsap => "0x and octets in hexadecimal",
            Self::Services => "a protocol (tcp, udp or a number) and the ports it serves",
            Self::Gateway { .. } => "a gateway of type 0 to 3",
            Self::Relay => "0 or 1 for discovery and a relay type of 0 to 3",
            Self::Absent => "nothing",
            Self::Nothing => "a lone dot, since the gateway type is 0",
            Self::HostIdentity => "an algorithm, a HIT in hexadecimal and a public key in base64",
            Self::A6Suffix => "a prefix length from 0 to 128 and the address after it",
        }
    }
}
