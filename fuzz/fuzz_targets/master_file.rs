//! Any bytes as a zone's master file; what must hold is in tests/fuzz/master_file.rs.

#![no_main]

#[path = "../../tests/fuzz/master_file.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| property::exercise(octets));
