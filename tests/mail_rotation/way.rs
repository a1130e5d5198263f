//! The ways to rotate a key.
//!
//! - [`Classical`]: BIND, and all steps at once, as tutorials have it;
//! - [`ByHand`]: Signpost, and a person (or a script) who knows what to wait for.

use crate::common::wait_at_most;
use crate::judge::Judge;
use crate::land::{DOMAIN, Land, NAME_SERVERS, ZONE};
use crate::opendkim::{Signer, new_key};
use crate::primary::{paste, rndc_reload};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// How long the name servers may keep a rotation waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a rotation has to do with.
pub(crate) struct Scene<'a> {
    pub(crate) land: &'a Land,
    /// The primary's folder, and that of the domain's keys.
    pub(crate) dir: PathBuf,
    pub(crate) keys: PathBuf,
    pub(crate) rsa: Signer,
    pub(crate) ed25519: Option<Signer>,
    pub(crate) judge: Judge,
}

/// A way to rotate.
pub(crate) trait Way: Sync {
    /// The selector of the RSA key of a generation.
    fn rsa_selector(&self, generation: u32) -> String;

    /// The selector of its Ed25519 key, if there is one.
    fn ed25519_selector(&self, generation: u32) -> Option<String>;

    /// Leads from the keys of the generation before to new ones. Returns when the old ones are given up.
    fn rotate(&self, scene: &Scene<'_>, generation: u32);
}

/// `opendkim-genkey`, the zone file, `rndc reload`, the signer, and the old key is gone: one step after the other.
pub(crate) struct Classical {
    /// Overwrites the key under the old selector instead of taking a new one.
    pub(crate) same_selector: bool,
}

impl Way for Classical {
    fn rsa_selector(&self, generation: u32) -> String {
        if self.same_selector {
            "mail".to_owned()
        } else {
            format!("rsa{generation}")
        }
    }

    fn ed25519_selector(&self, _: u32) -> Option<String> {
        None
    }

    fn rotate(&self, scene: &Scene<'_>, generation: u32) {
        let (old, new) = (self.rsa_selector(generation - 1), self.rsa_selector(generation));
        look_up_early(scene, &new);
        let key = new_key(&scene.keys, &new, false);
        paste(&scene.dir, generation + 1, &key.with_extension("txt"));
        rndc_reload(scene.land, &scene.dir);
        scene.rsa.switch(&new, &key);
        if old != new {
            remove(scene, &old);
        }
    }
}

/// New selectors; the signers are switched when all name servers have the keys and nobody can remember that they had
/// not; the old files go when nothing is signed with them any more. That their records stay is Signpost's part.
pub(crate) struct ByHand;

impl Way for ByHand {
    fn rsa_selector(&self, generation: u32) -> String {
        format!("rsa{generation}")
    }

    fn ed25519_selector(&self, generation: u32) -> Option<String> {
        Some(format!("ed{generation}"))
    }

    fn rotate(&self, scene: &Scene<'_>, generation: u32) {
        let signers = [
            (
                &scene.rsa,
                false,
                self.rsa_selector(generation),
                self.rsa_selector(generation - 1),
            ),
            (
                scene.ed25519.as_ref().unwrap(),
                true,
                self.ed25519_selector(generation).unwrap(),
                self.ed25519_selector(generation - 1).unwrap(),
            ),
        ];
        for (_, _, new, _) in &signers {
            look_up_early(scene, new);
        }
        let keys = signers
            .each_ref()
            .map(|(_, ed25519, new, _)| new_key(&scene.keys, new, *ed25519));
        for (_, _, new, _) in &signers {
            wait_until_safe_to_sign(scene.land, new);
        }
        for ((signer, _, new, _), key) in signers.iter().zip(&keys) {
            signer.switch(new, key);
        }
        for (_, _, new, old) in &signers {
            scene.judge.wait_for_selector(new);
            remove(scene, old);
        }
    }
}

/// Somebody asks for a selector before it is there, as monitoring and the curious do: resolvers remember the "no".
fn look_up_early(scene: &Scene<'_>, selector: &str) {
    scene.land.look_up(&owner(selector));
}

/// Every name server has the key, and what was true before is forgotten everywhere: the "no" after the SOA's minimum
/// (RFC 2308 §5), another key after the TTL.
fn wait_until_safe_to_sign(land: &Land, selector: &str) {
    for server in NAME_SERVERS {
        wait_at_most(PATIENCE, &format!("{selector} at {server}"), || {
            is_key(&land.text_at(server, &owner(selector))).then_some(())
        });
    }
    thread::sleep(longest_memory());
}

/// How long a resolver may remember anything of the zone, by its own text.
fn longest_memory() -> Duration {
    let ttl = ZONE.lines().find_map(|line| line.strip_prefix("$TTL ")).unwrap();
    let soa = ZONE.lines().find(|line| line.contains(" SOA ")).unwrap();
    let minimum = soa.rsplit(' ').next().unwrap();
    let seconds = [ttl, minimum].map(|text| text.parse().unwrap());
    Duration::from_secs(seconds.into_iter().max().unwrap())
}

fn is_key(text: &str) -> bool {
    text.starts_with("v=DKIM1") && !text.ends_with("p=")
}

fn remove(scene: &Scene<'_>, selector: &str) {
    for kind in ["private", "txt"] {
        let file = scene.keys.join(format!("{selector}.{kind}"));
        if file.exists() {
            fs::remove_file(file).unwrap();
        }
    }
}

pub(crate) fn owner(selector: &str) -> String {
    format!("{selector}._domainkey.{DOMAIN}")
}
