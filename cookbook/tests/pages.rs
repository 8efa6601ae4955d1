//! The programs of the cookbook and of the chapters for those who come from elsewhere. Each one is on its page word for word,
//! and prints what the page shows. So do the programs in Go and JavaScript, where these languages are installed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGES: &[&str] = &["cookbook.md", "from-go.md", "from-javascript.md", "from-tokio.md"];

const ERRGROUP: &str = "golang.org/x/sync/errgroup";

/// Where programs are, and the ends of their names.
const FOLDERS: &[(&str, &str)] = &[("src/bin", "rs"), ("go", "go"), ("javascript", "mjs")];

/// A program of a page: its file, its code block, and the next text block.
struct Program {
    path: PathBuf,
    block: Option<String>,
    shown: Option<String>,
}

impl Program {
    fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    fn is(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|end| end == extension)
    }

    /// Runs it, and compares what it prints.
    fn check(&self, command: &mut Command) {
        let output = command.arg(&self.path).output().unwrap();
        self.compare(&output);
    }

    fn compare(&self, output: &std::process::Output) {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {}\n{errors}", self.name(), output.status);
        let printed = String::from_utf8_lossy(&output.stdout);
        let shown = self.shown.as_deref().unwrap_or_else(|| panic!("{}: the page shows no output", self.name()));
        assert_eq!(printed.trim_end(), shown, "{} prints other text than its page shows\n{errors}", self.name());
    }
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Finds each line that is only a link to a program, the code block after it, and the next text block. One text block may be
/// for several programs. Blocks in `sh` and `toml` are not programs.
fn programs() -> Vec<Program> {
    let folder = package().parent().unwrap().join("docs/guide");
    let mut programs: Vec<Program> = Vec::new();
    for page in PAGES {
        let markdown = std::fs::read_to_string(folder.join(page)).unwrap();
        let mut lines = markdown.lines();
        while let Some(line) = lines.next() {
            if let Some(link) = line.strip_prefix("[`").and_then(|rest| rest.strip_suffix(")")) {
                let (_, path) = link.split_once("](").unwrap();
                programs.push(Program { path: folder.join(path), block: None, shown: None });
            } else if let Some(language) = line.strip_prefix("```") {
                let block = lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n");
                match language {
                    "sh" | "toml" => {}
                    "text" => {
                        for program in programs.iter_mut().rev().take_while(|program| program.shown.is_none()) {
                            program.shown = Some(block.clone());
                        }
                    }
                    _ => {
                        let program = programs.last_mut().filter(|program| program.block.is_none());
                        let program = program.unwrap_or_else(|| panic!("{page}: no link before the block\n{block}"));
                        program.block = Some(block);
                    }
                }
            }
        }
    }
    programs
}

#[test]
fn each_program_is_on_its_page_verbatim() {
    let mut on_pages = BTreeSet::new();
    for program in programs() {
        let file = std::fs::read_to_string(&program.path).unwrap_or_else(|error| panic!("{}: {error}", program.name()));
        assert_eq!(program.block.as_deref(), Some(file.trim_end()), "{} differs from its page", program.name());
        on_pages.insert(program.path.canonicalize().unwrap());
    }
    let mut files = BTreeSet::new();
    for (folder, extension) in FOLDERS {
        for entry in std::fs::read_dir(package().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == *extension) {
                files.insert(path.canonicalize().unwrap());
            }
        }
    }
    assert_eq!(on_pages, files, "each program is on one page");
}

/// The lines below `[dependencies]` that name a package.
fn dependencies(manifest: &str) -> BTreeSet<&str> {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains(" = ") && !line.starts_with('#'))
        .collect()
}

#[test]
fn the_page_names_the_dependencies_that_the_programs_are_compiled_with() {
    let page = package().parent().unwrap().join("docs/guide/cookbook.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, block) = page.split_once("```toml\n").unwrap();
    let manifest = std::fs::read_to_string(package().join("Cargo.toml")).unwrap();
    // The package inherits `redd` from the workspace, and a reader has it by its path.
    let is_other = |line: &&str| !line.starts_with("redd = ");
    let shown: BTreeSet<_> = dependencies(block).into_iter().filter(is_other).collect();
    let used: BTreeSet<_> = dependencies(&manifest).into_iter().filter(is_other).collect();
    assert_eq!(shown, used);
    assert!(shown.len() >= 8, "{shown:?}");
}

#[test]
fn each_program_prints_what_its_page_shows() {
    // Cargo builds the programs for this test, which is `target/debug/deps/pages-…`.
    let mut target = std::env::current_exe().unwrap();
    target.pop();
    target.pop();
    let mut count = 0;
    for program in programs().iter().filter(|program| program.is("rs")) {
        let binary = target.join(program.path.file_stem().unwrap());
        program.compare(&Command::new(binary).output().unwrap());
        count += 1;
    }
    assert!(count >= 20, "only {count} programs were found: has the form of the pages changed?");
}

#[test]
fn each_javascript_program_prints_what_its_page_shows() {
    if !is_installed("node", "--version") {
        return;
    }
    for program in programs().iter().filter(|program| program.is("mjs")) {
        program.check(&mut Command::new("node"));
    }
}

#[test]
fn each_go_program_prints_what_its_page_shows() {
    if !is_installed("go", "version") {
        return;
    }
    for program in programs().iter().filter(|program| program.is("go")) {
        // Without modules, which would have to be fetched. Debian's `golang-golang-x-sync-dev` has errgroup.
        let go = |command| {
            let mut go = Command::new("go");
            go.arg(command).env("GO111MODULE", "off");
            if std::env::var_os("GOPATH").is_none() {
                go.env("GOPATH", "/usr/share/gocode");
            }
            go
        };
        if program.name() == "errgroup.go" && !go("list").arg(ERRGROUP).output().unwrap().status.success() {
            say_skipped(&format!("the Go package `{ERRGROUP}` is not installed"));
            continue;
        }
        program.check(&mut go("run"));
    }
}

fn is_installed(program: &str, version: &str) -> bool {
    let found = Command::new(program).arg(version).output().is_ok_and(|output| output.status.success());
    if !found {
        say_skipped(&format!("`{program}` is not installed"));
    }
    found
}

/// Also where the test's output is captured.
fn say_skipped(why: &str) {
    let _ = writeln!(std::io::stdout(), "SKIPPED: {why}");
}
