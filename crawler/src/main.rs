//! redd-crawl: a polite, concurrent link checker and site snapshotter that runs on redd.
//!
//! This file reads the arguments, runs the crawl and writes what it found. Without arguments it serves a small site of its
//! own and crawls that. The way of a crawl stands in `crawl`.

mod address;
mod crawl;
mod decode;
mod export;
mod extract;
mod fetch;
mod frontier;
mod outcome;
mod page;
mod plural;
mod polite;
mod progress;
mod report;
mod robots;
mod site;
mod store;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use crate::address::{Start, redact_message};
use crate::crawl::Settings;
use crate::frontier::Limits;
use crate::outcome::{End, Outcome};
use crate::plural::count;
use crate::progress::{Progress, Talk};
use crate::store::Snapshot;

const HELP: &str = "\
Checks the links of a site and takes a snapshot of it.

Usage: redd-crawl [OPTIONS] [URL]...

Without a URL it serves a small site of its own on this machine and crawls that.
Pages on the origins of the URLs are searched for links; links that lead elsewhere are checked only.

How far:
  --same-origin        do not check links that lead elsewhere
  --depth N            follow links N clicks far at most
  --max-pages N        fetch N pages at most
  --deadline TIME      stop then: keep what is done, abort the rest
How gently:
  --concurrency N      requests at once (16)
  --per-host N         requests at once to one host (8)
  --rate N             requests a second to one host (10; no limit on this machine)
  --timeout TIME       for one page, from the request to its last byte (30s)
  --retries N          more tries after a passing failure, each after a longer wait (2)
  --max-wait TIME      before a retry, the longest wait that a server can ask for; if it asks for more, the page
                       is not asked for again (30s)
  --max-body SIZE      the largest body that is read, after decompression (32M)
What comes out:
  --save FILE          write a snapshot
  --compare FILE       say what differs from a snapshot
  --json FILE          write everything as JSON; `-` is standard output
  --csv FILE           write a row a page as CSV; `-` is standard output
  --checksums          after the report, write a line per page with its SHA-256
  -q, --quiet          no progress
  -v, --verbose        a line a page
  -h, --help           this text
  -V, --version        the version

A URL without a scheme means http. The user name and the password of a URL are sent to its own origin and never printed;
queries are printed, because they tell pages apart.
TIME is like 500ms, 10s or 2m; SIZE like 64K or 16M. robots.txt is honoured. Ctrl-C finishes what is in flight and
reports; a second one aborts. Exit code: 0 clean, 1 broken links or a failure, 2 usage.
";

/// What the command line says.
#[derive(Debug)]
struct Arguments {
    starts: Vec<Start>,
    has_checksums: bool,
    settings: Settings,
    talk: Talk,
    save: Option<PathBuf>,
    compare: Option<PathBuf>,
    json: Option<PathBuf>,
    csv: Option<PathBuf>,
}

fn defaults() -> Arguments {
    Arguments {
        starts: Vec::new(),
        has_checksums: false,
        settings: Settings {
            concurrency: 16,
            per_host: 8,
            rate: None,
            limits: Limits { depth: None, pages: usize::MAX },
            timeout: Duration::from_secs(30),
            retries: 2,
            wait_max: Duration::from_secs(30),
            body_max: 32 << 20,
            deadline: None,
            same_origin: false,
        },
        talk: Talk::Normal,
        save: None,
        compare: None,
        json: None,
        csv: None,
    }
}

/// None if help or the version was asked for, and given.
fn arguments(mut parser: lexopt::Parser) -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = defaults();
    let settings = &mut arguments.settings;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("same-origin") => settings.same_origin = true,
            Long("depth") => settings.limits.depth = Some(parser.value()?.parse()?),
            Long("max-pages") => settings.limits.pages = parser.value()?.parse_with(at_least_one)?,
            Long("deadline") => settings.deadline = Some(parser.value()?.parse_with(time)?),
            Long("concurrency") => settings.concurrency = parser.value()?.parse_with(at_least_one)?,
            Long("per-host") => settings.per_host = parser.value()?.parse_with(at_least_one)?,
            Long("rate") => settings.rate = Some(parser.value()?.parse_with(rate)?),
            Long("timeout") => settings.timeout = parser.value()?.parse_with(time)?,
            Long("retries") => settings.retries = parser.value()?.parse()?,
            Long("max-wait") => settings.wait_max = parser.value()?.parse_with(time)?,
            Long("max-body") => settings.body_max = parser.value()?.parse_with(size)?,
            Long("save") => arguments.save = Some(parser.value()?.into()),
            Long("compare") => arguments.compare = Some(parser.value()?.into()),
            Long("json") => arguments.json = Some(parser.value()?.into()),
            Long("csv") => arguments.csv = Some(parser.value()?.into()),
            Long("checksums") => arguments.has_checksums = true,
            Short('q') | Long("quiet") => arguments.talk = Talk::Quiet,
            Short('v') | Long("verbose") => arguments.talk = Talk::Verbose,
            Short('h') | Long("help") => {
                print(HELP);
                return Ok(None);
            }
            Short('V') | Long("version") => {
                print(concat!("redd-crawl ", env!("CARGO_PKG_VERSION"), "\n"));
                return Ok(None);
            }
            Value(url) => arguments.starts.push(Start::parse(&url.string()?)?),
            Short(_) | Long(_) => return Err(argument.unexpected()),
        }
    }
    Ok(Some(arguments))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("give a whole number from 1 on".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 => Ok(rate),
        _ => Err("give a number above 0, such as 2 or 0.5".to_owned()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => 0.0,
    };
    match digits.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * unit).ok()) {
        Some(time) if !time.is_zero() => Ok(time),
        _ => Err("give a time such as 500ms, 10s or 2m".to_owned()),
    }
}

fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => Some(1),
        "K" | "k" => Some(1 << 10),
        "M" => Some(1 << 20),
        "G" => Some(1 << 30),
        _ => None,
    };
    let size = unit.and_then(|unit: usize| digits.parse::<usize>().ok()?.checked_mul(unit));
    size.ok_or_else(|| "give a size such as 65536, 64K or 16M".to_owned())
}

fn main() -> ExitCode {
    let arguments = match arguments(lexopt::Parser::from_env()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{}\nTry `redd-crawl --help`.", redact_message(&error.to_string())));
            return ExitCode::from(2);
        }
    };
    let runtime = match redd::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the runtime could not be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        if arguments.starts.is_empty() { demonstrate(arguments).await } else { check(&arguments).await }
    });
    // A name look-up may still sit in a blocking thread; nobody waits for it any more.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::FAILURE
    })
}

/// Crawls the given addresses and writes what was asked for.
async fn check(arguments: &Arguments) -> Result<ExitCode, String> {
    let outcome = crawl(arguments).await?;
    Ok(if outcome.counts().broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn crawl(arguments: &Arguments) -> Result<Outcome, String> {
    // Before the crawl, so that a wrong file name costs a moment and not an hour.
    let old = match &arguments.compare {
        Some(path) => Some(Snapshot::load(path).await?),
        None => None,
    };
    let mut progress = Progress::new(arguments.talk);
    for start in arguments.starts.iter().filter(|start| start.is_scheme_assumed && arguments.talk != Talk::Quiet) {
        progress.line(&format!("An address without a scheme is taken as {}", start.url));
    }
    let outcome = crawl::crawl(&arguments.settings, &arguments.starts, &mut progress).await?;
    let snapshot = Snapshot::of(&outcome.frontier, outcome.end == End::Complete);
    let difference = old.map(|old| snapshot.since(&old));

    if let Some(path) = &arguments.save {
        snapshot.save(path).await.map_err(|error| format!("{}: {error}", path.display()))?;
        progress.line(&format!("saved {} to {}", count(snapshot.pages.len(), "page"), path.display()));
    }
    let mut is_taken = false;
    if let Some(path) = &arguments.json {
        is_taken |= write(path, export::to_json(&outcome, difference.as_ref()).as_bytes()).await?;
    }
    if let Some(path) = &arguments.csv {
        let rows = export::to_csv(&outcome).map_err(|error| error.to_string())?;
        is_taken |= write(path, &rows).await?;
    }
    let summary = report::summary(&outcome, difference.as_ref());
    if is_taken {
        complain(&summary);
    } else {
        print(&summary);
    }
    if arguments.has_checksums {
        let checksums = report::checksums(&outcome);
        if is_taken { complain(&checksums) } else { print(&checksums) }
    }
    Ok(outcome)
}

/// Serves the embedded site, crawls it, and says whether exactly what is planted there was found.
async fn demonstrate(mut arguments: Arguments) -> Result<ExitCode, String> {
    let failed = |error: std::io::Error| format!("the embedded site could not be served: {error}");
    let listener = redd::net::TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let home = format!("http://{}/", listener.local_addr().map_err(failed)?);
    let server = redd::spawn(site::serve(listener));

    complain(&format!("No URL given: crawling a small site of our own at {home} (--help says how to crawl yours).\n"));
    arguments.starts.push(Start::parse(&home)?);
    arguments.talk = Talk::Verbose;
    // The page that never answers shall not take half a minute.
    arguments.settings.timeout = arguments.settings.timeout.min(Duration::from_secs(2));
    arguments.settings.retries = arguments.settings.retries.min(1);
    let outcome = crawl(&arguments).await?;
    server.abort();

    let found: BTreeSet<&str> = outcome.broken().iter().map(|broken| broken.url).collect();
    let home = home.trim_end_matches('/');
    let planted: Vec<String> = site::BROKEN.iter().map(|path| format!("{home}{path}")).collect();
    let counts = outcome.counts();
    let is_right = found == planted.iter().map(String::as_str).collect()
        && (counts.good, counts.redirects, counts.skipped) == (site::GOOD, site::REDIRECTS, site::FORBIDDEN);
    Ok(if is_right {
        complain("\nThe broken links above are planted in the embedded site, and all of them were found: all is well.");
        ExitCode::SUCCESS
    } else {
        complain("\nThis is not what is planted in the embedded site, unless limits were given or it was interrupted.");
        ExitCode::FAILURE
    })
}

/// Writes to a file, or, for `-`, to standard output; then it returns true.
async fn write(path: &std::path::Path, bytes: &[u8]) -> Result<bool, String> {
    if path.as_os_str() == "-" {
        // Whoever closed the pipe has read enough.
        drop(std::io::stdout().write_all(bytes));
        return Ok(true);
    }
    store::write_whole(path, bytes).await.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(false)
}

fn print(text: &str) {
    // As in `write`.
    drop(std::io::stdout().write_all(text.as_bytes()));
}

fn complain(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(time("1.5"), Ok(Duration::from_millis(1500)));
        assert!(time("5 parsecs").is_err() && time("0").is_err() && time("-1s").is_err());
        assert_eq!(size("64K"), Ok(65536));
        assert!(size("many").is_err() && size("1T").is_err());
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_refused() {
        let read = |words: &[&str]| arguments(lexopt::Parser::from_args(words));
        let fine = read(&["--depth", "2", "--rate=0.5", "http://a/", "-q"]).unwrap().unwrap();
        assert_eq!(fine.settings.limits.depth, Some(2));
        assert_eq!(fine.starts, [Start::parse("http://a/").unwrap()]);
        assert_eq!(fine.talk, Talk::Quiet);
        assert!(read(&["--colour"]).is_err());
        assert!(read(&["--concurrency", "0"]).is_err());
        assert!(read(&["--rate", "0"]).is_err());
    }
}
