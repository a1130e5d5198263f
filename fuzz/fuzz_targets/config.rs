//! Any bytes as `signpost.toml` and `zones/NAME.toml`; what must hold is in tests/fuzz/config.rs.

#![no_main]

#[path = "../../tests/fuzz/config.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| property::exercise(octets));
