//! `spf = "auto"`: the record that the zone's own MX and addresses call for.
//!
//! The hosts that receive a small domain's mail also send it. Those in the zone are written as
//! `ip4:` and `ip6:`, which cost a receiver no lookup; for those elsewhere one `mx` stands, which
//! their own DNS answers. A domain without MX receives at its own addresses (RFC 5321 §5.1). What
//! has no address and no MX, or a null MX (RFC 7505), sends nothing: `v=spf1 -all`.
//!
//! Hosts in the order of preference, then of name; addresses ascending within a host, IPv4 first.

use super::super::view::ZoneView;
use crate::name::Name;
use std::net::IpAddr;

/// The record of the apex.
pub fn of_apex(zone: &ZoneView<'_>) -> String {
    let mx = zone.mx(zone.apex());
    if mx.is_empty() {
        return of_host(zone, zone.apex());
    }
    let (mut addresses, mut elsewhere) = (vec![], false);
    for (_, host) in mx.iter().filter(|(_, host)| !host.is_root()) {
        match zone.addresses(host) {
            Some(known) => addresses.extend(known),
            None => elsewhere = true,
        }
    }
    record(&addresses, if elsewhere { &["mx"] } else { &[] })
}

/// The record of a host that sends: its own addresses (RFC 7208 §10.1.3).
pub fn of_host(zone: &ZoneView<'_>, host: &Name) -> String {
    match zone.addresses(host) {
        Some(addresses) => record(&addresses, &[]),
        None => record(&[], &["a"]),
    }
}

/// The MX hosts of the apex whose records this zone holds, each once, best first.
pub fn mx_hosts_in(zone: &ZoneView<'_>) -> Vec<Name> {
    let mut hosts: Vec<Name> = vec![];
    for (_, host) in zone.mx(zone.apex()) {
        let is_here = zone.exists(&host)
            && zone.cut_at_or_above(&host).is_none()
            && zone.addresses(&host).is_some_and(|addresses| !addresses.is_empty());
        // The apex has a record of its own.
        if is_here && host != *zone.apex() && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

fn record(addresses: &[IpAddr], lookups: &[&str]) -> String {
    let mut terms = vec!["v=spf1".to_owned()];
    let mut add = |term: String| {
        if !terms.contains(&term) {
            terms.push(term);
        }
    };
    for address in addresses.iter().filter(|a| a.is_ipv4()) {
        add(format!("ip4:{address}"));
    }
    for address in addresses.iter().filter(|a| a.is_ipv6()) {
        add(format!("ip6:{address}"));
    }
    terms.extend(lookups.iter().map(|&term| term.to_owned()));
    terms.push("-all".to_owned());
    terms.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::fixture::*;
    use crate::record::Record;

    fn apex_of(records: &[Record]) -> String {
        let apex = name("example.org");
        of_apex(&ZoneView::new(&apex, records))
    }

    #[test]
    fn hosts_in_the_zone_become_addresses_in_the_order_of_preference() {
        let records = [
            mx("example.org", 20, "backup.example.org"),
            mx("example.org", 10, "mail.example.org"),
            mx("example.org", 10, "mail.example.org"),
            a("backup.example.org", "192.0.2.9"),
            a("mail.example.org", "192.0.2.20"),
            a("mail.example.org", "192.0.2.3"),
            aaaa("mail.example.org", "2001:db8::25"),
        ];
        assert_eq!(
            apex_of(&records),
            "v=spf1 ip4:192.0.2.3 ip4:192.0.2.20 ip4:192.0.2.9 ip6:2001:db8::25 -all"
        );
    }

    #[test]
    fn hosts_elsewhere_are_left_to_mx() {
        let records = [
            mx("example.org", 10, "mail.example.org"),
            mx("example.org", 20, "mx1.example.net"),
            mx("example.org", 30, "mx2.example.net"),
            a("mail.example.org", "192.0.2.1"),
        ];
        assert_eq!(apex_of(&records), "v=spf1 ip4:192.0.2.1 mx -all");
        let apex = name("example.org");
        assert_eq!(mx_hosts_in(&ZoneView::new(&apex, &records)), [name("mail.example.org")]);
    }

    #[test]
    fn without_mx_the_apex_addresses_send_and_without_them_nothing_does() {
        assert_eq!(apex_of(&[a("example.org", "192.0.2.1")]), "v=spf1 ip4:192.0.2.1 -all");
        assert_eq!(apex_of(&[soa("example.org")]), "v=spf1 -all");
        assert_eq!(
            apex_of(&[mx("example.org", 0, "."), a("example.org", "192.0.2.1")]),
            "v=spf1 -all"
        );
    }
}
