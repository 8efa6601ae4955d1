//! The words of the command line as options, together with those of the configuration file.
//!
//! Called by `arguments`. The words of the file come first, so that the command line wins.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgAction, Command, CommandFactory as _, FromArgMatches as _};

use crate::address::redact_message;
use crate::config::{self, Config};
use crate::help;
use crate::options::Options;

/// What the command line says.
#[derive(Debug)]
pub(crate) enum CommandLine {
    Options(Box<Options>),
    /// The help or the version.
    Print(Vec<u8>),
}

/// Reads the words. The first one is the name of the program.
///
/// # Errors
/// If an option is wrong. The message says how to fix it, and holds no password.
pub(crate) fn read(words: &[OsString]) -> Result<CommandLine, String> {
    let command = command();
    let options = match parse(&command, words) {
        Ok(options) => options,
        Err(error) => return help_or_message(&error, words).map(CommandLine::Print),
    };
    if options.command.is_some() {
        return Ok(CommandLine::Options(Box::new(options)));
    }
    let Some((file, Config { words: of_file, urls })) = load_config(&options).map_err(|why| with_hint(&why))? else {
        return Ok(CommandLine::Options(Box::new(options)));
    };
    let (program, rest) = words.split_at(words.len().min(1));
    let all: Vec<OsString> = program.iter().chain(&of_file).chain(rest).cloned().collect();
    let mut options = parse(&command, &all).map_err(|error| usage_message(&error.to_string(), None))?;
    if options.urls.is_empty() {
        options.urls = urls;
    }
    options.memory.config = Some(file);
    Ok(CommandLine::Options(Box::new(options)))
}

/// A message with the way to the help, and without passwords.
pub(crate) fn with_hint(message: &str) -> String {
    format!("{}\nTry `redd-crawl --help`.", redact_message(message))
}

/// The command. An option without a value can be switched off again: `--cookies=false`.
fn command() -> Command {
    Options::command().mut_args(|argument| {
        if !matches!(argument.get_action(), ArgAction::SetTrue) {
            // So that `--depth -1` is a wrong value, not an unknown option.
            let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
            let is_option = takes_value && !argument.is_positional();
            return if is_option { argument.allow_negative_numbers(true) } else { argument };
        }
        let argument = argument.action(ArgAction::Set).value_parser(clap::value_parser!(bool));
        argument.num_args(0..=1).require_equals(true).default_missing_value("true").default_value("false")
    })
}

fn parse(command: &Command, words: &[OsString]) -> Result<Options, clap::Error> {
    command.clone().try_get_matches_from(words).and_then(|matches| Options::from_arg_matches(&matches))
}

/// The configuration file that applies, and what it says.
fn load_config(options: &Options) -> Result<Option<(PathBuf, Config)>, String> {
    let (path, must_exist) = match &options.memory.config {
        _ if options.memory.no_config => return Ok(None),
        Some(path) => (path.as_path(), true),
        None => (Path::new(config::FILE), false),
    };
    // The file has `true` and `false` of its own, so its flags are the ones without a value.
    let found = config::load(path, must_exist, &Options::command())?;
    Ok(found.map(|config| (path.to_owned(), config)))
}

/// What `error` prints: the help or the version, or what is wrong.
fn help_or_message(error: &clap::Error, words: &[OsString]) -> Result<Vec<u8>, String> {
    let kind = error.kind();
    let text = error.to_string();
    if kind == ErrorKind::DisplayVersion || (kind == ErrorKind::DisplayHelp && is_command(words.get(1))) {
        Ok(text.into_bytes())
    } else if kind == ErrorKind::DisplayHelp {
        let is_all = words.iter().any(|word| word == "--help-all");
        Ok(if is_all { help::all() } else { help::short() }.into_bytes())
    } else {
        let command = words.get(1).filter(|_| is_command(words.get(1))).and_then(|word| word.to_str());
        Err(usage_message(&text, command))
    }
}

/// What clap says about a wrong option, without passwords. The help of `command` has the options of this command.
fn usage_message(text: &str, command: Option<&str>) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    // The usage and the hint are our own.
    let text = text.split("\n\nUsage:").next().unwrap_or(text);
    let text = text.split("\n\nFor more information").next().unwrap_or(text);
    match command {
        Some(command) => format!("{}\nTry `redd-crawl {command} --help`.", redact_message(text.trim_end())),
        None => with_hint(text.trim_end()),
    }
}

/// Whether a word is the name of a command.
fn is_command(word: Option<&OsString>) -> bool {
    word.is_some_and(|word| Options::command().get_subcommands().any(|command| word == command.get_name()))
}
