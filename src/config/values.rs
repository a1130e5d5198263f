//! The values of `signpost.toml` that need more than their TOML type: addresses, durations, texts.
//!
//! A value that cannot be meant is refused with a message of the form `what; cure`, which the reader
//! takes apart again.

use super::options;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

/// What CH TXT `id.server` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The name of this machine, whatever it is when the server starts.
    Hostname,
    /// This text.
    Text(String),
}

/// A whole number between `MIN` and `MAX`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<const MIN: u32, const MAX: u32>(pub(super) u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Number<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        match u32::try_from(number) {
            Ok(fitting) if (MIN..=MAX).contains(&fitting) => Ok(Self(fitting)),
            _ if number < i64::from(MIN) => Err(D::Error::custom(format!(
                "{number} is too small; use a number from {MIN} to {MAX}"
            ))),
            _ => Err(D::Error::custom(format!(
                "{number} is too large; use a number from {MIN} to {MAX}"
            ))),
        }
    }
}

/// Where to listen: at least one address, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen(pub(super) Vec<SocketAddr>);

impl Listen {
    /// The DNS port on every address.
    pub(super) fn everywhere() -> Vec<SocketAddr> {
        options::LISTEN.iter().filter_map(|text| text.parse().ok()).collect()
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let listen: Vec<SocketAddr> = Vec::<ListenAddress>::deserialize(deserializer)?
            .into_iter()
            .map(|address| address.0)
            .collect();
        if listen.is_empty() {
            return Err(D::Error::custom(
                "the list is empty, so nobody could ask; name at least one \"address:port\", or leave `listen` out for \
                 port 53 on every address",
            ));
        }
        for (at, address) in listen.iter().enumerate() {
            // Port 0 is another free port each time.
            if address.port() != 0 && listen[..at].contains(address) {
                return Err(D::Error::custom(format!(
                    "\"{address}\" is listed twice; keep one of the two"
                )));
            }
        }
        Ok(Self(listen))
    }
}

/// An address and a port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ListenAddress(SocketAddr);

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = Text(r#"an "address:port" string"#, listen_address);
        deserializer.deserialize_str(visitor).map(Self)
    }
}

/// Reads `address:port` and knows the usual slips.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => return Err(format!("\"{text}\" has no port; write \"{bare}:53\"")),
        Ok(IpAddr::V6(_)) => return Err(format!("\"{text}\" has no port; write \"[{bare}]:53\"")),
        Err(_) => {}
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!(
            "\"{text}\" is no address; write an IP address and a port, such as \"192.0.2.1:53\""
        ));
    };
    if host.parse::<Ipv6Addr>().is_ok() {
        return Err(format!(
            "the IPv6 address in \"{text}\" needs brackets; write \"[{host}]:{port}\""
        ));
    }
    let inner = host.trim_start_matches('[').trim_end_matches(']');
    if inner.parse::<IpAddr>().is_ok() && port.parse::<u16>().is_err() {
        return Err(format!(
            "\"{port}\" is no port; use a number up to 65535, as in \"{host}:53\""
        ));
    }
    if host == "*" || host.is_empty() {
        return Err(format!(
            "\"{text}\" is no address; write \"0.0.0.0:{port}\" and \"[::]:{port}\" for every address"
        ));
    }
    Err(format!(
        "\"{host}\" is no IP address; write an address and a port, such as \"192.0.2.1:53\""
    ))
}

/// A duration in the units of master files: `10s`, `1m30s`, `2h`, `7d`, `1w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_str(Text("a duration such as \"10s\"", duration))
            .map(Self)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let mut total = 0u64;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let mut after = after.chars();
        let unit = match after.next().map(|unit| unit.to_ascii_lowercase()) {
            None => return Err(format!("\"{text}\" has no unit; write \"{text}s\" for seconds")),
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return Err(no_duration(text)),
        };
        let number: u64 = number.parse().map_err(|_| no_duration(text))?;
        total = number
            .checked_mul(unit)
            .and_then(|seconds| total.checked_add(seconds))
            .ok_or_else(|| no_duration(text))?;
        rest = after.as_str();
    }
    if text.trim().is_empty() {
        return Err(no_duration(text));
    }
    if !(1..=options::TCP_IDLE_MAX_SECS).contains(&total) {
        return Err(format!(
            "\"{text}\" is out of range; use a duration from \"1s\" to \"1h\""
        ));
    }
    Ok(Duration::from_secs(total))
}

fn no_duration(text: &str) -> String {
    format!("\"{text}\" is no duration; write numbers with their units s, m, h, d or w, such as \"1m30s\"")
}

/// The path of a directory, not empty.
#[derive(Debug, Clone)]
pub(super) struct Directory(pub(super) PathBuf);

impl<'de> Deserialize<'de> for Directory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("the path of a directory", |text| {
            if text.is_empty() {
                return Err("the path is empty; write \".\" for the directory of this file".to_owned());
            }
            if text.contains('\0') {
                return Err("a path cannot hold a NUL character; remove it".to_owned());
            }
            Ok(Self(PathBuf::from(text)))
        }))
    }
}

/// The path of a file, not empty.
#[derive(Debug, Clone)]
pub(super) struct FilePath(pub(super) PathBuf);

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("the path of a file", |text| {
            if text.is_empty() {
                return Err("the path is empty; name a file, or leave the key out".to_owned());
            }
            if text.contains('\0') {
                return Err("a path cannot hold a NUL character; remove it".to_owned());
            }
            Ok(Self(PathBuf::from(text)))
        }))
    }
}

/// A text for CH TXT: one character-string (RFC 1035 §3.3).
#[derive(Debug, Clone)]
pub(super) struct ChaosText(pub(super) String);

impl<'de> Deserialize<'de> for ChaosText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a text", |text| match text.len() {
            0 => Err("the text is empty; leave the key out to have the question refused".to_owned()),
            1..=255 => Ok(Self(text.to_owned())),
            long => Err(format!("the text has {long} octets; shorten it to 255")),
        }))
    }
}

/// How many threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workers(pub(super) NonZeroU16);

impl<'de> Deserialize<'de> for Workers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Number(number) = Number::<1, { options::WORKERS_MAX as u32 }>::deserialize(deserializer)?;
        u16::try_from(number)
            .ok()
            .and_then(NonZeroU16::new)
            .map(Self)
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Unsigned(number.into()), &"a number of threads"))
    }
}

/// Reads a string by a function; anything but a string is of the wrong type.
pub(super) struct Text<T>(pub(super) &'static str, pub(super) fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        self.1(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_of_both_families() {
        assert_eq!(listen_address("192.0.2.1:53").unwrap().port(), 53);
        assert!(listen_address("[2001:db8::1]:5300").unwrap().is_ipv6());
    }

    #[test]
    fn names_the_slip_in_an_address() {
        for (text, what) in [
            ("192.0.2.1", "has no port; write \"192.0.2.1:53\""),
            ("2001:db8::1", "has no port; write \"[2001:db8::1]:53\""),
            ("[::]", "has no port; write \"[::]:53\""),
            // An address as it stands, so that the port is what is missing.
            ("::1:53", "has no port"),
            (
                "2001:db8:0:0:0:0:0:1:53",
                "needs brackets; write \"[2001:db8:0:0:0:0:0:1]:53\"",
            ),
            ("192.0.2.1:70000", "\"70000\" is no port"),
            ("[::1]:dns", "\"dns\" is no port"),
            ("*:53", "\"0.0.0.0:53\" and \"[::]:53\""),
            (":53", "\"0.0.0.0:53\""),
            ("ns1.example.org:53", "\"ns1.example.org\" is no IP address"),
            ("192.0.2.256:53", "\"192.0.2.256\" is no IP address"),
            ("", "is no address"),
        ] {
            let message = listen_address(text).unwrap_err();
            assert!(message.contains(what), "{text}: {message}");
        }
    }

    #[test]
    fn reads_durations_with_units_only() {
        assert_eq!(duration("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("1H").unwrap(), Duration::from_secs(3600));
        for (text, what) in [
            ("10", "write \"10s\""),
            ("ten", "is no duration"),
            ("", "is no duration"),
            ("s", "is no duration"),
            ("1.5s", "is no duration"),
            ("-1s", "is no duration"),
            ("0s", "out of range"),
            ("2h", "out of range"),
            ("99999999999999999999s", "is no duration"),
            ("99999999999999999w", "is no duration"),
        ] {
            let message = duration(text).unwrap_err();
            assert!(message.contains(what), "{text}: {message}");
        }
    }
}
