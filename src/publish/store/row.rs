//! The rows of the store.
//!
//! A zone is a tuple of fixed width. A key is a JSON object whose names are those of [`KeyRow`];
//! unknown names are refused, for they would belong to another format.

use crate::keys::Algorithm;
use crate::name::{self, Name};
use crate::publish::life::{Course, KeyState, Stage};
use crate::publish::rules::ZoneState;
use crate::publish::serial::Serial;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Write;

/// Published serial, file's serial, composed, content hash.
pub(super) type ZoneRow = (u32, u32, bool, [u8; 32]);

pub(super) fn zone_row(state: &ZoneState) -> ZoneRow {
    (state.published.0, state.file.0, state.composed, state.hash)
}

pub(super) fn zone_state((published, file, composed, hash): ZoneRow) -> ZoneState {
    ZoneState {
        published: Serial(published),
        file: Serial(file),
        composed,
        hash,
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRow<'a> {
    stage: StageRow,
    since: u64,
    #[serde(borrow)]
    record: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    /// The bits of an RSA modulus; none for Ed25519.
    rsa_bits: Option<u32>,
    /// In hexadecimal.
    #[serde(borrow)]
    fingerprint: Cow<'a, str>,
    /// Left out while nothing is done with the key and nothing was seen of it.
    #[serde(default, skip_serializing_if = "Course::is_silent")]
    course: Course,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StageRow {
    Live,
    Signing,
    Retiring,
    Revoked,
    RevokedByCommand,
}

/// The key of a key: a wire name knows its own end, so what follows is the selector.
pub(super) fn key_key(domain: &Name, selector: &str) -> Vec<u8> {
    let mut key = domain.as_wire().to_ascii_lowercase();
    key.extend_from_slice(selector.as_bytes());
    key
}

pub(super) fn key_row(state: &KeyState) -> Result<Vec<u8>, String> {
    let row = KeyRow {
        stage: match state.stage {
            Stage::Live => StageRow::Live,
            Stage::Signing => StageRow::Signing,
            Stage::Retiring => StageRow::Retiring,
            Stage::Revoked { by_command: false } => StageRow::Revoked,
            Stage::Revoked { by_command: true } => StageRow::RevokedByCommand,
        },
        since: state.since,
        record: Cow::Borrowed(&state.record),
        source: Cow::Borrowed(&state.source),
        rsa_bits: match state.algorithm {
            Algorithm::Rsa { bits } => Some(bits),
            Algorithm::Ed25519 => None,
        },
        fingerprint: Cow::Owned(hex(&state.fingerprint)),
        course: state.course,
    };
    serde_json::to_vec(&row).map_err(|error| error.to_string())
}

/// Reads a key back; the error says what is wrong with it.
pub(super) fn key_state(key: &[u8], value: &[u8]) -> Result<KeyState, String> {
    let (domain, selector) = name::wire_len(key)
        .and_then(|len| key.split_at_checked(len))
        .ok_or("a DKIM key stands under no domain name")?;
    let domain = Name::from_wire(domain).map_err(|error| error.to_string())?;
    let selector = std::str::from_utf8(selector).map_err(|_| "a DKIM selector is not UTF-8")?;
    let about = |what: &dyn std::fmt::Display| format!("the DKIM key {selector} of {domain}: {what}");
    let row: KeyRow<'_> = serde_json::from_slice(value).map_err(|error| about(&error))?;
    Ok(KeyState {
        record: row.record.into(),
        stage: match row.stage {
            StageRow::Live => Stage::Live,
            StageRow::Signing => Stage::Signing,
            StageRow::Retiring => Stage::Retiring,
            StageRow::Revoked => Stage::Revoked { by_command: false },
            StageRow::RevokedByCommand => Stage::Revoked { by_command: true },
        },
        since: row.since,
        source: row.source.into_owned(),
        algorithm: row.rsa_bits.map_or(Algorithm::Ed25519, |bits| Algorithm::Rsa { bits }),
        fingerprint: unhex(&row.fingerprint).ok_or_else(|| about(&"its fingerprint is not 64 hexadecimal digits"))?,
        course: row.course,
        selector: selector.to_owned(),
        domain,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(bytes)
}
