//! Crawls that many processes share through Debian's nats-server.
//!
//! Called by `cargo xtask jetstream`. The tests themselves are in the crate `redd-crawler`, and run in `test`, too, where there is
//! a nats-server.

use std::path::Path;
use std::process::{Command, Stdio};

use super::commands::{cargo, for_each_line};
use super::outcome::Outcome;

/// How the kill test begins the line with its counts.
const KILLS: &str = "kills: ";
/// How many pages that test crawls here.
const KILL_PAGES: &str = "2000";
/// Where Debian puts the server, if the path of commands does not have it.
const PLACES: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];

pub(super) fn jetstream(root: &Path) -> Outcome {
    let runs = |program: &str| {
        let status = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !PLACES.iter().any(|program| runs(program)) {
        return Outcome::skipped("there is no nats-server (Debian: apt-get install nats-server)");
    }
    // The engine alone, and then whole processes. One at a time, so that a machine with few processors keeps its leases.
    let engine =
        ["test", "--release", "-p", "redd-crawler", "--bin", "redd-crawl", "engine::", "--", "--test-threads=4"];
    let processes =
        ["test", "--release", "-p", "redd-crawler", "--test", "jetstream", "--", "--nocapture", "--test-threads=1"];
    let mut counts = None;
    let mut succeeded = true;
    for arguments in [&engine[..], &processes] {
        let mut command = cargo(root, arguments);
        command.env("REDD_JETSTREAM_KILL_PAGES", KILL_PAGES);
        succeeded &= for_each_line(&mut command, |line| {
            if let Some((_, rest)) = line.split_once(KILLS) {
                counts = Some(rest.to_owned());
            }
        });
    }
    let note = counts.clone().unwrap_or_else(|| "the kill test did not come to its end".to_owned());
    Outcome { passed: succeeded && counts.is_some(), note }
}
