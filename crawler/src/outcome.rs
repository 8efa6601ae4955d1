//! What a crawl found: every address with what became of it, and how the crawl ended.
//!
//! Made by `crawl`; read by `report`, `export` and `main`.

use std::time::Duration;

use crate::frontier::{Entry, Frontier};
use crate::page::{Fate, Left, PageId, Trouble};

/// Why a crawl ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Deadline,
    Interrupted,
}

/// What a crawl found.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) frontier: Frontier,
    pub(crate) end: End,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

/// A broken link and who cites it.
#[derive(Debug)]
pub(crate) struct Broken<'a> {
    pub(crate) url: &'a str,
    pub(crate) trouble: &'a Trouble,
    /// The citing page, and the redirect through which it cites.
    pub(crate) citers: Vec<(&'a str, Option<&'a str>)>,
}

/// How many addresses had which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) good: usize,
    pub(crate) broken: usize,
    pub(crate) redirects: usize,
    pub(crate) forbidden: usize,
    pub(crate) outside: usize,
    pub(crate) not_reached: usize,
}

impl Outcome {
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.frontier.entries() {
            match &entry.fate {
                Fate::Good(_) => counts.good += 1,
                Fate::Broken(_) => counts.broken += 1,
                Fate::Redirect { .. } => counts.redirects += 1,
                Fate::Left(Left::Robots(_)) => counts.forbidden += 1,
                Fate::Left(Left::Outside) => counts.outside += 1,
                Fate::Waiting => counts.not_reached += 1,
            }
        }
        counts
    }

    /// The broken links, sorted.
    pub(crate) fn broken(&self) -> Vec<Broken<'_>> {
        let mut broken: Vec<_> = (0..)
            .zip(self.frontier.entries())
            .filter_map(|(id, entry): (PageId, &Entry)| match &entry.fate {
                Fate::Broken(trouble) => Some(Broken { url: &entry.url, trouble, citers: self.frontier.citers(id) }),
                Fate::Waiting | Fate::Good(_) | Fate::Redirect { .. } | Fate::Left(_) => None,
            })
            .collect();
        broken.sort_by_key(|broken| broken.url);
        broken
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

/// The most memory this process ever had resident.
pub(crate) fn memory_max() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
