//! Checks of single files: their map, their words, their attributes.

use super::finding::{Document, Finding, has_word};
use super::source::{Line, Source};

/// STYLE §1: a word, and the term to use for it. A single word is also searched in names; two words only in prose,
/// since `Builder::global_queue_interval` is Tokio's name.
const BANNED: &[(&str, &str)] = &[
    ("job", "task"),
    ("jobs", "tasks"),
    ("coroutine", "task"),
    ("coroutines", "tasks"),
    ("fiber", "task"),
    ("fibers", "tasks"),
    ("reactor", "driver"),
    ("event loop", "driver"),
    ("sysmon", "rescue"),
    ("handoff", "rescue"),
    ("global queue", "injector"),
    ("inject queue", "injector"),
    ("local queue", "run queue"),
];

/// Where a banned word is right: names and words that programs know from Tokio.
const WORD_HOLES: &[(&str, &str)] = &[("redd/src/current.rs", "reactor"), ("redd/src/runtime/builder.rs", "handoff")];

/// STYLE §1: names that say nothing.
const EMPTY_NAMES: &[&str] = &["util", "utils", "misc", "common", "manager", "helper", "helpers"];

/// Where else than in `lib.rs` a feature may be asked for.
const FEATURE_PLACES: &[(&str, &str)] = &[
    ("redd/src/macros/mod.rs", "`pin!` and `task_local!` need no `redd-macros`, the others do"),
    ("redd/src/macros/support.rs", "re-exports the parsers of `redd-macros`"),
    ("redd/src/io/mod.rs", "signposts to `fs::stdio` and `net`"),
    ("redd/src/observe/late_poll.rs", "the event of a late poll, and nothing in its place"),
    ("redd/src/runtime/diagnose.rs", "the event of a diagnosis, and nothing in its place"),
    ("redd/src/observe/spans.rs", "the spans of tasks, and nothing in their place"),
    ("redd/src/runtime/builder.rs", "the option for the spans of the program"),
    ("redd/src/group/task_group_builder.rs", "the same option of a group"),
    ("redd/src/group/mod.rs", "the module of the streams"),
    ("redd/src/observe/symbols.rs", "the names of functions, and addresses in their place"),
    ("redd/src/observe/resources.rs", "the spans of resources, and nothing in their place"),
    ("redd/src/sys/mod.rs", "the system calls of a room that is gated"),
    ("redd/src/signal/unix.rs", "what only `process` needs of it"),
];

/// Rooms that may ask for the platform.
const PLATFORM_ROOMS: &[&str] = &["driver", "net", "fs", "process", "signal", "sys"];

/// Parts of paths on one machine. In two parts, so that this file does not contain them.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/fa", "rm/"), concat!("../sha", "red")];

/// STYLE §8: names of test scaffolding, which no product file contains.
const SCAFFOLDING: &[&str] = &["has_mistake", "redd_mistakes", "explore_mistaken", "IS_MODEL", "is_model"];

/// STYLE §8: the file that picks the stand-ins for models.
const SEAM: &str = "redd/src/primitives/mod.rs";

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let is_redd = source.path.starts_with("redd/src/") || source.path.starts_with("redd/models/");
        check_map(source, &mut findings);
        check_attributes(source, &mut findings);
        check_unfinished(source, &mut findings);
        check_names(source, &mut findings);
        if source.path.starts_with("redd/src/") {
            check_scaffolding(source, &mut findings);
        }
        if is_redd {
            check_words(source, &mut findings);
            check_cfg(source, &mut findings);
        }
    }
    findings
}

/// No path of one machine, in any file.
pub(super) fn check_paths(sources: &[Source], documents: &[Document]) -> Vec<Finding> {
    let lines = sources
        .iter()
        .flat_map(|source| source.numbered().map(|(number, line)| (source.path.as_str(), number, line.text.as_str())));
    let others = documents.iter().flat_map(|document| {
        document.text.lines().enumerate().map(|(index, line)| (document.path.as_str(), index + 1, line))
    });
    let mut findings = Vec::new();
    for (path, number, line) in lines.chain(others) {
        if let Some(found) = MACHINE_PATHS.iter().find(|found| line.contains(**found)) {
            findings.push(Finding::new(
                path,
                number,
                format!("`{found}` is a path of one machine"),
                "name it relative to the repository, or leave it out",
            ));
        }
    }
    findings
}

/// STYLE §2. Programs that must not compile have no map: their line numbers are in the expected messages.
fn check_map(source: &Source, findings: &mut Vec<Finding>) {
    if source.path.contains("/tests/ui/") {
        return;
    }
    let first = source.lines.iter().find(|line| !line.text.trim().is_empty());
    if !first.is_some_and(|line| line.text.starts_with("//!")) {
        findings.push(Finding::new(
            &source.path,
            1,
            "the file does not start with a map",
            "begin with `//!`: what it is, who calls it, its invariants (STYLE 2)",
        ));
    }
}

/// STYLE §14: a lint is switched off with a reason.
fn check_attributes(source: &Source, findings: &mut Vec<Finding>) {
    for (number, line) in source.numbered() {
        for attribute in ["[allow(", "[expect("] {
            let Some(at) = line.code.find(attribute) else {
                continue;
            };
            if !line.code[..at].ends_with(['#', '!']) || attribute_text(source, number, at).contains("reason =") {
                continue;
            }
            findings.push(Finding::new(
                &source.path,
                number,
                format!("`#{attribute}…)]` without a reason"),
                "add `reason = \"…\"`, or fix what the lint found",
            ));
        }
    }
}

/// The code from column `at` of line `number` to the `]` that closes the attribute.
fn attribute_text(source: &Source, number: usize, at: usize) -> String {
    let mut text = String::new();
    let mut depth = 0_i32;
    for (index, line) in source.lines[number - 1..].iter().enumerate() {
        let code = if index == 0 { &line.code[at..] } else { &line.code };
        for mark in code.chars() {
            text.push(mark);
            match mark {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return text;
            }
        }
    }
    text
}

fn check_unfinished(source: &Source, findings: &mut Vec<Finding>) {
    for (number, line) in source.numbered() {
        let is_unfinished = line.code.contains("todo!(")
            || line.code.contains("unimplemented!(")
            || has_word(&line.comment, concat!("FIX", "ME"))
            || has_word(&line.comment, concat!("TO", "DO"));
        if is_unfinished {
            findings.push(Finding::new(
                &source.path,
                number,
                "unfinished work",
                "finish it, or leave it out and say so in an issue",
            ));
        }
        if line.code.contains("#[ignore]") {
            findings.push(Finding::new(
                &source.path,
                number,
                "a test that is never run",
                "make it fast enough to run, or write `#[ignore = \"why\"]`",
            ));
        }
    }
}

/// File and module names.
fn check_names(source: &Source, findings: &mut Vec<Finding>) {
    let name = source.path.trim_end_matches(".rs");
    if let Some(empty) = EMPTY_NAMES.iter().find(|empty| name.split('/').any(|part| part == **empty)) {
        findings.push(Finding::new(
            &source.path,
            1,
            format!("a file or folder called `{empty}`"),
            "name it after the noun that it is about (STYLE 1)",
        ));
    }
    for (number, line) in source.program() {
        let Some((_, rest)) = line.code.split_once("mod ") else {
            continue;
        };
        if let Some(empty) = EMPTY_NAMES.iter().find(|empty| rest.starts_with(**empty) && has_word(rest, empty)) {
            findings.push(Finding::new(
                &source.path,
                number,
                format!("a module called `{empty}`"),
                "name it after the noun that it is about (STYLE 1)",
            ));
        }
    }
}

/// Terms, in comments, names and messages.
fn check_words(source: &Source, findings: &mut Vec<Finding>) {
    for (number, line) in source.numbered() {
        let text = line.text.to_lowercase();
        let names = text.replace('_', " ");
        for (word, instead) in BANNED {
            let text = if word.contains(' ') { &text } else { &names };
            if has_word(text, word) && !WORD_HOLES.contains(&(source.path.as_str(), word)) {
                findings.push(Finding::new(
                    &source.path,
                    number,
                    format!("`{word}` is not redd's term"),
                    format!("say `{instead}` (STYLE 1)"),
                ));
            }
        }
    }
}

/// STYLE §8. In tests of product files too: what needs a checker stands in `redd/models`.
fn check_scaffolding(source: &Source, findings: &mut Vec<Finding>) {
    for (number, line) in source.numbered() {
        if let Some(name) = SCAFFOLDING.iter().find(|name| has_word(&line.code, name)) {
            findings.push(Finding::new(
                &source.path,
                number,
                format!("`{name}` in a product file"),
                "seed the mistake with an entry of redd/models/mistakes.txt, or put what models need into redd/models (STYLE 8)",
            ));
        }
    }
}

/// STYLE §11.
fn check_cfg(source: &Source, findings: &mut Vec<Finding>) {
    let is_lib = source.path == "redd/src/lib.rs" || FEATURE_PLACES.iter().any(|(path, _)| *path == source.path);
    for (number, line) in source.program() {
        if !is_cfg(line) {
            continue;
        }
        let code = &line.code;
        if code.contains("feature =") && !is_lib {
            findings.push(Finding::new(
                &source.path,
                number,
                "a feature is asked for outside of `lib.rs`",
                "gate a whole module in `lib.rs` (STYLE 11)",
            ));
        }
        let asks_platform = ["target_os", "target_family", "unix", "windows"].iter().any(|word| has_word(code, word));
        if asks_platform && !PLATFORM_ROOMS.contains(&source.room()) {
            findings.push(Finding::new(
                &source.path,
                number,
                "the platform is asked for outside of the rooms that know it",
                "put the difference behind a seam in `driver`, `net`, `fs`, `process`, `signal` or `sys` (STYLE 11)",
            ));
        }
        let asks_checker = has_word(code, "loom") || has_word(code, "shuttle");
        // A file of `redd/models` takes the place of the module below.
        let is_stand_in = code.contains("cfg_attr(") && line.text.contains("/models/");
        if asks_checker && (source.path == SEAM || is_stand_in) && !has_word(code, "test") {
            findings.push(Finding::new(
                &source.path,
                number,
                "`cfg(loom)` or `cfg(shuttle)` without `test`",
                "write `all(test, loom)`: the checkers are dev-dependencies, and a user may set `--cfg loom`",
            ));
        }
        if asks_checker && source.path != SEAM && !is_stand_in {
            findings.push(Finding::new(
                &source.path,
                number,
                "`cfg(loom)` outside of `primitives/mod.rs` and `redd/models`",
                "put what differs in models into a file, and let a file of redd/models take its place (STYLE 8)",
            ));
        }
        if code.contains("cfg!(") && has_word(code, "test") && !asks_checker {
            findings.push(Finding::new(
                &source.path,
                number,
                "`cfg!(test)` in a product file",
                "tests run the code that programs run (STYLE 8)",
            ));
        }
    }
}

fn is_cfg(line: &Line) -> bool {
    ["cfg(", "cfg!(", "cfg_attr("].iter().any(|cfg| line.code.contains(cfg))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&[Source::new(path, text)]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_rule_finds_its_breach_and_lets_the_rest_pass() {
        let path = "redd/src/task/cell.rs";
        for (text, what) in [
            ("use a;", "does not start with a map"),
            ("//! A.\n#[allow(dead_code)]\nfn a() {}", ":2: `#[allow(…)]` without a reason"),
            ("//! A.\n#![expect(\n    unsafe_code\n)]", ":2: `#[expect(…)]` without a reason"),
            ("//! A.\nfn a() { todo!() }", ":2: unfinished"),
            ("//! A.\n#[ignore]\nfn a() {}", "never run"),
            ("//! A.\n// The event loop of the thing.", ":2: `event loop` is not redd's term"),
            ("//! A.\nfn next_job() {}", "`job` is not redd's term"),
            ("//! A.\nmod util;", "a module called `util`"),
            ("//! A.\n#[cfg(feature = \"net\")]\nfn a() {}", "outside of `lib.rs`"),
            ("//! A.\n#[cfg(target_os = \"linux\")]\nfn a() {}", "the platform"),
            ("//! A.\n#[cfg(not(loom))]\nfn a() {}", "`cfg(loom)`"),
            ("//! A.\nfn a() { has_mistake(\"x\") }", ":2: `has_mistake` in a product file"),
            ("//! A.\nuse crate::primitives::IS_MODEL;", ":2: `IS_MODEL` in a product file"),
            ("//! A.\nconst A: u32 = if cfg!(all(test, loom)) { 2 } else { 64 };", ":2: `cfg(loom)`"),
            ("//! A.\nconst A: u32 = if cfg!(test) { 2 } else { 64 };", ":2: `cfg!(test)`"),
            (
                "//! A.\n#[cfg_attr(loom, path = \"../../models/a.rs\")]\nmod a;",
                ":2: `cfg(loom)` or `cfg(shuttle)` without `test`",
            ),
        ] {
            let found = findings(path, text);
            assert!(found.len() == 1 && found[0].contains(what), "{text}: {found:?}");
        }
        for text in ["#[cfg(loom)]\nfn a() {}", "#[cfg(not(any(loom, shuttle)))]\nfn a() {}"] {
            let found = findings(SEAM, &format!("//! A.\n{text}"));
            assert!(found.len() == 1 && found[0].contains("without `test`"), "{text}: {found:?}");
        }
        let not_loom = "//! A.\n#[cfg(not(all(test, loom)))]\nfn a() {}";
        assert_eq!(findings(SEAM, not_loom), Vec::<String>::new());
        assert!(findings("redd/src/primitives/lock.rs", not_loom)[0].contains(":2: `cfg(loom)` outside"));
        let stand_in = "//! A.\n#[cfg_attr(all(test, loom), path = \"../../models/a.rs\")]\nmod a;";
        assert_eq!(findings(path, stand_in), Vec::<String>::new());
        let good = "\n//! A.\n#![expect(unsafe_code, reason = \"x\")]\n#[cfg(all(test, loom))]\nmod models;\n// joblike\n\
                    #[ignore = \"slow\"]\nfn a() -> &'static str { \"todo\" }\n";
        assert_eq!(findings(path, good), Vec::<String>::new());
        assert_eq!(
            findings("redd/src/lib.rs", "//! A.\n#[cfg(feature = \"net\")]\npub mod net;"),
            Vec::<String>::new()
        );
        assert!(findings("redd/src/io/helper.rs", "//! A.")[0].contains("called `helper`"));
    }

    #[test]
    fn paths_of_one_machine_are_found_in_any_file() {
        let text = format!("see {}x", MACHINE_PATHS[0]);
        let document = Document { path: "README.md".to_owned(), text: format!("a\n{text}") };
        let source = Source::new("redd/src/a.rs", &format!("//! {text}"));
        assert_eq!(check_paths(&[source], &[document]).len(), 2);
    }
}
