//! Five small system calls with no safe form in the standard library.

use libc::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Sets an integer socket option.
pub(in crate::server) fn set_option(socket: &impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open while it is borrowed, and `value` is as long as `size` says.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const value).cast::<libc::c_void>(),
            size,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The first descriptor handed over by a service manager (sd_listen_fds(3)).
const FIRST_INHERITED: RawFd = 3;

/// Takes ownership of the `count` descriptors that a service manager handed over (sd_listen_fds(3)). Only the first
/// call gets them, later ones get nothing; a number that is not open is left out.
///
/// The caller has checked that `LISTEN_PID` names this process: then these descriptors were open before `main` and
/// nothing in this process owns them yet.
pub(in crate::server) fn take_inherited(count: u16) -> Vec<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Vec::new();
    }
    (FIRST_INHERITED..FIRST_INHERITED + RawFd::from(count))
        .filter_map(|fd| {
            // SAFETY: F_GETFD takes no argument and changes nothing; a number that is not open gives an error.
            let open = unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
            // SAFETY: it is open, was handed over to this process to own, and `TAKEN` sees to it that it is
            // owned once.
            open.then(|| unsafe { OwnedFd::from_raw_fd(fd) })
        })
        .collect()
}

/// Raises the soft limit of open files to `wanted` or as near as the hard limit lets it. Returns the limit in force.
pub(in crate::server) fn raise_open_files(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a live, writable `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(limit.rlim_cur);
    }
    limit.rlim_cur = wanted.min(limit.rlim_max);
    // SAFETY: `limit` is a live `rlimit`.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}

/// Has this thread want a core for `nanoseconds` at a time, 100 000 at least; the kernel then lets it in the sooner
/// (sched_setattr(2), Linux 6.12 and later; earlier ones take no notice). `nice` is what it has.
pub(in crate::server) fn set_time_slice(nanoseconds: u64, nice: i32) -> io::Result<()> {
    let size = size_of::<libc::sched_attr>() as u32;
    let wanted = libc::sched_attr {
        size,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: nanoseconds,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: thread 0 is the caller, `wanted` is a live `sched_attr` as long as its size says, and is only read.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The monotonic clock in microseconds, as `MONOTONIC_USEC=` of sd_notify(3) wants it.
pub(in crate::server) fn monotonic_usec() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a live, writable `timespec`. The clock exists on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000
}
