//! A Rust file as lines of code and lines of comment, and which of them are tests.
//!
//! Not a parser: strings and comments are told apart from code, nothing more. Called by every check of `tidy`.

/// A `use` item: its line, whether it is public, and each path with the name that it has in the file.
pub(crate) type UseItem = (usize, bool, Vec<(String, String)>);

/// A file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the repository, with `/`.
    pub(crate) path: String,
    pub(crate) lines: Vec<Line>,
}

/// A line, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// As written.
    pub(crate) text: String,
    /// Without comments; the contents of strings and characters are blanks.
    pub(crate) code: String,
    /// The comments on it, with their slashes.
    pub(crate) comment: String,
    /// Inside of `#[cfg(test)]`, or the whole file is for tests.
    pub(crate) is_test: bool,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut source = Self { path: path.to_owned(), lines: split(text) };
        mark_tests(&mut source);
        source
    }

    /// Lines of the program itself, with their numbers.
    pub(crate) fn program(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.numbered().filter(|(_, line)| !line.is_test)
    }

    /// All lines, with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The first folder or file under `src`: `task` for `redd/src/task/state.rs`, `lib` for `redd/src/lib.rs`.
    pub(crate) fn room(&self) -> &str {
        let inside = self.path.split_once("src/").map_or(self.path.as_str(), |(_, inside)| inside);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// Files that are modules of this one and only there for tests: the paths that they may have.
    pub(crate) fn test_files(&self) -> Vec<String> {
        let folder = match self.file_name() {
            "mod.rs" | "lib.rs" | "main.rs" => self.path.rsplit_once('/').map_or("", |(folder, _)| folder),
            _ => self.path.trim_end_matches(".rs"),
        };
        let names = self.lines.iter().filter(|line| line.is_test).filter_map(|line| {
            let (_, name) = line.code.trim().strip_suffix(';')?.split_once("mod ")?;
            Some(name.to_owned())
        });
        names.flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]).collect()
    }

    /// The whole file is for tests.
    pub(crate) fn mark_as_test(&mut self) {
        self.lines.iter_mut().for_each(|line| line.is_test = true);
    }

    /// The file's name.
    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Items that begin with the word `use` or `pub use`: line number, whether it is a signpost (`pub use`), and each
    /// path in it, braces resolved.
    pub(crate) fn uses(&self) -> Vec<(usize, bool, Vec<String>)> {
        let paths = |trees: Vec<(String, String)>| trees.into_iter().map(|(path, _)| path).collect();
        self.use_trees().into_iter().map(|(line, is_public, trees)| (line, is_public, paths(trees))).collect()
    }

    /// As `uses`, and behind each path the name that it has in the file: `b` for `a::b` and `a::b::self`, `*` for a glob.
    pub(crate) fn use_trees(&self) -> Vec<UseItem> {
        let mut uses = Vec::new();
        let mut lines = self.program();
        while let Some((number, line)) = lines.next() {
            let trimmed = line.code.trim_start();
            let is_public = trimmed.starts_with("pub");
            let item = match trimmed.strip_prefix("use ") {
                Some(item) => item,
                None if is_public => match trimmed.split_once(" use ") {
                    Some((visibility, item)) if !visibility.contains(['{', '=', ';']) => item,
                    _ => continue,
                },
                None => continue,
            };
            let mut item = item.to_owned();
            while !item.contains(';') {
                let Some((_, next)) = lines.next() else { break };
                item.push_str(&next.code);
            }
            let item: String = item.split(';').next().unwrap_or_default().to_owned();
            let mut paths = Vec::new();
            resolve_braces("", &item, &mut paths);
            uses.push((number, is_public, paths));
        }
        uses
    }
}

/// `a::{b, c::{d}}` as `a::b`, `a::c::d`.
fn resolve_braces(prefix: &str, tree: &str, paths: &mut Vec<(String, String)>) {
    let tree = tree.trim();
    if tree.is_empty() {
        return;
    }
    let Some((head, rest)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
        let path = format!("{prefix}{}", path.trim());
        let last = path.trim_end_matches("::self").rsplit("::").next().unwrap_or_default().to_owned();
        paths.push((path, alias.map_or(last, str::to_owned)));
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut start) = (0_i32, 0);
    for (index, mark) in inner.char_indices() {
        match mark {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                resolve_braces(&prefix, &inner[start..index], paths);
                start = index + 1;
            }
            _ => {}
        }
    }
    resolve_braces(&prefix, &inner[start..], paths);
}

/// Where the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    /// How deep it is nested.
    BlockComment(u32),
    Text,
    /// How many `#` end it.
    RawText(usize),
}

fn split(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut state = State::Code;
    for text in text.lines() {
        let mut line = Line { text: text.to_owned(), ..Line::default() };
        if state == State::LineComment {
            state = State::Code;
        }
        let marks: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < marks.len() {
            at += step(&marks, at, &mut state, &mut line);
        }
        lines.push(line);
    }
    lines
}

/// Reads one mark, or a few that belong together; returns how many.
fn step(marks: &[char], at: usize, state: &mut State, line: &mut Line) -> usize {
    let mark = marks[at];
    let next = marks.get(at + 1).copied();
    match *state {
        State::LineComment => line.comment.push(mark),
        State::BlockComment(depth) => {
            line.comment.push(mark);
            let depth = match (mark, next) {
                ('*', Some('/')) => depth - 1,
                ('/', Some('*')) => depth + 1,
                _ => return 1,
            };
            *state = if depth == 0 { State::Code } else { State::BlockComment(depth) };
            line.comment.extend(next);
            return 2;
        }
        State::Text => match mark {
            '\\' => {
                line.code.push_str("  ");
                return 2;
            }
            '"' => {
                line.code.push(mark);
                *state = State::Code;
            }
            _ => line.code.push(' '),
        },
        State::RawText(hashes) => {
            let ends = mark == '"' && marks[at + 1..].iter().take_while(|mark| **mark == '#').count() >= hashes;
            line.code.push(if ends { '"' } else { ' ' });
            if ends {
                *state = State::Code;
                return 1 + hashes;
            }
        }
        State::Code => match (mark, next) {
            ('/', Some('/')) => {
                *state = State::LineComment;
                line.comment.push(mark);
            }
            ('/', Some('*')) => {
                *state = State::BlockComment(1);
                line.comment.push_str("/*");
                return 2;
            }
            ('"', _) => {
                line.code.push(mark);
                let hashes = line.code.trim_end_matches('"').chars().rev().take_while(|mark| *mark == '#').count();
                let before = line.code.trim_end_matches('"').trim_end_matches('#');
                *state = if ends_in_raw_prefix(before) { State::RawText(hashes) } else { State::Text };
            }
            ('\'', Some('\\')) => {
                // A character such as '\'' or '\u{1}': blank up to the closing quote.
                let end = marks[at + 3..].iter().position(|mark| *mark == '\'').map_or(marks.len(), |end| at + 4 + end);
                line.code.push_str("' '");
                return end - at;
            }
            ('\'', Some(_)) if marks.get(at + 2) == Some(&'\'') => {
                line.code.push_str("' '");
                return 3;
            }
            _ => line.code.push(mark),
        },
    }
    1
}

/// `r`, `br` or `cr` that is not the end of a longer word.
fn ends_in_raw_prefix(code: &str) -> bool {
    let Some(before) = code.strip_suffix('r') else {
        return false;
    };
    let before = before.strip_suffix(['b', 'c']).unwrap_or(before);
    !before.ends_with(|mark: char| mark.is_alphanumeric() || mark == '_')
}

/// Marks the items under `#[cfg(test)]` and `#[cfg(all(test, …))]`.
fn mark_tests(source: &mut Source) {
    if source.path.starts_with("redd/models/") || source.path.contains("/tests/") {
        source.mark_as_test();
        return;
    }
    let mut at = 0;
    while at < source.lines.len() {
        let code = source.lines[at].code.replace(' ', "");
        if !(code.starts_with("#[cfg(test)]") || code.starts_with("#[cfg(all(test,")) {
            at += 1;
            continue;
        }
        let end = item_end(&source.lines, at);
        source.lines[at..=end].iter_mut().for_each(|line| line.is_test = true);
        at = end + 1;
    }
}

/// The last line of the item that begins with the attribute on line `start`: at its `;` or closing brace.
fn item_end(lines: &[Line], start: usize) -> usize {
    let mut depth = 0_i32;
    for (index, line) in lines.iter().enumerate().skip(start) {
        for mark in line.code.chars() {
            match mark {
                '{' | '(' | '[' => depth += 1,
                ')' | ']' => depth -= 1,
                '}' => {
                    depth -= 1;
                    if depth == 0 {
                        return index;
                    }
                }
                ';' if depth == 0 => return index,
                _ => {}
            }
        }
    }
    lines.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        split(text).into_iter().map(|line| line.code.trim_end().to_owned()).collect()
    }

    #[test]
    fn strings_and_comments_are_told_apart_from_code() {
        assert_eq!(code("a(\"// no\"); // yes"), ["a(\"     \");"]);
        assert_eq!(code("x /* a /* b */ c */ y"), ["x  y"]);
        assert_eq!(code("/* a\nb */ c"), ["", " c"]);
        assert_eq!(code("r#\"a\" // b\"# + c"), ["r#\"       \" + c"]);
        assert_eq!(code("for\"x\""), ["for\" \""]);
        assert_eq!(code("'\"' + '\\'' + 'a + b\"c\""), ["' ' + ' ' + 'a + b\" \""]);
        assert_eq!(code("\"a\\\" b\nc\" d"), ["\"", " \" d"]);
        assert_eq!(split("a; // b")[0].comment, "// b");
    }

    #[test]
    fn items_under_cfg_test_are_tests() {
        let source = Source::new(
            "redd/src/a.rs",
            "fn a() {}\n#[cfg(test)]\nuse x::{y};\nfn b() {}\n#[cfg(all(test, loom))]\nmod models;\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\nfn d() {}\n",
        );
        let program: Vec<&str> = source.program().map(|(_, line)| line.text.as_str()).collect();
        assert_eq!(program, ["fn a() {}", "fn b() {}", "fn d() {}"]);
        assert!(Source::new("redd/models/task_life.rs", "fn a() {}").program().next().is_none());
    }

    #[test]
    fn uses_are_resolved_to_paths() {
        let source = Source::new(
            "redd/src/task/mod.rs",
            "pub use a::b as c;\nuse crate::{x, y::{\n    self, z,\n}};\npub(crate) use q::*;\nlet use_it = 1;\n",
        );
        assert_eq!(source.room(), "task");
        let uses = source.uses();
        assert_eq!(uses[0], (1, true, vec!["a::b".to_owned()]));
        assert_eq!(uses[1].2, ["crate::x", "crate::y::self", "crate::y::z"]);
        assert_eq!((uses[2].0, uses[2].1), (5, true));
        assert_eq!(uses.len(), 3);
    }
}
