//! Builds with a sanitizer: AddressSanitizer on the tests, ThreadSanitizer on the stress program.
//!
//! Called by `cargo xtask asan` and `tsan`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::commands::{cargo, passes, run_tests, rustflags, target_dir};
use super::outcome::Outcome;
use crate::packages;

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

fn other_machine() -> Option<Outcome> {
    let is_it = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    (!is_it).then(|| Outcome::skipped(format!("it was only tried on {SANITIZED_TARGET}")))
}

pub(super) fn asan(root: &Path) -> Outcome {
    if let Some(skipped) = other_machine() {
        return skipped;
    }
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
        // The sanitizer keeps freed memory for a while, so what the system sees grows.
        "--skip=a_million_tasks_leave_the_resident_memory",
    ];
    let leaks = root.join("redd/tests/lsan-suppressions.txt");
    if let Err(error) = names_of_tests(root, &leaks) {
        return Outcome { passed: false, note: error };
    }
    let mut command = sanitized(root, "asan", "-Zsanitizer=address", &arguments);
    command
        // A request for too much memory is refused, as the system refuses it.
        .env("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1")
        .env("LSAN_OPTIONS", format!("suppressions={}:print_suppressions=0", leaks.display()));
    let count = run_tests(&mut command);
    Outcome { passed: count.succeeded && count.passed > 0, note: format!("tests: {count}") }
}

/// Fails if a suppression names no test: its test has been renamed.
fn names_of_tests(root: &Path, suppressions: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(suppressions).map_err(|error| format!("{}: {error}", suppressions.display()))?;
    for name in text.lines().filter_map(|line| line.strip_prefix("leak:")) {
        let found = Command::new("grep")
            .args(["--recursive", "--quiet", &format!("fn {name}"), "redd/src", "redd/tests"])
            .current_dir(root)
            .status()
            .map_err(|error| format!("grep: {error}"))?;
        if !found.success() {
            return Err(format!("no test is called `{name}…`; correct {}", suppressions.display()));
        }
    }
    Ok(())
}

pub(super) fn tsan(root: &Path) -> Outcome {
    if let Some(skipped) = other_machine() {
        return skipped;
    }
    let (mut command, std) = match instrumented(root) {
        Ok((command, version)) => (command, format!("std instrumented, {version}, no suppressions")),
        Err(why) => {
            println!("  std is not instrumented: {why}");
            (prebuilt(root), format!("prebuilt std with suppressions, because {why}"))
        }
    };
    if std::env::var_os("REDD_STRESS").is_none() {
        // Some 20 seconds.
        command.env("REDD_STRESS", "20");
    }
    let count = run_tests(&mut command);
    Outcome { passed: count.succeeded && count.passed > 0, note: format!("parts: {count}; {std}") }
}

/// ThreadSanitizer keeps this much of what each thread did.
const HISTORY: &str = "history_size=4";

/// The stress program with the toolchain's std. It is not instrumented, hence the second flag and the suppressions;
/// `redd_tsan` lets redd's locks be seen.
fn prebuilt(root: &Path) -> Command {
    let arguments = ["test", "-p", "redd", "--test", "stress", "--target", SANITIZED_TARGET];
    let flags = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg redd_tsan";
    let suppressions = root.join("redd/tests/tsan-suppressions.txt");
    let mut command = sanitized(root, "tsan", flags, &arguments);
    command.env("TSAN_OPTIONS", format!("{HISTORY}:suppressions={}", suppressions.display()));
    command
}

/// The stress program with a std that is built for the sanitizer, from Debian's source of it by Debian's compiler. The
/// runtime of the sanitizer is that of the toolchain: both compilers have the same LLVM.
fn instrumented(root: &Path) -> Result<(Command, String), String> {
    let compiler = packages::compiler(&target_dir(root))?;
    let version = compiler.compiler_version()?;
    let libraries = format!("lib/rustlib/{SANITIZED_TARGET}/lib");
    let runtime = sanitizer_runtime(root, &libraries)?;
    let place = compiler.path("usr").join(&libraries).join("librustc-stable_rt.tsan.a");
    std::fs::copy(&runtime, &place).map_err(|error| format!("{}: {error}", place.display()))?;
    let arguments =
        ["test", "-Zbuild-std=std,panic_unwind,test", "-p", "redd", "--test", "stress", "--target", SANITIZED_TARGET];
    let mut command = sanitized(root, "tsan-std", "-Zsanitizer=thread --cfg redd_tsan", &arguments);
    compiler.use_compiler(&mut command);
    command.env("TSAN_OPTIONS", HISTORY);
    let mut build = sanitized(root, "tsan-std", "-Zsanitizer=thread --cfg redd_tsan", &arguments);
    compiler.use_compiler(&mut build);
    build.arg("--no-run");
    // What does not build here says nothing about redd; the prebuilt std does.
    if passes(&mut build) { Ok((command, version)) } else { Err("std does not build".to_owned()) }
}

/// The runtime of ThreadSanitizer that the toolchain carries.
fn sanitizer_runtime(root: &Path, libraries: &str) -> Result<PathBuf, String> {
    let asked = Command::new("rustc").current_dir(root).args(["--print", "sysroot"]).output();
    let sysroot = asked.map_err(|error| format!("`rustc` does not start: {error}"))?.stdout;
    let folder = PathBuf::from(String::from_utf8_lossy(&sysroot).trim()).join(libraries);
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let is_it = |path: &PathBuf| path.to_string_lossy().ends_with("_rt.tsan.a");
    let found = entries.filter_map(Result::ok).map(|entry| entry.path()).find(is_it);
    found.ok_or_else(|| format!("{} has no runtime of ThreadSanitizer", folder.display()))
}
