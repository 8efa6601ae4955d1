//! Runs the same workloads and servers on redd, Tokio and smol, interleaved, prints each row's ratio, and writes the page.
//!
//! `cargo run --release -p bench -- compare [--rounds N] [--quick] [--out FOLDER] [ROW…]`; a row's name may end in `*`.
//! `… -- page [FOLDER]` writes the page again from its `results.json`.
//! `… -- merge FOLDER FROM…` writes the page from the results in several folders, each with a group of rows.
//! `… -- load tcp|udp|http PORT CONNECTIONS SECONDS [RATE]` is the load generator alone, for examining a server with other
//! tools.
//!
//! `… -- constants [--rounds N] [NAME…]` compares the scheduler's tuning constants with other values.
//! `… -- blockers [--runs N] [VARIANT…]` measures the effect of blocked workers, and `heartbeat-plot [--redraw] [FOLDER]` draws it.

mod apps;
mod blockers;
mod cargo;
mod constants;
mod exchanges;
mod heartbeat;
mod load;
mod machine;
mod measure;
mod page;
mod plot;
mod process;
mod servers;
mod summary;
mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use apps::AppRow;
use load::{Load, Pace, Protocol};
use machine::Machine;
use measure::{Measure, Row, Runtime};
use page::{Group, Results};
use servers::ServerRow;

const USAGE: &str = "usage: bench compare [--rounds N] [--quick] [--out FOLDER] [ROW…]   (a row's name may end in `*`)
       bench page [FOLDER]
       bench merge FOLDER FROM…
       bench load tcp|udp|http PORT CONNECTIONS SECONDS [REQUESTS PER SECOND]
       bench constants [--rounds N] [NAME…]
       bench blockers [--runs N] [VARIANT…]
       bench heartbeat-plot [--redraw] [FOLDER]";

/// How many failed runs are allowed before a row is left out.
const ATTEMPTS: usize = 3;

/// The settings of the command line.
struct Options {
    rounds: usize,
    /// A workload's operations are divided by this.
    shorter: u64,
    /// How long a server is under load in each run.
    load: Duration,
    out: Option<PathBuf>,
    wanted: Vec<String>,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options =
            Options { rounds: 9, shorter: 1, load: Duration::from_millis(250), out: None, wanted: Vec::new() };
        let mut quick = false;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--rounds" => {
                    options.rounds =
                        args.next().and_then(|text| text.parse().ok()).filter(|count| *count > 0).ok_or(USAGE)?;
                }
                "--quick" => {
                    quick = true;
                    (options.rounds, options.shorter, options.load) = (3, 3, Duration::from_millis(150));
                }
                "--out" => options.out = Some(args.next().ok_or(USAGE)?.into()),
                option if option.starts_with('-') => return Err(USAGE.into()),
                row => options.wanted.push(row.to_owned()),
            }
        }
        if options.wanted.is_empty() && !quick && options.out.is_none() {
            options.out = Some(workspace()?.join("../docs/benchmarks"));
        }
        Ok(options)
    }

    fn wants(&self, row: &str) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => row.starts_with(prefix),
            None => row == *pattern,
        };
        self.wanted.is_empty() || self.wanted.iter().any(matches)
    }

    fn wants_only_apps(&self) -> bool {
        !self.wanted.is_empty() && self.wanted.iter().all(|row| row.starts_with(apps::PREFIX))
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some("compare") => Options::parse(args).and_then(|options| compare(&options)),
        Some("constants") => Options::parse(args).and_then(|options| constants::run(&options.wanted, options.rounds)),
        Some("blockers") => blockers::run(args),
        Some("heartbeat-plot") => heartbeat::plot(args),
        Some("page") => rewrite(args.next()),
        Some("merge") => merge(args),
        Some("load") => generate(&args.collect::<Vec<_>>()),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the page again, from the results beside it.
fn rewrite(folder: Option<String>) -> Result<(), String> {
    let folder =
        folder.map_or_else(|| Ok(workspace()?.join("../docs/benchmarks")), |folder| Ok::<_, String>(folder.into()))?;
    page::write(&folder, &page::read(&folder)?)
}

/// Writes one page from several folders.
fn merge(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let out = PathBuf::from(args.next().ok_or(USAGE)?);
    let all = args.map(|folder| page::read(Path::new(&folder))).collect::<Result<Vec<_>, _>>()?;
    page::write(&out, &page::merge(all)?)
}

/// The load generator alone.
fn generate(args: &[String]) -> Result<(), String> {
    let (args, pace) = match args {
        [args @ .., rate] if args.len() == 4 => (args, Pace::PerSecond(rate.parse().map_err(|_| USAGE)?)),
        args => (args, Pace::Closed),
    };
    let [protocol, port, connections, seconds] = args else { return Err(USAGE.into()) };
    let protocol = match protocol.as_str() {
        "tcp" => Protocol::TcpEcho,
        "udp" => Protocol::UdpEcho,
        "http" => Protocol::Http,
        _ => return Err(USAGE.into()),
    };
    let number = |text: &str| text.parse::<u16>().map_err(|_| USAGE);
    let length = Duration::from_secs(number(seconds)?.into());
    let outcome = Load::connect(protocol, number(port)?, number(connections)?.into())
        .and_then(|mut load| load::run(&mut load, pace, length))
        .map_err(|error| error.to_string())?;
    println!("{} requests; microseconds:", outcome.requests);
    for (name, value) in outcome.values() {
        println!("{name} {value:.0}");
    }
    Ok(())
}

/// One row, of either kind.
enum Work {
    /// With the number of operations of each runtime: a loop of std's calls needs more of them for the same time.
    Inside {
        name: String,
        operations: BTreeMap<Runtime, u64>,
        runtimes: Vec<Runtime>,
    },
    Server(ServerRow),
    App(AppRow),
}

fn compare(options: &Options) -> Result<(), String> {
    let folder = build(options)?;
    let mut machine = Machine::describe(&workspace()?);
    println!("{}\n", machine.sentence());
    if !servers::has_wrk() {
        println!("`wrk` is not installed: its rows are left out.\n");
    }
    print!("{}", page::HEADER);
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for work in works(&folder, options)? {
        if !options.wants(work.name()) {
            continue;
        }
        match work.measure(&folder, options) {
            Ok(row) => {
                print!("{}", page::table_line(&row));
                rows.push(row);
            }
            // A failed row does not stop the others.
            Err(error) => {
                eprintln!("`{}` is left out: {error}", work.name());
                failed.push(work.name().to_owned());
            }
        }
    }
    machine.load_after = machine::load();
    println!("\nLoad average at the end: {:.1}", machine.load_after);
    if let Some(out) = &options.out {
        page::write(out, &Results { groups: vec![Group { machine, rounds: options.rounds, rows }] })?;
        println!("Written: {}", out.join("README.md").display());
    } else {
        print!("\n{}", page::other_metrics(&rows));
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("Rows that could not be measured: {}", failed.join(", "))) }
}

fn works(folder: &Path, options: &Options) -> Result<Vec<Work>, String> {
    let apps = apps::rows().into_iter().map(Work::App);
    if options.wants_only_apps() {
        return Ok(apps.collect());
    }
    let mut known = BTreeMap::new();
    for runtime in Runtime::ALL {
        known.insert(runtime, rows_of(folder, runtime)?);
    }
    let mut works = Vec::new();
    for (name, _) in &known[&Runtime::Redd] {
        let operations_on = |runtime| known[&runtime].iter().find(|(row, _)| row == name).map(|(_, count)| *count);
        let runtimes: Vec<Runtime> =
            Runtime::ALL.into_iter().filter(|runtime| operations_on(*runtime).is_some()).collect();
        let operations = runtimes.iter().filter_map(|runtime| Some((*runtime, operations_on(*runtime)?))).collect();
        works.push(Work::Inside { name: name.clone(), operations, runtimes });
    }
    works.extend(servers::rows().into_iter().map(Work::Server));
    works.extend(apps);
    Ok(works)
}

impl Work {
    fn name(&self) -> &str {
        match self {
            Work::Inside { name, .. } => name,
            Work::Server(row) => row.name,
            Work::App(row) => row.name,
        }
    }

    fn runtimes(&self) -> &[Runtime] {
        match self {
            Work::Inside { runtimes, .. } => runtimes,
            Work::Server(row) => row.runtimes,
            Work::App(_) => apps::RUNTIMES,
        }
    }

    /// The row at full load, if this is one at half load.
    fn at_full_load(&self) -> Option<Work> {
        match self {
            Work::Inside { .. } => None,
            Work::Server(row) => row.at_full_load().map(Work::Server),
            Work::App(row) => row.at_full_load().map(Work::App),
        }
    }

    fn measure(&self, folder: &Path, options: &Options) -> Result<Row, String> {
        if self.name() == "spike" {
            return self.measure_at_once(folder);
        }
        let rate = match self.at_full_load() {
            // Half of what Tokio reaches.
            Some(full) => full.run_again(folder, Runtime::Tokio, options, 0.0, false)?.values["requests_per_s"] / 2.0,
            None => 0.0,
        };
        let mut row = Row::new(self.name());
        for round in 0..options.rounds {
            let mut order = self.runtimes().to_vec();
            order.retain(|runtime| *runtime != Runtime::Smol || round % 3 == 0);
            // The runtime that runs first alternates, so that a machine that slows down favours none.
            let first = round % order.len();
            order.rotate_left(first);
            for runtime in order {
                row.add(runtime, &self.run_again(folder, runtime, options, rate, false)?);
            }
        }
        for &runtime in self.runtimes() {
            row.add_counted(runtime, &self.run_again(folder, runtime, options, rate, true)?);
        }
        Ok(row)
    }

    /// Runs a row, and repeats a failed run: on a busy machine a connection is sometimes reset.
    fn run_again(
        &self,
        folder: &Path,
        runtime: Runtime,
        options: &Options,
        rate: f64,
        counts: bool,
    ) -> Result<Measure, String> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.run(folder, runtime, options, rate, counts) {
                Err(error) if attempts < ATTEMPTS => {
                    eprintln!("`{}` on {} failed and is run again: {error}", self.name(), runtime.name());
                }
                result => return result,
            }
        }
    }

    /// Runs the row once, on all runtimes at the same time. Such a row mostly waits, and its values are not times.
    fn measure_at_once(&self, folder: &Path) -> Result<Row, String> {
        let options = Options::parse(std::iter::empty())?;
        let mut row = Row::new(self.name());
        std::thread::scope(|scope| {
            let started: Vec<_> = self
                .runtimes()
                .iter()
                .map(|&runtime| {
                    let options = &options;
                    (runtime, scope.spawn(move || self.run(folder, runtime, options, 0.0, false)))
                })
                .collect();
            for (runtime, thread) in started {
                let measure = thread.join().map_err(|_| "a measuring thread panicked")??;
                row.add(runtime, &measure);
            }
            Ok::<_, String>(())
        })?;
        Ok(row)
    }

    fn run(
        &self,
        folder: &Path,
        runtime: Runtime,
        options: &Options,
        rate: f64,
        counts: bool,
    ) -> Result<Measure, String> {
        let (name, operations) = match self {
            Work::Server(row) => return row.run(folder, runtime, options.load, rate, counts),
            Work::App(row) => return row.run(folder, runtime, options.load, rate, counts),
            Work::Inside { name, operations, .. } => (name, operations[&runtime]),
        };
        // A million tasks are never scaled down.
        let shorter = if operations < 1000 || name.starts_with("scaling_tasks") { 1 } else { options.shorter };
        let mut command = Command::new(binary(folder, runtime));
        command.arg(name).arg((operations / shorter).to_string());
        if counts {
            command.arg("counts");
        }
        let text = output(command)?;
        serde_json::from_str(&text).map_err(|error| format!("{name}: {error} in {text}"))
    }
}

fn workspace() -> Result<PathBuf, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    workspace.map(Path::to_path_buf).ok_or_else(|| "the crate is in its workspace".into())
}

/// Builds the binaries, and returns their folder. The programs and the rest are built only for rows that need them: the
/// crates of the programs are many.
fn build(options: &Options) -> Result<PathBuf, String> {
    let me = std::env::current_exe().map_err(|error| format!("where am I: {error}"))?;
    let folder = me.parent().ok_or("a binary is in a folder")?;
    let target = folder.parent().ok_or("the target folder is above")?;
    let workspace = workspace()?;
    if apps::rows().iter().any(|row| options.wants(row.name)) {
        apps::build(&workspace, target)?;
    }
    if options.wants_only_apps() {
        return Ok(folder.to_path_buf());
    }
    // The servers on redd are a workspace of their own, in which `tokio` is redd.
    for (place, packages) in [
        (
            workspace.clone(),
            &["on-redd", "on-tokio", "on-smol", "on-std", "serve-tokio", "serve-smol", "serve-epoll"][..],
        ),
        (workspace.join("serve-redd"), &["serve-redd"][..]),
    ] {
        cargo::build(&place, target, packages)?;
    }
    Ok(folder.to_path_buf())
}

/// The program that has the runtime's workloads.
fn binary(folder: &Path, runtime: Runtime) -> PathBuf {
    let runtime = if runtime == Runtime::Floor { "std" } else { runtime.suffix() };
    folder.join(format!("on-{runtime}"))
}

fn rows_of(folder: &Path, runtime: Runtime) -> Result<Vec<(String, u64)>, String> {
    let text = output(Command::new(binary(folder, runtime)))?;
    let parse = |line: &str| {
        let (row, operations) = line.split_once(' ')?;
        Some((row.to_owned(), operations.parse().ok()?))
    };
    text.lines().map(|line| parse(line).ok_or_else(|| format!("not a row: {line}"))).collect()
}

fn output(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?} could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{command:?}: {error}"))
}
