//! DNS over HTTPS (RFC 8484), by HTTP/2 (§5.2), at `/dns-query`.

use super::super::Handler;
use super::super::tcp::{Order, Phase, Seat, Shared};
use super::{ANSWERS, Asker, MAX_QUERY, answer_one};
use crate::answer::Transport;
use crate::message::{Message, Part};
use crate::record::RecordType;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// Where it is asked. The template of RFC 8484 §3 is `https://NAME/dns-query{?dns}`.
const PATH: &str = "/dns-query";
/// The media type of a message (RFC 8484 §6).
const DNS_MESSAGE: &str = "application/dns-message";
/// Requests that a client may have under way: no fewer, says RFC 9113 §6.5.2.
const REQUESTS: u32 = 100;
/// Octets of the header fields of a request: the longest query that is asked for by GET, and some.
const MAX_HEADER: u32 = 8 << 10;
/// Octets of a response that wait in HTTP/2 for the client to read: an answer goes to it in pieces of so many.
const PIECE: usize = 8 << 10;
/// How long the last word may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// RFC 8484 §6: base64url without padding, which some send even so.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Serves a connection until the client leaves or an order says so.
pub(super) async fn serve<H: Handler>(
    stream: TlsStream<TcpStream>,
    peer: SocketAddr,
    shared: &Arc<Shared<H>>,
    seat: &Arc<Seat>,
) {
    let handshake = h2::server::Builder::new()
        .max_concurrent_streams(REQUESTS)
        .max_header_list_size(MAX_HEADER)
        .initial_window_size(MAX_QUERY as u32)
        .max_send_buffer_size(PIECE)
        .handshake::<_, Bytes>(stream);
    let connection = tokio::select! {
        biased;
        connection = handshake => connection,
        _ = seat.ordered() => return,
    };
    let Ok(mut connection) = connection else { return };
    let session = Arc::new(Session {
        peer,
        shared: shared.clone(),
        seat: seat.clone(),
        answers: Semaphore::new(ANSWERS),
    });
    // They end with the connection.
    let mut exchanges = JoinSet::new();
    let mut finishing = false;
    loop {
        tokio::select! {
            biased;
            order = seat.ordered(), if !finishing => match order {
                // RFC 9113 §6.8: what the client had sent before it hears of it is answered; the server's patience has
                // an end.
                Order::Finish => {
                    connection.graceful_shutdown();
                    finishing = true;
                }
                Order::Close => return say_goodbye(connection, Reason::NO_ERROR).await,
                Order::Reset => return,
            },
            Some(exchanged) = exchanges.join_next() => if let Ok(Err(Stuck)) = exchanged {
                return say_goodbye(connection, Reason::ENHANCE_YOUR_CALM).await;
            },
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    exchanges.spawn(session.clone().exchange(request, respond));
                }
                Some(Err(_)) | None => return,
            },
        }
    }
}

/// Says that no more comes (RFC 9113 §6.8) and ends TLS (RFC 8446 §6.1), if the client lets it out soon.
async fn say_goodbye(mut connection: Connection<TlsStream<TcpStream>, Bytes>, reason: Reason) {
    connection.abrupt_shutdown(reason);
    let _ = timeout(GOODBYE, poll_fn(|context| connection.poll_closed(context))).await;
}

/// What the requests of a connection share.
struct Session<H> {
    peer: SocketAddr,
    shared: Arc<Shared<H>>,
    seat: Arc<Seat>,
    /// Answers that may be made and written at a time.
    answers: Semaphore,
}

/// The client does not read.
struct Stuck;

impl<H: Handler> Session<H> {
    /// One request and its response.
    async fn exchange(
        self: Arc<Self>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Result<(), Stuck> {
        let table = &self.shared.table;
        let head_only = request.method() == Method::HEAD;
        let query = timeout(table.limits().message, query_in(request)).await;
        // It is never closed.
        let _permit = self.answers.acquire().await;
        let answer = query.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT)).and_then(|query| {
            let asker = Asker {
                transport: Transport::Https,
                peer: self.peer,
                certificate: None,
            };
            // What is no query at all would be met by silence.
            answer_one(&self.shared, &asker, &query).ok_or(StatusCode::BAD_REQUEST)
        });
        let answer = match answer {
            Ok(answer) => answer,
            // Who asks nothing goes on being idle.
            Err(status) => {
                let _ = respond.send_response(head(status, None), true);
                return Ok(());
            }
        };
        table.note(&self.seat, Phase::Writing);
        if let Ok(stream) = respond.send_response(head(StatusCode::OK, Some(&answer)), head_only)
            && !head_only
        {
            // Who does not want it any more may say so.
            let sent = timeout(table.limits().write, send(stream, &answer)).await;
            let _ = sent.map_err(|_| Stuck)?;
        }
        table.note(&self.seat, Phase::Idle);
        Ok(())
    }
}

/// The header of a response. RFC 8484 §5.1: it may be kept as long as its shortest-lived record.
fn head(status: StatusCode, answer: Option<&[u8]>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, answer.map_or(0, <[u8]>::len).into());
    if let Some(answer) = answer {
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(DNS_MESSAGE));
        if let Ok(control) = format!("max-age={}", freshness(answer)).parse() {
            headers.insert(header::CACHE_CONTROL, control);
        }
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD, POST"));
    }
    response
}

/// The message that is sent or, by GET, stands in the URI (RFC 8484 §4.1).
async fn query_in(request: Request<RecvStream>) -> Result<Vec<u8>, StatusCode> {
    if request.uri().path() != PATH {
        return Err(StatusCode::NOT_FOUND);
    }
    match *request.method() {
        Method::GET | Method::HEAD => in_uri(request.uri().query().unwrap_or_default()),
        Method::POST => {
            let kind = request.headers().get(header::CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
            if !kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(DNS_MESSAGE)) {
                return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            }
            body(request.into_body()).await
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn in_uri(query: &str) -> Result<Vec<u8>, StatusCode> {
    let message = query.split('&').find_map(|part| part.strip_prefix("dns="));
    let message = message.ok_or(StatusCode::BAD_REQUEST)?;
    let message = BASE64URL.decode(message).map_err(|_| StatusCode::BAD_REQUEST)?;
    if message.len() > MAX_QUERY {
        return Err(StatusCode::URI_TOO_LONG);
    }
    Ok(message)
}

async fn body(mut body: RecvStream) -> Result<Vec<u8>, StatusCode> {
    let mut message = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        if message.len() + chunk.len() > MAX_QUERY {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        message.extend_from_slice(&chunk);
        // RFC 9113 §5.2: what was taken may come again.
        let _ = body.flow_control().release_capacity(chunk.len());
    }
    Ok(message)
}

/// How many seconds an answer may be kept: as its shortest-lived record, or, without any, as the SOA says that nothing
/// is there (RFC 2308 §5).
fn freshness(answer: &[u8]) -> u32 {
    let Ok(message) = Message::read(answer) else { return 0 };
    let records: Vec<_> = message.records().map_while(Result::ok).collect();
    let ttls = |part, only: Option<RecordType>| {
        let those = records.iter().filter(move |record| record.part == part);
        those
            .filter(move |record| only.is_none_or(|only| record.rtype == only))
            .map(|record| record.ttl)
            .min()
    };
    let kept = ttls(Part::Answer, None).or_else(|| ttls(Part::Authority, Some(RecordType::SOA)));
    kept.unwrap_or(0)
}

/// Sends a body as the client makes room for it.
async fn send(mut stream: SendStream<Bytes>, mut body: &[u8]) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(room) => {
                let (piece, rest) = body.split_at(room?.min(body.len()));
                body = rest;
                // Of its own, or each piece that waits would keep all of the answer.
                stream.send_data(Bytes::copy_from_slice(piece), body.is_empty())?;
            }
            None => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stands_in_the_uri() {
        // The example of RFC 8484 §4.1.1.
        let query = "dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB";
        let message = in_uri(query).unwrap();
        assert_eq!(&message[12..29], b"\x03www\x07example\x03com\0");
        assert_eq!(in_uri(&format!("a=b&{query}&c")).unwrap(), message);
        assert_eq!(in_uri("dns=AA==").unwrap(), [0]);
        for wrong in ["", "dns", "dns=%", "dns=A+/A", "DNS=AAAB"] {
            assert_eq!(in_uri(wrong), Err(StatusCode::BAD_REQUEST), "{wrong}");
        }
    }

    #[test]
    fn a_response_says_what_it_is_and_how_long_it_is_good() {
        let answer = b"\0\0\x84\0\0\x01\0\x01\0\0\0\0\0\0\x06\0\x01\0\0\x02\0\x01\0\0\0\x07\0\x01\0";
        let response = head(StatusCode::OK, Some(answer));
        let field = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(field(header::CONTENT_TYPE), Some("application/dns-message"));
        assert_eq!(field(header::CACHE_CONTROL), Some("max-age=7"));
        assert_eq!(field(header::CONTENT_LENGTH), Some("29"));
        let refused = head(StatusCode::METHOD_NOT_ALLOWED, None);
        assert_eq!(refused.headers().get(header::ALLOW).unwrap(), "GET, HEAD, POST");
    }
}
