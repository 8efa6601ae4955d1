//! Rows of programs that users recognise. Each is one source, in `bench/apps`, and is built for both runtimes with the
//! same versions of all crates.
//!
//! As in `servers`, a program is a process of its own, and only its costs are counted. A missing or wrong response makes
//! the run fail.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::cargo;
use crate::exchanges::{Exchange, Exchanges};
use crate::load::{self, Outcome, Pace};
use crate::measure::{Measure, Runtime};
use crate::process::Server;
use crate::servers::{LONGER, WORKERS};

#[derive(Clone, Copy)]
pub struct AppRow {
    pub name: &'static str,
    program: Program,
    /// Whether requests come at half of the rate that Tokio's program reaches.
    pub half_load: bool,
}

#[derive(Clone, Copy)]
enum Program {
    /// A static file server. Each connection asks for one file after another.
    Files { size: usize, count: usize },
    /// A reverse proxy. The server behind it is a third process, on Tokio, and its costs are not counted.
    Proxy,
    /// WebSockets in one chat room. A request is one delivery of a message to one member.
    Chat { members: usize },
    /// Unary calls, eight at a time on each connection.
    Grpc { connections: usize },
    /// Jobs for blocking threads, from callers in the same process.
    Queue,
}

/// How the names of all of these rows begin.
pub const PREFIX: &str = "app_";
pub const RUNTIMES: &[Runtime] = &[Runtime::Redd, Runtime::Tokio];

const CONNECTIONS: usize = 64;

pub fn rows() -> Vec<AppRow> {
    let small = Program::Files { size: 4 << 10, count: 64 };
    let large = Program::Files { size: 1 << 20, count: 16 };
    let both = |name, name_half, program| {
        [AppRow { name, program, half_load: false }, AppRow { name: name_half, program, half_load: true }]
    };
    let mut rows = [
        both("app_files_4k", "app_files_4k_half_load", small),
        both("app_files_1m", "app_files_1m_half_load", large),
        both("app_proxy", "app_proxy_half_load", Program::Proxy),
        both("app_chat_1000", "app_chat_1000_half_load", Program::Chat { members: 1000 }),
        both("app_grpc", "app_grpc_half_load", Program::Grpc { connections: 8 }),
    ]
    .concat();
    // Not at half load: the callers are in the same process, and what wakes them would be measured, too.
    rows.push(AppRow { name: "app_queue", program: Program::Queue, half_load: false });
    rows
}

/// Builds the programs into the target folder, and checks that both have the same crates.
pub fn build(workspace: &Path, target: &Path) -> Result<(), String> {
    let mut locked = Vec::new();
    for runtime in RUNTIMES {
        let package = workspace.join(format!("apps-{}", runtime.suffix()));
        cargo::build(&package, target, &[])?;
        let lock = package.join("Cargo.lock");
        locked.push(std::fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?);
    }
    same_versions(&locked[0], &locked[1])
}

/// Whether each crate that both lock files name has the versions of Tokio's lock file in redd's, too.
fn same_versions(redd: &str, tokio: &str) -> Result<(), String> {
    let (redd, tokio) = (versions(redd), versions(tokio));
    let differing: Vec<&str> = tokio
        .iter()
        .filter(|(name, versions)| redd.get(*name).is_some_and(|ours| !versions.is_subset(ours)))
        .map(|(name, _)| *name)
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "bench/apps-redd/Cargo.lock and bench/apps-tokio/Cargo.lock have different versions of {}. \
         Make them equal with `cargo update -p NAME --precise VERSION` in one of the folders.",
        differing.join(", ")
    ))
}

fn versions(lock: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all = BTreeMap::<_, BTreeSet<_>>::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(quoted) = line.strip_prefix("name = ") {
            name = quoted;
        } else if let Some(quoted) = line.strip_prefix("version = ").filter(|_| !name.is_empty()) {
            all.entry(name.trim_matches('"')).or_default().insert(quoted.trim_matches('"'));
        }
    }
    all
}

impl AppRow {
    /// The row at full load, if this is one at half load.
    pub fn at_full_load(&self) -> Option<AppRow> {
        self.half_load.then_some(AppRow { half_load: false, ..*self })
    }

    /// One run. `rate` is for half load.
    pub fn run(
        &self,
        folder: &Path,
        runtime: Runtime,
        length: Duration,
        rate: f64,
        counts: bool,
    ) -> Result<Measure, String> {
        let pace = if self.half_load { Pace::PerSecond(rate) } else { Pace::Closed };
        let measure = match self.program {
            Program::Files { size, count } => files(folder, runtime, (size, count), pace, length * LONGER, counts),
            Program::Proxy => proxy(folder, runtime, pace, length * LONGER, counts),
            Program::Chat { members } => client(folder, runtime, ("chat", members), pace, length * LONGER, counts),
            Program::Grpc { connections } => {
                client(folder, runtime, ("grpc", connections), pace, length * LONGER, counts)
            }
            Program::Queue => queue(folder, runtime, length * LONGER, counts),
        };
        measure.map(with_switches).map_err(|error| format!("{} on {}: {error}", self.name, runtime.name()))
    }
}

fn start(
    folder: &Path,
    runtime: Runtime,
    program: &str,
    counts: bool,
    argument: impl AsRef<OsStr>,
) -> Result<Server, String> {
    let mut command = Command::new(folder.join(format!("apps-{}", runtime.suffix())));
    command.args([program, WORKERS, if counts { "counts" } else { "timed" }]).arg(argument);
    Server::spawn(command)
}

fn files(
    folder: &Path,
    runtime: Runtime,
    (size, count): (usize, usize),
    pace: Pace,
    length: Duration,
    counts: bool,
) -> Result<Measure, String> {
    let served = Folder::create(folder)?;
    let mut exchanges = Vec::new();
    for number in 0..count {
        let (name, content) = (format!("{number}.bin"), content(number as u64, size));
        served.write(&name, &content)?;
        exchanges.push(Exchange::get(&format!("/{name}"), content));
    }
    let mut server = start(folder, runtime, "files", counts, &served.0)?;
    exchange(&mut server, exchanges, pace, length)
}

/// How many different requests go to the proxy.
const PATHS: usize = 64;
/// The length of a response of the server behind the proxy. It repeats the request's path.
const PROXIED: usize = 1024;

fn proxy(folder: &Path, runtime: Runtime, pace: Pace, length: Duration, counts: bool) -> Result<Measure, String> {
    let upstream = start(folder, Runtime::Tokio, "upstream", false, "")?;
    let mut server = start(folder, runtime, "proxy", counts, upstream.port.to_string())?;
    let exchanges = (0..PATHS).map(|number| {
        let path = format!("/things/{number}");
        Exchange::get(&path, path.bytes().cycle().take(PROXIED).collect())
    });
    exchange(&mut server, exchanges.collect(), pace, length)
}

/// Requests over HTTP/1.1 from this process.
fn exchange(server: &mut Server, exchanges: Vec<Exchange>, pace: Pace, length: Duration) -> Result<Measure, String> {
    let mut load =
        Exchanges::connect(server.port, CONNECTIONS, exchanges).map_err(|error| format!("connect: {error}"))?;
    server.under_load(length, |length| load::run(&mut load, pace, length).map_err(|error| error.to_string()))
}

/// Requests from a process of `apps-load`, which is on Tokio, whatever the program runs on.
fn client(
    folder: &Path,
    runtime: Runtime,
    (program, connections): (&str, usize),
    pace: Pace,
    length: Duration,
    counts: bool,
) -> Result<Measure, String> {
    let mut server = start(folder, runtime, program, counts, "")?;
    let mut command = Command::new(folder.join("apps-load"));
    command.args([program, &server.port.to_string(), &connections.to_string()]);
    let mut client = Server::spawn(command)?;
    let rate = match pace {
        Pace::Closed => 0.0,
        Pace::PerSecond(rate) => rate,
    };
    server.under_load(length, |length| {
        let latencies = client.ask(&format!("{} {rate}", length.as_millis()))?;
        serde_json::from_str::<Vec<f64>>(&latencies).map(outcome).map_err(|error| error.to_string())
    })
}

fn queue(folder: &Path, runtime: Runtime, length: Duration, counts: bool) -> Result<Measure, String> {
    #[derive(Deserialize)]
    struct Worked {
        costs: Measure,
        latencies: Vec<f64>,
    }
    let mut server = start(folder, runtime, "queue", counts, "")?;
    server.ask(&(length / 4).as_millis().to_string())?;
    let line = server.ask(&length.as_millis().to_string())?;
    let worked: Worked = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    server.served_at(worked.costs, &outcome(worked.latencies))
}

fn outcome(mut latencies: Vec<f64>) -> Outcome {
    latencies.sort_by(f64::total_cmp);
    Outcome { requests: latencies.len() as u64, latencies, lateness: Vec::new() }
}

fn with_switches(mut measure: Measure) -> Measure {
    let switches = (measure.voluntary + measure.involuntary) as f64 / measure.operations as f64;
    measure.values.insert("switches_per_request".to_owned(), switches);
    measure
}

/// Bytes that are the same in each run, and different for each number.
fn content(number: u64, size: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..size.div_ceil(8)).flat_map(|_| next()).take(size).collect()
}

/// A folder beside the binaries. It is removed when this value is dropped.
struct Folder(PathBuf);

impl Folder {
    fn create(beside: &Path) -> Result<Folder, String> {
        let path = beside.join(format!("apps-files-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Folder(path))
    }

    /// Writes a file, which then is in the page cache and on the disk: no write-back disturbs the measurement.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let path = self.0.join(name);
        std::fs::write(&path, content)
            .and_then(|()| std::fs::File::open(&path)?.sync_all())
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_both_lock_files_name_has_to_agree() {
        let package = |name, version| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
        let tokio = ["version = 4\n", &package("hyper", "1.0.0"), &package("mio", "1.2.5")].concat();
        let same = [package("hyper", "1.0.0"), package("hyper", "0.14.0"), package("redd", "0.1.0")].concat();
        assert_eq!(same_versions(&same, &tokio), Ok(()));
        let error = same_versions(&package("hyper", "1.0.1"), &tokio).expect_err("hyper differs");
        assert!(error.contains("different versions of hyper.") && error.contains("cargo update"), "{error}");
    }

    #[test]
    fn contents_differ_by_number_alone() {
        assert_eq!(content(3, 100), content(3, 100));
        assert_ne!(content(3, 100), content(4, 100));
        assert_eq!(content(3, 101).len(), 101);
    }
}
