//! What the control socket asks for.

use super::Daemon;
use super::engine::now;
use crate::control::{Pending, Reply, Request};
use crate::exchange::{Known, ZoneStatus};
use crate::name::Name;
use crate::publish::{Fate, KeyState, Stage};
use crate::zonefile;
use std::collections::BTreeSet;
use std::fmt::Write;

impl Daemon {
    pub(super) fn obey(&mut self, pending: Pending) {
        let reply = match pending.request.clone() {
            // These are answered when others have been asked or have done their part.
            Request::ZoneStatus { zone, json } => match self.zones_with_others(zone.as_deref()) {
                Ok(zones) => {
                    let tell = move |told: Vec<ZoneStatus>| pending.reply(status_reply(&told, json));
                    return self.exchange.status(zones, tell);
                }
                Err(reply) => reply,
            },
            Request::KeyStatus { domain, json } => return self.key_status(pending, domain.as_deref(), json),
            Request::KeyNew {
                domain,
                selector,
                algorithm,
                next,
            } => return self.key_make(pending, &domain, selector.as_deref(), algorithm.as_deref(), next),
            Request::KeyGate {
                domain,
                selector,
                removal,
            } => self.key_gate(&domain, &selector, removal),
            Request::Status => Reply::done(self.status()),
            Request::ZoneList => Reply::done(self.zone_list()),
            Request::ZonePrint { zone } => self.zone_print(&zone),
            Request::KeyList => Reply::done(self.key_list()),
            Request::KeyRevoke { domain, selector } => self.key_revoke(&domain, &selector),
            Request::Reload => {
                self.engine.reload();
                Reply::done(format!("everything was read again; {}\n", self.summary()))
            }
        };
        pending.reply(reply);
    }

    fn status(&self) -> String {
        let totals = self.running.totals();
        let up = self.started.elapsed().as_secs();
        let mut text = format!(
            "Signpost {}, up for {}\n{}\n",
            env!("CARGO_PKG_VERSION"),
            spoken(up),
            self.summary()
        );
        for address in self.running.addresses() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "listening on {address}, UDP and TCP");
        }
        for (transport, address) in self.running.encrypted_addresses() {
            let _ = writeln!(text, "listening on {address}, {transport}");
        }
        let _ = writeln!(
            text,
            "{} queries over UDP and {} over TCP",
            totals.udp_queries, totals.tcp_queries
        );
        if totals.udp_limited > 0 {
            let _ = writeln!(
                text,
                "{} responses over UDP were held back by the limit of rates, {} of them sent without records",
                totals.udp_limited, totals.udp_slipped
            );
        }
        for (name, finding) in self.engine.news.in_force() {
            let _ = writeln!(
                text,
                "{name} {}: {finding}",
                crate::cli::severity_word(finding.severity)
            );
        }
        text
    }

    fn zone_list(&self) -> String {
        let zones = self.engine.zones.load();
        let mut lines: Vec<(Name, String)> = zones
            .iter()
            .map(|zone| {
                let source = self.engine.sources.zones.get(zone.apex());
                if zone.is_unavailable() {
                    let line = format!("{} has no data; it is fetched from its primaries", zone.apex());
                    return (zone.apex().clone(), line);
                }
                let source = match source.map(|source| (source.without_file(), source.fetched())) {
                    Some((Some(table), _)) => format!(", composed from {}", table.place.file.display()),
                    Some((_, Some(fetched))) => format!(", {}", fetched.from()),
                    _ => String::new(),
                };
                let line = format!(
                    "{} serial {}, {} records{source}",
                    zone.apex(),
                    zone.serial(),
                    zone.record_count()
                );
                (zone.apex().clone(), line)
            })
            .collect();
        lines.sort();
        lines
            .into_iter()
            .fold(String::new(), |text, (_, line)| text + &line + "\n")
    }

    /// The zone of this name, or all that other servers have from here or that come from others.
    fn zones_with_others(&self, name: Option<&str>) -> Result<Vec<Known>, Reply> {
        let known = |apex: &Name| {
            let fetched = self.engine.sources.zones.get(apex).and_then(|source| source.fetched());
            Known {
                apex: apex.clone(),
                primaries: fetched.map_or_else(Vec::new, |fetched| fetched.primaries.clone()),
            }
        };
        let zones = self.engine.zones.load();
        if let Some(name) = name {
            let apex = Name::from_text(name).ok().filter(|apex| zones.get(apex).is_some());
            let apex = apex.ok_or_else(|| {
                Reply::failed(format!(
                    "{name} is no zone that is served; `signpost zone list` shows those that are"
                ))
            })?;
            return Ok(vec![known(&apex.to_lowercase())]);
        }
        let policies = self.engine.rules.policies().load_full();
        let has_others = |apex: &Name| {
            let policy = policies.of(apex);
            policy.allows_anybody() || !policy.notify.is_empty() || !policy.primaries.is_empty()
        };
        let zones: Vec<Known> = zones
            .iter()
            .map(|zone| zone.apex())
            .filter(|apex| has_others(apex))
            .map(known)
            .collect();
        if zones.is_empty() {
            return Err(Reply::done(
                "no zone has secondaries or primaries: nobody may fetch one ([transfer] allow), nobody is told of changes\n",
            ));
        }
        Ok(zones)
    }

    fn zone_print(&self, name: &str) -> Reply {
        let zones = self.engine.zones.load();
        let found = Name::from_text(name).ok().and_then(|apex| zones.get(&apex).cloned());
        let Some(zone) = found.filter(|zone| !zone.is_unavailable()) else {
            return Reply::failed(format!(
                "{name} is no zone that is served; `signpost zone list` shows those that are"
            ));
        };
        let records: Vec<_> = zone.records().collect();
        let mut text = Vec::new();
        match zonefile::write(&records, &mut text) {
            Ok(()) => Reply::done(String::from_utf8_lossy(&text)),
            Err(error) => Reply::failed(format!("{name} cannot be written as text: {error}")),
        }
    }

    fn key_list(&self) -> String {
        let domains: BTreeSet<&Name> = self.engine.publisher.key_domains().collect();
        let mut text = String::new();
        for state in domains
            .into_iter()
            .flat_map(|domain| self.engine.publisher.keys(domain))
        {
            let _ = writeln!(text, "{}", key_line(state, now()));
        }
        if text.is_empty() {
            "no keys are published\n".into()
        } else {
            text
        }
    }

    fn key_revoke(&mut self, domain: &str, selector: &str) -> Reply {
        let Ok(domain) = Name::from_text(domain).map(|domain| domain.to_lowercase()) else {
            return Reply::failed(format!("`{domain}` is no domain name"));
        };
        if let Err(finding) = self.engine.publisher.revoke(&domain, selector, now()) {
            return Reply::failed(finding.to_string());
        }
        self.engine.sources.touch_domain(domain.clone());
        let owner = domain.prefixed(&format!("{selector}._domainkey"));
        match owner.ok().and_then(|owner| self.engine.publish_for(&owner)) {
            Some(Fate::Served) => Reply::done(format!(
                "{selector}._domainkey.{domain} now says p=, and no signature made with that key verifies\n"
            )),
            Some(Fate::Waiting) => Reply::failed(
                "the state could not be stored, so nothing is served yet; make room in the state directory, the rest follows by itself",
            ),
            Some(Fate::Refused | Fate::Unavailable | Fate::Removed) => Reply::failed(
                "the key is revoked, but its zone cannot be built; see the log, mend the zone, and it follows",
            ),
            None => Reply::done("the key is revoked; it stands in no zone that is served\n"),
        }
    }
}

fn key_line(state: &KeyState, now: u64) -> String {
    let stage = match state.stage {
        Stage::Live => "published",
        Stage::Signing => "signing",
        Stage::Retiring if state.course.spent => "retiring (its signer has left it)",
        Stage::Retiring => "retiring (its file is gone)",
        Stage::Revoked { by_command: false } => "revoked (p=)",
        Stage::Revoked { by_command: true } => "revoked by command (p=)",
    };
    let since = spoken(now.saturating_sub(state.since));
    format!(
        "{} {} {stage} for {since}, from {}",
        state.domain, state.selector, state.source
    )
}

/// A span of time in its two largest units.
fn spoken(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let first = units
        .iter()
        .position(|(_, size)| seconds >= *size)
        .unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let words: Vec<String> = units[first..]
        .iter()
        .take(2)
        .filter_map(|(unit, size)| {
            let count = rest / size;
            rest %= size;
            (count > 0 || *size == 1 && seconds == 0).then(|| format!("{count} {unit}"))
        })
        .collect();
    words.join(" ")
}

/// What is told of zones and other servers.
fn status_reply(told: &[ZoneStatus], json: bool) -> Reply {
    let text = match json {
        true => serde_json::to_string_pretty(told)
            .map(|text| text + "\n")
            .unwrap_or_default(),
        false => told.iter().map(ToString::to_string).collect(),
    };
    let all_well = told
        .iter()
        .all(|zone| zone.serial.is_some() && zone.secondaries.iter().all(|secondary| secondary.up_to_date));
    Reply {
        amiss: !all_well,
        ..Reply::done(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_in_two_units() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (7200, "2 h"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(spoken(seconds), words);
        }
    }
}
