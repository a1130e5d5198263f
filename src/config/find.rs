//! Where the configuration is looked for, and how it is read from disk.

use super::error::{ConfigError, Fault};
use super::excerpt::Excerpt;
use super::read::MAX_LEN;
use super::{Config, ZoneConfig};
use crate::finding::Place;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Where the configuration is looked for without `--config`, the first that is there wins.
pub const CANDIDATES: [&str; 2] = ["./signpost.toml", "/etc/signpost/signpost.toml"];

/// The file to read: `given` (from `--config`) whether it is there or not, else the first of
/// [`CANDIDATES`] that is.
pub fn locate(given: Option<&Path>) -> Result<PathBuf, ConfigError> {
    locate_among(given, &CANDIDATES)
}

fn locate_among(given: Option<&Path>, candidates: &[&str]) -> Result<PathBuf, ConfigError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    // `try_exists` fails on a directory that may not be entered: reading the file will then say so.
    let there = |path: &&&str| Path::new(path).try_exists().unwrap_or(true);
    candidates
        .iter()
        .find(there)
        .map(PathBuf::from)
        .ok_or_else(|| ConfigError {
            fault: Fault::NotFound,
            place: None,
            excerpt: None,
            what: format!(
                "no configuration: `--config FILE` was not given, and there is no {}",
                candidates.join(" and no ")
            ),
            cure: "write one of the two files (an empty one will do), or name yours with `--config FILE`".to_owned(),
        })
}

/// The configuration for who can do without: the `given` one, else the one that is found; on another machine, whose
/// installed file is `elsewhere`, that one. `None` where there is none.
pub fn nearby(given: Option<&Path>, elsewhere: Option<&Path>) -> Result<Option<Config>, ConfigError> {
    let found = match (given, elsewhere) {
        (Some(given), _) => Some(given.to_owned()),
        (None, None) => locate(None).ok(),
        (None, Some(installed)) => installed.exists().then(|| installed.to_owned()),
    };
    found.map(|path| load(&path)).transpose()
}

/// Reads `signpost.toml` from `path`.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    let octets = read_file(path)?;
    super::parse(text_of(&octets, path)?, path)
}

/// Reads `zones/NAME.toml` from `path`.
pub fn load_zone(path: &Path) -> Result<ZoneConfig, ConfigError> {
    let octets = read_file(path)?;
    ZoneConfig::parse(text_of(&octets, path)?, path)
}

/// The name of this machine, for `identity = "hostname"`. The second file is for a sandbox that hides
/// the first.
pub fn host_name() -> Option<String> {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
}

/// A file's octets as text. Pure; for a caller that has read the file himself.
pub fn text_of<'o>(octets: &'o [u8], path: &Path) -> Result<&'o str, ConfigError> {
    if octets.starts_with(b"\xff\xfe") || octets.starts_with(b"\xfe\xff") {
        let cure = "save it as UTF-8";
        return Err(ConfigError::of_file(Fault::NotUtf8, path, "the file is UTF-16", cure));
    }
    std::str::from_utf8(octets).map_err(|error| {
        let good = String::from_utf8_lossy(octets.get(..error.valid_up_to()).unwrap_or_default());
        let line_start = good.rfind('\n').map_or(0, |newline| newline + 1);
        let line = u32::try_from(good.matches('\n').count() + 1).unwrap_or(u32::MAX);
        let column = u32::try_from(good[line_start..].chars().count() + 1).unwrap_or(u32::MAX);
        let bad = octets.get(error.valid_up_to()).copied().unwrap_or_default();
        let shown = octets
            .get(line_start..)
            .unwrap_or_default()
            .split(|&octet| octet == b'\n')
            .next();
        let shown = String::from_utf8_lossy(shown.unwrap_or_default());
        ConfigError {
            fault: Fault::NotUtf8,
            place: Some(Place {
                column: Some(column),
                ..Place::line(path, line)
            }),
            excerpt: Some(Box::new(Excerpt::new(line, &shown, Some(column), 1))),
            what: format!("octet 0x{bad:02x} is not UTF-8 text"),
            cure: "save the file as UTF-8".to_owned(),
        }
    })
}

/// Reads a file, at most one octet more than a configuration may have.
fn read_file(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_LEN as u64 + 1).read_to_end(&mut octets))
        .map_err(|error| unreadable(path, &error))?;
    if octets.len() > MAX_LEN {
        return Err(ConfigError::of_file(
            Fault::TooLarge,
            path,
            "the file is too large for a configuration",
            format!("keep it below {MAX_LEN} octets; is this the right file?"),
        ));
    }
    Ok(octets)
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let (what, cure) = match error.kind() {
        io::ErrorKind::NotFound => (
            "the file is not there",
            "write it, or name another with `--config FILE`",
        ),
        io::ErrorKind::PermissionDenied => (
            "the file may not be read",
            "let the user Signpost runs as read it: `chgrp signpost` and `chmod g+r`",
        ),
        io::ErrorKind::IsADirectory => ("this is a directory", "name the file in it"),
        _ => {
            let what = format!("the file cannot be read: {error}");
            return ConfigError::of_file(Fault::Unreadable, path, what, "mend that and try again");
        }
    };
    let fault = match error.kind() {
        io::ErrorKind::NotFound => Fault::NotFound,
        _ => Fault::Unreadable,
    };
    ConfigError::of_file(fault, path, what, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_given_file_before_any_other() {
        let found = locate_among(Some(Path::new("nowhere.toml")), &["/"]).unwrap();
        assert_eq!(found, Path::new("nowhere.toml"));
    }

    #[test]
    fn takes_the_first_candidate_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("signpost.toml");
        std::fs::write(&there, "").unwrap();
        let there = there.to_str().unwrap();
        assert_eq!(
            locate_among(None, &["/nonexistent/a", there, "/"]).unwrap(),
            Path::new(there)
        );
    }

    #[test]
    fn who_can_do_without_gets_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (there, missing) = (dir.path().join("signpost.toml"), dir.path().join("none.toml"));
        std::fs::write(&there, "keys = \"k\"\n").unwrap();
        assert!(nearby(None, Some(&missing)).unwrap().is_none());
        assert!(nearby(None, Some(&there)).unwrap().is_some());
        assert!(nearby(Some(&there), Some(&missing)).unwrap().is_some());
        assert_eq!(nearby(Some(&missing), None).unwrap_err().fault, Fault::NotFound);
    }

    #[test]
    fn tells_all_three_places_when_there_is_none() {
        let error = locate_among(None, &["/nonexistent/a.toml", "/nonexistent/b.toml"]).unwrap_err();
        assert_eq!(error.fault, Fault::NotFound);
        let said = error.to_string();
        for place in ["--config FILE", "/nonexistent/a.toml", "/nonexistent/b.toml"] {
            assert!(said.contains(place), "{said}");
        }
    }

    #[test]
    fn says_what_keeps_a_file_from_being_read() {
        let dir = tempfile::tempdir().unwrap();
        let missing = load(&dir.path().join("signpost.toml")).unwrap_err();
        assert_eq!(
            (missing.fault, missing.what.as_str()),
            (Fault::NotFound, "the file is not there")
        );
        let directory = load(dir.path()).unwrap_err();
        assert_eq!(
            (directory.fault, directory.what.as_str()),
            (Fault::Unreadable, "this is a directory")
        );
        let huge = load(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(huge.fault, Fault::TooLarge);
    }

    #[test]
    fn shows_where_a_file_is_not_utf8() {
        let error = text_of(b"# ok\nversion = \"Caf\xe9\"\n", Path::new("signpost.toml")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "signpost.toml:2:15: octet 0xe9 is not UTF-8 text; save the file as UTF-8"
        );
        assert!(error.excerpt.unwrap().to_string().contains("version = \"Caf\u{fffd}\""));
        let utf16 = text_of(b"\xff\xfel\0i\0", Path::new("signpost.toml")).unwrap_err();
        assert_eq!(utf16.what, "the file is UTF-16");
    }

    #[test]
    fn reads_both_files_from_disk() {
        let dir = tempfile::tempdir().unwrap();
        let server = dir.path().join("signpost.toml");
        std::fs::write(&server, "\u{feff}keys = \"k\"\n").unwrap();
        let config = load(&server).unwrap();
        assert_eq!(config.keys, dir.path().join("k"));
        let zone = dir.path().join("example.org.toml");
        std::fs::write(&zone, "[mail]\n").unwrap();
        assert!(config.policy_for(&load_zone(&zone).unwrap()).is_ok());
    }

    #[test]
    fn knows_the_name_of_this_machine() {
        assert!(host_name().is_some_and(|name| !name.contains(char::is_whitespace)));
    }
}
