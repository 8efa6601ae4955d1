//! Compares servers on io_uring with the same servers on redd, on Tokio and on a bare loop around epoll (decision 0023).
//!
//! `cargo run --release [-- [--rounds N] [--half-load] [--built] [--also BINARY]… [ROW…]]`; a row is for example
//! `http_hyper_512`. The rounds are interleaved, and the servers take turns at being first. `--built` starts the binaries as
//! they are. `--also` adds a binary that lies beside this one, for example another build of `serve-redd`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

#[allow(dead_code, reason = "the other benchmarks use the rest")]
#[path = "../../../compare/src/load.rs"]
mod load;

use load::{Load, Pace, Protocol};

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

struct Options {
    rounds: usize,
    half_load: bool,
    is_built: bool,
    also: Vec<String>,
    wanted: Vec<String>,
}

fn main() -> ExitCode {
    let mut options = Options { rounds: 9, half_load: false, is_built: false, also: Vec::new(), wanted: Vec::new() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => options.rounds = args.next().and_then(|text| text.parse().ok()).unwrap_or(9).max(1),
            "--half-load" => options.half_load = true,
            "--built" => options.is_built = true,
            "--also" => options.also.extend(args.next()),
            row => options.wanted.push(row.to_owned()),
        }
    }
    match compare(&options) {
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
    let mut server = Server::start(binary, kind, counts)?;
    let mut load = Load::connect(protocol, server.port, connections).map_err(|error| error.to_string())?;
    // At half load the tail needs a longer run.
    let length = if matches!(pace, Pace::Closed) { LENGTH } else { LENGTH * 4 };
    load::run(&mut load, pace, length / 4).map_err(|error| error.to_string())?;
    server.costs()?;
    let outcome = load::run(&mut load, pace, length).map_err(|error| error.to_string())?;
    let costs = server.costs()?;
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
        resident_mib: server.resident_mib(),
    })
}

/// Builds the other servers beside this binary.
fn build(folder: &Path) -> Result<(), String> {
    let target = folder.parent().ok_or("the target folder is above")?;
    let bench = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    for (place, packages) in [
        (bench.clone(), &["serve-tokio", "serve-epoll"][..]),
        (bench.join("serve-redd"), &["serve-redd"][..]),
        (bench.join("serve-uring"), &["serve-uring"][..]),
    ] {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--release", "--quiet", "--target-dir"]).arg(target).current_dir(&place);
        for package in packages {
            command.args(["-p", package]);
        }
        let status = command.status().map_err(|error| format!("cargo could not be started: {error}"))?;
        if !status.success() {
            return Err("the servers do not build; see above".into());
        }
    }
    Ok(())
}

/// A server's process. It ends when its input is closed.
struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl Server {
    fn start(binary: &Path, kind: &str, counts: bool) -> Result<Server, String> {
        let mut command = Command::new(binary);
        command.args([kind, "2"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        if counts {
            command.arg("counts");
        }
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("a pipe was asked for")?);
        let mut server = Server { child, input, output, port: 0 };
        let line = server.line()?;
        server.port = line.trim().parse().map_err(|_| format!("not a port: {line}"))?;
        Ok(server)
    }

    fn costs(&mut self) -> Result<serde_json::Value, String> {
        let input = self.input.as_mut().ok_or("the server was stopped")?;
        input.write_all(b"\n").map_err(|error| format!("the server does not listen: {error}"))?;
        let line = self.line()?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(1..) => Ok(line),
            Ok(_) => Err("the server ended".into()),
            Err(error) => Err(format!("the server does not speak: {error}")),
        }
    }

    fn resident_mib(&self) -> f64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap_or_default();
        let pages: f64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        pages * 4096.0 / f64::from(1 << 20)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.input = None;
        drop(self.child.wait());
    }
}
