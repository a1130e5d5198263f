//! EDNS options: what a client asks for by them, and what a response tells by them (RFC 6891 §6.1.2).
//!
//! Read: NSID (RFC 5001), EXPIRE (RFC 7314), COOKIE (RFC 7873), TCP KEEPALIVE (RFC 7828), Padding (RFC 7830) and ZONEVERSION
//! (RFC 9660). All others are passed over (RFC 6891 §6.1.2). Reading borrows from the message and allocates nothing.

use super::ExtendedError;

/// NSID (RFC 5001 §2.3).
const NSID: u16 = 3;
/// EXPIRE (RFC 7314 §3).
const EXPIRE: u16 = 9;
/// COOKIE (RFC 7873 §4).
const COOKIE: u16 = 10;
/// edns-tcp-keepalive (RFC 7828 §3.1).
const KEEPALIVE: u16 = 11;
/// Padding (RFC 7830 §3).
const PADDING: u16 = 12;
/// Extended DNS Error (RFC 8914 §2).
const EXTENDED_ERROR: u16 = 15;
/// ZONEVERSION (RFC 9660 §2).
const ZONE_VERSION: u16 = 19;

/// Octets of an option's code and length.
const OPTION_HEADER: usize = 4;
/// Padded responses have a multiple of so many octets (RFC 8467 §4.1).
pub const PADDING_BLOCK: usize = 468;
/// Octets of a COOKIE option in a response: the client's eight and our sixteen (RFC 9018 §4).
pub const COOKIE_OPTION_LEN: usize = OPTION_HEADER + 24;
/// What a query asks by EXPIRE (RFC 7314 §3.1).
pub const EXPIRE_ASKED: [u8; 4] = [0, EXPIRE as u8, 0, 0];

/// What a client asks for by options. The default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options<'q> {
    /// Who answers? (RFC 5001 §2.1)
    pub nsid: bool,
    /// Which version of the zone? (RFC 9660 §3.1)
    pub zone_version: bool,
    /// How long may a connection idle? (RFC 7828 §3.2.1)
    pub keepalive: bool,
    /// Is the response to be padded? (RFC 7830 §4)
    pub padding: bool,
    /// How long may the zone be served? (RFC 7314 §3.1)
    pub expire: bool,
    /// The client's cookie, and ours if it has one (RFC 7873 §5.1).
    pub cookie: Option<Cookie<'q>>,
}

/// A COOKIE option of a query, of a right length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie<'q> {
    /// The client cookie.
    pub client: [u8; 8],
    /// The server cookie, 8 to 32 octets; empty when the client knows none yet.
    pub server: &'q [u8],
}

impl<'q> Options<'q> {
    /// Reads the RDATA of a version 0 OPT; `None` when it is malformed (FORMERR).
    #[cold]
    pub(super) fn parse(mut rdata: &'q [u8]) -> Option<Self> {
        let mut options = Self::default();
        while let Some((&[c0, c1, l0, l1], rest)) = rdata.split_first_chunk::<OPTION_HEADER>() {
            let (data, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
            options.take(u16::from_be_bytes([c0, c1]), data)?;
            rdata = after;
        }
        rdata.is_empty().then_some(options)
    }

    fn take(&mut self, code: u16, data: &'q [u8]) -> Option<()> {
        match code {
            // RFC 5001 §2.1: data in a query is ignored.
            NSID => self.nsid = true,
            // RFC 7314 §3.1: empty in a query; nothing is said of what is not, so it is passed over.
            EXPIRE => self.expire = data.is_empty(),
            // RFC 7873 §5.2: the first counts, further ones are ignored.
            COOKIE if self.cookie.is_none() => self.cookie = Some(Cookie::parse(data)?),
            // RFC 7828 §3.2.1: a client sends no timeout. One that does cannot be told otherwise: passed over.
            KEEPALIVE => match data.len() {
                0 => self.keepalive = true,
                2 => {}
                _ => return None,
            },
            PADDING => self.padding = true,
            // RFC 9660 §3.1: empty in a query.
            ZONE_VERSION if data.is_empty() => self.zone_version = true,
            ZONE_VERSION => return None,
            _ => {}
        }
        Some(())
    }
}

impl<'q> Cookie<'q> {
    /// RFC 7873 §5.2.2: 8 octets, or 16 to 40; all else is a FORMERR.
    fn parse(data: &'q [u8]) -> Option<Self> {
        let (client, server) = data.split_first_chunk::<8>()?;
        matches!(server.len(), 0 | 8..=32).then_some(Self {
            client: *client,
            server,
        })
    }
}

/// What a response tells by options, the most important first. The default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplyOptions<'r> {
    /// The client's cookie and ours (RFC 7873 §5.2).
    pub cookie: Option<[u8; 24]>,
    /// What went wrong (RFC 8914).
    pub error: Option<ExtendedError>,
    /// Which version of the zone this is.
    pub zone_version: Option<ZoneVersion>,
    /// How long the zone may be served, in seconds (RFC 7314 §3.2).
    pub expire: Option<u32>,
    /// How long a connection may idle, in units of 100 ms (RFC 7828 §3.1).
    pub keepalive: Option<u16>,
    /// Who answers (RFC 5001 §2.3).
    pub nsid: Option<&'r [u8]>,
    /// Zeros up to the next multiple of [`PADDING_BLOCK`].
    pub padding: Option<Padding>,
}

/// How a response is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padding {
    /// Octets that come behind the options: a signature.
    pub behind: usize,
}

/// The version of a zone by its SOA serial, type 0 (RFC 9660 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneVersion {
    /// How many labels of the name asked, from the right and without the root, are the zone's name.
    pub labels: u8,
    /// The serial of the zone's SOA.
    pub serial: u32,
}

impl ReplyOptions<'_> {
    /// Octets that records must leave free for these. An error stands beside no records and needs none.
    pub fn reserve(&self) -> usize {
        let option = |present: bool, len: usize| if present { OPTION_HEADER + len } else { 0 };
        option(self.cookie.is_some(), 24)
            + option(self.zone_version.is_some(), 6)
            + option(self.expire.is_some(), 4)
            + option(self.keepalive.is_some(), 2)
            + self.nsid.map_or(0, |nsid| OPTION_HEADER + nsid.len())
            + option(self.padding.is_some(), 0)
    }

    /// Writes each option that fits whole; returns the octets written. `before` is the length of the message so far.
    pub fn write(&self, out: &mut [u8], before: usize) -> usize {
        let mut writer = Writer { out, len: 0 };
        if let Some(cookie) = &self.cookie {
            writer.put(COOKIE, cookie);
        }
        if let Some(ExtendedError(code)) = self.error {
            writer.put(EXTENDED_ERROR, &code.to_be_bytes());
        }
        if let Some(ZoneVersion { labels, serial }) = self.zone_version {
            let [s0, s1, s2, s3] = serial.to_be_bytes();
            writer.put(ZONE_VERSION, &[labels, SOA_SERIAL, s0, s1, s2, s3]);
        }
        if let Some(seconds) = self.expire {
            writer.put(EXPIRE, &seconds.to_be_bytes());
        }
        if let Some(timeout) = self.keepalive {
            writer.put(KEEPALIVE, &timeout.to_be_bytes());
        }
        if let Some(nsid) = self.nsid {
            writer.put(NSID, nsid);
        }
        if let Some(Padding { behind }) = self.padding {
            let least = before + writer.len + OPTION_HEADER + behind;
            // The last block of the longest message may be short.
            let room = writer.out.len().saturating_sub(writer.len + OPTION_HEADER);
            writer.zeros(PADDING, (least.next_multiple_of(PADDING_BLOCK) - least).min(room));
        }
        writer.len
    }
}

/// What the RDATA of an OPT in a response tells by EXPIRE (RFC 7314 §3.2).
pub fn expire_told(mut rdata: &[u8]) -> Option<u32> {
    while let Some((&[c0, c1, l0, l1], rest)) = rdata.split_first_chunk::<OPTION_HEADER>() {
        let (data, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        if u16::from_be_bytes([c0, c1]) == EXPIRE {
            return data.try_into().ok().map(u32::from_be_bytes);
        }
        rdata = after;
    }
    None
}

/// The one type of version that is defined (RFC 9660 §2.1).
const SOA_SERIAL: u8 = 0;

struct Writer<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl Writer<'_> {
    /// The whole option, or nothing.
    fn put(&mut self, code: u16, data: &[u8]) {
        let end = self.len + OPTION_HEADER + data.len();
        let (Some(place), Ok(len)) = (self.out.get_mut(self.len..end), u16::try_from(data.len())) else {
            return;
        };
        place[..2].copy_from_slice(&code.to_be_bytes());
        place[2..OPTION_HEADER].copy_from_slice(&len.to_be_bytes());
        place[OPTION_HEADER..].copy_from_slice(data);
        self.len = end;
    }

    /// An option of so many zeros.
    fn zeros(&mut self, code: u16, count: usize) {
        const ZEROS: [u8; PADDING_BLOCK] = [0; PADDING_BLOCK];
        self.put(code, ZEROS.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(code: u16, data: &[u8]) -> Vec<u8> {
        let mut option = code.to_be_bytes().to_vec();
        option.extend((data.len() as u16).to_be_bytes());
        option.extend(data);
        option
    }

    #[test]
    fn reads_what_is_asked_among_what_is_unknown() {
        let rdata = [
            option(8, &[0, 1, 24, 0, 192, 0, 2]),
            option(NSID, b"ignored"),
            option(EXPIRE, b""),
            option(ZONE_VERSION, b""),
            option(65001, &[1; 100]),
            option(COOKIE, b"12345678"),
            option(KEEPALIVE, b""),
            option(12, &[0; 64]),
            option(COOKIE, b"another, with a length that is no matter"),
        ]
        .concat();
        let options = Options::parse(&rdata).unwrap();
        assert_eq!(
            options,
            Options {
                nsid: true,
                zone_version: true,
                keepalive: true,
                padding: true,
                expire: true,
                cookie: Some(Cookie {
                    client: *b"12345678",
                    server: b""
                }),
            }
        );
        assert_eq!(Options::parse(b""), Some(Options::default()));
    }

    #[test]
    fn refuses_cookies_of_a_wrong_length() {
        for len in 0..=60 {
            let parsed = Options::parse(&option(COOKIE, &vec![7; len])).is_some();
            assert_eq!(parsed, len == 8 || (16..=40).contains(&len), "{len} octets");
        }
    }

    #[test]
    fn refuses_what_is_cut_or_not_empty() {
        assert_eq!(Options::parse(&option(ZONE_VERSION, &[2, 0])), None);
        assert_eq!(Options::parse(&option(KEEPALIVE, &[1])), None);
        assert_eq!(Options::parse(&option(EXPIRE, &[0, 0, 0, 1])), Some(Options::default()));
        assert_eq!(Options::parse(&option(KEEPALIVE, &[0, 100])), Some(Options::default()));
        let whole = [option(NSID, b""), option(COOKIE, b"12345678")].concat();
        for end in 0..whole.len() {
            assert_eq!(
                Options::parse(&whole[..end]).is_some(),
                end == 0 || end == 4,
                "cut at {end}"
            );
        }
    }

    #[test]
    fn writes_whole_options_only_the_important_first() {
        let reply = ReplyOptions {
            cookie: Some([1; 24]),
            error: Some(ExtendedError(20)),
            zone_version: Some(ZoneVersion { labels: 2, serial: 7 }),
            expire: Some(0x0102_0304),
            keepalive: Some(100),
            nsid: Some(b"ns1"),
            padding: None,
        };
        let all = [
            option(COOKIE, &[1; 24]),
            option(EXTENDED_ERROR, &[0, 20]),
            option(ZONE_VERSION, &[2, 0, 0, 0, 0, 7]),
            option(EXPIRE, &[1, 2, 3, 4]),
            option(KEEPALIVE, &[0, 100]),
            option(NSID, b"ns1"),
        ];
        assert_eq!(expire_told(&all.concat()), Some(0x0102_0304));
        assert_eq!(expire_told(&EXPIRE_ASKED), None);
        assert_eq!(expire_told(&all[0]), None);
        assert_eq!(reply.reserve() + 6, all.concat().len());
        for room in 0..=all.concat().len() {
            let mut out = vec![0xee; room];
            let len = reply.write(&mut out, 0);
            let mut expected = vec![];
            for option in &all {
                if expected.len() + option.len() <= room {
                    expected.extend_from_slice(option);
                }
            }
            assert_eq!(out[..len], expected, "room for {room}");
            assert!(out[len..].iter().all(|&octet| octet == 0xee));
        }
        assert_eq!(ReplyOptions::default().write(&mut [0; 99], 0), 0);
    }

    #[test]
    fn pads_to_whole_blocks_as_far_as_there_is_room() {
        for (before, behind, room, expected) in [
            (100, 0, 1000, 368),
            (464, 0, 1000, 4),
            (465, 0, 1000, 471),
            (100, 61, 1000, 307),
            (100, 0, 10, 10),
            (100, 0, 3, 0),
        ] {
            let reply = ReplyOptions {
                padding: Some(Padding { behind }),
                ..ReplyOptions::default()
            };
            let mut out = vec![0xee; room];
            assert_eq!(reply.write(&mut out, before), expected, "{before} {behind} {room}");
            assert!(expected == 0 || out[..2] == [0, 12]);
            assert!(out[..expected].iter().skip(4).all(|&octet| octet == 0));
        }
    }
}
