//! What operators, editors and tools do to plain files and directories.

use crate::support::{Consumer, ROOT, State, as_ordinary_user, sh};
use signpost::watch::{Kind, Options, Root, RootId, WatchError, Watcher};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::tempdir;

#[test]
fn lists_everything_at_the_start_once() {
    let dir = tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    fs::write(dir.path().join("one"), "1").unwrap();
    fs::write(dir.path().join("a/b/two"), "2").unwrap();
    let consumer = Consumer::new(dir.path());
    assert_eq!(consumer.log.len(), 2);
    assert_eq!(consumer.known[&dir.path().join("a/b/two")], State::Content("2".into()));
    assert!(consumer.log.iter().all(|change| change.root == ROOT));
    assert!(consumer.findings.is_empty());
}

#[test]
fn sees_what_editors_and_tools_do_to_a_file() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("mail.txt");
    fs::write(&path, "first").unwrap();
    let mut consumer = Consumer::new(dir.path());
    let edits = [
        ("printf second > mail.txt", "second"),
        ("printf more >> mail.txt", "secondmore"),
        ("printf third > new && mv new mail.txt", "third"),
        ("sed -i s/third/fourth/ mail.txt", "fourth"),
        (
            "printf fifth > ../elsewhere && install -m 644 ../elsewhere mail.txt",
            "fifth",
        ),
        ("printf sixth > ../elsewhere && cp ../elsewhere mail.txt", "sixth"),
        // Vim with backup: old file away, new file under the old name, backup removed.
        (
            "mv mail.txt mail.txt~ && printf seventh > mail.txt && rm mail.txt~",
            "seventh",
        ),
        ("rm mail.txt && printf eighth > mail.txt", "eighth"),
        ("truncate -s 3 mail.txt", "eig"),
        ("printf ninth > x && ln -f x mail.txt && rm x", "ninth"),
        ("printf tenth | dd of=mail.txt conv=notrunc status=none", "tenth"),
    ];
    let inside = dir.path().to_path_buf();
    for (command, content) in edits {
        sh(&inside, &command.replace("../elsewhere", ".elsewhere"));
        consumer.until_content(&path, content);
        consumer.until_true(dir.path(), command);
    }
}

#[test]
fn acts_at_once_on_a_rename_and_waits_for_a_writer() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("zone");
    let mut consumer = Consumer::new(dir.path());
    let mut file = OpenOptions::new().create_new(true).write(true).open(&path).unwrap();
    file.write_all(b"half").unwrap();
    consumer.step(Duration::from_millis(20));
    assert_eq!(
        consumer.count_of(&path),
        0,
        "a file that is being written is left alone"
    );
    file.write_all(b" done").unwrap();
    drop(file);
    consumer.until_content(&path, "half done");
    assert_eq!(consumer.count_of(&path), 1);
}

#[test]
fn takes_a_file_that_is_kept_open_after_it_rested() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("zone");
    let mut consumer = Consumer::new(dir.path());
    let mut file = OpenOptions::new().create_new(true).write(true).open(&path).unwrap();
    let start = Instant::now();
    for _ in 0..20 {
        file.write_all(b"x").unwrap();
        consumer.step(Duration::from_millis(20));
    }
    let busy = start.elapsed();
    let written = consumer.until_content(&path, &"x".repeat(20));
    assert!(
        busy + written >= Duration::from_millis(500),
        "acted before 250 ms of quiet"
    );
    assert!(consumer.count_of(&path) <= 2, "writes are taken together");
    drop(file);
}

#[test]
fn reports_a_same_sized_rewrite_within_one_tick_of_the_clock() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("mail");
    fs::write(&path, "0000").unwrap();
    let mut consumer = Consumer::new(dir.path());
    for round in 0..500 {
        let content = format!("{round:04}");
        fs::write(&path, &content).unwrap();
        consumer.until_content(&path, &content);
    }
}

#[test]
fn follows_directories_moved_in_out_and_about() {
    let dir = tempdir().unwrap();
    let (root, outside) = (dir.path().join("keys"), dir.path().join("outside"));
    fs::create_dir_all(outside.join("example.org/deep")).unwrap();
    fs::create_dir(&root).unwrap();
    fs::write(outside.join("example.org/mail"), "key").unwrap();
    fs::write(outside.join("example.org/deep/mail"), "deep").unwrap();
    let mut consumer = Consumer::new(&root);
    fs::rename(outside.join("example.org"), root.join("example.org")).unwrap();
    consumer.until_content(&root.join("example.org/deep/mail"), "deep");
    fs::rename(root.join("example.org"), root.join("example.net")).unwrap();
    consumer.until_content(&root.join("example.net/mail"), "key");
    consumer.until_gone(&root.join("example.org/mail"));
    fs::write(root.join("example.net/deep/mail"), "new").unwrap();
    consumer.until_content(&root.join("example.net/deep/mail"), "new");
    // A new directory under the old name, while the renamed one lives on.
    fs::create_dir(root.join("example.org")).unwrap();
    fs::write(root.join("example.org/mail"), "another").unwrap();
    consumer.until_content(&root.join("example.org/mail"), "another");
    fs::remove_dir_all(root.join("example.net")).unwrap();
    fs::write(root.join("example.org/mail"), "still watched").unwrap();
    consumer.until_content(&root.join("example.org/mail"), "still watched");
    fs::rename(root.join("example.org"), outside.join("gone")).unwrap();
    consumer.until("nothing is left", |consumer| consumer.known.is_empty());
}

#[test]
fn replaces_a_directory_by_rename_without_reporting_its_files_gone() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("keys");
    sh(
        dir.path(),
        "mkdir -p keys/org new && printf old > keys/org/a && printf same > keys/org/b",
    );
    sh(
        dir.path(),
        "printf new > new/a && printf same > new/b && printf more > new/c",
    );
    let mut consumer = Consumer::new(&root);
    consumer.log.clear();
    // renameat2(RENAME_EXCHANGE), as atomic deployments do.
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(
        CWD,
        dir.path().join("new"),
        CWD,
        root.join("org"),
        RenameFlags::EXCHANGE,
    )
    .unwrap();
    consumer.until_content(&root.join("org/c"), "more");
    consumer.until_content(&root.join("org/a"), "new");
    assert!(
        consumer.log.iter().all(|change| change.kind != Kind::Gone),
        "{:?}",
        consumer.log
    );
}

#[test]
fn waits_for_a_root_and_survives_its_removal() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("etc/signpost/keys");
    let file = dir.path().join("etc/signpost/signpost.toml");
    let roots = vec![Root::directory(ROOT, &root), Root::file(RootId(1), &file)];
    let mut consumer = Consumer::with(roots, &Options::default());
    assert!(consumer.log.is_empty());
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("mail"), "1").unwrap();
    consumer.until_content(&root.join("mail"), "1");
    fs::write(&file, "listen").unwrap();
    consumer.until_content(&file, "listen");
    fs::remove_dir_all(dir.path().join("etc")).unwrap();
    consumer.until("all is gone", |consumer| consumer.known.is_empty());
    sh(
        dir.path(),
        "mkdir -p new/signpost/keys && printf 2 > new/signpost/keys/mail && mv new etc",
    );
    consumer.until_content(&root.join("mail"), "2");
    // The root replaced by rename, and an ancestor too.
    sh(
        dir.path(),
        "mkdir k && printf 3 > k/mail && mv etc/signpost/keys old && mv k etc/signpost/keys",
    );
    consumer.until_content(&root.join("mail"), "3");
    sh(
        dir.path(),
        "mkdir -p e/signpost/keys && printf 4 > e/signpost/keys/mail && mv etc old2 && mv e etc",
    );
    consumer.until_content(&root.join("mail"), "4");
    fs::write(root.join("mail"), "5").unwrap();
    consumer.until_content(&root.join("mail"), "5");
    assert_eq!(consumer.known.len(), 1);
}

#[test]
fn follows_extra_files_that_come_and_go() {
    let dir = tempdir().unwrap();
    let (root, include) = (dir.path().join("zones"), dir.path().join("shared/common.inc"));
    fs::create_dir(&root).unwrap();
    let mut consumer = Consumer::new(&root);
    let source = RootId(100);
    consumer.watcher.set_extra(source, vec![include.clone()]).unwrap();
    consumer.step(Duration::ZERO);
    assert_eq!(
        consumer.log.last().map(|change| (change.root, change.kind)),
        Some((source, Kind::Gone))
    );
    sh(dir.path(), "mkdir shared && printf one > shared/common.inc");
    consumer.until_content(&include, "one");
    sh(dir.path(), "printf two > shared/x && mv shared/x shared/common.inc");
    consumer.until_content(&include, "two");
    // The same list again is no news.
    consumer.log.clear();
    consumer.watcher.set_extra(source, vec![include.clone()]).unwrap();
    consumer.step(Duration::ZERO);
    assert!(consumer.log.is_empty());
    // A directory is no file.
    sh(dir.path(), "rm shared/common.inc && mkdir shared/common.inc");
    let state = State::Unreadable(io::ErrorKind::IsADirectory);
    consumer.until("it is a directory", |consumer| {
        consumer.known.get(&include) == Some(&state)
    });
    sh(
        dir.path(),
        "rmdir shared/common.inc && printf three > shared/common.inc",
    );
    consumer.until_content(&include, "three");
    consumer.watcher.set_extra(source, vec![]).unwrap();
    consumer.log.clear();
    fs::write(&include, "four").unwrap();
    fs::write(root.join("end"), "").unwrap();
    consumer.until_content(&root.join("end"), "");
    assert_eq!(consumer.count_of(&include), 0, "no longer followed");
}

#[test]
fn keeps_unreadable_apart_from_gone() {
    as_ordinary_user(|| {
        let dir = tempdir().unwrap();
        let (org, mail) = (dir.path().join("org"), dir.path().join("org/mail"));
        fs::create_dir(&org).unwrap();
        fs::write(&mail, "key").unwrap();
        let mut consumer = Consumer::new(dir.path());
        let denied = State::Unreadable(io::ErrorKind::PermissionDenied);
        let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        // A file whose permissions arrive later.
        mode(&mail, 0o000);
        consumer.until("the file is denied", |consumer| consumer.known[&mail] == denied);
        mode(&mail, 0o600);
        consumer.until_content(&mail, "key");
        // A directory without any right, without search, and without read.
        mode(&org, 0o000);
        consumer.until("the directory is denied", |consumer| consumer.known[&mail] == denied);
        assert_eq!(consumer.known[&org], denied);
        mode(&org, 0o700);
        consumer.until_content(&mail, "key");
        consumer.until_gone(&org);
        mode(&org, 0o600);
        consumer.until("the file cannot be reached", |consumer| consumer.known[&mail] == denied);
        mode(&org, 0o700);
        consumer.until_content(&mail, "key");
        mode(&org, 0o300);
        consumer.until("the directory cannot be listed", |consumer| {
            consumer.known.get(&org) == Some(&denied)
        });
        mode(&org, 0o700);
        consumer.until_true(dir.path(), "all is readable again");
        fs::write(&mail, "still watched").unwrap();
        consumer.until_content(&mail, "still watched");
    });
}

#[test]
fn reports_what_is_no_regular_file_and_does_not_hang_on_it() {
    let dir = tempdir().unwrap();
    let mut consumer = Consumer::new(dir.path());
    sh(dir.path(), "mkfifo pipe");
    let refused = State::Unreadable(io::ErrorKind::InvalidInput);
    let pipe = dir.path().join("pipe");
    consumer.until("the pipe is refused", |consumer| {
        consumer.known.get(&pipe) == Some(&refused)
    });
}

#[test]
fn rescan_reports_only_differences_unless_forced() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("mail");
    sh(dir.path(), "printf 1 > mail && touch -d '1 hour ago' mail");
    let mut consumer = Consumer::new(dir.path());
    consumer.until("the stamp has aged", |consumer| !consumer.log.is_empty());
    std::thread::sleep(Duration::from_millis(25)); // older than a tick: its stamp proves it unchanged
    consumer.watcher.rescan(false);
    consumer.watcher.rescan(false);
    consumer.step(Duration::ZERO);
    consumer.log.clear();
    consumer.watcher.rescan(false);
    consumer.step(Duration::ZERO);
    assert!(consumer.log.is_empty(), "{:?}", consumer.log);
    consumer.watcher.rescan(true);
    consumer.step(Duration::ZERO);
    assert_eq!(consumer.count_of(&path), 1);
}

#[test]
fn is_interrupted_by_a_waker() {
    let dir = tempdir().unwrap();
    let (mut watcher, _) = Watcher::new(vec![Root::directory(ROOT, dir.path())], &Options::default()).unwrap();
    let waker = watcher.waker();
    std::thread::scope(|scope| {
        scope.spawn(move || waker.wake());
        assert!(watcher.next(None).woken);
    });
    assert!(!watcher.next(Some(Duration::ZERO)).woken, "one wake, one return");
}

#[test]
fn refuses_two_roots_of_one_id() {
    let roots = vec![Root::directory(ROOT, "/a"), Root::directory(ROOT, "/b")];
    let error = Watcher::new(roots, &Options::default()).unwrap_err();
    assert!(matches!(error, WatchError::Twice(ROOT)));
}
