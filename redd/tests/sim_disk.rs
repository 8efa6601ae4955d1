//! The disk of a simulated world: as a real one until the host crashes, and then what was not synced may be lost.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod fs_table;
mod support;

use fs_table::{CASES, Seen};
use redd::fs::{self, File, OpenOptions};
use redd::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use redd::runtime::Builder;
use redd::sim::{Disk, Report, World};
use redd::time::Duration;
use std::collections::BTreeSet;
use std::future::Future;
use std::io::{ErrorKind, Result};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use support::crash::around_crash;

fn block_on<F: Future>(future: F) -> F::Output {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Runs a world with one host and returns what it has returned.
fn in_world<T: Send + 'static>(seed: u64, disk: Disk, f: impl Fn() -> T + Send + Sync + 'static) -> (T, Report) {
    let output = Arc::new(Mutex::new(None));
    let inside = Arc::clone(&output);
    let main = move || *inside.lock().unwrap() = Some(f());
    let report = World::new(seed).record(true).disk(disk).host("host", main).run();
    report.expect_ok();
    let output = output.lock().unwrap().take().unwrap();
    (output, report)
}

/// Runs a case of the table. The directory of the case exists.
fn run_case(case: usize, root: PathBuf) -> Vec<String> {
    let mut seen = Seen { root, lines: Vec::new() };
    block_on((CASES[case].1)(&mut seen));
    seen.lines
}

#[test]
fn operations_return_on_a_simulated_disk_what_they_return_on_a_real_one() {
    let mut lines = 0;
    for (case, (name, _)) in CASES.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let real = run_case(case, dir.path().canonicalize().unwrap());
        for seed in 0..3 {
            let (simulated, _) = in_world(seed, Disk::new(), move || {
                block_on(fs::create_dir_all("/tmp/case")).unwrap();
                run_case(case, "/tmp/case".into())
            });
            for (line, (real, simulated)) in real.iter().zip(&simulated).enumerate() {
                assert_eq!(real, simulated, "line {line} of `{name}`");
            }
            assert_eq!(real.len(), simulated.len(), "`{name}`");
        }
        lines += real.len();
    }
    assert!(lines > 500, "{lines} results were compared");
}

const SECTOR: usize = 512;
/// `EIO`.
const IO_ERROR: Option<i32> = Some(5);

/// Creates a file, writes to it and syncs both the file and its name.
async fn write_synced(path: &str, contents: &[u8]) {
    let mut file = File::create(path).await.unwrap();
    file.write_all(contents).await.unwrap();
    file.sync_all().await.unwrap();
    sync_dir(Path::new(path).parent().unwrap()).await;
}

async fn sync_dir(path: impl AsRef<Path>) {
    File::open(path).await.unwrap().sync_all().await.unwrap();
}

/// Runs the first part, lets the host crash, and runs the second part.
fn after_crash<T: Send + 'static, B, A>(seed: u64, disk: Disk, before: fn() -> B, after: fn() -> A) -> T
where
    B: Future<Output = ()> + 'static,
    A: Future<Output = T> + 'static,
{
    around_crash(World::new(seed).disk(disk), move || block_on(before()), move |()| block_on(after())).0
}

#[test]
fn a_crash_tears_a_write_at_sectors_of_512_bytes() {
    async fn before() {
        write_synced("/a", &[b'a'; 4096]).await;
        let mut file = OpenOptions::new().write(true).open("/a").await.unwrap();
        file.write_all(&[b'b'; 4096]).await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(fs::read("/a").await.unwrap(), [b'b'; 4096]);
    }
    let after = || async { fs::read("/a").await.unwrap() };
    for is_torn in [true, false] {
        let mut kinds = BTreeSet::new();
        for seed in 0..100 {
            let bytes = after_crash(seed, Disk::new().torn(is_torn), before, after);
            assert_eq!(bytes.len(), 4096);
            let sectors: Vec<u8> = bytes.chunks(SECTOR).map(|sector| sector[0]).collect();
            assert!(
                bytes.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])),
                "a sector is whole"
            );
            kinds.insert((sectors.contains(&b'a'), sectors.contains(&b'b')));
        }
        let torn = BTreeSet::from([(true, true)]);
        assert_eq!(kinds.is_superset(&torn), is_torn, "{kinds:?}");
        assert!(kinds.is_superset(&BTreeSet::from([(true, false), (false, true)])), "{kinds:?}");
    }
}

#[test]
fn a_file_that_was_synced_without_its_directory_may_be_gone() {
    async fn before() {
        let mut file = File::create("/a").await.unwrap();
        file.write_all(b"salmon").await.unwrap();
        file.sync_all().await.unwrap();
    }
    async fn before_with_directory() {
        before().await;
        sync_dir("/").await;
    }
    let after = || async { fs::read("/a").await.ok() };
    let seen: BTreeSet<_> = (0..50).map(|seed| after_crash(seed, Disk::new(), before, after)).collect();
    assert_eq!(seen, BTreeSet::from([None, Some(b"salmon".to_vec())]));
    let seen: BTreeSet<_> = (0..50).map(|seed| after_crash(seed, Disk::new(), before_with_directory, after)).collect();
    assert_eq!(seen, BTreeSet::from([Some(b"salmon".to_vec())]));
}

#[test]
fn a_rename_is_lost_or_kept_as_a_whole() {
    async fn before() {
        write_synced("/a", b"old").await;
        write_synced("/tmp/b", b"new").await;
        fs::rename("/tmp/b", "/a").await.unwrap();
    }
    let after = || async { (fs::read_to_string("/a").await.ok(), fs::read_to_string("/tmp/b").await.ok()) };
    let seen: BTreeSet<_> = (0..50).map(|seed| after_crash(seed, Disk::new(), before, after)).collect();
    let (old, new) = (Some("old".to_owned()), Some("new".to_owned()));
    assert_eq!(seen, BTreeSet::from([(old, new.clone()), (new, None)]));
}

#[test]
fn to_sync_one_directory_of_a_rename_keeps_both_names() {
    for directory in ["/", "/tmp"] {
        for seed in 0..50 {
            let before = move || {
                block_on(async move {
                    write_synced("/a", b"salmon").await;
                    fs::create_dir("/tmp/new").await.unwrap();
                    fs::rename("/a", "/tmp/new/a").await.unwrap();
                    sync_dir(directory).await;
                });
            };
            let after = |()| block_on(async { (fs::read("/a").await.ok(), fs::read("/tmp/new/a").await.ok()) });
            match around_crash(World::new(seed), before, after).0 {
                (None, Some(contents)) => assert_eq!(contents, b"salmon"),
                (Some(_), None) if directory == "/tmp" => {} // The rename changes `/` and `/tmp/new`.
                other => panic!("seed {seed}, {directory}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_failed_sync_marks_what_was_written_as_clean() {
    async fn before() {
        loop {
            let mut file = File::create("/a").await.unwrap();
            if file.write_all(b"old").await.is_ok() && file.sync_all().await.is_ok() {
                break;
            }
        }
        while File::open("/").await.unwrap().sync_all().await.is_err() {}
        let mut file = OpenOptions::new().write(true).open("/a").await.unwrap();
        // Until a sync of the written bytes fails. The next one succeeds, and does not write them.
        loop {
            file.rewind().await.unwrap();
            let is_written = file.write_all(b"new").await.is_ok() && file.flush().await.is_ok();
            if is_written && file.sync_all().await.is_err() {
                break;
            }
        }
        while file.sync_all().await.is_err() {}
    }
    async fn after() -> String {
        loop {
            if let Ok(text) = fs::read_to_string("/a").await {
                return text;
            }
        }
    }
    let run = |seed| after_crash(seed, Disk::new().errors(30), before, after);
    let seen: BTreeSet<_> = (0..100).map(run).collect();
    assert_eq!(seen, BTreeSet::from(["old".to_owned(), "new".to_owned()]));
}

#[test]
fn reads_writes_and_syncs_fail_as_often_as_the_disk_says() {
    let main = || {
        block_on(async {
            let mut failed = [0; 3];
            let mut file = OpenOptions::new().read(true).write(true).create(true).open("/a").await.unwrap();
            for _ in 0..300 {
                let written = file.write(b"x").await.and(file.flush().await);
                let synced = file.sync_all().await;
                file.rewind().await.unwrap();
                let read = file.read(&mut [0; 1]).await.map(drop);
                for (failed, result) in failed.iter_mut().zip([written, synced, read]) {
                    if let Err(error) = result {
                        assert_eq!(error.raw_os_error(), IO_ERROR);
                        *failed += 1;
                    }
                }
            }
            failed
        })
    };
    let (failed, _) = in_world(1, Disk::new().errors(20), main);
    assert!(failed.iter().all(|count| (30..100).contains(count)), "a fifth of 300: {failed:?}");
    let (failed, _) = in_world(1, Disk::new(), main);
    assert_eq!(failed, [0; 3]);
}

#[test]
fn a_full_disk_takes_what_fits_and_then_nothing() {
    let before = || {
        block_on(async {
            fs::write("/a", [1; 600]).await.unwrap();
            let error = fs::write("/b", [2; 600]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            assert_eq!(fs::read("/b").await.unwrap(), [2; 400]);
            let mut file = OpenOptions::new().write(true).open("/a").await.unwrap();
            file.write_all(&[3; 600]).await.unwrap();
            file.flush().await.unwrap();
            assert_eq!(file.set_len(601).await.unwrap_err().kind(), ErrorKind::StorageFull);
            fs::create_dir("/dir").await.unwrap();
            fs::hard_link("/b", "/dir/b").await.unwrap();
            fs::remove_file("/b").await.unwrap();
            assert_eq!(file.set_len(601).await.unwrap_err().kind(), ErrorKind::StorageFull);
            fs::remove_file("/dir/b").await.unwrap();
            file.set_len(1000).await.unwrap();
            file.set_len(0).await.unwrap();
            fs::write("/c", [4; 1000]).await.unwrap();
        });
    };
    let after = |()| {
        block_on(async {
            let mut used = 0;
            for path in ["/a", "/b", "/c", "/dir/b"] {
                used += fs::metadata(path).await.map_or(0, |metadata| metadata.len());
            }
            let free = 1000_u64.saturating_sub(used) as usize;
            let mut file = File::create("/d").await.unwrap();
            let written = file.write_all(&vec![5; free + 1]).await.and(file.flush().await);
            assert!(written.is_err(), "one byte too much");
            assert_eq!(fs::metadata("/d").await.unwrap().len(), free as u64);
        });
    };
    for seed in 0..20 {
        drop(around_crash(World::new(seed).disk(Disk::new().capacity(1000)), before, after));
    }
}

#[test]
fn an_operation_takes_the_virtual_time_of_the_disk() {
    let main = || {
        block_on(async {
            let start = redd::time::Instant::now();
            fs::create_dir("/a").await.unwrap();
            start.elapsed()
        })
    };
    let range = Duration::from_millis(2)..Duration::from_millis(9);
    let times: BTreeSet<_> = (0..50).map(|seed| in_world(seed, Disk::new().latency(range.clone()), main).0).collect();
    assert!(times.len() > 20 && times.iter().all(|time| *time >= range.start && *time <= range.end), "{times:?}");
    assert_eq!(in_world(1, Disk::new(), main).0, Duration::ZERO);
}

#[test]
fn open_files_fail_after_a_crash() {
    let before = || {
        block_on(async {
            write_synced("/a", b"salmon").await;
            OpenOptions::new().read(true).write(true).open("/a").await.unwrap()
        })
    };
    let after = |mut file: File| {
        block_on(async {
            let codes = [
                file.read(&mut [0; 4]).await.map(drop),
                file.write(b"x").await.and(file.flush().await),
                file.rewind().await.map(drop),
                file.set_len(0).await,
                file.sync_all().await,
                file.sync_data().await,
                file.metadata().await.map(drop),
            ];
            assert!(codes.iter().all(|code| code.as_ref().unwrap_err().raw_os_error() == IO_ERROR), "{codes:?}");
            assert_eq!(fs::read("/a").await.unwrap(), b"salmon");
        });
    };
    drop(around_crash(World::new(1), before, after));
}

#[test]
fn hosts_have_disks_of_their_own_which_no_path_leaves() {
    let host = |own: &'static str| {
        move || {
            block_on(async move {
                fs::write("name", own).await.unwrap();
                redd::time::sleep(Duration::from_secs(1)).await;
                for path in ["/name", "name", "../name", "/../../name", "./tmp/../../../name"] {
                    assert_eq!(fs::read_to_string(path).await.unwrap(), own, "{path}");
                }
                fs::symlink("/", "/top").await.unwrap();
                fs::symlink("../../../../../../..", "/tmp/up").await.unwrap();
                for path in ["/etc/passwd", "/top/etc/passwd", "/tmp/up/etc/passwd", "/proc/self/exe", "/dev/null"] {
                    assert_eq!(fs::metadata(path).await.unwrap_err().kind(), ErrorKind::NotFound, "{path}");
                }
                assert_eq!(fs::canonicalize("/tmp/up/top/tmp").await.unwrap(), Path::new("/tmp"));
                assert_eq!(fs::canonicalize(".").await.unwrap(), Path::new("/"));
            });
        }
    };
    World::new(1).host("one", host("one")).host("two", host("two")).run().expect_ok();
    let runtime = Builder::new_current_thread().enable_time().simulated(1).build().unwrap();
    runtime.block_on(async {
        fs::write("/name", "only").await.unwrap();
        assert_eq!(fs::canonicalize("name").await.unwrap(), Path::new("/name"));
    });
}

#[test]
fn the_files_of_a_world_are_removed_with_it() {
    let main = || {
        block_on(async {
            let file = File::create("/a").await.unwrap();
            fs::create_dir("/locked").await.unwrap();
            fs::write("/locked/a", "x").await.unwrap();
            fs::set_permissions("/locked", std::fs::Permissions::from_mode(0o000)).await.unwrap();
            let std = file.into_std().await;
            use std::os::fd::AsRawFd;
            std::fs::read_link(format!("/proc/self/fd/{}", std.as_raw_fd())).unwrap()
        })
    };
    let (path, _) = in_world(1, Disk::new(), main);
    assert!(path.ends_with("a"), "{path:?}");
    let world = path.ancestors().nth(3).unwrap();
    assert!(world.file_name().unwrap().to_str().unwrap().starts_with("redd-disk-"), "{world:?}");
    assert!(!world.exists(), "{world:?}");
}

#[test]
fn files_of_std_are_untracked_and_that_is_an_event() {
    let run = |main: fn()| in_world(1, Disk::new(), main).1;
    fn tracked() {
        block_on(async { drop(File::create("/a").await.unwrap()) });
    }
    fn given_back() {
        block_on(async { drop(File::create("/a").await.unwrap().into_std().await) });
    }
    fn brought() {
        block_on(async {
            drop(File::create("/a").await.unwrap());
            drop(File::from_std(tempfile::tempfile().unwrap()));
        });
    }
    let tracked = run(tracked);
    for untracked in [run(given_back), run(brought)] {
        assert_eq!(untracked.events(), tracked.events() + 1);
        let difference = untracked.first_difference(&tracked).unwrap();
        assert!(difference.contains("untracked file"), "{difference}");
    }
}

#[test]
fn times_are_virtual() {
    let main = || {
        block_on(async {
            fs::write("/a", "x").await.unwrap();
            redd::time::sleep(Duration::from_secs(100)).await;
            let mut file = OpenOptions::new().read(true).append(true).open("/a").await.unwrap();
            file.read_u8().await.unwrap();
            fs::symlink("a", "/link").await.unwrap();
            let first = fs::metadata("/a").await.unwrap();
            file.write_all(b"y").await.unwrap();
            file.flush().await.unwrap();
            let second = fs::metadata("/a").await.unwrap();
            let link = fs::symlink_metadata("/link").await.unwrap();
            let root = fs::metadata("/").await.unwrap();
            [first.mtime(), first.atime(), second.mtime(), second.mtime_nsec(), link.mtime(), root.mtime()]
        })
    };
    let (times, _) = in_world(1, Disk::new(), main);
    let start = 1_767_225_600;
    assert_eq!(times, [start, start, start + 100, 0, start + 100, start + 100]);
}

#[test]
fn a_real_directory_can_be_read_and_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    std::fs::write(path.join("a"), "salmon").unwrap();
    std::fs::create_dir(path.join("inner")).unwrap();
    let disk = Disk::new().real_dir(&path).real_dir("src");
    let inside = path.clone();
    let main = move || {
        let path = inside.clone();
        block_on(async move {
            assert_eq!(fs::read_to_string(path.join("a")).await.unwrap(), "salmon");
            assert_eq!(fs::read_to_string(path.join("inner/../a")).await.unwrap(), "salmon");
            assert!(fs::metadata(path.join("..")).await.is_err());
            assert!(fs::metadata(path.join("inner/../../..")).await.is_err());
            let mut names = Vec::new();
            let mut entries = fs::read_dir(&path).await.unwrap();
            while let Some(entry) = entries.next_entry().await.unwrap() {
                assert_eq!(entry.path(), path.join(entry.file_name()));
                names.push((entry.file_name(), entry.metadata().await.unwrap().is_dir()));
            }
            names.sort();
            assert_eq!(names, [("a".into(), false), ("inner".into(), true)]);
            assert!(fs::metadata("src/lib.rs").await.unwrap().is_file());
            assert_eq!(fs::canonicalize("src/fs/../lib.rs").await.unwrap(), Path::new("/src/lib.rs"));
            let refused: [Result<()>; 8] = [
                fs::write(path.join("a"), "").await,
                fs::write(path.join("new"), "").await,
                fs::create_dir(path.join("new")).await,
                fs::remove_file(path.join("a")).await,
                fs::remove_dir_all(path.join("inner")).await,
                fs::rename(path.join("a"), "/a").await,
                fs::hard_link(path.join("a"), "/a").await,
                fs::symlink("/a", path.join("link")).await,
            ];
            for (index, refused) in refused.into_iter().enumerate() {
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem, "{index}");
            }
            fs::copy(path.join("a"), "/copy").await.unwrap();
            assert_eq!(fs::read_to_string("/copy").await.unwrap(), "salmon");
        });
    };
    drop(in_world(1, disk, main));
    assert_eq!(std::fs::read_to_string(path.join("a")).unwrap(), "salmon");
}

#[test]
fn one_seed_gives_one_order_of_entries_and_one_crash() {
    fn before() -> Vec<Vec<String>> {
        let listing = || async {
            let mut names = Vec::new();
            let mut entries = fs::read_dir("/").await.unwrap();
            while let Some(entry) = entries.next_entry().await.unwrap() {
                names.push(entry.file_name().into_string().unwrap());
            }
            names
        };
        block_on(async {
            for number in 0..6 {
                fs::write(format!("/{number}"), [number; 3000]).await.unwrap();
            }
            vec![listing().await, listing().await]
        })
    }
    fn after(listings: Vec<Vec<String>>) -> (Vec<Vec<String>>, Vec<usize>) {
        block_on(async {
            let mut lens = Vec::new();
            for number in 0..6 {
                let contents = fs::read(format!("/{number}")).await.unwrap_or_default();
                lens.extend([contents.len(), contents.iter().filter(|byte| **byte == number).count()]);
            }
            (listings, lens)
        })
    }
    let run = |seed| {
        let disk = Disk::new().latency(Duration::from_micros(1)..Duration::from_millis(1));
        around_crash(World::new(seed).record(true).disk(disk), before, after)
    };
    let mut all = BTreeSet::new();
    for seed in 0..100 {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first.0, second.0, "seed {seed}");
        assert_eq!(first.1.first_difference(&second.1), None, "seed {seed}");
        assert_eq!(first.1.event_hash(), second.1.event_hash());
        all.insert(first.0);
    }
    assert!(all.len() > 90, "seeds differ: {}", all.len());
}

/// A host that crashes in the middle of its operations, and starts again.
fn run_crashing(seed: u64) -> (Report, u64) {
    let synced = Arc::new(AtomicU64::new(0));
    let inside = Arc::clone(&synced);
    let main = move || {
        block_on(async {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open("/log").await.unwrap();
            sync_dir("/").await;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.unwrap();
            let acknowledged = inside.load(Ordering::Relaxed) as usize;
            assert!(bytes.len() >= acknowledged && bytes[..acknowledged].iter().all(|byte| *byte == 1));
            for _ in 0..15 {
                fs::write("/tmp/other", [2; 3000]).await.unwrap();
                // In the place of bytes that were not acknowledged and may be lost.
                file.set_len(inside.load(Ordering::Relaxed)).await.unwrap();
                file.write_all(&[1; 700]).await.unwrap();
                file.sync_data().await.unwrap();
                inside.fetch_add(700, Ordering::Relaxed);
                fs::rename("/tmp/other", "/other").await.unwrap();
            }
        });
    };
    let range = Duration::from_micros(100)..Duration::from_millis(3);
    let report = World::new(seed)
        .record(true)
        .disk(Disk::new().latency(range))
        .host("host", main)
        .at(Duration::from_millis(80), |world| {
            world.crash("host");
            world.restart_after("host", Duration::from_secs(1));
        })
        .run();
    report.expect_ok();
    (report, synced.load(Ordering::Relaxed))
}

#[test]
fn a_host_that_crashes_in_the_middle_of_an_operation_finds_what_it_has_synced() {
    let mut lens = BTreeSet::new();
    for seed in 0..100 {
        let (first, len) = run_crashing(seed);
        let (second, again) = run_crashing(seed);
        assert_eq!(first.first_difference(&second), None, "seed {seed}");
        assert_eq!((first.event_hash(), len), (second.event_hash(), again));
        lens.insert(len);
    }
    assert!(lens.len() > 2, "crashes come at different moments: {lens:?}");
}

#[test]
fn the_disk_writes_back_by_itself_when_too_much_is_not_synced() {
    async fn before() {
        write_synced("/a", &[0; 1 << 20]).await;
        let mut file = OpenOptions::new().write(true).open("/a").await.unwrap();
        for number in 1..=70 {
            file.rewind().await.unwrap();
            file.write_all(&vec![number; 1 << 20]).await.unwrap();
        }
        file.flush().await.unwrap();
    }
    let after = || async { fs::read("/a").await.unwrap() };
    for seed in 0..10 {
        let bytes = after_crash(seed, Disk::new(), before, after);
        assert_eq!(bytes.len(), 1 << 20);
        assert!(bytes.iter().all(|byte| *byte >= 60), "64 MiB were not synced after 64 writes");
    }
}

#[test]
fn a_file_of_a_world_is_of_no_use_outside_of_it() {
    let main = || block_on(async { File::create("/a").await.unwrap() });
    let (file, _) = in_world(1, Disk::new(), main);
    let error = block_on(file.sync_all()).unwrap_err();
    assert!(error.to_string().contains("Use it in a task of the world"), "{error}");
}

#[test]
fn a_file_that_std_has_changed_survives_a_crash() {
    async fn before() {
        let mut file = File::create("/a").await.unwrap();
        file.write_all(&[1; 5000]).await.unwrap();
        file.flush().await.unwrap();
        let std = file.into_std().await;
        std.set_len(7).unwrap();
        sync_dir("/").await;
    }
    let after = || async { fs::metadata("/a").await.unwrap().len() };
    let lens: BTreeSet<_> = (0..20).map(|seed| after_crash(seed, Disk::new(), before, after)).collect();
    assert_eq!(lens, BTreeSet::from([0, 5000]), "what redd has written is lost or kept");
}

#[test]
#[should_panic(expected = "Give a number from 0 (never) to 100 (always).")]
fn a_percentage_above_100_is_refused() {
    let _ = Disk::new().errors(101);
}

#[test]
#[should_panic(expected = "Give the shorter time first.")]
fn a_latency_that_ends_before_it_starts_is_refused() {
    let _ = Disk::new().latency(Duration::from_secs(2)..Duration::from_secs(1));
}

#[test]
fn a_crash_of_a_host_is_one_crash_of_its_disk() {
    let main = || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            fs::write("/file", "text").await.unwrap();
            redd::time::sleep(Duration::from_secs(1)).await;
        });
    };
    let crash = |w: &mut redd::sim::Control| {
        w.crash("host");
        w.restart_after("host", Duration::from_secs(1));
    };
    let world = World::new(3).record(true).host("host", main);
    let report = world.at(Duration::from_millis(500), crash).run();
    // How much of what is not synced a crash loses.
    assert_eq!(report.tape().to_string().matches("/4294967295v").count(), 1, "{}", report.tape());
}
