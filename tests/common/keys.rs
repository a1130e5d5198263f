//! Keys and their public halves, by openssl's judgement.

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
