//! The disk of a simulated world: as a real one until the host crashes, and then what was not synced may be lost.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod fs_table;

use fs_table::{CASES, Seen};
use redd::fs;
use redd::runtime::Builder;
use redd::sim::{Disk, Report, World};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

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
