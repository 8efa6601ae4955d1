//! What a crawl found: every address with what became of it, and how the crawl ended.
//!
//! Made by `crawl`; read by `results`, `delivery` and `main`.
//!
//! # Invariants
//! - `adds-up`: each address that a crawl found is in one of the parts of [`Counts`], and in one only.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::frontier::{Entry, Frontier};
use crate::page::{Failure, PageId, PageState, Reason, Scope, Skipped};
use crate::plural::count;
use crate::robots::AGENT;

/// Why a crawl ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Deadline,
    Interrupted,
    /// Other processes work on it, or will.
    Unfinished,
}

/// What a crawl found.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) frontier: Frontier,
    pub(crate) end: End,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

/// How many addresses had which fate (`adds-up`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) good: usize,
    pub(crate) broken: usize,
    pub(crate) redirects: usize,
    /// How many of the good, the broken and the redirects are not on a starting origin.
    pub(crate) checked_outside: usize,
    /// Forbidden by robots.txt.
    pub(crate) skipped: usize,
    /// Not checked because of `--same-origin`.
    pub(crate) outside: usize,
    /// Not checked because of `--include` or `--exclude`.
    pub(crate) excluded: usize,
    /// Not checked because of `--depth`.
    pub(crate) too_deep: usize,
    /// Not checked because of `--max-pages`.
    pub(crate) over_max_pages: usize,
    /// The crawl ended before it reached them.
    pub(crate) not_reached: usize,
    /// Addresses that cannot be fetched, such as `mailto:`, by scheme.
    pub(crate) ignored: BTreeMap<String, usize>,
}

impl Counts {
    /// Addresses that were asked for, and those that cannot be.
    pub(crate) fn checked(&self) -> usize {
        self.good + self.broken + self.redirects
    }

    pub(crate) fn ignored(&self) -> usize {
        self.ignored.values().sum()
    }

    /// All addresses, each once.
    pub(crate) fn found(&self) -> usize {
        self.checked()
            + self.skipped
            + self.outside
            + self.excluded
            + self.too_deep
            + self.over_max_pages
            + self.not_reached
            + self.ignored()
    }
}

impl Outcome {
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts {
            too_deep: self.frontier.too_deep(),
            over_max_pages: self.frontier.over_max_pages(),
            ignored: self.frontier.ignored(),
            ..Counts::default()
        };
        for entry in self.frontier.entries() {
            let is_outside = entry.scope == Scope::Outside;
            match &entry.state {
                PageState::Good(_) => counts.good += 1,
                PageState::Broken(_) => counts.broken += 1,
                PageState::Redirect { .. } => counts.redirects += 1,
                PageState::Skipped(Skipped::Robots(_)) => counts.skipped += 1,
                PageState::Skipped(Skipped::Outside) => counts.outside += 1,
                PageState::Skipped(Skipped::Excluded) => counts.excluded += 1,
                PageState::Pending => counts.not_reached += 1,
            }
            counts.checked_outside += usize::from(match &entry.state {
                // It names no host, so it is neither inside nor outside.
                PageState::Broken(Failure { reason: Reason::UnusableUrl(_), .. }) => false,
                PageState::Good(_) | PageState::Broken(_) | PageState::Redirect { .. } => is_outside,
                PageState::Skipped(_) | PageState::Pending => false,
            });
        }
        counts
    }

    /// Whether the crawl ended by itself, with nothing left to fetch.
    pub(crate) fn has_reached_all(&self) -> bool {
        self.end == End::Complete && self.counts().not_reached == 0
    }

    /// What the crawl did not do, a sentence each. Empty if it is complete.
    pub(crate) fn shortfalls(&self) -> Vec<String> {
        let counts = self.counts();
        let not_reached = format!("{} not reached", count(counts.not_reached, "page"));
        let mut shortfalls = Vec::new();
        match self.end {
            End::Deadline => shortfalls.push(format!("the time of --deadline is over, {not_reached}")),
            End::Interrupted => shortfalls.push(format!("the crawl was interrupted, {not_reached}")),
            End::Unfinished => shortfalls.push(format!(
                "the crawl is not finished, {not_reached}. `redd-crawl status --frontier` shows which processes work on it"
            )),
            End::Complete if counts.not_reached > 0 => {
                shortfalls.push(format!("a task of the crawler failed, {not_reached}"));
            }
            End::Complete => {}
        }
        if counts.over_max_pages > 0 {
            shortfalls.push(format!("--max-pages left out {}", count(counts.over_max_pages, "address")));
        }
        for entry in self.frontier.entries() {
            // A start, or where one redirects to.
            if let (0, PageState::Skipped(Skipped::Robots(reason))) = (entry.depth, &entry.state) {
                let url = &entry.url;
                shortfalls.push(format!(
                    "the start {url} was not fetched: {reason}. Start from a page that robots.txt allows to `{AGENT}`"
                ));
            }
        }
        shortfalls
    }

    /// All addresses, sorted.
    pub(crate) fn sorted(&self) -> Vec<(PageId, &Entry)> {
        let mut entries: Vec<(PageId, &Entry)> = (0..).zip(self.frontier.entries()).collect();
        entries.sort_by_key(|(_, entry)| &*entry.url);
        entries
    }

    /// The address that a redirect leads to.
    pub(crate) fn target(&self, to: PageId) -> &str {
        &self.frontier.entry(to).url
    }
}

/// The largest amount of memory, in bytes, that this process has had resident.
pub(crate) fn memory_max() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontier::{Admission, Limits};

    #[test]
    fn a_page_that_stayed_pending_is_a_shortfall_of_a_crawl_that_ended_by_itself() {
        let mut frontier = Frontier::new(Limits { depth: None, pages: 9 });
        assert_eq!(frontier.add_link("http://a/", None, 0, Scope::Inside, true), Admission::New(0));
        let outcome = Outcome { frontier, end: End::Complete, bytes: 0, elapsed: Duration::ZERO };
        let shortfalls = outcome.shortfalls();
        assert_eq!(shortfalls.len(), 1);
        assert!(shortfalls[0].contains("1 page not reached"), "{}", shortfalls[0]);
    }
}
