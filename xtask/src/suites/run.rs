//! Tests of a program, each in a process of its own, as many at once as there are processors, within a minute each.
//!
//! Called by `suites`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long one test may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How often is looked whether one has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A program with tests in it.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// It was killed after a minute.
    TookTooLong,
    /// It returned, but its simulated world has failed.
    WorldFailed,
    /// Its whole file does not.
    DoesNotCompile,
}

/// Runs all tests of all programs that are not marked as ignored: `program::test`, and what came of it.
pub(super) fn run(folder: &Path, programs: &[Program]) -> Result<Vec<(String, Verdict)>, String> {
    run_each(folder, programs, |program, test| run_one(command(folder, program), test, LIMIT))
}

/// Calls `run` for all tests of all programs that are not marked as ignored, as many at once as there are processors.
pub(super) fn run_each<T: Send>(
    folder: &Path,
    programs: &[Program],
    run: impl Fn(&Program, &str) -> Result<T, String> + Sync,
) -> Result<Vec<(String, T)>, String> {
    let mut queue = VecDeque::new();
    for program in programs {
        let ignored = list(folder, program, true)?;
        let tests = list(folder, program, false)?;
        queue.extend(tests.into_iter().filter(|test| !ignored.contains(test)).map(|test| (program, test)));
    }
    let (queue, results) = (Mutex::new(queue), Mutex::new(Vec::new()));
    let failed = Mutex::new(None);
    let at_once = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some((program, test)) = locked(&queue).pop_front() {
                    match run(program, &test) {
                        Ok(result) => locked(&results).push((format!("{}::{test}", program.name), result)),
                        Err(error) => *locked(&failed) = Some(error),
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub(super) fn command(folder: &Path, program: &Program) -> Command {
    let mut command = Command::new(&program.path);
    command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder).stdin(Stdio::null());
    command
}

fn list(folder: &Path, program: &Program, ignored: bool) -> Result<Vec<String>, String> {
    let mut command = command(folder, program);
    command.args(["--list", "--format", "terse"]);
    if ignored {
        command.arg("--ignored");
    }
    let output = command.output().map_err(|error| format!("cannot start {}: {error}", program.path.display()))?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines.lines().filter_map(|line| line.strip_suffix(": test").map(str::to_owned)).collect())
}

#[expect(clippy::disallowed_methods, reason = "a limit by the real clock; no async runtime is here")]
pub(super) fn run_one(mut command: Command, test: &str, limit: Duration) -> Result<Verdict, String> {
    command.args(["--exact", test, "--nocapture"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", Path::new(command.get_program()).display()))?;
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(if status.success() { Verdict::Passed } else { Verdict::Failed }),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(LOOK),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(Verdict::TookTooLong);
            }
        }
    }
}
