//! DNS messages on the wire: reading a query, writing a response (RFC 1035 §4, RFC 6891).
//!
//! Both work on borrowed bytes and allocate nothing. [`Query::parse`] decides what is a question
//! at all, what is malformed, and what deserves silence; [`Response`] writes a response with name
//! compression into a buffer of the caller's and never beyond the size that the client takes.

mod compression;
mod options;
mod query;
mod reader;
mod response;

pub use options::{
    COOKIE_OPTION_LEN, Cookie, EXPIRE_ASKED, Options, PADDING_BLOCK, Padding, ReplyOptions, ZoneVersion, expire_told,
};
pub use query::{Edns, Malformed, Query};
pub use reader::{BadMessage, Message, Part, RawRecord, read_name, skip_name};
pub use response::{EXTENDED_ERROR_LEN, Full, OPT_LEN, Owner, Response, Section, write_error};

/// Octets of the header (RFC 1035 §4.1.1).
pub const HEADER_LEN: usize = 12;

/// Response codes (RFC 6895 §2.3). Those above 15 need EDNS for their upper bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rcode(pub u16);

impl Rcode {
    /// NOERROR (RFC 1035).
    pub const NOERROR: Self = Self(0);
    /// FORMERR: the query is malformed (RFC 1035).
    pub const FORMERR: Self = Self(1);
    /// SERVFAIL (RFC 1035).
    pub const SERVFAIL: Self = Self(2);
    /// NXDOMAIN (RFC 1035, RFC 8020).
    pub const NXDOMAIN: Self = Self(3);
    /// NOTIMP: an opcode or type that is not implemented (RFC 1035).
    pub const NOTIMP: Self = Self(4);
    /// REFUSED by policy (RFC 1035).
    pub const REFUSED: Self = Self(5);
    /// YXDOMAIN: a DNAME makes the name too long (RFC 6672 §2.2).
    pub const YXDOMAIN: Self = Self(6);
    /// NOTAUTH: a transfer of what is no zone of ours (RFC 5936 §2.2.1, RFC 8945).
    pub const NOTAUTH: Self = Self(9);
    /// BADVERS: the EDNS version is not implemented (RFC 6891 §6.1.3).
    pub const BADVERS: Self = Self(16);
    /// BADCOOKIE: come back with the server cookie in this response (RFC 7873 §5.2.3).
    pub const BADCOOKIE: Self = Self(23);
}

/// Extended DNS errors (RFC 8914).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedError(pub u16);

impl ExtendedError {
    /// 14, Not Ready: the server is still starting (RFC 8914 §4.15).
    pub const NOT_READY: Self = Self(14);
    /// 18, Prohibited: the client may not ask this (RFC 8914 §4.19).
    pub const PROHIBITED: Self = Self(18);
    /// 20, Not Authoritative: the name is in no zone of ours (RFC 8914 §4.21).
    pub const NOT_AUTHORITATIVE: Self = Self(20);
    /// 24, Invalid Data: the zone is too old, or has not been had yet (RFC 8914 §4.25).
    pub const INVALID_DATA: Self = Self(24);
}

/// Bits of the header's second word (RFC 1035 §4.1.1, RFC 4035 §3.1.6).
pub mod flags {
    /// This is a response.
    pub const QR: u16 = 0x8000;
    /// The operation, four bits.
    pub const OPCODE: u16 = 0x7800;
    /// The answer is authoritative.
    pub const AA: u16 = 0x0400;
    /// The response did not fit.
    pub const TC: u16 = 0x0200;
    /// Recursion desired, copied from the query.
    pub const RD: u16 = 0x0100;
    /// Checking disabled.
    pub const CD: u16 = 0x0010;
}
