//! Keys rotate under real mail, and every message is looked at: SPF, DKIM and DMARC, by OpenDKIM and by dkimpy and
//! pyspf, which owe nothing to it.
//!
//! A Postfix with OpenDKIM as the tutorial sets them up sends several messages a second to another one. Some of them
//! stay in the queue, some are sent on later, and meanwhile keys are rotated, a secondary lags, the name server is
//! killed, the receiver is away. All of it happens in two network namespaces, at a thousandth of the usual TTLs.
//! The same is done in the classical way, and what fails is counted.
//!
//! - [`land`]: the networks, the resolver, the secondary; [`primary`]: Signpost or BIND;
//! - [`postfix`], [`opendkim`]: the mail servers, the signers, the verifier;
//! - [`traffic`]: the mail; [`judge`]: what became of it;
//! - [`way`]: the ways to rotate; [`driven`]: Signpost does it all.
//!
//! Needs root, for the namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

#[path = "../common/mod.rs"]
mod common;
mod driven;
mod judge;
mod land;
mod opendkim;
mod postfix;
mod primary;
mod traffic;
mod way;

use common::signpost::House;
use driven::Driven;
use judge::{Judge, Tally};
use land::Land;
use opendkim::{ALGORITHMS, Algorithm, Signer, VERIFIER_PORT, new_key};
use postfix::Postfix;
use primary::Primary;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use traffic::{Plan, Traffic};
use way::{ByHand, Classical, Scene, Software, Way};

/// What happens while a rotation goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mishap {
    None,
    /// The secondary cannot fetch for so many seconds, and goes on answering with what it has.
    SecondaryLags(u64),
    /// The primary is killed and started again, so many seconds after the begin and once more right after the end.
    PrimaryIsKilled(u64),
    /// The receiving mail server is away for so many seconds.
    ReceiverIsAway(u64),
}

/// A run: how much mail, and the rotations.
struct Run {
    plan: Plan,
    /// From the begin of one rotation to that of the next.
    period: Duration,
    /// Longer than any message is under way: the longest hold, the receiver's absence, and the queue's own time.
    retire: Duration,
    forget: Duration,
    rotations: &'static [Mishap],
}

const SHORT: Run = Run {
    plan: Plan {
        every: Duration::from_millis(200),
        hold: Duration::from_secs(11),
    },
    period: Duration::from_secs(12),
    retire: Duration::from_secs(16),
    forget: Duration::from_secs(5),
    rotations: &[Mishap::SecondaryLags(4), Mishap::PrimaryIsKilled(1)],
};

const LONG: Run = Run {
    plan: Plan {
        every: Duration::from_millis(170),
        hold: Duration::from_secs(12),
    },
    period: Duration::from_secs(22),
    retire: Duration::from_secs(25),
    forget: Duration::from_secs(10),
    rotations: &[
        Mishap::None,
        Mishap::SecondaryLags(9),
        Mishap::PrimaryIsKilled(1),
        Mishap::ReceiverIsAway(6),
        Mishap::None,
        Mishap::SecondaryLags(3),
        Mishap::PrimaryIsKilled(4),
        Mishap::None,
    ],
};

impl Run {
    fn play(&self, way: &dyn Way) -> Tally {
        let land = Land::new();
        // OpenDKIM takes no key from below a folder that everybody may write to, such as /tmp.
        let house = House::below(Path::new("/run"), "");
        // OpenDKIM and Postfix give up root and go on reading below.
        fs::set_permissions(house.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        let keys = opendkim::key_folder(&house.path("keys"));
        let signers = first_signers(way, &land, &house, &keys);
        let mut primary = match way.software() {
            Software::Signpost => {
                let (retire, forget) = (self.retire.as_secs(), self.forget.as_secs());
                let rotation = format!("retire = \"{retire}s\"\nforget = \"{forget}s\"\n{}", way.rotation());
                Primary::signpost(&land, &house, &rotation, &way.signers())
            }
            Software::Bind => Primary::bind(&land, &house, &keys, &way.selectors(0)),
        };
        let _secondary = land::secondary(&land, &house.path("state"));
        let _resolver = land::resolver(&land, &house.path("state"));
        land::wait_for_name_servers(&land);

        let _verifier = opendkim::verifier(&land.receiving, &house.path("verifier"));
        let mut receiver = Postfix::receiving(&land.receiving, &house.path("receiver"), VERIFIER_PORT);
        let milters: Vec<u16> = signers.iter().map(Signer::port).collect();
        let sender = Postfix::sending(&land.sending, &house.path("sender"), &milters);
        let judge = Judge::start(&land, &house.path(""), &house.path("receiver/inbox"));
        let scene = Scene {
            land: &land,
            dir: house.path(""),
            keys,
            signers,
            judge,
        };
        let tally = thread::scope(|scope| {
            let kept = scene.judge.kept().to_owned();
            let traffic = Traffic::start(scope, &land, self.plan, sender.etc(), kept);
            for selector in way.selectors(0) {
                scene.judge.wait_for_selector(&selector);
            }
            // Until there is mail of every age.
            thread::sleep(self.plan.hold);
            for (generation, mishap) in (1..).zip(self.rotations) {
                way.wait_until_due(&scene);
                let begin = Instant::now();
                thread::scope(|scope| {
                    let rotation = scope.spawn(|| way.rotate(&scene, generation));
                    happen(*mishap, &land, &mut primary, &mut receiver);
                    rotation.join().unwrap_or_else(|panic| resume_unwind(panic));
                });
                if matches!(mishap, Mishap::PrimaryIsKilled(_)) {
                    primary.kill_and_start(&land);
                }
                eprintln!("rotation {generation}, {mishap:?}: {:?}", begin.elapsed());
                thread::sleep(self.period.saturating_sub(begin.elapsed()));
            }
            scene.judge.tally(&traffic.finish())
        });
        way.wait_for_the_end(&scene, self.retire + self.forget);
        tally
    }
}

/// The keys of generation 0, and an OpenDKIM for each.
fn first_signers(way: &dyn Way, land: &Land, house: &House, keys: &Path) -> Vec<Signer> {
    let start = |(selector, algorithm): (&String, Algorithm)| {
        let key = new_key(keys, selector, algorithm);
        let folder = house.path(algorithm.name());
        Signer::start(&land.sending, &folder, algorithm, selector, &key)
    };
    way.selectors(0).iter().zip(ALGORITHMS).map(start).collect()
}

fn happen(mishap: Mishap, land: &Land, primary: &mut Primary, receiver: &mut Postfix) {
    match mishap {
        Mishap::None => {}
        Mishap::SecondaryLags(seconds) => {
            land.cut_transfers(true);
            thread::sleep(Duration::from_secs(seconds));
            land.cut_transfers(false);
        }
        Mishap::PrimaryIsKilled(seconds) => {
            thread::sleep(Duration::from_secs(seconds));
            primary.kill_and_start(land);
        }
        Mishap::ReceiverIsAway(seconds) => {
            receiver.stop();
            thread::sleep(Duration::from_secs(seconds));
            receiver.start();
        }
    }
}

fn assert_all_pass(tally: &Tally) {
    assert_eq!(tally.failed, 0, "{tally}{}", tally.list());
    assert_eq!(tally.refused, 0, "the sender's own server took every message at once");
    assert_eq!(tally.single, 0, "every message has both signatures");
    assert!(tally.held > 0 && tally.forwarded > 0, "{tally}");
}

#[test]
fn no_message_fails_while_keys_rotate() {
    let tally = SHORT.play(&Driven::on_command());
    println!("{tally}");
    assert_all_pass(&tally);
}

#[test]
fn no_message_fails_while_somebody_rotates_keys_with_care() {
    let tally = SHORT.play(&ByHand);
    println!("{tally}");
    assert_all_pass(&tally);
}

/// The judges see what there is to see: the same mail, the same times, and keys that are simply replaced.
#[test]
fn messages_fail_when_a_key_is_replaced_at_once() {
    let run = Run {
        rotations: &[Mishap::None],
        ..SHORT
    };
    let tally = run.play(&Classical { same_selector: true });
    println!("{tally}");
    let fail = |by: &str| tally.kinds.keys().any(|kind| kind.starts_with(by));
    assert!(
        fail("DKIM by dkimpy") && fail("DKIM by OpenDKIM") && fail("DMARC"),
        "{tally}"
    );
    assert!(!fail("SPF") && !fail("not signed"), "{tally}{}", tally.list());
}

#[test]
#[ignore = "takes four minutes"]
fn no_message_of_a_thousand_fails_while_keys_rotate() {
    let tally = LONG.play(&Driven::on_command());
    println!("Signpost, on command: {tally}");
    assert_all_pass(&tally);
    assert!(tally.deliveries >= 1000, "{tally}");
}

#[test]
#[ignore = "takes five minutes"]
fn no_message_of_a_thousand_fails_while_keys_rotate_by_themselves() {
    let tally = LONG.play(&Driven::by_itself());
    println!("Signpost, by itself: {tally}");
    assert_all_pass(&tally);
    assert!(tally.deliveries >= 1000, "{tally}");
}

#[test]
#[ignore = "takes four minutes"]
fn no_message_of_a_thousand_fails_while_somebody_rotates_keys_with_care() {
    let tally = LONG.play(&ByHand);
    println!("Signpost, by hand: {tally}");
    assert_all_pass(&tally);
    assert!(tally.deliveries >= 1000, "{tally}");
}

#[test]
#[ignore = "takes four minutes"]
fn many_of_a_thousand_fail_when_a_key_is_replaced_at_once() {
    let tally = LONG.play(&Classical { same_selector: true });
    println!("BIND, the same selector: {tally}{}", tally.list());
    assert!(tally.failed > 0 && tally.deliveries >= 1000, "{tally}");
}

#[test]
#[ignore = "takes four minutes"]
fn many_of_a_thousand_fail_when_a_key_is_switched_at_once() {
    let tally = LONG.play(&Classical { same_selector: false });
    println!("BIND, a new selector: {tally}{}", tally.list());
    assert!(tally.failed > 0 && tally.deliveries >= 1000, "{tally}");
}
