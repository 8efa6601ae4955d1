//! The configuration file: the options of the command line in TOML, translated to words of a command line.
//!
//! Called by `arguments`. A message names the file and the line, and never prints a value.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The file that is read if it exists in the current folder, unless `--config` or `--no-config` is given.
pub(crate) const FILE: &str = "redd-crawl.toml";

/// The key of the addresses to start from.
const URLS: &str = "urls";

/// What a configuration file says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// Options, as words of a command line.
    pub(crate) words: Vec<OsString>,
    /// Where to start.
    pub(crate) urls: Vec<String>,
}

/// Reads a configuration file. None if it does not exist and need not.
///
/// # Errors
/// If it cannot be read, or has something that is no option of `command`.
pub(crate) fn load(path: &Path, must_exist: bool, command: &Command) -> Result<Option<Config>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, command).map(Some).map_err(|(line, why)| format!("{}:{line}: {why}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => Ok(None),
        Err(error) => Err(format!(
            "the configuration file {} cannot be read: {error}. Give another with --config, or --no-config",
            path.display()
        )),
    }
}

/// An error: its line, and what is wrong there.
type Wrong = (usize, String);

fn parse(text: &str, command: &Command) -> Result<Config, Wrong> {
    let line_of = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let line = line_of(error.span().map_or(0, |span| span.start));
        (
            line,
            format!("this is not TOML: {}. Write lines such as `depth = 3` or `header = [\"A: b\"]`", error.message()),
        )
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut config = Config::default();
    for (key, value) in entries {
        let name: &str = key.get_ref();
        let wrong = |why: String| (line_of(key.span().start), why);
        if name == URLS {
            config.urls = texts(value.get_ref()).map_err(|why| wrong(format!("`{URLS}` {why}")))?;
            continue;
        }
        let argument = option_named(name, command).map_err(wrong)?;
        let words = words(name, argument, value).map_err(|why| wrong(format!("`{name}` {why}")))?;
        // So that the message has the line.
        let line = [OsString::from(command.get_name())].into_iter().chain(words.iter().cloned());
        if let Err(error) = command.clone().try_get_matches_from(line) {
            let why = value_error(&error);
            return Err(wrong(format!(
                "`{name}` has a value that it cannot have{why}. `redd-crawl --help-all` says more"
            )));
        }
        config.words.extend(words);
    }
    Ok(config)
}

/// What clap knows about a wrong value, without the value itself.
fn value_error(error: &clap::Error) -> String {
    match (error.get(ContextKind::ValidValue), std::error::Error::source(error)) {
        (Some(ContextValue::Strings(values)), _) if !values.is_empty() => {
            format!(": it is one of {}", values.join(", "))
        }
        (_, Some(why)) => format!(": {why}"),
        _ => String::new(),
    }
}

/// The option with this long name, if a file can have it.
fn option_named<'a>(name: &str, command: &'a Command) -> Result<&'a Arg, String> {
    let is_word = |argument: &&Arg| {
        matches!(argument.get_action(), ArgAction::Set | ArgAction::Append | ArgAction::SetTrue)
            && !matches!(argument.get_id().as_str(), "config" | "no_config")
    };
    let mut arguments = command.get_arguments().filter(|argument| argument.get_long() == Some(name));
    match arguments.next() {
        Some(argument) if is_word(&argument) => Ok(argument),
        Some(_) => Err(format!("`{name}` can be given on the command line only")),
        None => Err(format!("unknown key `{name}`{}", suggestion(name, command))),
    }
}

/// What may have been meant, from clap.
fn suggestion(name: &str, command: &Command) -> String {
    let name = name.replace('_', "-");
    let word = format!("--{name}");
    let words = [command.get_name(), &word];
    let suggested = match command.clone().try_get_matches_from(words) {
        Err(error) => match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(option)) => Some(option.trim_start_matches("--").to_owned()),
            _ => None,
        },
        Ok(_) => None,
    };
    let is_name = command.get_arguments().any(|argument| argument.get_long() == Some(&*name));
    match suggested.or_else(|| is_name.then_some(name)) {
        Some(option) => format!(": did you mean `{option}`?"),
        None => ". The keys are the options of `redd-crawl --help-all` without their dashes, and `urls`".to_owned(),
    }
}

/// An entry as words of a command line.
fn words(name: &str, argument: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, String> {
    let value = value.get_ref();
    let word = |text: &dyn Display| OsString::from(format!("--{name}={text}"));
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return match value.as_bool() {
            Some(true) => Ok(vec![format!("--{name}").into()]),
            Some(false) => Ok(Vec::new()),
            None => Err("needs true or false".to_owned()),
        };
    }
    if matches!(argument.get_action(), ArgAction::Append) {
        return Ok(texts(value)?.iter().map(|text| word(text)).collect());
    }
    match value {
        DeValue::String(text) => Ok(vec![word(text)]),
        DeValue::Integer(number) if number.radix() == 10 => Ok(vec![word(&number.as_str())]),
        DeValue::Float(number) => Ok(vec![word(&number.as_str())]),
        DeValue::Integer(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            Err(format!("needs a string or a decimal number, and has a value of the type {}", value.type_str()))
        }
    }
}

/// A string, or a list of strings.
fn texts(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let wrong = || "needs a string, or a list of strings".to_owned();
    let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned).ok_or_else(wrong);
    match value.as_array() {
        Some(array) => array.iter().map(|value| text(value.get_ref())).collect(),
        None => text(value).map(|text| vec![text]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use clap::CommandFactory as _;

    fn read(text: &str) -> Result<Vec<String>, Wrong> {
        let config = parse(text, &Options::command())?;
        let words = config.words.into_iter().map(|word| word.into_string().unwrap());
        Ok(config.urls.into_iter().chain(words).collect())
    }

    #[test]
    fn entries_become_words_in_the_order_of_the_file() {
        let text = "urls = 'http://a/'\nsame-origin = true\nquiet = false\ndepth = 3\nrate = 0.5\n\
                    header = ['A: b', \"C: d\"]\nexclude = 'x'\ntimeout = \"2m\"\n";
        let words = ["http://a/", "--same-origin", "--depth=3", "--rate=0.5"];
        let more = ["--header=A: b", "--header=C: d", "--exclude=x", "--timeout=2m"];
        assert_eq!(read(text).unwrap(), [&words[..], &more].concat());
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line_and_a_suggestion() {
        assert_eq!(read("depth = 1\ndept = 3"), Err((2, "unknown key `dept`: did you mean `depth`?".into())));
        assert_eq!(read("max_pages = 3"), Err((1, "unknown key `max_pages`: did you mean `max-pages`?".into())));
        let (_, why) = read("xyzzy = 3").unwrap_err();
        assert!(why.contains("xyzzy") && why.contains("--help-all"), "{why}");
        let (_, why) = read("config = 'x'").unwrap_err();
        assert!(why.contains("command line only"), "{why}");
    }

    #[test]
    fn a_wrong_value_is_an_error_that_does_not_print_it() {
        for (text, line) in [
            ("\ntimeout = 'topsecret'", 2),
            ("depth = -1", 1),
            ("basic-auth = 'a:topsecret", 1),
            ("header = [1]", 1),
            ("quiet = 'yes'", 1),
            ("[header]\nA = 'topsecret'", 1),
            ("format = 'topsecret'", 1),
        ] {
            let (at, why) = read(text).unwrap_err();
            assert_eq!(at, line, "{text}: {why}");
            assert!(!why.contains("topsecret"), "{text}: {why}");
        }
        let (_, why) = read("timeout = 'soon'").unwrap_err();
        assert!(why.contains("500ms"), "{why}");
    }
}
