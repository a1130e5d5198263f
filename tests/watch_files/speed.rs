//! How fast, and how many at once.

use crate::support::{Consumer, ROOT};
use signpost::watch::{Options, Root, Watcher};
use std::fs;
use std::time::{Duration, Instant};
use tempfile::tempdir;

#[test]
fn reports_a_rename_within_milliseconds() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("keys");
    fs::create_dir(&root).unwrap();
    for number in 0..1_000 {
        fs::create_dir(root.join(format!("d{number}.example"))).unwrap();
    }
    let (mut watcher, _) = Watcher::new(vec![Root::directory(ROOT, &root)], &Options::default()).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut times: Vec<Duration> = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for change in std::iter::repeat_with(|| watcher.next(Some(Duration::from_secs(10))).changes).take(200) {
                let now = Instant::now();
                assert_eq!(change.len(), 1);
                if sender.send((now, change[0].path.clone())).is_err() {
                    return;
                }
            }
        });
        for number in 0..200 {
            let (new, path) = (dir.path().join("new"), root.join(format!("d{number}.example/mail")));
            fs::write(&new, "key").unwrap();
            let start = Instant::now();
            fs::rename(&new, &path).unwrap();
            let (seen, which) = receiver.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(which, path);
            times.push(seen.saturating_duration_since(start));
        }
    });
    times.sort();
    println!(
        "rename to report: p50 {:?}, p99 {:?}, max {:?}",
        times[100], times[198], times[199]
    );
    assert!(times[198] < Duration::from_millis(10), "p99 {:?}", times[198]);
}

#[test]
fn reports_ten_thousand_files_dropped_at_once() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("keys");
    fs::create_dir(&root).unwrap();
    let mut consumer = Consumer::new(&root);
    let writer = std::thread::spawn({
        let root = root.clone();
        move || {
            for number in 0..10_000 {
                fs::write(root.join(format!("d{number}.example.key")), "key").unwrap();
            }
        }
    });
    consumer.until("all are known", |consumer| consumer.known.len() == 10_000);
    writer.join().unwrap();
    consumer.until_true(&root, "all were dropped");
}
