//! `$GENERATE`: one directive, many records, as BIND 9 expands it.
//!
//! `$GENERATE start-stop[/step] owner [TTL] [class] type rdata`; in owner and RDATA `$` stands for
//! the number, `${offset[,width[,base]]}` for the number moved and formatted, `$$` for a dollar.

use crate::record::text::parse_decimal;
use std::io::Write;

/// The most records that one directive may make.
pub(super) const MAX_STEPS: u64 = 65_536;

/// The numbers of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    start: u32,
    stop: u32,
    step: u32,
}

/// A form of `$` that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadForm;

impl Range {
    /// Reads `start-stop` or `start-stop/step`, each below 2^31.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        let word = std::str::from_utf8(word).ok()?;
        let (range, step) = match word.split_once('/') {
            Some((range, step)) => (range, parse_number(step)?),
            None => (word, 1),
        };
        let (start, stop) = range.split_once('-')?;
        let (start, stop) = (parse_number(start)?, parse_number(stop)?);
        (start <= stop && step > 0).then_some(Self { start, stop, step })
    }

    /// How many numbers there are.
    pub(super) fn steps(self) -> u64 {
        u64::from((self.stop - self.start) / self.step) + 1
    }

    /// The numbers.
    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        (self.start..=self.stop).step_by(self.step as usize)
    }
}

fn parse_number(text: &str) -> Option<u32> {
    parse_decimal::<i32>(text).and_then(|number| u32::try_from(number).ok())
}

/// Writes `template` into `out`, which is cleared first, with `number` in the place of `$`.
pub(super) fn expand(template: &[u8], number: u32, out: &mut Vec<u8>) -> Result<(), BadForm> {
    out.clear();
    let mut rest = template;
    // BIND keeps an offset for the plain `$` behind it; its operators rely on it or do not notice.
    let mut offset = 0;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after) {
            (b'$', [b'$', after @ ..]) => {
                out.push(b'$');
                rest = after;
            }
            (b'$', [b'{', form @ ..]) => {
                let end = form.iter().position(|octet| *octet == b'}').ok_or(BadForm)?;
                let form = Form::parse(&form[..end]).ok_or(BadForm)?;
                offset = form.offset;
                form.write(i64::from(number) + offset, out);
                rest = &after[end + 2..];
            }
            (b'$', _) => write_text(out, format_args!("{}", i64::from(number) + offset)),
            (b'\\', [escaped, after @ ..]) => {
                out.extend_from_slice(&[b'\\', *escaped]);
                rest = after;
            }
            _ => out.push(octet),
        }
    }
    Ok(())
}

/// What stands in the braces of `${offset,width,base}`.
struct Form {
    offset: i64,
    width: usize,
    base: u8,
}

impl Form {
    fn parse(form: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(form).ok()?.split(',');
        let offset = parts.next()?.parse::<i32>().ok()?;
        let width = parts.next().map_or(Some(0), parse_decimal::<u8>)?;
        let base = match parts.next() {
            None => b'd',
            Some(base) => match base.as_bytes() {
                [base @ (b'd' | b'o' | b'x' | b'X' | b'n' | b'N')] => *base,
                _ => return None,
            },
        };
        (parts.next().is_none() && width < 128).then_some(Self {
            offset: offset.into(),
            width: width.into(),
            base,
        })
    }

    fn write(&self, value: i64, out: &mut Vec<u8>) {
        // Bases other than ten show a negative number as C does: its 32 bits.
        let (width, bits) = (self.width, value as u32);
        match self.base {
            b'o' => write_text(out, format_args!("{bits:0width$o}")),
            b'x' => write_text(out, format_args!("{bits:0width$x}")),
            b'X' => write_text(out, format_args!("{bits:0width$X}")),
            b'n' => nibbles(bits, width, b"0123456789abcdef", out),
            b'N' => nibbles(bits, width, b"0123456789ABCDEF", out),
            _ => write_text(out, format_args!("{value:0width$}")),
        }
    }
}

/// Hexadecimal digits from the lowest up with dots between them, as `ip6.arpa` has them; `width`
/// counts digits and dots.
fn nibbles(mut value: u32, mut width: usize, digits: &[u8; 16], out: &mut Vec<u8>) {
    loop {
        out.push(digits[(value & 15) as usize]);
        value >>= 4;
        width = width.saturating_sub(1);
        if width > 0 || value != 0 {
            out.push(b'.');
            width = width.saturating_sub(1);
        }
        if value == 0 && width == 0 {
            return;
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A vector takes everything.
    let _ = out.write_fmt(text);
}
