//! What the control socket asks about keys: make one, rotate, how they stand, may they be signed with.

use super::Daemon;
use super::engine::{Engine, now};
use super::keeper::{KeyView, Work};
use crate::control::{Pending, Reply};
use crate::mail::dkim::NewKey;
use crate::name::Name;
use crate::publish::Stage;
use std::collections::BTreeSet;

impl Daemon {
    /// Makes keys for a domain; if they are `next`, the signer goes on to them as soon as that is safe.
    pub(super) fn key_make(
        &mut self,
        pending: Pending,
        domain: &str,
        selector: Option<&str>,
        algorithm: Option<&str>,
        next: bool,
    ) {
        match self.engine.keys_to_make(domain, selector, algorithm, next) {
            Ok(Order::Make(domain, keys)) => {
                self.engine.keeper.try_again(&domain, now());
                let work = Work::Make { keys, next };
                self.engine.give(&domain, work, Some(pending));
            }
            Ok(Order::Choose(domain, selector)) => {
                self.engine.keeper.try_again(&domain, now());
                let known = self.engine.choose(&domain, &selector);
                self.engine.keeper.touch(&domain);
                pending.reply(match known {
                    true => Reply::done(format!("the signer goes on to {selector} as soon as that is safe\n")),
                    false => Reply::failed("the state could not be stored; make room in the state directory"),
                });
            }
            Err(why) => pending.reply(Reply::failed(why)),
        }
    }

    /// How keys stand. Those of one domain are asked for at the name servers first.
    pub(super) fn key_status(&mut self, pending: Pending, domain: Option<&str>, json: bool) {
        let Some(domain) = domain else {
            return pending.reply(self.engine.status_of_keys(None, json));
        };
        match Name::from_text(domain).map(|domain| domain.to_lowercase()) {
            Ok(domain) if !self.engine.publisher.keys(&domain).is_empty() => {
                let keys = self.engine.publisher.keys(&domain).iter();
                let live = keys.filter(|key| matches!(key.stage, Stage::Live | Stage::Signing));
                let keys: BTreeSet<_> = live.map(|key| (domain.clone(), key.selector.clone())).collect();
                match keys.is_empty() {
                    true => pending.reply(self.engine.status_of_keys(Some(&domain), json)),
                    false => self.engine.keeper.ask_for(pending, json, domain, keys, now()),
                }
            }
            _ => pending.reply(Reply::failed(format!(
                "{domain} has no keys here; `signpost key list` shows those that there are"
            ))),
        }
    }

    /// May a key be signed with, or may it go?
    pub(super) fn key_gate(&mut self, domain: &str, selector: &str, for_removal: bool) -> Reply {
        let Ok(domain) = Name::from_text(domain).map(|domain| domain.to_lowercase()) else {
            return Reply::failed(format!("`{domain}` is no domain name"));
        };
        let now = now();
        let Some(key) = self.engine.publisher.key(&domain, selector).cloned() else {
            let unknown = format!("{domain} has no key with the selector {selector}");
            // One that was revoked and forgotten is gone, as was asked for.
            return match for_removal && self.engine.home_of_keys(&domain).is_ok() {
                true => Reply::done(unknown + ": nothing is in the way\n"),
                false => Reply::failed(unknown + " (yet)"),
            };
        };
        if !for_removal {
            let at = match self.engine.gate_of(&key, now) {
                crate::rotate::Gate::Waits { until } => until,
                _ => now,
            };
            self.engine.keeper.want(&(domain, selector.to_owned()), at, now);
        }
        let view = self.engine.key_view(&key, self.engine.trouble_of(&key.domain), now);
        match view.judge(for_removal) {
            Ok(text) => Reply::done(text),
            Err(text) if view.is_hopeless(for_removal) => Reply::failed(text),
            Err(mut text) => {
                if for_removal && key.stage == Stage::Retiring {
                    self.engine.tell_what_holds(&key.domain, &mut text, now);
                }
                Reply {
                    amiss: true,
                    ..Reply::done(text)
                }
            }
        }
    }
}

/// What an order to make keys comes to.
pub(super) enum Order {
    Make(Name, Vec<(String, NewKey)>),
    Choose(Name, String),
}

impl Engine {
    /// Why no key of a domain can be published here, if that is so.
    fn home_of_keys(&self, domain: &Name) -> Result<(), String> {
        let owner = domain.prefixed("_domainkey").map_err(|error| error.to_string())?;
        match self.sources.zones.closest_enclosing(&owner) {
            None => Err(format!(
                "no zone that is served holds {owner}; `signpost zone list` shows those that are"
            )),
            Some(apex) if self.sources.zones.get(apex).is_some_and(|zone| zone.is_left_alone()) => Err(format!(
                "{apex} is served as it is fetched, without keys of here; give it a [mail] of its own in its policy file"
            )),
            Some(_) => Ok(()),
        }
    }

    fn keys_to_make(
        &self,
        domain: &str,
        selector: Option<&str>,
        algorithm: Option<&str>,
        next: bool,
    ) -> Result<Order, String> {
        let domain = Name::from_text(domain)
            .map_err(|error| format!("`{domain}` is no domain name: {error}"))?
            .to_lowercase();
        self.home_of_keys(&domain)?;
        if self.keeper.is_busy(&domain) || self.keeper.awaits(&domain) {
            return Err(format!("another step of {domain} is in hand; try again in a moment"));
        }
        let signers = self.keeper.signers();
        if next && signers.is_empty() {
            return Err(
                "no [[signer]] says which program signs and where its tables are, so none can be switched; write one \
                 into signpost.toml, or use `signpost key new` and `signpost key wait`"
                    .into(),
            );
        }
        let keys = self.publisher.keys(&domain);
        let can_be_signed_with = |kind: NewKey| match signers.is_empty() || self.keeper.has_signer(kind) {
            true => Ok(()),
            false => Err(format!(
                "no [[signer]] signs with keys of {}; name it in `algorithms` of one that does",
                kind.name()
            )),
        };
        if let Some(selector) = selector
            && let Some(key) = keys.iter().find(|key| key.selector == selector)
        {
            can_be_signed_with(NewKey::of(key.algorithm))?;
            let switching = keys.iter().find(|other| {
                other.course.switching && other.is_on_its_way() && other.algorithm.is_kind_of(key.algorithm)
            });
            return match (next, key.stage) {
                (true, Stage::Live) if let Some(other) = switching => Err(under_way(&other.selector)),
                (true, Stage::Live) => Ok(Order::Choose(domain, selector.to_owned())),
                (true, Stage::Signing) => Err(format!("{selector} is signed with already")),
                (true, _) => Err(format!("{selector} is on its way out; a new key wants a new selector")),
                (false, _) => Err(format!("{domain} has a key with the selector {selector}; take another")),
            };
        }
        let rotation = self.rotation_of(&domain);
        let kinds: Vec<NewKey> = match algorithm {
            Some(name) => vec![
                NewKey::from_name(name)
                    .ok_or_else(|| format!("`{name}` is no kind of key; write rsa2048, rsa3072, rsa4096 or ed25519"))?,
            ],
            None if selector.is_some() => rotation.algorithms.iter().take(1).copied().collect(),
            None => rotation.algorithms.clone(),
        };
        kinds.iter().try_for_each(|kind| can_be_signed_with(*kind))?;
        let under_way_already = |kind: &NewKey| {
            let mut of_kind = keys.iter().filter(|key| kind.is_kind_of(key.algorithm));
            of_kind.find(|key| key.is_on_its_way())
        };
        if let Some(key) = kinds.iter().find_map(under_way_already).filter(|_| next) {
            return Err(under_way(&key.selector));
        }
        let taken = |name: &str| keys.iter().any(|key| key.selector == name);
        let name = |kind| selector.map_or_else(|| rotation.selector.unused(now(), kind, &taken), str::to_owned);
        Ok(Order::Make(
            domain,
            kinds.into_iter().map(|kind| (name(kind), kind)).collect(),
        ))
    }

    /// The signer is to go on to this key, and to no other of its kind; says whether that could be stored.
    fn choose(&mut self, domain: &Name, selector: &str) -> bool {
        let Some(kind) = self.publisher.key(domain, selector).map(|key| key.algorithm) else {
            return false;
        };
        let keys = self.publisher.keys(domain);
        let others = keys
            .iter()
            .filter(|key| key.course.next && key.algorithm.is_kind_of(kind));
        let others: Vec<String> = others.map(|key| key.selector.clone()).collect();
        let mut others = others.iter().filter(|other| *other != selector);
        others.all(|other| self.set_course(domain, other, |course| course.next = false))
            && self.set_course(domain, selector, |course| course.next = true)
    }

    /// The name servers that do not serve the keys which are signed with now.
    fn tell_what_holds(&self, domain: &Name, text: &mut String, now: u64) {
        let signing = self
            .publisher
            .keys(domain)
            .iter()
            .filter(|key| key.stage == Stage::Signing);
        for key in signing {
            for against in self.key_view(key, None, now).all_against() {
                *text += &format!("; {} is not served by {against}", key.selector);
            }
        }
    }

    /// How the keys of a domain stand, or those of all.
    pub(super) fn status_of_keys(&self, domain: Option<&Name>, json: bool) -> Reply {
        let now = now();
        let domains: BTreeSet<&Name> = match domain {
            Some(domain) => BTreeSet::from([domain]),
            None => self.publisher.key_domains().collect(),
        };
        let (mut text, mut views, mut amiss) = (String::new(), vec![], false);
        for domain in domains {
            let trouble = self.trouble_of(domain);
            let keys = self.publisher.keys(domain).iter();
            let keys: Vec<KeyView> = keys.map(|key| self.key_view(key, trouble.clone(), now)).collect();
            text += &format!("{domain}\n");
            text.extend(keys.iter().map(ToString::to_string));
            if let Some(trouble) = trouble {
                text += &format!("    the last step failed and is tried again: {trouble}\n");
                amiss = true;
            }
            amiss |= keys.iter().any(KeyView::is_amiss);
            views.extend(keys);
        }
        if json {
            text = serde_json::to_string_pretty(&views).unwrap_or_default() + "\n";
        } else if text.is_empty() {
            text = "no keys are published\n".into();
        }
        Reply {
            amiss,
            ..Reply::done(text)
        }
    }

    /// Answers those whose name servers have been asked, or who waited long enough.
    pub(super) fn answer_askers(&mut self, now: u64) {
        for asker in self.keeper.take_answered(now) {
            let reply = self.status_of_keys(Some(&asker.domain), asker.json);
            asker.pending.reply(reply);
        }
    }
}

fn under_way(selector: &str) -> String {
    format!("{selector} is on its way already; see `signpost key status`, and rotate again once it is signed with")
}
