//! Who may have a zone, who is told of its changes, and from whom it comes.

use crate::name::Name;
use crate::tls;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What the operator decided about the transfers of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferPolicy {
    /// Who may have it. Nobody by default.
    pub allow: Vec<Allowed>,
    /// Who is told of changes beside its name servers.
    pub notify: Vec<Remote>,
    /// Are the name servers of its NS RRset told of changes (RFC 1996 §2.3)?
    pub notify_nameservers: bool,
    /// From whom it comes; a zone of our own has none.
    pub primaries: Vec<Remote>,
}

/// One entry of `allow`: both parts must fit, and one of them is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// From where; `None` for anywhere.
    pub from: Option<AddressPrefix>,
    /// Signed by this key; `None` when no signature is needed.
    pub key: Option<Name>,
    /// How it must come.
    pub channel: Channel,
}

/// How a request for a zone must come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Channel {
    /// As it likes.
    #[default]
    Any,
    /// Encrypted (RFC 9103).
    Encrypted,
    /// Encrypted, from one whose certificate is for this name (RFC 9103 §9.3.3).
    Certified(Box<str>),
}

/// Who asks for a zone.
#[derive(Debug, Clone, Copy)]
pub struct Requester<'r> {
    /// From where.
    pub address: IpAddr,
    /// The key that the request was signed with.
    pub key: Option<&'r Name>,
    /// Did it come encrypted?
    pub encrypted: bool,
    /// The certificate that was shown, if one was that is to be believed.
    pub certificate: Option<&'r [u8]>,
}

/// Another server: where it is and how to speak to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Remote {
    /// Where it is.
    pub address: SocketAddr,
    /// The key that both sign with.
    pub key: Option<Name>,
    /// The name that its certificate must be for: it is spoken to by TLS and never without (RFC 9103 §9.3.2).
    pub tls: Option<Box<str>>,
}

/// An address, or all addresses with these leading bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPrefix {
    address: IpAddr,
    bits: u8,
}

impl Default for TransferPolicy {
    fn default() -> Self {
        Self {
            allow: vec![],
            notify: vec![],
            notify_nameservers: true,
            primaries: vec![],
        }
    }
}

impl TransferPolicy {
    /// May this one have the zone?
    pub fn allows(&self, requester: &Requester<'_>) -> bool {
        self.allow.iter().any(|allowed| {
            allowed.from.is_none_or(|prefix| prefix.contains(requester.address))
                && allowed.key.as_ref().is_none_or(|wanted| requester.key == Some(wanted))
                && allowed.channel.is_that_of(requester)
        })
    }

    /// Can anybody have the zone?
    pub fn allows_anybody(&self) -> bool {
        !self.allow.is_empty()
    }
}

impl Channel {
    fn is_that_of(&self, requester: &Requester<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Encrypted => requester.encrypted,
            Self::Certified(name) => requester
                .certificate
                .is_some_and(|certificate| tls::is_for(certificate, name)),
        }
    }
}

impl AddressPrefix {
    /// These leading bits of an address; `None` when it has not so many.
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (bits <= longest).then_some(Self { address, bits })
    }

    /// Does it hold this address? An IPv4 address mapped into IPv6 is an IPv4 address.
    pub fn contains(self, address: IpAddr) -> bool {
        // No bits at all are shifted out of the width, which leaves nothing to compare.
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits())
                    .checked_shr(32 - u32::from(self.bits.min(32)))
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits())
                    .checked_shr(128 - u32::from(self.bits.min(128)))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

impl From<IpAddr> for AddressPrefix {
    fn from(address: IpAddr) -> Self {
        Self {
            address,
            bits: if address.is_ipv4() { 32 } else { 128 },
        }
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::from(self.address) {
            return self.address.fmt(f);
        }
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address.port(), &self.tls) {
            (53, None) | (853, Some(_)) => self.address.ip().fmt(f)?,
            _ => self.address.fmt(f)?,
        }
        match &self.tls {
            Some(_) => f.write_str(" (TLS)"),
            None => Ok(()),
        }
    }
}

/// The policies of all zones: one for most of them, and one each for those that have their own.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// Of every zone without one of its own.
    pub default: Arc<TransferPolicy>,
    /// By apex.
    pub own: HashMap<Name, Arc<TransferPolicy>>,
}

/// The policies in force.
pub type SharedPolicies = Arc<ArcSwap<Policies>>;

impl Policies {
    /// The policy of a zone.
    pub fn of(&self, apex: &Name) -> &Arc<TransferPolicy> {
        self.own.get(apex).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> AddressPrefix {
        let (address, bits) = text.split_once('/').unwrap();
        AddressPrefix::new(address.parse().unwrap(), bits.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_prefix_holds_what_begins_as_it_does() {
        for (text, address, holds) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::1/128", "2001:db8::1", true),
            ("::/0", "2001:db8::1", true),
        ] {
            assert_eq!(
                prefix(text).contains(address.parse().unwrap()),
                holds,
                "{text} {address}"
            );
        }
        assert!(AddressPrefix::new("192.0.2.1".parse().unwrap(), 33).is_none());
        assert_eq!(prefix("192.0.2.7/32").to_string(), "192.0.2.7");
        assert_eq!(prefix("2001:db8::/32").to_string(), "2001:db8::/32");
    }

    #[test]
    fn address_key_and_channel_must_all_fit() {
        let key = Name::from_text("hoster").unwrap();
        let other = Name::from_text("other").unwrap();
        let policy = TransferPolicy {
            allow: vec![
                Allowed {
                    from: Some(prefix("192.0.2.53/32")),
                    key: None,
                    channel: Channel::Any,
                },
                Allowed {
                    from: Some(prefix("2001:db8::/32")),
                    key: Some(key.clone()),
                    channel: Channel::Any,
                },
                Allowed {
                    from: None,
                    key: Some(other.clone()),
                    channel: Channel::Encrypted,
                },
            ],
            ..TransferPolicy::default()
        };
        for (address, signed_by, encrypted, allowed) in [
            ("192.0.2.53", None, false, true),
            ("192.0.2.53", Some(&key), false, true),
            ("192.0.2.54", None, false, false),
            ("192.0.2.54", Some(&key), false, false),
            ("2001:db8::7", None, false, false),
            ("2001:db8::7", Some(&key), false, true),
            ("203.0.113.9", Some(&other), true, true),
            ("203.0.113.9", Some(&other), false, false),
        ] {
            let requester = Requester {
                address: address.parse().unwrap(),
                key: signed_by,
                encrypted,
                certificate: None,
            };
            assert_eq!(policy.allows(&requester), allowed, "{requester:?}");
            assert!(!TransferPolicy::default().allows(&requester));
        }
    }
}
