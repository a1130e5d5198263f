//! Two versions of a zone, and what a primary sends of them, chosen by the input; what must hold is in
//! tests/fuzz/transfer.rs.

#![no_main]

#[path = "../../tests/fuzz/transfer.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    property::exercise(octets);
});
