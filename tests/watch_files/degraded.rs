//! When the kernel cannot tell: no inotify, too few watches, a queue too short.

use crate::support::{Consumer, ROOT, sh};
use signpost::watch::{Options, Root};
use std::fs;
use std::time::Duration;
use tempfile::tempdir;

fn quick() -> Options {
    Options {
        quiet: Duration::from_millis(50),
        scan_interval: Duration::from_millis(100),
        ..Options::default()
    }
}

#[test]
fn scans_where_there_is_no_inotify() {
    let dir = tempdir().unwrap();
    sh(dir.path(), "mkdir -p keys/org && printf 1 > keys/org/mail");
    let root = dir.path().join("keys");
    let options = Options {
        inotify: false,
        ..quick()
    };
    let mut consumer = Consumer::with(vec![Root::directory(ROOT, &root)], &options);
    for command in [
        "printf 2 > org/mail",
        "mkdir net && printf 3 > net/mail",
        "rm -r org",
        "mv net com",
        "ln -s com/mail mail",
        "printf 44 > com/mail",
    ] {
        sh(&root, command);
        consumer.until_true(&root, command);
    }
    let extra = dir.path().join("extra");
    consumer.watcher.set_extra(ROOT, vec![extra.clone()]).unwrap();
    fs::write(&extra, "x").unwrap();
    consumer.until_content(&extra, "x");
}

#[test]
fn scans_beyond_the_limit_of_watches_and_warns_once() {
    let dir = tempdir().unwrap();
    for number in 0..20 {
        sh(dir.path(), &format!("mkdir d{number} && printf 1 > d{number}/mail"));
    }
    let depth = dir.path().components().count();
    let options = Options {
        max_watches: Some(depth + 5),
        ..quick()
    };
    let mut consumer = Consumer::with(vec![Root::directory(ROOT, dir.path())], &options);
    let codes: Vec<_> = consumer.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["watch-limit"]);
    assert!(consumer.findings[0].cure.contains("fs.inotify.max_user_watches"));
    for number in 0..20 {
        fs::write(dir.path().join(format!("d{number}/mail")), "22").unwrap();
    }
    consumer.until_true(dir.path(), "all were written");
    sh(
        dir.path(),
        "mkdir new && printf n > new/mail && rm -r d3 d17 && mv d5 d3",
    );
    consumer.until_true(dir.path(), "directories came and went");
    // With fewer directories there are watches for the rest again.
    sh(dir.path(), "rm -r d?");
    consumer.until_true(dir.path(), "most were removed");
    assert_eq!(consumer.findings.len(), 1, "one warning");
}

#[test]
fn walks_once_after_an_overflow_and_goes_on() {
    let queue: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let dir = tempdir().unwrap();
    let root = dir.path().join("keys");
    fs::create_dir(&root).unwrap();
    let mut consumer = Consumer::new(&root);
    // Three events for each file, while nobody listens; the last ones are lost.
    let files = queue / 3 + 2_000;
    for number in 0..files {
        fs::write(root.join(number.to_string()), "key").unwrap();
    }
    fs::create_dir(root.join("late")).unwrap();
    fs::write(root.join("late/mail"), "key").unwrap();
    consumer.until("all files are known", |consumer| consumer.known.len() == files + 1);
    let codes: Vec<_> = consumer.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["watch-overflow"]);
    fs::write(root.join("late/mail"), "at once again").unwrap();
    let took = consumer.until_content(&root.join("late/mail"), "at once again");
    assert!(took < Duration::from_millis(500), "{took:?}");
}
