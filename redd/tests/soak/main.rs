//! A service under load: no accepted request is lost, and memory, descriptors and threads stay constant.
//!
//! The service runs in its own process, so only its resources are measured. The load sends every kind of request,
//! restarts its clients, and gives up on some. At the end the counts of both sides must agree.
//!
//! `cargo xtask soak --minutes 30` writes `target/soak/soak.csv` and `soak.svg`. Without `--minutes` the run is short,
//! and only the counts are checked, not the resources.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::print_stdout, reason = "a program without a harness reports by itself")]
#![allow(clippy::disallowed_methods, reason = "threads and clocks of the outside world; one request blocks on purpose")]

#[path = "../../src/sys/emulation.rs"]
mod emulation;
mod load;
mod plot;
mod service;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A second's sample of the service's process and of what its clients saw.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    seconds: f64,
    requests: u64,
    p50_ms: f64,
    p99_ms: f64,
    rss_kib: u64,
    threads: usize,
    descriptors: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "--service") {
        service::run();
        return;
    }
    if emulation::skips("soak", "the program cannot start itself") {
        return;
    }
    let minutes = arguments.iter().position(|word| word == "--minutes").map(|at| {
        let text = arguments.get(at + 1).map_or("", String::as_str);
        text.parse::<f64>().unwrap_or_else(|_| panic!("`--minutes` takes a number, not {text:?}"))
    });
    let long = minutes.is_some();
    let seed = option_env_seed();
    let length = minutes.map_or(Duration::from_secs(3), |minutes| Duration::from_secs_f64(minutes * 60.0));

    let (mut service, mut said) = start_service();
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap_or_else(|_| panic!("the service says its port, not {line:?}"));
    let idle = resources(service.id());
    println!("soak: {} s, seed {seed}, service {}", length.as_secs_f64(), service.id());
    let pid = service.id();
    let (totals, samples) = load::run(port, length, seed, &mut || resources(pid));
    let settled = settle(service.id(), idle, long);

    // When its standard input ends, the service drains, prints its totals and exits.
    drop(service.stdin.take());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    let status = service.wait().unwrap();
    let mut failures = Vec::new();
    if !status.success() {
        failures.push(format!("the service ended with {status}"));
    }
    let told = |name: &str| -> u64 {
        let found = rest.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
    };
    println!("service: {}", rest.trim());
    println!("load: {totals}");
    judge_counts(&totals, &told, &mut failures);
    if long {
        judge_resources(&samples, idle, settled, &mut failures);
        plot::write(&samples, seed);
    }
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    let lost = totals.sent - totals.answered - totals.abandoned;
    println!("soak: {} requests, {lost} lost", totals.sent);
    // The form of programs without a harness. Each run counts as one check.
    println!("{} passed, {} failed", u8::from(failures.is_empty()), failures.len());
    std::process::exit(i32::from(!failures.is_empty()));
}

/// `REDD_SEED`, or a number from the clock. It is printed, so that a run can be repeated.
fn option_env_seed() -> u64 {
    std::env::var("REDD_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |since| u64::from(since.subsec_nanos()))
    })
}

fn start_service() -> (Child, BufReader<ChildStdout>) {
    let mut service = Command::new(std::env::current_exe().unwrap())
        .arg("--service")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(service.stdout.take().unwrap());
    (service, said)
}

/// Resident KiB, threads and descriptors of a process.
fn resources(process: u32) -> (u64, usize, usize) {
    let count = |name: &str| std::fs::read_dir(format!("/proc/{process}/{name}")).map_or(0, Iterator::count);
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    (rss.unwrap_or(0), count("task"), count("fd"))
}

/// After the load: waits until the idle service has as many threads and descriptors as at the start, at most 30
/// seconds.
fn settle(process: u32, idle: (u64, usize, usize), long: bool) -> (u64, usize, usize) {
    let since = Instant::now();
    loop {
        let now = resources(process);
        if (now.1 <= idle.1 && now.2 <= idle.2) || !long || since.elapsed() > Duration::from_secs(30) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn judge_counts(totals: &load::Totals, told: &dyn Fn(&str) -> u64, failures: &mut Vec<String>) {
    let mut check = |is_so: bool, what: String| {
        if !is_so {
            failures.push(what);
        }
    };
    check(totals.sent == totals.answered + totals.abandoned, format!("requests without an answer: {totals}"));
    check(totals.wrong == 0, format!("{} wrong answers", totals.wrong));
    check(totals.answered > 0, "nothing was answered".to_owned());
    let (accepted, answered, unsent) = (told("accepted"), told("answered"), told("unsent"));
    check(
        accepted == answered + unsent,
        format!("the service accepted {accepted}, answered {answered}, could not send {unsent}"),
    );
    check(unsent <= totals.abandoned, format!("{unsent} answers unsent, but {} clients left", totals.abandoned));
    check(answered >= totals.answered, format!("more answers received than sent: {answered} of the service, {totals}"));
    let (spawned, ended) = (told("spawned"), told("ended"));
    check(spawned == ended, format!("{spawned} tasks were spawned and {ended} ended"));
    check(told("alive") == 0, format!("{} tasks are alive after the end", told("alive")));
    check(told("wrong") == 0, format!("{} of the service's own checks failed", told("wrong")));
}

/// Resources are constant if the last quarter needs no more than the second one, except for the noise of one sample.
fn judge_resources(
    samples: &[Sample],
    idle: (u64, usize, usize),
    settled: (u64, usize, usize),
    failures: &mut Vec<String>,
) {
    let quarter = samples.len() / 4;
    if quarter == 0 {
        failures.push("too short to judge: fewer than four samples".to_owned());
        return;
    }
    let (second, last) = (&samples[quarter..2 * quarter], &samples[samples.len() - quarter..]);
    let most = |part: &[Sample], of: fn(&Sample) -> u64| part.iter().map(of).max().unwrap_or(0);
    let median = |part: &[Sample], of: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = part.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut compare = |what: &str, before: u64, after: u64, slack: u64| {
        println!("{what}: {before} in the second quarter, {after} in the last");
        if after > before + slack {
            failures.push(format!("{what} grew from {before} to {after}"));
        }
    };
    let rss = most(second, |sample| sample.rss_kib);
    compare("resident KiB", rss, most(last, |sample| sample.rss_kib), rss / 5 + 4096);
    compare("threads", most(second, |sample| sample.threads as u64), most(last, |sample| sample.threads as u64), 16);
    compare(
        "descriptors",
        most(second, |sample| sample.descriptors as u64),
        most(last, |sample| sample.descriptors as u64),
        32,
    );
    let (before, after) = (median(second, |sample| sample.p99_ms), median(last, |sample| sample.p99_ms));
    println!("p99: {before:.2} ms in the second quarter, {after:.2} ms in the last (medians of samples)");
    if after > before * 3.0 + 5.0 {
        failures.push(format!("p99 grew from {before:.2} to {after:.2} ms"));
    }
    println!("idle service: {idle:?} before the load, {settled:?} after it (KiB, threads, descriptors)");
    if settled.1 > idle.1 || settled.2 > idle.2 {
        failures.push(format!("threads or descriptors are left: {idle:?} before, {settled:?} after"));
    }
}
