//! Sizes: a function fits on a screen, and a file is about one noun.
//!
//! Called by `tidy`. Tests and tables of data are not counted, except where [`WHOLE_MAX`] says so.

use super::finding::Finding;
use super::source::{Line, Source};

/// Lines of a function, its signature included.
const FUNCTION_MAX: usize = 70;

/// Lines of a file without its tests and its documentation; a longer one says in its map why: "Long because …".
const FILE_MAX: usize = 600;

/// Folders whose files have at most so many lines, with their tests and their documentation. There is no reason that permits more.
const WHOLE_MAX: &[(&str, usize)] = &[("redd/src/scheduler/", 450)];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| is_checked(&source.path)) {
        for (line, name, lines) in functions(source).into_iter().filter(|(_, _, lines)| *lines > FUNCTION_MAX) {
            findings.push(Finding::new(
                &source.path,
                line,
                format!("the function `{name}` has {lines} lines"),
                format!("split it at its steps: a function has at most {FUNCTION_MAX} lines (STYLE 4)"),
            ));
        }
        findings.extend(whole_file(source));
        // Documentation is not counted: its examples make the files of public types long.
        let is_doc = |line: &Line| line.code.trim().is_empty() && line.comment.starts_with("///");
        let lines = source.program().filter(|(_, line)| !is_doc(line)).count();
        let has_reason =
            source.lines.iter().any(|line| line.comment.starts_with("//!") && line.comment.contains("Long because"));
        if lines > FILE_MAX && !has_reason {
            findings.push(Finding::new(
                &source.path,
                1,
                format!("{lines} lines without its tests and its documentation"),
                format!("split it by noun, or say in its map \"Long because …\": above {FILE_MAX} lines needs a reason (STYLE 4)"),
            ));
        }
    }
    findings
}

/// The rule of [`WHOLE_MAX`].
fn whole_file(source: &Source) -> Option<Finding> {
    let (folder, max) = WHOLE_MAX.iter().find(|(folder, _)| source.path.starts_with(folder))?;
    let lines = source.lines.len();
    (lines > *max).then(|| {
        Finding::new(
            &source.path,
            1,
            format!("{lines} lines in all"),
            format!(
                "split it by noun, or move its tests to a file of their own: a file of {folder} has at most {max} lines"
            ),
        )
    })
}

/// The tools follow later.
fn is_checked(path: &str) -> bool {
    path.contains("src/") && !path.starts_with("xtask/src/api/") && !path.starts_with("xtask/src/lanes/")
}

/// Line, name and length of each function of the program.
fn functions(source: &Source) -> Vec<(usize, String, usize)> {
    let lines: Vec<_> = source.program().collect();
    let mut found = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        let Some(name) = function_name(&line.code) else { continue };
        if let Some(end) = end_of_body(lines[at..].iter().map(|(_, line)| line.code.as_str())) {
            found.push((*number, name, end + 1));
        }
    }
    found
}

fn function_name(code: &str) -> Option<String> {
    let words: Vec<&str> = code.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "fn")?;
    let name = words.get(at + 1)?;
    let end = name.find(|mark: char| !(mark.is_alphanumeric() || mark == '_')).unwrap_or(name.len());
    (end > 0).then(|| name[..end].to_owned())
}

/// The line of the brace that closes the body; `None` for a declaration.
fn end_of_body<'a>(lines: impl Iterator<Item = &'a str>) -> Option<usize> {
    let mut depth = 0_i32;
    let mut round = 0_i32;
    for (index, code) in lines.enumerate() {
        for mark in code.chars() {
            match mark {
                '(' | '[' => round += 1,
                ')' | ']' => round -= 1,
                '{' => depth += 1,
                '}' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(index);
                    }
                }
                ';' if depth == 0 && round == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_functions_and_files_are_found_and_tests_are_not_counted() {
        let body = "    a();\n".repeat(FUNCTION_MAX - 1);
        let long = format!(
            "//! A.\nfn short() {{\n    b()\n}}\nfn long() {{\n{body}}}\ntrait T {{\n    fn no(a: [u8; 2]);\n}}\n"
        );
        let found = check(&[Source::new("p/src/a.rs", &long)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().contains(":5: the function `long` has 71 lines"), "{found:?}");
        let test = format!("//! A.\n#[cfg(test)]\nmod tests {{\n    fn long() {{\n{body}{body}    }}\n}}\n");
        assert_eq!(check(&[Source::new("p/src/a.rs", &test)]), []);
        let lines = "use a;\n".repeat(FILE_MAX + 1);
        assert_eq!(check(&[Source::new("p/src/a.rs", &format!("//! A.\n{lines}"))]).len(), 1);
        assert_eq!(check(&[Source::new("p/src/a.rs", &format!("//! A.\n//! Long because of a table.\n{lines}"))]), []);
    }

    #[test]
    fn files_of_the_scheduler_are_counted_whole() {
        for (folder, max) in WHOLE_MAX {
            let tests = "    a();\n".repeat(max - 4);
            let text = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{tests}}}\n");
            let path = format!("{folder}a/b.rs");
            assert_eq!(check(&[Source::new(&path, &text)]), []);
            let found = check(&[Source::new(&path, &format!("//! Long because of a table.\n{text}"))]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].to_string().contains(&format!("{} lines in all", max + 1)), "{found:?}");
            assert_eq!(check(&[Source::new("redd/src/task/a.rs", &format!("{text}{tests}"))]), []);
        }
    }
}
