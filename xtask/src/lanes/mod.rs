//! What a change has to pass, cheapest first, each part with its time.
//!
//! Lanes with equal compiler flags share one target folder; those whose flags or compilers differ have their own.
//!
//! | file | lanes |
//! |---|---|
//! | here | those that need no more than the toolchain |
//! | `models` | loom and shuttle |
//! | `sanitizers` | AddressSanitizer, ThreadSanitizer |
//! | `miri` | Miri, and tests of what replaces the calls that it lacks |
//! | `machines` | aarch64, the oldest Rust |
//! | `worlds` | simulated worlds; the package that replaces functions of the C library in them |
//! | `tools` | licences and sources by cargo-deny; the crate `xtask-deep` |
//! | `api` | the facade's API next to Tokio's; redd's own next to what it was |
//! | `publish` | packages and documentation as the registry and docs.rs get them |
//! | `compatibility` | Tokio's tests, other people's programs |
//! | `demos` | programs that get stuck, on redd and on Tokio |
//! | `book` | the book, and its links |
//! | `hello` | the first chapter of the book: its commands, from an empty folder |
//! | `browser` | the pages that `redd` writes, in a browser |
//! | `kills` | crawls that are killed and continued |
//! | `jetstream` | crawls that many processes share through nats-server |
//!
//! `outcome` is what a lane returns, and `commands` runs cargo for all of them. They import no lane.
//!
//! A lane that needs what a machine lacks says SKIPPED and why; it neither fails nor counts as passed.

mod api;
mod book;
mod browser;
mod commands;
mod compatibility;
mod demos;
mod hello;
mod jetstream;
mod kills;
mod machines;
mod miri;
mod mistakes;
mod models;
mod outcome;
mod publish;
mod sanitizers;
mod tools;
mod worlds;

pub(crate) use api::{
    changes, compare_facade, depend_on_tokio, names, package, record_api, record_of_tokio, record_own_api,
};
pub(crate) use book::write_drawing;
pub(crate) use browser::write_pictures;
pub(crate) use compatibility::{run_suites, run_suites_in_world, run_switch, suite_of_tokio};
pub(crate) use demos::write_demos;
pub(crate) use kills::run_crawl_kill;
pub(crate) use models::run_shuttle;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use commands::{cargo, for_each_line, fresh_seed, passes, run_tests, target_dir, write_package};
use outcome::{Outcome, SKIPPED};

use crate::plural;
use crate::{dependencies, instructions, mutants, tidy};

/// One part of `ci`.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) purpose: &'static str,
    run: fn(&Path) -> Outcome,
}

pub(crate) const LANES: &[Lane] = &[
    Lane { name: "fmt", purpose: "formatting", run: fmt },
    Lane { name: "tidy", purpose: "the rules of STYLE.md that a machine can check", run: run_tidy },
    Lane {
        name: "dependencies",
        purpose: "what comes with redd, and what is in its user's lock file",
        run: run_dependencies,
    },
    Lane { name: "clippy", purpose: "lints, with warnings as errors", run: clippy },
    Lane { name: "docs", purpose: "documentation and its links, with warnings as errors", run: docs },
    Lane { name: "test", purpose: "unit, integration and documentation tests", run: test },
    Lane {
        name: "features",
        purpose: "redd with no feature, with each one alone, and its tests of tasks with `tracing`",
        run: features,
    },
    Lane { name: "instructions", purpose: "instructions per operation of the hot paths", run: check_instructions },
    Lane {
        name: "loom",
        purpose: "models of the concurrent parts, every interleaving within a bound",
        run: models::loom,
    },
];

/// Lanes that take longer or need more than a change has to wait for. They are not part of `ci`.
pub(crate) const DEEP: &[Lane] = &[
    Lane { name: "asan", purpose: "tests under AddressSanitizer with its leak check", run: sanitizers::asan },
    Lane {
        name: "tsan",
        purpose: "the stress program under ThreadSanitizer, std instrumented too where Debian's source of it is",
        run: sanitizers::tsan,
    },
    Lane {
        name: "miri",
        purpose: "tests under Miri, Stacked and Tree Borrows, where it is installed; its replaced calls everywhere",
        run: miri::miri,
    },
    Lane {
        name: "aarch64",
        purpose: "builds for aarch64, and its tests under qemu, with Debian's packages unpacked into `target`",
        run: machines::aarch64,
    },
    Lane {
        name: "msrv",
        purpose: "builds and tests with the oldest Rust that is promised, rustup's or Debian's",
        run: machines::msrv,
    },
    Lane {
        name: "loom-shadow",
        purpose: "the models again, with orders that loom alone does not try",
        run: models::loom_with_shadow,
    },
    Lane {
        name: "shuttle",
        purpose: "the models and whole runtimes, 10,000 schedules of each, picked at random",
        run: models::shuttle,
    },
    Lane { name: "fuzz", purpose: "random bytes and sequences against plain models, three minutes", run: fuzz },
    Lane {
        name: "mutants",
        purpose: "small changes in the files that matter most, such as the state word and the wheel: tests notice",
        run: mutants,
    },
    Lane { name: "random", purpose: "random programs on whole runtimes, 100,000 seeds", run: random },
    Lane {
        name: "worlds",
        purpose: "1,000 simulated worlds, each of them twice, and in builds that differ: the same events",
        run: worlds::worlds,
    },
    Lane {
        name: "sim-libc",
        purpose: "std's time and random numbers in worlds, with each way of linking",
        run: worlds::sim_libc,
    },
    Lane { name: "soak", purpose: "a service under load for five minutes: nothing lost, resources flat", run: soak },
    Lane {
        name: "attach",
        purpose: "what requests from outside cost: 10,000 in a row, 100,000 tasks, none for 10 s",
        run: attach,
    },
    Lane { name: "deny", purpose: "licences, sources and bans of all dependencies, by cargo-deny", run: tools::deny },
    Lane {
        name: "deep-tools",
        purpose: "format, lints and tests of `xtask-deep`, which `ci` does not build",
        run: tools::check_deep_tool,
    },
    Lane { name: "api-diff", purpose: "the facade's API next to the record of Tokio's", run: api::api_diff },
    Lane {
        name: "own-api",
        purpose: "redd's API, features and oldest Rust next to the record: nothing that programs use is gone",
        run: api::own_api,
    },
    Lane {
        name: "publish",
        purpose: "what a release publishes: packaged, built, run outside of the repository; nothing is uploaded",
        run: publish::publish,
    },
    Lane { name: "docs-rs", purpose: "documentation as docs.rs builds it", run: publish::docs_rs },
    Lane {
        name: "suites",
        purpose: "Tokio's own tests and its companions', on the facade",
        run: compatibility::stable_suites,
    },
    Lane {
        name: "suites-unstable",
        purpose: "Tokio's own tests with `tokio_unstable`",
        run: compatibility::unstable_suites,
    },
    Lane {
        name: "suites-in-world",
        purpose: "Tokio's own tests in simulated worlds, each seed in two processes: the same events",
        run: compatibility::suites_in_world,
    },
    Lane {
        name: "compat",
        purpose: "programs on other people's crates, through the facade",
        run: compatibility::run_compat,
    },
    Lane {
        name: "demos",
        purpose: "programs that get stuck, on redd and on Tokio: which lines are named, and the guide's copy",
        run: demos::demos,
    },
    Lane {
        name: "browser",
        purpose: "the pages that `redd` writes, in headless Chromium without a network",
        run: browser::browser,
    },
    Lane {
        name: "crawl-kill",
        purpose: "crawls of 2,000 addresses, killed 200 times at random moments and continued",
        run: kills::crawl_kill,
    },
    Lane {
        name: "jetstream",
        purpose: "crawls that processes share through nats-server, one killed each second, the server killed too",
        run: jetstream::jetstream,
    },
    Lane { name: "book", purpose: "the book with mdBook; its links, and those of the pages outside", run: book::book },
    Lane {
        name: "hello",
        purpose: "the commands of the book's first chapter, from an empty folder and an empty home",
        run: hello::hello,
    },
    Lane { name: "minimal", purpose: "builds with the lowest versions that the manifests allow", run: minimal },
];

/// Lanes that no group runs: they take an hour.
pub(crate) const ALONE: &[Lane] = &[Lane {
    name: "switch",
    purpose: "published programs: `cargo redd switch`, a build, a real run or their tests, `cargo redd back`",
    run: compatibility::switch_all,
}];

pub(crate) fn find(name: &str) -> Option<&'static Lane> {
    LANES.iter().chain(DEEP).chain(ALONE).find(|lane| lane.name == name)
}

pub(crate) fn run_all(root: &Path) -> bool {
    run(root, &LANES.iter().collect::<Vec<_>>())
}

pub(crate) fn run_deep(root: &Path) -> bool {
    run(root, &DEEP.iter().collect::<Vec<_>>())
}

/// Runs all of `lanes`, also after one has failed, so that one run shows everything there is to fix.
pub(crate) fn run(root: &Path, lanes: &[&Lane]) -> bool {
    let mut rows = Vec::new();
    for lane in lanes {
        println!("==> {}: {}", lane.name, lane.purpose);
        let start = now();
        let outcome = (lane.run)(root);
        rows.push((lane.name, start.elapsed(), outcome));
    }
    println!("\nlane             result      time");
    let mut total = Duration::ZERO;
    for (name, time, outcome) in &rows {
        total += *time;
        // The word is in the column before.
        let note = outcome.note.strip_prefix(SKIPPED).unwrap_or(&outcome.note);
        println!("{name:<15}  {:<7} {:>6.1} s  {note}", outcome.word(), time.as_secs_f64());
    }
    let count = |word: &str| rows.iter().filter(|(_, _, outcome)| outcome.word() == word).count();
    let skipped = match count("SKIPPED") {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    println!(
        "{} of {} passed{skipped} in {:.1} s",
        count("ok"),
        plural::count(rows.len(), "lane"),
        total.as_secs_f64()
    );
    let failed: Vec<_> = rows.iter().filter(|(_, _, outcome)| !outcome.passed).map(|(name, _, _)| *name).collect();
    for name in &failed {
        println!("failed: {name}; alone: `cargo xtask {name}`");
    }
    failed.is_empty()
}

#[expect(clippy::disallowed_methods, reason = "lanes are timed by the real clock")]
fn now() -> Instant {
    Instant::now()
}

fn fmt(root: &Path) -> Outcome {
    let passed = passes(&mut cargo(root, &["fmt", "--all", "--check"]));
    if !passed {
        eprintln!("fix: `cargo fmt --all`");
    }
    Outcome::of(passed)
}

fn run_tidy(root: &Path) -> Outcome {
    let findings = tidy::check(root);
    for finding in &findings {
        println!("{finding}");
    }
    Outcome { passed: findings.is_empty(), note: plural::count(findings.len(), "finding") }
}

fn run_dependencies(root: &Path) -> Outcome {
    let tree = |arguments: &[&str]| {
        let output = cargo(root, arguments).stderr(Stdio::inherit()).output();
        output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let findings = dependencies::check(root, tree, user_lock(root));
    for finding in &findings {
        println!("{finding}");
    }
    Outcome { passed: findings.is_empty(), note: plural::count(findings.len(), "finding") }
}

/// The lock file of a program that depends on `tokio` and gets the facade. It starts from ours, so that a new release of
/// another crate changes nothing; Cargo removes what the program does not need.
fn user_lock(root: &Path) -> Result<String, String> {
    let folder = target_dir(root).join(dependencies::USER);
    let (lock, checkout) = (folder.join("Cargo.lock"), folder.join("redd"));
    let link = || match std::os::unix::fs::symlink(root, &checkout) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    write_package(&folder, &dependencies::user_manifest(), "//! Nothing.\n")
        .and_then(|()| link())
        .and_then(|()| std::fs::copy(root.join("Cargo.lock"), &lock))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    // Without the network if the registry's index has been read before; with it otherwise.
    let resolves = |option: &[&str]| {
        let mut command = cargo(&folder, &["tree", "--quiet"]);
        command.args(option).stdout(Stdio::null());
        passes(&mut command)
    };
    if !resolves(&["--offline"]) && !resolves(&[]) {
        return Err("a program with the patch does not resolve (Cargo's message is above)".to_owned());
    }
    std::fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))
}

/// A program whose lock file is older than ours keeps its versions if our requirements allow them, so they have to be
/// enough. Dependencies of others are at their lowest versions too.
fn minimal(root: &Path) -> Outcome {
    let folder = target_dir(root).join("minimal");
    let names = feature_names(&std::fs::read_to_string(root.join("redd/Cargo.toml")).unwrap_or_default());
    let redd = |features: &[String]| format!("redd = {{ path = {:?}, features = {features:?} }}", root.join("redd"));
    let libc = format!("redd-sim-libc = {{ path = {:?} }}", root.join("redd-sim-libc"));
    // An optional dependency may require a newer version of another one, and hide that our requirement is too low.
    let passed = [redd(&[]), redd(&names), libc].iter().all(|dependency| {
        let manifest = format!(
            "[package]\nname = \"minimal\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{dependency}\n"
        );
        if let Err(error) = write_package(&folder, &manifest, "//! Nothing.\n") {
            eprintln!("{}: {error}", folder.display());
            return false;
        }
        let mut resolve = cargo(&folder, &["generate-lockfile", "--quiet", "-Zminimal-versions"]);
        let mut check = cargo(&folder, &["check", "--quiet", "--locked"]);
        check.env("CARGO_TARGET_DIR", target_dir(root).join("minimal/target"));
        passes(resolve.env("RUSTC_BOOTSTRAP", "1")) && passes(&mut check)
    });
    Outcome {
        passed: passed && !names.is_empty(),
        note: "redd with the default features, and with all; redd-sim-libc".to_owned(),
    }
}

fn clippy(root: &Path) -> Outcome {
    Outcome::of(passes(&mut cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])))
}

fn docs(root: &Path) -> Outcome {
    Outcome::of(passes(cargo(root, &["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings")))
}

fn test(root: &Path) -> Outcome {
    let count = run_tests(&mut cargo(root, &["test", "--workspace", "--no-fail-fast"]));
    // Its files are listed by hand, and nothing else in `ci` builds it.
    println!("  the crate of the lane `mutants`");
    let error = match mutants::compiles(root, &target_dir(root).join("mutants/check")) {
        Ok(true) => return Outcome { note: count.to_string(), passed: count.succeeded },
        Ok(false) => "it does not compile".to_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("fix: list the files that moved or are new in `BESIDE` and `LIB` of xtask/src/mutants.rs");
    Outcome { passed: false, note: format!("{count}; crate of the lane `mutants`: {error}") }
}

fn features(root: &Path) -> Outcome {
    let manifest = std::fs::read_to_string(root.join("redd/Cargo.toml")).unwrap_or_default();
    let names = feature_names(&manifest);
    let mut failed = Vec::new();
    for name in std::iter::once("").chain(names.iter().map(String::as_str)) {
        let mut arguments = vec!["clippy", "--quiet", "-p", "redd", "--no-default-features"];
        if !name.is_empty() {
            arguments.extend(["--features", name]);
        }
        arguments.extend(["--", "-D", "warnings"]);
        if !passes(&mut cargo(root, &arguments)) {
            failed.push(if name.is_empty() { "(none)" } else { name });
        }
    }
    // The features with code of their own that the tests of the default features do not see.
    let tests = ["test", "-p", "redd", "--lib", "--test", "tasks", "--test", "inherit_span", "--features", "tracing"];
    let traced = run_tests(&mut cargo(root, &tests));
    let streams =
        run_tests(&mut cargo(root, &["test", "-p", "redd", "--test", "group_streams", "--features", "stream"]));
    let note = if failed.is_empty() {
        format!("{}; with `tracing`: {traced}; with `stream`: {streams}", plural::count(names.len() + 1, "combination"))
    } else {
        format!("failed with: {}; with `tracing`: {traced}; with `stream`: {streams}", failed.join(", "))
    };
    let passed = failed.is_empty() && !names.is_empty() && traced.succeeded && streams.succeeded;
    Outcome { passed, note }
}

/// The features of a manifest but `default`.
fn feature_names(manifest: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[features]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = ["))
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| name != "default")
        .collect()
}

fn mutants(root: &Path) -> Outcome {
    mutants_of(root, None)
}

/// `cargo xtask mutants FILE`.
pub(crate) fn run_mutants(root: &Path, file: &str) -> bool {
    let outcome = mutants_of(root, Some(file));
    println!("mutants: {}", outcome.note);
    outcome.passed
}

fn mutants_of(root: &Path, only: Option<&str>) -> Outcome {
    match mutants::run(root, &target_dir(root).join("mutants"), only) {
        Ok(totals) => Outcome {
            passed: totals.unknown.is_empty() && totals.tried > 0,
            note: format!(
                "changes: {} tried, {} noticed, {} survive, {} of them unexplained",
                totals.tried,
                totals.noticed,
                totals.survivors.len(),
                totals.unknown.len()
            ),
        },
        Err(error) => Outcome { passed: false, note: error.to_string() },
    }
}

fn fuzz(root: &Path) -> Outcome {
    fuzz_for(root, 180)
}

/// `cargo xtask fuzz --seconds N`.
pub(crate) fn run_fuzz(root: &Path, seconds: u64) -> bool {
    let outcome = fuzz_for(root, seconds);
    println!("fuzz: {}", outcome.note);
    outcome.passed
}

/// Runs `redd/tests/fuzz.rs`, which prints the line that replays a failing input.
fn fuzz_for(root: &Path, seconds: u64) -> Outcome {
    let from = fresh_seed();
    let mut command = cargo(root, &["test", "--release", "-p", "redd", "--test", "fuzz"]);
    command
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .env("CARGO_TARGET_DIR", target_dir(root).join("checked"))
        .env("REDD_FUZZ_SECONDS", seconds.to_string())
        .env("REDD_FROM", from.to_string());
    let count = run_tests(&mut command);
    Outcome { passed: count.succeeded && count.cases > 0, note: format!("inputs: {count}, from seed {from}") }
}

fn random(root: &Path) -> Outcome {
    random_from(root, DEEP_SEEDS, fresh_seed())
}

/// How many random programs the deep lane runs.
const DEEP_SEEDS: u64 = 100_000;

/// `cargo xtask random --seeds N --from S`.
pub(crate) fn run_random(root: &Path, seeds: u64, from: u64) -> bool {
    let outcome = random_from(root, seeds, from);
    println!("random: {}", outcome.note);
    outcome.passed
}

/// Runs `redd/tests/random.rs`, which prints the line that replays a failing seed.
fn random_from(root: &Path, seeds: u64, from: u64) -> Outcome {
    let checked = |arguments: &[&str]| {
        let mut command = cargo(root, arguments);
        command
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            // Where the assertions of the other release builds are off.
            .env("CARGO_TARGET_DIR", target_dir(root).join("checked"));
        command
    };
    let arguments = ["test", "--release", "-p", "redd", "--test", "random"];
    if !passes(&mut checked(&[&arguments[..], &["--no-run"]].concat())) {
        return Outcome::of(false);
    }
    let mut command = checked(&arguments);
    // What the runtime says of each panic that is meant would drown the rest.
    command.env("REDD_SEEDS", seeds.to_string()).env("REDD_FROM", from.to_string()).stderr(Stdio::null());
    let count = run_tests(&mut command);
    Outcome { passed: count.succeeded && count.cases > 0, note: format!("programs: {count}, from seed {from}") }
}

fn soak(root: &Path) -> Outcome {
    // What is left of an hour beside the other lanes; `soak --minutes 30` is for an evening.
    soak_for(root, "5")
}

/// A service under load, judged by its counts and by how flat its resources stay.
fn soak_for(root: &Path, minutes: &str) -> Outcome {
    let arguments = ["test", "--release", "-p", "redd", "--test", "soak", "--", "--minutes", minutes];
    let mut lost = None;
    let succeeded = for_each_line(&mut cargo(root, &arguments), |line| {
        if let Some(rest) = line.strip_prefix("soak: ").filter(|rest| rest.ends_with(" lost")) {
            lost = Some(rest.to_owned());
        }
    });
    let note = lost.clone().unwrap_or_else(|| "it did not come to its end".to_owned());
    Outcome { passed: succeeded && lost.is_some(), note: format!("{minutes} min: {note}") }
}

/// The program `redd` asks processes so often, and for so many tasks, that a leak or a pause would show. The output has the times.
fn attach(root: &Path) -> Outcome {
    let arguments = ["test", "--release", "-p", "redd-cli", "--test", "cost", "--", "--nocapture", "--test-threads=1"];
    let mut command = cargo(root, &arguments);
    command.env("REDD_ATTACHES", "10000").env("REDD_TASKS", "100000").env("REDD_IDLE_SECONDS", "10");
    let mut skipped = None;
    let succeeded = for_each_line(&mut command, |line| {
        if let Some(why) = line.strip_prefix("SKIPPED: ") {
            skipped = Some(why.to_owned());
        }
    });
    match skipped {
        Some(why) if succeeded => Outcome { passed: true, note: format!("in part: {why}") },
        _ => Outcome::of(succeeded),
    }
}

/// The lane of this name, for `minutes`.
pub(crate) fn run_soak(root: &Path, minutes: &str) -> bool {
    let outcome = soak_for(root, minutes);
    println!("soak: {}, {}", if outcome.passed { "ok" } else { "FAILED" }, outcome.note);
    outcome.passed
}

fn check_instructions(root: &Path) -> Outcome {
    let counts = match count_instructions(root) {
        Ok(counts) => counts,
        Err(Uncounted::Skipped(why)) => return Outcome::skipped(why),
        Err(Uncounted::Failed(why)) => {
            eprintln!("{why}");
            return Outcome::of(false);
        }
    };
    let stored = std::fs::read_to_string(root.join(instructions::STORED)).unwrap_or_default();
    let comparison = instructions::compare(&stored, &instructions::toolchain(), &counts);
    comparison.lines.iter().for_each(|line| println!("{line}"));
    if !comparison.failed.is_empty() {
        eprintln!("fix it, or give the reason in the commit and store them: `cargo xtask instructions --bless`");
    }
    let note = match comparison.failed.as_slice() {
        [] => plural::count(counts.len(), "row"),
        failed => failed.join(", "),
    };
    Outcome { passed: comparison.failed.is_empty(), note }
}

/// Stores the counts of this moment; shows what they were.
pub(crate) fn bless_instructions(root: &Path) -> bool {
    let counts = match count_instructions(root) {
        Ok(counts) => counts,
        Err(Uncounted::Skipped(why) | Uncounted::Failed(why)) => {
            eprintln!("{why}");
            return false;
        }
    };
    let path = root.join(instructions::STORED);
    let toolchain = instructions::toolchain();
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    instructions::compare(&stored, &toolchain, &counts).lines.iter().for_each(|line| println!("{line}"));
    std::fs::write(path, instructions::stored_text(&toolchain, &counts)).is_ok()
}

/// Why there are no counts.
enum Uncounted {
    Skipped(String),
    Failed(String),
}

fn count_instructions(root: &Path) -> Result<Vec<(String, f64)>, Uncounted> {
    let valgrind = instructions::valgrind().map_err(Uncounted::Skipped)?;
    println!("{valgrind}, {}", instructions::toolchain());
    let target = target_dir(root).join("instructions");
    let arguments = ["build", "--release", "--manifest-path", "bench/Cargo.toml", "-p", "instructions"];
    if !passes(cargo(root, &arguments).env("CARGO_TARGET_DIR", &target)) {
        return Err(Uncounted::Failed("the program does not build".to_owned()));
    }
    instructions::count(&target.join("release/instructions")).map_err(Uncounted::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_from_the_manifest() {
        let manifest =
            "[package]\n[features]\ndefault = [\"a\"]\n# why\na = []\nb-c = [\"a\"]\n\n[dependencies]\nd = [1]\n";
        assert_eq!(feature_names(manifest), ["a", "b-c"]);
    }
}
