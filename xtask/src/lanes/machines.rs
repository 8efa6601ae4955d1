//! Other machines and older compilers: aarch64 under an emulator, and the oldest Rust that is promised.
//!
//! Called by `cargo xtask aarch64` and `msrv`.

use std::path::Path;
use std::process::Command;

use super::commands::{cargo, passes, remove_own_variables, run_tests, rustup_cargo, target_dir};
use super::outcome::Outcome;
use crate::packages::{self, Apt, Packages};

const AARCH64: &str = "aarch64-unknown-linux-gnu";

/// Builds for aarch64 and runs the tests under qemu. It shows no weak memory ordering: those are loom's to show.
pub(super) fn aarch64(root: &Path) -> Outcome {
    if cfg!(target_arch = "aarch64") {
        return Outcome::skipped("this machine is one: `cargo xtask ci` runs its tests".to_owned());
    }
    let tools = Packages {
        name: "aarch64",
        whole: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user-static"],
        alone: &[],
    };
    let target = target_dir(root);
    let unpacked = packages::compiler(&target)
        .and_then(|compiler| Ok((compiler, Apt::open(&target)?.unpack(&tools)?)))
        .and_then(|(compiler, tools)| Ok((compiler.compiler_version()?, compiler, tools)));
    let (version, compiler, tools) = match unpacked {
        Ok(unpacked) => unpacked,
        Err(why) => return Outcome::skipped(why),
    };
    let (library, linker) = (tools.path("usr/aarch64-linux-gnu"), tools.program("aarch64-linux-gnu-gcc-12"));
    let runner = format!("{} -L {}", tools.program("qemu-aarch64-static").display(), library.display());
    let set_up = |command: &mut Command| {
        compiler.use_compiler(command);
        tools.add_libraries(command);
        command
            .env("CARGO_TARGET_DIR", target.join("aarch64"))
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", &linker)
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", &runner)
            // The unpacked libraries are not where the linker's scripts expect them.
            .env(
                "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
                format!("-Clink-arg=--sysroot={}", tools.path("").display()),
            );
    };
    let mut facade = cargo(root, &["build", "--target", AARCH64, "-p", "tokio", "--features", "full"]);
    set_up(&mut facade);
    if !passes(&mut facade) {
        return Outcome { passed: false, note: "the facade does not build".to_owned() };
    }
    let mut tests = cargo(
        root,
        &["test", "--target", AARCH64, "-p", "redd", "-p", "redd-sim-libc", "--lib", "--tests", "--no-fail-fast", "--"],
    );
    set_up(&mut tests);
    tests
        // These build programs of their own.
        .args(["--skip=the_guide", "--test-threads=2"])
        // An emulated test takes ten times as long.
        .env("PROPTEST_CASES", "16")
        .env("REDD_SEEDS", "200")
        .env("REDD_FUZZ_SECONDS", "20");
    let count = run_tests(&mut tests);
    Outcome { passed: count.succeeded && count.passed > 0, note: format!("tests: {count}; {version}, under qemu") }
}

/// Builds what is published with the version that `rust-version` promises, and runs tests of tasks, time and channels.
pub(super) fn msrv(root: &Path) -> Outcome {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    let Some(promised) = promised_version(&manifest) else {
        return Outcome { passed: false, note: "no `rust-version` in Cargo.toml".to_owned() };
    };
    let found = installed(root, promised).map_or_else(|| unpacked(root, promised), Ok);
    let (version, command) = match found {
        Ok(found) => found,
        Err(why) => return Outcome::skipped(format!("no Rust {promised}: {why}")),
    };
    println!("  {version}");
    let builds: &[&[&str]] = &[
        &["build", "--locked", "-p", "redd", "--all-features"],
        &["build", "--locked", "-p", "redd", "--no-default-features"],
        &["build", "--locked", "-p", "tokio", "--features", "full"],
        &["build", "--locked", "-p", "redd-sim-libc"],
        &["build", "--locked", "-p", "redd-cli"],
        // The other packages are not published: they are built with the current compiler alone.
    ];
    let failed = builds.iter().filter(|arguments| !passes(&mut command(arguments))).count();
    let tests = ["test", "--locked", "-p", "redd", "--lib", "--test", "tasks", "--test", "time", "--test", "sync"];
    let count = run_tests(&mut command(&tests));
    let note = format!("{version}: {} of {} builds; tests: {count}", builds.len() - failed, builds.len());
    Outcome { passed: failed == 0 && count.succeeded && count.passed > 0, note }
}

/// Makes a cargo command of one toolchain.
type Cargo = Box<dyn Fn(&[&str]) -> Command>;

/// rustup's toolchain of that version, where it is installed; nothing is fetched.
fn installed(root: &Path, promised: &str) -> Option<(String, Cargo)> {
    let listed = Command::new("rustup").args(["toolchain", "list"]).output().ok()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let name = toolchain_in(&listed, promised)?;
    let (name, folder, root) = (format!("+{name}"), target_dir(root).join("msrv"), root.to_path_buf());
    let label = format!("rustup's {}", &name[1..]);
    let command = move |arguments: &[&str]| {
        let mut command = rustup_cargo(&root);
        command.arg(&name).args(arguments).env("CARGO_TARGET_DIR", &folder);
        command
    };
    Some((label, Box::new(command)))
}

/// The toolchain of a version in rustup's list, such as `1.85-x86_64-unknown-linux-gnu`.
fn toolchain_in<'a>(listed: &'a str, promised: &str) -> Option<&'a str> {
    let mut names = listed.lines().filter_map(|line| line.split_ascii_whitespace().next());
    names.find(|name| name.strip_prefix(promised).is_some_and(|rest| rest.starts_with(['.', '-'])))
}

/// Debian's compiler and cargo of that version.
fn unpacked(root: &Path, promised: &str) -> Result<(String, Cargo), String> {
    let target = target_dir(root);
    let apt = Apt::open(&target)?;
    let exact = apt.version("rustc-web", promised)?;
    let wanted = ["rustc-web", "libstd-rust-web-dev", "cargo-web"].map(|name| format!("{name}={exact}"));
    let whole: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let compiler = apt.unpack(&Packages { name: "msrv", whole: &whole, alone: &[] })?;
    let version = compiler.compiler_version()?;
    let (folder, root) = (target.join("msrv"), root.to_path_buf());
    let command = move |arguments: &[&str]| {
        let mut command = Command::new(compiler.program("cargo"));
        command.current_dir(&root).args(arguments).env("CARGO_TARGET_DIR", &folder);
        remove_own_variables(&mut command);
        compiler.use_compiler(&mut command);
        command
    };
    Ok((version, Box::new(command)))
}

/// `1.85` of `rust-version = "1.85"`.
fn promised_version(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promised_version_is_read_from_the_manifest() {
        assert_eq!(
            promised_version("[workspace.package]\nedition = \"2024\"\nrust-version = \"1.85\"\n"),
            Some("1.85")
        );
        assert_eq!(promised_version("[workspace.package]\n"), None);
    }

    #[test]
    fn a_toolchain_of_the_promised_version_is_found_in_the_list_of_rustup() {
        let listed = "stable-x86_64-unknown-linux-gnu (active, default)\n1.8-x86_64-unknown-linux-gnu\n\
                      1.85.1-x86_64-unknown-linux-gnu\n";
        assert_eq!(toolchain_in(listed, "1.85"), Some("1.85.1-x86_64-unknown-linux-gnu"));
        assert_eq!(toolchain_in(listed, "1.8"), Some("1.8-x86_64-unknown-linux-gnu"));
        assert_eq!(toolchain_in(listed, "1.86"), None);
    }
}
