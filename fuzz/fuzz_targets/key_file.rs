//! Any bytes as a key file; what must hold is in tests/fuzz/key_file.rs.

#![no_main]

#[path = "../../tests/fuzz/key_file.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| property::exercise(octets));
