//! Replays the corpora of the fuzz targets `key_file` and `key_table`, whole and damaged in every simple way.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "fuzz/key_file.rs"]
mod key_file;
#[path = "fuzz/key_table.rs"]
mod key_table;

use std::path::Path;

#[test]
fn key_files_hold_whole_and_damaged() {
    replay("key_file", key_file::exercise);
}

#[test]
fn key_tables_hold_whole_and_damaged() {
    replay("key_table", key_table::exercise);
}

fn replay(target: &str, exercise: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(&corpus).unwrap() {
        let octets = std::fs::read(entry.unwrap().path()).unwrap();
        exercise(&octets);
        for at in (0..octets.len()).step_by(1 + octets.len() / 100) {
            exercise(&octets[..at]);
            let mut damaged = octets.clone();
            for octet in [0, b'"', b'\n', b':', b'%', b'-', 0xff] {
                damaged[at] = octet;
                exercise(&damaged);
            }
            damaged.remove(at);
            exercise(&damaged);
        }
        replayed += 1;
    }
    assert!(replayed >= 5, "the corpus of {target} is missing");
}
