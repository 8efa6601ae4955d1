//! Invariants and fences have names: each name that is cited is defined, each that is defined is cited, and a fence
//! has exactly one partner.
//!
//! A definition is an entry ``- `name`: …`` under `# Invariants` in a module's map, or in a page beside the code.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Document, Finding};
use super::source::Source;

/// Names in backquotes and with a hyphen that are no invariants. Names of dependencies are added to them.
const OTHER_NAMES: &[&str] = &["multi-thread", "current-thread", "x86-64"];

/// How many lines of code may stand between a fence and the comment that names it.
const FENCE_COMMENT_LINES: usize = 6;

/// A name and where it stands.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    name: String,
    path: String,
    line: usize,
}

pub(super) fn check(sources: &[Source], documents: &[Document]) -> Vec<Finding> {
    let is_checked = |source: &&Source| source.path.contains("src/") || source.path.starts_with("redd/models/");
    let sources: Vec<&Source> = sources.iter().filter(is_checked).collect();
    let mut defined: Vec<Named> = sources.iter().flat_map(|source| defined_in(source)).collect();
    for document in documents.iter().filter(|document| document.path.starts_with("redd/src/")) {
        let lines = document.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        defined.extend(entries(&document.path, lines));
    }
    let fences = fences(&sources);
    let mut findings = check_fences(&fences);
    findings.extend(check_cited(&sources, &defined, documents));
    findings.extend(check_defined(&sources, &defined, &fences, documents));
    findings
}

fn defined_in(source: &Source) -> Vec<Named> {
    let lines = source.numbered().filter_map(|(number, line)| {
        let text = line.text.trim_start();
        Some((number, text.strip_prefix("//! ").or_else(|| text.strip_prefix("/// "))?))
    });
    entries(&source.path, lines)
}

/// The entries under `# Invariants`.
fn entries<'a>(path: &str, lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Named> {
    let mut named = Vec::new();
    let mut is_inside = false;
    for (line, text) in lines {
        if let Some(heading) = text.trim_start_matches('#').strip_prefix(' ').filter(|_| text.starts_with('#')) {
            is_inside = heading.trim() == "Invariants";
        } else if is_inside {
            // Several names may share an entry: - `a`, `b`: …
            let Some(entry) = text.strip_prefix("- `") else {
                continue;
            };
            let head = entry.split(": ").next().unwrap_or(entry);
            let names = format!("`{head}");
            named.extend(names.split('`').skip(1).step_by(2).filter(|name| is_name(name)).map(|name| Named {
                name: name.to_owned(),
                path: path.to_owned(),
                line,
            }));
        }
    }
    named
}

/// Lower-case words with hyphens between them, or one such word.
fn is_name(text: &str) -> bool {
    text.starts_with(|mark: char| mark.is_ascii_lowercase())
        && text.chars().all(|mark| mark.is_ascii_lowercase() || mark.is_ascii_digit() || mark == '-')
        && !text.ends_with('-')
}

/// Names in backquotes in the comments between the lines of code.
fn cited_in(source: &Source) -> impl Iterator<Item = Named> + '_ {
    source.numbered().flat_map(move |(line, parts)| {
        let comment = if is_doc(&parts.comment) { "" } else { parts.comment.as_str() };
        comment
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| is_name(name) && name.contains('-'))
            .map(move |name| Named { name: name.to_owned(), path: source.path.clone(), line })
            .collect::<Vec<_>>()
    })
}

fn is_doc(comment: &str) -> bool {
    comment.starts_with("//!") || comment.starts_with("///") && !comment.starts_with("////")
}

fn check_cited(sources: &[&Source], defined: &[Named], documents: &[Document]) -> Vec<Finding> {
    let mut known: BTreeSet<String> = OTHER_NAMES.iter().map(|name| (*name).to_owned()).collect();
    known.extend(defined.iter().map(|named| named.name.clone()));
    // Crates: whatever a manifest names at the start of a line.
    for document in documents.iter().filter(|document| document.path.ends_with("Cargo.toml")) {
        known.extend(document.text.lines().filter_map(|line| {
            let name = line.split([' ', '.']).next()?;
            is_name(name).then(|| name.to_owned())
        }));
        known.extend(document.text.lines().filter_map(|line| {
            let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
            Some(name.to_owned())
        }));
    }
    let fences: BTreeSet<String> =
        sources.iter().flat_map(|source| fence_names(source)).map(|(_, name)| name).collect();
    sources
        .iter()
        .flat_map(|source| cited_in(source))
        .filter(|cited| !known.contains(&cited.name) && !fences.contains(&cited.name))
        .map(|cited| {
            Finding::new(
                &cited.path,
                cited.line,
                format!("the invariant `{}` is cited but nowhere defined", cited.name),
                format!("write ``- `{}`: …`` under `# Invariants` in a module's map, or fix the name", cited.name),
            )
        })
        .collect()
}

/// Every definition is cited somewhere in its room, in a comment or a message.
fn check_defined(
    sources: &[&Source],
    defined: &[Named],
    fences: &BTreeMap<String, Vec<(String, usize)>>,
    documents: &[Document],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for named in defined {
        let room = named.path.rsplit_once('/').map_or("", |(room, _)| room);
        let quoted = format!("`{}`", named.name);
        let is_cited = sources.iter().filter(|source| source.path.starts_with(room)).any(|source| {
            source.numbered().any(|(line, parts)| {
                parts.text.contains(&quoted)
                    && !(source.path == named.path && line == named.line)
                    && !parts.text.trim_start().starts_with("//!")
            })
        });
        if !is_cited && !fences.contains_key(&named.name) {
            findings.push(Finding::new(
                &named.path,
                named.line,
                format!("the invariant `{}` is defined but never cited", named.name),
                "cite it where it is upheld and where it is relied on, or remove it",
            ));
        }
    }
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for named in defined.iter().filter(|named| documents.iter().all(|document| document.path != named.path)) {
        if let Some(first) = seen.insert((&named.path, &named.name), named.line) {
            findings.push(Finding::new(
                &named.path,
                named.line,
                format!("the invariant `{}` is defined twice, first on line {first}", named.name),
                "keep one definition",
            ));
        }
    }
    findings
}

/// Comments that name a fence: "Fence `name`".
fn fence_names(source: &Source) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (number, line) in source.program() {
        if let Some((_, rest)) = line.comment.split_once("Fence `") {
            if let Some((name, _)) = rest.split_once('`') {
                names.push((number, name.to_owned()));
            }
        }
    }
    names
}

/// The places of each named fence; those without a name are under the empty name.
fn fences(sources: &[&Source]) -> BTreeMap<String, Vec<(String, usize)>> {
    let mut fences: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
    for source in sources {
        let names = fence_names(source);
        for (number, line) in source.program() {
            if !line.code.contains("fence(") || !line.code.contains("SeqCst") {
                continue;
            }
            let name = names
                .iter()
                .rev()
                .find(|(at, _)| *at <= number && number - at <= FENCE_COMMENT_LINES)
                .map_or_else(String::new, |(_, name)| name.clone());
            fences.entry(name).or_default().push((source.path.clone(), number));
        }
    }
    fences
}

/// STYLE §5: a fence is one of two.
fn check_fences(fences: &BTreeMap<String, Vec<(String, usize)>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, places) in fences {
        if name.is_empty() {
            findings.extend(places.iter().map(|(path, line)| {
                Finding::new(
                    path,
                    *line,
                    "a fence without a name",
                    "say above it: ``// Fence `name` (which side; where the other is): …``",
                )
            }));
        } else if places.len() != 2 {
            let (path, line) = &places[0];
            let all: Vec<String> = places.iter().map(|(path, line)| format!("{path}:{line}")).collect();
            findings.push(Finding::new(
                path,
                *line,
                format!("the fence `{name}` occurs {} times, not twice: {}", places.len(), all.join(", ")),
                "a protocol has two sides: put each side's fence in one function that its callers share",
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(texts: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = texts.iter().map(|(path, text)| Source::new(path, text)).collect();
        let manifest = Document { path: "a/Cargo.toml".to_owned(), text: "some-crate = \"1\"\n".to_owned() };
        check(&sources, &[manifest]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_are_defined_and_cited() {
        let good = "//! A.\n//!\n//! # Invariants\n//! - `one-owner`: x.\n//! - `alive`, `pinned`: y.\n\
                    // `one-owner`: here; see `some-crate`.\nfn a() { panic!(\"`alive`, `pinned`\") }\n";
        assert_eq!(findings(&[("redd/src/a/b.rs", good)]), Vec::<String>::new());
        let cited = findings(&[("redd/src/a/b.rs", "//! A.\n// SAFETY: `no-such`: x.\n")]);
        assert!(cited[0].contains(":2: the invariant `no-such` is cited but nowhere defined"), "{cited:?}");
        let defined = findings(&[
            (
                "redd/src/a/b.rs",
                "//! A.\n//! # Invariants\n//! - `one-owner`: x.\n//! # Why not otherwise\n//! - `no`: z\n",
            ),
            ("redd/src/c/d.rs", "//! B.\n// `one-owner` in another room.\n"),
        ]);
        assert!(defined.len() == 1 && defined[0].contains(":3: the invariant `one-owner` is defined but never cited"));
    }

    #[test]
    fn a_fence_has_a_name_and_one_partner() {
        let side = "// Fence `a-vs-b` (this side).\nfence(Ordering::SeqCst);\n";
        let one = format!("//! A.\n{side}");
        let two = format!("//! B.\n{side}");
        assert_eq!(findings(&[("redd/src/a.rs", &one), ("redd/src/b.rs", &two)]), Vec::<String>::new());
        assert!(findings(&[("redd/src/a.rs", &one)])[0].contains("occurs 1 times"));
        assert!(findings(&[("redd/src/a.rs", "//! A.\nfence(SeqCst);\n")])[0].contains("without a name"));
    }
}
