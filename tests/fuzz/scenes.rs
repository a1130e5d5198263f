//! Inputs chosen at random, the same in every run: a corpus may lose its meaning when the way choices are read changes.

/// So many inputs of 32 octets and up to `longest` more.
pub(crate) fn at_random(count: usize, longest: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut octet = move || {
        // xorshift64 (Marsaglia).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(move |number| (0..32 + number % longest).map(|_| octet()).collect())
}
