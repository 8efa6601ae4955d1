//! What a change has to pass, cheapest first, each part with its time.
//!
//! Lanes with equal compiler flags share one target folder; `loom`, `asan` and `tsan`, whose flags differ, have their own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{api, compat, dependencies, instructions, mutants, peers, suites, switch, tidy};

/// One part of `ci`.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) purpose: &'static str,
    run: fn(&Path) -> Outcome,
}

/// What a lane has to say: whether it passed, and one line for the table.
#[derive(Debug)]
struct Outcome {
    passed: bool,
    note: String,
}

impl Outcome {
    fn of(passed: bool) -> Self {
        Self { passed, note: String::new() }
    }
}

pub(crate) const LANES: &[Lane] = &[
    Lane { name: "fmt", purpose: "formatting", run: fmt },
    Lane { name: "tidy", purpose: "the rules of STYLE.md that a machine can check", run: run_tidy },
    Lane { name: "dependencies", purpose: "sources, licences and versions of dependencies", run: run_dependencies },
    Lane { name: "clippy", purpose: "lints, with warnings as errors", run: clippy },
    Lane { name: "docs", purpose: "documentation and its links, with warnings as errors", run: docs },
    Lane { name: "test", purpose: "unit, integration and documentation tests", run: test },
    Lane {
        name: "features",
        purpose: "redd with no feature, with each one alone, and its tests of tasks with `tracing`",
        run: features,
    },
    Lane { name: "instructions", purpose: "instructions per operation of the hot paths", run: check_instructions },
    Lane { name: "loom", purpose: "models of the concurrent parts, every interleaving within a bound", run: loom },
];

/// Lanes that take longer or need more than a change has to wait for. They are not part of `ci`.
pub(crate) const DEEP: &[Lane] = &[
    Lane { name: "asan", purpose: "tests under AddressSanitizer with its leak check", run: asan },
    Lane { name: "tsan", purpose: "the stress program under ThreadSanitizer", run: tsan },
    Lane {
        name: "loom-shadow",
        purpose: "the models again, with orders that loom alone does not try",
        run: loom_with_shadow,
    },
    Lane {
        name: "shuttle",
        purpose: "the models and whole runtimes, 10,000 schedules of each, picked at random",
        run: shuttle,
    },
    Lane { name: "fuzz", purpose: "random bytes and sequences against plain models, three minutes", run: fuzz },
    Lane {
        name: "mutants",
        purpose: "small changes in the state word, wheel, queues and permits: tests notice",
        run: mutants,
    },
    Lane { name: "random", purpose: "random programs on whole runtimes, 100,000 seeds", run: random },
    Lane { name: "soak", purpose: "a service under load for five minutes: nothing lost, resources flat", run: soak },
    Lane { name: "api-diff", purpose: "the facade's API next to the record of Tokio's", run: api_diff },
    Lane { name: "suites", purpose: "Tokio's own tests and its companions', on the facade", run: stable_suites },
    Lane { name: "suites-unstable", purpose: "Tokio's own tests with `tokio_unstable`", run: unstable_suites },
    Lane { name: "compat", purpose: "programs on other people's crates, through the facade", run: run_compat },
    Lane { name: "minimal", purpose: "builds with the lowest versions that the manifests allow", run: minimal },
    Lane { name: "switch", purpose: "published programs, switched as the guide says", run: switch_all },
];

pub(crate) fn find(name: &str) -> Option<&'static Lane> {
    LANES.iter().chain(DEEP).find(|lane| lane.name == name)
}

pub(crate) fn run_all(root: &Path) -> bool {
    run(root, &LANES.iter().collect::<Vec<_>>())
}

pub(crate) fn run_deep(root: &Path) -> bool {
    run(root, &DEEP.iter().collect::<Vec<_>>())
}

/// Runs all of `lanes`, also after one has failed, so that one run shows everything there is to mend.
pub(crate) fn run(root: &Path, lanes: &[&Lane]) -> bool {
    let mut rows = Vec::new();
    for lane in lanes {
        println!("==> {}: {}", lane.name, lane.purpose);
        let start = now();
        let outcome = (lane.run)(root);
        rows.push((lane.name, start.elapsed(), outcome));
    }
    println!("\nlane          result     time");
    let mut total = Duration::ZERO;
    for (name, time, outcome) in &rows {
        total += *time;
        let result = if outcome.passed { "ok" } else { "FAILED" };
        println!("{name:<12}  {result:<6} {:>6.1} s  {}", time.as_secs_f64(), outcome.note);
    }
    let failed: Vec<_> = rows.iter().filter(|(_, _, outcome)| !outcome.passed).map(|(name, _, _)| *name).collect();
    println!("{} of {} lanes passed in {:.1} s", rows.len() - failed.len(), rows.len(), total.as_secs_f64());
    for name in &failed {
        println!("failed: {name}; alone: `cargo xtask {name}`");
    }
    failed.is_empty()
}

#[expect(clippy::disallowed_methods, reason = "lanes are timed by the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// The cargo that runs us, in the repository.
fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments);
    // Of this crate, set by `cargo run`; they must not leak into builds of others.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

fn passes(command: &mut Command) -> bool {
    println!("  $ {}", shown(command));
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cannot start `{}`: {error}", shown(command));
            false
        }
    }
}

fn shown(command: &Command) -> String {
    let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

fn fmt(root: &Path) -> Outcome {
    let passed = passes(&mut cargo(root, &["fmt", "--all", "--check"]));
    if !passed {
        eprintln!("mend: `cargo fmt --all`");
    }
    Outcome::of(passed)
}

fn run_tidy(root: &Path) -> Outcome {
    let findings = tidy::check(root);
    for finding in &findings {
        println!("{finding}");
    }
    Outcome { passed: findings.is_empty(), note: format!("{} findings", findings.len()) }
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
    Outcome { passed: findings.is_empty(), note: format!("{} findings", findings.len()) }
}

/// The lock file of a program that asks for `tokio` and gets the facade. It starts from ours, so that a new release of
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
    // An optional dependency may ask for a newer version of one that is always there, and hide that ours is too low.
    let passed = [&[][..], &names].iter().all(|features| {
        let manifest = format!(
            "[package]\nname = \"minimal\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
             redd = {{ path = {:?}, features = {features:?} }}\n",
            root.join("redd")
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
    Outcome { passed: passed && !names.is_empty(), note: "with the default features, and with all".to_owned() }
}

/// A package with a library of this text.
fn write_package(folder: &Path, manifest: &str, text: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    std::fs::write(folder.join("src/lib.rs"), text)
}

fn clippy(root: &Path) -> Outcome {
    Outcome::of(passes(&mut cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])))
}

fn docs(root: &Path) -> Outcome {
    // The map of a public module names private rooms, for who reads the source; for others the name is no link.
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    Outcome::of(passes(cargo(root, &["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", flags)))
}

fn test(root: &Path) -> Outcome {
    let count = run_tests(&mut cargo(root, &["test", "--workspace", "--no-fail-fast"]));
    Outcome { note: count.to_string(), passed: count.succeeded }
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
    // The feature with code of its own that the tests of the default features do not see.
    let traced =
        run_tests(&mut cargo(root, &["test", "-p", "redd", "--lib", "--test", "tasks", "--features", "tracing"]));
    let note = if failed.is_empty() {
        format!("{} combinations; with `tracing`: {traced}", names.len() + 1)
    } else {
        format!("failed with: {}; with `tracing`: {traced}", failed.join(", "))
    };
    Outcome { passed: failed.is_empty() && !names.is_empty() && traced.succeeded, note }
}

/// The caller's flags and ours.
fn rustflags(ours: &str) -> String {
    match std::env::var("RUSTFLAGS") {
        Ok(theirs) if !theirs.is_empty() => format!("{theirs} {ours}"),
        _ => ours.to_owned(),
    }
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

fn loom(root: &Path) -> Outcome {
    models(root, Shadow::Off)
}

fn loom_with_shadow(root: &Path) -> Outcome {
    models(root, Shadow::On)
}

/// Whether loom's atomics have a shadow: see `primitives/atomic.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shadow {
    Off,
    On,
}

fn models(root: &Path, shadow: Shadow) -> Outcome {
    let mut arguments = vec!["test", "--release", "--lib", "-p", "redd", "--", "--test-threads=1", "loom_"];
    if shadow == Shadow::On {
        // Some mistakes show only at the usual bound; that they are caught is the other lane's to say.
        arguments.extend(["--skip", "catches", "--skip", "caught", "--skip", "mistake"]);
    }
    let mut command = cargo(root, &arguments);
    command
        .env("RUSTFLAGS", rustflags("--cfg loom"))
        .env("CARGO_TARGET_DIR", target_dir(root).join("loom"))
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        // A search that is cut off says nothing; a model that is too large must be made smaller.
        .env_remove("LOOM_MAX_DURATION")
        .env_remove("LOOM_MAX_PERMUTATIONS");
    // With shadows a bound of 2 takes more than the deep lanes have time for.
    let (preemptions, branches) = match shadow {
        Shadow::Off => ("2", "10000"),
        Shadow::On => {
            command.env("REDD_SHADOW", "1");
            ("1", "40000")
        }
    };
    for (name, value) in [("LOOM_MAX_PREEMPTIONS", preemptions), ("LOOM_MAX_BRANCHES", branches)] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    let mut count = TestCount::default();
    let mut models = ModelCount::default();
    count.succeeded = for_each_line(&mut command, |line| {
        count.add(line);
        models.add(line);
    });
    if count.succeeded && count.passed == 0 {
        eprintln!("no model ran: the filter `loom_` matched nothing, so this lane would prove nothing");
    }
    let note = format!(
        "models: {count}; {} executions; {} of {} seeded mistakes caught",
        models.executions, models.caught, models.mistakes
    );
    Outcome { passed: count.succeeded && count.passed > 0, note }
}

/// Schedules of each model in `deep`.
const DEEP_SCHEDULES: u64 = 10_000;

fn shuttle(root: &Path) -> Outcome {
    shuttle_from(root, DEEP_SCHEDULES, fresh_seed(), "")
}

/// `cargo xtask shuttle --seeds N --from S MODEL`.
pub(crate) fn run_shuttle(root: &Path, seeds: u64, from: u64, model: &str) -> bool {
    let outcome = shuttle_from(root, seeds, from, model);
    println!("shuttle: {}", outcome.note);
    outcome.passed
}

/// Runs the models in schedules that shuttle picks; a failing one prints the line that replays it.
fn shuttle_from(root: &Path, seeds: u64, from: u64, model: &str) -> Outcome {
    let mut arguments = vec!["test", "--release", "--lib", "-p", "redd", "--", "--test-threads=1"];
    match model {
        // Loom's mistakes are those of loom: some need weak memory, which shuttle has not.
        // Those of shuttle are called `shuttle_notices_…`.
        "" => arguments.extend([
            "loom_",
            "shuttle_",
            "--skip=loom_catches",
            "--skip=_catches_",
            "--skip=caught",
            "--skip=mistake",
        ]),
        name => arguments.push(name),
    }
    let mut command = cargo(root, &arguments);
    command
        .env("RUSTFLAGS", rustflags("--cfg shuttle"))
        .env("CARGO_TARGET_DIR", target_dir(root).join("shuttle"))
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .env("REDD_SCHEDULES", seeds.to_string())
        .env("REDD_SEED", from.to_string());
    let mut count = TestCount::default();
    let mut models = ModelCount::default();
    count.succeeded = for_each_line(&mut command, |line| {
        count.add(line);
        models.add(line);
    });
    let note = format!("models: {count}; {} schedules, from seed {from}", models.executions);
    Outcome { passed: count.succeeded && count.passed > 0, note }
}

/// What the models say between the words of the test harness.
#[derive(Debug, Default, PartialEq, Eq)]
struct ModelCount {
    executions: u64,
    mistakes: u64,
    caught: u64,
}

impl ModelCount {
    /// Reads `test a::loom_b - should panic ... executions: 7; ok`.
    fn add(&mut self, line: &str) {
        let Some((name, rest)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) else { return };
        let counts = rest.split("executions: ").skip(1);
        self.executions += counts.filter_map(|text| text.split(';').next()?.parse::<u64>().ok()).sum::<u64>();
        if name.ends_with(" - should panic") {
            self.mistakes += 1;
            self.caught += u64::from(rest.ends_with("ok"));
        }
    }
}

/// A build with a sanitizer. Stable compilers carry the runtimes; `RUSTC_BOOTSTRAP` lets them take the flag. With a
/// target named, build scripts and macros stay as they are.
fn sanitized(root: &Path, lane: &str, flags: &str, arguments: &[&str]) -> Command {
    let mut command = cargo(root, arguments);
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", rustflags(flags))
        .env("CARGO_TARGET_DIR", target_dir(root).join(lane));
    command
}

/// The only target that the sanitizer lanes were tried on.
const SANITIZED_TARGET: &str = "x86_64-unknown-linux-gnu";

fn asan(root: &Path) -> Outcome {
    let arguments = [
        "test",
        "-p",
        "redd",
        "--lib",
        "--tests",
        "--no-fail-fast",
        "--target",
        SANITIZED_TARGET,
        "--",
        // These build programs of their own.
        "--skip=the_guide",
    ];
    let leaks = root.join("redd/tests/lsan-suppressions.txt");
    let mut command = sanitized(root, "asan", "-Zsanitizer=address", &arguments);
    command
        .env("ASAN_OPTIONS", "detect_leaks=1")
        .env("LSAN_OPTIONS", format!("suppressions={}:print_suppressions=0", leaks.display()));
    let count = run_tests(&mut command);
    Outcome { passed: count.succeeded && count.passed > 0, note: format!("tests: {count}") }
}

fn tsan(root: &Path) -> Outcome {
    let arguments = ["test", "-p", "redd", "--test", "stress", "--target", SANITIZED_TARGET];
    // std is not instrumented, hence the second flag and the suppressions; `redd_tsan` lets redd's locks be seen.
    let flags = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg redd_tsan";
    let suppressions = root.join("redd/tests/tsan-suppressions.txt");
    let mut command = sanitized(root, "tsan", flags, &arguments);
    command.env("TSAN_OPTIONS", format!("history_size=4:suppressions={}", suppressions.display()));
    if std::env::var_os("REDD_STRESS").is_none() {
        // Some 20 seconds.
        command.env("REDD_STRESS", "20");
    }
    let count = run_tests(&mut command);
    Outcome { passed: count.succeeded && count.passed > 0, note: format!("parts: {count}") }
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

/// Where the deep lane starts: elsewhere each day, and printed.
fn fresh_seed() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a lane's seed is not the runtime's time")]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400 * 1_000_000)
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
    Outcome { passed: succeeded && lost.is_some(), note: format!("{minutes} minutes: {note}") }
}

/// The lane of this name, for `minutes`.
pub(crate) fn run_soak(root: &Path, minutes: &str) -> bool {
    let outcome = soak_for(root, minutes);
    println!("soak: {}, {}", if outcome.passed { "ok" } else { "FAILED" }, outcome.note);
    outcome.passed
}

/// rustdoc's JSON of packages, by crate name. Stable compilers write it when `RUSTC_BOOTSTRAP` lets them.
fn documents(
    root: &Path,
    target: &Path,
    packages: &[(&str, &str)],
    flags: Option<&str>,
) -> Result<Vec<(String, String)>, String> {
    let mut read = Vec::new();
    for (package, features) in packages {
        let mut arguments = vec!["rustdoc", "--quiet", "-p", package, "--lib"];
        if !features.is_empty() {
            arguments.extend(["--features", features]);
        }
        arguments.extend(["--", "-Zunstable-options", "--output-format", "json", "--document-private-items"]);
        arguments.extend(["--document-hidden-items", "--cap-lints", "allow"]);
        let mut command = cargo(root, &arguments);
        command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", target);
        if let Some(flags) = flags {
            command.env("RUSTFLAGS", rustflags(flags)).env("RUSTDOCFLAGS", flags);
        }
        if !passes(&mut command) {
            return Err(format!("`{package}` cannot be documented"));
        }
        let name = package.split('@').next().unwrap_or(package).replace('-', "_");
        let path = api::json_path(target, &name);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        read.push((name, text));
    }
    Ok(read)
}

/// The features that the record of Tokio's API has.
const API_FEATURES: &str = "full,test-util";

fn api_diff(root: &Path) -> Outcome {
    let target = target_dir(root).join("api");
    let packages = [("tokio", API_FEATURES), ("redd", "tracing"), ("redd-macros", "")];
    let read = documents(root, &target, &packages, None).and_then(|read| api::inventory(&read, "tokio"));
    let facade = match read {
        Ok(facade) => facade,
        Err(why) => {
            eprintln!("{why}");
            return Outcome::of(false);
        }
    };
    let record = std::fs::read_to_string(root.join(api::RECORD)).unwrap_or_default();
    let found = api::compare(&record, &facade);
    found.lines.iter().for_each(|line| println!("{line}"));
    let note = format!(
        "{} present, {} missing, {} spelt differently; unstable: {} present, {} missing; traits: {} lost, {} more",
        found.present,
        found.missing,
        found.differing,
        found.unstable_present,
        found.unstable_missing,
        found.lost_traits,
        found.wider_traits
    );
    Outcome { passed: found.present > 0 && found.missing == 0 && found.lost_traits == 0, note }
}

/// Documents the registry's Tokio, and writes what can be named there.
pub(crate) fn record_api(root: &Path) -> bool {
    let written = || -> Result<(), String> {
        let target = target_dir(root).join("api");
        let project = target.join("tokio-alone");
        let manifest = format!(
            "[package]\nname = \"alone\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
             tokio = {{ version = \"={}\", features = [\"full\", \"test-util\"] }}\n",
            api::tracked()
        );
        let write = |path: PathBuf, text: &str| std::fs::write(&path, text).map_err(|error| error.to_string());
        std::fs::create_dir_all(project.join("src")).map_err(|error| error.to_string())?;
        write(project.join("src/lib.rs"), "")?;
        write(project.join("Cargo.toml"), &manifest)?;
        let of = |flags, name: &str| {
            let read = documents(&project, &target.join(name), &[("tokio", "")], flags)?;
            api::inventory(&read, "tokio")
        };
        let (stable, unstable) = (of(None, "stable")?, of(Some("--cfg tokio_unstable"), "unstable")?);
        std::fs::create_dir_all(root.join("xtask/api")).map_err(|error| error.to_string())?;
        write(root.join(api::RECORD), &api::record(&stable, &unstable))
    };
    written().inspect_err(|why| eprintln!("{why}")).is_ok()
}

/// Builds the workspace in `compat`, starts the peers of its programs, runs them, and writes down what they said.
fn stable_suites(root: &Path) -> Outcome {
    suites(root, "suites", suites::STABLE, 1)
}

fn unstable_suites(root: &Path) -> Outcome {
    suites(root, "suites-unstable", suites::UNSTABLE, 1)
}

/// The lane `suites`, so many times in a row: a test that passes in some of the runs is a finding.
pub(crate) fn run_suites(root: &Path, runs: usize) -> bool {
    let outcome = suites(root, "suites", suites::STABLE, runs);
    println!("{}", outcome.note);
    outcome.passed
}

/// Runs other people's tests, and writes its table into docs/compatibility.md.
fn suites(root: &Path, lane: &str, suites: &[suites::Suite], runs: usize) -> Outcome {
    let report = match suites::run(root, &compat_target_dir(root).join("suites"), suites, runs) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("{why}");
            return Outcome { passed: false, note: "they could not be run".to_owned() };
        }
    };
    let table = report.table();
    println!("\n{table}");
    let findings = report.findings();
    for finding in &findings {
        println!("{finding}");
    }
    Outcome { passed: write_result(root, lane, runs, &table) && findings.is_empty(), note: report.note(runs) }
}

fn run_compat(root: &Path) -> Outcome {
    const LOCK: &str = "compat/Cargo.lock";
    let failed = |note: &str| Outcome { passed: false, note: note.to_owned() };
    let (usual, console) = (compat_target_dir(root), compat_target_dir(root).join("console"));
    for (folder, packages) in [(&usual, compat::PACKAGES), (&console, &["console"])] {
        for package in packages {
            // What an earlier build has left must not pass for what this one could not build.
            let _ = std::fs::remove_file(folder.join("debug").join(package));
        }
    }
    let build = ["build", "--manifest-path", "compat/Cargo.toml", "--keep-going"];
    let mut is_built = passes(cargo(root, &build).env("CARGO_TARGET_DIR", &usual));
    // Its crate refuses to work without this flag, which changes every crate, and so it has a folder of its own.
    is_built &= passes(
        cargo(root, &build)
            .args(["-p", "console"])
            .env("RUSTFLAGS", rustflags("--cfg tokio_unstable"))
            .env("CARGO_TARGET_DIR", &console),
    );
    // Read after the build, which may have changed it; and also if it failed, which the real Tokio would explain.
    let lock = std::fs::read_to_string(root.join(LOCK)).unwrap_or_default();
    let findings = dependencies::check_lock(LOCK, &lock);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() || !lock.contains("\nname = \"tokio\"\n") {
        return failed("the lock file has no facade, or more than the facade");
    }
    if !falls_back_loudly(root) {
        return failed("`assert_active!` does not compile with the facade, or compiles without it");
    }
    let peers = peers::start();
    let mut results = compat::Results::default();
    let mut succeeded = is_built;
    for _ in 0..compat::RUNS {
        for package in compat::PACKAGES {
            succeeded &= run_package(&usual, package, &peers, &mut results);
        }
        succeeded &= run_package(&console, "console", &peers, &mut results);
    }
    drop(peers);
    let table = results.table(&lock);
    println!("\n{table}");
    succeeded &= write_result(root, "compat", compat::RUNS, &table);
    let count = results.count();
    let note = format!(
        "programs: {} passed, {} failed, {} skipped, {} runs each",
        count.passed,
        count.failed,
        count.skipped,
        compat::RUNS
    );
    Outcome { passed: succeeded && count.passed > 0 && count.failed == 0, note }
}

/// Switches all programs, and writes the table of them.
fn switch_all(root: &Path) -> Outcome {
    let (rows, outcome) = switch_programs(root, &[]);
    let written = !rows.is_empty() && write_result(root, "switch", 1, &switch::table(&rows));
    Outcome { passed: outcome.passed && written, note: outcome.note }
}

/// `cargo xtask switch NAME…`.
pub(crate) fn run_switch(root: &Path, names: &[&str]) -> bool {
    let (rows, outcome) = switch_programs(root, names);
    println!("\n{}\n{}", switch::table(&rows), outcome.note);
    outcome.passed
}

/// Those of these names, or all.
fn switch_programs(root: &Path, names: &[&str]) -> (Vec<switch::Row>, Outcome) {
    let target = target_dir(root).join("switch");
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for program in switch::PROGRAMS.iter().filter(|program| names.is_empty() || names.contains(&program.name)) {
        println!("{}", program.name);
        match switch::switch(root, &target, program) {
            Ok(row) => {
                if !row.passed() {
                    failed.push(program.name.to_owned());
                }
                rows.push(row);
            }
            Err(why) => {
                eprintln!("{why}");
                failed.push(format!("{}: {why}", program.name));
            }
        }
    }
    let note = match failed.as_slice() {
        [] => format!("{} programs switched", rows.len()),
        failed => format!("{} programs; failed: {}", rows.len(), failed.join(", ")),
    };
    (rows, Outcome { passed: failed.is_empty() && !names.iter().any(|name| !is_switched(name)), note })
}

fn is_switched(name: &str) -> bool {
    switch::PROGRAMS.iter().any(|program| program.name == name)
}

/// Runs a package of programs once. Not by `cargo run -p`, which would build for the features of this package alone.
fn run_package(folder: &Path, package: &str, peers: &[peers::Peer], results: &mut compat::Results) -> bool {
    let mut command = Command::new(folder.join("debug").join(package));
    command.envs(peers.iter().map(|peer| (peer.variable.0, &peer.variable.1)));
    let mut heard = false;
    let succeeded = for_each_line(&mut command, |line| {
        heard = true;
        results.add(line);
    });
    if !heard {
        results.fail(package, "it does not build, or does not run");
    }
    succeeded
}

/// A crate that says `assert_active!` compiles with the patch, and does not compile without it.
fn falls_back_loudly(root: &Path) -> bool {
    let folder = target_dir(root).join("fallback");
    let manifest = format!(
        "[package]\nname = \"fallback\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         redd = {{ path = {:?}, default-features = false }}\ntokio = \"1\"\n",
        root.join("redd")
    );
    if let Err(error) = write_package(&folder, &manifest, "//! Redd, or a failure.\n\nredd::assert_active!();\n") {
        eprintln!("{}: {error}", folder.display());
        return false;
    }
    let check = |patched: bool| {
        let mut command = cargo(&folder, &["check", "--quiet"]);
        if patched {
            command.arg("--config").arg(format!("patch.crates-io.tokio.path={:?}", root.join("tokio")));
        }
        println!("  $ {} ({})", shown(&command), folder.display());
        command.output()
    };
    match (check(true), check(false)) {
        (Ok(patched), Ok(plain)) => {
            let words = String::from_utf8_lossy(&plain.stderr).into_owned();
            let is_named = words.contains("IS_REDD_PLEASE_CHECK_THE_PATCH_SECTION");
            if !patched.status.success() || plain.status.success() || !is_named {
                eprintln!("with the patch: {}\n{}", patched.status, String::from_utf8_lossy(&patched.stderr));
                eprintln!("without it: {}\n{words}", plain.status);
            }
            patched.status.success() && !plain.status.success() && is_named
        }
        (patched, plain) => {
            eprintln!("cannot start cargo: {:?}", patched.err().or(plain.err()));
            false
        }
    }
}

/// Puts the lane's table into docs/compatibility.md, with today's date.
/// Writes a lane's text into docs/compatibility.md, behind the date.
fn write_result(root: &Path, lane: &str, runs: usize, table: &str) -> bool {
    let path = root.join("docs/compatibility.md");
    let date = Command::new("date").arg("+%Y-%m-%d").output().map(|output| output.stdout).unwrap_or_default();
    let text = format!(
        "State of {}, {runs} run{}:\n\n{table}",
        String::from_utf8_lossy(&date).trim(),
        if runs == 1 { "" } else { "s each" }
    );
    let document = std::fs::read_to_string(&path).unwrap_or_default();
    let Some(document) = compat::replace_text(&document, lane, &text) else {
        eprintln!("{} has no place for what `{lane}` found", path.display());
        return false;
    };
    match std::fs::write(&path, document) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            false
        }
    }
}

fn check_instructions(root: &Path) -> Outcome {
    let counts = match count_instructions(root) {
        Ok(counts) => counts,
        Err(Uncounted::Skipped(why)) => return Outcome { passed: true, note: format!("SKIPPED: {why}") },
        Err(Uncounted::Failed(why)) => {
            eprintln!("{why}");
            return Outcome::of(false);
        }
    };
    let stored = std::fs::read_to_string(root.join(instructions::STORED)).unwrap_or_default();
    let comparison = instructions::compare(&stored, &instructions::toolchain(), &counts);
    comparison.lines.iter().for_each(|line| println!("{line}"));
    if !comparison.failed.is_empty() {
        eprintln!("mend, or say why in the commit and store them: `cargo xtask instructions --bless`");
    }
    let note = match comparison.failed.as_slice() {
        [] => format!("{} rows", counts.len()),
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

/// The folder of the builds of `compat`, which is a workspace of its own.
fn compat_target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("compat/target"), PathBuf::from)
}

fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// The sums of a test run.
#[derive(Debug, Default, PartialEq, Eq)]
struct TestCount {
    succeeded: bool,
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Of programs that make up what they try: combinations, seeds, inputs.
    cases: u64,
}

impl std::fmt::Display for TestCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} ignored", self.passed, self.failed, self.ignored)?;
        if self.cases > 0 { write!(f, ", {} cases", self.cases) } else { Ok(()) }
    }
}

impl TestCount {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`, and `3 passed, 0 failed` of a program without harness.
    fn add(&mut self, line: &str) {
        let of_harness = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "));
        let numbers = match of_harness {
            Some((_, numbers)) => numbers,
            None if line.ends_with(" failed") && line.contains(" passed, ") => line,
            None => return,
        };
        for part in numbers.split(&[';', ',']).map(str::trim) {
            if let Some((number, what)) = part.split_once(' ') {
                let number = number.parse().unwrap_or(0);
                match what {
                    "passed" => self.passed += number,
                    "cases passed" => self.cases += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }
}

/// Runs tests, shows their output as it comes, and adds up their results.
fn run_tests(command: &mut Command) -> TestCount {
    let mut count = TestCount::default();
    let succeeded = for_each_line(command, |line| count.add(line));
    TestCount { succeeded, ..count }
}

/// Runs a command and shows its output as it comes; whether it succeeded.
fn for_each_line(command: &mut Command, mut take: impl FnMut(&str)) -> bool {
    println!("  $ {}", shown(command));
    let mut child = match command.stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("cannot start `{}`: {error}", shown(command));
            return false;
        }
    };
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            take(&line);
        }
    }
    child.wait().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_test_programs_add_up() {
        let mut count = TestCount::default();
        count.add("running 3 tests");
        count.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.0s");
        count.add("4 passed, 1 failed");
        count.add("900 cases passed, 0 failed");
        count.add("some test that passed, or failed");
        count.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0s");
        assert_eq!(count, TestCount { succeeded: false, passed: 8, failed: 3, ignored: 1, cases: 900 });
    }

    #[test]
    fn executions_and_mistakes_of_models_are_counted() {
        let mut count = ModelCount::default();
        count.add("test a::loom_b ... executions: 12; executions: 3; ok");
        count.add("test a::loom_catches_c - should panic ... executions: 7; ok");
        count.add("test a::loom_catches_d - should panic ... executions: 1; FAILED");
        count.add("test a::e ... ok");
        assert_eq!(count, ModelCount { executions: 23, mistakes: 2, caught: 1 });
    }

    #[test]
    fn features_are_read_from_the_manifest() {
        let manifest =
            "[package]\n[features]\ndefault = [\"a\"]\n# why\na = []\nb-c = [\"a\"]\n\n[dependencies]\nd = [1]\n";
        assert_eq!(feature_names(manifest), ["a", "b-c"]);
    }
}
