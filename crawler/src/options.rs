//! The options of the command line and of the configuration file, as clap reads them: one field each, in groups.
//!
//! Called by `arguments`, which checks and translates them, by `config` and by `help`. Pure.
//!
//! The first sentence of a field is its line in `--help` or `--help-all`. What follows is in the manual page only.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::values::{at_least_one, depth, rate, retries, size, time};

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Checks the links of a site and takes a snapshot of it.
#[derive(Debug, Parser)]
#[command(
    name = "redd-crawl",
    version,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true,
    override_usage = "redd-crawl [OPTIONS] [URL]...",
    max_term_width = 80
)]
pub(crate) struct Options {
    /// Where to start: an address (without a scheme it means http), a file, a folder, or `-` for a list of these from
    /// standard input. None: crawl a small site of our own
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,
    #[command(flatten, next_help_heading = "How far")]
    pub(crate) reach: ReachOptions,
    #[command(flatten, next_help_heading = "What is checked")]
    pub(crate) checks: CheckOptions,
    #[command(flatten, next_help_heading = "How gently")]
    pub(crate) pace: PaceOptions,
    #[command(flatten, next_help_heading = "What requests say")]
    pub(crate) requests: RequestOptions,
    #[command(flatten, next_help_heading = "What comes out")]
    pub(crate) output: OutputOptions,
    #[command(flatten, next_help_heading = "What is kept between runs")]
    pub(crate) memory: MemoryOptions,
    #[command(flatten, next_help_heading = "Many machines")]
    pub(crate) cluster: ClusterOptions,
    #[command(flatten, next_help_heading = "Help")]
    pub(crate) help: HelpOptions,
    #[command(subcommand)]
    pub(crate) command: Option<CommandWord>,
}

/// The words that may stand first. A host of that name is crawled as `http://report/`.
#[derive(Debug, Subcommand)]
pub(crate) enum CommandWord {
    /// Reports what a crawl on many machines has found so far
    Report(FrontierOptions),
    /// Shows the processes of a crawl on many machines and their hosts
    Status(FrontierOptions),
    /// Prints the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
        #[command(flatten)]
        help: CommandHelp,
    },
    /// Prints the manual page, for `man -l -`
    Man {
        #[command(flatten)]
        help: CommandHelp,
    },
}

/// The help of a command.
#[derive(Debug, Args)]
pub(crate) struct CommandHelp {
    /// This text
    #[arg(long, short, action = clap::ArgAction::HelpShort)]
    help: Option<bool>,
}

/// Which crawl on many machines is meant.
#[derive(Debug, Args)]
pub(crate) struct FrontierOptions {
    /// The crawl, as `nats://HOST:PORT/NAME`
    #[arg(long, value_name = "URL", required = true)]
    pub(crate) frontier: Secret,
    /// What standard output is
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    help: CommandHelp,
}

#[derive(Debug, Args)]
pub(crate) struct ReachOptions {
    /// Follow links N clicks far at most
    #[arg(long, value_name = "N", value_parser = depth)]
    pub(crate) depth: Option<u16>,
    /// Fetch N pages at most
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) max_pages: Option<usize>,
    /// Do not check links that lead elsewhere
    #[arg(long)]
    pub(crate) same_origin: bool,
    /// Search only the folders of the starts for links, check the rest only
    #[arg(long)]
    pub(crate) no_parent: bool,
    /// Check only addresses that match; may be repeated
    ///
    /// An address must match one of the expressions, and none of --exclude. The starts are always fetched. Expressions
    /// are those of the Rust crate `regex`, and match anywhere in the address unless they start with `^`.
    #[arg(long, value_name = "REGEX")]
    pub(crate) include: Vec<String>,
    /// Leave out addresses that match; may be repeated
    ///
    /// See --include.
    #[arg(long, value_name = "REGEX")]
    pub(crate) exclude: Vec<String>,
    /// Crawl the addresses of the sitemaps too
    #[arg(long)]
    pub(crate) sitemap: bool,
    /// Stop then: keep what is done, abort the rest
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) deadline: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Check that the places exist which links name with `#`
    #[arg(long)]
    pub(crate) fragments: bool,
    /// Statuses of good pages, such as 200..=206,429
    ///
    /// Without it, 200..=299.
    /// `..` excludes its end, `..=` includes it. A redirect is followed in any case.
    #[arg(long, value_name = "CODES")]
    pub(crate) accept: Option<String>,
    /// Of local files: the address of the published site
    ///
    /// Links to addresses below it lead to the files, and a link such as `/a` is one to its host. If `--root-dir` is not
    /// given, the folder that was given is published there.
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// Of local files: the folder in which a link such as `/a` is
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PaceOptions {
    /// Requests at once
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value = "16")]
    pub(crate) concurrency: usize,
    /// Requests at once to one host
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value = "8")]
    pub(crate) per_host: usize,
    /// Requests a second to one host (10; here: no limit)
    ///
    /// Here is this machine: `localhost` and loopback addresses.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// For one page, from the request to its last byte
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s")]
    pub(crate) timeout: Duration,
    /// More tries after a passing failure, each after a longer wait
    #[arg(long, value_name = "N", value_parser = retries, default_value = "2")]
    pub(crate) retries: u32,
    /// The longest wait that a host can ask for
    ///
    /// No page of that host is asked for meanwhile. If it asks for more, the page that said so is broken and not asked
    /// for again.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s")]
    pub(crate) max_wait: Duration,
    /// The largest body that is read, after decompression
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "32M")]
    pub(crate) max_body: usize,
}

#[derive(Debug, Args)]
pub(crate) struct RequestOptions {
    /// Send this header to the hosts of the starts; may be repeated
    ///
    /// `HOST=N: V` sends it to that host instead, `*=N: V` to all hosts, `@FILE` reads such lines from a
    /// file. The variable REDD_CRAWL_HEADERS may have such lines too. Values are never printed.
    #[arg(long, value_name = "'N: V'")]
    pub(crate) header: Vec<Secret>,
    /// Log in to the hosts of the starts; may be repeated
    ///
    /// `HOST=USER:PASSWORD` logs in to that host instead, `@FILE` reads such lines from a file. Other users of this
    /// machine can see the command line: use the file, the configuration file or the variable REDD_CRAWL_BASIC_AUTH.
    #[arg(long, value_name = "USER:PASSWORD")]
    pub(crate) basic_auth: Vec<Secret>,
    /// Keep the cookies that servers set during the crawl
    #[arg(long)]
    pub(crate) cookies: bool,
    /// Begin with the cookies of this file, in Netscape's format
    #[arg(long, value_name = "FILE")]
    pub(crate) cookie_file: Option<PathBuf>,
    /// The name that requests carry; robots.txt is read for redd-crawl
    #[arg(long, value_name = "TEXT")]
    pub(crate) user_agent: Option<String>,
    /// The proxy for all requests; `none` ignores the environment's
    ///
    /// Without this option the variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say which proxy is used.
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<Secret>,
    /// Accept wrong and expired certificates
    #[arg(long)]
    pub(crate) insecure: bool,
    /// How links that lead elsewhere are checked
    ///
    /// A host that refuses HEAD is asked with GET.
    #[arg(long, value_name = "METHOD", value_enum, default_value_t = OutsideMethod::Head)]
    pub(crate) method: OutsideMethod,
}

#[derive(Debug, Args)]
pub(crate) struct OutputOptions {
    /// How the report is printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Write a snapshot; `-` is standard output, here and below
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Say what differs from a snapshot
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Write everything as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a row per address as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write a test case per address as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Write the report as Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write the findings as SARIF 2.1.0
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,
    /// Write the report as a page that can be sorted and filtered
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// After the report, write a line per page with its SHA-256
    #[arg(long)]
    pub(crate) checksums: bool,
    /// How progress is shown, a bar only on a terminal
    #[arg(long, value_name = "KIND", value_enum, default_value_t = ProgressKind::Auto)]
    pub(crate) progress: ProgressKind,
    /// Print the report only: no progress, no broken link as it is found
    #[arg(long, short, overrides_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print a line for each page as it is dealt with
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MemoryOptions {
    /// Where the progress of the crawl is kept, so that it can go on
    #[arg(long, value_name = "FILE", overrides_with = "no_store")]
    pub(crate) store: Option<PathBuf>,
    /// Keep no progress: the next run starts over
    #[arg(long, overrides_with = "store")]
    pub(crate) no_store: bool,
    /// Start over: forget a crawl that was not finished
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Keep the good answers, and do not ask for them again
    #[arg(long, value_name = "FILE")]
    pub(crate) cache: Option<PathBuf>,
    /// How long an answer in the cache is good for
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1d")]
    pub(crate) max_age: Duration,
    /// Read options from this file instead of redd-crawl.toml
    #[arg(long, value_name = "FILE", overrides_with = "no_config")]
    pub(crate) config: Option<PathBuf>,
    /// Read no configuration file
    #[arg(long, overrides_with = "config")]
    pub(crate) no_config: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterOptions {
    /// Share the crawl through JetStream, nats://HOST:PORT/NAME
    #[arg(long, value_name = "URL")]
    pub(crate) frontier: Option<Secret>,
}

#[derive(Debug, Args)]
pub(crate) struct HelpOptions {
    /// The options most used
    #[arg(long, short, action = clap::ArgAction::HelpShort)]
    help: Option<bool>,
    /// All options
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help_all: Option<bool>,
    /// The version
    #[arg(long, short = 'V', action = clap::ArgAction::Version)]
    version: Option<bool>,
}

/// What standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Csv,
    Junit,
    Markdown,
    Sarif,
    Html,
}

/// How the progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// A bar on a terminal, a line every few seconds elsewhere
    Auto,
    /// A line every few seconds
    Lines,
    /// Not at all
    Never,
}

/// How links that lead elsewhere are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutsideMethod {
    Head,
    Get,
}
