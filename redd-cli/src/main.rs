//! `redd`: asks a program that runs on redd what its tasks do.
//!
//! The program needs no change and no flag. Its side is described in `attach` of the library, the client's in `attach` here.

#![allow(clippy::disallowed_methods, reason = "a client in real time")]

mod attach;
mod dump;
mod dump_page;
#[cfg(test)]
mod example;
mod output;
mod page;
mod perfetto;
mod plural;
mod process;
mod ps;
mod recording;
mod schedule;
mod serve;
mod symbols;
mod system;
mod timeline;
mod top;
mod trace;

use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use output::Output;

/// Asks programs that run on redd what their tasks do.
///
/// It needs no change of the program. Only the program's own user and root may ask, and they can only read.
#[derive(Debug, Parser)]
#[command(name = "redd", version, disable_help_subcommand = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the processes that can be asked
    Ps,
    /// Print what the tasks of a process do
    Dump {
        /// The process
        pid: u32,
        /// Each task on its own, instead of groups of equal ones
        #[arg(long)]
        all: bool,
        /// As a tree: each task below its task group or supervisor, or else below the task that spawned it
        #[arg(long, conflicts_with = "json")]
        tree: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Write a page for a browser to this file, with each task
        #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "tree", "json"])]
        html: Option<PathBuf>,
    },
    /// Print what the threads of a process's workers do, with the calls that they are in
    ///
    /// A signal interrupts each thread that polls a task, so system calls such as `nanosleep` may end early.
    Stack {
        /// The process
        pid: u32,
        /// The number of one task, as a dump shows it
        task: Option<u64>,
    },
    /// Print the metrics of a process as Prometheus reads them
    Metrics {
        /// The process
        pid: u32,
        /// Serve them over HTTP instead, at `/metrics` of this address, until Ctrl-C. `9100` is `127.0.0.1:9100`
        #[arg(long, value_name = "ADDRESS", value_parser = serve::http::parse_address)]
        listen: Option<SocketAddr>,
    },
    /// Show what the tasks and workers of a process do, renewed each second
    ///
    /// The process samples its tasks while it is asked, and only then. Without a terminal one picture is printed.
    Top {
        /// The process
        pid: u32,
        /// Print one picture and end
        #[arg(long)]
        once: bool,
    },
    /// Record what a process does (polls, wakes, locks, sleeps) and write it to a file
    ///
    /// The recording starts now and takes the given time.
    /// If the process was started with REDD_DEBUG=recorder=full, the file has the time before now instead.
    /// With `--last 0s` the file has what every process records: no polls and wakes, but all the rest.
    #[command(verbatim_doc_comment)]
    Trace {
        /// The process
        pid: u32,
        /// For how long, such as `5s` or `200ms`
        #[arg(long, value_name = "TIME", default_value = "5s", value_parser = trace::time)]
        last: std::time::Duration,
        /// The file: a page for a browser if its name ends in `.html`, and a trace for Perfetto if it ends in `.pftrace`
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Serve pages with all of this on loopback, until the process ends or Ctrl-C
    ///
    /// The address that is printed has a random part. A request without it gets no page.
    Web {
        /// The process
        pid: u32,
        /// The port. By default the system chooses a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Print this help, that of a command, or `debug`: the options of the environment variable REDD_DEBUG
    Help {
        /// A command, or `debug`
        topic: Option<String>,
    },
}

fn main() -> ExitCode {
    let done = run(Arguments::parse().command).and_then(|text| {
        Output::default().write_all(&text).map_err(|error| format!("standard output cannot be written: {error}"))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "redd: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<Vec<u8>, String> {
    match command {
        Command::Ps => Ok(ps::list().into_bytes()),
        Command::Dump { pid, html: Some(file), .. } => write_page(pid, &file),
        Command::Dump { pid, all, tree, json, html: None } => {
            let format = match (tree, json) {
                (true, _) => "tree",
                (false, true) => "json",
                (false, false) => "text",
            };
            // Large dumps are printed while they come.
            let request = format!("dump {format}{}", if all { " all" } else { "" });
            attach::pass_on(pid, &request, &mut Output::default()).map(|()| Vec::new())
        }
        Command::Stack { pid, task } => {
            let text = attach::ask(pid, &task.map_or_else(|| "stack all".to_owned(), |task| format!("stack {task}")))?;
            Ok(symbols::name_addresses(pid, &String::from_utf8_lossy(&text)).into_bytes())
        }
        Command::Metrics { pid, listen: None } => attach::ask(pid, "metrics"),
        Command::Metrics { pid, listen: Some(address) } => serve::metrics::run(pid, address),
        Command::Web { pid, port } => serve::web::run(pid, port),
        Command::Top { pid, once } => top::run(pid, once),
        Command::Trace { pid, last, output } => trace::run(pid, last, &output),
        Command::Help { topic } => help(topic.as_deref()).map(String::into_bytes),
    }
}

/// Writes the page of a dump to a file.
fn write_page(pid: u32, path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error| format!("{} cannot be written: {error}", path.display());
    // Before the process is asked, which costs it something. What the file has stays until there is a reply.
    let mut file = File::options().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    let page = dump::page(pid, &attach::ask(pid, "dump json all")?)?;
    // A pipe has no length.
    match file.set_len(0) {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => return Err(failed(error)),
        _ => {}
    }
    file.write_all(page.as_bytes()).map_err(failed)?;
    // Some file systems say only at the end that there is no room. A pipe has none to say it of.
    match file.sync_all() {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(failed(error)),
        _ => Ok(Vec::new()),
    }
}

fn help(topic: Option<&str>) -> Result<String, String> {
    let mut whole = Arguments::command();
    // So that the usage of a command begins with `redd`.
    whole.build();
    match topic {
        None => Ok(format!("{}\n", whole.render_long_help())),
        Some("debug") => Ok(help_debug()),
        Some(name) => match whole.find_subcommand_mut(name) {
            Some(command) => Ok(format!("{}\n", command.render_long_help())),
            None => Err(format!("there is no command `{name}`. `redd help` lists them")),
        },
    }
}

/// The options of `REDD_DEBUG`, from the table that the library reads.
fn help_debug() -> String {
    let mut text = "The environment variable REDD_DEBUG of a program that runs on redd: `name=value`, with commas between several.\n"
        .to_owned();
    for option in redd::observe::DEBUG_OPTIONS {
        text += &format!("\n  {}={}\n{}", option.name, option.values, wrapped(option.meaning));
    }
    text + "\nExample: REDD_DEBUG=dump_on=QUIT,late_poll=250ms ./server\n"
}

/// Lines of at most 80 characters, indented.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut len = 0;
    for word in text.split(' ') {
        if len > 0 && len + 1 + word.len() > 74 {
            lines.push('\n');
            len = 0;
        }
        lines += if len == 0 { "      " } else { " " };
        lines += word;
        len += 1 + word.len();
    }
    lines + "\n"
}
