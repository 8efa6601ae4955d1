//! What a Tokio of the registry has that the facade lacks: its manifest, its API, and its own tests on the facade.
//!
//! Called by `cargo xtask track`. It edits nothing: it prints what is missing, and the files that a bump changes.

mod edits;
mod manifest;

use std::path::{Path, PathBuf};

use crate::lanes;
use crate::tracked::{RECORD, TOKIO};
use manifest::Manifest;

/// What `cargo xtask track` was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The newest one that programs with `tokio = "1"` get, if none is named.
    version: Option<String>,
    /// The one to compare with, if not the tracked one.
    from: Option<String>,
    without_suite: bool,
    /// Only Tokio's files of tests with this text in their name.
    tests: String,
}

impl Options {
    /// Reads `[VERSION] [--from VERSION] [--no-suite | --tests TEXT]`.
    pub(crate) fn read(arguments: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--from" => options.from = Some(version(arguments.next()?)?),
                "--no-suite" => options.without_suite = true,
                "--tests" => options.tests = (*arguments.next()?).to_owned(),
                text if options.version.is_none() => options.version = Some(version(text)?),
                _ => return None,
            }
        }
        Some(options)
    }
}

fn version(text: &str) -> Option<String> {
    let parts: Vec<_> = text.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(is_number)).then(|| text.to_owned())
}

/// Compares; returns whether nothing is missing.
pub(crate) fn track(root: &Path, options: &Options) -> bool {
    match compare(root, options) {
        Ok(missing) if missing.is_empty() => {
            println!("\nnothing is missing");
            true
        }
        Ok(missing) => {
            println!("\n{} missing:", missing.len());
            missing.iter().for_each(|line| println!("  {line}"));
            false
        }
        Err(why) => {
            eprintln!("{why}");
            false
        }
    }
}

/// One line for each thing that is missing.
fn compare(root: &Path, options: &Options) -> Result<Vec<String>, String> {
    let version = match &options.version {
        Some(version) => version.clone(),
        None => newest(root)?,
    };
    if options.version.is_none() && options.from.is_none() && version == TOKIO {
        println!("the newest Tokio 1.x of the registry is {version}, which is the tracked one");
        return Ok(Vec::new());
    }
    let from = options.from.as_deref().unwrap_or(TOKIO);
    println!("Tokio {version}, next to the facade (which has the version {TOKIO}) and to Tokio {from}");
    let mut missing = Vec::new();
    if manifest::is_newer(&version, TOKIO) {
        missing.push(format!("the version: a program that asks for Tokio {version} does not get the facade {TOKIO}"));
    }

    println!("\n# Manifest, {from} to {version}");
    let read = |version: &str| {
        let project = lanes::depend_on_tokio(root, &format!("={version}"))?;
        lanes::package(&project, "tokio").map(|package| Manifest::read(&package))
    };
    let (old, new) = (read(from)?, read(&version)?);
    let facade = Manifest::read(&lanes::package(root, "tokio")?);
    print_lines(&new.changes_since(&old));
    missing.extend(facade.lacks_of(&new));

    println!("\n# API, {from} to {version}");
    let (old, new) = (record(root, from)?, record(root, &version)?);
    println!("{}", lanes::changes(root, &old, &new).note());
    println!("\n# API, the facade next to {version}");
    let outcome = lanes::compare_facade(root, &new.display().to_string());
    println!("{}", outcome.note());
    if !outcome.is_known_to_pass() {
        missing.push(format!("API: {}", outcome.note()));
    }

    println!("\n# Tests of {version}, on the facade");
    if options.without_suite {
        println!("not run: `--no-suite`");
    } else {
        // One version in the life of this process.
        if !options.tests.is_empty() {
            println!("only files with `{}` in their name", options.tests);
        }
        match lanes::suite_of_tokio(root, version.clone().leak(), options.tests.clone().leak()) {
            Ok((findings, note)) => {
                println!("{note}");
                missing.extend(findings);
            }
            Err(why) => missing.push(format!("tests: {why}")),
        }
    }

    println!("\n# What a bump edits, by hand");
    edits::steps(root).iter().for_each(|step| println!("{step}"));
    Ok(missing)
}

fn print_lines(lines: &[String]) {
    match lines {
        [] => println!("no difference"),
        lines => lines.iter().for_each(|line| println!("{line}")),
    }
}

/// What a program with `tokio = "1"` and no lock file gets.
fn newest(root: &Path) -> Result<String, String> {
    let project = lanes::depend_on_tokio(root, "1")?;
    // One of an earlier run would hold the version back.
    let _ = std::fs::remove_file(project.join("Cargo.lock"));
    Ok(Manifest::read(&lanes::package(&project, "tokio")?).version)
}

/// The file with the record of a version's API.
fn record(root: &Path, version: &str) -> Result<PathBuf, String> {
    if version == TOKIO {
        return Ok(root.join(RECORD));
    }
    let text = lanes::record_of_tokio(root, version)?;
    let path = lanes::depend_on_tokio(root, &format!("={version}"))?.join("record.txt");
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_in_any_order_and_versions_have_three_numbers() {
        let all = Options {
            version: Some("1.55.0".into()),
            from: Some("1.54.1".into()),
            without_suite: true,
            tests: "sync_".into(),
        };
        assert_eq!(Options::read(&["--no-suite", "1.55.0", "--tests", "sync_", "--from", "1.54.1"]), Some(all));
        assert_eq!(Options::read(&[]), Some(Options::default()));
        for wrong in [&["1.55"][..], &["--from"], &["1.55.0", "1.54.1"], &["1.x.0"], &["--from", "1..1"], &["--tests"]]
        {
            assert_eq!(Options::read(wrong), None, "{wrong:?}");
        }
    }
}
