//! Replays the corpora of the fuzz targets `key_file` and `key_table`, whole and damaged in every simple way.

#![allow(clippy::expect_used, reason = "a test may fail where it stands")]

#[path = "fuzz/damage.rs"]
mod damage;
#[path = "fuzz/key_file.rs"]
mod key_file;
#[path = "fuzz/key_table.rs"]
mod key_table;
#[path = "fuzz/replay.rs"]
mod replay;

#[test]
fn key_files_hold_whole_and_damaged() {
    replay("key_file", key_file::exercise);
}

#[test]
fn key_tables_hold_whole_and_damaged() {
    replay("key_table", key_table::exercise);
}

fn replay(target: &str, exercise: fn(&[u8])) {
    replay::corpus(target, 5, |octets| {
        damage::exercise(octets, 1 + octets.len() / 100, b"\0\"\n:%-\xff", exercise);
    });
}
