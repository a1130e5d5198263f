//! A fence around the answering engine: a query that makes it panic gets SERVFAIL, and the worker goes on.
//!
//! That is a bug of ours, so it is logged as an error with the octets of the query, once a minute at most. The panic
//! message that Rust prints on its own is kept back for these panics only, because anyone who finds such a query
//! could fill the log with it.

use super::Handler;
use super::throttle::Throttle;
use crate::answer::{Answered, Client};
use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::time::{Duration, Instant};

thread_local! {
    /// Is this thread answering a query now?
    static ANSWERING: Cell<bool> = const { Cell::new(false) };
    /// What the panic said, with its place.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes panics inside [`answer`] quiet and leaves all others to the hook that was there. To be called once before
/// serving; further calls change nothing.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if ANSWERING.get() {
                SAID.set(panic.to_string());
            } else {
                others(panic);
            }
        }));
    });
}

/// Lets `handler` answer `query`. A panic becomes a SERVFAIL.
#[inline(always)]
pub(super) fn answer<H: Handler>(
    handler: &H,
    view: &H::View,
    client: &Client<'_>,
    query: &[u8],
    out: &mut [u8],
) -> Option<Answered> {
    ANSWERING.set(true);
    let answered = catch_unwind(AssertUnwindSafe(|| handler.answer(view, client, query, out)));
    ANSWERING.set(false);
    match answered {
        Ok(Some(answered)) if answered.len() <= out.len() => Some(answered),
        Ok(_) => None,
        Err(_) => {
            report(query, (client.peer)());
            servfail(query, out).map(Answered::unclassified)
        }
    }
}

#[cold]
fn report(query: &[u8], peer: Option<SocketAddr>) {
    static THROTTLE: Throttle = Throttle::new(Duration::from_secs(60));
    let said = SAID.take();
    let Some(untold) = THROTTLE.admit(Instant::now()) else {
        return;
    };
    let mut octets = String::with_capacity(query.len().min(LOGGED_OCTETS) * 2);
    for octet in query.iter().take(LOGGED_OCTETS) {
        // Writing to a String does not fail.
        let _ = write!(octets, "{octet:02x}");
    }
    tracing::error!(
        query = octets,
        peer = peer.map(tracing::field::display),
        untold,
        "answering a query failed, it got SERVFAIL; this is a bug of ours, please report it with this line: {said}"
    );
}

/// How much of a query goes to the log: header and the longest question.
const LOGGED_OCTETS: usize = HEADER + 255 + 4;

/// Octets of the header (RFC 1035 §4.1.1).
const HEADER: usize = 12;

/// A SERVFAIL (RFC 1035 §4.1.1) with the question if there is exactly one that can be read. Silence for what is no
/// query. Written here, with nothing from the engine that just failed.
fn servfail(query: &[u8], out: &mut [u8]) -> Option<usize> {
    let header = query.first_chunk::<HEADER>()?;
    let [id0, id1, flags, _, q0, q1, ..] = *header;
    if flags & 0x80 != 0 {
        return None;
    }
    let question = if [q0, q1] == [0, 1] { question(query) } else { None };
    let count = u8::from(question.is_some());
    let question = question.unwrap_or(&[]);
    let length = HEADER + question.len();
    // QR, the OPCODE and RD of the query; RCODE 2.
    let reply = [id0, id1, 0x80 | flags & 0x79, 2, 0, count, 0, 0, 0, 0, 0, 0];
    out.get_mut(..HEADER)?.copy_from_slice(&reply);
    out.get_mut(HEADER..length)?.copy_from_slice(question);
    Some(length)
}

/// The octets of the first question: an uncompressed name, type and class.
fn question(query: &[u8]) -> Option<&[u8]> {
    let mut end = HEADER;
    loop {
        match usize::from(*query.get(end)?) {
            0 => break,
            label @ 1..=63 => end += 1 + label,
            _ => return None,
        }
    }
    let end = end + 1;
    if end - HEADER > 255 {
        return None;
    }
    query.get(HEADER..end + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\xab\xcd\x01\x00\0\x01\0\0\0\0\0\x01\x04test\0\0\x10\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";

    #[test]
    fn servfail_keeps_id_opcode_and_question() {
        let mut out = [0; 512];
        let length = servfail(QUERY, &mut out).unwrap();
        assert_eq!(
            &out[..length],
            b"\xab\xcd\x81\x02\0\x01\0\0\0\0\0\0\x04test\0\0\x10\0\x01"
        );
    }

    #[test]
    fn servfail_leaves_out_a_question_it_cannot_read() {
        let mut out = [0; 512];
        for end in 12..QUERY.len() - 11 {
            let length = servfail(&QUERY[..end], &mut out);
            let expected = if end < 12 + 6 + 4 { 12 } else { 22 };
            assert_eq!(length, Some(expected), "query cut at {end}");
        }
        let pointer = b"\0\0\0\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01";
        assert_eq!(servfail(pointer, &mut out), Some(12));
    }

    #[test]
    fn servfail_is_silent_to_responses_and_fragments() {
        let mut out = [0; 512];
        assert_eq!(servfail(&[0; 11], &mut out), None);
        assert_eq!(servfail(&[0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0], &mut out), None);
        assert_eq!(servfail(QUERY, &mut [0; 11]), None);
    }
}
