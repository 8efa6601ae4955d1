//! Cargo, run in the program's folder.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::signals::Signals;

#[derive(Clone, Debug)]
pub(crate) struct Cargo {
    folder: PathBuf,
    is_offline: bool,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) succeeded: bool,
    pub(crate) output: String,
    /// What it printed to standard error.
    pub(crate) messages: String,
}

impl Ran {
    /// Cargo's errors and their causes, without what it does meanwhile.
    pub(crate) fn error(&self) -> String {
        let lines: Vec<&str> = self.messages.lines().collect();
        let from = lines.iter().position(|line| line.starts_with("error")).unwrap_or(0);
        lines[from..].join("\n").trim().to_owned()
    }
}

impl Cargo {
    pub(crate) fn new(folder: &Path, is_offline: bool) -> Self {
        Self { folder: folder.to_owned(), is_offline }
    }

    /// Cargo as the one that has started this program.
    pub(crate) fn program() -> OsString {
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
    }

    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(Self::program());
        command.args(arguments).current_dir(&self.folder);
        if self.is_offline {
            command.env("CARGO_NET_OFFLINE", "true");
        }
        command
    }

    /// Runs it to its end and collects what it prints. With `signals`, a signal ends Cargo but not this process.
    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>], signals: Option<&mut Signals>) -> Result<Ran, String> {
        let mut command = self.command(arguments);
        command.env("CARGO_TERM_COLOR", "never").env("CARGO_TERM_QUIET", "false");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |error: io::Error| format!("`{}` cannot be run: {error}", Self::program().to_string_lossy());
        let spawned = match &signals {
            Some(signals) => signals.spawn(&mut command),
            None => command.spawn(),
        };
        let mut child = spawned.map_err(failed)?;
        let (output, messages) = (read(child.stdout.take()), read(child.stderr.take()));
        let status = match signals {
            Some(signals) => signals.wait(&mut child, |_| false)?,
            None => Child::wait(&mut child).map_err(failed)?,
        };
        let text = |reader: thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
        };
        Ok(Ran { succeeded: status.success(), output: text(output), messages: text(messages) })
    }
}

/// Reads all of a pipe beside the wait for the process.
fn read(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is shown.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        bytes
    })
}
