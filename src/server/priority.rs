//! Answering before everything else. The service is started with a priority above that of other processes
//! (`systemd/signpost.service`); threads that answer keep it, all others give it up.
//!
//! They go down to the ordinary priority and no further: on a machine whose cores are busy with mail, a key that rotates
//! would be published late otherwise.

use rustix::process::{getpriority_process, setpriority_process};

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
