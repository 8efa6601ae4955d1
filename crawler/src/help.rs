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

const STARTS: &str = "\
A URL is an address, a file, a folder, or - for a list from standard input.
Without one it crawls a small site that it serves itself.
";

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
TIME is like 500ms, 10s, 2m, 12h or 1d, and without a unit in seconds. SIZE is
like 64K or 16M, and without a unit in bytes.
Ctrl-C and SIGTERM finish what is in flight and report; a second one aborts what
is in flight.
";

const ENVIRONMENT: &str = "\
REDD_CRAWL_HEADERS      lines as --header has them
REDD_CRAWL_BASIC_AUTH   lines as --basic-auth has them
HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY
                        the proxy, unless --proxy is given
XDG_STATE_HOME          where crawls that were not finished are kept
";

const FILES: &str = "\
redd-crawl.toml         options, read in the current folder; see --config
$XDG_STATE_HOME/redd-crawl, or ~/.local/state/redd-crawl
                        crawls that were not finished; see --store
";

/// The command with its subcommands.
fn command() -> clap::Command {
    Options::command()
}

/// The text of `--help`: 24 lines of 80 characters at most.
pub(crate) fn short() -> String {
    let command = command();
    let mut text = format!("{}.\n\nUsage: redd-crawl [OPTIONS] [URL]...\n{STARTS}\n", about(&command));
    for id in MOST_USED {
        command
            .get_arguments()
            .filter(|argument| argument.get_id() == id)
            .for_each(|argument| line(&mut text, argument));
    }
    text += "  -h, --help            this text; --help-all has all options and the commands\n\n";
    text + EXIT_CODES
}

/// The text of `--help-all`.
pub(crate) fn all() -> String {
    let command = command();
    let mut text = format!(
        "{}.\n\nUsage: redd-crawl [OPTIONS] [URL]...\n       redd-crawl report|status --frontier URL\n       \
         redd-crawl completions SHELL\n       redd-crawl man\n\n\
         {STARTS}\
         Pages on the origins of the URLs are searched for links; links that lead\n\
         elsewhere are checked only.\n",
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
    let command = command();
    let mut page = Vec::new();
    let manual = clap_mangen::Man::new(command.clone());
    manual.render_title(&mut page)?;
    manual.render_name_section(&mut page)?;
    manual.render_synopsis_section(&mut page)?;
    manual.render_options_section(&mut page)?;
    let mut commands = String::new();
    for command in command.get_subcommands() {
        let _ = writeln!(commands, "redd-crawl {}\n    {}", command.get_name(), about(command));
    }
    commands += "redd-crawl COMMAND --help has the options of a command.";
    for (heading, text) in [
        ("COMMANDS", &*commands),
        ("NOTES", DETAILS),
        ("EXIT STATUS", EXIT_CODES),
        ("ENVIRONMENT", ENVIRONMENT),
        ("FILES", FILES),
    ] {
        // The lines stay as they are.
        let text = text.trim_end().replace('\\', "\\e").replace('-', "\\-");
        page.extend_from_slice(format!(".SH {heading}\n.nf\n{text}\n.fi\n").as_bytes());
    }
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
    fn the_manual_names_no_page_that_does_not_exist_and_keeps_the_lines_of_its_tables() {
        let manual = String::from_utf8(manual().unwrap()).unwrap();
        assert!(!manual.contains("redd\\-crawl\\-report(1)"), "{manual}");
        for command in command().get_subcommands() {
            assert!(
                manual.contains(&format!("\nredd\\-crawl {}\n", command.get_name())),
                "{}: {manual}",
                command.get_name()
            );
        }
        assert!(manual.contains("\n.SH EXIT STATUS\n.nf\nExit code, the largest that applies:\n  0  "), "{manual}");
        for name in ["REDD_CRAWL_HEADERS", "REDD_CRAWL_BASIC_AUTH", "NO_PROXY", "redd\\-crawl.toml"] {
            assert!(manual.contains(name), "{name}: {manual}");
        }
    }

    #[test]
    fn the_command_is_well_formed() {
        command().debug_assert();
    }
}
