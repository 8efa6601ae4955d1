//! Runs the programs of `compat`, each on a current-thread and on a multi-thread runtime, and finds their servers.
//!
//! Called by the `main` of each package of programs.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

// This compiles only if `tokio` is the facade.
redd::assert_active!();

/// The result of a program.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The name of a program, and a function that creates its future. The name starts with the crate under test, for which
/// the lane looks up the version. Words in parentheses may follow.
pub type Program = (&'static str, fn() -> Pin<Box<dyn Future<Output = Outcome>>>);

/// Each program takes at most a few seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

/// The server that a program needs is not on this machine, so the program neither passed nor failed.
#[derive(Debug)]
struct Skipped(String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped: {}", self.0)
    }
}

impl Error for Skipped {}

/// The address of the lane's server with this name: `peer("redis")` is the value of `COMPAT_REDIS`.
///
/// # Errors
///
/// The program is skipped if there is no such server: the variable is not set, or is `missing: why`.
pub fn peer(name: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let variable = format!("COMPAT_{}", name.to_uppercase());
    match std::env::var(&variable) {
        Ok(value) => match value.strip_prefix("missing: ") {
            None => Ok(value),
            Some(why) => Err(Skipped(why.to_owned()).into()),
        },
        Err(_) => Err(Skipped(format!("{variable} is not set; `cargo xtask compat` starts a peer and sets it")).into()),
    }
}

/// Returns an error unless `fact` holds.
///
/// # Errors
///
/// The error says which fact does not hold.
pub fn ensure(fact: bool, what: &str) -> Outcome {
    if fact { Ok(()) } else { Err(format!("does not hold: {what}").into()) }
}

/// The `main` of a package: runs the programs that are named as arguments, or all.
pub fn run(programs: &[Program]) -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut all_passed = true;
    let mut ran = 0;
    for program in programs.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|word| word == name)) {
        ran += 1;
        match on_both_runtimes(program) {
            Ok(()) => println!("{} passed", program.0),
            Err(why) if why.starts_with("skipped: ") => println!("{} {why}", program.0),
            Err(why) => {
                all_passed = false;
                println!("{} failed: {}", program.0, why.replace('\n', " "));
            }
        }
    }
    if ran == 0 {
        let names: Vec<_> = programs.iter().map(|(name, _)| *name).collect();
        eprintln!("no program is called {}; there are: {}", wanted.join(" or "), names.join(", "));
        all_passed = false;
    }
    // A program that hangs leaves a thread behind, which the end of the process ends.
    if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn on_both_runtimes(program: &Program) -> Result<(), String> {
    on_a_thread("current-thread", program, Builder::new_current_thread)?;
    on_a_thread("multi-thread", program, || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2);
        builder
    })
}

/// Runs a program on its own thread, so that a hanging runtime is reported like any other failure.
fn on_a_thread(runtime: &str, (name, run): &Program, builder: fn() -> Builder) -> Result<(), String> {
    let (done, outcome) = mpsc::channel();
    let run = *run;
    let thread = std::thread::Builder::new().name(format!("{name} on {runtime}"));
    let spawned = thread.spawn(move || {
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| -> Outcome {
            let runtime = builder().enable_all().build()?;
            runtime.block_on(async {
                // Redd's own type, under both names.
                let _: redd::runtime::Handle = Handle::current();
                tokio::time::timeout(LIMIT, run()).await.map_err(|_| "it did not end in time")?
            })
            // The runtime is dropped here, with all remaining tasks. That must end, too.
        }));
        let result = match result {
            Ok(result) => result.map_err(|error| with_sources(&*error)),
            Err(payload) => Err(format!("panic: {}", message(&*payload))),
        };
        // If the time is over, the receiver is dropped already.
        let _ = done.send(result);
    });
    spawned.map_err(|error| format!("no thread: {error}"))?;
    let result = outcome.recv_timeout(LIMIT * 2).unwrap_or_else(|_| Err("the runtime hangs".to_owned()));
    result.map_err(|why| if why.starts_with("skipped: ") { why } else { format!("{why} (on the {runtime} runtime)") })
}

/// An error with its causes.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let of_string = payload.downcast_ref::<String>().map(String::as_str);
    of_string.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}
