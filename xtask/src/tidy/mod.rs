//! The rules of STYLE.md that a machine can check. Each finding says where, what, and how to fix it.
//!
//! | rule | file |
//! |---|---|
//! | every file starts with a map; terms; reasons of lints; unfinished work; places of features and `cfg` | `text` |
//! | invariants and fences have names | `names` |
//! | walls between rooms; the only room with atomics, threads and system calls; the list of unsafe files | `walls` |
//! | the import graph of files has no cycle | `graph` |
//! | plain English, short sentences, and names that exist | `prose` |
//! | public functions can be found, and public items have examples | `public_items` |
//! | sizes of functions and files | `size` |
//! | the README's numbers are the measured ones | `numbers` |
//!
//! Called by `cargo xtask tidy` and `cargo xtask ci`.

mod finding;
mod graph;
mod names;
mod numbers;
mod prose;
mod public_items;
mod size;
mod source;
mod text;
mod walls;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub(crate) use finding::{Document, Finding};
use source::Source;

/// Checks the repository at `root`; findings are sorted by file and line.
pub(crate) fn check(root: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut sources, documents) = read(root, &mut findings);
    if sources.is_empty() {
        findings.push(Finding::new(".", 0, "no Rust files were found", "run it in the repository: `cargo xtask tidy`"));
    }
    findings.extend(text::check_paths(&sources, &documents));
    findings.extend(prose::check(&sources, &documents));
    findings.extend(numbers::check(&documents));
    sources.retain(is_of_the_workspace);
    findings.extend(text::check(&sources));
    findings.extend(names::check(&sources, &documents));
    findings.extend(graph::check(&sources));
    findings.extend(size::check(&sources));
    findings.extend(prose::check_names(&sources, &documents));
    findings.extend(public_items::check(&sources, &documents));
    findings.extend(walls::check(&sources));
    findings.extend(walls::check_unsafe_list(&sources, &read_list(root, walls::UNSAFE_LIST)));
    findings.sort();
    findings
}

/// `bench` and `compat` are workspaces of their own; much of their code follows other projects' examples.
fn is_of_the_workspace(source: &Source) -> bool {
    !source.path.starts_with("bench/") && !source.path.starts_with("compat/")
}

/// Renews the committed lists, and the README's numbers.
pub(crate) fn write_lists(root: &Path) -> bool {
    let (mut sources, documents) = read(root, &mut Vec::new());
    sources.retain(is_of_the_workspace);
    let head = "# Files with unsafe code, compared by `cargo xtask tidy`; renewed by `cargo xtask tidy --write`.\n";
    let list = walls::unsafe_files(&sources).join("\n");
    let write = |path: &str, text: Result<String, String>| {
        let done = text.and_then(|text| fs::write(root.join(path), text).map_err(|error| error.to_string()));
        done.inspect_err(|error| eprintln!("cannot write {path}: {error}")).is_ok()
    };
    let lists = write(walls::UNSAFE_LIST, Ok(format!("{head}{list}\n")));
    write(numbers::README, numbers::written(&documents)) && lists
}

/// A committed list: one entry a line, `#` starts a comment.
pub(crate) fn read_list(root: &Path, path: &str) -> Vec<String> {
    let text = fs::read_to_string(root.join(path)).unwrap_or_default();
    text.lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// Every Rust file, and every other text, of the repository.
fn read(root: &Path, findings: &mut Vec<Finding>) -> (Vec<Source>, Vec<Document>) {
    let (mut sources, mut documents) = (Vec::new(), Vec::new());
    read_folder(root, "", &mut sources, &mut documents, findings);
    let for_tests: BTreeSet<String> = sources.iter().flat_map(Source::test_files).collect();
    for source in sources.iter_mut().filter(|source| for_tests.contains(&source.path)) {
        source.mark_as_test();
    }
    (sources, documents)
}

fn read_folder(
    root: &Path,
    folder: &str,
    sources: &mut Vec<Source>,
    documents: &mut Vec<Document>,
    findings: &mut Vec<Finding>,
) {
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        Err(error) => {
            findings.push(Finding::new(folder, 0, format!("cannot be read: {error}"), "check its permissions"));
            return;
        }
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.path().is_dir() {
            if name != "target" && (!name.starts_with('.') || name == ".cargo" || name == ".ci") {
                read_folder(root, &path, sources, documents, findings);
            }
            continue;
        }
        // Files that are not UTF-8 are not checked.
        let Ok(text) = fs::read_to_string(entry.path()) else {
            continue;
        };
        if name.ends_with(".rs") {
            sources.push(Source::new(&path, &text));
        } else if !name.starts_with("LICENSE") && name != "Cargo.lock" && name != ".git" {
            documents.push(Document { path, text });
        }
    }
}
