//! Why a program is not on redd, and what to do: the words that `switch`, `try` and `doctor` have in common.

use std::process::Command;

use semver::{Version, VersionReq};

use crate::config::Configuration;
use crate::facade::Facade;
use crate::graph::{Graph, Package};
use crate::lock::{CRATES_IO, Lock};
use crate::program::Program;

/// The words for a lock file that Cargo has not moved.
pub(crate) const KEPT: &str = "after the patch the lock file has";

/// Whether there is one Tokio in the lock file, and it is this facade wherever it is built.
pub(crate) fn is_on(graph: &Graph, lock: &Lock, facade: &Facade) -> bool {
    // It may be in the lock file alone, for a feature that is off.
    is_replaced(lock) && graph.tokios().all(|tokio| tokio.is(facade))
}

/// Whether there is one Tokio in the lock file, and it is not the registry's.
pub(crate) fn is_replaced(lock: &Lock) -> bool {
    let tokios: Vec<_> = lock.tokios().collect();
    matches!(tokios[..], [tokio] if tokio.source.as_deref() != Some(CRATES_IO))
}

/// The source of a package in a lock file, for people.
pub(crate) fn short_source(source: Option<&str>) -> &str {
    match source {
        Some(CRATES_IO) => "crates.io",
        Some(other) => other.split_once('+').map_or(other, |(_, address)| address),
        None => "a path",
    }
}

/// Each dependency on a Tokio 1.x that the facade does not satisfy, with what to do.
pub(crate) fn obstacles(graph: &Graph, facade: &Facade) -> Vec<String> {
    let Ok(version) = Version::parse(&facade.version) else { return Vec::new() };
    let mut obstacles = Vec::new();
    for package in &graph.packages {
        let is_member = graph.members.contains(&package.id);
        for wish in &package.wishes {
            // Tests of other packages are not built.
            if wish.kind.as_deref() == Some("dev") && !is_member {
                continue;
            }
            let Ok(requirement) = VersionReq::parse(&wish.requirement) else { continue };
            let is_of_registry = wish.source.as_deref() == Some(CRATES_IO);
            // An optional dependency that is off asks for nothing, and there is no Tokio that it has got.
            let has_got = |tokio: &&Package| {
                let source = tokio.source.as_deref().unwrap_or_default();
                let is_from_there =
                    is_of_registry || wish.source.as_ref().is_some_and(|wished| source.starts_with(wished.as_str()));
                is_from_there
                    && Version::parse(&tokio.version).is_ok_and(|got| got.major == 1 && requirement.matches(&got))
            };
            let is_on = graph.tokios_of(package).any(|tokio| has_got(&tokio));
            if !is_on || (is_of_registry && requirement.matches(&version)) {
                continue;
            }
            obstacles.push(obstacle(
                graph,
                facade,
                package,
                &wish.requirement,
                wish.source.as_deref(),
                is_newer(&requirement, &version),
            ));
        }
    }
    obstacles.sort();
    obstacles.dedup();
    obstacles
}

/// Whether only newer versions match.
fn is_newer(requirement: &VersionReq, version: &Version) -> bool {
    let above = |comparator: &semver::Comparator| {
        (comparator.major, comparator.minor.unwrap_or(0), comparator.patch.unwrap_or(0))
            > (version.major, version.minor, version.patch)
    };
    requirement
        .comparators
        .iter()
        .any(|comparator| !matches!(comparator.op, semver::Op::Less | semver::Op::LessEq) && above(comparator))
}

fn obstacle(
    graph: &Graph,
    facade: &Facade,
    package: &Package,
    requirement: &str,
    source: Option<&str>,
    is_newer: bool,
) -> String {
    let is_member = graph.members.contains(&package.id);
    let name = if is_member {
        format!("your package `{}`", package.name)
    } else {
        format!("`{} {}`", package.name, package.version)
    };
    let mut by: Vec<String> = graph.dependents(&package.id).map(|other| format!("`{}`", other.name)).collect();
    by.truncate(3);
    let by = if by.is_empty() { String::new() } else { format!(", which {} needs,", by.join(" and ")) };
    if source != Some(CRATES_IO) {
        return format!(
            "{name}{by} asks for a tokio of {}, which a patch of crates.io does not replace. Ask for tokio of crates.io there",
            short_source(source)
        );
    }
    let advice = match (is_member, is_newer) {
        (true, false) => "Write `tokio = \"1\"` in its `Cargo.toml`".to_owned(),
        (true, true) => "Use a newer redd, or ask for an older Tokio in its `Cargo.toml`".to_owned(),
        (false, false) => {
            format!("Choose a version of `{0}` that accepts it, perhaps with `cargo update -p {0}`", package.name)
        }
        (false, true) => format!("Use a newer redd, or an older version of `{}`", package.name),
    };
    format!("{name}{by} asks for tokio {requirement}, and redd has the API of {}. {advice}", facade.version)
}

/// A compiler that does not build redd.
pub(crate) fn old_compiler(program: &Program, facade: &Facade) -> Option<String> {
    let needed = facade.rust_version.as_deref().unwrap_or("1.85");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("-V").current_dir(&program.folder).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `rustc 1.95.0 (59807616e 2026-04-14)`, and `rustc 1.97.0-nightly (…)`.
    let version = Version::parse(text.split(' ').nth(1)?.trim()).ok()?;
    let wanted = needed.split('.').map(str::parse::<u64>).collect::<Result<Vec<_>, _>>().ok()?;
    ([version.major, version.minor, version.patch][..] < wanted[..])
        .then(|| format!("rustc is {version}, and redd needs {needed} or newer. `rustup update` brings a newer one"))
}

/// Why the switch was not possible. The program is as before.
pub(crate) fn refusal(program: &Program, facade: &Facade, error: &str) -> String {
    let graph = Graph::read(program, &[], None);
    let obstacles = graph.map(|graph| obstacles(&graph, facade)).unwrap_or_default();
    if !obstacles.is_empty() {
        return obstacles.join("\n");
    }
    advice(program, facade, error).map_or_else(|| error.to_owned(), |advice| format!("{advice}\n{error}"))
}

/// What to do about an error of Cargo.
pub(crate) fn advice(program: &Program, facade: &Facade, error: &str) -> Option<String> {
    let has = |words: &[&str]| words.iter().any(|words| error.contains(words));
    // With a folder in the place of the registry, Cargo may keep Tokio without an error.
    let is_missing = has(&["no matching package", "failed to select a version", KEPT]);
    if let Some((folder, file)) = Configuration::of(&program.folder).vendored().filter(|_| is_missing) {
        return Some(format!(
            "the packages that redd needs are not in `{folder}`, which replaces crates.io in {file}. Take the replacement out of that file, \
             switch, run `cargo vendor` again, and put the replacement back"
        ));
    }
    if has(&["--locked was passed"]) {
        return Some("Cargo.lock does not fit the manifests. Run `cargo check` once, which corrects it".to_owned());
    }
    if has(&[
        "--offline was specified",
        "offline mode",
        "failed to download",
        "download of ",
        "Could not resolve host",
        "Couldn't resolve host",
        "network failure",
    ]) {
        return Some(
            "packages are not on this machine, and Cargo cannot download them. Run it once with the network: Cargo keeps them".to_owned(),
        );
    }
    if has(&["edition2024", "edition 2024", "requires rustc"]) {
        let version = facade.rust_version.as_deref().unwrap_or("1.85");
        return Some(format!("the compiler is too old: redd needs Rust {version}. `rustup update` brings a newer one"));
    }
    if has(&["failed to select a version for"]) {
        let shown = |package: &String| format!("`{}`", package.replace('@', " "));
        return Some(match &held_back(error)[..] {
            [package, holder, ..] => format!(
                "redd needs another version than {}, which {} holds. Choose a version of that package that does not",
                shown(package),
                shown(holder)
            ),
            [package] => format!("redd needs another version than {}, which the program holds", shown(package)),
            [] => "the versions that redd needs do not fit to the others of the program".to_owned(),
        });
    }
    None
}

/// The packages that conflict, and then those that hold them, in an error of Cargo, such as `bytes@1.1.0`.
pub(crate) fn held_back(error: &str) -> Vec<String> {
    const SELECTED: &str = "previously selected package ";
    let package = |text: &str| {
        let (name, rest) = text.strip_prefix('`')?.split_once(' ')?;
        // A package of the program has its path behind its version, and no version that could be moved.
        let version = rest.strip_prefix('v')?.split_once('`')?.0;
        (!version.contains(' ')).then(|| format!("{name}@{version}"))
    };
    let Some((_, told)) = error.split_once(SELECTED) else { return Vec::new() };
    let holders = told.lines().skip(1).filter(|line| line.trim_start().starts_with("... which satisfies"));
    let holders = holders.filter_map(|line| package(line.rsplit_once(" of package ")?.1));
    let mut held: Vec<String> = package(told).into_iter().collect();
    // Without the package itself nothing is known.
    if !held.is_empty() {
        held.extend(holders);
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lock_file_holds_back_is_read_from_cargos_error() {
        let error = "error: failed to select a version for `a`.\n    ... required by package `redd v0.1.0 (/r)`\n\n  previously selected \
                     package `a v1.2.0`\n    ... which satisfies dependency `a = \"~1.2\"` of package `b v0.1.16`\n    ... which \
                     satisfies dependency `b = \"^0.1\"` (locked to 0.1.16) of package `shop v0.4.2 (/shop)`\n\nfailed to select";
        assert_eq!(held_back(error), ["a@1.2.0", "b@0.1.16"]);
        assert!(held_back("error: no matching package").is_empty());
        assert!(held_back("previously selected package `redd v0.1.0 (/r)`\n").is_empty());
    }
}
