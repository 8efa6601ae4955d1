//! Commands as the lane `switch` runs them: shown, to their end, with the line that says why one failed.
//!
//! Called by `switch` and its `package`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::suites;

/// Cargo without the caller's target folder and flags, and without debug information, which takes time.
pub(super) fn cargo(folder: &Path) -> Command {
    let mut command = suites::cargo(folder);
    command.env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_INCREMENTAL", "0");
    command
}

/// What a command printed, and whether it succeeded.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) code: Option<i32>,
    pub(super) text: String,
}

/// Runs a command to its end.
pub(super) fn output(command: &mut Command) -> Result<Done, String> {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let program = command.get_program().to_string_lossy().into_owned();
    println!("  $ {program} {}", words.join(" "));
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    Ok(Done { code: output.status.code(), text })
}

/// Runs a command that has to succeed, and returns what it printed. The first line that names an error says why it failed.
pub(super) fn run(command: &mut Command) -> Result<String, String> {
    let done = output(command)?;
    if done.code == Some(0) {
        return Ok(done.text);
    }
    eprintln!("{}", done.text);
    let code = || done.code.map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"));
    Err(first_error(&done.text).map_or_else(code, str::to_owned))
}

fn first_error(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with("error") || line.starts_with("test result: FAILED")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_says_why() {
        assert_eq!(first_error("warning: x\nerror[E0277]: no\nerror: y\n"), Some("error[E0277]: no"));
        assert_eq!(first_error("fine\n"), None);
    }

    #[test]
    fn a_command_that_fails_says_so() {
        assert_eq!(run(Command::new("sh").args(["-c", "echo fine"])), Ok("fine\n".to_owned()));
        assert_eq!(run(Command::new("sh").args(["-c", "exit 3"])), Err("exit code 3".to_owned()));
        assert!(run(&mut Command::new("/nowhere")).is_err_and(|why| why.contains("cannot be started")));
    }
}
