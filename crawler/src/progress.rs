//! What is printed while a crawl runs: a bar on a terminal, plain lines otherwise. All of it goes to standard error.
//!
//! Called by `crawl` and `main`.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use redd::time::Instant;

use crate::frontier::Entry;
use crate::options::ProgressKind;
use crate::pace::{Pace, rate_text, time_text};
use crate::page::{PageState, Skipped};
use crate::printable::printable;

/// How much is printed during a crawl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Only interrupts, the deadline and failures of the crawler itself.
    Quiet,
    /// Broken pages and notes, and the progress every few seconds.
    Normal,
    /// Each page.
    Verbose,
}

/// Prints the progress: as a bar on a terminal, as plain lines otherwise.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// Whether the progress is shown as plain lines.
    has_lines: bool,
    verbosity: Verbosity,
    settled: u64,
    broken: u64,
    /// Plain lines are printed every few ticks only.
    ticks: u64,
    began: Instant,
    pace: Pace,
}

impl Progress {
    pub(crate) fn new(verbosity: Verbosity, kind: ProgressKind) -> Self {
        let has_bar = kind == ProgressKind::Auto && verbosity != Verbosity::Quiet && std::io::stderr().is_terminal();
        let has_lines = !has_bar && kind != ProgressKind::Never && verbosity != Verbosity::Quiet;
        let bar = has_bar.then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:20} {pos}/{len} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            has_lines,
            verbosity,
            settled: 0,
            broken: 0,
            ticks: 0,
            began: Instant::now(),
            pace: Pace::default(),
        }
    }

    /// Prints a line, above the bar if there is one.
    pub(crate) fn line(&self, line: &str) {
        let line = &*printable(line);
        match &self.bar {
            Some(bar) => bar.println(line),
            // If standard error is closed, there is no place to report it.
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    /// Says that a host asks for a wait that can be noticed, unless the crawl is to be quiet.
    pub(crate) fn host_waits(&self, origin: &str, wait: Duration) {
        if self.verbosity != Verbosity::Quiet && wait >= Duration::from_secs(1) {
            let wait = time_text(wait);
            self.line(&format!(
                "{origin} asks to wait (Retry-After): none of its pages is asked for in the next {wait}"
            ));
        }
    }

    pub(crate) fn page_finished(&mut self, entry: &Entry) {
        if !is_counted(&entry.state) {
            return;
        }
        self.settled += 1;
        let (is_broken, is_odd) = match &entry.state {
            PageState::Broken(_) => (true, false),
            PageState::Good(content) => (false, content.note.is_some()),
            PageState::Pending | PageState::Redirect { .. } | PageState::Skipped(_) => (false, false),
        };
        self.broken += u64::from(is_broken);
        if self.verbosity == Verbosity::Verbose || (self.verbosity == Verbosity::Normal && (is_broken || is_odd)) {
            self.line(&format!("{}  {}", entry.url, state(&entry.state)));
        }
        if let Some(bar) = &self.bar {
            // What is known is counted once a second, and more may be dealt with meanwhile.
            bar.set_length(bar.length().unwrap_or_default().max(self.settled));
            bar.set_position(self.settled);
        }
    }

    /// Counts what an earlier run of this crawl has settled, without a line for each.
    pub(crate) fn restore(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.settled += u64::from(is_counted(&entry.state));
            self.broken += u64::from(matches!(entry.state, PageState::Broken(_)));
        }
    }

    /// Called once per second.
    pub(crate) fn tick(&mut self, waiting: usize, in_flight: usize, bytes: u64) {
        let (settled, broken, bytes) = (self.settled, self.broken, HumanBytes(bytes));
        let known = waiting + in_flight;
        self.ticks += 1;
        self.pace.record(self.began.elapsed(), settled);
        let rate = self.pace.per_second().map(rate_text).unwrap_or_default();
        let rate = if rate.is_empty() { "none finished lately".to_owned() } else { rate };
        // Each page may lead to more.
        let left = self.pace.time_for(known).map(|time| format!(", at least {} more", time_text(time)));
        let left = left.unwrap_or_default();
        if let Some(bar) = &self.bar {
            bar.set_length(settled + known as u64);
            bar.set_message(format!("{rate}{left}, {broken} broken, {bytes}"));
        } else if self.has_lines && self.ticks % 5 == 0 {
            self.line(&format!(
                "{settled} done ({rate}), {waiting} waiting, {in_flight} in flight{left}, {broken} broken, {bytes}"
            ));
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Whether a page was dealt with. What does not belong to the crawl is not counted.
fn is_counted(state: &PageState) -> bool {
    !matches!(state, PageState::Pending | PageState::Skipped(Skipped::Outside | Skipped::Excluded))
}

/// The state of a page in a few words.
fn state(state: &PageState) -> String {
    match state {
        PageState::Pending => "not reached".to_owned(),
        PageState::Good(content) => match &content.note {
            Some(note) => format!("{} ({note})", content.status),
            None => content.status.to_string(),
        },
        PageState::Redirect { status, .. } => format!("{status} redirect"),
        PageState::Broken(failure) => format!("BROKEN: {}", failure.reason),
        PageState::Skipped(Skipped::Outside) => "outside".to_owned(),
        PageState::Skipped(Skipped::Excluded) => "left out by --include or --exclude".to_owned(),
        PageState::Skipped(Skipped::Robots(reason)) => format!("skipped: {reason}"),
    }
}
