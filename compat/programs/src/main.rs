//! Small jobs on the crates that services are made of, each against a peer on loopback, on redd by way of the facade.
//!
//! `programs` runs all of them, `programs NAME …` some. Each prints one line, `NAME passed` or `NAME failed: why`; the
//! exit code says whether all passed. Each runs on a current-thread and on a multi-thread runtime.
//!
//! Called by `cargo xtask compat`.

mod axum;
mod hyper;
mod tokio_rustls;
mod tokio_stream;
mod tokio_tungstenite;
mod tokio_util;
mod tower;

use std::any::Any;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

// The facade is what is called `tokio` here, or this does not compile.
redd::assert_active!();

/// What a program has to say.
type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

type Program = (&'static str, fn() -> Pin<Box<dyn Future<Output = Outcome>>>);

/// Named as the crate that is tried, which is where the lane looks up the version.
const PROGRAMS: &[Program] = &[
    ("axum", || Box::pin(axum::run())),
    ("hyper", || Box::pin(hyper::run())),
    ("tokio-util", || Box::pin(tokio_util::run())),
    ("tokio-stream", || Box::pin(tokio_stream::run())),
    ("tower", || Box::pin(tower::run())),
    ("tokio-tungstenite", || Box::pin(tokio_tungstenite::run())),
    ("tokio-rustls", || Box::pin(tokio_rustls::run())),
];

/// Each takes well under a second on a machine with nothing else to do.
const LIMIT: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut all_passed = true;
    let mut ran = 0;
    for program in PROGRAMS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|word| word == name)) {
        ran += 1;
        match on_both_runtimes(program) {
            Ok(()) => println!("{} passed", program.0),
            Err(why) => {
                all_passed = false;
                println!("{} failed: {why}", program.0);
            }
        }
    }
    if ran == 0 {
        let names: Vec<_> = PROGRAMS.iter().map(|(name, _)| *name).collect();
        eprintln!("no program is called {}; there are: {}", wanted.join(" or "), names.join(", "));
        all_passed = false;
    }
    // A program that hangs has left a thread behind; the end of the process ends it.
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

/// Runs a program on a thread of its own, so that a runtime that hangs is reported like everything else.
fn on_a_thread(runtime: &str, (name, run): &Program, builder: fn() -> Builder) -> Result<(), String> {
    let (done, outcome) = mpsc::channel();
    let run = *run;
    let thread = std::thread::Builder::new().name(format!("{name} on {runtime}"));
    let spawned = thread.spawn(move || {
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| -> Outcome {
            let runtime = builder().enable_all().build()?;
            runtime.block_on(async {
                // Redd's own type, by both names.
                let _: redd::runtime::Handle = Handle::current();
                tokio::time::timeout(LIMIT, run()).await.map_err(|_| "it did not end in time")?
            })
            // The runtime is dropped here, with whatever tasks are left: that, too, has to come to an end.
        }));
        let result = match result {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(payload) => Err(format!("panic: {}", message(&*payload))),
        };
        // Nobody listens any more if it took too long.
        let _ = done.send(result);
    });
    spawned.map_err(|error| format!("no thread: {error}"))?;
    let result = outcome.recv_timeout(LIMIT * 2).unwrap_or_else(|_| Err("the runtime hangs".to_owned()));
    result.map_err(|why| format!("{why} (on the {runtime} runtime)"))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let of_string = payload.downcast_ref::<String>().map(String::as_str);
    of_string.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}

/// An error unless `fact` holds.
fn ensure(fact: bool, what: &str) -> Outcome {
    if fact { Ok(()) } else { Err(format!("not so: {what}").into()) }
}
