//! A process whose output goes to a file, and that can be ended; and what worlds in it have written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::test::Test;

/// How often a wait checks whether the process has ended.
const TICK: Duration = Duration::from_millis(5);

/// How much of the output of a process is shown.
const SHOWN: usize = 4000;

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts it. Its output goes to the file.
    pub(crate) fn start(mut command: Command, output: PathBuf) -> Result<Self, String> {
        let failed = |error| format!("{} cannot be written: {error}", output.display());
        let file = File::create(&output).map_err(failed)?;
        let copy = file.try_clone().map_err(failed)?;
        let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn().map_err(|error| {
            format!("the program {} cannot be started: {error}", Path::new(command.get_program()).display())
        })?;
        Ok(Self { child, output, status: None })
    }

    /// Starts one test, with these environment variables and none else of worlds.
    pub(crate) fn start_test(test: &Test, variables: &[(&str, String)], output: PathBuf) -> Result<Self, String> {
        let mut command = Command::new(&test.program);
        // As cargo sets them.
        command.env("CARGO_MANIFEST_DIR", &test.folder).env("CARGO_PKG_NAME", &test.package).current_dir(&test.folder);
        for name in ["REDD_SEED", "REDD_EXPLORE", "REDD_TAPE", "REDD_SHRINK", "REDD_EVENTS", "REDD_OUTCOMES"] {
            command.env_remove(name);
        }
        // The stack of each panic of each run would take most of the time.
        command.env("RUST_BACKTRACE", "0").envs(variables.iter().map(|(name, value)| (name, value)));
        command.args(["--exact", &test.path, "--include-ignored", "--nocapture"]);
        Self::start(command, output)
    }

    /// Waits until it ends, at most for this time. Then it is killed. Returns whether it has ended by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<bool, String> {
        let since = Instant::now();
        self.wait_unless(|| since.elapsed() > limit)
    }

    /// Waits until it ends, or until `is_over` returns true. Then it is killed. Returns whether it has ended by itself.
    pub(crate) fn wait_unless(&mut self, is_over: impl Fn() -> bool) -> Result<bool, String> {
        while !self.has_ended()? {
            if is_over() {
                self.end();
                return Ok(false);
            }
            std::thread::sleep(TICK);
        }
        Ok(true)
    }

    fn has_ended(&mut self) -> Result<bool, String> {
        if self.status.is_none() {
            self.status = self.child.try_wait().map_err(|error| format!("a process cannot be waited for: {error}"))?;
        }
        Ok(self.status.is_some())
    }

    /// Kills it, if it runs.
    fn end(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// The end of the output, and how the process has ended.
    pub(crate) fn last_output(&self) -> String {
        let output = self.output();
        let from = (output.len().saturating_sub(SHOWN)..).find(|at| output.is_char_boundary(*at)).unwrap_or_default();
        let status = self.status.map_or_else(|| "it runs".to_owned(), |status| status.to_string());
        format!("{status}; the end of its output:\n{}", output[from..].trim_end())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// What went wrong in a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) seed: u64,
    pub(crate) strategy: String,
    /// The kind and the first line without numbers: failures that are equal in this are the same one.
    pub(crate) class: (String, String),
    pub(crate) text: String,
}

/// What the worlds of a process have written to the file of `REDD_OUTCOMES`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// The seed of each world that ran.
    pub(crate) ran: Vec<u64>,
    pub(crate) failed: Vec<Failed>,
    /// The tape and the words of a failing run that was shrunk.
    pub(crate) shrunk: Option<(String, String)>,
}

impl Outcomes {
    /// Reads the file. If there is none, no world ran.
    pub(crate) fn read(file: &Path) -> Self {
        Self::parse(&fs::read_to_string(file).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut outcomes = Self::default();
        for line in text.lines() {
            let parts: Vec<_> = line.split('\t').map(unescaped).collect();
            let parts: Vec<_> = parts.iter().map(String::as_str).collect();
            match parts[..] {
                ["ran", seed, ..] => outcomes.ran.extend(seed.parse::<u64>()),
                ["failed", seed, strategy, kind, class, text, ..] => {
                    let Ok(seed) = seed.parse() else { continue };
                    let class = (kind.to_owned(), class.to_owned());
                    outcomes.failed.push(Failed { seed, strategy: strategy.to_owned(), class, text: text.to_owned() });
                }
                ["shrunk", _, tape, words, ..] => outcomes.shrunk = Some((tape.to_owned(), words.to_owned())),
                _ => {} // Of a later version.
            }
        }
        outcomes
    }
}

/// The text whose tabs and ends of lines were written as in Rust.
pub(crate) fn unescaped(text: &str) -> String {
    let (mut result, mut characters) = (String::with_capacity(text.len()), text.chars());
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => result.push('\n'),
                Some('t') => result.push('\t'),
                other => result.extend(other),
            },
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_and_lines_of_later_versions_are_ignored() {
        let text = "ran\t7\t00ff\t3\nran\t8\t00fe\t4\nfailed\t8\tpct:3\tHost\tlost #\tafter 0ns: lost 5\\n\\tand \\\\ more\nmade up\t1\n\
                    shrunk\t8\t3:1/2t\tfails with\\n1\n";
        let outcomes = Outcomes::parse(text);
        assert_eq!(outcomes.ran, [7, 8]);
        let failed = Failed {
            seed: 8,
            strategy: "pct:3".into(),
            class: ("Host".into(), "lost #".into()),
            text: "after 0ns: lost 5\n\tand \\ more".into(),
        };
        assert_eq!(outcomes.failed, [failed]);
        assert_eq!(outcomes.shrunk, Some(("3:1/2t".into(), "fails with\n1".into())));
        assert_eq!(Outcomes::read(Path::new("/no/such/file")), Outcomes::default());
    }
}
