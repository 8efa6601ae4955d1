//! Simulated worlds: many seeds, and equal hashes from builds that differ.
//!
//! Called by `cargo xtask worlds` and `cargo xtask sim-libc`.

use std::path::Path;
use std::process::Command;

use super::commands::{cargo, for_each_line, passes, run_tests, target_dir};
use super::outcome::Outcome;

/// A package with worlds.
struct Worlds {
    /// For `cargo test`: the tests that run in release. Those that read `REDD_WORLDS` run 1,000 seeds.
    all: &'static [&'static str],
    /// The tests that print hashes.
    compared: &'static [&'static str],
    /// How many seeds each build runs.
    seeds: &'static str,
}

const WORLDS: [Worlds; 2] = [
    Worlds {
        all: &["-p", "redd", "--test", "sim_hash", "--test", "sim"],
        compared: &["-p", "redd", "--test", "sim_hash"],
        seeds: "200",
    },
    Worlds { all: &["-p", "demo-sim"], compared: &["-p", "demo-sim"], seeds: "20" },
];

/// Many seeds in release, and fewer in several builds, whose hashes are compared.
pub(super) fn worlds(root: &Path) -> Outcome {
    let mut notes = Vec::new();
    let mut passed = true;
    for package in WORLDS {
        let arguments = [&["test", "--release"], package.all].concat();
        let count = run_tests(cargo(root, &arguments).env("REDD_WORLDS", "1000"));
        passed &= count.succeeded && count.passed > 0;
        notes.push(count.to_string());
    }
    // It prints how fast worlds are.
    passed &= passes(&mut cargo(root, &["run", "--release", "-p", "redd", "--example", "world_speed"]));
    match builds_agree(root) {
        Ok(builds) => notes.push(format!("equal hashes: {builds}")),
        Err(why) => {
            eprintln!("{why}");
            passed = false;
            notes.push("hashes of builds differ".to_owned());
        }
    }
    Outcome { passed, note: notes.join("; ") }
}

/// The package that takes the place of the C library: its functions are there whatever the linker removes, and whatever the compiler knows
/// of all packages at once.
pub(super) fn sim_libc(root: &Path) -> Outcome {
    let mut notes = Vec::new();
    for (name, lto, flags) in
        [("release", "off", ""), ("fat LTO", "fat", ""), ("GNU ld", "off", "-Clink-arg=-fuse-ld=bfd")]
    {
        let mut command = cargo(root, &["test", "--release", "-p", "redd-sim-libc", "--tests"]);
        command.env("CARGO_PROFILE_RELEASE_LTO", lto).env("RUSTFLAGS", flags);
        let count = run_tests(&mut command);
        let passed = count.succeeded && count.passed > 0;
        notes.push(format!("{name}: {count}"));
        if !passed {
            return Outcome { passed, note: notes.join("; ") };
        }
    }
    Outcome { passed: true, note: notes.join("; ") }
}

/// Whether all builds of this source have the same hashes: with and without optimisation, of another folder, and in a second process.
fn builds_agree(root: &Path) -> Result<String, String> {
    let folder = target_dir(root).join("worlds");
    let (copy, elsewhere) = (folder.join("another folder"), folder.join("target"));
    copy_to(root, &copy)?;
    let builds: [(&str, &Path, Option<&Path>, &[&str]); 4] = [
        ("release", root, None, &["--release"]),
        ("debug", root, None, &[]),
        ("debug in a second process", root, None, &[]),
        ("debug in another folder", &copy, Some(&elsewhere), &[]),
    ];
    let mut first: Option<Vec<String>> = None;
    for (name, folder, target, options) in builds {
        let mut hashes = Vec::new();
        for package in WORLDS {
            let mut command = cargo(folder, &["test"]);
            command.args(package.compared).args(options).args(["--", "--nocapture"]).env("REDD_WORLDS", package.seeds);
            if let Some(target) = target {
                command.env("CARGO_TARGET_DIR", target);
            }
            hashes.extend(hashes_of(&mut command).ok_or_else(|| format!("{name}: the tests have failed"))?);
        }
        let expected = first.get_or_insert_with(|| hashes.clone());
        if *expected != hashes {
            return Err(format!("{name}: {hashes:?}\nrelease: {expected:?}"));
        }
    }
    Ok(builds.map(|(name, ..)| name).join(", "))
}

/// The lines with hashes that the tests print. `None` if it fails, or prints none.
fn hashes_of(command: &mut Command) -> Option<Vec<String>> {
    let mut hashes = Vec::new();
    let succeeded = for_each_line(command, |line| hashes.extend(hash_in(line)));
    hashes.sort_unstable();
    (succeeded && !hashes.is_empty()).then_some(hashes)
}

/// The harness may have printed the name of a test on the same line.
fn hash_in(line: &str) -> Option<String> {
    line.find("hash of part ").map(|at| line[at..].to_owned())
}

/// Copies all files that git knows, as they are now. Files of an earlier copy are removed.
fn copy_to(root: &Path, copy: &Path) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(copy);
    let listed = Command::new("git").current_dir(root).args(["ls-files", "-z"]).output();
    let listed = listed.map_err(|error| format!("git cannot list the files: {error}"))?;
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut copied = 0;
    for name in names.split('\0').filter(|name| !name.is_empty() && root.join(name).is_file()) {
        let to = copy.join(name);
        let folder = to.parent().unwrap_or(copy);
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::copy(root.join(name), &to))
            .map_err(|error| format!("{}: {error}", to.display()))?;
        copied += 1;
    }
    if copied > 0 { Ok(()) } else { Err("git lists no files".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_found_behind_the_name_of_its_test() {
        assert_eq!(hash_in("test a ... hash of part 1: 0f").as_deref(), Some("hash of part 1: 0f"));
        assert_eq!(hash_in("test a ... ok"), None);
    }
}
