//! A package of the registry with its lock file, in a folder of its own.
//!
//! Called by `switch`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::{cargo, run};
use super::programs::Program;

/// The two files that a switch changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) manifest: String,
    pub(super) lock: String,
}

impl Files {
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        Ok(Self { manifest: read("Cargo.toml")?, lock: read("Cargo.lock")? })
    }
}

/// How many packages of the lock file are there only behind the switch, only before it, and in other versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) changed: usize,
}

impl Moved {
    pub(super) fn between(before: &str, after: &str) -> Self {
        let (before, after) = (packages(before), packages(after));
        let missing = |of: &BTreeMap<&str, BTreeSet<&str>>, name: &&str| !of.contains_key(*name);
        Self {
            added: after.keys().filter(|name| missing(&before, name)).count(),
            removed: before.keys().filter(|name| missing(&after, name)).count(),
            changed: before
                .iter()
                .filter(|(name, versions)| after.get(*name).is_some_and(|now| now != *versions))
                .count(),
        }
    }
}

/// The versions of each package of a lock file.
fn packages(lock: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut packages: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    // A patch that did not apply has a section of its own, behind the packages.
    let locked = lock.split("[[patch.unused]]").next().unwrap_or(lock);
    for package in locked.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
            line.strip_suffix('"')
        };
        if let (Some(name), Some(version)) = (value("name"), value("version")) {
            packages.entry(name).or_default().insert(version);
        }
    }
    packages
}

/// The versions of Tokio in a lock file.
pub(super) fn tokio_versions(lock: &str) -> String {
    let versions = packages(lock).remove("tokio").unwrap_or_default();
    if versions.is_empty() { "none".to_owned() } else { versions.into_iter().collect::<Vec<_>>().join(", ") }
}

/// The package as the registry has it. `cargo info` leaves it among the sources of Cargo's registry.
pub(super) fn unpack(target: &Path, program: &Program) -> Result<PathBuf, String> {
    let name = format!("{}-{}", program.name, program.version);
    let folder = target.join(&name);
    std::fs::create_dir_all(target).map_err(|error| format!("{}: {error}", target.display()))?;
    run(cargo(target)
        .args(["info", "--quiet", "--registry", "crates-io"])
        .arg(format!("{}@{}", program.name, program.version)))?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home.unwrap_or_default().join("registry/src");
    let source = std::fs::read_dir(&registries)
        .map_err(|error| format!("{}: {error}", registries.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join(&name)))
        .find(|path| path.is_dir())
        .ok_or_else(|| format!("`cargo info` did not unpack {name} in {}", registries.display()))?;
    run(Command::new("rm").arg("-rf").arg(&folder))?;
    // With their times: what has not changed is not built again.
    run(Command::new("cp").arg("-a").arg(&source).arg(&folder))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"bytes\"\nversion = \"1.5.0\"\n\n\
                        [[package]]\nname = \"mio\"\nversion = \"0.8.0\"\n\n[[package]]\nname = \"tokio\"\nversion = \"0.2.0\"\n\n\
                        [[package]]\nname = \"tokio-util\"\nversion = \"0.7.0\"\ndependencies = [\n \"tokio\",\n]\n\n\
                        [[package]]\nname = \"tokio\"\nversion = \"1.33.0\"\n\n\
                        [[patch.unused]]\nname = \"tokio\"\nversion = \"1.54.1\"\n";

    #[test]
    fn the_versions_of_tokio_are_read() {
        assert_eq!(tokio_versions(LOCK), "0.2.0, 1.33.0");
        assert_eq!(tokio_versions("version = 4\n"), "none");
    }

    #[test]
    fn what_a_switch_moves_is_counted_by_package() {
        let after = LOCK.replace("1.33.0", "1.54.1").replace("name = \"mio\"", "name = \"redd\"");
        assert_eq!(Moved::between(LOCK, &after), Moved { added: 1, removed: 1, changed: 1 });
        assert_eq!(Moved::between(LOCK, LOCK), Moved::default());
        let one_less = LOCK.replace("0.2.0", "1.33.0");
        assert_eq!(Moved::between(LOCK, &one_less), Moved { changed: 1, ..Moved::default() });
    }
}
