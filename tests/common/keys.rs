//! Keys and their public halves, by openssl's judgement.

use base64::Engine as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A fresh RSA private key of 2048 bits, PKCS#8 in PEM.
pub(crate) fn rsa() -> String {
    new(&["RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
}

/// A fresh Ed25519 private key, PKCS#8 in PEM.
pub(crate) fn ed25519() -> String {
    new(&["ED25519"])
}

/// The Ed25519 private key that belongs to a number, PKCS#8 in PEM (RFC 8410 §7): for tests that need hundreds.
pub(crate) fn numbered(number: u32) -> String {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([number; 8].map(u32::to_be_bytes).as_flattened());
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn new(algorithm: &[&str]) -> String {
    let mut openssl = Command::new("openssl");
    let output = openssl
        .args(["genpkey", "-algorithm"])
        .args(algorithm)
        .output()
        .unwrap();
    let pem = String::from_utf8(output.stdout).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"), "openssl made no key");
    pem
}

/// The `p=` that belongs to a private key, by openssl's judgement.
pub(crate) fn public_half(pem: &str, dir: &Path) -> String {
    let file = dir.join(".public-half.pem");
    fs::write(&file, pem).unwrap();
    let output = Command::new("openssl")
        .args(["pkey", "-pubout", "-outform", "PEM", "-in"])
        .arg(&file)
        .output()
        .unwrap();
    fs::remove_file(file).unwrap();
    let public = String::from_utf8(output.stdout).unwrap();
    public.lines().filter(|line| !line.starts_with("-----")).collect()
}
