//! The lanes of this repository: `cargo xtask ci` runs what a change has to pass, `cargo xtask deep` the longer checks,
//! and `cargo xtask LANE` one lane.
//!
//! Called by contributors and by `.ci/run`.

mod book;
mod compat;
mod demos;
mod dependencies;
mod drawing;
mod instructions;
mod lanes;
mod mutants;
mod packages;
mod peers;
mod plural;
mod suites;
mod switch;
mod tidy;
mod track;
mod tracked;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let passed = match arguments.as_slice() {
        ["ci"] => lanes::run_all(&root),
        ["deep"] => lanes::run_deep(&root),
        ["random", options @ ..] if !options.is_empty() => {
            match (number(options, "--seeds"), number(options, "--from")) {
                (Some(seeds), Some(from)) => lanes::run_random(&root, seeds.unwrap_or(1), from.unwrap_or(0)),
                _ => usage(),
            }
        }
        ["shuttle", options @ ..] if !options.is_empty() => {
            match (number(options, "--seeds"), number(options, "--from")) {
                (Some(seeds), Some(from)) => {
                    lanes::run_shuttle(&root, seeds.unwrap_or(1000), from.unwrap_or(0), last_text(options))
                }
                _ => usage(),
            }
        }
        ["soak", "--minutes", minutes] => lanes::run_soak(&root, minutes),
        ["crawl-kill", "--runs", kills] => match kills.parse() {
            Ok(kills) => lanes::run_crawl_kill(&root, kills),
            Err(_) => usage(),
        },
        ["fuzz", "--seconds", seconds] => match seconds.parse() {
            Ok(seconds) => lanes::run_fuzz(&root, seconds),
            Err(_) => usage(),
        },
        ["suites", "--runs", runs] => match runs.parse() {
            Ok(runs) => lanes::run_suites(&root, runs),
            Err(_) => usage(),
        },
        ["suites-in-world", options @ ..] if !options.is_empty() => match number(options, "--seeds") {
            Some(seeds) => lanes::run_suites_in_world(&root, seeds.unwrap_or(1), last_text(options)),
            None => usage(),
        },
        ["switch", programs @ ..] if !programs.is_empty() => lanes::run_switch(&root, programs),
        ["mutants", file] => lanes::run_mutants(&root, file),
        ["loom", "--shadow"] => lanes::find("loom-shadow").is_some_and(|lane| lanes::run(&root, &[lane])),
        ["api-diff", "--record"] => lanes::record_api(&root),
        ["book", "--write"] => lanes::write_drawing(&root),
        ["own-api", "--record"] => lanes::record_own_api(&root),
        ["track", options @ ..] => match track::Options::read(options) {
            Some(options) => track::track(&root, &options),
            None => usage(),
        },
        ["browser", "--write"] => lanes::write_pictures(&root),
        ["demos", "--write"] => lanes::write_demos(&root),
        ["dependencies", "--write"] => dependencies::write_text(&root),
        ["tidy", "--write"] => tidy::write_lists(&root),
        ["instructions", "--bless"] => lanes::bless_instructions(&root),
        [lane] => match lanes::find(lane) {
            Some(lane) => lanes::run(&root, &[lane]),
            None => usage(),
        },
        _ => usage(),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The number after `name`, if it is given; `None` if the argument after it is not a number.
fn number(options: &[&str], name: &str) -> Option<Option<u64>> {
    match options.iter().position(|option| *option == name) {
        None => Some(None),
        Some(at) => options.get(at + 1).and_then(|text| text.parse().ok()).map(Some),
    }
}

/// The text after all options and their numbers, or nothing.
fn last_text<'a>(options: &[&'a str]) -> &'a str {
    options.last().filter(|text| options.len() % 2 == 1 && !text.starts_with("--")).copied().unwrap_or("")
}

/// The repository: this crate's folder is in it. Cargo sets the variable when it runs us.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("xtask"), PathBuf::from);
    here.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn usage() -> bool {
    eprintln!("usage: cargo xtask ci       what a change has to pass: all of these lanes");
    print_lanes(lanes::LANES);
    eprintln!("       cargo xtask deep     what a release has to pass, too: all of these lanes");
    print_lanes(lanes::DEEP);
    eprintln!("in neither:");
    print_lanes(lanes::ALONE);
    eprintln!("       cargo xtask LANE     one lane; if the machine lacks something, it prints SKIPPED and why");
    eprintln!("lanes with options:");
    for (call, purpose) in [
        ("dependencies --write", "put the packages of a user's lock file into docs/compatibility.md"),
        ("tidy --write", "renew the committed lists that `tidy` compares with"),
        ("book --write", "draw the picture of how redd works"),
        ("browser --write", "put the pictures of pages into the guide"),
        ("demos --write", "put the output of the programs into the guide"),
        ("instructions --bless", "store the current counts"),
        ("loom --shadow", "the models with shadows: the lane `loom-shadow`"),
        ("shuttle --seeds N --from S [MODEL]", "as many schedules, from that seed, of all models or one"),
        ("fuzz --seconds N", "for so many seconds"),
        ("mutants FILE", "only the changes of that file, such as `task/state.rs`"),
        ("random --seeds N --from S", "as many random programs, from that seed"),
        ("soak --minutes N", "for so many minutes"),
        ("crawl-kill --runs N", "as many kills"),
        ("api-diff --record", "write the record of Tokio's API again"),
        ("own-api --record", "accept the API that redd has now"),
        ("suites --runs N", "the tests of Tokio and its companions, so many times in a row"),
        (
            "suites-in-world --seeds N [TEXT]",
            "as many seeds, of the tests with that text in their name, and of the companions",
        ),
        ("switch [--write] NAME…", "only these published programs; writes no table, or only their rows of it"),
    ] {
        eprintln!("       cargo xtask {call:<36} {purpose}");
    }
    eprintln!("a command that compares, and edits nothing:");
    eprintln!("       cargo xtask track [VERSION] [--from OLD] [--no-suite | --tests TEXT]");
    eprintln!(
        "                            what a Tokio of the registry, by default the newest, has that the facade lacks"
    );
    eprintln!("variables: REDD_STRESS=N, rounds of `tsan`; REDD_MIRI_SEEDS=N, seeds of `miri`");
    false
}

fn print_lanes(lanes: &[lanes::Lane]) {
    for lane in lanes {
        eprintln!("           {:<16} {}", lane.name, lane.purpose);
    }
}
