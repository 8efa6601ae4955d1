//! The tests of Tokio and its companions on the facade. The lane unpacks their packages from the registry into the
//! target folder. This repository has only the names of some, in `compat/known-failures.txt`.
//!
//! Called by the lanes `suites`, `suites-unstable`, `suites-in-world`, `compat` and `switch`, and by `track`.
//!
//! # Why not otherwise
//! `cargo test` would run the tests of a file in one process, where a test that hangs or aborts ends the others, too.

mod report;
mod run;
mod worlds;

use std::path::{Path, PathBuf};
use std::process::Command;

use report::Report;
use serde_json::Value;

use crate::tracked::TOKIO;

pub(crate) use worlds::{ENOUGH_SEEDS, run as run_in_worlds};

/// A package whose tests are run.
#[derive(Debug)]
pub(crate) struct Suite {
    /// As `compat/known-failures.txt` calls it.
    name: &'static str,
    package: &'static str,
    version: &'static str,
    features: &'static str,
    kind: Kind,
    /// Only the files of tests with this text in their name.
    only: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its test programs.
    Tests,
    /// Its test programs, with `--cfg tokio_unstable`.
    UnstableTests,
    /// Its test programs, in simulated worlds.
    WorldTests,
    /// The examples in its documentation.
    Examples,
}

impl Suite {
    /// Whether the package has the same name as the facade. Its tests then move to a package with another name.
    fn is_of_the_facade(&self) -> bool {
        self.package == "tokio"
    }

    /// The folder of its tests. Tokio's tests of another version than the tracked one have a folder of their own.
    fn folder(&self) -> String {
        if self.is_of_the_facade() && self.version != TOKIO {
            format!("{}-{}", self.name, self.version)
        } else {
            self.name.to_owned()
        }
    }
}

/// Tokio's own tests as they are in `version`, for the facade as it is; those of files with the text `only` in their name.
pub(crate) fn of_tokio(version: &'static str, only: &'static str) -> Suite {
    Suite { version, only, ..STABLE[0] }
}

/// Tokio's own tests and those of its companions, as stable programs see them.
pub(crate) const STABLE: &[Suite] = &[
    Suite { name: "tokio", package: "tokio", version: TOKIO, features: "full,test-util", kind: Kind::Tests, only: "" },
    Suite {
        name: "tokio-util",
        package: "tokio-util",
        version: "0.7.20",
        features: "full",
        kind: Kind::Tests,
        only: "",
    },
    Suite {
        name: "tokio-stream",
        package: "tokio-stream",
        version: "0.1.19",
        features: "full",
        kind: Kind::Tests,
        only: "",
    },
    Suite { name: "tokio-test", package: "tokio-test", version: "0.4.6", features: "", kind: Kind::Tests, only: "" },
    Suite {
        name: "tokio-examples",
        package: "tokio",
        version: TOKIO,
        features: "full,test-util",
        kind: Kind::Examples,
        only: "",
    },
];

/// Tokio's own tests with the parts that it calls unstable.
pub(crate) const UNSTABLE: &[Suite] = &[Suite {
    name: "tokio-unstable",
    package: "tokio",
    version: TOKIO,
    features: "full,test-util,tracing,taskdump,schedule-latency",
    kind: Kind::UnstableTests,
    only: "",
}];

/// What runs in simulated worlds. Each has a folder of its own.
pub(crate) const IN_WORLD: &[Suite] = &[
    Suite { name: "world-tokio", kind: Kind::WorldTests, ..STABLE[0] },
    Suite { name: "world-tokio-util", kind: Kind::WorldTests, ..STABLE[1] },
    Suite { name: "world-tokio-stream", kind: Kind::WorldTests, ..STABLE[2] },
];

/// Names of tests that fail, one a line, each with the reason.
const KNOWN: &str = "compat/known-failures.txt";

/// Builds and runs `suites` so many times; says what failed, flickered or passes again, and what the table is.
///
/// # Errors
/// A sentence, if the tests could not be had at all.
pub(crate) fn run(root: &Path, target: &Path, suites: &[Suite], runs: usize) -> Result<Report, String> {
    let known = std::fs::read_to_string(root.join(KNOWN)).map_err(|error| format!("{KNOWN}: {error}"))?;
    let mut report = Report::new(&known)?;
    let unpacked = unpack(target, suites)?;
    for suite in suites {
        let folder = prepare(root, target, &unpacked, suite)?;
        if suite.kind == Kind::Examples {
            for (example, verdict) in run_examples(&folder, target, suite)? {
                report.add(suite.name, &example, verdict);
            }
            continue;
        }
        let programs = build(&folder, target, suite)?;
        for missing in programs.missing {
            report.add(suite.name, &missing, run::Verdict::DoesNotCompile);
        }
        for nth in 1..=runs {
            let mut counts = [0_usize; 2];
            for (test, verdict) in run::run(&folder, &programs.built)? {
                counts[usize::from(verdict == run::Verdict::Passed)] += 1;
                report.add(suite.name, &test, verdict);
            }
            println!("{}: run {nth} of {runs}: {} passed, {} did not", suite.name, counts[1], counts[0]);
        }
    }
    Ok(report)
}

/// The packages with their tests, as the registry has them. `cargo vendor` is the supported way to get at a package's files.
fn unpack(target: &Path, suites: &[Suite]) -> Result<PathBuf, String> {
    // What is not among the stable suites has another version of Tokio, so it has folders of its own.
    let other = suites.iter().find(|suite| suite.is_of_the_facade() && suite.version != TOKIO);
    let (name, suites) = match other {
        Some(other) => (format!("-{}", other.version), std::slice::from_ref(other)),
        None => (String::new(), STABLE),
    };
    let fetch = target.join(format!("fetch{name}"));
    let mut manifest = String::from(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n\n[dependencies]\n",
    );
    for suite in suites.iter().filter(|suite| suite.kind == Kind::Tests) {
        manifest.push_str(&format!("{} = \"={}\"\n", suite.package, suite.version));
    }
    write(&fetch.join("Cargo.toml"), &manifest)?;
    write(&fetch.join("src/lib.rs"), "")?;
    let folder = target.join(format!("vendor{name}"));
    call(cargo(&fetch).args(["vendor", "--quiet", "--versioned-dirs"]).arg(&folder), "unpack the packages")?;
    Ok(folder)
}

/// A workspace of its own with the package's tests in it, and the facade in Tokio's place.
fn prepare(root: &Path, target: &Path, unpacked: &Path, suite: &Suite) -> Result<PathBuf, String> {
    let source = unpacked.join(format!("{}-{}", suite.package, suite.version));
    let folder = target.join(suite.folder());
    call(Command::new("rm").arg("-rf").arg(&folder), "empty the folder of the tests")?;
    // With their times: what has not changed is not built again.
    call(Command::new("cp").arg("-a").arg(&source).arg(&folder), "copy the package")?;
    let manifest =
        std::fs::read_to_string(source.join("Cargo.toml")).map_err(|error| format!("{}: {error}", source.display()))?;
    write(&folder.join("Cargo.toml"), &own_manifest(&manifest, suite, &root.join("tokio")))?;
    if suite.is_of_the_facade() && suite.kind != Kind::Examples {
        call(Command::new("rm").arg("-r").arg(folder.join("src")), "take the library away")?;
        write(&folder.join("src/lib.rs"), "")?;
        set_time(&folder.join("src/lib.rs"), std::time::UNIX_EPOCH)?;
    }
    if suite.kind == Kind::WorldTests {
        link_libc(&folder)?;
    }
    let locked = target.join(format!("{}.lock", suite.folder()));
    if locked.exists() {
        call(Command::new("cp").arg(&locked).arg(folder.join("Cargo.lock")), "copy the lock file")?;
    } else {
        let _ = std::fs::remove_file(folder.join("Cargo.lock"));
        call(cargo(&folder).arg("generate-lockfile"), "choose versions")?;
        call(Command::new("cp").arg(folder.join("Cargo.lock")).arg(&locked), "keep the lock file")?;
    }
    let lock = std::fs::read_to_string(folder.join("Cargo.lock")).map_err(|error| format!("its lock file: {error}"))?;
    if is_patched(&lock) {
        Ok(folder)
    } else {
        Err(format!("{}: its lock file names a `tokio` that is not the facade", suite.name))
    }
}

/// Links each test with `redd-sim-libc`, so that std's clock and sleeps are those of its world.
fn link_libc(folder: &Path) -> Result<(), String> {
    for name in test_files(folder)? {
        let path = folder.join(format!("tests/{name}.rs"));
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let times = std::fs::metadata(&path).and_then(|file| file.modified());
        write(&path, &format!("{text}\nuse redd_sim_libc as _;\n"))?;
        set_time(&path, times.map_err(|error| format!("{}: {error}", path.display()))?)?;
    }
    Ok(())
}

/// Sets the time of a file that was written again: what has not changed is not built again.
fn set_time(path: &Path, time: std::time::SystemTime) -> Result<(), String> {
    let file = std::fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(time)).map_err(|error| format!("{}: {error}", path.display()))
}

/// The package's manifest with the patch; that of Tokio itself, which cannot depend on its own name, under another.
fn own_manifest(manifest: &str, suite: &Suite, facade: &Path) -> String {
    let mut own = if suite.is_of_the_facade() {
        let features: Vec<_> = suite.features.split(',').map(|name| format!("\"{name}\"")).collect();
        let renamed = manifest.replacen("name = \"tokio\"", "name = \"tokio-suite\"", 1).replacen(
            "name = \"tokio\"",
            "name = \"tokio_suite\"",
            1,
        );
        format!("{renamed}\n[dev-dependencies.tokio]\nversion = \"={TOKIO}\"\nfeatures = [{}]\n", features.join(", "))
    } else {
        manifest.to_owned()
    };
    if suite.kind == Kind::WorldTests {
        let libc = facade.with_file_name("redd-sim-libc");
        own.push_str(&format!("\n[dev-dependencies.redd-sim-libc]\npath = \"{}\"\n", libc.display()));
    }
    own.push_str(&format!("\n[workspace]\n\n[patch.crates-io]\ntokio = {{ path = \"{}\" }}\n", facade.display()));
    own
}

/// Whether each `tokio` of a lock file comes from a path.
pub(crate) fn is_patched(lock: &str) -> bool {
    let mut packages = lock.split("[[package]]").filter(|package| package.contains("\nname = \"tokio\"\n")).peekable();
    packages.peek().is_some() && packages.all(|package| !package.contains("\nsource = "))
}

/// The programs of a package's tests.
#[derive(Debug)]
struct Programs {
    built: Vec<run::Program>,
    /// Names of those that do not compile.
    missing: Vec<String>,
}

fn build(folder: &Path, target: &Path, suite: &Suite) -> Result<Programs, String> {
    let mut names = test_files(folder)?;
    let mut command = cargo(folder);
    command.args(["build", "--keep-going", "--message-format=json-render-diagnostics", "--features", suite.features]);
    let is_chosen = |name: &str| {
        name.contains(suite.only) && (suite.kind != Kind::WorldTests || report::has_world(suite.name, name))
    };
    if suite.only.is_empty() && suite.kind != Kind::WorldTests {
        command.arg("--tests");
    } else {
        names.retain(|name| is_chosen(name));
        for name in &names {
            command.args(["--test", name]);
        }
        if names.is_empty() {
            return Err(format!("{} has no file of tests with `{}` in its name", suite.package, suite.only));
        }
    }
    set_flags(&mut command, target, suite);
    println!("building the tests of {}", suite.name);
    let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    let mut built = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Value = serde_json::from_str(line)
            .map_err(|error| format!("cargo printed a line that is not JSON ({error}): {line}"))?;
        let program = message["executable"].as_str().unwrap_or_default();
        if message["reason"] == "compiler-artifact" && message["profile"]["test"] == true && !program.is_empty() {
            let target = &message["target"];
            let name = if target["kind"][0] == "test" { target["name"].as_str().unwrap_or_default() } else { "lib" };
            built.push(run::Program { name: name.to_owned(), path: program.into() });
        }
    }
    let mut missing: Vec<_> =
        names.into_iter().filter(|name| built.iter().all(|program| program.name != *name)).collect();
    missing.sort_unstable();
    if built.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        let end: Vec<_> = said.lines().rev().take(40).collect();
        return Err(format!(
            "none of the tests of {} was built:\n{}",
            suite.name,
            end.into_iter().rev().collect::<Vec<_>>().join("\n")
        ));
    }
    built.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Programs { built, missing })
}

fn set_flags(command: &mut Command, target: &Path, suite: &Suite) {
    let (flags, folder) = match suite.kind {
        Kind::UnstableTests => ("--cap-lints=allow --cfg tokio_unstable", "unstable"),
        Kind::WorldTests => ("--cap-lints=allow --cfg redd_suite_in_world", "world"),
        Kind::Tests | Kind::Examples => ("--cap-lints=allow", "stable"),
    };
    command.env("RUSTFLAGS", flags).env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
    command.env("CARGO_TARGET_DIR", target.join(folder));
}

/// The library's sources stand there under another name; what their examples call `tokio` is the facade.
fn run_examples(folder: &Path, target: &Path, suite: &Suite) -> Result<Vec<(String, run::Verdict)>, String> {
    let mut command = cargo(folder);
    command.args(["test", "--doc", "--no-fail-fast", "--features", suite.features]);
    set_flags(&mut command, target, suite);
    println!("running {}", suite.name);
    let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    let verdicts = example_verdicts(&String::from_utf8_lossy(&output.stdout));
    if verdicts.is_empty() {
        return Err(format!("no example of {} ran:\n{}", suite.package, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(verdicts)
}

/// Reads `test FILE - ITEM (line N) ... ok`.
fn example_verdicts(output: &str) -> Vec<(String, run::Verdict)> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("test ")?.rsplit_once(" ... "));
    lines
        .filter_map(|(name, result)| match result {
            "ok" => Some((name.to_owned(), run::Verdict::Passed)),
            "FAILED" => Some((name.to_owned(), run::Verdict::Failed)),
            _ => None,
        })
        .collect()
}

/// The files directly in `tests`: a program each.
fn test_files(folder: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(folder.join("tests"))
        .map_err(|error| format!("the tests of {}: {error}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned)).collect())
}

pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).env_remove("RUSTFLAGS");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

fn call(command: &mut Command, to: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cannot {to}: {status}")),
        Err(error) => Err(format!("cannot {to}: {error}")),
    }
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokio_s_manifest_gets_another_name_and_the_facade() {
        let manifest =
            "[package]\nname = \"tokio\"\n\n[lib]\nname = \"tokio\"\n\n[dependencies.bytes]\nversion = \"1\"\n";
        let own = own_manifest(manifest, &STABLE[0], Path::new("/facade"));
        assert!(own.starts_with("[package]\nname = \"tokio-suite\"\n\n[lib]\nname = \"tokio_suite\"\n"), "{own}");
        assert!(
            own.contains(&format!(
                "[dev-dependencies.tokio]\nversion = \"={TOKIO}\"\nfeatures = [\"full\", \"test-util\"]\n"
            )),
            "{own}"
        );
        assert!(own.ends_with("[workspace]\n\n[patch.crates-io]\ntokio = { path = \"/facade\" }\n"), "{own}");
    }

    #[test]
    fn a_companion_s_manifest_gets_the_facade_alone() {
        let own = own_manifest("[package]\nname = \"tokio-util\"\n", &STABLE[1], Path::new("/facade"));
        assert_eq!(
            own,
            "[package]\nname = \"tokio-util\"\n\n[workspace]\n\n[patch.crates-io]\ntokio = { path = \"/facade\" }\n"
        );
    }

    #[test]
    fn tests_in_worlds_get_the_library_of_their_clock() {
        let own = own_manifest("[package]\nname = \"tokio-util\"\n", &IN_WORLD[1], Path::new("/folder/tokio"));
        assert!(
            own.contains("\n[dev-dependencies.redd-sim-libc]\npath = \"/folder/redd-sim-libc\"\n\n[workspace]\n"),
            "{own}"
        );
    }

    #[test]
    fn examples_are_read_from_what_rustdoc_prints() {
        let output = "running 3 tests\ntest src/lib.rs - (line 1) ... ok\ntest src/a.rs - a::b (line 2) - compile ... FAILED\ntest src/c.rs - c (line 3) ... ignored\n";
        let expected = [
            ("src/lib.rs - (line 1)".to_owned(), run::Verdict::Passed),
            ("src/a.rs - a::b (line 2) - compile".to_owned(), run::Verdict::Failed),
        ];
        assert_eq!(example_verdicts(output), expected);
    }

    #[test]
    fn a_lock_file_with_a_tokio_of_a_registry_is_refused() {
        let facade = "[[package]]\nname = \"tokio\"\nversion = \"1.54.1\"\n";
        assert!(is_patched(facade));
        assert!(!is_patched("[[package]]\nname = \"bytes\"\n"), "none at all");
        assert!(!is_patched(&format!(
            "{facade}\n[[package]]\nname = \"tokio\"\nversion = \"1.50.0\"\nsource = \"registry\"\n"
        )));
    }
}
