//! The line that a client sends: `redd-attach/1`, a command and its options, and a line feed.
//!
//! Called by `server`.

/// The version of the request and of the reply.
pub(super) const PROTOCOL: &str = "redd-attach/1";

/// The longest line, with its end.
pub(super) const LINE_MAX: usize = 256;

/// How long a client may have tasks sampled at once: others wait meanwhile.
pub(super) const TOP_MS_MAX: u64 = 1000;

/// How long polls and wakes may be recorded for one client.
pub(super) const TRACE_MS_MAX: u64 = 60_000;

/// How a dump is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    /// Each task below its group or its parent.
    Tree,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// The process and its runtimes, as JSON.
    Info,
    Dump {
        format: Format,
        is_whole: bool,
    },
    /// What the threads do, or what the task with this number does.
    Stack(Option<u64>),
    Metrics,
    /// What the tasks do in the next moment, of so many milliseconds.
    Top(u64),
    /// What the flight recorder has, after so many milliseconds of full recording.
    Trace(u64),
}

/// What there is, for the error about anything else.
const COMMANDS: &str = "`info`, `dump text`, `dump tree`, `dump json`, each `dump` also with `all`, `stack all`, `stack` and the number of a task, `metrics`, `top` and `trace`, each with a time in milliseconds";

/// Parses a line without its end. An error is a sentence for the client.
pub(super) fn parse(line: &[u8]) -> Result<Command, String> {
    let line = std::str::from_utf8(line).map_err(|_| "the request is not text".to_owned())?;
    let mut words = line.split(' ');
    let protocol = words.next().unwrap_or_default();
    if protocol != PROTOCOL {
        return Err(format!(
            "the request begins with `{}`, and this process speaks `{PROTOCOL}`: use a `redd` of its version",
            protocol.escape_debug()
        ));
    }
    let words: Vec<&str> = words.collect();
    match words.as_slice() {
        ["info"] => Ok(Command::Info),
        ["dump", "text"] => Ok(Command::Dump { format: Format::Text, is_whole: false }),
        ["dump", "text", "all"] => Ok(Command::Dump { format: Format::Text, is_whole: true }),
        ["dump", "tree"] => Ok(Command::Dump { format: Format::Tree, is_whole: false }),
        ["dump", "tree", "all"] => Ok(Command::Dump { format: Format::Tree, is_whole: true }),
        ["dump", "json"] => Ok(Command::Dump { format: Format::Json, is_whole: false }),
        ["dump", "json", "all"] => Ok(Command::Dump { format: Format::Json, is_whole: true }),
        ["metrics"] => Ok(Command::Metrics),
        ["stack", "all"] => Ok(Command::Stack(None)),
        ["stack", task] => match task.parse() {
            Ok(task) => Ok(Command::Stack(Some(task))),
            Err(_) => Err(format!("`{}` is no number of a task", task.escape_debug())),
        },
        ["top", time] => match time.parse() {
            Ok(ms @ 0..=TOP_MS_MAX) => Ok(Command::Top(ms)),
            _ => Err(format!("`{}` is no time from 0 to {TOP_MS_MAX} ms", time.escape_debug())),
        },
        ["trace", time] => match time.parse() {
            Ok(ms @ 0..=TRACE_MS_MAX) => Ok(Command::Trace(ms)),
            _ => Err(format!("`{}` is no time from 0 to {TRACE_MS_MAX} ms", time.escape_debug())),
        },
        words => {
            Err(format!("this process knows no request `{}`; it knows {COMMANDS}", words.join(" ").escape_debug()))
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_understood_and_everything_else_gets_a_sentence_that_names_them() {
        assert_eq!(parse(b"redd-attach/1 info"), Ok(Command::Info));
        for (line, format, is_whole) in [
            ("redd-attach/1 dump text", Format::Text, false),
            ("redd-attach/1 dump text all", Format::Text, true),
            ("redd-attach/1 dump tree", Format::Tree, false),
            ("redd-attach/1 dump tree all", Format::Tree, true),
            ("redd-attach/1 dump json", Format::Json, false),
            ("redd-attach/1 dump json all", Format::Json, true),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(Command::Dump { format, is_whole }));
        }
        assert_eq!(parse(b"redd-attach/1 metrics"), Ok(Command::Metrics));
        assert_eq!(parse(b"redd-attach/1 stack all"), Ok(Command::Stack(None)));
        assert_eq!(parse(b"redd-attach/1 stack 17"), Ok(Command::Stack(Some(17))));
        assert_eq!(parse(b"redd-attach/1 top 1000"), Ok(Command::Top(1000)));
        assert!(parse(b"redd-attach/1 top 1001").is_err_and(|error| error.contains("0 to 1000 ms")));
        assert_eq!(parse(b"redd-attach/1 trace 0"), Ok(Command::Trace(0)));
        assert_eq!(parse(b"redd-attach/1 trace 60000"), Ok(Command::Trace(60_000)));
        for time in ["60001", "-1", "5s", "18446744073709551616"] {
            let line = format!("redd-attach/1 trace {time}");
            assert!(parse(line.as_bytes()).is_err_and(|error| error.contains("0 to 60000 ms")), "{time}");
        }
        assert!(parse(b"redd-attach/1 stack -1").is_err_and(|error| error.contains("`-1` is no number of a task")));
        for line in [
            "redd-attach/1",
            "redd-attach/1 dump",
            "redd-attach/1 dump xml",
            "redd-attach/1  info",
            "redd-attach/1 kill",
        ] {
            assert!(parse(line.as_bytes()).is_err_and(|error| error.contains("`dump text`")), "{line}");
        }
        for line in ["", "GET / HTTP/1.1", "redd-attach/2 info"] {
            assert!(parse(line.as_bytes()).is_err_and(|error| error.contains(PROTOCOL)), "{line}");
        }
        assert!(parse(b"redd-attach/1 \xff").is_err_and(|error| error.contains("not text")));
        let strange = parse("redd-attach/1 a\u{1b}[2J".as_bytes()).expect_err("unknown");
        assert!(!strange.contains('\u{1b}'), "no byte of the request reaches a terminal: {strange}");
    }
}
