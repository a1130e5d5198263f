//! What is told to the engine about a query's sender, and what the engine tells of its response.

use super::Standing;
use crate::message::{COOKIE_OPTION_LEN, HEADER_LEN, OPT_LEN, Rcode, flags};
use crate::name::Name;
use crate::transfer::Requester;
use std::net::{IpAddr, SocketAddr};

/// How a query came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A datagram: the response is limited by EDNS and by policy, and truncated when it does not fit.
    Udp,
    /// A stream: 65 535 octets.
    Tcp,
    /// The same, encrypted (RFC 7858, RFC 9103).
    Tls,
    /// A stream of its own for each query, encrypted (RFC 9250).
    Quic,
    /// An exchange of HTTP, encrypted (RFC 8484).
    Https,
}

impl Transport {
    /// Can nobody on the way read it?
    pub fn is_encrypted(self) -> bool {
        match self {
            Self::Udp | Self::Tcp => false,
            Self::Tls | Self::Quic | Self::Https => true,
        }
    }

    /// Is there a connection whose idle time the option of RFC 7828 tells? QUIC and HTTP have means of their own
    /// (RFC 9250 §5.5.2).
    pub(super) fn has_keepalive(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}

/// Who asks, how and when. Address and time are found out only for answers that depend on them.
#[derive(Clone, Copy)]
pub struct Client<'c> {
    /// How the query came in.
    pub transport: Transport,
    /// Where it came from.
    pub peer: &'c dyn Fn() -> Option<SocketAddr>,
    /// Seconds since 1970, modulo 2³².
    pub now: &'c dyn Fn() -> u32,
    /// The certificate that it showed, in DER, if an authority that we trust had signed it.
    pub certificate: Option<&'c [u8]>,
    /// The query's signature, once it is found to be good.
    pub signed: Option<Signed<'c>>,
}

/// A good signature that was taken off a query.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'c> {
    /// The name of its key.
    pub key: &'c Name,
    /// Room to be left for the signature of the response.
    pub reserve: usize,
}

impl<'c> Client<'c> {
    /// Who this is to the policy of transfers, at that address.
    pub fn requester(&self, address: IpAddr) -> Requester<'c> {
        Requester {
            address,
            key: self.signed.map(|signed| signed.key),
            encrypted: self.transport.is_encrypted(),
            certificate: self.certificate,
        }
    }
}

impl Client<'static> {
    /// A client of whom nothing is known: it gets no cookie.
    pub fn anonymous(transport: Transport) -> Self {
        Self {
            transport,
            peer: &|| None,
            now: &|| 0,
            certificate: None,
            signed: None,
        }
    }
}

/// A response that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    len: u16,
    /// Where its question ends.
    pub(super) question_end: u16,
    /// Where its OPT begins; the length when it has none.
    pub(super) opt: u16,
    /// What its client has shown of itself.
    pub standing: Standing,
    /// Tells the zone that answered; 0 for none.
    pub(super) zone: u32,
    /// Tells name and type; 0 when a wildcard or a DNAME gave the answer, as to names without end.
    pub(super) thing: u64,
}

/// What a response counts as when rates are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// What it says.
    pub kind: Kind,
    /// Equal for responses that count as the same within their kind.
    pub key: u64,
}

/// Kinds of responses, each with a limit of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Data; the key is of name and type, or of the zone when a wildcard or DNAME gave it.
    Positive,
    /// No such name or no such data; the key is of the zone, as are names that do not exist without end.
    Negative,
    /// Where to ask instead; the key is of the zone.
    Referral,
    /// Anything else; all have one key.
    Error,
}

impl Answered {
    #[inline]
    pub(super) fn new(len: usize, question_end: usize, opt: usize) -> Self {
        // A message is no longer than 65 535 octets.
        Self {
            len: len as u16,
            question_end: question_end as u16,
            opt: opt as u16,
            standing: Standing::Unknown,
            zone: 0,
            thing: 0,
        }
    }

    /// A response of which nothing but the length is known.
    pub fn unclassified(len: usize) -> Self {
        Self::new(len, len, len)
    }

    /// The same response, longer by what was appended to it.
    pub(super) fn grown_to(self, len: usize) -> Self {
        Self {
            len: len as u16,
            ..self
        }
    }

    /// Octets of the response.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// It never is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What `response`, which was written, counts as.
    pub fn subject(&self, response: &[u8]) -> Subject {
        let zone = u64::from(self.zone);
        let word = |at: usize| {
            response
                .get(at..at + 2)
                .map_or(0, |word| u16::from_be_bytes([word[0], word[1]]))
        };
        let (flags, answers) = (word(2), word(6));
        let (kind, key) = match Rcode(flags & 0xf) {
            Rcode::NXDOMAIN => (Kind::Negative, zone),
            Rcode::NOERROR if answers > 0 || flags & flags::TC != 0 => match self.thing {
                0 => (Kind::Positive, zone),
                thing => (Kind::Positive, thing),
            },
            Rcode::NOERROR if flags & flags::AA != 0 => (Kind::Negative, zone),
            Rcode::NOERROR => (Kind::Referral, zone),
            _ => (Kind::Error, 0),
        };
        Subject { kind, key }
    }

    /// Makes the response in `out` one without records, about as long as its query was: with TC, so that a client that
    /// is where it says it is comes back over TCP, or, for one that takes cookies, with BADCOOKIE and the cookie to
    /// come back with over UDP (RFC 7873 §5.2.3). An error stays what it is, without its options. Returns its length.
    pub fn slip(&self, out: &mut [u8]) -> usize {
        let (question_end, opt) = (usize::from(self.question_end), usize::from(self.opt));
        let has_opt = opt + OPT_LEN <= self.len();
        let bad_cookie = has_opt && self.standing == Standing::Asking;
        // The cookie is the first option; all others are left off.
        let options = if bad_cookie { COOKIE_OPTION_LEN } else { 0 };
        let extended = out
            .get(opt + 5)
            .filter(|_| has_opt)
            .map_or(0, |&upper| u16::from(upper) << 4);
        let Some(header) = out.first_chunk_mut::<HEADER_LEN>() else {
            return self.len();
        };
        let flags = u16::from_be_bytes([header[2], header[3]]);
        let (flags, rcode) = match Rcode(extended | flags & 0xf) {
            _ if bad_cookie => (flags & !flags::TC, Rcode::BADCOOKIE),
            Rcode::NOERROR | Rcode::NXDOMAIN => (flags | flags::TC, Rcode::NOERROR),
            error => (flags, error),
        };
        let flags = flags & !flags::AA & !0xf | rcode.0 & 0xf;
        header[2..4].copy_from_slice(&flags.to_be_bytes());
        header[6..].copy_from_slice(&[0, 0, 0, 0, 0, u8::from(has_opt)]);
        if !has_opt || opt + OPT_LEN + options > out.len() {
            return question_end;
        }
        out.copy_within(opt..opt + OPT_LEN + options, question_end);
        let length_at = question_end + OPT_LEN - 2;
        out[question_end + 5] = (rcode.0 >> 4) as u8;
        out[length_at..length_at + 2].copy_from_slice(&(options as u16).to_be_bytes());
        question_end + OPT_LEN + options
    }
}
