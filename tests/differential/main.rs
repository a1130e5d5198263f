//! Signpost beside BIND, NSD and Knot: where the three agree, Signpost agrees.
//!
//! Seeded random zones ([`generate`]) are loaded into all four, the same messages ([`questions`])
//! are put to all four ([`ask`]), and the replies are compared ([`judge`]). Other seeds are tried
//! by `SIGNPOST_DIFF_SEED=12345 cargo test --test differential`; a mismatch prints its seed, the
//! directory of the zone files, and what each server said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should panic"
)]

mod ask;
#[path = "../common/mod.rs"]
mod common;
mod generate;
mod judge;
mod questions;
mod rdata;
mod rng;

use ask::{Line, ask_all, drain};
use common::peers::{self, ZoneOf};
use common::signpost::House;
use common::wire::to_text;
use generate::TestZone;
use judge::Tally;
use std::fs;
use std::path::Path;

/// The seeds of an ordinary run. Those that leave 2 when divided by 3 serve the root as well.
const SEEDS: &[u64] = &[1, 2, 3, 4];
const RANDOM_QUESTIONS: usize = 4000;

#[test]
fn signpost_agrees_where_bind_nsd_and_knot_agree() {
    let mut total = Tally::default();
    for seed in seeds() {
        let house = House::new("");
        let (tally, house) = compare(seed, house, true);
        if !tally.mismatches.is_empty() {
            eprintln!(
                "seed {seed}: zone files kept in {}",
                house.keep().join("zones").display()
            );
        }
        total.add(tally);
    }
    eprintln!(
        "{} questions, the three agree on {:.2} % of the ordinary, {:.2} % of the odd; where they do not:\n{}",
        total.asked,
        total.ordinary.percent(),
        total.odd.percent(),
        total.dispute_table()
    );
    assert!(total.mismatches.is_empty(), "{}", mismatch_report(&total));
    assert!(
        total.asked >= 20_000 || std::env::var_os("SIGNPOST_DIFF_SEED").is_some(),
        "{}",
        total.asked
    );
}

/// The judges must be worth listening to: were they set up unlike, or the zones beyond what they
/// can load, nothing would be compared and the other test would pass for nothing.
#[test]
fn the_judges_agree_with_each_other() {
    let (tally, _house) = compare(wanted_seed().unwrap_or(40), House::new(""), false);
    let (ordinary, odd) = (tally.ordinary.percent(), tally.odd.percent());
    eprintln!(
        "{} questions, agreement {ordinary:.2} % ordinary, {odd:.2} % odd",
        tally.asked
    );
    assert!(
        ordinary > 90.0 && odd > 35.0,
        "the judges dispute too much:\n{}",
        tally.dispute_report()
    );
}

fn seeds() -> Vec<u64> {
    wanted_seed().map_or_else(|| SEEDS.to_vec(), |seed| vec![seed])
}

/// The seed a person asked for.
fn wanted_seed() -> Option<u64> {
    let seed = std::env::var("SIGNPOST_DIFF_SEED").ok()?;
    Some(seed.parse().expect("SIGNPOST_DIFF_SEED is a number"))
}

/// Serves the world of `seed` from all servers and asks everything.
fn compare(seed: u64, mut house: House, with_signpost: bool) -> (Tally, House) {
    let zones = generate::world(seed);
    let files = write_zones(&house.path("zones"), &zones);
    let judges = ["bind", "nsd", "knot"].map(|name| {
        let dir = house.path(name);
        fs::create_dir(&dir).unwrap();
        match name {
            "bind" => peers::bind(&dir, &files),
            "nsd" => peers::nsd(&dir, &files),
            _ => peers::knot(&dir, &files),
        }
    });
    let mut lines: Vec<Line> = judges
        .iter()
        .map(|judge| Line::new(judge.name, judge.address))
        .collect();
    if with_signpost {
        let apexes: Vec<String> = zones.iter().map(|zone| to_text(&zone.apex)).collect();
        let apexes: Vec<&str> = apexes.iter().map(String::as_str).collect();
        house.start(&apexes);
        lines.push(Line::new("signpost", house.address));
    }
    let tally = interrogate(&lines, &zones, seed);
    if with_signpost {
        house.assert_unharmed();
    }
    (tally, house)
}

fn interrogate(lines: &[Line], zones: &[TestZone], seed: u64) -> Tally {
    let names: Vec<&'static str> = lines.iter().map(|line| line.name).collect();
    let mut tally = Tally::default();
    drain(lines);
    for question in questions::questions(zones, seed, RANDOM_QUESTIONS) {
        let replies = ask_all(lines, &question, &zones[0].apex);
        tally.take(&names, &question, &replies);
    }
    tally
}

fn write_zones(dir: &Path, zones: &[TestZone]) -> Vec<ZoneOf> {
    zones
        .iter()
        .map(|zone| {
            let apex = to_text(&zone.apex);
            let stem = match apex.trim_end_matches('.') {
                "" => "root",
                stem => stem,
            };
            let file = dir.join(format!("{stem}.zone"));
            fs::write(&file, &zone.text).unwrap();
            ZoneOf {
                apex: zone.apex.clone(),
                file,
            }
        })
        .collect()
}

fn mismatch_report(total: &Tally) -> String {
    let kinds: Vec<String> = total
        .mismatch_kinds
        .iter()
        .map(|(kind, count)| format!("{count:>6}  {kind}"))
        .collect();
    format!(
        "{} mismatches in {} questions:\n{}\n\nthe first:\n{}",
        total.mismatches.len(),
        total.asked,
        kinds.join("\n"),
        total.mismatches.iter().take(10).cloned().collect::<Vec<_>>().join("\n")
    )
}
