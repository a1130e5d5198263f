//! Telling other programs: commands with a time limit, and SIGUSR1 to the process of a pid file.

use super::error::{Fault, SignerError};
use crate::config::Reload;
use crate::watch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// A longer file has more than a number in it.
const MAX_PID_FILE_OCTETS: u64 = 4096;
/// So much of what a command complains is kept.
const MAX_COMPLAINT: usize = 4096;

/// Has the signer read its files again.
pub(super) fn reload(reload: &Reload) -> Result<(), SignerError> {
    match reload {
        Reload::Command(words) => {
            let cure = "see to the signer; its files are right and stay, and this is tried again";
            run(words, &[], PATIENCE).map_err(|what| SignerError::new(Fault::Reload, what, cure))
        }
        Reload::PidFile(file) => signal(file, "opendkim"),
    }
}

/// Runs a hook with these variables.
pub(super) fn hook(words: &[String], environment: &[(&str, String)]) -> Result<(), SignerError> {
    run(words, environment, PATIENCE)
        .map_err(|what| SignerError::new(Fault::Hook, what, "mend the hook of [[signer]]; it is run again"))
}

/// Sends SIGUSR1, on which OpenDKIM reads its configuration again, to a process of this name: the number may be that of
/// another by now, which the signal would end.
fn signal(file: &Path, program: &str) -> Result<(), SignerError> {
    let refuse = |what: String| {
        let cure = "start the signer, or correct `pid_file` of [[signer]]; its files are right and stay";
        Err(SignerError::new(Fault::Reload, what, cure).at(file))
    };
    let text = match watch::read_file(file, MAX_PID_FILE_OCTETS) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => return refuse(format!("cannot read the number of the signer's process: {error}")),
    };
    let number = text.trim().parse().ok().filter(|number| *number > 1);
    let Some(pid) = number.and_then(Pid::from_raw) else {
        return refuse("there is no number of a process in it".to_owned());
    };
    // From here on it is this process, whatever its number becomes.
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(error) => return refuse(format!("there is no process {pid} to be told: {error}")),
    };
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) if name.trim() == program => {}
        Ok(name) => {
            return refuse(format!(
                "process {pid} is {}, not {program}",
                name.trim().escape_debug()
            ));
        }
        Err(error) => {
            let what = format!("cannot see what process {pid} is: {error}");
            let cure = "set ProtectProc=default (systemd/switch-signer.conf), or use `reload` of [[signer]]";
            return Err(SignerError::new(Fault::Reload, what, cure).at(file));
        }
    }
    match pidfd_send_signal(process, Signal::USR1) {
        Ok(()) => Ok(()),
        Err(error @ Errno::PERM) => {
            let what = format!("cannot signal process {pid}: {error}");
            let cure = "grant Signpost CAP_KILL (systemd/switch-signer.conf), or use `reload` of [[signer]]";
            Err(SignerError::new(Fault::Reload, what, cure).at(file))
        }
        Err(error) => refuse(format!("cannot signal process {pid}: {error}")),
    }
}

/// Runs a command and says what is the matter if it does not end well in time.
fn run(words: &[String], environment: &[(&str, String)], patience: Duration) -> Result<(), String> {
    let [program, arguments @ ..] = words else {
        return Err("there is no command".to_owned());
    };
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // A group of its own, so that what it started can be ended with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    let mut complaint = vec![];
    let in_time = wait(&mut child, &mut complaint, Instant::now() + patience);
    if !matches!(in_time, Ok(true)) {
        if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
        return Err(match in_time {
            Ok(_) => format!(
                "{program} did not end within {} s and was killed{}",
                patience.as_secs(),
                last_line(&complaint)
            ),
            Err(error) => format!("cannot wait for {program}: {error}"),
        });
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} failed, {status}{}", last_line(&complaint))),
        Err(error) => Err(format!("cannot wait for {program}: {error}")),
    }
}

/// Reads what the child complains until it ends; `false` if it does not in time. What it leaves running in the
/// background may keep the pipe open and is not waited for.
fn wait(child: &mut Child, complaint: &mut Vec<u8>, deadline: Instant) -> Result<bool, Errno> {
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or(Errno::SRCH)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let mut stderr = child.stderr.take();
    if let Some(pipe) = &stderr {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        fds.extend(stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut fds, Some(&left)) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let has_ended = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        // Once a round, lest one that never stops complaining is never out of time; at the end what a pipe can hold.
        let rounds = if has_ended { 16 } else { 1 };
        if stderr.as_mut().is_some_and(|pipe| !read_some(pipe, complaint, rounds)) {
            stderr = None;
        }
        if has_ended {
            return Ok(true);
        }
    }
}

/// Takes what is there and keeps the last of it; `false` at the end.
fn read_some(pipe: &mut ChildStderr, complaint: &mut Vec<u8>, rounds: u32) -> bool {
    let mut buffer = [0; MAX_COMPLAINT];
    for _ in 0..rounds {
        match pipe.read(&mut buffer) {
            Ok(0) => return false,
            Ok(len) => {
                complaint.extend_from_slice(&buffer[..len]);
                complaint.drain(..complaint.len().saturating_sub(MAX_COMPLAINT));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

/// The last line, for a message. Words as long as those of a key are left out: it might be one.
fn last_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let Some(line) = text.lines().rev().find(|line| !line.trim().is_empty()) else {
        return String::new();
    };
    let words = line.split_whitespace().map(|word| match word.chars().count() {
        0..=63 => word.escape_debug().to_string(),
        _ => "…".to_owned(),
    });
    let line: String = words.collect::<Vec<_>>().join(" ").chars().take(200).collect();
    format!(": {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, patience: Duration) -> Result<(), String> {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        run(&words, &[("SIGNPOST_ACTION", "switch".to_owned())], patience)
    }

    #[test]
    fn a_command_is_run_with_its_environment_and_told_by_its_last_complaint() {
        let long = Duration::from_secs(60);
        assert_eq!(sh("test \"$SIGNPOST_ACTION\" = switch", long), Ok(()));
        let told = sh("echo first >&2; echo 'it is  broken' >&2; echo >&2; exit 3", long).unwrap_err();
        assert_eq!(told, "/bin/sh failed, exit status: 3: it is broken");
        let told = sh(&format!("echo key {} >&2; false", "A".repeat(64)), long).unwrap_err();
        assert!(told.ends_with(": key …"), "{told}");
        let told = run(&["/nonexistent/x".to_owned()], &[], long).unwrap_err();
        assert!(told.starts_with("cannot run /nonexistent/x"), "{told}");
        // More than a pipe takes.
        assert_eq!(sh("head -c 1000000 /dev/zero >&2", long), Ok(()));
    }

    #[test]
    fn one_that_never_stops_complaining_is_out_of_time_as_well() {
        let told = sh("exec yes complaint >&2", Duration::from_secs(1)).unwrap_err();
        assert!(told.contains("did not end within 1 s"), "{told}");
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_it_started() {
        let told = sh("echo waiting >&2; sleep 1000 & sleep 1000", Duration::from_secs(1)).unwrap_err();
        assert!(
            told.contains("did not end within 1 s and was killed: waiting"),
            "{told}"
        );
    }

    #[test]
    fn what_stays_in_the_background_is_not_waited_for() {
        let began = Instant::now();
        assert_eq!(sh("sleep 20 & exit 0", Duration::from_secs(60)), Ok(()));
        assert!(began.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn only_a_process_of_the_right_name_is_signalled() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let told = signal(&file, "opendkim").unwrap_err().to_string();
        assert!(told.contains("cannot read the number"), "{told}");
        for (text, words) in [
            ("", "no number"),
            ("1\n", "no number"),
            ("-5\n", "no number"),
            ("4000000000\n", "no number"),
        ] {
            fs::write(&file, text).unwrap();
            let told = signal(&file, "opendkim").unwrap_err().to_string();
            assert!(told.contains(words), "{text}: {told}");
        }
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(&file, format!("{}\n", child.id())).unwrap();
        let told = signal(&file, "opendkim").unwrap_err().to_string();
        assert!(told.contains("not opendkim"), "{told}");
        assert!(child.try_wait().unwrap().is_none());
        signal(&file, "sleep").unwrap();
        // SIGUSR1 ends what does not heed it.
        assert!(!child.wait().unwrap().success());
        let told = signal(&file, "sleep").unwrap_err().to_string();
        assert!(told.contains("there is no process"), "{told}");
    }
}
