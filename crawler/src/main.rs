//! redd-crawl: a polite, concurrent link checker and site snapshotter that runs on redd.
//!
//! This file runs a crawl and writes what it found. Without arguments it serves a small site of its own and crawls that.
//! How a crawl works is in `crawl`.

mod address;
mod arguments;
mod body;
mod cookies;
mod crawl;
mod css;
mod decode;
mod demo_site;
mod exit;
mod export;
mod fetch;
mod files;
mod filters;
mod fold;
mod fragments;
mod frontier;
mod help;
mod host_queues;
mod html;
#[cfg(test)]
mod in_world;
mod inputs;
mod interrupt;
mod lines;
mod links;
mod local_site;
mod mailto;
mod markdown;
mod options;
mod outcome;
mod output;
mod page;
mod plural;
mod progress;
mod record;
mod report;
mod request_settings;
mod robots;
mod sitemap;
mod snapshot;
mod srcset;
mod statuses;
mod values;
mod work;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use redd::task::spawn_blocking;

use crate::arguments::{Arguments, Request};
use crate::exit::{EarlyExit, ExitStatus};
use crate::inputs::Input;
use crate::interrupt::Interrupts;
use crate::outcome::Outcome;
use crate::output::{Output, write_to_standard_output};
use crate::plural::count;
use crate::progress::{Progress, Verbosity};
use crate::snapshot::{Difference, Snapshot};

fn main() -> ExitCode {
    let result = match arguments::parse(std::env::args_os()) {
        Ok(Request::Crawl(arguments)) => run(*arguments),
        Ok(Request::Print(text)) => print(&text).map(|()| ExitStatus::Clean),
        Err(message) => Err(EarlyExit::usage(message)),
    };
    let exit = result.unwrap_or_else(|stop| {
        print_to_stderr(&stop.message);
        stop.exit
    });
    exit.into()
}

fn run(arguments: Arguments) -> Result<ExitStatus, EarlyExit> {
    let runtime = redd::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| EarlyExit::incomplete(format!("the runtime could not be started: {error}")))?;
    let result = runtime.block_on(async {
        if arguments.inputs.is_empty() {
            demonstrate(arguments).await
        } else {
            crawl(arguments).await.map(|finished| finished.exit)
        }
    });
    // A name lookup may still run on a blocking thread. Its result is of no use any more.
    runtime.shutdown_background();
    result
}

/// A crawl whose results were written, as far as that was possible.
#[derive(Debug)]
struct Finished {
    outcome: Outcome,
    exit: ExitStatus,
}

/// Crawls the given addresses and writes what was asked for.
async fn crawl(mut arguments: Arguments) -> Result<Finished, EarlyExit> {
    // A wrong file is noticed now, not after an hour of crawling.
    let old = match &arguments.compare {
        Some(path) => Some(Snapshot::load(path).await.map_err(EarlyExit::usage)?),
        None => None,
    };
    let mut interrupts = Interrupts::listen()
        .map_err(|error| EarlyExit::incomplete(format!("the signals cannot be listened to: {error}")))?;
    let inputs = inputs::read(&arguments.inputs, &arguments.publication, &mut interrupts).await?;
    arguments.settings.site = Arc::new(inputs.site);
    let wanted = [("--save", &arguments.save), ("--json", &arguments.json), ("--csv", &arguments.csv)];
    let wanted = wanted.into_iter().filter_map(|(option, path)| Some((option, path.clone()?))).collect();
    let outputs = output::open_all(wanted, &mut interrupts).await?;

    let mut progress = Progress::new(arguments.verbosity);
    for start in inputs.starts.iter().filter(|start| start.is_scheme_assumed && arguments.verbosity != Verbosity::Quiet)
    {
        progress.line(&format!("An address without a scheme is taken as {}", start.url));
    }
    let outcome = crawl::crawl(&arguments.settings, &inputs.starts, &mut progress, &mut interrupts).await;
    let outcome = outcome.map_err(EarlyExit::incomplete)?;
    let snapshot = Snapshot::of(&outcome.frontier, outcome.shortfalls().is_empty());
    let difference = old.map(|old| snapshot.since(&old));

    let is_standard_output_taken = outputs.iter().any(Output::is_standard_output);
    let mut is_written = true;
    for output in outputs {
        is_written &= write(output, &outcome, &snapshot, difference.as_ref(), &progress, &mut interrupts).await;
    }
    is_written &=
        show_report(&arguments, &outcome, difference.as_ref(), is_standard_output_taken, &mut interrupts).await;
    let exit = if is_written { ExitStatus::of(&outcome, difference.as_ref()) } else { ExitStatus::Incomplete };
    Ok(Finished { outcome, exit })
}

/// Writes one of the outputs, and says so if that fails.
async fn write(
    output: Output,
    outcome: &Outcome,
    snapshot: &Snapshot,
    difference: Option<&Difference>,
    progress: &Progress,
    interrupts: &mut Interrupts,
) -> bool {
    let kind = if output.is_standard_output() { " (standard output)" } else { "" };
    let name = format!("{} {}{kind}", output.option(), output.path().display());
    let saved = (output.option() == "--save")
        .then(|| format!("saved {} to {}", count(snapshot.pages.len(), "page"), output.path().display()));
    let bytes = match output.option() {
        "--save" => snapshot.to_bytes(),
        "--json" => export::to_json(outcome, difference).into_bytes(),
        _ => match export::to_csv(outcome) {
            Ok(rows) => rows,
            Err(error) => {
                print_to_stderr(&format!("{name}: {error}"));
                return false;
            }
        },
    };
    match output.write(bytes, interrupts).await {
        Ok(()) => {
            saved.iter().for_each(|line| progress.line(line));
            true
        }
        Err(error) => {
            print_to_stderr(&format!("{name}: was not written: {error}"));
            false
        }
    }
}

/// Shows the report for people, on standard error if another output has taken standard output.
async fn show_report(
    arguments: &Arguments,
    outcome: &Outcome,
    difference: Option<&Difference>,
    is_taken: bool,
    interrupts: &mut Interrupts,
) -> bool {
    let mut text = report::summary(outcome, difference);
    if arguments.has_checksums {
        text += &report::checksums(outcome);
    }
    if is_taken {
        print_to_stderr(&text);
        return true;
    }
    // A pipe that is full and not read must not make the program deaf to signals.
    let printed = redd::select! {
        printed = spawn_blocking(move || print(text.as_bytes())) => {
            printed.unwrap_or_else(|error| Err(EarlyExit::incomplete(format!("the report was not printed: {error}"))))
        }
        () = interrupts.recv() => Err(EarlyExit::incomplete("interrupted: the report was not printed".to_owned())),
    };
    if let Err(stop) = &printed {
        print_to_stderr(&stop.message);
    }
    if printed.is_err() || !io::stdout().is_terminal() {
        // The report says so too, but it may be in a file.
        outcome.shortfalls().iter().for_each(|shortfall| print_to_stderr(&format!("incomplete: {shortfall}")));
    }
    printed.is_ok()
}

/// Serves the embedded site, crawls it, and says whether exactly what is planted there was found.
async fn demonstrate(mut arguments: Arguments) -> Result<ExitStatus, EarlyExit> {
    let failed = |error: io::Error| EarlyExit::incomplete(format!("the embedded site could not be served: {error}"));
    let listener = redd::net::TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let home = format!("http://{}/", listener.local_addr().map_err(failed)?);
    let server = redd::spawn(demo_site::serve(listener));

    print_to_stderr(&format!(
        "No URL given: crawling a small site of our own at {home} (--help says how to crawl yours).\n"
    ));
    arguments.inputs.push(Input::parse(&home).map_err(EarlyExit::usage)?);
    arguments.verbosity = Verbosity::Verbose;
    // The page that never answers must not take half a minute.
    arguments.settings.timeout = arguments.settings.timeout.min(Duration::from_secs(2));
    arguments.settings.retries = arguments.settings.retries.min(1);
    let Finished { outcome, exit } = crawl(arguments).await?;
    server.abort();

    let found: BTreeSet<&str> = outcome.broken().iter().map(|broken| broken.url).collect();
    let home = home.trim_end_matches('/');
    let planted: Vec<String> = demo_site::BROKEN.iter().map(|path| format!("{home}{path}")).collect();
    let counts = outcome.counts();
    let is_right = found == planted.iter().map(String::as_str).collect()
        && (counts.good, counts.redirects, counts.skipped)
            == (demo_site::GOOD, demo_site::REDIRECTS, demo_site::FORBIDDEN);
    if exit == ExitStatus::Incomplete {
        print_to_stderr("\nThe crawl of the embedded site is incomplete.");
        Ok(exit)
    } else if is_right {
        print_to_stderr(
            "\nThe broken links above are planted in the embedded site, and all of them were found: all is well.",
        );
        Ok(ExitStatus::Clean)
    } else {
        print_to_stderr("\nThis is not what is planted in the embedded site, unless limits were given.");
        Ok(ExitStatus::Findings)
    }
}

/// # Errors
/// If standard output cannot be written, for example because it is a closed pipe.
fn print(text: &[u8]) -> Result<(), EarlyExit> {
    write_to_standard_output(text)
        .map_err(|error| EarlyExit::incomplete(format!("standard output cannot be written: {error}")))
}

/// Prints to standard error. If that is closed or full, there is no place left to say so.
fn print_to_stderr(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}
