//! A place on earth: the text form of LOC (RFC 1876 §3) and its sixteen octets (§2).

use super::RdataError;
use super::schema::Field;
use super::words::Words;
use std::fmt;

/// Thousandths of a second of arc at the equator and the prime meridian.
const ORIGIN: u32 = 1 << 31;
/// Centimetres from the reference of altitudes, 100 km down, to sea level.
const SEA_LEVEL: i64 = 10_000_000;
/// Size, horizontal and vertical precision when they are not written: 1 m, 10 km and 10 m.
const DEFAULTS: [u8; 3] = [0x12, 0x16, 0x13];

/// Reads a place.
pub(super) fn read(words: &mut Words<'_, '_>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let latitude = read_angle(words, 90, ["N", "S"])?;
    let longitude = read_angle(words, 180, ["E", "W"])?;
    let altitude = words.parse(Field::Location, parse_altitude)?;
    let mut sizes = DEFAULTS;
    for size in &mut sizes {
        if words.peek().is_some() {
            *size = words.parse(Field::Location, parse_size)?;
        }
    }
    out.push(0);
    out.extend_from_slice(&sizes);
    for number in [latitude, longitude, altitude] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    Ok(())
}

/// Degrees, perhaps minutes, perhaps seconds with decimals, and a hemisphere: the first of the two
/// counts upwards.
fn read_angle(words: &mut Words<'_, '_>, most: u32, [up, down]: [&str; 2]) -> Result<u32, RdataError> {
    let field = Field::Location;
    let limit = most * 3_600_000;
    let degrees = words.parse(field, |word| {
        super::number::parse_decimal::<u32>(word).filter(|n| *n <= most)
    })?;
    let mut total = degrees * 3_600_000;
    for (unit, decimals) in [(60_000, 0), (1_000, 3)] {
        let next = words.peek().map_or(&[][..], |token| token.text);
        if !next.first().is_some_and(u8::is_ascii_digit) {
            break;
        }
        let scale = 10u32.pow(decimals);
        let part = words.parse(field, |word| {
            let part = u32::try_from(parse_fixed(word, decimals as usize)?).ok()?;
            (part < 60 * scale).then_some(part)
        })?;
        total += part * (unit / scale);
    }
    if total > limit {
        return Err(words.fault(format!("the angle is over {most} degrees")));
    }
    words.parse(field, |word| {
        if word.eq_ignore_ascii_case(up) {
            Some(ORIGIN + total)
        } else {
            word.eq_ignore_ascii_case(down).then(|| ORIGIN - total)
        }
    })
}

/// A number with at most `decimals` digits behind the point, in units of the last.
fn parse_fixed(text: &str, decimals: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.len() > 10 || fraction.len() > decimals || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let number = |digits: &str| match digits {
        "" => Some(0),
        _ => super::number::parse_decimal::<u64>(digits),
    };
    let missing = (decimals - fraction.len()) as u32;
    Some(number(whole)? * 10u64.pow(decimals as u32) + number(fraction)? * 10u64.pow(missing))
}

fn parse_metres(text: &str) -> Option<i64> {
    let text = text.strip_suffix(['m', 'M']).unwrap_or(text);
    i64::try_from(parse_fixed(text, 2)?).ok()
}

fn parse_altitude(text: &str) -> Option<u32> {
    let centimetres = match text.strip_prefix('-') {
        Some(depth) => -parse_metres(depth)?,
        None => parse_metres(text)?,
    };
    u32::try_from(centimetres + SEA_LEVEL).ok()
}

/// A size as one digit and a power of ten in centimetres (RFC 1876 §2).
fn parse_size(text: &str) -> Option<u8> {
    let mut base = parse_metres(text)?;
    let mut power = 0u8;
    while base > 9 {
        base /= 10;
        power += 1;
    }
    (power <= 9).then_some(((base as u8) << 4) | power)
}

/// Are the sixteen octets a place? Sizes must be digits, angles within their circles.
pub(super) fn is_valid(rdata: &[u8]) -> bool {
    let [0, size, horizontal, vertical, ref numbers @ ..] = *rdata else {
        return false;
    };
    let is_size = |octet: u8| octet >> 4 <= 9 && octet & 0x0f <= 9 && (octet >> 4 > 0 || octet == 0);
    let angle = |at: usize| numbers.get(at..at + 4).map(|four| be(four).abs_diff(ORIGIN));
    [size, horizontal, vertical].into_iter().all(is_size)
        && angle(0).is_some_and(|angle| angle <= 90 * 3_600_000)
        && angle(4).is_some_and(|angle| angle <= 180 * 3_600_000)
}

fn be(four: &[u8]) -> u32 {
    four.iter().fold(0, |number, octet| (number << 8) | u32::from(*octet))
}

/// Writes sixteen valid octets.
pub(super) fn show(rdata: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let number = |at: usize| rdata.get(at..at + 4).map_or(0, be);
    show_angle(number(4), ['N', 'S'], f)?;
    f.write_str(" ")?;
    show_angle(number(8), ['E', 'W'], f)?;
    let altitude = i64::from(number(12)) - SEA_LEVEL;
    let sign = if altitude < 0 { "-" } else { "" };
    let metres = altitude.unsigned_abs();
    write!(f, " {sign}{}.{:02}m", metres / 100, metres % 100)?;
    for size in rdata.iter().skip(1).take(3) {
        let centimetres = u64::from(size >> 4) * 10u64.pow(u32::from(size & 0x0f));
        match centimetres % 100 {
            0 => write!(f, " {}m", centimetres / 100)?,
            rest => write!(f, " {}.{rest:02}m", centimetres / 100)?,
        }
    }
    Ok(())
}

fn show_angle(angle: u32, [up, down]: [char; 2], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let hemisphere = if angle >= ORIGIN { up } else { down };
    let thousandths = angle.abs_diff(ORIGIN);
    let (seconds, rest) = (thousandths / 1_000, thousandths % 1_000);
    write!(
        f,
        "{} {} {}.{rest:03} {hemisphere}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}
