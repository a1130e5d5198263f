//! What holds of any configuration text; shared by the fuzz target and the test that replays its corpus.
//!
//! A line `---` splits the input into `signpost.toml` and `zones/NAME.toml`, which are then merged.

use signpost::config::{self, ConfigError, Fault, ZoneConfig};
use std::path::Path;

/// Reads `octets` as the two files and merges them; panics if a promise of `config` is broken.
pub(crate) fn exercise(octets: &[u8]) {
    let at = octets.windows(5).position(|five| five == b"\n---\n");
    let (server, zone) = match at {
        Some(at) => (&octets[..at + 1], &octets[at + 5..]),
        None => (octets, &b""[..]),
    };
    let server = config::find::text_of(server, Path::new("signpost.toml"))
        .and_then(|text| config::parse(text, Path::new("signpost.toml")).inspect_err(|error| judge(error, text)));
    let zone = config::find::text_of(zone, Path::new("zone.toml"))
        .and_then(|text| ZoneConfig::parse(text, Path::new("zone.toml")).inspect_err(|error| judge(error, text)));
    if let (Ok(server), Ok(zone)) = (&server, &zone) {
        assert!(!server.listen.is_empty());
        assert!((512..=4096).contains(&server.max_udp_payload));
        assert!(config::Config::restart_needed(server, server).is_empty());
        if let Err(error) = server.policy_for(zone) {
            assert!(!error.cure.is_empty(), "{error}");
        }
    }
}

/// Advice has a cure, and a place that is in the file.
fn judge(error: &ConfigError, text: &str) {
    assert!(!error.what.is_empty() && !error.cure.is_empty(), "{error}");
    let Some(place) = error.place.as_ref() else {
        panic!("what is read from a text has a place: {error}");
    };
    let lines = text.split('\n').count();
    assert!(
        place.line.is_none_or(|line| (1..=lines).contains(&(line as usize))),
        "{error}"
    );
    assert_eq!(place.line.is_none(), error.fault == Fault::TooLarge, "{error}");
    if let Some(excerpt) = &error.excerpt {
        let shown = excerpt.to_string();
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
    }
}
