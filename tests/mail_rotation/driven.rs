//! Signpost makes the keys, waits, switches the signers and removes what is no longer needed: on command, or by itself.
//!
//! Nothing is done here but to order it and to look. Selectors are guessed beforehand, as anybody can.

use crate::common::signpost::BINARY;
use crate::common::wait_at_most;
use crate::land::DOMAIN;
use crate::opendkim::ALGORITHMS;
use crate::way::{PATIENCE, Scene, Software, Way, is_gone, look_up_early};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::iter;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

/// So often a key is asked after.
const PACE: Duration = Duration::from_millis(100);
/// The period of the schedule, as signpost.toml has it.
const EVERY: &str = "every = \"22s\"\n";

/// Nobody is to be told or asked that often. While a secondary lagged it was, within a second.
const MUCH: usize = 500;

pub(crate) struct Driven {
    by_itself: bool,
}

/// A key, as `signpost key status` has it.
struct Key {
    selector: String,
    stage: String,
}

impl Driven {
    /// `signpost key rotate`.
    pub(crate) fn on_command() -> Self {
        Self { by_itself: false }
    }

    /// `every`, and no command at all.
    pub(crate) fn by_itself() -> Self {
        Self { by_itself: true }
    }
}

impl Way for Driven {
    fn software(&self) -> Software {
        Software::Signpost
    }

    fn rotation(&self) -> String {
        let every = if self.by_itself { EVERY } else { "" };
        format!("{every}algorithms = [\"rsa2048\", \"ed25519\"]\nselector = \"{{year}}-{{alg}}\"\n")
    }

    fn signers(&self) -> String {
        let signer = |(name, key_type): (&str, &str)| {
            format!(
                "[[signer]]\nkind = \"opendkim\"\nalgorithms = [\"{key_type}\"]\nkey_table = \"{name}/KeyTable\"\n\
                 signing_table = \"{name}/SigningTable\"\npid_file = \"{name}/opendkim.pid\"\n\
                 owner = \"opendkim:opendkim\"\n"
            )
        };
        let names = ALGORITHMS.map(|algorithm| algorithm.name());
        names.into_iter().zip(["rsa", "ed25519"]).map(signer).collect()
    }

    fn selectors(&self, generation: u32) -> Vec<String> {
        assert_eq!(generation, 0, "Signpost names them");
        vec!["rsa0".to_owned(), "ed0".to_owned()]
    }

    fn wait_until_due(&self, scene: &Scene<'_>) {
        if !self.by_itself {
            return;
        }
        wait_at_most(PATIENCE, "the begin of a rotation", || {
            let keys = keys(&scene.dir)?;
            guess(&keys).iter().for_each(|selector| look_up_early(scene, selector));
            keys.iter().any(|key| key.stage == "published").then_some(())
        });
    }

    fn rotate(&self, scene: &Scene<'_>, _: u32) {
        let before = wait_at_most(PATIENCE, "the keys", || keys(&scene.dir));
        let old = of_stage(&before, "signing");
        assert_eq!(old.len(), 2, "{old:?}");
        if !self.by_itself {
            for selector in &order(scene) {
                let wait = ["key", "wait", DOMAIN, selector, "--for", "signing", "--timeout", "60s"];
                let output = signpost(&scene.dir, &wait);
                assert!(output.status.success(), "{output:?}");
            }
        }
        wait_at_most(PATIENCE, "the switch of both signers", || {
            let new = of_stage(&keys(&scene.dir)?, "signing");
            (new.len() == 2 && new.is_disjoint(&old)).then_some(())
        });
    }

    /// What is left are the keys that are signed with, and of the first ones the files, which Signpost has not made and
    /// does not remove; so it remembers that they are revoked.
    fn wait_for_the_end(&self, scene: &Scene<'_>, life: Duration) {
        let log = fs::read_to_string(scene.dir.join("state/secondary.log")).unwrap();
        let told = log.matches("received notify").count();
        assert!(told < MUCH, "the secondary was told of changes {told} times");
        eprintln!("the secondary was told of changes {told} times");
        if self.by_itself {
            give_up_schedule(&scene.dir);
        }
        let before = wait_at_most(PATIENCE, "the keys", || keys(&scene.dir));
        let first: BTreeSet<String> = self.selectors(0).into_iter().collect();
        let left = wait_at_most(life + PATIENCE, "the end of all keys of before", || {
            let keys = keys(&scene.dir)?;
            let is_last = keys.len() == 4 && of_stage(&keys, "revoked") == first;
            let signing = of_stage(&keys, "signing");
            (is_last && signing.len() == 2).then_some(signing)
        });
        let mut expected: BTreeSet<String> = files_of(&left);
        expected.extend(["rsa0.private", "rsa0.txt", "ed0.private"].map(str::to_owned));
        assert_eq!(
            files(&scene.keys),
            expected,
            "Signpost removes what it made, and nothing else"
        );
        for Key { selector, .. } in before.iter().filter(|key| !left.contains(&key.selector)) {
            wait_at_most(PATIENCE, &format!("the end of {selector}"), || {
                is_gone(scene.land, selector).then_some(())
            });
        }
    }
}

/// Orders a rotation, again if the server was killed meanwhile; returns the selectors of the new keys, which somebody
/// has looked up just before.
fn order(scene: &Scene<'_>) -> Vec<String> {
    wait_at_most(PATIENCE, "new keys", || {
        let guessed = guess(&keys(&scene.dir)?);
        guessed.iter().for_each(|selector| look_up_early(scene, selector));
        let output = signpost(&scene.dir, &["key", "rotate", DOMAIN]);
        if !output.status.success() {
            eprintln!("ordered again: {output:?}");
            return None;
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let words = text.lines().filter_map(|line| line.split_whitespace().next());
        let made: Vec<String> = words.map(str::to_owned).collect();
        assert_eq!(made, guessed, "{text}");
        Some(made)
    })
}

/// The keys as the server knows them without asking anybody; `None` if it is not there to say so.
fn keys(dir: &Path) -> Option<Vec<Key>> {
    thread::sleep(PACE);
    let output = signpost(dir, &["key", "status", "--json"]);
    let views: Value = serde_json::from_slice(&output.stdout).ok()?;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let key = |view: &Value| Key {
        selector: text(&view["selector"]),
        stage: text(&view["stage"]),
    };
    Some(views.as_array()?.iter().map(key).collect())
}

fn of_stage(keys: &[Key], stage: &str) -> BTreeSet<String> {
    let keys = keys.iter().filter(|key| key.stage == stage);
    keys.map(|key| key.selector.clone()).collect()
}

/// The selectors of the next keys: the pattern of [`Driven::rotation`], and a number if that is taken.
fn guess(keys: &[Key]) -> Vec<String> {
    let year = String::from_utf8(Command::new("date").args(["-u", "+%Y"]).output().unwrap().stdout).unwrap();
    let free = |kind: &str| {
        let plain = format!("{}-{kind}", year.trim());
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        let mut names = iter::once(plain.clone()).chain(numbered);
        names.find(|name| keys.iter().all(|key| key.selector != *name))
    };
    ["rsa", "ed"].into_iter().filter_map(free).collect()
}

/// From now on nothing is rotated by itself.
fn give_up_schedule(dir: &Path) {
    let (config, beside) = (dir.join("signpost.toml"), dir.join(".beside"));
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains(EVERY), "{text}");
    fs::write(&beside, text.replace(EVERY, "")).unwrap();
    fs::rename(beside, config).unwrap();
}

fn files_of(selectors: &BTreeSet<String>) -> BTreeSet<String> {
    let both = |selector: &String| ["private", "txt"].map(|kind| format!("{selector}.{kind}"));
    selectors.iter().flat_map(both).collect()
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn signpost(dir: &Path, args: &[&str]) -> Output {
    Command::new(BINARY).current_dir(dir).args(args).output().unwrap()
}
