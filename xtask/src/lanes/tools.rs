//! Tools that only deep lanes need: the crate `xtask-deep`, and programs of the crate registry.
//!
//! `ci` neither builds nor installs them. Each has its folder under `target`, so that a second run finds it there.
//!
//! # Why not otherwise
//! The lane `deny` leaves advisories out: their database is a repository elsewhere, and a lane fetches nothing but
//! packages of the registry. `cargo deny check advisories` checks them, with the same `deny.toml`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::commands::{cargo, passes, target_dir};
use super::outcome::Outcome;

/// The version of cargo-deny that the lane installs. It needs Rust 1.88.
const CARGO_DENY: &str = "0.20.2";

/// What `xtask-deep` exits with if this machine's rustdoc writes another format than it reads.
const OTHER_FORMAT: i32 = 3;

const DEEP_MANIFEST: &str = "xtask-deep/Cargo.toml";

/// Licences, sources and bans of the workspace and of `xtask-deep`.
pub(super) fn deny(root: &Path) -> Outcome {
    let program = match installed(root, "cargo-deny", CARGO_DENY, &[]) {
        Ok(program) => program,
        Err(why) => return Outcome::skipped(why),
    };
    let checks = |manifest: &str| {
        let mut command = Command::new(&program);
        command.current_dir(root).args(["--manifest-path", manifest, "--all-features", "--locked"]);
        command.args(["--config", "deny.toml", "check", "--hide-inclusion-graph", "--allow", "duplicate"]);
        // The list is for both, and `xtask-deep` has fewer licences.
        command.args(["--allow", "license-not-encountered"]);
        passes(command.args(["bans", "licenses", "sources"]))
    };
    // Both, also after the first has failed.
    let passed = ["Cargo.toml", DEEP_MANIFEST].map(checks) == [true; 2];
    Outcome { passed, note: format!("cargo-deny {CARGO_DENY}: bans, licences, sources; advisories not checked") }
}

/// Where the program of a registry package is. It is installed with cargo, with these options, unless an earlier run did so.
pub(super) fn installed(root: &Path, package: &str, version: &str, options: &[&str]) -> Result<PathBuf, String> {
    let folder = target_dir(root).join("tools").join(format!("{package}-{version}"));
    let program = folder.join("bin").join(package);
    if program.exists() {
        return Ok(program);
    }
    // It runs for seconds, and an unoptimized build takes a third of the time.
    let mut command = cargo(root, &["install", "--locked", "--debug", "--quiet", "--version", version, package]);
    command
        .args(options)
        .arg("--root")
        .arg(&folder)
        .env("CARGO_TARGET_DIR", folder.join("build"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    let is_installed = passes(&mut command);
    let _ = std::fs::remove_dir_all(folder.join("build"));
    if is_installed {
        Ok(program)
    } else {
        Err(format!("{package} {version} cannot be installed from the crate registry (cargo's message is above)"))
    }
}

/// Runs `xtask-deep`; its last line is the note.
pub(super) fn run_deep_tool(root: &Path, arguments: &[String]) -> Outcome {
    let (code, text) = match output_of_deep_tool(root, arguments) {
        Ok(output) => output,
        Err(why) => return Outcome::skipped(why),
    };
    let (lines, note) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
    if !lines.is_empty() {
        println!("{lines}");
    }
    if code == OTHER_FORMAT {
        return Outcome::skipped(note);
    }
    Outcome { passed: code == 0, note: note.to_owned() }
}

/// What `xtask-deep` prints, if it passes.
pub(super) fn read_deep_tool(root: &Path, arguments: &[String]) -> Result<String, String> {
    read_deep_tool_or_skip(root, arguments).map_err(|(_, why)| why)
}

/// What `xtask-deep` prints, if it passes; with the reason, whether this machine lacks what it needs.
pub(super) fn read_deep_tool_or_skip(root: &Path, arguments: &[String]) -> Result<String, (bool, String)> {
    let (code, text) = output_of_deep_tool(root, arguments).map_err(|why| (true, why))?;
    if code == 0 { Ok(text) } else { Err((code == OTHER_FORMAT, text)) }
}

/// The exit code and the standard output of `xtask-deep`; `Err` if it cannot be built.
fn output_of_deep_tool(root: &Path, arguments: &[String]) -> Result<(i32, String), String> {
    let not_built = "`xtask-deep` cannot be built: its packages are neither here nor in a registry that is reachable";
    if !passes(&mut deep_cargo(root, &["fetch", "--locked"])) {
        return Err(not_built.to_owned());
    }
    let mut command = deep_cargo(root, &["run", "--quiet", "--locked"]);
    command.arg("--").args(arguments).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.code().unwrap_or(-1), text))
}

/// Format, lints and tests of `xtask-deep`.
pub(super) fn check_deep_tool(root: &Path) -> Outcome {
    if !passes(&mut deep_cargo(root, &["fetch", "--locked"])) {
        return Outcome::skipped("the packages of `xtask-deep` are neither here nor in a registry that is reachable");
    }
    let mut lints = deep_cargo(root, &["clippy", "--quiet", "--locked", "--all-targets"]);
    lints.args(["--", "-D", "warnings"]);
    Outcome::of(
        passes(&mut deep_cargo(root, &["fmt", "--check"]))
            && passes(&mut lints)
            && passes(&mut deep_cargo(root, &["test", "--quiet", "--locked"])),
    )
}

fn deep_cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = cargo(root, arguments);
    command.args(["--manifest-path", DEEP_MANIFEST]).env("CARGO_TARGET_DIR", target_dir(root).join("xtask-deep"));
    command
}
