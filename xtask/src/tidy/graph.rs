//! The import graph of a package's files: an arrow for each name that one file takes from another, and no cycle in it.
//!
//! Called by `tidy`. A `mod` item is not an arrow, and neither is a `pub use` in a `mod.rs` or `lib.rs`: both only say where
//! something is. A name that is re-exported counts for the file that defines it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::finding::Finding;
use super::source::Source;

/// How many re-exports may stand between a name and its definition.
const REEXPORTS_MAX: usize = 8;

/// Every package whose files form one tree of modules, by the folder of its crate root.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let roots: BTreeSet<&str> = sources
        .iter()
        .filter_map(|source| source.path.strip_suffix("lib.rs").or_else(|| source.path.strip_suffix("main.rs")))
        .filter(|folder| folder.ends_with("src/"))
        .collect();
    roots.into_iter().flat_map(|root| Package::new(root, sources).cycles()).collect()
}

/// One file takes a name from another.
#[derive(Debug)]
pub(super) struct Arrow<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) line: usize,
    pub(super) name: String,
}

/// Every arrow between files under `root`.
pub(super) fn arrows<'a>(root: &str, sources: &'a [Source]) -> Vec<Arrow<'a>> {
    let package = Package::new(root, sources);
    let of_file = |(from, imports): (usize, BTreeMap<usize, Import>)| {
        let from = package.path(from);
        let arrow = |(to, Import { line, name })| Arrow { from, to: package.path(to), line, name };
        imports.into_iter().map(arrow).collect::<Vec<_>>()
    };
    package.arrows().into_iter().enumerate().flat_map(of_file).collect()
}

/// A name that one file takes from another.
#[derive(Clone, Debug)]
struct Import {
    line: usize,
    name: String,
}

/// One `use` path: where it leads from the crate root, and the name that it has here.
#[derive(Debug)]
struct Use {
    line: usize,
    is_public: bool,
    path: Vec<String>,
    alias: String,
}

struct Module<'a> {
    source: &'a Source,
    path: Vec<String>,
    uses: Vec<Use>,
    defined: BTreeSet<String>,
}

struct Package<'a> {
    modules: Vec<Module<'a>>,
    by_path: BTreeMap<Vec<String>, usize>,
}

impl<'a> Package<'a> {
    fn new(root: &str, sources: &'a [Source]) -> Self {
        let inside = sources.iter().filter(|source| source.path.starts_with(root));
        let modules: Vec<Module<'a>> = inside
            .filter(|source| source.program().any(|(_, line)| !line.code.trim().is_empty()))
            .map(|source| Module::new(root, source))
            .collect();
        let by_path = modules.iter().enumerate().map(|(index, module)| (module.path.clone(), index)).collect();
        Self { modules, by_path }
    }

    /// The file that defines what `path` names, and the name. `None`: it is not of this package.
    fn resolve(&self, path: &[String], hops: usize) -> Option<usize> {
        let depth = (0..=path.len()).rev().find(|depth| self.by_path.contains_key(&path[..*depth]))?;
        let index = self.by_path[&path[..depth]];
        let module = &self.modules[index];
        let Some(name) = path.get(depth) else { return Some(index) };
        if hops == 0 || module.defined.contains(name) {
            return Some(index);
        }
        let named = module.uses.iter().find(|item| item.alias == *name && item.path != path[..=depth]);
        if let Some(item) = named {
            let target: Vec<String> = item.path.iter().chain(&path[depth + 1..]).cloned().collect();
            return self.resolve(&target, hops - 1);
        }
        let globs = module.uses.iter().filter(|item| item.alias == "*");
        for glob in globs {
            let target: Vec<String> = glob.path.iter().chain(&path[depth..]).cloned().collect();
            if let Some(found) = self.resolve(&target, hops - 1) {
                if self.modules[found].defined.contains(name) {
                    return Some(found);
                }
            }
        }
        Some(index)
    }

    /// Whether the path is that of a folder's `mod.rs`: to import it is to import what is used of it.
    fn is_folder(&self, path: &[String]) -> bool {
        self.by_path.get(path).is_some_and(|index| self.modules[*index].is_folder())
    }

    /// For each file the files that it takes something from.
    fn arrows(&self) -> Vec<BTreeMap<usize, Import>> {
        let arrows = self.modules.iter().enumerate().map(|(index, module)| {
            let mut arrows = BTreeMap::new();
            let mut add = |line: usize, path: &[String]| {
                if let Some(target) = self.resolve(path, REEXPORTS_MAX).filter(|target| *target != index) {
                    let name = path.last().cloned().unwrap_or_default();
                    arrows.entry(target).or_insert(Import { line, name });
                }
            };
            for item in &module.uses {
                let is_signpost = item.is_public && module.is_folder();
                if !is_signpost && !self.is_folder(&item.path) {
                    add(item.line, &item.path);
                }
            }
            for (line, path) in module.paths_in_code(&self.by_path) {
                add(line, &path);
            }
            arrows
        });
        arrows.collect()
    }

    /// A finding for each group of files that reach each other: its shortest cycle.
    fn cycles(&self) -> Vec<Finding> {
        let arrows = self.arrows();
        let mut findings = Vec::new();
        let mut done = BTreeSet::new();
        for group in groups(&arrows) {
            if group.len() < 2 || !done.insert(group.clone()) {
                continue;
            }
            let cycles = group.iter().filter_map(|start| shortest_cycle(&arrows, *start));
            let Some(cycle) = cycles.min_by_key(Vec::len) else { continue };
            let steps: Vec<String> = (0..cycle.len())
                .map(|at| {
                    let (from, to) = (cycle[at], cycle[(at + 1) % cycle.len()]);
                    let Import { line, name } = &arrows[from][&to];
                    format!("{}:{line} takes `{name}` from {}", self.path(from), self.path(to))
                })
                .collect();
            let first = &arrows[cycle[0]][&cycle[1 % cycle.len()]];
            findings.push(Finding::new(
                self.path(cycle[0]),
                first.line,
                format!("{} files import each other; the shortest cycle: {}", group.len(), steps.join("; ")),
                "pass what the lower file needs as a value or a small trait object, or move the name to the file that \
                 owns it (STYLE 4)",
            ));
        }
        findings
    }

    fn path(&self, index: usize) -> &'a str {
        &self.modules[index].source.path
    }
}

impl<'a> Module<'a> {
    fn new(root: &str, source: &'a Source) -> Self {
        let inside = source.path.trim_start_matches(root).trim_end_matches(".rs");
        let mut path: Vec<String> = inside.split('/').map(str::to_owned).collect();
        if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            path.pop();
        }
        let uses = uses(source, &path);
        Self { source, uses, defined: defined(source), path }
    }

    fn is_folder(&self) -> bool {
        matches!(self.source.file_name(), "mod.rs" | "lib.rs" | "main.rs")
    }

    /// Paths outside of `use` items that begin with `crate`, `self`, `super`, an imported module or a child module.
    fn paths_in_code(&self, by_path: &BTreeMap<Vec<String>, usize>) -> Vec<(usize, Vec<String>)> {
        let inline = inline_modules(self.source);
        let mut found = Vec::new();
        let mut is_in_use = false;
        for (number, line) in self.source.program() {
            let code = line.code.trim_start();
            let starts_use = code.starts_with("use ") || (code.starts_with("pub") && code.contains(" use "));
            if is_in_use || starts_use {
                is_in_use = !code.contains(';');
                continue;
            }
            for path in paths(&line.code) {
                let here = [&self.path[..], &inline[number - 1]].concat();
                let child = [&here[..], &path[..1]].concat();
                if matches!(path[0].as_str(), "crate" | "self" | "super") {
                    found.push((number, absolute(&here, &path)));
                } else if let Some(item) = self.uses.iter().find(|item| item.alias == path[0]) {
                    found.push((number, item.path.iter().chain(&path[1..]).cloned().collect()));
                } else if by_path.contains_key(&child) {
                    found.push((number, here.iter().chain(&path).cloned().collect()));
                }
            }
        }
        found
    }
}

/// For each line of the file, the modules with a body in braces that it is in.
fn inline_modules(source: &Source) -> Vec<Vec<String>> {
    let mut modules: Vec<(String, usize)> = Vec::new();
    let (mut depth, mut found) = (0_usize, Vec::new());
    for line in &source.lines {
        found.push(modules.iter().map(|(name, _)| name.clone()).collect());
        let words: Vec<&str> = line.code.split_whitespace().collect();
        if let Some([_, name, "{"]) = words.windows(3).find(|words| words[0] == "mod") {
            modules.push(((*name).to_owned(), depth));
        }
        for mark in line.code.chars() {
            match mark {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        while modules.last().is_some_and(|(_, outside)| depth <= *outside) {
            modules.pop();
        }
    }
    found
}

/// The names of items that the file defines.
fn defined(source: &Source) -> BTreeSet<String> {
    const KEYWORDS: &[&str] = &["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules!"];
    let mut names = BTreeSet::new();
    for (_, line) in source.program() {
        let words: Vec<&str> = line.code.split_whitespace().collect();
        for pair in words.windows(2) {
            if KEYWORDS.contains(&pair[0]) {
                let end = pair[1].find(|mark: char| !(mark.is_alphanumeric() || mark == '_'));
                names.insert(pair[1][..end.unwrap_or(pair[1].len())].to_owned());
            }
        }
    }
    names.remove("");
    names
}

/// The `use` items of the file, with paths from the crate root. Those of other crates are left out.
fn uses(source: &Source, module: &[String]) -> Vec<Use> {
    let inline = inline_modules(source);
    let mut found = Vec::new();
    for (line, is_public, trees) in source.use_trees() {
        for (path, alias) in trees {
            let segments: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
            let is_rooted = matches!(segments[0].as_str(), "crate" | "self" | "super");
            let module = [module, &inline[line - 1]].concat();
            // In the 2018 edition a path may begin with a child module.
            let mut path = if is_rooted {
                absolute(&module, &segments)
            } else {
                module.iter().chain(&segments).cloned().collect()
            };
            if path.last().is_some_and(|last| last == "self" || last == "*") {
                path.pop();
            }
            found.push(Use { line, is_public, path, alias });
        }
    }
    found
}

/// `crate::a`, `super::b` as a path from the crate root.
fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let mut base: Vec<String> = Vec::new();
    let mut rest = path;
    match path[0].as_str() {
        "crate" => rest = &path[1..],
        "self" => {
            base = module.to_vec();
            rest = &path[1..];
        }
        _ => {
            base = module.to_vec();
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
    }
    base.extend(rest.iter().cloned());
    base
}

/// Every `a::b::c` in a line of code; single names are not paths.
fn paths(code: &str) -> Vec<Vec<String>> {
    let is_inside = |mark: char| mark.is_alphanumeric() || mark == '_' || mark == ':';
    let mut found = Vec::new();
    for piece in code.split(|mark: char| !is_inside(mark)) {
        let piece = piece.trim_matches(':');
        if !piece.contains("::") {
            continue;
        }
        let parts: Vec<String> = piece.split("::").map(str::to_owned).collect();
        if parts.iter().all(|part| !part.is_empty()) {
            found.push(parts);
        }
    }
    // `$crate::` belongs to the caller of the macro.
    if code.contains("$crate") {
        found.retain(|path| path[0] != "crate")
    }
    found
}

/// The strongly connected groups, each sorted (Tarjan 1972, without recursion).
fn groups(arrows: &[BTreeMap<usize, Import>]) -> Vec<Vec<usize>> {
    let count = arrows.len();
    let (mut order, mut low) = (vec![usize::MAX; count], vec![0; count]);
    let (mut stack, mut on_stack) = (Vec::new(), vec![false; count]);
    let (mut next, mut groups) = (0, Vec::new());
    for start in 0..count {
        if order[start] != usize::MAX {
            continue;
        }
        let mut calls: Vec<(usize, Vec<usize>)> = vec![(start, arrows[start].keys().copied().collect())];
        (order[start], low[start]) = (next, next);
        next += 1;
        stack.push(start);
        on_stack[start] = true;
        while let Some((node, rest)) = calls.last_mut() {
            let node = *node;
            if let Some(target) = rest.pop() {
                if order[target] == usize::MAX {
                    (order[target], low[target]) = (next, next);
                    next += 1;
                    stack.push(target);
                    on_stack[target] = true;
                    calls.push((target, arrows[target].keys().copied().collect()));
                } else if on_stack[target] {
                    low[node] = low[node].min(order[target]);
                }
                continue;
            }
            calls.pop();
            if let Some((parent, _)) = calls.last() {
                low[*parent] = low[*parent].min(low[node]);
            }
            if low[node] == order[node] {
                let mut group = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member] = false;
                    group.push(member);
                    if member == node {
                        break;
                    }
                }
                group.sort_unstable();
                groups.push(group);
            }
        }
    }
    groups
}

/// The files of the shortest cycle through `start`.
fn shortest_cycle(arrows: &[BTreeMap<usize, Import>], start: usize) -> Option<Vec<usize>> {
    let mut before = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for target in arrows[node].keys().copied() {
            if target == start {
                let mut cycle = vec![node];
                while let Some(previous) = before.get(cycle.last()?) {
                    cycle.push(*previous);
                }
                cycle.reverse();
                return Some(cycle);
            }
            if target != start && !before.contains_key(&target) {
                before.insert(target, node);
                queue.push_back(target);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(&format!("p/src/{path}"), text)).collect();
        check(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_cycle_is_found_with_its_imports_through_reexports_and_folders() {
        let found = findings(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a/mod.rs", "mod inner;\npub(crate) use inner::Thing;"),
            ("a/inner.rs", "use crate::b::Other;\npub(crate) struct Thing;"),
            ("b.rs", "use crate::c;\npub(crate) struct Other;\nfn f() { c::go() }"),
            ("c.rs", "use crate::{a::Thing};\npub(crate) fn go() {}"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        for part in [
            "3 files import each other",
            "p/src/a/inner.rs:1 takes `Other` from p/src/b.rs",
            "p/src/b.rs:1 takes `c` from p/src/c.rs",
            "p/src/c.rs:1 takes `Thing` from p/src/a/inner.rs",
        ] {
            assert!(found[0].contains(part), "{part}: {found:?}");
        }
    }

    #[test]
    fn signposts_tests_and_one_way_imports_are_no_cycle() {
        let found = findings(&[
            ("lib.rs", "mod a;\nmod b;\npub use a::Thing;\nuse std::fmt;"),
            ("a/mod.rs", "mod inner;\npub use inner::Thing;\npub(crate) fn low() {}"),
            ("a/inner.rs", "use super::low;\npub struct Thing;\n#[cfg(test)]\nmod tests {\n    use crate::b::f;\n}"),
            ("b.rs", "use crate::Thing;\nfn f() { $crate::b::f(); crate::a::low() }"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn children_by_their_path_and_parents_of_inline_modules_count() {
        let found = findings(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod inner;\nmod outer;\npub fn f() { inner::g() }"),
            ("a/inner.rs", "pub fn g() { super::f() }"),
            ("a/outer.rs", "mod twin {\n    use super::h;\n}\npub fn h() {}"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("2 files") && found[0].contains("p/src/a/mod.rs:3 takes `g`"), "{found:?}");
    }

    #[test]
    fn the_shortest_cycle_of_a_group_is_named() {
        let found = findings(&[
            ("main.rs", "mod a;\nmod b;\nmod c;"),
            ("a.rs", "use super::b::B;\npub struct A;"),
            ("b.rs", "use crate::c::C;\npub struct B;"),
            ("c.rs", "use crate::{a::A, b::B};\npub struct C;"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("3 files") && !found[0].contains("takes `A`"), "{found:?}");
    }
}
