//! Compares servers on io_uring with the same servers on redd, on Tokio and on a bare loop around epoll (decision 0023).
//!
//! `cargo run --release [-- [--rounds N] [--half-load] [--built] [--also BINARY]… [ROW…]]`; a row is for example
//! `http_hyper_512`. The rounds are interleaved, and the servers take turns at being first. `--built` starts the binaries as
//! they are. `--also` adds a binary that lies beside this one, for example another build of `serve-redd`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

#[path = "../../../compare/src/cargo.rs"]
mod cargo;
#[allow(dead_code, reason = "the other benchmarks use the rest")]
#[path = "../../../compare/src/load.rs"]
mod load;
#[path = "../../../compare/src/process.rs"]
mod process;

use load::{Load, Pace, Protocol};
use process::Server;

/// A server: its label, binary, and what is appended to the kind.
const SERVERS: [(&str, &str, &str); 6] = [
    ("redd", "serve-redd", ""),
    ("Tokio", "serve-tokio", ""),
    ("redd, a runtime per core", "serve-uring", "_cores"),
    ("bare epoll", "serve-epoll", ""),
    ("ring", "serve-uring", ""),
    ("ring, interrupting", "serve-uring", "_interrupting"),
];
const REDD: usize = 0;
const TOKIO: usize = 1;
const EPOLL: usize = 3;
const RING: usize = 4;

const ROWS: [(&str, &str, Protocol, usize); 4] = [
    ("tcp_echo_64", "tcp_echo", Protocol::TcpEcho, 64),
    ("tcp_echo_512", "tcp_echo", Protocol::TcpEcho, 512),
    ("http_hyper_64", "http_hyper", Protocol::Http, 64),
    ("http_hyper_512", "http_hyper", Protocol::Http, 512),
];
const LENGTH: Duration = Duration::from_millis(500);

/// One run. Costs are per request.
#[derive(Clone, Copy, Default)]
struct Run {
    cpu_ns: f64,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    switches: f64,
    system_calls: f64,
    resident_mib: f64,
}

#[derive(Debug, PartialEq)]
struct Options {
    rounds: usize,
    half_load: bool,
    is_built: bool,
    also: Vec<String>,
    wanted: Vec<String>,
}

const USAGE: &str = "usage: compare-uring [--rounds N] [--half-load] [--built] [--also BINARY]… [ROW…]";

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options =
            Options { rounds: 9, half_load: false, is_built: false, also: Vec::new(), wanted: Vec::new() };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--rounds" => {
                    let rounds = args.next().and_then(|text| text.parse().ok()).filter(|rounds| *rounds > 0);
                    options.rounds = rounds.ok_or_else(|| format!("`--rounds` needs a number above 0. {USAGE}"))?;
                }
                "--half-load" => options.half_load = true,
                "--built" => options.is_built = true,
                "--also" => {
                    let binary = args.next().ok_or_else(|| format!("`--also` needs the name of a binary. {USAGE}"))?;
                    options.also.push(binary);
                }
                option if option.starts_with('-') => return Err(format!("there is no option `{option}`. {USAGE}")),
                row if ROWS.iter().any(|(name, ..)| *name == row) => options.wanted.push(row.to_owned()),
                row => {
                    let names = ROWS.map(|(name, ..)| name).join(", ");
                    return Err(format!("no row is called `{row}`; there are {names}. {USAGE}"));
                }
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| compare(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(options: &Options) -> Result<(), String> {
    let me = std::env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    let folder = me.parent().ok_or("a binary is in a folder")?;
    if !options.is_built {
        build(folder)?;
    }
    let mut servers = SERVERS.to_vec();
    servers.extend(options.also.iter().map(|binary| (binary.as_str(), binary.as_str(), "")));
    for (row, kind, protocol, connections) in ROWS {
        if !options.wanted.is_empty() && !options.wanted.iter().any(|wanted| wanted == row) {
            continue;
        }
        let run = |server: usize, pace, counts| {
            let (label, binary, suffix) = servers[server];
            run(&folder.join(binary), &format!("{kind}{suffix}"), protocol, connections, pace, counts)
                .map_err(|error| format!("{row} on {label}: {error}"))
        };
        let pace = if options.half_load {
            Pace::PerSecond(run(TOKIO, Pace::Closed, false)?.per_second / 2.0)
        } else {
            Pace::Closed
        };
        let mut runs = vec![Vec::new(); servers.len()];
        for round in 0..options.rounds {
            for turn in 0..servers.len() {
                let server = (round + turn) % servers.len();
                runs[server].push(run(server, pace, false)?);
            }
        }
        let mut counted = Vec::new();
        for server in 0..servers.len() {
            counted.push(run(server, pace, true)?.system_calls);
        }
        print(row, &servers, &runs, &counted);
    }
    Ok(())
}

fn print(row: &str, servers: &[(&str, &str, &str)], runs: &[Vec<Run>], counted: &[f64]) {
    println!("\n### {row}, {} rounds\n", runs[REDD].len());
    println!(
        "| server | CPU ns/request (min–max) | to redd (min–max) | requests/s | p50 µs | p99 µs (min–max) | p99.9 µs | switches/1000 | system calls/1000 | RSS MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for ((runs_here, (label, ..)), system_calls) in runs.iter().zip(servers).zip(counted) {
        let of = |value: fn(&Run) -> f64| spread(runs_here.iter().map(value));
        let (cpu, p99) = (of(|run| run.cpu_ns), of(|run| run.p99_us));
        let ratio = spread(runs_here.iter().zip(&runs[REDD]).map(|(run, redd)| run.cpu_ns / redd.cpu_ns));
        println!(
            "| {label} | {:.0} ({:.0}–{:.0}) | {:.2} ({:.2}–{:.2}) | {:.0} | {:.0} | {:.0} ({:.0}–{:.0}) | {:.0} | {:.0} | {:.0} | {:.1} |",
            cpu.1,
            cpu.0,
            cpu.2,
            ratio.1,
            ratio.0,
            ratio.2,
            of(|run| run.per_second).1,
            of(|run| run.p50_us).1,
            p99.1,
            p99.0,
            p99.2,
            of(|run| run.p999_us).1,
            of(|run| run.switches).1 * 1000.0,
            system_calls * 1000.0,
            of(|run| run.resident_mib).1,
        );
    }
    // What redd would gain if its way to the kernel became the ring's: the difference of the two loops, both without a runtime.
    let gain = |ring: &Run, epoll: &Run, redd: &Run| (epoll.cpu_ns - ring.cpu_ns) / redd.cpu_ns * 100.0;
    let gains =
        runs[RING].iter().zip(&runs[EPOLL]).zip(&runs[REDD]).map(|((ring, epoll), redd)| gain(ring, epoll, redd));
    let (min, median, max) = spread(gains);
    println!("\nbare epoll − ring, in percent of redd: {median:.1} ({min:.1} to {max:.1})");
}

/// Minimum, median, maximum.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}

fn run(
    binary: &Path,
    kind: &str,
    protocol: Protocol,
    connections: usize,
    pace: Pace,
    counts: bool,
) -> Result<Run, String> {
    let mut command = Command::new(binary);
    command.args([kind, "2", if counts { "counts" } else { "timed" }]);
    let mut server = Server::spawn(command)?;
    let mut load = Load::connect(protocol, server.port, connections).map_err(|error| error.to_string())?;
    // At half load the tail needs a longer run.
    let length = if matches!(pace, Pace::Closed) { LENGTH } else { LENGTH * 4 };
    load::run(&mut load, pace, length / 4).map_err(|error| error.to_string())?;
    server.ask("")?;
    let outcome = load::run(&mut load, pace, length).map_err(|error| error.to_string())?;
    let line = server.ask("")?;
    let costs: serde_json::Value = serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))?;
    let requests = outcome.requests as f64;
    let number = |name: &str| costs[name].as_f64().unwrap_or(f64::NAN);
    let latency = |part: f64| outcome.latencies[((outcome.latencies.len() - 1) as f64 * part) as usize] / 1000.0;
    Ok(Run {
        cpu_ns: number("cpu_ns") / requests,
        per_second: requests / length.as_secs_f64(),
        p50_us: latency(0.5),
        p99_us: latency(0.99),
        p999_us: latency(0.999),
        switches: number("voluntary") / requests,
        system_calls: number("system_calls") / requests,
        resident_mib: server.status()?("VmRSS:")? / 1024.0,
    })
}

/// Builds the other servers beside this binary.
fn build(folder: &Path) -> Result<(), String> {
    let target = folder.parent().ok_or("the target folder is above")?;
    let bench = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    cargo::build(&bench, target, &["serve-tokio", "serve-epoll"])?;
    cargo::build(&bench.join("serve-redd"), target, &["serve-redd"])?;
    cargo::build(&bench.join("serve-uring"), target, &["serve-uring"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_mistyped_option_is_an_error_that_names_it() {
        let options = parse("--rounds 3 --built --also old http_hyper_64").expect("it is right");
        assert_eq!((options.rounds, options.is_built, options.half_load), (3, true, false));
        assert_eq!((options.also, options.wanted), (vec!["old".to_owned()], vec!["http_hyper_64".to_owned()]));
        for (line, named) in [
            ("--halfload", "`--halfload`"),
            ("--rounds", "`--rounds`"),
            ("--rounds none", "`--rounds`"),
            ("--rounds 0", "`--rounds`"),
            ("--also", "`--also`"),
            ("http_hyper", "`http_hyper`"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(named) && error.contains("usage"), "{error}");
        }
    }
}
