//! Prose, in comments and pages: words that STYLE §1 replaces, long sentences, and names that the code does not have.
//!
//! Called by `tidy`. Code blocks, tables and headings are not prose; a word in back quotes is a name, not a word.

use std::collections::BTreeSet;

use super::finding::{Document, Finding, has_word};
use super::source::Source;

/// A sentence with more words fails; STYLE §1 asks for at most 25.
const SENTENCE_MAX: usize = 35;

/// STYLE §1: what it replaces, and the plain form.
const PLAIN: &[(&str, &str)] = &[
    ("whoever", "the actor: the worker, the caller, the thread"),
    ("whomever", "the actor: the worker, the caller, the thread"),
    ("somebody", "the actor: the worker, the caller, the thread"),
    ("someone", "the actor: the worker, the caller, the thread"),
    ("somebody's", "the actor: the worker's, the caller's"),
    ("someone's", "the actor: the worker's, the caller's"),
    ("foreign code", "user code"),
    ("for ever", "forever"),
    ("in vain", "if … fails"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("dear", "expensive"),
    ("dearer", "more expensive"),
    ("is no more", "is no longer"),
    ("not any more", "no longer"),
    ("function's duty", "by the safety contract"),
    ("by its duty", "by the safety contract"),
];

/// Words before `who` that name the actor.
const ACTORS: &[&str] = &[
    "user",
    "users",
    "people",
    "person",
    "reader",
    "readers",
    "caller",
    "callers",
    "program",
    "programs",
    "engineer",
    "engineers",
    "maintainer",
    "maintainers",
    "contributor",
    "contributors",
    "those",
    "developer",
    "developers",
    "team",
    "teams",
    "author",
    "authors",
    "newcomer",
    "newcomers",
    "one",
];

/// Names in back quotes that are allowed although no code has them.
const OTHER_WORDS: &[&str] = &["panic", "README", "STYLE"];

/// One paragraph or list item, with the line that it starts on.
#[derive(Debug, Default)]
struct Paragraph {
    line: usize,
    text: String,
}

/// Words and sentences, in the files that are checked.
pub(super) fn check(sources: &[Source], documents: &[Document]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| is_checked(&source.path)) {
        check_paragraphs(&source.path, &comments(source), &mut findings);
    }
    for document in documents.iter().filter(|document| document.path.ends_with(".md") && is_checked(&document.path)) {
        check_paragraphs(&document.path, &pages(&document.text), &mut findings);
    }
    findings
}

/// Files whose prose is checked.
const CHECKED: &[&str] = &[
    "redd/",
    "redd-cli/",
    "redd-macros/",
    "redd-sim-libc/",
    "tokio/",
    "compat/",
    "cookbook/",
    "crawler/",
    "demo-sim/",
    "demos/",
    "docs/",
    "CONTRIBUTING.md",
    "README.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "xtask/src/",
    "xtask-deep/src/",
    "bench/",
];

fn is_checked(path: &str) -> bool {
    CHECKED.iter().any(|checked| path.starts_with(checked))
}

fn check_paragraphs(path: &str, paragraphs: &[Paragraph], findings: &mut Vec<Finding>) {
    for paragraph in paragraphs {
        let text = without_names(&paragraph.text);
        for sentence in sentences(&text) {
            let words = sentence.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count();
            if words > SENTENCE_MAX {
                let start: Vec<&str> = sentence.split_whitespace().take(6).collect();
                findings.push(Finding::new(
                    path,
                    paragraph.line,
                    format!("a sentence of {words} words: \"{} …\"", start.join(" ")),
                    format!(
                        "split it: one idea per sentence, at most 25 words, never more than {SENTENCE_MAX} (STYLE 1)"
                    ),
                ));
            }
        }
        let lower = text.to_lowercase();
        for (word, instead) in PLAIN {
            if has_word(&lower, word) {
                findings.push(Finding::new(
                    path,
                    paragraph.line,
                    format!("`{word}` is not plain English here"),
                    format!("say {instead} (STYLE 1)"),
                ));
            }
        }
        if let Some(around) = actorless_who(&lower) {
            findings.push(Finding::new(
                path,
                paragraph.line,
                format!("`who` without an actor: \"{around}\""),
                "name the actor: the worker, the caller, the thread (STYLE 1)",
            ));
        }
    }
}

/// `who` that does not follow the noun that it refers to.
fn actorless_who(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.iter().enumerate().find_map(|(at, word)| {
        let is_who = word.trim_matches(|mark: char| !mark.is_alphanumeric()) == "who";
        let before =
            at.checked_sub(1).map_or("", |before| words[before].trim_matches(|mark: char| !mark.is_alphanumeric()));
        (is_who && !ACTORS.contains(&before)).then(|| words[at.saturating_sub(2)..words.len().min(at + 4)].join(" "))
    })
}

/// Names in back quotes become one word each, and so do links.
fn without_names(text: &str) -> String {
    let mut plain = String::new();
    for (index, piece) in text.split('`').enumerate() {
        plain.push_str(if index % 2 == 0 { piece } else { "X" });
    }
    plain
}

/// Cut at a full stop, question mark or exclamation mark before a space.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, mark) in text.char_indices() {
        let ends = matches!(mark, '.' | '?' | '!');
        let rest = &text[at + mark.len_utf8()..];
        let is_abbreviation = ["e.g", "i.e", "vs", "cf", "etc"].iter().any(|short| text[..at].ends_with(short));
        if ends && !is_abbreviation && rest.trim_start_matches([')', '"', '*', '_']).starts_with([' ', '\n']) {
            found.push(&text[start..at]);
            start = at + mark.len_utf8();
        }
    }
    found.push(&text[start..]);
    found
}

/// The comments of a file as paragraphs.
fn comments(source: &Source) -> Vec<Paragraph> {
    let lines = source.numbered().map(|(number, line)| {
        let comment = line.comment.trim_start();
        let is_own_line = line.code.trim().is_empty();
        let text = comment.strip_prefix("//").map(|text| text.trim_start_matches(['/', '!']));
        let kind = if comment.starts_with("//!") { 2 } else { u8::from(comment.starts_with("///")) };
        (number, text.map(|text| (text.strip_prefix(' ').unwrap_or(text), kind, is_own_line)))
    });
    let mut paragraphs = Collector::default();
    let mut before = None;
    for (number, comment) in lines {
        match comment {
            Some((text, kind, is_own_line)) => {
                if before != Some(kind) || !is_own_line {
                    paragraphs.end();
                }
                paragraphs.line(number, text);
                before = Some(kind);
                if !is_own_line {
                    paragraphs.end();
                }
            }
            None => {
                paragraphs.end();
                paragraphs.is_in_block = false;
                before = None;
            }
        }
    }
    paragraphs.end();
    paragraphs.found
}

fn pages(text: &str) -> Vec<Paragraph> {
    let mut paragraphs = Collector::default();
    text.lines().enumerate().for_each(|(index, line)| paragraphs.line(index + 1, line));
    paragraphs.end();
    paragraphs.found
}

/// Joins lines to paragraphs.
#[derive(Default)]
struct Collector {
    found: Vec<Paragraph>,
    current: Paragraph,
    is_in_block: bool,
}

impl Collector {
    fn end(&mut self) {
        let paragraph = std::mem::take(&mut self.current);
        if !paragraph.text.is_empty() {
            self.found.push(paragraph);
        }
    }

    fn line(&mut self, number: usize, text: &str) {
        let trimmed = text.trim();
        if trimmed.starts_with("```") {
            self.end();
            self.is_in_block = !self.is_in_block;
            return;
        }
        let is_picture = text.starts_with("    ") && self.current.text.is_empty();
        if self.is_in_block || is_picture || trimmed.is_empty() || trimmed.starts_with(['#', '|', '<']) {
            self.end();
            return;
        }
        let is_item = trimmed.starts_with("- ")
            || trimmed.starts_with("* ")
            || trimmed.split_once(". ").is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
        if is_item {
            self.end();
        }
        if self.current.text.is_empty() {
            self.current.line = number;
        } else {
            self.current.text.push(' ');
        }
        self.current.text.push_str(trimmed);
    }
}

/// Pages that describe the code: what they name in back quotes is in it.
fn describes_code(path: &str) -> bool {
    path == "ARCHITECTURE.md"
        || path.ends_with("PARKING.md")
        || path.starts_with("docs/decisions/")
        || path.starts_with("docs/internals/")
        || ["docs/guide/tuning.md", "docs/guide/how-it-works.md"].contains(&path)
}

/// STYLE §1: a name that is quoted exists.
pub(super) fn check_names(sources: &[Source], documents: &[Document]) -> Vec<Finding> {
    let mut known: BTreeSet<&str> = OTHER_WORDS.iter().copied().collect();
    for source in sources {
        for line in &source.lines {
            known.extend(words(&line.code));
            // Names in strings, such as events, environment variables and targets of lanes.
            known.extend(line.text.split('"').skip(1).step_by(2).flat_map(words));
        }
        known.extend(source.path.split(['/', '.']));
    }
    for document in documents.iter().filter(|document| !document.path.ends_with(".md")) {
        known.extend(words(&document.text));
        known.extend(document.path.split(['/', '.']));
    }
    let mut findings = Vec::new();
    let mut check = |path: &str, number: usize, text: &str| {
        for name in text.split('`').skip(1).step_by(2).filter(|name| is_code_name(name)) {
            let missing = words(name).find(|word| !known.contains(word) && !is_std(word));
            if let Some(missing) = missing {
                findings.push(Finding::new(
                    path,
                    number,
                    format!("`{name}` is quoted, and no code has `{missing}`"),
                    "write the name that the code has, or leave it out (STYLE 1)",
                ));
            }
        }
    };
    for source in sources.iter().filter(|source| source.path.contains("src/")) {
        let maps = source.numbered().filter(|(_, line)| line.comment.starts_with("//!"));
        maps.for_each(|(number, line)| check(&source.path, number, &line.comment));
    }
    for document in documents.iter().filter(|document| describes_code(&document.path)) {
        let mut is_in_block = false;
        for (index, line) in document.text.lines().enumerate() {
            is_in_block ^= line.trim_start().starts_with("```");
            if !is_in_block {
                check(&document.path, index + 1, line);
            }
        }
    }
    findings
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|mark: char| !(mark.is_alphanumeric() || mark == '_')).filter(|word| !word.is_empty())
}

/// A path or an identifier of Rust: one with `_`, `::`, `()` or a capital inside. Words of other languages, invariants and
/// commands have spaces or hyphens.
fn is_code_name(name: &str) -> bool {
    let is_plain = name.chars().all(|mark| mark.is_alphanumeric() || matches!(mark, '_' | ':' | '(' | ')' | '!' | '.'));
    let has_mark = name.contains('_') || name.contains("::") || name.contains("()");
    is_plain
        && !name.is_empty()
        && (has_mark || name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase))
}

/// Names of std, of the system and of numbers, which our code need not use.
fn is_std(word: &str) -> bool {
    word.starts_with(|mark: char| mark.is_ascii_digit())
        || ["std", "core", "alloc", "libc", "tokio", "loom", "shuttle", "miri"].contains(&word)
        || word.starts_with("E") && word.len() > 3 && word.chars().all(|mark| mark.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let sources = [Source::new("redd/src/a.rs", text)];
        let findings = [check(&sources, &[]), check_names(&sources, &[])].concat();
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let long = format!("//! A {}.", "word ".repeat(SENTENCE_MAX));
        for (text, what) in [
            (long.as_str(), "a sentence of 36 words"),
            ("//! A.\n// Wakes whoever waits.", "`whoever` is not plain"),
            ("//! A.\nfn a() {} // it waits in vain", "`in vain` is not plain"),
            ("//! A.\n/// Taken by one\n/// of those, and who leaves is counted.\nfn a() {}", "`who` without an actor"),
            ("//! A. See `Gone::gone`.", "no code has `Gone`"),
        ] {
            let found = findings(text);
            assert!(found.len() == 1 && found[0].contains(what), "{text}: {found:?}");
        }
    }

    #[test]
    fn code_tables_names_and_short_sentences_pass() {
        let half = "word ".repeat(SENTENCE_MAX / 2);
        let text = format!(
            "//! A {half}. {half}.\n//!\n//! | {} |\n//! ```\n//! {}\n//! ```\n//! - {half}\n//! - {half}\n\
             // The user who waits; `whoever` is a name.\n/// `run_it` of `EINVAL`.\nfn run_it() {{ \"whoever\" }}\n",
            "word ".repeat(40),
            "word ".repeat(40),
        );
        assert_eq!(findings(&text), Vec::<String>::new());
    }

    #[test]
    fn comments_of_tests_examples_and_compat_are_checked() {
        for path in
            ["redd/tests/a.rs", "redd/examples/a.rs", "redd-macros/tests/a.rs", "tokio/tests/a.rs", "compat/a/src/a.rs"]
        {
            assert_eq!(check(&[Source::new(path, "//! Wakes whoever waits.\n")], &[]).len(), 1, "{path}");
        }
    }

    #[test]
    fn pages_are_read_as_comments_are() {
        let page = |path: &str, text: &str| {
            let documents = [Document { path: path.to_owned(), text: text.to_owned() }];
            check(&[], &documents).len() + check_names(&[], &documents).len()
        };
        assert_eq!(page("docs/guide/a.md", "It waits\nfor ever.\n\n```text\nfor ever\n```\n"), 1);
        assert_eq!(page("docs/decisions/0001-a.md", "`no_such_thing` and `No`."), 2);
        assert_eq!(page("STYLE.md", "for ever"), 0);
    }
}
