//! Server cookies (RFC 7873, in the form of RFC 9018).
//!
//! Our cookie for a client is a hash (SipHash-2-4) of its own cookie, the time and its address under a secret that all
//! servers of an anycast set may share. Nothing is stored per client, and BIND, NSD, Knot and PowerDNS make the same
//! cookie from the same secret.
//!
//! Several secrets can be known: the first makes cookies, all are believed, so that one can be replaced by another
//! (RFC 9018 §5) without any client noticing.

use crate::message::Cookie;
use arc_swap::ArcSwap;
use siphasher::sip::SipHasher24;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The version of the cookie's form (RFC 9018 §4.1).
const VERSION: u8 = 1;
/// How old a cookie may be (RFC 9018 §4.3), in seconds.
const MAX_AGE: i32 = 60 * 60;
/// How far ahead of our clock that of another server of the set may be (RFC 9018 §4.3), in seconds.
const MAX_AHEAD: i32 = 5 * 60;
/// From this age on a client gets a new one (RFC 9018 §4.3), in seconds.
const RENEW_AGE: i32 = 30 * 60;

/// How far a client has shown that it is at the address it writes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It speaks no cookies: nothing is known.
    #[default]
    Unknown,
    /// It takes cookies and shows none of ours that is good.
    Asking,
    /// It shows a good cookie of ours, so it has heard us at this address.
    Proven,
}

/// The secrets, at least one. Never shown, wiped when dropped.
#[derive(Clone)]
pub struct Secrets(Zeroizing<Vec<[u8; 16]>>);

/// The secrets in force.
pub type SharedSecrets = Arc<ArcSwap<Secrets>>;

/// Why a text holds no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// No line with a secret.
    #[error("no secret stands in it")]
    Empty,
    /// A line that is no secret, counted from 1.
    #[error("line {0} is no secret of 32 hexadecimal digits")]
    Line(usize),
}

impl Secrets {
    /// One secret.
    pub fn one(secret: [u8; 16]) -> Self {
        Self(Zeroizing::new(vec![secret]))
    }

    /// To be shared with the workers, and to be exchanged under them.
    pub fn shared(self) -> SharedSecrets {
        Arc::new(ArcSwap::from_pointee(self))
    }

    /// Reads secrets: 32 hexadecimal digits a line, the first makes cookies, further ones are still believed. Blank
    /// lines and those that begin with `#` are passed over. The file format of NSD and Unbound.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let mut secrets = Zeroizing::new(Vec::new());
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                secrets.push(hex(line).ok_or(SecretsError::Line(number + 1))?);
            }
        }
        if secrets.is_empty() {
            return Err(SecretsError::Empty);
        }
        Ok(Self(secrets))
    }

    /// The client's standing, and the COOKIE option's data for the response: the client's cookie and ours.
    pub fn reply(&self, cookie: &Cookie<'_>, address: IpAddr, now: u32) -> (Standing, [u8; 24]) {
        let mut data = [0; 24];
        data[..8].copy_from_slice(&cookie.client);
        let age = self.age_of_good(cookie, address, now);
        match (age, cookie.server) {
            // RFC 9018 §4.3: a young one is good enough to be used again.
            (Some((..=RENEW_AGE, true)), &[VERSION, 0, 0, 0, ..]) => data[8..].copy_from_slice(cookie.server),
            _ => {
                let [t0, t1, t2, t3] = now.to_be_bytes();
                data[8..16].copy_from_slice(&[VERSION, 0, 0, 0, t0, t1, t2, t3]);
                if let (Some(secret), Some(head)) = (self.0.first(), data.first_chunk::<16>()) {
                    let hash = hash(secret, head, address);
                    data[16..].copy_from_slice(&hash);
                }
            }
        }
        let standing = if age.is_some() {
            Standing::Proven
        } else {
            Standing::Asking
        };
        (standing, data)
    }

    /// The age in seconds of a server cookie that is ours and in its time, and whether the first secret made it.
    fn age_of_good(&self, cookie: &Cookie<'_>, address: IpAddr, now: u32) -> Option<(i32, bool)> {
        let server: &[u8; 16] = cookie.server.try_into().ok()?;
        if server[0] != VERSION {
            return None;
        }
        let made = u32::from_be_bytes([server[4], server[5], server[6], server[7]]);
        // RFC 9018 §4.3: serial number arithmetic (RFC 1982).
        let age = now.wrapping_sub(made).cast_signed();
        if !(-MAX_AHEAD..=MAX_AGE).contains(&age) {
            return None;
        }
        let mut head = [0; 16];
        head[..8].copy_from_slice(&cookie.client);
        head[8..].copy_from_slice(&server[..8]);
        let by = self
            .0
            .iter()
            .position(|secret| hash(secret, &head, address) == server[8..])?;
        Some((age, by == 0))
    }
}

/// RFC 9018 §4.4. `head` is the client cookie, version, reserved and timestamp.
fn hash(secret: &[u8; 16], head: &[u8; 16], address: IpAddr) -> [u8; 8] {
    let mut hashed = [0; 32];
    hashed[..16].copy_from_slice(head);
    let hashed = match address.to_canonical() {
        IpAddr::V4(address) => {
            hashed[16..20].copy_from_slice(&address.octets());
            &hashed[..20]
        }
        IpAddr::V6(address) => {
            hashed[16..].copy_from_slice(&address.octets());
            &hashed[..]
        }
    };
    SipHasher24::new_with_key(secret).hash(hashed).to_le_bytes()
}

fn hex(line: &str) -> Option<[u8; 16]> {
    let digits: &[u8; 32] = line.as_bytes().try_into().ok()?;
    let mut secret = [0; 16];
    for (octet, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        *octet = (digit(0)? << 4 | digit(1)?) as u8;
    }
    Some(secret)
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// The standing and the cookie that `secrets` give to the option data `cookie`.
    fn reply(secrets: &str, cookie: &str, address: &str, now: u32) -> (Standing, Vec<u8>) {
        let data = octets(cookie);
        let cookie = Cookie {
            client: data[..8].try_into().unwrap(),
            server: &data[8..],
        };
        let secrets = Secrets::parse(secrets).unwrap();
        let (standing, data) = secrets.reply(&cookie, address.parse().unwrap(), now);
        (standing, data.to_vec())
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    #[test]
    fn a_new_cookie_rfc_9018_a_1() {
        let made = reply(SECRET, "2464c4abcf10c957", "198.51.100.100", 1_559_731_985);
        let expected = octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480");
        assert_eq!(made, (Standing::Asking, expected));
    }

    #[test]
    fn a_renewed_cookie_rfc_9018_a_2() {
        let old = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let expected = octets("2464c4abcf10c957010000005cf7a871d4a564a1442aca77");
        let made = reply(SECRET, old, "198.51.100.100", 1_559_734_385);
        assert_eq!(made, (Standing::Proven, expected));
        // Before 30 minutes it is good enough.
        let kept = reply(SECRET, old, "198.51.100.100", 1_559_731_985 + 1800);
        assert_eq!(kept, (Standing::Proven, octets(old)));
    }

    #[test]
    fn a_cookie_with_reserved_bits_rfc_9018_a_3() {
        let old = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let expected = octets("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e");
        // In the example it is almost two hours old, so it earns nothing but a new one.
        let made = reply(SECRET, old, "203.0.113.203", 1_559_734_700);
        assert_eq!(made, (Standing::Asking, expected));
        let young = reply(SECRET, old, "203.0.113.203", 1_559_727_985 + 60);
        assert_eq!(young.0, Standing::Proven, "reserved bits are hashed as they came");
        assert_eq!(young.1[9..12], [0; 3], "and not given back");
    }

    #[test]
    fn a_cookie_of_the_secret_before_rfc_9018_a_4() {
        let old = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let expected = octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a");
        let both = "# rolled over\n445536bcd2513298075a5d379663c962\n\ndd3bdf9344b678b185a6f5cb60fca715\n";
        let client = "2001:db8:220:1:59de:d0f4:8769:82b8";
        assert_eq!(reply(both, old, client, 1_559_741_961), (Standing::Proven, expected));
        let first = "445536bcd2513298075a5d379663c962";
        assert_eq!(reply(first, old, client, 1_559_741_961).0, Standing::Asking);
    }

    #[test]
    fn a_cookie_is_good_for_an_hour_and_for_its_client_only() {
        let made = 1_559_731_985;
        let good = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let standing = |cookie: &str, address: &str, now: u32| reply(SECRET, cookie, address, now).0;
        assert_eq!(standing(good, "198.51.100.100", made + 3600), Standing::Proven);
        assert_eq!(standing(good, "198.51.100.100", made + 3601), Standing::Asking);
        assert_eq!(standing(good, "198.51.100.100", made - 300), Standing::Proven);
        assert_eq!(standing(good, "198.51.100.100", made - 301), Standing::Asking);
        assert_eq!(standing(good, "198.51.100.101", made), Standing::Asking);
        assert_eq!(standing(good, "::ffff:198.51.100.100", made), Standing::Proven);
        for at in 0..24 {
            let mut cookie = octets(good);
            cookie[at] ^= 1;
            let cookie: String = cookie.iter().map(|octet| format!("{octet:02x}")).collect();
            assert_eq!(
                standing(&cookie, "198.51.100.100", made),
                Standing::Asking,
                "octet {at}"
            );
        }
        // Another server's form.
        assert_eq!(standing(&format!("{good}00"), "198.51.100.100", made), Standing::Asking);
        assert_eq!(standing(&good[..32], "198.51.100.100", made), Standing::Asking);
    }

    #[test]
    fn reads_secrets_and_does_not_show_them() {
        let secrets = Secrets::parse(&format!(" {SECRET}\n")).unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(1)");
        assert_eq!(Secrets::parse("# none\n").unwrap_err(), SecretsError::Empty);
        for bad in [
            "e5",
            "+5e973e5a6b2a43f48e7dc849e37bfcf",
            "e5e973e5a6b2a43f48e7dc849e37bfc\u{e9}",
        ] {
            assert_eq!(
                Secrets::parse(&format!("{SECRET}\n{bad}")).unwrap_err(),
                SecretsError::Line(2)
            );
        }
    }
}
