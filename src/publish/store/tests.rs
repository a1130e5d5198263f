use super::*;
use crate::keys::Algorithm;
use crate::publish::life::{Course, Stage};
use crate::publish::serial::Serial;
use crate::publish::testing::name;
use proptest::prelude::*;
use std::io;

fn zone(apex: &str, published: u32) -> (Box<[u8]>, ZoneState) {
    let state = ZoneState {
        published: Serial(published),
        file: Serial(published ^ 1),
        composed: published.is_multiple_of(2),
        hash: [published as u8; 32],
    };
    (zone_key(&name(apex)), state)
}

fn key(selector: &str, stage: Stage) -> KeyState {
    KeyState {
        course: Course::default(),
        domain: name("example.org"),
        selector: selector.into(),
        record: "v=DKIM1; k=rsa; n=\"quoted\\\" ünïcode\"; p=AAAA".into(),
        stage,
        since: u64::MAX,
        source: "keys/example.org/mail".into(),
        algorithm: Algorithm::Rsa { bits: 4096 },
        fingerprint: std::array::from_fn(|at| (at * 9) as u8),
    }
}

fn keys(states: &[KeyState]) -> Vec<(&Name, &str, Option<&KeyState>)> {
    states
        .iter()
        .map(|key| (&key.domain, key.selector.as_str(), Some(key)))
        .collect()
}

/// A store of two zones and some keys, closed again; returns the bytes of its file.
fn filled(dir: &Path) -> Vec<u8> {
    let (mut store, _) = Store::open(dir).unwrap();
    let states: Vec<KeyState> = (0..20).map(|n| key(&format!("s{n:02}"), Stage::Live)).collect();
    let writes = Writes {
        zones: vec![zone("example.org", 7), zone("example.net", 9)],
        keys: keys(&states),
        ..Writes::default()
    };
    store.commit(&writes).unwrap();
    drop(store);
    fs::read(dir.join(DATABASE)).unwrap()
}

fn error(dir: &Path) -> StoreError {
    Store::open(dir).expect_err("must be refused")
}

#[test]
fn what_is_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("made/on/demand");
    let stages = [
        Stage::Live,
        Stage::Signing,
        Stage::Retiring,
        Stage::Revoked { by_command: false },
        Stage::Revoked { by_command: true },
    ];
    let mut states: Vec<KeyState> = (1..)
        .zip(stages)
        .map(|(n, stage)| key(&format!("s{n}"), stage))
        .collect();
    states[1].algorithm = Algorithm::Ed25519;
    states[1].course = Course {
        made: true,
        next: true,
        switching: true,
        spent: true,
        seen: Some(7),
        old_ttl: 300,
    };
    states[3].selector = "s3.of.several.labels".into();
    let zones: Vec<_> = [("example.org", 7), (".", 8), ("Example.NET", u32::MAX)]
        .map(|(apex, serial)| zone(apex, serial))
        .into();
    let (mut store, stored) = Store::open(&dir).unwrap();
    assert!(stored.zones.is_empty() && stored.keys.is_empty());
    let writes = Writes {
        zones: zones.clone(),
        keys: keys(&states),
        ..Writes::default()
    };
    store.commit(&writes).unwrap();
    drop(store);

    let (mut store, stored) = Store::open(&dir).unwrap();
    let by_digest = zones.into_iter().map(|(key, state)| (ApexDigest::of_key(&key), state));
    assert_eq!(stored.zones, by_digest.collect());
    assert_eq!(stored.keys, states);
    let org = name("EXAMPLE.org");
    let writes = Writes {
        zones: vec![],
        keys: vec![(&org, "s1", None), (&org, "never-there", None)],
        ..Writes::default()
    };
    store.commit(&writes).unwrap();
    drop(store);
    assert_eq!(Store::peek(&dir).unwrap().unwrap().keys, states[1..]);
}

#[test]
fn a_second_signpost_on_the_same_state_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path()).unwrap();
    let process = std::process::id();
    for error in [
        error(dir.path()),
        Store::peek(dir.path()).unwrap_err(),
        Store::move_aside(dir.path()).unwrap_err(),
    ] {
        assert!(
            matches!(&error, StoreError::Locked { holder: Some(holder), .. } if *holder == process),
            "{error}"
        );
    }
    drop(store);
    assert!(Store::open(dir.path()).is_ok());
}

#[test]
fn peeking_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Store::peek(&dir.path().join("state")).unwrap().is_none());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_state_of_a_newer_signpost_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let database = Database::open(dir.path().join(DATABASE)).unwrap();
    let transaction = database.begin_write().unwrap();
    let newer = FORMAT + 1;
    transaction.open_table(META).unwrap().insert("format", newer).unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let error = error(dir.path());
        assert!(
            matches!(error, StoreError::Newer { format, .. } if format == newer),
            "{error}"
        );
    }
    assert!(matches!(Store::peek(dir.path()), Err(StoreError::Newer { .. })));
}

#[test]
fn another_redb_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::create(dir.path().join(DATABASE)).unwrap();
    let transaction = database.begin_write().unwrap();
    let other: TableDefinition<'_, u64, u64> = TableDefinition::new("zones");
    transaction.open_table(other).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(error(dir.path()), StoreError::Corrupt { .. }));
}

#[test]
fn a_file_that_is_no_database_is_refused_until_the_operator_moves_it_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DATABASE);
    let whole = filled(dir.path());
    for content in [
        b"x".to_vec(),
        vec![0; 100_000],
        whole[..whole.len() / 2].to_vec(),
        whole[..100].to_vec(),
    ] {
        fs::write(&path, &content).unwrap();
        let refused = error(dir.path());
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused}");
        assert_eq!(fs::read(&path).unwrap().len(), content.len(), "it is left as it is");
    }
    let aside = dir.path().join("signpost.redb.damaged-1");
    assert_eq!(Store::move_aside(dir.path()).unwrap(), aside);
    assert!(Store::open(dir.path()).unwrap().1.zones.is_empty());
    fs::write(&path, "x").unwrap();
    let aside = dir.path().join("signpost.redb.damaged-2");
    assert_eq!(Store::move_aside(dir.path()).unwrap(), aside);
}

#[test]
fn an_empty_file_is_a_new_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(DATABASE), "").unwrap();
    assert!(Store::open(dir.path()).unwrap().1.zones.is_empty());
}

#[test]
fn a_directory_that_may_not_be_written_is_told() {
    // Not even root makes directories there.
    let refused = error(Path::new("/sys/signpost-state"));
    assert!(matches!(refused, StoreError::Unwritable { .. }), "{refused}");
}

#[test]
fn every_error_reads_like_advice() {
    let dir = || "/var/lib/signpost".into();
    let path = || "/var/lib/signpost/signpost.redb".into();
    let io = |kind: io::ErrorKind| {
        let path: PathBuf = path();
        StoreError::from_io(&path, io::Error::new(kind, "as the system says"))
    };
    let errors = [
        StoreError::Locked {
            dir: dir(),
            holder: Some(4711),
        },
        StoreError::Locked {
            dir: dir(),
            holder: None,
        },
        io(io::ErrorKind::ReadOnlyFilesystem),
        io(io::ErrorKind::StorageFull),
        StoreError::Newer {
            path: path(),
            format: 9,
        },
        io(io::ErrorKind::UnexpectedEof),
        StoreError::Unfinished { path: path() },
        io(io::ErrorKind::NotADirectory),
    ];
    let told = errors.map(|error| format!("{}\n  {error}", error.finding().code));
    insta::assert_snapshot!(told.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Damage is found, or it is where nothing is stored: no panic, no invented state.
    #[test]
    fn flipped_bits_never_change_what_is_read(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut content = filled(dir.path());
        let (_, before) = Store::open(dir.path()).unwrap();
        for (at, bit) in flips {
            let at = at.index(content.len());
            content[at] ^= 1 << bit;
        }
        fs::write(dir.path().join(DATABASE), &content).unwrap();
        match Store::open(dir.path()) {
            Ok((_, stored)) => {
                prop_assert_eq!(stored.zones, before.zones);
                prop_assert_eq!(stored.keys, before.keys);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

mod journal {
    use super::*;
    use crate::publish::testing;
    use crate::transfer::Delta;

    /// What leads from one version of an otherwise empty zone to another.
    fn delta(from: u32, to: u32) -> Delta {
        Delta::between(&testing::zone("example.org", from), &testing::zone("example.org", to))
    }

    fn append(store: &mut Store, zone: &str, delta: &Delta, keep: usize) {
        let entry = Entry {
            zone: zone_key(&name(zone)),
            delta,
            keep,
        };
        let writes = Writes {
            journal: vec![entry],
            ..Writes::default()
        };
        store.commit(&writes).unwrap();
    }

    fn between(journal: &Journal, from: u32, to: u32) -> Option<Vec<(u32, u32)>> {
        let deltas = journal.between(&name("Example.org"), from, to).unwrap()?;
        Some(deltas.iter().map(|delta| (delta.from, delta.to)).collect())
    }

    #[test]
    fn leads_from_each_kept_version_to_the_newest_through_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        let journal = store.journal();
        assert_eq!(between(&journal, 1, 2), None);
        for serial in 1..4 {
            append(&mut store, "example.org", &delta(serial, serial + 1), 1 << 16);
            append(&mut store, "org", &delta(serial, serial + 10), 1 << 16);
        }
        assert_eq!(between(&journal, 1, 4), Some(vec![(1, 2), (2, 3), (3, 4)]));
        assert_eq!(between(&journal, 3, 4), Some(vec![(3, 4)]));
        assert_eq!(between(&journal, 0, 4), None, "older than the journal");
        assert_eq!(between(&journal, 2, 3), None, "not what is served");
        drop((store, journal));
        let (store, _) = Store::open(dir.path()).unwrap();
        assert_eq!(between(&store.journal(), 2, 4), Some(vec![(2, 3), (3, 4)]));
    }

    #[test]
    fn a_gap_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        append(&mut store, "example.org", &delta(1, 2), 1 << 16);
        append(&mut store, "example.org", &delta(3, 4), 1 << 16);
        assert_eq!(between(&store.journal(), 1, 4), None);
        assert_eq!(between(&store.journal(), 3, 4), Some(vec![(3, 4)]));
    }

    #[test]
    fn the_newest_are_kept_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(dir.path()).unwrap();
        let one = delta(1, 2).to_bytes().len();
        for serial in 1..100 {
            append(&mut store, "example.org", &delta(serial, serial + 1), 3 * one + 1);
        }
        let journal = store.journal();
        assert_eq!(between(&journal, 97, 100).map(|deltas| deltas.len()), Some(3));
        assert_eq!(between(&journal, 96, 100), None);
        // One that is larger than what may be kept leaves nothing that leads to it.
        append(&mut store, "example.org", &delta(100, 101), one - 1);
        assert_eq!(between(&journal, 100, 101), None);
    }
}
