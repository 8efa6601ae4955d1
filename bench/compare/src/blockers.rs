//! `bench blockers`: how a blocked worker affects other tasks, on redd and on Tokio.
//!
//! The programs are `workloads/blockers.rs`; each run is a process of its own, and the two runtimes take turns.

#![allow(clippy::disallowed_methods, reason = "threads of no runtime, whose sleep is what is measured")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{USAGE, output, workspace};

/// The longest gap of a run that counts as not delayed; a CPU loop itself takes half of the machine.
const LIMIT_MS: f64 = 30.0;
const LIMIT_OF_CPU_LOOP_MS: f64 = 150.0;
/// A program that takes longer than this counts as a hang.
const WATCHDOG: Duration = Duration::from_secs(10);

const TOKIO_RUNS_OF_HUNDRED: usize = 3;

const OTHERS: &[&str] = &["echo", "deadlock", "idle", "light", "busy_quota", "busy_stopped", "many"];

pub struct Binaries {
    pub redd: PathBuf,
    pub tokio: PathBuf,
}

impl Binaries {
    pub fn build() -> Result<Self, String> {
        let me = std::env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        let folder = me.parent().ok_or("a binary is in a folder")?;
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--release", "--locked", "--quiet", "-p", "on-redd", "-p", "on-tokio"]);
        command.args(["--bin", "redd-blockers", "--bin", "tokio-blockers", "--target-dir"]);
        command.arg(folder.parent().ok_or("the target folder is above")?).current_dir(workspace()?);
        let status = command.status().map_err(|error| format!("cargo could not be started: {error}"))?;
        if !status.success() {
            return Err("the programs do not build; see above".into());
        }
        Ok(Self { redd: folder.join("redd-blockers"), tokio: folder.join("tokio-blockers") })
    }

    fn both(&self) -> [(&'static str, &Path); 2] {
        [("redd", &self.redd), ("Tokio", &self.tokio)]
    }
}

pub fn run(args: impl Iterator<Item = String>) -> Result<(), String> {
    let mut wanted: Vec<String> = args.collect();
    let mut runs = 40;
    if let Some(at) = wanted.iter().position(|arg| arg == "--runs") {
        runs = wanted.get(at + 1).and_then(|text| text.parse().ok()).filter(|runs| *runs > 0).ok_or(USAGE)?;
        wanted.drain(at..at + 2);
    }
    let binaries = Binaries::build()?;
    let listed = output(Command::new(&binaries.redd))?;
    let variants: Vec<&str> = listed.lines().collect();
    if let Some(unknown) =
        wanted.iter().find(|name| !variants.contains(&name.as_str()) && !OTHERS.contains(&name.as_str()))
    {
        return Err(format!("no variant is called `{unknown}`; there are {} {}", variants.join(" "), OTHERS.join(" ")));
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|other| other == name);
    let mut values = serde_json::Map::new();
    let gaps: Vec<&str> = variants.into_iter().filter(|name| is_wanted(name)).collect();
    if !gaps.is_empty() {
        println!(
            "2 workers, a heartbeat that sleeps 1 ms over and over, blocks of 300 ms; {runs} runs. Longest gap of the heartbeat and longest wait of a task behind a blocker in ms: median (maximum).\n"
        );
        println!("| variant | gap redd | gap Tokio | behind redd | behind Tokio | limit | within it redd | Tokio |");
        println!("|---|---|---|---|---|---|---|---|");
        for variant in gaps {
            values.insert(variant.to_owned(), gap(&binaries, variant, runs)?);
        }
        println!();
    }
    println!("| program | redd | Tokio |");
    println!("|---|---|---|");
    for program in OTHERS.iter().filter(|name| is_wanted(name)) {
        let found = match *program {
            "echo" => echo(&binaries)?,
            "deadlock" => deadlocks(&binaries)?,
            "idle" => switches(&binaries, "idle", "context switches of an idle runtime in 10 s")?,
            "light" => switches(&binaries, "light", "context switches in 10 s with one interval of 10 ms")?,
            "busy_quota" => busy_quota(&binaries)?,
            "busy_stopped" => busy_stopped(&binaries)?,
            _ => many(&binaries)?,
        };
        values.insert((*program).to_owned(), found);
    }
    println!("\n{}", Value::Object(values));
    Ok(())
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text.trim()).map_err(|error| format!("{error} in {text}"))
}

pub fn ask(binary: &Path, args: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(binary);
    command.args(args).stderr(Stdio::null());
    parse(&output(command)?)
}

/// One row of the first table.
fn gap(binaries: &Binaries, variant: &str, runs: usize) -> Result<Value, String> {
    let limit = if variant.starts_with("cpu") { LIMIT_OF_CPU_LOOP_MS } else { LIMIT_MS };
    // This variant takes 15 s a run there, with the same result each time.
    let runs_of = [runs, if variant.starts_with("hundred") { runs.min(TOKIO_RUNS_OF_HUNDRED) } else { runs }];
    let mut found = [Vec::new(), Vec::new()];
    for round in 0..runs {
        let mut both = [0, 1];
        // The runtime that runs first alternates.
        both.rotate_left(round % 2);
        for which in both.into_iter().filter(|which| round < runs_of[*which]) {
            found[which].push(ask(binaries.both()[which].1, &[variant, "1"])?);
        }
    }
    let ms = |runs: &[Value], key: &str| {
        let mut all: Vec<f64> = runs.iter().filter_map(|run| run[key].as_f64()).map(|us| us / 1000.0).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let cell = |sorted: Vec<f64>| match sorted.last() {
        Some(most) => format!("{:.1} ({most:.1})", sorted[sorted.len() / 2]),
        None => "–".to_owned(),
    };
    let within = |runs: &[Value]| {
        let is_within = |run: &&Value| {
            ["gap_us", "behind_us"].iter().filter_map(|key| run[*key].as_f64()).all(|us| us / 1000.0 <= limit)
        };
        runs.iter().filter(is_within).count()
    };
    println!(
        "| {variant} | {} | {} | {} | {} | {limit} | **{}** of {} | {} of {} |",
        cell(ms(&found[0], "gap_us")),
        cell(ms(&found[1], "gap_us")),
        cell(ms(&found[0], "behind_us")),
        cell(ms(&found[1], "behind_us")),
        within(&found[0]),
        runs_of[0],
        within(&found[1]),
        runs_of[1],
    );
    Ok(
        json!({ "limit_ms": limit, "within": [within(&found[0]), within(&found[1])], "redd": found[0], "tokio": found[1] }),
    )
}

fn both_of(binaries: &Binaries, ask: impl Fn(&Path) -> Result<Value, String>) -> Result<[Value; 2], String> {
    let [redd, tokio] = binaries.both();
    Ok([ask(redd.1)?, ask(tokio.1)?])
}

fn echo(binaries: &Binaries) -> Result<Value, String> {
    let found = both_of(binaries, |binary| ask(binary, &["echo", "5"]))?;
    let cell = |found: &Value| {
        let ms = |key: &str| found[key].as_f64().unwrap_or(f64::NAN) / 1000.0;
        format!("p50 {:.2} ms, p99 {:.1} ms, longest {:.1} ms", ms("p50_us"), ms("p99_us"), ms("max_us"))
    };
    println!("| echo while both workers are blocked for 5 s | {} | {} |", cell(&found[0]), cell(&found[1]));
    Ok(json!(found))
}

fn deadlocks(binaries: &Binaries) -> Result<Value, String> {
    let mut all = serde_json::Map::new();
    for (kind, about) in [
        ("nested_block_on", "a task waits for another with an executor of its own"),
        ("std_mpsc", "a task receives from `std::sync::mpsc`, another sends"),
    ] {
        for (workers, on) in [("1cpu", "1 worker by default, 1 CPU"), ("2", "2 workers, both wait")] {
            let found = both_of(binaries, |binary| Ok(json!(ends_in_time(binary, kind, workers)?)))?;
            let cell = |found: &Value| match found.as_f64() {
                Some(ms) => format!("completes in {ms:.0} ms"),
                None => "hangs".to_owned(),
            };
            println!("| {about}; {on} | {} | {} |", cell(&found[0]), cell(&found[1]));
            all.insert(format!("{kind}/{workers}"), json!(found));
        }
    }
    Ok(Value::Object(all))
}

/// Milliseconds until the program ended, or `None` if it had to be killed.
fn ends_in_time(binary: &Path, kind: &str, workers: &str) -> Result<Option<f64>, String> {
    let since = Instant::now();
    let mut child = spawn(Command::new(binary).args(["deadlock", kind, workers]).stderr(Stdio::null()))?;
    while since.elapsed() < WATCHDOG {
        if let Some(status) = child.try_wait().map_err(|error| format!("waiting for {kind}: {error}"))? {
            return if status.success() {
                Ok(Some(since.elapsed().as_secs_f64() * 1000.0))
            } else {
                Err(format!("{kind} ended with {status}"))
            };
        }
        thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(None)
}

fn spawn(command: &mut Command) -> Result<Child, String> {
    command.spawn().map_err(|error| format!("{command:?} could not be started: {error}"))
}

fn switches(binaries: &Binaries, program: &str, about: &str) -> Result<Value, String> {
    let found = both_of(binaries, |binary| ask(binary, &[program, "10"]))?;
    println!("| {about} | {} | {} |", found[0]["switches"], found[1]["switches"]);
    Ok(json!(found))
}

/// A group of processes that may use half a CPU. It is removed when dropped.
struct Quota(PathBuf);

impl Quota {
    fn half_a_cpu() -> Option<Self> {
        let name = format!("redd-bench-{}", std::process::id());
        let old = Path::new("/sys/fs/cgroup/cpu").join(&name);
        if fs::create_dir(&old).is_ok() {
            let quota = Self(old);
            let is_set = fs::write(quota.0.join("cpu.cfs_period_us"), "100000")
                .and_then(|()| fs::write(quota.0.join("cpu.cfs_quota_us"), "50000"));
            return is_set.is_ok().then_some(quota);
        }
        let quota = Self(Path::new("/sys/fs/cgroup").join(&name));
        fs::create_dir(&quota.0).ok()?;
        fs::write(quota.0.join("cpu.max"), "50000 100000").is_ok().then_some(quota)
    }

    fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0).arg(binary);
        command
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Processes that compete for the CPUs. They are killed when dropped.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Result<Self, String> {
        let count = 3 * thread::available_parallelism().map_or(1, usize::from);
        let start = |_| spawn(Command::new("sh").args(["-c", "while :; do :; done"]));
        (0..count).map(start).collect::<Result<_, _>>().map(Self)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn print_busy(about: &str, found: &[Value; 2]) {
    let cell = |found: &Value| {
        let number = |key: &str| found[key].as_u64().unwrap_or(0);
        format!(
            "{} late polls, {} rescues, {} threads more; {} requests",
            number("late_polls"),
            number("rescues"),
            number("threads_more"),
            number("requests")
        )
    };
    println!("| {about} | {} | {} |", cell(&found[0]), cell(&found[1]));
}

/// Workers that wait for a CPU are not stalled.
fn busy_quota(binaries: &Binaries) -> Result<Value, String> {
    let mut how = "a quota of half a CPU";
    let found = both_of(binaries, |binary| match Quota::half_a_cpu() {
        Some(quota) => {
            let mut command = quota.command(binary);
            command.args(["busy", "60"]).stderr(Stdio::null());
            parse(&output(command)?)
        }
        None => {
            let _load = Load::start()?;
            ask(binary, &["busy", "60"])
        }
    })?;
    if Quota::half_a_cpu().is_none() {
        how = "three spinning processes a CPU beside it";
    }
    print_busy(&format!("60 s of a busy echo with {how}"), &found);
    Ok(json!({ "how": how, "found": found }))
}

/// Workers of a stopped process are not stalled.
fn busy_stopped(binaries: &Binaries) -> Result<Value, String> {
    let found = both_of(binaries, |binary| {
        let mut command = Command::new(binary);
        command.args(["busy", "10"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = spawn(&mut command)?;
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(500));
            for signal in ["-STOP", "-CONT"] {
                output({
                    let mut kill = Command::new("kill");
                    kill.arg(signal).arg(child.id().to_string());
                    kill
                })?;
                if signal == "-STOP" {
                    thread::sleep(Duration::from_secs(1));
                }
            }
        }
        let output = child.wait_with_output().map_err(|error| format!("busy: {error}"))?;
        parse(&String::from_utf8_lossy(&output.stdout))
    })?;
    print_busy("a busy echo that is stopped for a second five times (`SIGSTOP`)", &found);
    Ok(json!(found))
}

fn many(binaries: &Binaries) -> Result<Value, String> {
    let found = ask(&binaries.redd, &["many", "10000"])?;
    println!(
        "| {} rescues: threads before, at most, after; KiB and descriptors before, after | {}; {}; {} | – |",
        found["rescues"], found["threads"], found["resident_kib"], found["descriptors"]
    );
    Ok(found)
}
