//! Any bytes as KeyTable and SigningTable; what must hold is in tests/fuzz/key_table.rs.

#![no_main]

#[path = "../../tests/fuzz/key_table.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| property::exercise(octets));
