//! The programs of the guide. Each one is in the guide word for word, and prints what the guide shows. The programs
//! that must not compile fail with the errors that the guide shows.
//!
//! A program is a line that is only a link to its file, and a block with the whole file. A block of text after it is what it prints. Where
//! the file is says what is checked:
//!
//! | folder | what is checked here |
//! |---|---|
//! | `redd/examples` | the text, and the output |
//! | `redd/tests` | the text; `cargo test` runs them anyway |
//! | `redd/tests/ui` | the text, and the errors of the compiler |
//! | others | the text; packages that depend on more than redd have tests of their own |

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program of the guide: its file, its code block, and the text block after it.
struct Program {
    path: PathBuf,
    text: String,
    shown: Option<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Finds each line that is only a link to a Rust file, the code block after it, and the text block after that. A part of a file is no
/// program, and other text ends one.
fn programs(page: &Path) -> Vec<Program> {
    let markdown = std::fs::read_to_string(page).unwrap();
    let mut programs: Vec<Program> = Vec::new();
    let mut is_open = false;
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        if let Some(link) = line.strip_prefix("[`").and_then(|rest| rest.strip_suffix(".rs)")) {
            let (_, path) = link.split_once("](").unwrap();
            let path = page.parent().unwrap().join(format!("{path}.rs"));
            programs.push(Program { path, text: String::new(), shown: None });
            is_open = true;
        } else if line.starts_with("```") {
            let block = lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n");
            let Some(program) = programs.last_mut().filter(|_| is_open) else { continue };
            if line.starts_with("```rust") {
                assert!(program.text.is_empty(), "one program, one link: {}", program.path.display());
                program.text = block;
            } else {
                program.shown = Some(block);
                is_open = false;
            }
        } else if line.starts_with('#') {
            is_open = false;
        }
    }
    programs
}

/// The pages of the guide, but those whose programs are checked elsewhere.
fn pages() -> Vec<PathBuf> {
    let guide = repository().join("docs/guide");
    let mut pages: Vec<PathBuf> = std::fs::read_dir(guide).unwrap().map(|entry| entry.unwrap().path()).collect();
    // It shows parts of the programs in `demos`; `cargo xtask demos` compares them.
    pages.retain(|page| page.extension().is_some_and(|of| of == "md") && !page.ends_with("seeing-inside.md"));
    pages.sort();
    pages
}

/// Programs whose output is another one in each run: servers, which the test below asks, and one that prints its metrics.
const NOT_COMPARED: [&str; 3] = ["hello", "hello_stuck", "guide_metrics"];

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
    for program in pages().iter().flat_map(|page| programs(page)) {
        let name = program.path.file_stem().unwrap().to_str().unwrap().to_owned();
        let file = std::fs::read_to_string(&program.path).unwrap();
        assert_eq!(program.text, file.trim_end(), "{name} differs from its copy in the guide");
        if !program.path.parent().unwrap().ends_with("redd/examples") || NOT_COMPARED.contains(&name.as_str()) {
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

/// Starts a server of the examples, and sends these requests one after another. Returns what is before and after the end of each head.
fn ask(server: &str, paths: &[&str]) -> Vec<String> {
    let build = ["build", "--quiet", "-p", "redd", "--example", server];
    assert!(Command::new(env!("CARGO")).args(build).current_dir(repository()).status().unwrap().success());
    let mut child = Command::new(target().join("debug/examples").join(server)).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).map(str::to_owned);
    let answer = |path: &&str| {
        let mut stream = std::net::TcpStream::connect(address.as_deref()?).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.split_once("\r\n\r\n")?.1.to_owned())
    };
    let answers: Option<Vec<String>> = paths.iter().map(answer).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    answers.unwrap_or_else(|| panic!("{server} printed `{}` and has not answered", line.trim()))
}

#[test]
fn the_servers_of_the_first_chapter_answer() {
    assert_eq!(ask("hello", &["/", "/"]), ["hello\n", "hello\n"]);
    assert_eq!(ask("hello_stuck", &["/", "/block"]), ["hello, visitor 1\n", "hello, visitor 2\n"]);
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
