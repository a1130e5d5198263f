//! Any bytes as the message of `signpost verify`; what must hold is in tests/fuzz/mail.rs.

#![no_main]

#[path = "../../tests/fuzz/mail.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| property::exercise(octets));
