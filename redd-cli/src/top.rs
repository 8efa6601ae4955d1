//! `redd top`: a view of a process that renews itself each second.
//!
//! The process samples its tasks only while it is asked. BUSY is the part of that time in which a task was being polled: it
//! computed, or blocked its worker.

mod screen;
mod snapshot;

use std::io::IsTerminal as _;

use crate::attach;
use snapshot::{Snapshot, Sort};

/// How long the process samples for one picture.
const PERIOD_MS: u64 = 900;

/// Shows the view until the user ends it. Without a terminal, prints one picture.
pub(crate) fn run(pid: u32, once: bool) -> Result<Vec<u8>, String> {
    let first = fetch(pid)?;
    if once || !std::io::stdout().is_terminal() {
        return Ok(first.text(Sort::Busy).into_bytes());
    }
    screen::show(pid, first, move || fetch(pid)).map(|()| Vec::new())
}

fn fetch(pid: u32) -> Result<Snapshot, String> {
    let text = attach::ask(pid, &format!("top {PERIOD_MS}"))?;
    Snapshot::parse(&text)
        .ok_or_else(|| format!("the reply of process {pid} is not understood: it is of another version"))
}
