//! `redd top`: a view of a process that renews itself each second.
//!
//! The process samples its tasks only while it is asked. BUSY is the part of that time in which a task was being polled: it
//! computed, or blocked its worker.

mod screen;
pub(crate) mod snapshot;

use std::io::IsTerminal as _;

use crate::{attach, symbols};
use snapshot::{Snapshot, Sort};

/// How long the process samples for one picture.
const PERIOD_MS: u64 = 900;

/// Shows the view until the user ends it. Without a terminal, prints one picture.
pub(crate) fn run(pid: u32, once: bool) -> Result<Vec<u8>, String> {
    let first = fetch(pid)?;
    if once || !std::io::stdout().is_terminal() {
        return Ok(first.text(Sort::Busy).into_bytes());
    }
    screen::show(pid, first, move || fetch(pid), move |task| look_at(pid, task)).map(|()| Vec::new())
}

fn fetch(pid: u32) -> Result<Snapshot, String> {
    parse(pid, &attach::ask(pid, &request())?)
}

/// All waits of a task, or its calls while it is polled.
fn look_at(pid: u32, task: u64) -> String {
    match attach::ask(pid, &format!("stack {task}")) {
        Ok(text) => symbols::name_addresses(pid, &String::from_utf8_lossy(&text)),
        Err(why) => why,
    }
}

/// What the process is asked.
pub(crate) fn request() -> String {
    format!("top {PERIOD_MS}")
}

pub(crate) fn parse(pid: u32, reply: &[u8]) -> Result<Snapshot, String> {
    Snapshot::parse(reply)
        .ok_or_else(|| format!("the reply of process {pid} is not understood: it is of another version"))
}
