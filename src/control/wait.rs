//! Asking the server again and again until the answer is yes, as `signpost key wait` does.

use super::{ControlError, Request, ask};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(500);
/// A no counts once it has lasted for so long: a key may be in the key directory for a moment only.
const SOON: Duration = Duration::from_secs(10);

/// Why it was given up.
#[derive(Debug, thiserror::Error)]
pub enum GivenUp {
    /// The server cannot be asked, now or later.
    #[error(transparent)]
    NotAllowed(ControlError),
    /// The server says no, and why was told.
    #[error("the server says no")]
    Refused,
    /// The time is over.
    #[error("it did not become safe in time")]
    TooLate,
}

/// Asks until the answer is yes and returns it; `tell` hears what is waited for whenever that changes. A server that
/// restarts meanwhile is waited for.
pub fn wait(state: &Path, request: &Request, timeout: Duration, tell: impl FnMut(&str)) -> Result<String, GivenUp> {
    wait_pausing(state, request, timeout, (PAUSE, SOON), tell)
}

fn wait_pausing(
    state: &Path,
    request: &Request,
    timeout: Duration,
    (pause, soon): (Duration, Duration),
    mut tell: impl FnMut(&str),
) -> Result<String, GivenUp> {
    let began = Instant::now();
    let mut told = String::new();
    loop {
        let (why, is_no) = match ask(state, request) {
            Ok(reply) if reply.ok && !reply.amiss => return Ok(reply.text),
            Ok(reply) => (reply.text, !reply.ok && !reply.later),
            Err(error @ ControlError::NotAllowed(_)) => return Err(GivenUp::NotAllowed(error)),
            Err(error) => (error.to_string(), false),
        };
        // How long a thing has lasted is no news.
        let news: String = why.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if news != told {
            tell(why.trim_end());
            told = news;
        }
        if is_no && began.elapsed() >= soon {
            return Err(GivenUp::Refused);
        }
        if began.elapsed() >= timeout {
            return Err(GivenUp::TooLate);
        }
        std::thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Reply, listen};
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    /// A server that gives these answers, the last of them for ever; what came of the wait, and what was told.
    fn waited(replies: Vec<Reply>, timeout: Duration, soon: Duration) -> (Result<String, GivenUp>, Vec<String>) {
        let state = tempfile::tempdir().unwrap();
        let requests = listen(state.path(), || {}).unwrap();
        std::thread::spawn(move || {
            let last = replies.last().cloned().unwrap();
            let mut replies = replies.into_iter();
            for pending in requests {
                pending.reply(replies.next().unwrap_or_else(|| last.clone()));
            }
        });
        let mut told = vec![];
        let tell = |why: &str| told.push(why.to_owned());
        let result = wait_pausing(state.path(), &Request::Status, timeout, (SHORT, soon), tell);
        (result, told)
    }

    fn not_yet(text: &str) -> Reply {
        Reply {
            amiss: true,
            ..Reply::done(text)
        }
    }

    #[test]
    fn waits_for_a_yes_and_tells_what_is_new() {
        let replies = vec![
            not_yet("for 1 s\n"),
            not_yet("for 2 s\n"),
            Reply::later("stopping"),
            Reply::failed("no such key"),
            Reply::done("safe"),
        ];
        let (result, told) = waited(replies, LONG, LONG);
        assert_eq!(result.unwrap(), "safe");
        assert_eq!(told, ["for 1 s", "stopping", "no such key"]);
    }

    #[test]
    fn gives_up_on_a_no_that_lasts_and_when_the_time_is_over() {
        let (result, told) = waited(vec![Reply::failed("no such key")], LONG, SHORT);
        assert!(matches!(result, Err(GivenUp::Refused)), "{result:?}");
        assert_eq!(told, ["no such key"]);
        let (result, _) = waited(vec![not_yet("for 1 s")], SHORT, SHORT);
        assert!(matches!(result, Err(GivenUp::TooLate)), "{result:?}");
    }

    #[test]
    fn waits_for_a_server_that_is_not_there() {
        let state = tempfile::tempdir().unwrap();
        let mut told = vec![];
        let result = wait_pausing(state.path(), &Request::Status, SHORT, (SHORT, SHORT), |why| {
            told.push(why.to_owned());
        });
        assert!(matches!(result, Err(GivenUp::TooLate)), "{result:?}");
        assert!(told[0].starts_with("no server answers"), "{told:?}");
    }
}
