//! Runs of the binary.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redd::process::Command;
use redd::time::timeout;
use serde_json::Value;

/// A state directory that no other crawl uses.
pub(crate) fn state_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("state-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The binary, with a state directory of its own.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redd-crawl"));
    command.env("XDG_STATE_HOME", state_folder());
    command
}

/// Runs the binary. A run that does not end is a failure.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    run_to(Stdio::piped(), arguments).await
}

/// Like [`run`], with another standard output.
pub(crate) async fn run_to(stdout: Stdio, arguments: &[&str]) -> Output {
    run_with(arguments, |command| {
        command.stdout(stdout);
    })
    .await
}

/// Like [`run`], with a command that was changed.
pub(crate) async fn run_with(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Output {
    let mut command = program();
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    change(&mut command);
    let child = command.spawn().unwrap();
    timeout(Duration::from_secs(60), child.wait_with_output()).await.expect("the crawl ends").unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A crawl without retries whose result is read as JSON.
pub(crate) async fn crawl(url: &str, more: &[&str]) -> (Value, Output) {
    let mut arguments = vec!["--json", "-", "--retries", "0", "--timeout", "5s", url];
    arguments.extend(more);
    let output = run(&arguments).await;
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", stderr(&output)));
    (value, output)
}

/// The entry of a broken link.
pub(crate) fn broken<'a>(value: &'a Value, url: &str) -> &'a Value {
    let broken = value["broken"].as_array().unwrap().iter().find(|broken| broken["url"] == url);
    broken.unwrap_or_else(|| panic!("{url} is not among the broken: {value:#}"))
}

/// Why a link is broken.
pub(crate) fn reason<'a>(value: &'a Value, url: &str) -> &'a str {
    broken(value, url)["reason"].as_str().unwrap()
}

/// The entry of a page that is not broken, if it was reached.
pub(crate) fn find_page<'a>(value: &'a Value, url: &str) -> Option<&'a Value> {
    value["pages"].as_array().unwrap().iter().find(|page| page["url"] == url)
}

/// A file of the tests' own that does not exist yet.
pub(crate) fn scratch(name: &str) -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(std::fs::remove_file(&path));
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}
