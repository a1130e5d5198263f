//! Replaying what the fuzzer found, without the fuzzer.

use std::path::Path;

/// Hands each input in the corpus of `target` to `exercise`; there must be at least so many.
pub(crate) fn corpus(target: &str, least: usize, mut exercise: impl FnMut(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs = std::fs::read_dir(&corpus).expect("the corpus is there");
    let mut replayed = 0;
    for entry in inputs {
        let path = entry.expect("the corpus can be listed").path();
        exercise(&std::fs::read(path).expect("an input can be read"));
        replayed += 1;
    }
    assert!(replayed >= least, "the corpus of {target} is missing");
}
