//! What the README shows: each block of text is a command and what it prints. One of the commands runs the test
//! `order_is_kept` of this file, which fails on purpose.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd_sim_libc as _; // Otherwise the linker leaves it out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use tokio::sync::mpsc;

#[tokio::test(sim, seeds = 200)]
#[ignore = "it fails on purpose: the README shows the seed"]
async fn order_is_kept() {
    let (orders, mut shop) = mpsc::channel(4);
    for number in [1, 2] {
        let orders = orders.clone();
        tokio::spawn(async move { orders.send(number).await });
    }
    assert_eq!(shop.recv().await, Some(1), "the first order comes first");
}

/// A command of the README, and what the README says it prints.
struct Shown {
    command: String,
    text: String,
}

/// Each block of text. Its first line is the command, behind a `$`.
fn shown() -> Vec<Shown> {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let blocks = readme.split("\n```text\n").skip(1).map(|rest| rest.split_once("\n```\n").unwrap().0);
    blocks
        .map(|block| {
            let (command, text) = block.strip_prefix("$ ").and_then(|block| block.split_once('\n')).unwrap();
            Shown { command: command.to_owned(), text: text.to_owned() }
        })
        .collect()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// When a program prints its dump: as usual, and on a machine that is too busy for that.
const AFTER_MS: [&str; 3] = ["1500", "4000", "9000"];

/// What the command prints, standard error and standard output in one.
fn printed(command: &str, after_ms: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let (program, arguments): (PathBuf, &[&str]) = match words.as_slice() {
        ["cargo", "run", "-p", "demos", "--bin", name] => (folder().join(name), &[]),
        ["cargo", "run", "-p", "demos", "--example", name] => (folder().join("examples").join(name), &[]),
        ["cargo", "test", "-p", "demos", "--test", "readme", "--", arguments @ ..] => {
            (std::env::current_exe().unwrap(), arguments)
        }
        _ => panic!("README.md shows what `{command}` prints; add it to {}", file!()),
    };
    let advice = "`cargo test -p demos` builds the examples, too; with `--test readme` it does not";
    assert!(program.exists(), "{} is missing: {advice}", program.display());
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(&program).args(arguments).stdin(Stdio::null());
    let output = shell.current_dir(repository()).env("DEMO_AFTER_MS", after_ms).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.is_empty(), "{}: {}, and it prints nothing", program.display(), output.status);
    text
}

/// Where Cargo puts the programs: this test is `deps/readme-…` in it.
fn folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf()
}

/// The words of a text, without what differs from run to run. The README may break a line anywhere between two words.
fn comparable(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (pattern, instead) in [
        // What a late poll had done when it was reported.
        (r"has not reached an `.await` .*? (Move what blocks)", "has not reached an `.await` _ $1"),
        (r"\b\d+(\.\d+)? ?(ns|µs|ms|s)\b", "_"),
        (r"\btask \d+", "task _"),
        (r"#\d+", "#_"),
        (r"\b\d+ polls?\b", "_ polls"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
    }
    text
}

/// The first part that is not in the output, or not behind the part before it. `…` is for what is left out between two parts.
fn missing(shown: &str, output: &str) -> Option<String> {
    // A part begins and ends at a word.
    let output = format!(" {} ", comparable(output));
    let mut rest = output.as_str();
    let mut parts = shown.split('…').map(comparable).filter(|part| !part.is_empty());
    parts.find(|part| match rest.find(&format!(" {part} ")) {
        Some(at) => {
            rest = &rest[at + 1 + part.len()..];
            false
        }
        None => true,
    })
}

#[test]
fn each_text_in_the_readme_is_what_its_command_prints() {
    let shown = shown();
    assert_eq!(shown.len(), 3, "a report, a dump and a seed: has the form of the page changed?");
    for Shown { command, text } in shown {
        let mut wrong = None;
        for after_ms in AFTER_MS {
            let output = printed(&command, after_ms);
            wrong = missing(&text, &output).map(|part| (part, output));
            if wrong.is_none() {
                break;
            }
        }
        if let Some((part, output)) = wrong {
            panic!("README.md shows what `{command}` does not print:\n{part}\nIt prints:\n{output}");
        }
    }
}

/// The line that the README shows last is a command, and it fails in the same way.
#[test]
fn the_seed_in_the_readme_repeats_its_run() {
    let replay = shown().pop().unwrap().text;
    let replay = Regex::new(r"hash (\w+) of \d+ events; to repeat this run:\s+REDD_SEED=(\d+) cargo test .*-- (.*)")
        .unwrap()
        .captures(&replay)
        .map(|found| [1, 2, 3].map(|group| found[group].to_owned()));
    let [hash, seed, arguments] = replay.expect("the last line is the command that repeats the run");
    let mut test = Command::new(std::env::current_exe().unwrap());
    let output = test.env("REDD_SEED", &seed).args(arguments.split(' ')).output().unwrap();
    assert!(!output.status.success(), "seed {seed} does not fail with {arguments}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains(&format!("hash {hash} ")), "another run than {hash}:\n{printed}");
}

#[test]
fn what_differs_from_run_to_run_is_not_compared_and_the_rest_is() {
    let output = "a\nredd: task 3 waits for 1.5s;\n  b 2 polls\nlast #1\n";
    for same in ["redd: task 7 waits\n   for 20ms;", "a … #2", "b 1 poll"] {
        assert_eq!(missing(same, output), None, "{same}");
    }
    for other in ["redd: task 7 sleeps", "b … a", "waits for 3 tasks"] {
        assert!(missing(other, output).is_some(), "{other}");
    }
}
