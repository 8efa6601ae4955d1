//! Published programs that are switched to redd as docs/guide/switching.md says, with the lock files that they carry.
//!
//! Called by the lane `switch`.
//!
//! # Why not otherwise
//! The programs in `compat` are ours and have a lock file with the facade in it. What a user meets first is a lock file
//! that names an older Tokio.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::suites;
use crate::tracked::tracked_tokio;

/// A published program or library.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    version: &'static str,
    /// Packages in the lock file that today's compiler does not build, with the patch or without.
    raised: &'static [&'static str],
    check: Check,
}

/// What is run after the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// This binary, with `--help`.
    Help(&'static str),
    /// The unit tests of the library, but for those with these words in their names, which read files that the package
    /// does not carry.
    UnitTests(&'static [&'static str]),
}

/// Of several years, small enough to be built one after another.
pub(crate) const PROGRAMS: &[Program] = &[
    Program { name: "axum-server", version: "0.9.0", raised: &[], check: Check::UnitTests(&[]) },
    Program { name: "bore-cli", version: "0.6.0", raised: &[], check: Check::Help("bore") },
    Program { name: "dufs", version: "0.47.0", raised: &[], check: Check::Help("dufs") },
    Program { name: "hickory-dns", version: "0.25.2", raised: &[], check: Check::Help("hickory-dns") },
    Program { name: "mini-redis", version: "0.4.1", raised: &[], check: Check::Help("mini-redis-cli") },
    Program { name: "rathole", version: "0.5.0", raised: &["time"], check: Check::Help("rathole") },
    Program { name: "rumqttd", version: "0.20.0", raised: &["metrics"], check: Check::Help("rumqttd") },
    Program { name: "simple-http-server", version: "0.8.1", raised: &[], check: Check::Help("simple-http-server") },
    Program { name: "tokio-console", version: "0.1.13", raised: &[], check: Check::Help("tokio-console") },
    Program { name: "tokio-modbus", version: "0.17.0", raised: &[], check: Check::UnitTests(&[]) },
    Program { name: "webrtc-sctp", version: "0.17.2", raised: &[], check: Check::UnitTests(&["fuzz_artifact_test"]) },
    Program { name: "webrtc-util", version: "0.17.2", raised: &[], check: Check::UnitTests(&[]) },
    Program { name: "websocat", version: "4.0.0-alpha3", raised: &[], check: Check::Help("websocat") },
];

/// What came of one program.
#[derive(Debug)]
pub(crate) struct Row {
    program: String,
    /// The Tokio in the lock file that the package carries.
    locked: String,
    /// Whether `cargo update -p tokio` is enough.
    plain: Result<(), String>,
    /// Whether `cargo update -p tokio --precise` with the facade's version is.
    precise: Result<(), String>,
    build: Result<(), String>,
    check: Result<(), String>,
}

impl Row {
    /// As the guide promises.
    pub(crate) fn passed(&self) -> bool {
        self.precise.is_ok() && self.build.is_ok() && self.check.is_ok()
    }
}

/// The table for docs/compatibility.md.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table = String::from(
        "| program | Tokio in its lock file | `cargo update -p tokio` | with `--precise` | build | run |\n\
         |---|---|---|---|---|---|\n",
    );
    let word = |result: &Result<(), String>, good: &str| match result {
        Ok(()) => good.to_owned(),
        Err(why) => why.replace('|', "/"),
    };
    for row in rows {
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            row.program,
            row.locked,
            word(&row.plain, "enough"),
            word(&row.precise, "switched"),
            word(&row.build, "passed"),
            word(&row.check, "passed"),
        ));
    }
    table
}

/// Switches, builds and runs one program, in a folder of its own. What is built is removed: each is a gigabyte.
pub(crate) fn switch(root: &Path, target: &Path, program: &Program) -> Result<Row, String> {
    let folder = unpack(target, program)?;
    let lock = folder.join("Cargo.lock");
    let carried = read(&lock)?;
    let manifest = read(&folder.join("Cargo.toml"))?;
    suites::write(&folder.join("Cargo.toml"), &patched(&manifest, &root.join("tokio"))?)?;

    let plain = update(&folder, &[]);
    suites::write(&lock, &carried)?;
    let precise = update(&folder, &["--precise", tracked_tokio()]);
    let raised = program.raised.iter().try_for_each(|name| run(cargo(&folder).args(["update", "--quiet", "-p", name])));
    let build = precise.clone().and(raised).and_then(|()| run(cargo(&folder).args(["build", "--locked", "--quiet"])));
    let check = build.clone().and_then(|()| match program.check {
        Check::UnitTests(skipped) => {
            let skips = skipped.iter().flat_map(|words| ["--skip", words]);
            run(cargo(&folder).args(["test", "--locked", "--quiet", "--lib", "--"]).args(skips))
        }
        Check::Help(binary) => run(Command::new(folder.join("target/debug").join(binary)).arg("--help")),
    });
    let built = folder.join("target");
    match std::fs::remove_dir_all(&built) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("{}: {error}", built.display()));
        }
        _ => {}
    }
    Ok(Row {
        program: format!("{} {}", program.name, program.version),
        locked: versions(&carried, "tokio").join(", "),
        plain,
        precise,
        build,
        check,
    })
}

/// The package as the registry has it. `cargo info` leaves it among the sources of Cargo's registry.
fn unpack(target: &Path, program: &Program) -> Result<PathBuf, String> {
    let name = format!("{}-{}", program.name, program.version);
    let folder = target.join(&name);
    std::fs::create_dir_all(target).map_err(|error| format!("{}: {error}", target.display()))?;
    run(cargo(target).args(["info", "--quiet"]).arg(format!("{}@{}", program.name, program.version)))?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home.unwrap_or_default().join("registry/src");
    let source = std::fs::read_dir(&registries)
        .map_err(|error| format!("{}: {error}", registries.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().join(&name)))
        .find(|path| path.is_dir())
        .ok_or_else(|| format!("`cargo info` did not unpack {name} in {}", registries.display()))?;
    run(Command::new("rm").arg("-rf").arg(&folder))?;
    run(Command::new("cp").arg("-r").arg(&source).arg(&folder))?;
    Ok(folder)
}

/// The manifest with the guide's two lines. Without `[workspace]` Cargo would look for ours.
fn patched(manifest: &str, facade: &Path) -> Result<String, String> {
    if manifest.lines().any(|line| line.starts_with("[patch")) {
        return Err("the package has patches of its own".to_owned());
    }
    let workspace = if manifest.lines().any(|line| line == "[workspace]") { "" } else { "\n[workspace]\n" };
    Ok(format!("{manifest}{workspace}\n[patch.crates-io]\ntokio = {{ path = {facade:?} }}\n"))
}

/// `cargo update -p tokio`, and whether each `tokio` in the lock file is the facade then.
fn update(folder: &Path, options: &[&str]) -> Result<(), String> {
    run(cargo(folder).args(["update", "--quiet", "-p", "tokio"]).args(options))?;
    let lock = read(&folder.join("Cargo.lock"))?;
    if suites::is_patched(&lock) {
        return Ok(());
    }
    Err(format!("tokio {} of the registry", versions(&lock, "tokio").join(", ")))
}

fn versions<'a>(lock: &'a str, name: &str) -> Vec<&'a str> {
    let named = format!("\nname = \"{name}\"\nversion = \"");
    // A patch that did not apply has a section of its own, behind the packages.
    let packages = lock.split("[[patch.unused]]").next().unwrap_or(lock);
    packages.split("[[package]]").filter_map(|package| package.split(&named).nth(1)?.split('"').next()).collect()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Without a shared target folder, since what is built is removed, and without debug information, which takes time.
fn cargo(folder: &Path) -> Command {
    let mut command = suites::cargo(folder);
    command.env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "false");
    command
}

/// Runs a command to its end; the first line that names an error says why it failed.
fn run(command: &mut Command) -> Result<(), String> {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    println!("  $ {} {}", command.get_program().to_string_lossy(), words.join(" "));
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    eprintln!("{text}");
    Err(first_error(&text).map_or_else(|| output.status.to_string(), str::to_owned))
}

fn first_error(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with("error") || line.starts_with("test result: FAILED")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_gets_the_patch_once() {
        let facade = Path::new("/x/tokio");
        let patched_once = patched("[package]\nname = \"a\"\n", facade).expect("it has no patches");
        assert!(patched_once.ends_with("\n[workspace]\n\n[patch.crates-io]\ntokio = { path = \"/x/tokio\" }\n"));
        let root = patched("[package]\nname = \"a\"\n\n[workspace]\n", facade).expect("it has no patches");
        assert_eq!(root.matches("[workspace]").count(), 1);
        assert!(patched(&patched_once, facade).is_err());
    }

    #[test]
    fn the_versions_of_one_package_are_read() {
        let lock = "version = 4\n\n[[package]]\nname = \"tokio\"\nversion = \"0.2.0\"\n\n[[package]]\nname = \"tokio-util\"\n\
                    version = \"0.7.0\"\n\n[[package]]\nname = \"tokio\"\nversion = \"1.33.0\"\n\n\
                    [[patch.unused]]\nname = \"tokio\"\nversion = \"1.54.1\"\n";
        assert_eq!(versions(lock, "tokio"), ["0.2.0", "1.33.0"]);
        assert!(versions(lock, "mio").is_empty());
    }

    #[test]
    fn a_program_passes_only_if_it_was_switched_built_and_run() {
        let row = |precise: Result<(), String>, check: Result<(), String>| Row {
            program: "a 1.0.0".to_owned(),
            locked: "1.28.0".to_owned(),
            plain: Err("tokio 1.54.2 of the registry".to_owned()),
            precise,
            build: Ok(()),
            check,
        };
        assert!(row(Ok(()), Ok(())).passed(), "the plain recipe is only shown");
        assert!(!row(Err("no".to_owned()), Ok(())).passed());
        assert!(!row(Ok(()), Err("a | b".to_owned())).passed());
        let table = table(&[row(Ok(()), Err("a | b".to_owned()))]);
        assert!(
            table.ends_with("| a 1.0.0 | 1.28.0 | tokio 1.54.2 of the registry | switched | passed | a / b |\n"),
            "{table}"
        );
    }

    #[test]
    fn the_first_error_says_why() {
        assert_eq!(first_error("warning: x\nerror[E0277]: no\nerror: y\n"), Some("error[E0277]: no"));
        assert_eq!(first_error("fine\n"), None);
    }
}
