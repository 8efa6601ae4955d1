//! What programs can name, from rustdoc's JSON: the facade next to Tokio, and redd next to what it had before.
//!
//! Called by `cargo xtask api-diff` and `own-api`, and by `track`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use super::commands::{cargo, passes, rustflags, target_dir};
use super::outcome::Outcome;
use super::tools;
use crate::tracked::{RECORD, TOKIO};

/// The record of redd's own API, features and oldest Rust.
const OWN_RECORD: &str = "xtask/api/redd.txt";

/// The features that the record of Tokio's API has.
const API_FEATURES: &str = "full,test-util";

/// Where rustdoc wrote the JSON of each package, by crate name. Stable compilers write it when `RUSTC_BOOTSTRAP` lets them.
fn documents(
    root: &Path,
    target: &Path,
    packages: &[(&str, &str)],
    flags: Option<&str>,
) -> Result<Vec<(String, PathBuf)>, String> {
    let mut written = Vec::new();
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
        let path = target.join("doc").join(format!("{name}.json"));
        written.push((name, path));
    }
    Ok(written)
}

pub(super) fn api_diff(root: &Path) -> Outcome {
    compare_facade(root, RECORD)
}

/// Compares the facade with a record of Tokio's API.
pub(crate) fn compare_facade(root: &Path, record: &str) -> Outcome {
    let target = target_dir(root).join("api");
    let packages = [("tokio", API_FEATURES), ("redd", "tracing"), ("redd-macros", "")];
    let documents = match documents(root, &target, &packages, None) {
        Ok(documents) => documents,
        Err(why) => {
            eprintln!("{why}");
            return Outcome::of(false);
        }
    };
    let documents = documents.iter().map(|(name, path)| format!("{name}={}", path.display()));
    let arguments: Vec<String> = ["compare".to_owned(), record.to_owned()].into_iter().chain(documents).collect();
    tools::run_deep_tool(root, &arguments)
}

/// The record of the registry's Tokio of this version: what can be named there.
///
/// # Errors
/// A sentence, if it cannot be fetched, documented or read.
pub(crate) fn record_of_tokio(root: &Path, version: &str) -> Result<String, String> {
    let project = depend_on_tokio(root, &format!("={version}"))?;
    // A folder for each: what another version has left must not pass for this one.
    let target = target_dir(root).join("api").join(format!("tokio-{version}"));
    let of = |flags, name: &str| {
        let documents = documents(&project, &target.join(name), &[("tokio", "")], flags)?;
        documents.first().map(|(_, path)| path.display().to_string()).ok_or("no document was written".to_owned())
    };
    let (stable, unstable) = (of(None, "stable")?, of(Some("--cfg tokio_unstable"), "unstable")?);
    tools::read_deep_tool(root, &["record".to_owned(), stable, unstable])
}

/// A package outside of the workspace, so without the patch, that depends on the registry's Tokio. The older resolver does
/// not ask whether this compiler is new enough for a version.
///
/// # Errors
/// A sentence, if its folder cannot be written.
pub(crate) fn depend_on_tokio(root: &Path, requirement: &str) -> Result<PathBuf, String> {
    let name = requirement.trim_start_matches('=');
    let project = std::path::absolute(target_dir(root).join("api").join(format!("depends-on-tokio-{name}")))
        .map_err(|error| error.to_string())?;
    let manifest = format!(
        "[package]\nname = \"alone\"\nversion = \"0.0.0\"\nedition = \"2024\"\nresolver = \"2\"\n[workspace]\n[dependencies]\n\
         tokio = {{ version = \"{requirement}\", features = [\"full\", \"test-util\"] }}\n"
    );
    super::commands::write_package(&project, &manifest, "")
        .map_err(|error| format!("{}: {error}", project.display()))?;
    Ok(project)
}

/// Documents the registry's Tokio, and writes what can be named there.
pub(crate) fn record_api(root: &Path) -> bool {
    record_of_tokio(root, TOKIO)
        .and_then(|text| write_record(&root.join(RECORD), &text))
        .inspect_err(|why| eprintln!("{why}"))
        .is_ok()
}

fn write_record(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Prints what changed between two records; the note counts it. It passes if programs for the old one compile on the new one.
pub(crate) fn changes(root: &Path, old: &Path, new: &Path) -> Outcome {
    let arguments = ["changes".to_owned(), old.display().to_string(), new.display().to_string()];
    tools::run_deep_tool(root, &arguments)
}

/// What of redd's API changed since its record was written. Additions pass; what breaks programs does not.
pub(super) fn own_api(root: &Path) -> Outcome {
    let now = target_dir(root).join("api").join("redd.txt");
    match own_record(root).and_then(|text| Ok(write_record(&now, &text)?)) {
        Ok(()) => {}
        Err(Unread::Skipped(why)) => return Outcome::skipped(why),
        Err(Unread::Failed(why)) => {
            eprintln!("{why}");
            return Outcome::of(false);
        }
    }
    let outcome = changes(root, &root.join(OWN_RECORD), &now);
    if !outcome.passed {
        eprintln!(
            "fix: keep what programs use. If the change is meant, name it in CHANGELOG.md under `Breaking`, raise the \
             version as docs/releases.md says, and accept it with `cargo xtask own-api --record`"
        );
    }
    outcome
}

/// Writes the record of redd's own API.
pub(crate) fn record_own_api(root: &Path) -> bool {
    let written = own_record(root).and_then(|text| write_record(&root.join(OWN_RECORD), &text).map_err(Unread::Failed));
    match written {
        Ok(()) => true,
        Err(Unread::Skipped(why) | Unread::Failed(why)) => {
            eprintln!("{why}");
            false
        }
    }
}

/// Why there is no record.
enum Unread {
    /// This machine's rustdoc writes another format than `xtask-deep` reads.
    Skipped(String),
    Failed(String),
}

impl From<String> for Unread {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// redd's features and oldest Rust, and with all features everything that can be named.
fn own_record(root: &Path) -> Result<String, Unread> {
    let package = package(root, "redd")?;
    let contract = contract_lines(&package);
    let features: Vec<_> = names(&package["features"]).into_iter().filter(|name| *name != "default").collect();
    let target = target_dir(root).join("api/own");
    let documents = documents(root, &target, &[("redd", features.join(",").as_str()), ("redd-macros", "")], None)?;
    let documents = documents.iter().map(|(name, path)| format!("{name}={}", path.display()));
    let arguments: Vec<String> = ["record-own".to_owned()].into_iter().chain(documents).collect();
    let items = tools::read_deep_tool_or_skip(root, &arguments)
        .map_err(|(is_skipped, why)| if is_skipped { Unread::Skipped(why) } else { Unread::Failed(why) })?;
    Ok(format!(
        "# What programs may rely on: names and signatures of redd with all features, its features, and the oldest Rust.\n\
         # Written by `cargo xtask own-api --record` from rustdoc's JSON; the lane `own-api` compares with it.\n{contract}{items}"
    ))
}

/// A package of the workspace at `root`, or one that it depends on, as `cargo metadata` describes it.
///
/// # Errors
/// A sentence, if cargo does not know it.
pub(crate) fn package(root: &Path, name: &str) -> Result<Value, String> {
    let output = cargo(root, &["metadata", "--format-version", "1"]).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("`cargo metadata` in {} printed no JSON ({error})", root.display()))?;
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let found = packages.iter().find(|package| package["name"] == name);
    found.cloned().ok_or_else(|| format!("`cargo metadata` in {} names no package `{name}`", root.display()))
}

/// The keys of an object, in their order.
pub(crate) fn names(object: &Value) -> Vec<&str> {
    object.as_object().map_or_else(Vec::new, |object| object.keys().map(String::as_str).collect())
}

/// The lines of a record that are not in the sources.
fn contract_lines(package: &Value) -> String {
    let features = &package["features"];
    let by_default: Vec<_> = features["default"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut lines = format!("oldest Rust = {}\n", package["rust_version"].as_str().unwrap_or("not given"));
    for name in names(features).into_iter().filter(|name| *name != "default") {
        let word = if by_default.contains(&name) { "on by default" } else { "off by default" };
        lines.push_str(&format!("feature {name} = {word}\n"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_and_the_oldest_rust_are_part_of_the_record() {
        let package = serde_json::json!({
            "rust_version": "1.85",
            "features": {"default": ["net"], "net": [], "stack": ["dep:backtrace"]}
        });
        assert_eq!(
            contract_lines(&package),
            "oldest Rust = 1.85\nfeature net = on by default\nfeature stack = off by default\n"
        );
    }
}
