//! Records to a master file.

use crate::record::{Record, text};
use std::{fmt, io};

/// Writes records as a master file, one a line, absolute names, every line with its TTL and class.
/// [`read`](super::read) gives the same records back; BIND, NSD and Knot read it too: types that one
/// of them does not know are written by number (RFC 3597 §5).
pub fn write(records: &[Record], out: &mut dyn io::Write) -> io::Result<()> {
    let mut line = String::new();
    for record in records {
        line.clear();
        // Text fails to be written only if a `Display` of ours fails.
        write_line(record, &mut line).map_err(io::Error::other)?;
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

fn write_line(record: &Record, line: &mut String) -> fmt::Result {
    use fmt::Write;
    let Record {
        owner,
        rtype,
        ttl,
        rdata,
    } = record;
    if text::is_known_everywhere(*rtype) {
        writeln!(line, "{owner}\t{ttl}\tIN\t{rtype}\t{}", text::Rdata(*rtype, rdata))
    } else {
        writeln!(line, "{owner}\t{ttl}\tIN\tTYPE{}\t{}", rtype.0, text::Opaque(rdata))
    }
}
