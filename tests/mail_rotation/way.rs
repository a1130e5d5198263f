//! The ways to rotate a key.
//!
//! - [`Classical`]: BIND, and all steps at once, as tutorials have it;
//! - [`ByHand`]: Signpost, and a person (or a script) who knows what to wait for;
//! - [`Driven`](crate::driven::Driven): Signpost does it all.

use crate::common::wait_at_most;
use crate::judge::Judge;
use crate::land::{DOMAIN, Land, NAME_SERVERS, NEGATIVE_TTL, TTL};
use crate::opendkim::{Signer, new_key};
use crate::primary::{paste, rndc_reload};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// How long the name servers may keep a rotation waiting.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a rotation has to do with.
pub(crate) struct Scene<'a> {
    pub(crate) land: &'a Land,
    /// The primary's folder, and that of the domain's keys.
    pub(crate) dir: PathBuf,
    pub(crate) keys: PathBuf,
    /// One for each selector of a generation.
    pub(crate) signers: Vec<Signer>,
    pub(crate) judge: Judge,
}

/// The primary name server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Software {
    Bind,
    Signpost,
}

/// A way to rotate.
pub(crate) trait Way: Sync {
    fn software(&self) -> Software;

    /// What Signpost's `[mail.dkim.rotation]` has beside `retire` and `forget`.
    fn rotation(&self) -> String {
        String::new()
    }

    /// The signers that Signpost knows of.
    fn signers(&self) -> String {
        String::new()
    }

    /// The selectors of a generation of keys, one for each algorithm that is signed with. Those that Signpost makes it
    /// names itself, and only the first ones are asked for.
    fn selectors(&self, generation: u32) -> Vec<String>;

    /// Waits for the begin of a rotation that begins by itself.
    fn wait_until_due(&self, _scene: &Scene<'_>) {}

    /// Leads from the keys of the generation before to new ones. Returns when the old ones are given up.
    fn rotate(&self, scene: &Scene<'_>, generation: u32);

    /// A key's life goes on to its end, whatever happened meanwhile: `life` is how long its record stays.
    fn wait_for_the_end(&self, _scene: &Scene<'_>, _life: Duration) {}
}

/// `opendkim-genkey`, the zone file, `rndc reload`, the signer, and the old key is gone: one step after the other.
pub(crate) struct Classical {
    /// Overwrites the key under the old selector instead of taking a new one.
    pub(crate) same_selector: bool,
}

impl Way for Classical {
    fn software(&self) -> Software {
        Software::Bind
    }

    fn selectors(&self, generation: u32) -> Vec<String> {
        if self.same_selector {
            vec!["mail".to_owned()]
        } else {
            vec![format!("rsa{generation}")]
        }
    }

    fn rotate(&self, scene: &Scene<'_>, generation: u32) {
        let (old, new) = (self.selectors(generation - 1), self.selectors(generation));
        for (signer, selector) in scene.signers.iter().zip(&new) {
            look_up_early(scene, selector);
            let key = new_key(&scene.keys, selector, signer.algorithm());
            paste(&scene.dir, generation + 1, &scene.keys, &new);
            rndc_reload(scene.land, &scene.dir);
            signer.switch(selector, &key);
        }
        for selector in old.iter().filter(|selector| !new.contains(selector)) {
            remove(scene, selector);
        }
    }
}

/// New selectors; the signers are switched when all name servers have the keys and nobody can remember that they had
/// not; the old files go when nothing is signed with them any more. That their records stay is Signpost's part.
pub(crate) struct ByHand;

impl Way for ByHand {
    fn software(&self) -> Software {
        Software::Signpost
    }

    fn selectors(&self, generation: u32) -> Vec<String> {
        vec![format!("rsa{generation}"), format!("ed{generation}")]
    }

    fn rotate(&self, scene: &Scene<'_>, generation: u32) {
        let (old, new) = (self.selectors(generation - 1), self.selectors(generation));
        for selector in &new {
            look_up_early(scene, selector);
        }
        let make = |(signer, selector): (&Signer, &String)| new_key(&scene.keys, selector, signer.algorithm());
        let keys: Vec<PathBuf> = scene.signers.iter().zip(&new).map(make).collect();
        for selector in &new {
            wait_until_safe_to_sign(scene.land, selector);
        }
        for (signer, (selector, key)) in scene.signers.iter().zip(new.iter().zip(&keys)) {
            signer.switch(selector, key);
        }
        // A session that began before goes on with the old tables, and its key must be there: messages come from one
        // session at a time, so the first with the new keys says that the last such session is over.
        for selector in &new {
            scene.judge.wait_for_selector(selector);
        }
        for selector in &old {
            remove(scene, selector);
        }
    }

    fn wait_for_the_end(&self, scene: &Scene<'_>, life: Duration) {
        for selector in self.selectors(0) {
            wait_at_most(life, &format!("the end of {selector}"), || {
                is_gone(scene.land, &selector).then_some(())
            });
        }
    }
}

/// No name server has anything at a selector.
pub(crate) fn is_gone(land: &Land, selector: &str) -> bool {
    let at = |server| land.text_at(server, &owner(selector));
    NAME_SERVERS.into_iter().all(|server| at(server).is_empty())
}

/// Somebody asks for a selector before it is there, as monitoring and the curious do: resolvers remember the "no".
pub(crate) fn look_up_early(scene: &Scene<'_>, selector: &str) {
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
    thread::sleep(Duration::from_secs(TTL.max(NEGATIVE_TTL)));
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
