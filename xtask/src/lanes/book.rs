//! The book: mdBook's pages of `docs`, and whether each link of them leads somewhere.
//!
//! Called by `cargo xtask book`.
//!
//! 1. mdBook is installed from the crate registry, unless an earlier run did so.
//! 2. The pages are copied, and their links out of `docs` get the repository's address. The files there must exist.
//! 3. mdBook builds the copy into `target/book`. A warning is an error.
//! 4. `redd-crawl` checks the links and their parts behind `#` twice, from disk: in the book, and in the repository's pages as they are.
//!    No server is asked.
//!
//! # Why not otherwise
//! A preprocessor of mdBook could rewrite the links, too. The copy needs no second program that mdBook starts, and shows what mdBook got.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::commands::{cargo, passes, shown, target_dir};
use super::outcome::Outcome;
use super::tools;
use crate::book::{self, CONTENTS, FOLDER, Kind};
use crate::drawing::{self, PICTURE};

/// The version of mdBook that the lane installs. It needs Rust 1.88.
const MDBOOK: &str = "0.5.4";

/// mdBook without its server, which the lane does not use.
const MDBOOK_FEATURES: [&str; 3] = ["--no-default-features", "--features", "search"];

/// Files in `docs` that are mdBook's, and not pages.
const CONFIGURATION: [&str; 2] = ["book.toml", "book.css"];

/// Pages of the repository outside of `docs` whose links are checked, too.
const OTHER_PAGES: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "STYLE.md",
    "redd/README.md",
    "redd-cli/README.md",
    "crawler/README.md",
];

pub(super) fn book(root: &Path) -> Outcome {
    let mdbook = match tools::installed(root, "mdbook", MDBOOK, &MDBOOK_FEATURES) {
        Ok(mdbook) => mdbook,
        Err(why) => return Outcome::skipped(why),
    };
    build(root, &mdbook).unwrap_or_else(|note| Outcome { passed: false, note })
}

/// `cargo xtask book --write`: draws the picture of how redd works.
pub(crate) fn write_drawing(root: &Path) -> bool {
    match std::fs::write(root.join(PICTURE), drawing::picture()) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("{PICTURE}: {error}");
            false
        }
    }
}

fn build(root: &Path, mdbook: &Path) -> Result<Outcome, String> {
    let (copy, built) = (target_dir(root).join("book-source"), target_dir(root).join("book"));
    if std::fs::read_to_string(root.join(PICTURE)).ok() != Some(drawing::picture()) {
        return Err(format!("{PICTURE} is not what the program draws; `cargo xtask book --write`"));
    }
    let (links, outward) = copy_pages(root, &copy)?;
    run_mdbook(mdbook, &copy, &built)?;
    let pages = files(&built)?.iter().filter(|path| path.ends_with(".html")).count();
    if !passes(&mut cargo(root, &["build", "--quiet", "-p", "redd-crawler"])) {
        return Err("the crawler does not build".to_owned());
    }
    let in_book = crawl(root, &[built.to_string_lossy().as_ref()])?;
    let in_repository = crawl(root, &[&[FOLDER][..], &OTHER_PAGES].concat())?;
    println!("  the book is at {}", built.join("index.html").display());
    let note = format!(
        "{pages} pages, {links} links, {outward} of them to the repository: {in_book}; in its own pages {in_repository}"
    );
    Ok(Outcome { passed: in_book.broken == 0 && in_repository.broken == 0, note })
}

/// Copies `docs`, with its links out of it rewritten. Returns how many links there are, and how many of them were rewritten.
fn copy_pages(root: &Path, copy: &Path) -> Result<(usize, usize), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    match std::fs::remove_dir_all(copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(copy, error)),
        _ => {}
    }
    let (mut links, mut outward, mut findings) = (0, 0, Vec::new());
    let paths = files(&root.join(FOLDER))?;
    let pages: Vec<String> = paths.iter().filter(|path| path.ends_with(".md")).cloned().collect();
    for path in &paths {
        // mdBook's root has its configuration, and the pages are in a folder as here: edit links have the path from the root.
        let folder = if CONFIGURATION.contains(&path.as_str()) { copy.to_path_buf() } else { copy.join(FOLDER) };
        let (from, to) = (root.join(FOLDER).join(path), folder.join(path));
        let folder = to.parent().unwrap_or(copy);
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        if !path.ends_with(".md") {
            std::fs::copy(&from, &to).map_err(|error| failed(&from, error))?;
            continue;
        }
        let text = std::fs::read_to_string(&from).map_err(|error| failed(&from, error))?;
        if path == CONTENTS {
            findings.extend(book::check_contents(&text, &pages));
            std::fs::write(&to, text).map_err(|error| failed(&to, error))?;
            continue;
        }
        let page = book::page(path, &text, |path| kind(&root.join(path)));
        links += page.links;
        outward += page.outward;
        findings.extend(page.findings);
        std::fs::write(&to, page.text).map_err(|error| failed(&to, error))?;
    }
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { Ok((links, outward)) } else { Err(format!("{} findings in the pages", findings.len())) }
}

fn kind(path: &Path) -> Kind {
    match path.metadata() {
        Ok(found) if found.is_dir() => Kind::Folder,
        Ok(_) => Kind::File,
        Err(_) => Kind::Missing,
    }
}

/// The files below a folder, by their paths from there, in order.
fn files(folder: &Path) -> Result<Vec<String>, String> {
    let mut folders = vec![PathBuf::new()];
    let mut files = Vec::new();
    while let Some(inside) = folders.pop() {
        let entries = std::fs::read_dir(folder.join(&inside));
        let entries = entries.map_err(|error| format!("{}: {error}", folder.join(&inside).display()))?;
        for entry in entries.filter_map(Result::ok) {
            let path = inside.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                files.push(path.to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn run_mdbook(mdbook: &Path, source: &Path, built: &Path) -> Result<(), String> {
    let mut command = Command::new(mdbook);
    command.arg("build").arg(source).arg("--dest-dir").arg(built).env("MDBOOK_BOOK__SRC", FOLDER).stdin(Stdio::null());
    println!("  $ {}", shown(&command));
    let output = command.output().map_err(|error| format!("cannot start mdbook: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let wrong: Vec<&str> = said.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    if output.status.success() && wrong.is_empty() {
        return Ok(());
    }
    eprintln!("{said}");
    Err(format!("mdbook {}: {} warnings and errors (its messages are above)", output.status, wrong.len()))
}

/// What the crawler counted.
#[derive(Debug)]
struct Links {
    addresses: u64,
    broken: u64,
}

impl std::fmt::Display for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} addresses, {} broken", self.addresses, self.broken)
    }
}

/// Checks the links of files and folders, and prints those that are broken.
fn crawl(root: &Path, starts: &[&str]) -> Result<Links, String> {
    let mut command = Command::new(target_dir(root).join("debug/redd-crawl"));
    command.current_dir(root).args(["--no-config", "--quiet", "--same-origin", "--fragments", "--format", "json"]);
    command.args(starts).stderr(Stdio::inherit());
    println!("  $ {}", shown(&command));
    let output = command.output().map_err(|error| format!("cannot start redd-crawl: {error}"))?;
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("redd-crawl {}: {error}", output.status))?;
    for broken in report["broken"].as_array().into_iter().flatten() {
        println!("{}: {}", broken["url"].as_str().unwrap_or_default(), broken["reason"].as_str().unwrap_or_default());
        for citation in broken["citations"].as_array().into_iter().flatten() {
            println!("    cited by {} in line {}", citation["page"].as_str().unwrap_or_default(), citation["line"]);
        }
    }
    let count =
        |name: &str| report["counts"][name].as_u64().ok_or(format!("redd-crawl's report has no count `{name}`"));
    if report["complete"] != true {
        return Err("the crawl is incomplete (its messages are above)".to_owned());
    }
    let (addresses, broken) = (count("checked")?, count("broken")?);
    if addresses == 0 { Err("redd-crawl has found no links".to_owned()) } else { Ok(Links { addresses, broken }) }
}
