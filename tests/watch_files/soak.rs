//! Random operations; in the end the consumer must know exactly what is there, contents included.

use crate::support::{Consumer, ROOT};
use signpost::watch::{Options, Root};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// xorshift64*: the same sequence for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    /// A path below the root or outside of it, up to three names deep.
    fn path(&mut self, base: &Path) -> PathBuf {
        let mut path = base.join(["root", "root", "root", "outside"][self.below(4)]);
        for _ in 0..=self.below(3) {
            path.push(["a", "b", "c", "d"][self.below(4)]);
        }
        path
    }
}

/// One operation; most fail now and then, as the paths are random. Whether the consumer must look
/// at once: a hard link whose new name is gone again before anybody looked is what the watcher cannot see.
fn operate(random: &mut Random, base: &Path, hard_links: bool) -> io::Result<bool> {
    let (one, two) = (random.path(base), random.path(base));
    // All of one length: only stamps and hints tell them apart.
    let content = format!("{:03}", random.below(1000));
    let done = match random.below(15) {
        0..3 => fs::write(&one, content),
        3..5 => {
            let new = base.join("new");
            fs::write(&new, content)?;
            fs::rename(&new, &one)
        }
        5 => fs::remove_file(&one),
        6..8 => fs::create_dir_all(&one),
        8 => fs::remove_dir_all(&one),
        9 => fs::rename(&one, &two),
        10 => symlink(&two, &one),
        11 => {
            let depth = one.strip_prefix(base).map_or(0, |path| path.components().count()) - 1;
            let target = two.strip_prefix(base).unwrap_or(&two);
            let new = base.join("link");
            symlink(PathBuf::from("../".repeat(depth)).join(target), &new)?;
            fs::rename(&new, &one)
        }
        12 if hard_links => {
            // Beside the old name: what is written through a new one elsewhere is seen by rescans only.
            fs::hard_link(&one, one.with_file_name(["a", "b", "c", "d"][random.below(4)]))?;
            return Ok(true);
        }
        13 if fs::symlink_metadata(&one)?.is_file() => {
            fs::set_permissions(&one, Permissions::from_mode([0o600, 0o644][random.below(2)]))
        }
        _ if random.below(10) == 0 => {
            // The root itself is replaced.
            let _ = fs::remove_dir_all(base.join("old"));
            fs::rename(base.join("root"), base.join("old"))?;
            fs::create_dir(base.join("root"))
        }
        _ => Ok(()),
    };
    done.map(|()| false)
}

fn soak(seed: u64, options: &Options, operations: usize) {
    let dir = tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut consumer = Consumer::with(vec![Root::directory(ROOT, &root)], options);
    for _ in 0..operations {
        let linked = operate(&mut random, dir.path(), true).unwrap_or(false);
        if linked || random.below(4) == 0 {
            consumer.step(Duration::ZERO);
        }
    }
    consumer.until_true(&root, &format!("seed {seed}"));
    // And it still hears: nothing that was learnt may have cost a watch.
    for number in 0..50 {
        if operate(&mut random, dir.path(), true).unwrap_or(false) {
            consumer.step(Duration::ZERO);
        }
        if number % 10 == 9 {
            consumer.until_true(&root, &format!("seed {seed}, afterwards {number}"));
        }
    }
}

fn options() -> Options {
    Options {
        quiet: Duration::from_millis(30),
        scan_interval: Duration::from_millis(30),
        ..Options::default()
    }
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let count = std::env::var("WATCH_SOAK_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok());
    1..count.unwrap_or(default) + 1
}

#[test]
fn knows_the_truth_after_random_operations() {
    for seed in seeds(40) {
        soak(seed, &options(), 300);
    }
}

#[test]
fn knows_the_truth_with_few_watches() {
    for seed in seeds(10) {
        let max_watches = Some(6 + (seed % 5) as usize);
        soak(
            seed,
            &Options {
                max_watches,
                ..options()
            },
            200,
        );
    }
}

#[test]
fn knows_the_truth_by_scanning_alone() {
    for seed in seeds(10) {
        soak(
            seed,
            &Options {
                inotify: false,
                ..options()
            },
            200,
        );
    }
}

#[test]
fn knows_the_truth_while_it_changes() {
    for seed in seeds(10) {
        let dir = tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut consumer = Consumer::with(vec![Root::directory(ROOT, &root)], &options());
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                for _ in 0..3000 {
                    let _ = operate(&mut random, dir.path(), false);
                }
            });
            while !worker.is_finished() {
                consumer.step(Duration::from_millis(1));
            }
        });
        consumer.until_true(&root, &format!("seed {seed}"));
    }
}

#[test]
fn loses_no_file_that_arrives_while_its_new_directory_is_being_found() {
    const DIRECTORIES: usize = 3000;
    let dir = tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    let mut random = Random(42);
    let mut consumer = Consumer::with(vec![Root::directory(ROOT, &root)], &options());
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            for number in 0..DIRECTORIES {
                let (new, home) = (dir.path().join("new"), root.join(number.to_string()));
                fs::write(&new, "key").unwrap();
                fs::create_dir(&home).unwrap();
                // Somewhere around the time at which the directory is watched and listed.
                let start = Instant::now();
                let pause = Duration::from_micros(random.below(120) as u64);
                while start.elapsed() < pause {
                    std::hint::spin_loop();
                }
                fs::rename(&new, home.join("mail")).unwrap();
            }
        });
        while !worker.is_finished() {
            consumer.step(Duration::from_millis(1));
        }
    });
    consumer.until("all files are known", |consumer| consumer.known.len() == DIRECTORIES);
}
