//! Published programs that `cargo redd` switches to redd, with the lock files that they carry: switched, examined by the
//! doctor, built, used, and switched back.
//!
//! Called by the lane `switch`.
//!
//! # Why not otherwise
//! The programs in `compat` are ours and have a lock file with the facade in it. What a user meets first is a lock file
//! that names an older Tokio.

mod command;
mod package;
mod peers;
mod programs;
mod trial;

use std::path::{Path, PathBuf};
use std::process::Command;

use command::{Done, cargo, output, run};
use package::{Files, Moved, tokio_versions, unpack};
use programs::Check;

pub(crate) use programs::{PROGRAMS, Program};

/// What the lane needs: this repository, the folder for packages and builds, and the built `cargo-redd`.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    pub(crate) root: &'a Path,
    pub(crate) target: &'a Path,
    pub(crate) tool: &'a Path,
}

/// What came of one program. Each cell has what was seen, or what went wrong.
#[derive(Debug)]
pub(crate) struct Row {
    program: String,
    year: u16,
    /// The Tokio in the lock file that the package carries.
    locked: String,
    raised: String,
    switched: Result<String, String>,
    built: Result<String, String>,
    used: Result<String, String>,
    back: Result<String, String>,
}

impl Row {
    /// As the guide promises.
    pub(crate) fn passed(&self) -> bool {
        [&self.switched, &self.built, &self.used, &self.back].into_iter().all(Result::is_ok)
    }

    fn line(&self) -> String {
        let cell = |result: &Result<String, String>| match result {
            Ok(text) => text.replace('|', "/"),
            Err(why) => format!("FAILED: {}", why.lines().next().unwrap_or_default().replace('|', "/")),
        };
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            self.program,
            self.year,
            self.locked,
            self.raised,
            cell(&self.switched),
            cell(&self.built),
            cell(&self.used),
            cell(&self.back)
        )
    }
}

const HEAD: &str = "| program | year | Tokio in its lock file | raised by hand | `cargo redd switch` | build | use | \
                    `cargo redd back` |\n|---|---|---|---|---|---|---|---|\n";

/// The table for docs/compatibility.md: these rows, and those of `old` for the other programs.
pub(crate) fn table(old: &str, rows: &[Row]) -> String {
    let kept = old.split_once(HEAD).map_or("", |(_, lines)| lines).lines().filter(|line| {
        let is_of = |name: &str| line.starts_with(&format!("| {name} |"));
        PROGRAMS.iter().any(|program| is_of(&program.title())) && !rows.iter().any(|row| is_of(&row.program))
    });
    let mut lines: Vec<String> = kept.map(str::to_owned).chain(rows.iter().map(Row::line)).collect();
    lines.sort_unstable();
    lines.into_iter().fold(HEAD.to_owned(), |table, line| table + &line + "\n")
}

/// A word for a cell behind one that failed.
const NOT_TRIED: &str = "not tried";

/// Switches, builds and uses one program, in a folder of its own, and switches it back.
///
/// What is built is removed, since each is half a gigabyte, unless `REDD_KEEP_BUILDS` is set.
///
/// # Errors
/// A sentence, if the program could not be had at all.
pub(crate) fn switch(lane: &Lane<'_>, program: &Program) -> Result<Row, String> {
    let folder = unpack(lane.target, program)?;
    let carried = Files::read(&folder)?;
    let build = lane.target.join("build").join(program.title().replace(' ', "-"));
    let switched = Switched { lane, program, folder, build };
    program.raised.iter().try_for_each(|name| {
        let mut update = cargo(&switched.folder);
        run(update.args(["update", "--quiet", "-p", name])).map(drop)
    })?;
    let before = Files::read(&switched.folder)?;
    let [done, built, used, back] = match program.check {
        Check::Refused(why) => switched.refused(&before, why),
        Check::Run(..) | Check::Tests(..) => switched.used(&before),
    };
    if std::env::var_os("REDD_KEEP_BUILDS").is_none() {
        run(Command::new("rm").arg("-rf").arg(&switched.build).arg(&switched.folder))?;
    }
    let raised = program.raised.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    Ok(Row {
        program: program.title(),
        year: program.year,
        locked: tokio_versions(&carried.lock),
        raised: if raised.is_empty() { "nothing".to_owned() } else { raised.join(", ") },
        switched: done,
        built,
        used,
        back,
    })
}

impl Program {
    fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// A cell for each step.
type Cells = [Result<String, String>; 4];

/// A program on its way.
struct Switched<'a> {
    lane: &'a Lane<'a>,
    program: &'a Program,
    folder: PathBuf,
    /// What Cargo builds.
    build: PathBuf,
}

impl Switched<'_> {
    fn redd(&self, words: &[&str]) -> Result<Done, String> {
        let mut command = Command::new(self.lane.tool);
        command.current_dir(&self.folder).env("CARGO_TARGET_DIR", &self.build).env_remove("RUSTFLAGS");
        output(command.arg("redd").args(words))
    }

    fn cargo(&self, words: &[&str]) -> Command {
        let mut command = cargo(&self.folder);
        command.env("CARGO_TARGET_DIR", &self.build).args(words).arg("--locked").args(self.program.options);
        command
    }

    /// There and back, with a use in between.
    fn used(&self, before: &Files) -> Cells {
        let switched = self.switch(before);
        if switched.is_err() {
            return [switched, Err(NOT_TRIED.to_owned()), Err(NOT_TRIED.to_owned()), self.unchanged(before)];
        }
        let built = match self.program.check {
            Check::Tests(options, _) => run(self.cargo(&["test", "--quiet", "--no-run"]).args(options)),
            Check::Run(..) | Check::Refused(_) => run(&mut self.cargo(&["build", "--quiet"])),
        };
        let used = built.as_ref().map_err(|_| NOT_TRIED.to_owned()).and_then(|_| match self.program.check {
            Check::Run(what, steps) => {
                let folder = std::env::temp_dir().join(format!("redd-switch-{}", std::process::id()));
                let performed = trial::perform(steps, &self.build.join("debug"), &folder).map(|()| what.to_owned());
                let _ = std::fs::remove_dir_all(&folder);
                performed.inspect_err(|why| eprintln!("{why}"))
            }
            Check::Tests(options, skipped) => {
                let skips = skipped.iter().flat_map(|words| ["--skip", words]);
                let mut tests = self.cargo(&["test", "--quiet"]);
                let text = run(tests.args(options).arg("--").args(skips))?;
                match passed_tests(&text) {
                    0 => Err("no test ran".to_owned()),
                    count => Ok(format!("{count} of its tests passed")),
                }
            }
            Check::Refused(_) => Err(NOT_TRIED.to_owned()),
        });
        [switched, built.map(|_| "passed".to_owned()), used, self.back(before)]
    }

    /// `cargo redd switch`, what it moved, and that the doctor finds nothing then.
    fn switch(&self, before: &Files) -> Result<String, String> {
        let done = self.redd(&["switch", "--path", &self.lane.root.display().to_string()])?;
        if done.code != Some(0) {
            eprintln!("{}", done.text);
            return Err(format!("exit code {:?}: {}", done.code, last_line(&done.text)));
        }
        let after = Files::read(&self.folder)?;
        if !crate::suites::is_patched(&after.lock) {
            return Err(format!("the lock file has Tokio {}", tokio_versions(&after.lock)));
        }
        let doctor = self.redd(&["doctor"])?;
        if doctor.code != Some(0) {
            eprintln!("{}", doctor.text);
            return Err(format!("the doctor exits with {:?}: {}", doctor.code, last_line(&doctor.text)));
        }
        let Moved { added, removed, changed } = Moved::between(&before.lock, &after.lock);
        Ok(format!("{added} added, {removed} removed, {changed} changed"))
    }

    /// `cargo redd back`, and that both files are as they were.
    fn back(&self, before: &Files) -> Result<String, String> {
        let done = self.redd(&["back"])?;
        if done.code != Some(0) {
            eprintln!("{}", done.text);
            return Err(format!("exit code {:?}: {}", done.code, last_line(&done.text)));
        }
        self.unchanged(before)
    }

    fn unchanged(&self, before: &Files) -> Result<String, String> {
        let now = Files::read(&self.folder)?;
        match (now.manifest == before.manifest, now.lock == before.lock) {
            (true, true) => Ok("both files as before".to_owned()),
            (false, _) => Err("Cargo.toml is another one".to_owned()),
            (true, false) => Err("Cargo.lock is another one".to_owned()),
        }
    }

    /// A program that cannot be switched: its files stay, and the message has these words.
    fn refused(&self, before: &Files, why: &str) -> Cells {
        let nothing = || Ok("—".to_owned());
        let said = self.redd(&["switch", "--path", &self.lane.root.display().to_string()]).and_then(|done| {
            println!("{}", done.text);
            match done.text.lines().find(|line| line.contains(why)) {
                Some(line) if done.code == Some(1) => {
                    Ok(format!("refused: {}", line.trim_start_matches("cargo redd: not switched. ")))
                }
                Some(_) => Err(format!("exit code {:?} in place of 1", done.code)),
                None => Err(format!("its message does not name {why:?}: {}", last_line(&done.text))),
            }
        });
        [said, nothing(), nothing(), self.unchanged(before)]
    }
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().next_back().unwrap_or_default()
}

/// The sum of `test result: ok. 3 passed; …` of all test programs.
fn passed_tests(text: &str) -> u64 {
    let results = text.lines().filter_map(|line| line.strip_prefix("test result: ok. ")?.split_once(" passed;"));
    results.filter_map(|(count, _)| count.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(program: &str, used: Result<String, String>) -> Row {
        Row {
            program: program.to_owned(),
            year: 2025,
            locked: "1.28.0".to_owned(),
            raised: "nothing".to_owned(),
            switched: Ok("4 added, 2 removed, 5 changed".to_owned()),
            built: Ok("passed".to_owned()),
            used,
            back: Ok("both files as before".to_owned()),
        }
    }

    #[test]
    fn a_program_passes_only_if_each_step_did() {
        assert!(row("bore-cli 0.6.0", Ok("7 of its tests passed".to_owned())).passed());
        let failed = row("bore-cli 0.6.0", Err("a | b\nc".to_owned()));
        assert!(!failed.passed());
        assert!(failed.line().contains("| FAILED: a / b | both files as before |"), "{}", failed.line());
    }

    #[test]
    fn rows_take_the_place_of_earlier_ones_of_the_same_program() {
        let old = table("", &[row("xh 0.18.0", Ok("old".to_owned())), row("dufs 0.47.0", Ok("kept".to_owned()))]);
        let new = table(&format!("State of a day:\n\n{old}"), &[row("xh 0.18.0", Ok("new".to_owned()))]);
        let lines: Vec<_> = new.lines().skip(2).collect();
        assert_eq!(lines.len(), 2, "{new}");
        assert!(lines[0].starts_with("| dufs 0.47.0 |") && lines[0].contains("| kept |"), "{new}");
        assert!(lines[1].starts_with("| xh 0.18.0 |") && lines[1].contains("| new |"), "{new}");
        let gone = table(&new.replace("| dufs 0.47.0 |", "| dufs 0.1.0 |"), &[]);
        assert_eq!(gone.lines().count(), 3, "a program that is no longer on the list: {gone}");
        assert_eq!(table("| another | head |\n|---|---|\n| xh 0.18.0 | row |\n", &[]), HEAD);
    }

    #[test]
    fn the_tests_of_all_programs_are_added_up() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored\nnoise\ntest result: ok. 4 passed; 0 failed\n";
        assert_eq!(passed_tests(text), 7);
        assert_eq!(passed_tests("test result: FAILED. 3 passed; 1 failed\n"), 0);
    }
}
