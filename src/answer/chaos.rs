//! Class CH: what the server says of itself, if the operator wants it to (RFC 4892 §2).

use super::{CLASS_CH, Outcome, Settings};
use crate::message::{ExtendedError, Owner, Query, Rcode, Response, Section, flags};
use crate::name;
use crate::record::{RecordType, Rrset};

/// The longest text that is told: one character-string.
const MAX_TEXT: usize = 255;

/// Answers `version.bind`, `version.server`, `hostname.bind` and `id.server`, type TXT or ANY.
pub(super) fn answer(settings: &Settings, query: Query<'_>, response: &mut Response<'_>) -> Outcome<'static> {
    let refused = Outcome::refused(ExtendedError::PROHIBITED);
    let Some(text) = told(settings, query.qname) else {
        return refused;
    };
    if !matches!(query.qtype, RecordType::TXT | RecordType::ANY) {
        return refused;
    }
    let mut block = [0u8; 10 + 1 + MAX_TEXT];
    let text = &text.as_bytes()[..text.len().min(MAX_TEXT)];
    block[1] = RecordType::TXT.0 as u8;
    block[3] = CLASS_CH as u8;
    block[8..10].copy_from_slice(&(1 + text.len() as u16).to_be_bytes());
    block[10] = text.len() as u8;
    block[11..11 + text.len()].copy_from_slice(text);
    let rrset = Rrset {
        rtype: RecordType::TXT,
        count: 1,
        block: &block[..11 + text.len()],
    };
    response.set_flags(flags::AA);
    if response.put_rrset(Section::Answer, Owner::Question, rrset).is_err() {
        response.truncate();
    }
    Outcome::code(Rcode::NOERROR)
}

fn told<'s>(settings: &'s Settings, qname: &[u8]) -> Option<&'s str> {
    let is = |wire: &[u8]| name::wire_len(qname) == Some(wire.len()) && qname.eq_ignore_ascii_case(wire);
    if is(b"\x07version\x04bind\0") || is(b"\x07version\x06server\0") {
        settings.version.as_deref()
    } else if is(b"\x02id\x06server\0") || is(b"\x08hostname\x04bind\0") {
        settings.identity.as_deref()
    } else {
        None
    }
}
