//! The lowest versions that a switched program needs.
//!
//! Called by `switch`, also for `try`. If redd needs a newer version of a package, Cargo takes the newest of all. An old package of the program may not
//! compile with that one: xattr 0.2 does with libc 0.2.189, and not with 0.2.190.
//!
//! A version can be lowered if the program had a compatible one before. What the requirements ask for at least is tried, and Cargo
//! refuses it if it does not fit.

use std::collections::BTreeMap;

use semver::{Op, Version, VersionReq};
use serde_json::Value as Json;

use crate::failure::Failure;
use crate::files;
use crate::lock::{Change, Lock, changes, series};
use crate::program::Program;
use crate::signals::Signals;

/// Lowers in the lock file what was raised further than a package asks for.
pub(crate) fn lower(
    program: &Program,
    before: Option<&str>,
    options: &[String],
    signals: &mut Signals,
) -> Result<(), Failure> {
    let with_options = |arguments: &[&str]| -> Vec<String> {
        options.iter().cloned().chain(arguments.iter().map(|argument| (*argument).to_owned())).collect()
    };
    let Some(before) = before else { return Ok(()) };
    let after = Lock::parse(&files::read(&program.lock)?)?;
    let raised: Vec<_> = changes(&Lock::parse(before)?, &after)
        .into_iter()
        .filter_map(|change| match change {
            Change::Moved { name, from, to } if name != "tokio" && series(&from) == series(&to) => {
                Some((name, Version::parse(&from).ok()?, Version::parse(&to).ok()?))
            }
            Change::Moved { .. } | Change::Added { .. } | Change::Removed { .. } => None,
        })
        .collect();
    if raised.is_empty() {
        return Ok(());
    }
    let ran = program.cargo.run(&with_options(&["metadata", "--format-version=1", "--locked"]), Some(signals))?;
    // Another command of Cargo has written the lock file meanwhile. `try` begins again then.
    if !ran.succeeded && ran.error().contains("--locked was passed") {
        return Err(Failure::Refused(ran.error()));
    }
    // Packages of other platforms may be missing. Then the newest versions stay.
    let Ok(metadata) = serde_json::from_str(&ran.output) else { return Ok(()) };
    let requirements = requirements(&metadata);
    for (name, from, to) in raised {
        let asked = requirements.get(&name).map_or(&[][..], Vec::as_slice);
        let least = least(asked, &to).map_or(from.clone(), |least| least.max(from));
        if least < to && signals.received().is_none() {
            let package = format!("{name}@{to}");
            let arguments = with_options(&["update", "-p", &package, "--precise", &least.to_string()]);
            // The newest one stays if Cargo refuses.
            program.cargo.run(&arguments, Some(signals))?;
        }
    }
    Ok(())
}

/// What the packages ask for, by the name of the dependency. Cargo does not use the dev-dependencies of packages of a registry.
fn requirements(metadata: &Json) -> BTreeMap<String, Vec<VersionReq>> {
    let mut requirements: BTreeMap<String, Vec<VersionReq>> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let is_used = package["source"].is_null() || dependency["kind"] != "dev";
            let (Some(name), Some(asked)) = (dependency["name"].as_str(), dependency["req"].as_str()) else { continue };
            if let (true, Ok(asked)) = (is_used, VersionReq::parse(asked)) {
                requirements.entry(name.to_owned()).or_default().push(asked);
            }
        }
    }
    requirements
}

/// The lowest version that all of those accept which accept `chosen`.
fn least(asked: &[VersionReq], chosen: &Version) -> Option<Version> {
    let accepted = asked.iter().filter(|asked| asked.matches(chosen));
    let comparators = accepted.flat_map(|asked| &asked.comparators);
    let bounds = comparators.filter(|bound| matches!(bound.op, Op::Exact | Op::GreaterEq | Op::Tilde | Op::Caret));
    let versions = bounds.map(|bound| Version {
        pre: bound.pre.clone(),
        ..Version::new(bound.major, bound.minor.unwrap_or(0), bound.patch.unwrap_or(0))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_version_is_the_highest_that_a_package_asks_for_at_least() {
        let least = |asked: &[&str], chosen: &str| {
            let asked: Vec<_> = asked.iter().map(|asked| VersionReq::parse(asked).expect("it is one")).collect();
            least(&asked, &Version::parse(chosen).expect("it is one")).map(|version| version.to_string())
        };
        assert_eq!(least(&["^0.2.172", "^0.2", "~0.2.108"], "0.2.191").as_deref(), Some("0.2.172"));
        // That of another package of the same name, of another series.
        assert_eq!(least(&["^1.4", "^0.4.9"], "0.4.12").as_deref(), Some("0.4.9"));
        assert_eq!(least(&[">=1.2, <2", "=1.5.0"], "1.5.0").as_deref(), Some("1.5.0"));
        assert_eq!(least(&["*", "<2"], "1.5.0"), None);
        assert_eq!(least(&[], "1.5.0"), None);
    }

    #[test]
    fn dev_dependencies_count_for_packages_of_the_machine_alone() {
        let dependency = |kind: &str| serde_json::json!({"name": "libc", "req": "^0.2.190", "kind": kind});
        let of = |source: Json, kind: &str| {
            let package = serde_json::json!({"source": source, "dependencies": [dependency(kind)]});
            requirements(&serde_json::json!({"packages": [package]})).len()
        };
        assert_eq!(of("registry".into(), "dev"), 0);
        assert_eq!(of("registry".into(), "build"), 1);
        assert_eq!(of(Json::Null, "dev"), 1);
    }
}
