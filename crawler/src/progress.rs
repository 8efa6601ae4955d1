//! What is printed while a crawl runs: a bar on a terminal, plain lines otherwise. All of it goes to standard error.
//!
//! Called by `crawl` and `main`.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::frontier::Entry;
use crate::page::{Fate, Left};

/// How much is said while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Nothing but what the user has to know.
    Quiet,
    /// Troubles, and now and then how far it is.
    Normal,
    /// Each page.
    Verbose,
}

/// A bar on a terminal, plain lines otherwise.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    talk: Talk,
    settled: u64,
    broken: u64,
    /// Plain lines come every few ticks only.
    ticks: u64,
}

impl Progress {
    pub(crate) fn new(talk: Talk) -> Self {
        let bar = (talk != Talk::Quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, talk, settled: 0, broken: 0, ticks: 0 }
    }

    /// Says one line, above the bar if there is one.
    pub(crate) fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            // Standard error may be closed; then nobody wants to know.
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    pub(crate) fn settled(&mut self, entry: &Entry) {
        if matches!(entry.fate, Fate::Left(Left::Outside)) {
            return;
        }
        self.settled += 1;
        let (is_broken, is_odd) = match &entry.fate {
            Fate::Broken(_) => (true, false),
            Fate::Good(content) => (false, content.note.is_some()),
            Fate::Waiting | Fate::Redirect { .. } | Fate::Left(_) => (false, false),
        };
        self.broken += u64::from(is_broken);
        if self.talk == Talk::Verbose || (self.talk == Talk::Normal && (is_broken || is_odd)) {
            self.line(&format!("{}  {}", entry.url, fate(&entry.fate)));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.settled);
        }
    }

    /// Once a second.
    pub(crate) fn tick(&mut self, waiting: usize, flying: usize, bytes: u64) {
        let bytes = HumanBytes(bytes);
        self.ticks += 1;
        if let Some(bar) = &self.bar {
            bar.set_length(self.settled + (waiting + flying) as u64);
            bar.set_message(format!("{} broken, {bytes}", self.broken));
        } else if self.talk != Talk::Quiet && self.ticks % 5 == 0 {
            let (settled, broken) = (self.settled, self.broken);
            self.line(&format!("{settled} done, {waiting} waiting, {flying} in flight, {broken} broken, {bytes}"));
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What became of a page, in a few words.
fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Waiting => "not reached".to_owned(),
        Fate::Good(content) => match &content.note {
            Some(note) => format!("{} ({note})", content.status),
            None => content.status.to_string(),
        },
        Fate::Redirect { status, .. } => format!("{status} redirect"),
        Fate::Broken(failure) => format!("BROKEN: {}", failure.trouble),
        Fate::Left(Left::Outside) => "outside".to_owned(),
        Fate::Left(Left::Robots(reason)) => format!("left alone: {reason}"),
    }
}
