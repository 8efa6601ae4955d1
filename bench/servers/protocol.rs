//! The protocol between a server and the program that measures it.

use std::io::{BufRead, Write};

use super::costs::{self, Costs};

pub struct Asked {
    pub kind: String,
    pub workers: usize,
    /// What comes after the settings.
    #[allow(dead_code, reason = "only programs have one")]
    pub argument: String,
    counts: bool,
}

/// The settings of the command line: `KIND WORKERS [timed|counts [ARGUMENT]]`. Ends the process with a message if they are
/// others; the argument is only for programs whose usage has it.
///
/// Must be called before any thread starts, so that the counters see all threads.
pub fn asked(usage: &str) -> Asked {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match parse(&args).filter(|asked| asked.argument.is_empty() || usage.contains("ARGUMENT")) {
        Some(asked) => {
            if asked.counts {
                costs::count();
            }
            asked
        }
        None => refuse(&format!("`{}` is not understood. usage: {usage}", args.join(" "))),
    }
}

fn parse(args: &[String]) -> Option<Asked> {
    let (settings, argument) = match args {
        [settings @ .., argument] if args.len() == 4 => (settings, argument.clone()),
        settings => (settings, String::new()),
    };
    let (kind, workers, mode) = match settings {
        [kind, workers] => (kind, workers, "timed"),
        [kind, workers, mode] => (kind, workers, mode.as_str()),
        _ => return None,
    };
    let counts = match mode {
        "timed" => false,
        "counts" => true,
        _ => return None,
    };
    let workers = workers.parse().ok().filter(|workers| *workers > 0)?;
    Some(Asked { kind: kind.clone(), workers, argument, counts })
}

/// Ends the process with a message.
pub fn refuse(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(2);
}

/// Prints the port. Then prints, for each line of its input, the costs since the previous line, until the input ends.
pub fn answer(port: u16) {
    // This thread only replies; the other threads are the server.
    let mut before = Costs::of_others();
    let mut output = std::io::stdout();
    let mut say = |text: &str| writeln!(output, "{text}").and_then(|()| output.flush()).is_ok();
    if !say(&port.to_string()) {
        return;
    }
    for _ in std::io::stdin().lock().lines() {
        let now = Costs::of_others();
        if !say(&format!("{{{}}}", now.since(&before).json())) {
            return;
        }
        // The counters are not read again after the reply: the load may have begun by then.
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_settings_are_understood() {
        let parse = |line: &str| {
            let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
            parse(&args).map(|asked| (asked.workers, asked.counts, asked.argument))
        };
        assert_eq!(parse("tcp_echo 2"), Some((2, false, String::new())));
        assert_eq!(parse("tcp_echo 2 counts"), Some((2, true, String::new())));
        assert_eq!(parse("files 1 timed folder"), Some((1, false, "folder".to_owned())));
        for line in ["", "tcp_echo", "tcp_echo two", "tcp_echo 0", "tcp_echo 2 count", "tcp_echo 2 counts a b"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
