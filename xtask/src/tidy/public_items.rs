//! Public items of redd: each function can be found with grep, and each type and free function has an example.
//!
//! Called by `tidy`. The lint `unreachable_pub` keeps `pub` for what users can name, so `pub` is enough to go by.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Document, Finding, has_word};
use super::source::{Line, Source};
use crate::plural;

/// What these searches in `redd/src` find, they find in exactly one place.
const FOUND_ONCE: &[&str] = &["fn worker_threads", "impl AsyncRead for TcpStream"];

/// Traits of I/O: the record says which types have them, and `impl TRAIT for TYPE` is in the source.
const IO_TRAITS: &[&str] = &["AsyncRead", "AsyncWrite", "AsyncBufRead", "AsyncSeek"];

/// Items without an example, and why.
const WITHOUT_EXAMPLE: &[(&str, &str)] = &[
    ("assert_active", "it compiles only in a program whose dependency `tokio` is the facade; the guide shows it"),
    ("try_spawn_blocking", "an example would have to exhaust the threads of the machine; `spawn_blocking` has one"),
];

/// Files of modules that are hidden from the documentation, and why they are public.
const HIDDEN: &[(&str, &str)] = &[
    ("redd/src/macros/support.rs", "the expansions of macros call it"),
    ("redd/src/io/operation.rs", "the signatures of the extension traits name it"),
];

/// How many examples the crate has at least; `cargo test --doc` runs them.
const EXAMPLES_MIN: usize = 500;

/// Files with an example that is compiled and not run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("redd/src/lib.rs", "a server runs until it is stopped"),
    ("redd/src/net/mod.rs", "servers run until they are stopped"),
    ("redd/src/net/unix/pipe.rs", "it needs a named pipe with a process at its other end"),
    ("redd/src/io/stdio.rs", "it reads the standard input of the test"),
];

/// Checks `redd/src` against itself and the `record` of Tokio's API.
pub(super) fn check(sources: &[Source], documents: &[Document]) -> Vec<Finding> {
    let redd: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with("redd/src/")).collect();
    let mut findings = check_macros(&redd);
    for document in documents.iter().filter(|document| document.path == crate::tracked::RECORD) {
        let implementing = sources
            .iter()
            .filter(|source| source.path.starts_with("redd/src/") || source.path.starts_with("redd-macros/src/"));
        findings.extend(check_record(&implementing.collect::<Vec<_>>(), &document.text));
        findings.extend(check_found_once(&redd));
        findings.extend(check_example_count(&redd));
    }
    findings.extend(check_examples(&redd));
    findings
}

/// STYLE §9: no macro names a public function, and one that writes out public functions is used in its own file only.
fn check_macros(redd: &[&Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in redd {
        let mut current: Option<(String, bool)> = None;
        for (number, line) in source.program() {
            let code = line.code.trim_start();
            if let Some((_, name)) = line.code.split_once("macro_rules! ") {
                let name = name.trim_end_matches([' ', '{', '(']).to_owned();
                let is_elsewhere = redd.iter().any(|other| {
                    other.path != source.path
                        && other.program().any(|(_, line)| line.code.contains(&format!("{name}!")))
                });
                current = Some((name, is_elsewhere));
            } else if line.code.starts_with('}') {
                current = None;
            }
            let Some((name, is_elsewhere)) = &current else { continue };
            // A pattern such as `$vis:vis fn $name:ident` makes the caller write `pub fn name`, which grep finds.
            let is_pattern = code.contains("fn $") && code.contains(":ident");
            let is_public = code.split_whitespace().any(|word| word == "pub" || word == "$vis") && has_word(code, "fn");
            if !is_public || is_pattern {
                continue;
            }
            let takes_a_name =
                code.contains("fn $") && !source.program().any(|(_, line)| line.code.contains("fn $name:ident"));
            if takes_a_name {
                findings.push(Finding::new(
                    &source.path,
                    number,
                    format!("`{name}!` names a public function, so no search finds it"),
                    "write the function out (STYLE 9)",
                ));
            } else if *is_elsewhere && !code.contains("fn $") {
                findings.push(Finding::new(
                    &source.path,
                    number,
                    format!("`{name}!` defines public functions in other files"),
                    "write them out where they are: a macro repeats a shape in one file only (STYLE 9)",
                ));
            }
        }
    }
    findings
}

/// Each function of the record is in the source as `fn name`, in a file that has the type; and so is each trait of I/O.
fn check_record(sources: &[&Source], record: &str) -> Vec<Finding> {
    let mut places: BTreeMap<String, Vec<&Source>> = BTreeMap::new();
    let mut subjects: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut implemented = BTreeSet::new();
    for source in sources {
        for (_, line) in source.program() {
            if let Some((_, rest)) = split_at_word(&line.code, "fn") {
                places.entry(first_word(rest).to_owned()).or_default().push(source);
            }
            if let Some((_, rest)) = split_at_word(&line.code, "impl").or_else(|| split_at_word(&line.code, "trait")) {
                subjects.entry(&source.path).or_default().extend(words(rest).map(str::to_owned));
            }
            if let Some((head, of)) = line.code.split_once(" for ").filter(|(head, _)| has_word(head, "impl")) {
                let of = of.trim_start_matches("&mut ").trim_start_matches('&');
                implemented.extend(words(head).last().map(|name| (name.to_owned(), last_of_path(of).to_owned())));
            }
        }
    }
    let mut findings = Vec::new();
    let mut lost = |path: &str, searched: String| {
        findings.push(Finding::new(
            crate::tracked::RECORD,
            0,
            format!("`{path}` is public, and `grep '{searched}' redd/src` does not find it"),
            "write it out in the source (STYLE 9)",
        ));
    };
    for line in record.lines().filter(|line| !line.starts_with(['#', 'i'])) {
        let Some((path, what)) = line.trim_start_matches("unstable ").split_once(" = ") else { continue };
        if let Some(path) = path.strip_suffix(": traits") {
            let name = last_of_path(path);
            for one in IO_TRAITS.iter().filter(|one| what.split("; ").any(|what| what == **one)) {
                if !implemented.contains(&((*one).to_owned(), name.to_owned())) {
                    lost(path, format!("impl {one} for {name}"));
                }
            }
        } else if has_word(what, "fn") && !path.contains(": ") {
            let (parent, name) = path.rsplit_once("::").unwrap_or(("", path));
            let parent = last_of_path(parent);
            let is_type = parent.starts_with(char::is_uppercase);
            let is_found = places.get(name).is_some_and(|files| {
                files.iter().any(|file| {
                    !is_type || subjects.get(file.path.as_str()).is_some_and(|words| words.contains(parent))
                })
            });
            if !is_found {
                lost(path, format!("fn {name}"));
            }
        }
    }
    findings
}

fn check_found_once(redd: &[&Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for searched in FOUND_ONCE {
        let lines = redd.iter().flat_map(|source| source.numbered().map(move |(number, line)| (source, number, line)));
        let found: Vec<_> = lines.filter(|(_, _, line)| line.text.contains(searched)).collect();
        if found.len() != 1 {
            let (path, number) = found.get(1).map_or(("redd/src", 0), |(source, number, _)| (&source.path, *number));
            findings.push(Finding::new(
                path,
                number,
                format!("`grep -rn '{searched}' redd/src` finds {}", plural::count(found.len(), "place")),
                "write the item out once, under its name (STYLE 9)",
            ));
        }
    }
    findings
}

/// A public item and its documentation.
#[derive(Debug)]
struct Item<'a> {
    path: &'a str,
    line: usize,
    name: String,
    has_example: bool,
    is_hidden: bool,
}

/// What a file has: its free functions and exported macros, its types, and of each owner of public methods whether one of
/// them has an example.
#[derive(Debug, Default)]
struct Items<'a> {
    functions: Vec<Item<'a>>,
    types: Vec<Item<'a>>,
    methods: BTreeMap<(&'a str, String), bool>,
}

/// STYLE §11: every free function and every type or trait with methods has an example, at the item or at a method.
fn check_examples(redd: &[&Source]) -> Vec<Finding> {
    let mut items = Items::default();
    for source in redd.iter().filter(|source| !HIDDEN.iter().any(|(path, _)| *path == source.path)) {
        collect(source, &mut items);
    }
    let Items { functions, types, methods } = items;
    let lacks = |item: &&Item<'_>| {
        !item.has_example && !item.is_hidden && !WITHOUT_EXAMPLE.iter().any(|(name, _)| *name == item.name)
    };
    let mut findings = Vec::new();
    for item in functions.iter().filter(lacks) {
        findings.push(Finding::new(
            item.path,
            item.line,
            format!("`{}` has no example", item.name),
            "add `# Examples` with a block that ends in an `assert!` (STYLE 11)",
        ));
    }
    for item in types.iter().filter(lacks) {
        let room = item.path.rsplit_once('/').map_or("", |(room, _)| room);
        let own = methods.get(&(item.path, item.name.clone())).copied();
        let in_room = || {
            let same = methods.iter().filter(|((path, name), _)| *name == item.name && path.starts_with(room));
            same.map(|(_, has_example)| *has_example).reduce(|one, other| one | other)
        };
        if own.or_else(in_room) == Some(false) {
            findings.push(Finding::new(
                item.path,
                item.line,
                format!("`{}` has methods, and no example", item.name),
                "add `# Examples` with a block that ends in an `assert!`, at the type or at a method (STYLE 11)",
            ));
        }
    }
    findings
}

fn collect<'a>(source: &'a Source, items: &mut Items<'a>) {
    let mut subject = None;
    let mut is_trait = false;
    for (number, line) in source.program() {
        let code = line.code.as_str();
        if code.starts_with(char::is_alphabetic) && !code.starts_with("where") {
            is_trait = code.starts_with("pub trait ");
            subject = subject_of(code);
        }
        let trimmed = code.trim_start();
        let starts = |starts: &[&str]| starts.iter().find_map(|start| trimmed.strip_prefix(start));
        let item = |rest: &str| item(source, number, first_word(rest));
        let function = starts(&["pub fn ", "pub async fn ", "pub const fn ", "pub unsafe fn "]);
        if let Some(rest) = starts(&["pub struct ", "pub enum ", "pub trait ", "pub union "]) {
            items.types.push(item(rest));
        } else if let Some(rest) = function.or_else(|| starts(&["fn "]).filter(|_| is_trait)) {
            let function = item(rest);
            match &subject {
                None => items.functions.push(function),
                Some((owner, false)) if !function.is_hidden => {
                    *items.methods.entry((&source.path, owner.clone())).or_default() |= function.has_example;
                }
                Some(_) => {}
            }
        } else if let Some(rest) = starts(&["macro_rules! "]).filter(|_| is_exported(source, number)) {
            items.functions.push(item(rest));
        }
    }
}

/// What a line that begins an item in the first column opens: the name of an `impl` or trait, and whether the functions
/// in it are those of a trait.
fn subject_of(code: &str) -> Option<(String, bool)> {
    if let Some(rest) = code.strip_prefix("pub trait ") {
        return Some((first_word(rest).to_owned(), false));
    }
    let rest = code.strip_prefix("unsafe ").unwrap_or(code).strip_prefix("impl")?;
    let rest = if rest.starts_with('<') { &rest[end_of_generics(rest)..] } else { rest };
    Some((last_of_path(rest.trim_start()).to_owned(), rest.contains(" for ")))
}

/// Behind the `>` that closes the `<` at the start.
fn end_of_generics(text: &str) -> usize {
    let mut depth = 0_i32;
    let mut before = ' ';
    for (at, mark) in text.char_indices() {
        match mark {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
        before = mark;
    }
    text.len()
}

/// The lines above an item that belong to it: documentation and attributes, the last one first.
fn above(source: &Source, number: usize) -> impl Iterator<Item = &Line> {
    let lines = source.lines[..number - 1].iter().rev();
    lines.take_while(|line| {
        let code = line.code.trim();
        line.comment.starts_with("///") || code.starts_with("#[") || code.ends_with(")]") || code.ends_with(',')
    })
}

fn item<'a>(source: &'a Source, number: usize, name: &str) -> Item<'a> {
    Item {
        path: &source.path,
        line: number,
        name: name.to_owned(),
        has_example: above(source, number).any(|line| line.comment.trim_start().starts_with("/// ```")),
        is_hidden: above(source, number).any(|line| line.code.contains("doc(hidden)")),
    }
}

fn is_exported(source: &Source, number: usize) -> bool {
    above(source, number).any(|line| line.code.contains("macro_export"))
}

/// Enough examples, each one run.
fn check_example_count(redd: &[&Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut count = 0;
    for source in redd {
        let mut is_inside = false;
        for (number, line) in source.program() {
            let Some(fence) = line.comment.trim_start_matches(['/', '!', ' ']).strip_prefix("```") else { continue };
            is_inside = !is_inside;
            if !is_inside || fence == "text" {
                continue;
            }
            count += 1;
            let is_run = !["ignore", "no_run"].iter().any(|word| has_word(fence, word));
            if !is_run && !NOT_RUN.iter().any(|(path, _)| *path == source.path) {
                findings.push(Finding::new(
                    &source.path,
                    number,
                    format!("an example that is not run: `{fence}`"),
                    "make it run, or give the reason in `NOT_RUN` (STYLE 11)",
                ));
            }
        }
    }
    if count < EXAMPLES_MIN {
        findings.push(Finding::new(
            "redd/src/lib.rs",
            0,
            format!("the crate has {}", plural::count(count, "example")),
            format!("it has at least {EXAMPLES_MIN}: give new items examples (STYLE 11)"),
        ));
    }
    findings
}

/// Before and behind `word`, which stands alone.
fn split_at_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let is_inside = |mark: char| mark.is_alphanumeric() || mark == '_';
    let at = text
        .match_indices(word)
        .map(|(at, _)| at)
        .find(|at| !text[..*at].ends_with(is_inside) && !text[at + word.len()..].starts_with(is_inside))?;
    Some((&text[..at], text[at + word.len()..].trim_start()))
}

fn first_word(text: &str) -> &str {
    words(text).next().unwrap_or_default()
}

/// `TcpStream` of `super::TcpStream<'_> {`.
fn last_of_path(text: &str) -> &str {
    let path = text.split(['<', ' ', '(', '{']).next().unwrap_or(text);
    path.rsplit("::").next().unwrap_or(path)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|mark: char| !(mark.is_alphanumeric() || mark == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings about one file of a room.
    fn findings(text: &str) -> Vec<String> {
        check(&[Source::new("redd/src/net/a.rs", text)], &[]).iter().map(ToString::to_string).collect()
    }

    const EXAMPLE: &str = "/// It.\n///\n/// ```\n/// assert!(true);\n/// ```\n";

    #[test]
    fn functions_and_types_need_an_example() {
        for (text, what) in [
            ("/// It.\npub fn a() {}", ":2: `a` has no example"),
            ("/// It.\n#[must_use]\npub async fn a() {}", ":3: `a` has no example"),
            (
                "pub struct A;\nimpl<T: Fn() -> u8> A<T>\nwhere\n    T: Copy,\n{\n    pub fn a() {}\n}",
                ":1: `A` has methods",
            ),
            ("pub trait A {\n    fn a(&self);\n}", ":1: `A` has methods"),
            ("#[macro_export]\nmacro_rules! a {\n    () => {};\n}", ":2: `a` has no example"),
        ] {
            let found = findings(text);
            assert!(found.len() == 1 && found[0].contains(what), "{text}: {found:?}");
        }
        for text in [
            format!("{EXAMPLE}#[must_use]\npub fn a() {{}}"),
            format!("{EXAMPLE}pub struct A;\nimpl A {{\n    pub fn a() {{}}\n}}"),
            format!("pub struct A;\nimpl A {{\n{EXAMPLE}    pub fn a() {{}}\n    pub fn b() {{}}\n}}"),
            "pub struct A;\nimpl A {\n    fn a() {}\n}\nimpl Clone for A {\n    fn clone(&self) {}\n}".to_owned(),
            "/// It.\n#[doc(hidden)]\npub fn a() {}\nfn b() {}\npub(crate) fn c() {}".to_owned(),
        ] {
            assert_eq!(findings(&text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_macro_names_no_public_function() {
        let by_name = "macro_rules! make {\n    ($it:ident) => {\n        pub fn $it() {}\n    };\n}";
        let found = check_macros(&[&Source::new("redd/src/a.rs", by_name)]);
        assert!(found.len() == 1 && found[0].to_string().contains(":3: `make!` names a public function"), "{found:?}");

        let shape = Source::new("redd/src/a.rs", "macro_rules! make {\n    () => {\n        pub fn it() {}\n    };\n}");
        let user = Source::new("redd/src/b.rs", "make!();");
        assert_eq!(check_macros(&[&shape]), []);
        let found = check_macros(&[&shape, &user]);
        assert!(found.len() == 1 && found[0].to_string().contains("in other files"), "{found:?}");

        let pattern =
            "macro_rules! make {\n    ($vis:vis fn $name:ident()) => {\n        $vis fn $name() {}\n    };\n}";
        assert_eq!(check_macros(&[&Source::new("redd/src/a.rs", pattern)]), []);
    }

    #[test]
    fn what_the_record_has_is_in_the_source() {
        let record = "# A comment\n\
                      tokio::net::TcpStream = struct\n\
                      tokio::net::TcpStream: traits = AsyncRead; Send\n\
                      tokio::net::TcpStream::nodelay = fn(self: &TcpStream) -> Result<bool>\n\
                      unstable tokio::task::spawn = fn<#0>(#0) -> JoinHandle<#0::Output>\n";
        let read = "impl AsyncRead for TcpStream {\n}\n";
        let stream =
            Source::new("redd/src/net/a.rs", &format!("{read}impl TcpStream {{\n    pub fn nodelay(&self) {{}}\n}}"));
        let spawn = Source::new("redd/src/task/a.rs", "pub fn spawn<F>(f: F) {}");
        assert_eq!(check_record(&[&stream, &spawn], record), []);

        // The name alone is not enough: the file has to have the type.
        let elsewhere = Source::new("redd/src/net/b.rs", "impl Other {\n    fn nodelay(&self) {}\n}");
        let found = check_record(&[&elsewhere, &Source::new("redd/src/net/a.rs", "// fn spawn")], record);
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        for what in ["impl AsyncRead for TcpStream", "fn nodelay", "fn spawn"] {
            assert!(found.iter().any(|found| found.contains(what)), "{what}: {found:?}");
        }
    }

    #[test]
    fn a_search_finds_one_place() {
        let both = format!("{}\n{}", FOUND_ONCE[0], FOUND_ONCE[1]);
        let one = Source::new("redd/src/a.rs", &both);
        assert_eq!(check_found_once(&[&one]), []);
        assert_eq!(check_found_once(&[]).len(), FOUND_ONCE.len());
        let again = Source::new("redd/src/b.rs", &format!("// {}", FOUND_ONCE[1]));
        let found = check_found_once(&[&one, &again]);
        assert!(found.len() == 1 && found[0].to_string().starts_with("redd/src/b.rs:1: "), "{found:?}");
    }

    #[test]
    fn examples_are_counted_and_run() {
        let enough = EXAMPLE.repeat(EXAMPLES_MIN);
        assert_eq!(check_example_count(&[&Source::new("redd/src/a.rs", &enough)]), []);
        let one_less = EXAMPLE.repeat(EXAMPLES_MIN - 1);
        let texts = "/// ```text\n/// no example\n/// ```\n";
        let found = check_example_count(&[&Source::new("redd/src/a.rs", &format!("{one_less}{texts}"))]);
        assert!(found.len() == 1 && found[0].to_string().contains("the crate has 499 examples"), "{found:?}");
        let found = check_example_count(&[&Source::new("redd/src/a.rs", &format!("{enough}/// ```no_run\n/// ```"))]);
        assert!(found.len() == 1 && found[0].to_string().contains("not run"), "{found:?}");
    }
}
