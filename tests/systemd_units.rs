//! The unit files are right in the eyes of systemd itself, and as strict as they claim.
//!
//! The units are checked as they are but for the path of the program, which need not be installed
//! where the tests run. Without `systemd-analyze` the tests say so and pass.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The units in a directory of their own, with the program at a path that is there.
fn units() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for unit in ["signpost.service", "signpost.socket"] {
        let text = read(unit).replace("/usr/bin/signpost", "/bin/true");
        std::fs::write(dir.path().join(unit), text).unwrap();
    }
    dir
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(source(file)).unwrap()
}

fn add_drop_in(dir: &Path, file: &str) {
    let drop_ins = dir.join("signpost.service.d");
    std::fs::create_dir_all(&drop_ins).unwrap();
    std::fs::copy(source(file), drop_ins.join(file)).unwrap();
}

/// Runs `systemd-analyze` in `dir`; `None` where it is not installed.
fn analyze(dir: &Path, arguments: &[&str]) -> Option<Output> {
    match Command::new("systemd-analyze")
        .args(arguments)
        .current_dir(dir)
        .output()
    {
        Ok(output) => Some(output),
        Err(_) => {
            println!("skipped: systemd-analyze is not installed");
            None
        }
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn verify_finds_nothing() {
    let dir = units();
    let Some(output) = analyze(
        dir.path(),
        &["verify", "--man=no", "./signpost.service", "./signpost.socket"],
    ) else {
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "");
}

#[test]
fn verify_finds_nothing_with_each_drop_in() {
    for drop_in in ["bind-itself.conf", "opendkim-keys.conf", "switch-signer.conf"] {
        let dir = units();
        add_drop_in(dir.path(), drop_in);
        let Some(output) = analyze(dir.path(), &["verify", "--man=no", "./signpost.service"]) else {
            return;
        };
        assert!(output.status.success(), "{drop_in}: {}", said(&output));
        assert_eq!(said(&output), "", "{drop_in}");
    }
}

#[test]
fn exposure_is_at_most_one_and_a_half() {
    let dir = units();
    let arguments = ["security", "--offline=true", "--threshold=15", "./signpost.service"];
    let Some(output) = analyze(dir.path(), &arguments) else {
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
    let verdict = said(&output);
    let level: f32 = verdict
        .split("exposure level for signpost.service: ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .and_then(|level| level.parse().ok())
        .unwrap_or_else(|| panic!("no verdict in:\n{verdict}"));
    assert!(level <= 1.5, "{verdict}");
}

#[test]
fn the_call_filter_lets_the_answering_engine_through() {
    // What the server cannot do without, and the groups that the unit allows minus those it takes out.
    let needed = [
        "recvmmsg",
        "sendmmsg",
        "accept4",
        "setsockopt",
        "epoll_wait",
        "futex",
        "mmap",
        "mprotect",
        "munmap",
        "inotify_init1",
        "inotify_add_watch",
        "flock",
        "fcntl",
        "pwrite64",
        "fdatasync",
        "fsync",
        "ftruncate",
        "rename",
        "clone3",
        "kill",
        "getrandom",
        "rt_sigaction",
        "sendmsg",
        "prlimit64",
        "sched_getaffinity",
    ];
    let dir = tempfile::tempdir().unwrap();
    let Some(allowed) = calls_of(dir.path(), "@system-service", 0) else {
        return;
    };
    let taken_out: Vec<String> = ["@privileged", "@resources"]
        .iter()
        .filter_map(|group| calls_of(dir.path(), group, 0))
        .flatten()
        .collect();
    for call in needed {
        assert!(
            allowed.iter().any(|known| known == call),
            "{call} is not in @system-service"
        );
        assert!(!taken_out.iter().any(|known| known == call), "{call} is taken out");
    }
    let unit = read("signpost.service");
    let filters: Vec<&str> = unit
        .lines()
        .filter(|line| line.starts_with("SystemCallFilter="))
        .collect();
    assert_eq!(
        filters,
        [
            "SystemCallFilter=@system-service",
            "SystemCallFilter=~@privileged @resources",
            "SystemCallFilter=setpriority sched_setattr"
        ]
    );
}

/// The calls of a group, groups in it resolved. `depth` guards against a circle.
fn calls_of(dir: &Path, group: &str, depth: u32) -> Option<Vec<String>> {
    let output = analyze(dir, &["syscall-filter", group])?;
    assert!(output.status.success() && depth < 8, "{}", said(&output));
    let text = said(&output);
    let words = text
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|word| !word.is_empty() && !word.starts_with('#'));
    let mut calls = Vec::new();
    for word in words {
        match word.starts_with('@') {
            true => calls.extend(calls_of(dir, word, depth + 1)?),
            false => calls.push(word.to_owned()),
        }
    }
    Some(calls)
}

#[test]
fn the_units_and_the_program_agree_on_paths_and_codes() {
    let unit = read("signpost.service");
    assert!(unit.contains("ExecStart=/usr/bin/signpost --config /etc/signpost/signpost.toml\n"));
    assert!(signpost::config::find::CANDIDATES.contains(&"/etc/signpost/signpost.toml"));
    assert_eq!(signpost::config::options::STATE, "/var/lib/signpost");
    assert!(unit.contains("StateDirectory=signpost\n"));
    let codes = format!(
        "RestartPreventExitStatus={} {}\n",
        signpost::cli::Exit::Usage.code(),
        signpost::cli::Exit::Config.code()
    );
    assert!(unit.contains(&codes), "{codes}");
}
