//! Replays the corpus of the fuzz target `master_file`, whole and damaged in every simple way.

#[path = "fuzz/master_file.rs"]
mod property;

use std::path::Path;

#[test]
fn the_corpus_holds_whole_and_damaged() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/master_file");
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        property::exercise(&octets);
        for at in (0..octets.len()).step_by(1 + octets.len() / 400) {
            property::exercise(&octets[..at]);
            let mut damaged = octets.clone();
            for octet in [0, b'"', b'\n', b'(', b';', b'\\', 0xff] {
                damaged[at] = octet;
                property::exercise(&damaged);
            }
            damaged.remove(at);
            property::exercise(&damaged);
        }
        replayed += 1;
    }
    assert!(replayed >= 5, "the corpus is missing");
}
