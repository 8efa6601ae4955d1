//! Crawls that are killed at random moments and continued.
//!
//! Called by `cargo xtask crawl-kill`. The test itself is in the crate `redd-crawler`, and runs in `test`, too, with a few kills.

use std::path::Path;
use std::time::Duration;

use super::commands::{cargo, for_each_line};
use super::outcome::Outcome;

/// So many kills take about three minutes.
const KILLS: u64 = 200;

/// More kills take longer. After this time for each, the lane has failed.
const WATCHDOG: Duration = Duration::from_secs(5);

pub(super) fn crawl_kill(root: &Path) -> Outcome {
    kill(root, KILLS)
}

/// The lane of this name, with so many kills.
pub(crate) fn run_crawl_kill(root: &Path, kills: u64) -> bool {
    let outcome = kill(root, kills);
    println!("crawl-kill: {}, {}", outcome.word(), outcome.note);
    outcome.passed
}

fn kill(root: &Path, kills: u64) -> Outcome {
    let arguments = [
        "test",
        "--release",
        "-p",
        "redd-crawler",
        "--test",
        "crawl",
        "--",
        "--exact",
        "--nocapture",
        "kills::a_crawl_that_is_killed_goes_on_and_fetches_nothing_twice_that_it_has_stored",
    ];
    let mut command = cargo(root, &arguments);
    command.env("REDD_CRAWL_KILLS", kills.to_string());
    command
        .env("REDD_CRAWL_KILLS_SECONDS", (WATCHDOG * u32::try_from(kills).unwrap_or(u32::MAX)).as_secs().to_string());
    let mut counts = None;
    let succeeded = for_each_line(&mut command, |line| {
        if let Some((_, rest)) = line.split_once("kills: ") {
            counts = Some(rest.to_owned());
        }
    });
    let note = counts.clone().unwrap_or_else(|| "it did not come to its end".to_owned());
    Outcome { passed: succeeded && counts.is_some(), note }
}
