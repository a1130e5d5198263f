//! Symbolic links, hard links, and the ways they lead.

use crate::support::{Consumer, State, sh};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use tempfile::tempdir;

#[test]
fn sees_the_target_of_a_link_change_in_place_and_be_replaced() {
    let dir = tempdir().unwrap();
    sh(
        dir.path(),
        "mkdir -p keys/org store/a && printf 1 > store/a/mail && ln -s ../../store/a/mail keys/org/mail",
    );
    let root = dir.path().join("keys");
    let mail = root.join("org/mail");
    let mut consumer = Consumer::new(&root);
    assert_eq!(consumer.known[&mail], State::Content("1".into()));
    for (command, content) in [
        ("printf 2 > store/a/mail", "2"),
        ("printf 3 > store/a/x && mv store/a/x store/a/mail", "3"),
        (
            "ln -sfn ../../store/b/mail keys/org/mail && mkdir store/b && printf 4 > store/b/mail",
            "4",
        ),
        ("printf 5 > store/b/mail", "5"),
        ("mv store old && mkdir -p store/b && printf 6 > store/b/mail", "6"),
        ("rm keys/org/mail && printf 7 > keys/org/mail", "7"),
        ("ln -sfn $PWD/store/b/mail keys/org/mail", "6"),
        ("printf 8 > store/b/mail", "8"),
    ] {
        sh(dir.path(), command);
        consumer.until_content(&mail, content);
    }
    fs::remove_file(dir.path().join("store/b/mail")).unwrap();
    let nowhere = State::Unreadable(io::ErrorKind::NotFound);
    consumer.until("the link leads nowhere", |consumer| consumer.known[&mail] == nowhere);
    fs::remove_file(&mail).unwrap();
    consumer.until_gone(&mail);
}

#[test]
fn follows_the_swap_of_a_kubernetes_volume() {
    let dir = tempdir().unwrap();
    sh(
        dir.path(),
        "mkdir ..2026_1 && printf 1 > ..2026_1/mail && ln -s ..2026_1 ..data && ln -s ..data/mail mail",
    );
    let mail = dir.path().join("mail");
    let mut consumer = Consumer::new(dir.path());
    assert_eq!(consumer.known[&mail], State::Content("1".into()));
    for round in 2..6 {
        let old = round - 1;
        sh(
            dir.path(),
            &format!(
                "mkdir ..2026_{round} && printf {round} > ..2026_{round}/mail && ln -s ..2026_{round} ..tmp && \
                 mv -T ..tmp ..data && rm -r ..2026_{old}"
            ),
        );
        consumer.until_content(&mail, &round.to_string());
        consumer.until_true(dir.path(), "after the swap");
    }
}

#[test]
fn walks_linked_directories_and_their_swaps() {
    let dir = tempdir().unwrap();
    sh(
        dir.path(),
        "mkdir -p keys a/x b/x && printf a > a/x/mail && printf b > b/x/mail && printf only > a/only",
    );
    sh(dir.path(), "ln -s ../a keys/org");
    let root = dir.path().join("keys");
    let mut consumer = Consumer::new(&root);
    let mail = root.join("org/x/mail");
    assert_eq!(consumer.known[&mail], State::Content("a".into()));
    fs::write(dir.path().join("a/x/mail"), "a2").unwrap();
    consumer.until_content(&mail, "a2");
    sh(&root, "ln -s ../b new && mv -T new org");
    consumer.until_content(&mail, "b");
    consumer.until_true(&root, "after the swap");
    fs::write(dir.path().join("b/x/mail"), "b2").unwrap();
    consumer.until_content(&mail, "b2");
    sh(dir.path(), "rm keys/org");
    consumer.until("nothing is left", |consumer| consumer.known.is_empty());
}

#[test]
fn a_root_may_be_a_link() {
    let dir = tempdir().unwrap();
    sh(
        dir.path(),
        "mkdir v1 v2 && printf 1 > v1/mail && printf 2 > v2/mail && ln -s v1 current",
    );
    let mail = dir.path().join("current/mail");
    let mut consumer = Consumer::new(&dir.path().join("current"));
    assert_eq!(consumer.known[&mail], State::Content("1".into()));
    sh(dir.path(), "ln -sfn v2 current");
    consumer.until_content(&mail, "2");
    fs::write(dir.path().join("v2/mail"), "3").unwrap();
    consumer.until_content(&mail, "3");
}

#[test]
fn does_not_walk_in_circles() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("keys");
    sh(
        dir.path(),
        "mkdir -p keys/a keys/b && printf 1 > keys/a/mail && ln -s .. keys/a/up && ln -s . keys/self",
    );
    sh(
        dir.path(),
        "ln -s ../b keys/a/b && ln -s ../a keys/b/a && ln -s loop keys/loop",
    );
    let mut consumer = Consumer::new(&root);
    consumer.until_true(&root, "with circles");
    // A circle that is opened.
    sh(
        dir.path(),
        "mkdir other && printf 2 > other/mail && ln -sfn ../other keys/self",
    );
    consumer.until_content(&root.join("self/mail"), "2");
    consumer.until_true(&root, "without one circle");
}

#[test]
fn survives_a_maze_of_links() {
    let dir = tempdir().unwrap();
    for from in 0..8 {
        fs::create_dir(dir.path().join(from.to_string())).unwrap();
        fs::write(dir.path().join(format!("{from}/mail")), "key").unwrap();
        for to in 0..8 {
            symlink(format!("../{to}"), dir.path().join(format!("{from}/to{to}"))).unwrap();
        }
    }
    let mut consumer = Consumer::new(dir.path());
    consumer.until_true(dir.path(), "in a maze");
    assert!(consumer.known.len() < 20_000, "{}", consumer.known.len());
}

#[test]
fn sees_writes_through_another_name_of_the_file() {
    let dir = tempdir().unwrap();
    sh(dir.path(), "mkdir keys && printf 1 > outside && ln outside keys/mail");
    let root = dir.path().join("keys");
    let mut consumer = Consumer::new(&root);
    fs::write(dir.path().join("outside"), "22").unwrap();
    consumer.until_content(&root.join("mail"), "22");
    // A hard link within the directory, made later.
    fs::write(root.join("one"), "x").unwrap();
    consumer.until_content(&root.join("one"), "x");
    fs::hard_link(root.join("one"), root.join("two")).unwrap();
    consumer.until_content(&root.join("two"), "x");
    fs::write(root.join("two"), "yy").unwrap();
    consumer.until_content(&root.join("one"), "yy");
    consumer.until_content(&root.join("two"), "yy");
}
