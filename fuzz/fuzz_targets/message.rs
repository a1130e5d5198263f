//! Any bytes as a message to a server with two zones; what must hold is in tests/fuzz/message.rs.

#![no_main]

#[path = "../../tests/fuzz/message.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| property::exercise(octets));
