//! What the command line asks for.
//!
//! Called by `main`. It checks the options that `options` has read, and translates them for the rest of the program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::CacheSettings;
use crate::command_line::{self, CommandLine, with_hint};
use crate::crawl::Settings;
use crate::engine::address::FrontierAddress;
use crate::filters::Filters;
use crate::frontier::Limits;
use crate::help;
use crate::inputs::{Input, Publication};
use crate::options::{CommandWord, Format, Options, ProgressKind};
use crate::progress::Verbosity;
use crate::request_settings::RequestSettings;
use crate::store_file::StorePlace;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Crawl(Box<Arguments>),
    /// What the processes of a crawl have found.
    Report(FrontierAddress, Format),
    /// Which processes work on a crawl, and on what.
    Status(FrontierAddress, Format),
    /// The help, the version, the manual page or completions.
    Print(Vec<u8>),
}

/// What the command line says about a crawl.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) inputs: Vec<Input>,
    pub(crate) publication: Publication,
    pub(crate) has_checksums: bool,
    pub(crate) settings: Settings,
    pub(crate) verbosity: Verbosity,
    pub(crate) cache: Option<CacheSettings>,
    /// The configuration file that was read.
    pub(crate) config: Option<PathBuf>,
    pub(crate) save: Option<PathBuf>,
    pub(crate) compare: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) csv: Option<PathBuf>,
    pub(crate) junit: Option<PathBuf>,
    pub(crate) markdown: Option<PathBuf>,
    pub(crate) sarif: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    /// What standard output is.
    pub(crate) format: Format,
    pub(crate) progress: ProgressKind,
    pub(crate) store: StorePlace,
    /// Whether a store that is there is replaced.
    pub(crate) fresh: bool,
    /// An address that may have a password.
    pub(crate) frontier: Option<FrontierAddress>,
}

/// Reads the command line. The first word is the name of the program.
///
/// # Errors
/// If it is wrong. The message says how to fix it, and holds no password.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Request, String> {
    let words: Vec<OsString> = words.into_iter().collect();
    let options = match command_line::read(&words)? {
        CommandLine::Options(options) => *options,
        CommandLine::Print(text) => return Ok(Request::Print(text)),
    };
    let request = match options.command {
        Some(CommandWord::Completions { shell, .. }) => Ok(Request::Print(help::completions(shell))),
        Some(CommandWord::Man { .. }) => help::manual().map(Request::Print).map_err(|error| error.to_string()),
        Some(CommandWord::Report(of)) => {
            FrontierAddress::parse(&of.frontier.0).map(|frontier| Request::Report(frontier, of.format))
        }
        Some(CommandWord::Status(of)) => {
            FrontierAddress::parse(&of.frontier.0).map(|frontier| Request::Status(frontier, of.format))
        }
        None => Arguments::new(options).map(|arguments| Request::Crawl(Box::new(arguments))),
    };
    request.map_err(|message| with_hint(&message))
}

impl Arguments {
    fn new(options: Options) -> Result<Self, String> {
        let Options { urls, reach, checks, pace, requests, output, memory, cluster, .. } = options;
        let arguments = Self {
            inputs: urls.iter().map(|url| Input::parse(url)).collect::<Result<_, _>>()?,
            publication: Publication { root: checks.root_dir, base: checks.base_url },
            has_checksums: output.checksums,
            settings: Settings {
                concurrency: pace.concurrency,
                per_host: pace.per_host,
                rate: pace.rate,
                limits: Limits { depth: reach.depth, pages: reach.max_pages.unwrap_or(usize::MAX) },
                timeout: pace.timeout,
                retries: pace.retries,
                wait_max: pace.max_wait,
                body_max: pace.max_body,
                deadline: reach.deadline,
                same_origin: reach.same_origin,
                only_folders: reach.no_parent,
                filters: Filters::new(&reach.include, &reach.exclude)?,
                requests: RequestSettings::new(&requests, checks.accept.as_deref())?,
                has_fragments: checks.fragments,
                has_sitemaps: reach.sitemap,
                site: Arc::default(),
                cache: None,
            },
            verbosity: match (output.quiet, output.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, true) => Verbosity::Verbose,
                (false, false) => Verbosity::Normal,
            },
            cache: memory.cache.map(|path| CacheSettings { path, max_age: memory.max_age }),
            config: memory.config,
            save: output.save,
            compare: output.compare,
            json: output.json,
            csv: output.csv,
            junit: output.junit,
            markdown: output.markdown,
            sarif: output.sarif,
            html: output.html,
            format: output.format,
            progress: output.progress,
            store: match memory.store.clone() {
                _ if memory.no_store => StorePlace::Off,
                Some(path) => StorePlace::File(path),
                None => StorePlace::Automatic,
            },
            fresh: memory.fresh,
            frontier: cluster.frontier.map(|frontier| FrontierAddress::parse(&frontier.0)).transpose()?,
        };
        arguments.refuse_what_is_not_shared(reach.max_pages, memory.store.is_some())?;
        Ok(arguments)
    }

    /// What processes on many machines cannot share.
    fn refuse_what_is_not_shared(&self, pages_max: Option<usize>, has_store: bool) -> Result<(), String> {
        if self.frontier.is_none() {
            return Ok(());
        }
        if pages_max.is_some() {
            return Err(
                "--max-pages cannot be used with --frontier: processes on many machines do not count together. \
                        Limit the crawl with --depth, --include or --deadline"
                    .to_owned(),
            );
        }
        if has_store {
            return Err(
                "--store cannot be used with --frontier, which stores the crawl. Leave out one of them".to_owned()
            );
        }
        if self.inputs.is_empty() {
            return Err(
                "--frontier needs a URL to start from. Each process of a crawl is given the same ones".to_owned()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Arguments, String> {
        match parse(["redd-crawl"].iter().chain(words).map(OsString::from))? {
            Request::Crawl(arguments) => Ok(*arguments),
            Request::Print(text) => panic!("it prints {}", String::from_utf8_lossy(&text)),
            Request::Report(..) | Request::Status(..) => panic!("it is another command"),
        }
    }

    #[test]
    fn arguments_are_read_and_wrong_ones_refused() {
        let fine = read(&["--depth", "2", "--rate=0.5", "http://a/", "-q"]).unwrap();
        assert_eq!(fine.settings.limits.depth, Some(2));
        assert_eq!(fine.inputs, [Input::parse("http://a/").unwrap()]);
        assert_eq!(fine.verbosity, Verbosity::Quiet);
        assert!(read(&["--colour"]).is_err());
        assert!(read(&["--concurrency", "0"]).is_err());
        assert!(read(&["--rate", "0"]).is_err());
    }

    #[test]
    fn a_cache_has_an_age() {
        let age = |words: &[&str]| read(words).unwrap().cache.map(|cache| cache.max_age.as_secs());
        assert_eq!(age(&["--cache", "file", "--max-age", "2h"]), Some(7200));
        assert_eq!(age(&["--cache", "file"]), Some(86400));
        assert_eq!(age(&["--max-age", "2h"]), None);
    }

    #[test]
    fn of_an_option_that_is_given_twice_the_later_counts() {
        assert_eq!(read(&["--depth", "2", "--depth", "3"]).unwrap().settings.limits.depth, Some(3));
        assert_eq!(read(&["-q", "-v"]).unwrap().verbosity, Verbosity::Verbose);
        assert_eq!(read(&["-v", "-q"]).unwrap().verbosity, Verbosity::Quiet);
    }

    #[test]
    fn a_command_word_is_one_only_where_it_stands_first() {
        let is_host = |words: &[&str], host: &str| {
            let is_at = |input: &Input| matches!(input, Input::Web(start) if start.url.host_str() == Some(host));
            read(words).is_ok_and(|arguments| arguments.inputs.iter().any(is_at))
        };
        assert!(is_host(&["http://report/"], "report"));
        assert!(is_host(&["--", "report"], "report"));
        assert!(is_host(&["example.com", "man"], "man"));
        assert!(is_host(&["--depth", "1", "status"], "status"));
        assert!(read(&["report"]).is_err());
    }
}
