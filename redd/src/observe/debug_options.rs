//! The environment variable `REDD_DEBUG`: what a user may set without the program's source.
//!
//! Read once in a process, when its first runtime is built. Called by `runtime` and `attach`.

use std::ffi::c_int;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use crate::observe::report::{self, ReportKind};
use crate::sys;

/// An option of the environment variable `REDD_DEBUG`. It is set as `name=value`, with commas between several.
///
/// # Examples
/// ```
/// let names: Vec<_> = redd::observe::DEBUG_OPTIONS.iter().map(|option| option.name).collect();
/// assert!(names.contains(&"dump_on"));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DebugOption {
    /// Its name.
    pub name: &'static str,
    /// The values that it takes.
    pub values: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// All options of `REDD_DEBUG`. An option that is unknown, or has another value, is reported on standard error and otherwise ignored.
pub const DEBUG_OPTIONS: &[DebugOption] = &[
    DebugOption {
        name: "attach",
        values: "off, on",
        meaning: "off: no other process may ask this one what it does. on: it may be asked from its first runtime on, where a \
                  current-thread runtime otherwise starts the thread for that at an age of 100 ms",
    },
    DebugOption {
        name: "diagnose",
        values: "off",
        meaning: "off: redd does not look by itself for deadlocks, futurelocks and stranded tasks, also not in strict tests",
    },
    DebugOption {
        name: "dump_on",
        values: "QUIT, USR1, USR2",
        meaning: "the signal makes the process print its tasks to standard error, unless the program handles it",
    },
    DebugOption {
        name: "late_poll",
        values: "off, a time such as 100ms or 2s, stack",
        meaning: "off: late polls are not printed. A time: after it a poll is late, also where the program has switched reports \
                  off. stack: a report has the calls that the thread is in",
    },
    DebugOption {
        name: "overdue",
        values: "off",
        meaning: "off: clean-ups and shields that exceed their time, and closures that a cancelled task group waits for, are not printed",
    },
    DebugOption {
        name: "recorder",
        values: "off, quiet, full",
        meaning: "what `redd trace` finds. quiet, the default: what threads did last, without polls and wakes; these are \
                  recorded while it asks. full: always with polls and wakes. off: nothing",
    },
];

/// What the variable asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DebugOptions {
    pub(crate) attach: AttachOption,
    pub(crate) no_diagnoses: bool,
    pub(crate) dump_on: Option<c_int>,
    pub(crate) late_poll: LatePollOption,
    pub(crate) no_overdue: bool,
    pub(crate) recorder: RecorderLevel,
}

/// How much the flight recorder records. See [`DEBUG_OPTIONS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RecorderLevel {
    Off = 0,
    #[default]
    Quiet = 1,
    Full = 2,
}

/// See [`DEBUG_OPTIONS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AttachOption {
    #[default]
    AsBuilt,
    Off,
    AtOnce,
}

/// See [`DEBUG_OPTIONS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LatePollOption {
    pub(crate) is_off: bool,
    pub(crate) report_after: Option<Duration>,
    pub(crate) with_stack: bool,
}

/// What this process was started with.
pub(crate) fn debug_options() -> &'static DebugOptions {
    static OPTIONS: OnceLock<DebugOptions> = OnceLock::new();
    OPTIONS.get_or_init(|| {
        let text = std::env::var_os("REDD_DEBUG").filter(|_| !sys::attach::runs_with_foreign_rights());
        let (options, problems) = parse(&text.unwrap_or_default().to_string_lossy());
        if !problems.is_empty() {
            report::report(
                ReportKind::Options,
                format_args!(
                    "the environment variable REDD_DEBUG: {}. The rest of it applies. `redd help debug` lists the options.",
                    problems.join("; ")
                ),
            );
        }
        options
    })
}

/// The options, and what is wrong with those that are ignored.
fn parse(text: &str) -> (DebugOptions, Vec<String>) {
    let mut options = DebugOptions::default();
    let mut problems = Vec::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        let (name, value) = (name.trim(), value.trim());
        let Some(option) = DEBUG_OPTIONS.iter().find(|option| option.name == name) else {
            problems.push(format!("there is no option `{}`", name.escape_debug()));
            continue;
        };
        if !set(&mut options, name, value) {
            problems.push(Problem { option, value }.to_string());
        }
    }
    (options, problems)
}

/// Sets one option. False if it does not take the value.
fn set(options: &mut DebugOptions, name: &str, value: &str) -> bool {
    match (name, value) {
        ("attach", "off") => options.attach = AttachOption::Off,
        ("attach", "on") => options.attach = AttachOption::AtOnce,
        ("diagnose", "off") => options.no_diagnoses = true,
        ("dump_on", value) => match value.trim_start_matches("SIG") {
            "QUIT" => options.dump_on = Some(libc::SIGQUIT),
            "USR1" => options.dump_on = Some(libc::SIGUSR1),
            "USR2" => options.dump_on = Some(libc::SIGUSR2),
            _ => return false,
        },
        ("late_poll", "off") => options.late_poll.is_off = true,
        ("late_poll", "stack") => options.late_poll.with_stack = true,
        ("late_poll", value) => match time(value) {
            Some(time) => options.late_poll.report_after = Some(time),
            None => return false,
        },
        ("overdue", "off") => options.no_overdue = true,
        ("recorder", "off") => options.recorder = RecorderLevel::Off,
        ("recorder", "quiet") => options.recorder = RecorderLevel::Quiet,
        ("recorder", "full") => options.recorder = RecorderLevel::Full,
        _ => return false,
    }
    true
}

/// `100ms` or `2s`.
fn time(text: &str) -> Option<Duration> {
    if let Some(ms) = text.strip_suffix("ms") {
        return Some(Duration::from_millis(ms.parse().ok()?));
    }
    Some(Duration::from_secs(text.strip_suffix('s')?.parse().ok()?))
}

struct Problem<'a> {
    option: &'a DebugOption,
    value: &'a str,
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DebugOption { name, values, .. } = self.option;
        write!(f, "`{name}={}` is not understood, it takes {values}", self.value.escape_debug())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_understood_and_the_last_of_a_kind_counts() {
        let (options, problems) = parse("attach=off, dump_on=QUIT,late_poll=250ms,late_poll=stack,,late_poll=2s");
        assert_eq!(problems, [""; 0]);
        let late_poll = LatePollOption { is_off: false, report_after: Some(Duration::from_secs(2)), with_stack: true };
        let (no_diagnoses, recorder) = (false, RecorderLevel::Quiet);
        let dump_on = Some(libc::SIGQUIT);
        let no_overdue = false;
        let expected =
            DebugOptions { attach: AttachOption::Off, no_diagnoses, dump_on, late_poll, no_overdue, recorder };
        assert_eq!(options, expected);
        let (options, problems) =
            parse("attach=on,diagnose=off,dump_on=SIGUSR2,late_poll=off,overdue=off,recorder=full");
        assert_eq!(problems, [""; 0]);
        assert!(options.no_diagnoses && options.no_overdue);
        assert_eq!(options.attach, AttachOption::AtOnce);
        assert_eq!(options.dump_on, Some(libc::SIGUSR2));
        assert!(options.late_poll.is_off);
        assert_eq!(options.recorder, RecorderLevel::Full);
        assert_eq!(parse(""), (DebugOptions::default(), Vec::new()));
    }

    #[test]
    fn what_is_unknown_or_malformed_is_named_and_the_rest_applies() {
        for (text, words) in [
            ("colour=on", "there is no option `colour`"),
            ("attach", "`attach=` is not understood, it takes off, on"),
            ("attach=maybe", "`attach=maybe`"),
            ("diagnose=on", "`diagnose=on` is not understood, it takes off"),
            ("dump_on=KILL", "it takes QUIT, USR1, USR2"),
            ("late_poll=100", "`late_poll=100`"),
            ("late_poll=-1ms", "`late_poll=-1ms`"),
            ("recorder=on", "it takes off, quiet, full"),
            ("late_poll=99999999999999999999s", "a time such as 100ms"),
            ("\u{1b}[2J", "there is no option `\\u{1b}[2J`"),
        ] {
            let (options, problems) = parse(&format!("{text},late_poll=stack"));
            assert_eq!(problems.len(), 1, "{text}");
            assert!(problems[0].contains(words), "{}", problems[0]);
            assert!(options.late_poll.with_stack, "{text}");
        }
    }

    #[test]
    fn each_option_of_the_table_takes_the_first_value_that_the_table_names() {
        for option in DEBUG_OPTIONS {
            let value = option.values.split(',').next().expect("a value");
            assert!(set(&mut DebugOptions::default(), option.name, value), "{}={value}", option.name);
        }
    }
}
