//! The protocol between a server and the program that measures it.

use std::io::{BufRead, Write};

use super::costs::{self, Costs};

pub struct Asked {
    pub kind: String,
    pub workers: usize,
}

/// The settings of the command line. Must be called before any thread starts, so that the counters see all threads.
pub fn asked() -> Option<Asked> {
    let mut args = std::env::args().skip(1);
    let asked = Asked { kind: args.next()?, workers: args.next()?.parse().ok()? };
    if args.next().as_deref() == Some("counts") {
        costs::count();
    }
    Some(asked)
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
