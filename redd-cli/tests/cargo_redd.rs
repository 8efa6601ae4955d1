//! The program `cargo redd` checks and explores the tests of a small package, which is built offline.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The tests of the package. Each is for one of the tests below.
const PLANTED: &str = r#"
use redd::runtime::Builder;
use redd::sim::{World, chance, seeds};
use redd::sync::Mutex;
use redd::task::{JoinSet, yield_now};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

async fn withdraw(account: Arc<(Mutex<()>, AtomicU32)>, is_correct: bool, pauses: u32) {
    for _ in 0..pauses {
        yield_now().await;
    }
    let guard = if is_correct { Some(account.0.lock().await) } else { None };
    let balance = account.1.load(Ordering::Relaxed);
    if balance >= 80 {
        yield_now().await;
        let now = account.1.load(Ordering::Relaxed);
        assert!(now >= 80, "there are only {now}");
        account.1.store(now - 80, Ordering::Relaxed);
    }
    drop(guard);
}

async fn pay(is_correct: bool) {
    let account = Arc::new((Mutex::new(()), AtomicU32::new(100)));
    let mut tasks = JoinSet::new();
    tasks.build_task().name("rent").spawn(withdraw(account.clone(), is_correct, 0)).unwrap();
    tasks.build_task().name("food").spawn(withdraw(account, is_correct, 2)).unwrap();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

mod bank {
    #[redd::test(sim, seeds = 1)]
    async fn pays_twice() {
        super::pay(false).await;
    }

    #[redd::test(sim, seeds = 1)]
    async fn pays_once() {
        super::pay(true).await;
    }
}

#[redd::test(sim)]
async fn iterates_over_a_hash_map() {
    let map: HashMap<u32, u32> = (0..100).map(|number| (number, number % 2)).collect();
    for parity in map.into_values() {
        redd::task::Builder::new().name("gossip").spawn(async move {
            for _ in 0..parity {
                yield_now().await;
            }
        }).unwrap().await.unwrap();
    }
}

#[test]
fn has_own_worlds() {
    for seed in seeds(2) {
        World::new(seed)
            .host("left", || Builder::new_current_thread().build().unwrap().block_on(pay(true)))
            .host("right", || {
                assert!(!chance("no power", 4), "no power");
                assert!(!chance("no water", 4), "no water");
            })
            .run()
            .expect_ok();
    }
}

#[test]
fn has_one_seed() {
    World::new(7).host("host", || ()).run().expect_ok();
}

#[test]
fn has_no_world() {}

#[test]
fn asserts_too_much() {
    for seed in seeds(3) {
        let report = World::new(seed).host("host", || { chance("rare", 5); }).run();
        assert!(report.tape().is_empty() && report.seed() != 33, "seed {} is not liked", report.seed());
    }
}

#[test]
fn keeps_a_static() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    for seed in seeds(3) {
        World::new(seed).host("host", || assert!(RUNS.fetch_add(1, Ordering::Relaxed) < 20, "too often")).run().expect_ok();
    }
}
"#;

/// The folder of the package, with a build of it.
fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
        fs::create_dir_all(folder.join("tests")).unwrap();
        fs::create_dir_all(folder.join("src")).unwrap();
        let _ = fs::remove_dir_all(folder.join("tests/seeds"));
        let manifest = format!(
            "[package]\nname = \"planted\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\nredd = {{ path = {:?}, \
             default-features = false, features = [\"macros\"] }}\n\n[workspace]\n\n[profile.dev]\ndebug = false\n",
            repository.join("redd")
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::copy(repository.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        fs::write(folder.join("src/lib.rs"), "").unwrap();
        fs::write(folder.join("tests/planted.rs"), PLANTED).unwrap();
        folder
    })
}

fn cargo_redd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cargo-redd"))
        .arg("redd")
        .args(arguments)
        .current_dir(package())
        .env("CARGO_TARGET_DIR", package().join("target"))
        .env("REDD_SEED", "not for the tests that it runs")
        .output()
        .unwrap()
}

/// Runs it on a test of the package. Returns its exit code, and what it has printed.
fn on_test(command: &str, arguments: &[&str]) -> (i32, String) {
    let output = cargo_redd(&[&[command, "--offline"], arguments].concat());
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, if code == 2 { text(&output.stderr) } else { text(&output.stdout) })
}

#[test]
fn a_seed_that_repeats_itself_passes_the_check() {
    for test in ["pays_once", "has_own_worlds"] {
        let (code, text) = on_test("check", &[test, "--seed", "3"]);
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with("seed 3: two runs in fresh processes have the same "), "{text}");
        assert!(text.contains(" events; the test passes in both"), "{text}");
    }
}

#[test]
fn a_check_shows_the_first_event_that_differs_with_its_host_its_task_and_its_place() {
    let (code, text) = on_test("check", &["iterates_over_a_hash_map", "--strategy", "plain"]);
    assert_eq!(code, 1, "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("seed 0: two runs in fresh processes differ from event "), "{text}");
    assert_eq!((lines[1], lines[7], lines[9]), ("Before it:", "In the first run:", "In the second run:"), "{text}");
    for event in [lines[8], lines[10]] {
        assert!(event.contains("host `iterates_over_a_hash_map`, "), "{text}");
        assert!(event.contains("task `gossip` (spawned at tests/planted.rs:"), "{text}");
    }
    assert!(text.contains("the order of a `HashMap`"), "{text}");
    assert!(text.contains("the line `use redd_sim_libc as _;`"), "{text}");
}

#[test]
fn a_check_says_how_the_test_fails_in_both_runs() {
    let (code, text) = on_test("check", &["pays_once", "--tape", "1:1/77t"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("the test fails in both. The first run: "), "{text}");
    assert!(text.contains("the tape"), "{text}");
}

#[test]
fn a_failure_is_found_shrunk_told_and_kept() {
    let arguments = ["bank::pays_twice", "--seeds", "1000", "--keep"];
    let (code, text) = on_test("explore", &arguments);
    assert_eq!(code, 1, "{text}");
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("seed ") && first.contains(" fails with ") && first.contains("there are only "),
        "{text}"
    );
    let seed = first.split(' ').nth(1).unwrap();
    assert!(text.contains("fails with 2 deviations from the plain order (shrunk from "), "{text}");
    assert!(text.contains("task `food` (spawned at tests/planted.rs:") && text.contains(" runs before "), "{text}");
    assert!(text.contains("The shrunk run fails in the same way in a fresh process."), "{text}");
    let command = format!("REDD_SEED={seed} REDD_TAPE=");
    let command = text.lines().find(|line| line.contains(&command)).unwrap();
    assert!(command.ends_with(" cargo test -p planted -- --exact bank::pays_twice"), "{text}");
    assert!(text.contains(&format!("to repeat the run of the seed: REDD_SEED={seed} ")), "{text}");
    let file = package().join("tests/seeds/bank.pays_twice.txt");
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.starts_with(&format!("{seed} ")) && kept.contains("# Host: "), "{kept}");
    // From now on the test runs that seed first, with its strategy.
    let cargo_test = |extra: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--offline", "--quiet", "--", "--exact", "bank::pays_twice"])
            .current_dir(package())
            .env("CARGO_TARGET_DIR", package().join("target"))
            .envs(extra.iter().copied())
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (passed, shown) = cargo_test(&[]);
    assert!(!passed && shown.contains(&format!("the simulated world of seed {seed} has failed")), "{shown}");
    let tape = command.split("REDD_TAPE=").nth(1).unwrap().split(' ').next().unwrap();
    let (passed, shown) = cargo_test(&[("REDD_SEED", seed), ("REDD_TAPE", tape)]);
    assert!(!passed && shown.contains("there are only 20"), "{shown}");
    // A second exploration finds it again, and does not add it twice.
    let (code, text) = on_test("explore", &[&arguments[..], &["--from", seed]].concat());
    assert_eq!(code, 1, "{text}");
    fs::remove_file(&file).unwrap();
    let (passed, shown) = cargo_test(&[("REDD_SEED", "0"), ("REDD_EXPLORE", "plain")]);
    assert!(passed, "{shown}");
}

#[test]
fn what_does_not_fail_is_silent_and_the_time_limit_holds() {
    let (code, text) =
        on_test("explore", &["pays_once", "--seeds", "100", "--strategy", "random,delay:2", "--batch", "30"]);
    assert_eq!((code, text.starts_with("no failure in 200 runs of random, delay:2, in ")), (0, true), "{text}");
    let (code, text) = on_test("explore", &["pays_once", "--seeds", "1000000000", "--minutes", "0.02", "--jobs", "1"]);
    assert!(code == 0 && text.contains("no failure in ") && text.contains("the time is over"), "{text}");
}

#[test]
fn all_different_failures_are_collected_if_that_is_wanted() {
    let arguments = ["has_own_worlds", "--seeds", "200", "--strategy", "random", "--keep-going", "--shrink", "50"];
    let (code, text) = on_test("explore", &arguments);
    assert_eq!(code, 1, "{text}");
    for fault in ["power", "water"] {
        let fails =
            text.lines().filter(|line| line.starts_with("seed ") && line.ends_with(&format!("panicked: no {fault}")));
        assert_eq!(fails.count(), 1, "{text}");
        assert!(text.contains(&format!("chance `no {fault}` is true")), "{text}");
    }
    assert!(text.contains("2 different failures in 200 runs of random, in "), "{text}");
    assert_eq!(text.matches("fails with 1 deviation from the plain order").count(), 2, "{text}");
}

#[test]
fn a_failure_that_no_world_has_is_shown_as_the_test_shows_it() {
    let (code, text) = on_test("explore", &["asserts_too_much", "--seeds", "100", "--strategy", "random"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("the test has failed, and no world of it") && text.contains("seed 33 is not liked"),
        "{text}"
    );
}

#[test]
fn a_static_that_outlives_a_world_is_suspected() {
    let (code, text) = on_test("explore", &["keeps_a_static", "--seeds", "100", "--strategy", "random", "--jobs", "1"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.starts_with("seed 20 fails with random") && text.contains("has outlived the worlds before it"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_carried_out_is_an_error_that_says_what_to_do() {
    for (command, arguments, part) in [
        ("explore", &["nothing_like_this"][..], "`cargo test -- --list`"),
        ("explore", &["bank"], "2 tests have `bank` in their paths"),
        ("explore", &["has_no_world", "--seeds", "10"], "has run no simulated world. Write `#[redd::test(sim)]`"),
        ("check", &["has_no_world"], "has run no simulated world. Write `#[redd::test(sim)]`"),
        ("explore", &["has_one_seed", "--seeds", "10"], "`redd::sim::seeds`"),
        ("explore", &["pays_once", "--package", "other"], "see the messages of cargo"),
        ("explore", &["pays_once", "--strategy", "chaos"], "`delay:2`"),
        ("explore", &["pays_once", "--minutes", "soon"], "such as `5` or `0.5`"),
        ("explore", &["pays_once", "--seeds", "0"], "--seeds"),
        ("explore", &[], "<TEST>"),
        ("check", &["pays_once", "--tape", "x"], "is no deviation of a tape"),
    ] {
        let (code, text) = on_test(command, arguments);
        assert_eq!(code, 2, "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}

#[test]
fn the_help_has_each_option() {
    for (command, options) in [
        ("check", &["--seed ", "--strategy ", "--tape ", "--package ", "--release", "--offline"][..]),
        (
            "explore",
            &["--seeds ", "--from ", "--minutes ", "--jobs ", "--batch ", "--keep-going", "--keep\n", "--shrink "],
        ),
    ] {
        let text = String::from_utf8(cargo_redd(&[command, "--help"]).stdout).unwrap();
        options.iter().for_each(|option| assert!(text.contains(option), "{option}: {text}"));
        assert!(text.contains(&format!("Usage: cargo redd {command} [OPTIONS] <TEST>")), "{text}");
    }
}
