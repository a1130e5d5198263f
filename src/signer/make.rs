//! New keys: the private half as signers read it, and beside it the record as opendkim-genkey writes it.

use super::error::{Fault, SignerError};
use super::owner::Owner;
use super::{bare, file};
use crate::config::{Signer, SignerKind};
use crate::keys;
use crate::mail::dkim::NewKey;
use crate::name::Name;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::KeypairBytes;
use getrandom::SysRng;
use pkcs8::{EncodePrivateKey, LineEnding};
use rsa::PrivateKey;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Of the record; the key has a mode of its own.
const RECORD_MODE: u32 = 0o644;
/// Nothing but names is in a directory.
const DIRECTORY_MODE: u32 = 0o755;
/// As long as a character-string may be, with room left (RFC 1035 §3.3).
const STRING_LEN: usize = 250;

/// Makes a key for the signer and says where it is. There must be none of that name yet.
pub fn make(signer: &Signer, domain: &Name, selector: &str, algorithm: NewKey) -> Result<PathBuf, SignerError> {
    if !signer.can_sign_with(algorithm) {
        return Err(SignerError::new(
            Fault::Key,
            format!("{} does not sign with keys of {}", signer.name(), algorithm.name()),
            "take another one of `algorithms` in [mail.dkim.rotation], or name it in `algorithms` of [[signer]]",
        ));
    }
    let path = key_file(signer, domain, selector)?;
    let owner = signer.owner.as_deref().map_or(Ok(Owner::default()), Owner::look_up)?;
    let private = private_half(signer, algorithm)?;
    // What cannot be read again is not written.
    let public = keys::public_half(&path, private.as_bytes())
        .map_err(|finding| SignerError::new(Fault::Key, finding.what, finding.cure).at(&path))?;
    file::create_parents(&path, DIRECTORY_MODE)?;
    file::create(&path, private.as_bytes(), owner, signer.mode)?;
    let record = record(domain, selector, algorithm, &public);
    if let Err(error) = file::create(&keys::record_beside(&path), record.as_bytes(), owner, RECORD_MODE) {
        let _ = file::remove(&path);
        return Err(error);
    }
    Ok(path)
}

/// Where the signer's key of this selector is, or would be.
pub fn key_file(signer: &Signer, domain: &Name, selector: &str) -> Result<PathBuf, SignerError> {
    let text = bare(domain);
    let refused = |what: String, cure: &str| Err(SignerError::new(Fault::Key, what, cure));
    let unfit = |text: &str| format!("`{}` cannot be part of the path of a key", text.escape_debug());
    if keys::domain_name(&text).is_none() {
        return refused(unfit(&text), "take a domain of two labels or more");
    }
    if keys::selector(selector).is_none() {
        return refused(
            unfit(selector),
            "use letters, digits, dashes and dots, no dash first or last",
        );
    }
    let path = PathBuf::from(signer.keys.replace("{domain}", &text).replace("{selector}", selector));
    match keys::is_key_name(&path) {
        true => Ok(path),
        false => refused(
            format!("no key is looked for in a file named {}", path.display()),
            "take another selector",
        ),
    }
}

fn private_half(signer: &Signer, algorithm: NewKey) -> Result<Zeroizing<String>, SignerError> {
    let failed = |error: &dyn std::fmt::Display| {
        SignerError::new(
            Fault::Key,
            format!("no key could be made: {error}"),
            "try again; is there a source of random numbers?",
        )
    };
    if let Some(bits) = algorithm.bits() {
        let key = PrivateKey::new(&mut SysRng, bits).map_err(|error| failed(&error))?;
        return key.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(&error));
    }
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|error| failed(&error))?;
    let key = SigningKey::from_bytes(&seed);
    if matches!(signer.kind, SignerKind::Rspamd { .. }) {
        // As `rspamadm dkim_keygen` writes it: rspamd takes every PEM for RSA.
        let both = Zeroizing::new(key.to_keypair_bytes());
        // Room enough, so that no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(128));
        STANDARD.encode_string(both.as_slice(), &mut text);
        text.push('\n');
        return Ok(text);
    }
    // Without the public half: OpenSSL before 3.6 knows only the first version of PKCS#8 (RFC 5958 §2).
    let key = KeypairBytes {
        secret_key: *seed,
        public_key: None,
    };
    key.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(&error))
}

/// The record in the form of opendkim-genkey, which other tools read too.
fn record(domain: &Name, selector: &str, algorithm: NewKey, public: &str) -> String {
    let kind = if algorithm.bits().is_some() { "rsa" } else { "ed25519" };
    let mut text = format!("{selector}._domainkey\tIN\tTXT\t( \"v=DKIM1; h=sha256; k={kind}; \"\n");
    let mut rest = format!("p={public}");
    while rest.len() > STRING_LEN {
        let tail = rest.split_off(STRING_LEN);
        text += &format!("\t  \"{rest}\"\n");
        rest = tail;
    }
    text + &format!("\t  \"{rest}\" )  ; ----- DKIM key {selector} for {}\n", bare(domain))
}
