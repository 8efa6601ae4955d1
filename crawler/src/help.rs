//! The texts about the program: `--help` on one screen, `--help-all`, the manual page and the completions of shells.
//!
//! Called by `arguments`. Pure. All are made from the options, so none can be forgotten.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, CommandFactory as _};

use crate::options::Options;

/// The options in `--help`: those most used.
const MOST_USED: [&str; 10] =
    ["depth", "same_origin", "include", "exclude", "fragments", "accept", "rate", "format", "fresh", "verbose"];
/// The width of the texts, in characters.
const WIDTH: usize = 80;
/// Where the second column begins.
const COLUMN: usize = 24;

const EXIT_CODES: &str = "\
Exit code, the largest that applies:
  0  all links were checked, and none is broken
  1  there are broken links, or pages of the snapshot of --compare have vanished
  2  usage: a wrong option, URL or snapshot; nothing was crawled
  3  incomplete: interrupted, a limit, robots.txt, or an output not written
";

const DETAILS: &str = "\
The same options can be in redd-crawl.toml, without the dashes: depth = 3.
A URL without a scheme means http. The user name and the password of a URL are
sent to its own origin and never printed; queries are printed, because they tell
pages apart. robots.txt is honoured.
TIME is like 500ms, 10s, 2m, 12h or 1d; SIZE like 64K or 16M.
Ctrl-C and SIGTERM finish what is in flight and report; a second one aborts what
is in flight.
";

/// The command with its subcommands.
fn command() -> clap::Command {
    Options::command()
}

/// The text of `--help`: 24 lines of 80 characters at most.
pub(crate) fn short() -> String {
    let command = command();
    let mut text = format!("{}.\n\nUsage: redd-crawl [OPTIONS] [URL]...\n\n", about(&command));
    for id in MOST_USED {
        command
            .get_arguments()
            .filter(|argument| argument.get_id() == id)
            .for_each(|argument| line(&mut text, argument));
    }
    text += "  -h, --help            this text; --help-all lists all options in groups\n\n";
    text + "Without a URL it crawls a small site that it serves itself.\n" + EXIT_CODES
}

/// The text of `--help-all`.
pub(crate) fn all() -> String {
    let command = command();
    let mut text = format!(
        "{}.\n\nUsage: redd-crawl [OPTIONS] [URL]...\n       redd-crawl report|status --frontier URL\n       \
         redd-crawl completions SHELL\n       redd-crawl man\n\n\
         Pages on the origins of the URLs are searched for links; links that lead\n\
         elsewhere are checked only. Without a URL it crawls a small site of its own.\n",
        about(&command)
    );
    let mut heading = None;
    for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
        if argument.get_help_heading() != heading {
            heading = argument.get_help_heading();
            let _ = writeln!(text, "\n{}:", heading.unwrap_or("Options"));
        }
        line(&mut text, argument);
    }
    text + "\n" + DETAILS + "\n" + EXIT_CODES
}

/// The manual page, as roff.
///
/// # Errors
/// None in practice: it is written to memory.
pub(crate) fn manual() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command().after_long_help(format!("{DETAILS}\n{EXIT_CODES}"))).render(&mut page)?;
    Ok(page)
}

/// The completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "redd-crawl", &mut script);
    script
}

fn about(command: &clap::Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// One option: its names, what it does and its default.
fn line(text: &mut String, argument: &Arg) {
    let short = argument.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
    let value = match argument.get_value_names() {
        Some([name, ..]) if matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) => format!(" {name}"),
        _ => String::new(),
    };
    let names = format!("  {short}--{}{value}", argument.get_long().unwrap_or_default());
    let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    // In a list of options a sentence begins in lower case.
    if let Some(first) = help.get(..1) {
        help.replace_range(..1, &first.to_ascii_lowercase());
    }
    let values: Vec<String> = match argument.get_possible_values() {
        values if value.is_empty() || values.is_empty() => Vec::new(),
        values => values.iter().map(|value| value.get_name().to_owned()).collect(),
    };
    if let [others @ .., last] = &values[..] {
        let _ = write!(help, ": {} or {last}", others.join(", "));
    }
    if let (false, [default, ..]) = (value.is_empty(), argument.get_default_values()) {
        let _ = write!(help, " ({})", default.to_string_lossy());
    }
    text.push_str(&names);
    let mut column = names.chars().count();
    if column + 2 > COLUMN {
        text.push('\n');
        column = 0;
    }
    for word in help.split(' ') {
        let is_first = column < COLUMN;
        if !is_first && column + 1 + word.chars().count() > WIDTH {
            text.push('\n');
            column = 0;
        }
        if column < COLUMN {
            text.extend(std::iter::repeat_n(' ', COLUMN - column));
            column = COLUMN;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.chars().count();
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_fits_on_one_screen_and_has_the_ten_options_most_used() {
        let text = short();
        assert!(text.lines().count() <= 24, "{} lines:\n{text}", text.lines().count());
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let options = text.lines().filter(|line| line.trim_start().starts_with('-')).count();
        assert_eq!(options, MOST_USED.len() + 1, "{text}");
    }

    #[test]
    fn every_option_is_in_the_whole_help_the_manual_and_the_completions() {
        let manual = String::from_utf8(manual().unwrap()).unwrap();
        let manual = manual.replace("\\fB", " ").replace("\\fR", " ").replace('\\', "");
        let completions = String::from_utf8(completions(clap_complete::Shell::Bash)).unwrap();
        let text = all();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let command = command();
        for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
            let long = format!("--{}", argument.get_long().expect("every option has a long name"));
            let is_in = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == long);
            let found = [&text, &manual, &completions].map(|text| is_in(text));
            assert_eq!(found, [true; 3], "{long} in the help, the manual and the completions");
            assert!(argument.get_help_heading().is_some(), "{long} is in no group");
        }
    }

    #[test]
    fn the_command_is_well_formed() {
        command().debug_assert();
    }
}
