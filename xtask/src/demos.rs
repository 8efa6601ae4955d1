//! The programs in `demos`: the lines that redd's output has to name, and the page of the guide that shows the output.
//!
//! Called by the lane `demos`, which builds and runs them.

/// The page of the guide.
pub(crate) const PAGE: &str = "docs/guide/seeing-inside.md";

/// What marks a line that the output has to name. The role of the line follows.
const MARK: &str = " // culprit: ";

/// A line with the mark.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Culprit {
    pub(crate) role: String,
    pub(crate) line: usize,
}

/// The marked lines of a program.
pub(crate) fn culprits(source: &str) -> Vec<Culprit> {
    let marked = source.lines().enumerate().filter_map(|(index, line)| Some((index, line.split_once(MARK)?.1)));
    marked.map(|(index, role)| Culprit { role: role.trim().to_owned(), line: index + 1 }).collect()
}

/// Whether the output contains this line of the program.
pub(crate) fn is_named(output: &str, program: &str, line: usize) -> bool {
    let name = format!("demos/src/bin/{program}.rs:{line}");
    output
        .match_indices(&name)
        .any(|(at, _)| !output[at + name.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

/// A program's section of the page: from the line with the link to the next one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Section<'a> {
    program: &'a str,
    /// The blocks of code, by their language, and the range of their lines.
    blocks: Vec<(&'a str, std::ops::Range<usize>)>,
}

/// How a link to a program begins; such a link is a line of its own.
const LINK: &str = "](../../demos/src/bin/";

fn sections(page: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    for (index, line) in page.lines().enumerate() {
        if let Some((language, start)) = open {
            if line == "```" {
                if let Some(section) = sections.last_mut() {
                    section.blocks.push((language, start..index));
                }
                open = None;
            }
        } else if let Some(language) = line.strip_prefix("```") {
            open = Some((language, index + 1));
        } else if let Some((_, rest)) = line.split_once(LINK).filter(|(before, _)| before.starts_with("[`")) {
            sections.push(Section { program: rest.trim_end_matches(".rs)"), blocks: Vec::new() });
        } else if line.starts_with("## ") {
            // What follows belongs to no program before its link.
            sections.push(Section::default());
        }
    }
    sections.retain(|section| !section.program.is_empty());
    sections
}

/// The command that the page shows for a program.
fn command(program: &str) -> String {
    format!("cargo run -p demos --bin {program}")
}

/// Compares a program's section with the program, and with what it printed.
pub(crate) fn check_page(page: &str, program: &str, source: &str, output: &str) -> Vec<String> {
    let sections = sections(page);
    let mut of_program = sections.iter().filter(|section| section.program == program);
    let (Some(section), None) = (of_program.next(), of_program.next()) else {
        return vec![format!("{PAGE} has no section of `{program}`, or several")];
    };
    let lines: Vec<&str> = page.lines().collect();
    let mut findings = Vec::new();
    let languages: Vec<&str> = section.blocks.iter().map(|(language, _)| *language).collect();
    if languages != ["rust", "sh", "text"] {
        findings.push(format!("{PAGE}: `{program}` has the blocks {languages:?}; they are `rust`, `sh` and `text`"));
    }
    for (language, range) in &section.blocks {
        let (shown, at) = (&lines[range.clone()], range.start + 1);
        match *language {
            "rust" if !is_part(source, shown) => {
                findings.push(format!("{PAGE}:{at}: this is not a part of {program}.rs"));
            }
            "sh" if shown != [command(program)] => {
                findings.push(format!("{PAGE}:{at}: the command is `{}`", command(program)));
            }
            "text" if comparable(shown.iter().copied()) != comparable(output.lines()) => {
                findings.push(format!("{PAGE}:{at}: `{program}` prints something else; `cargo xtask demos --write`"));
            }
            _ => {}
        }
    }
    findings
}

/// Compares the blocks of text that are in no program's section with what all programs printed. `[…]` is for what is left out.
pub(crate) fn check_examples(page: &str, output: &str) -> Vec<String> {
    let printed = comparable(output.lines());
    let (mut is_of_program, mut is_open) = (false, false);
    let mut findings = Vec::new();
    for (index, line) in page.lines().enumerate() {
        if line.starts_with("## ") {
            is_of_program = false;
        } else if line.contains(LINK) {
            is_of_program = true;
        } else if line.starts_with("```") {
            is_open = line == "```text";
        } else if is_open && !is_of_program && line.trim() != "[…]" && !printed.contains(&comparable_line(line)) {
            findings.push(format!("{PAGE}:{}: no program prints this line", index + 1));
        }
    }
    findings
}

/// The page with what a program printed now, if that is something else.
pub(crate) fn with_output(page: &str, program: &str, output: &str) -> String {
    let sections = sections(page);
    let blocks = sections.iter().filter(|section| section.program == program).flat_map(|section| &section.blocks);
    let Some((_, range)) = blocks.into_iter().find(|(language, _)| *language == "text") else {
        return page.to_owned();
    };
    let lines: Vec<&str> = page.lines().collect();
    if comparable(lines[range.clone()].iter().copied()) == comparable(output.lines()) {
        return page.to_owned();
    }
    let new = lines[..range.start].iter().copied().chain(output.lines()).chain(lines[range.end..].iter().copied());
    new.map(|line| format!("{line}\n")).collect()
}

/// Whether these lines stand in a program one after another. The page may leave out what all of them are indented by.
fn is_part(source: &str, shown: &[&str]) -> bool {
    let source: Vec<&str> = source.lines().collect();
    !shown.is_empty()
        && source.windows(shown.len()).any(|window| {
            let indent = window[0].len() - window[0].trim_start().len();
            window.iter().zip(shown).all(|(line, shown)| line.get(indent..).unwrap_or_default() == *shown)
        })
}

/// Lines without what differs from run to run, in a fixed order.
pub(crate) fn comparable<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines: Vec<String> = lines.map(comparable_line).collect();
    lines.sort();
    lines
}

/// What a late poll had done at its report differs from run to run.
const LATE_POLL: &str = "has not reached an `.await`";

/// Words before a number that differs from run to run.
const NUMBERED: &[&str] = &["task", "closure", "thread", "worker", "descriptor"];

/// Behind the number of a time.
const UNITS: &[&str] = &["d", "h", "m", "s", "ms", "µs", "ns"];

/// The line with `_` for each time, for the numbers of tasks, threads, workers, descriptors and objects, for ports, and without the
/// number of polls.
fn comparable_line(line: &str) -> String {
    let line = line.split_once(LATE_POLL).map_or(line, |(before, _)| before).replace("less than ", "");
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let before = words.last().map_or("", |before| before.trim_start_matches('('));
        let core = word.trim_matches(['(', ')', ',', ';']);
        let unit = core.trim_start_matches(|one: char| one.is_ascii_digit() || one == '.');
        let is_time = unit != core && UNITS.contains(&unit);
        let new = match core.rsplit_once([':', '#']) {
            _ if is_time => "_".to_owned(),
            _ if core.starts_with("`redd-worker-") => "`redd-worker-_`".to_owned(),
            _ if NUMBERED.contains(&before) && is_digits(core) => "_".to_owned(),
            Some((address, port)) if is_digits(port) && (address.is_empty() || address.contains("127.0.0.1")) => {
                format!("{}_", &core[..core.len() - port.len()])
            }
            _ => core.to_owned(),
        };
        let mut new = word.replacen(core, &new, 1);
        if ["poll", "polls"].contains(&core) && is_digits(before) {
            words.pop();
            new = word.replacen(core, "polls", 1);
        }
        // `1m 5s` is one time.
        match words.last_mut() {
            Some(last) if is_time && last.trim_start_matches('(') == "_" => *last = last.replace('_', &new),
            _ => words.push(new),
        }
    }
    words.join(" ")
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|one| one.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn main() {\n    lock(); // culprit: holder\n    wait();\n}\n";

    #[test]
    fn the_marked_lines_are_found_with_their_roles() {
        assert_eq!(culprits(SOURCE), [Culprit { role: "holder".to_owned(), line: 2 }]);
    }

    #[test]
    fn a_line_is_named_only_by_its_whole_number() {
        assert!(is_named("task 1 (Mutex at demos/src/bin/a.rs:12:5)", "a", 12));
        assert!(is_named("at demos/src/bin/a.rs:12", "a", 12));
        for other in ["demos/src/bin/a.rs:123:5", "demos/src/bin/b.rs:12:5", "demos/src/bin/a.rs:1"] {
            assert!(!is_named(other, "a", 12), "{other}");
        }
    }

    fn page(excerpt: &str, command: &str, output: &str) -> String {
        format!(
            "# Page\n\n```text\nno program\n```\n\n## A\n\n[`a.rs`](../../demos/src/bin/a.rs)\n\n```rust\n{excerpt}\n```\n\n\
             ```sh\n{command}\n```\n\n```text\n{output}\n```\n\n## B\n\n```sh\nls\n```\n"
        )
    }

    const RUN: &str = "cargo run -p demos --bin a";

    #[test]
    fn a_section_shows_a_part_of_the_program_its_command_and_its_output() {
        let right = page("lock(); // culprit: holder\nwait();", RUN, "task 1 (spawned at a.rs:1:1, 1.0s old)");
        let printed = "task 2 (spawned at a.rs:1:1, 999.0ms old)\n";
        assert_eq!(check_page(&right, "a", SOURCE, printed), [""; 0]);
        for wrong in [
            page("lock();\nwait();", RUN, "task 1 (spawned at a.rs:1:1, 1.0s old)"),
            page("wait();", "cargo run", "task 1 (spawned at a.rs:1:1, 1.0s old)"),
            page("wait();", RUN, "task 1 (spawned at a.rs:2:1, 1.0s old)"),
            page("wait();", RUN, "").replace("```sh\ncargo", "```bash\ncargo"),
        ] {
            assert_eq!(check_page(&wrong, "a", SOURCE, printed).len(), if wrong.contains("bash") { 2 } else { 1 });
        }
        assert_eq!(check_page(&right, "b", SOURCE, printed).len(), 1, "a program without a section");
    }

    #[test]
    fn an_example_is_a_line_of_some_program() {
        let page = "```text\ntask 1 (a, 2s old)\n```\n\ntext\n";
        assert_eq!(check_examples(page, "first\ntask 7 (a, 1ms old)\n"), [""; 0]);
        assert_eq!(check_examples(page, "task 1 (b, 2s old)\n").len(), 1);
        assert_eq!(check_examples(&page.replace("text\ntask", "rust\ntask"), ""), [""; 0]);
        let of_program = format!("## A\n[`a.rs`{LINK}a.rs)\n{page}");
        assert_eq!(check_examples(&of_program, ""), [""; 0]);
        assert_eq!(check_examples(&format!("{of_program}## B\n```text\n    […]\nb\n```\n"), "").len(), 1);
    }

    #[test]
    fn the_new_output_takes_the_place_of_the_old_one() {
        let old = page("wait();", RUN, "old 1ms\nlines");
        assert_eq!(with_output(&old, "a", "lines\nold 2ms\n"), old);
        assert_eq!(with_output(&old, "a", "new\n"), page("wait();", RUN, "new"));
        assert_eq!(with_output(&old, "b", "new\n"), old);
    }

    #[test]
    fn what_differs_from_run_to_run_is_not_compared() {
        for (line, compared) in [
            ("task 3 (spawned at a.rs:1:2, 1.0s old)", "task _ (spawned at a.rs:1:2, _ old)"),
            ("2 tasks (oldest 1m 5s) for up to 17ms;", "2 tasks (oldest _) for up to _;"),
            ("(1h 2m old) due in less than 1ms, 3 waiting", "(_ old) due in _, 3 waiting"),
            ("; #12 taken by task 7 at a.rs:1:2 2.0s ago", "; #_ taken by task _ at a.rs:1:2 _ ago"),
            ("descriptor 12, 127.0.0.1:4000 with 127.0.0.1:80", "descriptor _, 127.0.0.1:_ with 127.0.0.1:_"),
            ("closure 7, waits  for", "closure _, waits  for"),
            ("1 poll, the last 1ms ago", "polls, the last _ ago"),
            ("12 polls, running for 1s on thread 12", "polls, running for _ on thread _"),
            (
                "redd: late poll: task 2 (a.rs:3:4) has not reached an `.await` for 1 ms",
                "redd: late poll: task _ (a.rs:3:4) ",
            ),
        ] {
            assert_eq!(comparable_line(line), compared);
        }
        assert_eq!(comparable("b 1ms\na".lines()), ["a", "b _"]);
    }
}
