//! Any zones, settings, clients and queries, chosen by the input; what must hold is in tests/fuzz/answer.rs.

#![no_main]

#[path = "../../tests/fuzz/answer.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    property::exercise(octets);
});
