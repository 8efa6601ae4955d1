//! `cargo redd`: puts redd in the place of Tokio in a program, and back; and runs tests in simulated worlds, each in fresh processes.
//!
//! The worlds are in the test. For them this program only sets environment variables, which `redd::sim` describes, and reads two files
//! that the worlds write.

#![allow(clippy::disallowed_methods, reason = "a tool in real time")]

mod back;
mod builders;
mod cargo;
mod check;
mod config;
mod doctor;
mod explain;
mod explore;
mod facade;
mod failure;
mod files;
mod folder;
mod graph;
mod kept;
mod least;
mod lock;
mod manifest;
#[path = "../output.rs"]
mod output;
#[path = "../plural.rs"]
mod plural;
mod process;
mod program;
mod signals;
mod switch;
mod test;
mod trial;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};
use redd::sim::{Explore, Tape};

use failure::Failure;
use output::Output;

/// Puts redd in the place of Tokio in a program, and runs tests in simulated worlds.
///
/// `try`, `switch`, `back` and `doctor` are for a program on Tokio. `check` and `explore` run a test many times in fresh processes: one with `#[redd::test(sim)]`, or one whose worlds have their seeds from `redd::sim::seeds`.
///
/// The exit code is 0 if all is well, 1 if something was found or the program cannot be switched, and 2 if the command could not be
/// carried out.
#[derive(Debug, Parser)]
#[command(name = "cargo redd", bin_name = "cargo redd", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the program, its tests or another command of Cargo on redd, and change no file of it
    ///
    /// `cargo redd try` is `cargo run`, and `cargo redd try -- test --release` is `cargo test --release`, with redd's facade in the place of
    /// Tokio. What is built is in `target/redd`. `Cargo.toml` is never written. `Cargo.lock` names the facade until Cargo has read it, and is
    /// then as before; also after Ctrl-C, and after `kill -9` with the next command of `cargo redd`.
    ///
    /// The exit code is that of Cargo; 1 if the program cannot be on redd, and 2 if Cargo could not be started.
    Try(trial::Try),
    /// Put redd in the place of Tokio, in `Cargo.toml` and `Cargo.lock`
    ///
    /// Adds a patch for `tokio` to the `Cargo.toml` at the root of the workspace, and keeps its comments and its format. Moves Tokio in
    /// the lock file to the version whose API redd has. Checks that there is then exactly one Tokio, and that it is redd's facade; if not,
    /// both files are as before.
    ///
    /// The originals are kept in the folder `.redd` beside the lock file, which git ignores and `cargo clean` leaves.
    Switch(switch::Switch),
    /// Take the switch back: `Cargo.toml` and `Cargo.lock` are byte for byte as before
    ///
    /// If they were edited since, only what the switch has added is taken back.
    Back(back::Back),
    /// Say whether the program runs on redd, and if not, why and what to do
    ///
    /// Changes nothing. Reads the manifests, the lock file, what each package asks for, the configuration of Cargo, the version of the
    /// compiler, and the sources of the program for runtimes that are built without timers and I/O. The exit code is 1 if it is not on redd.
    Doctor(doctor::Doctor),
    /// Run one seed of a test twice, and show the first event that differs
    ///
    /// Both runs are in fresh processes. If they differ, the program depends on something that is not simulated.
    Check(Check),
    /// Run many seeds of a test, shrink the first failure and show it in words
    ///
    /// Seeds run in fresh processes, a batch in each, on all cores. A failing seed runs once more alone, and is shrunk to the fewest
    /// deviations from the plain order that fail in the same way.
    Explore(Exploration),
}

/// Which test, and how it is built.
#[derive(Debug, Args)]
struct Selection {
    /// The path of the test, as `cargo test` shows it, or a part of it that only one test has
    #[arg(value_name = "TEST")]
    test: String,
    /// The package
    #[arg(short, long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Look only in this test target
    #[arg(long = "test", value_name = "TARGET")]
    target: Option<String>,
    /// Look only in the library
    #[arg(long, conflicts_with = "target")]
    lib: bool,
    /// Build in release mode
    #[arg(short, long)]
    release: bool,
    /// Features of the package
    #[arg(short = 'F', long, value_name = "FEATURES")]
    features: Option<String>,
    /// All features of the package
    #[arg(long)]
    all_features: bool,
    /// Build without the network
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    selection: Selection,
    /// The seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How the choices are made: `plain`, `random`, `pct:DEPTH` or `delay:BUDGET`
    #[arg(long, value_name = "STRATEGY", default_value_t = Explore::Random)]
    strategy: Explore,
    /// Replay this tape, such as `812:1/3t`
    #[arg(long, value_name = "TAPE", conflicts_with = "strategy")]
    tape: Option<Tape>,
}

#[derive(Debug, Args)]
struct Exploration {
    #[command(flatten)]
    selection: Selection,
    /// How many seeds run with each strategy
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// End after so many minutes, even if seeds are left. Default: no limit
    #[arg(long, value_parser = minutes)]
    minutes: Option<Duration>,
    /// How the choices are made: `plain`, `random`, `pct:DEPTH`, `delay:BUDGET`, with commas between several
    #[arg(long, value_name = "STRATEGY", value_delimiter = ',', default_value = "random,pct:3,delay:2")]
    strategy: Vec<Explore>,
    /// How many processes run at once. Default: the number of cores
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// How many seeds run in one process. 1 isolates each seed from the statics that others have left
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// Go on after a failure, and collect those that differ in more than numbers
    #[arg(long)]
    keep_going: bool,
    /// Add each seed that fails to `tests/seeds/<test>.txt` of the package, whose seeds the test runs first from then on
    #[arg(long)]
    keep: bool,
    /// In how many runs a failure is shrunk. 0: not at all
    #[arg(long, value_name = "RUNS", default_value_t = 3000)]
    shrink: u32,
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0 && *minutes <= 1e6);
    let minutes = minutes.ok_or("it is a number of minutes, such as `5` or `0.5`")?;
    Ok(Duration::from_secs_f64(minutes * 60.0))
}

/// Parses the arguments. If `try` got those of Cargo without `--`, the error shows the command with it.
fn parse(arguments: &[OsString]) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(arguments).map_err(|mut error| {
        let is_trial = arguments.get(1).is_some_and(|command| command == "try");
        let unknown = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(unknown)) if error.kind() == ErrorKind::UnknownArgument => Some(unknown.as_str()),
            _ => None,
        };
        // With a similar option it is a typing mistake.
        let unknown = unknown.filter(|_| is_trial && error.get(ContextKind::SuggestedArg).is_none());
        let behind = unknown.and_then(|unknown| {
            let arguments = arguments.iter().skip(2).map(|argument| argument.to_string_lossy());
            let behind: Vec<_> = arguments.skip_while(|argument| !argument.starts_with(unknown)).collect();
            let run = if unknown.starts_with('-') { "run " } else { "" };
            (!behind.is_empty()).then(|| format!("{run}{}", behind.join(" ")))
        });
        if let Some(behind) = behind {
            let tip = format!("what Cargo is to do stands behind `--`: `cargo redd try -- {behind}`");
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        }
        error
    })
}

fn main() -> ExitCode {
    // Cargo runs `cargo-redd redd check …` for `cargo redd check …`.
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|second| second == "redd") {
        arguments.remove(1);
    }
    let told = |text: String| Ok(print(&text).map(|()| 0)?);
    let found = |found: bool| u8::from(found);
    let done: Result<u8, Failure> = match parse(&arguments).unwrap_or_else(|error| error.exit()).command {
        Command::Try(trial) => trial::run(&trial),
        Command::Switch(switch) => switch::run(&switch).and_then(told),
        Command::Back(back) => back::run(&back).and_then(told),
        Command::Doctor(doctor) => {
            doctor::run(&doctor).and_then(|(text, is_well)| told(text).map(|_| u8::from(!is_well)))
        }
        Command::Check(check) => check::run(&check).map(found).map_err(Failure::NotDone),
        Command::Explore(exploration) => explore::run(&exploration).map(found).map_err(Failure::NotDone),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            tell(failure.text());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Prints what happens beside the result.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "cargo redd: {text}");
}

/// Prints lines for people to standard output.
fn print(text: &str) -> Result<(), String> {
    let written = Output::default().write_all(format!("{text}\n").as_bytes());
    written.map_err(|error| format!("standard output cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent_and_each_one_has_a_help_text() {
        let mut whole = Arguments::command();
        whole.build();
        whole.clone().debug_assert();
        for command in whole.get_subcommands() {
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{}: {}", command.get_name(), argument.get_id());
            }
        }
    }

    #[test]
    fn arguments_of_cargo_without_dashes_are_shown_behind_them() {
        let told = |arguments: &[&str]| {
            let all = ["cargo redd", "try"].iter().chain(arguments).map(OsString::from).collect::<Vec<_>>();
            parse(&all).map(|_| ()).map_err(|error| error.to_string())
        };
        for (arguments, tip) in [
            (&["test"][..], "`cargo redd try -- test`"),
            (&["--offline", "test", "--release"], "`cargo redd try -- test --release`"),
            (&["--release"], "`cargo redd try -- run --release`"),
            (&["--bin=a", "--", "x"], "`cargo redd try -- run --bin=a -- x`"),
            (&["--pth", "x"], "'--path'"),
        ] {
            let error = told(arguments).expect_err("`--` is missing");
            assert!(error.contains(tip), "{error}");
            // A misspelt option of our own is not one of Cargo.
            assert_eq!(error.contains("what Cargo is to do"), tip.starts_with('`'), "{error}");
        }
        assert_eq!(told(&["--", "test", "--release"]), Ok(()));
    }

    #[test]
    fn minutes_are_positive_numbers() {
        assert_eq!(minutes("0.5"), Ok(Duration::from_secs(30)));
        for wrong in ["0", "-1", "x", "NaN", "inf", "1e300"] {
            assert!(minutes(wrong).is_err(), "{wrong}");
        }
    }
}
