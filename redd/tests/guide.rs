//! The programs of the guide. Each one is in the guide word for word, and prints what the guide shows. The programs
//! that must not compile fail with the errors that the guide shows.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of the guide: its file, its code block, and the text block after it.
struct Program {
    path: PathBuf,
    text: String,
    shown: Option<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Finds each line that is only a link to a program, the code block after it, and the text block after that.
fn programs(page: &Path) -> Vec<Program> {
    let markdown = std::fs::read_to_string(page).unwrap();
    let mut programs: Vec<Program> = Vec::new();
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if let Some(link) = line.strip_prefix("[`").and_then(|rest| rest.strip_suffix(")")) {
            let (_, path) = link.split_once("](").unwrap();
            let path = page.parent().unwrap().join(path);
            programs.push(Program { path, text: String::new(), shown: None });
        } else if line.starts_with("```") {
            let block = lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n");
            let program = programs.last_mut().unwrap();
            if line.starts_with("```rust") {
                assert!(program.text.is_empty(), "one program, one link: {}", program.path.display());
                program.text = block;
            } else {
                program.shown = Some(block);
            }
        }
    }
    programs
}

#[test]
fn each_program_is_in_the_guide_verbatim_and_prints_what_the_guide_shows() {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "-p", "redd", "--examples"])
        .current_dir(repository())
        .status()
        .unwrap();
    assert!(status.success());
    let examples = target().join("debug/examples");
    let mut count = 0;
    let pages =
        ["spawning-tasks.md", "task-groups.md", "replay.md"].map(|page| repository().join("docs/guide").join(page));
    for program in pages.iter().flat_map(|page| programs(page)) {
        let name = program.path.file_stem().unwrap().to_str().unwrap().to_owned();
        let file = std::fs::read_to_string(&program.path).unwrap();
        assert_eq!(program.text, file.trim_end(), "{name} differs from its copy in the guide");
        if program.path.parent().unwrap().ends_with("ui") {
            continue;
        }
        let output = Command::new(examples.join(&name)).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(Some(printed.trim_end()), program.shown.as_deref(), "{name} prints other text");
        count += 1;
    }
    assert!(count >= 20, "only {count} programs were found: has the form of the page changed?");
}

#[test]
fn the_programs_that_must_not_compile_fail_as_the_guide_says() {
    let library = library();
    let mut count = 0;
    for program in programs(&repository().join("docs/guide/spawning-tasks.md")) {
        if !program.path.parent().unwrap().ends_with("ui") {
            continue;
        }
        let output = Command::new("rustc")
            .args(["--edition", "2024", "--emit", "metadata", "--out-dir"])
            .arg(std::env::temp_dir())
            .arg("--extern")
            .arg(format!("redd={}", library.display()))
            .arg("-L")
            .arg(format!("dependency={}", library.parent().unwrap().join("deps").display()))
            .arg("-L")
            .arg(format!("dependency={}", library.parent().unwrap().display()))
            .arg(&program.path)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{} compiles", program.path.display());
        let said = String::from_utf8(output.stderr).unwrap();
        for line in program.shown.unwrap().lines() {
            assert!(said.contains(line), "{} does not fail with `{line}` but:\n{said}", program.path.display());
        }
        count += 1;
    }
    assert_eq!(count, 2);
}

fn target() -> PathBuf {
    // This test binary is `target/debug/deps/guide-…`.
    let mut path = std::env::current_exe().unwrap();
    for _ in 0..3 {
        path.pop();
    }
    path
}

/// The library as Cargo builds it for the examples.
fn library() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "-p", "redd", "--lib", "--message-format", "json"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8(output.stdout).unwrap();
    let files = messages
        .lines()
        .filter(|line| line.contains("\"compiler-artifact\""))
        .flat_map(|line| line.split('"'))
        .filter(|text| text.ends_with(".rlib") && text.contains("libredd"));
    PathBuf::from(files.max().unwrap())
}
