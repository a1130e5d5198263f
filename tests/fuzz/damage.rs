//! Damaging an input in every simple way: cut, with another octet, with one octet less.

/// Hands `octets` to `exercise` whole and damaged at each `step`th place, by each of `others`.
pub(crate) fn exercise(octets: &[u8], step: usize, others: &[u8], exercise: fn(&[u8])) {
    exercise(octets);
    for at in (0..octets.len()).step_by(step) {
        exercise(&octets[..at]);
        let mut damaged = octets.to_vec();
        for &octet in others {
            damaged[at] = octet;
            exercise(&damaged);
        }
        damaged.remove(at);
        exercise(&damaged);
    }
}
