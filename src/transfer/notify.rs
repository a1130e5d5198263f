//! NOTIFY: telling another server that a zone has changed (RFC 1996).

use crate::message::{HEADER_LEN, Message, Rcode, flags};
use crate::name::Name;
use crate::record::RecordType;
use crate::zone::Zone;

/// The operation (RFC 1996 §3).
pub const OPCODE: u8 = 4;

/// The message that tells of a zone's version, with its SOA, so that a secondary that has it already need not ask
/// (RFC 1996 §3.7).
pub fn message(id: u16, zone: &Zone) -> Vec<u8> {
    let [id_high, id_low] = id.to_be_bytes();
    let flags = (u16::from(OPCODE) << 11 | flags::AA).to_be_bytes();
    let mut message = vec![id_high, id_low, flags[0], flags[1], 0, 1, 0, 1, 0, 0, 0, 0];
    message.extend_from_slice(zone.apex().as_wire());
    message.extend_from_slice(&RecordType::SOA.0.to_be_bytes());
    message.extend_from_slice(&[0, 1, 0xc0, HEADER_LEN as u8]);
    message.extend_from_slice(zone.soa().block);
    message
}

/// What a server answers to it: the zone it is about and the code. `None` when it is no such answer.
pub fn answer(message: &[u8]) -> Option<(u16, Name, Rcode)> {
    let message = Message::read(message).ok()?;
    if !message.is_response() || message.opcode() != OPCODE {
        return None;
    }
    let (zone, rtype, _) = message.question().ok()??;
    (rtype == RecordType::SOA).then(|| (message.id, zone.to_lowercase(), message.rcode()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::zone;

    #[test]
    fn tells_the_zone_and_its_soa() {
        let apex = Name::from_text("example.org").unwrap();
        let zone = zone("example.org", 2026);
        let mut told = message(0x1234, &zone);
        {
            let message = Message::read(&told).unwrap();
            assert_eq!(
                (message.id, message.opcode(), message.is_response()),
                (0x1234, 4, false)
            );
            assert_ne!(message.flags & flags::AA, 0);
            let record = message.records().next().unwrap().unwrap();
            assert_eq!((record.owner.clone(), record.rtype), (apex.clone(), RecordType::SOA));
            assert_eq!(*record.rdata().unwrap(), *zone.soa().first_rdata());
        }
        assert_eq!(answer(&told), None, "a question is no answer");
        told[2] |= 0x80;
        told[3] |= 5;
        assert_eq!(answer(&told), Some((0x1234, apex, Rcode::REFUSED)));
        assert_eq!(answer(&told[..20]), None);
    }
}
