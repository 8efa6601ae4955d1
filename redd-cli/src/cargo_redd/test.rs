//! Builds the tests of a package, and finds one of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::Selection;
use crate::folder::Folder;
use crate::process::Process;

/// How long a test program may take to list its tests. One without the harness of std may run them instead.
const LISTING: Duration = Duration::from_secs(30);

/// One test in a program that was built.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) program: PathBuf,
    /// As `cargo test` shows it.
    pub(crate) path: String,
    pub(crate) package: String,
    /// The folder of the package.
    pub(crate) folder: PathBuf,
}

impl Test {
    /// Builds the programs, and looks for the test in them.
    pub(crate) fn find(selection: &Selection, folder: &Folder) -> Result<Self, String> {
        let programs = build(selection)?;
        if programs.is_empty() {
            return Err("the selected packages have no test programs. Choose another package with `-p`".into());
        }
        let mut tests = Vec::new();
        for program in programs {
            tests.extend(list(program, folder.path())?);
        }
        choose(tests, &selection.test)
    }

    /// The file with the seeds that are kept for it.
    pub(crate) fn kept_seeds(&self) -> PathBuf {
        self.folder.join("tests/seeds").join(format!("{}.txt", self.path.replace("::", ".")))
    }
}

/// A test program that cargo has built.
#[derive(Clone, Debug)]
struct Program {
    file: PathBuf,
    package: String,
    folder: PathBuf,
}

fn build(selection: &Selection) -> Result<Vec<Program>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]);
    for (option, value) in [("-p", &selection.package), ("--test", &selection.target), ("-F", &selection.features)] {
        if let Some(value) = value {
            command.arg(option).arg(value);
        }
    }
    for (option, is_set) in [
        ("--lib", selection.lib),
        ("--release", selection.release),
        ("--all-features", selection.all_features),
        ("--offline", selection.offline),
    ] {
        if is_set {
            command.arg(option);
        }
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("`{}` cannot be run: {error}", cargo.to_string_lossy()))?;
    if !output.status.success() {
        return Err("the tests cannot be built: see the messages of cargo".into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(program).collect())
}

/// The program of a message of cargo, if it is about a test program.
fn program(message: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let file = message["executable"].as_str().filter(|_| is_test)?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    // `path+file:///shop#0.1.0` if the folder has the name of the package, and else `…#shop@0.1.0`.
    let id = message["package_id"].as_str()?;
    let after = id.rsplit_once('#').map_or(id, |(_, after)| after);
    let package = match after.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => folder.file_name()?.to_string_lossy().into_owned(),
    };
    Some(Program { file: file.into(), package, folder: folder.to_owned() })
}

/// The tests in a program.
fn list(program: Program, scratch: &Path) -> Result<Vec<Test>, String> {
    let mut command = Command::new(&program.file);
    command.args(["--list", "--format", "terse"]).current_dir(&program.folder);
    let mut process = Process::start(command, scratch.join("list"))?;
    // A program that does not list its tests has none that could be run.
    process.wait(LISTING)?;
    let paths =
        process.output().lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_owned())).collect::<Vec<_>>();
    let test = |path| Test {
        program: program.file.clone(),
        path,
        package: program.package.clone(),
        folder: program.folder.clone(),
    };
    Ok(paths.into_iter().map(test).collect())
}

/// The test with this path, or the only one with this part in its path.
fn choose(tests: Vec<Test>, name: &str) -> Result<Test, String> {
    let (mut found, others): (Vec<_>, Vec<_>) = tests.into_iter().partition(|test| test.path == name);
    if found.is_empty() {
        found.extend(others.into_iter().filter(|test| test.path.contains(name)));
    }
    match found.len() {
        0 => Err(format!("no test has `{name}` in its path. `cargo test -- --list` shows the paths of all tests")),
        1 => Ok(found.remove(0)),
        count => {
            let lines: Vec<_> = found
                .iter()
                .take(20)
                .map(|test| {
                    let program = test.program.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                    format!("  {} (package {}, program {program})", test.path, test.package)
                })
                .collect();
            Err(format!(
                "{count} tests have `{name}` in their paths. Write the whole path of one, and choose its target with `--lib` or \
                 `--test`:\n{}",
                lines.join("\n")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests(paths: &[&str]) -> Vec<Test> {
        let test = |path: &&str| Test {
            program: "p".into(),
            path: (*path).to_owned(),
            package: "shop".into(),
            folder: "/shop".into(),
        };
        paths.iter().map(test).collect()
    }

    #[test]
    fn a_test_is_chosen_by_its_path_or_by_a_part_that_only_it_has() {
        let all = ["orders::kept", "orders::kept_twice", "stock::low"];
        let chosen = |name: &str| choose(tests(&all), name).map(|test| test.path);
        assert_eq!(chosen("orders::kept").as_deref(), Ok("orders::kept"));
        assert_eq!(chosen("low").as_deref(), Ok("stock::low"));
        assert!(chosen("missing").is_err_and(|why| why.contains("no test") && why.contains("--list")));
        assert!(chosen("kept").is_err_and(|why| why.contains("2 tests") && why.contains("  orders::kept (")));
        assert!(chosen("orders").is_err_and(|why| why.contains("2 tests") && why.contains("  orders::kept_twice (")));
    }

    #[test]
    fn the_kept_seeds_of_a_test_are_where_the_test_looks_for_them() {
        let test = tests(&["orders::kept"]).remove(0);
        assert_eq!(test.kept_seeds(), Path::new("/shop/tests/seeds/orders.kept.txt"));
    }

    #[test]
    fn test_programs_are_read_from_the_messages_of_cargo() {
        let message = |id: &str, is_test: bool| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{id}","manifest_path":"/a/shop/Cargo.toml",
                    "profile":{{"test":{is_test}}},"executable":"/t/shop-1"}}"#
            )
        };
        let package = |id| program(&message(id, true)).map(|program| program.package);
        assert_eq!(package("path+file:///a/shop#0.1.0").as_deref(), Some("shop"));
        assert_eq!(package("path+file:///a/shop#till@0.1.0").as_deref(), Some("till"));
        assert!(program(&message("x#0.1.0", false)).is_none());
        assert!(program(r#"{"reason":"build-finished","success":true}"#).is_none());
        assert!(program("not json").is_none());
    }
}
