//! `cargo redd check`: runs one seed twice, and finds the first event that differs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use crate::folder::Folder;
use crate::plural::count;
use crate::process::{Process, unescaped};
use crate::test::Test;
use crate::{Check, print};

/// How many events before the difference are shown.
const BEFORE: usize = 5;

/// How long one run may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Returns whether there is a difference.
pub(crate) fn run(check: &Check) -> Result<bool, String> {
    let folder = Folder::new()?;
    let test = Test::find(&check.selection, &folder)?;
    let mut runs = Vec::new();
    for number in [1, 2] {
        let events = folder.path().join(format!("events-{number}"));
        let mut variables = vec![("REDD_SEED", check.seed.to_string()), ("REDD_EVENTS", events.display().to_string())];
        variables.push(match &check.tape {
            Some(tape) => ("REDD_TAPE", tape.to_string()),
            None => ("REDD_EXPLORE", check.strategy.to_string()),
        });
        let mut process = Process::start_test(&test, &variables, folder.path().join(format!("output-{number}")))?;
        if !process.wait(LIMIT)? {
            return Err(format!(
                "run {number} of `{}` has not ended after {LIMIT:?}: {}",
                test.path,
                process.last_output()
            ));
        }
        runs.push((process, events));
    }
    let [(first, one), (second, other)] = &runs[..] else { unreachable!("there are two runs") };
    let open = |events: &Path| match File::open(events) {
        Ok(file) => Ok(BufReader::new(file)),
        Err(_) => Err(format!(
            "the test `{}` has run no simulated world. Write `#[redd::test(sim)]`, or make a `redd::sim::World` in it. {}",
            test.path,
            first.last_output()
        )),
    };
    let compared = compare(open(one)?, open(other)?);
    let compared = compared.map_err(|error| format!("the events cannot be read: {error}"))?;
    let seed = check.seed;
    match compared {
        Compared::Equal { events, .. } if first.succeeded() != second.succeeded() => {
            print(&format!(
                "seed {seed}: two runs have the same {}, and the test has passed only once. What it asserts depends on \
                 something that is not simulated. The run that failed: {}",
                count(events, "event"),
                if first.succeeded() { second } else { first }.last_output()
            ))?;
            Ok(true)
        }
        Compared::Equal { worlds, events } => {
            let worlds = if worlds == 1 { String::new() } else { format!(" of {worlds} worlds") };
            let how = match first.succeeded() {
                true => "passes in both".to_owned(),
                false => format!("fails in both. The first run: {}", first.last_output()),
            };
            print(&format!(
                "seed {seed}: two runs in fresh processes have the same {}{worlds}; the test {how}",
                count(events, "event")
            ))?;
            Ok(false)
        }
        Compared::Different(text) => {
            print(&format!(
                "seed {seed}: two runs in fresh processes differ from {text}\nThe program depends on something that is not simulated: the \
                 order of a `HashMap`, `std::time`, a thread of its own, a file, or an address. The seed decides the first two, and random \
                 numbers of the system, if the test has the dev-dependency `redd-sim-libc` and the line `use redd_sim_libc as _;`."
            ))?;
            Ok(true)
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Compared {
    Equal { worlds: u64, events: u64 },
    Different(String),
}

/// Compares events by their numbers. Their texts are for people.
fn compare(mut one: impl BufRead, mut other: impl BufRead) -> io::Result<Compared> {
    let mut before = VecDeque::new();
    let (mut worlds, mut events, mut all) = (0_u64, 0_u64, 0_u64);
    loop {
        let lines = [read_line(&mut one)?, read_line(&mut other)?];
        let [Some(first), Some(second)] = &lines else {
            if lines == [None, None] {
                return Ok(Compared::Equal { worlds, events: all });
            }
            return Ok(Compared::Different(difference(worlds, events, &before, lines)));
        };
        let numbers = |line: &str| line.split('\t').take(2).map(str::to_owned).collect::<Vec<_>>();
        if numbers(first) != numbers(second) {
            return Ok(Compared::Different(difference(worlds, events, &before, lines)));
        }
        if first.starts_with("world\t") {
            (worlds, events) = (worlds + 1, 0);
            before.clear();
        } else {
            (events, all) = (events + 1, all + 1);
            before.push_back(first.clone());
            if before.len() > BEFORE {
                before.pop_front();
            }
        }
    }
}

fn read_line(file: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let count = file.read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim_end_matches('\n').to_owned()))
}

fn difference(worlds: u64, events: u64, before: &VecDeque<String>, lines: [Option<String>; 2]) -> String {
    let text = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        ["event", _, text] => unescaped(text),
        ["world", seed] => format!("a world of seed {seed} begins"),
        _ => line.to_owned(),
    };
    let mut told =
        format!("event {events}{} on.", if worlds > 1 { format!(" of world {worlds}") } else { String::new() });
    told += "\nBefore it:";
    before.iter().for_each(|line| told += &format!("\n  {}", text(line)));
    for (name, line) in [("first", &lines[0]), ("second", &lines[1])] {
        let event = line.as_deref().map_or_else(|| "nothing: it has ended".to_owned(), text);
        told += &format!("\nIn the {name} run:\n  {event}");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(one: &str, other: &str) -> Compared {
        compare(one.as_bytes(), other.as_bytes()).expect("memory can be read")
    }

    #[test]
    fn texts_may_differ_and_numbers_may_not() {
        let one = "world\t1\nevent\t0.1\ta\nevent\t0.2\tb\nworld\t2\nevent\t0.1\ta\n";
        assert_eq!(compared(one, &one.replace("\ta", "\tsomething else")), Compared::Equal { worlds: 2, events: 3 });
        let Compared::Different(text) = compared(one, &one.replace("0.2\tb", "0.3\tc\\nd")) else {
            panic!("they differ")
        };
        assert_eq!(text, "event 1 on.\nBefore it:\n  a\nIn the first run:\n  b\nIn the second run:\n  c\nd");
    }

    #[test]
    fn a_run_that_ends_early_differs_and_five_events_before_it_are_shown() {
        let events: String = (0..9).map(|number| format!("event\t0.{number}\te{number}\n")).collect();
        let (short, long) = (format!("world\t1\n{events}"), format!("world\t1\n{events}event\t1.0\tlast\n"));
        let Compared::Different(text) = compared(&short, &long) else { panic!("they differ") };
        assert!(
            text.starts_with("event 9 on.\nBefore it:\n  e4\n") && text.contains("nothing: it has ended"),
            "{text}"
        );
        assert!(text.ends_with("In the second run:\n  last"), "{text}");
    }
}
