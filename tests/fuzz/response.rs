//! What holds of every response, whoever made its query; shared by the fuzz properties of `message` and `answer`.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use signpost::answer::Answered;

/// Octets of a header (RFC 1035 §4.1.1).
const HEADER: usize = 12;

/// The response belongs to its query, and a decoder that knows nothing of us reads it to its last octet. `None` when
/// it is a header alone, perhaps with an opcode that the decoder does not know.
pub(crate) fn belongs(query: &[u8], response: &[u8]) -> Option<Message> {
    assert_eq!(response[..2], query[..2], "the query's own id");
    assert!(response[2] & 0x80 != 0, "a response");
    assert_eq!(response[2] & 0x79, query[2] & 0x79, "opcode and RD as asked");
    assert_eq!(response[3] & 0xf0, query[3] & 0x10, "CD as asked; no RA, no AD, no Z");
    assert!(response[4] == 0 && response[5] <= 1, "one question at most");
    if response.len() == HEADER {
        return None;
    }
    let mut decoder = BinDecoder::new(response);
    let message = Message::read(&mut decoder)
        .unwrap_or_else(|error| panic!("a decoder that knows nothing of us: {error}: {response:02x?}"));
    assert!(decoder.is_empty(), "nothing is left over: {response:02x?}");
    if response[5] == 1 {
        let end = question_end(response);
        assert_eq!(response[HEADER..end], query[HEADER..end], "the question as asked");
    }
    Some(message)
}

/// Where the question ends: an uncompressed name, type and class.
fn question_end(message: &[u8]) -> usize {
    let mut at = HEADER;
    while message[at] != 0 {
        assert!(message[at] < 64, "the question is never compressed");
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

/// What is left of a response that the limit of rates holds back: readable, without records, hardly longer than its
/// query.
pub(crate) fn slips_small(answered: Answered, query: &[u8], response: &[u8]) {
    let mut slipped = response.to_vec();
    let len = answered.slip(&mut slipped);
    let slipped = &slipped[..len];
    assert!(len <= query.len() + 16, "no more than a new server cookie is added");
    if let Some(message) = belongs(query, slipped) {
        assert!(message.answers.is_empty() && message.authorities.is_empty());
        // What stands at the end is OPT, whole, or the question.
        let options = if message.metadata.response_code == ResponseCode::BADCOOKIE {
            28
        } else {
            0
        };
        let opt = slipped[11] == 0 || slipped[len - 11 - options..].starts_with(b"\0\0\x29");
        assert!(opt, "nothing is left over behind it: {slipped:02x?}");
    }
}
