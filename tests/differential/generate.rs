//! Seeded random zones, rich in what the rules of answering turn on.
//!
//! A world is a handful of zones that know each other: a parent, its child and grandchild all
//! served here, a neighbour, one whose apex is a DNAME, and now and then the root. Names come from
//! a small pool of labels, so that wildcards, empty non-terminals, CNAMEs, DNAMEs and zone cuts
//! meet at every depth; targets point anywhere: in zone, across zones, below cuts and DNAMEs, under
//! wildcards, at nothing, in circles. What one
//! of the peers refuses to load is left out: names below a DNAME, NS and DNAME at a wildcard.

use crate::common::wire::{WireName, at_or_below, child, name, parent, to_text};
use crate::rdata::random_rrset;
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// A generated zone.
pub(crate) struct TestZone {
    pub(crate) apex: WireName,
    /// The master file.
    pub(crate) text: String,
    /// Every owner and every empty non-terminal, in lower case.
    pub(crate) names: Vec<WireName>,
    /// Names that are targets or below something: worth asking although they own nothing.
    pub(crate) hints: Vec<WireName>,
}

/// The zone whose apex owns a DNAME.
const DNAME_ZONE: &str = "dname.test";

/// What stands at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// RRsets of ordinary types.
    Data,
    /// An RRset too large for a datagram.
    Large,
    /// Nothing of its own.
    Empty,
    Cname,
    Dname,
    Cut,
    /// Glue and other data at or below a cut.
    Occluded,
}

const LABELS: &[&[u8]] = &[
    b"a",
    b"b",
    b"c",
    b"d",
    b"www",
    b"mail",
    b"ns",
    b"mx1",
    b"_sip",
    b"_tcp",
    b"_dmarc",
    b"_domainkey",
    b"Sel1",
    b"*x",
    b"a*",
    b"MiXeD",
    b"x.y",
    b"sp ace",
    b"quo\"te",
    b"back\\slash",
    b"\x00\xff",
    b"0",
    b"xn--bcher-kva",
    b"sixty-three-octets-long-label-that-fills-the-limit-of-rfc-1035x",
];

/// The zones of one seed.
pub(crate) fn world(seed: u64) -> Vec<TestZone> {
    let mut rng = Rng::new(seed);
    let mut apexes = vec![
        name("p.test"),
        name("c.p.test"),
        name("deep.g.c.p.test"),
        name("other.test"),
        name(DNAME_ZONE),
    ];
    if seed % 3 == 2 {
        apexes.push(name("."));
    }
    let skeletons: Vec<Skeleton> = apexes
        .iter()
        .map(|apex| Skeleton::grow(&mut rng, apex, &apexes))
        .collect();
    let targets = targets(&mut rng, &skeletons);
    skeletons
        .iter()
        .map(|skeleton| skeleton.flesh_out(&mut rng, &targets, &apexes))
        .collect()
}

/// Names and kinds, before there is data.
struct Skeleton {
    apex: WireName,
    apex_is_dname: bool,
    kinds: BTreeMap<WireName, Kind>,
}

impl Skeleton {
    fn grow(rng: &mut Rng, apex: &[u8], apexes: &[WireName]) -> Self {
        let mut skeleton = Self {
            apex: apex.to_vec(),
            apex_is_dname: apex == name(DNAME_ZONE),
            kinds: BTreeMap::new(),
        };
        if skeleton.apex_is_dname {
            return skeleton;
        }
        for other in apexes {
            // Between parent and grandchild there may be the child's zone: the cut is then its own.
            let closest = apexes
                .iter()
                .filter(|zone| at_or_below(other, zone) && *zone != other)
                .max_by_key(|zone| zone.len());
            if closest.is_some_and(|zone| zone == apex) {
                skeleton.kinds.insert(other.clone(), Kind::Cut);
            }
        }
        for _ in 0..7 {
            skeleton.branch(rng, apex, 0);
        }
        skeleton
    }

    /// Puts a random child below `above`, and perhaps more below that.
    fn branch(&mut self, rng: &mut Rng, above: &[u8], depth: usize) {
        let label: &[u8] = if rng.chance(22) { b"*" } else { rng.pick(LABELS) };
        let owner = child(label, above);
        let key = owner.to_ascii_lowercase();
        if owner.len() > 200 || self.is_taken(&key) {
            return;
        }
        let kind = match rng.below(100) {
            0..40 => Kind::Data,
            40..43 => Kind::Large,
            43..58 => Kind::Empty,
            58..78 => Kind::Cname,
            78..86 if label != b"*" => Kind::Dname,
            86..98 if label != b"*" => Kind::Cut,
            _ => Kind::Data,
        };
        self.kinds.insert(key, kind);
        let children = match kind {
            Kind::Dname => 0,
            Kind::Empty => 1 + rng.below(3),
            Kind::Cut => rng.below(3),
            _ if depth < 4 => rng.below(4),
            _ => 0,
        };
        for _ in 0..children {
            if kind == Kind::Cut {
                self.occlude(rng, &owner);
            } else {
                self.branch(rng, &owner, depth + 1);
            }
        }
    }

    /// Data at a random name below a cut.
    fn occlude(&mut self, rng: &mut Rng, cut: &[u8]) {
        let mut owner = cut.to_vec();
        for _ in 0..=rng.below(2) {
            let label: &[u8] = if rng.chance(15) { b"*" } else { rng.pick(LABELS) };
            owner = child(label, &owner);
        }
        if owner.len() > 220 {
            return;
        }
        self.kinds.entry(owner.to_ascii_lowercase()).or_insert(Kind::Occluded);
    }

    /// Something stands there already, or the name is in a part that is not ours to fill.
    fn is_taken(&self, owner: &[u8]) -> bool {
        let below = |kind| {
            self.kinds
                .iter()
                .any(|(other, at)| *at == kind && at_or_below(owner, other))
        };
        self.kinds.contains_key(owner) || below(Kind::Cut) || below(Kind::Dname)
    }

    fn flesh_out(&self, rng: &mut Rng, targets: &[WireName], apexes: &[WireName]) -> TestZone {
        let mut zone = Writer::new(rng, &self.apex, targets, apexes);
        zone.apex(self.apex_is_dname);
        for (owner, kind) in &self.kinds {
            match kind {
                Kind::Data | Kind::Occluded => zone.data(owner),
                Kind::Large => zone.large(owner),
                Kind::Empty => {}
                Kind::Cname => zone.alias(owner, "CNAME"),
                Kind::Dname => zone.dname(owner),
                Kind::Cut => zone.cut(owner),
            }
        }
        zone.finish()
    }
}

/// Names worth pointing at: everything that exists, something below or beside it, and strangers.
fn targets(rng: &mut Rng, skeletons: &[Skeleton]) -> Vec<WireName> {
    let mut targets = vec![
        name("elsewhere.example"),
        name("mail.elsewhere.example"),
        name("nothing.invalid"),
    ];
    for skeleton in skeletons {
        targets.push(skeleton.apex.clone());
        for owner in skeleton.kinds.keys() {
            targets.push(owner.clone());
            if rng.chance(40) {
                targets.push(child(rng.pick(LABELS), owner));
            }
            if let Some(above) = parent(owner).filter(|_| rng.chance(20)) {
                targets.push(child(b"beside", above));
            }
        }
    }
    // A DNAME to this makes every longer name overflow: YXDOMAIN.
    targets.push(name(&format!(
        "{}.{}.{}.long.example",
        "l".repeat(63),
        "o".repeat(63),
        "n".repeat(50)
    )));
    targets.retain(|target| target.len() <= 230);
    targets
}

/// Writes one zone's records.
struct Writer<'a> {
    rng: &'a mut Rng,
    apex: &'a [u8],
    targets: &'a [WireName],
    apexes: &'a [WireName],
    /// Most targets are ours, so that chains form: the peers differ on chains that leave the zone.
    own_targets: Vec<WireName>,
    text: String,
    owners: BTreeSet<WireName>,
    /// RRsets that are complete: a second one would mix TTLs (RFC 2181 §5.2).
    done: BTreeSet<(WireName, &'static str)>,
    hints: BTreeSet<WireName>,
}

impl<'a> Writer<'a> {
    fn new(rng: &'a mut Rng, apex: &'a [u8], targets: &'a [WireName], apexes: &'a [WireName]) -> Self {
        let zone_of = |target: &WireName| {
            apexes
                .iter()
                .filter(|zone| at_or_below(target, zone))
                .map(Vec::len)
                .max()
        };
        let ours =
            |target: &&WireName| *target != apex && at_or_below(target, apex) && zone_of(target) == Some(apex.len());
        let own_targets = targets.iter().filter(ours).cloned().collect();
        Self {
            rng,
            apex,
            targets,
            apexes,
            own_targets,
            text: String::new(),
            owners: BTreeSet::new(),
            done: BTreeSet::new(),
            hints: BTreeSet::new(),
        }
    }

    fn target(&mut self) -> WireName {
        let target = if self.rng.chance(85) && !self.own_targets.is_empty() {
            self.rng.pick(&self.own_targets)
        } else {
            self.rng.pick(self.targets)
        };
        self.hints.insert(target.clone());
        target
    }

    fn ttl(&mut self) -> u32 {
        self.rng.pick(&[0, 1, 60, 300, 3600, 86_400, 604_800])
    }

    /// Writes a record, the case of its owner shuffled now and then.
    fn put(&mut self, owner: &[u8], ttl: u32, rtype: &str, rdata: &str) {
        self.owners.insert(owner.to_ascii_lowercase());
        let mut shown = to_text(owner);
        if self.rng.chance(20) && !shown.contains('\\') {
            shown = shown.to_ascii_uppercase();
        }
        self.text.push_str(&format!("{shown} {ttl} IN {rtype} {rdata}\n"));
    }

    fn apex(&mut self, is_dname: bool) {
        let apex = self.apex.to_vec();
        let ns = name(if apex == [0] {
            "ns.root-servers"
        } else {
            "ns.ns.example"
        });
        let (ttl, minimum) = (self.ttl(), self.ttl());
        let soa = format!("{} hostmaster.example. 7 7200 3600 1209600 {minimum}", to_text(&ns));
        self.put(&apex, ttl, "SOA", &soa);
        let ttl = self.ttl();
        self.put(&apex, ttl, "NS", &to_text(&ns));
        if apex == [0] {
            // BIND loads no zone whose own name server has no address in it.
            self.put(&ns, 3600, "A", "192.0.2.1");
        }
        if is_dname {
            let target = self.target();
            self.put(&apex, ttl, "DNAME", &to_text(&target));
            self.put(&apex, ttl, "TXT", "\"beside the DNAME\"");
            self.hints.insert(child(b"www", &apex));
            self.hints.insert(child(b"a", &child(b"b", &apex)));
        } else {
            self.data(&apex);
        }
    }

    fn data(&mut self, owner: &[u8]) {
        for _ in 0..=self.rng.below(4) {
            let target = self.target();
            let (rtype, rdatas) = random_rrset(self.rng, &target);
            if !self.done.insert((owner.to_ascii_lowercase(), rtype)) {
                continue;
            }
            let ttl = self.ttl();
            for rdata in rdatas {
                self.put(owner, ttl, rtype, &rdata);
            }
        }
    }

    fn large(&mut self, owner: &[u8]) {
        for number in 0..8 {
            let strings: Vec<String> = (0..1 + number % 2)
                .map(|_| format!("\"{}\"", self.rng.hex(120)))
                .collect();
            self.put(owner, 300, "TXT", &strings.join(" "));
        }
        self.put(owner, 300, "A", "192.0.2.99");
    }

    fn alias(&mut self, owner: &[u8], rtype: &str) {
        // A few point at themselves or at what stands below, for circles.
        let target = match self.rng.below(40) {
            0 => owner.to_vec(),
            1 => child(b"a", owner),
            _ => self.target(),
        };
        let ttl = self.ttl();
        self.put(owner, ttl, rtype, &to_text(&target));
    }

    fn dname(&mut self, owner: &[u8]) {
        self.alias(owner, "DNAME");
        if self.rng.chance(40) {
            let ttl = self.ttl();
            self.put(owner, ttl, "TXT", "\"beside the DNAME\"");
        }
        self.hints.insert(child(b"a", owner));
        self.hints.insert(child(b"www", &child(b"*", owner)));
        self.hints.insert(child(&[b'w'; 60], &child(b"mail", owner)));
    }

    /// NS with glue of every sort, DS now and then.
    fn cut(&mut self, owner: &[u8]) {
        let ttl = self.ttl();
        for _ in 0..=self.rng.below(3) {
            let target = match self.rng.below(4) {
                _ if owner == name(DNAME_ZONE) => name("ns.ns.example"),
                0 | 1 => child(b"ns", owner),
                2 => child(b"ns1", &child(b"deep", owner)),
                _ => self.target(),
            };
            // NSD keeps all zones in one tree and takes deep glue here for data below a DNAME there.
            let may_clash = self.apexes.iter().any(|apex| apex == owner) && target != child(b"ns", owner);
            if at_or_below(&target, owner)
                && target != owner
                && !may_clash
                && self.rng.chance(85)
                && self.done.insert((target.clone(), "A"))
            {
                self.put(&target, 300, "A", "192.0.2.53");
                if self.rng.chance(50) && self.done.insert((target.clone(), "AAAA")) {
                    self.put(&target, 600, "AAAA", "2001:db8::53");
                }
            }
            self.put(owner, ttl, "NS", &to_text(&target));
        }
        if self.rng.chance(40) {
            let digest = self.rng.hex(32);
            let ttl = self.ttl();
            self.put(owner, ttl, "DS", &format!("12345 8 2 {digest}"));
        }
        if self.rng.chance(20) {
            self.put(owner, 300, "TXT", "\"at the cut, not ours to answer\"");
        }
        self.hints.insert(child(b"below", owner));
        self.hints.insert(child(b"a", &child(b"below", owner)));
    }

    fn finish(self) -> TestZone {
        let mut names = BTreeSet::new();
        for owner in &self.owners {
            let mut here = Some(&owner[..]);
            while let Some(at) = here.filter(|at| at_or_below(at, self.apex)) {
                names.insert(at.to_vec());
                here = parent(at);
            }
        }
        TestZone {
            apex: self.apex.to_vec(),
            text: self.text,
            names: names.into_iter().collect(),
            hints: self.hints.into_iter().collect(),
        }
    }
}
