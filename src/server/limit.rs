//! Response rate limiting: what a victim of forged source addresses gets of us is kept small.
//!
//! Each prefix of client addresses has, for each thing asked, an account of responses: it fills at the configured
//! rate and holds one second's worth. A response that the account does not cover is held back, but every
//! [`RateLimit::slip`]th becomes one without records that tells an honest client how to go on
//! ([`slip`]). Clients with a good cookie and clients by TCP are where they say they are: they are never
//! limited. What counts as the same thing asked is [`Subject::key`]: name and type for data, the zone for names that
//! do not exist, everything together for errors.
//!
//! One limiter belongs to one worker, so there is no lock: a table of fixed size, made at the start. Four accounts
//! share a place; when all are in use, the one closest to full is given away, so that a flood of many prefixes does
//! not push out the account that limits.

use crate::answer::{Standing, Subject};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How many responses to let out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Responses per second to one prefix for one thing asked.
    pub responses: u32,
    /// Responses per second to one prefix whatever it asks; `None` for no such limit.
    pub all: Option<u32>,
    /// Every how many-th of the responses held back is sent without records; 0 for none.
    pub slip: u32,
    /// Leading bits that make an IPv4 prefix, at most 32.
    pub ipv4_prefix: u8,
    /// Leading bits that make an IPv6 prefix, at most 64.
    pub ipv6_prefix: u8,
}

/// What becomes of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    Slip,
    Drop,
}

/// The accounts of one worker.
pub(super) struct Limiter {
    accounts: Box<[[Account; WAYS]]>,
    seed: u64,
    /// Nanoseconds that one response costs, for one thing and in all.
    cost: u64,
    cost_of_all: Option<u64>,
    limit: RateLimit,
    started: Instant,
    /// The time of this round, in nanoseconds since `started`.
    now: u64,
    watched: [Option<Watched>; WATCHED],
    swept: u64,
}

/// Accounts that share a place: one cache line.
const WAYS: usize = 4;
/// Places, a power of two: 1 MiB in all.
const PLACES: usize = 1 << 14;
/// What an account holds, in nanoseconds of filling.
const BURST: u64 = 1_000_000_000;
/// How many prefixes are followed for the log.
const WATCHED: usize = 16;
/// After this long without a response held back, limiting has ended, in nanoseconds.
const QUIET: u64 = 10 * BURST;

#[derive(Clone, Copy, Default)]
struct Account {
    /// When it is full again; full is what an account that nobody uses is.
    full_at: u64,
    tag: u32,
    /// Responses held back since it was full.
    over: u32,
}

/// A prefix that is being limited, for the log.
#[derive(Clone, Copy)]
struct Watched {
    prefix: u128,
    began: u64,
    last: u64,
    held_back: u64,
}

impl Limiter {
    /// For one of `sharers` workers among which the kernel spreads clients.
    pub(super) fn new(limit: RateLimit, sharers: usize) -> Self {
        let cost = |rate: u32| BURST * sharers.max(1) as u64 / u64::from(rate.max(1));
        Self {
            accounts: vec![[Account::default(); WAYS]; PLACES].into_boxed_slice(),
            seed: RandomState::new().hash_one(0),
            cost: cost(limit.responses).min(BURST),
            cost_of_all: limit.all.map(|rate| cost(rate).min(BURST)),
            limit,
            started: Instant::now(),
            now: 0,
            watched: [None; WATCHED],
            swept: 0,
        }
    }

    /// A round begins: what time is it? Once in a while, tells where limiting has ended.
    pub(super) fn tick(&mut self, now: Instant) {
        self.now = u64::try_from(now.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX);
        if self.now - self.swept.min(self.now) >= BURST {
            self.swept = self.now;
            self.sweep();
        }
    }

    /// What becomes of a response to `peer`.
    pub(super) fn judge(&mut self, standing: Standing, subject: Subject, peer: IpAddr) -> Verdict {
        if standing == Standing::Proven {
            return Verdict::Send;
        }
        let prefix = self.prefix(peer);
        let client = mix(self.seed ^ prefix as u64, (prefix >> 64) as u64);
        let thing = mix(client, subject.key ^ (subject.kind as u64 + 1).rotate_right(8));
        let mut over = self.charge(thing, self.cost);
        if let Some(cost) = self.cost_of_all
            && over.is_none()
        {
            over = self.charge(client, cost);
        }
        let Some(over) = over else { return Verdict::Send };
        self.watch(prefix);
        if self.limit.slip > 0 && over.is_multiple_of(self.limit.slip) {
            Verdict::Slip
        } else {
            Verdict::Drop
        }
    }

    /// Takes `cost` from the account; `Some` when it does not cover that: how often that has been so.
    fn charge(&mut self, hash: u64, cost: u64) -> Option<u32> {
        let tag = hash as u32;
        let now = self.now;
        let place = &mut self.accounts[(hash >> 32) as usize % PLACES];
        let way = place.iter().position(|account| account.tag == tag).unwrap_or_else(|| {
            let emptied = (0..WAYS).min_by_key(|&way| place[way].full_at).unwrap_or(0);
            place[emptied] = Account {
                full_at: now,
                tag,
                over: 0,
            };
            emptied
        });
        let account = &mut place[way];
        if account.full_at <= now {
            (account.full_at, account.over) = (now, 0);
        }
        let full_at = account.full_at + cost;
        if full_at > now + BURST {
            account.over = account.over.wrapping_add(1);
            return Some(account.over);
        }
        account.full_at = full_at;
        None
    }

    /// The prefix that counts as one client: as an IPv6 address, IPv4 in its mapped form.
    fn prefix(&self, peer: IpAddr) -> u128 {
        match peer.to_canonical() {
            IpAddr::V4(address) => {
                let masked = leading(u128::from(address.to_bits()) << 96, self.limit.ipv4_prefix.min(32));
                MAPPED | masked >> 96
            }
            IpAddr::V6(address) => leading(address.to_bits(), self.limit.ipv6_prefix.min(64)),
        }
    }

    /// Notes that a response to `prefix` was held back; the first time is told.
    fn watch(&mut self, prefix: u128) {
        let now = self.now;
        let known = self
            .watched
            .iter_mut()
            .flatten()
            .find(|watched| watched.prefix == prefix);
        if let Some(watched) = known {
            watched.last = now;
            watched.held_back += 1;
        } else if let Some(free) = self.watched.iter_mut().find(|watched| watched.is_none()) {
            *free = Some(Watched {
                prefix,
                began: now,
                last: now,
                held_back: 1,
            });
            let prefix = self.show(prefix);
            tracing::warn!(%prefix, "responses to {prefix} are being limited; somebody may forge queries from there");
        }
    }

    fn sweep(&mut self) {
        for at in 0..WATCHED {
            let Some(watched) = self.watched[at].filter(|watched| self.now - watched.last >= QUIET) else {
                continue;
            };
            self.watched[at] = None;
            let prefix = self.show(watched.prefix);
            let seconds = Duration::from_nanos(watched.last - watched.began).as_secs();
            let held_back = watched.held_back;
            tracing::info!(
                %prefix,
                held_back,
                "responses to {prefix} are no longer limited; {held_back} were held back in {seconds} s"
            );
        }
    }

    fn show(&self, prefix: u128) -> String {
        if prefix >> 32 == MAPPED >> 32 {
            format!("{}/{}", Ipv4Addr::from_bits(prefix as u32), self.limit.ipv4_prefix)
        } else {
            format!("{}/{}", Ipv6Addr::from_bits(prefix), self.limit.ipv6_prefix)
        }
    }
}

/// ::ffff:0:0/96 (RFC 4291 §2.5.5.2).
const MAPPED: u128 = 0xffff << 32;

fn leading(bits: u128, count: u8) -> u128 {
    match count {
        0 => 0,
        count => bits & (u128::MAX << (128 - u32::from(count))),
    }
}

/// Multiplies to 128 bits and folds; the seed makes it unforeseeable which accounts meet.
fn mix(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    (product as u64) ^ ((product >> 64) as u64) ^ hash.rotate_left(23)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Kind;

    const LIMIT: RateLimit = RateLimit {
        responses: 10,
        all: None,
        slip: 2,
        ipv4_prefix: 24,
        ipv6_prefix: 56,
    };

    fn response(kind: Kind, key: u64) -> Subject {
        Subject { kind, key }
    }

    /// Sends, slips and drops of `count` responses to `peer` at once.
    fn ask(limiter: &mut Limiter, subject: Subject, peer: &str, count: usize) -> [usize; 3] {
        let mut verdicts = [0; 3];
        for _ in 0..count {
            verdicts[limiter.judge(Standing::Asking, subject, peer.parse().unwrap()) as usize] += 1;
        }
        verdicts
    }

    #[test]
    fn lets_a_seconds_worth_through_and_slips_every_second_of_the_rest() {
        let mut limiter = Limiter::new(LIMIT, 1);
        let start = limiter.started;
        let answer = response(Kind::Positive, 7);
        assert_eq!(ask(&mut limiter, answer, "192.0.2.1", 110), [10, 50, 50]);
        // The account fills again, and holds no more than a second's worth.
        limiter.tick(start + Duration::from_millis(500));
        assert_eq!(ask(&mut limiter, answer, "192.0.2.1", 25), [5, 10, 10]);
        limiter.tick(start + Duration::from_secs(100));
        assert_eq!(ask(&mut limiter, answer, "192.0.2.1", 30), [10, 10, 10]);
    }

    #[test]
    fn slip_can_be_all_or_nothing() {
        for (slip, expected) in [(0, [10, 0, 90]), (1, [10, 90, 0]), (3, [10, 30, 60])] {
            let mut limiter = Limiter::new(RateLimit { slip, ..LIMIT }, 1);
            assert_eq!(
                ask(&mut limiter, response(Kind::Error, 0), "192.0.2.1", 100),
                expected,
                "slip {slip}"
            );
        }
    }

    #[test]
    fn counts_by_prefix_and_by_what_is_asked() {
        let mut limiter = Limiter::new(LIMIT, 1);
        let answer = response(Kind::Positive, 7);
        for peer in ["192.0.2.1", "192.0.3.1", "2001:db8:0:100::1", "2001:db8:0:200::1"] {
            assert_eq!(ask(&mut limiter, answer, peer, 11), [10, 0, 1], "{peer}");
        }
        for peer in ["192.0.2.200", "::ffff:192.0.3.9", "2001:db8:0:1ff::2"] {
            assert_eq!(
                ask(&mut limiter, answer, peer, 1)[0],
                0,
                "{peer} shares its prefix's account"
            );
        }
        assert_eq!(
            ask(&mut limiter, response(Kind::Positive, 8), "192.0.2.1", 1),
            [1, 0, 0]
        );
        assert_eq!(
            ask(&mut limiter, response(Kind::Negative, 7), "192.0.2.1", 1),
            [1, 0, 0]
        );
    }

    #[test]
    fn limits_everything_together_if_told_to() {
        let mut limiter = Limiter::new(RateLimit { all: Some(25), ..LIMIT }, 1);
        let sent: usize = (0..100)
            .map(|key| ask(&mut limiter, response(Kind::Positive, key), "192.0.2.1", 1)[0])
            .sum();
        assert_eq!(sent, 25);
    }

    #[test]
    fn a_good_cookie_is_never_limited() {
        let mut limiter = Limiter::new(LIMIT, 1);
        let (answer, peer) = (response(Kind::Positive, 7), "192.0.2.1".parse().unwrap());
        for _ in 0..1000 {
            assert_eq!(limiter.judge(Standing::Proven, answer, peer), Verdict::Send);
        }
    }

    #[test]
    fn workers_share_the_limit() {
        let mut limiter = Limiter::new(LIMIT, 2);
        assert_eq!(ask(&mut limiter, response(Kind::Positive, 7), "192.0.2.1", 9)[0], 5);
        let mut many = Limiter::new(LIMIT, 100);
        assert_eq!(ask(&mut many, response(Kind::Positive, 7), "192.0.2.1", 9)[0], 1);
    }

    #[test]
    fn many_prefixes_do_not_push_out_the_one_that_is_limited() {
        let mut limiter = Limiter::new(LIMIT, 1);
        let answer = response(Kind::Positive, 7);
        assert_eq!(ask(&mut limiter, answer, "192.0.2.1", 1000)[0], 10);
        for i in 0..1_000_000_u32 {
            let peer = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + (i << 8 & 0xff_ff00) + (i & 1)));
            limiter.judge(Standing::Unknown, answer, peer);
        }
        assert!(ask(&mut limiter, answer, "192.0.2.1", 10)[0] <= 1);
    }

    #[test]
    fn tells_prefixes_from_each_other() {
        let mut limiter = Limiter::new(LIMIT, 1);
        let answer = response(Kind::Positive, 7);
        let fresh = (0..2000_u32)
            .filter(|i| ask(&mut limiter, answer, &format!("10.{}.{}.1", i / 256, i % 256), 1) == [1, 0, 0])
            .count();
        assert_eq!(fresh, 2000);
    }

    #[test]
    fn follows_a_bounded_number_of_prefixes_and_forgets_the_quiet() {
        let mut limiter = Limiter::new(LIMIT, 1);
        let start = limiter.started;
        for i in 0..50 {
            ask(&mut limiter, response(Kind::Error, 0), &format!("10.0.{i}.1"), 20);
        }
        assert_eq!(limiter.watched.iter().flatten().count(), WATCHED);
        assert_eq!(
            limiter.show(limiter.prefix("192.0.2.77".parse().unwrap())),
            "192.0.2.0/24"
        );
        assert_eq!(
            limiter.show(limiter.prefix("2001:db8:1:2ff::1".parse().unwrap())),
            "2001:db8:1:200::/56"
        );
        limiter.tick(start + Duration::from_secs(11));
        assert_eq!(limiter.watched.iter().flatten().count(), 0);
    }
}
