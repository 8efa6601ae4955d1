//! The command line.
//!
//! Called by `main`. Pure.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::address::{Start, redact_message};
use crate::crawl::Settings;
use crate::frontier::Limits;
use crate::progress::Verbosity;

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
  --max-wait TIME      the longest wait that a host can ask for: no page of it is asked for meanwhile; if it asks for
                       more, the page that said so is not asked for again (30s)
  --max-body SIZE      the largest body that is read, after decompression (32M)
What comes out:
  --save FILE          write a snapshot; `-` is standard output, here and below
  --compare FILE       say what differs from a snapshot
  --json FILE          write everything as JSON
  --csv FILE           write a row per address as CSV
  --checksums          after the report, write a line per page with its SHA-256
  -q, --quiet          no progress
  -v, --verbose        a line a page
  -h, --help           this text
  -V, --version        the version

A URL without a scheme means http. The user name and the password of a URL are sent to its own origin and never printed;
queries are printed, because they tell pages apart.
TIME is like 500ms, 10s or 2m; SIZE like 64K or 16M. robots.txt is honoured. Ctrl-C and SIGTERM finish what is in flight
and report; a second one aborts what is in flight.

ExitStatus code, the largest that applies:
  0  all links were checked, and none is broken
  1  there are broken links, or pages of the snapshot of --compare have vanished
  2  usage: a wrong option, URL or snapshot; nothing was crawled
  3  incomplete: interrupted, --deadline or --max-pages reached, robots.txt forbids a start, or an output was not written
";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Crawl(Box<Arguments>),
    /// The help or the version.
    Print(&'static str),
}

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) starts: Vec<Start>,
    pub(crate) has_checksums: bool,
    pub(crate) settings: Settings,
    pub(crate) verbosity: Verbosity,
    pub(crate) save: Option<PathBuf>,
    pub(crate) compare: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) csv: Option<PathBuf>,
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
        verbosity: Verbosity::Normal,
        save: None,
        compare: None,
        json: None,
        csv: None,
    }
}

/// Reads the command line.
///
/// # Errors
/// If it is wrong. The message says how to fix it, and holds no password.
pub(crate) fn parse(parser: lexopt::Parser) -> Result<Request, String> {
    parse_options(parser).map_err(|error| format!("{}\nTry `redd-crawl --help`.", redact_message(&error.to_string())))
}

fn parse_options(mut parser: lexopt::Parser) -> Result<Request, lexopt::Error> {
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
            Short('q') | Long("quiet") => arguments.verbosity = Verbosity::Quiet,
            Short('v') | Long("verbose") => arguments.verbosity = Verbosity::Verbose,
            Short('h') | Long("help") => return Ok(Request::Print(HELP)),
            Short('V') | Long("version") => {
                return Ok(Request::Print(concat!("redd-crawl ", env!("CARGO_PKG_VERSION"), "\n")));
            }
            Value(url) => arguments.starts.push(Start::parse(&url.string()?)?),
            Short(_) | Long(_) => return Err(argument.unexpected()),
        }
    }
    Ok(Request::Crawl(Box::new(arguments)))
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
        let read = |words: &[&str]| parse(lexopt::Parser::from_args(words));
        let Ok(Request::Crawl(fine)) = read(&["--depth", "2", "--rate=0.5", "http://a/", "-q"]) else {
            panic!("a right command line was refused");
        };
        assert_eq!(fine.settings.limits.depth, Some(2));
        assert_eq!(fine.starts, [Start::parse("http://a/").unwrap()]);
        assert_eq!(fine.verbosity, Verbosity::Quiet);
        assert!(read(&["--colour"]).is_err());
        assert!(read(&["--concurrency", "0"]).is_err());
        assert!(read(&["--rate", "0"]).is_err());
    }
}
