//! From the content of a file to key material: PEM (RFC 7468), DER, bare base64.
//!
//! PEM is read as OpenSSL reads it and wider: text before and after, CRLF, any line length, a byte
//! order mark, UTF-16 as Windows editors save it, and `\n` written out as OpenDKIM tables may have
//! it. Every copy made of the content is wiped when it is dropped.

use super::fault::Fault;
use super::public::{self, Half, PublicKey};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// A larger file is no key: RSA with 16384 bits takes 13 kB of PEM.
pub(super) const MAX_KEY_FILE_OCTETS: usize = 256 * 1024;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The content as plain bytes: no byte order mark, UTF-16 narrowed into `store`.
pub(super) fn plain<'a>(content: &'a [u8], store: &'a mut Zeroizing<Vec<u8>>) -> &'a [u8] {
    let low = match content {
        [0xef, 0xbb, 0xbf, rest @ ..] => return rest,
        [0xff, 0xfe, ..] => 0,
        [0xfe, 0xff, ..] => 1,
        _ => return content,
    };
    let pairs = content[2..].chunks_exact(2);
    store.reserve_exact(pairs.len());
    // What is no ASCII is no part of a key; '?' keeps it from becoming one.
    store.extend(pairs.map(|pair| if pair[1 - low] == 0 { pair[low] } else { b'?' }));
    store
}

/// Does it hold the start of a PEM block, be it only the first few characters of one?
pub(super) fn looks_like_pem(text: &[u8]) -> bool {
    let start = text.trim_ascii_start();
    find(text, BEGIN).is_some() || (!start.is_empty() && BEGIN.starts_with(start))
}

/// The key of the first PEM block that can hold one; private keys go before all else, so that a
/// bundle of certificate and key is a key.
pub(super) fn from_pem(text: &[u8]) -> Result<(PublicKey, Half), Fault> {
    let (blocks, broken) = blocks(text);
    let labelled = |end: &[u8]| blocks.iter().find(|block| block.label.ends_with(end));
    match (labelled(b"PRIVATE KEY"), broken) {
        (Some(block), _) => block.key(),
        (None, Some(fault)) => Err(fault),
        (None, None) => match labelled(b"PUBLIC KEY").or(blocks.first()) {
            Some(block) => block.key(),
            None => Err(Fault::Unfinished),
        },
    }
}

struct Block<'a> {
    label: &'a [u8],
    body: &'a [u8],
}

impl Block<'_> {
    fn key(&self) -> Result<(PublicKey, Half), Fault> {
        match self.label {
            b"PRIVATE KEY" | b"RSA PRIVATE KEY" | b"PUBLIC KEY" | b"RSA PUBLIC KEY" => {
                let (encrypted, body) = self.without_headers();
                if encrypted {
                    return Err(Fault::Encrypted);
                }
                let der = decode_base64(&[body]).ok_or(Fault::Damaged("what is between BEGIN and END is no base64"))?;
                match public::from_der(&der) {
                    // There is an END, so nothing more will come.
                    Err(Fault::Unfinished) => Err(Fault::Damaged("octets are missing between BEGIN and END")),
                    other => other,
                }
            }
            b"ENCRYPTED PRIVATE KEY" => Err(Fault::Encrypted),
            b"OPENSSH PRIVATE KEY" => Err(Fault::OpenSshPrivate),
            b"SSH2 PUBLIC KEY" => Err(Fault::OpenSshPublic),
            b"EC PRIVATE KEY" => Err(Fault::Algorithm("EC".to_owned())),
            b"DSA PRIVATE KEY" => Err(Fault::Algorithm("DSA".to_owned())),
            b"CERTIFICATE"
            | b"X509 CERTIFICATE"
            | b"TRUSTED CERTIFICATE"
            | b"CERTIFICATE REQUEST"
            | b"NEW CERTIFICATE REQUEST" => Err(Fault::Certificate),
            _ => Err(Fault::Garbage("its PEM block is of a kind that holds no DKIM key")),
        }
    }

    /// RFC 1421 headers (`Proc-Type: 4,ENCRYPTED`) taken off; a blank line ends them.
    fn without_headers(&self) -> (bool, &[u8]) {
        match self.body.iter().rposition(|&octet| octet == b':') {
            None => (false, self.body),
            Some(colon) => {
                let (headers, rest) = self.body.split_at(colon);
                let line_end = rest.iter().position(|&octet| octet == b'\n').unwrap_or(rest.len());
                (find(headers, b"Proc-Type").is_some(), &rest[line_end..])
            }
        }
    }
}

/// All whole blocks, and what is wrong with the one behind them.
fn blocks(text: &[u8]) -> (Vec<Block<'_>>, Option<Fault>) {
    let mut blocks = vec![];
    let mut rest = text;
    while let Some(begin) = find(rest, BEGIN) {
        rest = &rest[begin + BEGIN.len()..];
        let label_end = find(rest, DASHES);
        let Some((label, after)) = label_end.map(|len| (&rest[..len], &rest[len + DASHES.len()..])) else {
            return (blocks, Some(Fault::Unfinished));
        };
        let Some((body, closing)) = find(after, END).map(|len| after.split_at(len)) else {
            return (blocks, Some(Fault::Unfinished));
        };
        let end_line = [END, label, DASHES].concat();
        match closing.strip_prefix(end_line.as_slice()) {
            Some(behind) => rest = behind,
            None if end_line.starts_with(closing) => return (blocks, Some(Fault::Unfinished)),
            None => return (blocks, Some(Fault::Damaged("its BEGIN and END lines differ"))),
        }
        blocks.push(Block { label, body });
    }
    (blocks, None)
}

/// Decodes base64 given in pieces, blanks and written-out `\n` between; `None` for anything else.
pub(super) fn decode_base64(pieces: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
    let mut packed = Zeroizing::new(Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum()));
    for piece in pieces {
        let mut octets = piece.iter().peekable();
        while let Some(&octet) = octets.next() {
            match octet {
                b'\\' if matches!(octets.peek(), Some(b'n' | b'r')) => _ = octets.next(),
                _ if octet.is_ascii_whitespace() => {}
                _ => packed.push(octet),
            }
        }
    }
    let mut decoded = Zeroizing::new(vec![0; base64::decoded_len_estimate(packed.len())]);
    let len = LENIENT.decode_slice(packed.as_slice(), &mut decoded).ok()?;
    decoded.truncate(len);
    Some(decoded)
}

pub(super) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
