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
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
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
use crate::program::{self, Alone, Program, Selection};
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

/// How often the lock file is moved while other commands of Cargo write it.
const ATTEMPTS: usize = 5;

/// Runs the command, and returns the exit code of Cargo.
pub(crate) fn run(trial: &Try) -> Result<u8, Failure> {
    if let Some(name) = external(&trial.arguments) {
        return Err(Failure::Refused(format!(
            "`cargo {name}` is a program of its own, which calls Cargo without the patch. So it would use Tokio. `cargo redd switch` first, and \
             `cargo redd back` afterwards. Nothing was changed"
        )));
    }
    let program = Program::find(&selection(trial))?;
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
    let mut attempts = ATTEMPTS;
    let resolved = loop {
        attempts -= 1;
        let resolved = move_lock(&program, &facade, lock.as_deref(), &options, &mut signals)
            .and_then(|()| verify(&program, &facade, &options, &mut signals));
        // An editor that calls Cargo in this moment has put the other Tokio back.
        match &resolved {
            Err(Failure::Refused(error)) if attempts > 0 && error.contains("--locked was passed") => {
                kept.write_lock(lock.as_deref())?;
            }
            _ => break resolved,
        }
    };
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
    let ended = wait(&mut command, &mut borrowed, &mut signals, !is_clippy(&trial.arguments));
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

/// The program is also named by an option of Cargo. Then that one's lock file is used.
fn selection(trial: &Try) -> Selection {
    let own = &trial.selection;
    let mut arguments = trial.arguments.iter().take_while(|argument| *argument != "--");
    let mut named = None;
    while let Some(argument) = arguments.next() {
        if argument == "--manifest-path" {
            named = arguments.next().map(PathBuf::from);
        } else if let Some(path) = argument.as_bytes().strip_prefix(b"--manifest-path=") {
            named = Some(PathBuf::from(OsStr::from_bytes(path)));
        }
    }
    Selection { manifest_path: named.or_else(|| own.manifest_path.clone()), offline: own.offline }
}

/// Commands of Cargo itself. One of the same name that was installed is not used.
const COMMANDS: &[&str] = &[
    "add",
    "b",
    "bench",
    "build",
    "c",
    "check",
    "clean",
    "clippy",
    "config",
    "d",
    "doc",
    "fetch",
    "fix",
    "generate-lockfile",
    "help",
    "info",
    "init",
    "install",
    "locate-project",
    "login",
    "logout",
    "metadata",
    "new",
    "owner",
    "package",
    "pkgid",
    "publish",
    "r",
    "read-manifest",
    "remove",
    "report",
    "rm",
    "run",
    "rustc",
    "rustdoc",
    "search",
    "t",
    "test",
    "tree",
    "uninstall",
    "update",
    "vendor",
    "verify-project",
    "version",
    "yank",
];

/// Whether the command is `clippy`: Cargo becomes a program that calls Cargo, and passes on only the options behind its name.
fn is_clippy(arguments: &[OsString]) -> bool {
    arguments
        .iter()
        .find(|argument| !argument.as_bytes().starts_with(b"-") && !argument.as_bytes().starts_with(b"+"))
        .is_some_and(|name| name == "clippy")
}

/// The name of the command, if Cargo hands it to a program without its own options.
fn external(arguments: &[OsString]) -> Option<&str> {
    let name =
        arguments.iter().find_map(|argument| argument.to_str().filter(|argument| !argument.starts_with(['-', '+'])))?;
    let file = format!("cargo-{name}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(program::cargo_home().map(|home| home.join("bin")));
    (!COMMANDS.contains(&name) && folders.any(|folder| folder.join(&file).is_file())).then_some(name)
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
    match is_clippy(&arguments) {
        true => command.args(before).args(options),
        false => command.args(options).args(before),
    };
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
fn wait(
    command: &mut Command,
    borrowed: &mut Borrowed<'_>,
    signals: &mut Signals,
    may_become_program: bool,
) -> Result<ExitStatus, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = signals.spawn(command).map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    let (mut restored, mut was_cargo) = (Ok(()), false);
    let status = signals.wait(&mut child, |process| {
        // Where there is nothing to build, the lock of the build folder is open for a moment alone, and then `cargo run` becomes the program.
        let is_cargo = is_cargo(process);
        let is_read = is_building(process) || (may_become_program && was_cargo && !is_cargo);
        was_cargo |= is_cargo;
        if is_read {
            restored = borrowed.give_back();
        }
        !is_read
    });
    restored.and(status)
}

/// Whether this process runs Cargo, and not what has started it or what it has become.
fn is_cargo(process: u32) -> bool {
    let Ok(file) = fs::read_link(Path::new("/proc").join(process.to_string()).join("exe")) else { return false };
    // A process that was just started is still a copy of this one.
    let is_own = std::env::current_exe().is_ok_and(|own| own == file);
    !is_own && file.file_name().is_some_and(|name| name.as_bytes().starts_with(b"cargo"))
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
