//! The committed manual pages are those that the definitions make, and groff finds nothing wrong.
//!
//! After a change of the command line or of an option: `UPDATE_MAN=1 cargo test --test config_man`.

use std::path::PathBuf;
use std::process::Command;

fn committed(page: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("man").join(page)
}

#[test]
fn committed_pages_are_up_to_date() {
    for (page, text) in signpost::cli::man::pages().unwrap() {
        let path = committed(page);
        if std::env::var_os("UPDATE_MAN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == text,
            "{} is out of date; run `UPDATE_MAN=1 cargo test --test config_man`",
            path.display()
        );
    }
}

#[test]
fn groff_reads_the_pages_without_a_warning() {
    for (page, _) in signpost::cli::man::pages().unwrap() {
        let groff = Command::new("groff")
            .args(["-man", "-Tutf8", "-Kutf8", "-ww", "-z"])
            .arg(committed(page))
            .output();
        match groff {
            Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page}"),
            Err(_) => println!("skipped: groff is not installed"),
        }
    }
}
