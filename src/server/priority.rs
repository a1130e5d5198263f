//! Answering before everything else. The service is started with a priority above that of other processes
//! (`systemd/signpost.service`); threads that answer keep it, and ask for short time slices; all others give it up.
//!
//! What gives way goes down to the ordinary priority and no further: on a machine whose cores are busy with mail, a key
//! that rotates would be published late otherwise.

use super::batch::system::set_time_slice;
use rustix::process::{getpriority_process, setpriority_process};

/// For so long a thread that answers wants a core, in nanoseconds: the least that can be asked for.
const SLICE: u64 = 100_000;

/// This thread answers: it is let in at once when it has something to do, and leaves soon. Of two threads the kernel
/// prefers the one with the nearer deadline, but lets the other end its slice, of some milliseconds, unless the new one
/// asks for a shorter. That needs no right.
pub(super) fn answer_promptly() {
    let asked = getpriority_process(None)
        .map_err(Into::into)
        .and_then(|nice| set_time_slice(SLICE, nice));
    if let Err(error) = asked {
        tracing::debug!(%error, "a thread that answers may have to wait until others have had their time");
    }
}

/// This thread, and those that it starts from now on, have no priority above others any more. On Linux each thread has
/// its own (setpriority(2), C library/kernel differences).
pub fn give_way() {
    let given = getpriority_process(None).and_then(|nice| match nice < 0 {
        true => setpriority_process(None, 0),
        false => Ok(()),
    });
    if let Err(error) = given {
        tracing::debug!(%error, "a thread that does not answer keeps the priority of those that do");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_answers_promptly_keeps_its_priority() {
        let nice = || getpriority_process(None).unwrap();
        let another = std::thread::spawn(move || {
            let before = nice();
            assert!(set_time_slice(SLICE, before).is_ok());
            answer_promptly();
            (before, nice())
        });
        let (before, after) = another.join().unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn a_thread_gives_way_and_others_do_not() {
        let nice = || getpriority_process(None).unwrap();
        let before = nice();
        let another = std::thread::spawn(move || {
            // Who is not root has none above the others to give up.
            let above = setpriority_process(None, -7).is_ok();
            give_way();
            (above, nice(), std::thread::spawn(nice).join().unwrap())
        });
        let (above, its, of_what_it_starts) = another.join().unwrap();
        assert_eq!(its, if above { 0 } else { before.max(0) });
        assert_eq!(of_what_it_starts, its);
        assert_eq!(nice(), before);
    }
}
