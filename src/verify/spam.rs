//! SpamAssassin's judgement, if its client `spamc` is there.

use super::message::Message;
use super::outcome::{Advice, Check, Method, Verdict};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// `spamc -t` is told this, and ended a little later if it does not heed it.
const LIMIT: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(5);
/// The largest answer of `spamc -c` that makes sense.
const MAX_ANSWER: u64 = 200;

/// What came of it.
pub(super) enum Judgement {
    /// Ham or spam.
    Check(Check),
    /// It is there and does not work.
    Note(String),
    /// It is not there.
    Absent,
}

/// Has `spamc` judge the message.
pub(super) fn judge(message: &Message) -> Judgement {
    let limit = LIMIT.as_secs().to_string();
    let spawned = Command::new("spamc")
        .args(["-c", "-x", "-t", &limit])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else {
        return Judgement::Absent;
    };
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let octets = message.octets().to_vec();
    // It may stop reading when it has seen enough, and ends these threads by ending itself.
    let writing = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&octets)));
    let reading = thread::spawn(move || {
        let mut answer = String::new();
        let _what_came = stdout.map(|stdout| stdout.take(MAX_ANSWER).read_to_string(&mut answer));
        answer
    });
    let code = wait(&mut child);
    let _written = writing.join();
    let answer = reading.join().unwrap_or_default();
    understand(code, answer.trim())
}

/// Its exit code; nothing if it was ended.
fn wait(child: &mut Child) -> Option<i32> {
    let begin = Instant::now();
    while begin.elapsed() < LIMIT + GRACE {
        match child.try_wait() {
            Ok(Some(status)) => return status.code(),
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Err(_) => break,
        }
    }
    let _ended = child.kill();
    let _reaped = child.wait();
    None
}

/// `spamc -c` prints `SCORE/THRESHOLD` and ends with 1 for spam, 0 for ham; with `-x`, another code is a failure.
fn understand(code: Option<i32>, answer: &str) -> Judgement {
    let points = answer.split_once('/').and_then(|(score, threshold)| {
        Some((score.trim().parse::<f32>().ok()?, threshold.trim().parse::<f32>().ok()?))
    });
    match (code, points) {
        (Some(0 | 1), Some((score, threshold))) if threshold > 0.0 => {
            let points = format!("{score} points of {threshold}");
            let (verdict, advice) = if code == Some(1) {
                (
                    Verdict::Spam,
                    Advice::cure(points, "see which rules it met: `spamc -R` with the same message"),
                )
            } else {
                (Verdict::Ham, Advice::fine(points))
            };
            Judgement::Check(Check::new(Method::SpamAssassin, verdict, "", advice))
        }
        _ => Judgement::Note(
            "spamc is there but gave no judgement: is spamd running, is the message too large for it?".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_spamc_is_understood() {
        let verdict = |code, answer| match understand(code, answer) {
            Judgement::Check(check) => Some(check.result),
            Judgement::Note(_) | Judgement::Absent => None,
        };
        assert_eq!(verdict(Some(0), "-0.1/5.0"), Some(Verdict::Ham));
        assert_eq!(verdict(Some(1), "15.2/5.0"), Some(Verdict::Spam));
        for failed in [(Some(0), "0/0"), (Some(74), ""), (None, "1/5"), (Some(1), "x")] {
            assert_eq!(verdict(failed.0, failed.1), None, "{failed:?}");
        }
    }
}
