//! Answering before everything else: threads that do other work take what it leaves of the machine.

use rustix::process::{getpriority_process, setpriority_process};

/// So much further down than the process: far, yet beside a flood of queries a change still comes through, within
/// milliseconds.
const FURTHER_DOWN: i32 = 15;

/// This thread, and those that it starts from now on, give way to the threads that answer. On Linux a thread has a
/// priority of its own (setpriority(2), C library/kernel differences).
pub fn give_way() {
    let given = getpriority_process(None).and_then(|nice| setpriority_process(None, nice + FURTHER_DOWN));
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
            give_way();
            (nice(), std::thread::spawn(nice).join().unwrap())
        });
        let further = (before + FURTHER_DOWN).min(19);
        assert_eq!(
            another.join().unwrap(),
            (further, further),
            "what it starts does as it does"
        );
        assert_eq!(nice(), before);
    }
}
