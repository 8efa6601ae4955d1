//! `cargo redd try`: one command of Cargo with the facade in the place of Tokio, and no file of the program changed.
//!
//! # Invariants
//! - `manifest-untouched`: the patch is an option of the command. `Cargo.toml` is never written.
//! - `short-trial`: the lock file has the facade until Cargo has read it, and no longer than Cargo runs.
//!
//! # Why not otherwise
//! Cargo has no stable option for another lock file. A copy of the program elsewhere would break its paths, and an option for a
//! `runner` that restores the file would replace the user's own. Cargo opens the lock of its build folder after it has resolved all
//! packages, and `/proc` shows that.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use clap::Args;
use nix::sys::signal::Signal;

use crate::cargo::Cargo;
use crate::explain;
use crate::facade::{Choice, Facade};
use crate::failure::Failure;
use crate::files;
use crate::graph::Graph;
use crate::kept::Kept;
use crate::program::{Alone, Program, Selection};
use crate::signals::Signals;
use crate::switch::{move_lock, shown, verify};

#[derive(Debug, Args)]
pub(crate) struct Try {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    selection: Selection,
    /// The command of Cargo with its arguments. Default: `run`
    #[arg(last = true, value_name = "CARGO ARGS")]
    arguments: Vec<OsString>,
}

/// Runs the command, and returns the exit code of Cargo.
pub(crate) fn run(trial: &Try) -> Result<u8, Failure> {
    let program = Program::find(&trial.selection)?;
    let alone = Some(program.alone()?);
    let kept = Kept::of(&program);
    kept.recover()?;
    let facade = Facade::find(&trial.choice, trial.selection.offline)?;
    if let Some(old) = explain::old_compiler(&program, &facade) {
        return Err(Failure::Refused(format!("the program cannot be tried. {old}. Nothing was changed")));
    }
    let options = facade.options()?;
    files::expect_writable(&program.lock)?;
    let lock = files::read_optional(&program.lock)?;

    let mut signals = Signals::hold()?;
    kept.begin_trial(lock.as_deref())?;
    let resolved = move_lock(&program, &facade, lock.as_deref(), &options, &mut signals)
        .and_then(|()| verify(&program, &facade, &options, &mut signals));
    let (graph, _) = match (resolved, signals.received()) {
        (Ok(resolved), None) => resolved,
        (resolved, interrupted) => {
            kept.end_trial(lock.as_deref())?;
            return Err(match (interrupted, resolved) {
                (Some(signal), _) => Failure::NotDone(format!("ended by {signal}. Cargo.lock is as before")),
                (None, Err(Failure::Refused(error))) => Failure::Refused(format!(
                    "the program cannot be tried. {}\nCargo.lock is as before",
                    explain::refusal(&program, &facade, &error)
                )),
                (None, Err(Failure::NotDone(error))) => Failure::NotDone(error),
                (None, Ok(_)) => Failure::NotDone("Cargo.lock is as before".to_owned()),
            });
        }
    };
    crate::tell(&format!("{}, built in {}", shown(&graph, &facade), files::short(&graph.target_folder.join("redd"))));
    let mut command = command(trial, &options, &graph);
    let mut borrowed = Borrowed { kept: &kept, lock: lock.as_deref(), alone };
    let ended = wait(&mut command, &mut borrowed, &mut signals);
    // If Cargo has read no lock file or could not be started.
    borrowed.give_back()?;
    Ok(exit_code(ended?, signals))
}

/// The lock file, while it has the facade.
struct Borrowed<'a> {
    kept: &'a Kept<'a>,
    lock: Option<&'a str>,
    /// None when it was given back.
    alone: Option<Alone>,
}

impl Borrowed<'_> {
    /// Restores the file. Then other commands may work in the folder, while the program runs.
    fn give_back(&mut self) -> Result<(), String> {
        match self.alone.take() {
            Some(_alone) => self.kept.end_trial(self.lock),
            None => Ok(()),
        }
    }
}

/// Cargo in the current folder, since it chooses the package by it. The patch is among its options (`manifest-untouched`).
fn command(trial: &Try, options: &[String], graph: &Graph) -> Command {
    let mut arguments = trial.arguments.clone();
    // `+nightly` is for rustup's `cargo`, and not for the one of the toolchain that has started this program.
    let toolchain = arguments.first().filter(|first| first.as_encoded_bytes().starts_with(b"+")).cloned();
    let mut command = match &toolchain {
        Some(toolchain) => {
            arguments.remove(0);
            let mut command = Command::new("cargo");
            command.arg(toolchain).env_remove("RUSTUP_TOOLCHAIN");
            command
        }
        None => Command::new(Cargo::program()),
    };
    if arguments.is_empty() {
        arguments.push("run".into());
    }
    let is_option = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let behind = arguments.iter().position(|argument| !is_option(argument)).map_or(arguments.len(), |at| at + 1);
    let (before, after) = arguments.split_at(behind);
    command.args(options).args(before);
    if let Some(manifest) = &trial.selection.manifest_path {
        command.arg("--manifest-path").arg(manifest);
    }
    command.args(after);
    if trial.selection.offline {
        command.env("CARGO_NET_OFFLINE", "true");
    }
    // What is built for Tokio stays as it is, so the next usual build has nothing to do.
    let folder = graph.target_folder.join("redd");
    command.env("CARGO_TARGET_DIR", &folder).env("CARGO_BUILD_BUILD_DIR", &folder);
    command
}

/// Runs Cargo, and restores the lock file as soon as Cargo has read it (`short-trial`).
fn wait(command: &mut Command, borrowed: &mut Borrowed<'_>, signals: &mut Signals) -> Result<ExitStatus, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = signals.spawn(command).map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    let mut restored = Ok(());
    let status = signals.wait(&mut child, |process| {
        let is_read = is_building(process);
        if is_read {
            restored = borrowed.give_back();
        }
        !is_read
    });
    restored.and(status)
}

/// Whether this process of Cargo has opened the lock of a build folder.
fn is_building(process: u32) -> bool {
    let opened = fs::read_dir(Path::new("/proc").join(process.to_string()).join("fd"));
    let mut files = opened.into_iter().flatten().flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    files.any(|file| file.file_name() == Some(OsStr::new(".cargo-lock")))
}

/// The code of the child. If a signal has ended it, the same one ends this process.
fn exit_code(status: ExitStatus, signals: Signals) -> u8 {
    if let Some(code) = status.code() {
        return u8::try_from(code & 0xff).unwrap_or(1);
    }
    let number = status.signal().unwrap_or(0);
    if let Ok(signal @ (Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP)) = Signal::try_from(number) {
        signals.end_by(signal);
    }
    u8::try_from(128 + number).unwrap_or(1)
}
