//! redd-crawl: a polite, concurrent link checker and site snapshotter that runs on redd.
//!
//! This file runs a crawl and writes what it found. Without arguments it serves a small site of its own and crawls that.
//! How a crawl works is in `crawl`.

mod address;
mod arguments;
mod body;
mod cache;
mod charset;
mod cluster;
mod cluster_report;
mod command_line;
mod config;
mod continuing;
mod cookies;
mod crawl;
mod css;
mod decode;
mod delivery;
mod demo_site;
mod differing;
mod engine;
mod exit;
mod fetch;
mod files;
mod filters;
mod fold;
mod formats;
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
mod pace;
mod page;
mod plural;
mod printable;
mod progress;
mod record;
mod report;
mod request_settings;
mod results;
mod robots;
mod rules;
mod sitemap;
mod snapshot;
mod srcset;
mod statuses;
mod store;
mod store_file;
mod together;
mod values;
mod work;
mod work_item;
mod work_local;

use std::collections::BTreeSet;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use redd::task::spawn_blocking;

use crate::address::Start;
use crate::arguments::{Arguments, Request};
use crate::cache::Cache;
use crate::delivery::{Content, Delivered, Delivery, Order, print, print_to_stderr};
use crate::exit::{EarlyExit, ExitStatus};
use crate::inputs::Input;
use crate::interrupt::Interrupts;
use crate::options::Format;
use crate::outcome::Outcome;
use crate::page::PageState;
use crate::progress::{Progress, Verbosity};
use crate::store_file::StorePlace;

fn main() -> ExitCode {
    let result = match arguments::parse(std::env::args_os()) {
        Ok(Request::Crawl(arguments)) => run(*arguments),
        Ok(Request::Report(address, format)) => block_on(together::report(address, format)),
        Ok(Request::Status(address, format)) => block_on(together::status(address, format)),
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
    block_on(async {
        if arguments.inputs.is_empty() {
            demonstrate(arguments).await
        } else {
            crawl(arguments).await.map(|finished| finished.exit)
        }
    })
}

fn block_on(future: impl Future<Output = Result<ExitStatus, EarlyExit>>) -> Result<ExitStatus, EarlyExit> {
    let runtime = redd::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| EarlyExit::incomplete(format!("the runtime could not be started: {error}")))?;
    let result = runtime.block_on(future);
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
    let mut interrupts = Interrupts::listen()
        .map_err(|error| EarlyExit::incomplete(format!("the signals cannot be listened to: {error}")))?;
    let inputs = inputs::read(&arguments.inputs, &arguments.publication, &mut interrupts).await?;
    arguments.settings.site = Arc::new(inputs.site);
    let delivery = Delivery::prepare(order(&arguments, &inputs.starts), &mut interrupts).await?;

    let mut progress = Progress::new(arguments.verbosity, arguments.progress);
    if let (Some(file), true) = (&arguments.config, arguments.verbosity != Verbosity::Quiet) {
        progress.line(&format!("Options are read from {}; --no-config ignores it", file.display()));
    }
    for start in inputs.starts.iter().filter(|start| start.is_scheme_assumed && arguments.verbosity != Verbosity::Quiet)
    {
        progress.line(&format!("An address without a scheme is taken as {}", start.url));
    }
    arguments.settings.cache = open_cache(&arguments, &inputs.starts, &progress).await?;
    let plan = crawl::plan(&arguments.settings, &inputs.starts);
    let (work, store) = match &arguments.frontier {
        Some(address) => (together::join(&arguments, address, &plan, &progress).await?, None),
        None => continuing::take_up(&arguments, &plan, &mut progress).await?,
    };
    let outcome = crawl::crawl(&arguments.settings, &inputs.starts, work, &mut progress, &mut interrupts).await;
    let outcome = outcome.map_err(EarlyExit::incomplete)?;
    let Delivered { exit, is_written } = delivery.deliver(&outcome, &progress, &mut interrupts).await;
    if let Some(store) = store {
        continuing::leave(store, &outcome, is_written, arguments.verbosity);
    }
    Ok(Finished { outcome, exit })
}

/// Opens the cache if one is wanted, and says what it has.
async fn open_cache(arguments: &Arguments, starts: &[Start], progress: &Progress) -> Result<Option<Cache>, EarlyExit> {
    let Some(settings) = arguments.cache.clone() else { return Ok(None) };
    let question = crawl::question(&arguments.settings, starts);
    let opened = spawn_blocking(move || cache::open(&settings, &question)).await;
    let cache = opened.map_err(|error| EarlyExit::incomplete(format!("the cache was not opened: {error}")))??;
    if arguments.verbosity != Verbosity::Quiet {
        cache.greeting().iter().for_each(|line| progress.line(line));
    }
    Ok(Some(cache))
}

/// What is to be delivered.
fn order(arguments: &Arguments, starts: &[Start]) -> Order {
    let files = [
        ("--save", Content::Snapshot, &arguments.save),
        ("--json", Content::Results(Format::Json), &arguments.json),
        ("--csv", Content::Results(Format::Csv), &arguments.csv),
        ("--junit", Content::Results(Format::Junit), &arguments.junit),
        ("--markdown", Content::Results(Format::Markdown), &arguments.markdown),
        ("--sarif", Content::Results(Format::Sarif), &arguments.sarif),
        ("--html", Content::Results(Format::Html), &arguments.html),
    ];
    let files = files.into_iter().filter_map(|(option, content, path)| Some((option, content, path.clone()?)));
    Order {
        files: files.collect(),
        format: arguments.format,
        has_checksums: arguments.has_checksums,
        compare: arguments.compare.clone(),
        starts: starts.iter().map(|start| start.url.to_string()).collect(),
    }
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
    // Its port is another one each time.
    arguments.store = StorePlace::Off;
    // The page that never answers must not take half a minute.
    arguments.settings.timeout = arguments.settings.timeout.min(Duration::from_secs(2));
    arguments.settings.retries = arguments.settings.retries.min(1);
    let Finished { outcome, exit } = crawl(arguments).await?;
    server.abort();

    let entries = outcome.frontier.entries().iter();
    let broken = entries.filter(|entry| matches!(entry.state, PageState::Broken(_)));
    let found: BTreeSet<&str> = broken.map(|entry| &*entry.url).collect();
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
